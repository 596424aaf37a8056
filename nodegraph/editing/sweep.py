"""A sweep: a workflow painted once for every combination of some inputs' values, laid out on a labelled sheet.

It is a workflow again: the original becomes a subgraph, used once per picture. What the pictures share has the same key
everywhere, so the engine computes it once; and the sweep can be saved, opened in the editor, and sent to a server.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import product
from typing import Any, NamedTuple

from nodegraph.editing.parts import free_name
from nodegraph.graph import Catalog, Document
from nodegraph.graph.document import Interface, InterfaceInput, NodeEntry, Subgraph
from nodegraph.graph.interface import PublicInput, public_inputs, with_inputs
from nodegraph.graph.subgraphs import CALLED, Subgraphs
from nodegraph.sdk.errors import InvalidWorkflow, Problem, nearest

MOST = 1000
"""Pictures in a sweep."""
_NAME = "painted"
_STEP = (290, 170)  # from one node to the next in the layout


class Axis(NamedTuple):
    """An input and the values it takes."""

    name: str
    values: tuple[Any, ...]


def sweep(document: Document, catalog: Catalog, axes: Mapping[str, Sequence[Any]], output: str = "") -> Document:
    """The document of a sweep. axes: one to three inputs of the interface with their values: across, down, and a sheet each.

    output: the interface's output that the sheet is of; the first with a picture where none is named. The other inputs stay the
    sweep's own. The document has its subgraphs inside it (`api.linking`). Raises InvalidWorkflow with everything that is wrong.
    """
    known = public_inputs(document, catalog)
    wanted = [Axis(name, tuple(values)) for name, values in axes.items()]
    if problems := _problems(document, catalog, wanted, known):
        raise InvalidWorkflow(problems)
    source = _picture(document, catalog, output)
    inside = _upstream(document.nodes, source)
    inputs = {name: kept for name, item in document.interface.inputs.items() if (kept := _within(item, inside)).to}
    if missing := [axis.name for axis in wanted if axis.name not in inputs]:
        message = f"The picture does not depend on {' and '.join(map(repr, missing))}."
        raise InvalidWorkflow([Problem("bad_axis", message, hint=f"It depends on {', '.join(inputs)}.")])
    name = free_name(_NAME, document.subgraphs)
    body = Subgraph(
        title=document.title,
        nodes={key: entry for key, entry in document.nodes.items() if key in inside},
        interface=Interface(inputs=inputs, outputs={"image": source}),
    )
    given = {key: item.value for key, item in known.items() if key in inputs and not item.linked and item.value is not None}
    nodes, layout, sheets = _nodes(CALLED + name, given, wanted)
    pictures = [key for key, entry in nodes.items() if entry.type == CALLED + name]
    free = {key: item for key, item in document.interface.inputs.items() if key in inputs and key not in axes}
    return document.model_copy(
        update={
            "id": f"{document.id}-sweep" if document.id else "",
            "title": f"{document.title or 'Sweep'}: {', '.join(axes)}",
            "nodes": nodes,
            "interface": Interface(
                inputs={
                    key: item.model_copy(update={"to": [f"{picture}.{key}" for picture in pictures]})
                    for key, item in free.items()
                },
                outputs=sheets,
            ),
            "subgraphs": {**document.subgraphs, name: body},
            "layout": {"nodes": layout},
            "lock": {},
        }
    )


def _problems(document: Document, catalog: Catalog, axes: Sequence[Axis], known: Mapping[str, PublicInput]) -> list[Problem]:
    found = []
    if not 1 <= len(axes) <= 3:
        found.append(Problem("bad_axis", "A sweep has one to three axes.", expected="1 to 3", got=str(len(axes))))
    for axis in axes:
        if not axis.values:
            found.append(Problem("bad_axis", f"The axis {axis.name!r} has no values."))
        if axis.name not in document.interface.inputs:
            hint = nearest(axis.name, known, "It has") or "It has no inputs."
            found.append(Problem("no_such_input", f"This workflow has no input {axis.name!r}.", hint=hint))
            continue
        for value in axis.values:
            try:
                with_inputs(document, catalog, {axis.name: value}, known)
            except InvalidWorkflow as error:
                found += error.problems
    count = 1
    for axis in axes:
        count *= len(axis.values)
    if count > MOST:
        found.append(Problem("bad_axis", "These are too many pictures.", expected=f"at most {MOST}", got=str(count)))
    return found


def _picture(document: Document, catalog: Catalog, output: str) -> str:
    """The link that brings the picture: an output that is an image itself, or what the node that saves or shows one is fed."""
    outputs, subgraphs = document.interface.outputs, Subgraphs(document.subgraphs, catalog)
    if output and output not in outputs:
        hint = nearest(output, outputs, "It has") or "It has no outputs."
        raise InvalidWorkflow([Problem("no_such_output", f"This workflow has no output {output!r}.", hint=hint)])
    for name in [output] if output else outputs:
        node, _, socket = outputs[name].partition(".")
        entry = document.nodes.get(node)
        spec = None if entry is None else subgraphs.spec_of(entry)
        if entry is None or spec is None:
            continue
        if any(each.name == socket and each.type.name == "Image" for each in spec.outputs):
            return outputs[name]
        fed = [entry.links.get(each.name) for each in spec.inputs if each.type.name == "Image"]
        if len(fed) == 1 and isinstance(fed[0], str):
            return fed[0]
    message = (
        f"The output {output!r} is no single picture." if output else "This workflow has no output that is a single picture."
    )
    hint = "A sweep lays out images, or what image/save_image and image/show_image are given."
    raise InvalidWorkflow(
        [Problem("no_picture", message, expected="an image", got=", ".join(outputs) or "no outputs", hint=hint)]
    )


def _upstream(nodes: Mapping[str, NodeEntry], source: str) -> set[str]:
    """The nodes that a link needs."""
    found: set[str] = set()
    left = [source.partition(".")[0]]
    while left:
        name = left.pop()
        if name in nodes and name not in found:
            found.add(name)
            for link in nodes[name].links.values():
                left += [each.partition(".")[0] for each in ([link] if isinstance(link, str) else link)]
    return found


def _within(item: InterfaceInput, nodes: set[str]) -> InterfaceInput:
    return item.model_copy(update={"to": [place for place in item.to if place.partition(".")[0] in nodes]})


def _nodes(
    type_: str, given: Mapping[str, Any], axes: Sequence[Axis]
) -> tuple[dict[str, NodeEntry], dict[str, list[int]], dict[str, str]]:
    """The nodes of a sweep, where they lie, and its outputs: pictures, and for every sheet a list, a grid and a file."""
    across, down, deep = [*axes, *[Axis("", (None,))] * 3][:3]
    nodes: dict[str, NodeEntry] = {}
    layout: dict[str, list[int]] = {}
    sheets: dict[str, str] = {}
    for page, sheet in enumerate(deep.values, 1):
        mark = f"_{page}" if len(deep.values) > 1 else ""
        top = (page - 1) * (len(down.values) + 1)
        links = []
        for (row, y), (column, x) in product(enumerate(down.values, 1), enumerate(across.values, 1)):
            key = f"picture{mark}_{row}_{column}"
            chosen = {axis.name: value for axis, value in ((across, x), (down, y), (deep, sheet)) if axis.name}
            nodes[key] = NodeEntry(type=type_, inputs={**given, **chosen})
            layout[key] = [(column - 1) * _STEP[0], (top + row - 1) * _STEP[1]]
            links.append(f"{key}.image")
        said = {
            "columns": [_label(across.name, value) for value in across.values],
            "rows": [_label(down.name, value) for value in down.values] if down.name else [],
            "title": _label(deep.name, sheet) if deep.name else "",
        }
        nodes[f"pictures{mark}"] = NodeEntry(type="core/make_list", links={"items": links})
        nodes[f"grid{mark}"] = NodeEntry(type="image/labelled_grid", inputs=said, links={"images": f"pictures{mark}.items"})
        name = "sweep-{digest}" if not mark else f"sweep-{page}-{{digest}}"
        nodes[f"save{mark}"] = NodeEntry(type="image/save_image", inputs={"name": name}, links={"image": f"grid{mark}.image"})
        for index, part in enumerate(("pictures", "grid", "save")):
            layout[part + mark] = [(len(across.values) + index) * _STEP[0], top * _STEP[1]]
        sheets[f"sheet{mark}"] = f"save{mark}.file"
    return nodes, layout, sheets


def _label(name: str, value: Any) -> str:
    if value is None:
        text = "none"
    elif isinstance(value, float):
        text = f"{value:g}"
    else:
        text = str(value)
    return f"{name.replace('_', ' ')}: {text}"

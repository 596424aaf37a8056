"""A node that runs a subgraph becomes the nodes in it: the way back from `extract`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from nodegraph.editing.parts import Part, as_list, centre, free_name, part_of, position, replaced, split, with_part
from nodegraph.graph import Catalog, Document
from nodegraph.graph.compiling import outputs_of
from nodegraph.graph.document import Interface, InterfaceInput, NodeEntry, Subgraph
from nodegraph.graph.narrowing import has_default
from nodegraph.graph.relations import relate
from nodegraph.graph.subgraphs import CALLED, Subgraphs
from nodegraph.sdk.errors import InvalidWorkflow, Problem, nearest


class Inlined(NamedTuple):
    """The document without the node, and for each node of the subgraph the id that it has outside."""

    document: Document
    nodes: dict[str, str]


def inline(document: Document, catalog: Catalog, node: str, *, scope: str = "") -> Inlined:
    """Put the nodes of a subgraph in the place of the node that runs it; a subgraph that nothing else uses goes.

    Inner nodes keep their ids where these are free. `scope` names the subgraph that the node lies in, where that is not the
    document itself. Raises InvalidWorkflow where the nodes could not do the same without the subgraph, or something would be
    lost: with everything that is in the way.
    """
    part = part_of(document, scope)
    name = _subgraph_of(document, part, node)
    subgraph = document.subgraphs[name]
    subgraphs = Subgraphs(document.subgraphs, catalog)
    problems = list(_hindrances(document, catalog, part, node, subgraph, subgraphs))
    if problems:
        raise InvalidWorkflow(problems)

    rest = {key: entry for key, entry in part.nodes.items() if key != node}
    names: dict[str, str] = {}
    for key in subgraph.nodes:
        names[key] = key if key not in rest else free_name(f"{node}_{key}", {*rest, *names.values(), *subgraph.nodes})
    exits = {f"{node}.{output}": _renamed(text, names) for output, text in subgraph.interface.outputs.items()}
    inner = {names[key]: entry for key, entry in _set(part.nodes[node], subgraph, subgraphs, names).items()}
    outer = {key: _reading(entry, exits) for key, entry in rest.items()}

    layout = _layout(part, node, subgraph, names)
    changed = Part(scope, {**outer, **inner}, _around(part.interface, node, subgraph, names, exits), layout)
    kept = dict(document.subgraphs)
    if not _used_elsewhere(document, subgraphs, name, scope, node):
        del kept[name]
    return Inlined(with_part(document, changed, kept), names)


def _subgraph_of(document: Document, part: Part, node: str) -> str:
    """The subgraph that a node runs. Raises InvalidWorkflow where it runs none that is inside the document."""
    entry = part.nodes.get(node)
    if entry is None:
        hint = nearest(node, part.nodes, "There are") or None
        raise InvalidWorkflow([Problem("no_such_node", f"There is no node {node!r}.", hint=hint)])
    name = entry.type.removeprefix(CALLED)
    if not entry.type.startswith(CALLED):
        message = f"A node of type {entry.type} is no subgraph."
        raise InvalidWorkflow(
            [Problem("no_subgraph", message, part.place(node), hint="Choose a node of a type subgraph/NAME.")]
        )
    if name not in document.subgraphs:
        hint = nearest(name, document.subgraphs, "There are") or None
        raise InvalidWorkflow([Problem("no_subgraph", f"There is no subgraph {name!r}.", part.place(node), hint=hint)])
    if document.subgraphs[name].file:
        message = f"The subgraph {name!r} lies in the file {document.subgraphs[name].file!r}."
        raise InvalidWorkflow([Problem("no_file", message, part.place(node), hint="Take the file into the document first.")])
    return name


def _hindrances(
    document: Document, catalog: Catalog, part: Part, node: str, subgraph: Subgraph, subgraphs: Subgraphs
) -> Iterator[Problem]:
    """What keeps the subgraph's nodes from doing the same outside of it."""
    entry, place, interface = part.nodes[node], part.place(node), subgraph.interface
    if entry.disabled:
        message = "The subgraph is disabled, and its nodes are not."
        yield Problem("disabled", message, place, hint="Enable it first, or disable the nodes inside.")
    for key in {*entry.inputs, *entry.links} - interface.inputs.keys():
        message = f"The subgraph has no input {key!r}; what is set here would be lost."
        yield Problem("no_input", message, place, key, hint=nearest(key, interface.inputs, "It has") or None)
    for text in _read(part):
        owner, output = split(text)
        if owner == node and output not in interface.outputs:
            message = f"Something reads {text!r}, but the subgraph has no output {output!r}."
            yield Problem("dangling_link", message, place, output, hint=nearest(output, interface.outputs, "It has") or None)
    types, specs = outputs_of(document, catalog, part.scope).types, subgraphs.inputs(entry.type.removeprefix(CALLED))
    for name, public in part.interface.inputs.items():
        listing = [_listing(text, node, interface) or public.as_list for text in public.to]
        if any(listing) and not all(listing):
            message = f"The public input {name!r} sets nodes that take a list here, and others."
            yield Problem("wrong_type", message, place, name, hint="Give the list a public input of its own.")
    for key, item in interface.inputs.items():
        if item.as_list and key not in entry.links and (key in entry.inputs or item.default is not None):
            message = "A list is typed in here, and the nodes inside take one item each."
            yield Problem("bad_value", message, place, key, hint="Link the list from a node.")
        if key in entry.links or key in entry.inputs:
            for text in item.to:
                if split(text)[0] not in subgraph.nodes:
                    yield Problem("dangling_input", f"This input goes to {text!r}, which does not exist.", place, key)
        spec = specs.get(key)
        for text in as_list(entry.links.get(key, [])):
            given = types.get(split(text))
            relation = relate(given, spec.type) if spec is not None and given is not None else None
            if relation is not None and relation.how == "map":
                message = "The subgraph runs once per item of this list, as a whole; its nodes would run list by list."
                yield Problem("mapped", message, place, key, hint="Keep the subgraph, or let the list go in as a whole.")


def _read(part: Part) -> Iterator[str]:
    for entry in part.nodes.values():
        for link in entry.links.values():
            yield from as_list(link)
    yield from part.interface.outputs.values()


def _set(entry: NodeEntry, subgraph: Subgraph, subgraphs: Subgraphs, names: Mapping[str, str]) -> dict[str, NodeEntry]:
    """The subgraph's nodes with what the node that runs it sets: as compiling does it, but written down."""
    nodes = {
        key: found.model_copy(
            update={
                "inputs": dict(found.inputs),
                "links": {
                    socket: [_renamed(text, names) for text in link] if isinstance(link, list) else _renamed(link, names)
                    for socket, link in found.links.items()
                },
            }
        )
        for key, found in subgraph.nodes.items()
    }
    for key, item in subgraph.interface.inputs.items():
        for text in item.to:
            inner, socket = split(text)
            if inner not in nodes:
                continue
            found = nodes[inner]
            value = entry.inputs.get(key, item.default)
            spec = subgraphs.inputs(entry.type.removeprefix(CALLED)).get(key)
            if key in entry.inputs or has_default(item, spec.schema if spec is not None else None):
                found.inputs[socket] = value
                found.links.pop(socket, None)
            if key in entry.links:
                found.links[socket] = _joined(found, socket, entry.links[key], subgraphs)
    return nodes


def _joined(entry: NodeEntry, socket: str, given: str | list[str], subgraphs: Subgraphs) -> str | list[str]:
    """What links into a socket once the outer link is there: after those inside where there are many, else in their place."""
    spec = subgraphs.spec_of(entry)
    found = spec.input_by_name.get(socket) if spec is not None else None
    there = entry.links.get(socket)
    if there is not None and (isinstance(there, list) or (found is not None and found.many)):
        return [*as_list(there), *as_list(given)]
    return given


def _renamed(text: str, names: Mapping[str, str]) -> str:
    node, output = split(text)
    return f"{names[node]}.{output}" if node in names else text


def _reading(entry: NodeEntry, exits: Mapping[str, str]) -> NodeEntry:
    """A node that reads from inside what it read from the node that was there."""
    links: dict[str, str | list[str]] = {
        key: [exits.get(text, text) for text in link] if isinstance(link, list) else exits.get(link, link)
        for key, link in entry.links.items()
    }
    return entry.model_copy(update={"links": links})


def _around(
    interface: Interface, node: str, subgraph: Subgraph, names: Mapping[str, str], exits: Mapping[str, str]
) -> Interface:
    inputs = {}
    for name, item in interface.inputs.items():
        to: list[str] = []
        for text in item.to:
            owner, key = split(text)
            inner = subgraph.interface.inputs.get(key) if owner == node else None
            to += [text] if inner is None else [_renamed(target, names) for target in inner.to]
        inner_items = [subgraph.interface.inputs[key] for owner, key in map(split, item.to) if owner == node]
        inputs[name] = _narrowed(item, inner_items).model_copy(update={"to": to})
    outputs = {name: exits.get(text, text) for name, text in interface.outputs.items()}
    return interface.model_copy(update={"inputs": inputs, "outputs": outputs})


def _listing(text: str, node: str, interface: Interface) -> bool:
    owner, key = split(text)
    return owner == node and key in interface.inputs and interface.inputs[key].as_list


def _narrowed(item: InterfaceInput, inner: Sequence[InterfaceInput]) -> InterfaceInput:
    """A public input with the rules of the subgraph's inputs that it went through: they hold on."""
    update: dict[str, Any] = {}
    for rule, strictest in (("minimum", max), ("maximum", min)):
        known = [getattr(part, rule) for part in (item, *inner) if getattr(part, rule) is not None]
        if known and strictest(known) != getattr(item, rule):
            update[rule] = strictest(known)
    for part in inner:
        if part.choices is not None:
            kept = part.choices if item.choices is None else [value for value in item.choices if value in part.choices]
            update["choices"] = kept
        update |= {"as_list": True} if part.as_list else {}
    return item.model_copy(update=update)


def _layout(part: Part, node: str, subgraph: Subgraph, names: Mapping[str, str]) -> dict[str, Any]:
    """The nodes around the place where the subgraph's node lay; frames and notes come along."""
    inner = Part("", subgraph.nodes, subgraph.interface, subgraph.layout)
    middle, here = centre(inner.places), position(part.places.get(node))
    x, y = (here[0] - middle[0], here[1] - middle[1]) if middle is not None and here is not None else (0, 0)
    places = {}
    for key, place in inner.places.items():
        known = position(place)
        places[names.get(key, key)] = place if known is None else [known[0] + x, known[1] + y]
    layout = replaced(part.layout, [node], places)
    for key, value in subgraph.layout.items():
        if key != "nodes" and isinstance(value, list) and isinstance(layout.get(key, []), list):
            layout[key] = [*layout.get(key, []), *value]
    return layout


def _used_elsewhere(document: Document, subgraphs: Subgraphs, name: str, scope: str, node: str) -> bool:
    parts = [("", document.nodes), *((key, subgraph.nodes) for key, subgraph in document.subgraphs.items())]
    return any(
        subgraphs.body_of(entry) == name for key, nodes in parts for id, entry in nodes.items() if (key, id) != (scope, node)
    )

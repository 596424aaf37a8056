"""What a run is to give: the interface's outputs and what runs unasked, or what somebody named instead."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from nodegraph.graph.disabled import Disabled
from nodegraph.graph.document import Document
from nodegraph.graph.links import OUTER, Ref
from nodegraph.graph.plan import Wanted
from nodegraph.sdk.errors import nearest
from nodegraph.sdk.spec import NodeSpec
from nodegraph.sdk.typeexpr import TypeExpr

Report = Callable[..., None]


@dataclass(slots=True)
class Typed:
    """A document whose nodes have their place in the plan and whose outputs have their types.

    `outer` are the types of what comes from outside, `outer_index` the negative places that stand for it.
    """

    document: Document
    specs: Mapping[str, NodeSpec]
    refs: Mapping[str, list[Ref]]
    disabled: Disabled
    index: Mapping[str, int]
    types: list[dict[str, TypeExpr]]
    outer: Mapping[str, TypeExpr]
    outer_index: Mapping[str, int]
    report: Report


def own_outputs(typed: Typed, faultless: bool) -> list[Wanted]:
    """The interface's outputs and the nodes that run unasked; where a document declares neither, what nothing reads from."""
    document, specs, index = typed.document, typed.specs, typed.index
    check_interface_inputs(typed)
    found = interface_outputs(typed)
    given = {wanted.source for wanted in found}
    found += [Wanted(name, i, None) for name, i in index.items() if specs[name].output and i not in given]
    declared = document.interface.outputs or any(spec.output for spec in specs.values())
    if not found and declared and typed.disabled.off and faultless:
        hint = "Enable a node that saves or gives something."
        typed.report("nothing_to_run", "Every output of this workflow is disabled.", hint=hint)
    elif not found and not declared:
        inner = {ref.node for name, refs in typed.refs.items() if name in index for ref in refs}
        found = [Wanted(name, i, None) for name, i in index.items() if name not in inner]
    return found


def interface_outputs(typed: Typed) -> list[Wanted]:
    """The interface's outputs, without those whose branch is off. Those that come from nowhere are reported."""
    document, index, found = typed.document, typed.index, []
    for name, text in document.interface.outputs.items():
        node, _, output = text.partition(".")
        spec = typed.specs.get(node)
        if node not in document.nodes or (spec is not None and output not in spec.output_by_name):
            message = f"The interface's output {name!r} comes from {text!r}, which does not exist."
            known = document.nodes if spec is None else spec.output_by_name
            hint = nearest(node if spec is None else output, known, "There are" if spec is None else "It has")
            typed.report("dangling_output", message, hint=hint)
            continue
        place = typed.disabled.through(node, output)
        if place is not None and place[0] == OUTER:
            found.append(Wanted(name, typed.outer_index[place[1]], place[1], typed.outer[place[1]]))
        elif place is not None and place[0] in index:
            source = index[place[0]]
            found.append(Wanted(name, source, place[1], typed.types[source].get(place[1])))
    return found


def check_interface_inputs(typed: Typed) -> None:
    """Report interface inputs that go nowhere."""
    for name, item in typed.document.interface.inputs.items():
        for text in item.to:
            node, _, key = text.partition(".")
            spec = typed.specs.get(node)
            if node not in typed.document.nodes or (spec is not None and key not in spec.input_by_name):
                message = f"The interface's input {name!r} goes to {text!r}, which does not exist."
                known = typed.document.nodes if spec is None else spec.input_by_name
                hint = nearest(node if spec is None else key, known, "There are" if spec is None else "It has")
                typed.report("dangling_input", message, hint=hint)


def named_outputs(typed: Typed, names: Iterable[str]) -> list[Wanted]:
    """What somebody asked for by node or `node.output`. What is not there to run is reported."""
    return [found for name in names for found in _named(typed, name)]


def _named(typed: Typed, name: str) -> list[Wanted]:
    node, _, output = name.partition(".")
    if node in typed.disabled.off:
        typed.report("no_such_node", f"{node!r} is disabled, or what it needs is.", hint="Enable it first.")
        return []
    if node not in typed.document.nodes:
        hint = nearest(node, typed.document.nodes, "There are")
        typed.report("no_such_node", f"There is no node {node!r} to run.", hint=hint)
        return []
    if node not in typed.index:
        return []  # reported as what is wrong with it
    source = typed.index[node]
    types = typed.types[source]
    if output and output not in types:
        hint = nearest(output, types, "It has")
        typed.report("no_such_node", f"{node!r} has no output {output!r} to run.", hint=hint)
        return []
    if output:
        return [Wanted(name, source, output, types[output])]
    return [Wanted(f"{node}.{key}", source, key, expr) for key, expr in types.items()] or [Wanted(node, source, None)]

"""What a run is to give: the interface's outputs and what runs unasked, or what somebody named instead."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass

from nodegraph.graph.disabled import Disabled
from nodegraph.graph.document import Document
from nodegraph.graph.links import OUTER, Ref
from nodegraph.graph.narrowing import interface_problems
from nodegraph.graph.plan import PlanLink, PlanNode, Wanted
from nodegraph.sdk.errors import nearest
from nodegraph.sdk.spec import NodeSpec
from nodegraph.sdk.typeexpr import TypeExpr

Report = Callable[..., None]


@dataclass(slots=True)
class Typed:
    """A document whose nodes have their place in the plan and whose outputs have their types.

    `outer` are the types of what comes from outside, `outer_index` the negative places that stand for it. `stamped` are the
    outputs of nodes that are subgraphs, `inside` says where their nodes lie in the plan.
    """

    document: Document
    specs: Mapping[str, NodeSpec]
    refs: Mapping[str, list[Ref]]
    disabled: Disabled
    index: Mapping[str, int]
    types: list[dict[str, TypeExpr]]
    outer: Mapping[str, TypeExpr]
    outer_index: Mapping[str, int]
    nodes: list[PlanNode]
    stamped: Mapping[str, Mapping[str, tuple[PlanLink, TypeExpr]]]
    inside: Mapping[str, range]
    report: Report
    near: Callable[[str, Iterable[str], str], str] = nearest

    def found(self, name: str, node: str, output: str) -> Wanted | None:
        """What the output of a node comes over, in the plan; None where it has no place there."""
        if node in self.stamped:
            if output not in self.stamped[node]:
                return None
            link, expr = self.stamped[node][output]
            return Wanted(name, link.source, link.output, expr)
        source = self.index.get(node)
        if source is None or output not in self.types[source]:
            return None
        return Wanted(name, source, output, self.types[source][output])

    def outputs(self, node: str) -> Iterable[str]:
        """The outputs of a node that has its place in the plan."""
        return self.stamped[node] if node in self.stamped else self.types[self.index[node]]

    def unasked(self) -> Iterator[int]:
        """The nodes that run unasked, those of subgraphs too."""
        return (i for i, node in enumerate(self.nodes) if node.spec.output)


def own_outputs(typed: Typed, faultless: bool) -> list[Wanted]:
    """The interface's outputs and the nodes that run unasked; where a document declares neither, what nothing reads from."""
    document, specs, index = typed.document, typed.specs, typed.index
    check_interface_inputs(typed)
    found = interface_outputs(typed)
    given = {wanted.source for wanted in found}
    unasked = list(typed.unasked())
    found += [Wanted(typed.nodes[i].id, i, None) for i in unasked if i not in given]
    declared = document.interface.outputs or unasked or any(spec.output for spec in specs.values())
    if not found and declared and typed.disabled.off and faultless:
        hint = "Enable a node that saves or gives something."
        typed.report("nothing_to_run", "Every output of this workflow is disabled.", hint=hint)
    elif not found and not declared:
        inner = {ref.node for refs in typed.refs.values() for ref in refs}
        found = [Wanted(name, i, None) for name, i in index.items() if name not in inner]
        for name in (name for name in typed.stamped if name not in inner):
            found += _named(typed, name)
    return found


def interface_outputs(typed: Typed) -> list[Wanted]:
    """The interface's outputs, without those whose branch is off. Those that come from nowhere are reported."""
    document, found = typed.document, []
    for name, text in document.interface.outputs.items():
        node, _, output = text.partition(".")
        spec = typed.specs.get(node)
        if node not in document.nodes or (spec is not None and output not in spec.output_by_name):
            message = f"The interface's output {name!r} comes from {text!r}, which does not exist."
            known = document.nodes if spec is None else spec.output_by_name
            hint = typed.near(node if spec is None else output, known, "There are" if spec is None else "It has")
            typed.report("dangling_output", message, hint=hint)
            continue
        place = typed.disabled.through(node, output)
        if place is not None and place[0] == OUTER:
            found.append(Wanted(name, typed.outer_index[place[1]], place[1], typed.outer[place[1]]))
        elif place is not None and (wanted := typed.found(name, *place)) is not None:
            found.append(wanted)
    return found


def check_interface_inputs(typed: Typed) -> None:
    """Report interface inputs that go nowhere, or that say of their values what the nodes they set do not allow."""
    for name, item in typed.document.interface.inputs.items():
        for text in item.to:
            node, _, key = text.partition(".")
            spec = typed.specs.get(node)
            if node not in typed.document.nodes or (spec is not None and key not in spec.input_by_name):
                message = f"The interface's input {name!r} goes to {text!r}, which does not exist."
                known = typed.document.nodes if spec is None else spec.input_by_name
                hint = typed.near(node if spec is None else key, known, "There are" if spec is None else "It has")
                typed.report("dangling_input", message, hint=hint)
    for found in interface_problems(typed.document.interface, typed.document.nodes, typed.specs.get):
        typed.report(found.code, found.message, found.node, expected=found.expected, got=found.got, hint=found.hint)


def named_outputs(typed: Typed, names: Iterable[str]) -> list[Wanted]:
    """What somebody asked for by node or `node.output`. What is not there to run is reported."""
    return [found for name in names for found in _named(typed, name)]


def _named(typed: Typed, name: str) -> list[Wanted]:
    place, _, output = name.partition(".")
    node, inside, _ = place.partition("/")
    if node in typed.disabled.off:
        typed.report("no_such_node", f"{node!r} is disabled, or what it needs is.", hint="Enable it first.")
        return []
    if node not in typed.document.nodes:
        hint = typed.near(node, typed.document.nodes, "There are")
        typed.report("no_such_node", f"There is no node {node!r} to run.", hint=hint)
        return []
    if inside and node in typed.stamped:
        return _inside(typed, place, output)
    if inside:
        message = f"There is no node {place!r} to run: {node!r} is no subgraph, or runs once per item of a list."
        typed.report("no_such_node", message)
        return []
    if node not in typed.index and node not in typed.stamped:
        return []  # reported as what is wrong with it
    outputs = list(typed.outputs(node))
    if output and output not in outputs:
        hint = typed.near(output, outputs, "It has")
        typed.report("no_such_node", f"{node!r} has no output {output!r} to run.", hint=hint)
        return []
    if output:
        return list(filter(None, [typed.found(name, node, output)]))
    found = list(filter(None, (typed.found(f"{node}.{key}", node, key) for key in outputs)))
    if node in typed.stamped:
        inner = typed.inside[node]
        unasked = [i for i in inner if typed.nodes[i].spec.output] if found else inner
        return found + [Wanted(typed.nodes[i].id, i, None) for i in unasked]
    return found or [Wanted(node, typed.index[node], None)]


def _inside(typed: Typed, place: str, output: str) -> list[Wanted]:
    """A node in a subgraph, by its path."""
    node = place.partition("/")[0]
    paths = {typed.nodes[i].id: i for i in typed.inside[node]}
    if place not in paths:
        hint = typed.near(place, paths, "There are")
        typed.report("no_such_node", f"There is no node {place!r} to run.", hint=hint)
        return []
    source = paths[place]
    known = [item.name for item in typed.nodes[source].spec.outputs]
    if output and output not in known:
        typed.report("no_such_node", f"{place!r} has no output {output!r} to run.", hint=typed.near(output, known, "It has"))
        return []
    names = [output] if output else known
    return [Wanted(f"{place}.{key}", source, key) for key in names] or [Wanted(place, source, None)]

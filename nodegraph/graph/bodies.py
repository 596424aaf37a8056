"""Compiling subgraphs, as bodies of loops or to be stamped out in a node's place: once for each set of types they are given."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

from nodegraph.graph.document import SUBGRAPHS, Document, NodeEntry, PackSource
from nodegraph.graph.iteration import COUNT, GO_ON, STATE, bare, set_by_rounds
from nodegraph.graph.links import OUTER, Ref
from nodegraph.graph.narrowing import has_default
from nodegraph.graph.plan import Body, Iteration, PlanLink, PlanNode, Wanted
from nodegraph.graph.relations import relate, substitute
from nodegraph.graph.stamping import Stamp
from nodegraph.graph.subgraphs import Subgraphs
from nodegraph.sdk import typeexpr as te
from nodegraph.sdk.errors import NodeError, Problem
from nodegraph.sdk.spec import InputSpec, NodeSpec, OutputSpec
from nodegraph.sdk.typeexpr import TypeExpr

MOST_NODES = 250_000
"""How many nodes a workflow may have with its subgraphs stamped out."""


class Inside(NamedTuple):
    """The inside of a subgraph, compiled: its nodes, what its interface's outputs come over, and what is wrong with it."""

    nodes: list[PlanNode]
    outputs: list[Wanted]
    problems: list[Problem]


class Stamped(NamedTuple):
    """A subgraph in its place: its nodes, and what each of its outputs comes over, with its type."""

    nodes: list[PlanNode]
    outputs: dict[str, tuple[PlanLink, TypeExpr]]


CompileInside = Callable[[Document, Mapping[str, TypeExpr], "Bodies"], Inside]


@dataclass(frozen=True, slots=True)
class Compiled:
    """A body, what is wrong inside it, and (`unheard`) which of its nodes no round of a loop would ever run."""

    body: Body
    problems: tuple[Problem, ...] = ()
    unheard: tuple[Problem, ...] = ()


class Bodies:
    """The compiled bodies of one document, and the problems inside those that are used."""

    def __init__(
        self, subgraphs: Subgraphs, compile_inside: CompileInside, packs: Mapping[str, PackSource] | None = None
    ) -> None:
        self.subgraphs, self.packs = subgraphs, packs or {}
        self.problems: dict[Problem, None] = {}
        self._compile = compile_inside
        self._known: dict[tuple[Any, ...], Compiled] = {}
        self._full = False

    def with_body(self, node: PlanNode, entry: NodeEntry, bindings: Mapping[str, TypeExpr]) -> tuple[PlanNode, list[Problem]]:
        """A node that iterates with its body, compiled for the types that it gives it, and what is wrong with the two together.

        The node stays without a body where something is wrong. Problems inside the body are kept here.
        """
        body = self._name(entry)
        given = self._given(node.spec, entry, (link.input for link in node.links), bindings)
        if given is None:  # something is not linked, or comes from a node that is not understood: reported there
            return node, []
        found = self.compiled(body, given)
        self.report(found)
        node = replace(node, spec=_with_outputs(node.spec, found.body))
        problems = [replace(problem, node=node.id) for problem in _misfit_outputs(node.spec, found.body, given)]
        if found.problems or found.unheard or problems:
            return node, [] if found.problems else problems
        return _iterating(node, found.body, self.subgraphs.digest(body)), []

    def _name(self, entry: NodeEntry) -> str:
        name = self.subgraphs.body_of(entry)
        assert name is not None, "only nodes that run a subgraph come here"
        return name

    def stamped(
        self, node: PlanNode, entry: NodeEntry, bindings: Mapping[str, TypeExpr], base: int
    ) -> tuple[Stamped | None, list[Problem]]:
        """A node that is a subgraph, as the nodes in it (the first of them at the index `base` of the plan), and what is wrong.

        None, with or without a problem of its own, where it cannot be. Problems inside the subgraph are kept here.
        """
        given = self._given(node.spec, entry, (link.input for link in node.links), bindings)
        set_here = node.values.keys() | {link.input for link in node.links}
        if given is None or not {name.partition("[")[0] for name in given} <= set_here:
            return None, []
        if any(item.required and item.name not in set_here for item in node.spec.inputs):
            return None, []
        found = self.compiled(self._name(entry), given)
        self.report(found, in_rounds=False)
        if found.problems:
            return None, []
        if base + len(found.body.nodes) > MOST_NODES:
            message = f"With this subgraph the workflow has more than {MOST_NODES:,} nodes."
            hint = "Loops (core/map, core/fold) repeat a subgraph without holding every round at once."
            said, self._full = self._full, True
            return None, [] if said else [Problem("too_large", message, node.id, hint=hint)]
        stamp = Stamp(found.body, node.id, base, node.values, node.links)
        outputs = {}
        try:
            for name, bound in stamp.once().items():
                expr = found.body.outputs[name].type
                if expr is not None:
                    outputs[name] = (stamp.whole(bound, f".{name}"), expr)
        except NodeError as error:
            return None, [error.problem(node.id, "bad_value")]
        return Stamped(stamp.nodes, outputs), []

    def with_outputs(self, spec: NodeSpec, entry: NodeEntry, refs: Sequence[Ref]) -> NodeSpec:
        """The type of a disabled node that iterates, with the types of what it would give: they say where it is bypassed."""
        given = self._given(spec, entry, (ref.input for ref in refs), {})
        return spec if given is None else _with_outputs(spec, self.compiled(self._name(entry), given).body)

    def _given(
        self, spec: NodeSpec, entry: NodeEntry, linked: Iterable[str], bindings: Mapping[str, TypeExpr]
    ) -> dict[str, TypeExpr] | None:
        """What a node that runs a subgraph gives it, by interface input, or None where a type is not known.

        `linked` names the input of every link that brings something.
        """
        types = {item.name: substitute(item.type, bindings) for item in spec.inputs}
        links = Counter(linked)
        rounds = set_by_rounds(spec, types)
        interface = self.subgraphs.entries[self._name(entry)].interface.inputs
        inputs = self.subgraphs.inputs(self._name(entry))
        set_here = {*entry.inputs, *(name for name, item in inputs.items() if has_default(interface[name], item.schema))}
        found: dict[str, TypeExpr] = {}
        for name, item in inputs.items():
            if name in rounds:
                found[name] = rounds[name]
            elif item.many:
                found |= {f"{name}[{i}]": bare(types[name]) for i in range(links[name])}
            elif name in links or (name in set_here and name not in entry.links and not types[name].has_var()):
                found[name] = bare(types[name])
        return None if any(expr.has_var() for expr in found.values()) else found

    def compiled(self, name: str, given: Mapping[str, TypeExpr]) -> Compiled:
        """A subgraph as a body that is given these interface inputs; variadic ones as `NAME[0]`, `NAME[1]` ..."""
        key = (name, tuple(given.items()))
        if key not in self._known:
            inside = self._compile(self.opened(name, given), given, self)
            problems = [_inside(problem, name) for problem in inside.problems]
            unheard = [_inside(problem, name) for problem in _unheard(inside)]
            outputs = {wanted.name: wanted for wanted in inside.outputs}
            body = Body(name, tuple(inside.nodes), tuple(given), outputs, _meetings(inside.nodes, tuple(given)))
            self._known[key] = Compiled(body, tuple(problems), tuple(unheard))
        return self._known[key]

    def report(self, found: Compiled, in_rounds: bool = True) -> None:
        """A body is used: what is wrong inside it is wrong with the document."""
        self.problems |= dict.fromkeys(found.problems)
        if in_rounds:
            self.problems |= dict.fromkeys(found.unheard)

    def look_inside(self, entry: NodeEntry) -> None:
        """Report what is wrong inside a subgraph whose interface cannot be understood: compiled with what is."""
        name = self._name(entry)
        inputs = self.subgraphs.inputs(name)
        self.report(self.compiled(name, {key: bare(item.type) for key, item in inputs.items() if not item.type.has_var()}))

    def opened(self, name: str, given: Iterable[str]) -> Document:
        """A subgraph as a document with what is given linked in; a link or a value inside gives way to it."""
        subgraph = self.subgraphs.entries[name]
        nodes = dict(subgraph.nodes)
        for name in given:
            for text in subgraph.interface.inputs[name.partition("[")[0]].to:
                node, _, key = text.partition(".")
                spec = self.subgraphs.spec_of(nodes[node]) if node in nodes else None
                if spec is None or key not in spec.input_by_name:
                    continue
                links = dict(nodes[node].links)
                link = f"{OUTER}.{name}"
                if spec.input_by_name[key].many:
                    before = links.get(key, [])
                    links[key] = [*(before if isinstance(before, list) else [before]), link]
                else:
                    links[key] = link
                nodes[node] = nodes[node].model_copy(update={"links": links})
        return Document(nodes=nodes, interface=subgraph.interface)


def _with_outputs(spec: NodeSpec, body: Body) -> NodeSpec:
    """The node's type with what its body gives: outputs of a map that are switched off inside are not there."""
    if spec.iterates not in ("map", "once"):
        return spec
    outputs = tuple(
        OutputSpec(name, te.list_of(wanted.type) if spec.iterates == "map" else wanted.type)
        for name, wanted in body.outputs.items()
        if wanted.type is not None
    )
    return replace(spec, outputs=outputs)


def _misfit_outputs(spec: NodeSpec, body: Body, given: Mapping[str, TypeExpr]) -> list[Problem]:
    """Where what a round gives is not what the next one takes."""
    if spec.iterates in ("map", "once"):
        return []
    expected = {"state": given["state"]} if "state" in given else {}
    if spec.iterates == "while":
        expected["go_on"] = te.value("bool")
    found = []
    for name, wanted in expected.items():
        got = body.outputs.get(name)
        if got is None or got.type is None:
            message = f"The subgraph {body.name!r} does not give {name!r}: what gives it is disabled."
            found.append(Problem("bad_body", message, None, "body", hint="Enable it, or let another node give it."))
            continue
        relation = relate(got.type, wanted)
        if relation is None or relation.how != "direct":
            message = f"The output {name!r} of the subgraph {body.name!r} has the wrong type."
            hint = "Every round takes the state that the one before it gave." if name == "state" else None
            found.append(Problem("wrong_type", message, None, "body", str(wanted), str(got.type), hint))
    return found


def _iterating(node: PlanNode, body: Body, digest: str) -> PlanNode:
    """A node that iterates, complete: its key covers what its body does, and the content of files that are named inside.

    What the node does not set for its body is the body's own: it is no value of the node.
    """
    given = {name.partition("[")[0] for name in body.inputs}
    values = {name: value for name, value in node.values.items() if name in given or name in ("limit", "items", "initial")}
    inputs = list(node.spec.inputs)
    for part in body.nodes:
        for item in part.spec.file_inputs:
            if part.values.get(item.name) is not None:
                inside = f"{part.id}/{item.name}"
                inputs.append(replace(item, name=inside, required=False))
                values[inside] = part.values[item.name]
    spec = replace(node.spec, inputs=tuple(inputs), revision=f"{node.spec.revision}+{digest}")
    return PlanNode(node.id, spec, values, node.links, node.mapped, Iteration(body, _then(spec)))


def _then(spec: NodeSpec) -> NodeSpec:
    """The type of the nodes that carry on; what they wait for has names that no interface input can have."""
    more = [InputSpec(COUNT, te.value("int"), True, schema={"type": "integer"})]
    if spec.iterates == "while":
        state = replace(spec.input_by_name["initial"], name=STATE)
        go_on = InputSpec(GO_ON, te.value("bool"), True, schema={"type": "boolean"})
        more += [state, go_on]
    return replace(spec, inputs=(*spec.inputs, *more))


def _meetings(nodes: Sequence[PlanNode], names: Sequence[str]) -> dict[str, frozenset[str]]:
    found: dict[str, set[str]] = {name: set() for name in names}
    for node in nodes:
        for link in node.links:
            if link.source < 0:
                found[names[-1 - link.source]] |= {link.mode, *(("many",) if link.many else ())}
    return {name: frozenset(how) for name, how in found.items()}


def _unheard(inside: Inside) -> list[Problem]:
    """Nodes that make outputs of their own, but lie behind none of the body's: nobody would ever ask for them."""
    heard: set[int] = set()
    waiting = [wanted.source for wanted in inside.outputs]
    while waiting:
        i = waiting.pop()
        if i >= 0 and i not in heard:
            heard.add(i)
            waiting += [link.source for link in inside.nodes[i].links]
    message = "Inside a loop a node runs only when an output of the interface needs it; none needs this one."
    hint = "Name one of its outputs in the subgraph's interface."
    lost = [node for i, node in enumerate(inside.nodes) if node.spec.output and i not in heard]
    return [Problem("unused_output", message, node.id, hint=hint) for node in lost]


def _inside(problem: Problem, name: str) -> Problem:
    return replace(problem, node=f"{SUBGRAPHS}.{name}/{problem.node}" if problem.node else f"{SUBGRAPHS}.{name}")

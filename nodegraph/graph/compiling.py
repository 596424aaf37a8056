"""`compile_document`: from a document and the catalog to a plan, or to every problem at once.

Three passes, each linear: entries (types, values, link targets), order (networkx), types along the links. Subgraphs are
compiled on the way, as the bodies of the nodes that iterate over them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any, NamedTuple

from nodegraph.graph.bodies import Bodies, Inside
from nodegraph.graph.catalog import Catalog
from nodegraph.graph.disabled import Disabled, switch_off
from nodegraph.graph.document import Document, NodeEntry
from nodegraph.graph.hints import conversion, unknown_type
from nodegraph.graph.iteration import bare
from nodegraph.graph.links import OUTER, Ref
from nodegraph.graph.order import drawn, in_order
from nodegraph.graph.plan import Plan, PlanLink, PlanNode
from nodegraph.graph.relations import Relation, relate, substitute
from nodegraph.graph.subgraphs import Subgraphs
from nodegraph.graph.values import BadValue, accept
from nodegraph.graph.wanted import Typed, check_interface_inputs, interface_outputs, named_outputs, own_outputs
from nodegraph.sdk import typeexpr as te
from nodegraph.sdk.errors import InvalidWorkflow, Problem, nearest
from nodegraph.sdk.spec import InputSpec, NodeSpec
from nodegraph.sdk.typeexpr import TypeExpr


def compile_document(document: Document, catalog: Catalog, wanted: Iterable[str] | None = None) -> Plan:
    """Compile a document. `wanted` names nodes or `node.output`s to run instead of the document's own outputs.

    Raises InvalidWorkflow with every problem found, warnings excluded.
    """
    compiler = _Compiler(document, catalog)
    plan = compiler.compile(wanted)
    if problems := compiler.all_problems():
        raise InvalidWorkflow(problems)
    return plan


def validate(document: Document, catalog: Catalog) -> list[Problem]:
    """Everything that is wrong with a document: empty when it can run."""
    compiler = _Compiler(document, catalog)
    compiler.compile(None)
    return compiler.all_problems()


class Outputs(NamedTuple):
    """What the nodes of a graph give: types by node and output, of as many as can be known, and which nodes give nothing."""

    types: dict[tuple[str, str], TypeExpr]
    off: frozenset[str]


def outputs_of(document: Document, catalog: Catalog, subgraph: str = "") -> Outputs:
    """The outputs of a document's nodes, or of those of one of its subgraphs; of a disabled node those that it passes on."""
    subgraphs, part, outer = Subgraphs(document.subgraphs, catalog), document, {}
    bodies = Bodies(subgraphs, _compile_inside)
    if subgraph:
        outer = {name: bare(item.type) for name, item in subgraphs.inputs(subgraph).items() if not item.type.has_var()}
        part = bodies.opened(subgraph, outer)
    compiler = _Compiler(part, catalog, outer, bodies)
    typed, _ = compiler.passes()
    found = {(node, name): expr for node, i in typed.index.items() for name, expr in typed.types[i].items()}
    for node, outputs in typed.stamped.items():
        found |= {(node, name): expr for name, (_, expr) in outputs.items()}
    for node, output in typed.disabled.bypass:
        place = typed.disabled.through(node, output)
        if place is not None and place in found:
            found[node, output] = found[place]
    return Outputs(found, frozenset(typed.disabled.off))


def compile_fragment(document: Document, catalog: Catalog, outer: Mapping[str, TypeExpr]) -> Plan:
    """Compile the inside of a composite. Links may come from `$.NAME`, an outer input of the given type.

    In the plan such a link's source is negative: -1 for the first name in `outer`, -2 for the second. Raises InvalidWorkflow.
    """
    compiler = _Compiler(document, catalog, outer)
    plan = compiler.compile(())
    if problems := compiler.all_problems():
        raise InvalidWorkflow(problems)
    return plan


MOST_HINTS = 100
"""How many problems of one document get a hint at what was meant."""


class _Compiler:
    def __init__(
        self,
        document: Document,
        catalog: Catalog,
        outer: Mapping[str, TypeExpr] | None = None,
        bodies: Bodies | None = None,
    ) -> None:
        self.document, self.catalog = document, catalog
        self.outer = dict(outer or {})
        self.outer_index = {name: -1 - i for i, name in enumerate(self.outer)}
        self.problems: list[Problem] = []
        self.bodies = bodies or Bodies(Subgraphs(document.subgraphs, catalog), _compile_inside, document.packs)
        self.loops: dict[str, tuple[NodeSpec | None, list[Problem]]] = {}
        self.specs: dict[str, NodeSpec] = {}
        self.values: dict[str, dict[str, Any]] = {}
        self.refs: dict[str, list[Ref]] = {}
        self.disabled = Disabled()
        self.stamped: dict[str, dict[str, tuple[PlanLink, TypeExpr]]] = {}
        self.inside: dict[str, range] = {}
        self.relations: dict[tuple[TypeExpr, TypeExpr], Relation | None] = {}

    def compile(self, wanted: Iterable[str] | None) -> Plan:
        typed, nodes = self.passes()
        found = own_outputs(typed, not self.all_problems()) if wanted is None else named_outputs(typed, wanted)
        return Plan(self.document, nodes, found, tuple(sorted(self.disabled.off)), dict(typed.index))

    def passes(self) -> tuple[Typed, list[PlanNode]]:
        for name, entry in self.document.nodes.items():
            self._entry(name, entry)
        disabled = {name for name, entry in self.document.nodes.items() if entry.disabled}
        if disabled:
            self.problems = [problem for problem in self.problems if problem.node not in disabled]
            for name in disabled & self.loops.keys() & self.specs.keys():
                entry, refs = self.document.nodes[name], self.refs[name]
                self.specs[name] = self.bodies.with_outputs(self.specs[name], entry, refs)
            self.disabled = switch_off(disabled, self.specs, self.refs, self.values)
        order, circles = in_order(self.refs, lambda name: (ref.node for ref in self.refs[name]))
        for circle in circles:
            hint = "Remove one of these links: a workflow runs in one direction."
            self._problem("cycle", f"The links go in a circle: {drawn(circle)}.", circle[0], hint=hint)
        nodes, types, index = self._link_types(order)
        typed = Typed(
            *(self.document, self.specs, self.refs, self.disabled, index, types, self.outer, self.outer_index),
            *(nodes, self.stamped, self.inside, self._problem, self._near),
        )
        return typed, nodes

    def all_problems(self) -> list[Problem]:
        """What is wrong here, and inside the subgraphs that are used."""
        return [*self.problems, *self.bodies.problems]

    def _near(self, name: str, names: Iterable[str], what: str) -> str:
        """A hint at what was probably meant; comparing names is slow, so only for as many problems as anybody reads."""
        return nearest(name, names, what) if len(self.problems) < MOST_HINTS else ""

    def _problem(self, code: str, message: str, node: str | None = None, socket: str | None = None, **rest: Any) -> None:
        self.problems.append(Problem(code, message, node, socket, **{key: text or None for key, text in rest.items()}))

    # ---- first pass: each entry by itself ----

    def _entry(self, name: str, entry: NodeEntry) -> None:
        spec = self._spec(name, entry)
        if spec is None:
            self._unknown_type(name, entry)
            return
        self.specs[name] = spec
        if entry.version != spec.version:
            older = f"The pack {spec.pack!r} has no migration for it: add the node anew."
            hint = "Update the pack." if entry.version > spec.version else older
            expected, got = f"version {spec.version}", f"version {entry.version}"
            self._problem("version", f"{entry.type} has another version.", name, expected=expected, got=got, hint=hint)
        by_name = spec.input_by_name
        values: dict[str, Any] = {}
        for key, value in entry.inputs.items():
            found = by_name.get(key)
            if found is None:
                hint = self._near(key, by_name, "It has")
                self._problem("no_input", f"{entry.type} has no input {key!r}.", name, key, hint=hint)
            elif key not in entry.links:
                self._value(name, found, value, values)
        refs: list[Ref] = []
        for key, target in entry.links.items():
            found = by_name.get(key)
            if found is None:
                hint = self._near(key, by_name, "It has")
                self._problem("no_input", f"{entry.type} has no input {key!r} to link to.", name, key, hint=hint)
                continue
            if isinstance(target, list) and not found.many:
                self._problem("bad_link", "This input takes one link.", name, key, expected="one link", got="a list of links")
                continue
            for text in target if isinstance(target, list) else (target,):
                ref = self._reference(name, key, text, found.many)
                if ref is not None:
                    refs.append(ref)
        for found in spec.inputs:
            if found.name in values or found.name in entry.links or found.name in entry.inputs:
                continue
            if found.required:
                what = str(found.type) if found.schema is None else f"a value or a link of type {found.type}"
                hint = "Link something to it." if found.schema is None else "Type a value or link something to it."
                self._problem(
                    "missing_input",
                    "This input is required.",
                    name,
                    found.name,
                    expected=what,
                    got="nothing",
                    hint=hint,
                )
            elif not found.many:
                values[found.name] = found.default
        self.values[name] = values
        self.refs[name] = refs

    def _spec(self, name: str, entry: NodeEntry) -> NodeSpec | None:
        """A node's type; that of a node that runs a subgraph follows from it."""
        spec = self.bodies.subgraphs.type_of(entry)
        if spec is None or not spec.iterates:
            return spec
        if name not in self.loops:
            self.loops[name] = self.bodies.subgraphs.specialised(entry, spec)
        return self.loops[name][0]

    def _unknown_type(self, name: str, entry: NodeEntry) -> None:
        if name in self.loops:
            self.problems += [replace(problem, node=name) for problem in self.loops[name][1]]
            if not self.loops[name][1] and not entry.disabled:
                self.bodies.look_inside(entry)
            return
        hinted = len(self.problems) < MOST_HINTS
        self.problems.append(unknown_type(name, entry, self.catalog, self.bodies.packs, hinted))

    def _value(self, name: str, spec: InputSpec, value: Any, values: dict[str, Any]) -> None:
        if spec.schema is None:
            if value is None and spec.type.kind == "optional":
                values[spec.name] = None
                return
            message = f"{spec.name} cannot be typed in."
            self._problem("not_a_value", message, name, spec.name, expected=f"a link of type {spec.type}", got="a value")
            return
        try:
            values[spec.name] = accept(spec, value)
        except BadValue as bad:
            message = "This value does not fit."
            self._problem("bad_value", message, name, spec.name, expected=bad.expected, got=bad.got)

    def _reference(self, name: str, key: str, text: str, many: bool) -> Ref | None:
        source, dot, output = text.partition(".")
        if source == OUTER and output in self.outer:
            return Ref(key, source, output, many)
        entry = self.document.nodes.get(source)
        if not dot or entry is None:
            hint = self._near(source, self.document.nodes, "There are")
            message = f"The link comes from {text!r}, which does not exist." if dot else f"{text!r} is not a link."
            self._problem("dangling_link", message, name, key, expected="node.output", got=repr(text), hint=hint)
            return None
        spec = self._spec(source, entry)
        if spec is not None and output not in spec.output_by_name:
            hint = self._near(output, spec.output_by_name, "It has")
            message = f"The link comes from {text!r}, but {entry.type} has no output {output!r}."
            self._problem("dangling_link", message, name, key, hint=hint)
            return None
        return Ref(key, source, output, many)

    # ---- third pass: types along the links ----

    def _link_types(self, order: list[str]) -> tuple[list[PlanNode], list[dict[str, TypeExpr]], dict[str, int]]:
        nodes: list[PlanNode] = []
        types: list[dict[str, TypeExpr]] = []
        index: dict[str, int] = {}
        for name in order:
            spec = self.specs[name]
            bindings: dict[str, TypeExpr] = {}
            links: list[PlanLink] = []
            depth = 0  # how many levels of lists the node is mapped over
            off = False
            for ref in self.refs[name]:
                source: int | None
                given: TypeExpr | None
                output = ref.output
                if ref.node == OUTER:
                    source, given = self.outer_index[output], self.outer[output]
                elif ref.node in self.stamped:
                    source, given = None, None
                    if output in self.stamped[ref.node]:
                        link, given = self.stamped[ref.node][output]
                        source, output = link.source, link.output
                else:
                    source = index.get(ref.node)
                    given = types[source].get(output) if source is not None else None
                target = spec.input_by_name[ref.input]
                if source is None or given is None:
                    if ref.node in self.disabled.off or ref.node in self.stamped or source is not None:  # it is off inside
                        off = off or target.required
                        if not target.many:
                            self.values[name].setdefault(ref.input, target.default)
                    continue  # else behind a cycle or an unknown type: reported there
                relation = self._relate(given, target.type, bindings)
                if relation is None:
                    self._bad_link(name, ref, given, target, bindings)
                    continue
                bindings = dict(relation.bindings) or bindings
                depth = max(depth, relation.depth)
                link = PlanLink(ref.input, source, output, relation.how, (), ref.many, target.lazy, given.is_json)
                links.append(link._replace(depth=relation.depth) if relation.depth > 1 else link)
            if off:
                self.disabled.off.add(name)
                continue
            node = PlanNode(name, spec, self.values[name], tuple(links), depth > 0)
            if spec.iterates == "once" and not depth:
                found, problems = self.bodies.stamped(node, self.document.nodes[name], bindings, len(nodes))
                self.problems += problems
                if found is not None:
                    self.stamped[name], self.inside[name] = found.outputs, range(len(nodes), len(nodes) + len(found.nodes))
                    nodes += found.nodes
                    types += [{}] * len(found.nodes)  # nothing in this document links to them by name
                continue
            if spec.iterates:
                node, problems = self.bodies.with_body(node, self.document.nodes[name], bindings)
                self.problems += problems
                spec = node.spec
            index[name] = len(nodes)
            nodes.append(node)
            outputs = {output.name: output.type for output in spec.outputs}
            if bindings:
                outputs = {key: substitute(expr, bindings) for key, expr in outputs.items()}
            for _ in range(depth):
                outputs = {key: te.list_of(expr) for key, expr in outputs.items()}
            types.append(outputs)
        return nodes, types, index

    def _relate(self, given: TypeExpr, target: TypeExpr, bindings: Mapping[str, TypeExpr]) -> Relation | None:
        if bindings:
            return relate(given, target, bindings)
        pair = (given, target)
        if pair not in self.relations:
            self.relations[pair] = relate(given, target)
        return self.relations[pair]

    def _bad_link(self, name: str, ref: Ref, given: TypeExpr, target: InputSpec, bindings: Mapping[str, TypeExpr]) -> None:
        expected = substitute(target.type, bindings)
        hint = conversion(given, expected, self.catalog)
        place = f"{ref.node}.{ref.output}" if ref.node != OUTER else f"the input {ref.output!r}"
        message = f"The link from {place} has the wrong type."
        self._problem("wrong_type", message, name, ref.input, expected=str(expected), got=str(given), hint=hint)


def _compile_inside(document: Document, outer: Mapping[str, TypeExpr], bodies: Bodies) -> Inside:
    """Compile the inside of a subgraph: only what its interface's outputs need will ever run."""
    compiler = _Compiler(document, bodies.subgraphs.catalog, outer, bodies)
    typed, nodes = compiler.passes()
    check_interface_inputs(typed)
    return Inside(nodes, interface_outputs(typed), compiler.problems)

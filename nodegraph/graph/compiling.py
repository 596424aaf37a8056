"""`compile_document`: from a document and the catalog to a plan, or to every problem at once.

Three passes, each linear: entries (types, values, link targets), order (networkx), types along the links.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping
from typing import Any

import networkx as nx

from nodegraph.graph.catalog import Catalog
from nodegraph.graph.disabled import Disabled, switch_off
from nodegraph.graph.document import Document, NodeEntry
from nodegraph.graph.links import OUTER, Ref
from nodegraph.graph.plan import Plan, PlanLink, PlanNode, Wanted
from nodegraph.graph.relations import Relation, relate, substitute
from nodegraph.graph.values import BadValue, accept
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
    if compiler.problems:
        raise InvalidWorkflow(compiler.problems)
    return plan


def validate(document: Document, catalog: Catalog) -> list[Problem]:
    """Everything that is wrong with a document: empty when it can run."""
    compiler = _Compiler(document, catalog)
    compiler.compile(None)
    return compiler.problems


def compile_fragment(document: Document, catalog: Catalog, outer: Mapping[str, TypeExpr]) -> Plan:
    """Compile the inside of a composite. Links may come from `$.NAME`, an outer input of the given type.

    In the plan such a link's source is negative: -1 for the first name in `outer`, -2 for the second. Raises InvalidWorkflow.
    """
    compiler = _Compiler(document, catalog, outer)
    plan = compiler.compile(())
    if compiler.problems:
        raise InvalidWorkflow(compiler.problems)
    return plan


class _Compiler:
    def __init__(self, document: Document, catalog: Catalog, outer: Mapping[str, TypeExpr] | None = None) -> None:
        self.document, self.catalog = document, catalog
        self.outer = dict(outer or {})
        self.outer_index = {name: -1 - i for i, name in enumerate(self.outer)}
        self.problems: list[Problem] = []
        self.specs: dict[str, NodeSpec] = {}
        self.values: dict[str, dict[str, Any]] = {}
        self.refs: dict[str, list[Ref]] = {}
        self.disabled = Disabled()
        self.relations: dict[tuple[TypeExpr, TypeExpr], Relation | None] = {}

    def compile(self, wanted: Iterable[str] | None) -> Plan:
        for name, entry in self.document.nodes.items():
            self._entry(name, entry)
        disabled = {name for name, entry in self.document.nodes.items() if entry.disabled}
        if disabled:
            self.problems = [problem for problem in self.problems if problem.node not in disabled]
            self.disabled = switch_off(disabled, self.specs, self.refs, self.values)
        order = self._order()
        nodes, types, index = self._link_types(order)
        return Plan(self.document, nodes, self._wanted(wanted, index, types), tuple(sorted(self.disabled.off)), index)

    def _problem(self, code: str, message: str, node: str | None = None, socket: str | None = None, **rest: Any) -> None:
        self.problems.append(Problem(code, message, node, socket, **{key: text or None for key, text in rest.items()}))

    # ---- first pass: each entry by itself ----

    def _entry(self, name: str, entry: NodeEntry) -> None:
        spec = self.catalog.nodes.get(entry.type)
        if spec is None:
            self._unknown_type(name, entry)
            return
        self.specs[name] = spec
        if entry.version != spec.version:
            hint = "Update the pack." if entry.version > spec.version else "It was written for an older pack."
            expected, got = f"version {spec.version}", f"version {entry.version}"
            self._problem("version", f"{entry.type} has another version.", name, expected=expected, got=got, hint=hint)
        by_name = spec.input_by_name
        values: dict[str, Any] = {}
        for key, value in entry.inputs.items():
            found = by_name.get(key)
            if found is None:
                hint = nearest(key, by_name, "It has")
                self._problem("no_input", f"{entry.type} has no input {key!r}.", name, key, hint=hint)
            elif key not in entry.links:
                self._value(name, found, value, values)
        refs: list[Ref] = []
        for key, target in entry.links.items():
            found = by_name.get(key)
            if found is None:
                hint = nearest(key, by_name, "It has")
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

    def _unknown_type(self, name: str, entry: NodeEntry) -> None:
        pack = entry.type.split("/", 1)[0]
        if pack in self.catalog.broken:
            last = self.catalog.broken[pack].strip().splitlines()[-1]
            self._problem("broken_pack", f"The pack {pack!r} could not be loaded: {last}", name)
            return
        hint = nearest(entry.type, self.catalog.nodes, "There are")
        packs = {known.split("/", 1)[0] for known in self.catalog.nodes}
        if pack not in packs:
            hint = f"The pack {pack!r} is not installed. {hint}".strip()
        self._problem("unknown_type", f"There is no node type {entry.type!r}.", name, hint=hint)

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
            hint = nearest(source, self.document.nodes, "There are")
            message = f"The link comes from {text!r}, which does not exist." if dot else f"{text!r} is not a link."
            self._problem("dangling_link", message, name, key, expected="node.output", got=repr(text), hint=hint)
            return None
        spec = self.catalog.nodes.get(entry.type)
        if spec is not None and output not in spec.output_by_name:
            hint = nearest(output, spec.output_by_name, "It has")
            message = f"The link comes from {text!r}, but {entry.type} has no output {output!r}."
            self._problem("dangling_link", message, name, key, hint=hint)
            return None
        return Ref(key, source, output, many)

    # ---- second pass: order ----

    def _order(self) -> list[str]:
        graph: nx.DiGraph[str] = nx.DiGraph()
        graph.add_nodes_from(self.refs)
        graph.add_edges_from((ref.node, name) for name, refs in self.refs.items() for ref in refs if ref.node in self.refs)
        try:
            return list(nx.topological_sort(graph))
        except nx.NetworkXUnfeasible:
            pass
        looping: set[str] = set()
        part_of = {name: part for part in nx.strongly_connected_components(graph) for name in part}
        for name in self.refs:
            part = part_of[name]
            if name in looping or (len(part) == 1 and not graph.has_edge(name, name)):
                continue
            cycle = self._cycle(name, part)
            path = " -> ".join([*(cycle if len(cycle) <= 20 else [*cycle[:18], "...", cycle[-1]]), cycle[0]])
            hint = "Remove one of these links: a workflow runs in one direction."
            self._problem("cycle", f"The links go in a circle: {path}.", cycle[0], hint=hint)
            looping |= part
        rest = graph.copy()
        rest.remove_nodes_from(looping)
        return list(nx.topological_sort(rest))

    def _cycle(self, name: str, part: Container[str]) -> list[str]:
        """A circle inside a strongly connected part, found by walking against the links from `name`."""
        walk: dict[str, None] = {}
        while name not in walk:
            walk[name] = None
            name = next(ref.node for ref in self.refs[name] if ref.node in part)
        path = list(walk)
        cycle = path[path.index(name) :]
        return [cycle[0], *reversed(cycle[1:])]

    # ---- third pass: types along the links ----

    def _link_types(self, order: list[str]) -> tuple[list[PlanNode], list[dict[str, TypeExpr]], dict[str, int]]:
        nodes: list[PlanNode] = []
        types: list[dict[str, TypeExpr]] = []
        index: dict[str, int] = {}
        for name in order:
            spec = self.specs[name]
            bindings: dict[str, TypeExpr] = {}
            links: list[PlanLink] = []
            mapped = False
            for ref in self.refs[name]:
                source: int | None
                given: TypeExpr | None
                if ref.node == OUTER:
                    source, given = self.outer_index[ref.output], self.outer[ref.output]
                else:
                    source = index.get(ref.node)
                    given = types[source].get(ref.output) if source is not None else None
                if source is None or given is None:
                    continue  # behind a cycle or an unknown type: reported there
                target = spec.input_by_name[ref.input]
                relation = self._relate(given, target.type, bindings)
                if relation is None:
                    self._bad_link(name, ref, given, target, bindings)
                    continue
                bindings = dict(relation.bindings) or bindings
                mapped = mapped or relation.how == "map"
                links.append(PlanLink(ref.input, source, ref.output, relation.how, (), ref.many, target.lazy, given.is_json))
            index[name] = len(nodes)
            nodes.append(PlanNode(name, spec, self.values[name], tuple(links), mapped))
            outputs = {output.name: output.type for output in spec.outputs}
            if bindings:
                outputs = {key: substitute(expr, bindings) for key, expr in outputs.items()}
            if mapped:
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
        hint = self._conversion_hint(given, expected)
        message = f"The link from {ref.node}.{ref.output} has the wrong type."
        self._problem("wrong_type", message, name, ref.input, expected=str(expected), got=str(given), hint=hint)

    def _conversion_hint(self, given: TypeExpr, expected: TypeExpr) -> str:
        for spec in self.catalog.nodes.values():
            if len(spec.outputs) == 1 and not spec.outputs[0].type.has_var() and relate(spec.outputs[0].type, expected):
                takes = [item for item in spec.inputs if item.required and item.schema is None and not item.type.has_var()]
                if takes and relate(given, takes[0].type):
                    return f"{spec.id} turns {given} into {spec.outputs[0].type}."
        return ""

    # ---- what the run is to give ----

    def _wanted(self, names: Iterable[str] | None, index: Mapping[str, int], types: list[dict[str, TypeExpr]]) -> list[Wanted]:
        if names is not None:
            return [found for name in names for found in self._named(name, index, types)]
        self._check_interface_inputs()
        found: list[Wanted] = []
        for name, text in self.document.interface.outputs.items():
            node, _, output = text.partition(".")
            spec = self.specs.get(node)
            if node not in self.document.nodes or (spec is not None and output not in spec.output_by_name):
                message = f"The interface's output {name!r} comes from {text!r}, which does not exist."
                known = self.document.nodes if spec is None else spec.output_by_name
                hint = nearest(node if spec is None else output, known, "There are" if spec is None else "It has")
                self._problem("dangling_output", message, hint=hint)
                continue
            place = self.disabled.through(node, output)
            if place is not None and place[0] in index:
                source = index[place[0]]
                found.append(Wanted(name, source, place[1], types[source].get(place[1])))
        given = {wanted.source for wanted in found}
        found += [Wanted(name, i, None) for name, i in index.items() if self.specs[name].output and i not in given]
        declared = self.document.interface.outputs or any(spec.output for spec in self.specs.values())
        if not found and declared and self.disabled.off and not self.problems:
            hint = "Enable a node that saves or gives something."
            self._problem("nothing_to_run", "Every output of this workflow is disabled.", hint=hint)
        elif not found and not declared:
            inner = {ref.node for name, refs in self.refs.items() if name in index for ref in refs}
            found = [Wanted(name, i, None) for name, i in index.items() if name not in inner]
        return found

    def _named(self, name: str, index: Mapping[str, int], types: list[dict[str, TypeExpr]]) -> list[Wanted]:
        node, _, output = name.partition(".")
        if node in self.disabled.off:
            self._problem("no_such_node", f"{node!r} is disabled, or what it needs is.", hint="Enable it first.")
            return []
        if node not in self.document.nodes:
            hint = nearest(node, self.document.nodes, "There are")
            self._problem("no_such_node", f"There is no node {node!r} to run.", hint=hint)
            return []
        if node not in index:
            return []  # reported as what is wrong with it
        if output and output not in types[index[node]]:
            hint = nearest(output, types[index[node]], "It has")
            self._problem("no_such_node", f"{node!r} has no output {output!r} to run.", hint=hint)
            return []
        if output:
            return [Wanted(name, index[node], output, types[index[node]][output])]
        return [Wanted(f"{node}.{key}", index[node], key, expr) for key, expr in types[index[node]].items()] or [
            Wanted(node, index[node], None)
        ]

    def _check_interface_inputs(self) -> None:
        for name, item in self.document.interface.inputs.items():
            for text in item.to:
                node, _, key = text.partition(".")
                spec = self.specs.get(node)
                if node not in self.document.nodes or (spec is not None and key not in spec.input_by_name):
                    message = f"The interface's input {name!r} goes to {text!r}, which does not exist."
                    known = self.document.nodes if spec is None else spec.input_by_name
                    hint = nearest(node if spec is None else key, known, "There are" if spec is None else "It has")
                    self._problem("dangling_input", message, hint=hint)

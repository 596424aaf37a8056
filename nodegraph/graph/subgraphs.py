"""Subgraphs as functions: the sockets that their interfaces declare, which of them use which, and their content's digest."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import cached_property
from hashlib import blake2b
from typing import Any

from nodegraph.graph.canonical import compact
from nodegraph.graph.catalog import Catalog
from nodegraph.graph.document import Document, InterfaceInput, NodeEntry, Subgraph
from nodegraph.graph.iteration import misfits, specialised
from nodegraph.graph.narrowing import narrowed, targets
from nodegraph.graph.order import drawn, in_order
from nodegraph.sdk import typeexpr as te
from nodegraph.sdk.errors import Problem, nearest
from nodegraph.sdk.spec import InputSpec, NodeSpec
from nodegraph.sdk.typeexpr import TypeExpr

DEEPEST_NESTING = 32
"""How many subgraphs may lie in one another."""


CALLED = "subgraph/"
"""How the types of nodes begin that are subgraphs: `subgraph/NAME`."""


def node_spec(document: Document, catalog: Catalog, entry: NodeEntry) -> NodeSpec | None:
    """The node type of a node as it is in this document: that of a subgraph and of a loop follows from the subgraph."""
    return Subgraphs(document.subgraphs, catalog).spec_of(entry)


class Subgraphs:
    """The subgraphs of one document."""

    def __init__(self, entries: Mapping[str, Subgraph], catalog: Catalog) -> None:
        self.entries, self.catalog = entries, catalog
        self._inputs: dict[str, dict[str, InputSpec]] = {}
        self._digests: dict[str, str] = {}

    # ---- which use which ----

    def type_of(self, entry: NodeEntry) -> NodeSpec | None:
        """A node's type before its subgraph, if it runs one, gives it its sockets."""
        if entry.type.startswith(CALLED):
            return NodeSpec(entry.type, "1", (), (), category="subgraph", composite=True, iterates="once")
        return self.catalog.nodes.get(entry.type)

    def body_of(self, entry: NodeEntry) -> str | None:
        """The subgraph that a node runs, if its type runs one."""
        if entry.type.startswith(CALLED):
            return entry.type.removeprefix(CALLED)
        spec = self.catalog.nodes.get(entry.type)
        body = entry.inputs.get("body") if spec is not None and spec.iterates else None
        return body if isinstance(body, str) else None

    @cached_property
    def _unusable(self) -> dict[str, str]:
        """Why subgraphs cannot be compiled: they contain themselves, or lie too deep in one another."""
        uses: dict[str, list[str]] = {
            name: [body for entry in subgraph.nodes.values() if (body := self.body_of(entry)) in self.entries and body]
            for name, subgraph in self.entries.items()
        }
        order, circles = in_order(uses, uses.__getitem__)
        depth: dict[str, int] = {}
        for name in order:
            depth[name] = 1 + max((depth.get(body, 0) for body in uses[name]), default=0)
        found = {
            name: f"{depth[name]} subgraphs lie in one another here; {DEEPEST_NESTING} may."
            for name in order
            if depth[name] > DEEPEST_NESTING
        }
        for circle in circles:
            circle = [circle[0], *reversed(circle[1:])]
            for i, name in enumerate(circle):
                found[name] = f"The subgraph {name!r} contains itself: {drawn(circle[i:] + circle[:i])}."
        for name, subgraph in self.entries.items():
            if subgraph.file:
                found[name] = f"The subgraph {name!r} lies in the file {subgraph.file!r}, which was not read."
        for name in uses.keys() - depth.keys() - found.keys():  # beside a circle that is reported
            found[name] = f"The subgraph {name!r} contains itself."
        return found

    def _unusable_problem(self, name: str, socket: str | None, hint: str) -> Problem:
        if self.entries[name].file:
            return Problem("no_file", self._unusable[name], None, socket, hint="Open the workflow from its own file.")
        return Problem("cycle", self._unusable[name], None, socket, hint=hint)

    # ---- as functions ----

    def spec_of(self, entry: NodeEntry) -> NodeSpec | None:
        """A node's type; that of a node that runs a subgraph follows from it. None where it cannot be known."""
        spec = self.type_of(entry)
        return self.specialised(entry, spec)[0] if spec is not None and spec.iterates else spec

    def specialised(self, entry: NodeEntry, spec: NodeSpec) -> tuple[NodeSpec | None, list[Problem]]:
        """The type of a node that runs a subgraph, or what is wrong with that; None without a word when it lies inside."""
        if spec.iterates == "once":
            return self._called(spec, entry.type.removeprefix(CALLED))
        body = entry.inputs.get("body")
        if "body" in entry.links:
            hint = "Its sockets follow from the subgraph, so the name has to be known before anything runs."
            return None, [Problem("bad_link", "The body is a name, not a link.", None, "body", hint=hint)]
        if not isinstance(body, str):
            hint = nearest("", self.entries, "There are") or 'Add one under the document\'s "subgraphs".'
            message = f"{spec.id} runs a subgraph in every round."
            return None, [Problem("no_body", message, None, "body", "the name of a subgraph", "nothing", hint)]
        if body not in self.entries:
            hint = nearest(body, self.entries, "There are") or "This document has no subgraphs of that name."
            return None, [Problem("no_body", f"There is no subgraph {body!r}.", None, "body", hint=hint)]
        if body in self._unusable:
            return None, [
                self._unusable_problem(body, "body", "A loop repeats its body by itself: it needs no other way round.")
            ]
        interface, inputs = self.entries[body].interface, self.inputs(body)
        problems = misfits(spec, body, interface.inputs, interface.outputs)
        if problems or len(inputs) < len(interface.inputs):
            return None, problems
        return specialised(spec, inputs, interface.outputs), []

    def _called(self, spec: NodeSpec, name: str) -> tuple[NodeSpec | None, list[Problem]]:
        if name not in self.entries:
            hint = nearest(name, self.entries, "There are") or "This document has no subgraphs."
            return None, [Problem("no_subgraph", f"There is no subgraph {name!r}.", hint=hint)]
        if name in self._unusable:
            hint = "To repeat a subgraph, make it the body of a loop: core/map, core/fold or core/while_."
            return None, [self._unusable_problem(name, None, hint)]
        entry, inputs = self.entries[name], self.inputs(name)
        if len(inputs) < len(entry.interface.inputs):
            return None, []
        spec = replace(spec, title=entry.title or name, description=entry.description)
        return specialised(spec, inputs, entry.interface.outputs), []

    def inputs(self, name: str) -> dict[str, InputSpec]:
        """A subgraph's interface inputs: typed as what they point to, required where that has no value of its own.

        Those that point to nothing that is known are left out.
        """
        if name not in self._inputs:
            interface, nodes = self.entries[name].interface, self.entries[name].nodes
            found = {key: self._input(key, item, nodes) for key, item in interface.inputs.items()}
            self._inputs[name] = {key: item for key, item in found.items() if item is not None}
        return self._inputs[name]

    def _input(self, name: str, item: InterfaceInput, nodes: Mapping[str, NodeEntry]) -> InputSpec | None:
        sockets = targets(item, nodes, lambda node: self.spec_of(nodes[node]))
        found = narrowed(name, item, sockets)
        return None if found is None else replace(found.spec, type=_apart(found.spec.type, name))

    # ---- as content ----

    def digest(self, name: str) -> str:
        """A digest of what a subgraph and those that it uses do: names, titles and layout of subgraphs do not count."""
        if name not in self._digests:
            subgraph = self.entries[name]
            content = {
                "nodes": {key: self._content(entry) for key, entry in subgraph.nodes.items()},
                "inputs": {key: _effect(item) for key, item in subgraph.interface.inputs.items()},
                "outputs": subgraph.interface.outputs,
            }
            self._digests[name] = blake2b(compact(content).encode("utf-8", "surrogatepass"), digest_size=12).hexdigest()
        return self._digests[name]

    def _content(self, entry: NodeEntry) -> dict[str, Any]:
        body, type_id, inputs = self.body_of(entry), entry.type, entry.inputs
        if body is not None and body in self.entries:
            if type_id.startswith(CALLED):
                type_id = CALLED + self.digest(body)
            else:
                inputs = {**inputs, "body": self.digest(body)}
        known = {"type": type_id, "version": entry.version, "inputs": inputs, "links": entry.links}
        return {**known, "disabled": entry.disabled}


def _effect(item: InterfaceInput) -> list[Any]:
    """What an interface input does to what its subgraph computes; titles and ranges do nothing."""
    return [item.to, item.as_list, item.default, "default" in item.model_fields_set]


def _apart(expr: TypeExpr, name: str) -> TypeExpr:
    """A type with its variables renamed: those of different inputs have nothing to do with one another."""
    if expr.kind == "var":
        return te.var(f"{expr.name} of {name}")
    return TypeExpr(expr.kind, expr.name, tuple(_apart(arg, name) for arg in expr.args)) if expr.args else expr

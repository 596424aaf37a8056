"""Graphs built by calling node functions. Composites receive a builder; `nodegraph.Graph` is one that saves as a document."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from nodegraph.sdk.node import Node


@dataclass(frozen=True, slots=True, eq=False)
class Link:
    """An output of a node that has been added to a builder, or (`node` empty) an input of the composite being built."""

    builder: GraphBuilder
    node: str
    output: str


@dataclass(frozen=True, slots=True)
class BuiltNode:
    """A node of a builder: `values` are JSON, `links` name an output each (a list of them for variadic inputs)."""

    node: Node
    values: Mapping[str, Any]
    links: Mapping[str, Link | tuple[Link, ...]]


@dataclass(slots=True, eq=False)
class GraphBuilder:
    """Collects nodes. `add` returns a Link, or for several outputs the node's NamedTuple filled with Links."""

    nodes: dict[str, BuiltNode] = field(default_factory=dict)

    def add(self, node: Node, id: str | None = None, /, **inputs: Any) -> Any:
        """Add `node` with its inputs by name: links, lists of links (variadic inputs), or JSON values.

        `id` defaults to the function's name, numbered when taken. Raises TypeError for inputs that the node does not have.
        """
        known = {spec.name: spec for spec in node.inputs}
        if unknown := sorted(set(inputs) - set(known)):
            raise TypeError(f"{node.name} has no input {', '.join(map(repr, unknown))}; it has {', '.join(known)}")
        name = self._free_name(id or node.name)
        values: dict[str, Any] = {}
        links: dict[str, Link | tuple[Link, ...]] = {}
        for key, value in inputs.items():
            if isinstance(value, Link):
                links[key] = (value,) if known[key].many else value
            elif known[key].many:
                links[key] = tuple(value)
            elif value is not None or known[key].required:
                values[key] = str(value) if isinstance(value, Path) else value
        self.nodes[name] = BuiltNode(node, values, links)
        return node.pack_outputs([Link(self, name, spec.name) for spec in node.outputs])

    def _free_name(self, wanted: str) -> str:
        name, number = wanted, 2
        while name in self.nodes:
            name, number = f"{wanted}_{number}", number + 1
        return name

"""Graphs built by calling node functions. Composites receive a builder; `nodegraph.Graph` is one that saves as a document."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Generic, ParamSpec, Protocol, TypeAlias, TypeVar, cast

from nodegraph.sdk.annotations import plain

if TYPE_CHECKING:
    from nodegraph.sdk.node import Node
    from nodegraph.sdk.spec import InputSpec

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)
R_co = TypeVar("R_co", covariant=True)
P = ParamSpec("P")

NODE_ID = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*\Z")


@dataclass(frozen=True, slots=True, eq=False)
class Link(Generic[T_co]):
    """An output of a node that has been added to a builder, or (`node` empty) an input of the composite being built.

    `T_co` is what comes over it, for type checkers alone: `Link[Image]`.
    """

    builder: GraphBuilder
    node: str
    output: str


Into: TypeAlias = Link[T] | Link[Sequence[T]] | Link[Sequence[Sequence[T]]]
"""The links that an input for a `T`, or for a list of it, takes: a list where one is taken runs the node once per item."""


@dataclass(frozen=True, slots=True)
class BuiltNode:
    """A node of a builder: `values` are JSON, `links` name an output each (a list of them for variadic inputs).

    `node` is its type's id where the node's function is not at hand: a subgraph, or a type that is not installed.
    """

    node: Node | str
    values: Mapping[str, Any]
    links: Mapping[str, Link[Any] | tuple[Link[Any], ...]]
    version: int = 1


@dataclass(frozen=True, slots=True, eq=False)
class OpenOutputs:
    """The outputs of a node whose type does not say what they are (a map gives what its body gives): any name is a link."""

    _builder: GraphBuilder
    _node: str

    def __getattr__(self, name: str) -> Link[Any]:
        if name.startswith("__"):
            raise AttributeError(name)
        return Link(self._builder, self._node, name)


class Addable(Protocol[P, R_co]):
    """What can be added to a graph: a node, with the inputs and the links that its stub says it has (`nodegraph stubs`)."""

    def linked(self, *args: P.args, **kwargs: P.kwargs) -> R_co: ...


@dataclass(slots=True, eq=False)
class GraphBuilder:
    """Collects nodes. `add` returns a Link, or for several outputs the node's NamedTuple filled with Links."""

    nodes: dict[str, BuiltNode] = field(default_factory=dict)

    def add(self, node: Addable[P, R_co], id: str | None = None, /, *args: P.args, **inputs: P.kwargs) -> R_co:
        """Add `node` with its inputs by name: links, lists of links (variadic inputs), or values.

        `id` defaults to the function's name, numbered when taken; None for an input without a value means its default.
        A node that iterates takes any input: its subgraph says which there are. Raises TypeError for inputs that the node does
        not have and links that do not fit, ValueError for a bad id.
        """
        if args:
            raise TypeError(f"the inputs of a node are given by name: {cast('Node', node).name}(..., NAME={args[0]!r})")
        return cast(R_co, self._add(cast("Node", node), id, inputs))

    def _add(self, node: Node, id: str | None, inputs: Mapping[str, Any]) -> Any:
        known = {spec.name: spec for spec in node.inputs}
        if not node.iterates and (unknown := sorted(set(inputs) - set(known))):
            raise TypeError(f"{node.name} has no input {', '.join(map(repr, unknown))}; it has {', '.join(known)}")
        name = self._free_name(id or node.name)
        values: dict[str, Any] = {}
        links: dict[str, Link[Any] | tuple[Link[Any], ...]] = {}
        for key, value in inputs.items():
            value = the_only(value)
            found = links_in(value)
            for link in found:
                if link.builder is not self:
                    raise TypeError(f"{node.name}: the link into {key!r} comes from another graph")
            if key not in known and found:
                links[key] = value if isinstance(value, Link) else tuple(found)
            elif key not in known:
                values[key] = plain(value)
            elif known[key].many:
                links[key] = tuple(self._many(node, known[key], value))
            elif isinstance(value, Link):
                links[key] = value
            elif found:
                raise TypeError(f"{node.name}: {key!r} takes one link; make a list of several with core/make_list")
            elif value is not None or known[key].required or known[key].type.kind == "optional":
                values[key] = plain(value)
        self.nodes[name] = BuiltNode(node, values, links, node.version)
        if node.iterates and not node.outputs:
            return OpenOutputs(self, name)
        return node.pack_outputs([Link(self, name, spec.name) for spec in node.outputs])

    def _many(self, node: Node, spec: InputSpec, value: Any) -> list[Link[Any]]:
        items = [value] if isinstance(value, Link) else [the_only(item) for item in value or ()]
        if not all(isinstance(item, Link) for item in items):
            raise TypeError(f"{node.name}: {spec.name!r} takes links only, as many as you like")
        return items

    def _free_name(self, wanted: str) -> str:
        """The id, numbered when taken. Raises ValueError for what can be no id."""
        if not NODE_ID.match(wanted):
            raise ValueError(f"{wanted!r} cannot be a node id: letters, digits, _ and -, not starting with a digit")
        name, number = wanted, 2
        while name in self.nodes:
            name, number = f"{wanted}_{number}", number + 1
        return name


def the_only(value: Any) -> Any:
    """What a node gave, as an argument: a NamedTuple with one link stands for that link."""
    if isinstance(value, tuple) and len(value) == 1 and hasattr(value, "_fields") and isinstance(value[0], Link):
        return value[0]
    return value


def links_in(value: Any) -> list[Link[Any]]:
    """The links that an argument holds: itself, or those in a list."""
    if isinstance(value, Link):
        return [value]
    return [item for item in value if isinstance(item, Link)] if isinstance(value, (list, tuple)) else []

"""The plan: a document compiled to a flat list of nodes in topological order, checked, with every link an index."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

from nodegraph.graph.document import Document
from nodegraph.sdk.spec import NodeSpec
from nodegraph.sdk.typeexpr import TypeExpr

Mode = Literal["direct", "wrap", "map", "one"]


class PlanLink(NamedTuple):
    """A link into `input` from output `output` of the node at index `source`.

    `wrap` makes a list of one, `map` calls the node once per item, `one` is a map over a wrapped value (inside composites);
    `item` leads to an item of a list, or of lists in it (links of mapped calls); `many` says that it is one of a variadic
    input's links; `by_value` that the value is JSON and enters keys itself; `depth` how many levels of lists are mapped over.
    """

    input: str
    source: int
    output: str
    mode: Mode = "direct"
    item: tuple[int, ...] = ()
    many: bool = False
    lazy: bool = False
    by_value: bool = False
    depth: int = 1


@dataclass(slots=True, eq=False)
class PlanNode:
    """A node of the plan: its path, its type, its values (checked, defaults applied) and its links in input order."""

    id: str
    spec: NodeSpec
    values: Mapping[str, Any]
    links: tuple[PlanLink, ...] = ()
    mapped: bool = False
    iteration: Iteration | None = None


class Wanted(NamedTuple):
    """Something the run is to give: the output of a node, or (output None) only that the node ran."""

    name: str
    source: int
    output: str | None
    type: TypeExpr | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Body:
    """A subgraph compiled as what a node iterates over: stamped out once per round.

    A link from outside has a negative source: `-1 - i` stands for `inputs[i]`. `meets` says of every input how its links meet
    their targets: their modes, and `many` for variadic ones.
    """

    name: str
    nodes: tuple[PlanNode, ...]
    inputs: tuple[str, ...]
    outputs: Mapping[str, Wanted]
    meets: Mapping[str, frozenset[str]]


@dataclass(frozen=True, slots=True, eq=False)
class Iteration:
    """What makes a node iterate: its body, and the type of the nodes that carry on once a count or a truth is known."""

    body: Body
    then: NodeSpec


def with_bodies(nodes: Iterable[PlanNode], place: str = "") -> Iterator[tuple[str, PlanNode]]:
    """Every node and, once each, the nodes of the bodies that they iterate over, with the path that problems name."""
    seen: set[Body] = set()
    waiting = [(place, nodes)]
    while waiting:
        place, nodes = waiting.pop()
        for node in nodes:
            yield f"{place}{node.id}", node
            if node.iteration is not None and node.iteration.body not in seen:
                seen.add(node.iteration.body)
                waiting.append((f"subgraphs.{node.iteration.body.name}/", node.iteration.body.nodes))


@dataclass(slots=True, eq=False)
class Plan:
    """A compiled document. `nodes` is in topological order; `disabled` names nodes that are off or bypassed."""

    document: Document
    nodes: list[PlanNode]
    wanted: list[Wanted]
    disabled: tuple[str, ...] = ()
    index: dict[str, int] = field(default_factory=dict)

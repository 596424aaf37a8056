"""Order inside a lane: cheap outputs first, and of a list item 1 all the way before item 2."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from nodegraph.graph.plan import PlanNode
from nodegraph.sdk.spec import NodeSpec

Order = tuple[int, tuple[int, ...]]
"""The rank of the cheapest output that a node is needed for; the way to its item through nested lists."""

FIRST: Order = (0, ())

_UNKNOWN_SECONDS = 0.05
_COMPOSITE_SECONDS = 1.0


def rank_outputs(
    nodes: Sequence[PlanNode], wanted: Sequence[int], waits: Callable[[int], bool], seconds: Callable[[NodeSpec], float | None]
) -> dict[int, Order]:
    """The order of every node that `waits`, by the output that it is needed for first.

    An output costs what its longest chain of waiting nodes costs; nodes are in topological order, so this is linear.
    """
    chain: dict[int, float] = {}
    for i, node in enumerate(nodes):
        if waits(i):
            known = seconds(node.spec)
            own = known if known is not None else _COMPOSITE_SECONDS if node.spec.composite else _UNKNOWN_SECONDS
            chain[i] = own + max((chain.get(link.source, 0.0) for link in node.links), default=0.0)
    order: dict[int, Order] = {}
    for rank, output in enumerate(sorted(wanted, key=lambda i: (chain.get(i, 0.0), i))):
        stack = [output]
        while stack:
            i = stack.pop()
            if i in chain and i not in order:
                order[i] = (rank, ())
                stack.extend(link.source for link in nodes[i].links)
    return order

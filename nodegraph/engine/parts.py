"""What a node becomes when it turns into others, and how links from outside go on inside."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from nodegraph.graph.plan import PlanLink, PlanNode


@dataclass(frozen=True, slots=True)
class Parts:
    """What a node became: nodes to append to the run's plan, and for each output the link that it comes over.

    For mapped nodes an output is a list of links, one per item.
    """

    nodes: list[PlanNode]
    outputs: dict[str, PlanLink | list[PlanLink]]

    def links(self) -> Iterator[PlanLink]:
        """The links that the outputs come over."""
        for output in self.outputs.values():
            yield from output if isinstance(output, list) else (output,)

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


def joined(inner: PlanLink, outer: PlanLink) -> PlanLink:
    """An inner link that comes from outside, over the outer link: one link from the outer one's source."""
    if outer.mode == "wrap" and inner.mode in ("wrap", "one"):
        raise TypeError(f"the list input {outer.input!r} of a composite is linked on in a way that does not fit")
    mode = inner.mode if outer.mode == "direct" else "one" if inner.mode == "map" else "wrap"
    by_value = inner.by_value or outer.by_value
    return inner._replace(source=outer.source, output=outer.output, item=outer.item, mode=mode, by_value=by_value)

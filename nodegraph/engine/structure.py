"""What lists consist of, as far as that is known: composites are looked through, divided maps are known item by item."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nodegraph.engine.gather import values_of_composite
from nodegraph.graph.plan import PlanLink, PlanNode

if TYPE_CHECKING:
    from nodegraph.engine.run import Run


def followed(run: Run, link: PlanLink) -> PlanLink:
    """The link with its source as far inside as is known: past composites that were expanded and maps that were divided."""
    while True:
        parts = run.parts.get(link.source)
        if parts is None:
            return link
        output = parts.outputs[link.output]
        if isinstance(output, list):
            if not link.item:
                return link
            inner, rest = output[link.item[0]], link.item[1:]
        elif output.mode == "wrap":  # a list of one
            if not link.item:
                return link
            inner, rest = output, link.item[1:]
        else:
            inner, rest = output, link.item
        link = link._replace(source=inner.source, output=inner.output, item=(*inner.item, *rest))


def counted_link(node: PlanNode) -> PlanLink | None:
    """The link that brings a loop its items, where only their number has to be known."""
    if node.iteration is None:
        return None
    known = values_of_composite(node)
    links = (link for link in node.links if link.input == "items" and link.mode == "direct" and link not in known)
    return next(links, None)


def length(run: Run, link: PlanLink) -> int | None:
    """How many items a mapped link brings, or None where that is not known yet."""
    if link.mode == "one":
        return 1
    link = followed(run, link)
    parts = run.parts.get(link.source)
    if parts is not None and not link.item:
        output = parts.outputs[link.output]
        if isinstance(output, list):
            return len(output)
        if output.mode == "wrap":
            return 1
    source = run.result[link.source]
    if source is None or source.hollow:
        return None
    value = source.values[link.output]
    for i in link.item:
        value = value[i]
    return len(value)

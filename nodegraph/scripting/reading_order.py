"""The order in which a person reads a graph: sources first, and among those from left to right as they are drawn."""

from __future__ import annotations

import heapq
from collections.abc import Mapping
from typing import Any

from nodegraph.graph.document import NodeEntry

_Key = tuple[float, float, str]


def reading_order(nodes: Mapping[str, NodeEntry], layout: Mapping[str, Any]) -> list[str]:
    """The nodes in topological order, by place and then by name where it leaves a choice.

    Nodes on a circle come as if the link back were not there.
    """
    keys = {name: _key(name, layout) for name in nodes}
    sources = {name: _sources(entry) & nodes.keys() - {name} for name, entry in nodes.items()}
    targets: dict[str, list[str]] = {name: [] for name in nodes}
    for name, found in sources.items():
        for source in found:
            targets[source].append(name)
    missing = {name: len(found) for name, found in sources.items()}
    ready = [keys[name] for name in nodes if not missing[name]]
    circling = sorted(keys.values(), reverse=True)
    heapq.heapify(ready)
    order: dict[str, None] = {}
    while len(order) < len(nodes):
        name = (heapq.heappop(ready) if ready else circling.pop())[2]
        if name in order:
            continue
        order[name] = None
        for target in targets[name]:
            missing[target] -= 1
            if not missing[target] and target not in order:
                heapq.heappush(ready, keys[target])
    return list(order)


def _key(name: str, layout: Mapping[str, Any]) -> _Key:
    """Where a node is drawn; what is drawn nowhere comes last."""
    places = layout.get("nodes")
    place = places.get(name) if isinstance(places, dict) else None
    if isinstance(place, list) and len(place) >= 2 and all(isinstance(item, (int, float)) for item in place[:2]):
        return (place[0], place[1], name)
    return (float("inf"), 0.0, name)


def _sources(entry: NodeEntry) -> set[str]:
    links = [text for link in entry.links.values() for text in (link if isinstance(link, list) else [link])]
    return {text.partition(".")[0] for text in links}

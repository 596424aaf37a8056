"""The order of a workflow's nodes, and the circles that keep it from having one."""

from __future__ import annotations

from collections.abc import Callable, Collection, Container, Iterable


def in_order(names: Collection[str], sources: Callable[[str], Iterable[str]]) -> tuple[list[str], list[list[str]]]:
    """Names in topological order, after the `sources` that each reads from, and one circle per knot of them.

    What lies on a circle, or in one knot with it, has no place in the order.
    """
    import networkx as nx  # here, because it takes a tenth of a second, and the server's first page needs no order

    graph: nx.DiGraph[str] = nx.DiGraph()
    graph.add_nodes_from(names)
    graph.add_edges_from((source, name) for name in names for source in sources(name) if source in names)
    try:
        return list(nx.topological_sort(graph)), []
    except nx.NetworkXUnfeasible:
        pass
    circles: list[list[str]] = []
    looping: set[str] = set()
    part_of = {name: part for part in nx.strongly_connected_components(graph) for name in part}
    for name in names:
        part = part_of[name]
        if name in looping or (len(part) == 1 and not graph.has_edge(name, name)):
            continue
        circles.append(_circle(name, part, sources))
        looping |= part
    rest = graph.copy()
    rest.remove_nodes_from(looping)
    return list(nx.topological_sort(rest)), circles


def _circle(name: str, part: Container[str], sources: Callable[[str], Iterable[str]]) -> list[str]:
    """A circle inside a strongly connected part, found by walking against the links from `name`."""
    walk: dict[str, None] = {}
    while name not in walk:
        walk[name] = None
        name = next(source for source in sources(name) if source in part)
    path = list(walk)
    circle = path[path.index(name) :]
    return [circle[0], *reversed(circle[1:])]


def drawn(circle: list[str]) -> str:
    """A circle in words: `a -> b -> a`."""
    return " -> ".join([*(circle if len(circle) <= 20 else [*circle[:18], "...", circle[-1]]), circle[0]])

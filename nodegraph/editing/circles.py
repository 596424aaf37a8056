"""Circles that arise when the links of two sides come together, though neither side has one."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Any, NamedTuple

import networkx as nx

from nodegraph.editing.shapes import Path, Tree, node_in, place, refs_in

Edge = tuple[str, str, str]
"""A link: the node that reads, its input, the node that is read."""


class Circle(NamedTuple):
    """Nodes that would wait for one another, and the links between them that only one side has."""

    nodes: tuple[str, ...]
    ours: tuple[Edge, ...]
    theirs: tuple[Edge, ...]


def links_of(graph: Tree) -> set[Edge]:
    """Every link as written, also those to nodes that are not there: the other side may have them."""
    return {
        (name, key, node_in(ref))
        for name, entry in graph.get("nodes", {}).items()
        for key, link in entry.get("links", {}).items()
        for ref in refs_in(link)
    }


def circles(merged: Tree, ours: Collection[Edge], theirs: Collection[Edge]) -> Iterator[Circle]:
    """The knots of a merged graph that need links of both sides."""
    links = links_of(merged)
    if not any(link not in ours for link in links) or not any(link not in theirs for link in links):
        return
    graph: nx.DiGraph[str] = nx.DiGraph()
    graph.add_edges_from((source, name) for name, _, source in links)
    knots = sorted(sorted(part) for part in nx.strongly_connected_components(graph))
    part_of = {name: i for i, part in enumerate(knots) for name in part}
    inside: dict[int, list[Edge]] = {}
    for link in sorted(links):
        if part_of[link[0]] == part_of[link[2]]:
            inside.setdefault(part_of[link[0]], []).append(link)
    for number, found in sorted(inside.items()):
        only_ours = tuple(link for link in found if link not in theirs)
        only_theirs = tuple(link for link in found if link not in ours)
        if only_ours and only_theirs:
            yield Circle(tuple(knots[number]), only_ours, only_theirs)


def said(graph: Tree, links: Collection[Edge]) -> dict[str, Any]:
    """Links as data: what each input is linked to."""
    return {place(path): graph["nodes"][path[1]]["links"][path[3]] for path in sorted({path_of(link) for link in links})}


def path_of(link: Edge) -> Path:
    return ("nodes", link[0], "links", link[1])

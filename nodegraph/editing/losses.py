"""What one side of a merge takes away while the other side still needs it: nodes, and subgraphs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from nodegraph.editing.naming import Naming
from nodegraph.editing.shapes import ABSENT, Path, Tree, at_path, node_in, ref_places, refs_in, same
from nodegraph.graph.document import SUBGRAPHS

SUBGRAPH_TYPE = "subgraph/"
BODY = "body"
"""The input by which loops name their subgraph."""


class Sides(NamedTuple):
    """Three versions of one graph, under the same names of nodes."""

    base: Tree
    ours: Tree
    theirs: Tree

    def at(self, path: Path) -> tuple[Any, Any, Any]:
        return at_path(self.base, path), at_path(self.ours, path), at_path(self.theirs, path)


class Losses(NamedTuple):
    """Nodes that one side deleted and the other needs, and the other's new links to them."""

    needed: frozenset[str]
    cut_by_us: dict[Path, set[str]]
    """Places where their links lead to nodes that we deleted: which nodes."""
    cut_by_them: dict[Path, set[str]]


def losses(sides: Sides, naming: Naming) -> Losses:
    """The deletions that do not go with what the other side did."""
    base, ours, theirs = (side.get("nodes", {}) for side in sides)
    gone_by_us = {name for name in base if name not in ours and name in theirs}
    gone_by_them = {name for name in base if name not in theirs and name in ours}
    cut_by_us = _new_links(sides.base, sides.theirs, sides.ours, gone_by_us) if gone_by_us else {}
    cut_by_them = _new_links(sides.base, sides.ours, sides.theirs, gone_by_them) if gone_by_them else {}
    needed = _closure(gone_by_us, base, theirs, naming.renamed_by_them, cut_by_us)
    needed |= _closure(gone_by_them, base, ours, naming.renamed_by_us, cut_by_them)
    return Losses(frozenset(needed), cut_by_us, cut_by_them)


def _closure(gone: set[str], base: Tree, other: Tree, renamed: frozenset[str], cut: Mapping[Path, set[str]]) -> set[str]:
    """Deleted nodes that the other side changed or newly uses, and those that these read."""
    needed: set[str] = set()
    seeking = [name for name in gone if name in renamed or not same(base[name], other[name])]
    seeking += [name for names in cut.values() for name in names]
    while seeking:
        name = seeking.pop()
        if name in needed:
            continue
        needed.add(name)
        links = other[name].get("links", {}).values()
        seeking += [node for link in links for ref in refs_in(link) if (node := node_in(ref)) in gone]
    return needed


def _new_links(base: Tree, user: Tree, deleter: Tree, gone: set[str]) -> dict[Path, set[str]]:
    """Where one side links to nodes that the other deleted, unless the base says the same there."""
    found: dict[Path, set[str]] = {}
    for path, value in ref_places(user):
        nodes = {node_in(ref) for ref in refs_in(value)} & gone
        if not nodes:
            continue
        before, other = at_path(base, path), at_path(deleter, path)
        if same(before, value):
            kept_by_user = path[:2] == ("interface", "inputs") and _changed_and_deleted(base, user, deleter, path[:3])
            nodes = nodes if kept_by_user else set()
        elif mergeable(before, value, other):
            nodes &= {node_in(ref) for ref in refs_in(value) if ref not in refs_in(before)}
        if nodes:
            found[path] = nodes
    return found


def _changed_and_deleted(base: Tree, user: Tree, deleter: Tree, path: Path) -> bool:
    return at_path(deleter, path) is ABSENT and not same(at_path(base, path), at_path(user, path))


def mergeable(base: Any, ours: Any, theirs: Any) -> bool:
    """Whether links of three versions are lists that can be merged item by item."""
    return isinstance(ours, list) and isinstance(theirs, list) and (base is ABSENT or isinstance(base, list))


# ---- subgraphs ----


def needed_subgraphs(sides: Sides) -> frozenset[str]:
    """Subgraphs that one side deleted while the other gave them to another node."""
    base, ours, theirs = (side.get(SUBGRAPHS, {}) for side in sides)
    gone_by_us = {name for name in base if name not in ours and name in theirs}
    gone_by_them = {name for name in base if name not in theirs and name in ours}
    if not gone_by_us and not gone_by_them:
        return frozenset()
    known = set(_subgraph_uses(sides.base))
    used_by_them = {name for place, name in set(_subgraph_uses(sides.theirs)) - known}
    used_by_us = {name for place, name in set(_subgraph_uses(sides.ours)) - known}
    return frozenset((gone_by_us & used_by_them) | (gone_by_them & used_by_us))


def _subgraph_uses(document: Tree) -> Iterator[tuple[Path, str]]:
    """Every node that runs a subgraph, with the subgraph's name."""
    graphs: list[tuple[Path, Tree]] = [((), document)]
    graphs += [((SUBGRAPHS, name), graph) for name, graph in document.get(SUBGRAPHS, {}).items()]
    for scope, graph in graphs:
        for name, entry in graph.get("nodes", {}).items():
            for used in subgraphs_of(entry):
                yield (*scope, name), used


def subgraphs_of(entry: Mapping[str, Any]) -> list[str]:
    """The names of the subgraphs that a node may run: by its type, or as the body of a loop."""
    body = entry.get("inputs", {}).get(BODY)
    by_type = [entry["type"].removeprefix(SUBGRAPH_TYPE)] if entry["type"].startswith(SUBGRAPH_TYPE) else []
    return [*by_type, *([body] if isinstance(body, str) else [])]

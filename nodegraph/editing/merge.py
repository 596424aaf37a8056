"""Merging two versions of a document that were made from one: edits of both survive, and what clashes is data.

Each place is decided by itself: what only one side changed is as that side has it. Where both did, and differently, the
document holds what ours says and a conflict says the rest.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from nodegraph.editing.circles import Edge, circles, links_of, path_of, said
from nodegraph.editing.losses import Losses, Sides, losses, mergeable, needed_subgraphs
from nodegraph.editing.naming import Naming, agreed
from nodegraph.editing.sequences import merged_list, merged_order
from nodegraph.editing.shapes import (
    ABSENT,
    DOCUMENT,
    NODE,
    NODES,
    SUBGRAPH,
    Path,
    Shape,
    Tree,
    at_path,
    node_in,
    place,
    refs_in,
    renamed,
    same,
)
from nodegraph.graph.document import SUBGRAPHS, Document, document_from, to_json
from nodegraph.graph.order import drawn


@dataclass(frozen=True, slots=True)
class Conflict:
    """A place where both sides did something that does not go together.

    `path` is the place in the merged document, which there says what ours says; `base`, `ours` and `theirs` are JSON values
    (ABSENT where there is nothing), with nodes called as in the merged document. `kept_as` is where theirs was put instead.
    """

    kind: str
    path: Path
    base: Any
    ours: Any
    theirs: Any
    message: str
    kept_as: str = ""

    @property
    def place(self) -> str:
        return place(self.path)

    def to_json(self) -> dict[str, Any]:
        values = {"base": self.base, "ours": self.ours, "theirs": self.theirs, "kept_as": self.kept_as or ABSENT}
        found = {"kind": self.kind, "path": list(self.path), "message": self.message}
        return found | {name: value for name, value in values.items() if value is not ABSENT}


@dataclass(frozen=True, slots=True)
class Merged:
    """A merged document, which opens in any case, and what has to be decided by a person."""

    document: Document
    conflicts: tuple[Conflict, ...] = ()


def merge(base: Document, ours: Document, theirs: Document) -> Merged:
    """The document with the edits of both sides since `base`.

    Layout that both sides moved is taken from ours without a conflict.
    """
    merging = _Merging()
    tree = merging.graph(DOCUMENT, (), Sides(to_json(base), to_json(ours), to_json(theirs)))
    return Merged(document_from({"nodes": {}, **tree}), tuple(merging.conflicts))


@dataclass(slots=True)
class _Merging:
    """One merge: its conflicts so far, and what one side deleted though the other needs it."""

    conflicts: list[Conflict] = field(default_factory=list)
    kept: set[Path] = field(default_factory=set)

    def add(self, kind: str, path: Path, base: Any, ours: Any, theirs: Any, message: str, kept_as: str = "") -> None:
        self.conflicts.append(Conflict(kind, path, base, ours, theirs, message, kept_as))

    # ---- a graph ----

    def graph(self, shape: Shape, scope: Path, sides: Sides) -> Tree:
        """The merged document or subgraph: names first, then every place, then what the places make together."""
        naming = agreed(*sides)
        self._tell_names(scope, sides, naming)
        sides = Sides(*(renamed(shape, side, names) for side, names in zip(sides, naming[:3], strict=True)))
        lost = losses(sides, naming)
        self.kept |= {(*scope, "nodes", name) for name in lost.needed}
        if not scope:
            self.kept |= {(SUBGRAPHS, name) for name in needed_subgraphs(sides)}
        tree = self._parts(shape, scope, *sides)
        self._cut(scope, sides, lost, tree)
        self._uncircle(scope, sides, tree)
        return tree

    def _tell_names(self, scope: Path, sides: Sides, naming: Naming) -> None:
        for before, us, them in naming.torn:
            message = f"Ours calls the node {before!r} {us!r}, theirs {them!r}. It is called {us!r}."
            self.add("renamed_twice", (*scope, "nodes", us), before, us, them, message)
        for name, kept_as in naming.clashes:
            us = renamed(NODE, sides.ours["nodes"][name], naming.ours)
            them = renamed(NODE, sides.theirs["nodes"][name], naming.theirs)
            there = f"theirs is called {kept_as!r}"
            message = f"Both sides have a new node {name!r}, and they are two different ones: {there}."
            self.add("same_name", (*scope, "nodes", name), ABSENT, us, them, message, kept_as)

    # ---- places ----

    def _parts(self, shape: Shape, path: Path, base: Tree, ours: Tree, theirs: Tree) -> Tree:
        """What lies in a place, name by name; parts that say no more than their absence would are left out."""
        found = {}
        for key in shape.keys(base, ours, theirs):
            inner = shape.child(key)
            sides = [side.get(key, inner.default) for side in (base, ours, theirs)]
            value = self._value(inner, (*path, key), *sides)
            if value is not ABSENT and not same(value, inner.default):
                found[key] = value
        return self._in_order(path, found, base, ours, theirs) if shape.ordered else found

    def _in_order(self, path: Path, found: Tree, base: Tree, ours: Tree, theirs: Tree) -> Tree:
        """What a place holds, in the order that the sides give it."""
        before = [key for key in base if key in ours and key in theirs]
        us, them = ([key for key in side if key in found] for side in (ours, theirs))
        order, clash = merged_order(before, us, them)
        if clash:
            self.add("reordered", path, before, us, them, "Both sides changed the order, and differently. It is that of ours.")
        return {key: found[key] for key in order}

    def _value(self, shape: Shape, path: Path, base: Any, ours: Any, theirs: Any) -> Any:
        """What a place says after the merge."""
        if path in self.kept:
            self._deleted(path, base, ours, theirs)
            return ours
        if shape is not NODES and shape.word != "subgraphs":
            if same(ours, theirs) or same(base, theirs):
                return ours
            if same(base, ours):
                return theirs
        if isinstance(ours, dict) and isinstance(theirs, dict) and shape.descends:
            if shape.scope and isinstance(base, dict):
                return self.graph(SUBGRAPH, path, Sides(base, ours, theirs))
            if isinstance(base, dict) or (base is ABSENT and not shape.scope and shape is not NODE):
                return self._parts(shape, path, base if isinstance(base, dict) else {}, ours, theirs)
        if shape.refs and mergeable(base, ours, theirs):
            items, clash = merged_list(*(refs_in(side) for side in (base, ours, theirs)))
            if not clash:
                return items
        if shape.word != "layout":
            self._clash(path, base, ours, theirs)
        return ours

    def _clash(self, path: Path, base: Any, ours: Any, theirs: Any) -> None:
        if ours is ABSENT or theirs is ABSENT:
            self._deleted(path, base, ours, theirs)
        elif base is ABSENT:
            self.add("both_added", path, base, ours, theirs, "Both sides added this, and differently. It is as ours has it.")
        else:
            self.add(
                "both_changed", path, base, ours, theirs, "Both sides changed this, and differently. It is as ours has it."
            )

    def _deleted(self, path: Path, base: Any, ours: Any, theirs: Any) -> None:
        ended = "It is removed." if ours is ABSENT else "It stays as ours has it."
        by, other = ("Ours", "theirs") if ours is ABSENT else ("Theirs", "ours")
        message = f"{by} removes this, {other} still changes or uses it. {ended}"
        self.add("deleted_and_used", path, base, ours, theirs, message)

    # ---- what places make together ----

    def _cut(self, scope: Path, sides: Sides, lost: Losses, tree: Tree) -> None:
        """Leave out their links to nodes that we deleted; say of ours that the node they lead to stays."""
        told = {conflict.path for conflict in self.conflicts}
        for path, nodes in sorted((lost.cut_by_us | lost.cut_by_them).items()):
            by_us = path in lost.cut_by_us
            if by_us:
                left = _without(at_path(tree, path), nodes, at_path(sides.ours, path))
                _put(tree, path, [] if left is ABSENT and path[-1] == "to" else left)
            where = (*scope, *path)
            if where in told or any(where[:length] in self.kept for length in range(len(where))):
                continue
            named = " and ".join(sorted(nodes))
            message = f"Theirs uses {named} here, which ours removes: left out."
            if not by_us:
                message = f"Ours uses {named} here, which theirs removes: both stay."
            self.add("link_to_deleted", where, *sides.at(path), message)

    def _uncircle(self, scope: Path, sides: Sides, tree: Tree) -> None:
        """Break circles that only both sides together make, by leaving out what theirs adds to them."""
        ours, theirs = links_of(sides.ours), links_of(sides.theirs)
        while True:
            found = list(circles(tree, ours, theirs))
            for circle in found:
                round_ = drawn(list(circle.nodes)) if len(circle.nodes) < 3 else ", ".join(circle.nodes)
                message = f"Together, links of both sides lead in a circle: {round_}. What theirs adds to it is left out."
                links = said(sides.ours, circle.ours), said(sides.theirs, circle.theirs)
                self.add("circle", (*scope, "nodes", circle.nodes[0]), ABSENT, *links, message)
                for link in circle.theirs:
                    _unlink(tree, sides.ours, link)
            if not found:
                return


def _unlink(tree: Tree, ours: Tree, link: Edge) -> None:
    path = path_of(link)
    _put(tree, path, _without(at_path(tree, path), {link[2]}, at_path(ours, path)))


def _without(value: Any, nodes: set[str], ours: Any) -> Any:
    """A link without what leads to these nodes; what is no list gives way to ours."""
    if isinstance(value, list) and not isinstance(ours, str):
        present = refs_in(ours)
        return [ref for ref in value if node_in(ref) not in nodes or ref in present] or ours
    return ours if any(node_in(ref) in nodes for ref in refs_in(value)) else value


def _put(tree: Tree, path: Path, value: Any) -> None:
    """Set or remove what lies at a path, if its place is there; objects on the way are replaced, not changed."""
    if at_path(tree, path[:-1]) is ABSENT or at_path(tree, path) is value:
        return
    for key in path[:-1]:
        tree[key] = dict(tree[key])
        tree = tree[key]
    if value is ABSENT:
        tree.pop(path[-1], None)
    else:
        tree[path[-1]] = value

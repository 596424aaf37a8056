"""What differs between two workflow documents, as a list of changes that can be shown, applied, undone and sent as JSON.

Renames come first and links follow them; every other change speaks of nodes by their new names.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

from nodegraph.editing.matching import renames
from nodegraph.editing.shapes import (
    ABSENT,
    DOCUMENT,
    Path,
    Shape,
    Tree,
    permutation,
    place,
    renamed,
    renamed_path,
    same,
    scope_of,
    shape_at,
)
from nodegraph.graph.document import Document, to_json
from nodegraph.sdk.errors import InvalidWorkflow, Problem

RENAMED = "node_renamed"
REORDERED = "_reordered"
_THINGS = ("node", "input", "link", "interface_input", "interface_output", "subgraph", "layout", "lock", "pack", "field")
_CHANGED = ("input", "link", "interface_input", "interface_output", "layout", "lock", "pack", "field", "type", "version")
KINDS = (
    RENAMED,
    "node_disabled",
    "node_enabled",
    *(f"{word}_{verb}" for word in _THINGS for verb in ("added", "removed")),
    *(f"{word}_changed" for word in (*_CHANGED, "title", "id", "file")),
    *(f"interface_{word}{REORDERED}" for word in ("inputs", "outputs")),
)
"""Every kind of change."""

_OPPOSITE = {"added": "removed", "removed": "added", "disabled": "enabled", "enabled": "disabled"}


@dataclass(frozen=True, slots=True)
class Change:
    """One difference. `before` and `after` are JSON values, ABSENT where there is nothing.

    `path` is the place in the document's JSON, after renaming. A rename has the old id before and the new one after, a
    reordering the names that stay in their two orders. `at` is where a public input or output stands among its kind.
    """

    kind: str
    path: Path
    before: Any = ABSENT
    after: Any = ABSENT
    at: int | None = None

    @property
    def place(self) -> str:
        """The path as people write it: `denoise.steps`."""
        return place(self.path)

    @property
    def layout(self) -> bool:
        """Whether this moves something on the canvas and means nothing else."""
        return self.kind.startswith("layout_")

    def to_json(self) -> dict[str, Any]:
        values = {"before": self.before, "after": self.after}
        found = {"kind": self.kind, "path": list(self.path)} | {k: v for k, v in values.items() if v is not ABSENT}
        return found if self.at is None else {**found, "at": self.at}


@dataclass(frozen=True, slots=True)
class Diff:
    """The changes that lead from one document to another; false when there are none."""

    changes: tuple[Change, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.changes)

    @property
    def meaning(self) -> tuple[Change, ...]:
        """The changes that are not layout."""
        return tuple(change for change in self.changes if not change.layout)

    @property
    def layout(self) -> tuple[Change, ...]:
        """What was only moved."""
        return tuple(change for change in self.changes if change.layout)

    def to_json(self) -> list[dict[str, Any]]:
        return [change.to_json() for change in self.changes]

    @staticmethod
    def from_json(data: Any) -> Diff:
        """Changes from their JSON form. Raises InvalidWorkflow with every one that is misshapen."""
        if not isinstance(data, list):
            raise InvalidWorkflow([Problem("bad_change", "Changes are a list of objects.")])
        problems = [_misshapen(i, item) for i, item in enumerate(data) if not _well_shaped(item)]
        if problems:
            raise InvalidWorkflow(problems)
        return Diff(tuple(_change_from(item) for item in data))


def diff(before: Document, after: Document) -> Diff:
    """What has to change in `before` to make it `after`: applying it gives exactly that. Empty when they are equal."""
    return Diff(tuple(_in_scope(DOCUMENT, (), to_json(before), to_json(after))))


def _in_scope(shape: Shape, path: Path, before: Tree, after: Tree) -> Iterator[Change]:
    """The changes of one graph: renames first, and the rest as if the names had always been the new ones."""
    pairs = renames(before.get("nodes", {}), after.get("nodes", {}))
    for old, new in sorted(pairs.items()):
        yield Change(RENAMED, (*path, "nodes", new), old, new)
    yield from _inside(shape, path, renamed(shape, before, permutation(pairs)), after)


def _inside(shape: Shape, path: Path, before: Tree, after: Tree) -> Iterator[Change]:
    order = {side: {key: i for i, key in enumerate(tree)} for side, tree in (("before", before), ("after", after))}
    for key in [*after, *(k for k in before if k not in after)] if shape.ordered else shape.keys(before, after):
        inner, here = shape.child(key), (*path, key)
        one, other = before.get(key, inner.default), after.get(key, inner.default)
        if same(one, other):
            continue
        if inner.descends and isinstance(one, dict) and isinstance(other, dict):
            yield from (_in_scope if inner.scope else _inside)(inner, here, one, other)
            continue
        at = None
        if shape.ordered and (one is ABSENT or other is ABSENT):
            at = order["after" if one is ABSENT else "before"][key]
        yield Change(_kind(inner, one, other), here, one, other, at)
    if shape.ordered:
        stay = [key for key in before if key in after], [key for key in after if key in before]
        if stay[0] != stay[1]:
            yield Change(f"{shape.word}{REORDERED}", path, *stay)


def _kind(shape: Shape, before: Any, after: Any) -> str:
    if shape.word == "disabled":
        return "node_disabled" if after else "node_enabled"
    if shape.settled:
        return f"{shape.word}_changed"
    return f"{shape.word}_{'added' if before is ABSENT else 'removed' if after is ABSENT else 'changed'}"


# ---- undoing ----


def inverse(changes: Diff) -> Diff:
    """The changes that undo these: `apply(apply(a, d), inverse(d))` is `a`."""
    back = {scope: {new: old for old, new in names.items()} for scope, names in renames_in(changes).items()}
    return Diff(tuple(_undone(change, back.get(scope_of(change.path), {})) for change in changes.changes))


def renames_in(changes: Diff) -> dict[Path, dict[str, str]]:
    """For every graph with renamed nodes, how names become other names: a permutation, and its own inverse for a diff."""
    pairs: dict[Path, dict[str, str]] = {}
    for change in changes.changes:
        if change.kind == RENAMED:
            pairs.setdefault(scope_of(change.path), {})[change.before] = change.after
    return {scope: permutation(found) for scope, found in pairs.items()}


def _undone(change: Change, back: dict[str, str]) -> Change:
    path = renamed_path(change.path, back)
    if change.kind == RENAMED:
        return Change(RENAMED, (*change.path[:-1], change.before), change.after, change.before)
    stem, _, verb = change.kind.rpartition("_")
    shape = shape_at(change.path)
    one, other = change.after, change.before
    if not shape.scope and not change.kind.endswith(REORDERED):
        one, other = renamed(shape, one, back), renamed(shape, other, back)
    return Change(f"{stem}_{_OPPOSITE.get(verb, verb)}", path, one, other, change.at)


# ---- JSON ----


def _well_shaped(item: Any) -> bool:
    if not isinstance(item, dict) or item.get("kind") not in KINDS:
        return False
    path, kind, at = item.get("path"), item["kind"], item.get("at")
    if not isinstance(path, list) or not path or not all(isinstance(key, str) for key in path):
        return False
    if at is not None and (not isinstance(at, int) or isinstance(at, bool) or at < 0):
        return False
    sides: list[Any] = [item.get(side) for side in ("before", "after")]
    if kind == RENAMED:
        return all(isinstance(side, str) for side in sides) and path[-2:-1] == ["nodes"] and path[-1] == item["after"]
    if kind.endswith(REORDERED):
        return all(isinstance(side, list) and all(isinstance(n, str) for n in side) for side in sides) and (
            sorted(sides[0]) == sorted(sides[1])
        )
    shape = shape_at(tuple(path))
    needs: dict[str, Literal["before", "after"]] = {"added": "after", "removed": "before"}
    verb = kind.rpartition("_")[2]
    if verb in needs and (needs[verb] not in item or len(item.keys() & {"before", "after"}) != 1):
        return False
    return bool(kind == _kind(shape, item.get("before", ABSENT), item.get("after", ABSENT)))


def _misshapen(index: int, item: Any) -> Problem:
    hint = 'A change has "kind", "path" (a list of names), and "before" and "after" as its kind asks.'
    got = repr(item.get("kind")) if isinstance(item, dict) else type(item).__name__
    return Problem("bad_change", f"Change {index + 1} has the wrong form.", got=f"kind {got}", hint=hint)


def _change_from(item: dict[str, Any]) -> Change:
    path = tuple(item["path"])
    return Change(item["kind"], path, item.get("before", ABSENT), item.get("after", ABSENT), item.get("at"))

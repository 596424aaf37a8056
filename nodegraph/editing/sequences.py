"""Merging lists and orders of three versions: what either side took away goes, what either side put in comes."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Hashable, Sequence
from typing import TypeVar

T = TypeVar("T", bound=Hashable)


def merged_order(base: Sequence[T], ours: Sequence[T], theirs: Sequence[T]) -> tuple[list[T], bool]:
    """The order of both sides' items, each of which stands once in a list, and whether both changed it, and differently.

    What one side moved is where it moved it. What both inserted at one place comes ours first. Where orders clash it is ours.
    """
    known, in_ours, in_theirs = set(base), set(ours), set(theirs)
    kept = {item for item in [*ours, *theirs] if (item in in_ours and item in in_theirs) or item not in known}
    common = in_ours & in_theirs

    def old(items: Sequence[T]) -> list[T]:
        return [item for item in items if item in common and item in known]

    def new(items: Sequence[T]) -> list[T]:
        return [item for item in items if item in common and item not in known]

    moved_by_us, moved_by_them = old(ours) != old(base), old(theirs) != old(base)
    clash = (moved_by_us and moved_by_them and old(ours) != old(theirs)) or new(ours) != new(theirs)
    if moved_by_them and not moved_by_us and not clash:
        return _woven(theirs, ours, kept, known, first=True), False
    return _woven(ours, theirs, kept, known, first=False), clash


def _woven(frame: Sequence[T], other: Sequence[T], kept: set[T], known: set[T], first: bool) -> list[T]:
    """`frame` with what only `other` has, each item after the one it follows there: before or after the frame's own."""
    standing, held = set(frame), known | set(other)
    follow: dict[T | None, list[T]] = defaultdict(list)
    anchor: T | None = None
    for item in other:
        if item in standing:
            anchor = item
        elif item in kept:
            follow[anchor].append(item)
    found: list[T] = []
    waiting = follow.pop(None, [])
    for item in frame:
        if waiting and (first or item in held):
            found += waiting
            waiting = []
        if item in kept:
            found.append(item)
        waiting = waiting + follow.pop(item, [])
    return found + waiting


def merged_list(base: Sequence[str], ours: Sequence[str], theirs: Sequence[str]) -> tuple[list[str], bool]:
    """The same for lists in which an item may stand more than once."""
    order, clash = merged_order(*(_numbered(items) for items in (base, ours, theirs)))
    return [item for item, _ in order], clash


def _numbered(items: Sequence[str]) -> list[tuple[str, int]]:
    count: Counter[str] = Counter()
    found = []
    for item in items:
        found.append((item, count[item]))
        count[item] += 1
    return found

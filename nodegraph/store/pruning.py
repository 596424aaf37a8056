"""Which old revisions may go: of what is long past one a day stays, and never does the end of a line of work go."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

DRAFT = "draft"
_DAY = 86_400


class Keep(NamedTuple):
    """How much of a document's history is kept whole; before that, one revision a day."""

    days: int = 30
    least: int = 100


KEEP = Keep()


class Row(NamedTuple):
    """What counts of a revision here; `parent` is the number of the one that it came after."""

    number: int
    parent: int | None
    kind: str
    at: float


def spare(rows: Iterable[Row], current: int | None, now: float, keep: Keep = KEEP) -> set[int]:
    """The numbers that may go.

    What stays: the newest `least`, those of the last `days`, the current one, each day's last (of drafts and of others), and
    whatever nothing came after: the last state of a line of work that was undone is the only copy of it.
    """
    known = sorted(rows)
    went_on = {row.parent for row in known if row.kind != DRAFT}
    last_of_day = {(row.kind == DRAFT, row.at // _DAY): row.number for row in known}
    stays = {*last_of_day.values(), *(row.number for row in known[-keep.least :]), current}
    return {
        row.number
        for row in known
        if row.number not in stays
        and row.at < now - keep.days * _DAY
        and (row.kind == DRAFT or row.number in went_on)
    }  # fmt: skip


def adopted(rows: Iterable[Row], gone: set[int]) -> dict[int, int | None]:
    """The new parents of those revisions that stay while theirs goes: the nearest before it that stays."""
    parents = {row.number: row.parent for row in rows}
    changed = {}
    for number, parent in parents.items():
        if number in gone or parent not in gone:
            continue
        while parent in gone:
            parent = parents[parent]
        changed[number] = parent
    return changed

"""Finding jobs: pages by filters, and the queue. Pages go on from a place, so what is added meanwhile shifts nothing."""

from __future__ import annotations

import sqlite3
from typing import Any, NamedTuple

from nodegraph.jobs.records import COLUMNS, Filter, JobRecord, count, record
from nodegraph.jobs.words import like, matching

_RUNNING = f"SELECT {COLUMNS} FROM jobs WHERE state = 'running' ORDER BY started, id"


class Place(NamedTuple):
    """A place in the queue: that of a job, which need not be there any more."""

    priority: int
    rank: float


class Waiting(NamedTuple):
    """The queue, or a page of it."""

    paused: bool
    running: list[JobRecord]
    queued: list[JobRecord]
    waiting: int
    """How many wait altogether."""
    next: Place | None
    """Where the next page goes on; None on the last."""


def page(connection: sqlite3.Connection, wanted: Filter, cursor: str | None, limit: int) -> tuple[list[JobRecord], str | None]:
    """Jobs, the newest first, and the cursor of the next page (None on the last)."""
    conditions, values = ["1"], list[Any]()

    def add(condition: str, *given: Any) -> None:
        conditions.append(condition)
        values.extend(given)

    if wanted.states:
        add(f"state IN ({', '.join('?' * len(wanted.states))})", *wanted.states)
    if wanted.workflow_id is not None:
        add("workflow_id = ?", wanted.workflow_id)
    if wanted.document_id is not None:
        add("document_id = ?", wanted.document_id)
    if wanted.created_after is not None:
        add("created >= ?", wanted.created_after)
    if wanted.created_before is not None:
        add("created < ?", wanted.created_before)
    if wanted.text is not None:
        condition, given = matching(connection, wanted.text)
        add(condition, *given)
    if wanted.model is not None:
        add("id IN (SELECT job FROM marks WHERE kind = 'model' AND value LIKE ? ESCAPE '\\')", like(wanted.model))
    for kind, value in (("seed", wanted.seed), ("node", wanted.node)):
        if value is not None:
            add("id IN (SELECT job FROM marks WHERE kind = ? AND value = ?)", kind, value)
    if cursor is not None:
        add("id < ?", cursor)
    query = f"SELECT {COLUMNS} FROM jobs WHERE {' AND '.join(conditions)} ORDER BY id DESC LIMIT ?"
    found = [record(row) for row in connection.execute(query, (*values, limit + 1))]
    return found[:limit], found[limit - 1].id if len(found) > limit else None


def queue(connection: sqlite3.Connection, after: Place | None, limit: int) -> Waiting:
    """What runs, and what waits in the order in which it will run; at most so many, from after a place on."""
    paused = connection.execute("SELECT 1 FROM state WHERE name = 'paused'").fetchone() is not None
    running = [record(row) for row in connection.execute(_RUNNING)]
    rows = _rows_after(connection, after, limit + 1)
    queued = [record(row[1:]) for row in rows[:limit]]
    following = Place(queued[-1].priority, rows[limit - 1][0]) if len(rows) > limit else None
    return Waiting(paused, running, queued, count(connection, "queued"), following)


def _rows_after(connection: sqlite3.Connection, after: Place | None, limit: int) -> list[Any]:
    """Rows of rank and `COLUMNS`. Two look-ups, because no index serves `(priority DESC, rank) > (?, ?)`."""
    select, order = f"SELECT rank, {COLUMNS} FROM jobs WHERE state = 'queued'", "ORDER BY priority DESC, rank LIMIT ?"
    if after is None:
        return connection.execute(f"{select} {order}", (limit,)).fetchall()
    same = connection.execute(f"{select} AND priority = ? AND rank > ? {order}", (*after, limit)).fetchall()
    lower = connection.execute(f"{select} AND priority < ? {order}", (after.priority, limit - len(same))).fetchall()
    return same + lower

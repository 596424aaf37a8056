"""The order of the queue: larger priorities first, then by rank, which no two jobs share, so that any may change its priority.

A job that is moved takes on the priority of the place that it goes to.
"""

from __future__ import annotations

import sqlite3
from typing import Literal

from nodegraph.jobs.commits import Transaction
from nodegraph.jobs.records import JobRecord, job
from nodegraph.jobs.transitions import NotNow

_WAITING = ("queued", "paused")
_OPEN = ("queued", "paused", "running")  # what runs keeps its place: it may have to wait again


def move_before(tx: Transaction, id_: str, other: str) -> JobRecord | None:
    """Let a job that waits go just before another one that waits. None where either is unknown; raises NotNow."""
    found, target = job(tx.connection, id_), job(tx.connection, other)
    if found is None or target is None:
        return None
    _check(found)
    _check(target)
    if id_ == other:
        return found
    rank = _rank_before(tx.connection, target)
    if rank is None:
        _spread(tx.connection)
        rank = _rank_before(tx.connection, target)
        assert rank is not None, "whole numbers have room between them"
    return _put(tx, found, target.priority, rank)


def move_to_end(tx: Transaction, id_: str, position: Literal["first", "last"]) -> JobRecord | None:
    """Let a job that waits be the next one, or the last. None where it is unknown; raises NotNow."""
    found = job(tx.connection, id_)
    if found is None:
        return None
    _check(found)
    order, better = ("DESC", max) if position == "first" else ("ASC", min)
    query = f"SELECT priority FROM jobs WHERE state = 'queued' AND id <> ? ORDER BY priority {order} LIMIT 1"
    row = tx.connection.execute(query, (id_,)).fetchone()
    priority = found.priority if row is None else better(found.priority, int(row[0]))
    if position == "last":
        (rank,) = tx.connection.execute("SELECT MAX(rank) + 1 FROM jobs").fetchone()
    else:
        (rank,) = tx.connection.execute("SELECT MIN(rank) - 1 FROM jobs").fetchone()
    return _put(tx, found, priority, rank)


def set_priority(tx: Transaction, id_: str, priority: int) -> JobRecord | None:
    """Let a job that waits go before all of lower priority; among equals its age counts, as before. Raises NotNow."""
    found = job(tx.connection, id_)
    if found is None or found.priority == priority:
        return found
    _check(found)
    (rank,) = tx.connection.execute("SELECT rank FROM jobs WHERE id = ?", (id_,)).fetchone()
    return _put(tx, found, priority, rank)


def _check(found: JobRecord) -> None:
    if found.state not in _WAITING:
        raise NotNow(f"The job {found.id} is {found.state}: only jobs that wait have a place in the queue.")


def _put(tx: Transaction, found: JobRecord, priority: int, rank: float) -> JobRecord | None:
    tx.connection.execute("UPDATE jobs SET priority = ?, rank = ? WHERE id = ?", (priority, rank, found.id))
    tx.event("job_moved", found.id, state=found.state, priority=priority)
    return job(tx.connection, found.id)


def _rank_before(connection: sqlite3.Connection, target: JobRecord) -> float | None:
    """A rank that no job has, just before another job's; None where there is no number left between."""
    (here,) = connection.execute("SELECT rank FROM jobs WHERE id = ?", (target.id,)).fetchone()
    (below,) = connection.execute("SELECT MAX(rank) FROM jobs WHERE rank < ?", (here,)).fetchone()
    between = here - 1 if below is None else (below + here) / 2
    return between if (below is None or below < between) and between < here else None


def _spread(connection: sqlite3.Connection) -> None:
    """Give all open jobs whole numbers for ranks, in the order that they have."""
    marks = ", ".join("?" * len(_OPEN))
    rows = connection.execute(f"SELECT id FROM jobs WHERE state IN ({marks}) ORDER BY rank, id", _OPEN).fetchall()
    (most,) = connection.execute("SELECT MAX(rank) FROM jobs").fetchone()
    ranks = [(float(int(most) + number), id_) for number, (id_,) in enumerate(rows, 1)]
    connection.executemany("UPDATE jobs SET rank = ? WHERE id = ?", ranks)

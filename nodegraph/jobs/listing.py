"""Finding jobs: pages by filters, and the queue."""

from __future__ import annotations

import sqlite3
from typing import Any

from nodegraph.jobs.records import COLUMNS, Filter, JobRecord, record

_WAITING = f"SELECT {COLUMNS} FROM jobs WHERE state = 'queued' ORDER BY priority DESC, rank"
_RUNNING = f"SELECT {COLUMNS} FROM jobs WHERE state = 'running' ORDER BY started, id"


def page(connection: sqlite3.Connection, wanted: Filter, cursor: str | None, limit: int) -> tuple[list[JobRecord], str | None]:
    """Jobs, the newest first, and the cursor of the next page (None on the last)."""
    conditions, values = ["1"], list[Any]()
    if wanted.states:
        conditions.append(f"state IN ({', '.join('?' * len(wanted.states))})")
        values += wanted.states
    if wanted.workflow_id is not None:
        conditions.append("workflow_id = ?")
        values.append(wanted.workflow_id)
    if wanted.text is not None:
        conditions.append("id IN (SELECT job FROM texts WHERE texts MATCH ?)")
        values.append(_phrases(wanted.text))
    for kind in ("model", "seed", "node"):
        if (value := getattr(wanted, kind)) is not None:
            conditions.append("id IN (SELECT job FROM marks WHERE kind = ? AND value = ?)")
            values += [kind, value]
    if cursor is not None:
        conditions.append("id < ?")
        values.append(cursor)
    query = f"SELECT {COLUMNS} FROM jobs WHERE {' AND '.join(conditions)} ORDER BY id DESC LIMIT ?"
    found = [record(row) for row in connection.execute(query, (*values, limit + 1))]
    return found[:limit], found[limit - 1].id if len(found) > limit else None


def queue(connection: sqlite3.Connection) -> tuple[bool, list[JobRecord], list[JobRecord]]:
    """Whether the queue is paused; what runs; what waits, in the order in which it will run."""
    paused = connection.execute("SELECT 1 FROM state WHERE name = 'paused'").fetchone() is not None
    running, waiting = ([record(row) for row in connection.execute(query)] for query in (_RUNNING, _WAITING))
    return paused, running, waiting


def _phrases(text: str) -> str:
    """Words to look for, each as it is: what a person types is no query language. The last may be the beginning of a word."""
    words = ['"' + word.replace('"', '""') + '"' for word in text.split()]
    return " ".join(words) + "*" if words else '""'

"""The log of events: numbered without gaps that matter, kept across restarts, the oldest forgotten first."""

from __future__ import annotations

import json
import sqlite3
from typing import Any, NamedTuple


class LoggedEvent(NamedTuple):
    """An event as it was committed. `text` is its JSON as every client gets it, made once."""

    seq: int
    job: str | None
    text: str


def add_event(connection: sqlite3.Connection, at: float, type_: str, job: str | None, data: dict[str, Any]) -> LoggedEvent:
    """Append an event to the log; its number is the next one, also after a restart."""
    body = json.dumps({"at": round(at, 3), "type": type_, **({"job": job} if job else {}), **data}, ensure_ascii=False)
    cursor = connection.execute("INSERT INTO events (job, text) VALUES (?, ?)", (job, body))
    seq = int(cursor.lastrowid or 0)
    return LoggedEvent(seq, job, _numbered(seq, body))


def belongs_to(connection: sqlite3.Connection, job: str) -> dict[str, str]:
    """What a job belongs to, as every event of a change of it tells: listeners need not ask whose it is."""
    query = "SELECT workflow_id, document_id, client FROM jobs WHERE id = ?"
    row = connection.execute(query, (job,)).fetchone() or ()
    return {name: value for name, value in zip(("workflow_id", "document", "client"), row, strict=False) if value is not None}


def events_after(connection: sqlite3.Connection, seq: int, limit: int) -> list[LoggedEvent]:
    """What came after an event, the oldest first."""
    query = "SELECT seq, job, text FROM events WHERE seq > ? ORDER BY seq LIMIT ?"
    return [LoggedEvent(number, job, _numbered(number, text)) for number, job, text in connection.execute(query, (seq, limit))]


def events_of(connection: sqlite3.Connection, job: str, seq: int, limit: int) -> list[LoggedEvent]:
    """A job's events after one, the oldest first."""
    query = "SELECT seq, job, text FROM events WHERE job = ? AND seq > ? ORDER BY seq LIMIT ?"
    rows = connection.execute(query, (job, seq, limit))
    return [LoggedEvent(number, job, _numbered(number, text)) for number, job, text in rows]


def bounds(connection: sqlite3.Connection) -> tuple[int, int]:
    """The number before the oldest event that is kept, and the number of the latest that ever was."""
    (first,) = connection.execute("SELECT MIN(seq) FROM events").fetchone()
    row = connection.execute("SELECT seq FROM sqlite_sequence WHERE name = 'events'").fetchone()
    last = int(row[0]) if row else 0
    return (int(first) - 1 if first is not None else last), last


def _numbered(seq: int, body: str) -> str:
    return f'{{"seq": {seq}, {body[1:]}'

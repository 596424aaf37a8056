"""How jobs change: each function is one step in a transaction, and tells of it in the event log.

queued -> running -> succeeded | failed | cancelled          queued <-> paused, queued -> cancelled
running -> queued (the server or the worker went away)       running -> paused (asked for)
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Mapping, Sequence
from typing import Any

from nodegraph.jobs import parts
from nodegraph.jobs.commits import Transaction
from nodegraph.jobs.ids import new_id
from nodegraph.jobs.records import COLUMNS, Ended, JobRecord, NewJob, count, job, record
from nodegraph.jobs.words import add_words
from nodegraph.wire.jobs import with_url

MOST_CRASHES = 2
"""Workers that may die with a job that they run alone before the job is given up."""

_FIRST = f"SELECT {COLUMNS} FROM jobs WHERE state = 'queued' AND (alone = 0 OR ?) ORDER BY priority DESC, rank LIMIT 1"


class QueueFull(Exception):
    """As many jobs wait as may."""


class NotNow(Exception):
    """What was asked for does not fit the state that the job is in; the text says why."""


def add(tx: Transaction, new: NewJob, most_queued: int | None = None) -> JobRecord:
    """Queue a job. Raises QueueFull where so many wait already."""
    if most_queued is not None and count(tx.connection, "queued") >= most_queued:
        raise QueueFull
    (latest,) = tx.connection.execute("SELECT MAX(id) FROM jobs").fetchone()
    id_ = new_id(latest)
    tx.connection.execute(
        "INSERT INTO jobs (id, state, priority, rank, title, workflow_id, exact, wanted, inputs, webhook, retry_of, created,"
        " document_id, client) VALUES (?, 'queued', ?, (SELECT COALESCE(MAX(rank), 0) + 1 FROM jobs),"
        " ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            id_,
            new.priority,
            new.title,
            new.workflow_id,
            new.exact,
            None if new.wanted is None else json.dumps(list(new.wanted)),
            json.dumps(dict(new.inputs), ensure_ascii=False),
            new.webhook,
            new.retry_of,
            tx.now,
            new.document_id,
            new.client,
        ),
    )
    tx.connection.execute("INSERT INTO documents VALUES (?, ?)", (id_, zlib.compress(new.document.encode(), 1)))
    tx.connection.executemany("INSERT OR IGNORE INTO marks VALUES (?, ?, ?)", [(*mark, id_) for mark in new.marks])
    if new.text:
        add_words(tx.connection, id_, new.text)
    about = {"title": new.title, "priority": new.priority, **({"retry_of": new.retry_of} if new.retry_of else {})}
    tx.event("job_queued", id_, state="queued", reason="", **about)
    return _again(tx, id_)


def claim(tx: Transaction, worker: str, running: int, suspects: bool = True) -> JobRecord | None:
    """The next job for a worker that runs so many already, or None. A job under suspicion waits for an empty worker.

    A worker that takes no `suspects` goes on with the next that is none.
    """
    if paused(tx):
        return None
    row = tx.connection.execute(_FIRST, (suspects,)).fetchone()
    found = None if row is None else record(row)
    if found is None or (found.alone and running):
        return None
    tx.connection.execute(
        "UPDATE jobs SET state = 'running', attempts = attempts + 1, started = COALESCE(started, ?), worker = ?, reason = ''"
        " WHERE id = ?",
        (tx.now, worker, found.id),
    )
    tx.event("job_started", found.id, state="running", attempt=found.attempts + 1, worker=worker)
    return _again(tx, found.id)


def finish(tx: Transaction, id_: str, attempt: int, ended: Ended) -> JobRecord | None:
    """An attempt has ended. None, and nothing changes, where the job is no longer in that attempt."""
    found = job(tx.connection, id_)
    if found is None or found.state != "running" or found.attempts != attempt:
        return None
    if ended.state == "cancelled" and found.stopping in ("paused", "queued"):
        return _stop(tx, found)
    return _end(tx, id_, ended.state, ended=ended)


def put_back(tx: Transaction, id_: str, attempt: int, reason: str) -> JobRecord | None:
    """An attempt came to nothing, and not by the job's fault: it waits again, in its old place."""
    found = job(tx.connection, id_)
    if found is None or found.state != "running" or found.attempts != attempt:
        return None
    if found.stopping:
        return _stop(tx, found)
    return _set(tx, id_, "queued", reason=reason)


def crashed(tx: Transaction, attempts: Sequence[tuple[str, int]], reason: str) -> list[JobRecord]:
    """A worker died with these attempts. One that was alone is to blame; several are tried again one at a time."""
    changed = []
    for id_, attempt in attempts:
        found = job(tx.connection, id_)
        if found is None or found.state != "running" or found.attempts != attempt:
            continue
        if found.stopping:
            changed.append(_stop(tx, found))
            continue
        crashes = found.crashes + (len(attempts) == 1)
        tx.connection.execute("UPDATE jobs SET alone = 1, crashes = ? WHERE id = ?", (crashes, id_))
        if crashes >= MOST_CRASHES:
            why = f"The worker died {crashes} times while it ran this job alone: {reason}"
            error = {"type": "nodegraph:worker_died", "title": "The worker died.", "status": 500, "detail": why}
            changed.append(_end(tx, id_, "failed", error=error, reason=why))
        else:
            changed.append(_set(tx, id_, "queued", reason=f"The worker died: {reason}"))
    return changed


def recover(tx: Transaction) -> list[JobRecord]:
    """The server starts: what was running when the last one ended waits again."""
    query = f"SELECT {COLUMNS} FROM jobs WHERE state = 'running' ORDER BY id"
    left = [record(row) for row in tx.connection.execute(query).fetchall()]
    return [
        _stop(tx, found) if found.stopping else _set(tx, found.id, "queued", reason="The server was restarted.")
        for found in left
    ]


def cancel(tx: Transaction, id_: str) -> JobRecord | None:
    """Cancel a job; one that runs is `stopping` until its worker says so. One that has ended stays as it is."""
    return _ask_to_stop(tx, id_, "cancelled", ("queued", "paused"))


def pause(tx: Transaction, id_: str) -> JobRecord | None:
    """Let a job wait until it is resumed; one that runs stops after the step that it is at."""
    return _ask_to_stop(tx, id_, "paused", ("queued",))


def resume(tx: Transaction, id_: str) -> JobRecord | None:
    """A paused job goes back to its place in the queue; one that was to pause and runs still, as soon as it has stopped."""
    found = job(tx.connection, id_)
    if found is not None and found.state == "running" and found.stopping == "paused":
        return _ask_to_stop(tx, id_, "queued", ())
    if found is None or found.state != "paused":
        return found
    return _set(tx, id_, "queued", reason="resumed")


def paused(tx: Transaction) -> bool:
    """Whether the queue as a whole is paused."""
    return tx.connection.execute("SELECT 1 FROM state WHERE name = 'paused'").fetchone() is not None


def pause_queue(tx: Transaction, on: bool) -> None:
    """Start no more jobs, or start them again; what runs goes on."""
    if on == paused(tx):
        return
    if on:
        tx.connection.execute("INSERT INTO state VALUES ('paused', '1')")
    else:
        tx.connection.execute("DELETE FROM state WHERE name = 'paused'")
    tx.event("queue_paused" if on else "queue_resumed")


def cancel_queued(tx: Transaction, most: int) -> list[JobRecord]:
    """Cancel jobs that wait, the next ones first, but no more than so many at once."""
    query = f"SELECT {COLUMNS} FROM jobs WHERE state = 'queued' ORDER BY priority DESC, rank LIMIT ?"
    waiting = [record(row) for row in tx.connection.execute(query, (most,)).fetchall()]
    return [_end(tx, found.id, "cancelled") for found in waiting]


def retry(tx: Transaction, id_: str, most_queued: int | None = None) -> JobRecord | None:
    """Queue a job that did not succeed once more, as a new one: what was finished then comes from the cache.

    Raises NotNow for other jobs, QueueFull.
    """
    found = job(tx.connection, id_)
    if found is None:
        return None
    if found.state not in ("failed", "cancelled"):
        raise NotNow(f"The job is {found.state}: only one that failed or was cancelled can be tried again.")
    (document,) = tx.connection.execute("SELECT document FROM documents WHERE job = ?", (id_,)).fetchone()
    text = tx.connection.execute("SELECT text FROM words WHERE job = ?", (id_,)).fetchone()
    marks = tx.connection.execute("SELECT kind, value FROM marks WHERE job = ? AND kind <> ?", (id_, parts.MARK)).fetchall()
    new = NewJob(
        document=zlib.decompress(document).decode(),
        title=found.title,
        inputs=found.inputs,
        wanted=found.wanted,
        workflow_id=found.workflow_id,
        priority=found.priority,
        exact=found.exact,
        webhook=found.webhook,
        retry_of=id_,
        marks=marks,
        text="" if text is None else text[0],
        document_id=found.document_id,
        client=found.client,
    )
    return add(tx, new, most_queued)


def _ask_to_stop(tx: Transaction, id_: str, goal: str, at_once: Sequence[str]) -> JobRecord | None:
    found = job(tx.connection, id_)
    if found is None or (found.state != "running" and found.state not in at_once):
        return found
    if found.state == "running":
        if found.stopping != "cancelled":
            tx.connection.execute("UPDATE jobs SET stopping = ? WHERE id = ?", (goal, id_))
            tx.event("job_stopping", id_, state="running", stopping=goal)
        return _again(tx, id_)
    return _end(tx, id_, goal) if goal == "cancelled" else _set(tx, id_, goal, reason=goal)


def _stop(tx: Transaction, found: JobRecord) -> JobRecord:
    """What a job that was to stop becomes when it has, or when its worker is gone."""
    if found.stopping == "cancelled":
        return _end(tx, found.id, "cancelled")
    goal = found.stopping or "paused"
    return _set(tx, found.id, goal, reason="resumed" if goal == "queued" else goal)


def _set(tx: Transaction, id_: str, state: str, *, reason: str) -> JobRecord:
    """A job that has not ended goes to another state."""
    tx.connection.execute(
        "UPDATE jobs SET state = ?, reason = ?, worker = NULL, stopping = NULL WHERE id = ?", (state, reason, id_)
    )
    tx.event(f"job_{state}", id_, state=state, reason=reason)
    return _again(tx, id_)


def _end(
    tx: Transaction,
    id_: str,
    state: str,
    *,
    ended: Ended | None = None,
    error: Mapping[str, Any] | None = None,
    reason: str = "",
) -> JobRecord:
    """A job ends, once and for all."""
    error = ended.error if ended is not None else error
    outputs = {} if ended is None else {name: [dict(row) for row in rows] for name, rows in ended.outputs.items()}
    tx.connection.execute(
        "UPDATE jobs SET state = ?, finished = ?, seconds = ?, reason = ?, error = ?, outputs = ?, worker = NULL,"
        " stopping = NULL, alone = 0 WHERE id = ?",
        (
            *(state, tx.now, None if ended is None else ended.seconds, reason),
            *(None if error is None else json.dumps(error, ensure_ascii=False), json.dumps(outputs, ensure_ascii=False), id_),
        ),
    )
    if ended is not None:
        nodes = zlib.compress(json.dumps(ended.nodes, ensure_ascii=False).encode(), 1)
        tx.connection.execute("INSERT OR REPLACE INTO node_rows VALUES (?, ?)", (id_, nodes))
        marks = [(*mark, id_) for mark in parts.marks_of(ended.nodes)]
        tx.connection.executemany("INSERT OR IGNORE INTO marks VALUES (?, ?, ?)", marks)
    for rows in outputs.values():
        for row in rows:
            if "digest" in row:
                kept = (row["digest"], row["media_type"], row["bytes"], tx.now)
                tx.connection.execute("INSERT OR REPLACE INTO artifacts VALUES (?, ?, ?, ?)", kept)
                tx.connection.execute("INSERT OR IGNORE INTO job_artifacts VALUES (?, ?)", (id_, row["digest"]))
    shown = {name: [with_url(row) for row in rows] for name, rows in outputs.items()}
    tx.event("job_finished", id_, state=state, reason=reason, outputs=shown, **({"error": error} if error else {}))
    return _again(tx, id_)


def _again(tx: Transaction, id_: str) -> JobRecord:
    found = job(tx.connection, id_)
    assert found is not None
    return found

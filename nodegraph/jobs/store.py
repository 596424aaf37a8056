"""The job store: everything that the server remembers of jobs, in `DATA/jobs.sqlite`."""

from __future__ import annotations

import hashlib
import json
import sqlite3
import time
import zlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple, TypeVar

from nodegraph.jobs import events as log
from nodegraph.jobs import ordering, transitions
from nodegraph.jobs.commits import Commits, Transaction
from nodegraph.jobs.events import LoggedEvent
from nodegraph.jobs.listing import Place, Waiting, page, queue
from nodegraph.jobs.records import Ended, Filter, JobRecord, NewJob, job
from nodegraph.jobs.sessions import Sessions

T = TypeVar("T")

KEY_SECONDS = 24 * 3600.0
"""How long an Idempotency-Key is remembered."""

_CANCELLED_AT_ONCE = 500


class KeyReused(Exception):
    """An Idempotency-Key came again with another request."""


class Key(NamedTuple):
    """An idempotency key, and the digest of the request that it came with."""

    name: str
    digest: str

    @staticmethod
    def of(name: str, *parts: bytes) -> Key:
        """A key for a request that consists of these parts."""
        digest = hashlib.sha256()
        for part in parts:
            digest.update(len(part).to_bytes(8, "big") + part)
        return Key(name, digest.hexdigest())


class Known(NamedTuple):
    """A job with what is stored beside it."""

    job: JobRecord
    nodes: dict[str, Any]
    retried_as: str | None


class JobStore:
    """All calls are for the loop that it was opened on. Raise StoreFailed when the file cannot be used."""

    def __init__(self, path: Path, told: Callable[[Sequence[LoggedEvent]], None] | None = None) -> None:
        self._commits = Commits(path, told)
        self.sessions = Sessions(self._commits)

    def time(self, timed: Callable[[float], None]) -> None:
        """Let somebody hear how many seconds each transaction takes, on the writing thread."""
        self._commits.timed = timed

    async def close(self) -> None:
        await self._commits.close()

    async def write(self, work: Callable[[Transaction], T]) -> T:
        """Do `work` in a transaction; when this returns it is on disk."""
        return await self._commits.write(work)

    async def read(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """What `work` finds."""
        return await self._commits.read(work)

    # ---- jobs ----

    async def add(self, new: NewJob, key: Key | None = None, most_queued: int | None = None) -> tuple[JobRecord, bool]:
        """Queue a job. With an idempotency key that came before with the same request, the job that it made then (and False).

        Raises KeyReused where the request was another, QueueFull.
        """
        return await self.write(lambda tx: _once(tx, key, lambda: transitions.add(tx, new, most_queued)))

    async def retry(self, id_: str, key: Key | None = None, most_queued: int | None = None) -> tuple[JobRecord | None, bool]:
        """Queue a job that did not succeed again, as a new one; None where it is unknown. Raises NotNow, and as `add` does."""
        return await self.write(lambda tx: _once(tx, key, lambda: transitions.retry(tx, id_, most_queued)))

    async def made_by(self, key: Key) -> JobRecord | None:
        """The job that this request made before. Raises KeyReused."""
        return await self.read(lambda connection: _made_by(connection, key, time.time()))

    async def get(self, id_: str) -> JobRecord | None:
        return await self._commits.read(lambda connection: job(connection, id_))

    async def known(self, id_: str) -> Known | None:
        """A job, and what is stored beside it."""
        return await self.read(lambda connection: _known(connection, id_))

    async def document(self, id_: str) -> str | None:
        """The document that a job runs, as text."""
        query = "SELECT document FROM documents WHERE job = ?"
        row = await self._commits.read(lambda connection: connection.execute(query, (id_,)).fetchone())
        return None if row is None else zlib.decompress(row[0]).decode()

    async def page(self, wanted: Filter, cursor: str | None, limit: int) -> tuple[list[JobRecord], str | None]:
        """Jobs, the newest first, and the cursor of the next page."""
        return await self._commits.read(lambda connection: page(connection, wanted, cursor, limit))

    async def queue(self, after: Place | None = None, limit: int = 100) -> Waiting:
        """What runs, and what waits in the order in which it will run; at most so many, from after a place on."""
        return await self.read(lambda connection: queue(connection, after, limit))

    async def counts(self) -> dict[str, int]:
        """How many jobs are in each state."""
        rows = await self.read(lambda connection: connection.execute("SELECT state, jobs FROM counts").fetchall())
        return dict(rows)

    # ---- changes ----

    async def claim(self, worker: str, running: int, suspects: bool = True) -> JobRecord | None:
        return await self._commits.write(lambda tx: transitions.claim(tx, worker, running, suspects))

    async def finish(self, id_: str, attempt: int, ended: Ended) -> JobRecord | None:
        return await self._commits.write(lambda tx: transitions.finish(tx, id_, attempt, ended))

    async def put_back(self, id_: str, attempt: int, reason: str) -> JobRecord | None:
        return await self._commits.write(lambda tx: transitions.put_back(tx, id_, attempt, reason))

    async def crashed(self, attempts: Sequence[tuple[str, int]], reason: str) -> list[JobRecord]:
        return await self._commits.write(lambda tx: transitions.crashed(tx, attempts, reason))

    async def recover(self) -> list[JobRecord]:
        return await self._commits.write(transitions.recover)

    async def cancel(self, id_: str) -> JobRecord | None:
        return await self._commits.write(lambda tx: transitions.cancel(tx, id_))

    async def pause(self, id_: str) -> JobRecord | None:
        return await self._commits.write(lambda tx: transitions.pause(tx, id_))

    async def resume(self, id_: str) -> JobRecord | None:
        return await self._commits.write(lambda tx: transitions.resume(tx, id_))

    async def move_before(self, id_: str, other: str) -> JobRecord | None:
        return await self.write(lambda tx: ordering.move_before(tx, id_, other))

    async def move_to_end(self, id_: str, position: Literal["first", "last"]) -> JobRecord | None:
        return await self.write(lambda tx: ordering.move_to_end(tx, id_, position))

    async def set_priority(self, id_: str, priority: int) -> JobRecord | None:
        return await self.write(lambda tx: ordering.set_priority(tx, id_, priority))

    async def cancel_queued(self) -> list[JobRecord]:
        """Cancel some of what waits; nothing is left when this gives nothing. Others have their turn in between."""
        return await self.write(lambda tx: transitions.cancel_queued(tx, _CANCELLED_AT_ONCE))

    async def pause_queue(self, on: bool) -> None:
        await self._commits.write(lambda tx: transitions.pause_queue(tx, on))

    # ---- events ----

    async def tell(self, events: Sequence[tuple[str, str | None, Mapping[str, Any]]]) -> None:
        """Put events into the log: type, job, data."""

        def work(tx: Transaction) -> None:
            for type_, id_, data in events:
                tx.event(type_, id_, **data)

        await self._commits.write(work)

    async def events(self, since: int, limit: int = 1000) -> list[LoggedEvent]:
        """What came after an event, the oldest first."""
        return await self.read(lambda connection: log.events_after(connection, since, limit))

    async def events_of(self, id_: str, since: int, limit: int) -> list[LoggedEvent]:
        """A job's events after one, the oldest first."""
        return await self.read(lambda connection: log.events_of(connection, id_, since, limit))

    async def bounds(self) -> tuple[int, int]:
        """The number before the oldest event that is kept, and that of the latest."""
        return await self._commits.read(log.bounds)


def _once(tx: Transaction, key: Key | None, do: Callable[[], Any]) -> tuple[Any, bool]:
    """What `do` makes, and True; or what it made when this key came before."""
    if key is not None and (made := _made_by(tx.connection, key, tx.now)) is not None:
        return made, False
    made = do()
    if key is not None and made is not None:
        tx.connection.execute("INSERT OR REPLACE INTO requests VALUES (?, ?, ?, ?)", (key.name, key.digest, made.id, tx.now))
    return made, True


def _made_by(connection: sqlite3.Connection, key: Key, now: float) -> JobRecord | None:
    query = "SELECT digest, job FROM requests WHERE key = ? AND created >= ?"
    row = connection.execute(query, (key.name, now - KEY_SECONDS)).fetchone()
    if row is not None and row[0] != key.digest:
        raise KeyReused(key.name)
    return None if row is None else job(connection, row[1])


def _known(connection: sqlite3.Connection, id_: str) -> Known | None:
    found = job(connection, id_)
    if found is None:
        return None
    nodes = connection.execute("SELECT nodes FROM node_rows WHERE job = ?", (id_,)).fetchone()
    retried = connection.execute("SELECT MAX(id) FROM jobs WHERE retry_of = ?", (id_,)).fetchone()
    return Known(found, {} if nodes is None else json.loads(zlib.decompress(nodes[0])), retried[0])

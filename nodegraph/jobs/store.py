"""The job store: everything that the server remembers of jobs, in `DATA/jobs.sqlite`."""

from __future__ import annotations

import hashlib
import json
import zlib
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from nodegraph.jobs import events as log
from nodegraph.jobs import transitions
from nodegraph.jobs.commits import Commits, Transaction
from nodegraph.jobs.events import LoggedEvent
from nodegraph.jobs.listing import page, queue
from nodegraph.jobs.records import Ended, Filter, JobRecord, NewJob, job


class KeyReused(Exception):
    """An Idempotency-Key came again with another request."""


class JobStore:
    """All calls are for the loop that it was opened on. Raise StoreFailed when the file cannot be used."""

    def __init__(self, path: Path, told: Callable[[Sequence[LoggedEvent]], None] | None = None) -> None:
        self._commits = Commits(path, told)

    async def close(self) -> None:
        await self._commits.close()

    # ---- jobs ----

    async def add(self, new: NewJob, key: str | None = None, request: bytes = b"") -> tuple[JobRecord, bool]:
        """Queue a job. With an idempotency key that came before with the same request, the job that it made then (and False).

        Raises KeyReused where the request was another.
        """

        def work(tx: Transaction) -> tuple[JobRecord, bool]:
            digest = hashlib.sha256(request).hexdigest()
            if key is not None:
                row = tx.connection.execute("SELECT digest, job FROM requests WHERE key = ?", (key,)).fetchone()
                if row is not None and row[0] != digest:
                    raise KeyReused(key)
                if row is not None and (known := job(tx.connection, row[1])) is not None:
                    return known, False
            made = transitions.add(tx, new)
            if key is not None:
                tx.connection.execute("INSERT OR REPLACE INTO requests VALUES (?, ?, ?, ?)", (key, digest, made.id, tx.now))
            return made, True

        return await self._commits.write(work)

    async def get(self, id_: str) -> JobRecord | None:
        return await self._commits.read(lambda connection: job(connection, id_))

    async def document(self, id_: str) -> str | None:
        """The document that a job runs, as text."""
        query = "SELECT document FROM documents WHERE job = ?"
        row = await self._commits.read(lambda connection: connection.execute(query, (id_,)).fetchone())
        return None if row is None else zlib.decompress(row[0]).decode()

    async def nodes(self, id_: str) -> dict[str, Any]:
        """What became of a job's nodes."""
        query = "SELECT nodes FROM node_rows WHERE job = ?"
        row = await self._commits.read(lambda connection: connection.execute(query, (id_,)).fetchone())
        return {} if row is None else dict(json.loads(zlib.decompress(row[0])))

    async def page(self, wanted: Filter, cursor: str | None, limit: int) -> tuple[list[JobRecord], str | None]:
        """Jobs, the newest first, and the cursor of the next page."""
        return await self._commits.read(lambda connection: page(connection, wanted, cursor, limit))

    async def queue(self) -> tuple[bool, list[JobRecord], list[JobRecord]]:
        """Whether the queue is paused; what runs; what waits, in the order in which it will run."""
        return await self._commits.read(queue)

    # ---- changes ----

    async def claim(self, worker: str, running: int) -> JobRecord | None:
        return await self._commits.write(lambda tx: transitions.claim(tx, worker, running))

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
        return await self._commits.read(partial(log.events_after, seq=since, limit=limit))

    async def bounds(self) -> tuple[int, int]:
        """The number before the oldest event that is kept, and that of the latest."""
        return await self._commits.read(log.bounds)

"""A SQLite file for an asyncio program: one thread writes, and whatever arrives while it commits becomes the next transaction.

So a thousand submissions at once cost a handful of flushes, and each is on disk when its caller hears of it.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import queue
import sqlite3
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from nodegraph.jobs.events import LoggedEvent, add_event
from nodegraph.jobs.schema import SCHEMA, VERSION

T = TypeVar("T")

_MOST_AT_ONCE = 200
_BUSY_SECONDS = 10.0


class StoreFailed(Exception):
    """The job store could not be read or written: a full disk, a folder that is read-only, a damaged file."""


class Transaction:
    """What a piece of work may use: the connection, the time, and the log. Its events are told when it is committed."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self.connection = connection
        self.now = time.time()
        self.events: list[LoggedEvent] = []

    def event(self, type_: str, job: str | None = None, **data: Any) -> None:
        """Append to the event log."""
        self.events.append(add_event(self.connection, self.now, type_, job, data))


class _Work(NamedTuple):
    do: Callable[[Transaction], Any]
    future: asyncio.Future[Any]


class Commits:
    """An open file. `told` hears of every transaction's events, on the loop, in order."""

    def __init__(self, path: Path, told: Callable[[Sequence[LoggedEvent]], None] | None = None) -> None:
        """Open the file, or make it. Raises StoreFailed."""
        self.path, self.told = path, told
        self._loop = asyncio.get_running_loop()
        self._queue: queue.SimpleQueue[_Work | None] = queue.SimpleQueue()
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))  # prompts are in it: for the user alone
            self._writer = _opened(path)
            self._reader = _opened(path)
        except (OSError, sqlite3.Error) as error:
            raise StoreFailed(f"{path} cannot be opened: {_why(error)}.") from None
        self._readers = ThreadPoolExecutor(1, thread_name_prefix="nodegraph-jobs-read")
        self._thread = threading.Thread(target=self._write_on, name="nodegraph-jobs-write", daemon=True)
        self._thread.start()

    async def write(self, work: Callable[[Transaction], T]) -> T:
        """Do `work` in a transaction; when this returns it is on disk. Raises StoreFailed, and what `work` raises."""
        future: asyncio.Future[T] = self._loop.create_future()
        self._queue.put(_Work(work, future))
        return await asyncio.shield(future)

    async def read(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """What `work` finds. Raises StoreFailed."""

        def do() -> T:
            try:
                return work(self._reader)
            except sqlite3.Error as error:
                raise StoreFailed(f"{self.path} cannot be read: {_why(error)}.") from None

        return await self._loop.run_in_executor(self._readers, do)

    async def close(self) -> None:
        """Commit what is queued and let the file go."""
        self._queue.put(None)
        await asyncio.to_thread(self._thread.join)
        self._readers.shutdown()
        self._writer.close()
        self._reader.close()

    # ---- the writing thread ----

    def _write_on(self) -> None:
        while (first := self._queue.get()) is not None:
            batch, last = [first], False
            while len(batch) < _MOST_AT_ONCE:
                try:
                    more = self._queue.get_nowait()
                except queue.Empty:
                    break
                if more is None:
                    last = True
                    break
                batch.append(more)
            self._loop.call_soon_threadsafe(self._settle, *self._commit(batch))
            if last:
                return

    def _commit(self, batch: Sequence[_Work]) -> tuple[list[tuple[_Work, Any, BaseException | None]], list[LoggedEvent]]:
        """All of a batch in one transaction. What one of them raises undoes only its own changes."""
        connection, done, events = self._writer, [], list[LoggedEvent]()
        try:
            connection.execute("BEGIN IMMEDIATE")
            for work in batch:
                transaction = Transaction(connection)
                connection.execute("SAVEPOINT work")
                try:
                    done.append((work, work.do(transaction), None))
                    events += transaction.events
                except sqlite3.OperationalError:  # a full disk concerns all of them
                    raise
                except Exception as error:
                    connection.execute("ROLLBACK TO work")
                    done.append((work, None, error))
                connection.execute("RELEASE work")
            connection.execute("COMMIT")
        except sqlite3.Error as error:
            failure = StoreFailed(f"{self.path} cannot be written: {_why(error)}.")
            with contextlib.suppress(sqlite3.Error):  # SQLite may have rolled back already
                connection.execute("ROLLBACK")
            return [(work, None, failure) for work in batch], []
        return done, events

    def _settle(self, done: Sequence[tuple[_Work, Any, BaseException | None]], events: Sequence[LoggedEvent]) -> None:
        if events and self.told is not None:
            self.told(events)
        for work, result, error in done:
            if work.future.done():
                continue
            if error is not None:
                work.future.set_exception(error)
            else:
                work.future.set_result(result)


def _opened(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, timeout=_BUSY_SECONDS, isolation_level=None, check_same_thread=False)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if version > VERSION:
        raise StoreFailed(f"{path} was made by a newer nodegraph. Use that one, or another data folder.")
    if version == 0:
        connection.executescript(f"BEGIN IMMEDIATE; {SCHEMA} PRAGMA user_version = {VERSION}; COMMIT;")
    return connection


def _why(error: Exception) -> str:
    return error.strerror if isinstance(error, OSError) and error.strerror else str(error)

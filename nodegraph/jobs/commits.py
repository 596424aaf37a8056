"""A SQLite file for an asyncio program: one thread writes, and whatever arrives while it commits becomes the next transaction.

So a thousand submissions at once cost a handful of flushes, and each is on disk when its caller hears of it.
"""

from __future__ import annotations

import asyncio
import contextlib
import queue
import sqlite3
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from nodegraph.jobs.events import LoggedEvent, add_event, belongs_to
from nodegraph.jobs.opening import StoreFailed, failure, open_file

T = TypeVar("T")

_MOST_AT_ONCE = 200
_OF_ONE = (sqlite3.IntegrityError, sqlite3.ProgrammingError, sqlite3.InterfaceError, sqlite3.NotSupportedError)
_READERS = 2  # a search does not hold up who asks for one job


class Transaction:
    """What a piece of work may use: the connection, the time, and the log. Its events are told when it is committed."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self.connection = connection
        self.now = round(time.time(), 6)  # as exact as times are shown, so that what is shown can be asked for
        self.events: list[LoggedEvent] = []

    def event(self, type_: str, job: str | None = None, **data: Any) -> None:
        """Append to the event log. Events of a job as a whole (`job_...`) tell what it belongs to."""
        if job is not None and type_.startswith("job_"):
            data = {**data, **belongs_to(self.connection, job)}
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
        self._closed = False
        self.timed: Callable[[float], None] | None = None
        """Hears how many seconds each transaction took, on the writing thread."""
        self._writer, *readers = open_file(path, 1 + _READERS)
        self._idle: queue.SimpleQueue[sqlite3.Connection] = queue.SimpleQueue()
        for reader in readers:
            self._idle.put(reader)
        self._readers = ThreadPoolExecutor(_READERS, thread_name_prefix="nodegraph-jobs-read")
        self._thread = threading.Thread(target=self._write_on, name="nodegraph-jobs-write", daemon=True)
        self._thread.start()

    async def write(self, work: Callable[[Transaction], T]) -> T:
        """Do `work` in a transaction; when this returns it is on disk. Raises StoreFailed, and what `work` raises."""
        if self._closed:
            raise StoreFailed(f"{self.path} is closed.")
        future: asyncio.Future[T] = self._loop.create_future()
        self._queue.put(_Work(work, future))
        return await asyncio.shield(future)

    async def read(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """What `work` finds. Raises StoreFailed."""
        if self._closed:
            raise StoreFailed(f"{self.path} is closed.")

        def do() -> T:
            connection = self._idle.get()
            try:
                return work(connection)
            except sqlite3.Error as error:
                raise failure(self.path, error, "read") from None
            finally:
                self._idle.put(connection)

        return await self._loop.run_in_executor(self._readers, do)

    async def close(self) -> None:
        """Commit what is queued and let the file go."""
        if self._closed:
            return
        self._closed = True
        self._queue.put(None)
        await asyncio.to_thread(self._thread.join)
        self._readers.shutdown()
        for _ in range(_READERS):
            self._idle.get().close()
        self._writer.close()

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
            began = time.perf_counter()
            settled = self._commit(batch)
            if self.timed is not None:
                self.timed(time.perf_counter() - began)
            with contextlib.suppress(RuntimeError):  # nobody waits any more: the loop is closed
                self._loop.call_soon_threadsafe(self._settle, *settled)
            if last:
                return

    def _commit(self, batch: Sequence[_Work]) -> tuple[list[tuple[_Work, Any, BaseException | None]], list[LoggedEvent]]:
        """All of a batch in one transaction. What one of them raises undoes only its own changes."""
        connection, events = self._writer, list[LoggedEvent]()
        done: list[tuple[_Work, Any, BaseException | None]] = []
        try:
            connection.execute("BEGIN IMMEDIATE")
            for work in batch:
                transaction = Transaction(connection)
                connection.execute("SAVEPOINT work")
                try:
                    done.append((work, work.do(transaction), None))
                    events += transaction.events
                except Exception as error:
                    if isinstance(error, sqlite3.Error) and not isinstance(error, _OF_ONE):
                        raise  # a full disk, or a damaged file, concerns all of them
                    connection.execute("ROLLBACK TO work")
                    done.append((work, None, error))
                connection.execute("RELEASE work")
            connection.execute("COMMIT")
        except sqlite3.Error as error:
            failed = failure(self.path, error, "written")
            with contextlib.suppress(sqlite3.Error):  # SQLite may have rolled back already
                connection.execute("ROLLBACK")
            return [(work, None, failed) for work in batch], []
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

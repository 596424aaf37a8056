"""One SQLite file that is useful but never needed: whatever is wrong with it becomes a sentence (`trouble`), not an exception.

Several processes may have it open (WAL). Writes wait in a queue for a thread of their own; a damaged file is moved away.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

T = TypeVar("T")
Work = Callable[[sqlite3.Connection], T]

_BUSY_SECONDS = 5.0
_DAMAGED = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)


class NewerFile(Exception):
    """The file was made by a later version: it is left as it is."""


class Database:
    """A file of tables that `schema` makes; a file of an older `version` is emptied, a newer one is left alone.

    Thread-safe. Nothing is created before the first write.
    """

    def __init__(self, path: Path, schema: Sequence[str], version: int) -> None:
        self.path = path
        self.trouble = ""
        self._schema, self._version = schema, version
        self._connection: sqlite3.Connection | None = None
        self._inode = 0
        self._lock = threading.RLock()
        self._queue: list[Work[object]] = []
        self._pool: ThreadPoolExecutor | None = None
        self._writing: Future[None] | None = None

    # ---- asking and writing ----

    def read(self, work: Work[T], otherwise: T) -> T:
        """What `work` finds, or `otherwise` where there is no file or something is wrong with it."""
        if self._connection is None and not self.path.exists():
            return otherwise
        return self._attempt(work, otherwise)

    def write(self, work: Work[T], otherwise: T) -> T:
        """Do `work` in one transaction, now."""
        return self._attempt(lambda connection: _transaction(connection, work), otherwise)

    def later(self, work: Work[object]) -> None:
        """Queue `work` for the writing thread. What gathers while it writes becomes one transaction."""
        with self._lock:
            self._queue.append(work)
            if self._writing is None:
                if self._pool is None:
                    self._pool = ThreadPoolExecutor(1, thread_name_prefix="nodegraph-journal")
                try:
                    self._writing = self._pool.submit(self._drain)
                except RuntimeError:  # the interpreter is on its way out and starts no more work
                    self._drain()

    def flush(self) -> None:
        """Wait until everything queued is written, or has failed to be."""
        while (writing := self._writing) is not None:
            writing.result()

    def close(self) -> None:
        """Write what is queued and let the file go. The next use opens it again."""
        self.flush()
        with self._lock:
            pool, self._pool = self._pool, None
            self._forget_connection()
        if pool is not None:
            pool.shutdown()

    @property
    def nbytes(self) -> int:
        """What the file and its companions take on disk."""
        total = 0
        for path in _files(self.path):
            with contextlib.suppress(OSError):
                total += path.stat().st_size
        return total

    def shrink(self) -> None:
        """Give the space of deleted rows back to the disk."""
        self.flush()
        self._attempt(lambda connection: connection.execute("VACUUM"), None)
        self._attempt(lambda connection: connection.execute("PRAGMA wal_checkpoint(TRUNCATE)"), None)

    def _drain(self) -> None:
        while True:
            with self._lock:
                batch, self._queue = self._queue, []
                if not batch:
                    self._writing = None
                    return
            try:
                self.write(lambda connection, batch=batch: [work(connection) for work in batch], None)  # type: ignore[misc]
            except Exception as error:  # a row that cannot be written; nobody else would hear of it
                self.trouble = f"{self.path} was not written to ({type(error).__name__}: {error})."

    # ---- the file ----

    def _attempt(self, work: Work[T], otherwise: T) -> T:
        with self._lock:
            for last in (False, True):
                try:
                    result = work(self._opened())
                except NewerFile:
                    self.trouble = f"{self.path} was made by a newer nodegraph and is not used."
                    self._forget_connection()
                    return otherwise
                except (sqlite3.Error, OSError) as error:
                    damaged = getattr(error, "sqlite_errorcode", 0) & 0xFF in _DAMAGED
                    self.trouble = f"{self.path} cannot be used ({error})."
                    if not damaged or last or not self._move_away():
                        return otherwise
                else:
                    self.trouble = ""
                    return result
        return otherwise

    def _opened(self) -> sqlite3.Connection:
        if self._connection is None:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with contextlib.suppress(OSError):  # prompts are in it: for the user alone
                os.close(os.open(self.path, os.O_CREAT | os.O_RDWR, 0o600))
            self._inode = self.path.stat().st_ino
            connection = sqlite3.connect(self.path, timeout=_BUSY_SECONDS, isolation_level=None, check_same_thread=False)
            try:
                self._prepare(connection)
            except BaseException:
                connection.close()
                raise
            self._connection = connection
        return self._connection

    def _prepare(self, connection: sqlite3.Connection) -> None:
        version = _version(connection)
        if version > self._version:
            raise NewerFile
        with contextlib.suppress(sqlite3.OperationalError):  # another process is doing the same, or the file cannot be written
            connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = NORMAL")
        if version != self._version:
            _transaction(connection, self._create)

    def _create(self, connection: sqlite3.Connection) -> None:
        if _version(connection) == self._version:  # another process was faster
            return
        for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall():
            if not name.startswith("sqlite_"):
                connection.execute(f'DROP TABLE "{name}"')
        for statement in self._schema:
            connection.execute(statement)
        connection.execute(f"PRAGMA user_version = {self._version}")

    def _move_away(self) -> bool:
        """Put a damaged file aside as `NAME.damaged`, so that a new one can begin. False where that is not possible."""
        self._forget_connection()
        main, *companions = _files(self.path)
        try:
            if main.stat().st_ino == self._inode:  # else another process has done so
                main.replace(f"{main}.damaged")
                for companion in companions:
                    companion.unlink(missing_ok=True)
        except OSError:
            return False
        return True

    def _forget_connection(self) -> None:
        if self._connection is not None:
            with contextlib.suppress(sqlite3.Error):
                self._connection.close()
            self._connection = None


def _transaction(connection: sqlite3.Connection, work: Work[T]) -> T:
    connection.execute("BEGIN IMMEDIATE")
    try:
        result = work(connection)
        connection.execute("COMMIT")
    except BaseException:
        with contextlib.suppress(sqlite3.Error):
            connection.execute("ROLLBACK")
        raise
    return result


def _version(connection: sqlite3.Connection) -> int:
    return int(connection.execute("PRAGMA user_version").fetchone()[0])


def _files(path: Path) -> list[Path]:
    return [path, *(path.with_name(path.name + ending) for ending in ("-wal", "-shm"))]

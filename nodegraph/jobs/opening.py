"""Opening the job store's file. A file that cannot be used is left as it is, and said so: a queue must not vanish silently."""

from __future__ import annotations

import contextlib
import errno
import os
import sqlite3
from pathlib import Path

from nodegraph.jobs.schema import CHANGES, SCHEMA, VERSION
from nodegraph.jobs.words import open_index

_BUSY_SECONDS = 10.0
_DAMAGE = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_FORMAT)


class StoreFailed(Exception):
    """The job store could not be read or written: a full disk, a folder that is read-only, a damaged file."""


class Damaged(StoreFailed):
    """The file is there and is no job store, or no longer a whole one."""


def open_file(path: Path, count: int) -> list[sqlite3.Connection]:
    """So many connections to the file, which is made where there is none. Raises StoreFailed."""
    opened: list[sqlite3.Connection] = []
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))  # prompts are in it: for the user alone
        unclean = _size(path.with_name(path.name + "-wal")) > 0
        for _ in range(count):
            opened.append(_connected(path))
        _prepare(path, opened[0], unclean)
    except (OSError, sqlite3.Error, StoreFailed) as error:
        for connection in opened:
            with contextlib.suppress(sqlite3.Error):
                connection.close()
        raise failure(path, error, "opened") from None
    return opened


def failure(path: Path, error: Exception, what: str) -> StoreFailed:
    """An error of SQLite or of the system in words, with what to do about it."""
    if isinstance(error, StoreFailed):
        return error
    if isinstance(error, OSError):
        return StoreFailed(f"{path} cannot be {what}: {error.strerror or error}.{_advice(error.errno)}")
    code = (getattr(error, "sqlite_errorcode", None) or 0) & 0xFF
    if code in _DAMAGE:
        return _damaged(path, str(error))
    advice = " Make room on the disk." if code == sqlite3.SQLITE_FULL else ""
    advice = " Let this user write there." if code in (sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN) else advice
    return StoreFailed(f"{path} cannot be {what}: {error}.{advice}")


def _connected(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, timeout=_BUSY_SECONDS, isolation_level=None, check_same_thread=False)
    try:
        if _size(path) == 0:
            connection.execute("PRAGMA auto_vacuum = INCREMENTAL")
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
    except sqlite3.Error:
        connection.close()
        raise
    return connection


def _prepare(path: Path, connection: sqlite3.Connection, unclean: bool) -> None:
    """Make the tables of a new file, look through one whose last user did not close it, and lead an older one on."""
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if version > VERSION:
        raise StoreFailed(f"{path} was made by a newer nodegraph. Use that one, or another data folder (--data DIR).")
    if version == 0 and connection.execute("SELECT COUNT(*) FROM sqlite_schema").fetchone() != (0,):
        raise _damaged(path, "it is the database of another program")
    if version == 0:
        connection.executescript(f"BEGIN IMMEDIATE; {SCHEMA} PRAGMA user_version = {VERSION}; COMMIT;")
    elif unclean:
        (found,) = connection.execute("PRAGMA quick_check(1)").fetchone()
        if found != "ok":
            raise _damaged(path, found.splitlines()[-1])
    for number in range(version + 1, VERSION + 1) if version else ():
        connection.executescript(f"BEGIN IMMEDIATE; {CHANGES[number]} PRAGMA user_version = {number}; COMMIT;")
    connection.execute("BEGIN IMMEDIATE")
    open_index(connection)
    connection.execute("COMMIT")


def _damaged(path: Path, why: str) -> Damaged:
    name = path.name
    return Damaged(
        f"{path} cannot be used: {why}. The queue and the history are in it, so it was left where it is.\n"
        f"  To rescue what can be read:  sqlite3 {name} .recover | sqlite3 rescued.sqlite\n"
        f"  To begin with an empty queue: stop the server and move {name}, {name}-wal and {name}-shm to another folder."
        " What jobs made stays in artifacts/."
    )


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0


def _advice(number: int | None) -> str:
    if number in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        return " Make room on the disk."
    if number in (errno.EACCES, errno.EPERM, errno.EROFS):
        return " Let this user write there, or choose another data folder (--data DIR)."
    return ""

"""The disk tier's index: an SQLite database of what is kept, what it is worth, and the payload itself where it is small.

Readers have a connection per thread and never wait for a writer (WAL); one writer at a time, of all processes, holds the
folder's lock. A database that is damaged or of another format is set aside and made again from the files.
"""

from __future__ import annotations

import contextlib
import math
import sqlite3
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from nodegraph.store.locks import alone
from nodegraph.store.record import FORMAT

_APPLICATION = 0x6E67_6361  # "ngca": tells our databases from others
_PATIENCE_SECONDS = 15.0
_BRIEFLY_SECONDS = 0.5
_STATEMENTS = (
    f"PRAGMA application_id = {_APPLICATION}",
    f"PRAGMA user_version = {FORMAT}",
    """CREATE TABLE entries (
        key TEXT PRIMARY KEY, kind TEXT NOT NULL, type TEXT NOT NULL, seconds REAL NOT NULL,
        bytes INTEGER NOT NULL, worth REAL NOT NULL, file INTEGER NOT NULL
    ) WITHOUT ROWID""",
    "CREATE INDEX by_worth ON entries (worth, key)",
    "CREATE TABLE payloads (key TEXT PRIMARY KEY, data BLOB NOT NULL)",
    "CREATE TABLE state (used_bytes INTEGER NOT NULL, age REAL NOT NULL)",
    "INSERT INTO state VALUES (0, 0.0)",
    """CREATE TRIGGER came AFTER INSERT ON entries BEGIN
        UPDATE state SET used_bytes = used_bytes + NEW.bytes;
    END""",
    """CREATE TRIGGER went AFTER DELETE ON entries BEGIN
        UPDATE state SET used_bytes = used_bytes - OLD.bytes;
        DELETE FROM payloads WHERE key = OLD.key;
    END""",
)
_MADE = {statement for statement in _STATEMENTS if statement.startswith("CREATE")}
_DAMAGE = (
    sqlite3.SQLITE_CORRUPT,
    sqlite3.SQLITE_NOTADB,
    sqlite3.SQLITE_ERROR,
    sqlite3.SQLITE_CONSTRAINT,
    sqlite3.SQLITE_MISMATCH,
)
_INSERT = "INSERT INTO entries VALUES (?, ?, ?, ?, ?, ?, ?)"


class Entry(NamedTuple):
    """A row of the index. `worth` is GreedyDual-Size's priority; `file` says that the payload is a file."""

    key: str
    kind: str
    type: str
    seconds: float
    bytes: int
    worth: float
    file: bool


class Index:
    """Connections to `index.sqlite` in a folder. `survivors` gives the entries to begin with, from the files that are there."""

    def __init__(self, folder: Path, survivors: Callable[[], Iterable[Entry]]) -> None:
        self.file = folder / "index.sqlite"
        self.aside = folder / "index.damaged"
        self.generation = 0  # grows whenever the connections are opened anew
        self._folder = folder
        self._survivors = survivors
        self._lock = threading.Lock()
        self._writer: sqlite3.Connection | None = None
        self._identity: tuple[int, int] | None = None
        self._readers = threading.local()
        self._damaged = False
        self._closed = False

    def reader(self, mend: bool = False) -> sqlite3.Connection | None:
        """This thread's connection for reading, or None where no index can be read.

        One that is damaged can be mended first, which may take a while and raises as `locked` does.
        """
        try:
            db: sqlite3.Connection | None = self._readers.connection
        except AttributeError:
            db = self._readers.connection = self._open_reader()
        if db is None and mend and self._damaged:
            self.mend()
            return self.reader()
        return db

    @contextmanager
    def locked(self) -> Iterator[sqlite3.Connection]:
        """The connection for writing, with the folder locked against all others. Raises OSError or sqlite3.Error."""
        with self._lock:
            self._folder.mkdir(parents=True, exist_ok=True)
            with alone(self._folder / "lock", _PATIENCE_SECONDS):
                if self._writer is None or self._damaged or self._identity != _identity(self.file):
                    self._open()
                assert self._writer is not None
                try:
                    yield self._writer
                except sqlite3.Error as error:
                    self._damaged = is_damage(error)
                    raise

    def suspect(self, generation: int) -> None:
        """What was opened as `generation` is damaged: unless it has been replaced since, the next writer makes it again."""
        if generation == self.generation:
            self._damaged = True

    def mend(self) -> None:
        """Make the index again now, if it is suspected. Raises as `locked` does."""
        with self.locked():
            pass

    def close(self) -> None:
        with self._lock:
            self._closed = True
            self._forget()

    def _forget(self) -> None:
        """Let go of all connections."""
        self._forget_readers()
        if self._writer is not None:
            with contextlib.suppress(sqlite3.Error):
                self._writer.close()
            self._writer = None

    def _forget_readers(self) -> None:
        """Each closes when the thread that has it is done with it."""
        self._readers = threading.local()
        self.generation += 1

    def _open(self) -> None:
        set_aside = self._damaged and self._identity == _identity(self.file)  # else another process has replaced it
        self._forget()
        try:
            if set_aside:
                self._set_aside()
            try:
                self._writer = self._connect()
            except sqlite3.Error as error:
                if not is_damage(error):
                    raise
                self._set_aside()
                self._writer = self._connect()
        finally:
            self._damaged = False
        self._identity = _identity(self.file)
        self._forget_readers()  # those that came while the index was being made

    def _open_reader(self) -> sqlite3.Connection | None:
        """The best there is: beside writers; from a folder that cannot be written; a file that nobody can lock."""
        generation = self.generation
        for mode in ("mode=rw", "mode=ro", "immutable=1") if not self._closed else ():
            url = f"{self.file.absolute().as_uri()}?{mode}"
            db: sqlite3.Connection | None = None
            try:
                db = sqlite3.connect(url, uri=True, timeout=0.05, isolation_level=None, check_same_thread=False)
                db.execute("PRAGMA query_only = ON")
                _require_ours(db)
                return db
            except sqlite3.Error as error:
                if is_damage(error):
                    self.suspect(generation)
                if db is not None:
                    db.close()
        return None

    def _connect(self) -> sqlite3.Connection:
        db = sqlite3.connect(self.file, timeout=_PATIENCE_SECONDS, isolation_level=None, check_same_thread=False)
        try:
            empty = not db.execute("SELECT count(*) FROM sqlite_schema").fetchone()[0]
            if not empty:
                _require_ours(db)
            if db.execute("PRAGMA journal_mode").fetchone()[0] != "wal":
                _use_log(db)
            db.execute("PRAGMA synchronous = NORMAL")
            db.execute("PRAGMA journal_size_limit = 16777216")
            db.execute("PRAGMA cell_size_check = ON")
            if empty:
                with transaction(db):
                    for statement in _STATEMENTS:
                        db.execute(statement)
                    db.executemany(_INSERT, self._survivors())
            with transaction(db):  # fails here, and not later, where nothing can be written
                db.execute("UPDATE state SET age = age")
        except BaseException:
            db.close()
            raise
        return db

    def _set_aside(self) -> None:
        for ending in ("-wal", "-shm"):
            Path(f"{self.file}{ending}").unlink(missing_ok=True)
        self.file.replace(self.aside)


def _use_log(db: sqlite3.Connection) -> None:
    """Have a write-ahead log, once the folder is locked. Raises as SQLite does for a broken file where that cannot be.

    Only who has it open with a log can be in the way of a file without one: it was whole then, and they keep it open for long.
    """
    db.execute(f"PRAGMA busy_timeout = {_BRIEFLY_SECONDS * 1000:.0f}")
    try:
        db.execute("PRAGMA auto_vacuum = INCREMENTAL")  # which only an empty file heeds
        db.execute("PRAGMA journal_mode = WAL")
    except sqlite3.OperationalError as error:
        if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY:
            raise
        raise sqlite3.DatabaseError("an index that was damaged while it was open elsewhere") from error
    finally:
        db.execute(f"PRAGMA busy_timeout = {_PATIENCE_SECONDS * 1000:.0f}")


@contextmanager
def transaction(db: sqlite3.Connection) -> Iterator[None]:
    """All or nothing."""
    db.execute("BEGIN IMMEDIATE")
    try:
        yield
        db.execute("COMMIT")
    except BaseException:
        if db.in_transaction:
            with contextlib.suppress(sqlite3.Error):
                db.execute("ROLLBACK")
        raise


def add(db: sqlite3.Connection, entry: Entry, payload: bytes | None = None) -> None:
    """Put in an entry, whose worth counts from the present age."""
    _, age = state(db)
    db.execute(_INSERT, entry._replace(worth=age + entry.seconds / entry.bytes))
    if payload is not None:
        db.execute("INSERT INTO payloads VALUES (?, ?)", (entry.key, payload))


def drop(db: sqlite3.Connection, key: str) -> Entry | None:
    """Take out an entry and give it back; its file, if it has one, is for the caller."""
    row = db.execute("SELECT * FROM entries WHERE key = ?", (key,)).fetchone()
    if row is None:
        return None
    db.execute("DELETE FROM entries WHERE key = ?", (key,))
    return Entry(*row)


def renew(db: sqlite3.Connection, keys: Iterable[str]) -> None:
    """These have been used: their worth counts from the present age."""
    _, age = state(db)
    db.executemany("UPDATE entries SET worth = ? + seconds / bytes WHERE key = ?", [(age, key) for key in keys])


def evict(db: sqlite3.Connection, limit_bytes: int) -> list[Entry]:
    """Take out the entries of least worth until no more than `limit_bytes` are used; files are for the caller.

    GreedyDual-Size (Cao and Irani 1997), as in the memory tier.
    """
    gone: list[Entry] = []
    while state(db)[0] > limit_bytes:
        row = db.execute("SELECT * FROM entries ORDER BY worth, key LIMIT 1").fetchone()
        if row is None:
            raise sqlite3.DatabaseError("the index does not add up")
        entry = Entry(*row)
        db.execute("DELETE FROM entries WHERE key = ?", (entry.key,))
        db.execute("UPDATE state SET age = max(age, ?)", (entry.worth,))
        gone.append(entry)
    return gone


def state(db: sqlite3.Connection) -> tuple[int, float]:
    """Used bytes and age. Raises sqlite3.DatabaseError where they cannot be right."""
    row = db.execute("SELECT used_bytes, age FROM state").fetchone()
    if row is None or type(row[0]) is not int or type(row[1]) is not float or row[0] < 0 or not 0 <= row[1] < math.inf:
        raise sqlite3.DatabaseError(f"the index's state is {row}")
    return row[0], row[1]


def is_damage(error: sqlite3.Error) -> bool:
    """Whether an error means that the database is not what we wrote, rather than that it cannot be reached just now."""
    if isinstance(error, sqlite3.ProgrammingError):  # a connection that has been closed
        return False
    code = getattr(error, "sqlite_errorcode", None)  # None: Python could not read a value
    return code is None or code & 0xFF in _DAMAGE


def _require_ours(db: sqlite3.Connection) -> None:
    """Raise as SQLite does for a broken file where this is no index of our format."""
    found = db.execute("PRAGMA application_id").fetchone()[0], db.execute("PRAGMA user_version").fetchone()[0]
    if found != (_APPLICATION, FORMAT):
        raise sqlite3.DatabaseError(f"an index of another kind: {found}")
    if {sql for (sql,) in db.execute("SELECT sql FROM sqlite_schema WHERE sql IS NOT NULL")} != _MADE:
        raise sqlite3.DatabaseError("an index with other tables")
    state(db)


def _identity(file: Path) -> tuple[int, int] | None:
    try:
        stat = file.stat()
    except FileNotFoundError:
        return None
    return stat.st_dev, stat.st_ino

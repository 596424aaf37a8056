"""The tables of `revisions.sqlite`: what lay in which document's file when, each content once, compressed.

Unlike a cache this cannot be made again: commits reach the disk before they return, older formats are migrated, and a damaged
file is put aside under a name that is never reused.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import sqlite3
import time
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from nodegraph.store.index import transaction
from nodegraph.store.locks import alone
from nodegraph.store.pruning import DRAFT, Keep, Row, adopted, spare

SAVE, RESTORE, OUTSIDE = "save", "restore", "outside"
"""What a revision comes from, beside DRAFT: what another program put into the file is kept as OUTSIDE before it is replaced."""

_VERSION = 1
_SCHEMA = (
    "CREATE TABLE documents (id INTEGER PRIMARY KEY, path TEXT NOT NULL UNIQUE, current INTEGER)",
    "CREATE TABLE contents (digest TEXT PRIMARY KEY, data BLOB NOT NULL, bytes INTEGER NOT NULL)",
    """CREATE TABLE revisions (
        document INTEGER NOT NULL REFERENCES documents, number INTEGER NOT NULL, parent INTEGER,
        digest TEXT NOT NULL REFERENCES contents, kind TEXT NOT NULL, at REAL NOT NULL, title TEXT NOT NULL, nodes INTEGER,
        PRIMARY KEY (document, number)
    ) WITHOUT ROWID""",
    "CREATE INDEX by_digest ON revisions (digest)",
    f"PRAGMA user_version = {_VERSION}",
)
_PATIENCE_SECONDS = 5.0
_DAMAGE = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)
_READ_ONLY = (sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY)
_COLUMNS = "number, parent, digest, kind, at, title, nodes, bytes"
_REVISIONS = f"SELECT {_COLUMNS} FROM revisions JOIN contents USING (digest) WHERE document = ?"


class Revision(NamedTuple):
    """What a document's file held, or was about to. `parent` is the number of the revision that it came after."""

    number: int
    parent: int | None
    digest: str
    kind: str
    at: float
    title: str = ""
    nodes: int | None = None
    bytes: int = 0

    @property
    def id(self) -> str:
        """`7-3fa2c1d0`: how people and programs name it."""
        return f"{self.number}-{self.digest[:8]}"


class Content(NamedTuple):
    """The bytes of a document with what is said of them; `title` and `nodes` where they are known."""

    data: bytes
    digest: str
    title: str = ""
    nodes: int | None = None


class Newer(Exception):
    """The file was made by a later version: it is left as it is."""


class Damaged(Exception):
    """The file is damaged."""


class Lost(Exception):
    """One content is damaged."""


# ---- opening ----


@contextmanager
def opened(file: Path) -> Iterator[sqlite3.Connection]:
    """The database for reading and writing, made where it is missing. Raises sqlite3.Error, OSError, Newer or Damaged."""
    file.parent.mkdir(parents=True, exist_ok=True)
    with contextlib.suppress(OSError):  # prompts are in it: for the user alone
        os.close(os.open(file, os.O_CREAT | os.O_RDWR, 0o600))
    with _damage_told(), contextlib.closing(_connect(str(file))) as db:
        _prepare(db)
        yield db


@contextmanager
def opened_to_read(file: Path) -> Iterator[sqlite3.Connection | None]:
    """The database for reading, also on a disk that cannot be written; None where there is none. Raises as `opened` does."""
    if not file.exists():
        yield None
        return
    with _damage_told(), contextlib.closing(_connect_to_read(file)) as db:
        version = _version(db)
        _check(version)
        yield db if version else None


@contextmanager
def _damage_told() -> Iterator[None]:
    try:
        yield
    except sqlite3.DatabaseError as error:
        if _code(error) in _DAMAGE:
            raise Damaged(str(error)) from error
        raise


def _connect_to_read(file: Path) -> sqlite3.Connection:
    uri = file.absolute().as_uri()
    db = _connect(f"{uri}?mode=ro", uri=True)
    try:
        _version(db)
    except sqlite3.OperationalError as error:
        db.close()
        if _code(error) not in _READ_ONLY:
            raise
        return _connect(f"{uri}?immutable=1", uri=True)
    except BaseException:
        db.close()
        raise
    return db


def _connect(name: str, uri: bool = False) -> sqlite3.Connection:
    return sqlite3.connect(name, timeout=_PATIENCE_SECONDS, isolation_level=None, uri=uri)


def _prepare(db: sqlite3.Connection) -> None:
    version = _version(db)
    _check(version)
    with contextlib.suppress(sqlite3.OperationalError):  # another process is doing the same
        db.execute("PRAGMA journal_mode = WAL")
    db.execute("PRAGMA synchronous = FULL")
    if version == 0:
        with transaction(db):
            if _version(db) == 0:  # else another process was faster
                for statement in _SCHEMA:
                    db.execute(statement)


def _check(version: int) -> None:
    if version > _VERSION:
        raise Newer


def _version(db: sqlite3.Connection) -> int:
    return int(db.execute("PRAGMA user_version").fetchone()[0])


def _code(error: sqlite3.Error) -> int:
    return (getattr(error, "sqlite_errorcode", None) or 0) & 0xFF


def put_aside(file: Path) -> Path:
    """Move a damaged database away, so that a new one can begin: where it lies now. Raises OSError."""
    with alone(file.with_name(file.name + ".mending"), _PATIENCE_SECONDS):
        try:
            with contextlib.closing(_connect(str(file))) as db:  # another process may have been faster
                if db.execute("PRAGMA quick_check(1)").fetchone()[0] == "ok":
                    return file
        except sqlite3.Error:
            pass
        stamp = time.strftime("%Y%m%d-%H%M%S")
        aside, number = file.with_name(f"{file.stem}-damaged-{stamp}{file.suffix}"), 2
        while aside.exists():
            aside = file.with_name(f"{file.stem}-damaged-{stamp}-{number}{file.suffix}")
            number += 1
        for ending in ("-wal", "-shm"):
            with contextlib.suppress(FileNotFoundError):
                file.with_name(file.name + ending).replace(f"{aside}{ending}")
        file.replace(aside)
    return aside


# ---- asking ----


class Ledger:
    """A document's rows, in an open database: those under its path, or, of a file that came from elsewhere with its content
    (a copy, or a new name), those that led to this content there."""

    def __init__(self, db: sqlite3.Connection, path: Path, digest: str | None) -> None:
        self._db = db
        self._path = os.fsencode(path).decode(errors="backslashreplace")
        row = db.execute("SELECT id, current FROM documents WHERE path = ?", (self._path,)).fetchone()
        self._id: int | None = row[0] if row else None
        self._current: int | None = row[1] if row else None
        self._inherited = [] if row or digest is None else _line_to(db, digest)

    @property
    def revisions(self) -> list[Revision]:
        """All of the document, the oldest first."""
        if self._id is None:
            return self._inherited
        return [Revision(*row) for row in self._db.execute(f"{_REVISIONS} ORDER BY number", (self._id,))]

    @property
    def current(self) -> Revision | None:
        """What the file was last known to hold."""
        if self._id is None:
            return self._inherited[-1] if self._inherited else None
        return self.revision(self._current)

    def revision(self, number: int | None) -> Revision | None:
        if self._id is None:
            return next((revision for revision in self._inherited if revision.number == number), None)
        row = self._db.execute(f"{_REVISIONS} AND number = ?", (self._id, number)).fetchone()
        return Revision(*row) if row else None

    def after(self, number: int | None) -> Revision | None:
        """The newest revision that came after this one and is no draft."""
        children = [row for row in self.revisions if row.parent == number and row.kind != DRAFT]
        return children[-1] if children else None

    def lying(self, digest: str) -> Revision | None:
        """The revision that a file of this content is at: the current one, or one step from it.

        A step that was not written down is one that a crash cut off, or an undo of somebody else's.
        """
        current = self.current
        if current is None or current.digest == digest:
            return current
        children = [row for row in self.revisions if row.parent == current.number and row.kind != DRAFT]
        steps = [*reversed(children), self.revision(current.parent)]
        return next((step for step in steps if step is not None and step.digest == digest), None)

    def content(self, revision: Revision) -> bytes:
        """The bytes of a revision. Raises Lost."""
        data = self._stored(revision.digest)
        if data is None:
            raise Lost(f"Revision {revision.id} is damaged and cannot be read.")
        return data

    def _stored(self, digest: str) -> bytes | None:
        row = self._db.execute("SELECT data FROM contents WHERE digest = ?", (digest,)).fetchone()
        try:
            data = zlib.decompress(row[0]) if row else None
        except (TypeError, zlib.error):
            return None
        return data if data is not None and digest_of(data) == digest else None

    # ---- writing, inside of a transaction ----

    def add(self, what: Content, kind: str, parent: int | None) -> Revision:
        """Write a revision down; it does not become the current one."""
        document = self._own()
        if self._stored(what.digest) is None:
            row = (what.digest, zlib.compress(what.data), len(what.data))
            self._db.execute("INSERT OR REPLACE INTO contents VALUES (?, ?, ?)", row)
        (last,) = self._db.execute("SELECT max(number) FROM revisions WHERE document = ?", (document,)).fetchone()
        number = (last or 0) + 1
        made = Revision(number, parent, what.digest, kind, time.time(), what.title, what.nodes, len(what.data))
        self._insert(made)
        return made

    def move_to(self, number: int) -> None:
        """The file holds this revision now."""
        self._db.execute("UPDATE documents SET current = ? WHERE id = ?", (number, self._own()))
        self._current = number

    def prune(self, keep: Keep) -> None:
        """Let go of old revisions that nothing needs."""
        (count,) = self._db.execute("SELECT count(*) FROM revisions WHERE document = ?", (self._id,)).fetchone()
        if count <= keep.least:
            return
        query = "SELECT number, parent, kind, at FROM revisions WHERE document = ?"
        rows = [Row(*row) for row in self._db.execute(query, (self._id,))]
        gone = spare(rows, self._current, time.time(), keep)
        for number, parent in adopted(rows, gone).items():
            self._db.execute("UPDATE revisions SET parent = ? WHERE document = ? AND number = ?", (parent, self._id, number))
        self._db.executemany("DELETE FROM revisions WHERE document = ? AND number = ?", [(self._id, row) for row in gone])
        if gone:
            self._db.execute("DELETE FROM contents WHERE digest NOT IN (SELECT digest FROM revisions)")

    def _own(self) -> int:
        """The document's id, after its rows have become its own."""
        if self._id is None:
            inherited, self._inherited = self._inherited, []
            self._current = inherited[-1].number if inherited else None
            row = (self._path, self._current)
            self._id = self._db.execute("INSERT INTO documents (path, current) VALUES (?, ?)", row).lastrowid
            for revision in inherited:
                self._insert(revision)
        assert self._id is not None
        return self._id

    def _insert(self, made: Revision) -> None:
        self._db.execute("INSERT INTO revisions VALUES (?, ?, ?, ?, ?, ?, ?, ?)", (self._id, *made[:-1]))


def _line_to(db: sqlite3.Connection, digest: str) -> list[Revision]:
    """The revisions that led to a content in whichever document held it last."""
    query = "SELECT document, number FROM revisions WHERE digest = ? AND kind != ? ORDER BY at DESC, document DESC, number DESC"
    row = db.execute(f"{query} LIMIT 1", (digest, DRAFT)).fetchone()
    if row is None:
        return []
    known = {revision[0]: Revision(*revision) for revision in db.execute(_REVISIONS, (row[0],))}
    line = []
    number: int | None = row[1]
    while number is not None and number in known:
        line.append(known.pop(number))
        number = line[-1].parent
    return line[::-1]


def digest_of(data: bytes) -> str:
    """What a content is known by: the sha256 of its bytes."""
    return hashlib.sha256(data).hexdigest()

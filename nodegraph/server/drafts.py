"""Drafts: work that is not saved yet, in `DATA/drafts.sqlite`, so that no crash of the browser or of the machine loses it.

A draft is kept as it came. Of what it was before, the last of every ten minutes stays; one that is thrown away can be had for
a week, one that nobody has touched for three months goes. Everything here blocks, and is for threads.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import sqlite3
import time
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from nodegraph.sdk.errors import Problem
from nodegraph.server.problems import Refused
from nodegraph.server.wording import not_written
from nodegraph.store.index import transaction
from nodegraph.store.ledger import put_aside

SLOT_SECONDS = 600
MOST_VERSIONS = 60
UNTOUCHED_SECONDS = 90 * 86_400
DELETED_SECONDS = 7 * 86_400
MOST_DRAFTS = 2000

_SCHEMA = (
    "CREATE TABLE IF NOT EXISTS drafts (id TEXT PRIMARY KEY, workflow_id TEXT, base TEXT, deleted REAL)",
    """CREATE TABLE IF NOT EXISTS versions (
        draft TEXT NOT NULL REFERENCES drafts, number INTEGER NOT NULL, at REAL NOT NULL, digest TEXT NOT NULL,
        title TEXT NOT NULL, nodes INTEGER, bytes INTEGER NOT NULL, data BLOB NOT NULL, PRIMARY KEY (draft, number)
    )""",
)
_ROWS = """
    SELECT id, workflow_id, base, number, at, title, nodes, bytes, deleted
    FROM drafts JOIN versions ON draft = id
    WHERE number = (SELECT max(number) FROM versions WHERE draft = id)
"""
_FULL, _LOCKED = (sqlite3.SQLITE_FULL,), (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)
_CLOSED = (sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PERM, sqlite3.SQLITE_AUTH)
_DAMAGED = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)


class DraftRecord(NamedTuple):
    """A draft as it is now; `deleted` is when it was thrown away."""

    id: str
    workflow_id: str | None
    base: str | None
    version: int
    at: float
    title: str
    nodes: int | None
    bytes: int
    deleted: float | None


class Version(NamedTuple):
    """A draft as it was at some time."""

    number: int
    at: float
    bytes: int


def keep(file: Path, id_: str, document: Mapping[str, Any], workflow_id: str | None, base: str | None) -> DraftRecord:
    """Keep a draft; the same again changes nothing but what it belongs to. Raises Refused."""
    try:
        data = json.dumps(document, allow_nan=False).encode()
    except (ValueError, RecursionError):
        message = "The draft holds a number that JSON has no spelling for, or nests too deeply."
        raise Refused(422, "bad_json", message, [Problem("bad_json", message)]) from None
    digest, now = hashlib.sha256(data).hexdigest(), time.time()
    with _opened(file) as db, transaction(db):
        _prune(db, now)
        before = _row(db, id_)
        if before is None and db.execute("SELECT count(*) FROM drafts").fetchone()[0] >= MOST_DRAFTS:
            message = f"There are {MOST_DRAFTS} drafts already."
            raise Refused(507, "too_many_drafts", message, [Problem("too_many_drafts", message, hint="Delete some.")])
        db.execute("INSERT OR REPLACE INTO drafts VALUES (?, ?, ?, NULL)", (id_, workflow_id, base))
        last = db.execute("SELECT number, digest FROM versions WHERE draft = ? ORDER BY number DESC LIMIT 1", (id_,)).fetchone()
        if last is not None and last[1] == digest:
            db.execute("UPDATE versions SET at = ? WHERE draft = ? AND number = ?", (now, id_, last[0]))
        else:
            number = 1 if last is None else last[0] + 1
            row = (id_, number, now, digest, _title(document), _nodes(document), len(data), zlib.compress(data))
            db.execute("INSERT INTO versions VALUES (?, ?, ?, ?, ?, ?, ?, ?)", row)
            _thin(db, id_)
        found = _row(db, id_)
    assert found is not None
    return found


def listed(file: Path, *, deleted: bool = False) -> list[DraftRecord]:
    """All drafts, the newest first; on request also those that were thrown away. Raises Refused."""
    if not file.exists():
        return []
    only = "" if deleted else "AND deleted IS NULL"
    with _opened(file) as db:
        return [DraftRecord(*row) for row in db.execute(f"{_ROWS} {only} ORDER BY at DESC, id")]


def read(file: Path, id_: str, version: int | None = None) -> tuple[DraftRecord, list[Version], dict[str, Any]] | None:
    """A draft, what can be had of it, and the document, the latest or that of a version. None for none. Raises Refused."""
    if not file.exists():
        return None
    with _opened(file) as db:
        found = _row(db, id_)
        if found is None:
            return None
        query = "SELECT number, at, bytes FROM versions WHERE draft = ? ORDER BY number"
        versions = [Version(*row) for row in db.execute(query, (id_,))]
        number = found.version if version is None else version
        row = db.execute("SELECT data FROM versions WHERE draft = ? AND number = ?", (id_, number)).fetchone()
    return None if row is None else (found, versions, json.loads(zlib.decompress(row[0])))


def delete(file: Path, id_: str) -> bool:
    """Throw a draft away; it can be had for a week more. False where there is none. Raises Refused."""
    if not file.exists():
        return False
    with _opened(file) as db, transaction(db):
        done = db.execute("UPDATE drafts SET deleted = ? WHERE id = ? AND deleted IS NULL", (time.time(), id_))
        return done.rowcount > 0


def _row(db: sqlite3.Connection, id_: str) -> DraftRecord | None:
    row = db.execute(f"{_ROWS} AND id = ?", (id_,)).fetchone()
    return DraftRecord(*row) if row else None


def _thin(db: sqlite3.Connection, id_: str) -> None:
    """Of what a draft was before, keep the last of every ten minutes."""
    lasts = f"SELECT max(number) FROM versions WHERE draft = ? GROUP BY CAST(at / {SLOT_SECONDS} AS INTEGER)"
    db.execute(f"DELETE FROM versions WHERE draft = ? AND number NOT IN ({lasts})", (id_, id_))
    newest = f"SELECT number FROM versions WHERE draft = ? ORDER BY number DESC LIMIT {MOST_VERSIONS}"
    db.execute(f"DELETE FROM versions WHERE draft = ? AND number NOT IN ({newest})", (id_, id_))


def _prune(db: sqlite3.Connection, now: float) -> None:
    """Let those go that were thrown away long ago, or that nobody has touched for very long."""
    touched = "(SELECT max(at) FROM versions WHERE draft = id)"
    db.execute(f"DELETE FROM drafts WHERE deleted < ? OR {touched} < ?", (now - DELETED_SECONDS, now - UNTOUCHED_SECONDS))
    db.execute("DELETE FROM versions WHERE draft NOT IN (SELECT id FROM drafts)")


def _title(document: Mapping[str, Any]) -> str:
    title = document.get("title")
    return title.encode(errors="replace").decode()[:500] if isinstance(title, str) else ""


def _nodes(document: Mapping[str, Any]) -> int | None:
    nodes = document.get("nodes")
    return len(nodes) if isinstance(nodes, dict) else None


@contextmanager
def _opened(file: Path) -> Iterator[sqlite3.Connection]:
    """The database, made where it is missing; a damaged one is put aside, and a new one begins. Raises Refused."""
    try:
        try:
            db = _connected(file)
        except sqlite3.DatabaseError as error:
            if _code(error) not in _DAMAGED:
                raise
            put_aside(file)
            db = _connected(file)
        with contextlib.closing(db):
            yield db
    except (sqlite3.Error, OSError) as error:
        raise _refusal(error) from None


def _connected(file: Path) -> sqlite3.Connection:
    file.parent.mkdir(parents=True, exist_ok=True)
    with contextlib.suppress(OSError):  # prompts are in it: for the user alone
        os.close(os.open(file, os.O_CREAT | os.O_RDWR, 0o600))
    db = sqlite3.connect(file, timeout=5.0, isolation_level=None)
    try:
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("PRAGMA synchronous = FULL")
        for statement in _SCHEMA:
            db.execute(statement)
    except BaseException:
        db.close()
        raise
    return db


def _code(error: sqlite3.Error) -> int:
    return (getattr(error, "sqlite_errorcode", None) or 0) & 0xFF


def _refusal(error: Exception) -> Refused:
    code = _code(error) if isinstance(error, sqlite3.Error) else 0
    if code in _LOCKED:
        return Refused(503, "busy", "The drafts are in use by another program.", headers={"Retry-After": "2"})
    if code in _CLOSED:
        return not_written(PermissionError(errno.EACCES, "not allowed"), "The draft")
    number = errno.ENOSPC if code in _FULL else error.errno if isinstance(error, OSError) else None
    return not_written(OSError(number or errno.EIO, "the disk reports an error"), "The draft")

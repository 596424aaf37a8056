"""Bringing a cache folder in line: what its files say, what its index says, and what dead processes left behind."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from nodegraph.store.blobs import Blobs
from nodegraph.store.index import Entry, add, drop, evict, transaction
from nodegraph.store.record import Damaged, Record, peek, unpack

_DEAREST_SECONDS = 1e12
_WRONG = """
    SELECT key FROM entries LEFT JOIN payloads USING (key)
    WHERE NOT file AND length(data) IS NOT bytes OR typeof(seconds) != 'real' OR typeof(worth) != 'real'
"""


class GcReport(NamedTuple):
    """What was found: temporary files of dead processes, files adopted, files and entries removed, and entries evicted."""

    temporary_files: int = 0
    adopted: int = 0
    removed_files: int = 0
    removed_entries: int = 0
    evicted: int = 0
    freed_bytes: int = 0


def entry_of(record: Record, size: int, file: bool) -> Entry:
    """A record's row. Its worth is that of age 0."""
    seconds = min(max(0.0, record.seconds), _DEAREST_SECONDS)  # in this order nan becomes 0
    return Entry(record.key, record.kind, record.type, seconds, size, seconds / size, file)


def survivors(blobs: Blobs) -> Iterator[Entry]:
    """The entries of the files that are there, by their headers alone: reading them checks the rest."""
    for key, path, size in blobs.found():
        with contextlib.suppress(Damaged, OSError), path.open("rb") as file:
            record = peek(file, size)
            if record.key == key:
                yield entry_of(record, size, True)


def collect(db: sqlite3.Connection, blobs: Blobs, budget_bytes: int) -> GcReport:
    """Compare files and rows, for the holder of the folder's lock. Raises sqlite3.DatabaseError for a damaged index."""
    verdict = db.execute("PRAGMA integrity_check(1)").fetchone()[0]
    if verdict != "ok":
        raise sqlite3.DatabaseError(verdict)
    temporary_files, freed = blobs.sweep()
    adopted: list[str] = []
    condemned: list[tuple[Path, int]] = []
    with transaction(db):
        wrong = [key for (key,) in db.execute(_WRONG)]
        for key in wrong:
            drop(db, key)
        rows = dict(db.execute("SELECT key, bytes FROM entries WHERE file"))
        for key, path, size in blobs.found():
            if key is not None and rows.pop(key, None) == size:
                continue
            record = _whole(blobs, key)
            if key is not None:
                drop(db, key)
            if record is None:
                condemned.append((path, size))
            else:
                add(db, entry_of(record, size, True))
                adopted.append(record.key)
        for key in rows:
            drop(db, key)
        db.execute("UPDATE entries SET worth = min(seconds / bytes, max(0.0, worth - (SELECT age FROM state)))")
        db.execute("UPDATE state SET age = 0.0, used_bytes = (SELECT coalesce(sum(bytes), 0) FROM entries)")
        evicted = evict(db, budget_bytes)
    for path, size in condemned:
        with contextlib.suppress(OSError):
            path.unlink()
            freed += size
    blobs.remove(entry.key for entry in evicted if entry.file)
    blobs.prune()
    shrink(db)
    freed += sum(entry.bytes for entry in evicted)
    return GcReport(temporary_files, len(adopted), len(condemned), len(rows) + len(wrong), len(evicted), freed)


def clear(db: sqlite3.Connection, blobs: Blobs) -> int:
    """Remove every entry and every file, for the holder of the folder's lock; the bytes that this freed."""
    freed = db.execute("SELECT coalesce(sum(length(data)), 0) FROM payloads").fetchone()[0]
    with transaction(db):
        db.execute("DELETE FROM entries")
        db.execute("DELETE FROM payloads")
        db.execute("UPDATE state SET used_bytes = 0, age = 0.0")
    for _, path, size in blobs.found():
        with contextlib.suppress(OSError):
            path.unlink()
            freed += size
    blobs.prune()
    shrink(db)
    return int(freed) + blobs.sweep()[1]


def shrink(db: sqlite3.Connection) -> None:
    """Give the index's unused pages back, as far as its readers allow."""
    with contextlib.suppress(sqlite3.OperationalError):
        db.executescript("PRAGMA incremental_vacuum")  # `execute` would free one page
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()


def _whole(blobs: Blobs, key: str | None) -> Record | None:
    if key is None:
        return None
    try:
        return unpack(blobs.read(key), key)._replace(buffers={})
    except (Damaged, OSError):
        return None

"""The disk tier: records by key in a folder, under a byte budget, for several threads and processes at once.

A cache, so every doubt is a miss: what cannot be read, or is not exactly what was written, is removed, and what cannot be
written is dropped. Eviction is the memory tier's, with its age kept in the index, so no clock matters.
"""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import NamedTuple, TypeVar, cast

from nodegraph.store import upkeep
from nodegraph.store.blobs import Blobs, fits_a_name
from nodegraph.store.index import Entry, Index, add, drop, evict, is_damage, renew, state, transaction
from nodegraph.store.record import KINDS, Damaged, Kind, Record, pieces, unpack
from nodegraph.store.trouble import explain
from nodegraph.store.upkeep import GcReport

T = TypeVar("T")

_LOG = logging.getLogger(__name__)
_INLINE_BYTES = 8192
_KIND = "SELECT kind FROM entries WHERE key = ?"
_READ = "SELECT data FROM entries LEFT JOIN payloads USING (key) WHERE key = ?"
_USE = "SELECT type, count(*), sum(bytes), sum(seconds) FROM entries GROUP BY type ORDER BY 3 DESC, 1"


class TypeUse(NamedTuple):
    """What the records of one node type take, and what computing them again would cost."""

    type: str
    entries: int
    bytes: int
    seconds: float


class DiskInfo(NamedTuple):
    """The state of a disk tier, node types by their bytes. `trouble` says what is wrong with the folder, if anything."""

    folder: Path
    budget_bytes: int
    used_bytes: int
    entries: int
    types: tuple[TypeUse, ...]
    trouble: str | None


class DiskTier:
    """Records in a folder. Nothing here raises because of the folder: `trouble` says what is wrong with it, for people."""

    def __init__(self, folder: Path, budget_bytes: int) -> None:
        self.folder = folder
        self.budget_bytes = budget_bytes
        self.trouble: str | None = None
        self._told: set[str] = set()
        self._touched: set[str] = set()
        self._closed = False
        self._blobs = Blobs(folder)
        self._index = Index(folder, lambda: upkeep.survivors(self._blobs))
        self._try(self._begin, None)

    def kind(self, key: str) -> Kind | None:
        """What lies under a key, from the index alone: some microseconds, and never waiting for a writer."""
        try:
            db = self._index.reader()
            row = db.execute(_KIND, (key,)).fetchone() if db else None
        except sqlite3.Error as error:
            if is_damage(error):
                self._index.suspect(self._index.generation)
            return None
        return cast(Kind, row[0]) if row is not None and row[0] in KINDS else None

    def read(self, key: str) -> Record | None:
        """The record under a key, if it is there and whole. Its buffers are views of one piece of memory.

        Go by its `kind`, not by what `kind` said before: only the record is checked.
        """
        found = None if self._closed else self._try(lambda: self._read(key), None, quiet=True)
        if found is not None:
            self._touched.add(key)
        return found

    def write(self, records: Sequence[Record]) -> None:
        """Keep records, durably when this returns; those of least worth leave until the budget holds.

        One larger than the whole budget is not kept, nor is one that `pack` refuses.
        """
        if self._closed:
            return
        distinct = {record.key: record for record in records}
        prepared = [made for record in distinct.values() if (made := self._prepare(record)) is not None]
        try:
            done = bool(prepared) and self._try(lambda: self._commit(prepared), False)
            if done and len(prepared) == len(distinct):
                self.trouble = None
        finally:
            for each in prepared:
                each.discard()

    def remove(self, keys: Iterable[str]) -> None:
        """Forget what lies under these keys."""

        def remove() -> None:
            with self._index.locked() as db:
                with transaction(db):
                    gone = [drop(db, key) for key in wanted]
                self._blobs.remove(entry.key for entry in gone if entry is not None and entry.file)

        wanted = list(keys)
        if wanted and not self._closed:
            self._try(remove, None)

    def clear(self) -> int:
        """Remove everything; the bytes that this freed."""

        def clear() -> int:
            with self._index.locked() as db:
                self._index.aside.unlink(missing_ok=True)
                return upkeep.clear(db, self._blobs)

        return 0 if self._closed else self._try(clear, 0)

    def gc(self) -> GcReport:
        """Bring files and index in line, remove what dead processes left, and make the budget hold."""

        def collect() -> GcReport:
            with self._index.locked() as db:
                return upkeep.collect(db, self._blobs, self.budget_bytes)

        return GcReport() if self._closed else self._try(collect, GcReport())

    def info(self) -> DiskInfo:
        """What is kept, and what it is worth."""

        def info() -> DiskInfo:
            db = None if self._closed else self._index.reader(mend=True)
            if db is None:
                return nothing
            types = tuple(TypeUse(*row) for row in db.execute(_USE))
            return nothing._replace(used_bytes=state(db)[0], entries=sum(use.entries for use in types), types=types)

        nothing = DiskInfo(self.folder, self.budget_bytes, 0, 0, (), self.trouble)
        return self._try(info, nothing, quiet=True)

    def close(self) -> None:
        """Keep what reads renewed, and let go of the folder. From here on everything misses."""
        if not self._closed:
            if self._touched and self.trouble is None:
                self._try(lambda: self._commit(()), False)
            self._closed = True
            self._index.close()
            self._blobs.close()

    def _begin(self) -> None:
        with self._index.locked() as db:
            self._blobs.sweep()
            with transaction(db):
                evicted = evict(db, self.budget_bytes)
            self._blobs.remove(entry.key for entry in evicted if entry.file)

    def _read(self, key: str) -> Record | None:
        db = self._index.reader(mend=True)
        if db is None:
            return None
        try:
            return self._load(db, key)
        except (Damaged, FileNotFoundError):
            if db.execute(_KIND, (key,)).fetchone() is None:  # evicted between row and file
                return None
        with self._index.locked() as db:  # nobody writes now, so what is wrong with it is not that it is being replaced
            try:
                return self._load(db, key)
            except (Damaged, FileNotFoundError) as error:
                _LOG.warning("Removed %s from the cache folder %s: %s", key, self.folder, error)
                with transaction(db):
                    drop(db, key)
                self._blobs.remove([key])
                return None

    def _load(self, db: sqlite3.Connection, key: str) -> Record | None:
        row = db.execute(_READ, (key,)).fetchone()
        if row is None:
            return None
        data = self._blobs.read(key) if row[0] is None else row[0]
        if not isinstance(data, bytes):
            raise Damaged("the payload is not bytes")
        return unpack(data, key)

    def _prepare(self, record: Record) -> _Prepared | None:
        """All that can be done without the folder's lock: the payload, or a temporary file."""
        try:
            parts = pieces(record)
        except (TypeError, ValueError, RecursionError) as error:
            _LOG.warning("A %s of %s is not kept on disk: %s", record.kind, record.type or "a node", error)
            return None
        size = sum(map(len, parts))
        entry = upkeep.entry_of(record, size, record.kind == "result" and size > _INLINE_BYTES and fits_a_name(record.key))
        if size > self.budget_bytes:
            return _Prepared(entry)
        if not entry.file:
            return _Prepared(entry, payload=b"".join(parts))
        file = self._try(lambda: self._blobs.prepare(parts), None)
        return None if file is None else _Prepared(entry, file=file)

    def _commit(self, prepared: Sequence[_Prepared]) -> bool:
        touched, self._touched = self._touched, set()
        with self._index.locked() as db:
            stale: set[str] = set()  # files to remove once their rows are gone for good
            placed: list[str] = []
            try:
                with transaction(db):
                    renew(db, list(touched))
                    for entry, payload, file in prepared:
                        gone = [before] if (before := drop(db, entry.key)) is not None else []
                        if payload is not None or file is not None:
                            gone += evict(db, self.budget_bytes - entry.bytes)
                            add(db, entry, payload)
                        stale.update(other.key for other in gone if other.file)
                        if file is not None:
                            self._blobs.place(file, entry.key)
                            placed.append(entry.key)
                            stale.discard(entry.key)
            except BaseException:
                self._blobs.remove(placed)  # whatever they replaced becomes a miss
                raise
            self._blobs.remove(stale)
        return True

    def _try(self, action: Callable[[], T], otherwise: T, quiet: bool = False) -> T:
        """Do it; a damaged index is made again first if need be. Where the folder fails, `otherwise` and a word about it."""
        generation = self._index.generation
        try:
            try:
                return action()
            except sqlite3.Error as error:
                if not is_damage(error):
                    raise
                _LOG.warning("The index of the cache folder %s is damaged (%s) and is made again.", self.folder, error)
                self._index.suspect(generation)
                self._index.mend()
                return action()
        except (OSError, sqlite3.Error) as error:
            if not quiet:
                self.trouble = explain(error, self.folder)
                if self.trouble not in self._told:
                    self._told.add(self.trouble)
                    _LOG.warning(self.trouble)
        return otherwise


class _Prepared(NamedTuple):
    """A record ready to be committed. With neither payload nor file it is too large, and only ends what was there."""

    entry: Entry
    payload: bytes | None = None
    file: Path | None = None

    def discard(self) -> None:
        """Remove the temporary file, if it was not placed."""
        if self.file is not None:
            try:
                self.file.unlink(missing_ok=True)
            except OSError:
                _LOG.debug("%s is left to gc", self.file)

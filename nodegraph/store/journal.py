"""The journal: what past runs leave behind, in one file. The last runs of each document, what nodes cost, and thumbnails.

It explains, forecasts and shows; no result is in it, so a run is right without it, and nothing it does ever fails one.
"""

from __future__ import annotations

import sqlite3
import zlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from nodegraph.sdk.context import Preview
from nodegraph.store.database import Database
from nodegraph.store.past import PastNode, packed, unpacked

LARGEST_RUN = 5000
"""Runs of more nodes are not kept."""

THUMBNAIL_SIDE = 192
"""Larger pictures are thinned out to this many pixels at most, per side."""

_VERSION = 2
_SCHEMA = (
    "CREATE TABLE runs (id INTEGER PRIMARY KEY AUTOINCREMENT, document TEXT, size INTEGER, nodes BLOB)",
    "CREATE INDEX runs_by_document ON runs (document, id, size)",
    "CREATE TABLE timings (type TEXT, profile TEXT, shape TEXT, count INTEGER, ms REAL, peak INTEGER, size INTEGER,"
    " used INTEGER, PRIMARY KEY (type, profile, shape)) WITHOUT ROWID",
    "CREATE TABLE costs (key TEXT PRIMARY KEY, ms REAL, peak INTEGER, size INTEGER, used INTEGER) WITHOUT ROWID",
    "CREATE INDEX costs_by_use ON costs (used)",
    "CREATE TABLE thumbnails"
    " (key TEXT PRIMARY KEY, static TEXT, width INTEGER, height INTEGER, rgb BLOB, size INTEGER, used INTEGER)",
    "CREATE INDEX thumbnails_by_static ON thumbnails (static)",
    "CREATE INDEX thumbnails_by_use ON thumbnails (used, size)",
    "CREATE TABLE clock (tick INTEGER)",
    "INSERT INTO clock VALUES (0)",
)
_NAMED = "(key = ?1 OR static = ?1)"
_SETTLED = 0.2
"""How much the latest time counts, once there are several."""


class Limits(NamedTuple):
    """How much the journal keeps."""

    documents: int = 64
    runs_per_document: int = 8
    run_bytes: int = 64 << 20
    timings: int = 20_000
    costs: int = 50_000
    thumbnail_bytes: int = 64 << 20


class Cost(NamedTuple):
    """What a node took: milliseconds, the device's peak bytes and the bytes of its result where they are known.

    `times` says how many times it is the mean of; 1 where it is the last.
    """

    ms: float
    peak_bytes: int | None = None
    nbytes: int | None = None
    times: int = 1


class Timed(NamedTuple):
    """A node that has been computed, under what its time is to be found again."""

    type: str
    profile: str
    shape: str
    key: str
    cost: Cost


class JournalInfo(NamedTuple):
    """What lies in the journal."""

    nbytes: int
    documents: int
    runs: int
    timings: int
    thumbnails: int
    thumbnail_bytes: int


class Journal:
    """Thread-safe; several processes may share the file. `add_...` return at once, a thread of the journal's own writes.

    `trouble` is empty, or a sentence that says why nothing is remembered.
    """

    def __init__(self, path: Path, limits: Limits | None = None) -> None:
        self._limits = limits or Limits()
        self._database = Database(path, _SCHEMA, _VERSION)

    @property
    def trouble(self) -> str:
        return self._database.trouble

    def flush(self) -> None:
        """Wait until everything added is written."""
        self._database.flush()

    def close(self) -> None:
        """Write what is pending and let the file go."""
        self._database.close()

    # ---- the past of documents ----

    def add_run(
        self, document: str, nodes: Callable[[], Mapping[str, PastNode]], timed: Callable[[], Sequence[Timed]] = tuple
    ) -> None:
        """Keep a run that is over. `nodes` and `timed` are called on the journal's thread."""

        def write(connection: sqlite3.Connection) -> None:
            tick = _tick(connection)
            blob = packed(nodes().items())
            connection.execute("INSERT INTO runs (document, size, nodes) VALUES (?, ?, ?)", (document, len(blob), blob))
            self._forget_runs(connection, document)
            if rows := timed():
                self._add_costs(connection, rows, tick)

        self._database.later(write)

    def runs(self, document: str) -> list[dict[str, PastNode]]:
        """The document's last runs, the latest first: its nodes by path."""
        query = "SELECT nodes FROM runs WHERE document = ? ORDER BY id DESC"

        def ask(connection: sqlite3.Connection) -> list[bytes]:
            return [blob for (blob,) in connection.execute(query, (document,))]

        found = []
        for blob in self._database.read(ask, list[bytes]()):
            try:
                found.append(unpacked(blob))
            except ValueError:  # a damaged one is as good as none
                continue
        return found

    def _forget_runs(self, connection: sqlite3.Connection, document: str) -> None:
        limits = self._limits
        connection.execute(
            "DELETE FROM runs WHERE document = ?1 AND id NOT IN"
            " (SELECT id FROM runs WHERE document = ?1 ORDER BY id DESC LIMIT ?2)",
            (document, limits.runs_per_document),
        )
        connection.execute(
            "DELETE FROM runs WHERE document NOT IN"
            " (SELECT document FROM runs GROUP BY document ORDER BY MAX(id) DESC LIMIT ?)",
            (limits.documents,),
        )
        _keep_latest(connection, "runs", "id", limits.run_bytes)

    # ---- what nodes cost ----

    def costs(self, keys: Iterable[str]) -> dict[str, Cost]:
        """What the nodes with these static keys took the last time, where that is known."""
        wanted = list(dict.fromkeys(keys))

        def ask(connection: sqlite3.Connection) -> dict[str, Cost]:
            found = {}
            for start in range(0, len(wanted), 500):
                some = wanted[start : start + 500]
                marks = ",".join("?" * len(some))
                query = f"SELECT key, ms, peak, size FROM costs WHERE key IN ({marks})"
                found.update({key: Cost(*rest) for key, *rest in connection.execute(query, some)})
            return found

        return self._database.read(ask, dict[str, Cost]())

    def timings(self, type_id: str, profile: str) -> dict[str, Cost]:
        """The mean cost of a node type by shape signature, and over all shapes under "*"."""
        query = "SELECT shape, ms, peak, size, count FROM timings WHERE type = ? AND profile = ?"

        def ask(connection: sqlite3.Connection) -> dict[str, Cost]:
            return {shape: Cost(*rest) for shape, *rest in connection.execute(query, (type_id, profile))}

        found = self._database.read(ask, dict[str, Cost]())
        count = sum(cost.times for cost in found.values())
        if count:
            peaks = [cost.peak_bytes for cost in found.values() if cost.peak_bytes is not None]
            mean = sum(cost.ms * cost.times for cost in found.values()) / count
            found["*"] = Cost(mean, max(peaks, default=None), None, count)
        return found

    def _add_costs(self, connection: sqlite3.Connection, rows: Sequence[Timed], tick: int) -> None:
        connection.executemany(
            "INSERT OR REPLACE INTO costs VALUES (?, ?, ?, ?, ?)", [(row.key, *row.cost[:3], tick) for row in rows]
        )
        connection.executemany(
            "INSERT INTO timings VALUES (?1, ?2, ?3, 1, ?4, ?5, ?6, ?7) ON CONFLICT DO UPDATE SET"
            " count = count + 1, ms = ms + (?4 - ms) * MAX(1.0 / (count + 1), ?8), peak = ?5, size = ?6, used = ?7",
            [(*row[:3], *row.cost[:3], tick, _SETTLED) for row in rows],
        )
        for table, most in (("costs", self._limits.costs), ("timings", self._limits.timings)):
            (count,) = connection.execute(f"SELECT COUNT(*) FROM {table}").fetchone()
            if count > most:
                names = "key" if table == "costs" else "type, profile, shape"
                oldest = f"SELECT {names} FROM {table} ORDER BY used LIMIT ?"
                connection.execute(f"DELETE FROM {table} WHERE ({names}) IN ({oldest})", (count - most,))

    # ---- thumbnails ----

    def add_thumbnail(self, key: str, preview: Preview, static: str = "") -> None:
        """Keep the picture that belongs to the result under `key`, in place of an earlier one.

        Under `static`, the key that the node has before anything runs, it is found too.
        """

        def write(connection: sqlite3.Connection) -> None:
            small = thinned(preview, THUMBNAIL_SIDE)
            rgb = zlib.compress(small.rgb)
            row = (key, static or None, small.width, small.height, rgb, len(rgb), _tick(connection))
            connection.execute("INSERT OR REPLACE INTO thumbnails VALUES (?, ?, ?, ?, ?, ?, ?)", row)
            _keep_latest(connection, "thumbnails", "used", self._limits.thumbnail_bytes)

        self._database.later(write)

    def thumbnail(self, key: str) -> Preview | None:
        """The picture of a result, by its key or by the static one; being asked for keeps it longer."""
        query = f"SELECT width, height, rgb FROM thumbnails WHERE {_NAMED} ORDER BY key = ?1 DESC, used DESC LIMIT 1"
        row = self._database.read(lambda connection: connection.execute(query, (key,)).fetchone(), None)
        if row is None:
            return None
        try:
            rgb = zlib.decompress(row[2])
        except zlib.error:
            return None
        renew = f"UPDATE thumbnails SET used = ?2 WHERE {_NAMED}"
        self._database.later(lambda connection: connection.execute(renew, (key, _tick(connection))))
        return Preview(row[0], row[1], rgb) if len(rgb) == 3 * row[0] * row[1] else None

    def pictured(self, keys: Iterable[str]) -> set[str]:
        """Those of the keys under which there is a picture."""
        query = f"SELECT 1 FROM thumbnails WHERE {_NAMED} LIMIT 1"

        def ask(connection: sqlite3.Connection) -> set[str]:
            return {key for key in keys if connection.execute(query, (key,)).fetchone() is not None}

        return self._database.read(ask, set[str]())

    # ---- the whole ----

    def info(self) -> JournalInfo:
        """How much there is of what."""
        query = (
            "SELECT (SELECT COUNT(DISTINCT document) FROM runs), (SELECT COUNT(*) FROM runs), (SELECT COUNT(*) FROM timings),"
            " COUNT(*), COALESCE(SUM(size), 0) FROM thumbnails"
        )
        row = self._database.read(lambda connection: connection.execute(query).fetchone(), (0,) * 5)
        return JournalInfo(self._database.nbytes, *row)

    def clear(self, *, thumbnails: bool = False, runs: bool = False) -> int:
        """Forget thumbnails, or documents' pasts and costs; gives the bytes freed on disk."""
        self.flush()
        before = self._database.nbytes
        tables = [*(["thumbnails"] if thumbnails else []), *(["runs", "timings", "costs"] if runs else [])]
        if not before or not tables:
            return 0

        def write(connection: sqlite3.Connection) -> None:
            for table in tables:
                connection.execute(f"DELETE FROM {table}")

        self._database.write(write, None)
        self._database.shrink()
        return max(0, before - self._database.nbytes)


def thinned(preview: Preview, side: int) -> Preview:
    """Every n-th pixel of a picture, so that no side is longer than `side`."""
    step = -(-max(preview.width, preview.height) // side)
    if step <= 1:
        return preview
    rows = []
    for y in range(0, preview.height, step):
        row = preview.rgb[3 * preview.width * y : 3 * preview.width * (y + 1)]
        thin = bytearray(3 * len(range(0, preview.width, step)))
        for channel in range(3):
            thin[channel::3] = row[channel :: 3 * step]
        rows.append(bytes(thin))
    return Preview(len(range(0, preview.width, step)), len(rows), b"".join(rows))


def _tick(connection: sqlite3.Connection) -> int:
    """The next number of the journal's own clock: the machine's may jump."""
    connection.execute("UPDATE clock SET tick = tick + 1")
    return int(connection.execute("SELECT tick FROM clock").fetchone()[0])


def _keep_latest(connection: sqlite3.Connection, table: str, order: str, budget_bytes: int) -> None:
    """Drop the oldest rows of a table until their sizes fit into the budget."""
    (total,) = connection.execute(f"SELECT COALESCE(SUM(size), 0) FROM {table}").fetchone()
    if total > budget_bytes:
        summed = f"SELECT rowid AS row, SUM(size) OVER (ORDER BY {order} DESC, rowid DESC) AS upto FROM {table}"
        connection.execute(f"DELETE FROM {table} WHERE rowid IN (SELECT row FROM ({summed}) WHERE upto > ?)", (budget_bytes,))

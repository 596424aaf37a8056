"""What is forgotten: old jobs with what only they made, old events and requests, and files that no job knows.

Rows go in small transactions, files after these are committed. A file goes only where nothing that runs can have wanted it
since: whoever keeps bytes that are there already touches their file.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import sqlite3
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from nodegraph.artifacts.kept import path_of
from nodegraph.jobs.commits import Transaction
from nodegraph.jobs.opening import StoreFailed
from nodegraph.jobs.records import job
from nodegraph.jobs.store import KEY_SECONDS, JobStore
from nodegraph.jobs.transitions import NotNow
from nodegraph.jobs.words import remove_words
from nodegraph.logs import logger
from nodegraph.settings.model import Jobs as JobSettings
from nodegraph.wire.jobs import ENDED

_LOG = logger("jobs")

EVERY_SECONDS = 3600.0
_YOUNG_SECONDS = 3600.0
_CLOCK_SECONDS = 0.02  # how far the times of files may be behind
_AT_ONCE = 50
_EVENTS_AT_ONCE = 2000
_PAGES_AT_ONCE = 500
_FOLDER = re.compile(r"[0-9a-f]{2}\Z")
_ENDED = "('succeeded', 'failed', 'cancelled')"
_GOING = ".going"


class Forgotten(NamedTuple):
    """What upkeep removed."""

    jobs: int = 0
    events: int = 0
    requests: int = 0
    files: int = 0


async def upkeep(store: JobStore, artifacts: Path, settings: JobSettings, every_seconds: float = EVERY_SECONDS) -> None:
    """Forget what is old, now and again and again, until cancelled."""
    while True:
        try:
            forgotten = await forget(store, artifacts, settings)
            if any(forgotten):
                _LOG.info("forgotten", **forgotten._asdict())
        except (StoreFailed, OSError) as error:
            _LOG.warning("not_forgotten", error=error)
        except Exception as error:  # what went wrong once must not keep everything for ever
            _LOG.fault("not_forgotten", error)
        await asyncio.sleep(every_seconds)


async def forget(store: JobStore, artifacts: Path, settings: JobSettings) -> Forgotten:
    """Forget what is old once. Raises StoreFailed, OSError."""
    oldest = time.time() - settings.keep_days * 86400
    jobs = events = requests = 0
    while gone := await store.write(lambda tx: _remove_old(tx, oldest, settings.keep_bytes)):
        jobs += len(gone.jobs)
        await remove_files(store, artifacts, gone.digests)
    while count := await store.write(lambda tx: _remove_events(tx, settings.keep_events)):
        events += count
    while count := await store.write(_remove_requests):
        requests += count
    files = await _sweep(store, artifacts)
    while await store.write(_give_pages_back):
        pass
    return Forgotten(jobs, events, requests, files)


async def delete(store: JobStore, artifacts: Path, id_: str) -> bool:
    """Forget one job, and the files that nobody else has; False where it is unknown. Raises NotNow where it has not ended."""

    def work(tx: Transaction) -> Gone | None:
        found = job(tx.connection, id_)
        if found is not None and found.state not in ENDED:
            raise NotNow(f"The job is {found.state}: cancel it first.")
        return None if found is None else remove_jobs(tx, [id_])

    gone = await store.write(work)
    if gone is not None:
        await remove_files(store, artifacts, gone.digests)
    return gone is not None


# ---- rows ----


class Gone(NamedTuple):
    """Jobs that were removed, and the artifacts that nobody has any more."""

    jobs: list[str]
    digests: list[str]


def remove_jobs(tx: Transaction, ids: Sequence[str]) -> Gone:
    """Remove jobs that have ended, with all that is known of them."""
    digests: list[str] = []
    for id_ in ids:
        digests += _remove_job(tx, id_)
    return Gone(list(ids), digests)


def _remove_job(tx: Transaction, id_: str) -> list[str]:
    connection = tx.connection
    had = [row[0] for row in connection.execute("SELECT digest FROM job_artifacts WHERE job = ?", (id_,)).fetchall()]
    remove_words(connection, id_)
    for table in ("documents", "node_rows", "job_artifacts", "marks", "requests", "events"):
        connection.execute(f"DELETE FROM {table} WHERE job = ?", (id_,))
    connection.execute("DELETE FROM jobs WHERE id = ?", (id_,))
    tx.event("job_deleted", id_)
    left = [digest for digest in had if not _is_had(tx, digest)]
    connection.executemany("DELETE FROM artifacts WHERE digest = ?", [(digest,) for digest in left])
    return left


def _is_had(tx: Transaction, digest: str) -> bool:
    return tx.connection.execute("SELECT 1 FROM job_artifacts WHERE digest = ? LIMIT 1", (digest,)).fetchone() is not None


def _remove_old(tx: Transaction, oldest: float, keep_bytes: int) -> Gone | None:
    """A few jobs that ended before `oldest`; else, where what is kept takes more than `keep_bytes`, the oldest that made it."""
    query = f"SELECT id FROM jobs WHERE state IN {_ENDED} AND finished < ? ORDER BY finished LIMIT {_AT_ONCE}"
    ids = [row[0] for row in tx.connection.execute(query, (oldest,)).fetchall()]
    if ids:
        return remove_jobs(tx, ids)
    (total,) = tx.connection.execute("SELECT COALESCE(SUM(bytes), 0) FROM artifacts").fetchone()
    ids = _too_many_bytes(tx, total - keep_bytes)
    return remove_jobs(tx, ids) if ids else None


def _too_many_bytes(tx: Transaction, over: int) -> list[str]:
    """The oldest jobs that made files, few enough for one transaction, and no more than make up for so many bytes."""
    ids: list[str] = []
    query = (
        f"SELECT id, (SELECT SUM(bytes) FROM job_artifacts JOIN artifacts USING (digest) WHERE job = jobs.id) FROM jobs"
        f" WHERE state IN {_ENDED} AND finished IS NOT NULL AND EXISTS (SELECT 1 FROM job_artifacts WHERE job = jobs.id)"
        f" ORDER BY finished LIMIT {_AT_ONCE}"
    )
    if over > 0:
        for id_, size in tx.connection.execute(query).fetchall():
            ids.append(id_)
            over -= size or 0  # less, where another job has the same file: the next round goes on
            if over <= 0:
                break
    return ids


def _remove_events(tx: Transaction, keep: int) -> int:
    (last,) = tx.connection.execute("SELECT MAX(seq) FROM events").fetchone()
    query = "DELETE FROM events WHERE seq IN (SELECT seq FROM events WHERE seq <= ? ORDER BY seq LIMIT ?)"
    return 0 if last is None else tx.connection.execute(query, (last - keep, _EVENTS_AT_ONCE)).rowcount


def _remove_requests(tx: Transaction) -> int:
    query = "DELETE FROM requests WHERE key IN (SELECT key FROM requests WHERE created < ? LIMIT ?)"
    return tx.connection.execute(query, (tx.now - KEY_SECONDS, _EVENTS_AT_ONCE)).rowcount


def _give_pages_back(tx: Transaction) -> bool:
    """Make the store's file smaller where much of it is free."""
    free = tx.connection.execute("PRAGMA freelist_count").fetchone()[0]
    if free <= _PAGES_AT_ONCE:
        return False
    tx.connection.execute(f"PRAGMA incremental_vacuum({_PAGES_AT_ONCE})").fetchall()
    return bool(tx.connection.execute("PRAGMA freelist_count").fetchone()[0] < free)


# ---- files ----


async def remove_files(store: JobStore, artifacts: Path, digests: Iterable[str]) -> None:
    """Remove the files of artifacts whose rows are gone, unless a job that runs may have made them again."""
    if paths := [path for digest in digests if (path := path_of(artifacts, digest)) is not None]:
        await asyncio.sleep(2 * _CLOCK_SECONDS)  # so that what was made just before is older than now, and goes
        before = await store.read(lambda connection: _running_since(connection, time.time()))
        await asyncio.to_thread(_remove_unwanted, paths, before)


async def _sweep(store: JobStore, artifacts: Path) -> int:
    """Remove files that no row knows, of processes that ended in between; how many."""
    before = await store.read(lambda connection: _running_since(connection, time.time() - _YOUNG_SECONDS))
    files = 0
    for folder in await asyncio.to_thread(_folders, artifacts):
        found = await asyncio.to_thread(_older, folder, before)
        known = await store.read(lambda connection, found=found: _known(connection, found))  # type: ignore[misc]
        files += await asyncio.to_thread(_remove_unwanted, [path for path in found if path.name not in known], before)
    return files


def _running_since(connection: sqlite3.Connection, now: float) -> float:
    """The time before which nothing that runs can have kept a file."""
    (began,) = connection.execute("SELECT MIN(started) FROM jobs WHERE state = 'running'").fetchone()
    return (now if began is None else min(now, began)) - _CLOCK_SECONDS


def _known(connection: sqlite3.Connection, paths: Iterable[Path]) -> set[str]:
    query = "SELECT 1 FROM artifacts WHERE digest = ?"
    return {path.name for path in paths if connection.execute(query, (f"sha256:{path.name}",)).fetchone() is not None}


def _folders(artifacts: Path) -> list[Path]:
    with contextlib.suppress(FileNotFoundError), os.scandir(artifacts) as entries:
        folders = [entry for entry in entries if _FOLDER.match(entry.name) and entry.is_dir(follow_symlinks=False)]
        return sorted(Path(entry.path) for entry in folders)
    return []


def _older(folder: Path, before: float) -> list[Path]:
    found = []
    with contextlib.suppress(FileNotFoundError), os.scandir(folder) as entries:
        for entry in entries:
            with contextlib.suppress(FileNotFoundError):
                if entry.is_file(follow_symlinks=False) and entry.stat(follow_symlinks=False).st_mtime < before:
                    found.append(Path(entry.path))
    return found


def _remove_unwanted(paths: Iterable[Path], before: float) -> int:
    """Remove files that were last wanted before a time; how many. One that is wanted at this very moment comes back."""
    removed = 0
    for path in paths:
        going = path.with_name(path.name + _GOING)
        with contextlib.suppress(FileNotFoundError):
            path.replace(going)  # from here on whoever wants these bytes writes them anew
            if going.stat().st_mtime < before:
                going.unlink()
                removed += 1
            else:
                going.replace(path)
    return removed

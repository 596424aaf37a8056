"""What is forgotten, and what must never be: jobs that have not ended, and files that a kept job or a running one has."""

from __future__ import annotations

import asyncio
import hashlib
import os
import sqlite3
import time
from pathlib import Path

import pytest

from jobs.stores import ended, finished, new, opened
from nodegraph.artifacts.kept import keep, path_of
from nodegraph.jobs import Filter, JobStore, Key, LoggedEvent, NotNow
from nodegraph.jobs import store as stores
from nodegraph.jobs.ids import new_id
from nodegraph.jobs.retention import delete, forget, upkeep
from nodegraph.settings.model import Jobs

KEEP_ALL = Jobs()
HOURS_AGO = 5 * 3600.0


def made(folder: Path, text: str, age: float = HOURS_AGO) -> str:
    """A file among the artifacts, and its digest."""
    digest = keep(folder, text.encode())
    path = path_of(folder, digest)
    assert path is not None
    then = time.time() - age
    os.utime(path, (then, then))
    return digest


def there(folder: Path, digest: str) -> bool:
    path = path_of(folder, digest)
    return path is not None and path.exists()


async def ids(store: JobStore) -> list[str]:
    return [job.id for job in (await store.page(Filter(), None, 500))[0]]


async def age(store: JobStore, id_: str, days: float) -> None:
    """Let a job have ended so long ago."""
    then = time.time() - days * 86400
    await store.write(lambda tx: tx.connection.execute("UPDATE jobs SET finished = ? WHERE id = ?", (then, id_)))


async def test_jobs_that_ended_long_ago_go_with_their_files_and_all_rows(tmp_path: Path) -> None:
    digest = made(tmp_path / "a", "old")
    async with opened(tmp_path) as store:
        old = (await store.add(new(text="an owl", marks=[("seed", "1")]), Key.of("k", b"")))[0].id
        await store.claim("worker", 0)
        await store.finish(old, 1, ended(digests=[digest]))
        young = await finished(store)
        await age(store, old, 91)
        forgotten = await forget(store, tmp_path / "a", Jobs(keep_days=90))
        assert forgotten.jobs == 1
        assert await ids(store) == [young]
        assert not there(tmp_path / "a", digest)
    tables = sqlite3.connect(tmp_path / "jobs.sqlite")
    for table in ("documents", "node_rows", "job_artifacts", "marks", "requests", "words"):
        assert tables.execute(f"SELECT COUNT(*) FROM {table} WHERE job = ?", (old,)).fetchone() == (0,), table
    assert tables.execute("SELECT COUNT(*) FROM artifacts").fetchone() == (0,)
    assert tables.execute("SELECT COUNT(*) FROM texts WHERE texts MATCH 'owl'").fetchone() == (0,)


async def test_jobs_that_have_not_ended_stay_however_old_they_are(tmp_path: Path) -> None:
    async with opened(tmp_path) as store:
        waits, runs, paused = [(await store.add(new(priority=p)))[0].id for p in (0, 9, 0)]
        await store.claim("worker", 0)
        await store.pause(paused)
        await store.write(lambda tx: tx.connection.execute("UPDATE jobs SET created = 1.0, started = 1.0"))
        await forget(store, tmp_path / "a", Jobs(keep_days=0.001, keep_bytes=0))
        assert set(await ids(store)) == {waits, runs, paused}


async def test_the_oldest_go_until_what_is_kept_fits(tmp_path: Path) -> None:
    folder = tmp_path / "a"
    async with opened(tmp_path) as store:
        digests = [made(folder, str(number)) for number in range(5)]
        jobs = [await finished(store, end=ended(digests=[digest], size=100)) for digest in digests]
        bare = await finished(store)
        await age(store, bare, 5)  # older, but it takes no room
        for number, id_ in enumerate(jobs):
            await age(store, id_, 4 - number * 0.1)
        await forget(store, folder, Jobs(keep_bytes=250))
        assert set(await ids(store)) == {bare, *jobs[3:]}
        assert [there(folder, digest) for digest in digests] == [False, False, False, True, True]


async def test_a_file_that_a_kept_job_has_too_stays(tmp_path: Path) -> None:
    folder = tmp_path / "a"
    shared, own = made(folder, "shared"), made(folder, "own")
    async with opened(tmp_path) as store:
        first = await finished(store, end=ended(digests=[shared, own]))
        second = await finished(store, end=ended(digests=[shared]))
        assert await delete(store, folder, first)
        assert there(folder, shared)
        assert not there(folder, own)
        assert await delete(store, folder, second)
        assert not there(folder, shared)


async def test_a_file_that_a_running_job_may_have_made_again_stays(tmp_path: Path) -> None:
    folder = tmp_path / "a"
    async with opened(tmp_path) as store:
        digest = keep(folder, b"the same")
        first = await finished(store, end=ended(digests=[digest]))
        second = (await store.add(new()))[0].id
        await store.claim("worker", 0)
        assert keep(folder, b"the same") == digest  # its row comes when the job has ended
        await delete(store, folder, first)
        await forget(store, folder, KEEP_ALL)
        assert there(folder, digest)
        await store.finish(second, 1, ended(digests=[digest]))
        await forget(store, folder, KEEP_ALL)
        assert there(folder, digest)


async def test_only_a_job_that_has_ended_is_deleted(tmp_path: Path) -> None:
    async with opened(tmp_path) as store:
        waits = (await store.add(new()))[0].id
        with pytest.raises(NotNow):
            await delete(store, tmp_path / "a", waits)
        assert not await delete(store, tmp_path / "a", new_id())


async def test_files_that_no_row_knows_go_after_an_hour_and_nothing_else_does(tmp_path: Path) -> None:
    folder = tmp_path / "a"
    orphan, young, had = made(folder, "orphan"), made(folder, "young", 60.0), made(folder, "had")
    (folder / "ab").mkdir(exist_ok=True)
    (folder / "notes.txt").write_text("not ours")
    (folder / "thumbnails").mkdir()
    (folder / "thumbnails" / "x").write_text("not ours")
    outside = tmp_path / "outside"
    outside.write_text("kept")
    os.utime(outside, (1.0, 1.0))
    (folder / "ab" / "link").symlink_to(outside)
    async with opened(tmp_path) as store:
        await finished(store, end=ended(digests=[had]))
        assert (await forget(store, folder, KEEP_ALL)).files == 1
    assert [there(folder, digest) for digest in (orphan, young, had)] == [False, True, True]
    assert outside.exists()
    assert (folder / "notes.txt").exists()
    assert (folder / "thumbnails" / "x").exists()


async def test_keeping_bytes_while_their_file_is_taken_away_never_leaves_them_missing(tmp_path: Path) -> None:
    """Two threads keep, one sweeps: each time something was kept, it is there whole."""
    folder = tmp_path / "a"
    data = b"x" * 1000

    def keep_often() -> None:
        for _ in range(300):
            assert keep(folder, data) == "sha256:" + hashlib.sha256(data).hexdigest()

    async with opened(tmp_path) as store:
        keeping = [asyncio.create_task(asyncio.to_thread(keep_often)) for _ in range(2)]
        while not all(task.done() for task in keeping):
            path = path_of(folder, hashlib.sha256(data).hexdigest())
            if path is not None and path.exists():
                os.utime(path, (1.0, 1.0))
            await forget(store, folder, KEEP_ALL)
        await asyncio.gather(*keeping)
        path = path_of(folder, keep(folder, data))
        assert path is not None
        assert path.read_bytes() == data


async def test_old_events_and_old_requests_are_forgotten_and_numbers_go_on(tmp_path: Path) -> None:
    told: list[LoggedEvent] = []
    async with opened(tmp_path, told) as store:
        for number in range(150):
            await store.add(new(), Key.of(f"k{number}", b""))
        last = told[-1].seq
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("nodegraph.jobs.retention.KEY_SECONDS", -1.0)
            forgotten = await forget(store, tmp_path / "a", Jobs(keep_events=100))
        assert (forgotten.events, forgotten.requests) == (50, 150)
        assert await store.bounds() == (last - 100, last)
        await store.add(new())
        assert told[-1].seq == last + 1
        assert stores.KEY_SECONDS == 86400


async def test_upkeep_runs_at_once_and_goes_on_after_a_failure(tmp_path: Path) -> None:
    async with opened(tmp_path) as store:
        old = await finished(store)
        await age(store, old, 91)
        (tmp_path / "a").write_text("no folder")  # what cannot be read must not end it
        task = asyncio.create_task(upkeep(store, tmp_path / "a", KEEP_ALL, every_seconds=0.01))
        while await store.get(old) is not None:  # each look lets it work
            assert not task.done()
        assert not task.done()
        task.cancel()


async def test_others_have_their_turn_while_much_is_forgotten(tmp_path: Path) -> None:
    async with opened(tmp_path) as store:
        for _ in range(300):
            await store.add(new())
        while await store.cancel_queued():
            pass
        await store.write(lambda tx: tx.connection.execute("UPDATE jobs SET finished = 1.0"))
        forgetting = asyncio.create_task(forget(store, tmp_path / "a", KEEP_ALL))
        left = []
        while not forgetting.done():
            await store.add(new())
            left.append(len(await ids(store)))
        assert (await forgetting).jobs == 300
        assert left[0] > 1  # it was written before all were forgotten

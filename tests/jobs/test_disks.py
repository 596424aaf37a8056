"""Disks that are full or read-only, and damaged files: said in words that help, nothing lost, and afterwards it goes on."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
from crash.disks import make_read_only, small_disk

from jobs.stores import finished, new, opened
from nodegraph.jobs import Damaged, Filter, FolderInUse, Holding, StoreFailed
from nodegraph.jobs.schema import VERSION


async def test_on_a_full_disk_nothing_acknowledged_is_lost_and_with_room_again_it_goes_on(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", 2000) as disk:
        async with opened(disk) as store:
            ballast = disk / "ballast"
            ballast.write_bytes(b"x" * 1_000_000)
            acknowledged: list[str] = []

            async def fill() -> None:
                while True:
                    acknowledged.append((await store.add(new(text=os.urandom(5000).hex())))[0].id)

            with pytest.raises(StoreFailed, match="Make room on the disk"):
                await fill()
            assert len((await store.page(Filter(), None, 500))[0]) == len(acknowledged)  # reading goes on
            ballast.unlink()
            acknowledged.append((await store.add(new()))[0].id)
        async with opened(disk) as store:
            assert {job.id for job in (await store.page(Filter(), None, 500))[0]} == set(acknowledged)
            assert (await store.counts())["queued"] == len(acknowledged)


async def test_a_write_that_fails_on_a_full_disk_fails_whole_and_tells_nothing(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", 1000) as disk:
        told: list[object] = []
        async with opened(disk, told) as store:  # type: ignore[arg-type]
            before = len(told)
            with pytest.raises(StoreFailed):
                await store.write(lambda tx: [tx.event("big", text="x" * 100_000) for _ in range(50)])
            assert len(told) == before
            await store.add(new())
            assert len(told) == before + 1


async def test_a_folder_that_is_read_only_from_the_start_is_told_with_its_name(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", 1000) as disk:
        make_read_only(disk)
        with pytest.raises(StoreFailed, match=r"jobs\.sqlite cannot be opened: Read-only file system.*--data"):
            async with opened(disk):
                pass


async def test_a_folder_that_becomes_read_only_can_still_be_read(tmp_path: Path) -> None:
    """What is already open for writing cannot be taken away by a remount, so the store is opened anew."""
    with small_disk(tmp_path / "disk", 4000) as disk:
        async with opened(disk) as store:
            id_ = await finished(store)
        async with opened(disk) as store:
            await store.write(lambda tx: tx.connection.execute("PRAGMA query_only = ON"))
            with pytest.raises(StoreFailed, match="readonly"):
                await store.add(new())
            assert await store.get(id_) is not None


@pytest.mark.parametrize("how", ["text", "head", "middle"])
async def test_a_damaged_file_stops_the_start_names_itself_and_stays_as_it_is(tmp_path: Path, how: str) -> None:
    async with opened(tmp_path) as store:
        for _ in range(50):
            await finished(store, new(text="an owl " * 100))
    file = tmp_path / "jobs.sqlite"
    data = bytearray(file.read_bytes())
    if how == "text":
        data[:] = b"this is no database " * 1000
    elif how == "head":
        data[:100] = os.urandom(100)
    else:
        data[4096 : len(data) // 2] = os.urandom(len(data) // 2 - 4096)
        (tmp_path / "jobs.sqlite-wal").write_bytes(b"left by a crash")  # only then the whole file is looked through
    file.write_bytes(data)
    with pytest.raises(Damaged) as caught:
        async with opened(tmp_path):
            pass
    assert str(file) in str(caught.value)
    assert "move jobs.sqlite" in str(caught.value)
    assert file.read_bytes() == data


async def test_damage_that_is_found_while_running_is_told_as_such(tmp_path: Path) -> None:
    async with opened(tmp_path) as store:
        ids = [await finished(store, new(text=os.urandom(2000).hex())) for _ in range(50)]
    file = tmp_path / "jobs.sqlite"
    data = bytearray(file.read_bytes())
    for page in range(2 * 4096, len(data), 4096):
        data[page : page + 64] = os.urandom(64)
    file.write_bytes(data)

    async def use() -> None:
        async with opened(tmp_path) as store:
            for id_ in ids:
                await store.known(id_)
            await store.add(new())

    with pytest.raises(Damaged):
        await use()


async def test_another_programs_database_is_left_alone(tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "jobs.sqlite") as other:
        other.execute("CREATE TABLE jobs (something)")
    with pytest.raises(Damaged, match="another program"):
        async with opened(tmp_path):
            pass


async def test_a_store_of_a_newer_nodegraph_is_left_alone(tmp_path: Path) -> None:
    async with opened(tmp_path) as store:
        await store.write(lambda tx: tx.connection.execute(f"PRAGMA user_version = {VERSION + 1}"))
    with pytest.raises(StoreFailed, match="newer nodegraph"):
        async with opened(tmp_path):
            pass


async def test_a_store_of_the_first_version_is_led_on_with_its_jobs(tmp_path: Path) -> None:
    async with opened(tmp_path) as store:
        old = await finished(store, new("old"))
        columns = await store.read(_columns)
    with sqlite3.connect(tmp_path / "jobs.sqlite", isolation_level=None) as first:
        first.executescript(
            "DROP INDEX jobs_document; ALTER TABLE jobs DROP COLUMN document_id; ALTER TABLE jobs DROP COLUMN client;"
            "PRAGMA user_version = 1"
        )
    async with opened(tmp_path) as store:
        assert await store.read(_columns) == columns
        made, _ = await store.add(new("new", document_id="sketch", client="tab 1"))
        found = {job.id: (job.title, job.document_id, job.client) for job in (await store.page(Filter(), None, 10))[0]}
        assert found == {old: ("old", None, None), made.id: ("new", "sketch", "tab 1")}
        assert [job.id for job in (await store.page(Filter(document_id="sketch"), None, 10))[0]] == [made.id]
    async with opened(tmp_path) as store:
        assert (await store.counts())["queued"] == 1


def _columns(connection: sqlite3.Connection) -> set[str]:
    return {row[1] for row in connection.execute("PRAGMA table_info(jobs)")}


async def test_the_file_is_for_its_user_alone(tmp_path: Path) -> None:
    async with opened(tmp_path):
        modes = {name: (tmp_path / name).stat().st_mode & 0o077 for name in ("jobs.sqlite", "jobs.sqlite-wal")}
    assert set(modes.values()) == {0}


async def test_after_closing_everything_is_refused_in_words(tmp_path: Path) -> None:
    async with opened(tmp_path) as store:
        pass
    with pytest.raises(StoreFailed, match="closed"):
        await store.add(new())
    with pytest.raises(StoreFailed, match="closed"):
        await store.counts()


# ---- one server for a folder ----

_HOLDER = """
import sys
from pathlib import Path
from nodegraph.jobs import FolderInUse, Holding
try:
    holding = Holding(Path(sys.argv[1]))
except FolderInUse as error:
    print(error)
else:
    holding.tell("http://127.0.0.1:8188/")
    print("held", flush=True)
    sys.stdin.read()
"""


def test_a_second_server_is_told_of_the_first_and_a_killed_ones_lock_is_gone(tmp_path: Path) -> None:
    command = [sys.executable, "-c", _HOLDER, str(tmp_path)]
    first = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert first.stdout is not None
    assert first.stdin is not None
    assert first.stdout.readline() == "held\n"
    second = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True, check=True)
    for part in (str(first.pid), "http://127.0.0.1:8188/", str(tmp_path), "--data"):
        assert part in second.stdout
    first.kill()
    first.wait()
    first.stdin.close()
    first.stdout.close()
    third = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True, check=True)
    assert third.stdout == "held\n"


def test_a_folder_is_let_go_of_and_taken_again(tmp_path: Path) -> None:
    with Holding(tmp_path) as holding:
        holding.tell("http://127.0.0.1:1/")
        with pytest.raises(FolderInUse) as caught:
            Holding(tmp_path)
        assert caught.value.pid == os.getpid()
        assert json.loads((tmp_path / "serve.lock").read_text())["url"] == "http://127.0.0.1:1/"
    Holding(tmp_path).release()


def test_a_lock_file_of_nonsense_is_no_obstacle(tmp_path: Path) -> None:
    (tmp_path / "serve.lock").write_bytes(b"\xff\x00[")
    with Holding(tmp_path), pytest.raises(FolderInUse, match="process"):
        Holding(tmp_path)


def test_a_lock_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreFailed, match=r"serve\.lock"):
        Holding(tmp_path / "file")

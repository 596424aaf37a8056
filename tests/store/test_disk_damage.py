"""Damage to a cache folder is a miss, is removed, and never becomes a value."""

from __future__ import annotations

import random
import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from nodegraph.store import DiskTier
from nodegraph.store.record import pack
from store.records import BIG, SMALL, blobs, consistent, held, key_of, record

BUDGET = 10**7
RECORDS = [record(number, BIG if number % 3 == 0 else SMALL) for number in range(30)]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A cache folder that holds RECORDS and that nobody has open."""
    tier = DiskTier(tmp_path / "cache", BUDGET)
    tier.write(RECORDS)
    tier.close()
    return tmp_path / "cache"


def works(folder: Path) -> int:
    """Whatever lies in the folder: only right values come out, and new ones go in. How many were still there."""
    tier = DiskTier(folder, BUDGET)
    kept = sum(held(tier, made) for made in RECORDS)
    tier.gc()
    tier.write([record(100), record(101, BIG)])
    assert held(tier, record(100))
    assert held(tier, record(101, BIG))
    assert tier.trouble is None
    tier.close()
    consistent(folder)
    return kept


def flip(path: Path, bit: int) -> None:
    data = bytearray(path.read_bytes())
    data[bit // 8] ^= 1 << bit % 8
    path.write_bytes(data)


@pytest.mark.parametrize("seed", range(20))
def test_a_flipped_bit_in_a_file_is_a_miss_and_the_file_goes(folder: Path, seed: int) -> None:
    dice = random.Random(seed)
    path = dice.choice(blobs(folder))
    flip(path, dice.randrange(8 * path.stat().st_size))
    tier = DiskTier(folder, BUDGET)
    assert tier.kind(path.stem) == "result"
    assert tier.read(path.stem) is None
    assert tier.kind(path.stem) is None
    assert not path.exists()
    assert sum(held(tier, made) for made in RECORDS) == len(RECORDS) - 1
    consistent(folder)


@pytest.mark.parametrize("left", [0, 1, 8, 100, BIG, -1])
def test_a_truncated_file_is_a_miss_and_goes(folder: Path, left: int) -> None:
    path = blobs(folder)[0]
    path.write_bytes(path.read_bytes()[:left])
    tier = DiskTier(folder, BUDGET)
    assert tier.read(path.stem) is None
    assert not path.exists()
    consistent(folder)


def test_a_file_under_another_name_is_a_miss(folder: Path) -> None:
    one, other = blobs(folder)[:2]
    shutil.copy(one, other)
    tier = DiskTier(folder, BUDGET)
    assert tier.read(other.stem) is None
    assert tier.read(one.stem) is not None
    consistent(folder)


def test_a_foreign_file_in_the_place_of_ours_is_a_miss(folder: Path) -> None:
    path = blobs(folder)[0]
    path.write_bytes(b"GIF89a" * 3000)
    tier = DiskTier(folder, BUDGET)
    assert tier.read(path.stem) is None
    assert not path.exists()


def test_a_file_that_vanished_is_a_miss_and_its_entry_goes(folder: Path) -> None:
    path = blobs(folder)[0]
    path.unlink()
    tier = DiskTier(folder, BUDGET)
    assert tier.read(path.stem) is None
    assert tier.kind(path.stem) is None
    consistent(folder)


@pytest.mark.parametrize("seed", range(10))
def test_a_flipped_bit_in_a_row_is_a_miss_and_the_row_goes(folder: Path, seed: int) -> None:
    dice = random.Random(seed)
    db = sqlite3.connect(folder / "index.sqlite")
    key, data = dice.choice(db.execute("SELECT key, data FROM payloads ORDER BY key").fetchall())
    bit = dice.randrange(8 * len(data))
    data = bytearray(data)
    data[bit // 8] ^= 1 << bit % 8
    db.execute("UPDATE payloads SET data = ? WHERE key = ?", (bytes(data), key))
    db.commit()
    db.close()
    tier = DiskTier(folder, BUDGET)
    assert tier.read(key) is None
    assert tier.kind(key) is None
    consistent(folder)


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE entries SET kind = 'spoon'",
        "UPDATE entries SET kind = x'FF'",
        "UPDATE entries SET kind = CAST(x'FFFE' AS TEXT)",
        "UPDATE entries SET type = CAST(x'FFFE' AS TEXT)",
        "UPDATE entries SET bytes = -5",
        "UPDATE entries SET bytes = 'many'",
        "UPDATE entries SET bytes = 0",
        "UPDATE entries SET seconds = 'long', worth = 'much'",
        "UPDATE entries SET worth = 9e999",
        "UPDATE entries SET file = 1 - file",
        "UPDATE payloads SET data = 'words'",
        "DELETE FROM payloads",
        "UPDATE state SET used_bytes = -1",
        "UPDATE state SET used_bytes = 1e15",
        "UPDATE state SET used_bytes = 999999999999",
        "UPDATE state SET age = 'old'",
        "UPDATE state SET age = 9e999",
        "DELETE FROM state",
        "DROP TABLE state",
        "DROP TABLE payloads",
        "DROP TABLE entries",
        "ALTER TABLE entries RENAME COLUMN bytes TO bites",
        "DROP TRIGGER came",
        "PRAGMA user_version = 99",
    ],
)
def test_an_index_that_says_nonsense_does_no_harm(folder: Path, change: str) -> None:
    db = sqlite3.connect(folder / "index.sqlite")
    db.execute(change)
    db.commit()
    db.close()
    works(folder)


def test_an_index_that_does_not_add_up_is_made_again_at_once(folder: Path) -> None:
    db = sqlite3.connect(folder / "index.sqlite")
    db.execute("UPDATE state SET used_bytes = 999999999999")
    db.commit()
    db.close()
    tier = DiskTier(folder, BUDGET)
    assert tier.trouble is None
    assert tier.info().used_bytes <= BUDGET
    tier.close()
    consistent(folder)


def test_files_outlive_an_index_of_another_version(folder: Path) -> None:
    db = sqlite3.connect(folder / "index.sqlite")
    db.execute("PRAGMA user_version = 99")
    db.close()
    assert works(folder) == len(blobs(folder)) - 1


def garbage(path: Path) -> None:
    path.write_bytes(random.Random(0).randbytes(path.stat().st_size))


DAMAGES: dict[str, Callable[[Path], object]] = {
    "garbage": garbage,
    "nothing": lambda path: path.write_bytes(b""),
    "words": lambda path: path.write_text("not a database " * 1000),
    "half": lambda path: path.write_bytes(path.read_bytes()[: path.stat().st_size // 2]),
    "one page": lambda path: path.write_bytes(path.read_bytes()[:4096]),
    "a header alone": lambda path: path.write_bytes(path.read_bytes()[:4096] + bytes(path.stat().st_size - 4096)),
    "gone": lambda path: path.unlink(),
}


@pytest.mark.parametrize("name", DAMAGES)
def test_a_damaged_index_is_made_again_from_the_files(folder: Path, name: str) -> None:
    DAMAGES[name](folder / "index.sqlite")
    assert works(folder) >= len(RECORDS) / 3


def test_a_renamed_file_is_not_believed_when_the_index_is_made_again(folder: Path) -> None:
    one, other = blobs(folder)[:2]
    shutil.copy(one, other)
    (folder / "index.sqlite").unlink()
    tier = DiskTier(folder, BUDGET)
    assert (tier.kind(one.stem), tier.kind(other.stem), tier.trouble) == ("result", None, None)
    assert tier.gc().removed_files == 1
    tier.close()
    consistent(folder)


@pytest.mark.parametrize("ending", ["-wal", "-shm"])
def test_garbage_beside_the_index_does_no_harm(folder: Path, ending: str) -> None:
    Path(f"{folder / 'index.sqlite'}{ending}").write_bytes(random.Random(0).randbytes(50_000))
    assert works(folder) == len(RECORDS)


def test_somebody_elses_database_is_set_aside(folder: Path) -> None:
    (folder / "index.sqlite").unlink()
    db = sqlite3.connect(folder / "index.sqlite")
    db.execute("CREATE TABLE diary (entry)")
    db.close()
    theirs = (folder / "index.sqlite").read_bytes()
    assert works(folder) == len(blobs(folder)) - 1
    assert (folder / "index.damaged").read_bytes() == theirs


@pytest.mark.parametrize("seed", range(40))
def test_flipped_bits_in_the_index_never_become_a_value(folder: Path, seed: int) -> None:
    dice = random.Random(seed)
    path = folder / "index.sqlite"
    size = path.stat().st_size
    for _ in range(1 + seed % 5 * 10):
        flip(path, dice.randrange(8 * (4096 if seed % 2 else size)))
    works(folder)


@pytest.mark.parametrize("seed", range(10))
def test_an_index_damaged_while_it_is_open_is_made_again(folder: Path, seed: int) -> None:
    tier = DiskTier(folder, BUDGET)
    if seed % 2:
        assert held(tier, RECORDS[0])
    dice = random.Random(seed)
    with (folder / "index.sqlite").open("r+b") as file:
        for page in range(1, file.seek(0, 2) // 4096):
            file.seek(4096 * page)
            file.write(dice.randbytes(4096))
    for made in RECORDS:
        tier.kind(made.key)
        held(tier, made)
    assert sum(held(tier, made) for made in RECORDS) == len(blobs(folder))
    tier.gc()
    tier.write([record(100), record(101, BIG)])
    assert held(tier, record(100))
    assert held(tier, record(101, BIG))
    tier.close()
    consistent(folder)
    works(folder)


def test_a_folder_removed_while_it_is_open_is_made_again(folder: Path) -> None:
    tier = DiskTier(folder, BUDGET)
    assert held(tier, RECORDS[0])
    shutil.rmtree(folder)
    assert tier.read(key_of(3)) is None
    tier.write([record(100), record(101, BIG)])
    assert held(tier, record(100))
    assert held(tier, record(101, BIG))
    tier.close()
    assert consistent(folder)[0] == 2


def test_an_index_replaced_by_another_process_is_noticed(folder: Path) -> None:
    tier, other = DiskTier(folder, BUDGET), DiskTier(folder, BUDGET)
    (folder / "index.sqlite").unlink()
    other.write([record(100)])
    tier.write([record(101)])
    for each in (tier, other):
        assert held(each, record(100))
        assert held(each, record(101))
    tier.close()
    other.close()
    consistent(folder)


def test_gc_adopts_whole_files_and_removes_the_rest(folder: Path) -> None:
    tier = DiskTier(folder, BUDGET)
    orphan, half = tier._blobs.path(key_of(200)), tier._blobs.path(key_of(201))
    for path, data in ((orphan, pack(record(200, BIG))), (half, pack(record(201, BIG))[:-1]), (folder / "blobs" / "x", b"?")):
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(data)
    missing = next(path for path in blobs(folder) if path not in (orphan, half))
    missing.unlink()
    report = tier.gc()
    assert (report.adopted, report.removed_files, report.removed_entries, report.evicted) == (1, 2, 1, 0)
    assert report.freed_bytes == len(pack(record(201, BIG))) - 1 + 1
    assert held(tier, record(200, BIG))
    assert not half.exists()
    assert not any(tier.gc())
    consistent(folder)


def test_gc_keeps_a_row_whose_file_was_replaced_by_a_whole_one_of_another_size(folder: Path) -> None:
    tier = DiskTier(folder, BUDGET)
    path = tier._blobs.path(key_of(0))
    path.write_bytes(pack(record(0, BIG + 500)))
    tier.gc()
    assert held(tier, record(0, BIG + 500))
    consistent(folder)


def test_temporary_files_of_the_living_stay(folder: Path) -> None:
    tier, other = DiskTier(folder, BUDGET), DiskTier(folder, BUDGET)
    mine = other._blobs.prepare([b"abc"])
    assert tier.gc().temporary_files == 0
    assert mine.exists()
    mine.rename(mine.with_name("0123-0"))  # of a process that is no more
    report = tier.gc()
    assert (report.temporary_files, report.freed_bytes) == (1, 3)
    tier.close()
    other.close()
    assert not list((folder / "temporary").iterdir())

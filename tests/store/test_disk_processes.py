"""Several processes on one cache folder, processes that are killed, and folders that cannot be written."""

from __future__ import annotations

import random
import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from nodegraph.store import DiskTier
from nodegraph.store.locks import alone
from store.records import BECOME_NOBODY, BIG, SMALL, blobs, consistent, finish, held, key_of, record, size_of, start

HAMMER = """
import random, sys
from pathlib import Path
from nodegraph.store import DiskTier
from store.records import BIG, SMALL, held, record
folder, budget, seed, rounds = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])
dice = random.Random(seed)
def some():
    number = dice.randrange(40)
    return record(number, BIG if number % 2 else SMALL)
hits = 0
tier = DiskTier(folder, budget)
for turn in range(rounds):
    tier.write([some() for _ in range(dice.randrange(1, 4))])
    used = tier.info().used_bytes
    assert used <= budget, used
    hits += sum(held(tier, some()) for _ in range(8))
    if dice.random() < 0.05:
        tier.remove([some().key])
    if dice.random() < 0.02:
        tier.gc()
    if dice.random() < 0.02:
        tier.close()
        tier = DiskTier(folder, budget)
    assert tier.trouble is None, tier.trouble
tier.close()
assert hits
"""

WRITE_ON = """
import sys
from pathlib import Path
from nodegraph.store import DiskTier
from store.records import BIG, SMALL, record
tier = DiskTier(Path(sys.argv[1]), 10**9)
for number in range(int(sys.argv[2]), 10**6, 2):
    tier.write([record(number, BIG), record(number + 1, SMALL)])
    print(number, flush=True)
"""


@pytest.mark.slow
def test_processes_that_hammer_one_folder_see_right_values_only(tmp_path: Path) -> None:
    budget = 8 * size_of(record(1, BIG))
    crowd = [start(HAMMER, tmp_path, budget, seed, 120) for seed in range(3)]
    for process in crowd:
        finish(process)
    entries, used = consistent(tmp_path)
    assert entries
    assert used <= budget
    assert not list((tmp_path / "temporary").iterdir())


@pytest.mark.slow
def test_what_was_written_is_there_after_a_kill(tmp_path: Path) -> None:
    dice = random.Random(1)
    next_number = 0
    for _ in range(8):
        process = start(WRITE_ON, tmp_path, next_number)
        assert process.stdout is not None
        for _ in range(dice.randrange(1, 30)):
            process.stdout.readline()
        process.kill()  # at whatever it is doing just now
        rest, _ = process.communicate()
        assert process.returncode == -signal.SIGKILL
        said = [int(line) for line in rest.splitlines(keepends=True) if line.endswith("\n")]
        next_number = max(said, default=next_number) + 2
        tier = DiskTier(tmp_path, 10**9)
        told = range(0, next_number, 2)
        for number in told if dice.random() < 0.2 else told[-40:]:
            held(tier, record(number, BIG))
        for number in said:
            assert held(tier, record(number, BIG))
            assert held(tier, record(number + 1, SMALL))
        tier.close()
    tier = DiskTier(tmp_path, 10**9)
    tier.gc()
    assert not tier.gc().temporary_files
    tier.close()
    consistent(tmp_path)


def test_a_dead_writers_temporary_files_go(tmp_path: Path) -> None:
    program = """
import os, signal, sys
from pathlib import Path
from nodegraph.store import DiskTier
tier = DiskTier(Path(sys.argv[1]), 10**9)
tier._blobs.prepare([b"x" * 1000])
os.kill(os.getpid(), signal.SIGKILL)
"""
    tier = DiskTier(tmp_path, 10**9)
    process = start(program, tmp_path)
    process.communicate(timeout=60)
    assert len(list((tmp_path / "temporary").iterdir())) == 2
    report = tier.gc()
    assert (report.temporary_files, report.freed_bytes) == (1, 1000)
    assert not list((tmp_path / "temporary").iterdir())


def test_a_full_disk_drops_what_does_not_fit_and_says_so(tmp_path: Path) -> None:
    program = """
import resource, sys
from pathlib import Path
from nodegraph.store import DiskTier
from store.records import BIG, blobs, held, record
tier = DiskTier(Path(sys.argv[1]), 10**9)
tier.write([record(1, BIG), record(2)])
resource.setrlimit(resource.RLIMIT_FSIZE, (30_000, resource.RLIM_INFINITY))  # no file grows beyond this
tier.write([record(3, 10**6)])
assert tier.trouble and "no room" in tier.trouble and sys.argv[1] in tier.trouble, tier.trouble
tier.write([record(5, BIG), *(record(number, 5000) for number in range(10, 60))])
assert tier.trouble, "the index did not fit either"
assert len(blobs(tier.folder)) == 1
assert tier.read(record(3).key) is None
assert held(tier, record(1, BIG)) and held(tier, record(2))
assert not held(tier, record(10, 5000))
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
tier.write([record(3, 10**6), record(4)])
assert held(tier, record(3, 10**6)) and held(tier, record(4))
assert tier.trouble is None, tier.trouble
tier.close()
"""
    finish(start(program, tmp_path))
    assert consistent(tmp_path)[0] == 4
    assert not list((tmp_path / "temporary").iterdir())


READ_ONLY = f"""
import sys
from pathlib import Path
from nodegraph.store import DiskTier
from store.records import BIG, held, record
{BECOME_NOBODY}
tier = DiskTier(Path(sys.argv[1]), 10**9)
assert tier.trouble and "cannot be written" in tier.trouble and sys.argv[1] in tier.trouble, tier.trouble
assert tier.kind(record(1).key) == "result"
assert held(tier, record(1, BIG)) and held(tier, record(2))
tier.write([record(3), record(4, BIG)])
tier.remove([record(1).key])
assert not tier.clear()
assert not any(tier.gc())
assert tier.info().entries == int(sys.argv[2])
assert held(tier, record(1, BIG)) and held(tier, record(2))
assert not held(tier, record(3)) and not held(tier, record(4, BIG))
for number in range(10, 13):
    assert tier.kind(record(number).key) and tier.read(record(number).key) is None
tier.close()
"""


@pytest.fixture
def shown() -> Iterator[Path]:
    """A folder with two whole records and three damaged ones, where another user can reach it."""
    with tempfile.TemporaryDirectory() as place:
        Path(place).chmod(0o755)
        folder = Path(place) / "cache"
        tier = DiskTier(folder, 10**9)
        tier.write([record(1, BIG), record(2), *(record(number, BIG) for number in range(10, 13))])
        tier.close()
        for number in range(10, 13):
            path = tier._blobs.path(key_of(number))
            path.write_bytes(path.read_bytes()[:-1])
        yield folder
        seal(folder, 0o755, 0o644)


def seal(folder: Path, folders: int = 0o555, files: int = 0o444) -> None:
    for path in (folder, *folder.rglob("*")):
        path.chmod(folders if path.is_dir() else files)


@pytest.mark.parametrize("owner", ["gone", "at work", "killed"])
def test_a_folder_that_cannot_be_written_can_still_be_read(shown: Path, owner: str) -> None:
    tier = DiskTier(shown, 10**9) if owner != "gone" else None
    if tier is not None:
        tier.write([record(2)])
    if tier is not None and owner == "killed":  # then its log stays, but nobody holds it
        left = {path: path.read_bytes() for path in shown.glob("index.sqlite-*")}
        tier.close()
        for path, data in left.items():
            path.write_bytes(data)
    seal(shown)
    finish(start(READ_ONLY, shown, 5))
    if tier is not None:
        tier.close()
    assert len(blobs(shown)) == 4


@pytest.mark.parametrize("place", ["/proc/cache", "/dev/null", "/dev/null/cache", "x" * 300, "a file"])
def test_a_folder_that_cannot_be_made_misses_and_says_so(tmp_path: Path, place: str) -> None:
    (tmp_path / "a file").write_bytes(b"mine")
    folder = Path(place) if place.startswith("/") else tmp_path / place
    tier = DiskTier(folder, 10**9)
    assert tier.trouble
    assert str(folder) in tier.trouble
    tier.write([record(1), record(2, BIG)])
    assert (tier.kind(key_of(1)), tier.read(key_of(1)), tier.clear(), tier.info().entries) == (None, None, 0, 0)
    assert not any(tier.gc())
    tier.remove([key_of(1)])
    tier.close()
    assert (tmp_path / "a file").read_bytes() == b"mine"


def test_trouble_is_logged_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "file").touch()
    tier = DiskTier(tmp_path / "file", 10**9)
    for number in range(5):
        tier.write([record(number)])
    assert len(caplog.records) == 1


def test_a_process_that_keeps_the_folder_locked_does_not_hold_up_readers(tmp_path: Path) -> None:
    DiskTier(tmp_path, 10**9).write([record(1)])
    program = """
import sys
from pathlib import Path
from nodegraph.store import DiskTier
from nodegraph.store.index import transaction
tier = DiskTier(Path(sys.argv[1]), 10**9)
with tier._index.locked() as db, transaction(db):
    db.execute("DELETE FROM entries")
    print("locked", flush=True)
    sys.stdin.readline()
"""
    tier = DiskTier(tmp_path, 10**9)
    process = start(program, tmp_path)
    assert process.stdout is not None
    assert process.stdout.readline() == "locked\n"
    assert tier.kind(key_of(1)) == "result"
    assert held(tier, record(1))
    process.communicate("\n", timeout=60)
    assert tier.kind(key_of(1)) is None


def test_one_at_a_time_holds_a_lock(tmp_path: Path) -> None:
    with alone(tmp_path / "lock", 1.0), pytest.raises(TimeoutError), alone(tmp_path / "lock", 0.0):
        pass
    with alone(tmp_path / "lock", 0.0):
        pass


def test_a_folder_that_stays_locked_takes_nothing_and_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nodegraph.store.index._PATIENCE_SECONDS", 0.01)
    tier = DiskTier(tmp_path, 10**9)
    tier.write([record(1, BIG)])
    with alone(tmp_path / "lock", 1.0):
        tier.write([record(2), record(3, BIG)])
        assert "locked" in (tier.trouble or "")
        assert held(tier, record(1, BIG))
    assert not held(tier, record(3, BIG))
    tier.write([record(3, BIG)])
    assert tier.trouble is None
    tier.close()
    assert consistent(tmp_path)[0] == 2

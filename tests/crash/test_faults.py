"""Broken surroundings while runs go on: the value is right or there is none, and what was wrong is said in words for people."""

from __future__ import annotations

import contextlib
import os
import random
import shutil
import tempfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from crash.disks import small_disk
from crash.story import Place, Report, expected
from nodegraph.store import DiskTier

STEPS = 4
RIGHT = expected(steps=STEPS)
TIMES = 30 if os.environ.get("HYPOTHESIS_PROFILE") == "soak" else 3
SHORT: dict[str, Any] = {"steps": STEPS, "window": 0.02}

pytestmark = pytest.mark.slow


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place.below(tmp_path)


def run(place: Place, right: str = RIGHT.text, **options: Any) -> Report:
    return good(place.run(**SHORT, **options), right)


def good(done: Report, right: str = RIGHT.text) -> Report:
    """A run that gave the right value and showed no trace to anybody."""
    assert (done.status, done.text, done.problems) == ("succeeded", right, [])
    assert "Traceback" not in done.said
    return done


def told(done: Report, *words: str) -> None:
    """Trouble is known to programs, and said once to people."""
    assert done.trouble is not None
    for word in words:
        assert word in done.trouble
    assert done.said.count(done.trouble) == 1


def remembers(place: Place) -> bool:
    """Whether another run computes no step."""
    before = len(place.lines())
    run(place)
    return len(place.lines()) == before


# ---- room and rights ----


def test_a_full_disk_costs_only_what_does_not_fit(place: Place) -> None:
    assert str(place.folder) in (run(place, file_limit=4000).trouble or ""), "not even the index has room"
    run(place, file_limit=60_000)
    done = run(place, file_limit=15_000, seed=2, right=expected(2, STEPS).text)
    assert done.trouble is not None
    assert "no room" in done.said
    assert "nodegraph cache clear" in done.said
    assert run(place).trouble is None
    assert remembers(place)


@pytest.mark.parametrize("kilobytes", [4, 60, 100])
def test_a_small_file_system_that_fills_up_never_costs_the_run(tmp_path: Path, kilobytes: int) -> None:
    with small_disk(tmp_path / "disk", kilobytes) as disk:
        place = Place(disk / "cache", tmp_path / "log")
        told(run(place), "no room", "nodegraph cache clear")
        run(place)


@pytest.fixture
def open_place() -> Iterator[Place]:
    """A place that another user can reach."""
    with tempfile.TemporaryDirectory() as path:
        Path(path).chmod(0o755)
        place = Place.below(Path(path))
        place.log.touch()
        place.log.chmod(0o666)
        yield place
        seal(place.folder, 0o755, 0o644)


def seal(folder: Path, folders: int = 0o555, files: int = 0o444) -> None:
    for path in (folder, *folder.rglob("*")):
        with contextlib.suppress(FileNotFoundError):
            path.chmod(folders if path.is_dir() else files)


def test_a_folder_that_cannot_be_written_is_still_read(open_place: Place) -> None:
    run(open_place)
    before = len(open_place.lines())
    seal(open_place.folder)
    told(run(open_place, nobody=True), str(open_place.folder), "cannot be written")
    assert len(open_place.lines()) == before
    run(open_place, nobody=True, seed=2, right=expected(2, STEPS).text)
    told(run(open_place, nobody=True, seed=2, right=expected(2, STEPS).text), "cannot be written")


def test_a_folder_that_becomes_unwritable_during_a_run_costs_only_the_cache(open_place: Place) -> None:
    process = open_place.start(nobody=True, **SHORT, step_seconds=0.04)
    open_place.folder.parent.chmod(0o777)
    process.wait_until_begun()
    open_place.folder.parent.chmod(0o755)
    seal(open_place.folder)
    good(process.report())


def test_a_folder_that_cannot_be_made_is_said_and_misses(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    place = Place(tmp_path / "file" / "cache", tmp_path / "log")
    told(run(place), str(place.folder), "cannot be made")


def test_values_larger_than_the_budgets_are_computed_and_not_kept(place: Place) -> None:
    for _ in range(2):
        done = run(place, budget=5000, memory=5000)
        assert done.trouble is None
    tier = DiskTier(place.folder, 5000)
    assert tier.info().used_bytes <= 5000
    tier.close()


# ---- damage ----


def flip(path: Path, dice: random.Random) -> None:
    """Turn a bit of a file over, where it is."""
    with contextlib.suppress(FileNotFoundError, ValueError), path.open("r+b", buffering=0) as file:
        at = dice.randrange(os.fstat(file.fileno()).st_size)
        file.seek(at)
        byte = file.read(1)
        file.seek(at)
        file.write(bytes([byte[0] ^ 1 << dice.randrange(8)]) if byte else b"")


def cut(path: Path, dice: random.Random) -> None:
    with contextlib.suppress(FileNotFoundError, ValueError):
        os.truncate(path, dice.randrange(path.stat().st_size))


def replace(path: Path, dice: random.Random) -> None:
    with contextlib.suppress(FileNotFoundError):
        path.write_bytes(dice.randbytes(dice.randrange(3000)))


def shuffle(path: Path, dice: random.Random) -> None:
    """Put another record's file there, which is whole."""
    others = sorted(path.parents[1].rglob("*.safetensors"))
    with contextlib.suppress(FileNotFoundError, shutil.SameFileError):
        shutil.copyfile(dice.choice(others or [path]), path)


Harm = Callable[[Path, random.Random], None]
HARMS: dict[str, Harm] = {"flipped bits": flip, "truncation": cut, "foreign bytes": replace, "files of other records": shuffle}


def blobs(place: Place) -> list[Path]:
    return sorted((place.folder / "blobs").rglob("*.safetensors"))


@pytest.mark.parametrize("harm", HARMS.values(), ids=HARMS)
def test_damaged_files_are_computed_again_and_whole_afterwards(place: Place, harm: Harm) -> None:
    dice = random.Random(5)
    run(place)
    for path in blobs(place):
        harm(path, dice)
    done = run(place)
    assert done.trouble is None
    assert remembers(place)


@pytest.mark.parametrize("harm", [flip, cut, replace])
def test_a_damaged_index_is_made_again(place: Place, harm: Harm) -> None:
    dice = random.Random(6)
    run(place)
    for _ in range(30):
        harm(place.folder / "index.sqlite", dice)
    assert run(place).trouble is None  # which may read some of it before it finds out
    run(place)
    assert remembers(place)


class Vandal(threading.Thread):
    """Does harm to files of a folder for as long as it is entered."""

    def __init__(self, act: Callable[[random.Random], None], pause: float) -> None:
        super().__init__(daemon=True)
        self._act, self._pause, self._over = act, pause, threading.Event()
        self.acts, self.whole = 0, False

    def run(self) -> None:
        dice = random.Random(7)
        while not self._over.wait(self._pause):
            with contextlib.suppress(OSError):
                self._act(dice)
            self.acts += 1
        self.whole = True

    def __enter__(self) -> Vandal:
        self.start()
        return self

    def __exit__(self, *rest: object) -> None:
        self._over.set()
        self.join()
        assert self.whole, "it failed"
        assert self.acts > 5, "it came too late"


def through(place: Place, act: Callable[[random.Random], None], pause: float, **options: Any) -> list[Report]:
    """Two processes that run several times each on one folder while somebody acts upon it."""
    crowd = [place.start(**SHORT, times=TIMES, memory=memory, **options) for memory in (1 << 20, 3000)]
    for process in crowd:
        process.wait_until_begun()
    with Vandal(act, pause):
        done = [good(found) for process in crowd for found in process.reports()]
    assert len(done) == 2 * TIMES
    return done


@pytest.mark.parametrize("harm", HARMS.values(), ids=HARMS)
def test_files_damaged_during_runs_never_become_a_value(place: Place, harm: Harm) -> None:
    def act(dice: random.Random) -> None:
        for path in blobs(place):
            if dice.random() < 0.5:
                harm(path, dice)

    through(place, act, 0.01)
    run(place)
    assert remembers(place)


@pytest.mark.parametrize("harm", [flip, cut, replace])
def test_an_index_damaged_during_runs_never_becomes_a_value(place: Place, harm: Harm) -> None:
    def act(dice: random.Random) -> None:
        for _ in range(5):
            harm(place.folder / "index.sqlite", dice)

    through(place, act, 0.02)
    run(place)
    run(place)
    assert remembers(place)


def test_an_index_emptied_while_others_have_it_open_keeps_nobody_waiting(place: Place) -> None:
    run(place)
    tier = DiskTier(place.folder, 1 << 30)
    assert tier.info().entries
    os.truncate(place.folder / "index.sqlite", 0)
    assert run(place).trouble is None, "it would have been told to wait for us, in vain"
    tier.write([])
    assert tier.trouble is None
    tier.close()
    assert remembers(place)


def test_an_index_removed_during_runs_is_made_again(place: Place) -> None:
    through(place, lambda dice: (place.folder / "index.sqlite").unlink(missing_ok=True), 0.05)
    run(place)
    assert remembers(place)


def test_a_cache_folder_deleted_under_running_processes_is_made_again(place: Place) -> None:
    through(place, lambda dice: shutil.rmtree(place.folder, ignore_errors=True), 0.05)
    assert run(place).trouble is None
    assert remembers(place)


def test_foreign_files_in_the_cache_folder_are_in_nobodys_way(place: Place) -> None:
    run(place)
    first = blobs(place)[0]
    for path in (place.folder / "notes.txt", place.folder / "blobs" / "photo.png", first.with_name("x.safetensors")):
        path.write_text("not ours")
    (place.folder / "temporary").mkdir(exist_ok=True)
    (place.folder / "temporary" / "x").write_text("not ours")
    (first.parent / ("a" * 40 + ".safetensors")).mkdir()
    (place.folder / "blobs" / "zz").symlink_to("/etc")
    assert run(place).trouble is None
    assert remembers(place)
    tier = DiskTier(place.folder, 1 << 30)
    tier.gc()
    assert tier.trouble is None
    tier.close()
    assert (place.folder / "notes.txt").exists(), "outside of its own folders the cache touches nothing"
    assert remembers(place)


# ---- others ----


def test_processes_that_run_overlapping_workflows_share_a_folder(place: Place) -> None:
    wanted = [(1, 4), (1, 8), (1, 12), (2, 8)]
    crowd = [place.start(seed=seed, steps=steps, times=2, window=0.02) for seed, steps in wanted]
    for process, (seed, steps) in zip(crowd, wanted, strict=True):
        for done in process.reports():
            assert good(done, expected(seed, steps).text).trouble is None
    before = len(place.lines())
    for seed, steps in wanted:
        good(place.run(seed=seed, steps=steps), expected(seed, steps).text)
    assert len(place.lines()) == before


@pytest.mark.parametrize("what", ["clear", "gc"])
def test_a_process_that_clears_or_collects_beside_runs_does_them_no_harm(place: Place, what: str) -> None:
    tier = DiskTier(place.folder, 1 << 30)
    for done in through(place, lambda dice: getattr(tier, what)(), 0.02):
        assert done.trouble is None
    tier.close()
    run(place)
    assert remembers(place)


def test_a_process_with_a_tiny_budget_beside_others_only_evicts(place: Place) -> None:
    tier = DiskTier(place.folder, 30_000)
    for done in through(place, lambda dice: tier.write([]), 0.02, budget=60_000):
        assert done.trouble is None
    tier.close()
    run(place)


# ---- clocks, revisions, codecs ----


@pytest.mark.parametrize("when", [0, 10**10], ids=["1970", "2286"])
def test_clocks_may_jump(place: Place, when: int) -> None:
    run(place, no_clock=True)
    for path in place.folder.rglob("*"):
        os.utime(path, (when, when))
    before = len(place.lines())
    assert run(place, no_clock=True).trouble is None
    assert len(place.lines()) == before


def test_another_revision_of_a_pack_reads_nothing_of_the_one_before(place: Place) -> None:
    run(place)
    before = len(place.lines())
    run(place, digest="1")
    assert len(place.lines()) == 2 * before
    run(place)
    assert len(place.lines()) == 2 * before


@pytest.mark.parametrize("flaw", ["encode", "decode"])
def test_a_codec_that_fails_costs_only_the_cache(place: Place, flaw: str) -> None:
    first, second = run(place, flaw=flaw), run(place, flaw=flaw)
    said = first.said + second.said
    assert f"this codec cannot {'write' if flaw == 'encode' else 'read'}" in said
    assert "crash/step" in said
    run(place)
    assert remembers(place)

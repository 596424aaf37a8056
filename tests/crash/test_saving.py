"""A save is killed at every system call it makes, and every call fails in turn: the file is the old document or the new one."""

from __future__ import annotations

import contextlib
import os
import random
import shutil
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from crash.traced import REFUSED, SAVED, TROUBLE, Tracer, moments, new, old, tracer
from nodegraph.store.documents import described
from nodegraph.store.ledger import digest_of
from nodegraph.store.revisions import Revisions

SOAK = os.environ.get("HYPOTHESIS_PROFILE") == "soak"
SAMPLE = 15

FAILURES = {
    "fsync": ("EIO",),
    "fdatasync": ("EIO",),
    "write": ("ENOSPC", "EIO"),
    "pwrite64": ("ENOSPC", "EIO"),
    "rename": ("EACCES", "EXDEV"),
    "openat": ("EACCES", "EMFILE", "ENOSPC"),
    "flock": ("ENOLCK",),
    "fcntl": ("EIO",),
    "ftruncate": ("EIO",),
    "fallocate": ("ENOSPC",),
    "fchmod": ("EPERM",),
    "unlink": ("EACCES",),
    "read": ("EIO",),
    "pread64": ("EIO",),
    "close": ("EIO",),
    "newfstatat": ("EACCES",),
    "fstat": ("EIO",),
    "getdents64": ("EIO",),
    "mkdir": ("EACCES",),
    "lseek": ("EIO",),
    "mmap": ("ENOMEM",),
}


@pytest.fixture(scope="module")
def traced() -> Iterator[Tracer]:
    with tracer() as found:
        yield found


class Scene:
    """What lies there before, and what must be there when something went wrong."""

    def __init__(self, folder: Path, known: bool, there: bool) -> None:
        folder.mkdir()
        self.folder, self.file, self.revisions = folder, folder / "w.json", Revisions(folder / "data")
        self.before = old() if there else None
        if known:
            self.revisions.save(self.file, described(b'{"nodes": {}, "title": "first"}\n'))
            self.revisions.save(self.file, described(old()))
        elif there:
            self.file.write_bytes(old())

        shutil.copytree(folder, self._kept)

    @property
    def _kept(self) -> Path:
        return self.folder.with_name(f"{self.folder.name}-kept")

    def again(self) -> Scene:
        """Everything as it was in the beginning."""
        shutil.rmtree(self.folder)
        shutil.copytree(self._kept, self.folder)
        return self

    @property
    def there(self) -> bytes | None:
        return self.file.read_bytes() if self.file.exists() else None

    def check(self, goal: bytes, what: object) -> None:
        """File and database are whole, nothing is lost, and the next save works and cleans up."""
        assert self.there in (self.before, goal), what
        self.revisions.file.parent.mkdir(exist_ok=True)
        with contextlib.closing(sqlite3.connect(self.revisions.file)) as db:
            assert db.execute("PRAGMA integrity_check").fetchone() == ("ok",), what
        lay = self.there
        saved = self.revisions.save(self.file, described(b'{"nodes": {}, "title": "next"}\n'))
        assert not saved.trouble, what
        found = self.revisions.history(self.file)
        numbers = {row.number for row in found.revisions}
        assert all(row.parent is None or row.parent in numbers for row in found.revisions), what
        contents = {self.revisions.read(self.file, row.id)[1] for row in found.revisions}
        beside = list(self.folder.glob("w-*.json"))  # where the history failed
        contents |= {path.read_bytes() for path in beside}
        assert {data for data in (self.before, lay) if data is not None} <= contents, f"something was lost: {what}"
        if lay is not None:
            self.revisions.undo(self.file)
            assert self.there == lay, what
        left = {*self.folder.iterdir()} - {self.file, self.revisions.file.parent, *beside}
        assert not left, f"left behind: {what}"


SCENES = {
    "known": ("save", True, True, new()),
    "opened": ("stale_aware", True, True, new()),
    "new": ("save", False, False, new()),
    "changed outside": ("save", False, True, new()),
    "undone": ("undo", True, True, b'{"nodes": {}, "title": "first"}\n'),
}


def some(everything: list[tuple[str, ...]] | list[tuple[str, int]], count: int) -> list:
    """All in a soak, else a sample that is the same every time."""
    return everything if SOAK else random.Random(1).sample(everything, min(count, len(everything)))


@pytest.mark.slow
@pytest.mark.parametrize("name", SCENES)
def test_a_save_that_is_killed_anywhere_leaves_the_old_document_or_the_new_one(
    traced: Tracer, tmp_path: Path, name: str
) -> None:
    work, known, there, goal = SCENES[name]
    scene = Scene(tmp_path / "scene", known, there)
    whole = traced.run(scene.again().folder, work)
    assert whole.status == SAVED, whole.said
    calls = moments(whole.calls)
    assert {"rename", "fsync", "flock"} <= {call for call, _ in calls}
    outcomes = set()
    for call, number in some(calls, SAMPLE):
        now = scene.again()
        ended = traced.run(now.folder, work, f"{call}:signal=KILL:when={number}", call)
        assert ended.status == -9, f"{call} {number} was not reached"
        outcomes.add(now.there == goal)
        now.check(goal, (call, number))
    rename = [(call, number) for call, number in calls if call == "rename"][-1]
    for call, number in (rename, calls[calls.index(rename) + 1]):  # right before and right after
        now = scene.again()
        traced.run(now.folder, work, f"{call}:signal=KILL:when={number}", call)
        assert now.there == (now.before if (call, number) == rename else goal)
        now.check(goal, (call, number))
    assert outcomes <= {True, False}


@pytest.mark.slow
@pytest.mark.parametrize("name", SCENES)
def test_a_save_whose_system_calls_fail_says_so_and_leaves_a_whole_document(traced: Tracer, tmp_path: Path, name: str) -> None:
    work, known, there, goal = SCENES[name]
    scene = Scene(tmp_path / "scene", known, there)
    whole = traced.run(scene.again().folder, work)
    cases = [(call, number, error) for call, number in moments(whole.calls) for error in FAILURES.get(call, ())]
    for call, number, error in some(cases, SAMPLE):
        now = scene.again()
        ended = traced.run(now.folder, work, f"{call}:error={error}:when={number}", call)
        what = (call, number, error, ended.status, ended.said)
        assert ended.status in (SAVED, TROUBLE, REFUSED), what
        if ended.status == REFUSED:
            assert now.there == (goal if "was written, but" in ended.said else now.before), what
            assert str(now.folder) in ended.said, what
        else:
            assert now.there == goal, what
            assert (ended.status == TROUBLE) == bool(ended.said), what
        now.check(goal, what)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("inject", "says"),
    [
        ("fsync:error=EIO", "the disk reports an error"),
        ("write:error=ENOSPC", "There is no room for"),
        ("write:error=EDQUOT", "There is no room for"),
        ("rename:error=EACCES", "cannot be written (Permission denied)"),
        ("rename:error=EIO", "the disk reports an error"),
    ],
)
def test_a_disk_that_refuses_is_told_in_words_and_the_old_document_stays(
    traced: Tracer, tmp_path: Path, inject: str, says: str
) -> None:
    scene = Scene(tmp_path / "scene", known=True, there=True)
    ended = traced.run(scene.folder, "stale_aware", inject, inject.partition(":")[0])
    assert ended.status == REFUSED, ended
    assert says in ended.said
    assert (scene.there, digest_of(old())) == (old(), scene.revisions.history(scene.file).current.digest)
    assert sorted(path.name for path in scene.folder.iterdir()) == ["data", "w.json"]
    scene.check(new(), inject)


@pytest.mark.slow
def test_a_history_whose_disk_fails_never_costs_a_save(traced: Tracer, tmp_path: Path) -> None:
    scene = Scene(tmp_path / "scene", known=True, there=True)
    ended = traced.run(scene.folder, "stale_aware", "pwrite64:error=EIO", "pwrite64")
    assert ended.status == TROUBLE
    assert "no revision was kept" in ended.said
    assert scene.there == new()
    scene.check(new(), "history")

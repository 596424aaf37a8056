"""Whatever happens to a file and whoever writes it, what ever lay in it can be had back."""

from __future__ import annotations

import contextlib
import os
import random
import sqlite3
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from crash.disks import make_read_only, small_disk
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from nodegraph.sdk.writing import NotWritten
from nodegraph.store.documents import described
from nodegraph.store.ledger import Content, Revision, digest_of
from nodegraph.store.pruning import DRAFT, Keep, Row, adopted, spare
from nodegraph.store.revisions import NOTHING, NoRevision, Revisions, Saved, StaleRevision
from store.records import finish, start


def content(text: str) -> Content:
    return described(f'{{"nodes": {{}}, "title": "{text}"}}\n'.encode())


class Place:
    """A document's file and a data folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.file = folder / "w.json"
        self.revisions = Revisions(folder / "data")

    def save(self, text: str, base: str | None = None) -> Saved:
        return self.revisions.save(self.file, content(text), base)

    @property
    def text(self) -> str:
        return described(self.file.read_bytes()).title

    @property
    def rows(self) -> tuple[Revision, ...]:
        found = self.revisions.history(self.file)
        assert found.trouble == ""
        return found.revisions

    @property
    def titles(self) -> list[str]:
        return [row.title for row in self.rows]

    @property
    def current(self) -> str | None:
        found = self.revisions.history(self.file).current
        return found.title if found else None


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


# ---- saving ----


def test_every_save_keeps_a_revision_that_can_be_read_to_the_byte(place: Place) -> None:
    saved = [place.save(text) for text in "abc"]
    assert place.titles == ["a", "b", "c"]
    assert [row.parent for row in place.rows] == [None, 1, 2]
    for made in saved:
        assert made.revision is not None
        for name in (made.revision.id, str(made.revision.number), made.digest, made.digest[:6]):
            assert digest_of(place.revisions.read(place.file, name)[1]) == made.digest


def test_saving_what_is_there_already_changes_nothing(place: Place) -> None:
    first = place.save("a")
    before = place.file.stat()
    again = place.save("a")
    assert (again.revision, again.trouble) == (first.revision, "")
    assert (place.file.stat().st_ino, place.file.stat().st_mtime_ns) == (before.st_ino, before.st_mtime_ns)
    assert place.titles == ["a"]


def test_equal_contents_are_stored_once(place: Place) -> None:
    for text in "abababab":
        place.save(text)
    with contextlib.closing(sqlite3.connect(place.revisions.file)) as db:
        assert db.execute("SELECT count(*) FROM revisions").fetchone() == (8,)
        assert db.execute("SELECT count(*) FROM contents").fetchone() == (2,)


def test_a_stale_save_is_a_conflict_that_says_what_happened_and_writes_nothing(place: Place) -> None:
    first = place.save("a")
    second = place.save("b", first.digest)
    assert second.revision is not None
    with pytest.raises(StaleRevision) as caught:
        place.save("c", first.digest)
    error = caught.value
    assert (error.yours, error.current, error.when) == (
        first.revision.id if first.revision else "",
        "2-" + second.digest[:8],
        second.revision.at,
    )
    for word in ("has changed since you opened it", "1-", "2-", "Nothing was written", "save under another name"):
        assert word in str(error)
    assert (place.text, place.titles) == ("b", ["a", "b"])


@pytest.mark.parametrize("known", [True, False], ids=["known content", "new content"])
def test_a_file_that_another_program_changed_is_a_conflict_however_old_it_looks(place: Place, known: bool) -> None:
    first = place.save("a")
    second = place.save("b")
    stat = place.file.stat()
    place.file.write_bytes(content("a" if known else "x").data)
    os.utime(place.file, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    with pytest.raises(StaleRevision) as caught:
        place.save("c", second.digest)
    assert caught.value.current == (first.revision.id if known and first.revision else digest_of(content("x").data)[:8])
    assert place.text == ("a" if known else "x")


def test_a_file_that_was_only_touched_is_no_conflict(place: Place) -> None:
    first = place.save("a")
    os.utime(place.file, (0, 0))
    assert place.save("b", first.digest).trouble == ""


def test_a_document_that_must_be_new_does_not_replace_one(place: Place) -> None:
    place.save("a", NOTHING)
    with pytest.raises(StaleRevision, match=r"There is a file .* already"):
        place.save("b", NOTHING)
    assert place.text == "a"


def test_by_force_what_another_program_wrote_becomes_a_revision_first(place: Place) -> None:
    place.save("a")
    place.file.write_bytes(b"\xff by hand, and not even JSON")
    saved = place.save("b")
    assert [row.kind for row in place.rows] == ["save", "outside", "save"]
    assert saved.before is not None
    assert place.revisions.read(place.file, saved.before.id)[1] == b"\xff by hand, and not even JSON"


def test_a_file_that_was_deleted_is_made_again(place: Place) -> None:
    first = place.save("a")
    place.file.unlink()
    assert place.save("b", first.digest).trouble == ""
    assert place.titles == ["a", "b"]


def test_a_program_that_writes_between_our_look_and_the_rename_loses_nothing(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = place.save("a")
    fsync = os.fsync
    texts = iter(["x", "y"])

    def busy(handle: int) -> None:
        if text := next(texts, None):
            place.file.write_bytes(content(text).data)
        fsync(handle)

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", busy)
        place.save("b")
    assert place.text == "b"
    assert {"x", "y"} <= set(place.titles)
    texts = iter(["z"])
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", busy)
        with pytest.raises(StaleRevision):
            place.save("c", content("b").digest)
    assert place.text == "z"
    assert first.digest in {row.digest for row in place.rows}


def test_a_program_that_never_stops_writing_is_told_of(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    place.save("a")
    fsync, dice = os.fsync, random.Random(1)

    def busy(handle: int) -> None:
        place.file.write_bytes(content(str(dice.random())).data)
        fsync(handle)

    monkeypatch.setattr(os, "fsync", busy)
    with pytest.raises(NotWritten, match="being changed by another program"):
        place.save("b")


# ---- undo, redo, restore ----


def test_undo_and_redo_walk_the_history_in_any_process(place: Place) -> None:
    for text in "abc":
        place.save(text)

    def step(name: str) -> str:
        getattr(Place(place.folder).revisions, name)(place.file)  # nothing but the disk remembers
        return place.text

    assert [step(name) for name in ("undo", "undo", "redo", "undo", "redo", "redo")] == ["b", "a", "b", "a", "b", "c"]
    with pytest.raises(NoRevision, match="nothing to redo"):
        place.revisions.redo(place.file)
    assert place.titles == ["a", "b", "c"], "steps are no revisions"


def test_undo_ends_at_the_beginning(place: Place) -> None:
    with pytest.raises(NoRevision, match="nothing to undo"):
        place.revisions.undo(place.file)
    place.save("a")
    with pytest.raises(NoRevision, match="nothing to undo"):
        place.revisions.undo(place.file)
    assert place.text == "a"


def test_saving_after_an_undo_keeps_what_was_undone(place: Place) -> None:
    for text in "abc":
        place.save(text)
    place.revisions.undo(place.file)
    place.save("d")
    assert [(row.title, row.parent) for row in place.rows] == [("a", None), ("b", 1), ("c", 2), ("d", 2)]
    place.revisions.undo(place.file)
    place.revisions.redo(place.file)
    assert place.text == "d"
    place.revisions.restore(place.file, "3")
    assert place.text == "c"
    place.revisions.undo(place.file)
    assert place.text == "d"


def test_undo_takes_back_what_another_program_wrote_and_redo_puts_it_there_again(place: Place) -> None:
    place.save("a")
    place.file.write_bytes(content("x").data)
    place.revisions.undo(place.file)
    assert place.text == "a"
    place.revisions.redo(place.file)
    assert place.text == "x"


def test_undo_brings_back_a_file_that_was_deleted(place: Place) -> None:
    place.save("a")
    place.save("b")
    place.file.unlink()
    assert place.revisions.history(place.file).current is None
    place.revisions.undo(place.file)
    assert place.text == "b"
    place.revisions.undo(place.file)
    assert place.text == "a"


def test_steps_check_what_the_caller_began_from(place: Place) -> None:
    first = place.save("a")
    place.save("b")
    for step in (place.revisions.undo, place.revisions.redo):
        with pytest.raises(StaleRevision):
            step(place.file, first.digest)
    with pytest.raises(StaleRevision):
        place.revisions.restore(place.file, "1", first.digest)
    assert place.text == "b"


@pytest.mark.parametrize("name", ["9", "1-ffff", "", "x", "-1", "0", "zzzz", "ffffffff", "1-2-3"])
def test_a_revision_that_is_not_there_is_an_error_that_says_which_are(place: Place, name: str) -> None:
    place.save("a")
    place.save("b")
    for do in (place.revisions.restore, place.revisions.read):
        with pytest.raises(NoRevision, match="There are 1 to 2"):
            do(place.file, name)


def test_a_step_that_a_crash_cut_off_before_its_cursor_moved_is_finished_by_whoever_looks_next(place: Place) -> None:
    for text in "abc":
        place.save(text)
    place.revisions.undo(place.file)
    for text in ("a", "c", "b"):  # what the file would hold, the cursor being at b
        place.file.write_bytes(content(text).data)
        assert place.current == text
    assert place.titles == ["a", "b", "c"]
    place.file.write_bytes(content("c").data)
    assert place.save("d").before == place.rows[2]


def test_a_save_that_failed_is_in_the_history_and_trying_again_makes_no_second_revision(place: Place) -> None:
    place.save("a")
    place.file.chmod(0o644)
    with pytest.MonkeyPatch.context() as patch:

        def full(self: Path, target: Path) -> None:
            raise OSError(28, "No space left on device")

        patch.setattr(Path, "replace", full)
        for _ in range(2):
            with pytest.raises(NotWritten, match=r"no room for .* as revision 2-"):
                place.save("b")
    assert (place.text, place.current, place.titles) == ("a", "a", ["a", "b"])
    place.save("b")
    assert (place.text, place.titles) == ("b", ["a", "b"])


# ---- drafts ----


def test_drafts_are_remembered_without_touching_the_file(place: Place) -> None:
    place.save("a")
    for text in ("d1", "d1", "d2"):
        place.revisions.keep_draft(place.file, content(text))
    assert (place.text, place.current) == ("a", "a")
    assert [(row.title, row.kind) for row in place.rows] == [("a", "save"), ("d1", DRAFT), ("d2", DRAFT)]
    with pytest.raises(NoRevision, match="nothing to redo"):
        place.revisions.redo(place.file)
    place.revisions.restore(place.file, "3")
    assert place.text == "d2"


def test_a_document_without_a_file_has_drafts_too(place: Place) -> None:
    place.revisions.keep_draft(place.file, content("d"))
    assert not place.file.exists()
    assert place.titles == ["d"]
    place.save("a")
    assert place.titles == ["d", "a"]


# ---- which document ----


def test_a_renamed_file_brings_its_history_along(place: Place) -> None:
    for text in "abc":
        place.save(text)
    old = place.file
    place.file = old.rename(old.with_name("new.json"))
    assert (place.titles, place.current) == (["a", "b", "c"], "c")
    place.revisions.undo(place.file)
    assert place.text == "b"
    place.revisions.redo(place.file)
    assert place.text == "c"
    place.file = old
    assert place.titles == ["a", "b", "c"], "what was saved there can still be had back"
    place.revisions.undo(place.file)
    assert place.text == "c"


def test_a_copy_goes_its_own_way_from_where_it_was_made(place: Place) -> None:
    place.save("a")
    place.save("b")
    copy = Place(place.folder)
    copy.file = place.folder / "copy.json"
    copy.file.write_bytes(place.file.read_bytes())
    place.save("c")
    copy.save("d")
    assert (place.titles, copy.titles) == (["a", "b", "c"], ["a", "b", "d"])
    copy.revisions.undo(copy.file)
    copy.revisions.undo(copy.file)
    assert (place.text, copy.text) == ("c", "a")


def test_a_new_document_has_no_past_whatever_it_is_like(place: Place) -> None:
    place.save("a")
    other = Place(place.folder)
    other.file = place.folder / "other.json"
    other.save("a")
    assert other.titles == ["a"]
    assert other.rows[0].number == 1


def test_a_link_and_what_it_points_to_are_one_document(place: Place) -> None:
    place.save("a")
    link = Place(place.folder)
    link.file = place.folder / "link.json"
    link.file.symlink_to(place.file)
    link.save("b")
    assert (place.text, place.titles, link.file.is_symlink()) == ("b", ["a", "b"], True)


@pytest.mark.parametrize(
    "name", ["ü ü.json", "a\nb.json", "'; DROP TABLE revisions; --.json", os.fsdecode(b"\xff.json"), "x" * 250]
)
def test_files_may_have_any_name(place: Place, name: str) -> None:
    place.file = place.folder / name
    place.save("a")
    place.save("b")
    place.revisions.undo(place.file)
    assert (place.text, place.titles) == ("a", ["a", "b"])


# ---- a data folder that does not do as it should ----


def test_a_data_folder_that_cannot_be_written_never_costs_a_save(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", 500) as disk:
        place = Place(tmp_path)
        place.revisions = Revisions(disk / "data")
        first = place.save("a")
        make_read_only(disk)
        second = place.save("b", first.digest)
        assert second.revision is None
        for word in (str(place.revisions.file), "no revision was kept"):
            assert word in second.trouble
        assert place.text == "b"
        assert place.titles == ["a"], "it is still read"
        with pytest.raises(StaleRevision):
            place.save("c", first.digest)
        with pytest.raises(NoRevision, match="cannot be used"):
            place.revisions.undo(place.file)
        assert place.text == "b"


def test_without_a_history_a_file_that_nobody_looked_at_is_put_beside_before_it_is_replaced(place: Place) -> None:
    (place.folder / "data").write_text("a file where the folder should be")
    place.file.write_bytes(content("x").data)
    saved = place.save("a")
    (beside,) = place.folder.glob("w-*.json")
    assert beside.name in saved.trouble
    assert (place.text, described(beside.read_bytes()).title) == ("a", "x")
    place.save("b", saved.digest)
    assert place.text == "b"
    assert len(list(place.folder.glob("w-*.json"))) == 1, "what the caller knows needs no copy"


def test_a_full_data_folder_never_costs_a_save(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", 250) as disk:
        place = Place(tmp_path)
        place.revisions = Revisions(disk / "data")
        noise = random.Random(1)
        troubles = [place.save(noise.randbytes(8000).hex()).trouble for _ in range(12)]
        assert "full" in troubles[-1]
        assert len(place.text) == 16_000
        assert place.rows


DAMAGE: dict[str, Callable[[Path], object]] = {
    "random bytes": lambda file: file.write_bytes(random.Random(1).randbytes(8192)),
    "cut short": lambda file: os.truncate(file, 5000),
    "zeros in the middle": lambda file: file.write_bytes(file.read_bytes()[:4096] + bytes(12_288) + file.read_bytes()[16_384:]),
}


@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE)
def test_a_damaged_history_is_put_aside_and_a_new_one_begins(place: Place, damage: Callable[[Path], object]) -> None:
    for text in "abcdef":
        place.save(text)
    damage(place.revisions.file)
    damaged = place.revisions.file.read_bytes()
    saved = place.save("g")
    assert place.text == "g"
    (aside,) = (place.folder / "data").glob("revisions-damaged-*.sqlite")
    assert aside.read_bytes() == damaged
    assert aside.name in saved.trouble
    assert place.titles == ["f", "g"]
    assert place.save("h").trouble == ""


def test_an_empty_database_file_is_a_new_one(place: Place) -> None:
    place.revisions.file.parent.mkdir()
    place.revisions.file.touch()
    assert place.rows == ()
    assert place.save("a").trouble == ""


def test_a_history_of_a_newer_version_is_left_alone(place: Place) -> None:
    place.save("a")
    with contextlib.closing(sqlite3.connect(place.revisions.file)) as db:
        db.execute("PRAGMA user_version = 99")
    assert "newer nodegraph" in place.save("b").trouble
    assert "newer nodegraph" in place.revisions.history(place.file).trouble
    assert place.text == "b"
    with contextlib.closing(sqlite3.connect(place.revisions.file)) as db:
        assert db.execute("SELECT count(*) FROM revisions").fetchone() == (1,)


def test_one_damaged_content_is_told_and_leaves_the_rest(place: Place) -> None:
    for text in "abc":
        place.save(text)
    with contextlib.closing(sqlite3.connect(place.revisions.file)) as db, db:
        db.execute("UPDATE contents SET data = x'00' WHERE digest = ?", (content("b").digest,))
    for do in (lambda: place.revisions.undo(place.file), lambda: place.revisions.read(place.file, "2")):
        with pytest.raises(NoRevision, match=r"Revision 2-.* is damaged"):
            do()
    place.revisions.restore(place.file, "1")
    assert place.text == "a"
    place.save("b")
    assert digest_of(place.revisions.read(place.file, "2")[1]) == content("b").digest, "saving it again mends it"


def test_the_history_is_for_the_user_alone(place: Place) -> None:
    place.save("a")
    assert place.revisions.file.stat().st_mode & 0o077 == 0


# ---- several processes ----

RACE = """
import sys
from pathlib import Path
from nodegraph.store.documents import described
from nodegraph.store.revisions import Revisions, StaleRevision
file, data, me = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3]
revisions = Revisions(data)
for line in sys.stdin:
    base = line.strip()
    try:
        saved = revisions.save(file, described(f'{{"nodes": {{}}, "title": "{me} {base}"}}'.encode()), base)
        print("won" if not saved.trouble else saved.trouble, flush=True)
    except StaleRevision:
        print("conflict", flush=True)
"""


@pytest.mark.parametrize("shared", [True, False], ids=["one data folder", "a data folder each"])
def test_of_processes_that_save_at_once_exactly_one_wins_each_round_and_the_others_hear_of_it(
    place: Place, shared: bool
) -> None:
    base = place.save("begin").digest
    crowd = [start(RACE, place.file, place.folder / ("data" if shared else f"data-{i}"), i) for i in range(3)]
    for _ in range(25):
        for process in crowd:
            process.stdin.write(base + "\n")
            process.stdin.flush()
        said = [process.stdout.readline().strip() for process in crowd]
        assert sorted(said) == ["conflict", "conflict", "won"]
        assert place.text == f"{said.index('won')} {base}"
        base = digest_of(place.file.read_bytes())
    for process in crowd:
        finish(process)
    if shared:
        rows = place.rows
        assert len(rows) == 26
        assert [row.parent for row in rows] == [None, *range(1, 26)]


FORCE = """
import sys
from pathlib import Path
from nodegraph.store.documents import described
from nodegraph.store.revisions import Revisions
for number in range(int(sys.argv[4])):
    saved = Revisions(Path(sys.argv[2])).save(Path(sys.argv[1]), described(f'{{"title": "{sys.argv[3]}-{number}"}}'.encode()))
    assert not saved.trouble, saved.trouble
"""


def test_processes_that_save_by_force_lose_nothing_of_one_another(place: Place) -> None:
    crowd = [start(FORCE, place.file, place.folder / "data", i, 20) for i in range(3)]
    for process in crowd:
        finish(process)
    assert sorted(place.titles) == sorted(f"{i}-{number}" for i in range(3) for number in range(20))
    assert {row.kind for row in place.rows} == {"save"}


# ---- whatever is done ----


class Anything(RuleBasedStateMachine):
    """Saves, steps and other programs in any order; whatever lay in the file once can be had back."""

    @initialize()
    def begin(self) -> None:
        self.folder = tempfile.TemporaryDirectory()
        self.place = Place(Path(self.folder.name))
        self.lay: set[bytes] = set()
        self.next = 0

    def teardown(self) -> None:
        self.folder.cleanup()

    def _new(self) -> str:
        self.next += 1
        return f"t{self.next}"

    def _there(self) -> bytes | None:
        return self.place.file.read_bytes() if self.place.file.exists() else None

    @rule(again=st.integers(0, 9))
    def save(self, again: int) -> None:
        text = f"t{again}" if again < self.next and again < 4 else self._new()
        self.place.save(text)
        assert self.place.text == text

    @precondition(lambda self: self._there() is not None)
    @rule()
    def save_from_what_is_there(self) -> None:
        there = self._there()
        assert there is not None
        self.place.save(self._new(), digest_of(there))

    @precondition(lambda self: len(self.lay) > 1)
    @rule(number=st.integers(0, 50))
    def stale(self, number: int) -> None:
        there = self._there()
        old = sorted(self.lay)[number % len(self.lay)]
        if there is not None and old != there:
            with pytest.raises(StaleRevision):
                self.place.save(self._new(), digest_of(old))
            assert self._there() == there

    @rule(old=st.booleans(), number=st.integers(0, 50))
    def another_program_writes(self, old: bool, number: int) -> None:
        data = sorted(self.lay)[number % len(self.lay)] if old and self.lay else content(self._new()).data
        self.place.file.write_bytes(data)

    @rule()
    def look(self) -> None:
        assert self.place.revisions.history(self.place.file).trouble == ""

    @rule()
    def undo_and_redo_are_inverse(self) -> None:
        there = self._there()
        with contextlib.suppress(NoRevision):
            self.place.revisions.undo(self.place.file)
            if there is not None:
                self.place.revisions.redo(self.place.file)
                assert self._there() == there
                self.place.revisions.undo(self.place.file)

    @rule()
    def redo(self) -> None:
        with contextlib.suppress(NoRevision):
            self.place.revisions.redo(self.place.file)

    @rule(number=st.integers(0, 50))
    def restore(self, number: int) -> None:
        rows = self.place.rows
        if rows:
            row = rows[number % len(rows)]
            self.place.revisions.restore(self.place.file, row.id)
            there = self._there()
            assert there is not None
            assert digest_of(there) == row.digest

    @rule()
    def draft(self) -> None:
        before = self._there()
        self.place.revisions.keep_draft(self.place.file, content(self._new()))
        assert self._there() == before

    @precondition(lambda self: self._there() in self.lay)
    @rule()
    def rename(self) -> None:
        self.place.file = self.place.file.rename(self.place.file.with_name(f"{self._new()}.json"))

    @precondition(lambda self: self._there() in self.lay)
    @rule()
    def delete(self) -> None:
        self.place.file.unlink()

    @invariant()
    def nothing_is_lost(self) -> None:
        """What nodegraph saw in the file is in the history of the file or of one of its names before."""
        if not hasattr(self, "place") or not self.place.revisions.file.exists():
            return
        with contextlib.closing(sqlite3.connect(self.place.revisions.file)) as db:
            kept = {digest for (digest,) in db.execute("SELECT digest FROM contents")}
        assert {digest_of(data) for data in self.lay} <= kept
        there = self._there()
        if there is not None and digest_of(there) in kept:
            self.lay.add(there)
        names = {path.name for path in self.place.folder.iterdir()}
        assert len(names) <= 2, "something was left behind"


TestAnything = Anything.TestCase
TestAnything.settings = settings(
    max_examples=15 if settings().max_examples < 1000 else 300, stateful_step_count=30, deadline=None
)


# ---- pruning ----

NOW = 10_000 * 86_400.0


@st.composite
def histories(draw: st.DrawFn) -> list[Row]:
    rows: list[Row] = []
    at = NOW - 200 * 86_400
    for number in range(1, draw(st.integers(1, 120)) + 1):
        at += draw(st.sampled_from([60, 3600, 40_000, 86_400 * 3]))
        saved = [row.number for row in rows if row.kind != DRAFT]
        parent = draw(st.sampled_from([*saved[-3:]])) if saved else None
        rows.append(Row(number, parent, draw(st.sampled_from(["save", "save", DRAFT, "outside"])), at))
    return rows


@given(histories(), st.data())
def test_pruning_keeps_what_it_says(rows: list[Row], data: st.DataObject) -> None:
    keep = Keep(days=30, least=data.draw(st.integers(1, 40)))
    current = data.draw(st.sampled_from([row.number for row in rows]))
    gone = spare(rows, current, NOW, keep)
    left = [row for row in rows if row.number not in gone]
    assert {row.number for row in rows[-keep.least :]} | {current} <= {row.number for row in left}
    assert all(row in left for row in rows if row.at >= NOW - 30 * 86_400)
    days = {(row.at // 86_400, row.kind == DRAFT) for row in rows}
    assert {(row.at // 86_400, row.kind == DRAFT) for row in left} == days, "a day is missing"
    parents = {row.parent for row in rows if row.kind != DRAFT}
    assert all(row in left for row in rows if row.kind != DRAFT and row.number not in parents), "the end of a line of work went"
    assert not spare([row._replace(parent=adopted(rows, gone).get(row.number, row.parent)) for row in left], current, NOW, keep)


@given(histories())
def test_after_pruning_every_revision_still_leads_back_to_an_earlier_one(rows: list[Row]) -> None:
    gone = spare(rows, None, NOW, Keep(30, 1))
    parents = {row.number: row.parent for row in rows}
    moved = adopted(rows, gone)

    def ancestors(number: int | None, parents: dict[int, int | None]) -> list[int]:
        line = []
        while number is not None and (number := parents[number]) is not None:
            line.append(number)
        return line

    after = {number: moved.get(number, parent) for number, parent in parents.items() if number not in gone}
    for number in after:
        assert ancestors(number, after) == [row for row in ancestors(number, parents) if row not in gone]


def test_a_long_history_is_thinned_out_when_something_is_saved(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    place.revisions = Revisions(place.folder / "data", Keep(days=2, least=5))
    noon = time.time() // 86_400 * 86_400 + 43_200  # how many days forty saves touch depends on the time of the first
    for number in range(40):
        monkeypatch.setattr(time, "time", lambda number=number: noon + number * 86_400 / 4)
        place.save(f"t{number}")
    titles = place.titles
    assert 8 + 9 <= len(titles) <= 8 + 12
    assert titles[-9:] == [f"t{number}" for number in range(31, 40)]
    with contextlib.closing(sqlite3.connect(place.revisions.file)) as db:
        assert db.execute("SELECT count(*) FROM contents").fetchone() == (len(titles),)
    for title in reversed(titles[:-1]):
        place.revisions.undo(place.file)
        assert place.text == title

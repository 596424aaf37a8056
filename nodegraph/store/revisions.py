"""Saving documents so that nothing is ever lost: every content that lay in a file, or was to, is a revision in the data folder.

How a save goes, alone with the file's folder: what lies in the file is read; if it is not what the caller began from, that
is an error; if the history does not know it, it is written down; the new content is written down after it (committed to
disk); the file is replaced (temporary file, flush, rename, flush of the folder); the document's cursor moves on (a second
commit). A crash leaves the file whole, old or new, with both contents in the history. A cursor that was left behind is one
step from what lies in the file and is set right by whoever looks next.

The history is a help, never a condition: where it cannot be kept, the file is saved and `Saved.trouble` says so.
"""

from __future__ import annotations

import contextlib
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple, TypeVar

from nodegraph.sdk.errors import Problem
from nodegraph.sdk.writing import NotWritten, real_place, remove, remove_leftovers, rename, write_atomically
from nodegraph.store.documents import Lying, alone_with, lying, signature
from nodegraph.store.index import transaction
from nodegraph.store.ledger import (
    OUTSIDE,
    RESTORE,
    SAVE,
    Content,
    Damaged,
    Ledger,
    Lost,
    Newer,
    Revision,
    opened,
    opened_to_read,
    put_aside,
)
from nodegraph.store.pruning import DRAFT, KEEP, Keep

T = TypeVar("T")
Pick = Callable[[Ledger, Revision | None], Revision | None]

NOTHING = ""
"""The base of a document that must not exist yet."""
_ATTEMPTS = 5


class Saved(NamedTuple):
    """A save that succeeded. `revision` is None, and `trouble` says why, where the history could not be kept."""

    path: Path
    digest: str
    revision: Revision | None
    before: Revision | None = None
    trouble: str = ""


class History(NamedTuple):
    """A document's revisions, the oldest first, and the one that its file holds.

    `outside` says that the file holds what no revision does: another program wrote it.
    """

    path: Path
    revisions: tuple[Revision, ...] = ()
    current: Revision | None = None
    outside: bool = False
    trouble: str = ""


class StaleRevision(Exception):
    """The file is no longer what the caller began from; nothing was written.

    `yours` and `current` name revisions (or digests that the history does not know), `when` is when the current one came.
    """

    def __init__(self, path: Path, yours: str, current: str, when: float) -> None:
        super().__init__(path, yours, current, when)
        self.path, self.yours, self.current, self.when = path, yours, current, when

    @property
    def problem(self) -> Problem:
        now = f"it holds {self.current} now, since {local_time(self.when)}"
        if self.yours == NOTHING:
            message = f"There is a file {self.path} already: {now}. Nothing was written."
        else:
            message = f"{self.path} has changed since you opened it: {now}; you began from {self.yours}. Nothing was written."
        hint = (
            "Open it again and make your change there, save under another name, or replace it by force: its history keeps it."
        )
        return Problem("stale_revision", message, expected=self.yours or "no file", got=self.current, hint=hint)

    def __str__(self) -> str:
        return f"{self.problem.message} {self.problem.hint}"


class NoRevision(Exception):
    """A revision that is not there, or cannot be read."""

    @property
    def problem(self) -> Problem:
        return Problem("no_revision", str(self))


class _Changed(Exception):
    """Somebody wrote the file between our look and the rename."""


class Revisions:
    """The histories in a data folder. It holds nothing open: threads and processes may all have one of their own."""

    def __init__(self, folder: Path, keep: Keep = KEEP) -> None:
        self.file = folder / "revisions.sqlite"
        self._keep = keep

    # ---- changing the file ----

    def save(self, path: Path, content: Content, base: str | None = None) -> Saved:
        """Put a document into its file. Saving what is there already changes nothing.

        `base` is the digest of what the caller began from, NOTHING for a file that must be new; with None whatever lies there
        is replaced. A file that was deleted is made again. Raises StaleRevision, NotWritten.
        """

        def once(target: Path) -> Saved:
            with self._alone(target, base) as there:
                steps, trouble = self._write(target, there, lambda ledger: self._add(ledger, there, content, SAVE))
                before, revision = steps or (None, None)
                saved = Saved(target, content.digest, revision, before, trouble)
                return self._put(there, content.data, saved, known=base is not None)

        return _unhurried(once, path)

    def restore(self, path: Path, name: str, base: str | None = None) -> Saved:
        """Put an earlier revision into the file, as a new one. Raises StaleRevision, NoRevision, NotWritten."""

        def pick(ledger: Ledger, current: Revision | None) -> Revision:
            return _named(ledger.revisions, name)

        return self._go(path, base, pick, RESTORE)

    def undo(self, path: Path, base: str | None = None) -> Saved:
        """Put what lay in the file before; one that was deleted comes back. Raises StaleRevision, NoRevision, NotWritten."""

        def pick(ledger: Ledger, current: Revision | None) -> Revision | None:
            goal = current
            while goal is not None and current is not None and goal.digest == current.digest:
                goal = ledger.revision(goal.parent)
            return goal

        return self._go(path, base, pick, otherwise="There is nothing to undo: this is where the history of {} begins.")

    def redo(self, path: Path, base: str | None = None) -> Saved:
        """Put what the last undo took out of the file. Raises StaleRevision, NoRevision, NotWritten."""

        def pick(ledger: Ledger, current: Revision | None) -> Revision | None:
            return ledger.after(current.number) if current is not None else None

        return self._go(path, base, pick, otherwise="There is nothing to redo: nothing came after what {} holds.")

    def delete(self, path: Path, base: str | None = None) -> Saved:
        """Remove a document's file; its revisions stay, and `undo` brings it back.

        Raises StaleRevision, NoRevision, NotWritten.
        """

        def once(target: Path) -> Saved:
            with self._alone(target, base) as there:
                if there is None:
                    raise NoRevision(f"There is no file {target} to delete.")
                kept, trouble = self._write(target, there, lambda ledger: _settled(ledger, there))
                if kept is None:
                    raise NotWritten(0, "no_history", target, f"{target} was not deleted. {trouble}", "Copy it first.")
                if signature(target) != there.signature:
                    raise _Changed
                remove(target)
                return Saved(target, kept.digest, kept, kept, trouble)

        return _unhurried(once, path)

    def rename(self, path: Path, to: Path, base: str | None = None) -> Saved:
        """Give a document's file another name in its folder, where nothing may lie. Its history goes along.

        Raises StaleRevision, NoRevision, NotWritten.
        """

        def once(target: Path) -> Saved:
            with self._alone(target, base) as there:
                if there is None:
                    raise NoRevision(f"There is no file {target} to rename.")
                before, _ = self._write(target, there, lambda ledger: _settled(ledger, there))
                if signature(target) != there.signature:
                    raise _Changed
                rename(target, to)
                revision, trouble = self._write(to, there, lambda ledger: _settled(ledger, there))
                return Saved(to, there.content.digest, revision, before, trouble)

        return _unhurried(once, path)

    def keep_draft(self, path: Path, content: Content) -> Saved:
        """Write down what is not to be put into the file yet."""

        def add(ledger: Ledger) -> Revision:
            known = ledger.revisions
            if known and known[-1].digest == content.digest:
                return known[-1]
            current = ledger.current
            return ledger.add(content, DRAFT, current.number if current else None)

        target = real_place(path)
        revision, trouble = self._write(target, None, add)
        return Saved(target, content.digest, revision, trouble=trouble)

    # ---- looking ----

    def history(self, path: Path) -> History:
        """All revisions of the document in a file, which may be gone. Raises NotWritten for what can be no document."""
        target = real_place(path)
        there = lying(target)
        digest = there.content.digest if there else None

        def look(ledger: Ledger) -> History:
            current = ledger.lying(digest) if digest is not None else None
            return History(target, tuple(ledger.revisions), current, digest is not None and current is None)

        found, trouble = self._read(target, digest, look)
        return found or History(target, outside=digest is not None, trouble=trouble)

    def read(self, path: Path, name: str) -> tuple[Revision, bytes]:
        """A revision by its id, its number, or the beginning of its digest. Raises NoRevision, NotWritten."""
        target = real_place(path)
        there = lying(target)

        def look(ledger: Ledger) -> tuple[Revision, bytes]:
            revision = _named(ledger.revisions, name)
            return revision, ledger.content(revision)

        try:
            found, trouble = self._read(target, there.content.digest if there else None, look)
        except Lost as error:
            raise NoRevision(str(error)) from None
        if found is None:
            raise NoRevision(trouble or f"No revisions of {target} are known.")
        return found

    # ---- the parts of a save ----

    @contextmanager
    def _alone(self, target: Path, base: str | None) -> Iterator[Lying | None]:
        """The file's folder to ourselves, and what lies in the file. Raises StaleRevision, NotWritten."""
        with alone_with(target, self.file.with_name("saving.lock")):
            remove_leftovers(target)
            there = lying(target)
            if there is not None and base is not None and there.content.digest != base:
                raise self._stale(target, there, base)
            yield there

    def _stale(self, target: Path, there: Lying, base: str) -> StaleRevision:
        def look(ledger: Ledger) -> tuple[str, Revision | None]:
            known = {revision.digest: revision for revision in ledger.revisions}
            return (known[base].id if base in known else base[:8]), ledger.lying(there.content.digest)

        found, _ = self._read(target, there.content.digest, look)
        yours, current = found or (base[:8], None)
        if current is None:
            return StaleRevision(target, yours, there.content.digest[:8], target.stat().st_mtime)
        return StaleRevision(target, yours, current.id, current.at)

    def _add(self, ledger: Ledger, there: Lying | None, content: Content, kind: str) -> tuple[Revision | None, Revision]:
        """Write down what lies in the file and what is about to: the two revisions, which may be one."""
        before = _settled(ledger, there)
        if before is not None and there is not None and before.digest == content.digest:
            return before, before
        last = ledger.after(before.number) if before is not None else None
        if last is not None and last.digest == content.digest and kind == SAVE:  # redone by hand, or tried again
            return before, last
        return before, ledger.add(content, kind, before.number if before is not None else None)

    def _go(self, path: Path, base: str | None, pick: Pick, kind: str = "", otherwise: str = "") -> Saved:
        """Put the revision into the file that `pick` finds; with a `kind`, as a new revision."""

        def once(target: Path) -> Saved:
            def find(ledger: Ledger) -> tuple[Revision | None, Revision, bytes] | None:
                before = _settled(ledger, there)
                undeleted = there is None and not kind
                goal = before if undeleted else pick(ledger, before)
                if goal is None:
                    return None
                data = ledger.content(goal)
                if kind:
                    before, goal = self._add(ledger, there, Content(data, goal.digest, goal.title, goal.nodes), kind)
                return before, goal, data

            with self._alone(target, base) as there:
                found, trouble = self._write(target, there, find)
                if found is None:
                    raise NoRevision(trouble or otherwise.format(target))
                before, goal, data = found
                return self._put(there, data, Saved(target, goal.digest, goal, before, trouble), known=True)

        return _unhurried(once, path)

    def _put(self, there: Lying | None, data: bytes, saved: Saved, known: bool) -> Saved:
        """Replace the file and move the document's cursor. `known` says that the caller knows what is replaced."""

        def unchanged() -> None:
            if signature(saved.path) != (there.signature if there else None):
                raise _Changed

        if there is None or there.content.digest != saved.digest:
            if there is not None and saved.revision is None and not known:
                saved = saved._replace(trouble=f"{saved.trouble} {_put_beside(saved.path, there.content)}")
            try:
                write_atomically(saved.path, data, unchanged)
            except NotWritten as error:
                if saved.revision is not None:
                    error.hint += f" The history has what was to be written as revision {saved.revision.id}."
                raise
        if saved.revision is not None:
            number = saved.revision.number

            def move(ledger: Ledger) -> None:
                ledger.move_to(number)
                ledger.prune(self._keep)

            self._write(saved.path, None, move)  # where it fails, the next look sets it right
        return saved

    # ---- the database, whatever is wrong with it ----

    def _write(self, target: Path, there: Lying | None, work: Callable[[Ledger], T]) -> tuple[T | None, str]:
        """What `work` gives, in one transaction; or None, and a sentence that says what is wrong with the history."""
        digest = there.content.digest if there else None

        def do() -> T:
            with opened(self.file) as db, transaction(db):
                return work(Ledger(db, target, digest))

        trouble = ""
        try:
            try:
                return do(), trouble
            except Damaged:
                aside = put_aside(self.file)
                trouble = f"The history in {self.file} was damaged. It lies in {aside} now, and a new one has begun."
                return do(), trouble
        except Lost as error:
            raise NoRevision(str(error)) from None
        except (sqlite3.Error, OSError, Newer, Damaged) as error:
            return None, self._explained(error)

    def _read(self, target: Path, digest: str | None, look: Callable[[Ledger], T]) -> tuple[T | None, str]:
        try:
            with opened_to_read(self.file) as db:
                return (None, "") if db is None else (look(Ledger(db, target, digest)), "")
        except (sqlite3.Error, OSError, Newer, Damaged) as error:
            return None, self._explained(error)

    def _explained(self, error: Exception) -> str:
        if isinstance(error, Newer):
            return f"The history in {self.file} was made by a newer nodegraph and is not used: no revision was kept."
        why = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        return f"The history in {self.file} cannot be used ({why}): no revision was kept."


def _unhurried(once: Callable[[Path], Saved], path: Path) -> Saved:
    """Do it again where another program wrote the file meanwhile: what it wrote is looked at like anything else."""
    target = real_place(path)
    for _ in range(_ATTEMPTS):
        with contextlib.suppress(_Changed):
            return once(target)
    why = f"{target} is being changed by another program all the time, so it was not written."
    raise NotWritten(0, "busy", target, why, "Save under another name, or end that program.")


def _settled(ledger: Ledger, there: Lying | None) -> Revision | None:
    """The revision that lies in the file, written down now if another program put it there; None for a new document."""
    if there is None:
        return ledger.current
    current = ledger.current
    found = ledger.lying(there.content.digest)
    if found is None:
        found = ledger.add(there.content, OUTSIDE, current.number if current is not None else None)
    ledger.move_to(found.number)
    return found


def _named(revisions: list[Revision], name: str) -> Revision:
    """The revision that a person means by `7`, `7-3fa2c1d0`, or the beginning of a digest. Raises NoRevision."""
    number, _, digest = name.strip().partition("-")
    found = [row for row in revisions if str(row.number) == number and row.digest.startswith(digest)]
    if not found and not digest and len(number) >= 4:
        found = [row for row in revisions if row.digest.startswith(number.lower())][-1:]
    if not found:
        there_are = f"There are {revisions[0].number} to {revisions[-1].number}." if revisions else "There are none yet."
        raise NoRevision(f"There is no revision {name!r}. {there_are} `nodegraph history FILE` lists them.")
    return found[-1]


def _put_beside(target: Path, content: Content) -> str:
    """Keep what is about to be replaced in a file beside it, because the history cannot. Raises NotWritten."""
    beside = target.with_name(f"{target.stem[:100]}-{content.digest[:8]}{target.suffix}")
    if not beside.exists():
        write_atomically(beside, content.data)
    return f"What lay there before is in {beside.name}."


def local_time(at: float) -> str:
    """`2026-05-03 14:03:22`, where the person is."""
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(at))

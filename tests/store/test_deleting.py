"""Deleting and renaming documents' files: their history stays with them."""

from __future__ import annotations

from pathlib import Path

import pytest

from nodegraph.sdk.writing import NotWritten
from nodegraph.store.ledger import Content, digest_of
from nodegraph.store.revisions import NoRevision, Revisions, StaleRevision


def content(text: str) -> Content:
    data = f'{{"nodegraph": 1, "title": "{text}", "nodes": {{}}}}'.encode()
    return Content(data, digest_of(data), text, 0)


@pytest.fixture
def revisions(tmp_path: Path) -> Revisions:
    return Revisions(tmp_path / "data")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "w.json"


def test_a_deleted_file_comes_back_by_undo(revisions: Revisions, file: Path) -> None:
    revisions.save(file, content("one"))
    two = revisions.save(file, content("two"))
    deleted = revisions.delete(file, two.digest)
    assert not file.exists()
    assert deleted.digest == two.digest
    assert revisions.undo(file).digest == two.digest
    assert file.read_bytes() == content("two").data


def test_what_another_program_wrote_is_in_the_history_before_it_is_deleted(revisions: Revisions, file: Path) -> None:
    revisions.save(file, content("one"))
    file.write_bytes(content("outside").data)
    revisions.delete(file)
    assert [row.kind for row in revisions.history(file).revisions] == ["save", "outside"]
    revisions.undo(file)
    assert file.read_bytes() == content("outside").data


def test_a_file_that_has_changed_is_not_deleted(revisions: Revisions, file: Path) -> None:
    one = revisions.save(file, content("one"))
    revisions.save(file, content("two"))
    with pytest.raises(StaleRevision):
        revisions.delete(file, one.digest)
    with pytest.raises(StaleRevision):
        revisions.rename(file, file.with_name("v.json"), one.digest)
    assert file.read_bytes() == content("two").data


def test_where_no_history_can_be_kept_nothing_is_deleted(revisions: Revisions, file: Path) -> None:
    file.write_bytes(content("only copy").data)
    revisions.file.parent.mkdir()
    revisions.file.mkdir()
    with pytest.raises(NotWritten, match="not deleted"):
        revisions.delete(file)
    assert file.exists()


def test_what_is_not_there_is_neither_deleted_nor_renamed(revisions: Revisions, file: Path) -> None:
    with pytest.raises(NoRevision):
        revisions.delete(file)
    with pytest.raises(NoRevision):
        revisions.rename(file, file.with_name("v.json"))


def test_a_renamed_file_takes_its_history_along_and_can_be_undone(revisions: Revisions, file: Path) -> None:
    revisions.save(file, content("one"))
    revisions.save(file, content("two"))
    to = file.with_name("v.json")
    revisions.rename(file, to)
    assert not file.exists()
    assert [row.title for row in revisions.history(to).revisions] == ["one", "two"]
    revisions.undo(to)
    assert to.read_bytes() == content("one").data


def test_nothing_is_overwritten_by_a_new_name(revisions: Revisions, file: Path) -> None:
    revisions.save(file, content("one"))
    to = file.with_name("v.json")
    to.write_bytes(b"something else")
    with pytest.raises(NotWritten):
        revisions.rename(file, to)
    to.unlink()
    to.symlink_to(file.with_name("nowhere"))
    with pytest.raises(NotWritten):
        revisions.rename(file, to)
    assert file.read_bytes() == content("one").data

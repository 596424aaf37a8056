"""What is kept of drafts, and for how long."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest

from nodegraph.server import drafts
from nodegraph.server.problems import Refused

Clock = Callable[[float], None]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "drafts.sqlite"


@pytest.fixture
def at(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """Sets the time of day, in seconds."""

    def set_to(seconds: float) -> None:
        monkeypatch.setattr(time, "time", lambda: 1_800_000_000.0 + seconds)

    set_to(0)
    return set_to


def keep(file: Path, id_: str, **document: object) -> drafts.DraftRecord:
    return drafts.keep(file, id_, {"nodes": {}, **document}, None, None)


def versions(file: Path, id_: str) -> list[int]:
    found = drafts.read(file, id_)
    assert found is not None
    return [version.number for version in found[1]]


def test_the_last_of_every_ten_minutes_is_kept_and_can_be_read(file: Path, at: Clock) -> None:
    for minute in range(30):
        at(60 * minute)
        keep(file, "tab", title=f"minute {minute}")
    assert versions(file, "tab") == [10, 20, 30]
    found = drafts.read(file, "tab", 10)
    assert found is not None
    assert found[2]["title"] == "minute 9"
    assert drafts.read(file, "tab", 11) is None


def test_however_long_somebody_works_the_versions_are_bounded(file: Path, at: Clock) -> None:
    for step in range(100):
        at(drafts.SLOT_SECONDS * step)
        keep(file, "tab", title=str(step))
    assert len(versions(file, "tab")) == drafts.MOST_VERSIONS


def test_the_same_again_is_no_new_version(file: Path, at: Clock) -> None:
    keep(file, "tab", title="same")
    at(3600)
    assert keep(file, "tab", title="same").version == 1
    assert versions(file, "tab") == [1]


def test_the_newest_draft_is_listed_first(file: Path, at: Clock) -> None:
    for second, id_ in enumerate(["a", "b", "a"]):
        at(second)
        keep(file, id_, title=str(second))
    assert [draft.id for draft in drafts.listed(file)] == ["a", "b"]


def test_what_was_thrown_away_goes_after_a_week_and_what_is_used_stays(file: Path, at: Clock) -> None:
    keep(file, "thrown")
    keep(file, "used")
    assert drafts.delete(file, "thrown")
    at(drafts.DELETED_SECONDS - 1)
    keep(file, "used", title="still")
    assert drafts.read(file, "thrown") is not None
    at(drafts.DELETED_SECONDS + 1)
    keep(file, "used", title="again")
    assert drafts.read(file, "thrown") is None
    at(drafts.UNTOUCHED_SECONDS)
    keep(file, "new")
    assert {draft.id for draft in drafts.listed(file)} == {"used", "new"}


def test_a_draft_that_is_kept_again_is_no_longer_thrown_away(file: Path) -> None:
    keep(file, "tab")
    drafts.delete(file, "tab")
    assert drafts.listed(file) == []
    keep(file, "tab")
    assert [draft.id for draft in drafts.listed(file)] == ["tab"]


def test_a_damaged_file_is_put_aside_and_drafts_are_kept_again(file: Path) -> None:
    file.write_bytes(b"this is no database" * 100)
    keep(file, "tab")
    assert [draft.id for draft in drafts.listed(file)] == ["tab"]
    assert list(file.parent.glob("drafts-damaged-*"))


def test_drafts_have_an_end(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(drafts, "MOST_DRAFTS", 2)
    keep(file, "a")
    keep(file, "b")
    with pytest.raises(Refused, match="2 drafts"):
        keep(file, "c")
    keep(file, "a", title="more")


def test_without_a_file_there_are_no_drafts(file: Path) -> None:
    assert drafts.listed(file) == []
    assert drafts.read(file, "tab") is None
    assert not drafts.delete(file, "tab")
    assert not file.exists()

"""`nodegraph history|restore|undo|redo`: what they say, what they change, and that a mistake changes nothing."""

from __future__ import annotations

import re
import time
from pathlib import Path

import pytest

from cli.conftest import Nodegraph
from nodegraph.api import saving
from nodegraph.graph import Document
from nodegraph.graph.document import NodeEntry


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A workflow that was saved three times."""
    path, document = tmp_path / "w.json", Document(title="first")
    saving.save_document(path, document, data=tmp_path / "data")
    document.nodes["a"] = NodeEntry(type="core/integer")
    for title in ("second", "third"):
        document.title = title
        saving.save_document(path, document, data=tmp_path / "data")
    return path


def title(file: Path) -> str:
    return re.findall('"title": "(.*)"', file.read_text())[0]


def test_history_is_a_table_with_local_times_and_marks_where_the_file_is(nodegraph: Nodegraph, file: Path) -> None:
    done = nodegraph("history", file, "--data", "data")
    lines = [line.split() for line in done.stdout.splitlines()]
    assert lines[0] == ["revision", "when", "how", "nodes", "size", "title"]
    assert [line[-1] for line in lines[1:]] == ["first", "second", "third"]
    assert [line[0] for line in lines if line[0] == ">"] == [">"]
    assert lines[3][0] == ">"
    assert lines[2][4:6] == ["1", "(+1)"]
    assert lines[1][1] == time.strftime("%Y-%m-%d")


def test_undo_redo_and_restore_from_the_shell(nodegraph: Nodegraph, file: Path) -> None:
    def step(*arguments: str) -> str:
        done = nodegraph(*arguments[:1], file, *arguments[1:], "--data", "data")
        assert (done.code, done.stderr) == (0, "")
        assert str(file) in done.stdout
        return title(file)

    assert [step("undo"), step("undo"), step("redo"), step("restore", "3")] == ["second", "first", "second", "third"]
    assert nodegraph("history", file, "--json", "--data", "data").json["current"].startswith("4-")


def test_json_everywhere(nodegraph: Nodegraph, file: Path) -> None:
    for arguments in (("undo",), ("redo",), ("restore", "1")):
        found = nodegraph(*arguments[:1], file, *arguments[1:], "--json", "--data", "data").json
        assert found["digest"] == found["revision"]["digest"]
    shown = nodegraph("history", file, "--show", "1", "--json", "--data", "data").json
    assert '"title": "first"' in shown["text"]


def test_show_prints_a_revision_to_the_byte(nodegraph: Nodegraph, file: Path) -> None:
    done = nodegraph("history", file, "--show", "3", "--data", "data")
    assert (done.code, done.stdout) == (0, file.read_text())


def test_a_deleted_file_comes_back(nodegraph: Nodegraph, file: Path) -> None:
    file.unlink()
    assert "brings it back" in nodegraph("history", file, "--data", "data").stdout
    assert nodegraph("undo", file, "--data", "data").code == 0
    assert title(file) == "third"


def test_a_change_by_another_program_is_pointed_out(nodegraph: Nodegraph, file: Path) -> None:
    file.write_text("{}")
    assert "Another program has changed the file" in nodegraph("history", file, "--data", "data").stdout
    nodegraph("undo", file, "--data", "data")
    assert title(file) == "third"


def test_titles_cannot_disturb_the_terminal(nodegraph: Nodegraph, tmp_path: Path) -> None:
    saving.save_document(tmp_path / "w.json", Document(title="a\x1b[2J\nb" + "c" * 500), data=tmp_path / "data")
    done = nodegraph("history", tmp_path / "w.json", "--data", "data")
    assert "\x1b" not in done.stdout
    assert len(done.stdout.splitlines()) == 2


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (("restore", "w.json", "9"), 2, "There is no revision '9'. There are 1 to 3."),
        (("history", "w.json", "--show", "9"), 2, "There are 1 to 3"),
        (("redo", "w.json"), 2, "nothing to redo"),
        (("undo", "never.json"), 2, "nothing to undo"),
        (("history", "."), 1, "is a folder"),
        (("undo", "/dev/null"), 1, "not a file"),
        (("restore", "no/w.json", "1"), 1, "there is no folder"),
    ],
)
def test_a_mistake_is_told_and_changes_nothing(
    nodegraph: Nodegraph, file: Path, arguments: tuple[str, ...], code: int, says: str
) -> None:
    before = file.read_bytes()
    done = nodegraph(*arguments, "--data", "data")
    assert (done.code, done.error) == (code, None)
    assert says in " ".join(done.stderr.split())
    assert says in str(nodegraph(*arguments, "--json", "--data", "data").json["problems"])
    assert file.read_bytes() == before


def test_a_file_that_was_never_saved_here_has_no_history(nodegraph: Nodegraph, tmp_path: Path) -> None:
    done = nodegraph("history", "never.json", "--data", "data")
    assert (done.code, done.stdout.startswith("No revisions of never.json")) == (0, True)
    assert not (tmp_path / "data").exists(), "looking creates nothing"


def test_a_damaged_history_is_told_when_asked_for(nodegraph: Nodegraph, file: Path, tmp_path: Path) -> None:
    (tmp_path / "data" / "revisions.sqlite").write_bytes(b"x" * 5000)
    done = nodegraph("history", file, "--data", "data")
    assert (done.code, done.error) == (1, None)
    assert "cannot be used" in done.stderr

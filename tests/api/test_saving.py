"""`load` and `save` from Python: a workflow knows what it began from, and what cannot be saved says why."""

from __future__ import annotations

import json
import os
import shutil
import warnings
from pathlib import Path
from typing import Any

import pytest

import nodegraph
from nodegraph import InvalidWorkflow
from nodegraph.api import saving
from nodegraph.graph import Document, load_document
from nodegraph.graph.document import NodeEntry
from nodegraph.store.revisions import Revisions

TEXT = '{"nodegraph": 1, "title": "T", "nodes": {"a": {"type": "core/integer", "inputs": {"value": 1}}}}'


@pytest.fixture
def session(tmp_path: Path, data_folder: Path) -> nodegraph.Session:
    """A session with a data folder of its own."""
    (tmp_path / "data").mkdir()
    if (data_folder / "catalog").is_dir():
        shutil.copytree(data_folder / "catalog", tmp_path / "data" / "catalog")
    return nodegraph.Session(tmp_path / "data")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "w.json"
    path.write_text(TEXT)
    return path


def value(file: Path) -> Any:
    return load_document(file).nodes["a"].inputs["value"]


def test_a_workflow_is_saved_where_it_was_opened_and_its_past_is_kept(file: Path, session: nodegraph.Session) -> None:
    workflow = nodegraph.load(file, session).with_values({"a.value": 2})
    saved = workflow.save()
    assert (value(file), saved.path, saved.trouble) == (2, file, "")
    assert workflow.with_values({"a.value": 3}).save().trouble == ""
    found = saving.history(file, data=session.data)
    assert [row["kind"] for row in found["revisions"]] == ["outside", "save", "save"]
    assert found["current"] == found["revisions"][-1]["revision"]
    assert saving.read(file, "1", data=session.data)["text"] == TEXT
    assert [row["nodes"] for row in found["revisions"]] == [1, 1, 1]


def test_a_second_save_from_a_stale_workflow_is_a_conflict(file: Path, session: nodegraph.Session) -> None:
    mine, theirs = nodegraph.load(file, session), nodegraph.load(file, session)
    theirs.with_values({"a.value": 2}).save()
    changed = mine.with_values({"a.value": 3})
    with pytest.raises(saving.StaleRevision):
        changed.save()
    assert value(file) == 2
    assert changed.save(force=True).before is not None
    assert value(file) == 3
    saving.undo(file, data=session.data)
    assert value(file) == 2


def test_one_workflow_may_be_saved_again_and_again(file: Path, session: nodegraph.Session) -> None:
    workflow = nodegraph.load(file, session)
    for number in range(3):
        workflow.document.nodes["a"].inputs["value"] = number
        workflow.save()
    assert value(file) == 2


def test_saving_under_another_name_leaves_the_file_and_notices_changes_there_too(
    file: Path, session: nodegraph.Session, tmp_path: Path
) -> None:
    workflow = nodegraph.load(file, session).with_values({"a.value": 2})
    workflow.save(tmp_path / "copy.json")
    assert (value(file), value(tmp_path / "copy.json"), workflow.path) == (1, 2, file)
    (tmp_path / "copy.json").write_text(TEXT)
    workflow.document.nodes["a"].inputs["value"] = 4
    with pytest.raises(saving.StaleRevision):
        workflow.save(tmp_path / "copy.json")


def test_a_file_changed_by_hand_to_the_same_length_and_time_is_noticed(file: Path, session: nodegraph.Session) -> None:
    workflow = nodegraph.load(file, session).with_values({"a.value": 2})
    stat = file.stat()
    file.write_text(TEXT.replace("1}", "7}"))
    os.utime(file, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    with pytest.raises(saving.StaleRevision):
        workflow.save()


def test_a_built_workflow_needs_a_name_once(session: nodegraph.Session, tmp_path: Path) -> None:
    workflow = nodegraph.Workflow(Document(title="new"), session)
    with pytest.raises(ValueError, match="no file yet"):
        workflow.save()
    workflow.save(tmp_path / "w.json")
    workflow.document.title = "newer"
    workflow.save()
    assert load_document(tmp_path / "w.json").title == "newer"


def test_a_script_that_builds_its_workflow_may_run_twice_and_loses_nothing(session: nodegraph.Session, file: Path) -> None:
    for title in ("one", "two"):
        nodegraph.Workflow(Document(title=title), session).save(file)
    assert [row["title"] for row in saving.history(file, data=session.data)["revisions"]] == ["T", "one", "two"]


def test_a_picture_is_never_replaced_by_its_workflow(session: nodegraph.Session, tmp_path: Path) -> None:
    picture = tmp_path / "p.png"
    picture.write_bytes(b"precious")
    workflow = nodegraph.Workflow(Document(), session, picture)
    for path in (None, picture, tmp_path / "other.webp"):
        with pytest.raises(ValueError, match="name of a picture"):
            workflow.save(path)
    assert picture.read_bytes() == b"precious"
    workflow.save(tmp_path / "w.json")
    assert workflow.save().path == tmp_path / "w.json"


def test_without_a_history_the_save_succeeds_with_a_warning(file: Path, tmp_path: Path) -> None:
    session = nodegraph.Session(tmp_path / "no")
    (tmp_path / "no").write_text("a file where the data folder should be")
    workflow = nodegraph.Workflow(load_document(file), session, file)
    workflow.document.nodes["a"].inputs["value"] = 5
    with pytest.warns(UserWarning, match="was saved. The history .* no revision was kept"):
        saved = workflow.save(force=True)
    assert (value(file), saved.revision) == (5, None)


CYCLE: dict[str, Any] = {}
CYCLE["x"] = CYCLE
DEEP: Any = 1
for _ in range(150):
    DEEP = [DEEP]
DEEPER: Any = 1
for _ in range(100_000):
    DEEPER = [DEEPER]


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        (float("nan"), "a.value"),
        (float("inf"), "a.value"),
        (b"bytes", "a.value"),
        ({1, 2}, "a.value"),
        ("half \ud800", "a.value"),
        (CYCLE, "a.value"),
        (DEEP, "nested too deeply"),
        (DEEPER, "a.value"),
        (10**5000, "a.value"),
    ],
    ids=["nan", "infinity", "bytes", "set", "half a character", "cycle", "deep", "deeper", "huge"],
)
def test_what_could_not_be_opened_again_is_not_saved(file: Path, wrong: Any, says: str, session: nodegraph.Session) -> None:
    document = Document(nodes={"a": NodeEntry(type="core/integer")})
    document.nodes["a"].inputs["value"] = wrong
    with pytest.raises(InvalidWorkflow) as caught:
        saving.save_document(file, document, data=session.data)
    assert says in str(caught.value)
    assert file.read_text() == TEXT


def test_the_functions_for_programs_give_json_and_check_the_base(file: Path, session: nodegraph.Session) -> None:
    data = session.data
    first = saving.save_document(file, Document(title="one"), data=data)
    second = saving.save_document(file, Document(title="two"), base=first.digest, data=data)
    saving.keep_draft(file, Document(title="three"), data=data)
    found = saving.history(file, data=data)
    assert [(row["title"], row["kind"]) for row in found["revisions"]] == [
        ("T", "outside"),
        ("one", "save"),
        ("two", "save"),
        ("three", "draft"),
    ]
    undone = saving.undo(file, base=second.digest, data=data)
    assert undone["digest"] == first.digest
    with pytest.raises(saving.StaleRevision):
        saving.undo(file, base=second.digest, data=data)
    redone = saving.redo(file, base=undone["digest"], data=data)
    restored = saving.restore(file, "1", base=redone["digest"], data=data)
    assert (restored["before"], restored["revision"]["kind"], file.read_text()) == (
        redone["revision"]["revision"],
        "restore",
        TEXT,
    )
    for result in (found, undone, redone, restored, saving.read(file, "2", data=data)):
        assert json.loads(json.dumps(result)) == result


def test_saving_says_nothing_when_all_is_well(file: Path, session: nodegraph.Session) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        nodegraph.load(file, session).save()
    assert Revisions(session.data).history(file).trouble == ""

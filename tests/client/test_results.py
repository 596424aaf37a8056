"""What a client does with a job's outputs: values as they are, files below the folder that was asked for."""

from __future__ import annotations

import hashlib
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nodegraph.artifacts.place import place, place_as
from nodegraph.client import JobResult
from nodegraph.client.submitting import workflow_fields
from nodegraph.wire import Job
from nodegraph.wire.events import Event, JobChanged, NodeFinished, read_event, read_preview


def result(outputs: dict[str, list[dict[str, Any]]], files: dict[str, bytes] | None = None) -> JobResult:
    """The result of a job that gave this."""
    job = Job.model_validate(
        {"id": "0" * 26, "state": "succeeded", "url": "/", "created": datetime.now(UTC), "outputs": outputs}
    )
    return JobResult(job, lambda digest: (files or {})[digest])


def test_values_are_those_of_outputs_without_files() -> None:
    found = result({"n": [{"value": 3}], "none": [{}], "many": [{"value": 1}, {"value": 2}], "model": [{"type": "model"}]})
    assert found.values == {"n": 3, "none": None, "many": [1, 2]}
    assert found.files == {}


def test_asking_for_a_file_that_is_not_there_names_those_that_are() -> None:
    found = result({"n": [{"value": 3}], "image": [{"digest": "sha256:" + "0" * 64}]})
    with pytest.raises(KeyError, match="image"):
        found.read("n")


def test_a_file_of_another_content_keeps_its_name_and_the_new_one_is_numbered(tmp_path: Path) -> None:
    for content, name in ((b"one", "a.txt"), (b"two", "a-2.txt"), (b"one", "a.txt")):
        digest = "sha256:" + hashlib.sha256(content).hexdigest()
        row = {"digest": digest, "media_type": "text/plain", "name": "a.txt"}
        rows = result({"t": [row]}, {digest: content}).save(tmp_path)
        assert rows == {"t": [{"path": str(tmp_path / name), "digest": digest}]}


@given(st.one_of(st.text(max_size=60), st.lists(st.sampled_from(["..", ".", "/", "\\", "~", "a", "\0", "C:"])).map("".join)))
def test_whatever_a_server_calls_a_file_it_ends_up_below_the_folder(name: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        placed = place_as(b"x", name, Path(folder))
        assert placed.path.resolve().is_relative_to(Path(folder).resolve())
        assert placed.path.read_bytes() == b"x"


@given(st.text(st.characters(codec="ascii", exclude_characters="{}/\\"), min_size=1, max_size=80), st.integers(0, 99))
def test_a_name_that_was_made_on_the_server_is_the_one_that_is_made_here(prompt: str, seed: int) -> None:
    with tempfile.TemporaryDirectory() as one, tempfile.TemporaryDirectory() as other:
        here = place(b"x", "image/png", "pictures/{prompt}-{seed}-{digest}", {"prompt": prompt, "seed": seed}, Path(one))
        there = place_as(b"x", str(here.path.relative_to(one)), Path(other))
        assert there.path.relative_to(other) == here.path.relative_to(one)


@pytest.mark.parametrize("name", ["text_to_image", "my.flow-2"])
def test_a_plain_name_is_a_workflow_of_the_server(name: str) -> None:
    assert workflow_fields(name) == {"workflow_id": name}


def test_a_path_is_a_file_of_this_machine(tmp_path: Path) -> None:
    (tmp_path / "w.json").write_text('{"nodegraph": 1, "title": "Mine", "nodes": {}}')
    for given_ in (tmp_path / "w.json", str(tmp_path / "w.json")):
        assert workflow_fields(given_)["workflow"]["title"] == "Mine"


def test_events_of_a_kind_that_is_not_known_yet_come_through() -> None:
    found = read_event('{"seq": 5, "at": 1.0, "type": "moon_rose", "phase": "full"}')
    assert (type(found), found.seq, found.model_extra) == (Event, 5, {"phase": "full"})
    odd = read_event('{"seq": 6, "at": 1.0, "type": "node_finished", "job": "x"}')
    assert type(odd) is Event
    assert isinstance(read_event('{"seq": 7, "type": "job_dreamt", "job": "x", "state": "running"}'), JobChanged)
    finished = '{"seq": 8, "type": "node_finished", "job": "x", "node": "a", "state": "hit", "reason": "", "ms": 1}'
    assert isinstance(read_event(finished), NodeFinished)


@pytest.mark.parametrize("text", ["", "[]", "5", "null", "{}", '{"type": 5}'])
def test_what_is_no_event_is_a_value_error(text: str) -> None:
    with pytest.raises(ValueError, match=r".*"):
        read_event(text)


@given(st.binary(max_size=40))
def test_what_is_no_preview_is_a_value_error(frame: bytes) -> None:
    with pytest.raises(ValueError, match=r".*"):
        read_preview(frame)

"""Placing files: names from templates, below the folder whatever happens, nothing overwritten."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nodegraph import NodeError
from nodegraph.artifacts import check_writable, place
from nodegraph.artifacts.place import file_name

FIELDS = {"prompt": "A red apple, 3d!", "seed": 7, "scale": 4.5, "model": "a/b:c", "empty": "", "flag": True, "none": None}
DIGEST = hashlib.sha256(b"data").hexdigest()


@pytest.mark.parametrize(
    ("template", "name"),
    [
        ("{prompt}-{seed}", "A-red-apple-3d-7"),
        ("plain", "plain"),
        ("{seed:>03}", "007"),
        ("{scale}", "4.5"),
        ("{model}", "a-b-c"),
        ("sub/{seed}", "sub/7"),
        ("sub\\{seed}", "sub/7"),
        ("x{empty}", "x"),
        ("{empty}/x", "x"),
        ("x/{empty}", "x"),
        (".{empty}./x", "x"),
        ("{flag}-{none}", "True-None"),
        ("{{seed}}", "seed"),
        ("spaces  and\ttabs", "spaces-and-tabs"),
        (".hidden", "hidden"),
        ("Äpfel 日本", "Äpfel-日本"),
        ('a<b>c|d?e*f"g', "a-b-c-d-e-f-g"),
    ],
)
def test_a_template_becomes_a_name(template: str, name: str) -> None:
    assert file_name(template, FIELDS) == name


@pytest.mark.parametrize(
    ("template", "says"),
    [
        ("{sed}", r"unknown field \{sed\}"),
        ("{}", r"unknown field \{\}"),
        ("{0}", r"unknown field \{0\}"),
        ("{seed.real}", "unknown field"),
        ("{seed[0]}", "unknown field"),
        ("{seed:{nothing}}", "not a template"),
        ("{seed:d}", "not a template"),
        ("{seed", "not a template"),
        ("}", "not a template"),
        ("../x", "leaves the output folder"),
        ("a/../../x", "leaves the output folder"),
        ("/etc/x", "leaves the output folder"),
        ("..\\x", "leaves the output folder"),
        ("\\x", "leaves the output folder"),
        ("{empty}", "comes out empty"),
        ("", "comes out empty"),
        ("...", "comes out empty"),
    ],
)
def test_a_template_that_does_not_work_is_refused(template: str, says: str) -> None:
    with pytest.raises(NodeError, match=says):
        file_name(template, FIELDS)


def test_an_unknown_field_names_those_there_are() -> None:
    with pytest.raises(NodeError) as caught:
        file_name("{x}", {"seed": 1, "prompt": 2})
    assert caught.value.hint == "There are: {prompt}, {seed}."


@given(st.text(), st.text())
def test_no_field_leads_out_of_the_folder(prompt: str, other: str) -> None:
    name = file_name("{prompt}/x{other}", {"prompt": prompt, "other": other})
    folder = Path("/out")
    path = (folder / name).resolve()
    assert path.is_relative_to(folder)
    assert path != folder


def test_a_long_prompt_leaves_the_seed_and_the_digest_in_the_name(tmp_path: Path) -> None:
    fields = {"prompt": "word " * 1000, "seed": 1234567}
    placed = place(b"data", "image/png", "{prompt}-{prompt}-{prompt}-{seed}-{digest}", fields, tmp_path)
    assert placed.path.name.endswith(f"-1234567-{DIGEST[:8]}.png")


@given(st.text(min_size=1, max_size=400))
def test_any_name_fits_into_a_file_system(prompt: str) -> None:
    name = file_name("x{a}{a}{a}{a}", {"a": prompt})
    assert len(name.encode()) <= 200


@pytest.mark.parametrize(
    ("media_type", "suffix"),
    [("image/png", ".png"), ("image/jpeg", ".jpg"), ("image/webp", ".webp"), ("text/plain", ".txt"), ("x/unknown", ".bin")],
)
def test_the_suffix_follows_the_media_type(tmp_path: Path, media_type: str, suffix: str) -> None:
    assert place(b"", media_type, "a.b", {}, tmp_path).path.name == f"a.b{suffix}"


def test_the_file_and_its_digest_are_what_was_given(tmp_path: Path) -> None:
    placed = place(b"data", "image/png", "deep/er/{digest}", {}, tmp_path / "new")
    assert placed == (tmp_path / "new" / "deep" / "er" / f"{DIGEST[:8]}.png", DIGEST)
    assert placed.path.read_bytes() == b"data"


def test_the_same_content_is_placed_once(tmp_path: Path) -> None:
    first = place(b"data", "image/png", "x", {}, tmp_path)
    written = first.path.stat().st_mtime_ns
    assert place(b"data", "image/png", "x", {}, tmp_path) == first
    assert first.path.stat().st_mtime_ns == written


def test_other_content_is_numbered_and_nothing_is_overwritten(tmp_path: Path) -> None:
    names = [place(data, "image/png", "x", {}, tmp_path).path.name for data in (b"1", b"2", b"3", b"2")]
    assert names == ["x.png", "x-2.png", "x-3.png", "x-2.png"]
    assert [(tmp_path / name).read_bytes() for name in names] == [b"1", b"2", b"3", b"2"]


def test_a_folder_that_has_the_name_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "x.png").mkdir()
    assert place(b"1", "image/png", "x", {}, tmp_path).path.name == "x-2.png"


def test_no_temporary_file_stays(tmp_path: Path) -> None:
    place(b"1", "image/png", "x", {}, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["x.png"]


@pytest.mark.parametrize("folder", ["file", "file/below"])
def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path, folder: str) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(NodeError, match="cannot be written"):
        place(b"1", "image/png", "x", {}, tmp_path / folder)


@pytest.mark.parametrize("folder", ["file", "file/below"])
def test_an_unwritable_folder_is_found_out_before_the_work(tmp_path: Path, folder: str) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(NodeError, match="is a file") as caught:
        check_writable(tmp_path / folder)
    assert "--out" in str(caught.value.hint)


def test_a_folder_without_permission_is_found_out_before_the_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*arguments: Any) -> bool:
        return False

    monkeypatch.setattr(os, "access", refuse)  # root may write anywhere
    with pytest.raises(NodeError, match="Permission denied"):
        check_writable(tmp_path / "new")


def test_looking_whether_a_folder_can_be_written_leaves_nothing_behind(tmp_path: Path) -> None:
    check_writable(tmp_path / "new" / "er")
    assert list(tmp_path.iterdir()) == []

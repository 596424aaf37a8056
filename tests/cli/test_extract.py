"""`nodegraph extract`: what pictures carry, from us and from others, and what is said where there is nothing."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from cli.conftest import SUM, Nodegraph
from nodegraph.artifacts import embed
from nodegraph.graph import dump_document, parse_document

A1111 = (
    "a cat, red\nNegative prompt: bad\n"
    "Steps: 20, Sampler: DPM++ 2M Karras, CFG scale: 7, Seed: 5, Size: 512x768, Model: dream, Clip skip: 2"
)
API = json.dumps({"3": {"class_type": "KSampler", "inputs": {}}})
DOCUMENT = dump_document(parse_document(json.dumps(SUM)))


def picture(path: Path, **texts: str) -> Path:
    info = PngInfo()
    for key, text in texts.items():
        info.add_itxt(key, text)
    Image.new("RGB", (4, 3)).save(path, pnginfo=info)
    return path


@pytest.mark.parametrize("kind", ["png", "jpeg", "webp", "avif"])
def test_our_own_pictures_give_their_workflow_to_the_byte(nodegraph: Nodegraph, tmp_path: Path, kind: str) -> None:
    buffer = io.BytesIO()
    Image.new("RGB", (8, 8)).save(buffer, kind)
    file = tmp_path / f"p.{kind}"
    file.write_bytes(embed(buffer.getvalue(), f"image/{kind}", {"workflow": DOCUMENT, "parameters": "a: 3"}))
    assert nodegraph("extract", file).stdout == DOCUMENT
    assert nodegraph("extract", file, "--parameters").stdout == "a: 3\n"
    found = nodegraph("extract", file, "--json").json
    assert (found["status"], found["format"], found["programs"], found["parameters"]) == ("found", kind, ["nodegraph"], "a: 3")
    assert found["workflow"] == json.loads(DOCUMENT)
    done = nodegraph("extract", file, "--out", tmp_path / "new" / "w.json")
    assert (done.code, done.stdout.strip()) == (0, str(tmp_path / "new" / "w.json"))
    assert (tmp_path / "new" / "w.json").read_text("utf-8") == DOCUMENT
    assert nodegraph("run", tmp_path / "new" / "w.json", "--only", "sum").code == 0


def test_parameters_of_the_web_ui_become_a_workflow_with_a_table_beside_it(nodegraph: Nodegraph, tmp_path: Path) -> None:
    done = nodegraph("extract", picture(tmp_path / "p.png", parameters=A1111))
    assert done.code == 0
    assert parse_document(done.stdout).nodes["denoise"].inputs == {"sampler": "dpmpp_2m", "steps": 20}
    for words in ("AUTOMATIC1111", "a cat, red", "512x768", "Clip skip"):
        assert words in done.stderr
    assert nodegraph("extract", "p.png", "--parameters").stdout == f"{A1111}\n"


def test_parameters_of_the_web_ui_as_json_are_one_object(nodegraph: Nodegraph, tmp_path: Path) -> None:
    done = nodegraph("extract", picture(tmp_path / "p.png", parameters=A1111), "--json")
    assert (done.code, done.stderr) == (0, "")
    assert done.json["programs"] == ["a1111"]
    assert done.json["parameters"] == A1111
    assert (done.json["fields"]["seed"], done.json["fields"]["clip_skip"]) == (5, 2)
    assert any("Clip skip" in note for note in done.json["notes"])
    assert done.json["workflow"]["nodes"]["model"]["inputs"] == {"model": "dream"}
    assert nodegraph("extract", "p.png", "--json", "--parameters").json["fields"]["steps"] == 20


def test_a_workflow_made_of_parameters_validates(nodegraph: Nodegraph, tmp_path: Path) -> None:
    nodegraph("extract", picture(tmp_path / "p.png", parameters=A1111), "--out", "w.json")
    assert nodegraph("validate", "w.json").code == 0


FOREIGN: list[tuple[dict[str, str], str]] = [
    ({"prompt": API}, "nodegraph import"),
    ({"parameters": A1111}, "nodegraph extract"),
    ({"invokeai_metadata": "{}"}, "settings of InvokeAI, which nodegraph cannot turn into a workflow"),
    ({"parameters": "words"}, "settings of an unknown program"),
    ({}, "Looked for a nodegraph workflow, ComfyUI's prompt and workflow, and parameters texts"),
]


@pytest.mark.parametrize(("texts", "says"), FOREIGN, ids=["ComfyUI", "web UI", "InvokeAI", "unknown", "nothing"])
def test_running_a_foreign_picture_says_what_is_inside_and_what_to_do(
    nodegraph: Nodegraph, tmp_path: Path, texts: dict[str, str], says: str
) -> None:
    done = nodegraph("run", picture(tmp_path / "p.png", **texts))
    assert (done.code, done.stdout) == (2, "")
    assert "picture without a nodegraph workflow" in done.stderr
    assert says in done.stderr


@pytest.mark.parametrize(("texts", "says"), [FOREIGN[i] for i in (0, 2, 4)], ids=str)
def test_extracting_what_is_not_there_says_what_is(
    nodegraph: Nodegraph, tmp_path: Path, texts: dict[str, str], says: str
) -> None:
    file = picture(tmp_path / "p.png", **texts)
    for flags in ((), ("--out", "w.json")):
        done = nodegraph("extract", file, *flags)
        assert (done.code, done.stdout) == (2, "")
        assert says in done.stderr
    assert not (tmp_path / "w.json").exists()
    found = nodegraph("extract", file, "--json")
    assert (found.code, found.json["status"], found.json["file"]) == (2, "invalid", str(file))
    assert nodegraph("extract", file, "--parameters").code == 2


def test_parameters_beside_a_graph_are_shown(nodegraph: Nodegraph, tmp_path: Path) -> None:
    assert (
        nodegraph("extract", picture(tmp_path / "p.png", prompt=API, parameters=A1111), "--parameters").stdout == f"{A1111}\n"
    )


def test_our_parameters_alone_are_no_workflow(nodegraph: Nodegraph, tmp_path: Path) -> None:
    file = picture(tmp_path / "p.png", parameters="prompt: a\nseed: 7")
    assert "carries only its parameters" in nodegraph("extract", file).stderr
    assert nodegraph("extract", file, "--parameters").stdout == "prompt: a\nseed: 7\n"


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (None, "There is no file"),
        (b"", "an empty file"),
        (b"PK\3\4 and more", "is not a picture"),
        (b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", "The PNG is cut short"),
    ],
    ids=["missing", "empty", "no picture", "cut short"],
)
def test_what_is_no_picture_is_refused_in_words(nodegraph: Nodegraph, tmp_path: Path, data: bytes | None, says: str) -> None:
    if data is not None:
        (tmp_path / "p.png").write_bytes(data)
    done = nodegraph("extract", tmp_path / "p.png")
    assert (done.code, done.error) == (2, None)
    assert says in done.stderr


def test_a_folder_and_a_file_of_many_gigabytes_are_refused_in_words(nodegraph: Nodegraph, tmp_path: Path) -> None:
    (tmp_path / "folder.png").mkdir()
    assert "cannot be read" in nodegraph("extract", "folder.png").stderr
    with (tmp_path / "huge.png").open("wb") as file:
        file.truncate(40 << 30)  # takes no place on disk
    for command in ("extract", "run"):
        done = nodegraph(command, "huge.png")
        assert done.code == 2
        assert "too large for a picture" in done.stderr


@pytest.mark.parametrize(
    "workflow",
    ["words", '{"nodegraph": 1, "nodes": {', '{"nodegraph": 1, "nodes": {"a": 3}}', '{"nodegraph": 99, "nodes": {}}'],
)
def test_a_damaged_workflow_inside_is_told_with_what_is_wrong(nodegraph: Nodegraph, tmp_path: Path, workflow: str) -> None:
    done = nodegraph("extract", picture(tmp_path / "p.png", workflow=workflow))
    assert done.code == 2
    assert "damaged or from elsewhere" in done.stderr
    assert done.error is None


def test_a_place_that_cannot_be_written_is_said(nodegraph: Nodegraph, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for flags in ((), ("--parameters",)):
        done = nodegraph(
            "extract", picture(tmp_path / "p.png", workflow=DOCUMENT, parameters="a: 1"), "--out", "file/w.json", *flags
        )
        assert done.code == 2
        assert "cannot be written" in done.stderr


def test_notes_about_damage_come_with_what_was_read(nodegraph: Nodegraph, tmp_path: Path) -> None:
    file = picture(tmp_path / "p.png", workflow=DOCUMENT)
    file.write_bytes(file.read_bytes()[:-5])
    done: Any = nodegraph("extract", file)
    assert done.stdout == DOCUMENT
    assert "The PNG is cut short" in done.stderr

"""`nodegraph import`: what it writes, what it says, and what it refuses."""

from __future__ import annotations

import io
import json
import struct
import zlib
from pathlib import Path
from typing import Any

import pytest
from cli.conftest import Nodegraph, nodegraph
from PIL import Image

from importing.comfy import API, node, picture, ui
from nodegraph.artifacts import embed
from nodegraph.graph import load_document

__all__ = ["nodegraph"]


def written(folder: Path, data: Any, name: str = "flow.json") -> Path:
    path = folder / name
    path.write_text(json.dumps(data))
    return path


def png(**texts: str) -> bytes:
    """A picture with text chunks as ComfyUI writes them."""
    out = io.BytesIO()
    Image.new("RGB", (4, 4), "red").save(out, "PNG")
    data = out.getvalue()
    chunks = b""
    for key, text in texts.items():
        body = b"tEXt" + key.encode() + b"\0" + text.encode("latin-1")
        chunks += struct.pack(">I", len(body) - 4) + body + struct.pack(">I", zlib.crc32(body))
    return data[:33] + chunks + data[33:]


def test_it_writes_a_workflow_beside_the_file_and_says_what_became_of_each_node(nodegraph: Nodegraph, tmp_path: Path) -> None:
    lora = node(10, "LoraLoaderBypass", ["a.safetensors", 1, 1], {"model": (4, 0)}, properties={"cnr_id": "comfy-core"})
    done = nodegraph("import", written(tmp_path, ui(*picture(), lora)))
    assert done.code == 0
    assert "7 of 8 nodes mapped; 1 kept as a placeholder: LoraLoaderBypass." in done.stdout
    assert "placeholder" in done.stdout
    document = load_document(tmp_path / "flow.nodegraph.json")
    assert document.title == "flow"
    assert document.nodes["lora_loader_bypass"].type == "comfyui/LoraLoaderBypass"


def test_a_workflow_without_placeholders_runs_as_it_is(nodegraph: Nodegraph, tmp_path: Path) -> None:
    done = nodegraph("import", written(tmp_path, API), "--out", tmp_path / "sub" / "mine.json")
    assert "7 of 7 nodes mapped." in done.stdout
    assert "it runs as it is" in done.stdout
    assert nodegraph("validate", tmp_path / "sub" / "mine.json").code == 0


def test_json_says_the_same_for_programs(nodegraph: Nodegraph, tmp_path: Path) -> None:
    said = nodegraph("import", written(tmp_path, ui(*picture(), node(10, "Mystery", [1]))), "--json").json
    assert said["status"] == "imported_in_part"
    assert said["counts"] == {"nodes": 8, "mapped": 7, "placeholder": 1}
    assert {row["id"]: row["fate"] for row in said["rows"]}["10"] == "placeholder"
    assert said["problems"]
    assert Path(said["out"]).is_file()


def test_nothing_is_overwritten_unless_asked(nodegraph: Nodegraph, tmp_path: Path) -> None:
    file = written(tmp_path, API)
    assert nodegraph("import", file).code == 0
    again = nodegraph("import", file)
    assert (again.code, "--force" in again.stderr) == (2, True)
    assert nodegraph("import", file, "--force").code == 0


def test_a_picture_of_comfyui_gives_the_graph_that_it_was_drawn_with(nodegraph: Nodegraph, tmp_path: Path) -> None:
    (tmp_path / "made.png").write_bytes(png(prompt=json.dumps(API), workflow=json.dumps(ui(*picture()))))
    assert nodegraph("import", tmp_path / "made.png", "--json").json["format"] == "ComfyUI workflow"
    (tmp_path / "api.png").write_bytes(png(prompt=json.dumps(API).replace("8.0", "NaN")))
    assert nodegraph("import", tmp_path / "api.png", "--json").json["format"] == "ComfyUI API prompt"
    damaged = png(prompt=json.dumps(API), workflow='{"nodes": [{"id": 1}], "links": []}')
    (tmp_path / "damaged.png").write_bytes(damaged)
    assert "its prompt was taken" in nodegraph("import", tmp_path / "damaged.png").stderr


def test_a_picture_of_ours_is_told_apart(nodegraph: Nodegraph, tmp_path: Path) -> None:
    (tmp_path / "ours.png").write_bytes(embed(png(), "image/png", {"workflow": '{"nodegraph": 1, "nodes": {}}'}))
    done = nodegraph("import", tmp_path / "ours.png")
    assert done.code == 2
    assert "carries a nodegraph workflow" in done.stderr


@pytest.mark.parametrize(
    ("name", "data", "word"),
    [
        ("empty.png", png(), "no ComfyUI workflow"),
        ("broken.json", b"{", "not JSON"),
        ("other.json", b'{"a": 1}', "not a ComfyUI workflow"),
        ("ours.json", b'{"nodegraph": 1, "nodes": {}}', "already"),
        ("zero.json", b"\0\0", "not text"),
        ("deep.json", b"[" * 100000, "nested"),
    ],
)
def test_what_cannot_be_imported_is_said_without_a_traceback(
    nodegraph: Nodegraph, tmp_path: Path, name: str, data: bytes, word: str
) -> None:
    (tmp_path / name).write_bytes(data)
    done = nodegraph("import", tmp_path / name)
    assert (done.code, done.stdout) == (2, "")
    assert word in done.stderr
    assert not list(tmp_path.glob("*.nodegraph.json"))


def test_a_missing_file_and_a_place_that_cannot_be_written_are_said(nodegraph: Nodegraph, tmp_path: Path) -> None:
    assert nodegraph("import", tmp_path / "no.json").code == 2
    (tmp_path / "file").write_text("")
    assert nodegraph("import", written(tmp_path, API), "--out", tmp_path / "file" / "x.json").code == 1

"""Files that documents name: where they may lie, and what their digest is."""

from __future__ import annotations

import hashlib
import json
import os
import struct
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nodegraph import NodeError
from nodegraph.store import Digests, Roots
from nodegraph.store.files import check_model, check_safetensors


def safetensors(header: Any, data: bytes = b"") -> bytes:
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + data


WHOLE = safetensors({"__metadata__": {"a": "b"}, "w": {"dtype": "U8", "shape": [9], "data_offsets": [0, 9]}}, bytes(9))


@pytest.fixture
def roots(tmp_path: Path) -> Roots:
    for name in ("first", "second", "outside"):
        (tmp_path / name).mkdir()
    return Roots((tmp_path / "first", tmp_path / "second"), (tmp_path / "first", tmp_path / "second"))


def test_the_first_root_that_has_a_file_counts(roots: Roots, tmp_path: Path) -> None:
    (tmp_path / "second" / "x.png").write_bytes(b"2")
    assert roots.find_file("x.png") == tmp_path / "second" / "x.png"
    (tmp_path / "first" / "x.png").write_bytes(b"1")
    assert roots.find_file("x.png") == tmp_path / "first" / "x.png"


@pytest.mark.parametrize("name", ["../outside/x", "/etc/hostname", "sub/../../outside/x", "link/x"])
def test_no_name_leads_out_of_the_roots(roots: Roots, tmp_path: Path, name: str) -> None:
    (tmp_path / "outside" / "x").write_text("")
    (tmp_path / "first" / "link").symlink_to(tmp_path / "outside")
    with pytest.raises(NodeError, match="lies outside"):
        roots.find_file(name)


@pytest.mark.parametrize("name", ["", "gone", "nul\0", "x" * 5000, "a/" * 3000])
def test_what_is_not_there_is_said_with_where_to_put_it(roots: Roots, tmp_path: Path, name: str) -> None:
    with pytest.raises(NodeError, match="There is no file") as caught:
        roots.find_file(name)
    assert str(tmp_path / "first") in str(caught.value.hint)


def test_an_allowed_path_may_lie_anywhere(roots: Roots, tmp_path: Path) -> None:
    path = str(tmp_path / "outside" / "x")
    with pytest.raises(NodeError, match="There is no file"):
        roots.allowing([path]).find_file(path)
    Path(path).write_text("")
    assert roots.allowing([path]).find_file(path) == Path(path)


def test_a_model_is_found_with_or_without_its_ending(roots: Roots, tmp_path: Path) -> None:
    (tmp_path / "second" / "m.safetensors").write_bytes(WHOLE)
    assert roots.find_model("m") == roots.find_model("m.safetensors") == tmp_path / "second" / "m.safetensors"
    assert roots.model_names() == ["m.safetensors"]


# ---- safetensors ----


def test_a_whole_file_is_fine(tmp_path: Path) -> None:
    (tmp_path / "m.safetensors").write_bytes(WHOLE)
    check_model(tmp_path / "m.safetensors")


@given(st.integers(0, len(WHOLE) - 1))
def test_every_way_of_cutting_a_file_is_found(tmp_path_factory: pytest.TempPathFactory, length: int) -> None:
    path = tmp_path_factory.getbasetemp() / "cut.safetensors"
    path.write_bytes(WHOLE[:length])
    with pytest.raises(NodeError, match="is cut short" if length >= 8 else "is not a safetensors file"):
        check_safetensors(path)


@given(st.binary(max_size=100))
def test_whatever_the_bytes_are_the_answer_is_in_words(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    path = tmp_path_factory.getbasetemp() / "any.safetensors"
    path.write_bytes(data)
    with pytest.raises(NodeError, match=r"any\.safetensors is"):
        check_safetensors(path)


@pytest.mark.parametrize(
    "header", [[], 1, None, {"w": 1}, {"w": {}}, {"w": {"data_offsets": []}}, {"w": {"data_offsets": "ab"}}], ids=repr
)
def test_json_of_another_shape_is_no_safetensors(tmp_path: Path, header: Any) -> None:
    (tmp_path / "m.safetensors").write_bytes(safetensors(header))
    with pytest.raises(NodeError, match="is not a safetensors file"):
        check_safetensors(tmp_path / "m.safetensors")


# ---- digests ----


def test_the_digest_of_a_file_is_its_sha256(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"content")
    assert Digests().of(tmp_path / "x") == hashlib.sha256(b"content").hexdigest()


def test_an_unchanged_file_is_not_read_again_by_this_process_or_the_next(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"content")
    read: list[int] = []
    first = Digests(tmp_path / "memory" / "digests.json")
    digest = first.of(tmp_path / "x", read.append)
    first.of(tmp_path / "x", read.append)
    first.remember()
    assert Digests(tmp_path / "memory" / "digests.json").of(tmp_path / "x", read.append) == digest
    assert read == [len(b"content")]


def test_a_changed_file_is_read_again(tmp_path: Path) -> None:
    digests = Digests()
    (tmp_path / "x").write_bytes(b"one")
    first = digests.of(tmp_path / "x")
    (tmp_path / "x").write_bytes(b"two")
    os.utime(tmp_path / "x", ns=(1, 1))
    assert digests.of(tmp_path / "x") != first


@pytest.mark.parametrize("content", ["", "{", "[]", "3", "null"])
def test_a_damaged_memory_is_forgotten(tmp_path: Path, content: str) -> None:
    (tmp_path / "digests.json").write_text(content)
    (tmp_path / "x").write_bytes(b"content")
    assert Digests(tmp_path / "digests.json").of(tmp_path / "x") == hashlib.sha256(b"content").hexdigest()


def test_the_digest_of_a_model_folder_follows_its_names_and_parts_and_nothing_else(tmp_path: Path) -> None:
    folder = tmp_path / "model"
    (folder / "unet").mkdir(parents=True)
    (folder / "unet" / "w.safetensors").write_bytes(WHOLE)
    digest = Digests().of(folder)
    (folder / "picture.png").write_bytes(b"no part of it")
    (folder / ".hidden.json").write_bytes(b"no part of it")
    assert Digests().of(folder) == digest
    (folder / "config.json").write_bytes(b"{}")
    changed = Digests().of(folder)
    (folder / "config.json").rename(folder / "other.json")
    assert len({digest, changed, Digests().of(folder)}) == 3


def test_a_models_configs_beside_its_file_are_part_of_its_digest(tmp_path: Path) -> None:
    model = tmp_path / "m.safetensors"
    model.write_bytes(b"weights")
    alone = Digests().of(model)
    config = tmp_path / "m.config" / "unet" / "config.json"
    config.parent.mkdir(parents=True)
    config.write_text("{}")
    described = Digests().of(model)
    config.write_text('{"a": 1}')
    assert len({alone, described, Digests().of(model)}) == 3

"""What files are by their bytes, and how large pictures are by their headers, with pillow as the one who knows."""

from __future__ import annotations

import io
import time
import tracemalloc
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from server import bombs

from nodegraph.artifacts.content import Unwelcome, recognise
from nodegraph.artifacts.inside import Broken
from nodegraph.artifacts.picture_size import picture_size

MOST = 100_000_000
FORMATS = ["PNG", "JPEG", "GIF", "WEBP", "AVIF"]


def kind(tmp_path: Path, data: bytes, **more: Any) -> Any:
    path = tmp_path / "file"
    path.write_bytes(data)
    return recognise(path, MOST, **more)


@pytest.mark.parametrize("size", [(1, 1), (31, 17), (700, 3), (3, 700)])
@pytest.mark.parametrize("format_", FORMATS)
def test_sizes_are_those_that_pillow_finds(format_: str, size: tuple[int, int]) -> None:
    data = bombs.picture(format_, size)
    found = picture_size(io.BytesIO(data), format_.lower())
    assert found == (*Image.open(io.BytesIO(data)).size, size[0] * size[1])


@pytest.mark.parametrize("format_", ["PNG", "GIF", "WEBP", "AVIF"])
def test_animations_have_the_size_of_their_canvas(format_: str) -> None:
    made, frames = io.BytesIO(), [Image.new("RGB", (40, 30), color) for color in ("red", "blue")]
    frames[0].save(made, format_, save_all=True, append_images=frames[1:])
    assert picture_size(made, format_.lower()).largest == 40 * 30


@pytest.mark.parametrize("more", [{"lossless": True}, {"lossless": False, "exif": b"Exif\0\0MM\0*\0\0\0\x08\0\0\0\0\0\0"}])
def test_all_kinds_of_webp_are_measured(more: dict[str, Any]) -> None:
    assert picture_size(io.BytesIO(bombs.picture("WEBP", (33, 44), **more)), "webp")[:2] == (33, 44)


def test_a_progressive_jpeg_behind_a_large_profile_is_measured() -> None:
    data = bombs.picture("JPEG", (33, 44), progressive=True, icc_profile=bytes(200_000))
    assert picture_size(io.BytesIO(data), "jpeg")[:2] == (33, 44)


@given(st.sampled_from(FORMATS), st.integers(0, 2000), st.binary(max_size=8))
def test_damaged_pictures_are_broken_and_nothing_else(format_: str, at: int, patch: bytes) -> None:
    data = bombs.picture(format_, (8, 8))
    at %= len(data)
    for damaged in (data[:at], data[:at] + patch + data[at + len(patch) :]):
        try:
            found = picture_size(io.BytesIO(damaged), format_.lower())
        except Broken:
            continue
        assert found.largest >= found.width * found.height > 0


@pytest.mark.parametrize(
    ("data", "ending"),
    [
        (bombs.picture("PNG"), ".png"),
        (bombs.picture("JPEG"), ".jpg"),
        (bombs.picture("WEBP"), ".webp"),
        (bombs.picture("AVIF"), ".avif"),
        (bombs.picture("GIF"), ".gif"),
        (bombs.safetensors(), ".safetensors"),
        (b'{"nodegraph": 1}', ".json"),
        (b"[1, 2", ".txt"),
        ("Zwölf Äpfel".encode(), ".txt"),
        (bombs.archive(a="1"), ".zip"),
        (bombs.picture("PNG") + bombs.archive(a="1"), ".png"),
        (bombs.picture("PNG") + b"<script>alert(1)</script>", ".png"),
    ],
)
def test_kinds_are_told_by_content(tmp_path: Path, data: bytes, ending: str) -> None:
    assert kind(tmp_path, data).ending == ending


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (bombs.pickled(), "pickle"),
        (bombs.torch_archive(), "pickle"),
        (b"MZ\x90\0", "executable"),
        (b"\x7fELF\2\1\1", "executable"),
        (b"#!/bin/sh\nrm -rf /\n", "executable"),
        (b"<!DOCTYPE html><script>", "markup"),
        (b"\xef\xbb\xbf  <!-- x -->\n<HTML>", "markup"),
        (b'<svg xmlns="http://www.w3.org/2000/svg">', "markup"),
        (b'<?xml version="1.0"?><svg>', "markup"),
        (bytes(range(256)) * 4, "unknown_content"),
        (b"caf\xe9", "unknown_content"),
        (bombs.safetensors(64)[:-8], "broken_safetensors"),
        (bombs.archive(a="1")[:-30], "broken_zip"),
        (b"PK\x03\x04", "broken_zip"),
    ],
)
def test_what_runs_when_opened_and_what_nobody_knows_is_turned_away(tmp_path: Path, data: bytes, code: str) -> None:
    with pytest.raises(Unwelcome) as caught:
        kind(tmp_path, data)
    assert caught.value.code == code


@pytest.mark.parametrize("data", [b"<html>", b"GIF", b"{}", bombs.safetensors(), bombs.archive(a="1"), bombs.pickled()])
def test_where_a_picture_is_expected_nothing_else_is_taken(tmp_path: Path, data: bytes) -> None:
    with pytest.raises(Unwelcome) as caught:
        kind(tmp_path, data, picture=True)
    assert caught.value.code == "no_picture"


@pytest.mark.parametrize(
    "make",
    [
        lambda: bombs.png(60_000, 60_000),
        bombs.large_webp,
        bombs.large_avif,
        bombs.large_jpeg,
        bombs.large_gif_frame,
    ],
)
def test_a_small_file_of_a_huge_picture_is_refused_without_unpacking_it(tmp_path: Path, make: Any) -> None:
    data = make()
    tracemalloc.start()
    began = time.monotonic()
    with pytest.raises(Unwelcome) as caught:
        kind(tmp_path, data)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert caught.value.code == "too_many_pixels"
    assert peak < 8 << 20
    assert time.monotonic() - began < 1


@pytest.mark.parametrize("format_", ["PNG", "WEBP", "AVIF"])
def test_truncated_pictures_are_refused(tmp_path: Path, format_: str) -> None:
    with pytest.raises(Unwelcome) as caught:
        kind(tmp_path, bombs.picture(format_)[:-20])
    assert caught.value.code == "broken_picture"


def test_a_zip_that_says_it_holds_millions_of_files_is_refused_by_its_directory_alone(tmp_path: Path) -> None:
    data = bytearray(bombs.archive(a="1"))
    end = data.rindex(b"PK\5\6")
    data[end + 12 : end + 16] = (1 << 30).to_bytes(4, "little")
    with pytest.raises(Unwelcome) as caught:
        kind(tmp_path, bytes(data))
    assert caught.value.code == "broken_zip"


def test_deeply_nested_json_is_text(tmp_path: Path) -> None:
    assert kind(tmp_path, b"[" * 100_000).ending == ".txt"

"""Texts inside picture files: they come out as they went in, pixels stay, and files stay readable by others."""

from __future__ import annotations

import io
import struct
import zlib
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from nodegraph import NodeError
from nodegraph.artifacts import embed, extract

PIXELS = np.random.default_rng(0).integers(0, 256, (9, 13, 4), np.uint8)


def encoded(mode: str, kind: str, **options: Any) -> bytes:
    picture = Image.fromarray(PIXELS).convert(mode)
    buffer = io.BytesIO()
    picture.save(buffer, kind, **options)
    return buffer.getvalue()


FILES: dict[str, tuple[str, bytes]] = {
    "png": ("image/png", encoded("RGB", "png")),
    "png with alpha": ("image/png", encoded("RGBA", "png")),
    "png with a palette": ("image/png", encoded("P", "png")),
    "jpeg": ("image/jpeg", encoded("RGB", "jpeg")),
    "progressive jpeg": ("image/jpeg", encoded("RGB", "jpeg", progressive=True)),
    "grey jpeg": ("image/jpeg", encoded("L", "jpeg")),
    "jpeg with exif": ("image/jpeg", encoded("RGB", "jpeg", exif=Image.Exif())),
    "lossy webp": ("image/webp", encoded("RGB", "webp", quality=80)),
    "lossless webp": ("image/webp", encoded("RGB", "webp", lossless=True)),
    "lossy webp with alpha": ("image/webp", encoded("RGBA", "webp", quality=80)),
    "lossless webp with alpha": ("image/webp", encoded("RGBA", "webp", lossless=True)),
    "webp with a colour profile": ("image/webp", encoded("RGB", "webp", icc_profile=b"profile")),
}
TEXTS = {"workflow": '{"title": "<a> & \'b\' ]]> </nodegraph:workflow>"}\n', "parameters": "prompt: Äpfel 🍎 日本\r\n\tseed: 7"}


def opened(data: bytes) -> Image.Image:
    picture = Image.open(io.BytesIO(data))
    picture.load()
    return picture


@pytest.mark.parametrize("name", FILES)
def test_texts_come_out_as_they_went_in(name: str) -> None:
    media_type, data = FILES[name]
    assert extract(embed(data, media_type, TEXTS)) == TEXTS


@pytest.mark.parametrize("name", FILES)
def test_the_file_stays_the_same_picture(name: str) -> None:
    media_type, data = FILES[name]
    before, after = opened(data), opened(embed(data, media_type, TEXTS))
    assert (before.mode, before.size, before.format) == (after.mode, after.size, after.format)
    assert before.tobytes() == after.tobytes()


def test_other_programs_find_the_texts_in_a_png() -> None:
    assert opened(embed(FILES["png"][1], "image/png", TEXTS)).text == TEXTS  # type: ignore[attr-defined]


@pytest.mark.parametrize("name", ["jpeg", "lossy webp", "lossless webp with alpha"])
def test_other_programs_find_an_xmp_packet(name: str) -> None:
    media_type, data = FILES[name]
    packet = opened(embed(data, media_type, {"parameters": "seed: 7 <&>"})).info["xmp"]
    found = ElementTree.fromstring(packet).iter("{urn:nodegraph:xmp:1.0:}parameters")
    assert [element.text for element in found] == ["seed: 7 <&>"]


@pytest.mark.parametrize("name", ["webp with a colour profile", "jpeg with exif"])
def test_what_else_the_file_holds_stays(name: str) -> None:
    media_type, data = FILES[name]
    before, after = opened(data).info, opened(embed(data, media_type, TEXTS)).info
    assert {key: after.get(key) for key in before} == before


@pytest.mark.parametrize(("kind", "media_type"), [("png", "image/png"), ("jpeg", "image/jpeg"), ("webp", "image/webp")])
@given(text=st.text(st.characters(codec="utf-8")))
def test_any_text_survives(kind: str, media_type: str, text: str) -> None:
    name = {"webp": "lossy webp"}.get(kind, kind)
    assert extract(embed(FILES[name][1], media_type, {"workflow": text})) == {"workflow": text}


@given(st.integers(1, 40), st.integers(1, 40), st.booleans(), st.booleans())
def test_any_size_of_webp_keeps_its_size(width: int, height: int, alpha: bool, lossless: bool) -> None:
    picture = Image.new("RGBA" if alpha else "RGB", (width, height), (9, 8, 7, 100) if alpha else (9, 8, 7))
    buffer = io.BytesIO()
    picture.save(buffer, "webp", lossless=lossless)
    after = opened(embed(buffer.getvalue(), "image/webp", TEXTS))
    assert (after.size, after.mode) == (picture.size, picture.mode)


def test_nothing_to_embed_leaves_the_bytes_alone() -> None:
    assert embed(FILES["png"][1], "image/png", {}) is FILES["png"][1]


def test_files_that_carry_no_text_come_back_as_they_were() -> None:
    assert embed(b"anything", "text/plain", TEXTS) == b"anything"


def test_a_jpeg_that_cannot_hold_so_much_is_refused_with_a_way_out() -> None:
    with pytest.raises(NodeError, match="too large to travel inside a JPEG") as caught:
        embed(FILES["jpeg"][1], "image/jpeg", {"workflow": "x" * 65_600})
    assert "PNG or WebP" in str(caught.value.hint)


def test_a_jpeg_holds_what_just_fits() -> None:
    text = "x" * 65_000
    data = embed(FILES["jpeg"][1], "image/jpeg", {"workflow": text})
    assert extract(data)["workflow"] == text
    opened(data)


@pytest.mark.parametrize("name", ["png", "lossless webp"])
def test_a_megabyte_of_workflow_travels_in_png_and_webp(name: str) -> None:
    media_type, data = FILES[name]
    assert len(extract(embed(data, media_type, {"workflow": "x" * 10**6}))["workflow"]) == 10**6


def chunk(name: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))


@pytest.mark.parametrize(
    ("body", "found"),
    [
        (chunk(b"tEXt", b"workflow\0caf\xe9"), {"workflow": "café"}),
        (chunk(b"iTXt", b"workflow\0\1\0de\0Titel\0" + zlib.compress("ü".encode())), {"workflow": "ü"}),
        (chunk(b"iTXt", b"workflow\0\1\0\0\0not compressed"), {}),
        (chunk(b"iTXt", b"no end"), {}),
        (chunk(b"iTXt", b"workflow\0\0\0\0\0\xff\xfe"), {}),
    ],
    ids=["latin-1", "compressed", "broken compression", "no terminator", "not UTF-8"],
)
def test_texts_of_other_programs_are_read(body: bytes, found: dict[str, str]) -> None:
    data = FILES["png"][1]
    assert extract(data[:33] + body + data[33:]) == found


def test_a_compressed_text_cannot_fill_the_memory() -> None:
    bomb = zlib.compress(bytes(200 << 20), 1)
    data = FILES["png"][1]
    found = extract(data[:33] + chunk(b"iTXt", b"workflow\0\1\0\0\0" + bomb) + data[33:])
    assert len(found["workflow"]) <= 64 << 20


@pytest.mark.parametrize("data", [b"", b"\xff\xd8", b"RIFF1234WEBP", b"GIF89a", b"{}", b"\x89PNG\r\n\x1a\n"], ids=repr)
def test_files_without_texts_have_none(data: bytes) -> None:
    assert extract(data) == {}


@pytest.mark.parametrize("name", ["png", "jpeg", "lossy webp"])
@given(data=st.data())
def test_a_damaged_file_gives_some_texts_or_none_but_no_error(name: str, data: st.DataObject) -> None:
    media_type, original = FILES[name]
    file = bytearray(embed(original, media_type, TEXTS))
    cut = data.draw(st.integers(0, len(file)))
    for at in data.draw(st.lists(st.integers(0, len(file) - 1), max_size=5)):
        file[at] = data.draw(st.integers(0, 255))
    assert isinstance(extract(bytes(file[:cut])), dict)

"""Whose settings a picture carries: written as the programs write them, with pillow."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from artifacts.pictures import FILES, PLAIN, chunk, encoded, pixels, png_with
from nodegraph.artifacts import embed, read_metadata

A1111 = "ein Apfel 🍎, 日本\nNegative prompt: bad\nSteps: 20, Sampler: Euler a, CFG scale: 7, Seed: 5, Size: 512x512"
API = json.dumps({"3": {"class_type": "KSampler", "inputs": {"seed": 1}}})
UI = json.dumps({"last_node_id": 3, "nodes": [], "links": []})
OURS = {"workflow": '{\n  "nodegraph": 1,\n  "nodes": {}\n}\n', "parameters": "prompt: a\nseed: 7"}


def png(**texts: str) -> bytes:
    info = PngInfo()
    for key, text in texts.items():
        info.add_itxt(key.replace("__", "-"), text)
    return encoded(pixels("RGB"), "png", pnginfo=info)


def with_exif(kind: str, fields: dict[int, Any], comment: bytes | None = None) -> bytes:
    exif = Image.Exif()
    for tag, value in fields.items():
        exif[tag] = value
    if comment is not None:
        exif.get_ifd(0x8769)[0x9286] = comment
    return encoded(pixels("RGB"), kind, exif=exif.tobytes())


@pytest.mark.parametrize("kind", PLAIN)
def test_our_own_texts_are_known_in_every_format(kind: str) -> None:
    media_type, data = FILES[PLAIN[kind]]
    found = read_metadata(embed(data, media_type, OURS))
    assert (found.format, found.program, found.of("nodegraph")) == (kind, "nodegraph", OURS)


@pytest.mark.parametrize("kind", PLAIN)
def test_our_parameters_alone_are_ours(kind: str) -> None:
    media_type, data = FILES[PLAIN[kind]]
    found = read_metadata(embed(data, media_type, {"parameters": OURS["parameters"]}))
    assert (found.program, found.of("nodegraph")) == ("nodegraph", {"parameters": OURS["parameters"]})


def test_a_parameters_text_in_a_png_is_the_web_uis() -> None:
    found = read_metadata(png(parameters=A1111))
    assert (found.program, found.of("a1111")) == ("a1111", {"parameters": A1111})
    latin = "café\n" + A1111.split("\n")[-1]
    body = b"parameters\0" + latin.encode("latin-1")
    assert read_metadata(png_with(chunk(b"tEXt", body))).of("a1111") == {"parameters": latin}


COMMENTS = {
    "big-endian": b"UNICODE\0" + A1111.encode("utf-16-be"),
    "little-endian": b"UNICODE\0" + A1111.encode("utf-16-le"),
    "with a mark": b"UNICODE\0" + A1111.encode("utf-16"),
    "UTF-8 without a code": A1111.encode(),
    "undefined": bytes(8) + A1111.encode(),
    "ASCII that is UTF-8": b"ASCII\0\0\0" + A1111.encode(),
}


@pytest.mark.parametrize("kind", ["jpeg", "webp", "avif"])
@pytest.mark.parametrize("comment", COMMENTS.values(), ids=COMMENTS)
def test_a_parameters_text_in_a_user_comment_is_the_web_uis_in_every_encoding(kind: str, comment: bytes) -> None:
    assert read_metadata(with_exif(kind, {}, comment)).of("a1111") == {"parameters": A1111}


@pytest.mark.parametrize("code", ["iso2022_jp", "shift_jis"])
def test_a_japanese_user_comment_is_read(code: str) -> None:
    text = A1111.replace(" 🍎", "")
    assert read_metadata(with_exif("jpeg", {}, b"JIS\0\0\0\0\0" + text.encode(code))).of("a1111") == {"parameters": text}


def test_a_user_comment_in_the_exif_chunk_of_a_png_is_read() -> None:
    assert read_metadata(with_exif("png", {}, COMMENTS["big-endian"])).of("a1111") == {"parameters": A1111}


def test_comfyuis_texts_in_a_png_are_known() -> None:
    assert read_metadata(png(prompt=API, workflow=UI)).of("comfyui") == {"prompt": API, "workflow": UI}


@pytest.mark.parametrize("kind", ["jpeg", "webp", "avif"])
@pytest.mark.parametrize("tags", [(0x010F, 0x0110), (0x010E, 0x010F)])
@pytest.mark.parametrize("prefixes", [("workflow:", "prompt:"), ("Workflow: ", "Prompt: ")])
def test_comfyuis_texts_in_exif_are_known(kind: str, tags: tuple[int, int], prefixes: tuple[str, str]) -> None:
    fields = {tags[0]: prefixes[0] + UI, tags[1]: prefixes[1] + API}
    assert read_metadata(with_exif(kind, fields)).of("comfyui") == {"workflow": UI, "prompt": API}


@pytest.mark.parametrize(
    ("comment", "texts"),
    [
        (b"UNICODE\0" + f"workflow:{UI}".encode("utf-16-be"), {"workflow": UI}),
        (b"ASCII\0\0\0" + API.encode(), {"prompt": API}),
        (b"ASCII\0\0\0" + json.dumps({"prompt": json.loads(API), "workflow": UI}).encode(), {"prompt": API, "workflow": UI}),
    ],
    ids=["a prefix", "the graph itself", "both in one"],
)
def test_comfyuis_texts_in_a_user_comment_are_known(comment: bytes, texts: dict[str, str]) -> None:
    assert read_metadata(with_exif("webp", {}, comment)).of("comfyui") == texts


def test_a_graph_comes_before_a_list_of_parameters() -> None:
    found = read_metadata(png(parameters=A1111, prompt=API))
    assert [item.program for item in found.found] == ["comfyui", "a1111"]


@pytest.mark.parametrize(
    ("texts", "program"),
    [
        ({"invokeai_metadata": "{}"}, "invokeai"),
        ({"sd__metadata": "{}"}, "invokeai"),
        ({"Software": "NovelAI", "Comment": "{}"}, "novelai"),
        ({"parameters": '{"sui_image_params": {}}'}, "swarmui"),
        ({"parameters": '{"prompt": "a"}', "fooocus_scheme": "fooocus"}, "fooocus"),
        ({"parameters": "just words"}, "unknown"),
        ({"workflow": "just words"}, "unknown"),
        ({"workflow": '{"nodes": {}}'}, "nodegraph"),
        ({"workflow": '{"nodegraph": 1, "nodes": {'}, "nodegraph"),
        ({"Title": "a tree"}, None),
        ({}, None),
    ],
)
def test_programs_are_told_by_what_they_write(texts: dict[str, str], program: str | None) -> None:
    assert read_metadata(png(**texts)).program == program


@pytest.mark.parametrize("data", [b"", b"GIF89a", b"PK\3\4", b"\0" * 100], ids=repr)
def test_what_is_no_picture_has_no_format(data: bytes) -> None:
    assert read_metadata(data).format == ""


@pytest.mark.parametrize("kind", PLAIN)
def test_a_picture_without_anything_has_nothing_and_no_complaints(kind: str) -> None:
    found = read_metadata(FILES[PLAIN[kind]][1])
    assert (found.format, found.found, found.notes) == (kind, (), ())


@given(st.data())
def test_damaged_exif_gives_some_texts_or_none_but_no_error(data: st.DataObject) -> None:
    file = bytearray(with_exif("jpeg", {0x010F: "workflow:" + UI}, COMMENTS["big-endian"]))
    for at in data.draw(st.lists(st.integers(0, 250), max_size=8)):
        file[at] = data.draw(st.integers(0, 255))
    read_metadata(bytes(file[: data.draw(st.integers(0, len(file)))]))


@pytest.mark.parametrize(
    "text",
    [
        "[" * 2_000_000,
        "{" * 2_000_000,
        "Steps: 1" * 500_000,
        "Steps: 1, a: b, " * 200_000,
        "workflow:" * 300_000,
        "1" * 3_000_000,
    ],
    ids=lambda text: text[:8],
)
def test_a_text_made_to_waste_time_does_not(text: str) -> None:
    begun = time.monotonic()
    read_metadata(png(parameters=text, workflow=text, prompt=text))
    read_metadata(with_exif("webp", {0x010F: text}, b"UNICODE\0" + text.encode("utf-16-be")))
    assert time.monotonic() - begun < 10

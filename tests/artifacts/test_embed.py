"""Texts inside picture files: they come out as they went in, pixels stay, and files stay readable by others."""

from __future__ import annotations

import contextlib
import hashlib
import re
import struct
import time
import zlib
from typing import Any
from xml.etree import ElementTree

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageFile

from artifacts.pictures import (
    FILES,
    FOREIGN_XMP,
    PIXELS,
    PLAIN,
    PROFILE,
    camera,
    chunk,
    encoded,
    frames,
    opened,
    pixels,
    png_with,
)
from nodegraph import NodeError
from nodegraph.artifacts import embed, extract
from nodegraph.artifacts.embed import look_inside

TEXTS = {"workflow": '{"title": "<a> & \'b\' ]]> </nodegraph:workflow>"}\n', "parameters": "prompt: Äpfel 🍎 日本\r\n\tseed: 7"}
OTHER = {"workflow": "{}", "parameters": "seed: 8"}
HAS_XMP = [name for name in FILES if not name.startswith("png")]


@pytest.mark.parametrize("name", FILES)
def test_texts_come_out_as_they_went_in(name: str) -> None:
    media_type, data = FILES[name]
    assert extract(embed(data, media_type, TEXTS)) == TEXTS


@pytest.mark.parametrize("name", FILES)
def test_every_frame_keeps_its_pixels(name: str) -> None:
    media_type, data = FILES[name]
    after = embed(data, media_type, TEXTS)
    assert opened(after).format == opened(data).format
    assert frames(after) == frames(data)


@pytest.mark.parametrize("name", FILES)
def test_what_else_the_file_holds_stays(name: str) -> None:
    media_type, data = FILES[name]
    before, after = opened(data).info, opened(embed(data, media_type, TEXTS)).info
    before.pop("xmp", None)
    assert {key: after.get(key) for key in before} == before
    if "all" in name or "profile" in name:
        assert after["icc_profile"] == PROFILE
        assert opened(embed(data, media_type, TEXTS)).getexif()[0x010F] == "Maker"


@pytest.mark.parametrize("name", FILES)
def test_new_texts_take_the_place_of_old_ones(name: str) -> None:
    media_type, data = FILES[name]
    again = embed(embed(data, media_type, TEXTS), media_type, OTHER)
    assert extract(again) == OTHER
    assert "日本".encode() not in again
    assert frames(again) == frames(data)
    assert again == embed(data, media_type, OTHER) or len(again) - len(embed(data, media_type, OTHER)) < 200


def test_other_programs_find_the_texts_in_a_png() -> None:
    assert opened(embed(FILES["png RGB"][1], "image/png", TEXTS)).text == TEXTS  # type: ignore[attr-defined]


def test_texts_under_other_names_stay_in_a_png() -> None:
    data = png_with(
        chunk(b"tEXt", b"Author\0me"), chunk(b"tEXt", b"workflow\0old"), chunk(b"zTXt", b"parameters\0\0" + zlib.compress(b"o"))
    )
    after = embed(data, "image/png", TEXTS)
    assert extract(after) == {**TEXTS, "Author": "me"}
    assert opened(after).text == {**TEXTS, "Author": "me"}  # type: ignore[attr-defined]


@pytest.mark.parametrize("name", HAS_XMP)
def test_other_programs_find_an_xmp_packet(name: str) -> None:
    media_type, data = FILES[name]
    packet = opened(embed(data, media_type, TEXTS)).info["xmp"]
    root = ElementTree.fromstring(packet)
    found = {element.tag: element.text for element in root.iter() if element.tag.startswith("{urn:nodegraph")}
    assert found == {f"{{urn:nodegraph:xmp:1.0:}}{key}": text for key, text in TEXTS.items()}
    foreign = ["foreign"] if "xmp" in opened(data).info else []
    assert [
        e.attrib["{http://purl.org/dc/elements/1.1/}format"]
        for e in root.iter()
        if "{http://purl.org/dc/elements/1.1/}format" in e.attrib
    ] == foreign


@pytest.mark.parametrize("kind", ["jpeg", "webp", "avif"])
@pytest.mark.parametrize(
    "packet",
    [b"junk", b"<x/>", b"<a><b></a>", FOREIGN_XMP.decode().replace("\ufeff", "").encode("utf-16-le")],
    ids=["junk", "no RDF", "broken", "UTF-16"],
)
def test_a_packet_of_another_kind_gives_way_to_one_that_can_be_read(kind: str, packet: bytes) -> None:
    after = embed(encoded(pixels("RGB"), kind, xmp=packet), f"image/{kind}", TEXTS)
    assert extract(after) == TEXTS
    assert (b"foreign" in opened(after).info["xmp"]) == (b"f\0o\0r" in packet)
    ElementTree.fromstring(opened(after).info["xmp"])


@pytest.mark.parametrize("kind", PLAIN)
@given(text=st.text(st.characters(codec="utf-8")))
def test_any_text_survives(kind: str, text: str) -> None:
    media_type, data = FILES[PLAIN[kind]]
    assert extract(embed(data, media_type, {"workflow": text})) == {"workflow": text}


@pytest.mark.parametrize("kind", ["jpeg", "webp", "avif"])
@given(text=st.text(st.characters(codec="utf-8")))
def test_any_text_leaves_a_packet_that_xml_can_read(kind: str, text: str) -> None:
    media_type, data = FILES[PLAIN[kind]]
    ElementTree.fromstring(opened(embed(data, media_type, {"parameters": text})).info["xmp"])


@pytest.mark.parametrize("kind", PLAIN)
def test_half_a_character_does_not_keep_a_picture_from_being_saved(kind: str) -> None:
    media_type, data = FILES[PLAIN[kind]]
    assert extract(embed(data, media_type, {"workflow": "a\ud800b"})) == {"workflow": "a?b"}


@pytest.mark.parametrize("kind", PLAIN)
def test_five_megabytes_of_workflow_travel(kind: str) -> None:
    media_type, data = FILES[PLAIN[kind]]
    texts = {"workflow": "<é>" * 1_250_000, "parameters": "seed: 7"}
    after = embed(data, media_type, texts)
    assert extract(after) == texts
    assert frames(after) == frames(data)
    if kind != "png":
        assert b"seed: 7" in opened(after).info["xmp"]


@pytest.mark.parametrize("size", range(65_100, 65_700, 40))
def test_a_text_around_the_size_of_a_jpeg_segment_travels(size: int) -> None:
    media_type, data = FILES["jpeg with all"]
    after = embed(data, media_type, {"workflow": "x" * size})
    assert extract(after) == {"workflow": "x" * size}
    assert frames(after) == frames(data)
    assert b"foreign" in opened(after).info["xmp"]


@pytest.mark.parametrize("kind", PLAIN)
@settings(max_examples=15)
@given(width=st.integers(1, 70), height=st.integers(1, 70), alpha=st.booleans(), lossless=st.booleans())
def test_a_picture_of_any_size_stays_the_same_picture(kind: str, width: int, height: int, alpha: bool, lossless: bool) -> None:
    colour: Any = (9, 8, 7, 100) if alpha and kind != "jpeg" else (9, 8, 7)
    picture = Image.new("RGBA" if len(colour) == 4 else "RGB", (width, height), colour)
    data = encoded(picture, kind, **({"lossless": lossless} if kind == "webp" else {}))
    after = embed(data, f"image/{kind}", TEXTS)
    assert frames(after) == frames(data)
    assert extract(after) == TEXTS


def test_the_old_packet_of_an_avif_is_blank_where_it_lies_among_the_pixels() -> None:
    old = opened(embed(FILES["avif RGB"][1], "image/avif", TEXTS)).info["xmp"]
    data = encoded(pixels("RGB"), "avif", xmp=old)
    assert extract(data) == TEXTS
    after = embed(data, "image/avif", OTHER)
    assert "日本".encode() not in after
    assert frames(after) == frames(data)


def test_nothing_to_embed_leaves_the_bytes_alone() -> None:
    assert embed(FILES["png RGB"][1], "image/png", {}) is FILES["png RGB"][1]


def test_files_that_carry_no_text_come_back_as_they_were() -> None:
    assert embed(b"anything", "text/plain", TEXTS) == b"anything"


@pytest.mark.parametrize("kind", PLAIN)
def test_a_file_that_is_not_what_it_is_called_is_refused_in_words(kind: str) -> None:
    for data in (b"", b"anything", FILES[PLAIN[kind]][1][:40], FILES["png RGB" if kind != "png" else "jpeg RGB"][1]):
        with pytest.raises(NodeError, match="so the workflow cannot travel inside") as caught:
            embed(data, f"image/{kind}", TEXTS)
        assert "PNG" in str(caught.value.hint)


@pytest.mark.parametrize("kind", PLAIN)
@given(data=st.data())
def test_embedding_into_a_damaged_file_is_done_or_refused_in_words(kind: str, data: st.DataObject) -> None:
    media_type, original = FILES[PLAIN[kind]]
    file = bytearray(embed(original, media_type, TEXTS))
    for at in data.draw(st.lists(st.integers(0, min(len(file), 900) - 1), max_size=5)):
        file[at] = data.draw(st.integers(0, 255))
    with contextlib.suppress(NodeError):
        embed(bytes(file[: data.draw(st.integers(0, len(file)))]), media_type, OTHER)


# ---- JPEG: extended XMP ----


def segments(data: bytes, head: bytes) -> list[bytes]:
    """The bodies of the APP1 segments that begin so; a reader of its own."""
    found, at = [], 2
    while data[at + 1] != 0xDA:
        size = struct.unpack(">H", data[at + 2 : at + 4])[0]
        if data[at + 1] == 0xE1 and data[at + 4 :].startswith(head):
            found.append(data[at + 4 + len(head) : at + 2 + size])
        at += 2 + size
    return found


def test_what_is_too_long_for_a_segment_travels_as_the_specification_says() -> None:
    data = embed(FILES["jpeg RGB"][1], "image/jpeg", {"workflow": "ä" * 100_000})
    (standard,) = segments(data, b"http://ns.adobe.com/xap/1.0/\0")
    root = ElementTree.fromstring(standard)
    (guid,) = [element.text for element in root.iter("{http://ns.adobe.com/xmp/note/}HasExtendedXMP")]
    portions = segments(data, b"http://ns.adobe.com/xmp/extension/\0")
    packet = b"".join(portion[40:] for portion in portions)
    assert guid == hashlib.md5(packet).hexdigest().upper()
    offset = 0
    for portion in portions:
        assert portion[:32].decode() == guid
        assert struct.unpack(">II", portion[32:40]) == (len(packet), offset)
        offset += len(portion) - 40
    texts = [element.text for element in ElementTree.fromstring(packet).iter("{urn:nodegraph:xmp:1.0:}workflow")]
    assert texts == ["ä" * 100_000]


def test_portions_are_read_in_any_order_and_only_when_they_fit_their_digest() -> None:
    data = embed(FILES["jpeg RGB"][1], "image/jpeg", {"workflow": "ab" * 100_000})
    starts = [match.start() - 4 for match in re.finditer(rb"http://ns.adobe.com/xmp/extension/\0", data)]
    parts = [
        data[a:b]
        for a, b in zip(
            starts, [*starts[1:], starts[-1] + 2 + int.from_bytes(data[starts[-1] + 2 : starts[-1] + 4], "big")], strict=True
        )
    ]
    end = starts[-1] + len(parts[-1])
    turned = data[: starts[0]] + b"".join(reversed(parts)) + data[end:]
    assert extract(turned) == {"workflow": "ab" * 100_000}
    assert extract(data[: starts[1]] + data[end:]) == {}
    assert extract(data.replace(b"abababab", b"abababac", 1)) == {}


def test_another_programs_extended_xmp_stays_beside_ours() -> None:
    inner = FOREIGN_XMP.replace(b"foreign", b"far away")
    guid = hashlib.md5(inner).hexdigest().upper().encode()
    head = b"http://ns.adobe.com/xmp/extension/\0" + guid + struct.pack(">II", len(inner), 0)
    linked = FOREIGN_XMP.replace(
        b'dc:format="foreign"', b'dc:format="foreign" xmlns:n="http://ns.adobe.com/xmp/note/" n:HasExtendedXMP="' + guid + b'"'
    )
    data = encoded(pixels("RGB"), "jpeg", xmp=linked)
    segment = b"\xff\xe1" + struct.pack(">H", len(head) + len(inner) + 2) + head + inner
    data = data[:2] + segment + data[2:]
    for texts in (TEXTS, {"workflow": "x" * 200_000}):
        after = embed(data, "image/jpeg", texts)
        assert extract(after) == texts
        packets = look_inside(after).xmp
        assert b"foreign" in packets[0]
        assert b"far away" in packets[1]
        assert frames(after) == frames(data)
        assert look_inside(after).notes == ()


# ---- reading what is damaged ----


def test_texts_of_other_programs_are_read() -> None:
    for body, found in (
        (chunk(b"tEXt", b"workflow\0caf\xe9"), {"workflow": "café"}),
        (chunk(b"zTXt", b"workflow\0\0" + zlib.compress(b"caf\xe9")), {"workflow": "café"}),
        (chunk(b"iTXt", b"workflow\0\1\0de\0Titel\0" + zlib.compress("ü".encode())), {"workflow": "ü"}),
    ):
        assert extract(png_with(body)) == found
        assert opened(png_with(body)).text == found  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (chunk(b"iTXt", b"workflow\0\1\0\0\0not compressed"), "does not unpack"),
        (chunk(b"iTXt", b"workflow\0\1\0\0\0" + zlib.compress(b"x" * 999)[:-9]), "cut short"),
        (chunk(b"iTXt", b"no end"), "no end"),
        (chunk(b"iTXt", b"workflow\0\0\0\0"), "no end of its language"),
        (chunk(b"iTXt", b"workflow\0\0\0\0\0\xff\xfe"), "not UTF-8"),
        (chunk(b"tEXt", b"workflow\0x")[:-1] + b"!", "checksum"),
        (b"\0\1\0\0tEXtworkflow\0x", "cut short"),
    ],
    ids=["broken compression", "compression cut short", "no keyword", "no language", "not UTF-8", "checksum", "too long"],
)
def test_a_damaged_text_is_left_out_and_said(body: bytes, says: str) -> None:
    inside = look_inside(png_with(body))
    assert inside.texts == {}
    assert says in " ".join(inside.notes)


def test_compressed_texts_cannot_fill_the_memory() -> None:
    bomb = zlib.compress(bytes(200 << 20), 1)
    begun = time.monotonic()
    inside = look_inside(png_with(*(chunk(b"iTXt", b"workflow\0\1\0\0\0" + bomb) for _ in range(100))))
    assert inside.texts == {}
    assert "unpacks to more than 64 MB" in inside.notes[0]
    assert time.monotonic() - begun < 5


def test_texts_that_fit_one_by_one_do_not_fill_the_memory_together() -> None:
    half = zlib.compress(bytes(40 << 20), 1)
    inside = look_inside(png_with(*(chunk(b"zTXt", f"t{i}\0\0".encode() + half) for i in range(5))))
    assert list(inside.texts) == ["t0"]


def test_an_entity_in_xmp_is_not_expanded() -> None:
    laughs = "".join(f'<!ENTITY l{i} "{f"&l{i - 1};" * 10}">' for i in range(1, 9))
    packet = f'<!DOCTYPE x [<!ENTITY l0 "ha">{laughs}]>' + FOREIGN_XMP.decode().replace(
        'dc:format="foreign"', 'xmlns:n="urn:nodegraph:xmp:1.0:" n:workflow="&l1;"'
    )
    data = encoded(pixels("RGB"), "webp", xmp=packet.encode())
    assert extract(data) == {}


def test_so_many_parts_that_nobody_wrote_them_end_the_reading() -> None:
    begun = time.monotonic()
    for data in (
        png_with(*([chunk(b"aaaa", b"")] * 300_000)),
        b"RIFF" + struct.pack("<I", 8 * 300_000 + 4) + b"WEBP" + b"aaaa\0\0\0\0" * 300_000,
        FILES["avif RGB"][1] + b"\0\0\0\x08free" * 300_000,
        b"\xff\xd8" + b"\xff\xe5\0\2" * 300_000,
    ):
        assert "more than 200,000" in " ".join(look_inside(data).notes)
    assert time.monotonic() - begun < 10


@pytest.mark.parametrize(
    "data",
    [b"", b"\xff\xd8", b"RIFF1234WEBP", b"GIF89a", b"{}", b"\x89PNG\r\n\x1a\n", b"\0\0\0\x14ftypavif\0\0\0\0avif"],
    ids=repr,
)
def test_files_without_texts_have_none(data: bytes) -> None:
    assert extract(data) == {}


@pytest.mark.parametrize("kind", [*PLAIN, "avif moving with all", "jpeg with all"])
@given(data=st.data())
def test_a_damaged_file_gives_some_texts_or_none_but_no_error(kind: str, data: st.DataObject) -> None:
    media_type, original = FILES[PLAIN.get(kind, kind)]
    file = bytearray(embed(original, media_type, TEXTS))
    cut = data.draw(st.integers(0, len(file)))
    for at in data.draw(st.lists(st.integers(0, len(file) - 1), max_size=5)):
        file[at] = data.draw(st.integers(0, 255))
    assert isinstance(extract(bytes(file[:cut])), dict)


@pytest.mark.parametrize("kind", PLAIN)
def test_a_file_cut_anywhere_is_read_as_far_as_it_goes(kind: str) -> None:
    media_type, original = FILES[PLAIN[kind]]
    file = embed(original, media_type, TEXTS)
    for cut in range(len(file)):
        inside = look_inside(file[:cut])
        assert extract(file[:cut]) in ({}, TEXTS, {"workflow": TEXTS["workflow"]})
        assert inside.notes or kind == "jpeg" or cut < 32


# ---- AVIF: boxes that pillow does not write ----


def _boxes(data: bytes, start: int, end: int) -> dict[bytes, tuple[int, int]]:
    found = {}
    while start < end:
        size = int.from_bytes(data[start : start + 4], "big")
        found[data[start + 4 : start + 8]] = start, start + size
        start += size
    return found


def test_a_last_box_without_a_size_gets_one() -> None:
    data = FILES["avif RGB"][1]
    start, _ = _boxes(data, 0, len(data))[b"mdat"]
    after = embed(data[:start] + bytes(4) + data[start + 4 :], "image/avif", TEXTS)
    assert extract(after) == TEXTS
    assert frames(after) == frames(data)


def test_data_before_the_boxes_that_describe_it_stay_where_they_are() -> None:
    from nodegraph.artifacts.isobmff import Box, Locations

    data = FILES["avif RGBA"][1]
    top = _boxes(data, 0, len(data))
    (meta, meta_end), (mdat, _) = top[b"meta"], top[b"mdat"]
    size = len(data) - mdat
    iloc, iloc_end = _boxes(data, meta + 12, meta_end)[b"iloc"]
    located = Locations.read(data, Box(b"iloc", iloc, iloc + 8, iloc_end))
    moved = located.moved(lambda place: place - mdat + meta, len(data)).write(4)
    assert len(moved) == iloc_end - iloc
    turned = data[:meta] + data[mdat:] + data[meta:iloc] + moved + data[iloc_end:mdat]
    assert len(turned) == len(data)
    assert frames(turned) == frames(data)
    assert size > 8
    after = embed(turned, "image/avif", TEXTS)
    assert frames(after) == frames(data)
    assert extract(after) == TEXTS


def test_every_kind_of_iloc_box_is_written_as_it_was_read() -> None:
    from nodegraph.artifacts.isobmff import Box, Extent, Location, Locations

    for version in (0, 1, 2):
        for width in (4, 8):
            extents = (Extent(0, 5, 6), Extent(0, 7, 0))
            items = (Location(1, 0, 0, 9, extents), Location(60_000, 1 if version else 0, 1, 0, ()))
            items = (*items, Location(70_000, 1, 0, 4, extents[:1])) if version == 2 else items
            data = Locations(version, 0, items).write(width)
            assert Locations.read(data, Box(b"iloc", 0, 8, len(data))) == Locations(version, 0, items)


def test_the_pixels_of_pictures_are_noise() -> None:
    """Otherwise the tests above could not fail."""
    assert len({bytes(pixel) for row in PIXELS for pixel in row}) > 100
    assert camera()[0x010F] == "Maker"
    assert not ImageFile.LOAD_TRUNCATED_IMAGES

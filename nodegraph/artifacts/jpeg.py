"""JPEG (ITU-T T.81): XMP and Exif lie in APP1 segments before the picture.

A segment holds 64 KB. What is longer travels as extended XMP (XMP part 3, 1.1.3.1): the packet names the MD5 of a second one,
which lies in as many segments as it needs.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from nodegraph.artifacts import xmp
from nodegraph.artifacts.inside import LONGEST_TEXT, MOST_PARTS, Broken, Inside, exif_block

SIGNATURE = b"\xff\xd8"
_XMP = b"http://ns.adobe.com/xap/1.0/\0"
_MORE = b"http://ns.adobe.com/xmp/extension/\0"
_EXIF = b"Exif\0\0"
_SEGMENT = 65533
_PORTION = _SEGMENT - len(_MORE) - 40  # 32 of GUID, 4 of length, 4 of offset
_APP0, _APP1, _SCAN, _END = 0xE0, 0xE1, 0xDA, 0xD9
_LINK = "HasExtendedXMP"


class Segment(NamedTuple):
    """A segment by its place in the file: `start` is that of its marker."""

    marker: int
    start: int
    end: int

    def body(self, data: bytes) -> bytes:
        return data[self.start + 4 : self.end]

    def holds(self, data: bytes, head: bytes) -> bool:
        return self.marker == _APP1 and data.startswith(head, self.start + 4)


def segments(data: bytes) -> Iterator[Segment]:
    """The segments before the picture itself. Raises Broken where there is none."""
    at = len(SIGNATURE)
    for _ in range(MOST_PARTS):
        while data[at + 1 : at + 2] == b"\xff" and data[at : at + 1] == b"\xff":  # fill bytes
            at += 1
        if at + 4 > len(data):
            raise Broken("is cut short before the picture begins")
        marker, size = data[at + 1], int.from_bytes(data[at + 2 : at + 4], "big")
        if data[at] != 0xFF or size < 2:
            raise Broken(f"is damaged at byte {at:,}")
        if marker in (_SCAN, _END):
            return
        if at + 2 + size > len(data):
            raise Broken(f"is cut short at byte {len(data):,}")
        yield Segment(marker, at, at + 2 + size)
        at += 2 + size
    raise Broken(f"has more than {MOST_PARTS:,} segments")


# ---- writing ----


def embed(data: bytes, texts: Mapping[str, str]) -> bytes:
    """The file with these texts in its XMP, in extended XMP where they are long. Raises Broken."""
    if not data.startswith(SIGNATURE):
        raise Broken("is no JPEG")
    rows = list(segments(data))
    standard = _standard(data, rows)
    extended, whole = _extended(data, rows, standard)
    bodies, replaces = _packets(texts, standard, extended, whole)
    gone = [row for row in rows if row.holds(data, _XMP) or (replaces and row.holds(data, _MORE))]
    at = len(SIGNATURE)
    for row in rows:  # JFIF and Exif stay first
        if row.marker != _APP0 and not row.holds(data, _EXIF):
            break
        at = row.end
    parts = [data[len(SIGNATURE) : at], *(struct.pack(">BBH", 0xFF, _APP1, len(body) + 2) + body for body in bodies)]
    for row in gone:
        parts.append(data[at : row.start])
        at = row.end
    return b"".join([SIGNATURE, *parts, data[at:]])


def _packets(texts: Mapping[str, str], standard: bytes, extended: bytes, whole: bool) -> tuple[list[bytes], bool]:
    """The bodies of the segments that hold these texts beside what was there, and whether extended ones are replaced.

    Short texts stay in the standard packet.
    """
    linked = xmp.properties(standard, xmp.NOTE).get(_LINK, "")
    foreign = bool(xmp.without_ours(extended))
    short, long = sorted(texts, key=lambda key: len(texts[key])), list[str]()
    while True:
        replaces = bool(long) or (whole and not foreign)
        more = xmp.packet({key: texts[key] for key in long}, extended, wrapped=False) if long else b""
        before, link = standard, {}
        if more and linked and linked in xmp.without_ours(standard):  # another program's link
            before = standard.replace(linked.encode(), _guid(more))
        elif more:
            link = {_LINK: _guid(more).decode()}
        first = _XMP + xmp.packet({key: texts[key] for key in short}, before, link)
        if len(first) <= _SEGMENT:
            break
        if not short:
            raise Broken("holds so much XMP of another program that nothing more fits in")
        long.append(short.pop())
    portions = range(0, len(more), _PORTION)
    head = _MORE + _guid(more)
    return [first, *(head + struct.pack(">II", len(more), at) + more[at : at + _PORTION] for at in portions)], replaces


def _guid(packet: bytes) -> bytes:
    return hashlib.md5(packet, usedforsecurity=False).hexdigest().upper().encode()


# ---- reading ----


def read(data: bytes) -> Inside:
    """The texts in the XMP of a JPEG, its packet and its Exif block."""
    rows: list[Segment] = []
    notes = []
    try:
        for row in segments(data):
            rows.append(row)
    except Broken as error:
        notes.append(f"The JPEG {error}.")
    standard = _standard(data, rows)
    extended, whole = _extended(data, rows, standard)
    if not whole:
        notes.append("The JPEG's extended XMP is not whole, so it was not read.")
    exif = next((row.body(data) for row in rows if row.holds(data, _EXIF)), b"")
    return Inside({}, (standard, extended) if extended else (standard,), exif_block(exif), tuple(notes))


def _standard(data: bytes, rows: list[Segment]) -> bytes:
    return next((row.body(data)[len(_XMP) :] for row in rows if row.holds(data, _XMP)), b"")


def _extended(data: bytes, rows: list[Segment], standard: bytes) -> tuple[bytes, bool]:
    """The extended packet that a standard one leads to, its portions in any order; and whether it is all there."""
    linked = xmp.properties(standard, xmp.NOTE).get(_LINK, "").encode("ascii", "replace")
    if len(linked) != 32:
        return b"", True
    portions: dict[int, bytes] = {}
    length = 0
    for row in rows:
        if row.holds(data, _MORE + linked):
            body = row.body(data)[len(_MORE) + 32 :]
            length, offset = struct.unpack_from(">II", body) if len(body) >= 8 else (0, 0)
            portions.setdefault(offset, body[8:])
    packet = b"".join(portions[offset] for offset in sorted(portions))
    whole = 0 < len(packet) == length <= LONGEST_TEXT and _guid(packet) == linked.upper()
    return (packet, True) if whole else (b"", False)

"""WebP (RFC 9649): a RIFF file; XMP and Exif are chunks behind the picture, and a VP8X chunk says that they are there."""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from nodegraph.artifacts import xmp
from nodegraph.artifacts.inside import MOST_PARTS, Broken, Inside, exif_block

_HAS_XMP, _HAS_ALPHA = 0x04, 0x10


class Chunk(NamedTuple):
    """A chunk by the place of its body in the file."""

    name: bytes
    start: int
    end: int

    def body(self, data: bytes) -> bytes:
        return data[self.start : self.end]


def is_webp(data: bytes) -> bool:
    return data[:4] == b"RIFF" and data[8:12] == b"WEBP"


def chunks(data: bytes) -> Iterator[Chunk]:
    """The file's chunks. Raises Broken where it is not whole."""
    at, end = 12, 8 + int.from_bytes(data[4:8], "little")
    for _ in range(MOST_PARTS):
        if at + 8 > min(end, len(data)):
            if len(data) < end:
                raise Broken("is cut short")
            return
        size = int.from_bytes(data[at + 4 : at + 8], "little")
        if at + 8 + size > len(data):
            raise Broken(f"is cut short in its {data[at : at + 4].decode('latin-1')!r} chunk")
        yield Chunk(data[at : at + 4], at + 8, at + 8 + size)
        at += 8 + size + size % 2
    raise Broken(f"has more than {MOST_PARTS:,} chunks")


def embed(data: bytes, texts: Mapping[str, str]) -> bytes:
    """The file with these texts in its XMP. Raises Broken."""
    if not is_webp(data):
        raise Broken("is no WebP")
    rows = list(chunks(data))
    if not rows:
        raise Broken("holds no picture")
    first = rows[0]
    if first.name == b"VP8X" and first.end - first.start >= 10:
        head = bytearray(rows.pop(0).body(data))
    else:
        width, height, alpha = _size(first.name, first.body(data))
        sizes = struct.pack("<I", width - 1)[:3] + struct.pack("<I", height - 1)[:3]
        head = bytearray(bytes([_HAS_ALPHA if alpha else 0, 0, 0, 0]) + sizes)
    head[0] |= _HAS_XMP
    before = next((row.body(data) for row in rows if row.name == b"XMP "), b"")
    kept = [(row.name, row.body(data)) for row in rows if row.name != b"XMP "]
    new = [(b"VP8X", bytes(head)), *kept, (b"XMP ", xmp.packet(texts, before))]
    body = b"".join(name + struct.pack("<I", len(part)) + part + b"\0" * (len(part) % 2) for name, part in new)
    return b"RIFF" + struct.pack("<I", len(body) + 4) + b"WEBP" + body


def _size(name: bytes, body: bytes) -> tuple[int, int, bool]:
    """Width, height and whether there is alpha, from a bare VP8 or VP8L chunk."""
    if name == b"VP8L" and len(body) >= 5:
        (bits,) = struct.unpack_from("<I", body, 1)
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1, bool(bits >> 28 & 1)
    if name == b"VP8 " and len(body) >= 10:
        width, height = struct.unpack_from("<HH", body, 6)
        if width & 0x3FFF and height & 0x3FFF:
            return width & 0x3FFF, height & 0x3FFF, False
    raise Broken("does not begin with a picture")


def read(data: bytes) -> Inside:
    """The XMP packet of a WebP, and its Exif block."""
    found: dict[bytes, bytes] = {}
    notes = []
    try:
        for chunk in chunks(data):
            if chunk.name in (b"XMP ", b"EXIF"):
                found.setdefault(chunk.name, chunk.body(data))
    except Broken as error:
        notes.append(f"The WebP {error}.")
    packets = (found[b"XMP "],) if b"XMP " in found else ()
    return Inside({}, packets, exif_block(found.get(b"EXIF", b"")), tuple(notes))

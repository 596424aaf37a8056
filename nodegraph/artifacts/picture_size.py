"""How large a picture is, from its headers alone: nothing is decoded, so a small file that unpacks to a huge one costs nothing.

PNG (ISO/IEC 15948), JPEG (ITU-T T.81), GIF89a, WebP (RFC 9649), AVIF (HEIF, ISO/IEC 23008-12).
"""

from __future__ import annotations

import os
import struct
from collections.abc import Callable, Iterator, Mapping
from typing import BinaryIO, NamedTuple

from nodegraph.artifacts.inside import MOST_PARTS, Broken
from nodegraph.artifacts.isobmff import Box, Reader, boxes, inner, primary_item

_LARGEST_META = 4 << 20
_LONGEST_TRACKS = 16 << 20
_SOF = frozenset({0xC0, 0xC1, 0xC2, 0xC3, 0xC5, 0xC6, 0xC7, 0xC9, 0xCA, 0xCB, 0xCD, 0xCE, 0xCF})
_ALONE = frozenset({0x01, *range(0xD0, 0xD8)})  # markers of JPEG without a length
_TRACKS = frozenset({b"moov", b"trak", b"mdia", b"minf", b"stbl"})


class PictureSize(NamedTuple):
    """Pixels as the file has them. largest: those of the largest picture that reading it could unpack."""

    width: int
    height: int
    largest: int


def picture_size(file: BinaryIO, format_: str) -> PictureSize:
    """The size of a picture in a file of a known format. Raises Broken where it is cut short or says none."""
    found = _READERS[format_](File(file))
    if found.width < 1 or found.height < 1:
        raise Broken("has no pixels")
    return found


class File:
    """A file, read at places."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.size = file.seek(0, os.SEEK_END)

    def at(self, place: int, size: int) -> bytes:
        """So many bytes. Raises Broken where they are not there."""
        if place + size > self.size:
            raise Broken("is cut short")
        self._file.seek(place)
        return self._file.read(size)


# ---- PNG, JPEG, GIF, WebP ----


def _png(file: File) -> PictureSize:
    head = file.at(8, 25)
    if head[4:8] != b"IHDR":
        raise Broken("does not begin with its header")
    width, height = struct.unpack_from(">II", head, 8)
    at, pixels = 33, False
    for _ in range(MOST_PARTS):
        length, name = struct.unpack(">I4s", file.at(at, 8))
        at += 12 + length
        if at > file.size:
            raise Broken("is cut short")
        pixels |= name == b"IDAT"
        if name == b"IEND":
            if not pixels:
                raise Broken("holds no picture")
            return PictureSize(width, height, width * height)
    raise Broken(f"has more than {MOST_PARTS:,} chunks")


def _jpeg(file: File) -> PictureSize:
    at, found = 2, PictureSize(0, 0, 0)
    for _ in range(MOST_PARTS):
        fill, marker = file.at(at, 2)
        if fill != 0xFF:
            raise Broken(f"is damaged at byte {at:,}")
        if marker == 0xFF:  # a fill byte
            at += 1
        elif marker in _ALONE:
            at += 2
        elif marker in (0xDA, 0xD9):  # the picture itself, the end
            return found
        else:
            length = int.from_bytes(file.at(at + 2, 2), "big")
            if length < 2:
                raise Broken(f"is damaged at byte {at:,}")
            if marker in _SOF:
                height, width = struct.unpack(">HH", file.at(at + 5, 4))
                found = PictureSize(width, height, max(width * height, found.largest))
            at += 2 + length
    raise Broken(f"has more than {MOST_PARTS:,} segments")


def _gif(file: File) -> PictureSize:
    """The screen, and the first frame, which may be larger than it."""
    width, height, flags = struct.unpack("<HHB", file.at(6, 5))
    largest, at = width * height, 13 + _palette(flags)
    for _ in range(MOST_PARTS):
        match file.at(at, 1):
            case b"!":
                at = _after_blocks(file, at + 2)
            case b",":
                left, top, wide, high = struct.unpack("<4H", file.at(at + 1, 8))
                return PictureSize(width, height, max(largest, (left + wide) * (top + high)))
            case _:
                raise Broken("holds no picture")
    raise Broken(f"has more than {MOST_PARTS:,} blocks")


def _palette(flags: int) -> int:
    return 3 << (flags & 7) + 1 if flags & 0x80 else 0


def _after_blocks(file: File, at: int) -> int:
    for _ in range(MOST_PARTS):
        length = file.at(at, 1)[0]
        at += 1 + length
        if not length:
            return at
    raise Broken(f"has more than {MOST_PARTS:,} blocks")


def _webp(file: File) -> PictureSize:
    end = 8 + int.from_bytes(file.at(4, 4), "little")
    if end > file.size:
        raise Broken("is cut short")
    at, found = 12, PictureSize(0, 0, 0)
    for _ in range(MOST_PARTS):
        if at + 8 > end:
            return found
        name, length = struct.unpack("<4sI", file.at(at, 8))
        if at + 8 + length > end:
            raise Broken("is cut short")
        inside = _webp_chunk(name, file.at(at + 8, min(length, 16)))
        if inside is not None:
            width, height = (found.width, found.height) if found.width else inside
            found = PictureSize(width, height, max(found.largest, inside[0] * inside[1]))
        at += 8 + length + length % 2
    raise Broken(f"has more than {MOST_PARTS:,} chunks")


def _webp_chunk(name: bytes, body: bytes) -> tuple[int, int] | None:
    """The size that a chunk tells: of the canvas, of a picture, of a frame."""
    if name == b"VP8X" and len(body) >= 10:
        return int.from_bytes(body[4:7], "little") + 1, int.from_bytes(body[7:10], "little") + 1
    if name == b"VP8L" and len(body) >= 5:
        bits = int.from_bytes(body[1:5], "little")
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    if name == b"VP8 " and len(body) >= 10:
        width, height = struct.unpack_from("<HH", body, 6)
        return width & 0x3FFF, height & 0x3FFF
    if name == b"ANMF" and len(body) >= 12:
        return int.from_bytes(body[6:9], "little") + 1, int.from_bytes(body[9:12], "little") + 1
    return None


# ---- AVIF ----


def _avif(file: File) -> PictureSize:
    found = PictureSize(0, 0, 0)
    for kind, start, end in _outer_boxes(file):
        if kind not in (b"meta", b"moov"):
            continue
        if end - start > (_LARGEST_META if kind == b"meta" else _LONGEST_TRACKS):
            raise Broken("has larger headers than are read")
        data = file.at(start, end - start)
        whole = next(boxes(data))
        for width, height in (_item_sizes if kind == b"meta" else _track_sizes)(data, whole):
            first = (found.width, found.height) if found.width else (width, height)
            found = PictureSize(*first, max(found.largest, width * height))
    return found


def _outer_boxes(file: File) -> Iterator[tuple[bytes, int, int]]:
    """The boxes of the file itself: kind, start, end."""
    at = 0
    for _ in range(MOST_PARTS):
        if at == file.size:
            return
        size, kind = struct.unpack(">I4s", file.at(at, 8))
        if size == 1:
            size = int.from_bytes(file.at(at + 8, 8), "big")
        elif size == 0:
            size = file.size - at
        if size < 8 or at + size > file.size:
            raise Broken("is cut short")
        yield kind, at, at + size
        at += size
    raise Broken(f"has more than {MOST_PARTS:,} boxes")


def _item_sizes(data: bytes, meta: Box) -> list[tuple[int, int]]:
    """What `ispe` properties say: that of the primary item first."""
    parts = inner(data, meta)
    if b"iprp" not in parts:
        return []
    properties: list[Box] = []
    sizes: dict[int, tuple[int, int]] = {}
    belongs: dict[int, list[int]] = {}
    for part in boxes(data, parts[b"iprp"].body, parts[b"iprp"].end):
        if part.kind == b"ipco":
            properties = list(boxes(data, part.body, part.end))
        elif part.kind == b"ipma":
            belongs.update(_associations(data, part))
    for number, row in enumerate(properties, 1):
        if row.kind == b"ispe":
            take = Reader(data, row)
            take.number(4)
            sizes[number] = take.number(4), take.number(4)
    primary = primary_item(data, parts[b"pitm"]) if b"pitm" in parts else 0
    order = [number for number in belongs.get(primary, ()) if number in sizes]
    return [sizes[number] for number in dict.fromkeys((*order, *sizes))]


def _associations(data: bytes, at: Box) -> Mapping[int, list[int]]:
    """Which properties an `ipma` box (ISO/IEC 23008-12, 9.3.1) gives to which item."""
    take = Reader(data, at)
    version, wide = take.number(1), take.number(3) & 1
    found: dict[int, list[int]] = {}
    for _ in range(min(take.number(4), MOST_PARTS)):
        item = take.number(2 if version < 1 else 4)
        found[item] = [take.number(2) & 0x7FFF if wide else take.number(1) & 0x7F for _ in range(take.number(1))]
    return found


def _track_sizes(data: bytes, outer: Box) -> Iterator[tuple[int, int]]:
    """What track headers (ISO/IEC 14496-12, 8.3.2) say: 16.16 fixed-point numbers at their end; and sample entries."""
    for row in boxes(data, outer.body, outer.end):
        if row.kind in _TRACKS:
            yield from _track_sizes(data, row)
        elif row.kind == b"tkhd" and row.end - row.body >= 8:
            width, height = struct.unpack_from(">II", data, row.end - 8)
            yield width >> 16, height >> 16
        elif row.kind == b"stsd" and row.end - row.body >= 16 + 28:
            yield struct.unpack_from(">HH", data, row.body + 8 + 8 + 24)


_READERS: Mapping[str, Callable[[File], PictureSize]] = {
    "png": _png,
    "jpeg": _jpeg,
    "gif": _gif,
    "webp": _webp,
    "avif": _avif,
}

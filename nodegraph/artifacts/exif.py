"""Exif blocks (TIFF 6.0, Exif 2.32): the few fields in which programs put their settings, as text."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

ByteOrder = Literal["little", "big"]

_NAMES = {0x010E: "ImageDescription", 0x010F: "Make", 0x0110: "Model", 0x9286: "UserComment"}
_EXIF_IFD = 0x8769
_BYTES = (1, 2, 7)  # BYTE, ASCII, UNDEFINED: fields of plain bytes


def fields(block: bytes) -> dict[str, str]:
    """What stands in `ImageDescription`, `Make`, `Model` and `UserComment`; what is damaged is left out."""
    orders: dict[bytes, ByteOrder] = {b"II*\0": "little", b"MM\0*": "big"}
    order = orders.get(block[:4])
    if order is None:
        return {}
    found: dict[str, str] = {}
    starts = [int.from_bytes(block[4:8], order)]
    for start in starts:
        for tag, kind, count, value in _entries(block, start, order):
            if tag == _EXIF_IFD and len(starts) < 2:
                starts.append(int.from_bytes(value, order))
            elif tag in _NAMES and kind in _BYTES:
                at = int.from_bytes(value, order)
                data = value[:count] if count <= 4 else block[at : at + count]
                text = _comment(data, order) if _NAMES[tag] == "UserComment" else _plain(data)
                if text:
                    found[_NAMES[tag]] = text
    return found


def _entries(block: bytes, start: int, order: ByteOrder) -> Iterator[tuple[int, int, int, bytes]]:
    """A directory's entries: tag, type, count, and the four bytes of value or place."""
    for i in range(int.from_bytes(block[start : start + 2], order)):
        entry = block[start + 2 + 12 * i : start + 14 + 12 * i]
        if len(entry) < 12:
            return
        tag, kind, count = (int.from_bytes(entry[a:b], order) for a, b in ((0, 2), (2, 4), (4, 8)))
        yield tag, kind, count, entry[8:]


def _comment(data: bytes, order: ByteOrder) -> str:
    """A UserComment: eight bytes name the character code of the rest."""
    code, rest = data[:8], data[8:]
    match code.rstrip(b"\0 "):
        case b"UNICODE":
            return _utf16(rest, order)
        case b"JIS":
            for kind in ("iso2022_jp", "shift_jis"):
                try:
                    return rest.decode(kind).rstrip("\0")
                except UnicodeDecodeError:
                    continue
            return _plain(rest)
        case b"ASCII" | b"":
            return _plain(rest)
        case _:  # no code at all, as some programs write it
            return _plain(data)


def _utf16(data: bytes, order: ByteOrder) -> str:
    """UTF-16 in the order that its mark says, else in the one that its Latin letters show: writers disagree with the block."""
    if data[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return data.decode("utf-16", "replace").rstrip("\0")
    high, low = data[0::2].count(0), data[1::2].count(0)
    big = high > low or (high == low and order == "big")
    return data.decode("utf-16-be" if big else "utf-16-le", "replace").rstrip("\0")


def _plain(data: bytes) -> str:
    data = data.rstrip(b"\0")
    try:
        return data.decode()
    except UnicodeDecodeError:
        return data.decode("latin-1")

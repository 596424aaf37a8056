"""What lies inside a picture file beside its pixels, whatever the file's format; and how much of it is read at most.

Reading never raises: what is cut short, broken or too large is said in `notes`, and the rest is given.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass, field

LONGEST_TEXT = 1 << 26
"""Bytes that the texts of one file may have together, unpacked."""
MOST_PARTS = 200_000
"""Chunks, segments or boxes of one file that are looked at."""


class Broken(ValueError):
    """A file that does not hold together. The message says where, as the end of a sentence: `is cut short in ...`."""


class TooLong(Broken):
    """A text that unpacks to more than may be read."""


@dataclass(frozen=True, slots=True)
class Inside:
    """Texts by keyword (PNG), XMP packets, the Exif block (from its TIFF header on), and what could not be read."""

    texts: dict[str, str] = field(default_factory=dict)
    xmp: tuple[bytes, ...] = ()
    exif: bytes = b""
    notes: tuple[str, ...] = ()


def unpack(data: bytes, most: int) -> bytes:
    """Unpack a zlib stream of at most so many bytes. Raises TooLong for more, Broken for what is no whole stream."""
    stream = zlib.decompressobj()
    try:
        found = stream.decompress(data, most + 1)
    except zlib.error:
        raise Broken("is compressed, but does not unpack") from None
    if len(found) > most:
        raise TooLong(f"unpacks to more than {LONGEST_TEXT >> 20} MB, by itself or with those before it")
    if not stream.eof:
        raise Broken("is compressed, and cut short")
    return found


def exif_block(data: bytes) -> bytes:
    """An Exif block from its TIFF header on; some writers leave JPEG's marker before it."""
    return data.removeprefix(b"Exif\0\0")

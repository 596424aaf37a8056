"""PNG (ISO/IEC 15948): texts lie in chunks of their own, right behind the header; Exif in eXIf, XMP in a text chunk."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from nodegraph.artifacts.inside import LONGEST_TEXT, MOST_PARTS, Broken, Inside, TooLong, exif_block, unpack

SIGNATURE = b"\x89PNG\r\n\x1a\n"
XMP = "XML:com.adobe.xmp"
_TEXTS = (b"tEXt", b"zTXt", b"iTXt")
_HEADER = len(SIGNATURE) + 25  # IHDR is always first and 13 bytes long


class Chunk(NamedTuple):
    """A chunk by its place in the file: `start` is that of its length field, `end` lies behind its checksum."""

    name: bytes
    start: int
    end: int

    def body(self, data: bytes) -> bytes:
        return data[self.start + 8 : self.end - 4]

    def is_whole(self, data: bytes) -> bool:
        """Whether the checksum fits."""
        return data[self.end - 4 : self.end] == struct.pack(">I", zlib.crc32(data[self.start + 4 : self.end - 4]))


def chunks(data: bytes) -> Iterator[Chunk]:
    """The file's chunks up to IEND. Raises Broken where there is none."""
    at = len(SIGNATURE)
    for _ in range(MOST_PARTS):
        if at + 12 > len(data):
            raise Broken("is cut short")
        size, name = int.from_bytes(data[at : at + 4], "big"), data[at + 4 : at + 8]
        if at + 12 + size > len(data):
            raise Broken(f"is cut short in its {name.decode('latin-1')!r} chunk")
        yield Chunk(name, at, at + 12 + size)
        if name == b"IEND":
            return
        at += 12 + size
    raise Broken(f"has more than {MOST_PARTS:,} chunks")


def embed(data: bytes, texts: Mapping[str, str]) -> bytes:
    """The file with these texts in place of those it has under the same keywords. Raises Broken."""
    if not data.startswith(SIGNATURE) or data[len(SIGNATURE) + 4 : len(SIGNATURE) + 8] != b"IHDR":
        raise Broken("is no PNG")
    old = [
        chunk
        for chunk in chunks(data)
        if chunk.name in _TEXTS and chunk.body(data).split(b"\0", 1)[0].decode("latin-1") in texts
    ]
    new = (
        _chunk(b"iTXt", key.encode("latin-1") + b"\0\0\0\0\0" + text.encode("utf-8", "replace")) for key, text in texts.items()
    )
    parts, at = [data[:_HEADER], *new], _HEADER
    for chunk in old:
        parts.append(data[at : chunk.start])
        at = chunk.end
    return b"".join([*parts, data[at:]])


def _chunk(name: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))


def read(data: bytes) -> Inside:
    """The texts of a PNG, and its Exif block."""
    texts: dict[str, str] = {}
    exif, notes, left = b"", [], LONGEST_TEXT
    try:
        for chunk in chunks(data):
            if chunk.name not in (*_TEXTS, b"eXIf"):
                continue
            if not chunk.is_whole(data):
                notes.append(f"A {chunk.name.decode()} chunk is damaged: its checksum does not fit.")
            elif chunk.name == b"eXIf":
                exif = exif_block(chunk.body(data))
            else:
                body = chunk.body(data)
                key = body.split(b"\0", 1)[0].decode("latin-1")
                try:
                    text = _text(chunk.name, body, left)
                except (Broken, UnicodeDecodeError) as error:
                    why = str(error) if isinstance(error, Broken) else "is not UTF-8"
                    notes.append(f"The text {key[:80]!r} {why}.")
                    left = 0 if isinstance(error, TooLong) else left - left // 8  # what was unpacked in vain counts, too
                else:
                    texts[key] = text
                    left -= len(text)
    except Broken as error:
        notes.append(f"The PNG {error}.")
    packet = texts.pop(XMP, "").encode()
    return Inside(texts, (packet,) if packet else (), exif, tuple(notes))


def _text(name: bytes, body: bytes, left: int) -> str:
    """The text of a chunk whose unpacked text may have so many bytes. Raises Broken and UnicodeDecodeError."""
    _key, nul, rest = body.partition(b"\0")
    if not nul:
        raise Broken("has no end of its keyword")
    if name == b"iTXt":
        packed, translated = rest[:1], rest[2:].split(b"\0", 2)
        if len(translated) < 3:
            raise Broken("has no end of its language")
        text = translated[2]
    else:
        packed, text = (b"\1", rest[1:]) if name == b"zTXt" else (b"\0", rest)
    if packed not in (b"", b"\0"):
        text = unpack(text, left)
    elif len(text) > left:
        raise Broken(f"is longer than {LONGEST_TEXT >> 20} MB")
    return text.decode("utf-8" if name == b"iTXt" else "latin-1")

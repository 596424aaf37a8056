"""Boxes of ISO base media files (ISO/IEC 14496-12), and the items that a `meta` box describes: where they lie, what they are.

Numbers are big-endian. A full box begins with a version byte and three bytes of flags.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import NamedTuple

from nodegraph.artifacts.inside import MOST_PARTS, Broken

IN_FILE, IN_BOX = 0, 1
"""Where an extent counts from (`construction_method`): the file's start, or that of the `idat` box beside the item's `iloc`."""


class Box(NamedTuple):
    """A box by its place in the file; `body` is where its content begins."""

    kind: bytes
    start: int
    body: int
    end: int


def boxes(data: bytes, start: int = 0, end: int | None = None) -> Iterator[Box]:
    """The boxes between two places. Raises Broken where they do not fill it."""
    at, end = start, len(data) if end is None else end
    for _ in range(MOST_PARTS):
        if at == end:
            return
        size, kind, head = _int(data, at, 4), data[at + 4 : at + 8], 8
        if at + 8 > end:
            raise Broken("is cut short")
        if size == 1:
            size, head = _int(data, at + 8, 8), 16
        elif size == 0:  # up to the end of the file
            size = end - at
        if size < head or at + size > end:
            raise Broken(f"is cut short in its {kind.decode('latin-1')!r} box")
        yield Box(kind, at, at + head, at + size)
        at += size
    raise Broken(f"has more than {MOST_PARTS:,} boxes")


def box(kind: bytes, body: bytes) -> bytes:
    """A box as bytes. Raises Broken beyond 4 GB."""
    if len(body) + 8 >= 1 << 32:
        raise Broken("is too large")
    return (len(body) + 8).to_bytes(4, "big") + kind + body


def inner(data: bytes, outer: Box) -> dict[bytes, Box]:
    """The boxes in a full box such as `meta` by kind; of several of one kind the first."""
    found: dict[bytes, Box] = {}
    for child in boxes(data, outer.body + 4, outer.end):
        found.setdefault(child.kind, child)
    return found


class Reader:
    """Reads numbers and texts one after the other. Raises Broken at the end of the box."""

    def __init__(self, data: bytes, outer: Box) -> None:
        self._data, self.at, self._end = data, outer.body, outer.end

    def number(self, size: int) -> int:
        if self.at + size > self._end:
            raise Broken("is cut short in a box")
        self.at += size
        return _int(self._data, self.at - size, size)

    def bytes(self, size: int) -> bytes:
        if self.at + size > self._end:
            raise Broken("is cut short in a box")
        self.at += size
        return self._data[self.at - size : self.at]

    def text(self) -> str:
        """Up to a zero byte, or to the end of the box."""
        end = self._data.find(b"\0", self.at, self._end)
        end = self._end if end < 0 else end
        text = self._data[self.at : end]
        self.at = min(end + 1, self._end)
        return text.decode("utf-8", "replace")


def _int(data: bytes, at: int, size: int) -> int:
    return int.from_bytes(data[at : at + size], "big")


# ---- iloc ----


class Extent(NamedTuple):
    number: int
    offset: int
    length: int


@dataclass(frozen=True, slots=True)
class Location:
    """Where an item's bytes lie; `reference` 0 is this file."""

    item: int
    method: int = IN_FILE
    reference: int = 0
    base: int = 0
    extents: tuple[Extent, ...] = ()


@dataclass(frozen=True, slots=True)
class Locations:
    """An `iloc` box (ISO/IEC 14496-12, 8.11.3)."""

    version: int
    index_size: int
    items: tuple[Location, ...]

    @staticmethod
    def read(data: bytes, at: Box) -> Locations:
        take = Reader(data, at)
        version = take.number(1)
        take.number(3)
        if version > 2:
            raise Broken(f"has an iloc box of the unknown version {version}")
        sizes = take.number(2)
        offset_size, length_size, base_size = sizes >> 12, sizes >> 8 & 15, sizes >> 4 & 15
        index_size = sizes & 15 if version else 0
        left = MOST_PARTS
        items = []
        for _ in range(take.number(2 if version < 2 else 4)):
            item = take.number(2 if version < 2 else 4)
            method = take.number(2) & 15 if version else IN_FILE
            reference, base, count = take.number(2), take.number(base_size), take.number(2)
            left -= count + 1
            if left < 0:
                raise Broken("has too many extents")
            extents = tuple(
                Extent(take.number(index_size), take.number(offset_size), take.number(length_size)) for _ in range(count)
            )
            items.append(Location(item, method, reference, base, extents))
        return Locations(version, index_size, tuple(items))

    def write(self, width: int) -> bytes:
        """The box, its numbers of so many bytes, or of eight where they need them."""
        numbers = (number for item in self.items for number in (item.base, *(n for extent in item.extents for n in extent[1:])))
        width = width if max(numbers, default=0) < 1 << 8 * width else 8
        small = 2 if self.version < 2 else 4
        base_size = width if any(item.base for item in self.items) else 0
        parts = [bytes([self.version, 0, 0, 0, width << 4 | width, base_size << 4 | self.index_size])]
        parts.append(len(self.items).to_bytes(small, "big"))
        for item in self.items:
            parts.append(item.item.to_bytes(small, "big"))
            if self.version:
                parts.append(item.method.to_bytes(2, "big"))
            parts += [item.reference.to_bytes(2, "big"), item.base.to_bytes(base_size, "big")]
            parts.append(len(item.extents).to_bytes(2, "big"))
            for index, offset, length in item.extents:
                parts += [index.to_bytes(self.index_size, "big"), offset.to_bytes(width, "big"), length.to_bytes(width, "big")]
        return box(b"iloc", b"".join(parts))

    def moved(self, move: Callable[[int], int], end: int) -> Locations:
        """Every place in this file moved. What goes up to the file's end gets a length: there will be another end."""
        return replace(self, items=tuple(_moved(item, move, end) for item in self.items))

    def with_item(self, location: Location) -> Locations:
        return replace(self, items=(*(item for item in self.items if item.item != location.item), location))


def _moved(location: Location, move: Callable[[int], int], end: int) -> Location:
    if location.method != IN_FILE or location.reference:
        return location
    starts = [(extent, location.base + extent.offset) for extent in location.extents]
    extents = tuple(Extent(extent.number, move(start), extent.length or max(0, end - start)) for extent, start in starts)
    return replace(location, base=0, extents=extents)


# ---- iinf ----


class Entry(NamedTuple):
    """An item's `infe` box: `kind` is `Exif`, `mime`, `av01` ...; `content` and `encoding` are for `mime`."""

    item: int
    kind: bytes
    name: str = ""
    content: str = ""
    encoding: str = ""


def entries(data: bytes, at: Box) -> Iterator[tuple[Entry, Box]]:
    """The items of an `iinf` box (8.11.6), with the box of each."""
    take = Reader(data, at)
    version = take.number(1)
    take.number(3)
    take.number(2 if version == 0 else 4)
    for row in boxes(data, take.at, at.end):
        take = Reader(data, row)
        version = take.number(1)
        take.number(3)
        if row.kind != b"infe" or version not in (2, 3):
            continue
        item = take.number(2 if version == 2 else 4)
        take.number(2)
        kind, name = take.bytes(4), take.text()
        content, encoding = (take.text(), take.text()) if kind == b"mime" else ("", "")
        yield Entry(item, kind, name, content, encoding), row


def entry_box(entry: Entry) -> bytes:
    """An `infe` box for a `mime` item."""
    wide = entry.item >= 1 << 16
    head = bytes([3 if wide else 2, 0, 0, 0]) + entry.item.to_bytes(4 if wide else 2, "big") + b"\0\0" + entry.kind
    return box(b"infe", head + b"".join(text.encode() + b"\0" for text in (entry.name, entry.content)))


# ---- iref, pitm ----


def references(data: bytes, at: Box, kind: bytes) -> Iterator[tuple[int, int]]:
    """The references of one kind in an `iref` box (8.11.12): from which item to which."""
    take = Reader(data, at)
    size = 2 if take.number(1) == 0 else 4
    for row in boxes(data, at.body + 4, at.end):
        take = Reader(data, row)
        source = take.number(size)
        for _ in range(take.number(2)):
            target = take.number(size)
            if row.kind == kind:
                yield source, target


def primary_item(data: bytes, at: Box) -> int:
    """The item that a `pitm` box (8.11.4) names."""
    take = Reader(data, at)
    version = take.number(1)
    take.number(3)
    return take.number(2 if version == 0 else 4)

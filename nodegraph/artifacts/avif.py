"""AVIF (HEIF, ISO/IEC 23008-12): XMP is an item that describes the primary one, in the file's `meta` box, and in a sequence's
track besides. Its bytes are appended; everything that points into the file is moved by what the boxes before it grew.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Mapping
from typing import NamedTuple

from nodegraph.artifacts import xmp
from nodegraph.artifacts.inside import LONGEST_TEXT, Broken, Inside, exif_block, unpack
from nodegraph.artifacts.isobmff import (
    IN_BOX,
    IN_FILE,
    Box,
    Entry,
    Extent,
    Location,
    Locations,
    Reader,
    box,
    boxes,
    entries,
    entry_box,
    inner,
    primary_item,
    references,
)

_CONTENT = "application/rdf+xml"
_CONTAINERS = (b"moov", b"trak", b"mdia", b"minf", b"stbl")
_FAR = 1 << 31  # bytes of a file from which on its places are written with 64 bits
Moved = Callable[[int], int]


def is_avif(data: bytes) -> bool:
    """Whether the file says that it is AVIF, a picture or a sequence, in its first box."""
    size = int.from_bytes(data[:4], "big")
    brands = data[8:12] + data[16 : min(size, 256)]
    return data[4:8] == b"ftyp" and any(brands[i : i + 4] in (b"avif", b"avis") for i in range(0, len(brands), 4))


class Items(NamedTuple):
    """What a `meta` box says of its items, and where the box's own data lie."""

    at: Box
    inner: Mapping[bytes, Box]
    entries: tuple[tuple[Entry, Box], ...]
    locations: Locations
    primary: int | None

    @staticmethod
    def read(data: bytes, at: Box) -> Items:
        parts = inner(data, at)
        found = tuple(entries(data, parts[b"iinf"])) if b"iinf" in parts else ()
        locations = Locations.read(data, parts[b"iloc"]) if b"iloc" in parts else Locations(0, 0, ())
        primary = primary_item(data, parts[b"pitm"]) if b"pitm" in parts else None
        return Items(at, parts, found, locations, primary)

    def describing(self, data: bytes, kind: bytes, content: str = "") -> tuple[Entry, Box] | None:
        """The item of a kind that describes the primary one, or else the first."""
        found = [row for row in self.entries if row[0].kind == kind and row[0].content == content]
        links = set(references(data, self.inner[b"iref"], b"cdsc")) if b"iref" in self.inner else set()
        return next((row for row in found if (row[0].item, self.primary) in links), found[0] if found else None)

    def spans(self, data: bytes, item: int) -> list[tuple[int, int]]:
        """Where in the file an item's bytes lie. Raises Broken for other files and items made of items."""
        spans = []
        for location in self.locations.items:
            if location.item != item:
                continue
            if location.reference or location.method not in (IN_FILE, IN_BOX):
                raise Broken("keeps its metadata elsewhere")
            start, end = 0, len(data)
            if location.method == IN_BOX:
                if b"idat" not in self.inner:
                    raise Broken("lacks its 'idat' box")
                start, end = self.inner[b"idat"].body, self.inner[b"idat"].end
            for extent in location.extents:
                first = start + location.base + extent.offset
                last = first + extent.length if extent.length else end
                if first > last or last > end:
                    raise Broken("is cut short in its metadata")
                spans.append((first, last))
        if sum(last - first for first, last in spans) > LONGEST_TEXT:
            raise Broken(f"has metadata of more than {LONGEST_TEXT >> 20} MB")
        return spans

    def content(self, data: bytes, entry: Entry) -> bytes:
        """An item's bytes. Raises Broken."""
        found = b"".join(data[first:last] for first, last in self.spans(data, entry.item))
        if entry.encoding == "deflate":
            return unpack(found, LONGEST_TEXT)
        return b"" if entry.encoding else found


def _metas(data: bytes) -> list[Items]:
    """The `meta` box of the file, then those of its tracks of pictures."""
    found = []
    for outer in boxes(data):
        if outer.kind == b"meta":
            found.append(Items.read(data, outer))
        elif outer.kind == b"moov":
            tracks = [track for track in boxes(data, outer.body, outer.end) if track.kind == b"trak" and _shows(data, track)]
            inside = (part for track in tracks for part in boxes(data, track.body, track.end))
            found += [Items.read(data, part) for part in inside if part.kind == b"meta"]
    return found


def _shows(data: bytes, track: Box) -> bool:
    """Whether a track is one of pictures (and not of their opacity)."""
    for media in boxes(data, track.body, track.end):
        for part in boxes(data, media.body, media.end) if media.kind == b"mdia" else ():
            if part.kind == b"hdlr":
                take = Reader(data, part)
                take.bytes(8)
                return take.bytes(4) == b"pict"
    return False


# ---- reading ----


def read(data: bytes) -> Inside:
    """The XMP packet of an AVIF, and its Exif block."""
    packet, exif, notes = b"", b"", []
    try:
        metas = _metas(data)
        if not metas:
            raise Broken("describes no picture")
        for items in metas:
            packet = packet or _packet(data, items)
            found = items.describing(data, b"Exif")
            if found and not exif:
                block = items.content(data, found[0])
                exif = exif_block(block[4 + int.from_bytes(block[:4], "big") :])
    except Broken as error:
        notes.append(f"The AVIF {error}.")
    return Inside({}, (packet,) if packet else (), exif, tuple(notes))


def _packet(data: bytes, items: Items) -> bytes:
    found = items.describing(data, b"mime", _CONTENT)
    return items.content(data, found[0]) if found else b""


# ---- writing ----


def embed(data: bytes, texts: Mapping[str, str]) -> bytes:
    """The file with these texts in its XMP. Raises Broken, also for what cannot be moved safely (fragments)."""
    if not is_avif(data):
        raise Broken("is no AVIF")
    top = list(boxes(data))
    if any(part.kind == b"moof" for part in top):
        raise Broken("comes in fragments, which are not moved")
    metas = _metas(data)
    if not any(part.kind in (b"meta", b"moov") for part in top):
        raise Broken("describes no picture")
    packet = xmp.packet(texts, next(filter(None, (_packet(data, items) for items in metas)), b""))
    data, top = _without_old(data, top, metas)
    width = 8 if len(data) + len(packet) >= _FAR else 4

    def assemble(moved: Moved, location: tuple[int, int]) -> list[bytes]:
        return [_rebuilt(data, part, _Change(moved, location, width)) for part in top]

    sizes = [len(part) for part in assemble(lambda place: place, (0, 0))]
    shifts = _Shifts(top, sizes)
    place = sum(sizes) + 8
    return b"".join([*assemble(shifts, (place, len(packet))), box(b"mdat", packet)])


class _Change(NamedTuple):
    """What becomes of the file: how places move, where the packet will lie, and how many bytes a place is written with."""

    moved: Moved
    packet: tuple[int, int]
    width: int


class _Shifts:
    """New places for old ones: bytes keep their place within their box, boxes move by what those before them grew."""

    def __init__(self, top: list[Box], sizes: list[int]) -> None:
        self._top, self._starts = top, [part.start for part in top]
        self._by = [sum(sizes[:i]) - part.start for i, part in enumerate(top)]

    def __call__(self, place: int) -> int:
        i = bisect_right(self._starts, place) - 1
        if i < 0 or self._top[i].kind in (b"meta", b"moov"):
            raise Broken("has data of its picture in a place that has to change")
        return place + self._by[i]


def _without_old(data: bytes, top: list[Box], metas: list[Items]) -> tuple[bytes, list[Box]]:
    """The file with the old packet's bytes blank, and without the box that held nothing else."""
    found = [(items, row[0].item) for items in metas if (row := items.describing(data, b"mime", _CONTENT))]
    old = {span for items, item in found for span in items.spans(data, item)}
    mine = {(id(items), item) for items, item in found}
    others = [
        span
        for items in metas
        for entry, _ in items.entries
        if (id(items), entry.item) not in mine and entry.kind in (b"mime", b"Exif", b"uri ")
        for span in items.spans(data, entry.item)
    ]
    blank = bytearray(data)
    for first, last in old:
        if not any(first < end and start < last for start, end in others):
            blank[first:last] = bytes(last - first)
    if top[-1].kind == b"mdat" and (top[-1].body, top[-1].end) in old:
        return bytes(blank[: top[-1].start]), top[:-1]
    return bytes(blank), top


def _rebuilt(data: bytes, part: Box, change: _Change) -> bytes:
    """A box of the new file: as it was, but for those that say where things lie or what there is."""
    if part.kind == b"meta":
        return _meta(data, part, change)
    if part.kind in _CONTAINERS:
        inside = list(boxes(data, part.body, part.end))
        rows = [_rebuilt(data, child, change) for child in inside]
        if part.kind == b"trak" and _shows(data, part) and not any(child.kind == b"meta" for child in inside):
            rows.append(_new_meta(change))
        return box(part.kind, b"".join(rows))
    if part.kind in (b"stco", b"co64"):
        return _chunk_offsets(data, part, change)
    if part.kind == b"saio":
        raise Broken("is encrypted")
    if part.start + 8 == part.body and data[part.start : part.start + 4] == bytes(4):  # no longer the last box
        return box(part.kind, data[part.body : part.end])
    return data[part.start : part.end]


def _chunk_offsets(data: bytes, part: Box, change: _Change) -> bytes:
    """Where a track's samples lie (8.7.5)."""
    take = Reader(data, part)
    head, count, size = take.bytes(4), take.number(4), 4 if part.kind == b"stco" else 8
    places = [change.moved(take.number(size)) for _ in range(count)]
    try:
        rows = [place.to_bytes(size, "big") for place in places]
    except OverflowError:
        raise Broken("is too large") from None
    return box(part.kind, head + count.to_bytes(4, "big") + b"".join(rows))


def _meta(data: bytes, part: Box, change: _Change) -> bytes:
    """A `meta` box with the packet as an item; in a track other than of pictures just moved."""
    items = Items.read(data, part)
    old = items.describing(data, b"mime", _CONTENT)
    item = old[0].item if old else _free(items)
    if item >= 1 << 16 and items.locations.version < 2:
        raise Broken("has items that its iloc box cannot name")
    locations = items.locations.with_item(Location(item)).moved(change.moved, len(data)).with_item(_location(item, change))
    made = {
        b"iloc": locations.write(change.width),
        b"iinf": _with_entry(data, items, item, old[1] if old else None),
    }
    if items.primary is not None:
        made[b"iref"] = _with_reference(data, items, item)
    rows = [made.pop(child.kind, b"") or data[child.start : child.end] for child in boxes(data, part.body + 4, part.end)]
    return box(b"meta", data[part.body : part.body + 4] + b"".join([*rows, *made.values()]))


def _new_meta(change: _Change) -> bytes:
    """The `meta` box of a track that had none."""
    handler = box(b"hdlr", bytes(8) + b"pict" + bytes(13))
    entry = entry_box(Entry(1, b"mime", "XMP", _CONTENT))
    located = Locations(0, 0, (_location(1, change),)).write(change.width)
    return box(b"meta", bytes(4) + handler + located + box(b"iinf", bytes(4) + b"\0\1" + entry))


def _location(item: int, change: _Change) -> Location:
    place, length = change.packet
    return Location(item, extents=(Extent(0, place, length),))


def _free(items: Items) -> int:
    """A number for a new item."""
    used = {entry.item for entry, _ in items.entries} | {location.item for location in items.locations.items}
    used |= {items.primary} if items.primary is not None else set()
    last = max(used, default=0) + 1
    return last if last < 1 << 16 else next(number for number in range(1, 1 << 32) if number not in used)


def _with_entry(data: bytes, items: Items, item: int, old: Box | None) -> bytes:
    """The `iinf` box with the packet's entry, in place of its old one."""
    new = entry_box(Entry(item, b"mime", "XMP", _CONTENT))
    if b"iinf" not in items.inner:
        return box(b"iinf", bytes(4) + b"\0\1" + new)
    at = items.inner[b"iinf"]
    take = Reader(data, at)
    head = take.bytes(4)
    size = 2 if head[0] == 0 else 4
    count = take.number(size) + (old is None)
    rows = [new if row == old else data[row.start : row.end] for row in boxes(data, take.at, at.end)]
    if count >= 1 << 8 * size:
        raise Broken("has too many items")
    return box(b"iinf", head + count.to_bytes(size, "big") + b"".join([*rows, *([new] if old is None else [])]))


def _with_reference(data: bytes, items: Items, item: int) -> bytes:
    """The `iref` box in which the packet describes the primary item."""
    at = items.inner.get(b"iref")
    head, rows = (data[at.body : at.body + 4], data[at.body + 4 : at.end]) if at else (bytes(4), b"")
    if at and (item, items.primary) in set(references(data, at, b"cdsc")):
        return data[at.start : at.end]
    size = 2 if head[0] == 0 else 4
    primary = items.primary or 0
    if max(item, primary) >= 1 << 8 * size:
        raise Broken("has items that its iref box cannot name")
    return box(b"iref", head + rows + box(b"cdsc", item.to_bytes(size, "big") + b"\0\1" + primary.to_bytes(size, "big")))

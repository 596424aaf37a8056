"""What lies beside pictures and says what they show: files of their name, their folder's name, segmentation maps, columns."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import PurePosixPath

from .decoding import UnreadablePicture
from .parquet import ParquetSource
from .records import Fields, Record, bare_noun, record_of
from .sources import OpenSource

ENDINGS = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".gif", ".tif", ".tiff", ".avif", ".jfif")
"""What picture files are called."""

METADATA = ("metadata.jsonl", "captions.jsonl")
"""Captions files that are found by their name among the pictures."""

_MAP_ENDINGS = (".layout.png", ".seg.png")


def picture_names(names: Iterable[str], layouts: str = "") -> list[str]:
    """Those of some files that are pictures, by their names alone: no hidden ones, and none of the folder `layouts`."""
    return [name for name in names if _is_picture(name, layouts)]


def _is_picture(name: str, layouts: str) -> bool:
    path = PurePosixPath(name)
    hidden = any(part.startswith((".", "__MACOSX")) or (layouts and part == layouts) for part in path.parts)
    return path.suffix.lower() in ENDINGS and not hidden and not name.endswith(_MAP_ENDINGS)


def said_in_files(opened: OpenSource, names: Sequence[str], pictures: Sequence[str], fields: Fields) -> dict[str, Record]:
    """What files of the pictures' names say: .txt or .caption a caption (each line one), .json fields, .cls a class.

    As webdataset and most trainers have it; `a/cat.png` goes with `a/cat.txt`, `a/cat.png.txt` too.
    """
    there, found = set(names), {}
    for picture in pictures:
        stems = (str(PurePosixPath(picture).with_suffix("")), _key(picture), picture)
        texts = {
            ending: text
            for ending in (".txt", ".caption", ".json", ".cls")
            for stem in dict.fromkeys(stems)
            if stem + ending in there and (text := _text(opened, stem + ending))
        }
        if not texts:
            continue
        record = Record()
        if ".json" in texts:
            try:
                row = json.loads(texts[".json"])
            except ValueError:
                row = {}
            record = record_of(row, fields) if isinstance(row, dict) else Record()
        captions = tuple(
            filter(None, (" ".join(line.split()) for end in (".txt", ".caption") for line in texts.get(end, "").splitlines()))
        )
        label: str | int | None = texts.get(".cls", "").strip() or record.label
        if isinstance(label, str) and label.isdecimal():
            label = int(label)
        found[picture] = record.replaced(captions=captions or record.captions, label=label)
    return found


def said_by_folders(pictures: Iterable[str]) -> dict[str, Record]:
    """The folder that a picture lies in is its class, and as words its subject: `red_apple/1.png` shows a "red apple"."""
    found = {}
    for picture in pictures:
        folder = PurePosixPath(picture).parent.name
        if folder:
            found[picture] = Record(label=folder, subject=bare_noun(folder.replace("_", " ")))
    return found


def said_in_columns(
    opened: ParquetSource, pictures: Sequence[str], fields: Fields
) -> tuple[dict[str, Record], tuple[str, ...]]:
    """What the other columns of a .parquet file say of its pictures, and the names of its classes, where it has them."""
    wanted = {name for names in fields.all() for name in names} & set(opened.columns)
    wanted.discard(pictures[0].rpartition("/")[0] if pictures else "")
    maps = next((name for name in fields.layout if name in wanted), "")  # pictures themselves: read one by one
    rows = opened.rows(sorted(wanted - {maps, *fields.file}))
    label = next((name for name in fields.label if name in wanted), "")
    found = {}
    for number, picture in enumerate(pictures):
        record = record_of(rows[number], fields) if rows else Record()
        found[picture] = record.replaced(layout=f"{maps}/{number}" if maps else "")
    return found, opened.class_names(label) if label else ()


def layouts_beside(names: Iterable[str], pictures: Iterable[str], folder: str) -> dict[str, str]:
    """The segmentation maps of pictures: `layouts/cat.png` beside or above `cat.jpg`, or `cat.layout.png`, `cat.seg.png`."""
    there, found = set(names), {}
    for picture in pictures:
        path = PurePosixPath(picture)
        stem = str(path.with_suffix(""))
        near = [path.parent / folder / path.stem, path.parent.parent / folder / path.stem, PurePosixPath(folder) / stem]
        likely = [f"{place}.png" for place in near] + [stem + ending for ending in _MAP_ENDINGS]
        if layout := next((name for name in likely if name in there), None):
            found[picture] = layout
    return found


def _key(name: str) -> str:
    """A name up to the first dot of its last part: what webdataset tells samples by."""
    folder, slash, last = name.rpartition("/")
    return f"{folder}{slash}{last.partition('.')[0]}"


def _text(opened: OpenSource, name: str) -> str:
    try:
        return opened.read(name).decode("utf-8-sig", "replace").replace("\0", "")
    except UnreadablePicture:
        return ""

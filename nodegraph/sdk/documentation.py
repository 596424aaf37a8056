"""Documentation that packs ship: `docs/NODE.md` and pictures beside a pack's module, found without importing the pack."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping
from importlib.metadata import EntryPoint
from pathlib import Path

PICTURES: Mapping[str, str] = {
    ".png": "image/png",
    ".webp": "image/webp",
    ".jpg": "image/jpeg",
    ".jpeg": "image/jpeg",
}
"""The pictures that documentation may show, by their endings: nothing that a browser would run."""

PICTURE_NAME = r"^[A-Za-z0-9_][A-Za-z0-9_.-]{0,99}\.(png|webp|jpg|jpeg)$"
"""What a picture may be called: a plain name, for it becomes part of an address."""

MOST_TEXT_BYTES = 256 << 10
MOST_PICTURE_BYTES = 1 << 20


def docs_folder(point: EntryPoint) -> Path | None:
    """The folder `docs` of the package that a pack's module is, or is in; None where there is none, or it is no folder.

    A module outside of any package has none: what lies beside it belongs to others.
    """
    top, *rest = point.module.split(".")
    try:
        found = importlib.util.find_spec(top)
    except (ImportError, ValueError):
        return None
    places = [Path(place) for place in (found.submodule_search_locations or ())] if found is not None else []
    for part in rest:
        places = [place / part for place in places if (place / part).is_dir()] or places
    return next((place / "docs" for place in places if (place / "docs").is_dir()), None)


def documented_nodes(point: EntryPoint) -> frozenset[str]:
    """The names of a pack's nodes that it documents."""
    folder = docs_folder(point)
    if folder is None:
        return frozenset()
    try:
        return frozenset(file.stem for file in folder.glob("*.md") if file.stat().st_size <= MOST_TEXT_BYTES)
    except OSError:
        return frozenset()

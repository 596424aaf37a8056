"""The saved workflows: the user's own in DATA/workflows, and below them those that come with nodegraph.

An id is a file's name without its ending; an own file covers the shipped one of the same name. Ids never lead out of the two
folders: not by their form, and not by links. Everything here blocks, and is for threads.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from nodegraph.graph.opening import LARGEST_BYTES, read_bytes
from nodegraph.sdk.errors import InvalidWorkflow
from nodegraph.server.problems import Refused, not_found
from nodegraph.store.documents import described

ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,99}\Z")
_LARGEST_DESCRIBED = 4 << 20


class Lying(NamedTuple):
    """A workflow file: where it lies, and what is in it."""

    id: str
    path: Path
    shipped: bool
    data: bytes
    digest: str
    modified: float


class ShelfRow(NamedTuple):
    """What a list says of a workflow."""

    id: str
    title: str
    description: str
    nodes: int | None
    bytes: int
    modified: float
    digest: str
    shipped: bool


class _Known(NamedTuple):
    """What was found out about a file, and what the file system said of it then."""

    signature: tuple[int, ...]
    row: ShelfRow


class Shelf:
    """The workflow folders, the user's own first. What is known of unchanged files is kept, so that listing is fast."""

    def __init__(self, folders: Sequence[Path]) -> None:
        self.own, *self._shipped = folders
        self._known: dict[Path, _Known] = {}

    def place(self, id_: str) -> Path:
        """Where an own workflow lies, or would. Raises Refused for a link, which somebody put there for a reason."""
        path = self.own / f"{id_}.json"
        if path.is_symlink():
            detail = f"{id_} is a link to another file. It can be opened, and is changed where it leads to."
            raise Refused(403, "is_link", detail)
        return path

    def find(self, id_: str) -> Path | None:
        """The file that an id means now."""
        for folder in (self.own, *self._shipped):
            path = folder / f"{id_}.json"
            if _is_inside(path, folder):
                return path
        return None

    def read(self, id_: str) -> Lying:
        """The workflow as it lies there. Raises Refused where there is none, InvalidWorkflow where it cannot be read."""
        path = self.find(id_)
        if path is None:
            raise not_found("workflow")
        modified = path.stat().st_mtime
        data = read_bytes(path)
        return Lying(id_, path, path.parent != self.own, data, described(data).digest, modified)

    def digest(self, id_: str) -> str:
        """The digest of what an id means now; empty for nothing. Raises InvalidWorkflow where it cannot be read."""
        path = self.find(id_)
        return "" if path is None else described(read_bytes(path)).digest

    def rows(self, text: str = "") -> list[ShelfRow]:
        """The workflows in whose id, title or description all these words stand, in the order of their ids."""
        found: dict[str, ShelfRow] = {}
        seen: dict[Path, _Known] = {}
        for folder in (self.own, *self._shipped):
            for path, status in _files(folder):
                if path.stem not in found and (known := self._look(path, status, folder)) is not None:
                    seen[path], found[path.stem] = known, known.row
        self._known = seen
        words = text.casefold().split()
        rows = sorted(found.values(), key=lambda row: row.id)
        return [row for row in rows if all(word in _said(row) for word in words)]

    def _look(self, path: Path, status: os.stat_result, folder: Path) -> _Known | None:
        """What is known of a file, or can be found out."""
        signature = (status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)
        known = self._known.get(path)
        if known is not None and known.signature == signature:
            return known
        if not _is_inside(path, folder) or status.st_size > LARGEST_BYTES:
            return None
        try:
            data = read_bytes(path)
        except InvalidWorkflow:  # gone meanwhile, or not for us to read
            return None
        about = described(data)
        row = ShelfRow(
            path.stem,
            about.title,
            _description(data),
            about.nodes,
            len(data),
            status.st_mtime,
            about.digest,
            folder != self.own,
        )
        return _Known(signature, row)


def _files(folder: Path) -> list[tuple[Path, os.stat_result]]:
    """The files in a folder whose names are ids."""
    found = []
    with contextlib.suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            path = Path(entry.path)
            if path.suffix == ".json" and ID.match(path.stem):
                with contextlib.suppress(OSError):
                    found.append((path, entry.stat()))
    return found


def _is_inside(path: Path, folder: Path) -> bool:
    """Whether there is such a file, and it really lies in the folder."""
    try:
        return path.is_file() and path.resolve().is_relative_to(folder.resolve())
    except (OSError, RuntimeError):  # a circle of links
        return False


def _description(data: bytes) -> str:
    if len(data) > _LARGEST_DESCRIBED:
        return ""
    with contextlib.suppress(ValueError, RecursionError):
        found: Any = json.loads(data)
        text = found.get("description") if isinstance(found, dict) else ""
        return text.encode(errors="replace").decode() if isinstance(text, str) else ""
    return ""


def _said(row: ShelfRow) -> str:
    return f"{row.id}\n{row.title}\n{row.description}".casefold()


def new_ids(title: str) -> list[str]:
    """Ids for a workflow of this title, the best first."""
    stem = re.sub(r"[^A-Za-z0-9]+", "_", title).strip("_").lower()[:80].rstrip("_") or "workflow"
    return [stem, *(f"{stem}_{number}" for number in range(2, 10_000))]

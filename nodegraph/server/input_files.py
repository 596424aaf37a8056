"""The files that a file input may name: what lies below the roots that documents may read, found as the engine finds it."""

from __future__ import annotations

import contextlib
import hashlib
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, NamedTuple

from nodegraph.sdk.errors import NodeError
from nodegraph.server.problems import not_found
from nodegraph.server.sending import open_below
from nodegraph.store import Roots

_MOST = 20_000
"""Files that are looked at; a root may be anybody's whole disk."""


class InputFile(NamedTuple):
    """A file, and what an input has to say to get it. `modified` is in nanoseconds since 1970."""

    name: str
    bytes: int
    modified: int

    @property
    def order(self) -> tuple[int, str]:
        """The newest come first."""
        return -self.modified, self.name


def input_files(roots: Roots) -> list[InputFile]:
    """The files below the roots, the newest first. Of several by one name only the one that is found by it."""
    found: dict[str, InputFile] = {}
    for root in dict.fromkeys(roots.files):
        for path in _files(root):
            if len(found) >= _MOST:
                break
            name = path.relative_to(root).as_posix()
            is_workflow = root in roots.workflows and path.suffix == ".json"
            with contextlib.suppress(OSError, RuntimeError, UnicodeEncodeError):  # gone meanwhile; links in a circle; no text
                about = path.stat()
                inside = not path.is_symlink() or path.resolve().is_relative_to(root.resolve())
                if stat.S_ISREG(about.st_mode) and inside and not is_workflow and name.encode():
                    found.setdefault(name, InputFile(name, about.st_size, about.st_mtime_ns))
    return sorted(found.values(), key=lambda file: file.order)


def open_input(roots: Roots, name: str) -> tuple[BinaryIO, str]:
    """The file that an input names, open, and what identifies it as it is now (in hexadecimal). Raises Refused (404)."""
    try:
        path = roots.find_file(name)
    except NodeError:
        raise not_found("file") from None
    file = open_below(path.parent, path)
    about = os.fstat(file.fileno())
    return file, hashlib.sha256(f"{path}\0{about.st_size}\0{about.st_mtime_ns}".encode(errors="replace")).hexdigest()


def _files(root: Path) -> Iterator[Path]:
    for place, folders, names in os.walk(root):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        yield from (Path(place, name) for name in sorted(names) if not name.startswith("."))

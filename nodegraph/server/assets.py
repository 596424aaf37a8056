"""The files of `web/`: which of them may be had, and the version that stands for what they all hold at the moment.

A page names its files as `/app/VERSION/...`, so a browser may keep each for ever, and loads anew what has changed.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import posixpath
import re
import stat
import time
from base64 import b64encode
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import BinaryIO, NamedTuple
from urllib.parse import quote

from nodegraph.server.problems import not_found
from nodegraph.server.sending import open_below

PREFIX = "/app/"
MODULES = "<!-- modules -->"
"""Where a page wants the modules to be named that a browser is to load before it has read those that ask for them."""

TYPES: Mapping[str, str] = {
    ".css": "text/css; charset=utf-8",
    ".ico": "image/x-icon",
    ".js": "text/javascript; charset=utf-8",
    ".json": "application/json",
    ".png": "image/png",
    ".svg": "image/svg+xml; charset=utf-8",
    ".webmanifest": "application/manifest+json",
    ".webp": "image/webp",
    ".woff2": "font/woff2",
}
_VERSION = re.compile(r"([0-9a-f]{12})/(.+)", re.DOTALL)
_INLINE = re.compile(r"<script(?![^>]*\ssrc\s*=)[^>]*>(.*?)</script>", re.DOTALL | re.IGNORECASE)
_FIRST = re.compile(r'<script[^>]*\stype="module"[^>]*\ssrc="/app/([^"]+)"')
_NAMED = re.compile(r'"([^"]+)":\s*"/app/([^"]+)"')  # by an import map
_IMPORT = re.compile(r'^(?:import|export)\b[^"\';]*["\']([^"\']+)["\']', re.MULTILINE)
_FRESH_SECONDS = 1.0


class Page(NamedTuple):
    """A page as it is sent. `scripts` has what a policy calls the inline scripts that it holds."""

    text: str
    scripts: tuple[str, ...]


class Assets:
    """The files in a folder; whoever edits or adds one only has to load the page again. Calls may read the disk."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._version = ""
        self._looked = -_FRESH_SECONDS
        self._loaded: tuple[str, list[str]] = ("", [])

    def page(self, name: str) -> Page:
        """A page of the folder, its files named as they are at this moment. Raises OSError."""
        text = bare = (self.folder / name).read_text("utf-8")
        files = list(_files(self.folder))
        self._know(files)
        place = f"{PREFIX}{self._version}/"
        text = text.replace(f'"{PREFIX}', f'"{place}')
        if MODULES in text:
            if self._loaded[0] != self._version:
                self._loaded = (self._version, loaded_at_once(self.folder, bare))
            links = (f'<link rel="modulepreload" href="{place}{quote(path)}">' for path in self._loaded[1])
            text = text.replace(MODULES, "\n".join(links))
        return Page(text, tuple(map(_digest, _INLINE.findall(text))))

    def find(self, path: str) -> tuple[BinaryIO, str, bool]:
        """The open file that a path below `/app/` names, its type, and whether it is named by the present version.

        Raises Refused (404).
        """
        named = _VERSION.fullmatch(path)
        path = named[2] if named else path
        parts = path.split("/")
        kind = TYPES.get(PurePosixPath(path).suffix)
        if kind is None or "\\" in path or any(not part or part.startswith(".") for part in parts):
            raise not_found("file")
        file = open_below(self.folder, self.folder.joinpath(*parts))
        return file, kind, named is not None and named[1] == self._present()

    def _present(self) -> str:
        """The version; a page loads hundreds of files at once, so it is not worked out for each."""
        if time.monotonic() - self._looked >= _FRESH_SECONDS:
            self._know(_files(self.folder))
        return self._version

    def _know(self, files: Iterable[tuple[str, os.stat_result]]) -> None:
        rows = "".join(f"{path}\0{about.st_size}\0{about.st_mtime_ns}\n" for path, about in files)
        self._version = hashlib.sha256(rows.encode(errors="surrogateescape")).hexdigest()[:12]
        self._looked = time.monotonic()


def _files(folder: Path) -> Iterator[tuple[str, os.stat_result]]:
    """All files in order, by their paths below the folder; neither hidden ones nor links."""
    for place, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(names):
            path = Path(place, name)
            with contextlib.suppress(OSError):  # an editor that saves puts files there that are gone at once
                if not name.startswith(".") and stat.S_ISREG((about := path.lstat()).st_mode):
                    yield path.relative_to(folder).as_posix(), about


def loaded_at_once(folder: Path, page: str) -> list[str]:
    """The modules that a page's scripts import, and what these import in turn; not those that are imported on first use."""
    named = dict(_NAMED.findall(page))
    found: dict[str, None] = {}
    left = _FIRST.findall(page)
    while left:
        path = left.pop(0)
        if path in found:
            continue
        with contextlib.suppress(OSError, ValueError):
            text = (folder / path).read_text("utf-8")
            found[path] = None
            for name in _IMPORT.findall(text):
                beside = posixpath.normpath(posixpath.join(posixpath.dirname(path), name))
                target = named.get(name) or (beside if name.startswith(".") else "")
                if target and not target.startswith(".."):
                    left.append(target)
    return list(found)


def _digest(script: str) -> str:
    """What a policy calls an inline script (CSP 3, section 2.3.1)."""
    return f"'sha256-{b64encode(hashlib.sha256(script.encode()).digest()).decode()}'"

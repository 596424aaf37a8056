"""The file of a document: what lies in it, and keeping others away while it is looked at and replaced."""

from __future__ import annotations

import contextlib
import errno
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from nodegraph.graph.opening import read_bytes
from nodegraph.graph.reading import read_json
from nodegraph.sdk.errors import InvalidWorkflow
from nodegraph.sdk.writing import NotWritten, not_written, replaceable
from nodegraph.store.ledger import Content, digest_of
from nodegraph.store.locks import alone, try_lock

_PATIENCE_SECONDS = 15.0
_PAUSE_SECONDS = 0.005
_DESCRIBED_BYTES = 4 << 20  # of a file that another program wrote; larger ones are not parsed for their title


class Lying(NamedTuple):
    """What lies in a file, and the file system's word on when it came there."""

    content: Content
    signature: tuple[int, ...]


def lying(target: Path) -> Lying | None:
    """What lies at `target`, None for nothing. Raises NotWritten for what no document may replace."""
    found = signature(target)
    if found is None:
        return None
    try:
        data = read_bytes(target)
    except InvalidWorkflow as error:
        message = f"{error.problems[0].message} So it is not replaced."
        raise NotWritten(errno.EINVAL, "unreadable", target, message, "Save under another name, or move it away.") from None
    return Lying(described(data), found)


def signature(target: Path) -> tuple[int, ...] | None:
    """What changes when somebody else writes the file; None for no file. Raises NotWritten."""
    found = replaceable(target)
    return None if found is None else (found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns)


def described(data: bytes) -> Content:
    """Bytes with the title and the number of nodes that they seem to have; whatever they are, nothing is raised."""
    title, nodes = "", None
    if len(data) <= _DESCRIBED_BYTES:
        with contextlib.suppress(InvalidWorkflow, UnicodeDecodeError):
            found = read_json(data.decode("utf-8-sig"))
            if isinstance(found, dict):
                title = found["title"] if isinstance(found.get("title"), str) else ""
                nodes = len(found["nodes"]) if isinstance(found.get("nodes"), dict) else None
    return Content(data, digest_of(data), title, nodes)


@contextmanager
def alone_with(target: Path, lock: Path) -> Iterator[None]:
    """Keep every other process that saves out of the target's folder. Raises NotWritten, also when one does not end.

    The folder itself is locked, so this holds for processes with other data folders too, and leaves nothing behind. Where
    folders cannot be locked (Windows, some network drives), `lock`, a file in the data folder, is what holds.
    """
    held = contextlib.ExitStack()
    try:
        try:
            held.enter_context(_alone_in(target.parent))
        except OSError as error:
            raise not_written(error, target) from None
        with contextlib.suppress(OSError):  # a data folder that cannot be written; the save goes on
            lock.parent.mkdir(parents=True, exist_ok=True)
            held.enter_context(alone(lock, _PATIENCE_SECONDS))
        yield
    finally:
        with contextlib.suppress(OSError):  # what was saved is saved
            held.close()


@contextmanager
def _alone_in(folder: Path) -> Iterator[None]:
    if sys.platform == "win32":
        yield
        return
    try:
        handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except PermissionError:  # a folder that may be written but not listed
        yield
        return
    try:
        until = time.monotonic() + _PATIENCE_SECONDS
        while not try_lock(handle):
            if time.monotonic() > until:
                raise TimeoutError(errno.ETIMEDOUT, f"another process has been saving in {folder} for too long")
            time.sleep(_PAUSE_SECONDS)
        yield
    finally:
        os.close(handle)

"""From a file to its text: what may be opened as a document, how large it may be, and in which encoding.

Nothing here waits for ever or reads without end, whatever the path leads to.
"""

from __future__ import annotations

import codecs
import errno
import os
import select
import stat
import sys
from pathlib import Path

from nodegraph.sdk.errors import InvalidWorkflow, Problem

LARGEST_BYTES = 128 << 20
"""Larger files are no documents: the data that a JSON text stands for takes up to 25 times its size in memory."""

_PATIENCE_SECONDS = 10.0  # without anything coming through a pipe
_CHUNK = 1 << 20
_MARKS = {
    codecs.BOM_UTF32_LE: "UTF-32",  # before UTF-16, whose mark it begins with
    codecs.BOM_UTF32_BE: "UTF-32",
    codecs.BOM_UTF16_LE: "UTF-16",
    codecs.BOM_UTF16_BE: "UTF-16",
}


def read_bytes(path: Path) -> bytes:
    """What lies in a file, or comes through a pipe. Raises InvalidWorkflow for what is neither, and what is too large."""
    try:
        handle = os.open(path, os.O_RDONLY | getattr(os, "O_BINARY", 0) | getattr(os, "O_NONBLOCK", 0))
        try:
            return _read(handle, path)
        finally:
            os.close(handle)
    except InvalidWorkflow:
        raise
    except FileNotFoundError:
        raise _refused("no_file", f"There is no file {path}.") from None
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise _refused("no_file", f"{path} cannot be read: {why}.") from None


def decoded(data: bytes, path: Path) -> str:
    """The text of a document's bytes. Raises InvalidWorkflow where they are not UTF-8."""
    mark = next((name for mark, name in _MARKS.items() if data.startswith(mark)), None)
    if mark is not None:
        raise _refused("bad_json", f"{path} is {mark} text; a document is UTF-8.", "Save it as UTF-8.")
    if b"\0" in data:
        message = f"{path} is not text: it has a zero byte (byte {data.index(0)})."
        raise _refused("bad_json", message, f"`nodegraph history {path.name}` lists what was saved there before, if anything.")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        hint = "Save it as UTF-8."
        raise _refused("bad_json", f"{path} is not UTF-8 text (byte {error.start}).", hint) from None


def _read(handle: int, path: Path) -> bytes:
    found = os.fstat(handle)
    if stat.S_ISDIR(found.st_mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
    pipe = stat.S_ISFIFO(found.st_mode) or stat.S_ISSOCK(found.st_mode)
    if not (pipe or stat.S_ISREG(found.st_mode)):
        raise OSError(errno.EINVAL, "it is a device, not a file")
    parts: list[bytes] = []
    size = 0
    while max(size, found.st_size) <= LARGEST_BYTES:
        if pipe and sys.platform != "win32" and not select.select([handle], [], [], _PATIENCE_SECONDS)[0]:
            raise TimeoutError(errno.ETIMEDOUT, f"nothing came through it for {_PATIENCE_SECONDS:.0f} seconds")
        part = os.read(handle, _CHUNK)
        if not part:
            return b"".join(parts)
        parts.append(part)
        size += len(part)
    message = f"{path} is larger than {LARGEST_BYTES >> 20} MiB, which no workflow may be."
    raise _refused("too_large", message, "Put pictures and tables into files of their own, and name these in the workflow.")


def _refused(code: str, message: str, hint: str | None = None) -> InvalidWorkflow:
    return InvalidWorkflow([Problem(code, message, hint=hint)])

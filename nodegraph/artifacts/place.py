"""Putting artifacts into a folder: names from templates, whole files or none, nothing overwritten."""

from __future__ import annotations

import hashlib
import os
import re
import string
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from nodegraph.sdk.errors import NodeError
from nodegraph.sdk.writing import write_atomically

SUFFIXES = {
    "image/png": ".png",
    "image/jpeg": ".jpg",
    "image/webp": ".webp",
    "image/avif": ".avif",
    "text/plain": ".txt",
    "application/json": ".json",
    "application/octet-stream": ".bin",
}
_FIELD = 80  # characters of one field in a file name
_NAME = 200  # bytes of a file name without its number and suffix: file systems take 255


class Placed(NamedTuple):
    """A file in its place, and the sha256 of its bytes."""

    path: Path
    digest: str


def place(data: bytes, media_type: str, template: str, fields: Mapping[str, Any], folder: Path) -> Placed:
    """Write `data` below `folder` under the name that the template gives; `{digest}` is the first 8 digits of its sha256.

    A file of the same content stays as it is, one of other content keeps its name and the new one is numbered. Raises
    NodeError for a template that does not work and a folder that cannot be written.
    """
    digest = hashlib.sha256(data).hexdigest()
    relative = file_name(template, {**fields, "digest": digest[:8]}) + SUFFIXES.get(media_type, ".bin")
    return _placed(data, digest, relative, folder)


def place_as(data: bytes, name: str, folder: Path) -> Placed:
    """The same under a name that was made of a template elsewhere. Whatever it is, the file ends up below `folder`."""
    digest = hashlib.sha256(data).hexdigest()
    parts = [part for part in map(_safe, re.split(r"[/\\]", name)) if part]
    return _placed(data, digest, "/".join(parts) or digest[:8], folder)


def _placed(data: bytes, digest: str, relative: str, folder: Path) -> Placed:
    path, number = folder / relative, 2
    while path.exists():
        if path.is_file() and hashlib.sha256(path.read_bytes()).hexdigest() == digest:
            return Placed(path, digest)
        path = (folder / relative).with_stem(f"{(folder / relative).stem}-{number}")
        number += 1
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, data)
    except OSError as error:
        raise NodeError(f"{path} cannot be written: {error.strerror}.", hint="Choose another folder.") from None
    return Placed(path, digest)


def file_name(template: str, fields: Mapping[str, Any]) -> str:
    """A relative path, without suffix, from a template. Raises NodeError, naming the fields there are."""
    known = ", ".join(f"{{{name}}}" for name in sorted(fields))
    try:
        names = [name for _, name, _, _ in string.Formatter().parse(template) if name is not None]
    except ValueError as error:
        raise NodeError(f"The file name {template!r} is not a template: {error}.") from None
    unknown = [name for name in names if name not in fields]
    if unknown:
        raise NodeError(f"The file name {template!r} has an unknown field {{{unknown[0]}}}.", hint=f"There are: {known}.")
    try:
        filled = template.format_map({name: _safe(str(value))[:_FIELD] for name, value in fields.items()})
    except (ValueError, LookupError) as error:
        raise NodeError(f"The file name {template!r} is not a template: {error}.") from None
    if template.startswith(("/", "\\")) or ".." in re.split(r"[/\\]", template):
        raise NodeError(f"The file name {template!r} leaves the output folder.", hint="Use a relative name.")
    parts = [_cut(part) for part in map(_safe, re.split(r"[/\\]", filled)) if part]
    if not parts:
        raise NodeError(f"The file name {template!r} comes out empty.", hint="Use letters or digits, or {digest}.")
    return "/".join(parts)


def _safe(text: str) -> str:
    """`A red apple, 3d!` -> `A-red-apple-3d`: what every file system takes."""
    return re.sub(r"[^\w.=-]+", "-", text).strip("-.")


def _cut(name: str) -> str:
    """A name that is too long, cut in the middle: its end often holds the seed and the digest."""
    data = name.encode()
    if len(data) <= _NAME:
        return name
    return data[: _NAME - 50].decode(errors="ignore") + "-" + data[-49:].decode(errors="ignore")


def check_writable(folder: Path) -> None:
    """Find out now, not after minutes of work, whether files can be put into `folder`. Leaves nothing behind.

    Raises NodeError.
    """
    nearest = folder
    while not nearest.exists() and nearest != nearest.parent:
        nearest = nearest.parent
    hint = "Choose another folder with --out."
    if not nearest.is_dir():
        raise NodeError(f"The output folder {folder} cannot be made: {nearest} is a file.", hint=hint)
    try:
        if not os.access(nearest, os.W_OK | os.X_OK):
            raise PermissionError(13, "Permission denied")
        with tempfile.TemporaryFile(dir=nearest):
            pass
    except OSError as error:
        raise NodeError(f"The output folder {folder} cannot be written: {error.strerror}.", hint=hint) from None

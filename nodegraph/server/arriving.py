"""From a file that has come to one that jobs can use: its digest, its kind, and its place among the inputs.

It is named by its content, so the same one twice is one file, and a workflow that names it means these bytes for ever.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import re
import shutil
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from nodegraph.artifacts.content import MEDIA_TYPES, recognise
from nodegraph.sdk.writing import flush_folder

FOLDER = "uploads"
"""The folder among the inputs."""

_NAME = re.compile(r"[0-9a-f]{16}(\.[a-z]+)\Z")
_MOST_LISTED = 10_000


@dataclass(frozen=True)
class Arrived:
    """A file in its place; `file` is what a file input takes."""

    file: str
    digest: str
    media_type: str
    bytes: int
    width: int | None = None
    height: int | None = None


class Kept(NamedTuple):
    """A file among the uploads."""

    name: str
    media_type: str
    bytes: int
    created: float


class WrongDigest(Exception):
    """The bytes are not those that were announced."""


def take_in(part: Path, inputs: Path, sha256: str | None, most_pixels: int, *, picture: bool) -> Arrived:
    """Look at a whole file and move it among the inputs. Raises WrongDigest, Unwelcome, OSError."""
    digest = _sha256(part)
    if sha256 is not None and sha256 != digest:
        raise WrongDigest
    found = recognise(part, most_pixels, picture=picture)
    size = part.stat().st_size
    name = f"{digest[:16]}{found.ending}"
    target = _folder(inputs) / name
    if _is_file(target) and target.stat().st_size == size and _sha256(target) == digest:
        part.unlink()  # runs may be using the one that is there
    else:
        _move(part, target)
    return Arrived(f"{FOLDER}/{name}", f"sha256:{digest}", found.media_type, size, found.width, found.height)


def kept_files(inputs: Path) -> list[Kept]:
    """The uploaded files, the newest first."""
    found = []
    with contextlib.suppress(OSError), os.scandir(_folder(inputs)) as entries:
        for entry in entries:
            media_type = media_type_by_name(entry.name)
            with contextlib.suppress(OSError):
                if media_type is not None and entry.is_file(follow_symlinks=False):
                    about = entry.stat(follow_symlinks=False)
                    found.append(Kept(entry.name, media_type, about.st_size, about.st_mtime))
    return sorted(found, key=lambda row: row.created, reverse=True)[:_MOST_LISTED]


def media_type_by_name(name: str) -> str | None:
    """The media type of an uploaded file, None for what is not the name of one."""
    match = _NAME.match(name)
    return MEDIA_TYPES.get(match[1]) if match else None


def remove_file(inputs: Path, name: str) -> bool:
    """Remove an uploaded file; whether there was one. Raises OSError."""
    path = _folder(inputs) / name
    if media_type_by_name(name) is None or not _is_file(path):
        return False
    path.unlink()
    return True


def _folder(inputs: Path) -> Path:
    """The folder of uploads, made where it is missing. Raises OSError where a link leads out of the inputs."""
    folder = inputs / FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    if not folder.resolve().is_relative_to(inputs.resolve()):
        raise OSError(errno.EXDEV, "inputs/uploads in the data folder leads out of it")
    return folder


def _is_file(path: Path) -> bool:
    try:
        return stat.S_ISREG(path.lstat().st_mode)
    except OSError:
        return False


def _move(part: Path, target: Path) -> None:
    """Put a file in its place, whole or not at all; a link that is in its place gives way."""
    try:
        part.replace(target)
    except OSError as error:
        if error.errno != errno.EXDEV:  # another disk
            raise
        copy = target.with_name(f".{target.name}.{part.stem}.saving")
        try:
            shutil.copyfile(part, copy)
            with copy.open("rb+") as file:
                os.fsync(file.fileno())
            copy.replace(target)
        finally:
            copy.unlink(missing_ok=True)
        part.unlink()
    flush_folder(target.parent)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()

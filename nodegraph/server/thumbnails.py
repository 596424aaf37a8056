"""Thumbnails by the digest of their picture: made once, a few at a time, kept in a folder that may be emptied at any time."""

from __future__ import annotations

import asyncio
import contextlib
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO, NamedTuple

from nodegraph.artifacts.content import picture_format
from nodegraph.sdk.writing import write_atomically

SIZES = (64, 128, 256, 512, 1024)
"""The sizes that are made; one that is asked for is rounded up to one of them."""

_AT_ONCE = 2
_KEPT_SECONDS = 30 * 24 * 3600.0


class Thumbnail(NamedTuple):
    """An encoded picture."""

    data: bytes
    media_type: str


class Thumbnails:
    """The thumbnails in a folder."""

    def __init__(self, folder: Path, most_pixels: int) -> None:
        self._folder, self._most_pixels = folder, most_pixels
        self._places = asyncio.Semaphore(_AT_ONCE)
        self._being_made: dict[Path, asyncio.Task[Thumbnail]] = {}

    async def get(self, digest: str, size: int, opened: Callable[[], BinaryIO]) -> Thumbnail:
        """The thumbnail of the picture with this digest (in hexadecimal). Raises NoThumbnail, and what `opened` raises."""
        path = self._folder / digest[:2] / f"{digest}-{rounded(size)}"
        if (known := await asyncio.to_thread(_kept, path, opened)) is not None:
            return known
        task = self._being_made.get(path)
        if task is None:
            task = self._being_made[path] = asyncio.create_task(self._make(path, rounded(size), opened))
            task.add_done_callback(lambda done: (self._being_made.pop(path, None), done.cancelled() or done.exception()))
        return await asyncio.shield(task)

    def forget(self, digest: str) -> None:
        """Remove the thumbnails of a picture that is no longer kept."""
        for size in SIZES:
            with contextlib.suppress(OSError):
                (self._folder / digest[:2] / f"{digest}-{size}").unlink()

    async def sweep(self) -> None:
        """Remove what was made long ago: pictures may be gone, and of those that are there it is made again."""
        await asyncio.to_thread(_sweep, self._folder)

    async def _make(self, path: Path, size: int, opened: Callable[[], BinaryIO]) -> Thumbnail:
        async with self._places:
            return await asyncio.to_thread(_make, path, size, self._most_pixels, opened)


def rounded(size: int) -> int:
    return next((one for one in SIZES if one >= size), SIZES[-1])


def _make(path: Path, size: int, most_pixels: int, opened: Callable[[], BinaryIO]) -> Thumbnail:
    from nodegraph.server.small_pictures import MEDIA_TYPE, thumbnail

    with opened() as file:
        made = Thumbnail(thumbnail(file, size, most_pixels), MEDIA_TYPE)
    with contextlib.suppress(OSError):  # where nothing can be kept it is made again
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, made.data)
    return made


def _kept(path: Path, opened: Callable[[], BinaryIO]) -> Thumbnail | None:
    """What was made before, as long as there is the picture. Raises what `opened` raises."""
    opened().close()
    try:
        if path.is_symlink():
            return None
        data = path.read_bytes()
    except OSError:
        return None
    format_ = picture_format(data[:32])
    return Thumbnail(data, f"image/{format_}") if format_ in ("webp", "jpeg") else None


def _sweep(folder: Path) -> None:
    old = time.time() - _KEPT_SECONDS
    for place, _, files in os.walk(folder):
        for name in files:
            with contextlib.suppress(OSError):
                if (path := Path(place, name)).lstat().st_mtime < old:
                    path.unlink()

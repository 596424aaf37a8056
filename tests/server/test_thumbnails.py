"""Thumbnails apart from HTTP: made once however many ask, and forgotten in time."""

from __future__ import annotations

import asyncio
import io
import os
import time
from pathlib import Path
from typing import BinaryIO

import pytest

from nodegraph.server.small_pictures import NoThumbnail
from nodegraph.server.thumbnails import Thumbnails
from server import bombs

DIGEST = "ab" * 32


async def test_many_who_ask_at_once_get_one_that_is_made_once(tmp_path: Path) -> None:
    read = set[int]()

    class Picture(io.BytesIO):
        def read(self, *size: int | None) -> bytes:
            read.add(id(self))
            pictures.append(self)  # so that no id comes again
            return super().read(*size)

    pictures: list[Picture] = []

    def open_it() -> BinaryIO:
        return Picture(bombs.picture(size=(500, 500)))

    thumbnails = Thumbnails(tmp_path, 10**6)
    made = await asyncio.gather(*(thumbnails.get(DIGEST, 100 + i, open_it) for i in range(20)))
    assert len(read) == 1
    assert len({one.data for one in made}) == 1


async def test_a_failure_reaches_all_who_wait_and_is_not_remembered(tmp_path: Path) -> None:
    thumbnails = Thumbnails(tmp_path, 10**6)
    asked = (thumbnails.get(DIGEST, 64, lambda: io.BytesIO(b"no picture")) for _ in range(5))
    assert all(isinstance(one, NoThumbnail) for one in await asyncio.gather(*asked, return_exceptions=True))
    assert await thumbnails.get(DIGEST, 64, lambda: io.BytesIO(bombs.picture()))


async def test_pictures_of_more_pixels_than_allowed_are_not_decoded(tmp_path: Path) -> None:
    with pytest.raises(NoThumbnail, match="more than 100 pixels"):
        await Thumbnails(tmp_path, 100).get(DIGEST, 64, lambda: io.BytesIO(bombs.picture(size=(11, 10))))


async def test_what_was_kept_is_used_unless_it_is_damaged_or_a_link(tmp_path: Path) -> None:
    thumbnails = Thumbnails(tmp_path / "kept", 10**6)
    made = await thumbnails.get(DIGEST, 64, lambda: io.BytesIO(bombs.picture()))
    (kept,) = (path for path in (tmp_path / "kept").rglob("*") if path.is_file())
    assert kept.read_bytes() == made.data
    kept.write_bytes(b"damaged")
    assert await thumbnails.get(DIGEST, 64, lambda: io.BytesIO(bombs.picture())) == made
    kept.unlink()
    (tmp_path / "other").write_bytes(bombs.picture("WEBP"))
    kept.symlink_to(tmp_path / "other")
    assert await thumbnails.get(DIGEST, 64, lambda: io.BytesIO(bombs.picture())) == made


async def test_old_ones_and_those_of_removed_pictures_go(tmp_path: Path) -> None:
    thumbnails = Thumbnails(tmp_path, 10**6)
    for digest in (DIGEST, "cd" * 32, "ef" * 32):
        await thumbnails.get(digest, 64, lambda: io.BytesIO(bombs.picture()))
    long_ago = time.time() - 31 * 24 * 3600
    os.utime(tmp_path / "ab" / f"{DIGEST}-64", (long_ago, long_ago))
    await thumbnails.sweep()
    thumbnails.forget("cd" * 32)
    assert _files(tmp_path) == ["ef" * 32 + "-64"]


def _files(folder: Path) -> list[str]:
    return [path.name for path in folder.rglob("*") if path.is_file()]

"""The files of the disk tier: `blobs/ab/KEY.safetensors`, each written beside as a temporary file and renamed when whole.

A process's temporary files carry its token, a file that it keeps locked; where the lock is free, their writer is dead.
"""

from __future__ import annotations

import contextlib
import os
import re
import secrets
import threading
from collections.abc import Iterable, Iterator, Sequence
from itertools import count
from pathlib import Path

from nodegraph.store.locks import try_lock

_KEY = re.compile(r"[0-9a-z]{4,120}")
_SUFFIX = ".safetensors"
_TOKEN = ".token"


_PLAIN = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)


def _opened(path: str, flags: int) -> int:
    """Open a file of ours. One that is a link somewhere else or a pipe was put there by somebody, and is not waited for."""
    return os.open(path, flags | _PLAIN)


def fits_a_name(key: str) -> bool:
    """Whether a key can name a file on every file system."""
    return _KEY.fullmatch(key) is not None


class Blobs:
    """Whole files by key. Placing and removing them is for the holder of the folder's lock; the rest is for anybody."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder / "blobs"
        self._temporary = folder / "temporary"
        self._token = ""
        self._handle: int | None = None
        self._numbers = count()
        self._claiming = threading.Lock()

    def path(self, key: str) -> Path:
        """Where a key's file is. Raises FileNotFoundError for a key that can have none."""
        if not fits_a_name(key):
            raise FileNotFoundError(f"{key!r} cannot name a file")
        return self._folder / key[:2] / (key + _SUFFIX)

    def prepare(self, pieces: Sequence[bytes | memoryview]) -> Path:
        """Write a temporary file through to the disk. Raises OSError, and then leaves none behind."""
        with self._claiming:
            if self._handle is None or not self._named(self._token + _TOKEN).exists():
                self._take_token()
        file = self._named(f"{self._token}-{next(self._numbers)}")
        handle = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0), 0o666)
        try:
            try:
                for piece in pieces:
                    view = memoryview(piece)
                    while view:
                        view = view[os.write(handle, view) :]
                os.fsync(handle)
            finally:
                os.close(handle)
        except BaseException:
            file.unlink(missing_ok=True)
            raise
        return file

    def place(self, file: Path, key: str) -> None:
        """Make a prepared file the one of `key`."""
        target = self.path(key)
        try:
            file.replace(target)
        except FileNotFoundError:
            target.parent.mkdir(parents=True, exist_ok=True)
            file.replace(target)

    def read(self, key: str) -> bytes:
        """All bytes of a key's file. Raises OSError; FileNotFoundError where there is none."""
        with open(self.path(key), "rb", buffering=0, opener=_opened) as file:
            return file.readall()

    def remove(self, keys: Iterable[str]) -> None:
        """Remove the files of these keys; one that is gone already, or cannot be removed now, is left to `gc`."""
        for key in keys:
            with contextlib.suppress(OSError):
                self.path(key).unlink()

    def found(self) -> Iterator[tuple[str | None, Path, int]]:
        """Every file below the folder: its key (None where it has no place here), its path, its bytes."""
        for place, _, names in os.walk(self._folder):
            for name in names:
                path = Path(place, name)
                key = name.removesuffix(_SUFFIX)
                with contextlib.suppress(OSError):
                    size = path.lstat().st_size
                    ours = fits_a_name(key) and path == self.path(key) and path.is_file() and not path.is_symlink()
                    yield (key if ours else None), path, size

    def prune(self) -> None:
        """Remove empty folders."""
        for place, _, _ in os.walk(self._folder, topdown=False):
            with contextlib.suppress(OSError):
                Path(place).rmdir()

    def sweep(self) -> tuple[int, int]:
        """Remove the temporary files of dead processes: how many, and their bytes."""
        files = freed = 0
        alive: dict[str, bool] = {self._token: True}
        for path in sorted(self._temporary.glob("*")):  # a token's own file comes after its others: "-" sorts before "."
            token = re.split("[-.]", path.name)[0]
            if token not in alive:
                alive[token] = self._is_alive(token)
            if not alive[token]:
                with contextlib.suppress(OSError):
                    size = path.lstat().st_size
                    path.unlink()
                    if not path.name.endswith(_TOKEN):
                        files, freed = files + 1, freed + size
        return files, freed

    def close(self) -> None:
        if self._handle is not None:
            with contextlib.suppress(OSError):
                self._named(self._token + _TOKEN).unlink()
            os.close(self._handle)
            self._handle = None

    def _named(self, name: str) -> Path:
        return self._temporary / name

    def _is_alive(self, token: str) -> bool:
        try:
            handle = os.open(self._named(token + _TOKEN), os.O_RDWR)
        except FileNotFoundError:
            return False
        except OSError:
            return True
        try:
            return not try_lock(handle)
        finally:
            os.close(handle)

    def _take_token(self) -> None:
        """Claim a fresh token. Between making its file and locking it another process may have swept it: then again."""
        self.close()
        self._temporary.mkdir(parents=True, exist_ok=True)
        while self._handle is None:
            token = secrets.token_hex(8)
            file = self._named(token + _TOKEN)
            handle = os.open(file, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o666)
            if try_lock(handle) and file.exists():
                self._token, self._handle = token, handle
            else:
                os.close(handle)

"""Where pictures lie: a source gives bytes by name. Archives are read in place; nothing is unpacked, so none leads outside."""

from __future__ import annotations

import hashlib
import lzma
import os
import tarfile
import threading
import zipfile
import zlib
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Protocol

from nodegraph import NodeError
from nodegraph_nodes.types import PictureSource

from .decoding import UnreadablePicture
from .parquet import ParquetSource

LARGEST_FILE = 1 << 30
"""Bytes of one picture file: what claims more is not unpacked."""


class OpenSource(Protocol):
    """Pictures that can be read. Threads may share it."""

    def names(self) -> list[str]:
        """The files in it, in order."""

    def read(self, name: str) -> bytes:
        """A file's content. Raises UnreadablePicture."""

    def digest(self) -> str:
        """What its content is known by: the names and sizes of its files, and checksums where it has them."""

    def close(self) -> None: ...


class ZipSource:
    """A .zip file."""

    def __init__(self, path: str) -> None:
        try:
            self._zip = zipfile.ZipFile(path)
        except (OSError, zipfile.BadZipFile) as error:
            raise _no_archive(path, ".zip", error) from None
        self._lock = threading.Lock()

    def names(self) -> list[str]:
        return [item.filename for item in self._zip.infolist() if not item.is_dir()]

    def read(self, name: str) -> bytes:
        try:
            item = self._zip.getinfo(name)
            if item.file_size > LARGEST_FILE:
                raise UnreadablePicture(name, f"{item.file_size:,} bytes are too many")
            with self._lock:
                return self._zip.read(item)
        except KeyError:
            raise UnreadablePicture(name, "it is not in the .zip file") from None
        except (OSError, zipfile.BadZipFile, zlib.error, lzma.LZMAError, RuntimeError, EOFError, ValueError) as error:
            raise UnreadablePicture(name, f"it cannot be unpacked: {error}") from None

    def digest(self) -> str:
        return _digest(f"{item.filename}\0{item.file_size}\0{item.CRC}" for item in self._zip.infolist())

    def close(self) -> None:
        self._zip.close()


class FolderSource:
    """A folder with what lies below it at any depth, but for hidden files and links that lead out of it."""

    def __init__(self, path: str) -> None:
        self._root = Path(path).resolve()

    def names(self) -> list[str]:
        found = []
        for place, folders, files in os.walk(self._root):
            folders[:] = sorted(name for name in folders if not name.startswith("."))
            for name in sorted(files):
                path = Path(place, name)
                if not name.startswith(".") and (not path.is_symlink() or self._inside(path)):
                    found.append(path.relative_to(self._root).as_posix())
        return found

    def read(self, name: str) -> bytes:
        path = self._root / name
        try:
            if not self._inside(path):
                raise UnreadablePicture(name, "it lies outside of the folder")
            if path.stat().st_size > LARGEST_FILE:
                raise UnreadablePicture(name, f"{path.stat().st_size:,} bytes are too many")
            return path.read_bytes()
        except FileNotFoundError:
            raise UnreadablePicture(name, "there is no such file") from None
        except (OSError, ValueError) as error:
            raise UnreadablePicture(name, f"it cannot be read: {error}") from None

    def digest(self) -> str:
        return _digest(f"{name}\0{self._size(name)}" for name in self.names())

    def close(self) -> None:
        pass

    def _size(self, name: str) -> int:
        """Of a file, -1 where there is none: a link that leads nowhere, or a file that has just gone."""
        try:
            return (self._root / name).stat().st_size
        except OSError:
            return -1

    def _inside(self, path: Path) -> bool:
        return path.resolve().is_relative_to(self._root)


class TarSource:
    """An uncompressed .tar file, as webdataset writes them. Links in it are not followed."""

    def __init__(self, path: str) -> None:
        self._places: dict[str, tuple[int, int]] = {}
        try:
            with tarfile.open(path, "r:") as archive:
                for member in archive:
                    if member.isreg() and not member.issparse():
                        self._places[member.name.removeprefix("./")] = (member.offset_data, member.size)
            self._file = os.open(path, os.O_RDONLY | getattr(os, "O_BINARY", 0))
        except (OSError, tarfile.TarError, EOFError) as error:
            raise _no_archive(path, "uncompressed .tar", error) from None
        self._size = os.fstat(self._file).st_size
        self._lock = threading.Lock()

    def names(self) -> list[str]:
        return list(self._places)

    def read(self, name: str) -> bytes:
        if name not in self._places:
            raise UnreadablePicture(name, "it is not in the .tar file")
        offset, size = self._places[name]
        if size > LARGEST_FILE:
            raise UnreadablePicture(name, f"{size:,} bytes are too many")
        if offset + size > self._size:
            raise UnreadablePicture(name, "the .tar file is cut short")
        with self._lock:
            os.lseek(self._file, offset, os.SEEK_SET)
            data = bytearray()
            while len(data) < size and (more := os.read(self._file, size - len(data))):
                data += more
        return bytes(data)

    def digest(self) -> str:
        return _digest(f"{name}\0{size}" for name, (_, size) in self._places.items())

    def close(self) -> None:
        os.close(self._file)


_KINDS: dict[str, Callable[[str], OpenSource]] = {
    "folder": FolderSource,
    "zip": ZipSource,
    "tar": TarSource,
    "parquet": ParquetSource,
}


def source_at(path: Path) -> PictureSource:
    """A folder, a .zip, an uncompressed .tar or a .parquet file as a source, its digest not known yet. Raises NodeError."""
    if path.is_dir():
        return PictureSource(str(path), "", "folder")
    match path.suffix.lower():
        case ".zip":
            return PictureSource(str(path), "", "zip")
        case ".tar":
            return PictureSource(str(path), "", "tar")
        case ".parquet":
            return PictureSource(str(path), "", "parquet")
    packed = path.name.lower().endswith((".tar.gz", ".tgz", ".tar.bz2", ".tar.xz", ".tar.zst"))
    raise NodeError(
        f"{path.name} is nothing that pictures are read from.",
        socket="pictures",
        expected="a folder, or a .zip, .tar or .parquet file",
        got=path.suffix or path.name,
        hint="Single pictures cannot be found in a compressed .tar file. Unpack it, or decompress it to a .tar."
        if packed
        else None,
    )


def open_source(source: PictureSource) -> OpenSource:
    """Open where pictures lie. Raises NodeError where it is gone or cannot be read."""
    if not Path(source.path).exists():
        raise NodeError(f"The pictures are gone: {source.path}.", hint="Put them back, or load them from where they are now.")
    return _KINDS[source.kind](source.path)


def _digest(rows: Iterable[str]) -> str:
    digest = hashlib.sha256()
    for row in rows:
        digest.update(f"{row}\n".encode("utf-8", "surrogateescape"))
    return digest.hexdigest()


def _no_archive(path: str, kind: str, error: Exception) -> NodeError:
    got = str(error) or type(error).__name__
    return NodeError(f"{Path(path).name} cannot be read.", socket="pictures", expected=f"a whole {kind} file", got=got)

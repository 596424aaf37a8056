"""One server for a data folder: the second is told who the first is. A lock whose holder ended, however, is gone with it."""

from __future__ import annotations

import contextlib
import json
import os
from pathlib import Path
from types import TracebackType
from typing import Any

from nodegraph.jobs.opening import StoreFailed, failure
from nodegraph.store.locks import try_lock


class FolderInUse(StoreFailed):
    """Another server uses the data folder: its process and its address, where they are known."""

    def __init__(self, data: Path, pid: int | None, url: str | None) -> None:
        self.pid, self.url = pid, url
        who = "".join((f" (process {pid}" if pid else " (of which nothing is known", f", {url}" if url else "", ")"))
        super().__init__(f"Another server{who} uses {data}. Stop that one, or give this one another folder: --data DIR.")


class Holding:
    """A data folder that is this server's alone until `release`, or until the process ends."""

    def __init__(self, data: Path) -> None:
        """Take the folder. Raises FolderInUse, StoreFailed."""
        self._file = data / "serve.lock"
        try:
            data.mkdir(parents=True, exist_ok=True)
            self._handle = os.open(self._file, os.O_RDWR | os.O_CREAT | getattr(os, "O_CLOEXEC", 0), 0o600)
        except OSError as error:
            raise failure(self._file, error, "opened") from None
        if not try_lock(self._handle):
            known = _read(self._handle)
            os.close(self._handle)
            raise FolderInUse(data, known.get("pid"), known.get("url"))
        self.tell(None)

    def tell(self, url: str | None) -> None:
        """Let others know where this server is."""
        told = json.dumps({"pid": os.getpid(), "url": url}).encode()
        with contextlib.suppress(OSError):  # a full disk: the lock holds all the same
            os.ftruncate(self._handle, 0)
            os.pwrite(self._handle, told, 0)

    def release(self) -> None:
        """Let the folder go. The file stays: removing it could take another server's lock away."""
        if self._handle >= 0:
            with contextlib.suppress(OSError):
                os.ftruncate(self._handle, 0)
            os.close(self._handle)
            self._handle = -1

    def __enter__(self) -> Holding:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.release()


def _read(handle: int) -> dict[str, Any]:
    try:
        found = json.loads(os.pread(handle, 4096, 0))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}

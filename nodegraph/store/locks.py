"""Locks between processes, which the system lets go of when their holder ends, however it ends."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_SHORTEST, _LONGEST = 0.0005, 0.02  # pauses between attempts, in seconds

if sys.platform == "win32":

    def try_lock(handle: int) -> bool:
        """True: an open file cannot be removed or replaced there, which is all that is wanted of the lock."""
        return True

else:
    import fcntl

    def try_lock(handle: int) -> bool:
        """Lock an open file, unless another process (or another opening of the file) holds it."""
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        except OSError:  # a file system without locks: SQLite's own, or none
            return True
        return True


@contextmanager
def alone(file: Path, patience_seconds: float) -> Iterator[None]:
    """Hold the lock on `file`, which is made where it is missing. Raises OSError; TimeoutError after `patience_seconds`."""
    handle = os.open(file, os.O_RDWR | os.O_CREAT | getattr(os, "O_CLOEXEC", 0), 0o666)
    try:
        until = time.monotonic() + patience_seconds
        pause = _SHORTEST
        while not try_lock(handle):
            if time.monotonic() > until:
                raise TimeoutError(f"another process holds {file}")
            time.sleep(pause)
            pause = min(2 * pause, _LONGEST)
        yield
    finally:
        os.close(handle)

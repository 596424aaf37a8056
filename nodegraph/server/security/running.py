"""`DATA/server.json`: where the server is while it runs, and its token, for programs of the same user."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterator
from pathlib import Path

from nodegraph.sdk.writing import write_atomically


@contextlib.contextmanager
def running_file(data: Path, url: str, token: str | None) -> Iterator[None]:
    """While entered, the file is there. One that another server wrote in the meantime stays. Raises NotWritten."""
    path = data / "server.json"
    path.unlink(missing_ok=True)  # a file that is replaced would pass its permissions on
    content = json.dumps({"url": url, "pid": os.getpid(), "token": token}).encode()
    write_atomically(path, content, mode=0o600)
    try:
        yield
    finally:
        with contextlib.suppress(OSError):
            if path.read_bytes() == content:
                path.unlink()

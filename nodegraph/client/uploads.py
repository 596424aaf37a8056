"""Files on their way to the server: they are sent as they are, and named by what the server calls them."""

from __future__ import annotations

from pathlib import Path
from typing import IO

from pydantic import BaseModel

from nodegraph.client.errors import ClientError
from nodegraph.sdk.errors import Problem


class Uploaded(BaseModel):
    """A file that the server has: `file` is what an input takes."""

    file: str
    digest: str
    media_type: str | None = None
    bytes: int | None = None


def opened(path: Path) -> IO[bytes]:
    """A file to read from. Raises ClientError."""
    try:
        return path.open("rb")
    except OSError as error:
        why = error.strerror or "it cannot be opened"
        raise ClientError([Problem("no_file", f"{path} cannot be read: {why}.")]) from None

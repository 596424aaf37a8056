"""Artifacts by their content: files named by the sha256 of their bytes, whole or not there, never changed."""

from __future__ import annotations

import hashlib
import os
import re
from pathlib import Path

from nodegraph.sdk.writing import write_atomically

_HEX = re.compile(r"[0-9a-f]{64}\Z")


def keep(folder: Path, data: bytes) -> str:
    """Put bytes into the folder and give their digest, `sha256:...`. Keeping them again changes nothing. Raises OSError."""
    digest = hashlib.sha256(data).hexdigest()
    path = _path(folder, digest)
    try:
        is_there = path.stat().st_size == len(data)
        if is_there:
            os.utime(path)  # somebody wants it now: no upkeep may take it for a leftover
    except FileNotFoundError:  # never there, or taken away at this very moment
        is_there = False
    if not is_there:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, data)
    return f"sha256:{digest}"


def path_of(folder: Path, digest: str) -> Path | None:
    """Where the bytes with this digest lie, or None for what is no digest. Nothing else is ever looked up."""
    kind, _, number = digest.rpartition(":")
    return _path(folder, number) if kind in ("", "sha256") and _HEX.match(number) else None


def _path(folder: Path, digest: str) -> Path:
    return folder / digest[:2] / digest

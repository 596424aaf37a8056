"""Unfinished work: what calls left in their scratch folders, one folder for each result's key.

A folder goes by itself once its result is on disk. What stays is of work that nobody went on with.
"""

from __future__ import annotations

import shutil
import time
from pathlib import Path
from typing import NamedTuple

DAY = 24 * 3600.0


class Work(NamedTuple):
    """changed: when something in its folder was written last, in seconds since the epoch."""

    folder: Path
    nbytes: int
    changed: float


def unfinished(scratch: Path) -> list[Work]:
    """All of it, the longest untouched first. What cannot be looked into is left out."""
    try:
        folders = [folder for folder in scratch.iterdir() if folder.is_dir() and not folder.is_symlink()]
    except OSError:
        return []
    found = []
    for folder in folders:
        try:
            stats = [path.lstat() for path in (folder, *folder.rglob("*"))]
        except OSError:  # it is done just now, and goes
            continue
        found.append(Work(folder, sum(stat.st_size for stat in stats[1:]), max(stat.st_mtime for stat in stats)))
    return sorted(found, key=lambda work: work.changed)


def forget_unfinished(scratch: Path, seconds: float) -> list[Work]:
    """Remove what nobody has touched for so long; gives what is gone."""
    gone = []
    for work in unfinished(scratch):
        if time.time() - work.changed >= seconds:
            shutil.rmtree(work.folder, ignore_errors=True)
            if not work.folder.exists():
                gone.append(work)
    return gone

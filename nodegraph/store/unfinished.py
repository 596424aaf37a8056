"""Unfinished work: what calls left in their scratch folders, one folder for each result's key.

A folder goes by itself once its result is on disk. What stays is of work that nobody went on with, or is being gone on with.
"""

from __future__ import annotations

import re
import shutil
import time
from pathlib import Path
from typing import NamedTuple

DAY = 24 * 3600.0
_KEY = re.compile(r"[0-9a-f]{40}")


class Work(NamedTuple):
    """changed: when its folder was handed out or written to last, in seconds since the epoch."""

    folder: Path
    nbytes: int
    changed: float


def unfinished(scratch: Path) -> list[Work]:
    """All of it, the longest untouched first. Folders that are not called by a key are somebody else's."""
    try:
        folders = [folder for folder in scratch.iterdir() if _KEY.fullmatch(folder.name) and not folder.is_symlink()]
    except OSError:
        return []
    return sorted((_work(folder) for folder in folders if folder.is_dir()), key=lambda work: work.changed)


def forget_unfinished(scratch: Path, seconds: float) -> list[Work]:
    """Remove what nobody has touched for so long; gives what is gone."""
    gone = []
    for work in unfinished(scratch):
        if time.time() - _work(work.folder).changed >= seconds:  # it may have been taken up again since they were listed
            shutil.rmtree(work.folder, ignore_errors=True)
            if not work.folder.exists():
                gone.append(work)
    return gone


def _work(folder: Path) -> Work:
    nbytes, changed = 0, 0.0
    for path in (folder, *folder.rglob("*")):
        try:
            stat = path.lstat()
        except OSError:  # a checkpoint that has just made way for the next
            continue
        nbytes += stat.st_size if path.is_file() else 0
        changed = max(changed, stat.st_mtime)
    return Work(folder, nbytes, changed or time.time())

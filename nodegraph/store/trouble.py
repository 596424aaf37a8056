"""Words for people about a cache folder that does not do as it should."""

from __future__ import annotations

import errno
import sqlite3
from pathlib import Path

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_REFUSED = (errno.EACCES, errno.EPERM, errno.EROFS)
_NO_FOLDER = (errno.ENOTDIR, errno.EEXIST, errno.ENOENT, errno.ENAMETOOLONG, errno.ELOOP)


def explain(error: Exception, folder: Path) -> str:
    """What happened, to which folder, and what to do."""
    number = error.errno if isinstance(error, OSError) else None
    code = (getattr(error, "sqlite_errorcode", None) or 0) & 0xFF
    if number in _FULL or code == sqlite3.SQLITE_FULL:
        happened = f"There is no room for the cache folder {folder}, so results are not kept on disk."
        return f"{happened} Free some space there, or empty the cache with `nodegraph cache clear`."
    if number in _REFUSED or code in (sqlite3.SQLITE_READONLY, sqlite3.SQLITE_PERM, sqlite3.SQLITE_CANTOPEN):
        happened = f"The cache folder {folder} cannot be written, so results are not kept on disk."
        return f"{happened} Allow writing to it, or choose another data folder."
    if number in _NO_FOLDER:
        happened = f"The cache folder {folder} cannot be made ({error.strerror if isinstance(error, OSError) else error})."
        return f"{happened} Results are not kept on disk: move what is in its place, or choose another data folder."
    if isinstance(error, TimeoutError) or code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
        happened = f"Another process has kept the cache folder {folder} locked, so results were not kept on disk."
        return f"{happened} End the process if it hangs, or choose another data folder."
    return f"Results were not kept in the cache folder {folder}: {error}. Check the disk, or choose another data folder."

"""Writing files whole or not at all, and so that a power cut does not take back what was reported as written.

The data goes into a temporary file beside the target, is flushed to the disk and renamed over it; then the folder is flushed,
because the rename is an entry of the folder. A link is followed: what it points to is replaced, the link stays.
"""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import stat
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO

from nodegraph.sdk.errors import Problem

_ENDING = ".saving"
_NAME_BYTES = 200  # of the target's name in the temporary file's: file systems take 255
_NOT_FOR_FOLDERS = (errno.EINVAL, errno.ENOTSUP, errno.EBADF)  # file systems that flush no folders


class NotWritten(OSError):
    """A file that could not be written: `path`, and in words why and what to do. What was there before is there whole."""

    def __init__(self, number: int, why: str, path: Path, message: str, hint: str) -> None:
        super().__init__(number, why, str(path))
        self.path, self.message, self.hint = path, message, hint

    def __str__(self) -> str:
        return f"{self.message} {self.hint}"

    def __reduce__(self) -> tuple[object, ...]:
        return NotWritten, (self.errno, self.strerror, self.path, self.message, self.hint)

    @property
    def problem(self) -> Problem:
        return Problem("not_written", self.message, hint=self.hint)


def write_atomically(path: Path, data: bytes, before_replacing: Callable[[], None] | None = None, mode: int = 0o666) -> None:
    """Put `data` at `path` whole or not at all; a file that is replaced passes its permissions on.

    A new file has the permissions `mode` less the umask, from its first byte on. `before_replacing` is called at the last
    moment; when it raises, nothing has happened. Raises NotWritten.
    """
    target = real_place(path)
    old = replaceable(target)
    try:
        with _temporary(target, mode if old is None else 0o600) as (temporary, file):
            file.write(data)
            file.flush()
            if old is not None:
                _pass_on(old, file.fileno())
            os.fsync(file.fileno())
            if before_replacing is not None:
                before_replacing()
            if sys.platform == "win32":
                file.close()  # an open file cannot be renamed there
            temporary.replace(target)
    except NotWritten:
        raise
    except OSError as error:
        raise not_written(error, path) from None
    try:
        flush_folder(target.parent)
    except OSError as error:
        message = f"{path} was written, but the disk does not confirm it ({error.strerror})."
        raise NotWritten(
            error.errno or errno.EIO, str(error.strerror), path, message, "Save again, and check the disk."
        ) from None


def remove(path: Path) -> None:
    """Remove a file, so that a power cut does not bring it back. Raises NotWritten."""
    try:
        path.unlink()
        flush_folder(path.parent)
    except OSError as error:
        raise not_written(error, path) from None


def rename(path: Path, to: Path) -> None:
    """Give a file another name in its folder; nothing may lie there. Raises NotWritten."""
    try:
        if to.exists() or to.is_symlink():
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST))
        path.rename(to)
        flush_folder(to.parent)
    except OSError as error:
        raise not_written(error, to) from None


def real_place(path: Path) -> Path:
    """Where a file really lies: absolute, links followed. Raises NotWritten for links that lead in a circle."""
    try:
        target = Path(os.path.realpath(path))
        if target.is_symlink():
            raise OSError(errno.ELOOP, os.strerror(errno.ELOOP))
    except ValueError:
        raise not_written(OSError(errno.EINVAL, "no file can have this name"), path) from None
    except OSError as error:
        raise not_written(error, path) from None
    return target


def replaceable(path: Path) -> os.stat_result | None:
    """The file that writing would replace, None where there is none. Raises NotWritten where it is no file or read-only."""
    try:
        old = path.stat()
        if stat.S_ISDIR(old.st_mode):
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
        if not stat.S_ISREG(old.st_mode):
            raise OSError(errno.EINVAL, "it is a device or a pipe, not a file")
        if not os.access(path, os.W_OK):
            number = errno.EROFS if _on_read_only_disk(path) else errno.EACCES
            raise OSError(number, os.strerror(number))
    except FileNotFoundError:
        return None
    except OSError as error:
        raise not_written(error, path) from None
    return old


def remove_leftovers(path: Path) -> None:
    """Remove the temporary files that processes left behind which were killed while they wrote `path`.

    A file that is being written is locked, so it stays; where there are no locks, leftovers stay too.
    """
    if sys.platform == "win32":
        return
    beginning = _beginning(path)
    with contextlib.suppress(OSError), os.scandir(path.parent) as entries:
        names = [entry.name for entry in entries if entry.name.startswith(beginning) and entry.name.endswith(_ENDING)]
        for name in names:
            with contextlib.suppress(OSError):
                handle = os.open(path.parent / name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
                try:
                    if _lock(handle):
                        (path.parent / name).unlink()
                finally:
                    os.close(handle)


@contextlib.contextmanager
def _temporary(target: Path, mode: int) -> Iterator[tuple[Path, BinaryIO]]:
    """A new file beside `target`, open and locked; removed when an error comes out."""
    while True:
        temporary = target.parent / f"{_beginning(target)}{secrets.token_hex(4)}{_ENDING}"
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)
        try:
            handle = os.open(temporary, flags, mode)  # the system takes the umask off the mode
        except FileExistsError:
            continue
        file = os.fdopen(handle, "wb")
        try:
            if _lock(handle) is False or os.fstat(handle).st_nlink == 0:  # taken for a leftover before it was locked
                continue
            yield temporary, file
            return
        except BaseException:
            with contextlib.suppress(OSError):
                file.close()
            with contextlib.suppress(OSError):
                temporary.unlink(missing_ok=True)
            raise
        finally:
            with contextlib.suppress(OSError):  # it is flushed to the disk, or of no use
                file.close()


def _beginning(target: Path) -> str:
    return f".{target.name.encode(errors='surrogateescape')[:_NAME_BYTES].decode(errors='ignore')}-"


def _on_read_only_disk(path: Path) -> bool:
    return sys.platform != "win32" and bool(os.statvfs(path).f_flag & os.ST_RDONLY)


def _pass_on(old: os.stat_result, handle: int) -> None:
    """Give a new file the owner and the permissions of the old one, as far as that is allowed."""
    if sys.platform == "win32":
        return
    mine = os.fstat(handle)
    for user, group in ((-1, old.st_gid), (old.st_uid, -1)):
        if user not in (-1, mine.st_uid) or group not in (-1, mine.st_gid):
            with contextlib.suppress(OSError):
                os.fchown(handle, user, group)
    os.fchmod(handle, stat.S_IMODE(old.st_mode))


def flush_folder(folder: Path) -> None:
    """Flush a folder's entries to the disk: names of files that were made, moved or removed in it. Raises OSError."""
    if sys.platform == "win32":
        return
    try:
        handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    except PermissionError:  # a folder that may be written but not listed
        return
    try:
        os.fsync(handle)
    except OSError as error:
        if error.errno not in _NOT_FOR_FOLDERS:
            raise
    finally:
        os.close(handle)


if sys.platform == "win32":

    def _lock(handle: int) -> bool | None:
        return None

else:
    import fcntl

    def _lock(handle: int) -> bool | None:
        """Lock an open file: False where somebody else has, None where the file system knows no locks."""
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        except OSError:
            return None
        return True


def not_written(error: OSError, path: Path) -> NotWritten:
    """The same error, worded for the person who wanted to write `path`."""
    message, hint = _worded(error, path)
    return NotWritten(error.errno or errno.EIO, error.strerror or str(error), path, message, hint)


def _worded(error: OSError, path: Path) -> tuple[str, str]:
    why = error.strerror or str(error)
    match error.errno:
        case errno.ENOSPC | errno.EDQUOT | errno.EFBIG:
            return f"There is no room for {path} ({why}).", "Free some space there, or save somewhere else."
        case errno.ENAMETOOLONG:
            return f"The name is too long for the file system: {path.name[:60]}...", "Choose a shorter name."
        case errno.ENOENT | errno.ENOTDIR if not path.parent.is_dir():
            return f"{path} cannot be written: there is no folder {path.parent}.", "Make the folder first, or save elsewhere."
        case errno.EISDIR:
            return f"{path} is a folder.", "Add a file name."
        case errno.ELOOP:
            return f"{path} is a link that leads in a circle.", "Remove it, or choose another name."
        case errno.EROFS:
            return f"{path} cannot be written: the disk is read-only.", "Save somewhere else."
        case errno.EACCES | errno.EPERM:
            locked = path if path.exists() and not os.access(path, os.W_OK) else path.parent
            return f"{path} cannot be written ({why}).", f"Allow writing to {locked}, or save somewhere else."
        case errno.EIO:
            return f"{path} cannot be written: the disk reports an error ({why}).", "Save somewhere else, and check the disk."
    return f"{path} cannot be written: {why}.", "Save somewhere else."

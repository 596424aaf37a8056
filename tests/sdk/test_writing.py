"""Files are written whole or not at all, and what is wrong is said in words for people."""

from __future__ import annotations

import contextlib
import errno
import os
import pickle
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from crash.disks import make_read_only, small_disk

from nodegraph.sdk.writing import NotWritten, remove_leftovers, write_atomically


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_a_new_file_has_the_rights_that_any_program_would_give_it(tmp_path: Path) -> None:
    program = "import os, sys; os.umask(0o027); from pathlib import Path; from nodegraph.sdk.writing import write_atomically;"
    subprocess.run([sys.executable, "-c", f"{program} write_atomically(Path(sys.argv[1]), b'x')", tmp_path / "w"], check=True)
    assert mode_of(tmp_path / "w") == 0o640


@pytest.mark.parametrize("mode", [0o600, 0o644, 0o660, 0o755])
def test_a_replaced_file_keeps_its_permissions(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "w"
    path.write_bytes(b"old")
    path.chmod(mode)
    write_atomically(path, b"new")
    assert (path.read_bytes(), mode_of(path)) == (b"new", mode)


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root can give files away")
def test_a_replaced_file_keeps_its_owner(tmp_path: Path) -> None:
    path = tmp_path / "w"
    path.write_bytes(b"old")
    os.chown(path, 1234, 2345)
    write_atomically(path, b"new")
    assert (path.stat().st_uid, path.stat().st_gid) == (1234, 2345)


def test_what_a_link_points_to_is_replaced_and_the_link_stays(tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    real, link, second = tmp_path / "there" / "w", tmp_path / "link", tmp_path / "second"
    real.write_bytes(b"old")
    link.symlink_to(Path("there") / "w")
    second.symlink_to(link)
    write_atomically(second, b"new")
    assert (real.read_bytes(), link.is_symlink(), second.is_symlink()) == (b"new", True, True)
    assert list((tmp_path / "there").iterdir()) == [real]


def test_a_link_to_nothing_gets_its_file(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "w")
    write_atomically(tmp_path / "link", b"new")
    assert (tmp_path / "w").read_bytes() == b"new"


def circle(path: Path) -> Path:
    (path / "a").symlink_to(path / "b")
    (path / "b").symlink_to(path / "a")
    return path / "a"


def locked(path: Path) -> Path:
    (path / "w").write_bytes(b"old")
    (path / "w").chmod(0o444)
    return path / "w"


def pipe(path: Path) -> Path:
    os.mkfifo(path / "pipe")
    return path / "pipe"


WRONG: dict[str, tuple[Callable[[Path], Path], int, str]] = {
    "no folder": (lambda path: path / "no" / "w", errno.ENOENT, "there is no folder"),
    "a file as folder": (lambda path: locked(path) / "w", errno.ENOTDIR, "there is no folder"),
    "a folder": (lambda path: path, errno.EISDIR, "is a folder. Add a file name."),
    "too long": (lambda path: path / ("x" * 300), errno.ENAMETOOLONG, "Choose a shorter name"),
    "a circle of links": (circle, errno.ELOOP, "a link that leads in a circle"),
    "a device": (lambda path: Path("/dev/null"), errno.EINVAL, "a device or a pipe"),
    "a pipe": (pipe, errno.EINVAL, "a device or a pipe"),
    "a zero byte": (lambda path: path / "a\0b", errno.EINVAL, "no file can have this name"),
}


@pytest.mark.parametrize(("make", "number", "says"), WRONG.values(), ids=WRONG)
def test_what_cannot_be_written_says_why(tmp_path: Path, make: Callable[[Path], Path], number: int, says: str) -> None:
    path = make(tmp_path)
    before = sorted(tmp_path.iterdir())
    with pytest.raises(NotWritten) as caught:
        write_atomically(path, b"new")
    assert caught.value.errno == number
    assert says in str(caught.value)
    assert sorted(tmp_path.iterdir()) == before
    assert str(pickle.loads(pickle.dumps(caught.value))) == str(caught.value)


def test_names_as_long_as_the_file_system_takes_can_be_saved(tmp_path: Path) -> None:
    for name in ("x" * 255, "é" * 127):
        write_atomically(tmp_path / name, b"new")
        assert (tmp_path / name).read_bytes() == b"new"


AS_NOBODY = """
import os, sys
from pathlib import Path
from nodegraph.sdk.writing import write_atomically
if os.geteuid() == 0:
    os.setgid(65534); os.setuid(65534)
try:
    write_atomically(Path(sys.argv[1]), b"new")
except OSError as error:
    print(error)
"""


def as_nobody(path: Path) -> str:
    """What somebody without rights hears who writes there; Python itself has to be readable for them."""
    done = subprocess.run([sys.executable, "-c", AS_NOBODY, path], capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"no process without rights can run here: {done.stderr[-200:]}")
    return done.stdout


@pytest.fixture
def open_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that everybody can reach."""
    folder = tmp_path_factory.mktemp("open")
    for path in (folder, *folder.parents):
        with contextlib.suppress(PermissionError):
            if path.name.startswith(("pytest-", "popen-", "open")):
                path.chmod(0o755)
    return folder


def test_a_read_only_file_is_not_replaced_although_its_folder_would_allow_it(open_folder: Path) -> None:
    path = locked(open_folder)
    open_folder.chmod(0o777)
    assert f"Allow writing to {path}" in as_nobody(path)
    assert path.read_bytes() == b"old"
    assert list(open_folder.iterdir()) == [path]


def test_a_folder_without_rights_is_named(open_folder: Path) -> None:
    open_folder.chmod(0o555)
    assert f"Allow writing to {open_folder}" in as_nobody(open_folder / "w")


def test_a_folder_that_may_be_written_but_not_listed_will_do(open_folder: Path) -> None:
    open_folder.chmod(0o733)
    assert as_nobody(open_folder / "w") == ""
    assert (open_folder / "w").read_bytes() == b"new"


def test_a_full_disk_keeps_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", 64) as disk:
        write_atomically(disk / "w", b"old")
        with pytest.raises(NotWritten, match="There is no room for"):
            write_atomically(disk / "w", b"new" * 100_000)
        assert (disk / "w").read_bytes() == b"old"
        assert list(disk.iterdir()) == [disk / "w"]
        make_read_only(disk)
        with pytest.raises(NotWritten, match="read-only"):
            write_atomically(disk / "w", b"new")


def test_what_objects_at_the_last_moment_prevents_everything(tmp_path: Path) -> None:
    (tmp_path / "w").write_bytes(b"old")

    def object_() -> None:
        raise RuntimeError("no")

    with pytest.raises(RuntimeError):
        write_atomically(tmp_path / "w", b"new", object_)
    assert (tmp_path / "w").read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [tmp_path / "w"]


def test_the_folder_is_flushed_after_the_rename(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    done: list[str] = []
    fsync, replace = os.fsync, Path.replace

    def seen_fsync(handle: int) -> None:
        done.append("folder" if stat.S_ISDIR(os.fstat(handle).st_mode) else "file")
        fsync(handle)

    def seen_replace(self: Path, target: Path) -> Path:
        done.append("rename")
        return replace(self, target)

    monkeypatch.setattr(os, "fsync", seen_fsync)
    monkeypatch.setattr(Path, "replace", seen_replace)
    write_atomically(tmp_path / "w", b"new")
    assert done == ["file", "rename", "folder"]


LEAVE_ONE = """
import os, signal, sys
from pathlib import Path
from nodegraph.sdk.writing import write_atomically
write_atomically(Path(sys.argv[1]), b"new", lambda: os.kill(os.getpid(), signal.SIGKILL))
"""


def test_leftovers_of_the_dead_go_and_files_being_written_stay(tmp_path: Path) -> None:
    path = tmp_path / "w"
    strangers = [tmp_path / name for name in (".w-1.txt", ".v-12345678.saving", "w-12345678.saving")]
    for stranger in strangers:
        stranger.write_bytes(b"not ours")
    for _ in range(3):
        subprocess.run([sys.executable, "-c", LEAVE_ONE, path], check=False)
    assert len(list(tmp_path.glob(".w-*.saving"))) == 3

    def meanwhile() -> None:
        remove_leftovers(path)
        assert len(list(tmp_path.glob(".w-*.saving"))) == 1, "what is being written went too, or the dead one's stayed"

    write_atomically(path, b"new", meanwhile)
    assert sorted(tmp_path.iterdir()) == sorted([path, *strangers])

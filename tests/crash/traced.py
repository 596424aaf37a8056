"""Saves in processes of their own that strace kills, or feeds errors, at a system call of our choice.

A server that has imported everything forks them; each waits until strace holds it, so that calls are counted from there.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple, TextIO

import pytest

from nodegraph.sdk.writing import NotWritten
from nodegraph.store.documents import described
from nodegraph.store.ledger import digest_of
from nodegraph.store.revisions import NoRevision, Revisions

PATIENCE_SECONDS = 60
SAVED, TROUBLE, REFUSED = 0, 3, 4
"""How a save ends: well, without a revision, or not at all."""
_END = "/the-save-has-ended"
_ANYBODY_MAY_TRACE = (0x59616D61, ctypes.c_ulong(-1))
_IDLE = {"rt_sigtimedwait", "restart_syscall"}


def old(letters: int = 300) -> bytes:
    return f'{{"nodes": {{}}, "title": "old", "x": "{"o" * letters}"}}\n'.encode()


def new(letters: int = 300) -> bytes:
    return f'{{"nodes": {{}}, "title": "new", "x": "{"n" * letters}"}}\n'.encode()


class Ended(NamedTuple):
    """What became of a save: its exit status (negative for a signal), what it said, and the system calls it made."""

    status: int
    said: str
    calls: list[str]


def save(folder: Path) -> None:
    """Save what `new` is over whatever lies there."""
    _told(folder, Revisions(folder / "data").save(folder / "w.json", described(new())).trouble)


def stale_aware(folder: Path) -> None:
    """The same from what was opened."""
    base = digest_of(old())
    _told(folder, Revisions(folder / "data").save(folder / "w.json", described(new()), base).trouble)


def undo(folder: Path) -> None:
    _told(folder, Revisions(folder / "data").undo(folder / "w.json").trouble)


WORK: dict[str, Callable[[Path], None]] = {"save": save, "stale_aware": stale_aware, "undo": undo}


def _told(folder: Path, trouble: str) -> None:
    if trouble:
        raise RuntimeError(trouble)


def serve() -> None:
    """For each line `WORK FOLDER` fork a child that says who it is, waits, works, and ends; then say how it ended."""
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR1})
    with tempfile.TemporaryDirectory() as folder:  # what is imported on demand is there from now on
        (Path(folder) / "w.json").write_bytes(old())
        for work in (save, undo):
            work(Path(folder))
    for line in sys.stdin:
        name, _, folder = line.rstrip("\n").partition(" ")
        child = os.fork()
        if not child:
            _child(WORK[name], Path(folder))
        _, status = os.waitpid(child, 0)
        _say(os.waitstatus_to_exitcode(status))


def _say(number: int) -> None:
    sys.stdout.write(f"{number}\n")
    sys.stdout.flush()


def _child(work: Callable[[Path], None], folder: Path) -> None:
    ctypes.CDLL(None).prctl(*_ANYBODY_MAY_TRACE)
    _say(os.getpid())
    signal.sigwait({signal.SIGUSR1})
    code, said = SAVED, ""
    try:
        work(folder)
    except RuntimeError as error:
        code, said = TROUBLE, str(error)
    except (NotWritten, NoRevision) as error:
        code, said = REFUSED, str(error)
    except BaseException as error:
        code, said = 1, f"{type(error).__name__}: {error}"
    with contextlib.suppress(OSError):
        os.stat(_END)  # noqa: PTH116 (one system call)
    handle = os.open(folder / "said", os.O_WRONLY | os.O_CREAT)
    os.writev(handle, [said.encode()])  # no call that a save makes, so it never fails
    os._exit(code)


class Tracer:
    """The server, and strace on its children."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def run(self, folder: Path, work: str = "save", inject: str = "", calls: str = "") -> Ended:
        """Do the work in a child under strace. `inject` is strace's: `fsync:error=EIO:when=2`."""
        self._stdin.write(f"{work} {folder}\n")
        self._stdin.flush()
        pid = int(self._stdout.readline())
        log = folder / "log"
        options = [*(["-e", f"trace={calls}"] if calls else []), *(["-e", f"inject={inject}"] if inject else [])]
        strace = subprocess.Popen(
            ["strace", "-p", str(pid), "-o", log, *options],
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "LC_ALL": "C"},
        )
        assert strace.stderr is not None
        said = strace.stderr.readline()
        if "attached" not in said:
            os.kill(pid, signal.SIGKILL)
            self._stdout.readline()
            pytest.skip(f"strace cannot trace processes here: {said.strip()}")
        os.kill(pid, signal.SIGUSR1)
        status = int(self._stdout.readline())
        strace.wait(PATIENCE_SECONDS)
        strace.stderr.close()
        lines = log.read_text(errors="replace").partition(_END)[0].splitlines()
        log.unlink()
        told = folder / "said"
        text = told.read_text() if told.exists() else ""
        told.unlink(missing_ok=True)
        names = [match[1] for line in lines if (match := re.match(r"(\w+)\(", line)) and match[1] not in _IDLE]
        return Ended(status, text, names)

    @property
    def _stdin(self) -> TextIO:
        assert self._process.stdin is not None
        return self._process.stdin

    @property
    def _stdout(self) -> TextIO:
        assert self._process.stdout is not None
        return self._process.stdout


@contextmanager
def tracer() -> Iterator[Tracer]:
    """A server to trace. Skips the test where there is no strace."""
    if sys.platform != "linux" or shutil.which("strace") is None:
        pytest.skip("strace is not installed here (apt-get install strace): saves are not killed at every system call")
    tests = Path(__file__).parent.parent
    env = {**os.environ, "PYTHONPATH": os.pathsep.join((str(tests.parent), str(tests))), "PYTHONDONTWRITEBYTECODE": "1"}
    command = [sys.executable, "-c", "from crash.traced import serve; serve()"]
    with subprocess.Popen(command, env=env, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        yield Tracer(process)
        assert process.stdin is not None
        process.stdin.close()


def moments(calls: list[str]) -> list[tuple[str, int]]:
    """Every call by its name and its number among those of the name, as strace counts."""
    counts: Counter[str] = Counter()
    found = []
    for name in calls:
        counts[name] += 1
        found.append((name, counts[name]))
    return found

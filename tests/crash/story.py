"""The workflow that crashes are about, what it must give, and processes that run it."""

from __future__ import annotations

import multiprocessing
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count
from multiprocessing import forkserver
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from crash.pack import LOG_ENDING, folded, made, summary
from crash.worker import ITEMS, STEPS, Options, served

PATIENCE_SECONDS = 120


class Expected(NamedTuple):
    """What a story must give, and the names of all steps that lead there."""

    text: str
    steps: frozenset[str]


def expected(seed: int = 1, steps: int = STEPS) -> Expected:
    """The same in ten lines of Python."""
    names = []
    state = made(f"{seed}", 20_000)
    for _ in range(steps):
        names.append(state.name)
        state = folded(state)
    chosen = folded(state, b"chosen")
    items = [made(f"{seed}/{number}", 300) for number in range(ITEMS)]
    names += [state.name, chosen.name, *(item.name for item in items)]
    for _ in range(5):
        items = [folded(item) for item in items]
        names += [item.name for item in items]
    return Expected(summary([chosen, *items]), frozenset(names))


class Line(NamedTuple):
    """A step that has finished, and when on the machine's monotonic clock."""

    at: float
    name: str


@dataclass(frozen=True)
class Place:
    """Where a test's processes meet: a cache folder and a log of finished steps."""

    folder: Path
    log: Path

    @staticmethod
    def below(path: Path) -> Place:
        path.mkdir(parents=True, exist_ok=True)
        return Place(path / "cache", path / "log")

    def lines(self) -> list[Line]:
        """What the log says; a line that was cut off by a kill does not count."""
        text = self.log.read_bytes() if self.log.exists() else b""
        rows = [line.decode().split() for line in text.split(LOG_ENDING)[:-1]]
        return [Line(float(at), name) for at, name in rows]

    def start(self, **options: Any) -> Worker:
        """Begin a worker here; `options` are those of crash.worker."""
        return Worker(Options(folder=self.folder, log=self.log, **options))

    def run(self, **options: Any) -> Report:
        """Run a worker to its end."""
        return self.start(**options).report()


class Report(NamedTuple):
    """What a worker said at its end. `said` is what it logged, as people would read it."""

    status: str
    text: str | None
    problems: list[str]
    states: dict[str, list[str]]
    trouble: str | None
    said: str

    def computed(self) -> set[str]:
        return {node for node, (state, _) in self.states.items() if state == "computed"}


class Worker:
    """A process of its own that runs the story; a server that has imported everything forks it, so it begins at once."""

    def __init__(self, options: Options) -> None:
        self._connection, theirs = _CONTEXT.Pipe()
        self._said = options.log.with_name(f"said-{next(_NUMBERS)}")
        self._process = _CONTEXT.Process(target=served, args=(options, self._said, theirs), daemon=True)
        _serve()
        self._process.start()
        theirs.close()

    def wait_until_begun(self) -> None:
        """Wait until the run begins."""
        assert self._connection.poll(PATIENCE_SECONDS)
        assert self._connection.recv() == "begun", self._said.read_text()

    def kill_after(self, seconds: float) -> float | None:
        """Let it run this long and kill it: when that was, or None where it had ended before."""
        self._process.join(seconds)
        if self._process.exitcode is not None:
            return None
        at = time.monotonic()
        self._process.kill()
        self._process.join(PATIENCE_SECONDS)
        return at

    def reports(self) -> Iterator[Report]:
        """What it says of every run; it must end well."""
        while self._connection.poll(PATIENCE_SECONDS):
            try:
                found = self._connection.recv()
            except EOFError:
                break
            if found != "begun":
                yield Report(**found, said=self._said.read_text())
        self._process.join(PATIENCE_SECONDS)
        assert self._process.exitcode == 0, self._said.read_text()

    def report(self) -> Report:
        """What it says of its only run."""
        (found,) = self.reports()
        return found


_CONTEXT = multiprocessing.get_context("forkserver")
_NUMBERS = count()


def _serve() -> None:
    """Start the server, which finds what it is to import in PYTHONPATH alone."""
    tests = Path(__file__).parent.parent
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", os.pathsep.join((str(tests.parent), str(tests))))
        _CONTEXT.set_forkserver_preload(["crash.worker"])
        forkserver.ensure_running()

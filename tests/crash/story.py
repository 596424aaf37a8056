"""The workflow that crashes are about, what it must give, and processes that run it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from crash.pack import FLAW, LOG, LOG_ENDING, STEP_SECONDS, folded, made, summary

STEPS = 30
ITEMS = 6
PATIENCE_SECONDS = 120


def story(seed: int = 1, steps: int = STEPS, pack: str = "crash") -> dict[str, Any]:
    """A document: `steps` steps in a composite, chosen by a lazy node; six items of five steps, partly in a mapped composite."""

    def at(kind: str, links: Mapping[str, str] | None = None, **inputs: Any) -> dict[str, Any]:
        return {"type": f"{pack}/{kind}", "inputs": inputs, "links": dict(links or {})}

    return {
        "nodegraph": 1,
        "id": "story",
        "nodes": {
            "begin": at("begin", seed=seed),
            "run": at("stretch", {"state": "begin.state"}, steps=steps),
            "unused": at("begin", seed=-seed),
            "chosen": at("choose", {"one": "run.state", "other": "unused.state"}, first=True),
            "many": at("begin_many", seed=seed, count=ITEMS),
            "second": at("step", {"state": "many.states"}),
            "third": at("step", {"state": "second.state"}),
            "rest": at("stretch", {"state": "third.state"}, steps=3),
            "tell": at("tell", {"chosen": "chosen.state", "states": "rest.state"}),
            "keep": at("keep", {"text": "tell.text"}),
        },
        "interface": {"outputs": {"text": "keep.artifact"}},
    }


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

    def start(self, *options: object, step_seconds: float = 0.008, flaw: str = "") -> subprocess.Popen[str]:
        """Begin a worker on this folder; see crash/worker.py for its options."""
        command = [sys.executable, "-m", "crash.worker", str(self.folder), *map(str, options)]
        return begun(command, environment(self.log, step_seconds, flaw))

    def run(self, *options: object, step_seconds: float = 0.008, flaw: str = "") -> Report:
        """Run a worker to its end."""
        return report(self.start(*options, step_seconds=step_seconds, flaw=flaw))


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


def environment(log: Path, step_seconds: float, flaw: str = "") -> dict[str, str]:
    tests = Path(__file__).parent.parent
    own = {LOG: str(log), STEP_SECONDS: str(step_seconds), FLAW: flaw, "PYTHONDONTWRITEBYTECODE": "1"}
    return {**os.environ, **own, "PYTHONPATH": os.pathsep.join((str(tests.parent), str(tests)))}


def begun(command: list[str], env: dict[str, str], cwd: Path | str = "/") -> subprocess.Popen[str]:
    pipe = subprocess.PIPE
    return subprocess.Popen(command, env=env, cwd=cwd, text=True, stdin=subprocess.DEVNULL, stdout=pipe, stderr=pipe)


def report(process: subprocess.Popen[str]) -> Report:
    """Wait for a worker, which must end well."""
    return next(reports(process))


def reports(process: subprocess.Popen[str]) -> Iterator[Report]:
    """Wait for a worker that ran several times."""
    out, err = process.communicate(timeout=PATIENCE_SECONDS)
    assert process.returncode == 0, f"{process.returncode}\n{out}\n{err}"
    for line in out.splitlines():
        if line.startswith("{"):
            yield Report(**json.loads(line), said=err)


def wait_until_begun(process: subprocess.Popen[str]) -> None:
    """Wait until a worker has imported everything and begins its run."""
    assert process.stdout is not None
    line = process.stdout.readline()
    assert line == "begun\n", process.communicate(timeout=PATIENCE_SECONDS)


def kill_after(process: subprocess.Popen[str], seconds: float) -> float | None:
    """Let a process run this long and kill it: when that was, or None where it had ended before."""
    try:
        process.wait(timeout=seconds)
    except subprocess.TimeoutExpired:
        at = time.monotonic()
        process.kill()
        process.communicate(timeout=PATIENCE_SECONDS)
        return at
    return None

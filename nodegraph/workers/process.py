"""One worker process, seen from the server: started, spoken to, watched, and ended."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import signal
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from nodegraph.workers.messages import Attempt, BadFrame, Message, length_of, packed, unpacked

_LOG = logging.getLogger("nodegraph.worker")
_LONGEST_LINE = 1 << 16


class WorkerSetup(NamedTuple):
    """What every worker is started with."""

    data: str
    artifacts: str
    models: tuple[str, ...] = ()
    files: tuple[str, ...] = ()
    memory_bytes: int = 2 << 30
    disk_bytes: int = 10 << 30
    nice: int = 5
    heartbeat_seconds: float = 30.0
    limit_bytes: int | None = None
    """What the process may take; one that takes more is ended."""
    environment: Mapping[str, str] = {}


@dataclass
class WorkerStatus:
    """What is known of a worker. `state` is `starting`, `ready`, `stopping` or `dead`."""

    name: str
    state: str = "starting"
    pid: int = 0
    since: float = field(default_factory=time.time)
    rss: int = 0
    last: dict[str, Any] = field(default_factory=dict)


class WorkerProcess:
    """A child process. `on_message` is called for what it says, `on_end` once with the reason when it is gone."""

    def __init__(
        self,
        name: str,
        setup: WorkerSetup,
        on_message: Callable[[WorkerProcess, Message], None],
        on_end: Callable[[WorkerProcess, str], None],
    ) -> None:
        self.status = WorkerStatus(name)
        self.running: dict[str, Attempt] = {}
        self.alone = False
        self._setup, self._on_message, self._on_end = setup, on_message, on_end
        self._heard = time.monotonic()
        self._why = ""
        self._tasks: list[asyncio.Task[None]] = []
        self.ended = asyncio.Event()

    @property
    def name(self) -> str:
        return self.status.name

    async def start(self) -> None:
        """Start the process. Raises OSError."""
        setup = self._setup
        command = [sys.executable, "-m", "nodegraph.workers", json.dumps(setup._asdict())]
        pipes = {"stdin": asyncio.subprocess.PIPE, "stdout": asyncio.subprocess.PIPE, "stderr": asyncio.subprocess.PIPE}
        environment = {**os.environ, "PYTHONUNBUFFERED": "1", "HF_HUB_OFFLINE": "1", **setup.environment}
        self._child = await asyncio.create_subprocess_exec(
            *command, **pipes, env=environment, limit=_LONGEST_LINE, start_new_session=True
        )
        self.status.pid = self._child.pid
        self._heard = time.monotonic()
        reading = asyncio.create_task(self._read())
        logging_ = asyncio.create_task(self._log())
        watching = asyncio.create_task(self._watch())
        self._tasks = [reading, logging_, watching, asyncio.create_task(self._wait(reading, watching))]

    def send(self, message: Message) -> None:
        """Say something to the process; one that is gone hears nothing, and its end is told anyway."""
        if self._child.stdin is not None and not self._child.stdin.is_closing():
            self._child.stdin.write(packed(message))

    def give(self, attempt: Attempt) -> None:
        """Let it run a job."""
        self.running[attempt.job] = attempt
        self.alone = attempt.alone
        about = {"job": attempt.job, "attempt": attempt.number, "document": attempt.document, "wanted": attempt.wanted}
        self.send({"kind": "run", **about, "exact": attempt.exact, "priority": attempt.priority})

    def kill(self, why: str) -> None:
        """End it now."""
        self._why = self._why or why
        with contextlib.suppress(ProcessLookupError):
            self._child.kill()

    async def stop(self, seconds: float) -> None:
        """Let it write what it has in memory, and end; after so many seconds without asking."""
        self.status.state = "stopping"
        self.send({"kind": "stop"})
        try:
            async with asyncio.timeout(seconds):
                await self.ended.wait()
        except TimeoutError:
            self.kill("it did not stop in time")
            await self.ended.wait()

    # ---- watching ----

    async def _read(self) -> None:
        stream = self._child.stdout
        assert stream is not None
        try:
            while True:
                message = unpacked(await stream.readexactly(length_of(await stream.readexactly(4))))
                self._heard = time.monotonic()
                if message["kind"] == "ready":
                    self.status.state = "ready"
                if message["kind"] == "beat":
                    self.status.rss, self.status.last = message["rss"], message
                    self._check_memory()
                self._on_message(self, message)
        except asyncio.IncompleteReadError:
            return
        except BadFrame as error:
            self.kill(f"it does not speak the protocol ({error})")

    async def _log(self) -> None:
        stream = self._child.stderr
        assert stream is not None
        while True:
            try:
                line = await stream.readline()
            except ValueError:  # a line without an end
                continue
            if not line:
                return
            _LOG.info("%s", line.decode(errors="replace").rstrip(), extra={"worker": self.name})

    async def _watch(self) -> None:
        """Whoever is silent for too long is stuck."""
        while True:
            silent = time.monotonic() - self._heard
            if silent > self._setup.heartbeat_seconds:
                self.kill(f"it did not answer for {silent:.0f} s")
                return
            await asyncio.sleep(self._setup.heartbeat_seconds - silent + 0.05)

    def _check_memory(self) -> None:
        limit = self._setup.limit_bytes
        if limit is not None and self.status.rss > limit:
            self.kill(f"it took {self.status.rss / 1e9:.1f} GB, more than its limit of {limit / 1e9:.1f} GB")

    async def _wait(self, reading: asyncio.Task[None], watching: asyncio.Task[None]) -> None:
        code = await self._child.wait()
        await reading  # what it said before it ended counts
        watching.cancel()
        self.status.state = "dead"
        self.ended.set()
        self._on_end(self, self._why or _reason(code))


def _reason(code: int) -> str:
    """Why a process ended, in words."""
    if code < 0:
        try:
            return f"it was ended by {signal.Signals(-code).name}"
        except ValueError:
            return f"it was ended by signal {-code}"
    return "it ended" if code == 0 else f"it ended with exit code {code}"

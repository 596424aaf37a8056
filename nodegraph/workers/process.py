"""One worker process, seen from the server: started, spoken to, watched, and ended."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

import psutil

from nodegraph.logs import logger
from nodegraph.workers.last_words import LastWords
from nodegraph.workers.messages import FROM_WORKER, Attempt, BadFrame, Message, length_of, packed, unpacked

_LOG = logger("worker")
_LONGEST_LINE = 1 << 16
_LOOK_SECONDS = 0.25
_STARTING_SECONDS = 60.0
_LEFTOVER_SECONDS = 5.0
_TIGHT = 0.85
"""The part of a worker's limit from which on it is to give memory back."""
_FREE_AGAIN_SECONDS = 10.0


class WorkerSetup(NamedTuple):
    """What every worker is started with."""

    data: str
    artifacts: str
    models: tuple[str, ...] = ()
    files: tuple[str, ...] = ()
    memory_bytes: int = 2 << 30
    disk_bytes: int = 10 << 30
    nice: int = 10
    heartbeat_seconds: float = 30.0
    limit_bytes: int | None = None
    """What the process may take; one that takes more is ended."""
    environment: Mapping[str, str] = {}


@dataclass
class WorkerStatus:
    """What is known of a worker, also while it is away. `since` is when it came into its state, in seconds since 1970."""

    name: str
    state: Literal["starting", "ready", "stopping", "waiting"] = "starting"
    pid: int = 0
    since: float = field(default_factory=time.time)
    starts: int = 0
    failures: int = 0
    """How often in a row it ended before it was ready."""
    rss: int = 0
    usage: dict[str, Any] = field(default_factory=dict)
    versions: dict[str, str] = field(default_factory=dict)
    why: str = ""
    """Why it ended the last time; empty where it never did."""
    last_words: list[str] = field(default_factory=list)

    def become(self, state: Literal["starting", "ready", "stopping", "waiting"]) -> None:
        self.state, self.since = state, time.time()


class WorkerProcess:
    """A child process. `on_message` is called for what it says, `on_end` once with the reason when it is gone."""

    def __init__(
        self,
        status: WorkerStatus,
        setup: WorkerSetup,
        on_message: Callable[[WorkerProcess, Message], None],
        on_end: Callable[[WorkerProcess, str], None],
    ) -> None:
        self.status = status
        self.running: dict[str, Attempt] = {}
        self.alone = False
        self.worked = False
        self._setup, self._on_message, self._on_end = setup, on_message, on_end
        self._silence = 0.0
        self._freed = -_FREE_AGAIN_SECONDS
        self._why = ""
        self._words = LastWords()
        self._watching: asyncio.Task[None] | None = None
        self.ended = asyncio.Event()

    @property
    def name(self) -> str:
        return self.status.name

    async def start(self) -> None:
        """Start the process. Raises OSError."""
        setup = self._setup
        arguments = json.dumps({**setup._asdict(), "environment": {}, "server": os.getpid()})
        pipe = asyncio.subprocess.PIPE
        environment = {**os.environ, "PYTHONUNBUFFERED": "1", "HF_HUB_OFFLINE": "1", **setup.environment}
        command = [sys.executable, "-m", "nodegraph.workers", arguments]
        self._child = await asyncio.create_subprocess_exec(
            *command,
            stdin=pipe,
            stdout=pipe,
            stderr=pipe,
            env=environment,
            limit=_LONGEST_LINE,
            start_new_session=True,
        )
        self.status.pid, self.status.starts, self.status.rss, self.status.usage = self._child.pid, self.status.starts + 1, 0, {}
        self.status.become("starting")
        self._watching = asyncio.create_task(self._watch())

    def send(self, message: Message) -> None:
        """Say something to the process; one that is gone hears nothing, and its end is told anyway. Raises BadFrame."""
        frame = packed(message)
        if self._child.stdin is not None and not self._child.stdin.is_closing():
            self._child.stdin.write(frame)

    def give(self, attempt: Attempt) -> None:
        """Let it run a job. Raises BadFrame for one that is too large."""
        about = {"job": attempt.job, "attempt": attempt.number, "document": attempt.document, "wanted": attempt.wanted}
        self.send({"kind": "run", **about, "exact": attempt.exact, "priority": attempt.priority})
        self.running[attempt.job] = attempt
        self.alone = attempt.alone

    def done(self, job: str) -> None:
        """It runs a job no more."""
        self.running.pop(job, None)
        self.alone, self.worked = self.alone and bool(self.running), True

    def kill(self, why: str) -> None:
        """End it now, and what it started."""
        if self._child.returncode is None:
            self._why = self._why or why
            self._end_group()

    async def stop(self, seconds: float) -> None:
        """Let it write what it has in memory, and end; after so many seconds without asking."""
        if not self.ended.is_set():
            self.status.become("stopping")
            self.send({"kind": "stop"})
        try:
            async with asyncio.timeout(seconds):
                await self.ended.wait()
        except TimeoutError:
            self.kill("it did not stop in time")
            await self.ended.wait()

    # ---- watching ----

    async def _watch(self) -> None:
        """Look after the process from its start to its end, and tell of the end when all that it said was heard."""
        reading, logging = asyncio.create_task(self._read()), asyncio.create_task(self._log())
        waiting = asyncio.create_task(self._child.wait())
        looked = time.monotonic()
        while self._child.returncode is None:
            await asyncio.wait({waiting}, timeout=_LOOK_SECONDS)
            # where the server itself stood still, the time that passed says nothing about the worker
            passed, looked = time.monotonic() - looked, time.monotonic()
            self._silence += min(passed, 2 * _LOOK_SECONDS)
            with contextlib.suppress(Exception):  # whatever it is, the process is looked after
                self._look()
        self._end_group()  # what it started may hold its pipes open
        await asyncio.wait({reading, logging}, timeout=_LEFTOVER_SECONDS)
        for task in (reading, logging, waiting):
            task.cancel()
        await asyncio.gather(reading, logging, waiting, return_exceptions=True)
        reason = self._reason()
        self.status.why, self.status.last_words = reason, self._words.lines
        self.status.pid = self.status.rss = 0
        self.status.failures += not self._words.is_ready
        self.status.become("waiting")
        self.ended.set()
        self._on_end(self, reason)

    def _look(self) -> None:
        """End it where it is silent for too long or takes too much."""
        limit, patience = self._setup.limit_bytes, self._setup.heartbeat_seconds
        if self.status.state == "starting":
            patience = max(patience, _STARTING_SECONDS)
        if self._silence > patience:
            self.kill(f"it did not answer for {self._silence:.0f} s")
            return
        with contextlib.suppress(psutil.Error):
            self.status.rss = psutil.Process(self._child.pid).memory_info().rss
        if limit is not None and self.status.rss > limit:
            self.kill(f"it took {self.status.rss / 1e9:.1f} GB, more than its limit of {limit / 1e9:.1f} GB")
        elif limit is not None and self.status.rss > _TIGHT * limit and time.monotonic() - self._freed > _FREE_AGAIN_SECONDS:
            self._freed = time.monotonic()
            _LOG.info("worker_memory_tight", worker=self.name, rss=self.status.rss, limit=limit)
            self.send({"kind": "call", "id": 0, "what": "free", "arguments": "{}"})

    async def _read(self) -> None:
        stream = self._child.stdout
        assert stream is not None
        try:
            while True:
                message = unpacked(await stream.readexactly(length_of(await stream.readexactly(4))), FROM_WORKER)
                self._silence = 0.0
                self._heard(message)
        except (asyncio.IncompleteReadError, ConnectionError):
            return
        except BadFrame as error:
            self.kill(f"it does not speak the protocol ({error})")
        except Exception as error:  # JSON that is none, or of another form
            _LOG.fault("worker_misunderstood", error, worker=self.name)
            self.kill(f"it does not speak the protocol ({type(error).__name__})")

    def _heard(self, message: Message) -> None:
        match message["kind"]:
            case "ready":
                self._words.is_ready = True
                self.status.versions, self.status.failures = message["versions"], 0
                if self.status.state == "starting":
                    self.status.become("ready")
            case "beat":
                self.status.usage = json.loads(message["usage"])
            case "answer" if message["id"] == 0:
                return
        self._on_message(self, message)

    async def _log(self) -> None:
        stream = self._child.stderr
        assert stream is not None
        while True:
            try:
                line = await stream.readline()
            except ValueError:  # a line without an end
                continue
            except ConnectionError:
                return
            if not line:
                return
            said = line.decode(errors="replace").rstrip()
            if (kept := self._words.hear(said)) is not None:
                _LOG.warning("worker_said", worker=self.name, line=kept)
            else:
                _LOG.debug("worker_said", worker=self.name, line=said)

    def _reason(self) -> str:
        """Why it ended, in words."""
        code = self._child.returncode or 0
        reason = self._why or _ending(code)
        if not self._words.is_ready and not self._why and self._words.last:
            reason = f"{reason} before it was ready: {self._words.last}"
        return reason

    def _end_group(self) -> None:
        """SIGKILL for the process and all that it started, which share a group because it was started as a session."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._child.pid, signal.SIGKILL)


def _ending(code: int) -> str:
    if code >= 0:
        return "it ended" if code == 0 else f"it ended with exit code {code}"
    try:
        name = signal.Signals(-code).name
    except ValueError:
        return f"it was ended by signal {-code}"
    return f"it was ended by {name}" + (" (the system may be out of memory)" if name == "SIGKILL" else "")

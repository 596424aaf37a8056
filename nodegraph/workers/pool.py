"""The workers of a server: as many as there are devices, started again when they die, each with several jobs."""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import re
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from nodegraph.logs import logger
from nodegraph.sdk.errors import InvalidWorkflow, Problem
from nodegraph.workers.messages import Attempt, BadFrame, Message, as_text
from nodegraph.workers.process import WorkerProcess, WorkerSetup, WorkerStatus

__all__ = ["Listener", "Pool", "Room", "WorkerLost", "WorkerSetup"]

_LOG = logger("worker")
_FIRST_PAUSE, _LONGEST_PAUSE = 0.25, 30.0
_HEALTHY_SECONDS = 60.0
_CALL_SECONDS = 120.0


class WorkerLost(Exception):
    """The worker that was asked died before it answered, or none could be started."""


class Room(NamedTuple):
    """A worker that can take a job, and how many it runs. One of them is `next_empty`: who waits for an empty one gets it."""

    worker: str
    running: int
    next_empty: bool


class Listener(Protocol):
    """Who hears of workers. Called on the loop; must return at once."""

    def on_message(self, worker: str, message: Message) -> None:
        """`events`, `progress`, `preview`, `question`, `log` or `done` of an attempt that this worker runs."""
        ...

    def on_room(self) -> None:
        """Some worker can take a job."""
        ...

    def on_lost(self, worker: str, attempts: Sequence[Attempt], reason: str, *, crashed: bool) -> None:
        """A worker is gone with what it ran; `crashed` says that nobody asked it to."""
        ...


class Pool:
    """Keeps `count` workers alive while it is open. Use `open` and `close`."""

    def __init__(self, setup: WorkerSetup, listener: Listener, *, count: int | None = None, jobs_per_worker: int = 4) -> None:
        self._setup, self._listener, self._jobs_per_worker = setup, listener, jobs_per_worker
        self._environments = environments(count)
        self._workers: dict[str, WorkerProcess] = {}
        self._statuses = {f"worker-{i}": WorkerStatus(f"worker-{i}") for i in range(len(self._environments))}
        self._keeping: set[asyncio.Task[None]] = set()
        self._calls: dict[int, tuple[str, asyncio.Future[Any]]] = {}
        self._numbers = itertools.count(1)
        self._changed = asyncio.Event()
        self._closing = False

    def open(self) -> None:
        """Start the workers; who is ready says so."""
        for status, environment in zip(self._statuses.values(), self._environments, strict=True):
            self._keeping.add(asyncio.create_task(self._keep_alive(status, environment)))

    async def close(self, seconds: float) -> None:
        """Let all workers write what they have in memory, and end."""
        self._closing = True
        self._changed.set()
        for task in self._keeping:
            task.cancel()
        await asyncio.gather(*(worker.stop(seconds) for worker in self._workers.values()), return_exceptions=True)
        await asyncio.gather(*self._keeping, return_exceptions=True)

    def end_now(self) -> None:
        """Nobody waits any longer: end all workers. What they had not written is computed again some day."""
        self._closing = True
        for worker in self._workers.values():
            worker.kill("the server was stopped")

    # ---- jobs ----

    def rooms(self) -> list[Room]:
        """The workers that can take a job, those with the least to do first."""
        ready = sorted(self._all_ready(), key=lambda worker: (not worker.alone, len(worker.running)))
        rooms = [Room(worker.name, len(worker.running), worker is ready[0]) for worker in ready if self._has_room(worker)]
        return sorted(rooms, key=lambda room: room.running)

    def _all_ready(self) -> list[WorkerProcess]:
        return [worker for worker in self._workers.values() if worker.status.state == "ready"]

    def _has_room(self, worker: WorkerProcess) -> bool:
        is_full = len(worker.running) >= self._jobs_per_worker or (worker.alone and worker.running)
        return not is_full and not self._closing

    def give(self, name: str, attempt: Attempt) -> bool:
        """Let a worker run a job; False where it died meanwhile. Raises BadFrame for a job that is too large."""
        worker = self._workers.get(name)
        if worker is None or worker.status.state != "ready" or self._closing:
            return False
        worker.give(attempt)
        return True

    def cancel(self, job: str) -> bool:
        """Stop a job after the step that it is at; False where no worker runs it."""
        for worker in self._workers.values():
            if (attempt := worker.running.get(job)) is not None:
                worker.send({"kind": "cancel", "job": job, "attempt": attempt.number})
                return True
        return False

    def answer(self, job: str, node: str, choice: int) -> bool:
        """Answer a node's question; False where no worker runs the job."""
        for worker in self._workers.values():
            if job in worker.running:
                worker.send({"kind": "answer", "job": job, "node": node, "choice": choice})
                return True
        return False

    @property
    def running(self) -> int:
        """How many jobs run."""
        return sum(len(worker.running) for worker in self._workers.values())

    @property
    def statuses(self) -> list[WorkerStatus]:
        """What is known of each worker, also of those that are being started again."""
        return list(self._statuses.values())

    def jobs_of(self, name: str) -> list[str]:
        """The jobs that a worker runs."""
        worker = self._workers.get(name)
        return [] if worker is None else list(worker.running)

    @property
    def trouble(self) -> str:
        """Why no worker can be started, where none could the last time; else empty."""
        failed = [status for status in self._statuses.values() if status.failures]
        return failed[0].why if len(failed) == len(self._statuses) else ""

    # ---- calls ----

    async def call(
        self, what: str, arguments: Mapping[str, Any], *, worker: str | None = None, seconds: float = _CALL_SECONDS
    ) -> Any:
        """Let a worker do something besides jobs (`nodegraph.workers.calls`); waits until there is one, and for its answer.

        Raises InvalidWorkflow with what it says is wrong, and WorkerLost where none can be had or none answers in time.
        """
        number, future = next(self._numbers), asyncio.get_running_loop().create_future()
        try:
            async with asyncio.timeout(seconds):
                chosen = await self._one_ready(worker)
                self._calls[number] = chosen.name, future
                chosen.send({"kind": "call", "id": number, "what": what, "arguments": as_text(dict(arguments))})
                return await future
        except TimeoutError:
            raise WorkerLost(self.trouble or f"no worker answered within {seconds:.0f} s") from None
        except BadFrame as error:
            raise WorkerLost(str(error)) from None
        finally:
            self._calls.pop(number, None)

    async def _one_ready(self, name: str | None) -> WorkerProcess:
        """The worker of this name, or the one with the least to do, once it is ready. Raises WorkerLost."""
        while True:
            ready = [worker for worker in self._all_ready() if name in (None, worker.name)]
            if ready:
                return min(ready, key=lambda worker: len(worker.running))
            if self._closing or self.trouble:
                raise WorkerLost(self.trouble or "the server is being stopped")
            self._changed.clear()
            await self._changed.wait()

    # ---- keeping them alive ----

    async def _keep_alive(self, status: WorkerStatus, environment: Mapping[str, str]) -> None:
        """Start a worker again whenever it ends: soon where it had done something, after longer and longer pauses else."""
        pause = _FIRST_PAUSE
        setup = self._setup._replace(environment={**self._setup.environment, **environment})
        while not self._closing:
            worker = WorkerProcess(status, setup, self._on_message, self._on_end)
            began = time.monotonic()
            try:
                await worker.start()
            except OSError as error:
                status.why = f"it cannot be started: {error.strerror}"
                status.failures += 1
                status.become("waiting")
                self._changed.set()
                _LOG.error("worker_not_started", worker=status.name, why=status.why)
            else:
                self._workers[status.name] = worker
                await worker.ended.wait()
            was_well = worker.worked or time.monotonic() - began > _HEALTHY_SECONDS
            pause = _FIRST_PAUSE if was_well else min(2 * pause, _LONGEST_PAUSE)
            await asyncio.sleep(pause)

    def _on_message(self, worker: WorkerProcess, message: Message) -> None:
        match message["kind"]:
            case "ready":
                _LOG.info("worker_ready", worker=worker.name, pid=message["pid"])
                self._changed.set()
                self._listener.on_room()
            case "beat":
                return
            case "answer":
                self._answered(message)
            case kind if self._is_running(worker, message):
                if kind == "done":
                    worker.done(message["job"])
                self._listener.on_message(worker.name, message)
                if kind == "done":
                    self._listener.on_room()

    def _is_running(self, worker: WorkerProcess, message: Message) -> bool:
        attempt = worker.running.get(message["job"])
        return attempt is not None and attempt.number == message["attempt"]

    def _answered(self, message: Message) -> None:
        _, future = self._calls.get(message["id"], ("", None))
        if future is None or future.done():
            return
        if message["problems"] is not None:
            future.set_exception(InvalidWorkflow([Problem(**row) for row in json.loads(message["problems"])]))
        else:
            future.set_result(json.loads(message["result"] or "null"))

    def _on_end(self, worker: WorkerProcess, reason: str) -> None:
        attempts, worker.running = list(worker.running.values()), {}
        if self._workers.get(worker.name) is worker:
            del self._workers[worker.name]
        for name, future in list(self._calls.values()):
            if name == worker.name and not future.done():
                future.set_exception(WorkerLost(reason))
        self._changed.set()
        self._listener.on_lost(worker.name, attempts, reason, crashed=not self._closing)


def environments(count: int | None) -> list[dict[str, str]]:
    """The variables that give each worker its device: one worker for each GPU, one without where there is none."""
    gpus = _gpus()
    if count is None:
        count = max(1, len(gpus))
    if not gpus:
        return [{} for _ in range(count)]
    return [{"CUDA_VISIBLE_DEVICES": gpus[i % len(gpus)]} for i in range(count)]


def _gpus() -> list[str]:
    """The NVIDIA GPUs that this process may use, without asking a library that would open them."""
    if (named := os.environ.get("CUDA_VISIBLE_DEVICES")) is not None:
        names = (name.strip() for name in named.split(","))
        return list(itertools.takewhile(lambda name: name and name != "-1", names))  # CUDA too stops at what is no device
    found = [path for path in Path("/dev").glob("nvidia*") if re.fullmatch(r"nvidia\d+", path.name)]
    return [str(i) for i in range(len(found))]  # CUDA counts those that it sees, whatever their numbers in /dev

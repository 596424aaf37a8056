"""The workers of a server: as many as there are devices, started again when they die, each with several jobs."""

from __future__ import annotations

import asyncio
import itertools
import json
import logging
import os
import re
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from nodegraph.sdk.errors import InvalidWorkflow, Problem
from nodegraph.workers.messages import Attempt, Message
from nodegraph.workers.process import WorkerProcess, WorkerSetup, WorkerStatus

__all__ = ["Listener", "Pool", "WorkerLost", "WorkerSetup"]

_LOG = logging.getLogger("nodegraph.worker")
_FIRST_PAUSE, _LONGEST_PAUSE = 0.5, 30.0
_HEALTHY_SECONDS = 60.0


class WorkerLost(Exception):
    """The worker that was asked died before it answered."""


class Listener(Protocol):
    """Who hears of workers. Called on the loop; must return at once."""

    def on_message(self, worker: str, message: Message) -> None:
        """`events`, `preview`, `question` or `done` of an attempt."""
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
        self._pauses: dict[str, float] = {}
        self._keeping: set[asyncio.Task[None]] = set()
        self._calls: dict[int, tuple[str, asyncio.Future[Any]]] = {}
        self._numbers = itertools.count(1)
        self._changed = asyncio.Event()
        self._closing = False

    def open(self) -> None:
        """Start the workers; who is ready says so."""
        for number, environment in enumerate(self._environments):
            task = asyncio.create_task(self._keep_alive(f"worker-{number}", environment))
            self._keeping.add(task)

    async def close(self, seconds: float) -> None:
        """Let all workers write what they have in memory, and end."""
        self._closing = True
        for task in self._keeping:
            task.cancel()
        await asyncio.gather(*(worker.stop(seconds) for worker in self._workers.values()), return_exceptions=True)
        await asyncio.gather(*self._keeping, return_exceptions=True)

    # ---- jobs ----

    def with_room(self) -> tuple[str, int] | None:
        """A worker that can take a job, the one with the least to do, and how many it runs."""
        ready = [worker for worker in self._workers.values() if self._has_room(worker)]
        if not ready:
            return None
        worker = min(ready, key=lambda worker: len(worker.running))
        return worker.name, len(worker.running)

    def _has_room(self, worker: WorkerProcess) -> bool:
        is_full = len(worker.running) >= self._jobs_per_worker or (worker.alone and worker.running)
        return worker.status.state == "ready" and not is_full and not self._closing

    def give(self, name: str, attempt: Attempt) -> bool:
        """Let a worker run a job; False where it died meanwhile."""
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
        return [worker.status for worker in self._workers.values()]

    # ---- calls ----

    async def call(self, what: str, arguments: Mapping[str, Any], *, worker: str | None = None) -> Any:
        """Let a worker do something besides jobs (`nodegraph.workers.calls`); waits until there is one.

        Raises InvalidWorkflow with what it says is wrong, WorkerLost.
        """
        while not (chosen := self._ready(worker)):
            self._changed.clear()
            await self._changed.wait()
        number, future = next(self._numbers), asyncio.get_running_loop().create_future()
        self._calls[number] = chosen.name, future
        chosen.send({"kind": "call", "id": number, "what": what, "arguments": json.dumps(dict(arguments))})
        try:
            return await future
        finally:
            self._calls.pop(number, None)

    def _ready(self, name: str | None) -> WorkerProcess | None:
        ready = [worker for worker in self._workers.values() if worker.status.state == "ready" and name in (None, worker.name)]
        return min(ready, key=lambda worker: len(worker.running), default=None)

    # ---- keeping them alive ----

    async def _keep_alive(self, name: str, environment: Mapping[str, str]) -> None:
        pause = _FIRST_PAUSE
        setup = self._setup._replace(environment={**self._setup.environment, **environment})
        while not self._closing:
            worker = WorkerProcess(name, setup, self._on_message, self._on_end)
            began = time.monotonic()
            try:
                await worker.start()
            except OSError as error:
                _LOG.error("worker_not_started", extra={"worker": name, "why": error.strerror})
            else:
                self._workers[name] = worker
                await worker.ended.wait()
            pause = _FIRST_PAUSE if time.monotonic() - began > _HEALTHY_SECONDS else min(2 * pause, _LONGEST_PAUSE)
            await asyncio.sleep(pause)

    def _on_message(self, worker: WorkerProcess, message: Message) -> None:
        match message["kind"]:
            case "ready":
                self._changed.set()
                self._listener.on_room()
            case "beat":
                pass
            case "answer":
                _, future = self._calls.get(message["id"], ("", None))
                if future is not None and not future.done():
                    if "problem" in message:
                        problems = [Problem(**row) for row in json.loads(message["problem"])]
                        future.set_exception(InvalidWorkflow(problems))
                    else:
                        future.set_result(json.loads(message["result"]))
            case "done":
                worker.running.pop(message["job"], None)
                worker.alone = worker.alone and bool(worker.running)
                self._listener.on_message(worker.name, message)
                self._listener.on_room()
            case _:
                self._listener.on_message(worker.name, message)

    def _on_end(self, worker: WorkerProcess, reason: str) -> None:
        attempts, worker.running = list(worker.running.values()), {}
        if self._workers.get(worker.name) is worker:
            del self._workers[worker.name]
        for name, future in list(self._calls.values()):
            if name == worker.name and not future.done():
                future.set_exception(WorkerLost(reason))
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
        return [name for name in named.split(",") if name.strip() and name.strip() != "-1"]
    nodes = (re.fullmatch(r"nvidia(\d+)", path.name) for path in Path("/dev").glob("nvidia*"))
    return sorted((found[1] for found in nodes if found), key=int)

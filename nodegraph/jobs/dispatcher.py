"""Brings queued jobs to workers, and what workers say back into the store.

One task gives out jobs, another writes down what happened, in the order in which it was told; where the store cannot be
written (a full disk), it is tried again until it can, and nothing is given out meanwhile.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from nodegraph.jobs.commits import StoreFailed
from nodegraph.jobs.records import Ended, JobRecord
from nodegraph.jobs.store import JobStore
from nodegraph.workers import Attempt, Message, Pool

_LOG = logging.getLogger("nodegraph.jobs")
_AGAIN_SECONDS = 1.0
_TRANSIENT = "node_progress"


class Passing(NamedTuple):
    """What is shown while it is new and kept nowhere: progress and previews. `picture` is a PNG file."""

    job: str
    node: str
    type: str
    data: Mapping[str, Any]
    picture: bytes | None = None


class Dispatcher:
    """Between a store and a pool. `passing` hears of progress and previews; `ended` of jobs that are over."""

    def __init__(
        self, store: JobStore, passing: Callable[[Passing], None], ended: Callable[[JobRecord], None] = lambda job: None
    ) -> None:
        self.store, self._passing, self._ended = store, passing, ended
        self.pool: Pool | None = None
        self.trouble = ""
        self.live: dict[str, dict[str, dict[str, Any]]] = {}
        """What is known of the nodes of jobs that run, by job and node."""
        self.questions: dict[str, dict[str, dict[str, Any]]] = {}
        """What jobs that run ask a person, by job and node."""
        self._stopping: set[str] = set()
        self._inbox: asyncio.Queue[Callable[[], Any]] = asyncio.Queue()
        self._room = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []
        self._holding = False

    async def start(self, pool: Pool) -> None:
        """Put what was running back into the queue, and give out jobs from now on."""
        self.pool = pool
        await self.store.recover()
        pool.open()
        self._tasks = [asyncio.create_task(self._give_out()), asyncio.create_task(self._write_down())]

    async def drain(self, seconds: float) -> None:
        """Start nothing more; wait so long for what runs."""
        self._holding = True
        if self.pool is not None:
            try:
                async with asyncio.timeout(seconds):
                    while self.pool.running:
                        self._room.clear()
                        await self._room.wait()
            except TimeoutError:
                return

    async def close(self, seconds: float) -> None:
        """Let the workers end; what they still ran waits for the next start."""
        self._holding = True
        if self.pool is not None:
            await self.pool.close(seconds)
        await self._inbox.join() if not self.trouble else None
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def look(self) -> None:
        """There may be something to give out."""
        self._room.set()

    # ---- what people ask for ----

    async def cancel(self, id_: str) -> JobRecord | None:
        return await self._stop(id_, await self.store.cancel(id_))

    async def pause(self, id_: str) -> JobRecord | None:
        return await self._stop(id_, await self.store.pause(id_))

    async def _stop(self, id_: str, found: JobRecord | None) -> JobRecord | None:
        if found is not None and found.state == "running" and self.pool is not None and not self.pool.cancel(id_):
            self._stopping.add(id_)  # it is on its way to a worker
        if found is not None and found.state == "cancelled":
            self._ended(found)
        return found

    def answer(self, id_: str, node: str, choice: int) -> bool:
        """Answer a question of a job that runs; False where there is none."""
        asked = self.questions.get(id_, {})
        if node not in asked or self.pool is None or not self.pool.answer(id_, node, choice):
            return False
        del asked[node]
        return True

    # ---- giving out ----

    async def _give_out(self) -> None:
        while True:
            await self._room.wait()
            self._room.clear()
            try:
                while await self._give_one():
                    pass
                self.trouble = ""
            except StoreFailed as error:
                self._troubled(error)
                await asyncio.sleep(_AGAIN_SECONDS)
                self._room.set()

    async def _give_one(self) -> bool:
        assert self.pool is not None
        room = None if self._holding else self.pool.with_room()
        if room is None:
            return False
        worker, running = room
        job = await self.store.claim(worker, running)
        if job is None:
            return False
        document = await self.store.document(job.id)
        attempt = Attempt(job.id, job.attempts, document or "", job.wanted, job.exact, job.priority, job.alone)
        self.live[job.id] = {}
        if not self.pool.give(worker, attempt):
            self._later(lambda: self.store.put_back(job.id, job.attempts, "The worker was gone."))
        elif job.id in self._stopping:
            self.pool.cancel(job.id)
        self._stopping.discard(job.id)
        return True

    # ---- what workers say ----

    def on_room(self) -> None:
        self._room.set()

    def on_message(self, worker: str, message: Message) -> None:
        job, attempt = message["job"], message["attempt"]
        match message["kind"]:
            case "events":
                self._take_events(job, attempt, json.loads(message["events"]))
            case "preview":
                about = {name: message[name] for name in ("node", "width", "height")}
                self._passing(Passing(job, message["node"], "node_preview", about, message["png"]))
            case "question":
                asked = {"node": message["node"], **json.loads(message["question"])}
                self.questions.setdefault(job, {})[message["node"]] = asked
                self._later(lambda: self.store.tell([("job_question", job, {"attempt": attempt, **asked})]))
            case "done":
                self._forget(job)
                ended = Ended(**json.loads(message["ended"]))
                self._later(lambda: self._finish(job, attempt, ended))

    def on_lost(self, worker: str, attempts: Sequence[Attempt], reason: str, *, crashed: bool) -> None:
        for attempt in attempts:
            self._forget(attempt.job)
        pairs = [(attempt.job, attempt.number) for attempt in attempts]
        if crashed:
            _LOG.warning("worker_lost", extra={"worker": worker, "why": reason, "jobs": len(attempts)})
            self._later(lambda: self._lose(worker, pairs, reason))
        else:
            for job, number in pairs:
                self._later(lambda job=job, number=number: self.store.put_back(job, number, "The server was stopped."))  # type: ignore[misc]

    async def _finish(self, job: str, attempt: int, ended: Ended) -> None:
        found = await self.store.finish(job, attempt, ended)
        if found is not None and found.state in ("succeeded", "failed", "cancelled"):
            self._ended(found)
        self._room.set()

    async def _lose(self, worker: str, pairs: Sequence[tuple[str, int]], reason: str) -> None:
        await self.store.tell([("worker_lost", None, {"worker": worker, "reason": reason})])
        for found in await self.store.crashed(pairs, reason):
            if found.state in ("failed", "cancelled"):
                self._ended(found)
        self._room.set()

    def _take_events(self, job: str, attempt: int, events: Sequence[tuple[str, dict[str, Any]]]) -> None:
        kept = []
        rows = self.live.setdefault(job, {})
        for type_, data in events:
            node = data["node"]
            if type_ == _TRANSIENT:
                self._passing(Passing(job, node, type_, data))
                continue
            if type_ == "node_started":
                rows[node] = {"state": "running", "reason": "", "ms": 0.0}
            elif type_ == "node_finished":
                rows[node] = {"state": data["state"], "reason": data["reason"], "ms": data["ms"]}
            elif type_ == "node_failed":
                rows[node] = {"state": "failed", "reason": data["problem"]["message"], "ms": 0.0}
            kept.append((type_, job, {"attempt": attempt, **data}))
        if kept:
            self._later(lambda: self.store.tell(kept))

    def _forget(self, job: str) -> None:
        self.live.pop(job, None)
        self.questions.pop(job, None)
        self._stopping.discard(job)

    # ---- writing down ----

    def _later(self, work: Callable[[], Any]) -> None:
        self._inbox.put_nowait(work)

    async def _write_down(self) -> None:
        while True:
            batch = [await self._inbox.get()]
            while not self._inbox.empty():
                batch.append(self._inbox.get_nowait())
            while batch:
                results = await asyncio.gather(*(work() for work in batch), return_exceptions=True)
                again = [work for work, result in zip(batch, results, strict=True) if isinstance(result, StoreFailed)]
                for result in results:
                    if isinstance(result, StoreFailed):
                        self._troubled(result)
                    elif isinstance(result, BaseException):
                        _LOG.error("not_written_down", exc_info=result)
                for _ in range(len(batch) - len(again)):
                    self._inbox.task_done()
                batch = again
                if batch:
                    await asyncio.sleep(_AGAIN_SECONDS)
                    if self._holding and self.pool is not None and not self.pool.running:
                        return

    def _troubled(self, error: StoreFailed) -> None:
        if str(error) != self.trouble:
            _LOG.error("store_failed", extra={"why": str(error)})
        self.trouble = str(error)

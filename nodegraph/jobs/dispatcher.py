"""Brings queued jobs to workers, and what workers say back into the store.

One task gives out jobs, another writes down what happened, in the order in which it was told; where the store cannot be
written (a full disk), it is tried again until it can, and nothing is given out meanwhile.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from nodegraph.jobs import transitions
from nodegraph.jobs.commits import Transaction
from nodegraph.jobs.live import LiveJob, Passing
from nodegraph.jobs.opening import StoreFailed
from nodegraph.jobs.records import Ended, JobRecord
from nodegraph.jobs.records import job as stored
from nodegraph.jobs.store import JobStore
from nodegraph.logs import logger
from nodegraph.workers import Attempt, BadFrame, Message, Pool

_LOG = logger("jobs")
_AGAIN_SECONDS = 1.0
_LAST_WRITES_SECONDS = 5.0
_STOPPED = "The server was stopped."
_LOG_LEVELS = {"error": _LOG.error, "critical": _LOG.error, "warning": _LOG.warning, "info": _LOG.info}


class _Note(NamedTuple):
    """Something to write down: `work` in a transaction, and `then` with what it gave, once it is on disk."""

    work: Callable[[Transaction], Any]
    then: Callable[[Any], None] = lambda result: None


class Dispatcher:
    """Between a store and a pool. `passing` hears of progress and previews; `ended` of jobs that are over; `ran` of what
    attempts did that came to their end. `hushed` takes out of what went wrong where this machine's folders lie.
    """

    def __init__(
        self,
        store: JobStore,
        passing: Callable[[Passing], None],
        ended: Callable[[JobRecord], None] = lambda job: None,
        ran: Callable[[JobRecord, Ended], None] = lambda job, ended: None,
        hushed: Callable[[str], str] = lambda text: text,
    ) -> None:
        self.store, self._passing, self._ended, self._ran = store, passing, ended, ran
        self._hushed = hushed
        self.pool: Pool | None = None
        self.trouble = ""
        """Why the store cannot be used, if it cannot."""
        self.live: dict[str, LiveJob] = {}
        """What is known of jobs that run."""
        self._inbox: asyncio.Queue[_Note] = asyncio.Queue()
        self._room, self._changed = asyncio.Event(), asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []
        self._holding = self._hurried = False

    @property
    def hindrance(self) -> str:
        """Why nothing can be started at the moment, in words; empty where it can."""
        if self.trouble:
            return "The job store cannot be written."
        trouble = self.pool.trouble if self.pool is not None else ""
        return f"No worker can be started: {trouble}." if trouble else ""

    async def start(self, pool: Pool) -> None:
        """Put what was running back into the queue, and give out jobs from now on."""
        self.pool = pool
        await self.store.recover()
        pool.open()
        self._tasks = [asyncio.create_task(self._give_out()), asyncio.create_task(self._write_down())]
        self._room.set()

    async def drain(self, seconds: float) -> None:
        """Start nothing more; wait so long for what runs, or until `hurry`."""
        self._holding = True
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while self.pool is not None and self.pool.running and not self._hurried:
                    self._changed.clear()
                    await self._changed.wait()

    def hurry(self) -> None:
        """End at once: what runs is given up as it is, and waits for the next start."""
        self._holding = self._hurried = True
        if self.pool is not None:
            self.pool.end_now()
        self._changed.set()

    async def close(self, seconds: float) -> None:
        """Let the workers end; what they still ran waits for the next start."""
        self._holding = True
        if self.pool is not None:
            await self.pool.close(seconds)
        if self._tasks:
            with contextlib.suppress(TimeoutError):  # a store that cannot be written: jobs that seem to run are put back later
                async with asyncio.timeout(_LAST_WRITES_SECONDS):
                    await self._inbox.join()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def showing(self) -> list[Passing]:
        """What passes at the moment: what somebody who comes now has missed."""
        return [passing for live in self.live.values() for passing in live.passing]

    def look(self) -> None:
        """There may be something to give out."""
        self._room.set()

    # ---- what people ask for ----

    async def cancel(self, id_: str) -> JobRecord | None:
        return await self._stop(id_, transitions.cancel)

    async def pause(self, id_: str) -> JobRecord | None:
        return await self._stop(id_, transitions.pause)

    async def cancel_queued(self) -> int:
        """Cancel all that waits: how many jobs it was."""
        count = 0
        while cancelled := await self.store.cancel_queued():
            count += len(cancelled)
            for job in cancelled:
                self._over(job)
        return count

    async def _stop(self, id_: str, ask: Callable[[Transaction, str], JobRecord | None]) -> JobRecord | None:
        before, found = await self.store.write(lambda tx: (stored(tx.connection, id_), ask(tx, id_)))
        if found is not None and found.state == "running" and self.pool is not None:
            self.pool.cancel(id_)  # one that is on its way to a worker is looked at again when it is there
        if found is not None and found.state == "cancelled" and before is not None and before.state != "cancelled":
            self._over(found)
        return found

    def answer(self, id_: str, node: str, choice: int) -> bool:
        """Answer a question of a job that runs; False where there is none."""
        live = self.live.get(id_)
        if live is None or node not in live.questions or self.pool is None or not self.pool.answer(id_, node, choice):
            return False
        del live.questions[node]
        return True

    # ---- giving out ----

    async def _give_out(self) -> None:
        while True:
            await self._room.wait()
            self._room.clear()
            try:
                while await self._give_one():
                    pass
            except Exception as error:
                if isinstance(error, StoreFailed):
                    self._troubled(error)
                else:
                    _LOG.fault("not_given_out", error)
                await asyncio.sleep(_AGAIN_SECONDS)
                self._room.set()

    async def _give_one(self) -> bool:
        assert self.pool is not None
        for room in [] if self._holding else self.pool.rooms():
            job = await self.store.claim(room.worker, room.running, room.next_empty or not room.running)
            self.trouble = ""
            if job is not None:
                await self._give(self.pool, room.worker, job)
                return True
            if not room.running:
                return False  # nothing waits
        return False

    async def _give(self, pool: Pool, worker: str, job: JobRecord) -> None:
        """Bring a job that is claimed to a worker; whatever goes wrong, it does not stay claimed."""
        try:
            document = await self.store.document(job.id)
            attempt = Attempt(job.id, job.attempts, document or "", job.wanted, job.exact, job.priority, job.alone)
            if not self._holding and pool.give(worker, attempt):
                self.live[job.id] = LiveJob()
                _LOG.info("job_started", job=job.id, worker=worker, attempt=job.attempts)
                self._later(_Note(lambda tx: stored(tx.connection, job.id), self._stop_late))
            else:
                self._later(_Note(lambda tx: transitions.put_back(tx, job.id, job.attempts, "The worker was gone.")))
        except BadFrame as error:
            self._finish(job.id, job.attempts, _fault(f"The job cannot be sent to a worker: {error}."))
        except StoreFailed:
            self._later(_Note(lambda tx: transitions.put_back(tx, job.id, job.attempts, "The job store could not be read.")))
            raise
        except Exception as error:
            _LOG.fault("not_given", error, job=job.id)
            self._finish(job.id, job.attempts, _fault("The job cannot be read. The server's log says more."))

    def _stop_late(self, job: JobRecord | None) -> None:
        """A job that was to stop while it was on its way to its worker."""
        if job is not None and job.stopping and self.pool is not None:
            self.pool.cancel(job.id)

    # ---- what workers say ----

    def on_room(self) -> None:
        self._room.set()
        self._changed.set()

    def on_message(self, worker: str, message: Message) -> None:
        job, attempt = message["job"], message["attempt"]
        match message["kind"]:
            case "events":
                self._take_events(job, attempt, json.loads(message["events"]))
            case "progress":
                if job in self.live and self.live[job].is_running(message["node"]):
                    about = {name: message[name] for name in ("node", "done", "total")}
                    self._pass_on(Passing(job, message["node"], "node_progress", about))
            case "preview":
                about = {name: message[name] for name in ("node", "width", "height")}
                self._pass_on(Passing(job, message["node"], "node_preview", about, message["png"]))
            case "log":
                say = _LOG_LEVELS.get(message["level"], _LOG.info)
                say("node_said", job=job, node=message["node"], message=message["message"])
            case "question":
                asked = {"node": message["node"], **json.loads(message["question"])}
                self.live.setdefault(job, LiveJob()).questions[message["node"]] = asked
                self._later(_Note(lambda tx: tx.event("job_question", job, attempt=attempt, **asked)))
            case "done":
                self._finish(job, attempt, self._without_places(Ended(**json.loads(message["ended"]))))

    def on_lost(self, worker: str, attempts: Sequence[Attempt], reason: str, *, crashed: bool) -> None:
        for attempt in attempts:
            self.live.pop(attempt.job, None)
        pairs = [(attempt.job, attempt.number) for attempt in attempts]
        if crashed:
            _LOG.warning("worker_lost", worker=worker, why=reason, jobs=[attempt.job for attempt in attempts])
            self._later(_Note(lambda tx: self._lose(tx, worker, pairs, reason), self._tell_ended))
        elif pairs:
            self._later(_Note(lambda tx: [transitions.put_back(tx, job, number, _STOPPED) for job, number in pairs]))
        self._changed.set()

    def _lose(self, tx: Transaction, worker: str, pairs: Sequence[tuple[str, int]], reason: str) -> list[JobRecord]:
        tx.event("worker_lost", worker=worker, reason=reason)
        return transitions.crashed(tx, pairs, reason)

    def _tell_ended(self, jobs: Sequence[JobRecord]) -> None:
        for job in jobs:
            if job.finished is not None:
                self._over(job)
        self._room.set()

    def _over(self, job: JobRecord) -> None:
        took = None if job.finished is None or job.started is None else job.finished - job.started
        more: dict[str, Any] = {} if took is None else {"ms": round(took * 1000)}
        if job.error is not None:
            more["why"] = job.error.get("type")
        _LOG.info("job_ended", job=job.id, state=job.state, **more)
        self._ended(job)

    def _finish(self, job: str, attempt: int, ended: Ended) -> None:
        """An attempt is over. One that was stopped because its worker ends is no result.

        What is known of it live stays until its end is written down, so at no moment nothing is known.
        """
        live = self.live.get(job)
        if live is not None and not ended.nodes:  # it was cancelled
            ended = ended._replace(nodes=live.rows_at_end())

        def work(tx: Transaction) -> JobRecord | None:
            if ended.state == "stopped":
                return transitions.put_back(tx, job, attempt, _STOPPED)
            return transitions.finish(tx, job, attempt, ended)

        def then(found: JobRecord | None) -> None:
            if self.live.get(job) is live:
                self.live.pop(job, None)
            if found is not None:
                self._ran(found, ended)
                self._tell_ended([found])

        self._later(_Note(work, then))

    def _take_events(self, job: str, attempt: int, events: Sequence[tuple[str, dict[str, Any]]]) -> None:
        live = self.live.setdefault(job, LiveJob())
        for type_, data in events:
            if "problem" in data:
                data["problem"] = self._without_places_in(data["problem"])
            live.take(type_, data)

        def work(tx: Transaction) -> None:
            for type_, data in events:
                tx.event(type_, job, attempt=attempt, **data)

        self._later(_Note(work))

    def _pass_on(self, passing: Passing) -> None:
        if passing.job in self.live:
            self.live[passing.job].keep(passing)
        self._passing(passing)

    def _without_places(self, ended: Ended) -> Ended:
        failed = {name: row for name, row in ended.nodes.items() if row.get("state") == "failed"}
        told = {name: self._without_places_in(row) for name, row in failed.items()}
        return ended._replace(error=self._without_places_in(ended.error), nodes={**ended.nodes, **told})

    def _without_places_in(self, told: Any) -> Any:
        return told and json.loads(self._hushed(json.dumps(told, ensure_ascii=False)))

    # ---- writing down ----

    def _later(self, note: _Note) -> None:
        self._inbox.put_nowait(note)

    async def _write_down(self) -> None:
        while True:
            notes = [await self._inbox.get()]
            while not self._inbox.empty():
                notes.append(self._inbox.get_nowait())
            results = await self._until_written(notes)
            for note, result in zip(notes, results, strict=True):
                try:
                    if not isinstance(result, Exception):
                        note.then(result)
                except Exception as error:
                    _LOG.fault("not_told", error)
                self._inbox.task_done()

    async def _until_written(self, notes: Sequence[_Note]) -> list[Any]:
        """What the notes gave, all in one transaction; where one of them cannot be written, each in its own."""
        results: list[Any] = []
        together = True
        while len(results) < len(notes):
            try:
                if together:
                    results = await self.store.write(lambda tx: [note.work(tx) for note in notes])
                else:
                    results.append(await self.store.write(notes[len(results)].work))
                self.trouble = ""
            except StoreFailed as error:
                self._troubled(error)
                await asyncio.sleep(_AGAIN_SECONDS)
            except Exception as error:
                if not together:
                    _LOG.fault("not_written_down", error)
                    results.append(error)
                together = False
        return results

    def _troubled(self, error: StoreFailed) -> None:
        if not self.trouble:
            _LOG.error("store_failed", why=str(error))
        self.trouble = str(error)


def _fault(why: str) -> Ended:
    """The end of a job that could not be run, through no fault of its own."""
    error = {"type": "nodegraph:internal_error", "title": "The run did not succeed.", "status": 500, "detail": why}
    return Ended("failed", {}, {}, error, 0.0)

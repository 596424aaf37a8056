"""The state machine against a model of it in plain Python: whatever happens, in whatever order, jobs end once and in order."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from jobs.stores import ended, new, tables
from nodegraph.jobs import ordering, transitions
from nodegraph.jobs.commits import Transaction
from nodegraph.jobs.records import COLUMNS, JobRecord, count, record

ENDED = ("succeeded", "failed", "cancelled")
GOALS = {"cancelled": "cancelled", "paused": "paused", "queued": "queued"}


@dataclass
class Known:
    """A job as the model has it. The model's queue is a list, in which the next job is the first of the highest priority."""

    id: str
    priority: int
    state: str = "queued"
    attempts: int = 0
    crashes: int = 0
    alone: bool = False
    stopping: str | None = None


class Jobs(RuleBasedStateMachine):
    """Everything that people, workers and the machine do to jobs."""

    @initialize()
    def begin(self) -> None:
        self.connection = tables()
        self.jobs: list[Known] = []  # in the order of their ranks
        self.paused = False
        self.late: list[tuple[str, int]] = []  # attempts that are over, of which word may still come
        for _ in range(4):
            self.submit(0)

    def do(self, work: Any, *given: Any) -> Any:
        return work(Transaction(self.connection), *given)

    def pick(self, data: st.DataObject, *states: str) -> Known:
        return data.draw(st.sampled_from([job for job in self.jobs if job.state in states]))

    def has(self, *states: str) -> bool:
        return any(job.state in states for job in self.jobs)

    def queue(self) -> list[Known]:
        return sorted((job for job in self.jobs if job.state == "queued"), key=lambda job: -job.priority)

    def stop(self, job: Known) -> None:
        """A job that runs is no longer in a worker, and nothing came of it."""
        self.late.append((job.id, job.attempts))
        job.state, job.stopping = GOALS[job.stopping] if job.stopping else "queued", None
        job.alone = job.alone and job.state not in ENDED

    # ---- people ----

    @rule(data=st.data())
    def submit_one(self, data: st.DataObject) -> None:
        self.submit(data.draw(st.integers(-2, 2)))

    def submit(self, priority: int) -> None:
        made = self.do(transitions.add, new(priority=priority))
        self.jobs.append(Known(made.id, priority))

    @precondition(lambda self: self.jobs)
    @rule(data=st.data())
    def cancel(self, data: st.DataObject) -> None:
        job = self.pick(data, *{job.state for job in self.jobs})
        self.do(transitions.cancel, job.id)
        if job.state in ("queued", "paused"):
            job.state, job.alone = "cancelled", False
        elif job.state == "running":
            job.stopping = "cancelled"

    @precondition(lambda self: self.jobs)
    @rule(data=st.data())
    def pause(self, data: st.DataObject) -> None:
        job = self.pick(data, *{job.state for job in self.jobs})
        self.do(transitions.pause, job.id)
        if job.state == "queued":
            job.state = "paused"
        elif job.state == "running" and job.stopping != "cancelled":
            job.stopping = "paused"

    @precondition(lambda self: self.jobs)
    @rule(data=st.data())
    def resume(self, data: st.DataObject) -> None:
        job = self.pick(data, *{job.state for job in self.jobs})
        self.do(transitions.resume, job.id)
        if job.state == "paused":
            job.state = "queued"
        elif job.stopping == "paused":  # it has not stopped yet: it goes on when it has
            job.stopping = "queued"

    @precondition(lambda self: self.has("queued", "paused"))
    @rule(data=st.data())
    def move_before(self, data: st.DataObject) -> None:
        job, other = self.pick(data, "queued", "paused"), self.pick(data, "queued", "paused")
        self.do(ordering.move_before, job.id, other.id)
        if job is not other:
            self.jobs.remove(job)
            self.jobs.insert(self.jobs.index(other), job)
            job.priority = other.priority

    @precondition(lambda self: self.has("queued"))
    @rule(data=st.data(), first=st.booleans())
    def move_to_end(self, data: st.DataObject, first: bool) -> None:
        job = self.pick(data, "queued")
        self.do(ordering.move_to_end, job.id, "first" if first else "last")
        self.jobs.remove(job)
        others = [other.priority for other in self.jobs if other.state == "queued"]
        job.priority = (max if first else min)([job.priority, *others])
        place = next((i for i, at in enumerate(self.jobs) if at.priority == job.priority and at.state not in ENDED), None)
        self.jobs.insert(len(self.jobs) if not first or place is None else place, job)

    @precondition(lambda self: self.has("queued", "paused"))
    @rule(data=st.data(), priority=st.integers(-2, 2))
    def set_priority(self, data: st.DataObject, priority: int) -> None:
        job = self.pick(data, "queued", "paused")
        self.do(ordering.set_priority, job.id, priority)
        # among equals its rank counts, which is only known where nothing was moved: go behind or before nobody
        ranks = dict(self.connection.execute("SELECT id, rank FROM jobs").fetchall())
        job.priority = priority
        self.jobs.sort(key=lambda job: ranks[job.id])

    @precondition(lambda self: self.has("failed", "cancelled"))
    @rule(data=st.data())
    def retry(self, data: st.DataObject) -> None:
        job = self.pick(data, "failed", "cancelled")
        made = self.do(transitions.retry, job.id)
        assert made.retry_of == job.id
        self.jobs.append(Known(made.id, job.priority))

    @rule(on=st.sampled_from([False, False, True]))
    def pause_queue(self, on: bool) -> None:
        self.do(transitions.pause_queue, on)
        self.paused = on

    @precondition(lambda self: self.has("queued"))
    @rule(most=st.integers(1, 2))
    def cancel_queued(self, most: int) -> None:
        expected = self.queue()[:most]
        assert [job.id for job in self.do(transitions.cancel_queued, most)] == [job.id for job in expected]
        for job in expected:
            job.state, job.alone = "cancelled", False

    # ---- workers ----

    @precondition(lambda self: self.has("queued"))
    @rule(times=st.integers(1, 4), suspects=st.sampled_from([True, True, False]))
    def claim_some(self, times: int, suspects: bool) -> None:
        for _ in range(times):
            self.claim(suspects)

    def claim(self, suspects: bool) -> None:
        running = sum(job.state == "running" for job in self.jobs)
        found = self.do(transitions.claim, "worker", running, suspects)
        waiting = [job for job in self.queue() if suspects or not job.alone]
        if self.paused or not waiting or (waiting[0].alone and running):
            assert found is None
            return
        assert found.id == waiting[0].id
        waiting[0].state = "running"
        waiting[0].attempts += 1
        assert found.attempts == waiting[0].attempts

    @precondition(lambda self: self.has("running"))
    @rule(data=st.data(), state=st.sampled_from(ENDED))
    def finish(self, data: st.DataObject, state: str) -> None:
        job = self.pick(data, "running")
        found = self.do(transitions.finish, job.id, job.attempts, ended(state))
        self.late.append((job.id, job.attempts))
        job.state = GOALS[job.stopping] if state == "cancelled" and job.stopping else state
        job.stopping, job.alone = None, job.alone and job.state not in ENDED
        assert found.state == job.state

    @precondition(lambda self: self.late)
    @rule(data=st.data(), how=st.sampled_from(["finish", "put_back", "crashed"]))
    def hear_late(self, data: st.DataObject, how: str) -> None:
        """Word of an attempt that is over changes nothing."""
        id_, attempt = data.draw(st.sampled_from(self.late))
        match how:
            case "finish":
                assert self.do(transitions.finish, id_, attempt, ended()) is None
            case "put_back":
                assert self.do(transitions.put_back, id_, attempt, "late") is None
            case "crashed":
                assert self.do(transitions.crashed, [(id_, attempt)], "late") == []

    @precondition(lambda self: self.has("running"))
    @rule(data=st.data())
    def go_wrong_run_again_and_hear_late(self, data: st.DataObject) -> None:
        """A job is given to another worker, and then word comes of its first one."""
        job = self.pick(data, "running")
        self.put_it_back(job)
        self.claim(True)
        assert self.do(transitions.finish, job.id, job.attempts - 1, ended()) is None
        assert self.do(transitions.put_back, job.id, job.attempts - 1, "late") is None

    @precondition(lambda self: self.has("running"))
    @rule(data=st.data())
    def put_back(self, data: st.DataObject) -> None:
        self.put_it_back(self.pick(data, "running"))

    def put_it_back(self, job: Known) -> None:
        self.do(transitions.put_back, job.id, job.attempts, "The worker was gone.")
        self.stop(job)

    @precondition(lambda self: self.has("running"))
    @rule(data=st.data())
    def crash_alone(self, data: st.DataObject) -> None:
        """Whoever runs alone, and dies with its worker, is to blame."""
        self.lose([self.pick(data, "running")])

    @precondition(lambda self: self.has("running"))
    @rule(data=st.data())
    def crash(self, data: st.DataObject) -> None:
        """A worker dies with some of what runs: only one that was alone is to blame, and the second time it fails."""
        running = [job for job in self.jobs if job.state == "running"]
        self.lose(data.draw(st.lists(st.sampled_from(running), min_size=1, unique_by=lambda job: job.id)))

    def lose(self, dying: list[Known]) -> None:
        self.do(transitions.crashed, [(job.id, job.attempts) for job in dying], "signal 9")
        for job in dying:
            if job.stopping:
                self.stop(job)
                continue
            job.crashes += len(dying) == 1
            job.alone = True
            self.stop(job)
            if job.crashes == transitions.MOST_CRASHES:
                job.state, job.alone = "failed", False

    @precondition(lambda self: self.has("running"))
    @rule()
    def restart(self) -> None:
        """The server was killed and starts again; nobody is to blame."""
        self.do(transitions.recover)
        for job in self.jobs:
            if job.state == "running":
                self.stop(job)

    # ---- what always holds ----

    @invariant()
    def the_store_is_as_the_model(self) -> None:
        rows = map(record, self.connection.execute(f"SELECT {COLUMNS} FROM jobs").fetchall())
        assert {row.id: _seen(row) for row in rows} == {
            job.id: (job.state, job.priority, job.attempts, job.crashes, job.alone, job.stopping) for job in self.jobs
        }

    @invariant()
    def what_waits_is_in_order(self) -> None:
        query = "SELECT id FROM jobs WHERE state = 'queued' ORDER BY priority DESC, rank"
        assert [id_ for (id_,) in self.connection.execute(query)] == [job.id for job in self.queue()]

    @invariant()
    def every_job_that_ended_was_told_of_once(self) -> None:
        told = Counter[str]()
        for id_, text in self.connection.execute("SELECT job, text FROM events"):
            told[id_] += json.loads(text)["type"] == "job_finished"
        assert {id_ for id_, times in told.items() if times} == {job.id for job in self.jobs if job.state in ENDED}
        assert max(told.values(), default=0) <= 1

    @invariant()
    def states_are_counted(self) -> None:
        states = Counter(job.state for job in self.jobs)
        for state in ("queued", "running", "paused", *ENDED):
            assert count(self.connection, state) == states[state]


def _seen(row: JobRecord) -> tuple[Any, ...]:
    return row.state, row.priority, row.attempts, row.crashes, row.alone, row.stopping


TestJobs = Jobs.TestCase
TestJobs.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)

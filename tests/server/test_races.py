"""Jobs that are cancelled, paused and resumed at any moment of their way to a worker and back: each ends, and once."""

from __future__ import annotations

import random
import time

import pytest

from server.harness import ServerProcess, chain, until

pytestmark = pytest.mark.slow


def ends_of(server: ServerProcess, id_: str) -> int:
    events = server.get(f"/api/jobs/{id_}/events")["events"]
    return sum(event["type"] == "job_finished" for event in events)


def test_jobs_that_are_cancelled_at_any_moment_end_once(server: ServerProcess) -> None:
    moments = random.Random(5)
    ids = []
    for i in range(30):
        ids.append(server.submit(chain([f"cancelled {i}"], seconds=0.05)))
        time.sleep(moments.uniform(0, 0.06))  # the moment is the test
        assert server.ask("POST", f"/api/jobs/{moments.choice(ids)}/cancel")[0] == 200
        server.ask("POST", f"/api/jobs/{ids[-1]}/cancel")
    for id_ in ids:
        assert server.wait(id_)["state"] in ("cancelled", "succeeded")
        assert ends_of(server, id_) == 1


def test_jobs_that_are_paused_and_resumed_at_any_moment_succeed(server: ServerProcess) -> None:
    moments = random.Random(6)
    for i in range(8):
        id_ = server.submit(chain([f"paused {i} a", f"paused {i} b"], seconds=0.1))
        for _ in range(3):
            time.sleep(moments.uniform(0, 0.15))
            server.ask("POST", f"/api/jobs/{id_}/pause")
            job = server.wait(id_, "paused", "succeeded", "failed", "cancelled")
            server.ask("POST", f"/api/jobs/{id_}/resume")
            if job["state"] != "paused":
                break
        job = server.wait(id_)
        assert job["state"] == "succeeded", job
        assert ends_of(server, id_) == 1


def test_a_job_whose_worker_dies_while_it_is_being_cancelled_is_cancelled(server: ServerProcess) -> None:
    workflow = chain(["dies while cancelled"], kind="die")
    id_ = server.submit(workflow)
    until(lambda: "dies while cancelled" in server.lines())
    server.ask("POST", f"/api/jobs/{id_}/cancel")
    assert server.wait(id_)["state"] in ("cancelled", "failed")
    assert ends_of(server, id_) == 1

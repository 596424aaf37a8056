"""Jobs over HTTP: submitted, run by a worker, looked at, stopped."""

from __future__ import annotations

import pytest

from server.harness import ServerProcess, chain, until

pytestmark = pytest.mark.slow


def test_a_job_runs_and_shows_its_outputs_and_nodes(server: ServerProcess) -> None:
    id_ = server.submit(chain(["a", "b"]), inputs={"label": "first"})
    job = server.wait(id_)
    assert job["state"] == "succeeded", job
    assert job["inputs"] == {"label": "first"}
    assert [row["media_type"] for row in job["outputs"]["page"]] == ["text/plain"]
    assert job["nodes"]["s0"]["state"] == "computed"
    assert job["attempts"] == 1


def test_a_job_that_runs_is_cancelled_within_a_step(server: ServerProcess) -> None:
    id_ = server.submit(chain(["long"], seconds=60.0))
    until(lambda: "long" in server.lines())
    server.ask("POST", f"/api/jobs/{id_}/cancel")
    assert server.wait(id_, seconds=10)["state"] == "cancelled"


def test_a_worker_that_dies_costs_only_the_job_that_killed_it(server: ServerProcess) -> None:
    good = server.submit(chain(["good 1", "good 2"], seconds=1.0))
    bad = server.submit(chain(["bad"], kind="die"))
    other = server.submit(chain(["good 3"]))
    assert server.wait(bad)["state"] == "failed"
    assert "SIGKILL" in server.get(f"/api/jobs/{bad}")["reason"]
    assert server.wait(good)["state"] == server.wait(other)["state"] == "succeeded"

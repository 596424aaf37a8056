"""Jobs over HTTP: submitted, run by a worker, looked at, moved, answered, tried again, stopped, forgotten."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from crash.disks import small_disk

from nodegraph.wire import Job, JobPage, Queue
from server.harness import BUSY, ServerProcess, chain, until

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


UNKNOWN = "0" * 26


@contextmanager
def paused(server: ServerProcess) -> Iterator[None]:
    """Nothing is started meanwhile, and afterwards the queue is empty."""
    server.ask("POST", "/api/queue/pause")
    try:
        yield
    finally:
        server.ask("POST", "/api/queue/clear")
        server.ask("POST", "/api/queue/resume")


def order(server: ServerProcess) -> list[str]:
    return [job["id"] for job in server.get("/api/queue")["queued"]]


def test_the_queue_is_reordered_by_moving_and_by_priority(server: ServerProcess) -> None:
    with paused(server):
        a, b, c, d = (server.submit(chain([label])) for label in "abcd")
        assert order(server) == [a, b, c, d]
        assert server.ask("POST", f"/api/jobs/{d}/move", {"before": b})[0] == 200
        assert order(server) == [a, d, b, c]
        server.ask("POST", f"/api/jobs/{c}/move", {"position": "first"})
        server.ask("POST", f"/api/jobs/{a}/move", {"position": "last"})
        assert order(server) == [c, d, b, a]
        status, job = server.ask("POST", f"/api/jobs/{b}/priority", {"priority": 5})
        assert (status, job["priority"]) == (200, 5)
        assert order(server) == [b, c, d, a]
        server.ask("POST", f"/api/jobs/{a}/move", {"before": b})
        assert order(server) == [a, b, c, d]
        assert server.get(f"/api/jobs/{a}")["priority"] == 5


def test_the_queue_comes_in_pages(server: ServerProcess) -> None:
    with paused(server):
        made = [server.submit(chain(["p"]), priority=number % 2) for number in range(5)]
        first = server.get("/api/queue?limit=3")
        second = server.get(f"/api/queue?limit=3&cursor={first['next']}")
        assert first["waiting"] == 5
        assert "next" not in second
        expected = [*made[1::2], *made[::2]]
        assert [job["id"] for page in (first, second) for job in Queue.model_validate(page).model_dump()["queued"]] == expected
        assert server.ask("GET", "/api/queue?cursor=nonsense")[0] == 422


def test_everything_that_waits_is_cancelled_in_one_go(server: ServerProcess) -> None:
    with paused(server):
        made = [server.submit(chain(["x"])) for _ in range(5)]
        resting = made.pop()
        server.ask("POST", f"/api/jobs/{resting}/pause")
        assert server.ask("POST", "/api/queue/clear") == (200, {"cancelled": 4})
        assert {server.get(f"/api/jobs/{id_}")["state"] for id_ in made} == {"cancelled"}
        assert server.get(f"/api/jobs/{resting}")["state"] == "paused"
        server.ask("POST", f"/api/jobs/{resting}/cancel")


def test_a_failed_job_is_tried_again_and_what_was_finished_comes_from_the_cache(server: ServerProcess) -> None:
    workflow = chain(["kept 1", "kept 2"])
    workflow["nodes"]["bad"] = {"type": "busy/refuse", "version": 1, "inputs": {"label": "bad"}}
    workflow["interface"]["outputs"]["bad"] = "bad.value"
    first = server.submit(workflow)
    assert server.wait(first)["state"] == "failed"
    status, answer = server.ask("POST", f"/api/jobs/{first}/retry")
    assert status == 202
    again = server.wait(answer["id"])
    assert again["retry_of"] == first
    assert {again["nodes"][node]["state"] for node in ("s0", "s1", "page")} <= {"hit", "not_needed"}
    assert server.get(f"/api/jobs/{first}")["retried_as"] == answer["id"]
    assert server.lines().count("kept 1") == 1


def test_a_job_that_succeeded_is_not_tried_again(server: ServerProcess) -> None:
    id_ = server.submit(chain(["fine"]))
    server.wait(id_)
    assert server.ask("POST", f"/api/jobs/{id_}/retry")[0] == 409


def test_the_workflow_of_a_job_is_the_one_that_ran(server: ServerProcess) -> None:
    id_ = server.submit(chain(["a"]), inputs={"label": "set"})
    document = server.get(f"/api/jobs/{id_}/workflow")
    assert document["nodes"]["s0"]["inputs"]["label"] == "set"
    again = server.submit(document)
    assert server.wait(again)["outputs"] == server.wait(id_)["outputs"]


def test_jobs_know_the_document_that_they_are_runs_of(server: ServerProcess) -> None:
    mine, other = {**chain(["d1"]), "id": "sketch 7"}, {**chain(["d2"]), "id": "another"}
    id_ = server.submit(mine, client="tab 3f")
    server.wait(server.submit(other))
    job = server.wait(id_)
    assert (job["document"], job["client"]) == ("sketch 7", "tab 3f")
    assert [row["id"] for row in server.get("/api/jobs?document=sketch%207")["jobs"]] == [id_]
    assert server.get("/api/jobs?document=nobody")["jobs"] == []
    told = [event for event in server.get(f"/api/jobs/{id_}/events")["events"] if event["type"].startswith("job_")]
    assert {(event["document"], event["client"]) for event in told} == {("sketch 7", "tab 3f")}
    assert {event["type"] for event in told} >= {"job_queued", "job_started", "job_finished"}


def test_a_job_tried_again_stays_with_its_document(server: ServerProcess) -> None:
    server.ask("POST", "/api/queue/pause")
    id_ = server.submit({**chain(["d3"]), "id": "sketch 8"}, client="tab 4a")
    server.ask("POST", f"/api/jobs/{id_}/cancel")
    again = server.ask("POST", f"/api/jobs/{id_}/retry")[1]["id"]
    server.ask("POST", "/api/queue/resume")
    assert [row["id"] for row in server.get("/api/jobs?document=sketch%208")["jobs"]] == [again, id_]
    assert server.get(f"/api/jobs/{again}")["client"] == "tab 4a"


@pytest.mark.parametrize("client", ["", "x" * 101, 7])
def test_a_client_that_does_not_fit_is_refused(server: ServerProcess, client: object) -> None:
    assert server.ask("POST", "/api/jobs", {"workflow": chain(["d4"]), "client": client})[0] == 422


def test_the_events_of_a_job_tell_its_story_in_pages(server: ServerProcess) -> None:
    id_ = server.submit(chain(["story"]))
    server.wait(id_)
    found = server.get(f"/api/jobs/{id_}/events")
    types = [event["type"] for event in found["events"]]
    assert types[:2] == ["job_queued", "job_started"]
    assert types[-1] == "job_finished"
    assert "node_finished" in types
    first = server.get(f"/api/jobs/{id_}/events?limit=2")
    rest = server.get(f"/api/jobs/{id_}/events?since={first['next']}")
    assert first["events"] + rest["events"] == found["events"]


def test_a_deleted_job_is_gone_with_its_file_unless_another_has_it(server: ServerProcess) -> None:
    first, second = server.submit(chain(["same"])), server.submit(chain(["same"]))
    digest = server.wait(first)["outputs"]["page"][0]["digest"].removeprefix("sha256:")
    server.wait(second)
    file = server.data / "artifacts" / digest[:2] / digest
    assert server.ask("DELETE", f"/api/jobs/{first}")[0] == 204
    assert server.ask("GET", f"/api/jobs/{first}")[0] == 404
    assert file.exists()
    assert server.ask("DELETE", f"/api/jobs/{second}")[0] == 204
    assert not file.exists()


def test_a_job_that_runs_is_not_deleted(server: ServerProcess) -> None:
    id_ = server.submit(chain(["runs on"], seconds=60.0))
    server.wait(id_, "running")
    assert server.ask("DELETE", f"/api/jobs/{id_}")[0] == 409
    server.ask("POST", f"/api/jobs/{id_}/cancel")
    server.wait(id_)


def test_a_running_job_shows_its_nodes_with_types_and_reasons(server: ServerProcess) -> None:
    workflow = chain(["quick", "slow"])
    workflow["nodes"]["s1"]["inputs"]["seconds"] = 60.0
    id_ = server.submit(workflow)
    nodes = until(lambda: "s1" in (found := server.get(f"/api/jobs/{id_}")["nodes"]) and found)
    assert nodes["s0"]["type"] == "busy/work"
    assert nodes["s0"]["state"] == "computed"
    assert nodes["s0"]["reason"]
    assert nodes["s1"]["state"] == "running"
    server.ask("POST", f"/api/jobs/{id_}/cancel")
    Job.model_validate(server.wait(id_))


def question(number: int) -> dict[str, Any]:
    lines = {"type": "core/split_lines", "version": 1, "inputs": {"value": "red\nblue"}}
    ask = {
        "type": "core/ask",
        "version": 1,
        "links": {"options": "lines.texts"},
        "inputs": {"question": "Which?", "again": number},
    }
    nodes = {"lines": lines, "ask": ask}
    return {"nodegraph": 1, "nodes": nodes, "interface": {"outputs": {"chosen": "ask.chosen"}}}


def test_a_question_is_shown_and_answered_once(server: ServerProcess) -> None:
    id_ = server.submit(question(1))
    (asked,) = until(lambda: server.get(f"/api/jobs/{id_}").get("questions"))
    assert (asked["text"], asked["choices"]) == ("Which?", ["red", "blue"])
    path = f"/api/jobs/{id_}/answer"
    assert server.ask("POST", path, {"node": asked["node"], "choice": 2})[0] == 422
    assert server.ask("POST", path, {"node": "lines", "choice": 0})[0] == 409
    assert server.ask("POST", path, {"node": asked["node"], "choice": 1})[0] == 200
    job = server.wait(id_)
    assert job["outputs"]["chosen"] == [{"value": "blue"}]
    assert server.ask("POST", path, {"node": asked["node"], "choice": 1})[0] == 409
    types = [event["type"] for event in server.get(f"/api/jobs/{id_}/events")["events"]]
    assert types.index("job_question") < types.index("job_answered")


def test_the_same_key_and_body_give_the_same_job_and_another_body_is_refused(server: ServerProcess) -> None:
    body = {"workflow": chain(["once"]), "accept": BUSY}
    key = {"Idempotency-Key": "a key of this test"}
    first, second = (server.ask("POST", "/api/jobs", body, headers=key) for _ in range(2))
    assert first[0] == second[0] == 202
    assert first[1]["id"] == second[1]["id"]
    status, problem = server.ask("POST", "/api/jobs", {**body, "priority": 1}, headers=key)
    assert (status, problem["type"]) == (409, "nodegraph:key_reused")


def test_what_was_refused_can_be_sent_again_with_its_key(server: ServerProcess) -> None:
    key = {"Idempotency-Key": "another key of this test"}
    assert server.ask("POST", "/api/jobs", {"workflow": chain(["twice"])}, headers=key)[0] == 403
    assert server.ask("POST", "/api/jobs", {"workflow": chain(["twice"]), "accept": BUSY}, headers=key)[0] == 202


def test_a_full_queue_says_when_to_come_again(new_server: Callable[..., ServerProcess]) -> None:
    with new_server(env={"NODEGRAPH_JOBS__MAX_QUEUED": "2"}) as small:
        small.ask("POST", "/api/queue/pause")
        for _ in range(2):
            small.submit(chain(["w"]))
        body = {"workflow": chain(["w"]), "accept": BUSY}
        status, problem = small.ask("POST", "/api/jobs", body)
        assert (status, problem["type"]) == (503, "nodegraph:queue_full")
        small.ask("POST", "/api/queue/clear")
        small.submit(chain(["w"]))


def test_on_a_full_disk_jobs_are_refused_and_with_room_again_they_run(
    tmp_path: Path, data_folder: Path, new_server: Callable[..., ServerProcess]
) -> None:
    with small_disk(tmp_path / "data", 8000) as disk:
        (disk / "catalog").symlink_to((data_folder / "catalog").resolve())
        with new_server() as small:
            before = small.submit(chain(["before"]))
            small.wait(before)
            ballast = disk / "ballast"
            with ballast.open("wb", buffering=0) as file, contextlib.suppress(OSError):
                while file.write(b"x" * 4096):
                    pass
            big = {**chain(["big"]), "layout": {"note": os.urandom(200_000).hex()}}
            status, problem = small.ask("POST", "/api/jobs", {"workflow": big, "accept": BUSY})
            assert (status, problem["type"]) == (507, "nodegraph:store_failed")
            assert small.get(f"/api/jobs/{before}")["state"] == "succeeded"
            ballast.unlink()
            assert small.wait(small.submit(chain(["after"])))["state"] == "succeeded"


@pytest.mark.parametrize("key", ["", "x" * 201, "\u00e9", "a\tb"])
def test_a_key_that_is_none_is_refused(server: ServerProcess, key: str) -> None:
    body = json.dumps({"workflow": chain(["a"]), "accept": BUSY}).encode()
    headers = {"Content-Type": "application/json", "Idempotency-Key": key}
    status, _, content = server.send("POST", "/api/jobs", body, headers)
    assert (status, json.loads(content)["type"]) == (422, "nodegraph:bad_key")


def test_a_second_server_on_a_data_folder_is_told_of_the_first(
    server: ServerProcess, new_server: Callable[..., ServerProcess]
) -> None:
    second = new_server()
    second.data = server.data
    with pytest.raises(AssertionError, match="Another server"):
        second.start()
    assert second.process.wait(30) == 1
    assert str(server.process.pid) in second.log.read_text()
    assert server.get("/healthz")["status"] == "ok"


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("GET", "", None),
        ("DELETE", "", None),
        ("GET", "/workflow", None),
        ("GET", "/events", None),
        ("POST", "/cancel", None),
        ("POST", "/pause", None),
        ("POST", "/resume", None),
        ("POST", "/retry", None),
        ("POST", "/move", {"position": "first"}),
        ("POST", "/priority", {"priority": 1}),
        ("POST", "/answer", {"node": "a", "choice": 0}),
    ],
)
@pytest.mark.parametrize("id_", [UNKNOWN, "no-id"])
def test_an_unknown_job_is_not_found(server: ServerProcess, method: str, path: str, body: Any, id_: str) -> None:
    status, problem = server.ask(method, f"/api/jobs/{id_}{path}", body)
    assert (status, problem["type"]) == (404, "nodegraph:not_found")


@pytest.mark.parametrize(
    "inputs",
    ['{"label": "\\ud800"}', '{"self": 1}', '{"label": NaN}', '{"nothing": 1}', '{"label": [[[]]]}', '{"\\udfff": 1}'],
)
def test_inputs_that_no_document_may_hold_are_refused_in_words(server: ServerProcess, inputs: str) -> None:
    body = f'{{"workflow": {json.dumps(chain(["a"]))}, "accept": {json.dumps(BUSY)}, "inputs": {inputs}}}'.encode()
    status, _, content = server.send("POST", "/api/jobs", body, {"Content-Type": "application/json"})
    assert status in (400, 422), content
    assert json.loads(content)["type"]


def test_jobs_are_listed_by_state_and_time(server: ServerProcess) -> None:
    id_ = server.submit(chain(["listed"]))
    job = server.wait(id_)
    for query in ("state=succeeded,failed", "state=queued&state=succeeded", f"created_after={job['created']}"):
        found = JobPage.model_validate(server.get(f"/api/jobs?{query}"))
        assert id_ in [row.id for row in found.jobs], query
    found = server.get(f"/api/jobs?created_before={job['created']}")
    assert id_ not in [row["id"] for row in found["jobs"]]
    for query in ("state=lost", "created_after=yesterday", "limit=0", "nothing=1", "seed=-1", "cursor=x"):
        assert server.ask("GET", f"/api/jobs?{query}")[0] == 422, query


def test_models_and_files_that_are_not_there_are_told_at_once_by_node_and_socket(server: ServerProcess) -> None:
    nodes = {
        "model": {"type": "diffusion/load_model", "version": 1, "inputs": {"model": "nope"}},
        "picture": {"type": "image/load_image", "version": 1, "inputs": {"path": "uploads/not-there.png"}},
    }
    accept = [{"kind": "file", "name": "uploads/not-there.png"}]
    body = {"workflow": {"nodegraph": 1, "nodes": nodes}, "outputs": ["model", "picture"], "accept": accept}
    status, answer = server.ask("POST", "/api/jobs", body)
    assert status == 422
    assert {(row["node"], row["socket"]) for row in answer["problems"]} == {("model", "model"), ("picture", "path")}
    assert str(server.data) not in str(answer), "where folders lie is nobody's business"

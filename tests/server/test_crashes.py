"""Servers and workers that are killed, stand still, run out of memory or disk: every job ends once, with its whole output."""

from __future__ import annotations

import hashlib
import json
import os
import random
import signal
import sqlite3
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest
from crash.disks import make_read_only, small_disk

from server.harness import BUSY, ServerProcess, chain, until

pytestmark = pytest.mark.slow

KILLS = 5
ROUNDS = 10 if os.environ.get("HYPOTHESIS_PROFILE") == "soak" else 1
JOBS, STEPS = 20, 4

NewServer = Callable[..., ServerProcess]


def labels_of(job: int) -> list[str]:
    return [f"job {job} step {step}" for step in range(STEPS)]


@pytest.mark.parametrize("seed", range(ROUNDS))
def test_every_job_ends_once_and_whole_whatever_is_killed(new_server: NewServer, seed: int) -> None:
    moments = random.Random(seed)
    server = new_server(env={"NODEGRAPH_WORKERS__COUNT": "2", "NODEGRAPH_WORKERS__JOBS_PER_WORKER": "3"}).start()
    labels = {server.submit(chain(labels_of(i), seconds=0.4)): labels_of(i) for i in range(JOBS)}
    workers_killed = 0
    for _ in range(KILLS):
        time.sleep(moments.uniform(0.1, 2.5))  # the moment is the test
        what = moments.choice(["server", "worker", "both"])
        if what != "server" and (pids := server.worker_pids):
            os.kill(moments.choice(pids), signal.SIGKILL)
            workers_killed += 1
        if what != "worker":
            server.kill()
            server.start()
    jobs = {id_: server.wait(id_, seconds=120) for id_ in labels}
    whole = {id_: output_of(server, job) for id_, job in jobs.items() if job["state"] == "succeeded"}
    server.stop()

    blamed = [job for job in jobs.values() if job["state"] != "succeeded"]
    assert all(job["error"]["type"] == "nodegraph:worker_died" for job in blamed), blamed
    assert len(blamed) <= workers_killed // 2
    assert whole == {id_: ">".join(labels[id_]).encode() for id_ in whole}
    assert finished(server) == dict.fromkeys(labels, 1)
    for path in (server.data / "artifacts").glob("??/" + "?" * 64):
        assert hashlib.sha256(path.read_bytes()).hexdigest() == path.name
    runs = Counter(server.lines())
    for id_, steps in labels.items():
        assert all(runs[step] <= jobs[id_]["attempts"] for step in steps), "no step runs more often than its job was tried"


def test_a_job_goes_on_from_its_finished_steps_after_the_server_was_killed(new_server: NewServer) -> None:
    server = new_server().start()
    id_ = server.submit(chain(["first", "second", "third"], seconds=0.4))
    until(lambda: "second" in server.lines())
    server.kill()
    server.start()
    job = server.wait(id_)
    assert job["state"] == "succeeded", job
    assert job["attempts"] == 2
    assert job["nodes"]["s0"]["state"] == "hit"
    assert server.lines().count("first") == 1


def test_a_worker_that_stands_still_is_ended_and_its_job_says_why(new_server: NewServer) -> None:
    with new_server(env={"NODEGRAPH_WORKERS__HEARTBEAT_SECONDS": "1.5"}) as server:
        job = server.wait(server.submit(chain(["stuck"], kind="hang")))
        assert job["state"] == "failed"
        assert "did not answer for" in job["reason"]
        assert server.wait(server.submit(chain(["after"])))["state"] == "succeeded"
        (worker,) = server.get("/api/system")["workers"]
        assert any("in hang" in line for line in worker["last_words"]), "where it stood still is known"


def test_a_worker_that_takes_too_much_memory_is_ended_and_others_go_on(new_server: NewServer) -> None:
    with new_server(env={"NODEGRAPH_WORKERS__MEMORY_BYTES": "600 MiB"}) as server:
        workflow = chain(["large"], kind="eat")
        workflow["nodes"]["s0"]["inputs"]["mebibytes"] = 900
        job = server.wait(server.submit(workflow))
        assert job["state"] == "failed"
        assert "more than its limit of 0.6 GB" in job["reason"]
        assert server.wait(server.submit(chain(["after"])))["state"] == "succeeded"


@pytest.mark.parametrize(("how", "words"), [("SIGSEGV", "SIGSEGV"), ("exit", "exit code 3")])
def test_how_a_worker_died_is_said_in_words(server: ServerProcess, how: str, words: str) -> None:
    workflow = chain([f"dies by {how}"], kind="die")
    workflow["nodes"]["s0"]["inputs"]["how"] = how
    job = server.wait(server.submit(workflow))
    assert job["state"] == "failed"
    assert words in job["reason"]
    assert job["error"]["type"] == "nodegraph:worker_died"
    if how == "SIGSEGV":
        assert any("Segmentation fault" in line for line in server.get("/api/system")["workers"][0]["last_words"])


def test_jobs_that_were_only_near_a_crash_are_not_blamed(server: ServerProcess) -> None:
    good = [server.submit(chain([f"near {i}", f"near {i} later"], seconds=1.0)) for i in range(2)]
    until(lambda: "near 1" in server.lines())
    bad = server.submit(chain(["culprit"], kind="die"))
    assert server.wait(bad)["state"] == "failed"
    assert {server.wait(id_)["state"] for id_ in good} == {"succeeded"}


def test_jobs_wait_and_say_why_while_no_worker_can_start(new_server: NewServer, site: Path, tmp_path: Path) -> None:
    broken = tmp_path / "broken"
    broken.mkdir()
    custom = broken / "sitecustomize.py"
    custom.write_text('import os, sys\nif "nodegraph.workers" in sys.orig_argv:\n    os._exit(3)')
    path = os.pathsep.join([str(broken), str(site), os.environ.get("PYTHONPATH", "")])
    with new_server(env={"PYTHONPATH": path}) as server:
        id_ = server.submit(chain(["patient"]))
        until(lambda: server.ask("GET", "/healthz")[0] == 503)
        until(lambda: "exit code 3" in server.get(f"/api/jobs/{id_}")["reason"])
        assert server.get(f"/api/jobs/{id_}")["state"] == "queued"
        system = server.get("/api/system")
        assert system["state"]["status"] == "degraded"
        assert system["workers"][0]["why"].startswith("it ended with exit code 3")
        custom.unlink()
        assert server.wait(id_)["state"] == "succeeded"
        assert server.ask("GET", "/healthz")[0] == 200


@pytest.mark.parametrize(("kind", "seconds"), [("work", 8), ("hang", 20)])
def test_no_worker_outlives_a_killed_server(new_server: NewServer, kind: str, seconds: float) -> None:
    server = new_server().start()
    workflow = chain(["lonely"], kind=kind)
    workflow["nodes"]["s0"]["inputs"]["seconds"] = 60
    server.submit(workflow)
    until(lambda: "lonely" in server.lines())
    pids = server.worker_pids
    assert pids
    server.kill()
    until(lambda: not any(map(psutil.pid_exists, pids)), seconds)


def test_on_sigterm_running_jobs_stop_after_a_step_and_wait_for_the_next_start(new_server: NewServer) -> None:
    server = new_server(env={"NODEGRAPH_SERVER__SHUTDOWN_SECONDS": "0.5"}).start()
    id_ = server.submit(chain([f"step {i}" for i in range(6)], seconds=0.8))
    later = server.submit(chain(["later"]), priority=-1)
    until(lambda: "step 1" in server.lines())
    began = time.monotonic()
    assert server.stop() == 0
    assert time.monotonic() - began < 15
    assert states(server)[id_] == "queued"
    done = len(set(server.lines()))
    server.start()
    job = server.wait(id_)
    assert job["state"] == "succeeded"
    assert sum(row["state"] == "hit" for row in job["nodes"].values()) >= 1
    assert server.lines().count("step 0") == 1
    assert done < 7
    assert server.wait(later)["state"] == "succeeded"
    server.stop()
    assert finished(server) == {id_: 1, later: 1}


def test_on_sigterm_a_job_that_is_done_soon_is_finished(new_server: NewServer) -> None:
    server = new_server().start()
    id_ = server.submit(chain(["soon", "sooner"], seconds=1.0))
    until(lambda: "soon" in server.lines())
    assert server.stop() == 0
    assert states(server)[id_] == "succeeded"


def test_a_second_sigterm_ends_everything_at_once(new_server: NewServer) -> None:
    server = new_server().start()
    id_ = server.submit(chain(["long"], seconds=60.0))
    until(lambda: "long" in server.lines())
    pids = server.worker_pids
    server.process.send_signal(signal.SIGTERM)
    until(lambda: server.ask("GET", "/healthz")[1]["status"] == "stopping")
    server.process.send_signal(signal.SIGTERM)
    assert server.process.wait(10) == 0
    assert not any(map(psutil.pid_exists, pids))
    assert states(server)[id_] == "queued"


def test_a_full_disk_is_said_and_gone_when_there_is_room_again(tmp_path: Path, data_folder: Path, site: Path) -> None:
    with small_disk(tmp_path / "disk", 16_384) as disk:
        data = disk / "data"
        data.mkdir()
        (data / "catalog").symlink_to((data_folder / "catalog").resolve())
        server = ServerProcess(data, site=site, env={"BUSY_LOG": str(tmp_path / "busy.log")})
        server.log, server.busy_log = tmp_path / "server.log", tmp_path / "busy.log"
        with server:
            id_ = server.submit(chain(["a", "b", "c", "d"], seconds=1.0))
            until(lambda: "a" in server.lines())
            with filled(disk):
                until(lambda: server.ask("GET", "/healthz")[0] == 503)
                assert server.ask("GET", "/healthz")[1]["detail"] == "The job store cannot be written."
                status, problem = server.ask("POST", "/api/jobs", {"workflow": chain(["x"]), "accept": BUSY})
                assert status == 507, problem
                assert str(disk) not in json.dumps(problem)
            until(lambda: server.ask("GET", "/healthz")[0] == 200)
            job = server.wait(id_)
            assert job["state"] == "succeeded" or "cannot be written" in str(job["error"]), job
            assert server.wait(server.submit(chain(["after"])))["state"] == "succeeded"
        assert set(finished(server).values()) == {1}


def test_a_folder_that_is_read_only_is_said_in_words(tmp_path: Path, data_folder: Path, site: Path) -> None:
    with small_disk(tmp_path / "disk", 4096) as disk:
        make_read_only(disk)
        server = ServerProcess(disk / "data", site=site)
        server.log = tmp_path / "server.log"
        with pytest.raises(AssertionError, match="the server said"):
            server.start()
        assert server.process.wait(30) != 0
        said = server.log.read_text()
        assert "Traceback" not in said
        assert "read-only" in said.lower()


def output_of(server: ServerProcess, job: Any) -> bytes:
    """The bytes of a job's page, which must be those that its digest promises."""
    (row,) = job["outputs"]["page"]
    status, content = server.ask("GET", row["url"])
    assert status == 200
    assert isinstance(content, bytes)
    assert f"sha256:{hashlib.sha256(content).hexdigest()}" == row["digest"]
    return content


def finished(server: ServerProcess) -> dict[str, int]:
    """How often each job was said to be over; the server has ended."""
    rows = _query(server, "SELECT job, text FROM events WHERE job IS NOT NULL")
    return dict(Counter(job for job, text in rows if json.loads(text)["type"] == "job_finished"))


def states(server: ServerProcess) -> dict[str, str]:
    return dict(_query(server, "SELECT id, state FROM jobs"))


def _query(server: ServerProcess, query: str) -> list[tuple[Any, ...]]:
    connection = sqlite3.connect(server.data / "jobs.sqlite")
    try:
        return connection.execute(query).fetchall()
    finally:
        connection.close()


@contextmanager
def filled(disk: Path) -> Iterator[None]:
    """No byte more can be written below this folder."""
    ballast = disk / "ballast"
    with ballast.open("wb", buffering=0) as file:
        for size in (1 << 16, 1 << 12, 1):
            try:
                while True:
                    file.write(b"\0" * size)
            except OSError:
                continue
    try:
        yield
    finally:
        ballast.unlink()

"""Pools of real worker processes: they start, die in every way, and are started again."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest
from server.harness import chain, until

from nodegraph.workers import Pool, WorkerLost
from nodegraph.workers.pool import environments
from workers.conftest import Heard, attempt

pytestmark = pytest.mark.slow

NewPool = Callable[..., Pool]


async def test_a_worker_runs_several_jobs_at_once(new_pool: NewPool, heard: Heard) -> None:
    pool = new_pool()
    await heard.until(pool.rooms)
    for name in ("a", "b"):
        assert pool.give("worker-0", attempt(name, chain([name], seconds=0.3)))
    assert pool.running == 2
    for name in ("a", "b"):
        assert (await heard.until(lambda name=name: heard.ended(name)))["state"] == "succeeded"
    assert pool.running == 0


async def test_a_worker_that_cannot_start_is_tried_again_later_and_says_why(
    new_pool: NewPool, heard: Heard, tmp_path: Path
) -> None:
    broken = tmp_path / "broken"
    broken.mkdir()
    (broken / "msgpack.py").write_text("raise ImportError('no such library here')")
    pool = new_pool(environment={"PYTHONPATH": str(broken)})
    await heard.until(lambda: heard.lost)
    assert "exit code 1 before it was ready: ImportError: no such library here" in pool.trouble
    assert pool.rooms() == []
    with pytest.raises(WorkerLost, match="no such library"):
        await pool.call("free", {}, seconds=0.5)
    (broken / "msgpack.py").unlink()
    await heard.until(pool.rooms, 60)
    assert pool.trouble == ""
    assert pool.statuses[0].starts >= 2


async def test_a_worker_that_speaks_nonsense_is_ended(new_pool: NewPool, heard: Heard, tmp_path: Path) -> None:
    site = tmp_path / "nonsense"
    site.mkdir()
    (site / "sitecustomize.py").write_text("import os; os.write(1, b'Hello, world! How are you?')")
    new_pool(environment={"PYTHONPATH": str(site)})
    ((_, reason, crashed),) = await heard.until(lambda: heard.lost[:1])
    assert "does not speak the protocol" in reason
    assert crashed


async def test_a_worker_that_is_killed_is_lost_with_its_jobs_and_started_again(new_pool: NewPool, heard: Heard) -> None:
    pool = new_pool()
    await heard.until(pool.rooms)
    os.kill(pool.statuses[0].pid, signal.SIGKILL)
    ((jobs, reason, crashed),) = await heard.until(lambda: heard.lost)
    assert (jobs, crashed) == ([], True)
    assert "SIGKILL" in reason
    await heard.until(pool.rooms)


async def test_a_worker_that_stands_still_is_ended_but_not_one_whose_server_stood_still(
    new_pool: NewPool, heard: Heard
) -> None:
    pool = new_pool(heartbeat_seconds=1.0)
    await heard.until(pool.rooms)
    pid = pool.statuses[0].pid
    time.sleep(2.5)  # noqa: ASYNC251 - the loop itself stands still here
    await asyncio.sleep(0.3)
    assert pool.statuses[0].pid == pid
    os.kill(pid, signal.SIGSTOP)
    ((_, reason, _),) = await heard.until(lambda: heard.lost)
    assert "did not answer for" in reason


async def test_a_job_under_suspicion_gets_a_worker_of_its_own_while_others_go_on(new_pool: NewPool, heard: Heard) -> None:
    pool = new_pool(count=2)
    await heard.until(lambda: len(pool.rooms()) == 2)
    assert pool.give("worker-0", attempt("suspect", chain(["s"]), alone=True))
    assert [room.worker for room in pool.rooms()] == ["worker-1"]
    assert not pool.rooms()[0].next_empty, "the next one under suspicion waits for the worker that is about to be empty"
    assert pool.give("worker-1", attempt("other", chain(["o"])))
    await heard.until(lambda: heard.ended("suspect") and heard.ended("other"))
    assert len(pool.rooms()) == 2


async def test_calls_end_when_their_worker_dies(new_pool: NewPool, heard: Heard) -> None:
    pool = new_pool()
    await heard.until(pool.rooms)
    os.kill(pool.statuses[0].pid, signal.SIGSTOP)
    call = asyncio.create_task(pool.call("free", {}))
    await asyncio.sleep(0)
    os.kill(pool.statuses[0].pid, signal.SIGKILL)
    with pytest.raises(WorkerLost, match="SIGKILL"):
        await call


async def test_closing_ends_all_processes(new_pool: NewPool, heard: Heard) -> None:
    pool = new_pool(count=2)
    await heard.until(lambda: len(pool.rooms()) == 2)
    pids = [status.pid for status in pool.statuses]
    await pool.close(10)
    assert not any(map(psutil.pid_exists, pids))
    assert not any(crashed for _, _, crashed in heard.lost)


async def test_beats_tell_what_a_worker_takes(new_pool: NewPool, heard: Heard) -> None:
    pool = new_pool(heartbeat_seconds=1.0)
    await heard.until(pool.rooms)
    (status,) = pool.statuses
    await asyncio.to_thread(until, lambda: status.usage)
    assert status.rss > 1 << 20
    assert status.versions["python"].startswith("3.")


@pytest.mark.parametrize(
    ("visible", "count", "devices"),
    [
        ("0,1", None, ["0", "1"]),
        ("GPU-a, GPU-b", None, ["GPU-a", "GPU-b"]),
        ("2,-1,3", None, ["2"]),
        ("0,1", 3, ["0", "1", "0"]),
        ("", None, []),
        ("-1", 2, []),
    ],
)
def test_each_worker_gets_one_gpu(visible: str, count: int | None, devices: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    found = environments(count)
    assert [one["CUDA_VISIBLE_DEVICES"] for one in found if one] == devices
    assert len(found) == (count or max(1, len(devices)))


async def test_a_worker_near_its_limit_is_asked_to_give_memory_back_and_not_ended(
    new_pool: NewPool, heard: Heard, caplog: pytest.LogCaptureFixture
) -> None:
    pool = new_pool()
    await heard.until(pool.rooms)
    (worker,) = pool._workers.values()
    await pool.call("free", {})  # what it imports is there, so it takes no more from now on
    process = psutil.Process(worker.status.pid)

    def is_tight() -> bool:
        worker._setup = worker._setup._replace(limit_bytes=round(process.memory_info().rss / 0.9))
        return "worker_memory_tight" in caplog.text

    with caplog.at_level("INFO", logger="nodegraph.worker"):
        await asyncio.to_thread(until, is_tight)
    assert (await pool.call("free", {}))["value_bytes"] == 0
    assert heard.lost == []

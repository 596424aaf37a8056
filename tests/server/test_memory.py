"""The server's memory does not grow with the jobs that it has seen, and neither do the answers' times."""

from __future__ import annotations

import os

import psutil
import pytest

from server.harness import ServerProcess, chain, until

pytestmark = pytest.mark.slow

SOAK = os.environ.get("HYPOTHESIS_PROFILE") == "soak"
JOBS = 10_000 if SOAK else 500
BEFORE = 2000 if SOAK else 200
AT_ONCE = 100
GROWTH_BYTES = 12 << 20
"""SQLite's page caches and the ring of recent events fill up; nothing else may."""


@pytest.fixture
def open_server(new_server) -> ServerProcess:  # type: ignore[no-untyped-def]
    return new_server(env={"NODEGRAPH_SERVER__REQUESTS_PER_SECOND": "100000"}).start()


def test_memory_is_flat_over_many_jobs(open_server: ServerProcess) -> None:
    process = psutil.Process(open_server.process.pid)
    done = 0

    def run(count: int) -> int:
        nonlocal done
        for start in range(0, count, AT_ONCE):
            last = [open_server.submit(chain([f"m{done + start + i}"])) for i in range(AT_ONCE)][-1]
            open_server.wait(last)
        done += count
        nothing_left = "/api/jobs?state=queued&state=running&limit=1"
        until(lambda: not open_server.get(nothing_left)["jobs"])
        return int(process.memory_info().rss)

    before = run(BEFORE)
    after = run(JOBS)
    assert after - before < GROWTH_BYTES, f"{before >> 20} MiB before, {after >> 20} MiB after {JOBS} jobs"

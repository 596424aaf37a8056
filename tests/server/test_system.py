"""What the server says of itself: health, workers, memory, and numbers that Prometheus' own parser reads."""

from __future__ import annotations

import re
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from server.harness import ServerProcess, chain, until

pytestmark = pytest.mark.slow

PROMPT = "a heron at dusk"


@pytest.fixture(scope="module")
def used(server: ServerProcess) -> ServerProcess:
    """A server on which a job succeeded, one came from the cache, and one failed."""
    for _ in range(2):
        assert server.wait(server.submit(chain([PROMPT, "then"])))["state"] == "succeeded"
    assert server.wait(server.submit(chain(["refused"], kind="refuse")))["state"] == "failed"
    return server


def samples(server: ServerProcess) -> dict[str, list[tuple[dict[str, str], float]]]:
    status, content = server.ask("GET", "/metrics")
    assert status == 200
    assert isinstance(content, bytes)
    found: dict[str, list[tuple[dict[str, str], float]]] = {}
    for family in text_string_to_metric_families(content.decode()):
        for sample in family.samples:
            found.setdefault(sample.name, []).append((sample.labels, sample.value))
    return found


def value(rows: dict[str, list[tuple[dict[str, str], float]]], name: str, **labels: str) -> float:
    return sum(number for given, number in rows[name] if labels.items() <= given.items())


def test_a_server_whose_workers_run_is_well(used: ServerProcess) -> None:
    assert used.ask("GET", "/healthz") == (200, {"status": "ok", "detail": ""})


def test_workers_say_what_they_are_and_what_they_take(used: ServerProcess) -> None:
    def told() -> Any:
        system = used.get("/api/system")
        return system if system["disk"].get("cache_used_bytes") is not None else None

    system = until(told)
    (worker,) = system["workers"]
    assert worker["state"] == "ready"
    assert worker["rss"] > 1 << 20
    assert worker["cached_bytes"] > 0
    assert {"python", "nodegraph"} <= worker["versions"].keys()
    assert system["disk"]["artifacts_bytes"] > 0
    assert system["disk"]["free_bytes"] > 0
    assert system["memory"]["available_bytes"] < system["memory"]["total_bytes"]
    assert system["jobs"]["succeeded"] == 2
    assert system["state"]["status"] == "ok"


def test_memory_is_given_back_when_asked_for(used: ServerProcess) -> None:
    status, freed = used.ask("POST", "/api/system/free", {})
    assert (status, freed["value_bytes"] > 0) == (200, True)
    assert used.ask("POST", "/api/system/free", {})[1]["value_bytes"] == 0


def test_metrics_count_jobs_nodes_and_requests(used: ServerProcess) -> None:
    found = samples(used)
    assert value(found, "nodegraph_jobs_ended_total", state="succeeded") == 2
    assert value(found, "nodegraph_jobs_ended_total", state="failed") == 1
    assert value(found, "nodegraph_jobs", state="succeeded") == 2
    assert value(found, "nodegraph_job_seconds_count", state="succeeded") == 2
    assert value(found, "nodegraph_node_seconds_count", type="busy/work") == 2
    assert value(found, "nodegraph_cache_lookups_total", found="memory") >= 1
    assert value(found, "nodegraph_workers", state="ready") == 1
    assert value(found, "nodegraph_http_requests_total", method="POST", route="/api/jobs", status="202") == 3
    assert value(found, "nodegraph_store_commit_seconds_count") >= 3
    assert value(found, "nodegraph_events_total") >= 9


def test_no_label_holds_what_somebody_wrote(used: ServerProcess) -> None:
    used.ask("GET", f"/api/{PROMPT.replace(' ', '-')}")
    used.ask("BREW", "/api/jobs")
    found = samples(used)
    labels = {text for rows in found.values() for given, _ in rows for text in given.values()}
    assert not any("heron" in text or "BREW" in text for text in labels)
    assert not any(re.fullmatch("[0-9a-z]{26}", text) for text in labels), "no job's id"
    types = {given["type"] for given, _ in found["nodegraph_node_seconds_count"]}
    assert types <= {"busy/work", "busy/page", "busy/refuse", "other"}


def test_the_log_tells_of_jobs_and_not_what_they_hold(used: ServerProcess) -> None:
    log = used.log.read_text()
    assert re.search(r"info server server_started url=\S+ pid=\d+", log)
    assert len(re.findall(r"info jobs job_started job=\w{26} worker=worker-0 attempt=1", log)) >= 3
    assert re.search(r"info jobs job_ended job=\w{26} state=succeeded ms=\d+", log)
    assert re.search(r"info jobs job_ended job=\w{26} state=failed ms=\d+ why=nodegraph:run_failed", log)
    assert PROMPT not in log

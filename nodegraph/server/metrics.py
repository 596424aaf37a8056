"""Numbers for Prometheus. Labels are states, tiers, workers, devices, route templates and node types of the catalog: nothing
that somebody wrote, and never more of them than there are of these.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware
from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4
from prometheus_client.registry import Collector

from nodegraph.jobs import Ended, JobRecord

if TYPE_CHECKING:
    from nodegraph.server.service import Server

_STATES = ("queued", "running", "paused", "succeeded", "failed", "cancelled")
_WORKER_STATES = ("starting", "ready", "stopping", "waiting")
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_NODE_SECONDS = (0.001, 0.01, 0.05, 0.1, 0.5, 1, 2, 5, 10, 30, 60, 300, 1800)
_JOB_SECONDS = (0.1, 0.5, 1, 2, 5, 10, 30, 60, 120, 300, 600, 1800, 3600, 14400)
_REQUEST_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10)


class Metrics:
    """A server's numbers, with a registry of their own. What can be read when somebody asks is not counted beforehand."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._counts: Mapping[str, int] = {}
        self._types: frozenset[str] = frozenset()
        self._registry = registry = CollectorRegistry()
        self._ended = Counter("nodegraph_jobs_ended", "Jobs that came to their end.", ["state"], registry=registry)
        self._job_seconds = Histogram(
            "nodegraph_job_seconds", "How long jobs ran.", ["state"], registry=registry, buckets=_JOB_SECONDS
        )
        self._node_seconds = Histogram(
            "nodegraph_node_seconds", "How long nodes computed.", ["type"], registry=registry, buckets=_NODE_SECONDS
        )
        self._nodes = Counter("nodegraph_nodes", "Nodes of jobs, by what became of them.", ["state"], registry=registry)
        self._lookups = Counter(
            "nodegraph_cache_lookups", "Results of nodes, by where they were found.", ["found"], registry=registry
        )
        self._requests = Counter("nodegraph_http_requests", "HTTP requests.", ["method", "route", "status"], registry=registry)
        self._request_seconds = Histogram(
            "nodegraph_http_request_seconds",
            "Until an answer had begun or, where it is one piece, was made.",
            ["method", "route"],
            registry=registry,
            buckets=_REQUEST_SECONDS,
        )
        self._commits = Histogram(
            "nodegraph_store_commit_seconds",
            "How long transactions of the job store took.",
            registry=registry,
            buckets=_REQUEST_SECONDS,
        )
        for state in ("succeeded", "failed", "cancelled"):
            self._ended.labels(state)
        registry.register(_Now(self._now))

    def know(self, types: Iterable[str]) -> None:
        """The node types of the catalog: the only ones that become labels."""
        self._types = frozenset(types)

    def ended(self, job: JobRecord) -> None:
        """A job is over."""
        self._ended.labels(job.state).inc()

    def ran(self, job: JobRecord, ended: Ended) -> None:
        """An attempt came to its end."""
        if ended.state in ("succeeded", "failed"):
            self._job_seconds.labels(ended.state).observe(ended.seconds)
        for row in ended.nodes.values():
            state = _one_of(row.get("state"), _NODE_STATES)
            self._nodes.labels(state).inc()
            if state == "hit":
                self._lookups.labels(_tier(str(row.get("reason")))).inc()
            elif state == "computed":
                self._lookups.labels("nowhere").inc()
                self._node_seconds.labels(_one_of(row.get("type"), self._types)).observe(row.get("ms", 0.0) / 1e3)

    def committed(self, seconds: float) -> None:
        """A transaction of the job store was committed. From any thread."""
        self._commits.observe(seconds)

    @property
    def middleware(self) -> Middleware:
        """Counts requests: put it first, so that it sees what the others make of them."""

        @web.middleware
        async def measured(request: web.Request, handler: Handler) -> web.StreamResponse:
            began, status = time.perf_counter(), 500
            resource = request.match_info.route.resource
            route = "none" if resource is None else resource.canonical
            method = _one_of(request.method, _METHODS)
            try:
                response = await handler(request)
                status = response.status
                return response
            except web.HTTPException as error:
                status = error.status
                raise
            except (ConnectionError, TimeoutError):
                status = 499  # nobody was there any more to hear the answer
                raise
            finally:
                self._requests.labels(method, route, str(status)).inc()
                if status != 101 and not route.endswith("/stream"):  # those last as long as somebody listens
                    self._request_seconds.labels(method, route).observe(time.perf_counter() - began)

        return measured

    def shown(self, counts: Mapping[str, int]) -> tuple[bytes, str]:
        """All numbers in Prometheus' text format, and its media type; `counts` are jobs by state."""
        self._counts = counts
        return generate_latest(self._registry), CONTENT_TYPE_PLAIN_0_0_4

    def _now(self) -> Iterable[Metric]:
        """What is read at this moment."""
        server, statuses = self._server, self._server.pool.statuses
        jobs = GaugeMetricFamily("nodegraph_jobs", "Jobs in the store, by state.", labels=["state"])
        for state in _STATES:
            jobs.add_metric([state], self._counts.get(state, 0))
        yield jobs
        workers = GaugeMetricFamily("nodegraph_workers", "Worker processes, by state.", labels=["state"])
        for state in _WORKER_STATES:
            workers.add_metric([state], sum(status.state == state for status in statuses))
        yield workers
        starts = CounterMetricFamily("nodegraph_worker_restarts", "How often workers were started again.", labels=["worker"])
        rss = GaugeMetricFamily("nodegraph_worker_rss_bytes", "Memory of worker processes.", labels=["worker"])
        cached = GaugeMetricFamily("nodegraph_cached_bytes", "Results in memory.", labels=["worker", "device"])
        free = GaugeMetricFamily("nodegraph_device_free_bytes", "Free memory of devices.", labels=["worker", "device"])
        networks = GaugeMetricFamily("nodegraph_networks_bytes", "Resident networks.", labels=["worker", "device"])
        batches = GaugeMetricFamily("nodegraph_worker_batches", "Batches of a worker's devices so far.", labels=["worker"])
        batched = GaugeMetricFamily("nodegraph_worker_batched_calls", "Calls in those batches.", labels=["worker"])
        for status in statuses:
            starts.add_metric([status.name], max(0, status.starts - 1))
            rss.add_metric([status.name], status.rss)
            for device, size in status.usage.get("cached", {}).items():
                cached.add_metric([status.name, device], size)
            for device in status.usage.get("devices", ()):
                networks.add_metric([status.name, device["name"]], sum(item["bytes"] for item in device["networks"]))
                if device["free_bytes"] is not None:
                    free.add_metric([status.name, device["name"]], device["free_bytes"])
            batches.add_metric([status.name], status.usage.get("batches", 0))
            batched.add_metric([status.name], status.usage.get("batched", 0))
        yield from (starts, rss, cached, free, networks, batches, batched)
        yield CounterMetricFamily("nodegraph_events", "Events that were ever logged.", server.hub.last)
        yield GaugeMetricFamily("nodegraph_subscribers", "Who listens to events.", server.hub.subscribers)
        trouble = GaugeMetricFamily("nodegraph_hindered", "1 where no job can be started.", bool(server.dispatcher.hindrance))
        yield trouble


_NODE_STATES = frozenset({"computed", "hit", "not_needed", "failed", "skipped"})


class _Now(Collector):
    """Hands on what is read when somebody asks."""

    def __init__(self, collect: Callable[[], Iterable[Metric]]) -> None:
        self._collect = collect

    def collect(self) -> Iterable[Metric]:
        return self._collect()

    def describe(self) -> Iterable[Metric]:
        return ()  # registering asks nobody


def _tier(reason: str) -> str:
    """Where a result was found, as its reason tells (`nodegraph.engine.demand`)."""
    return "memory" if reason.startswith("in memory") else "disk" if reason.startswith("on disk") else "parts"


def _one_of(value: object, known: frozenset[str]) -> str:
    return value if isinstance(value, str) and value in known else "other"

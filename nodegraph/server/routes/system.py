"""How the server is: health, workers, memory, disk, and numbers for those who watch many servers."""

from __future__ import annotations

import asyncio
import shutil
from importlib.metadata import version
from pathlib import Path
from platform import python_version
from typing import Any

import psutil
from aiohttp import web

from nodegraph.server.routing import Call, Given, Raw, endpoint
from nodegraph.server.service import Server
from nodegraph.wire.system import Device, Disk, FreedMemory, Health, Memory, System, WorkerView
from nodegraph.workers import WorkerLost, WorkerStatus

_FREE_SECONDS = 60.0


@endpoint("GET", "/healthz", answers={200: Health, 503: Health}, tag="system", public=True)
async def health(server: Server, call: Call) -> Given:
    """Whether the server takes and runs jobs; 503 where it does not."""
    found = _health(server)
    # why a worker does not start is for those who may look at it
    shown = found.model_copy(update={"detail": found.detail.partition(":")[0]})
    return Given(shown, 200 if found.status == "ok" else 503)


@endpoint("GET", "/api/system", answers={200: System}, tag="system")
async def system(server: Server, call: Call) -> System:
    """Workers, memory by owner, and disk."""
    counts, artifacts = await server.store.counts(), await _artifact_bytes(server)
    free = await asyncio.to_thread(_free_bytes, server.data)
    memory = psutil.virtual_memory()
    return System(
        version=version("nodegraph"),
        python=python_version(),
        since=server.began,
        state=_health(server),
        workers=[_worker(status, server.pool.jobs_of(status.name)) for status in server.pool.statuses],
        memory=Memory(total_bytes=memory.total, available_bytes=memory.available),
        disk=_disk(server, artifacts, free),
        jobs=counts,
        seq=server.hub.last,
        subscribers=server.hub.subscribers,
    )


@endpoint("POST", "/api/system/free", answers={200: FreedMemory}, tag="system")
async def free(server: Server, call: Call) -> FreedMemory:
    """Let workers give memory back now: cached values (on disk they stay), and networks that nothing uses."""
    ready = [status.name for status in server.pool.statuses if status.state == "ready"]
    asked = (server.pool.call("free", {}, worker=name, seconds=_FREE_SECONDS) for name in ready)
    answers = await asyncio.gather(*asked, return_exceptions=True)
    freed = [answer for answer in answers if isinstance(answer, dict)]
    for answer in answers:
        if isinstance(answer, BaseException) and not isinstance(answer, WorkerLost):
            raise answer
    return FreedMemory(**{name: sum(item[name] for item in freed) for name in ("value_bytes", "network_bytes")})


@endpoint("GET", "/metrics", answers={200: Raw(("text/plain",), "Prometheus' text format.")}, tag="system")
async def metrics(server: Server, call: Call) -> web.Response:
    """Numbers for Prometheus. No label holds what somebody wrote."""
    content, media_type = server.metrics.shown(await server.store.counts())
    return web.Response(body=content, headers={"Content-Type": media_type})


def _health(server: Server) -> Health:
    if server.draining:
        return Health(status="stopping")
    hindrance = server.dispatcher.hindrance
    return Health(status="degraded", detail=hindrance) if hindrance else Health(status="ok")


def _worker(status: WorkerStatus, jobs: list[str]) -> WorkerView:
    cached = status.usage.get("cached", {})
    devices = [Device(**device, cached_bytes=cached.get(device["name"], 0)) for device in status.usage.get("devices", ())]
    return WorkerView(
        name=status.name,
        state=status.state,
        since=status.since,
        pid=status.pid,
        starts=status.starts,
        rss=status.rss,
        cached_bytes=cached.get("host", 0),
        devices=devices,
        jobs=jobs,
        versions=status.versions,
        why=status.why,
        last_words=status.last_words,
    )


def _disk(server: Server, artifacts: int, free: int | None) -> Disk:
    looked = [disk for status in server.pool.statuses if (disk := status.usage.get("disk"))]
    return Disk(
        cache_used_bytes=looked[0]["used_bytes"] if looked else None,
        cache_budget_bytes=server.settings.workers.cache_disk_bytes,
        cache_in_trouble=any(disk["in_trouble"] for disk in looked),
        artifacts_bytes=artifacts,
        free_bytes=free,
    )


async def _artifact_bytes(server: Server) -> int:
    def work(connection: Any) -> int:
        return int(connection.execute("SELECT COALESCE(SUM(bytes), 0) FROM artifacts").fetchone()[0])

    return await server.store.read(work)


def _free_bytes(data: Path) -> int | None:
    try:
        return shutil.disk_usage(data).free
    except OSError:
        return None

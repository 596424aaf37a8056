"""How the server is: health, workers, memory."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel

from nodegraph.server.routing import Call, endpoint
from nodegraph.server.service import Server


class Health(BaseModel):
    """Whether the server does its work."""

    status: Literal["ok", "degraded", "stopping"]
    detail: str = ""


class WorkerView(BaseModel):
    """A worker process."""

    name: str
    state: str
    pid: int
    rss: int
    jobs: list[str]


class System(BaseModel):
    """The server and its workers."""

    workers: list[WorkerView]
    seq: int
    subscribers: int


@endpoint("GET", "/healthz", answers={200: Health, 503: Health}, tag="system", public=True)
async def health(server: Server, call: Call) -> Any:
    """Whether the server takes and runs jobs."""
    if server.draining:
        return Health(status="stopping")
    if server.dispatcher.trouble:
        return Health(status="degraded", detail="The job store cannot be written.")
    return Health(status="ok")


@endpoint("GET", "/api/system", answers={200: System}, tag="system")
async def system(server: Server, call: Call) -> System:
    """Workers, and what they take."""
    workers = [
        WorkerView(name=item.name, state=item.state, pid=item.pid, rss=item.rss, jobs=item.last.get("jobs", []))
        for item in server.pool.statuses
    ]
    return System(workers=workers, seq=server.hub.last, subscribers=server.hub.subscribers)

"""The queue as a whole: what waits, pausing it, emptying it."""

from __future__ import annotations

import re

from pydantic import BaseModel, ConfigDict, Field

from nodegraph.jobs import Place
from nodegraph.server.problems import Refused
from nodegraph.server.routing import Call, endpoint
from nodegraph.server.service import Server
from nodegraph.server.views import summary
from nodegraph.wire import Queue
from nodegraph.wire.jobs import Cleared

_LIMIT = 100
_CURSOR = re.compile(r"-?[0-9]{1,4}_-?[0-9]{1,18}(\.[0-9]{1,18})?(e[-+]?[0-9]{1,3})?", re.ASCII)


class QueueQuery(BaseModel):
    """Which part of the queue to show."""

    model_config = ConfigDict(extra="forbid")

    limit: int = Field(default=_LIMIT, ge=1, le=500)
    cursor: str | None = Field(default=None, max_length=100, description="`next` of the page before.")


@endpoint("GET", "/api/queue", query=QueueQuery, answers={200: Queue}, tag="queue")
async def get_queue(server: Server, call: Call) -> Queue:
    """What runs and what waits, in the order in which it will run."""
    query: QueueQuery = call.query
    return await _shown(server, _place(query.cursor), query.limit)


@endpoint("POST", "/api/queue/pause", answers={200: Queue}, refuses=(507,), tag="queue")
async def pause_queue(server: Server, call: Call) -> Queue:
    """Start no more jobs; what runs goes on."""
    await server.store.pause_queue(True)
    return await _shown(server)


@endpoint("POST", "/api/queue/resume", answers={200: Queue}, refuses=(507,), tag="queue")
async def resume_queue(server: Server, call: Call) -> Queue:
    """Start jobs again."""
    await server.store.pause_queue(False)
    server.dispatcher.look()
    return await _shown(server)


@endpoint("POST", "/api/queue/clear", answers={200: Cleared}, refuses=(507,), tag="queue")
async def clear_queue(server: Server, call: Call) -> Cleared:
    """Cancel every job that waits. What runs goes on, and what is paused stays."""
    return Cleared(cancelled=await server.dispatcher.cancel_queued())


async def _shown(server: Server, after: Place | None = None, limit: int = _LIMIT) -> Queue:
    found = await server.store.queue(after, limit)
    return Queue(
        paused=found.paused,
        running=[summary(job) for job in found.running],
        queued=[summary(job) for job in found.queued],
        waiting=found.waiting,
        next=None if found.next is None else f"{found.next.priority}_{found.next.rank!r}",
    )


def _place(cursor: str | None) -> Place | None:
    if cursor is None:
        return None
    if not _CURSOR.fullmatch(cursor):
        raise Refused(422, "bad_cursor", "This is no cursor: give `next` of the page before.")
    priority, _, rank = cursor.partition("_")
    return Place(int(priority), float(rank))

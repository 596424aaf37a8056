"""What happens, as it happens: one WebSocket, and server-sent events as the simple alternative."""

from __future__ import annotations

import asyncio
import contextlib

from aiohttp import WSCloseCode, WSMsgType, web
from pydantic import BaseModel, ConfigDict, Field

from nodegraph.jobs import StoreFailed
from nodegraph.server.hub import Subscription
from nodegraph.server.problems import Refused
from nodegraph.server.routing import Call, Raw, endpoint
from nodegraph.server.service import Server
from nodegraph.wire.jobs import JobId

_LARGEST_BUFFER = 1 << 20
"""Bytes on their way to a client; with more than that it is told nothing new until it has taken some."""
_BUFFER_SECONDS = 0.02


class EventQuery(BaseModel):
    """What to listen to."""

    model_config = ConfigDict(extra="forbid")

    since: int | None = Field(
        default=None, ge=0, le=2**62, description="Send what came after this event too; without it, only what is new."
    )
    job: JobId | None = Field(default=None, description="Only this job's events.")
    previews: bool = Field(default=True, description="Pictures of work in progress, in binary messages (WebSocket only).")


@endpoint("GET", "/api/events", query=EventQuery, answers={101: None}, refuses=(400,), tag="events")
async def events(server: Server, call: Call) -> web.StreamResponse:
    """A WebSocket of events: each a text message of JSON, numbered by `seq`; after an interruption, go on with since=SEQ.

    Progress has no number and is not repeated. A preview is a binary message: the length of a JSON header (4 bytes,
    big-endian), the header (job, node, width, height), and a PNG file. `events_lost` says that events that were asked for
    are no longer kept.
    """
    query: EventQuery = call.query
    socket = web.WebSocketResponse(heartbeat=30.0, max_msg_size=4096, compress=False)
    if not socket.can_prepare(call.request).ok:
        raise Refused(400, "no_websocket", "This is a WebSocket. GET /api/events/stream gives the events to plain requests.")
    await socket.prepare(call.request)
    subscription = server.hub.subscribe(query.since, query.job, query.previews)
    sending = asyncio.create_task(_send(call.request, socket, subscription))
    try:
        async for message in socket:
            if message.type not in (WSMsgType.TEXT, WSMsgType.BINARY):
                break
    finally:
        sending.cancel()
        await asyncio.gather(sending, return_exceptions=True)
    return socket


async def _send(request: web.Request, socket: web.WebSocketResponse, subscription: Subscription) -> None:
    """Frames are made once for all clients and go to the transport as they are, many in one write."""
    try:
        async for batch in subscription:
            transport = request.transport
            if transport is None or transport.is_closing():
                return
            transport.write(b"".join([told.frame for told in batch]))
            await _taken(transport)
    except StoreFailed:  # an open connection on which nothing comes would look as if nothing happened
        await socket.close(code=WSCloseCode.INTERNAL_ERROR, message=b"Events cannot be read. Connect again.")
        return
    await socket.close(code=WSCloseCode.GOING_AWAY, message=b"The server is being stopped.")


async def _taken(transport: asyncio.WriteTransport) -> None:
    """Wait until the client has taken most of what is on its way. Looked at now and then: a transport cannot be awaited."""
    while True:
        if transport.is_closing() or transport.get_write_buffer_size() <= _LARGEST_BUFFER:
            return
        await asyncio.sleep(_BUFFER_SECONDS)


@endpoint(
    "GET",
    "/api/events/stream",
    query=EventQuery,
    answers={200: Raw(("text/event-stream",), "Server-sent events.")},
    headers={"Last-Event-ID": "The number of the last event that was received; `since` by another name."},
    tag="events",
)
async def event_stream(server: Server, call: Call) -> web.StreamResponse:
    """The same as server-sent events, without previews. A browser's EventSource resumes by itself."""
    query: EventQuery = call.query
    last = call.header("Last-Event-ID") or ""
    since = int(last) if last.isascii() and last.isdigit() and len(last) < 19 else query.since
    response = web.StreamResponse(headers={"Content-Type": "text/event-stream", "Cache-Control": "no-store"})
    if call.request.method == "HEAD":
        return response
    await response.prepare(call.request)
    await response.write(b": nodegraph\n\n")
    with contextlib.suppress(ConnectionError):
        async for batch in server.hub.subscribe(since, query.job, False):
            lines = (("" if told.seq is None else f"id: {told.seq}\n") + f"data: {told.text}\n\n" for told in batch)
            await response.write("".join(lines).encode() or b":\n\n")  # a comment: who has gone is found out by writing
    return response

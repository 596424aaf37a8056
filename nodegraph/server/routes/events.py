"""What happens, as it happens: one WebSocket, and server-sent events as the simple alternative."""

from __future__ import annotations

import asyncio
import contextlib
import json
import struct

from aiohttp import WSMsgType, web
from pydantic import BaseModel, ConfigDict, Field

from nodegraph.server.hub import Told
from nodegraph.server.routing import Call, Raw, endpoint
from nodegraph.server.service import Server
from nodegraph.wire.jobs import JobId


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
    socket = web.WebSocketResponse(heartbeat=30.0, max_msg_size=4096)
    await socket.prepare(call.request)
    subscription = server.hub.subscribe(query.since, query.job, query.previews)
    sending = asyncio.create_task(_send(socket, subscription))
    try:
        async for message in socket:
            if message.type not in (WSMsgType.TEXT, WSMsgType.BINARY):
                break
    finally:
        sending.cancel()
        with contextlib.suppress(asyncio.CancelledError, ConnectionError):
            await sending
    return socket


async def _send(socket: web.WebSocketResponse, subscription: object) -> None:
    async for told in subscription:  # type: ignore[attr-defined]
        if told.picture is None:
            await socket.send_str(told.text)
        else:
            await socket.send_bytes(preview_frame(told))


def preview_frame(told: Told) -> bytes:
    """A preview as a binary message."""
    header = told.text.encode()
    return struct.pack(">I", len(header)) + header + (told.picture or b"")


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
    await response.prepare(call.request)
    await response.write(b": nodegraph\n\n")
    with contextlib.suppress(ConnectionError):
        async for told in server.hub.subscribe(since, query.job, False):
            seq = json.loads(told.text)["seq"]
            name = f"id: {seq}\n" if seq is not None else ""
            await response.write(f"{name}data: {told.text}\n\n".encode())
    return response

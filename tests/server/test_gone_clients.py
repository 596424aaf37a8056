"""Clients that leave without a word, or stay and do not read, take nothing with them: real connections, in this process."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from aiohttp import ClientSession, WSMsgType, web

from nodegraph.jobs import LoggedEvent, StoreFailed
from nodegraph.server import hub as hub_module
from nodegraph.server import sending
from nodegraph.server.hub import Hub
from nodegraph.server.routes.events import event_stream, events
from nodegraph.server.routing import handler_of

JOB = "0" * 26


class _Log:
    """A store of which only the log of events is asked."""

    def __init__(self) -> None:
        self.is_broken = False

    async def bounds(self) -> tuple[int, int]:
        return 0, 0

    async def events(self, since: int, limit: int) -> list[LoggedEvent]:
        if self.is_broken:
            raise StoreFailed("broken")
        return []


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Hub:
    monkeypatch.setattr(hub_module, "_SILENCE_SECONDS", 0.05)
    made = Hub()
    made.store = _Log()  # type: ignore[assignment]
    return made


def app_of(hub: Hub) -> web.Application:
    app = web.Application()
    server: Any = SimpleNamespace(hub=hub)
    for endpoint in (events, event_stream):
        app.router.add_get(endpoint.path, handler_of(server, endpoint))
    return app


@asynccontextmanager
async def serving(app: web.Application) -> AsyncIterator[int]:
    """The port of a server that, as ours, lets handlers go on when their client has gone."""
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        yield runner.addresses[0][1]
    finally:
        await runner.cleanup()


async def until(look: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not look():  # noqa: ASYNC110  what is looked at tells nobody
            await asyncio.sleep(0.01)


async def test_who_listens_to_a_job_that_says_nothing_more_and_leaves_is_forgotten(hub: Hub) -> None:
    async with serving(app_of(hub)) as port:
        for _ in range(3):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(f"GET /api/events/stream?job={JOB} HTTP/1.1\r\nHost: here\r\n\r\n".encode())
            await reader.readuntil(b": nodegraph")
            writer.transport.abort()
        await until(lambda: hub.subscribers > 0)
        for seq in range(1, 6):
            hub.told([LoggedEvent(seq, "another", "{}")])
        await until(lambda: hub.subscribers == 0)


async def test_who_listens_over_a_websocket_is_let_go_where_events_cannot_be_read(hub: Hub) -> None:
    async with serving(app_of(hub)) as port, ClientSession() as http:
        async with http.ws_connect(f"http://127.0.0.1:{port}/api/events") as socket:
            await until(lambda: hub.subscribers == 1)
            hub.store.is_broken = True  # type: ignore[union-attr]
            hub.last = 7  # told while it was not in memory
            for subscriber in hub._subscribers:
                subscriber.wake()
            async with asyncio.timeout(5):
                assert (await socket.receive()).type is WSMsgType.CLOSE
        await until(lambda: hub.subscribers == 0)


async def test_a_file_that_nobody_reads_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sending, "_PIECE_SECONDS", 0.2)
    (tmp_path / "large").write_bytes(os.urandom(1 << 20) * 64)
    over = asyncio.Event()

    async def send(request: web.Request) -> web.StreamResponse:
        try:
            return await sending.send_file(request, (tmp_path / "large").open("rb"), "image/png", '"tag"', None)
        finally:
            over.set()

    app = web.Application()
    app.router.add_get("/", send)
    async with serving(app) as port:
        _, writer = await asyncio.open_connection("127.0.0.1", port, limit=1024)
        writer.write(b"GET / HTTP/1.1\r\nHost: here\r\n\r\n")
        async with asyncio.timeout(10):
            await over.wait()
        writer.transport.abort()


async def test_events_that_hold_long_texts_are_not_all_kept_in_memory(hub: Hub) -> None:
    for seq in range(1, 50):
        hub.told([LoggedEvent(seq, JOB, json.dumps({"seq": seq, "outputs": "x" * 1_000_000}))])
    assert sum(len(told.frame) for told in hub._recent) <= 16 << 20
    assert [told.seq for told in await hub.after(45)] == [46, 47, 48, 49]
    assert await hub.after(1) == [], "asked of the log, in which there is none here"
    hub.told([LoggedEvent(50, JOB, "x" * (17 << 20))])
    assert await hub.after(49) == []
    hub.told([LoggedEvent(51, JOB, "{}")])
    assert [told.seq for told in await hub.after(50)] == [51]

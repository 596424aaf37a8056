"""Events over the WebSocket and as server-sent events: numbered, replayed, the same for everybody."""

from __future__ import annotations

import asyncio
import json
import struct
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from server.harness import TOKEN, ServerProcess, chain

pytestmark = pytest.mark.slow

HEADERS = {"Authorization": f"Bearer {TOKEN}"}
PICTURES = Path(__file__).parents[2] / "workflows" / "text_to_image.json"


@asynccontextmanager
async def listening(server: ServerProcess, query: str = "") -> AsyncIterator[aiohttp.ClientWebSocketResponse]:
    async with (
        aiohttp.ClientSession(headers=HEADERS) as http,
        http.ws_connect(f"{server.url}/api/events{query}") as socket,
    ):
        yield socket


async def events_until(socket: aiohttp.ClientWebSocketResponse, type_: str, seconds: float = 30.0) -> list[dict[str, Any]]:
    """Logged events up to the first of a type."""
    found: list[dict[str, Any]] = []
    async with asyncio.timeout(seconds):
        while not found or found[-1]["type"] != type_:
            message = await socket.receive()
            assert message.type in (aiohttp.WSMsgType.TEXT, aiohttp.WSMsgType.BINARY), message
            if message.type is aiohttp.WSMsgType.TEXT:
                event = json.loads(message.data)
                if event["seq"] is not None:
                    found.append(event)
    return found


async def test_a_job_is_told_from_queued_to_finished_in_order(server: ServerProcess) -> None:
    async with listening(server) as socket:
        id_ = await asyncio.to_thread(server.submit, chain(["e1", "e2"]))
        found = await events_until(socket, "job_finished")
    types = [event["type"] for event in found if event.get("job") == id_]
    assert types[:2] == ["job_queued", "job_started"]
    assert types[-1] == "job_finished"
    assert types.count("node_finished") == 3
    numbers = [event["seq"] for event in found]
    assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))
    assert found[-1]["state"] == "succeeded"


async def test_what_was_missed_is_sent_again(server: ServerProcess) -> None:
    async with listening(server) as socket:
        await asyncio.to_thread(server.submit, chain(["m1"]))
        live = await events_until(socket, "job_finished")
    async with listening(server, f"?since={live[0]['seq']}") as socket:
        assert await events_until(socket, "job_finished") == live[1:]


async def test_everybody_gets_the_same_events(server: ServerProcess) -> None:
    async with aiohttp.ClientSession(headers=HEADERS) as http:
        seq = (await (await http.get(f"{server.url}/api/system")).json())["seq"]
        sockets = [await http.ws_connect(f"{server.url}/api/events?since={seq}&previews=false") for _ in range(40)]
        await asyncio.to_thread(server.submit, chain(["a1", "a2", "a3"]))
        found = await asyncio.gather(*(events_until(socket, "job_finished") for socket in sockets))
        assert all(each == found[0] for each in found)
        await asyncio.gather(*(socket.close() for socket in sockets))


async def test_only_one_jobs_events_where_that_is_asked(server: ServerProcess) -> None:
    first = await asyncio.to_thread(server.submit, chain(["o1"]))
    second = await asyncio.to_thread(server.submit, chain(["o2"]))
    await asyncio.to_thread(server.wait, second)
    await asyncio.to_thread(server.wait, first)
    async with listening(server, f"?since=0&job={first}") as socket:
        found = await events_until(socket, "job_finished")
    assert {event["job"] for event in found} == {first}


async def test_server_sent_events_go_on_from_the_last_one(server: ServerProcess) -> None:
    id_ = await asyncio.to_thread(server.submit, chain(["s1"]))
    await asyncio.to_thread(server.wait, id_)
    async with listening(server, f"?since=0&job={id_}") as socket:
        expected = await events_until(socket, "job_finished")
    headers = {**HEADERS, "Last-Event-ID": str(expected[0]["seq"])}
    found: list[dict[str, Any]] = []
    url = f"{server.url}/api/events/stream?job={id_}"
    async with asyncio.timeout(20), aiohttp.ClientSession(headers=headers) as http, http.get(url) as answer:
        assert answer.content_type == "text/event-stream"
        async for line in answer.content:
            if line.startswith(b"data: "):
                found.append(json.loads(line[6:]))
                if found[-1]["type"] == "job_finished":
                    break
    assert found == expected[1:]


async def test_previews_are_pictures_of_the_node_that_runs(server: ServerProcess) -> None:
    workflow = json.loads(PICTURES.read_text())
    previews = []
    async with listening(server) as socket:
        id_ = await asyncio.to_thread(server.submit, workflow, inputs={"prompt": "a panda", "seed": 5, "steps": 20})
        async with asyncio.timeout(60):
            async for message in socket:
                if message.type is aiohttp.WSMsgType.BINARY:
                    (length,) = struct.unpack(">I", message.data[:4])
                    previews.append((json.loads(message.data[4 : 4 + length]), message.data[4 + length :]))
                elif json.loads(message.data)["type"] == "job_finished":
                    break
    assert previews
    header, picture = previews[0]
    assert header["job"] == id_
    assert header["node"].startswith("denoise/")
    assert picture.startswith(b"\x89PNG\r\n\x1a\n")
    assert struct.unpack(">II", picture[16:24]) == (header["width"], header["height"])


async def test_a_client_that_does_not_read_holds_nobody_up(server: ServerProcess) -> None:
    async with listening(server):  # never reads
        async with listening(server) as other:
            for i in range(20):
                await asyncio.to_thread(server.submit, chain([f"h{i}"]))
            assert len(await events_until(other, "job_finished")) > 2
        assert (await asyncio.to_thread(server.get, "/healthz"))["status"] == "ok"


async def test_events_can_be_had_after_a_restart(new_server: Callable[..., ServerProcess]) -> None:
    first = new_server().start()
    id_ = await asyncio.to_thread(first.submit, chain(["r1"]))
    await asyncio.to_thread(first.wait, id_)
    async with listening(first, "?since=0") as socket:
        before = await events_until(socket, "job_finished")
    await asyncio.to_thread(first.kill)
    again = new_server().start()
    async with listening(again, "?since=0") as socket:
        assert await events_until(socket, "job_finished") == before
    next_ = await asyncio.to_thread(again.submit, chain(["r2"]))
    async with listening(again, f"?since={before[-1]['seq']}") as socket:
        after = await events_until(socket, "job_finished")
    assert after[0]["seq"] == before[-1]["seq"] + 1
    assert after[-1]["job"] == next_


async def test_who_asks_for_what_is_not_there_is_told(server: ServerProcess) -> None:
    async with listening(server, "?since=999999999") as socket:
        event = json.loads((await socket.receive(10)).data)
    assert event["type"] == "events_lost"
    assert event["seq"] < 999999999


async def test_listeners_are_told_that_the_server_stops(new_server: Callable[..., ServerProcess]) -> None:
    running = new_server().start()
    async with listening(running) as socket:
        stopping = asyncio.create_task(asyncio.to_thread(running.stop))
        async with asyncio.timeout(30):
            while (message := await socket.receive()).type is aiohttp.WSMsgType.TEXT:
                pass
        assert message.type is aiohttp.WSMsgType.CLOSE
        assert message.data == aiohttp.WSCloseCode.GOING_AWAY
        assert await stopping == 0

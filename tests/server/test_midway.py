"""A page that is opened while a job runs: what it is told is enough to show everything, and it has a picture at once."""

from __future__ import annotations

import asyncio
import json
import struct
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from server.harness import TOKEN, ServerProcess, until

pytestmark = pytest.mark.slow

HEADERS = {"Authorization": f"Bearer {TOKEN}"}
PICTURES = Path(__file__).parents[2] / "workflows" / "text_to_image.json"


def asking() -> dict[str, Any]:
    """A node that is done, a list of which one item is, a node that works for long, and one that asks."""
    nodes = {
        "done": {"type": "busy/work", "version": 1, "inputs": {"label": "done"}},
        "labels": {"type": "core/split_lines", "version": 1, "inputs": {"value": "x\ny"}},
        "each": {"type": "busy/work", "version": 1, "links": {"label": "labels.texts"}},
        "options": {"type": "core/split_lines", "version": 1, "inputs": {"value": "red\ngreen"}},
        "ask": {
            "type": "core/ask",
            "version": 1,
            "inputs": {"question": "Which?"},
            "links": {"options": "options.texts"},
        },
        "long": {"type": "busy/work", "version": 1, "inputs": {"label": "long", "seconds": 60.0}},
    }
    outputs = {"a": "done.value", "b": "each.value", "c": "ask.chosen", "d": "long.value"}
    return {"nodegraph": 1, "id": "midway", "title": "Midway", "nodes": nodes, "interface": {"outputs": outputs}}


def rebuilt(events: list[dict[str, Any]]) -> dict[str, Any]:
    """What a page knows that heard these events and nothing else."""
    state: dict[str, Any] = {"nodes": {}, "into": {}, "questions": {}, "types": {}}
    for event in events:
        node = event.get("node")
        match event["type"]:
            case "node_expanded":
                state["into"][node], state["nodes"][node] = event["into"], "running"
            case "node_started":
                state["nodes"][node] = "running"
            case "node_finished":
                state["nodes"][node] = event["state"]
            case "job_question":
                state["questions"][node] = event["choices"]
            case "job_answered":
                del state["questions"][node]
        if "state" in event and event["type"].startswith("job_"):
            state["job"], state["document"] = event["state"], event["document"]
        if "node_type" in event:
            state["types"][node] = event["node_type"]
    return state


def test_the_events_of_a_job_tell_all_that_a_page_shows_of_it(server: ServerProcess) -> None:
    id_ = server.submit(asking())

    def is_midway() -> Any:
        job = server.get(f"/api/jobs/{id_}")
        states = {name: row["state"] for name, row in job["nodes"].items()}
        return states.get("long") == "running" and states.get("each") == "computed" and job["questions"] and job

    job = until(is_midway, log=server.log)
    events, since = list[dict[str, Any]](), 0
    while since is not None:
        page = server.get(f"/api/jobs/{id_}/events?since={since}&limit=3")
        events += page["events"]
        since = page.get("next")
    server.ask("POST", f"/api/jobs/{id_}/cancel")
    seen = rebuilt(events)
    assert (seen["job"], seen["document"]) == ("running", "midway")
    assert seen["into"]["each"] == ["each[0]", "each[1]"]
    assert seen["nodes"] == {name: row["state"] for name, row in job["nodes"].items()}
    assert seen["types"] == {name: row["type"] for name, row in job["nodes"].items()}
    assert seen["questions"] == {row["node"]: row["choices"] for row in job["questions"]}
    assert list(seen["questions"].values()) == [["red", "green"]]
    assert server.wait(id_)["state"] == "cancelled"


async def test_who_connects_in_the_middle_has_the_latest_picture_and_progress_at_once(server: ServerProcess) -> None:
    workflow = json.loads(PICTURES.read_text())
    inputs = {"prompt": "a panda", "seed": 11, "steps": 100}
    workflow["nodes"]["long"] = {"type": "busy/work", "version": 1, "inputs": {"label": "far", "seconds": 60.0}}
    workflow["interface"]["outputs"]["far"] = "long.value"
    async with aiohttp.ClientSession(headers=HEADERS) as http, http.ws_connect(f"{server.url}/api/events") as first:
        id_ = await asyncio.to_thread(server.submit, workflow, inputs=inputs)
        seen = await asyncio.wait_for(_preview(first), 60)
        async with http.ws_connect(f"{server.url}/api/events?job={id_}") as late:
            kept = await asyncio.wait_for(_preview(late), 10)
        await asyncio.to_thread(server.ask, "POST", f"/api/jobs/{id_}/cancel")
    assert seen["job"] == kept["job"] == id_
    assert kept["node"].startswith("denoise/step_")
    await asyncio.to_thread(server.wait, id_)


async def test_of_what_stands_still_the_last_that_was_told_is_told_again(server: ServerProcess) -> None:
    node = {"type": "busy/work", "version": 1, "inputs": {"label": "still", "seconds": 60.0}}
    workflow = {"nodegraph": 1, "nodes": {"still": node}, "interface": {"outputs": {"v": "still.value"}}}
    async with aiohttp.ClientSession(headers=HEADERS) as http:
        id_ = await asyncio.to_thread(server.submit, workflow)
        await asyncio.to_thread(server.wait, id_, "running")
        async with http.ws_connect(f"{server.url}/api/events?job={id_}") as socket, asyncio.timeout(20):
            event = {"type": ""}
            while event["type"] != "node_progress":
                event = json.loads((await socket.receive()).data)
        await asyncio.to_thread(server.ask, "POST", f"/api/jobs/{id_}/cancel")
        await asyncio.to_thread(server.wait, id_)
        async with http.ws_connect(f"{server.url}/api/events?since=0&job={id_}") as socket, asyncio.timeout(20):
            types = []
            while not types or types[-1] != "job_finished":
                types.append(json.loads((await socket.receive()).data)["type"])
    assert "node_progress" not in types, "of a job that is over nothing passes"


async def _preview(socket: aiohttp.ClientWebSocketResponse) -> dict[str, Any]:
    """The header of the first preview that comes."""
    async for message in socket:
        if message.type is aiohttp.WSMsgType.BINARY:
            (length,) = struct.unpack(">I", message.data[:4])
            return dict(json.loads(message.data[4 : 4 + length]))
    raise AssertionError("the connection ended")

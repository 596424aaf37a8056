"""The host of an engine, in this process: jobs run, stop, and are told of exactly once."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from nodegraph import Artifact, Context, Pack, node
from nodegraph.api import Session
from nodegraph.engine.events import NodePreview
from nodegraph.sdk.context import Preview
from nodegraph.workers import messages
from nodegraph.workers.host import Host
from nodegraph.workers.messages import Message, packed
from nodegraph.workers.telling import Telling


@node(cache="never")
async def wait_for_ever() -> str:
    """Never end by itself."""
    await asyncio.Event().wait()
    return ""


@node(output=True)
def page(text: str) -> Artifact:
    """The text as a file."""
    return Artifact(text.encode(), "text/plain", name="{workflow}-{digest}", embed="none")


@node(cache="never")
def talk(context: Context, times: int = 1) -> str:
    """Say something, and so often."""
    for number in range(times):
        context.log.warning("heard %s", number)
    return "said"


@node(cache="never")
def odd() -> str:
    """Give a text that no file can hold."""
    return "\ud800"


class Sent:
    """What was sent."""

    def __init__(self) -> None:
        self.messages: list[Message] = []
        self._loop, self._news = asyncio.get_running_loop(), asyncio.Event()

    def put(self, message: Message) -> None:
        packed(message)
        self.messages.append(message)
        self._loop.call_soon_threadsafe(self._news.set)

    async def until(self, look: Callable[[], Any]) -> Any:
        async with asyncio.timeout(20):
            while not (found := look()):
                self._news.clear()
                await self._news.wait()
        return found


class Talk:
    """A host and what it sends."""

    def __init__(self, host: Host, sent: Sent) -> None:
        self.host, self.sent = host, sent

    def run(self, node: str, job: str = "j", pages: int = 1, **inputs: Any) -> None:
        document: dict[str, Any] = {"n0": {"type": f"talk/{node}", "version": 1, "inputs": inputs}}
        names = ["page", *(f"page{i}" for i in range(1, pages))]
        document |= {name: {"type": "talk/page", "version": 1, "links": {"text": "n0.value"}} for name in names}
        outputs = {name: f"{name}.artifact" for name in names}
        text = json.dumps({"nodegraph": 1, "nodes": document, "interface": {"outputs": outputs}})
        about = {"kind": "run", "job": job, "attempt": 1, "document": text, "wanted": None}
        self.host.handle({**about, "exact": False, "priority": 0})

    async def ended(self, job: str = "j") -> dict[str, Any]:
        messages = self.sent.messages
        found = await self.sent.until(lambda: [one for one in messages if one["kind"] == "done" and one["job"] == job])
        assert len(found) == 1
        return dict(json.loads(found[0]["ended"]))


@pytest.fixture
async def talk_to(tmp_path: Path) -> AsyncIterator[Talk]:
    sent = Sent()

    pack = Pack.of("talk", [wait_for_ever, page, talk, odd])
    with Session(tmp_path, packs=[pack]) as session:
        host = Host(session, tmp_path / "artifacts", sent.put)
        yield Talk(host, sent)
        await host.stop()


async def test_a_job_ends_with_its_files(talk_to: Talk) -> None:
    talk_to.run("talk")
    ended = await talk_to.ended()
    assert ended["state"] == "succeeded", ended
    (row,) = ended["outputs"]["page"]
    assert row["bytes"] == 4


async def test_a_job_that_is_cancelled_before_it_began_is_told_too(talk_to: Talk) -> None:
    talk_to.run("wait_for_ever")
    talk_to.host.handle({"kind": "cancel", "job": "j", "attempt": 1})
    assert (await talk_to.ended())["state"] == "cancelled"
    assert talk_to.host.jobs == []


async def test_a_job_that_is_cancelled_twice_is_told_once(talk_to: Talk) -> None:
    talk_to.run("wait_for_ever")
    await asyncio.sleep(0)
    for _ in range(3):
        talk_to.host.handle({"kind": "cancel", "job": "j", "attempt": 1})
    assert (await talk_to.ended())["state"] == "cancelled"


async def test_what_runs_when_the_worker_ends_is_stopped_and_not_cancelled(talk_to: Talk) -> None:
    talk_to.run("wait_for_ever")
    await talk_to.host.stop()
    assert (await talk_to.ended())["state"] == "stopped"


async def test_what_nodes_log_comes_with_the_job_and_ends_somewhere(talk_to: Talk) -> None:
    talk_to.run("talk", times=1000)
    await talk_to.ended()
    logged = [one for one in talk_to.sent.messages if one["kind"] == "log"]
    assert (logged[0]["job"], logged[0]["node"], logged[0]["level"]) == ("j", "n0", "warning")
    assert logged[0]["message"] == "heard 0"
    assert len(logged) == 100


async def test_a_result_that_cannot_be_sent_fails_its_job_and_no_other(talk_to: Talk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(messages, "LARGEST_FRAME", 1500)
    talk_to.run("talk", job="large", pages=20)
    talk_to.run("talk", job="small")
    ended = await talk_to.ended("large")
    assert ended["state"] == "failed"
    assert "too large" in ended["error"]["detail"]
    assert (await talk_to.ended("small"))["state"] == "succeeded"


async def test_a_text_that_cannot_be_encoded_fails_or_passes_but_ends(talk_to: Talk) -> None:
    talk_to.run("odd")
    assert (await talk_to.ended())["state"] in ("failed", "succeeded")


async def test_a_call_that_is_unknown_is_answered(talk_to: Talk) -> None:
    talk_to.host.handle({"kind": "call", "id": 7, "what": "unheard of", "arguments": "{}"})
    (answer,) = await talk_to.sent.until(lambda: talk_to.sent.messages)
    assert answer["id"] == 7
    assert answer["problems"]


async def test_the_last_preview_is_shown_even_when_nothing_follows() -> None:
    sent = Sent()
    telling = Telling("j", 1, sent.put)
    for number in range(1, 50):
        telling.listen(NodePreview(number, 0.0, "n", Preview(number, 1, bytes(3 * number))))
        await asyncio.sleep(0)
    await sent.until(lambda: sent.messages and sent.messages[-1]["width"] == 49)
    assert len(sent.messages) <= 3
    telling.close()

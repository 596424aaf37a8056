"""Workers without a server: a listener that writes down what it hears, and pools with the pack `busy`."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from server.harness import with_busy_pack

from nodegraph.workers import Attempt, Message, Pool, WorkerSetup


class Heard:
    """A listener of a pool."""

    def __init__(self) -> None:
        self.messages: list[Message] = []
        self.lost: list[tuple[list[str], str, bool]] = []
        self._news = asyncio.Event()

    def on_message(self, worker: str, message: Message) -> None:
        self.messages.append(message)
        self._news.set()

    def on_room(self) -> None:
        self._news.set()

    def on_lost(self, worker: str, attempts: Sequence[Attempt], reason: str, *, crashed: bool) -> None:
        self.lost.append(([attempt.job for attempt in attempts], reason, crashed))
        self._news.set()

    async def until(self, look: Callable[[], Any], seconds: float = 30.0) -> Any:
        """What `look` gives once it is true; it is asked again whenever there is news."""
        async with asyncio.timeout(seconds):
            while not (found := look()):
                self._news.clear()
                await self._news.wait()
        return found

    def ended(self, job: str) -> dict[str, Any] | None:
        """How a job ended, if it did."""
        found = [json.loads(message["ended"]) for message in self.messages if _is(message, "done", job)]
        assert len(found) <= 1, "an end is told once"
        return found[0] if found else None


def _is(message: Message, kind: str, job: str) -> bool:
    return message["kind"] == kind and message["job"] == job


def attempt(job: str, workflow: Mapping[str, Any], number: int = 1, *, alone: bool = False) -> Attempt:
    return Attempt(job, number, json.dumps(workflow), None, False, 0, alone)


@pytest.fixture
def heard() -> Heard:
    return Heard()


@pytest.fixture
async def new_pool(tmp_path: Path, data_folder: Path, heard: Heard) -> AsyncIterator[Callable[..., Pool]]:
    """Makes pools that are open: `new_pool(count=2, heartbeat_seconds=1.5, environment={...})`."""
    made: list[Pool] = []

    def make(*, count: int = 1, environment: Mapping[str, str] | None = None, **setup: Any) -> Pool:
        data = tmp_path / "data"
        if not data.exists():
            data.mkdir()
            (data / "catalog").symlink_to((data_folder / "catalog").resolve())
        path = os.pathsep.join(filter(None, [str(with_busy_pack(tmp_path / "site")), os.environ.get("PYTHONPATH", "")]))
        variables = {"PYTHONPATH": path, "BUSY_LOG": str(tmp_path / "busy.log"), **(environment or {})}
        settings = WorkerSetup(str(data), str(tmp_path / "artifacts"), environment=variables, **setup)
        made.append(Pool(settings, heard, count=count))
        made[-1].open()
        return made[-1]

    yield make
    for pool in made:
        pool.end_now()
        await pool.close(5)

"""Stores in a folder of the test's own, and the shortest jobs to put into them."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from nodegraph.jobs import Ended, JobStore, LoggedEvent, NewJob
from nodegraph.jobs.schema import SCHEMA
from nodegraph.jobs.words import open_index


@asynccontextmanager
async def opened(folder: Path, told: list[LoggedEvent] | None = None) -> AsyncIterator[JobStore]:
    """The store of a folder; its events are appended to `told`."""
    store = JobStore(folder / "jobs.sqlite", None if told is None else told.extend)
    try:
        yield store
    finally:
        await store.close()


def new(title: str = "", **more: Any) -> NewJob:
    """A job of hardly anything."""
    return NewJob(document='{"nodegraph": 1, "nodes": {}}', title=title, inputs={}, **more)


def ended(state: str = "succeeded", digests: Sequence[str] = (), size: int = 10) -> Ended:
    """An attempt's end, with these files as its output."""
    rows = [{"digest": digest, "media_type": "image/png", "name": "a.png", "bytes": size} for digest in digests]
    error = None
    if state == "failed":
        error = {"type": "nodegraph:run_failed", "title": "The run did not succeed.", "status": 422}
    return Ended(state, {"out": rows} if rows else {}, {}, error, 0.1)


async def finished(store: JobStore, job: NewJob | None = None, end: Ended | None = None) -> str:
    """A job that has ended; its id."""
    made, _ = await store.add(job or new())
    claimed = await store.claim("worker", 0)
    assert claimed is not None
    assert claimed.id == made.id
    await store.finish(made.id, claimed.attempts, end or ended())
    return made.id


def tables() -> sqlite3.Connection:
    """The tables in memory, for transitions without a thread."""
    connection = sqlite3.connect(":memory:", isolation_level=None)
    connection.executescript(SCHEMA)
    open_index(connection)
    return connection

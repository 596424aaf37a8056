"""Jobs as the store gives them, and as it takes them."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple


class NewJob(NamedTuple):
    """A job to be queued. `document` is the text as it will run: linked, its inputs applied, checked."""

    document: str
    title: str
    inputs: Mapping[str, Any]
    wanted: Sequence[str] | None = None
    workflow_id: str | None = None
    priority: int = 0
    exact: bool = False
    webhook: str | None = None
    retry_of: str | None = None
    marks: Sequence[tuple[str, str]] = ()
    """What it is found by: kind (`model`, `seed`, `node`) and value."""
    text: str = ""
    """The words it is found by."""
    document_id: str | None = None
    client: str | None = None
    """What the client that submitted it calls itself."""


class Ended(NamedTuple):
    """How an attempt ended, as its worker tells it."""

    state: str
    outputs: Mapping[str, Sequence[Mapping[str, Any]]]
    nodes: Mapping[str, Mapping[str, Any]]
    error: Mapping[str, Any] | None
    seconds: float


class Filter(NamedTuple):
    """Which jobs to list. `text` is looked for in typed texts, `model` in names of models; the others are exact."""

    states: Sequence[str] = ()
    workflow_id: str | None = None
    document_id: str | None = None
    text: str | None = None
    model: str | None = None
    seed: str | None = None
    node: str | None = None
    created_after: float | None = None
    created_before: float | None = None


@dataclass(frozen=True, slots=True)
class JobRecord:
    """A job as it is now. Times are seconds since 1970."""

    id: str
    state: str
    priority: int
    title: str
    workflow_id: str | None
    exact: bool
    wanted: list[str] | None
    inputs: dict[str, Any]
    webhook: str | None
    retry_of: str | None
    created: float
    started: float | None
    finished: float | None
    seconds: float | None
    worker: str | None
    attempts: int
    crashes: int
    alone: bool
    stopping: str | None
    reason: str
    error: dict[str, Any] | None
    outputs: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    document_id: str | None = None
    client: str | None = None


COLUMNS = (
    "id, state, priority, title, workflow_id, exact, wanted, inputs, webhook, retry_of, created, started, finished, seconds,"
    " worker, attempts, crashes, alone, stopping, reason, error, outputs, document_id, client"
)


def record(row: Sequence[Any]) -> JobRecord:
    """A row of `COLUMNS`."""
    values = list(row)
    values[5], values[17] = bool(row[5]), bool(row[17])
    for i in (6, 7, 20):
        values[i] = None if row[i] is None else json.loads(row[i])
    values[21] = {} if row[21] is None else json.loads(row[21])
    return JobRecord(*values)


def job(connection: sqlite3.Connection, id_: str) -> JobRecord | None:
    row = connection.execute(f"SELECT {COLUMNS} FROM jobs WHERE id = ?", (id_,)).fetchone()
    return None if row is None else record(row)


def count(connection: sqlite3.Connection, state: str) -> int:
    """How many jobs are in a state; costs the same however many there are."""
    row = connection.execute("SELECT jobs FROM counts WHERE state = ?", (state,)).fetchone()
    return 0 if row is None else int(row[0])

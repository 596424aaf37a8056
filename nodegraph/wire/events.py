"""Events as clients get them: one JSON object each, told apart by `type`; and previews, which are binary messages.

Logged events are numbered by `seq`; progress and previews have none, and are not repeated. A type that is not known here is
an `Event` with all that it came with.
"""

from __future__ import annotations

import json
import struct
from typing import Any, NamedTuple

from pydantic import BaseModel, ConfigDict, ValidationError

from nodegraph.wire.jobs import JobState, OutputRow
from nodegraph.wire.problems import ProblemDetails, ProblemRow


class Event(BaseModel):
    """Something that happened. `at` is in seconds since 1970."""

    model_config = ConfigDict(extra="allow", frozen=True)

    seq: int | None = None
    at: float = 0.0
    type: str
    job: str | None = None


class EventsLost(Event):
    """Events that were asked for are no longer kept: look at the state anew."""


class JobChanged(Event):
    """A job came to another state (`job_queued`, `job_started`, `job_finished` ...)."""

    job: str
    state: JobState
    reason: str = ""
    workflow_id: str | None = None
    document: str | None = None
    client: str | None = None
    outputs: dict[str, list[OutputRow]] = {}
    error: ProblemDetails | None = None


class JobAsks(Event):
    """A node asks a person (`job_question`)."""

    job: str
    node: str
    text: str
    choices: list[str]
    pictures: list[OutputRow | None] = []


class NodeEvent(Event):
    """Something about a node of a job. A job that is tried again tells anew; `attempt` counts."""

    job: str
    node: str
    attempt: int | None = None


class NodeExpanded(NodeEvent):
    into: list[str]
    node_type: str = ""


class NodeStarted(NodeEvent):
    node_type: str = ""


class NodeProgress(NodeEvent):
    done: float
    total: float


class NodeFinished(NodeEvent):
    state: str
    reason: str
    ms: float
    peak_bytes: int | None = None
    node_type: str = ""
    bytes: int | None = None


class NodeFailed(NodeEvent):
    problem: ProblemRow
    trace: str = ""
    node_type: str = ""


class Preview(NamedTuple):
    """A picture of work in progress: `png` is a PNG file."""

    job: str
    node: str
    width: int
    height: int
    png: bytes


_KINDS: dict[str, type[Event]] = {
    "events_lost": EventsLost,
    "job_question": JobAsks,
    "node_expanded": NodeExpanded,
    "node_started": NodeStarted,
    "node_progress": NodeProgress,
    "node_finished": NodeFinished,
    "node_failed": NodeFailed,
}


def read_event(text: str) -> Event:
    """An event from a text message. Raises ValueError for what is none."""
    data: Any = json.loads(text)
    type_ = data.get("type") if isinstance(data, dict) else None
    kind = _KINDS.get(type_) if isinstance(type_, str) else None
    if kind is None and str(type_).startswith("job_") and "state" in data:
        kind = JobChanged
    try:
        return (kind or Event).model_validate(data)
    except ValidationError:
        return Event.model_validate(data)


def read_preview(frame: bytes) -> Preview:
    """A preview from a binary message. Raises ValueError."""
    try:
        (length,) = struct.unpack_from(">I", frame)
        header = json.loads(frame[4 : 4 + length])
        return Preview(header["job"], header["node"], int(header["width"]), int(header["height"]), frame[4 + length :])
    except (struct.error, LookupError, TypeError) as error:
        raise ValueError(f"not a preview: {error}") from None

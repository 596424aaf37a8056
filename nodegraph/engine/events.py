"""What a run tells while it goes on: typed, numbered events whose volume is linear in the graph."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from nodegraph.sdk.context import Preview
from nodegraph.sdk.errors import Problem

State = Literal["computed", "hit", "not_needed", "failed", "skipped"]
Status = Literal["succeeded", "failed", "cancelled"]


@dataclass(frozen=True, slots=True)
class Event:
    """`seq` counts a run's events from 1; `at` is seconds since the run started."""

    seq: int
    at: float


@dataclass(frozen=True, slots=True)
class RunStarted(Event):
    nodes: int


@dataclass(frozen=True, slots=True)
class NodeExpanded(Event):
    """A composite or a mapped node became other nodes."""

    node: str
    into: tuple[str, ...]
    type: str = ""


@dataclass(frozen=True, slots=True)
class NodeStarted(Event):
    node: str
    type: str = ""


@dataclass(frozen=True, slots=True)
class NodeProgress(Event):
    node: str
    done: float
    total: float


@dataclass(frozen=True, slots=True)
class NodePreview(Event):
    node: str
    preview: Preview


@dataclass(frozen=True, slots=True)
class NodeFinished(Event):
    """`peak_bytes` is what the device held at most while the node ran, where the device can tell. `key` and `nbytes` are the
    result's: where it lies, and how large it is where that is known.
    """

    node: str
    state: State
    reason: str
    ms: float
    peak_bytes: int | None = None
    type: str = ""
    key: str = ""
    nbytes: int | None = None


@dataclass(frozen=True, slots=True)
class NodeFailed(Event):
    node: str
    problem: Problem
    trace: str = ""
    type: str = ""


@dataclass(frozen=True, slots=True)
class RunFinished(Event):
    status: Status
    seconds: float


Listener = Callable[[Event], None]

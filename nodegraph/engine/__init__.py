"""The engine: keys, cache, scheduler, lanes, events.

Knows graphs; knows no pictures and no torch.
"""

from nodegraph.engine.device import DeviceAdapter
from nodegraph.engine.engine import Engine, RunOutput, RunResult
from nodegraph.engine.events import (
    Event,
    Listener,
    NodeExpanded,
    NodeFailed,
    NodeFinished,
    NodePreview,
    NodeProgress,
    NodeStarted,
    RunFinished,
    RunStarted,
)
from nodegraph.engine.library import Library

__all__ = [
    "DeviceAdapter",
    "Engine",
    "Event",
    "Library",
    "Listener",
    "NodeExpanded",
    "NodeFailed",
    "NodeFinished",
    "NodePreview",
    "NodeProgress",
    "NodeStarted",
    "RunFinished",
    "RunOutput",
    "RunResult",
    "RunStarted",
]

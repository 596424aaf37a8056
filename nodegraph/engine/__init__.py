"""The engine: keys, cache, scheduler, lanes, events.

Knows graphs; knows no pictures and no torch.
"""

from nodegraph.engine.device import DeviceAdapter
from nodegraph.engine.engine import Engine, Freed, RunResult
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
from nodegraph.engine.outputs import Receiver, RunOutput
from nodegraph.engine.run import RunOptions

__all__ = [
    "DeviceAdapter",
    "Engine",
    "Event",
    "Freed",
    "Library",
    "Listener",
    "NodeExpanded",
    "NodeFailed",
    "NodeFinished",
    "NodePreview",
    "NodeProgress",
    "NodeStarted",
    "Receiver",
    "RunFinished",
    "RunOptions",
    "RunOutput",
    "RunResult",
    "RunStarted",
]

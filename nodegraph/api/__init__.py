"""nodegraph from Python: sessions, workflows, graphs, forecasts.

The command line is built on this and on nothing below it that a script could not use too. Names are imported on demand, so
that commands which run nothing do not wait for the engine.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from nodegraph.api.graph import Graph
    from nodegraph.api.origin import Untrusted
    from nodegraph.api.saving import StaleRevision
    from nodegraph.api.session import Session, default_session
    from nodegraph.api.workflow import Result, RunFailed, Workflow, load

_HOMES = {
    "Graph": "graph",
    "Result": "workflow",
    "RunFailed": "workflow",
    "Session": "session",
    "StaleRevision": "saving",
    "Untrusted": "origin",
    "Workflow": "workflow",
    "default_session": "session",
    "load": "workflow",
}

__all__ = ["Graph", "Result", "RunFailed", "Session", "StaleRevision", "Untrusted", "Workflow", "default_session", "load"]


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(f"nodegraph.api.{_HOMES[name]}"), name)
    raise AttributeError(f"module 'nodegraph.api' has no attribute {name!r}")

"""nodegraph: typed node graphs for latent diffusion.

Node authors use the decorators and types from here; scripts use `load`, `Graph` and `Session`, which are imported on demand.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from nodegraph.sdk import (
    Artifact,
    Asker,
    Axis,
    Buffer,
    Cancelled,
    Codec,
    Color,
    Context,
    Curve,
    FilePath,
    FolderPath,
    GraphBuilder,
    Inputs,
    InvalidWorkflow,
    Lazy,
    Link,
    ModelFile,
    Node,
    NodeError,
    OldNode,
    Pack,
    PackError,
    Plot,
    Preview,
    Problem,
    Question,
    Secret,
    Seed,
    Series,
    SocketType,
    Storage,
    Table,
    composite,
    curve_at,
    curve_slopes,
    loader,
    migrate,
    node,
    socket,
)

if TYPE_CHECKING:
    from nodegraph.api import Graph, Result, RunFailed, Session, StaleRevision, Untrusted, Workflow, load
    from nodegraph.client import AsyncClient, Client

_ON_DEMAND = ("Graph", "Result", "RunFailed", "Session", "StaleRevision", "Untrusted", "Workflow", "load")
_CLIENTS = ("AsyncClient", "Client")

__all__ = [
    "Artifact",
    "Asker",
    "AsyncClient",
    "Axis",
    "Buffer",
    "Cancelled",
    "Client",
    "Codec",
    "Color",
    "Context",
    "Curve",
    "FilePath",
    "FolderPath",
    "Graph",
    "GraphBuilder",
    "Inputs",
    "InvalidWorkflow",
    "Lazy",
    "Link",
    "ModelFile",
    "Node",
    "NodeError",
    "OldNode",
    "Pack",
    "PackError",
    "Plot",
    "Preview",
    "Problem",
    "Question",
    "Result",
    "RunFailed",
    "Secret",
    "Seed",
    "Series",
    "Session",
    "SocketType",
    "StaleRevision",
    "Storage",
    "Table",
    "Untrusted",
    "Workflow",
    "composite",
    "curve_at",
    "curve_slopes",
    "load",
    "loader",
    "migrate",
    "node",
    "socket",
]


def __getattr__(name: str) -> Any:
    if name in _ON_DEMAND:
        from nodegraph import api

        return getattr(api, name)
    if name in _CLIENTS:
        from nodegraph import client

        return getattr(client, name)
    raise AttributeError(f"module 'nodegraph' has no attribute {name!r}")

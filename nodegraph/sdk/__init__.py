"""What node authors use: decorators, value types, sockets and the context.

Nothing here knows graphs, engines or tensors.
"""

from nodegraph.sdk.batching import Inputs
from nodegraph.sdk.builder import GraphBuilder, Link
from nodegraph.sdk.context import Asker, Context, Preview, Question
from nodegraph.sdk.curve import Curve, curve_at, curve_slopes
from nodegraph.sdk.errors import Cancelled, InvalidWorkflow, NodeError, PackError, Problem
from nodegraph.sdk.migration import OldNode, migrate
from nodegraph.sdk.node import Node, composite, node
from nodegraph.sdk.pack import Pack, loader
from nodegraph.sdk.socket import Artifact, Buffer, Codec, SocketType, Storage, socket
from nodegraph.sdk.values import Color, FilePath, FolderPath, Lazy, ModelFile, Secret, Seed
from nodegraph.sdk.views import Axis, Plot, Series, Table

__all__ = [
    "Artifact",
    "Asker",
    "Axis",
    "Buffer",
    "Cancelled",
    "Codec",
    "Color",
    "Context",
    "Curve",
    "FilePath",
    "FolderPath",
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
    "Secret",
    "Seed",
    "Series",
    "SocketType",
    "Storage",
    "Table",
    "composite",
    "curve_at",
    "curve_slopes",
    "loader",
    "migrate",
    "node",
    "socket",
]

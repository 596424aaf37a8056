"""The catalog: all node types as data."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel

from nodegraph.server.routing import Call, endpoint
from nodegraph.server.service import Server


class CatalogView(BaseModel):
    """Node types by id, socket types by name, and packs that could not be read."""

    nodes: dict[str, dict[str, Any]]
    sockets: dict[str, dict[str, Any]]
    broken: dict[str, str]


@endpoint("GET", "/api/nodes", answers={200: CatalogView}, tag="nodes")
async def list_nodes(server: Server, call: Call) -> CatalogView:
    """All node types: inputs, outputs, defaults, ranges, documentation."""
    return CatalogView.model_validate((await server.catalog()).to_json())

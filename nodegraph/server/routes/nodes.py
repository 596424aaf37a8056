"""The catalog: all node types as data."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any

from aiohttp import web
from pydantic import BaseModel, Field

from nodegraph.graph.canonical import compact
from nodegraph.server.problems import not_found
from nodegraph.server.routes.workflows import matches
from nodegraph.server.routing import Call, endpoint
from nodegraph.server.service import Server
from nodegraph.store.ledger import digest_of

Part = Annotated[str, Field(min_length=1, max_length=200)]


class CatalogView(BaseModel):
    """Node types by id, socket types by name, and packs that could not be read."""

    nodes: dict[str, dict[str, Any]]
    sockets: dict[str, dict[str, Any]]
    broken: dict[str, str]


class NodeTypeView(BaseModel):
    """A node type: its sockets, what its inputs take, and its documentation."""

    id: str
    node: dict[str, Any]


@endpoint(
    "GET",
    "/api/nodes",
    answers={200: CatalogView, 304: None},
    headers={"If-None-Match": "The ETag of an answer: if the node types are still the same, nothing is sent."},
    tag="nodes",
)
async def list_nodes(server: Server, call: Call) -> web.Response:
    """All node types: inputs, outputs, defaults, ranges, documentation. The ETag is the catalog's digest."""
    catalog = await server.catalog()
    data = await asyncio.to_thread(lambda: compact(catalog.to_json()).encode())
    tag = f'"{digest_of(data)}"'
    headers = {"ETag": tag, "Cache-Control": "private, no-cache"}
    if matches(call.header("If-None-Match"), tag):
        return web.Response(status=304, headers=headers)
    return web.Response(body=data, content_type="application/json", headers=headers)


@endpoint("GET", "/api/nodes/{pack}/{name}", types={"pack": Part, "name": Part}, answers={200: NodeTypeView}, tag="nodes")
async def get_node(server: Server, call: Call) -> NodeTypeView:
    """One node type."""
    found = (await server.catalog()).nodes.get(f"{call.path['pack']}/{call.path['name']}")
    if found is None:
        raise not_found("node type")
    return NodeTypeView(id=found.id, node=found.to_json())

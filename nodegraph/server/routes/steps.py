"""What a job's nodes became, step by step, and small pictures of how far they were: what workers keep in the journal.

What came whole from the cache was computed by an earlier job, and its steps are shown as they were there.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple
from urllib.parse import quote

from aiohttp import web
from pydantic import BaseModel, ConfigDict, Field

from nodegraph.jobs.parts import jobs_with_parts, number_of, parts_of
from nodegraph.server.problems import not_found
from nodegraph.server.ranges import names_tag
from nodegraph.server.routing import Call, Raw, endpoint
from nodegraph.server.sending import CAREFUL, FOREVER
from nodegraph.server.service import Server
from nodegraph.wire.jobs import JobId, NodePath
from nodegraph.wire.steps import JobSteps, NodeWithSteps, StepRow
from nodegraph.workers.telling import as_png

_ID = {"id": JobId}

Rows = Mapping[str, Mapping[str, Any]]


class StepsQuery(BaseModel):
    """Whose steps."""

    model_config = ConfigDict(extra="forbid")

    node: NodePath | None = Field(default=None, description="The steps of this node; without it, which nodes have steps.")


class NodeQuery(BaseModel):
    """Which node."""

    model_config = ConfigDict(extra="forbid")

    node: NodePath = Field(description="The node's path: `denoise/step_3`.")


class _Nodes(NamedTuple):
    """What became of the nodes of a job, and which became others."""

    job: str
    rows: Rows
    parts: Mapping[str, Sequence[str]]


@endpoint("GET", "/api/jobs/{id}/steps", types=_ID, query=StepsQuery, answers={200: JobSteps}, tag="jobs")
async def get_job_steps(server: Server, call: Call) -> JobSteps:
    """What a node of a job became, in order: the steps of a denoise, the items of a list. Also while the job runs."""
    query: StepsQuery = call.query
    nodes = await _nodes(server, call.id)
    if query.node is None:
        return JobSteps(nodes=await _with_steps(server, nodes))
    found, path = await _whole(server, nodes, query.node)
    parts = found.parts.get(path, ())
    pictured = await _pictured(server, [found], parts)
    return JobSteps(steps=[_step(found, part, pictured) for part in parts])


@endpoint(
    "GET",
    "/api/jobs/{id}/nodes/thumbnail",
    types=_ID,
    query=NodeQuery,
    answers={200: Raw(("image/png",), "A small picture."), 304: None},
    headers={"If-None-Match": "The ETag of a copy that is there already: then 304 comes."},
    tag="jobs",
)
async def get_node_thumbnail(server: Server, call: Call) -> web.StreamResponse:
    """A small picture of a node's result, or of how far it was, where one was made and is kept."""
    query: NodeQuery = call.query
    nodes = await _nodes(server, call.id)
    key = nodes.rows.get(query.node, {}).get("key")
    if key is None:
        raise not_found("picture")
    headers = {**CAREFUL, "ETag": f'"{key}"', "Cache-Control": FOREVER if "!" not in key else "no-cache"}
    if names_tag(call.request.headers.get("If-None-Match"), headers["ETag"], weak=True):
        return web.Response(status=304, headers=headers)

    def read() -> bytes | None:
        picture = server.journal.thumbnail(key)
        return None if picture is None else as_png(picture)

    if (picture := await asyncio.to_thread(read)) is None:
        raise not_found("picture")
    return web.Response(body=picture, content_type="image/png", headers=headers)


async def _nodes(server: Server, id_: str) -> _Nodes:
    """The nodes of a job, whether it runs or has ended. Raises Refused (404)."""
    live = server.dispatcher.live.get(id_)  # before the store is asked: the job may end meanwhile
    known = await server.store.known(id_)
    if known is None:
        raise not_found("job")
    if known.job.state == "running" and (live := live or server.dispatcher.live.get(id_)) is not None:
        return _Nodes(id_, live.rows, live.became)
    return _Nodes(id_, known.nodes, parts_of(known.nodes))


async def _whole(server: Server, nodes: _Nodes, path: str) -> tuple[_Nodes, str]:
    """Where the parts of a node are told: its own job, or an earlier one and its path there."""
    key = nodes.rows.get(path, {}).get("key")
    if path in nodes.parts or key is None:
        return nodes, path
    earlier = await server.store.read(lambda connection: jobs_with_parts(connection, [key]))
    return (await _earlier(server, earlier[key], key) if key in earlier else None) or (nodes, path)


async def _earlier(server: Server, id_: str, key: str) -> tuple[_Nodes, str] | None:
    known = await server.store.known(id_)
    if known is None:
        return None
    nodes = _Nodes(id_, known.nodes, parts_of(known.nodes))
    return next(((nodes, path) for path in nodes.parts if nodes.rows[path].get("key") == key), None)


async def _with_steps(server: Server, nodes: _Nodes) -> list[NodeWithSteps]:
    """The nodes that have parts, here or in an earlier job."""
    keys = {path: row["key"] for path, row in nodes.rows.items() if path not in nodes.parts and row.get("key")}
    earlier = await server.store.read(lambda connection: jobs_with_parts(connection, keys.values()))
    places = {path: (nodes, path) for path in nodes.parts}
    for path, key in keys.items():
        if key in earlier and (place := await _earlier(server, earlier[key], key)) is not None:
            places[path] = place
    pictured = await _pictured(server, [found for found, _ in places.values()])
    shown = []
    for path, (found, there) in places.items():
        parts = found.parts[there]
        pictures = sum(found.rows.get(part, {}).get("key") in pictured for part in parts)
        type_ = found.rows.get(there, {}).get("type", "")
        shown.append(NodeWithSteps(node=path, type=type_, steps=len(parts), pictures=pictures))
    return shown


async def _pictured(server: Server, nodes: Iterable[_Nodes], paths: Sequence[str] | None = None) -> set[str]:
    """The keys of nodes of which there is a picture."""
    wanted = {
        found.rows[path]["key"]
        for found in nodes
        for path in (found.rows if paths is None else paths)
        if found.rows.get(path, {}).get("key")
    }
    return await asyncio.to_thread(server.journal.pictured, wanted)


def _step(nodes: _Nodes, path: str, pictured: set[str]) -> StepRow:
    row = nodes.rows.get(path, {})
    address = f"/api/jobs/{nodes.job}/nodes/thumbnail?node={quote(path)}"
    return StepRow(
        node=path,
        number=number_of(path),
        type=row.get("type", ""),
        state=row.get("state", "waiting"),
        ms=row.get("ms", 0.0),
        bytes=row.get("bytes"),
        thumbnail=address if row.get("key") in pictured else None,
    )

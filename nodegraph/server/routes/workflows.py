"""Saved workflows: listing, opening, saving from a base, renaming, deleting, and what was accepted of them."""

from __future__ import annotations

import asyncio

from pydantic import BaseModel, ConfigDict, Field

from nodegraph.graph import Document, parse_document
from nodegraph.graph.document import document_from, to_json
from nodegraph.graph.opening import decoded
from nodegraph.graph.uses import Use
from nodegraph.jobs import Filter
from nodegraph.sdk.errors import InvalidWorkflow, Problem
from nodegraph.sdk.writing import real_place
from nodegraph.server import saving
from nodegraph.server.opening import Looked, Opened, Whence, looked, opened, work
from nodegraph.server.problems import Refused
from nodegraph.server.routing import Call, Given, endpoint
from nodegraph.server.service import Server
from nodegraph.server.shelf import Lying, ShelfRow
from nodegraph.server.showing import at, saved_workflow
from nodegraph.server.views import summary
from nodegraph.wire.jobs import WorkflowId
from nodegraph.wire.workflows import (
    Accepting,
    BaseQuery,
    NewWorkflow,
    Renaming,
    SavedWorkflow,
    StoredWorkflow,
    Wants,
    WorkflowPage,
    WorkflowRow,
    WorkflowSave,
)

_ID = {"id": WorkflowId}


class WorkflowQuery(BaseModel):
    """Which workflows to list."""

    model_config = ConfigDict(extra="forbid")

    text: str = Field(default="", max_length=500, description="Words that stand in the id, the title or the description.")
    limit: int = Field(default=100, ge=1, le=200)
    cursor: WorkflowId | None = Field(default=None, description="`next` of the page before.")


@endpoint("GET", "/api/workflows", query=WorkflowQuery, answers={200: WorkflowPage}, tag="workflows")
async def list_workflows(server: Server, call: Call) -> WorkflowPage:
    """Saved workflows, your own and those that come with nodegraph, in the order of their ids."""
    query: WorkflowQuery = call.query
    rows = await asyncio.to_thread(server.shelf.rows, query.text)
    if query.cursor is not None:
        rows = [row for row in rows if row.id > query.cursor]
    shown = rows[: query.limit]
    found = [await _row(server, row) for row in shown]
    return WorkflowPage(workflows=found, next=shown[-1].id if len(rows) > len(shown) else None)


async def _row(server: Server, row: ShelfRow) -> WorkflowRow:
    jobs, _ = await server.store.page(Filter(["succeeded"], row.id), None, 1)
    return WorkflowRow(
        id=row.id,
        title=row.title,
        description=row.description or None,
        nodes=row.nodes,
        bytes=row.bytes,
        modified=at(row.modified),
        digest=row.digest,
        shipped=row.shipped,
        thumbnail=summary(jobs[0]).thumbnail if jobs else None,
    )


@endpoint("POST", "/api/workflows", body=NewWorkflow, answers={201: SavedWorkflow}, refuses=(409, 503, 507), tag="workflows")
async def create_workflow(server: Server, call: Call) -> Given:
    """Keep a document as a new workflow. It need not be able to run, but it has to be a workflow."""
    body: NewWorkflow = call.body
    document = await work(server, lambda: document_from(body.workflow))
    stored = await saving.create(server, document, body.id)
    shown = saved_workflow(stored, server.settings)
    return Given(shown, headers={"Location": shown.url, "ETag": f'"{shown.digest}"'})


@endpoint(
    "GET",
    "/api/workflows/{id}",
    types=_ID,
    answers={200: StoredWorkflow, 304: None},
    headers={"If-None-Match": "The ETag of an answer: if the file is still that one, nothing is sent."},
    refuses=(422, 503),
    tag="workflows",
)
async def get_workflow(server: Server, call: Call) -> Given:
    """A workflow as it is edited, with what it wants and what is wrong with it.

    Its digest is the ETag, and the `base` to save from.
    """
    lying = await _lying(server, call.id)
    tag = f'"{lying.digest}"'
    headers = {"ETag": tag, "Cache-Control": "private, no-cache"}
    if matches(call.header("If-None-Match"), tag):
        return Given(None, 304, headers)
    found, seen = await _looked_at(server, lying)
    shown = StoredWorkflow(
        id=lying.id,
        workflow=await asyncio.to_thread(to_json, found.document),
        changes=list(found.changes),
        digest=lying.digest,
        modified=at(lying.modified),
        shipped=lying.shipped,
        wants=seen.want_rows,
        problems=seen.problems,
    )
    return Given(shown, headers=headers)


@endpoint(
    "PUT",
    "/api/workflows/{id}",
    types=_ID,
    body=WorkflowSave,
    answers={200: SavedWorkflow},
    refuses=(409, 428, 503, 507),
    tag="workflows",
)
async def save_workflow(server: Server, call: Call) -> Given:
    """Put a document into a workflow's file; what was there stays in its history.

    `base` is the digest that the work began from. Where something else lies there now, nothing is written: 409, and the
    problem has your base as `expected` and what lies there as `got`.
    """
    body: WorkflowSave = call.body
    document = await work(server, lambda: document_from(body.workflow))
    return saved(server, await saving.save(server, call.id, document, body.base))


@endpoint(
    "DELETE",
    "/api/workflows/{id}",
    types=_ID,
    query=BaseQuery,
    answers={204: None},
    refuses=(409, 428, 503, 507),
    tag="workflows",
)
async def delete_workflow(server: Server, call: Call) -> Given:
    """Remove a workflow's file. Its revisions stay, and `undo` brings it back."""
    await saving.delete(server, call.id, call.query.base)
    return Given(None)


@endpoint(
    "POST",
    "/api/workflows/{id}/rename",
    types=_ID,
    body=Renaming,
    answers={200: SavedWorkflow},
    refuses=(409, 428, 503, 507),
    tag="workflows",
)
async def rename_workflow(server: Server, call: Call) -> Given:
    """Give a workflow another id. Its history and what was accepted of it go along."""
    return saved(server, await saving.rename(server, call.id, call.body.to, call.body.base))


@endpoint(
    "POST", "/api/workflows/{id}/accept", types=_ID, body=Accepting, answers={200: Wants}, refuses=(503, 507), tag="workflows"
)
async def accept_wants(server: Server, call: Call) -> Wants:
    """Remember that a person allows a workflow exactly these things. What it does not want cannot be allowed."""
    lying = await _lying(server, call.id)
    _, seen = await _looked_at(server, lying)
    given = [Use(item.kind, item.name) for item in call.body.wants]
    known = await asyncio.to_thread(server.session.trust.accepted, str(real_place(lying.path)), lying.digest)
    if strange := [use for use in given if use not in seen.wants and use not in known]:
        problems = [Problem("not_wanted", f"It does not want the {use.kind} {use.name!r}.") for use in strange]
        raise Refused(422, "not_wanted", "Only what the workflow wants can be accepted.", problems, wants=_plain(seen))
    await saving.accept(server, lying, given)
    return Wants(wants=[row for row in seen.want_rows if Use(row.kind, row.name) not in given])


def _plain(seen: Looked) -> list[dict[str, str]]:
    return [row.model_dump() for row in seen.want_rows]


async def _lying(server: Server, id_: str) -> Lying:
    return await work(server, lambda: server.shelf.read(id_))


async def _looked_at(server: Server, lying: Lying) -> tuple[Opened, Looked]:
    """A saved workflow opened, and what is to be said of it. Raises Refused."""
    document = await work(server, lambda: _document(lying))
    whence = Whence(real_place(lying.path), lying.digest, lying.shipped)
    try:
        found = await opened(server, document, whence.path)
    except InvalidWorkflow as error:
        raise Refused(422, "invalid_workflow", "The workflow cannot be opened.", error.problems) from None
    return found, await looked(server, found, whence)


def _document(lying: Lying) -> Document:
    return parse_document(decoded(lying.data, lying.path))


def saved(server: Server, stored: saving.Stored) -> Given:
    """The answer to a change."""
    shown = saved_workflow(stored, server.settings)
    return Given(shown, headers={"ETag": f'"{shown.digest}"'})


def matches(header: str | None, tag: str) -> bool:
    """Whether an If-None-Match names this ETag (RFC 9110, weak comparison)."""
    if header is None:
        return False
    return any(part.strip().removeprefix("W/") in (tag, "*") for part in header.split(","))

"""Drafts of what is not saved yet: an editor keeps one for each tab, and after a crash finds them all in one list."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from aiohttp import web
from pydantic import BaseModel, ConfigDict, Field

from nodegraph.server import drafts
from nodegraph.server.problems import not_found
from nodegraph.server.routing import Call, Given, endpoint
from nodegraph.server.service import Server
from nodegraph.server.showing import at, draft_row
from nodegraph.wire.jobs import WorkflowId
from nodegraph.wire.workflows import Draft, DraftId, DraftKeeping, DraftList, DraftRow, DraftVersion

_ID = {"id": DraftId}
_WORKFLOW_ID = {"id": WorkflowId}


class DraftsQuery(BaseModel):
    """Which drafts to list."""

    model_config = ConfigDict(extra="forbid")

    deleted: bool = Field(default=False, description="Those too that were thrown away in the last days.")


class DraftQuery(BaseModel):
    """Which state of a draft to give."""

    model_config = ConfigDict(extra="forbid")

    version: int | None = Field(default=None, ge=1, le=2**53, description="An earlier one of its `versions`.")


@endpoint("GET", "/api/drafts", query=DraftsQuery, answers={200: DraftList}, refuses=(503, 507), tag="drafts")
async def list_drafts(server: Server, call: Call) -> DraftList:
    """All drafts, the newest first."""
    found = await asyncio.to_thread(lambda: drafts.listed(_file(server), deleted=call.query.deleted))
    return DraftList(drafts=[draft_row(draft) for draft in found])


@endpoint("PUT", "/api/drafts/{id}", types=_ID, body=DraftKeeping, answers={200: DraftRow}, refuses=(503, 507), tag="drafts")
async def keep_draft(server: Server, call: Call) -> DraftRow:
    """Keep work that is not to be saved yet, as it is. Tabs with ids of their own never overwrite one another."""
    return await _keep(server, call.id, call.body, call.body.workflow_id)


@endpoint("GET", "/api/drafts/{id}", types=_ID, query=DraftQuery, answers={200: Draft}, refuses=(503, 507), tag="drafts")
async def get_draft(server: Server, call: Call) -> web.Response:
    """A draft with the work itself, also one that was thrown away in the last days."""
    return await _read(server, call.id, call.query.version)


@endpoint("DELETE", "/api/drafts/{id}", types=_ID, answers={204: None}, refuses=(503, 507), tag="drafts")
async def delete_draft(server: Server, call: Call) -> Given:
    """Throw a draft away, because it was saved or is not wanted. It can be had for a week more."""
    return await _delete(server, call.id)


@endpoint(
    "PUT",
    "/api/workflows/{id}/draft",
    types=_WORKFLOW_ID,
    body=DraftKeeping,
    answers={200: DraftRow},
    refuses=(503, 507),
    tag="drafts",
)
async def keep_workflow_draft(server: Server, call: Call) -> DraftRow:
    """Keep work on a saved workflow. The same as the draft `workflow:ID`."""
    return await _keep(server, f"workflow:{call.id}", call.body, call.id)


@endpoint(
    "GET",
    "/api/workflows/{id}/draft",
    types=_WORKFLOW_ID,
    query=DraftQuery,
    answers={200: Draft},
    refuses=(503, 507),
    tag="drafts",
)
async def get_workflow_draft(server: Server, call: Call) -> web.Response:
    """The work on a saved workflow that is not saved yet."""
    return await _read(server, f"workflow:{call.id}", call.query.version)


@endpoint("DELETE", "/api/workflows/{id}/draft", types=_WORKFLOW_ID, answers={204: None}, refuses=(503, 507), tag="drafts")
async def delete_workflow_draft(server: Server, call: Call) -> Given:
    """Throw the work on a saved workflow away, because it was saved or is not wanted. It can be had for a week more."""
    return await _delete(server, f"workflow:{call.id}")


async def _keep(server: Server, id_: str, body: DraftKeeping, workflow_id: str | None) -> DraftRow:
    return draft_row(await asyncio.to_thread(drafts.keep, _file(server), id_, body.workflow, workflow_id, body.base))


async def _read(server: Server, id_: str, version: int | None) -> web.Response:
    found = await asyncio.to_thread(drafts.read, _file(server), id_, version)
    if found is None:
        raise not_found("draft")
    draft, versions, document = found
    rows = [DraftVersion(version=row.number, at=at(row.at), bytes=row.bytes) for row in versions]
    shown = Draft(**draft_row(draft).model_dump(), workflow={}, versions=rows)
    return web.Response(text=await asyncio.to_thread(_text, shown, document), content_type="application/json")


def _text(shown: Draft, document: Mapping[str, Any]) -> str:
    """The answer as text: a draft may hold what only this spelling of JSON can say, such as half a character."""
    return json.dumps({**shown.model_dump(mode="json", exclude_none=True), "workflow": document})


async def _delete(server: Server, id_: str) -> Given:
    if not await asyncio.to_thread(drafts.delete, _file(server), id_):
        raise not_found("draft")
    return Given(None)


def _file(server: Server) -> Path:
    return server.data / "drafts.sqlite"

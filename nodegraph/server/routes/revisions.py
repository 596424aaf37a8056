"""What was saved before of a workflow, and going back to it."""

from __future__ import annotations

import asyncio
from typing import Any

from nodegraph.sdk.errors import Problem
from nodegraph.sdk.writing import NotWritten
from nodegraph.server import saving
from nodegraph.server.problems import Refused, not_found
from nodegraph.server.routes.workflows import saved
from nodegraph.server.routing import Call, Given, endpoint
from nodegraph.server.service import Server
from nodegraph.server.showing import revision_row
from nodegraph.server.wording import without_paths
from nodegraph.store.revisions import History as Past
from nodegraph.store.revisions import NoRevision, Revisions
from nodegraph.wire.jobs import WorkflowId
from nodegraph.wire.workflows import History, Restoring, RevisionContent, RevisionName, SavedWorkflow, Step

_ID = {"id": WorkflowId}
_CHANGES: Any = {"answers": {200: SavedWorkflow}, "refuses": (409, 428, 503, 507), "tag": "revisions"}


@endpoint("GET", "/api/workflows/{id}/revisions", types=_ID, answers={200: History}, tag="revisions")
async def list_revisions(server: Server, call: Call) -> History:
    """All that lay in a workflow's file, the oldest first, also after it was deleted."""
    found = await _history(server, call.id)
    if not found.revisions and not found.outside and server.shelf.find(call.id) is None:
        raise not_found("workflow")
    return History(
        id=call.id,
        current=found.current.id if found.current else None,
        outside=found.outside,
        revisions=[revision_row(revision) for revision in found.revisions],
        trouble=without_paths(found.trouble, server.settings) or None,
    )


async def _history(server: Server, id_: str) -> Past:
    try:
        return await asyncio.to_thread(lambda: Revisions(server.data).history(server.shelf.place(id_)))
    except NotWritten:  # what lies there is no workflow's file
        raise not_found("workflow") from None


@endpoint(
    "GET",
    "/api/workflows/{id}/revisions/{revision}",
    types={**_ID, "revision": RevisionName},
    answers={200: RevisionContent},
    tag="revisions",
)
async def get_revision(server: Server, call: Call) -> RevisionContent:
    """A revision with its text, as it lay in the file."""
    name = str(call.path["revision"])
    try:
        found, data = await asyncio.to_thread(lambda: Revisions(server.data).read(server.shelf.place(call.id), name))
    except (NoRevision, NotWritten):
        message = f"There is no revision {name} of {call.id}."
        hint = "GET /api/workflows/{id}/revisions lists them."
        raise Refused(404, "no_revision", message, [Problem("no_revision", message, hint=hint)]) from None
    return RevisionContent(**revision_row(found).model_dump(), text=data.decode("utf-8-sig", errors="replace"))


@endpoint("POST", "/api/workflows/{id}/restore", types=_ID, body=Restoring, **_CHANGES)
async def restore_revision(server: Server, call: Call) -> Given:
    """Put an earlier revision into the file, as a new one."""
    return saved(server, await saving.restore(server, call.id, call.body.revision, call.body.base))


@endpoint("POST", "/api/workflows/{id}/undo", types=_ID, body=Step, **_CHANGES)
async def undo_save(server: Server, call: Call) -> Given:
    """Put what lay in the file before; a workflow that was deleted comes back."""
    return saved(server, await saving.undo(server, call.id, call.body.base))


@endpoint("POST", "/api/workflows/{id}/redo", types=_ID, body=Step, **_CHANGES)
async def redo_save(server: Server, call: Call) -> Given:
    """Put what the last undo took out of the file."""
    return saved(server, await saving.redo(server, call.id, call.body.base))

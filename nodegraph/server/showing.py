"""Saved workflows, revisions and drafts as the API shows them."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Literal, cast

from nodegraph.server.drafts import DraftRecord
from nodegraph.server.saving import Stored
from nodegraph.server.wording import without_paths
from nodegraph.settings import Settings
from nodegraph.store.ledger import Revision
from nodegraph.wire.workflows import DraftRow, RevisionRow, SavedWorkflow


def at(seconds: float) -> datetime:
    """Seconds since 1970 as a date."""
    return datetime.fromtimestamp(seconds, UTC)


def saved_workflow(stored: Stored, settings: Settings) -> SavedWorkflow:
    saved = stored.saved
    return SavedWorkflow(
        id=stored.id,
        url=f"/api/workflows/{stored.id}",
        digest=saved.digest,
        revision=revision_row(saved.revision) if saved.revision else None,
        before=saved.before.id if saved.before else None,
        trouble=without_paths(saved.trouble, settings) or None,
    )


def revision_row(revision: Revision) -> RevisionRow:
    return RevisionRow(
        id=revision.id,
        number=revision.number,
        parent=revision.parent,
        digest=revision.digest,
        kind=cast(Literal["save", "draft", "restore", "outside"], revision.kind),
        at=at(revision.at),
        title=revision.title.encode(errors="replace").decode(),
        nodes=revision.nodes,
        bytes=revision.bytes,
    )


def draft_row(draft: DraftRecord) -> DraftRow:
    return DraftRow(
        id=draft.id,
        workflow_id=draft.workflow_id,
        base=draft.base,
        version=draft.version,
        at=at(draft.at),
        title=draft.title,
        nodes=draft.nodes,
        bytes=draft.bytes,
        deleted=draft.deleted is not None,
    )

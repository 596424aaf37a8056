"""Saved workflows, their history and drafts, as the API shows them."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from nodegraph.wire.documents import ChangedNode, Want, WorkflowDocument
from nodegraph.wire.jobs import Consent, WorkflowId
from nodegraph.wire.problems import ProblemRow

ContentDigest = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$", description="The sha256 of the file's bytes.")]
Base = Annotated[
    str,
    Field(
        pattern=r"^([0-9a-f]{64})?$",
        description="The digest of what the work began from; the empty text for a workflow that must not be there yet.",
    ),
]
RevisionName = Annotated[
    str, Field(pattern=r"^[0-9a-f-]{1,80}$", description="`7-3fa2c1d0`, the number alone, or the beginning of a digest.")
]
DraftId = Annotated[
    str,
    Field(
        pattern=r"^[A-Za-z0-9][A-Za-z0-9_.:-]{0,119}$",
        description="A name for the work: a client makes one up for each tab. That of a saved workflow is `workflow:ID`.",
    ),
]


class NewWorkflow(BaseModel):
    """A document to be kept as a new workflow."""

    model_config = ConfigDict(extra="forbid")

    workflow: WorkflowDocument
    id: WorkflowId | None = Field(default=None, description="Without one, the title becomes the id.")


class WorkflowSave(BaseModel):
    """A document to be put in the place of another."""

    model_config = ConfigDict(extra="forbid")

    workflow: WorkflowDocument
    base: Base | None = None


class BaseQuery(BaseModel):
    """What the work began from."""

    model_config = ConfigDict(extra="forbid")

    base: Base | None = None


class Step(BaseModel):
    """A step through the history."""

    model_config = ConfigDict(extra="forbid")

    base: Base | None = None


class Restoring(Step):
    """Which revision is to be put back."""

    revision: RevisionName


class Renaming(Step):
    """The new id."""

    to: WorkflowId


class Accepting(BaseModel):
    """What a person has looked at and allows."""

    model_config = ConfigDict(extra="forbid")

    wants: list[Consent] = Field(max_length=1000)


class Wants(BaseModel):
    """What a workflow still wants that nobody has accepted."""

    wants: list[Want]


class WorkflowRow(BaseModel):
    """A saved workflow in a list."""

    id: WorkflowId
    title: str
    description: str | None = None
    nodes: int | None = Field(default=None, description="How many nodes; absent where the file cannot be read as a workflow.")
    bytes: int
    modified: datetime
    digest: ContentDigest
    shipped: bool = Field(description="It comes with nodegraph: saving under its id makes a copy of your own.")
    thumbnail: str | None = Field(default=None, description="A small picture of what it made last.")


class WorkflowPage(BaseModel):
    """Some workflows by id, and how to get more."""

    workflows: list[WorkflowRow]
    next: WorkflowId | None = Field(default=None, description="The cursor of the next page; absent on the last.")


class StoredWorkflow(BaseModel):
    """A saved workflow, its nodes led to the versions that are installed."""

    id: WorkflowId
    workflow: WorkflowDocument
    changes: list[ChangedNode] = Field(
        default=[], description="What opening changed; the file stays as it is until it is saved."
    )
    digest: ContentDigest
    modified: datetime
    shipped: bool
    wants: list[Want]
    problems: list[ProblemRow]


class RevisionRow(BaseModel):
    """What lay in a workflow's file at some time."""

    id: str = Field(description="`7-3fa2c1d0`")
    number: int
    parent: int | None = Field(default=None, description="The number of the revision that it came after.")
    digest: ContentDigest
    kind: Literal["save", "draft", "restore", "outside"]
    at: datetime
    title: str
    nodes: int | None = None
    bytes: int


class History(BaseModel):
    """A workflow's revisions, the oldest first."""

    id: WorkflowId
    current: str | None = Field(default=None, description="The id of the revision that lies in the file.")
    outside: bool = Field(description="The file holds what no revision does: another program wrote it.")
    revisions: list[RevisionRow]
    trouble: str | None = Field(default=None, description="What is wrong with the history itself.")


class RevisionContent(RevisionRow):
    """A revision with its text, to the letter."""

    text: str


class SavedWorkflow(BaseModel):
    """What lies in the file now."""

    id: WorkflowId
    url: str
    digest: ContentDigest
    revision: RevisionRow | None = None
    before: str | None = Field(default=None, description="The id of the revision that lay there before.")
    trouble: str | None = Field(default=None, description="What is wrong with the history; the workflow itself is saved.")


class DraftKeeping(BaseModel):
    """Work that is not saved yet. It is kept as it is, whether it could run or not."""

    model_config = ConfigDict(extra="forbid")

    workflow: WorkflowDocument
    workflow_id: WorkflowId | None = Field(default=None, description="The saved workflow that it belongs to.")
    base: Base | None = None


class DraftVersion(BaseModel):
    """The draft at some time."""

    version: int
    at: datetime
    bytes: int


class DraftRow(BaseModel):
    """A draft in a list."""

    id: DraftId
    workflow_id: WorkflowId | None = None
    base: Base | None = None
    version: int
    at: datetime
    title: str
    nodes: int | None = None
    bytes: int
    deleted: bool = Field(description="It was thrown away, and can be had for some days more.")


class Draft(DraftRow):
    """A draft with the work itself."""

    workflow: WorkflowDocument
    versions: list[DraftVersion] = Field(description="What can be had of it, the oldest first.")


class DraftList(BaseModel):
    """All drafts, the newest first."""

    drafts: list[DraftRow]

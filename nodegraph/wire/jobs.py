"""Jobs as the API shows them."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, RootModel, model_validator

from nodegraph.wire.problems import ProblemDetails

JobState = Literal["queued", "running", "paused", "succeeded", "failed", "cancelled"]
ENDED: frozenset[str] = frozenset({"succeeded", "failed", "cancelled"})

JobId = Annotated[str, Field(pattern=r"^[0-9a-hjkmnp-tv-z]{26}$", description="The id of a job; ids sort by age.")]
Digest = Annotated[str, Field(pattern=r"^sha256:[0-9a-f]{64}$")]
WorkflowId = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,99}$", description="The name of a saved workflow.")]
LONGEST_ID = 200
"""Characters of a document's own id that are kept of it."""
ClientName = Annotated[str, Field(min_length=1, max_length=100)]
NodePath = Annotated[str, Field(max_length=500)]


class Consent(BaseModel):
    """One thing that a document reaches for, and that whoever submits it accepts."""

    model_config = ConfigDict(extra="forbid")

    kind: Literal["secret", "file", "permission", "pack"]
    name: str = Field(max_length=1000)


class JobSubmission(BaseModel):
    """What to run: a whole workflow, or the id of a saved one, with values for its interface."""

    model_config = ConfigDict(extra="forbid")

    workflow: dict[str, Any] | None = Field(default=None, description="A workflow document.")
    workflow_id: WorkflowId | None = Field(default=None, description="A saved workflow, in place of a whole one.")
    inputs: dict[str, Any] = Field(
        default={}, max_length=1000, description='Interface inputs by name. "random" draws a seed; the job shows the one drawn.'
    )
    outputs: list[NodePath] | None = Field(
        default=None, min_length=1, max_length=1000, description="Interface outputs or nodes to run; without it, all outputs."
    )
    priority: int = Field(default=0, ge=-1000, le=1000, description="Larger goes first; the same goes by age.")
    exact: bool | None = Field(
        default=None, description="Never share a batch: equal bytes each time. Without it, as the server is set up."
    )
    accept: list[Consent] = Field(
        default=[], max_length=1000, description="What the document may reach for beyond computing, as `wants` listed it."
    )
    webhook: str | None = Field(default=None, max_length=2000, description="Told when the job ends; a configured host.")
    client: ClientName | None = Field(
        default=None, description="What the client calls itself, as an editor its tab: the job and its events say it again."
    )

    @model_validator(mode="after")
    def _one_workflow(self) -> JobSubmission:
        if (self.workflow is None) == (self.workflow_id is None):
            raise ValueError("give either workflow or workflow_id")
        return self


class JobAccepted(BaseModel):
    """A job that will be run."""

    id: JobId
    state: JobState
    url: str


class OutputRow(BaseModel):
    """One output: a file by its digest, or a value, or the type of what can be neither."""

    digest: Digest | None = None
    url: str | None = None
    media_type: str | None = None
    name: str | None = Field(default=None, description="The file name that the node asked for.")
    bytes: int | None = None
    value: Any = None
    type: str | None = None


def artifact_url(digest: str) -> str:
    """Where an artifact is had."""
    return f"/api/artifacts/{digest}"


def with_url(row: Mapping[str, Any]) -> dict[str, Any]:
    """An output's row as it is stored, with the address of its file."""
    return {**row, "url": artifact_url(row["digest"])} if "digest" in row else dict(row)


class NodeRow(BaseModel):
    """What became of a node, as in `nodegraph run --json`."""

    type: str = Field(default="", description="The node type.")
    state: str = Field(description="running, computed, hit, not_needed, failed or skipped.")
    reason: str = Field(description="The explanation: why it was in the cache or had to be computed, or what went wrong.")
    ms: float
    bytes: int | None = Field(default=None, description="How large its result is, where that is known.")


class QuestionRow(BaseModel):
    """What a node of a running job asks a person."""

    node: str
    text: str
    choices: list[str]
    pictures: list[OutputRow | None] = []


class JobSummary(BaseModel):
    """A job in a list."""

    id: JobId
    state: JobState
    url: str
    title: str = ""
    workflow_id: str | None = None
    document: str | None = Field(default=None, description="The `id` that the document itself has.")
    client: str | None = Field(default=None, description="What the client that submitted it calls itself.")
    inputs: dict[str, Any] = Field(default={}, description="The interface inputs as used; in a list, long ones are cut.")
    priority: int = 0
    attempts: int = Field(default=0, ge=0, description="How often it was given to a worker.")
    created: datetime
    started: datetime | None = None
    finished: datetime | None = None
    reason: str = Field(default="", description="Why it is in this state, in words.")
    error: ProblemDetails | None = None
    thumbnail: str | None = Field(default=None, description="A small picture of its first picture.")
    pictures: list[Digest] = Field(default=[], description="The pictures that it made, the first hundred.")


class Job(JobSummary):
    """A job with all that is known of it."""

    outputs: dict[str, list[OutputRow]] = {}
    nodes: dict[str, NodeRow] = {}
    wanted: list[str] | None = None
    exact: bool = False
    seconds: float | None = None
    questions: list[QuestionRow] = []
    retry_of: str | None = None
    retried_as: str | None = None


class JobPage(BaseModel):
    """Some jobs, the newest first, and how to get more."""

    jobs: list[JobSummary]
    next: str | None = Field(default=None, description="The cursor of the next page; null on the last.")


class Queue(BaseModel):
    """What waits, in the order in which it will run, and what runs."""

    paused: bool
    running: list[JobSummary]
    queued: list[JobSummary]
    waiting: int = Field(default=0, ge=0, description="How many jobs wait; `queued` may be a page of them.")
    next: str | None = Field(default=None, description="The cursor of the next page of `queued`; null on the last.")


class Move(BaseModel):
    """Where in the queue a job is to go. It takes on the priority of that place."""

    model_config = ConfigDict(extra="forbid")

    before: JobId | None = Field(default=None, description="Just before this job, which waits too.")
    position: Literal["first", "last"] | None = None

    @model_validator(mode="after")
    def _one_place(self) -> Move:
        if (self.before is None) == (self.position is None):
            raise ValueError("give either before or position")
        return self


class Priority(BaseModel):
    """How far in front a job goes."""

    model_config = ConfigDict(extra="forbid")

    priority: int = Field(ge=-1000, le=1000, description="Larger goes first; the same goes by age.")


class Answer(BaseModel):
    """A person's answer to a question of a running job."""

    model_config = ConfigDict(extra="forbid")

    node: NodePath = Field(description="The node that asks.")
    choice: int = Field(ge=0, le=100_000, description="Which of its choices, counted from 0.")


class Cleared(BaseModel):
    """What clearing the queue cancelled."""

    cancelled: int = Field(ge=0)


class WorkflowDocument(RootModel[dict[str, Any]]):
    """A workflow document."""

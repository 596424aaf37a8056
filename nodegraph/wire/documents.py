"""Documents that are looked at, compared and changed without being saved."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, RootModel, WithJsonSchema, model_validator

from nodegraph.wire.files import UploadedName
from nodegraph.wire.jobs import Digest, NodePath
from nodegraph.wire.problems import ProblemRow

WorkflowDocument = Annotated[
    dict[str, Any],
    WithJsonSchema({"type": "object", "description": "A workflow document; GET /api/schema has its JSON Schema."}),
]
AnyJson = Annotated[Any, WithJsonSchema({"description": "What may be a workflow document: anything is looked at."})]
Name = Annotated[str, Field(min_length=1, max_length=200)]

_VALUE = "A JSON value; absent where there is nothing."
ChangeRow = Annotated[
    dict[str, Any],
    WithJsonSchema(
        {
            "type": "object",
            "description": "One difference between two documents.",
            "properties": {
                "kind": {"type": "string", "examples": ["input_changed", "node_added", "link_removed"]},
                "path": {"type": "array", "items": {"type": "string"}, "description": "The place in the document's JSON."},
                "before": {"description": _VALUE},
                "after": {"description": _VALUE},
                "at": {"type": "integer", "minimum": 0, "description": "Where a public input or output stands among its kind."},
            },
            "required": ["kind", "path"],
        }
    ),
]
ConflictRow = Annotated[
    dict[str, Any],
    WithJsonSchema(
        {
            "type": "object",
            "description": "Where both sides did something that does not go together. The document says what yours says.",
            "properties": {
                "kind": {"type": "string"},
                "path": {"type": "array", "items": {"type": "string"}},
                "message": {"type": "string"},
                "base": {"description": _VALUE},
                "yours": {"description": _VALUE},
                "theirs": {"description": _VALUE},
                "kept_as": {"type": "string", "description": "The node id under which theirs was put instead."},
            },
            "required": ["kind", "path", "message"],
        }
    ),
]
JsonSchema = Annotated[dict[str, Any], WithJsonSchema({"type": "object", "description": "A JSON Schema (2020-12)."})]


class DocumentSchema(RootModel[JsonSchema]):
    """The JSON Schema of workflow documents."""


class NodeVersion(BaseModel):
    """A node type and its version."""

    type: str
    version: int


class ChangedNode(BaseModel):
    """What became of a node of an older version when the document was opened."""

    node: str
    before: NodeVersion
    after: NodeVersion
    changes: list[str]


class Want(BaseModel):
    """One thing that a document reaches for beyond computing, and the node that does."""

    kind: str = Field(description="`secret`, `file`, `permission` or `pack`.")
    name: str
    node: str


class ToValidate(BaseModel):
    """A document to be looked at."""

    model_config = ConfigDict(extra="forbid")

    workflow: AnyJson
    outputs: list[NodePath] | None = Field(
        default=None, min_length=1, max_length=1000, description="Look at these outputs or nodes only, and what they need."
    )


class Validation(BaseModel):
    """What is wrong with a document, what it wants, what it takes and gives. Without problems it runs."""

    problems: list[ProblemRow]
    remarks: list[ProblemRow] = Field(default=[], description="Good to know; it runs all the same.")
    wants: list[Want] = []
    changes: list[ChangedNode] = []
    inputs: JsonSchema | None = Field(default=None, description="What it takes; absent where that cannot be said.")
    outputs: JsonSchema | None = Field(default=None, description="What it gives; absent where that cannot be said.")


class ToOpen(BaseModel):
    """A document, or a picture that carries one."""

    model_config = ConfigDict(extra="forbid")

    workflow: WorkflowDocument | None = None
    artifact: Digest | None = Field(default=None, description="A picture among the artifacts, by its digest.")
    upload: UploadedName | None = Field(default=None, description="An uploaded picture, by the name that it got.")

    @model_validator(mode="after")
    def _one_source(self) -> ToOpen:
        if sum(part is not None for part in (self.workflow, self.artifact, self.upload)) != 1:
            raise ValueError("give one of workflow, artifact, upload")
        return self


class OpenedDocument(BaseModel):
    """A document as it is edited: its nodes led to the versions that are installed."""

    workflow: WorkflowDocument
    changes: list[ChangedNode]
    problems: list[ProblemRow]
    wants: list[Want]


class TwoDocuments(BaseModel):
    """Two documents to be compared."""

    model_config = ConfigDict(extra="forbid")

    before: WorkflowDocument
    after: WorkflowDocument


class Difference(BaseModel):
    """What leads from one document to the other; both lists together make it exactly that."""

    changes: list[ChangeRow] = Field(description="What means something.")
    layout: list[ChangeRow] = Field(description="What was only moved.")


class ToApply(BaseModel):
    """A document and changes to be made in it."""

    model_config = ConfigDict(extra="forbid")

    workflow: WorkflowDocument
    changes: list[ChangeRow] = Field(max_length=1_000_000)
    undo: bool = Field(default=False, description="Undo these changes, which were made before.")


class Document(BaseModel):
    """A document."""

    workflow: WorkflowDocument


class ToMerge(BaseModel):
    """Two documents, and the one that both come from."""

    model_config = ConfigDict(extra="forbid")

    base: WorkflowDocument
    yours: WorkflowDocument
    theirs: WorkflowDocument


class MergedDocument(BaseModel):
    """A document with the edits of both sides, and what a person has to decide."""

    workflow: WorkflowDocument
    conflicts: list[ConflictRow]


class ToExtract(BaseModel):
    """Nodes that are to become a subgraph."""

    model_config = ConfigDict(extra="forbid")

    workflow: WorkflowDocument
    nodes: list[Name] = Field(min_length=1, max_length=100_000)
    name: Name = Field(description="What the subgraph is to be called.")
    node: Name | None = Field(default=None, description="The id of the node in their place; without it, one like the name.")
    scope: Name | None = Field(default=None, description="The subgraph that the nodes lie in; without it, the document.")


class ExtractedDocument(BaseModel):
    """The document with the new subgraph, and the node that runs it."""

    workflow: WorkflowDocument
    subgraph: str
    node: str


class ToInline(BaseModel):
    """A node that is to become the nodes of its subgraph."""

    model_config = ConfigDict(extra="forbid")

    workflow: WorkflowDocument
    node: Name
    scope: Name | None = Field(default=None, description="The subgraph that the node lies in; without it, the document.")


class InlinedDocument(BaseModel):
    """The document without the node, and the ids that the inner nodes have now."""

    workflow: WorkflowDocument
    nodes: dict[str, str]


class ToImport(BaseModel):
    """A workflow of another program: as JSON, as text, or in a picture."""

    model_config = ConfigDict(extra="forbid")

    comfyui: AnyJson | None = Field(
        default=None, description="A workflow of ComfyUI, as saved or in its API format; or the text of such a file."
    )
    parameters: str | None = Field(
        default=None, min_length=1, max_length=1_000_000, description="What A1111 writes into files."
    )
    artifact: Digest | None = Field(default=None, description="A picture among the artifacts, by its digest.")
    upload: UploadedName | None = Field(default=None, description="An uploaded picture, by the name that it got.")
    title: str = Field(default="", max_length=500)

    @model_validator(mode="after")
    def _one_source(self) -> ToImport:
        if sum(part is not None for part in (self.comfyui, self.parameters, self.artifact, self.upload)) != 1:
            raise ValueError("give one of comfyui, parameters, artifact, upload")
        return self


class ImportRow(BaseModel):
    """What became of one node of the source."""

    id: str
    type: str
    title: str
    fate: str = Field(description="`mapped`, `resolved` (it only wired or noted something) or `placeholder`.")
    became: list[str]
    reason: str
    notes: list[str]
    pack: str


class ImportReport(BaseModel):
    """What became of the source."""

    format: str
    rows: list[ImportRow]
    skipped: list[str]
    notes: list[str]
    closing: str = Field(description="All of it in a sentence.")


class ImportedDocument(BaseModel):
    """A document made of another program's workflow. With problems it does not run as it is."""

    workflow: WorkflowDocument
    report: ImportReport
    problems: list[ProblemRow]


class ToExport(BaseModel):
    """A document that is to become a Python script, or whose schemas are asked for."""

    model_config = ConfigDict(extra="forbid")

    workflow: WorkflowDocument


class Schemas(BaseModel):
    """What a workflow takes and gives."""

    inputs: JsonSchema
    outputs: JsonSchema


class Forecast(BaseModel):
    """What a job would do, as `nodegraph run --plan --json` tells it."""

    nodes: list[dict[str, Any]]
    outputs: list[str]
    disabled: list[str]
    total: dict[str, int | float | None] = Field(description="Counts, and as far as known seconds and bytes.")

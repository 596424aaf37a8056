"""From what a caller has (a file, an id, a document, a workflow) to the body of a submission."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from nodegraph.api.documents import read_document
from nodegraph.api.records import PICTURES
from nodegraph.graph import Document, dump_document
from nodegraph.wire import Consent

if TYPE_CHECKING:
    from nodegraph.api import Graph, Workflow

Runnable: TypeAlias = "Mapping[str, Any] | Document | Workflow | Graph | str | Path"
"""A document, a workflow, a graph; the path of a file, or of a picture that carries one; the id of one that the server has."""
Accepted: TypeAlias = Iterable[Consent | Mapping[str, str]]


def workflow_fields(workflow: Runnable) -> dict[str, Any]:
    """`workflow` or `workflow_id` of a submission. A text with a folder or a file's ending is a path, another is an id.

    Raises InvalidWorkflow for a file that cannot be read.
    """
    if isinstance(workflow, str) and "/" not in workflow and Path(workflow).suffix.lower() not in {".json", *PICTURES}:
        return {"workflow_id": workflow}
    if isinstance(workflow, Mapping):
        return {"workflow": dict(workflow)}
    return {"workflow": json.loads(dump_document(_document(workflow)))}


def _document(workflow: Document | Workflow | Graph | str | Path) -> Document:
    if isinstance(workflow, Document):
        return workflow
    if isinstance(workflow, (str, Path)):
        return read_document(workflow)
    from nodegraph.api import Graph  # here, because it brings the engine along

    return workflow.document() if isinstance(workflow, Graph) else workflow.linked  # with the subgraphs that lie in files


def consents(accept: Accepted) -> list[dict[str, str]]:
    rows = [item if isinstance(item, Consent) else Consent.model_validate(dict(item)) for item in accept]
    return [row.model_dump() for row in rows]

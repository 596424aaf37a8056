"""Reading the workflow files that a document names as subgraphs, below the roots and beside the document."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from nodegraph.api.opening import up_to_date
from nodegraph.graph import Catalog, Document, load_document
from nodegraph.graph.linking import linked
from nodegraph.store import Roots

if TYPE_CHECKING:
    from nodegraph.engine import Library


def linked_document(
    document: Document, catalog: Catalog, roots: Roots, path: Path | None, library: Library | None = None
) -> Document:
    """The document with the subgraphs inside that lie in files; `path` is its own file. Raises InvalidWorkflow."""

    def read(name: str, named_in: Path | None) -> tuple[Document, Path]:
        found = roots.find_workflow(name, named_in)
        return up_to_date(load_document(found), catalog, library).document, found

    return linked(document, catalog, read, path)

"""Bringing a document that was opened up to date: its nodes' migrations, which live in the packs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nodegraph.graph import Catalog, Document
from nodegraph.graph.migrating import Migrated, migrated
from nodegraph.sdk.migration import Migration

if TYPE_CHECKING:
    from nodegraph.engine import Library


def up_to_date(document: Document, catalog: Catalog, library: Library | None = None, *, deprecated: bool = False) -> Migrated:
    """The document with every node led to the version that is installed; a pack is imported only where one has to be.

    With `deprecated`, nodes that have a successor become it.
    """

    def find(type_id: str, version: int) -> Migration:
        if library is not None:
            return library.migration(type_id, version)
        from nodegraph.engine import Library  # here, because most documents are up to date

        return Library.installed(catalog).migration(type_id, version)

    return migrated(document, catalog, find, deprecated=deprecated)

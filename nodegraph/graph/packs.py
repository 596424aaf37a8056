"""Which packs a document's nodes come from, remembered in it under `packs`: where one is missing, it can be named and fetched.

Packs that come with nodegraph itself are not written down: every installation has them.
"""

from __future__ import annotations

from nodegraph.graph.catalog import Catalog
from nodegraph.graph.document import Document, PackSource

OURS = "nodegraph"


def packs_used(document: Document) -> set[str]:
    """The packs of all nodes, in subgraphs too."""
    parts = [document.nodes, *(subgraph.nodes for subgraph in document.subgraphs.values())]
    return {entry.type.split("/", 1)[0] for part in parts for entry in part.values()}


def with_packs(document: Document, catalog: Catalog) -> Document:
    """The document with the origin of every pack that it uses written down; what it says of others stays."""
    used = {pack: catalog.origins[pack] for pack in packs_used(document) if pack in catalog.origins}
    found = {
        pack: PackSource(distribution=origin.distribution, version=origin.version)
        for pack, origin in used.items()
        if origin.distribution != OURS
    }
    if all(document.packs.get(pack) == source for pack, source in found.items()):
        return document
    return document.model_copy(update={"packs": {**document.packs, **found}})

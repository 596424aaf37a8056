"""Which packs a document's nodes come from, remembered in it under `packs`: where one is missing, it can be named and fetched.

Packs that come with nodegraph itself are not written down: every installation has them.
"""

from __future__ import annotations

from collections.abc import Mapping

from nodegraph.graph.catalog import Catalog, PackOrigin
from nodegraph.graph.document import Document

FIELD = "packs"
OURS = "nodegraph"


def packs_named(document: Document) -> dict[str, PackOrigin]:
    """Where a document says that its packs come from; what is not understood is left out."""
    found = (document.model_extra or {}).get(FIELD)
    named: dict[str, PackOrigin] = {}
    for pack, origin in found.items() if isinstance(found, Mapping) else ():
        if isinstance(origin, Mapping) and isinstance(origin.get("distribution"), str):
            version = origin.get("version")
            named[pack] = PackOrigin(origin["distribution"], version if isinstance(version, str) else "")
    return named


def packs_used(document: Document) -> set[str]:
    """The packs of all nodes, in subgraphs too."""
    parts = [document.nodes, *(subgraph.nodes for subgraph in document.subgraphs.values())]
    return {entry.type.split("/", 1)[0] for part in parts for entry in part.values()}


def with_packs(document: Document, catalog: Catalog) -> Document:
    """The document with the origin of every pack that it uses written down; what it said of others stays."""
    said = (document.model_extra or {}).get(FIELD, {})
    if not isinstance(said, Mapping):
        return document
    used = {pack: catalog.origins[pack] for pack in sorted(packs_used(document)) if pack in catalog.origins}
    found = {pack: origin._asdict() for pack, origin in used.items() if origin.distribution != OURS}
    if found.items() <= said.items():
        return document
    return document.model_copy(update={FIELD: {**said, **found}})

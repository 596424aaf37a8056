"""What the catalog has to say about a mistake: which node type was meant, which node would convert."""

from __future__ import annotations

from collections.abc import Mapping

from nodegraph.graph.catalog import Catalog
from nodegraph.graph.document import NodeEntry, PackSource
from nodegraph.graph.relations import relate
from nodegraph.sdk.errors import Problem, nearest
from nodegraph.sdk.typeexpr import TypeExpr

COMFYUI = "comfyui"
"""The pack of node types that an import could not translate, and the field that holds what it knew of them."""


def unknown_type(node: str, entry: NodeEntry, catalog: Catalog, packs: Mapping[str, PackSource], near: bool = True) -> Problem:
    """A node's type is not in the catalog: its pack is broken, not installed, or the name is another.

    The node stays a placeholder: it keeps its values and links. `packs` is where the document says that its packs come from;
    `near` asks for names that may have been meant.
    """
    type_id = entry.type
    pack = type_id.split("/", 1)[0]
    if pack in catalog.broken:
        last = catalog.broken[pack].strip().splitlines()[-1]
        return Problem("broken_pack", f"The pack {pack!r} could not be loaded: {last}", node)
    if pack == COMFYUI:
        return _untranslated(node, entry)
    hint = nearest(type_id, catalog.nodes, "There are") if near else ""
    if pack not in catalog.packs:
        missing = f"The pack {pack!r} is not installed."
        if pack in packs:
            origin = packs[pack]
            version = f"=={origin.version}" if origin.version else ""
            missing += f' It came with {origin.distribution} {origin.version}: pip install "{origin.distribution}{version}"'
            return Problem("missing_pack", f"There is no node type {type_id!r}.", node, hint=missing)
        hint = f"{missing} {hint}".strip()
    elif pack in packs and (here := catalog.origins.get(pack)) is not None and here.version != packs[pack].version:
        hint = f"The document was saved with {packs[pack].distribution} {packs[pack].version}; here is {here.version}. {hint}"
    return Problem("unknown_type", f"There is no node type {type_id!r}.", node, hint=hint.strip() or None)


def _untranslated(node: str, entry: NodeEntry) -> Problem:
    """A placeholder that an import left."""
    found = (entry.model_extra or {}).get(COMFYUI)
    known = found if isinstance(found, dict) else {}
    name = known.get("class") or entry.type.split("/", 1)[-1]
    pack = f", of the pack {known['pack']}" if isinstance(known.get("pack"), str) else ""
    hint = "Replace it by nodes that are here, or disable it; what it held is kept."
    return Problem("untranslated", f"This is ComfyUI's {name}{pack}; nodegraph has nothing for it yet.", node, hint=hint)


def conversion(given: TypeExpr, expected: TypeExpr, catalog: Catalog) -> str:
    """Which node type turns the one type into the other, in words; empty where none does."""
    for spec in catalog.nodes.values():
        if len(spec.outputs) == 1 and not spec.outputs[0].type.has_var() and relate(spec.outputs[0].type, expected):
            takes = [item for item in spec.inputs if item.required and item.schema is None and not item.type.has_var()]
            if takes and relate(given, takes[0].type):
                return f"{spec.id} turns {given} into {spec.outputs[0].type}."
    return ""

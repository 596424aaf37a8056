"""What the catalog has to say about a mistake: which node type was meant, which node would convert."""

from __future__ import annotations

from nodegraph.graph.catalog import Catalog
from nodegraph.graph.relations import relate
from nodegraph.sdk.errors import Problem, nearest
from nodegraph.sdk.typeexpr import TypeExpr


def unknown_type(node: str, type_id: str, catalog: Catalog) -> Problem:
    """A node's type is not in the catalog: its pack is broken, not installed, or the name is another."""
    pack = type_id.split("/", 1)[0]
    if pack in catalog.broken:
        last = catalog.broken[pack].strip().splitlines()[-1]
        return Problem("broken_pack", f"The pack {pack!r} could not be loaded: {last}", node)
    hint = nearest(type_id, catalog.nodes, "There are")
    if pack not in {known.split("/", 1)[0] for known in catalog.nodes}:
        hint = f"The pack {pack!r} is not installed. {hint}".strip()
    return Problem("unknown_type", f"There is no node type {type_id!r}.", node, hint=hint or None)


def conversion(given: TypeExpr, expected: TypeExpr, catalog: Catalog) -> str:
    """Which node type turns the one type into the other, in words; empty where none does."""
    for spec in catalog.nodes.values():
        if len(spec.outputs) == 1 and not spec.outputs[0].type.has_var() and relate(spec.outputs[0].type, expected):
            takes = [item for item in spec.inputs if item.required and item.schema is None and not item.type.has_var()]
            if takes and relate(given, takes[0].type):
                return f"{spec.id} turns {given} into {spec.outputs[0].type}."
    return ""

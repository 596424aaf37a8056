"""May this output connect to that input, and how? One small relation, shared word for word with the browser.

`tests/type_relations.json` is the table of cases that both implementations must pass.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from nodegraph.sdk import typeexpr as te
from nodegraph.sdk.typeexpr import TypeExpr

How = Literal["direct", "wrap", "map"]

WIDENS: Mapping[str, frozenset[str]] = {
    "int": frozenset({"float", "seed"}),
    "seed": frozenset({"int", "float"}),
    "enum": frozenset({"str"}),
    "str": frozenset({"enum", "color"}),
    "color": frozenset({"str"}),
}
"""Value types that connect although their names differ. What a target constrains further is checked when the value comes."""


@dataclass(frozen=True, slots=True)
class Relation:
    """How a source meets a target: as it is, wrapped into a list of one, or mapped over; and what its variables bind.

    `depth` is how many levels of lists are mapped over.
    """

    how: How
    bindings: Mapping[str, TypeExpr] = field(default_factory=dict)
    depth: int = 0


def relate(source: TypeExpr, target: TypeExpr, bound: Mapping[str, TypeExpr] | None = None) -> Relation | None:
    """How `source` connects to `target`, or None. `bound` holds variables that other links of the node have bound.

    A variable binds the whole type and never maps. `T` into `list[T]` wraps, `list[T]` into `T` maps the node over the list.
    """
    bindings: dict[str, TypeExpr] = dict(bound or {})
    if _direct(source, target, bindings):
        return Relation("direct", bindings)
    bare = target.item if target.kind == "optional" else target
    bindings = dict(bound or {})
    if bare.kind == "list" and _direct(source, bare.item, bindings):
        return Relation("wrap", bindings)
    if source.kind == "list" and not target.has_var():
        inner = relate(source.item, target, bound)
        if inner is not None and inner.how != "wrap":
            return Relation("map", inner.bindings, inner.depth + 1)
    return None


def _direct(source: TypeExpr, target: TypeExpr, bindings: dict[str, TypeExpr]) -> bool:
    if target.kind == "var":
        known = bindings.setdefault(target.name, source)
        if source == known or _direct(source, known, {}):
            return True
        if _direct(known, source, {}):  # the wider of the two is what the variable stands for: int and float give float
            bindings[target.name] = source
            return True
        return False
    if source.kind == "union":
        return all(_direct(member, target, bindings) for member in source.args)
    if target.kind == "optional":
        return _direct(source.item if source.kind == "optional" else source, target.item, bindings)
    if target.kind == "union":
        return any(_direct(source, member, bindings) for member in target.args)
    if source.kind == "optional":
        return False
    if source.kind != target.kind:
        return source.kind == "list" and target == te.value("json") and source.is_json
    if source.kind == "list":
        return _direct(source.item, target.item, bindings)
    if source.name == target.name:
        return True
    if source.kind != "value":
        return False
    return target.name == "json" or target.name in WIDENS.get(source.name, ())


def substitute(expr: TypeExpr, bindings: Mapping[str, TypeExpr]) -> TypeExpr:
    """`expr` with its variables replaced by what they are bound to."""
    if expr.kind == "var":
        return bindings.get(expr.name, expr)
    if not expr.args:
        return expr
    return TypeExpr(expr.kind, expr.name, tuple(substitute(arg, bindings) for arg in expr.args))

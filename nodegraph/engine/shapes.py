"""How much work a node is, as far as the workflow says: a signature of the sizes and counts typed into it and before it.

Whole numbers, choices, switches and models count; prompts, seeds, colours and strengths do not. Nodes of one type and one
signature take about the same time, whichever workflow they are in.
"""

from __future__ import annotations

import json
from collections.abc import Sequence

from nodegraph.engine.keys import digest
from nodegraph.graph.plan import PlanNode
from nodegraph.sdk.spec import InputSpec
from nodegraph.sdk.typeexpr import TypeExpr

_COUNTED = frozenset({"int", "enum", "bool"})


def shape_signatures(nodes: Sequence[PlanNode]) -> list[str]:
    """A signature per node. One that adds nothing to what lies before it has the same as its only source."""
    found: list[str] = []
    for node in nodes:
        parts = {found[link.source] for link in node.links if 0 <= link.source < len(found)}
        parts.discard("")
        inputs = node.spec.input_by_name
        own = {name: value for name, value in node.values.items() if name in inputs and _counts(inputs[name])}
        if own:
            parts.add(f"{node.spec.id}{json.dumps(own, sort_keys=True, default=repr)}")
            found.append(digest("\0".join(sorted(parts))))
        else:
            found.append(next(iter(parts)) if len(parts) == 1 else digest("\0".join(sorted(parts))) if parts else "")
    return found


def _counts(spec: InputSpec) -> bool:
    return spec.file.startswith("model") or _is_counted(spec.type)


def _is_counted(expr: TypeExpr) -> bool:
    return expr.name in _COUNTED if expr.kind == "value" else any(map(_is_counted, expr.args))

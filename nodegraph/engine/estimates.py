"""What a node would take, from what it or its like took before."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import NamedTuple

from nodegraph.engine.explain import Past
from nodegraph.graph.plan import PlanNode
from nodegraph.sdk.spec import NodeSpec
from nodegraph.store.journal import Cost, Journal


class Estimate(NamedTuple):
    """An expected cost, and what it rests on."""

    cost: Cost
    basis: str


class Estimates:
    """Looks in this order: the same static key; the type with the same sizes; the same place in this document; the type."""

    def __init__(
        self, journal: Journal | None, past: Past | None, profile: Callable[[NodeSpec], str], keys: Iterable[str] = ()
    ) -> None:
        self._journal, self._past, self._profile = journal, past, profile
        self._exact = journal.costs(keys) if journal is not None else {}
        self._types: dict[str, dict[str, Cost]] = {}

    def of(self, node: PlanNode, key: str, shape: str) -> Estimate | None:
        """The estimate for a node with this static key and shape signature, or None where nothing like it is known."""
        if key in self._exact:
            return Estimate(self._exact[key], "the same before")
        of_type = self._of_type(node.spec)
        if shape in of_type:
            return Estimate(of_type[shape], "this type at this size")
        for rows in self._past.runs if self._past is not None else ():
            row = rows.get(node.id)
            if row is not None and row.ms is not None and row.type == node.spec.id:
                return Estimate(Cost(row.ms, row.peak_bytes), "this node before")
        return Estimate(of_type["*"], "this type") if "*" in of_type else None

    def _of_type(self, spec: NodeSpec) -> dict[str, Cost]:
        if spec.id not in self._types:
            self._types[spec.id] = self._journal.timings(spec.id, self._profile(spec)) if self._journal is not None else {}
        return self._types[spec.id]

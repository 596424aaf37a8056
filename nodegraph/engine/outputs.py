"""What a run was asked for, handed over as it comes: each output when it is there, each item of a list when that item is."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from nodegraph.engine.parts import Parts
from nodegraph.engine.states import LOST
from nodegraph.graph.plan import PlanNode, Wanted
from nodegraph.sdk.typeexpr import TypeExpr
from nodegraph.store import Result

if TYPE_CHECKING:
    from nodegraph.engine.run import Run

_LOG = logging.getLogger(__name__)


class RunOutput(NamedTuple):
    """Something a run was asked for: the interface's name or the node's id, where it came from, and its value.

    `item` leads to an item of a mapped output that came by itself: (2,) is the third.
    """

    name: str
    node: str
    output: str
    type: TypeExpr | None
    value: Any
    item: tuple[int, ...] = ()


Receiver = Callable[[RunOutput], None]


class Outputs:
    """The outputs of a run. With a receiver each is handed over once, whole or item by item."""

    def __init__(self, wanted: Iterable[Wanted], receiver: Receiver | None) -> None:
        self._receiver = receiver
        self._of: dict[int, list[tuple[Wanted, tuple[int, ...]]]] = {}
        if receiver is not None:
            for each in wanted:
                self._of.setdefault(each.source, []).append((each, ()))

    def divided(self, i: int, node: PlanNode, base: int, parts: Parts) -> None:
        """A mapped node became its items, from index `base` on: they are handed over instead."""
        if i in self._of and node.mapped:
            asked = self._of.pop(i)
            for k in range(len(parts.nodes)):
                self._of[base + k] = [(wanted, (*item, k)) for wanted, item in asked]

    def finished(self, i: int, node: PlanNode, result: Result) -> None:
        """A node's result is there: hand over what was asked of it."""
        asked = self._of.pop(i, None) if self._of else None
        if asked is None or self._receiver is None or result.hollow:
            return
        for wanted, item in asked:
            for output in _outputs(node, wanted, result, item):
                try:
                    self._receiver(output)
                except Exception:
                    _LOG.exception("the receiver of a run's outputs failed; it receives no more")
                    self._receiver = None
                    return


def all_outputs(run: Run) -> list[RunOutput]:
    """Every output that a run still holds, in the order in which they were asked for."""
    found: list[RunOutput] = []
    for wanted in run.plan.wanted:
        result = run.result[wanted.source]
        if result is not None and not result.hollow and run.state[wanted.source] not in LOST:
            found += _outputs(run.nodes[wanted.source], wanted, result, ())
    return found


def _outputs(node: PlanNode, wanted: Wanted, result: Result, item: tuple[int, ...]) -> Sequence[RunOutput]:
    names = [wanted.output] if wanted.output else list(result.values)
    outputs = []
    for name in names:
        shown = wanted.name if wanted.output or len(result.values) == 1 else f"{wanted.name}.{name}"
        expr = wanted.type or node.spec.output_by_name[name].type
        if wanted.type is None:
            for _ in range(max(len(item), *(link.depth for link in node.links if link.mode == "map"), 0)):
                expr = TypeExpr("list", args=(expr,))
        for _ in item:
            expr = expr.item if expr.kind == "list" else expr
        outputs.append(RunOutput(shown, node.id, name, expr, result.values[name], item))
    return outputs

"""What is kept of a run when it is over: its nodes as rows, without their results, and no secret but by its name."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from functools import cached_property
from hashlib import blake2b
from typing import TYPE_CHECKING, Any

from nodegraph.engine.states import THERE, reported
from nodegraph.graph.plan import PlanNode
from nodegraph.graph.values import shown
from nodegraph.sdk.spec import InputSpec
from nodegraph.sdk.typeexpr import TypeExpr
from nodegraph.store.past import Long, PastLink, PastNode

if TYPE_CHECKING:
    from nodegraph.engine.run import Run

LONGEST_VALUE = 2000
"""A typed value whose JSON is longer is remembered by its digest and its beginning."""

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,63}\Z")


class RunRows(Mapping[str, PastNode]):
    """A run's nodes by path, made into rows when asked for."""

    def __init__(self, run: Run) -> None:
        self._nodes, self._static, self._state, self._ms, self._peak = run.nodes, run.static, run.state, run.ms, run.peak
        self._parts = {} if run.cancelled else run.parts

    def __getitem__(self, path: str) -> PastNode:
        i = self._index[path]
        node = self._nodes[i]
        links = tuple(PastLink(link.input, self._nodes[link.source].id, link.output) for link in node.links)
        values, state = remembered_values(node), reported(self._state, self._parts, i)
        ms, peak = self._ms.get(i), self._peak.get(i)
        return PastNode(node.spec.id, node.spec.revision, values, links, self._static[i], state, ms, peak)

    def had(self, path: str, key: str) -> bool:
        """Whether the node at this path had its result under this static key; a row is more work than this."""
        i = self._index.get(path)
        return i is not None and self._static[i] == key and self._state[i] in THERE

    def __iter__(self) -> Iterator[str]:
        return iter(self._index)

    def __len__(self) -> int:
        return len(self._nodes)

    @cached_property
    def _index(self) -> dict[str, int]:
        return {node.id: i for i, node in enumerate(self._nodes)}


def remembered_values(node: PlanNode) -> dict[str, Any]:
    """A node's typed values as they are kept: long ones by digest; where a secret belongs nothing but a name."""
    inputs = node.spec.input_by_name
    return {name: remembered(value, inputs.get(name)) for name, value in node.values.items()}


def remembered(value: Any, spec: InputSpec | None = None) -> Any:
    """One typed value as it is kept."""
    if type(value) in (int, float, bool, type(None)):
        return value
    if spec is not None and _is_secret(spec.type):
        return _names_only(value)
    text = json.dumps(value, ensure_ascii=False, default=repr)
    if len(text) <= LONGEST_VALUE:
        return value
    return Long(blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest(), shown(value))


def told(value: Any) -> str:
    """A remembered value in words."""
    return value.shown if isinstance(value, Long) else shown(value)


def _is_secret(expr: TypeExpr) -> bool:
    return expr.name == "secret" or any(map(_is_secret, expr.args))


def _names_only(value: Any) -> Any:
    """A secret's name. What does not look like one may be the secret itself, typed into the wrong place: it is left out."""
    if isinstance(value, list):
        return [_names_only(item) for item in value]
    return value if isinstance(value, str) and _NAME.match(value) else "(no name of a secret)"

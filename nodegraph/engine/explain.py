"""Why a node hit or missed: its inputs now, beside its inputs when it last ran in this document."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from nodegraph.engine.states import THERE
from nodegraph.graph.plan import PlanNode
from nodegraph.graph.values import shown

if TYPE_CHECKING:
    from nodegraph.engine.run import Run

_DOCUMENTS = 32
_RUNS = 8


@dataclass(frozen=True, slots=True)
class Past:
    """A run that is over, without its results: enough to compare the next one with."""

    nodes: Sequence[PlanNode]
    static: Sequence[str]
    state: Sequence[int]
    index: Mapping[str, int]
    before: Past | None

    def find(self, path: str) -> tuple[Past, int] | None:
        """The latest run that knew a node of this path."""
        past: Past | None = self
        while past is not None:
            if path in past.index:
                return past, past.index[path]
            past = past.before
        return None

    def had(self, path: str, key: str) -> bool:
        """Whether a node of this path and static key had its result in any of these runs."""
        past: Past | None = self
        while past is not None:
            j = past.index.get(path)
            if j is not None and past.static[j] == key and past.state[j] in THERE:
                return True
            past = past.before
        return False


class History:
    """The last runs of each document, for explanations only."""

    def __init__(self) -> None:
        self._documents: OrderedDict[str, Past] = OrderedDict()

    def add(self, run: Run) -> None:
        """Remember a run that has ended."""
        name = _name(run)
        before = self._documents.pop(name, None)
        chain, past = 1, before
        while past is not None and chain < _RUNS:
            chain, past = chain + 1, past.before
        if past is not None and before is not None:  # the chain is full: the oldest go, those they knew are "first run" again
            before = replace(before, before=None)
        index = {node.id: i for i, node in enumerate(run.nodes)}
        self._documents[name] = Past(run.nodes, run.static, run.state, index, before)
        while len(self._documents) > _DOCUMENTS:
            self._documents.popitem(last=False)

    def last(self, run: Run) -> Past | None:
        """The last run of the same document."""
        return self._documents.get(_name(run))


def reason_for_miss(nodes: Sequence[PlanNode], static: Sequence[str], moving: Sequence[bool], i: int, past: Past | None) -> str:
    """Why a node had to be computed: what is different from when it last ran in this document."""
    if nodes[i].spec.cache == "never":
        return "it runs each time"
    found = past.find(nodes[i].id) if past else None
    return "first run here" if found is None else _difference(nodes, static, moving, i, *found)


def _name(run: Run) -> str:
    return run.plan.document.id or run.plan.document.title


def _difference(nodes: Sequence[PlanNode], static: Sequence[str], moving: Sequence[bool], i: int, past: Past, j: int) -> str:
    now, old = nodes[i], past.nodes[j]
    if old.spec.id != now.spec.id:
        return f"the node was a {old.spec.id}"
    if old.spec.revision != now.spec.revision:
        return "the code of its pack changed"
    reasons = []
    for name, value in now.values.items():
        if name not in old.values:
            reasons.append(f"{name} was linked, is now {shown(value)}")
        elif old.values[name] != value:
            reasons.append(f"{name} changed from {shown(old.values[name])} to {shown(value)}")
    before = {(link.input, k): link for k, link in enumerate(old.links)}
    for k, link in enumerate(now.links):
        other = before.get((link.input, k))
        source = nodes[link.source].id
        if other is None or past.nodes[other.source].id != source or other.output != link.output:
            reasons.append(f"{link.input} now comes from {source}.{link.output}")
        elif past.static[other.source] != static[link.source]:
            reasons.append(f"{link.input} changed (from {source})")
    if len(old.links) > len(now.links):
        reasons.append("a link was removed")
    if reasons:
        return "; ".join(dict.fromkeys(reasons))
    if past.static[j] != static[i]:
        return "a file or the device changed"
    if moving[i]:
        return "something before it runs each time"
    return "no longer in memory" if past.had(nodes[i].id, static[i]) else "it was not finished before"

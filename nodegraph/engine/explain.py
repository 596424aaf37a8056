"""Why a node hit or missed: its inputs now, beside its inputs when it last ran in this document.

The last runs of each document are remembered without their results, here and (given a journal) across processes.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from nodegraph.engine.remember import RunRows, remembered, told
from nodegraph.engine.shapes import shape_signatures
from nodegraph.engine.states import COMPUTED, LOST
from nodegraph.graph.document import Document
from nodegraph.graph.plan import PlanNode
from nodegraph.sdk.spec import NodeSpec
from nodegraph.store.journal import LARGEST_RUN, Cost, Journal, Timed
from nodegraph.store.past import Long, PastNode

if TYPE_CHECKING:
    from nodegraph.engine.engine import Engine
    from nodegraph.engine.run import Run

_DOCUMENTS = 64
_RUNS = 8


@dataclass(frozen=True, slots=True)
class Past:
    """The last runs of a document, the latest first: nodes by path."""

    runs: tuple[Mapping[str, PastNode], ...]

    def last_ran(self, path: str) -> tuple[Mapping[str, PastNode], PastNode] | None:
        """The latest run that had a result of the node at this path, else the latest that knew it."""
        known = None
        for rows in self.runs:
            row = rows.get(path)
            if row is not None and row.had_result:
                return rows, row
            known = known or (row and (rows, row))
        return known

    def had(self, path: str, key: str) -> bool:
        """Whether the node at this path had its result under this static key in any of these runs."""
        rows = (run.get(path) for run in self.runs)
        return any(row is not None and row.key == key and row.had_result for row in rows)


class History:
    """The last runs of each document, for explanations and forecasts only."""

    def __init__(self, journal: Journal | None = None) -> None:
        self.journal = journal
        self._documents: OrderedDict[str, Past] = OrderedDict()

    def of(self, document: Document) -> Past | None:
        """The document's past. The first time it is read from the journal: ask on a thread where milliseconds matter."""
        name = document.id or document.title
        past = self._documents.get(name)
        if past is None:
            past = Past(tuple(self.journal.runs(name)) if self.journal is not None and name else ())
            past = self._documents.setdefault(name, past)
        return past if past.runs else None

    def last(self, run: Run) -> Past | None:
        """The past of the document that a run is of."""
        return self.of(run.plan.document)

    def add(self, run: Run) -> None:
        """Remember a run that has ended."""
        document = run.plan.document
        name, rows = document.id or document.title, RunRows(run)
        past = self.of(document)
        if past is not None and _says_nothing_new(run, past.runs[0]):
            return
        self._documents[name] = Past((rows, *(past.runs[: _RUNS - 1] if past else ())))
        self._documents.move_to_end(name)
        while len(self._documents) > _DOCUMENTS:
            self._documents.popitem(last=False)
        if self.journal is not None and name and len(run.nodes) <= LARGEST_RUN:
            engine, nodes, static = run.engine, run.nodes, run.static
            costs = {i: Cost(ms, run.peak.get(i), run.nbytes.get(i)) for i, ms in run.ms.items()}
            self.journal.add_run(name, lambda: rows, lambda: timed(engine, nodes, static, costs))


def timed(engine: Engine, nodes: Sequence[PlanNode], static: Sequence[str], costs: Mapping[int, Cost]) -> list[Timed]:
    """What the computed nodes of a run took, under what it is to be found again."""
    shapes = shape_signatures(nodes)
    return [Timed(nodes[i].spec.id, profile_of(engine, nodes[i].spec), shapes[i], static[i], cost) for i, cost in costs.items()]


def profile_of(engine: Engine, spec: NodeSpec) -> str:
    """The numerics profile that a node's time belongs to: the device's, or none for nodes of other lanes."""
    return engine.adapter.profile() if spec.lane == "gpu" and not spec.composite else ""


def _says_nothing_new(run: Run, latest: Mapping[str, PastNode]) -> bool:
    """Whether a run that computed nothing gave what the one before it gave, which knows more. Keys tell of all before them."""
    if COMPUTED in run.state or any(state in run.state for state in LOST):
        return False
    wanted = ((run.nodes[wanted.source].id, run.static[wanted.source]) for wanted in run.plan.wanted)
    if isinstance(latest, RunRows):
        return all(latest.had(path, key) for path, key in wanted)
    rows = ((latest.get(path), key) for path, key in wanted)
    return all(row is not None and row.key == key and row.had_result for row, key in rows)


# ---- reasons ----


def reason_for_miss(nodes: Sequence[PlanNode], static: Sequence[str], moving: Sequence[bool], i: int, past: Past | None) -> str:
    """Why a node had to be computed: what is different from when it last ran in this document."""
    node = nodes[i]
    if node.spec.cache == "never":
        return "it runs each time"
    found = past.last_ran(node.id) if past else None
    if past is None or found is None:
        return "first run here"
    if not moving[i] and past.had(node.id, static[i]):
        return "no longer in the cache"
    rows, old = found
    if old.type != node.spec.id:
        return f"the node was a {old.type}"
    if old.revision != node.spec.revision:
        same_code = node.spec.iterates and old.revision.partition("+")[0] == node.spec.revision.partition("+")[0]
        return "its subgraph changed" if same_code else "the code of its pack changed"
    reasons = [*_changed_values(node, old), *_changed_links(nodes, static, node, rows, old)]
    if reasons:
        return "; ".join(dict.fromkeys(reasons))
    if old.key != static[i]:
        return "a file or the device changed"
    if moving[i]:
        return "something before it runs each time"
    return "it was not needed before" if old.state == "not_needed" else "it was not finished before"


def _changed_values(node: PlanNode, old: PastNode) -> Iterator[str]:
    for name, value in node.values.items():
        spec = node.spec.input_by_name.get(name)
        now = remembered(value, spec)
        if name not in old.values:
            yield f"{name} was linked, is now {told(now)}"
        elif old.values[name] != now:
            yield _change(name, old.values[name], now)


def _change(name: str, old: Any, now: Any) -> str:
    before, after = told(old), told(now)
    if before != after:
        return f"{name} changed from {before} to {after}"
    if isinstance(old, Long) or not isinstance(old, str) or not isinstance(now, str):
        return f"{name} changed after its first {len(before)} characters"
    same = next((i for i, (a, b) in enumerate(zip(old, now, strict=False)) if a != b), min(len(old), len(now)))
    start = max(0, same - 20)
    return f"{name} changed from ...{old[start : start + 50]!r} to ...{now[start : start + 50]!r}"


def _changed_links(
    nodes: Sequence[PlanNode], static: Sequence[str], node: PlanNode, rows: Mapping[str, PastNode], old: PastNode
) -> Iterator[str]:
    for k, link in enumerate(node.links):
        source = nodes[link.source].id
        if k >= len(old.links) or old.links[k] != (link.input, source, link.output):
            yield f"{link.input} now comes from {source}.{link.output}"
        elif source not in rows or rows[source].key != static[link.source]:
            yield f"{link.input} changed (from {source})"
    if len(old.links) > len(node.links):
        yield "a link was removed"

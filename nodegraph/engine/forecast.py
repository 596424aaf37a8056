"""Preflight: what a run would compute, what it would find, and what that would take. Nothing is computed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any

from nodegraph.engine.cache import keys_of
from nodegraph.engine.estimates import Estimate, Estimates
from nodegraph.engine.explain import profile_of, reason_for_miss
from nodegraph.engine.foresight import Foresight, Outlook, Tier
from nodegraph.engine.prepare import Prepared
from nodegraph.engine.shapes import shape_signatures
from nodegraph.graph.canonical import compact
from nodegraph.graph.plan import Plan, PlanNode
from nodegraph.store import Alias, Result
from nodegraph.store.memory import GONE

if TYPE_CHECKING:
    from nodegraph.engine.engine import Engine


@dataclass(frozen=True, slots=True)
class NodeForecast:
    """What would become of a node. `key` is where its result lies, or would be looked for.

    A node with `parts` (a composite, a mapped node) does nothing itself: its estimate is the sum of those that would run.
    `basis` says what the estimate rests on. `after` names the nodes that it is linked to.
    """

    node: str
    type: str
    lane: str
    outlook: Outlook
    tier: Tier | None
    why: str
    key: str
    after: tuple[str, ...]
    parts: int | None = None
    ms: float | None = None
    peak_bytes: int | None = None
    nbytes: int | None = None
    basis: str = ""


@dataclass(frozen=True)
class Forecast:
    """What a run would do. `nodes` are what is wanted and all before it, each followed by its parts.

    The totals count nodes that are computed themselves, not those that consist of others.
    `seconds` adds up the nodes whose cost is known; `peak_bytes` is the most that one of them held on its device.
    """

    nodes: list[NodeForecast]
    outputs: list[str]
    disabled: tuple[str, ...]

    @cached_property
    def single(self) -> list[NodeForecast]:
        """The nodes that are computed themselves."""
        return [row for row in self.nodes if row.parts is None]

    @cached_property
    def would_run(self) -> list[NodeForecast]:
        return [row for row in self.single if row.outlook == "would_run"]

    @property
    def covered(self) -> int:
        """How many of the nodes that would run have an estimate."""
        return sum(row.ms is not None for row in self.would_run)

    @property
    def unknown(self) -> int:
        """How many nodes may or may not run: only the run itself finds out."""
        return sum(row.outlook == "unknown" for row in self.single)

    @property
    def seconds(self) -> float | None:
        """What the nodes would take one after another, as far as known."""
        known = [row.ms for row in self.would_run if row.ms is not None]
        return sum(known) / 1e3 if known or not self.would_run else None

    @property
    def peak_bytes(self) -> int | None:
        return max((row.peak_bytes for row in self.would_run if row.peak_bytes is not None), default=None)

    @property
    def nbytes(self) -> int | None:
        """What the results would take, as far as known."""
        known = [row.nbytes for row in self.would_run if row.nbytes is not None]
        return sum(known) if known else None

    def to_json(self) -> dict[str, Any]:
        """The forecast as plain data."""
        seconds = self.seconds
        return {
            "nodes": [_row(row) for row in self.nodes],
            "outputs": self.outputs,
            "disabled": list(self.disabled),
            "total": {
                "nodes": len(self.single),
                "would_run": len(self.would_run),
                "in_cache": sum(row.outlook == "hit" for row in self.single),
                "unknown": self.unknown,
                "estimated": self.covered,
                "seconds": None if seconds is None else round(seconds, 6),
                "peak_bytes": self.peak_bytes,
                "result_bytes": self.nbytes,
            },
        }


def _row(row: NodeForecast) -> dict[str, Any]:
    return {
        "node": row.node,
        "type": row.type,
        "lane": row.lane,
        "state": row.outlook,
        "cache": row.tier,
        "why": row.why,
        "after": list(row.after),
        "ms": None if row.ms is None else round(row.ms, 3),
        "peak_bytes": row.peak_bytes,
        "result_bytes": row.nbytes,
        "basis": row.basis,
        "parts": row.parts,
    }


def find(engine: Engine, key: str, on_disk: bool = True) -> tuple[Tier, Result] | None:
    """What a key leads to: where it lies, and the result, hollow where it is on disk."""
    found = engine.cache.find(key, on_disk)
    if found is None:
        return None
    if isinstance(found, Result):
        return "memory", found
    entry = engine.cache.entry(key)
    if isinstance(entry, Alias):
        return "disk", Result(entry.key or key, GONE, entry.refs)
    return "disk", Result(key, GONE)


def where(engine: Engine, key: str) -> Tier | None:
    """Where the result that a key leads to lies, or None when it is nowhere."""
    found = find(engine, key)
    return None if found is None else found[0]


def _find_as_a_run_does(engine: Engine, key: str, node: PlanNode) -> tuple[Tier, Result] | None:
    """A run asks the disk only for what is not computed faster than read."""
    return find(engine, key, node.mapped or node.spec.composite or not engine.costs.is_cheap(node.spec))


def forecast(engine: Engine, prepared: Prepared, *, every: bool = False) -> Forecast:
    """What running a prepared plan would do now. On the engine's loop: it looks into the memory tier.

    With `every`, nodes that a run would not need are looked up too, and hits say what their results take.
    """
    seen = Foresight(prepared, partial(_find_as_a_run_does, engine), engine.library)
    if every:
        seen.look_up_rest()
    past = engine.history.of(prepared.plan.document)
    running = [i for i, outlook in enumerate(seen.outlook) if outlook in ("would_run", "unknown")]
    profile = partial(profile_of, engine)
    estimates = Estimates(engine.history.journal, past, profile, (seen.static[i] for i in running))
    shapes = shape_signatures(seen.nodes)
    known = {i: estimates.of(seen.nodes[i], seen.static[i], shapes[i]) for i in running if i not in seen.inside}
    for i in running:
        if not seen.why.get(i) and seen.outlook[i] == "would_run":
            seen.why[i] = reason_for_miss(seen.nodes, seen.static, seen.moving, i, past)
    rows = [_forecast(seen, i, known) for i in _in_order(seen.inside, _before(prepared.plan))]
    if every:
        rows = [replace(row, nbytes=_size(engine, row)) if row.outlook == "hit" else row for row in rows]
    return Forecast(rows, [wanted.name for wanted in prepared.plan.wanted], prepared.plan.disabled)


def _forecast(seen: Foresight, i: int, known: Mapping[int, Estimate | None]) -> NodeForecast:
    node, inside = seen.nodes[i], seen.inside.get(i)
    lane = "composite" if node.spec.composite else node.spec.lane
    after = tuple(sorted({seen.nodes[link.source].id for link in node.links}))
    row = partial(
        NodeForecast, node.id, node.spec.id, lane, seen.outlook[i], seen.tier[i], seen.why.get(i, ""), seen.key[i], after
    )
    if inside is not None:
        below = [known[j] for j in _in_order(seen.inside, inside) if seen.outlook[j] == "would_run" and j in known]
        found = [estimate.cost for estimate in below if estimate is not None]
        return row(len(inside), sum(cost.ms for cost in found) if found else None, _most(cost.peak_bytes for cost in found))
    estimate = known.get(i)
    if estimate is None:
        return row()
    cost = estimate.cost
    return row(None, cost.ms, cost.peak_bytes, cost.nbytes, estimate.basis)


def _most(sizes: Iterable[int | None]) -> int | None:
    return max((size for size in sizes if size is not None), default=None)


def _before(plan: Plan) -> list[int]:
    """What is wanted and what lies before it, in the plan's order."""
    needed: set[int] = set()
    asked = [wanted.source for wanted in plan.wanted]
    while asked:
        i = asked.pop()
        if i not in needed:
            needed.add(i)
            asked.extend(link.source for link in plan.nodes[i].links)
    return sorted(needed)


def _in_order(inside: Mapping[int, range], top: Sequence[int]) -> Iterator[int]:
    """Nodes in the plan's order, each followed by its parts."""
    stack = list(reversed(top))
    while stack:
        i = stack.pop()
        yield i
        stack.extend(reversed(inside.get(i, ())))


def _size(engine: Engine, row: NodeForecast) -> int | None:
    """What a result takes where it lies, with all that it consists of."""
    cache = engine.cache
    entry = cache.entry(row.key)
    total = 0
    for key in keys_of(entry) if isinstance(entry, Alias) else (row.key,):
        held = engine.memory.get(key)
        if isinstance(held, Result):
            nbytes, storages = engine.extents.of(row.type, held.values)
            total += nbytes + sum(storage.nbytes for storage in storages)
        elif cache.disk is not None and (record := cache.disk.read(key)) is not None:
            total += len(compact(record.data)) + sum(memoryview(buffer.data).nbytes for buffer in record.buffers.values())
    return total

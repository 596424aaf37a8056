"""The engine beside a reference, through any sequence of edits, runs, cancellations, evictions and restarts.

Whatever happens, every wanted value is what the reference says; no computation is done that nothing wanted needs; and none is
done again unless its result was lost. The loop is simulated: what happens follows from what hypothesis draws.
"""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import tempfile
import weakref
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any, NamedTuple
from unittest.mock import patch

from hypothesis import note, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from engine.conftest import PretendedDevice
from engine.inside import leftovers
from engine.reference import ANY, BODIES_OF, INT, INTS, KINDS, Key, Lost, Reference, Type
from engine.simulated import SimulatedLoop
from engine.terms import BODIES, Label, World, frozen, label, plain
from nodegraph import Pack
from nodegraph.engine import Engine, Library, RunOptions, RunOutput, RunResult
from nodegraph.engine import cache as cache_module
from nodegraph.engine import costs as costs_module
from nodegraph.graph import compile_document
from nodegraph.graph.document import document_from
from nodegraph.sdk.values import Lazy
from nodegraph.store import DiskTier, Place, Result
from nodegraph.store.memory import HOST
from nodegraph_nodes import core

AMPLE = 1 << 30
CORE = Pack.of("core", vars(core).values())

# ---- graphs ----


class Seed(NamedTuple):
    """A node to be: `choices` decide its inputs among what fits."""

    uid: int
    kind: str
    choices: tuple[int, int, int]
    disabled: bool = False


class Source(NamedTuple):
    node: str
    output: str
    mode: str  # direct, wrap, map


@dataclass(frozen=True)
class Made:
    kind: str
    values: dict[str, Any]
    sources: dict[str, tuple[Source, ...]]
    outputs: dict[str, Type]
    disabled: bool = False


Graph = dict[str, Made]


def resolve(seeds: Iterable[Seed]) -> Graph:
    graph: Graph = {}
    for seed in seeds:
        made = _made(seed, graph)
        graph[f"n{seed.uid}"] = made or Made("make", {"content": seed.choices[0] % 4}, {}, {"thing": ("thing", 0)})
    return graph


def _how(source: Type, target: Type, strict: bool) -> str | None:
    if target == ANY:
        return "direct"
    if source[0] != target[0]:
        return None
    found = {0: "direct", -1: "wrap", 1: "map"}.get(source[1] - target[1])
    return None if strict and found != "direct" else found


def _made(seed: Seed, graph: Graph) -> Made | None:
    kind = KINDS[seed.kind]
    values: dict[str, Any] = {}
    sources: dict[str, tuple[Source, ...]] = {}
    bound = ANY
    for (name, declared), choice in zip(kind.inputs.items(), seed.choices, strict=False):
        target = bound if declared == ANY else declared
        fits = [
            Source(node, output, mode)
            for node, made in graph.items()
            for output, given in made.outputs.items()
            if (mode := _how(given, target, kind.strict or declared == ANY))
        ]
        fits.sort(key=lambda source: ((int(source.node[1:]) + 1) * (2 * choice + 1) * 2654435761 % 2**32, source.output))
        if name == kind.many:
            sources[name] = tuple(fits[: choice % 4])
        elif target in (INT, INTS) and (choice % 5 == 0 or not fits) and not (kind.lazy and fits):
            values[name] = choice // 5 % 4 if target == INT else list(range(choice // 5 % 4))
        elif target[0] == "truth" and not fits:
            values[name] = choice % 2 == 0
        elif fits:
            sources[name] = (fits[0],)
            if declared == ANY:
                bound = graph[fits[0].node].outputs[fits[0].output]
        else:
            return None
    if seed.disabled and seed.kind in ("grow", "step", "later") and (source := sources["thing"][0]).mode in ("direct", "map"):
        return Made(seed.kind, values, sources, {"thing": graph[source.node].outputs[source.output]}, True)
    outputs = {name: bound if given == ANY else given for name, given in kind.outputs.items()}
    if any(source.mode == "map" for found in sources.values() for source in found):
        outputs = {name: (base, depth + 1) for name, (base, depth) in outputs.items()}
    return Made(seed.kind, values, sources, outputs) if all(depth <= 2 for _, depth in outputs.values()) else None


def as_document(graph: Graph) -> dict[str, Any]:
    nodes = {}
    for name, made in graph.items():
        links = {
            key: (texts if key == KINDS[made.kind].many else texts[0])
            for key, found in made.sources.items()
            if (texts := [f"{source.node}.{source.output}" for source in found])
        }
        loop = BODIES_OF.get(made.kind)
        nodes[name] = {
            "type": f"core/{made.kind}" if loop else f"m/{made.kind}",
            "version": 1,
            "inputs": {**made.values, **({"body": loop} if loop else {})},
            "links": links,
        } | ({"disabled": True} if made.disabled else {})
    return {"nodegraph": 1, "id": "model", "nodes": nodes, "subgraphs": BODIES, "interface": {"outputs": {}}}


# ---- an engine, watched ----


class Watched:
    """An engine, what was ever needed of it, and how often each result was lost."""

    def __init__(self, loop: SimulatedLoop, disk: bool, dear: bool) -> None:
        self.loop, self.dear = loop, dear
        self.world = World()
        self.folder = Path(tempfile.mkdtemp(prefix="model-")) if disk else None
        self.needed: dict[Label, set[Key]] = {}
        self.failing: set[Label] = set()
        self.lost: Counter[Label] = Counter()
        self.traces_lost = 0
        self.labels: dict[str, Label] = {}  # by the engine's key
        self.modes: dict[str, bool] = {}
        self.budget = AMPLE
        self.runs: weakref.WeakSet[Any] = weakref.WeakSet()
        self._patches = [
            patch.object(costs_module, "CHEAP_SECONDS", 0.0 if dear else 1e9),
            patch.object(cache_module, "CHEAP_SECONDS", -1e9 if dear else 1e9),
        ]

    async def start(self) -> None:
        disk = None if self.folder is None else DiskTier(self.folder, AMPLE)
        library = Library.of([self.world.pack(), CORE])
        self.engine = Engine(library, memory_bytes=self.budget, disk=disk, device=PretendedDevice)
        await self.engine.__aenter__()
        self._watch()

    def _watch(self) -> None:
        engine, memory = self.engine, self.engine.memory
        keep, put, drop, clear = engine.keep, memory.put, memory._drop, memory.clear
        replacing: set[str] = set()

        def kept(call: Any, outcome: Any) -> Any:
            if outcome.values is not None and call.spec.id.startswith("m/"):
                lazy = any(isinstance(value, Lazy) for value in call.arguments.values()) or call.node.has_lazy
                given = ({call.node.variadic: []} if call.node.variadic else {}) | call.arguments
                self.labels[call.key] = self.world.last if lazy else label(call.node.name, given)
                self.modes[call.key] = call.run.options.exact or call.node.name != "step"
            return keep(call, outcome)

        def putting(key: str, *arguments: Any, **options: Any) -> None:
            replacing.add(key)
            put(key, *arguments, **options)
            replacing.discard(key)
            if key not in memory._entries:
                self.leaves(key)

        def dropping(key: str) -> None:
            drop(key)
            if key not in replacing:
                self.leaves(key)

        def clearing() -> None:
            keys = list(memory._entries)
            clear()
            for key in keys:
                self.leaves(key)

        engine.keep = kept  # type: ignore[method-assign]
        memory.put, memory._drop, memory.clear = putting, dropping, clearing  # type: ignore[method-assign]

    def leaves(self, key: str) -> None:
        """A result has left memory; unless it is on disk, it may be computed once more."""
        if key in self.labels and not self.is_on_disk(key):
            self.lost[self.labels[key]] += 1
        elif key not in self.labels and not self.is_on_disk(key):  # a trace, perhaps: what it led to is not found without it
            self.traces_lost += 1

    def is_on_disk(self, key: str) -> bool:
        cache = self.engine.cache
        if cache.disk is None or not self.dear:
            return False
        return cache._pending(key) is not None or cache.disk.kind(key) is not None

    def is_there(self, key: str) -> bool:
        return isinstance(self.engine.memory._entries.get(key), Result) or self.is_on_disk(key)

    async def stop(self) -> None:
        await asyncio.wait_for(self.engine.__aexit__(None, None, None), 10)

    async def restart(self) -> None:
        """A new engine on the same folder."""
        held = [key for key in self.engine.memory._entries if key in self.labels]
        await self.stop()
        await self.start()
        for key in held:
            self.leaves(key)

    def present(self) -> frozenset[Label]:
        return frozenset((self.labels[key], self.modes[key]) for key in self.labels if self.is_there(key))  # type: ignore[misc]

    # ---- runs ----

    def plan(self, graph: Graph, wanted: list[str]) -> Any:
        document = document_from(as_document(graph))
        return compile_document(document, self.engine.library.catalog, wanted)

    def expect(self, graph: Graph, wanted: list[str], exact: bool) -> Reference:
        """What a run of this may compute at all."""
        reference = Reference(KINDS, graph, exact, self.world.today)
        for name in wanted:
            for cell in reference.node(name).values():
                with contextlib.suppress(Lost):
                    cell.need()
        for key, found in reference.needed.items():
            self.needed.setdefault(found, set()).add(key)
        self.failing |= reference.failing
        return reference

    async def run(self, graph: Graph, wanted: list[str], piecewise: bool = False, **options: Any) -> None:
        reference = self.expect(graph, wanted, options.get("exact", True))
        came: list[RunOutput] = []
        if piecewise:
            options |= {"receiver": came.append, "keep": False}
        result = await self.engine.run(self.plan(graph, wanted), RunOptions(**options))
        compare(reference, graph, wanted, result, came if piecewise else result.outputs)

    async def settle(self) -> None:
        """Until nothing is under way; a thing that stays under way is a leak."""
        for _ in range(5000):
            if not (leftovers(self.engine) or self.loop.jobs):
                break
            await asyncio.sleep(0)
        assert not leftovers(self.engine)
        assert self.loop.jobs == 0
        assert len(asyncio.all_tasks()) <= 2, asyncio.all_tasks()  # this one, and who waits for it

    def check(self) -> None:
        """Nothing was computed that was not needed, nor more often than it was lost."""
        for found, times in self.world.log.items():
            assert found in self.needed, f"nothing wanted needs {found}"
            allowed = len(self.needed[found]) + self.lost[found] + (self.traces_lost if KINDS[found[0]].lazy else 0)
            assert times <= allowed or found in self.failing, f"{times} times, {allowed} would do: {found}"
        if self.engine.cache.disk is not None:
            kept_here = [key for key, found in self.labels.items() if found[0] in ("kept_here", "fresh", "weather")]
            assert not any(map(self.engine.cache.disk.kind, kept_here)), "on disk against the node's will"
        memory = self.engine.memory
        assert memory.used_bytes <= memory.budget_bytes


def compare(reference: Reference, graph: Graph, wanted: list[str], result: RunResult, outputs: list[RunOutput]) -> None:
    """Every wanted value that can be had was given, and no other."""
    expected, whole = {}, True
    for name in wanted:
        mapped = any(source.mode == "map" for found in graph[name].sources.values() for source in found)
        for output, cell in reference.node(name).items():
            try:
                expected[name, output, ()] = cell.value
            except Lost:
                whole = False
        if mapped:
            expected |= {
                (name, output, (i,)): value for output, cell in reference.node(name).items() for i, value in pieces(cell)
            }
    given = {(output.node.partition("[")[0], output.output, output.item): plain(output.value) for output in outputs}
    items = {(node, output) for node, output, item in given if item}
    for place, value in given.items():
        assert place in expected, f"{place} cannot be had, {value} was given"
        assert frozen(value) == frozen(expected[place]), f"{place}: {value}, not {expected[place]}"
    for node, output, item in expected:
        if (node, output, item) not in given and not item and expected[node, output, item] != []:
            assert (node, output) in items, f"{node}.{output} is missing: {result.nodes[node]}"
    for node, output in items:
        missing = {place for place in expected if place[:2] == (node, output) and place[2]} - set(given)
        assert not missing
    assert result.status == ("succeeded" if whole else "failed")
    assert bool(result.problems) == (not whole)


def has_empty(cell: Any) -> bool:
    """Whether a list without items is part of a value: what is known of it lies in an alias alone."""
    try:
        return "[]" in repr(cell.value)
    except Lost:
        return True


def pieces(cell: Any) -> Iterable[tuple[int, Any]]:
    """The items of a mapped node that can be had."""
    for i, item in enumerate(getattr(cell, "cells", ())):
        with contextlib.suppress(Lost):
            yield i, item.value


# ---- the machine ----

OFTEN = ["grow", "step", "gather", "few_things", "few", "denoise", "grow_all", "switch", "pick", "countdown", "weigh", "join"]
NAMES = sorted(KINDS) + OFTEN
choice = st.integers(0, 9999)
share = st.sampled_from([0.15, 0.4, 1.0])
seeds = st.tuples(st.sampled_from(NAMES), st.tuples(choice, choice, choice))
likenesses = st.lists(st.tuples(choice, st.integers(0, 2), choice), max_size=4)
"""Nodes like others but for one choice: keys that are nearly the same are where mistakes show."""


class EngineMachine(RuleBasedStateMachine):
    """`graph` is the document as it is now."""

    @initialize(
        number=st.integers(0, 2**32),
        disk=st.booleans(),
        dear=st.sampled_from([True, True, False]),
        nodes=st.lists(seeds, min_size=1, max_size=12),
        alike=likenesses,
    )
    def begin(self, number: int, disk: bool, dear: bool, nodes: list[Any], alike: list[Any]) -> None:
        self.random = Random(number)
        self.loop = SimulatedLoop(self.random)
        self.watched = Watched(self.loop, disk, dear)
        for each in self.watched._patches:
            each.start()
        self.count = 0
        self.seeds: list[Seed] = []
        for kind, choices in nodes:
            self._add(kind, choices)
        for like in alike:
            self._add_like(*like)
        self.last: tuple[Graph, list[str], bool] | None = None
        self.loop.within(self.watched.start())

    def _add(self, kind: str, choices: tuple[int, int, int]) -> None:
        self.seeds.append(Seed(self.count, kind, choices))
        self.count += 1

    def _add_like(self, at: int, field: int, value: int) -> None:
        seed = self.seeds[at % len(self.seeds)]
        choices = [*seed.choices]
        choices[field] = value
        self._add(seed.kind, tuple(choices))  # type: ignore[arg-type]

    @property
    def graph(self) -> Graph:
        return resolve(self.seeds)

    def _wanted(self, graph: Graph, part: float) -> list[str]:
        names = [name for name in graph if not graph[name].disabled]
        return [name for name in names if self.random.random() < part] or names[-1:]

    def _do(self, work: Any) -> None:
        async def all_of_it() -> None:
            await work
            await self.watched.settle()

        self.loop.within(all_of_it())
        self.watched.check()

    # ---- edits ----

    @rule(node=seeds)
    def add(self, node: Any) -> None:
        self._add(*node)

    @rule(at=choice, field=st.integers(0, 2), value=choice)
    def change(self, at: int, field: int, value: int) -> None:
        i = at % len(self.seeds)
        choices = list(self.seeds[i].choices)
        choices[field] = value
        self.seeds[i] = self.seeds[i]._replace(choices=tuple(choices))  # type: ignore[arg-type]

    @rule(like=st.tuples(choice, st.integers(0, 2), choice))
    def add_like(self, like: tuple[int, int, int]) -> None:
        self._add_like(*like)

    @rule(at=choice)
    def toggle(self, at: int) -> None:
        i = at % len(self.seeds)
        self.seeds[i] = self.seeds[i]._replace(disabled=not self.seeds[i].disabled)

    @precondition(lambda self: len(self.seeds) > 1)
    @rule(at=choice)
    def remove(self, at: int) -> None:
        del self.seeds[at % len(self.seeds)]

    @rule()
    def another_day(self) -> None:
        self.watched.world.today += 1

    # ---- runs ----

    @rule(part=share, exact=st.booleans(), piecewise=st.booleans())
    def run(self, part: float, exact: bool, piecewise: bool) -> None:
        graph = self.graph
        wanted = self._wanted(graph, part)
        if not wanted:
            return
        note(f"{as_document(graph)['nodes']}\nwanted {wanted}")
        self._do(self.watched.run(graph, wanted, piecewise, exact=exact))
        self.last = (graph, wanted, exact)

    @rule(
        others=st.lists(
            st.tuples(st.none() | st.integers(0, 80), st.integers(0, 2), choice, choice, share, st.booleans()),
            min_size=2,
            max_size=5,
        )
    )
    def run_together(self, others: list[Any]) -> None:
        """Variants of the document at once; those with a number are cancelled after so many turns of the loop."""
        self._do(self._together(others))
        self.last = None

    async def _together(self, others: list[Any]) -> None:
        tasks = []
        for turns, priority, at, value, part, exact in others:
            i = at % len(self.seeds)
            changed = [*self.seeds]
            if value % 3:
                changed[i] = changed[i]._replace(choices=(value, *changed[i].choices[1:]))
            graph = resolve(changed)
            wanted = self._wanted(graph, part)
            if not wanted:
                continue
            work = self.watched.run(graph, wanted, exact=exact, priority=priority)
            note(f"{as_document(graph)['nodes']}\nwanted {wanted}, cancelled after {turns}")
            task = asyncio.ensure_future(work)
            tasks.append(asyncio.ensure_future(self._cancelled(task, turns)) if turns is not None else task)
        await asyncio.gather(*tasks)

    async def _cancelled(self, task: asyncio.Task[None], turns: int) -> None:
        for _ in range(turns):
            await asyncio.sleep(0)
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task

    @precondition(lambda self: self.last is not None)
    @rule(part=share, how=st.sampled_from(["nothing", "memory", "both", "clear", "restart"]))
    def lose_some_and_run_again(self, part: float, how: str) -> None:
        """The same again: exactly what is missing and needed is computed."""
        assert self.last is not None
        graph, wanted, exact = self.last
        self._do(self._again(graph, wanted, exact, part, how))

    async def _again(self, graph: Graph, wanted: list[str], exact: bool, part: float, how: str) -> None:
        watched = self.watched
        engine = watched.engine
        if how == "restart":
            await watched.restart()
        elif how == "clear":
            engine.memory.clear()
        elif how != "nothing":
            keys = [key for key in watched.labels if self.random.random() < part]
            if how == "both":
                await engine.cache.drain()
            for key in keys:
                engine.memory.forget(Place(key, ""))
            if how == "both" and engine.cache.disk is not None:
                await self._remove(keys)
        reference = watched.expect(graph, wanted, exact)
        doubtful = any(made.kind in ("weather", "fresh", "forecast", "while_") for made in graph.values())
        doubtful = doubtful or any(has_empty(cell) for name in graph for cell in reference.node(name).values())
        log = Counter(watched.world.log)
        there = watched.present()
        cached = frozenset(
            key for key, found in reference.needed.items() if (found, bool(exact or found[0] != "step")) in there
        )
        needs = Reference(KINDS, graph, exact, watched.world.today, cached)
        for name in wanted:
            for cell in needs.node(name).values():
                with contextlib.suppress(Lost):
                    cell.need()
        await watched.run(graph, wanted, exact=exact)
        done = watched.world.log - log
        several = any(len(watched.needed[found]) > 1 for found in [*done, *reference.needed.values()])
        if not (doubtful or several or reference.failing) and watched.dear and watched.budget == AMPLE:
            assert set(done) == set(needs.needed.values()), (
                f"too much: {set(done) - set(needs.needed.values())}, too little: {set(needs.needed.values()) - set(done)}"
            )

    # ---- what is lost ----

    @rule(how=st.sampled_from(["memory", "disk", "free", "tiny", "small", "ample", "disk keys"]), part=share)
    def evict(self, how: str, part: float) -> None:
        self._do(self._evict(how, part))
        self.last = None

    async def _evict(self, how: str, part: float) -> None:
        watched = self.watched
        engine, disk = watched.engine, watched.engine.cache.disk
        if how == "memory":
            engine.memory.clear()
        elif how == "free":
            await engine.free()
        elif how in ("tiny", "small", "ample"):
            watched.budget = {"tiny": 3000, "small": 12_000, "ample": AMPLE}[how]
            engine.memory.set_budget(HOST, watched.budget)
        elif disk is not None:
            await engine.cache.drain()
            keys = [key for key in watched.labels if how == "disk" or self.random.random() < part]
            if how == "disk":
                gone = [key for key in keys if key not in engine.memory._entries and watched.is_on_disk(key)]
                disk.clear()
                for key in gone:
                    watched.leaves(key)
            else:
                await self._remove(keys)

    async def _remove(self, keys: list[str]) -> None:
        watched = self.watched
        gone = [key for key in keys if key not in watched.engine.memory._entries and watched.is_on_disk(key)]
        assert watched.engine.cache.disk is not None
        watched.engine.cache.disk.remove(keys)
        for key in gone:
            watched.leaves(key)

    @rule()
    def restart(self) -> None:
        self._do(self.watched.restart())
        self.last = None

    def teardown(self) -> None:
        if not hasattr(self, "watched"):
            return
        try:
            self.loop.within(self.watched.stop())
        finally:
            for each in self.watched._patches:
                each.stop()
            self.loop.close()
            if self.watched.folder is not None:
                shutil.rmtree(self.watched.folder, ignore_errors=True)


TestEngineAgainstReference = EngineMachine.TestCase
TestEngineAgainstReference.settings = settings(stateful_step_count=14, deadline=None)

"""An engine, watched: what was ever needed of it, what it computed, and how often each result was lost."""

from __future__ import annotations

import asyncio
import contextlib
import tempfile
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any
from unittest.mock import patch

from engine.conftest import PretendedDevice
from engine.drawn import Graph, as_document
from engine.inside import leftovers
from engine.reference import KINDS, Key, Lost, Reference
from engine.simulated import SimulatedLoop
from engine.terms import Label, World, frozen, label, plain
from nodegraph import Pack
from nodegraph.engine import Engine, Library, RunOptions, RunOutput, RunResult
from nodegraph.engine import cache as cache_module
from nodegraph.engine import costs as costs_module
from nodegraph.engine import run as run_module
from nodegraph.graph import compile_document
from nodegraph.graph.document import document_from
from nodegraph.sdk.values import Lazy
from nodegraph.store import DiskTier, Result
from nodegraph_nodes import core

AMPLE = 1 << 30
CORE = Pack.of("core", vars(core).values())


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
        self.done: set[tuple[Label, bool]] = set()  # what was computed at least once, exact or not
        self.budget = AMPLE
        self._patches = [
            patch.object(run_module, "_SLICE_SECONDS", 0.0),  # runs take turns after every cheap node
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
                given |= {"today": self.world.today} if call.spec.cache == "never" else {}
                self.labels[call.key] = self.world.last if lazy else label(call.node.name, given)
                self.modes[call.key] = exact_or_not(call.node.name, call.run.options.exact)
                self.done.add((self.labels[call.key], self.modes[call.key]))
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

    def keys_of(self, found: Label, exact: bool) -> int:
        """How many keys a computation goes by: more than one where lists of the same things were put together otherwise."""
        kind = KINDS[found[0]]
        places = self.needed.get(found, set())
        if kind.lazy:
            return len({place[:-1] for place in places})
        return len([place for place in places if not kind.batched or place[1] == exact])

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

    async def run(self, graph: Graph, wanted: list[str], piecewise: bool = False, **options: Any) -> Reference:
        """Run a document and compare what it gives."""
        reference = self.expect(graph, wanted, options.get("exact", True))
        came: list[RunOutput] = []
        if piecewise:
            options |= {"receiver": came.append, "keep": False}
        result = await self.engine.run(self.plan(graph, wanted), RunOptions(**options))
        compare(reference, graph, wanted, result, came if piecewise else result.outputs)
        reference.whole = not result.problems
        if reference.whole:
            needed = {(found, exact_or_not(found[0], reference.exact)) for found in reference.needed.values()}
            assert needed <= self.done, f"never computed: {needed - self.done}"
        return reference

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
            places, lost = len(self.needed[found]), self.lost[found]
            allowed = places * (1 + lost + self.traces_lost) if KINDS[found[0]].lazy else places + lost
            assert times <= allowed or found in self.failing, f"{times} times, {allowed} would do: {found}"
        never = [key for key, found in self.labels.items() if KINDS[found[0]].never]
        assert not [key for key in never if key in self.engine.memory._entries], "kept against the node's will"
        if self.engine.cache.disk is not None:
            never += [key for key, found in self.labels.items() if found[0] == "kept_here"]
            assert not any(map(self.engine.cache.disk.kind, never)), "on disk against the node's will"
        memory = self.engine.memory
        assert memory.used_bytes <= memory.budget_bytes


def exact_or_not(kind: str, exact: bool) -> bool:
    """Whether a computation counts as exact: what cannot run in batches always does."""
    return exact or not KINDS[kind].batched


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

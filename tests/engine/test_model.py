"""The engine beside a reference, through any sequence of edits, runs, cancellations, evictions and restarts.

Whatever happens, every wanted value is what the reference says; no computation is done that nothing wanted needs; and none is
done again unless its result was lost. The loop is simulated: what happens follows from what hypothesis draws.
"""

from __future__ import annotations

import asyncio
import contextlib
import shutil
from collections import Counter
from random import Random
from typing import Any

import pytest
from hypothesis import note, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from engine.drawn import NAMES, Graph, Seed, behind, described, resolve
from engine.reference import KINDS, Lost, Reference
from engine.simulated import SimulatedLoop
from engine.watched import AMPLE, Watched, exact_or_not, has_empty
from nodegraph.store import Place
from nodegraph.store.memory import HOST

choice = st.integers(0, 9999)
share = st.sampled_from([0.15, 0.4, 1.0])
seeds = st.tuples(st.integers(0, 11), st.tuples(choice, choice, choice))
kinds = st.lists(st.sampled_from(NAMES), min_size=2, max_size=12)
"""Each example has a few kinds of nodes, so that these meet one another often (swarm testing)."""
likenesses = st.lists(st.tuples(choice, st.integers(0, 2), choice), max_size=4)
"""Nodes like others but for one choice: keys that are nearly the same are where mistakes show."""


EDITS = ["add", "add one like it", "add its twin", "change", "change", "switch off or on", "remove"]


class EngineMachine(RuleBasedStateMachine):
    """`graph` is the document as it is now."""

    @initialize(
        number=st.integers(0, 2**32),
        disk=st.booleans(),
        dear=st.sampled_from([True, True, False]),
        kinds=kinds,
        nodes=st.lists(seeds, min_size=1, max_size=12),
        alike=likenesses,
    )
    def begin(self, number: int, disk: bool, dear: bool, kinds: list[str], nodes: list[Any], alike: list[Any]) -> None:
        self.random = Random(number)
        self.loop = SimulatedLoop(self.random)
        self.watched = Watched(self.loop, disk, dear)
        for each in self.watched._patches:
            each.start()
        self.count = 0
        self.kinds = kinds
        self.seeds: list[Seed] = []
        for kind, choices in nodes:
            self._add(kind, choices)
        for like in alike:
            self._add_like(*like)
        self.last: tuple[Graph, list[str], bool] | None = None
        self.loop.within(self.watched.start())

    def _add(self, kind: int | str, choices: tuple[int, int, int]) -> None:
        name = kind if isinstance(kind, str) else self.kinds[kind % len(self.kinds)]
        self.seeds.append(Seed(self.count, name, choices))
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

    @rule(how=st.sampled_from(EDITS), at=choice, field=st.integers(0, 2), value=choice, node=seeds)
    def edit(self, how: str, at: int, field: int, value: int, node: Any) -> None:
        i = at % len(self.seeds)
        seed = self.seeds[i]
        match how:
            case "add":
                self._add(*node)
            case "add one like it":
                self._add_like(at, field, value)
            case "add its twin":  # with another output of the same node, perhaps
                self._add_like(i, field, seed.choices[field] ^ 1)
            case "change":
                choices = [*seed.choices]
                choices[field] = value
                self.seeds[i] = seed._replace(choices=tuple(choices))  # type: ignore[arg-type]
            case "switch off or on":
                self.seeds[i] = seed._replace(disabled=not seed.disabled)
            case "remove" if len(self.seeds) > 1:
                del self.seeds[i]

    # ---- runs ----

    @rule(part=share, exact=st.booleans(), piecewise=st.booleans(), today=st.integers(0, 2))
    def run(self, part: float, exact: bool, piecewise: bool, today: int) -> None:
        self.watched.world.today = today
        graph = self.graph
        wanted = self._wanted(graph, part)
        if not wanted:
            return
        note(f"{described(graph)}\nwanted: {' '.join(wanted)}")
        self._do(self._alone(graph, wanted, piecewise, exact))
        self.last = (graph, wanted, exact)

    async def _alone(self, graph: Graph, wanted: list[str], piecewise: bool, exact: bool) -> None:
        log = Counter(self.watched.world.log)
        reference = await self.watched.run(graph, wanted, piecewise, exact=exact)
        done = self.watched.world.log - log
        if reference.whole:
            for found, times in Counter(reference.needed.values()).items():
                if KINDS[found[0]].never:
                    assert done[found] == times, f"{found}: {done[found]} times, not {times}"

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
            note(f"{described(graph)}\nwanted: {' '.join(wanted)}, cancelled after {turns}")
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
        part_of_it = behind(graph, wanted)
        doubtful = any(made.kind in ("weather", "fresh", "forecast", "while_") for made in part_of_it.values())
        changing = any(KINDS[made.kind].never or made.kind == "forecast" for made in graph.values())
        doubtful = doubtful or (changing and any(KINDS[made.kind].lazy for made in part_of_it.values()))  # see Call.place
        doubtful = doubtful or any(has_empty(cell) for name in part_of_it for cell in reference.node(name).values())
        log = Counter(watched.world.log)
        there = watched.present()
        cached = frozenset(key for key, found in reference.needed.items() if (found, exact_or_not(found[0], exact)) in there)
        needs = Reference(KINDS, graph, exact, watched.world.today, cached)
        for name in wanted:
            for cell in needs.node(name).values():
                with contextlib.suppress(Lost):
                    cell.need()
        result = await watched.run(graph, wanted, exact=exact)
        done = watched.world.log - log
        several = any(watched.keys_of(found, exact) > 1 for found in [*done, *reference.needed.values()])
        if result.whole and not (doubtful or several) and watched.budget == AMPLE:
            more, less = set(done) - set(needs.needed.values()), set(needs.needed.values()) - set(done)
            assert not more, f"this was not to be computed again: {more}"
            assert not less, f"this should have been computed again: {less}"

    # ---- what is lost ----

    @rule(how=st.sampled_from(["memory", "disk", "free", "none", "tiny", "small", "ample", "disk keys"]), part=share)
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
        elif how in ("none", "tiny", "small", "ample"):
            watched.budget = {"none": 0, "tiny": 3000, "small": 12_000, "ample": AMPLE}[how]
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
TestEngineAgainstReference = pytest.mark.slow(TestEngineAgainstReference)
TestEngineAgainstReference.settings = settings(max_examples=5 * settings().max_examples, stateful_step_count=14, deadline=None)

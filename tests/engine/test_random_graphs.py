"""Random graphs, edited and run again in one engine, beside an oracle that evaluates them naively and knows of no cache.

Graphs are drawn as seeds (a kind and a few numbers per node) that are resolved against what fits, so that every edit of the
seeds gives a valid document. That the test can fail was checked by breaking the engine. It fails with value tokens without the
value, list tokens without their items, items left out of place tokens, variadic links in one order or the last one only,
aliases kept behind nodes that are never cached, or not kept at all, traces without the awaited value, handed-through inputs
that lose their item or their list, alias parts that are missing, and evictions that do not count.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from random import Random
from typing import Any
from unittest.mock import patch

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.conftest import PretendedDevice
from engine.graphs import Bench, Box, library
from engine.oracle import CHANGING, KINDS, Graph, Lost, Made, Seed, as_document, oracle, resolve
from nodegraph.engine import (
    Engine,
    Event,
    NodeFailed,
    NodeFinished,
    NodeStarted,
    RunFinished,
    RunOptions,
    RunResult,
    RunStarted,
    keys,
)
from nodegraph.graph import compile_document
from nodegraph.graph.document import document_from

AMPLE = 1 << 30


# ---- comparing ----


class World:
    """An engine and what is known of its past."""

    def __init__(self, engine: Engine, bench: Bench) -> None:
        self.engine, self.bench = engine, bench
        self.computed: set[Any] = set()

    async def run(self, graph: Graph, wanted: list[str], listener: Callable[[Event], None] | None = None) -> RunResult:
        document = document_from({"nodegraph": 1, "id": "random", "nodes": as_document(graph)})
        plan = compile_document(document, self.engine.library.catalog, wanted)
        return await self.engine.run(plan, RunOptions(listener))

    async def check(self, graph: Graph, wanted: list[str]) -> RunResult:
        """Run and compare with the oracle."""
        events: list[Event] = []
        weather = self.bench.weather
        result = await self.run(graph, wanted, events.append)
        compare(graph, wanted, weather, result)
        check_events(events, result)
        assert self.engine.memory.used_bytes <= self.engine.memory.budget_bytes
        return result

    def learn(self, graph: Graph, result: RunResult, *, ample: bool) -> None:
        """With ample memory nothing is computed that was there before: an edit reaches only what follows it."""
        signatures: dict[str, Any] = {}
        for name, made in graph.items():
            sources = {key: [(signatures[s.node], s.output) for s in found] for key, found in made.sources.items()}
            signatures[name] = None if made.kind in CHANGING or _any_none(sources) else _frozen(made, sources)
        states = {name: result.nodes[name]["state"] for name in graph}
        for name, state in states.items():
            if ample and state == "computed" and signatures[name] is not None:
                assert signatures[name] not in self.computed, f"{name} was computed again"
        self.computed |= {signatures[name] for name, state in states.items() if state in ("computed", "hit")} - {None}

    async def check_idle(self) -> None:
        """Nothing is left of runs that have ended."""
        me = asyncio.current_task()
        while self.engine.in_flight or self.engine._tasks or asyncio.all_tasks() - {me}:  # noqa: ASYNC110
            await asyncio.sleep(0.0005)
        assert not self.engine._runs


def _any_none(sources: dict[str, list[tuple[Any, str]]]) -> bool:
    return any(signature is None for found in sources.values() for signature, _ in found)


_INTERNED: dict[str, int] = {}


def _frozen(made: Made, sources: dict[str, list[tuple[Any, str]]]) -> int:
    """A number for a node's whole past, the same for the same one."""
    return _INTERNED.setdefault(repr((made.kind, made.values, sources)), len(_INTERNED))


def plain(value: Any) -> Any:
    if isinstance(value, list):
        return [plain(item) for item in value]
    return value.content if isinstance(value, Box) else value


def compare(graph: Graph, wanted: list[str], weather: int, result: RunResult) -> None:
    evaluate = oracle(graph, weather)
    given = {(output.node, output.output): plain(output.value) for output in result.outputs}
    lost = False
    for name in wanted:
        try:
            expected, states = evaluate(name), set()
        except Lost as error:
            expected, states = None, error.states
        if expected is None:
            assert result.nodes[name]["state"] in states, f"{name}: {result.nodes[name]}"
            lost = True
        else:
            assert {output: given.get((name, output)) for output in expected} == expected, name
    assert result.status == ("failed" if result.problems else "succeeded")
    assert bool(result.problems) >= lost


def check_events(events: list[Event], result: RunResult) -> None:
    """Numbered, framed, each node started and finished at most once, and what has a result has said so."""
    assert [event.seq for event in events] == list(range(1, len(events) + 1))
    assert isinstance(events[0], RunStarted)
    assert isinstance(events[-1], RunFinished)
    finished = [event.node for event in events if isinstance(event, NodeFinished)]
    failed = {event.node for event in events if isinstance(event, NodeFailed)}
    started = [event.node for event in events if isinstance(event, NodeStarted)]
    assert len(finished) == len(set(finished))
    assert len(started) == len(set(started))
    assert not failed & set(finished)
    there = {name for name, row in result.nodes.items() if row["state"] in ("computed", "hit", "failed")}
    assert there <= failed | set(finished)


# ---- the test ----

OFTEN = ["digits", "box_list", "box_pair", "few", "few_boxes", "forecast", "join", "grow_some", "grow_all", "switch", "add"]
NAMES = sorted(KINDS) + OFTEN


def new_seed(random: Random, uid: int, others: list[Seed]) -> Seed:
    """A new node, or half of the time one much like another: keys that are nearly the same are where mistakes show."""
    if others and random.random() < 0.5:
        return varied(random, random.choice(others))._replace(uid=uid)
    return Seed(uid, random.choice(NAMES), tuple(random.randrange(10_000) for _ in range(3)))


def varied(random: Random, seed: Seed) -> Seed:
    choices = list(seed.choices)
    choices[random.randrange(3)] = random.randrange(10_000)
    return seed._replace(choices=tuple(choices))


def edited(random: Random, before: list[Seed]) -> list[Seed]:
    """The same graph with one change, or none."""
    i = random.randrange(len(before))
    match random.choice(["input", "input", "replace", "add", "remove", "nothing"]):
        case "input":
            return [*before[:i], varied(random, before[i]), *before[i + 1 :]]
        case "replace":
            return [*before[:i], new_seed(random, before[i].uid, []), *before[i + 1 :]]
        case "add":
            return [*before[:i], new_seed(random, max(old.uid for old in before) + 1, before), *before[i:]]
        case "remove" if len(before) > 1:
            return before[:i] + before[i + 1 :]
    return before


def some(graph: Graph, random: Random) -> list[str]:
    """Which nodes a run is to give: all, or a few."""
    share = random.choice([1.0, 0.2])
    return [name for name in graph if random.random() < share] or list(graph)[-1:]


async def follow(number: int, size: int, edits: int, budget: int) -> None:
    """A graph, edited and run again and again: alone, or beside other runs of which some are cancelled."""
    random = Random(number)
    bench, device = Bench(), PretendedDevice()
    current: list[Seed] = []
    for uid in range(size):
        current.append(new_seed(random, uid, current))
    async with asyncio.timeout(30), Engine(library(bench), memory_bytes=budget, device=lambda: device) as engine:
        world = World(engine, bench)
        for _ in range(edits):
            bench.weather = random.randrange(3)
            graph = resolve(current)
            wanted = some(graph, random)
            others = [
                asyncio.create_task(beside(world, edited(random, current), random.choice([None, random.randrange(40)])))
                for _ in range(random.choice([0, 0, 1, 3]))
            ]
            result = await world.check(graph, wanted)
            finished = await asyncio.gather(*others)
            world.learn(graph, result, ample=budget == AMPLE)
            for other in filter(None, finished):
                world.learn(*other, ample=False)
            await world.check_idle()
            if budget == AMPLE:
                await check_again(world, graph, wanted)
            current = edited(random, current)


async def beside(world: World, changed: list[Seed], turns: int | None) -> tuple[Graph, RunResult] | None:
    """Another run at the same time; with `turns`, cancelled after so many."""
    graph = resolve(changed)
    wanted = list(graph)
    if turns is None:
        return graph, await world.check(graph, wanted)
    task = asyncio.create_task(world.run(graph, wanted))
    for _ in range(turns):
        await asyncio.sleep(0)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    return None


async def check_again(world: World, graph: Graph, wanted: list[str]) -> None:
    """At once again: nothing is computed (where nothing failed: a run does not finish what a failure made useless)."""
    if any(made.kind in CHANGING for made in graph.values()):
        return
    world.bench.calls.clear()
    result = await world.check(graph, wanted)
    assert result.problems or not world.bench.calls


@pytest.mark.slow
@pytest.mark.parametrize("small_bytes", [keys.SMALL_BYTES, 4])
@settings(max_examples=150, deadline=None)
@given(
    number=st.integers(0, 2**32),
    size=st.integers(1, 30),
    edits=st.integers(1, 6),
    budget=st.sampled_from([AMPLE, AMPLE, AMPLE, 200, 1000, 3000, 10_000]),
)
def test_any_graph_after_any_edits_gives_what_a_naive_evaluation_gives(
    small_bytes: int, number: int, size: int, edits: int, budget: int
) -> None:
    with patch.object(keys, "SMALL_BYTES", small_bytes):  # at 4, lists enter keys by where they lie
        asyncio.run(follow(number, size, edits, budget))

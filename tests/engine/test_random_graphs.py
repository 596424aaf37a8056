"""Random graphs, edited and run again in one engine, beside an oracle that evaluates them naively and knows of no cache.

Graphs are drawn as seeds (a kind and a few numbers per node) that are resolved against what fits, so that every edit of the
seeds gives a valid document. That the test can fail was checked by breaking the engine. It fails with value tokens without the
value, list tokens without their items, items left out of place tokens, variadic links in one order or the last one only,
aliases kept behind nodes that are never cached, or not kept at all, traces without the awaited value, handed-through inputs
that lose their item or their list, alias parts that are missing, and evictions that do not count.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from random import Random
from typing import Any, NamedTuple
from unittest.mock import patch

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.conftest import PretendedDevice
from engine.graphs import Bench, Box, library
from nodegraph.engine import Engine, Event, NodeFailed, NodeFinished, NodeStarted, RunFinished, RunResult, RunStarted, keys
from nodegraph.graph import compile_document
from nodegraph.graph.document import document_from

AMPLE = 1 << 30


# ---- the kinds of nodes: their sockets, and what the oracle says that they give ----


class Type(NamedTuple):
    """`depth` lists around a number or a box."""

    base: str
    depth: int = 0


INT, BOX, INTS, BOXES, BOOL = Type("int"), Type("box"), Type("int", 1), Type("box", 1), Type("bool")
ANY = Type("any")


class Lost(Exception):
    """No value: `states` are what the engine may call it."""

    def __init__(self, *states: str) -> None:
        self.states = set(states)


Thunk = Callable[[], Any]
Given = Mapping[str, Any]  # a thunk per input, a list of them for variadic ones
Outputs = dict[str, Any]


@dataclass(frozen=True)
class Kind:
    """`gives` takes thunks and calls those that it needs; boxes are their contents."""

    inputs: dict[str, Type]
    outputs: dict[str, Type]
    gives: Callable[[Given, int], Outputs]
    many: str = ""
    composite: bool = False


def eager(function: Callable[..., Any], *names: str) -> Callable[[Given, int], Outputs]:
    """A node that needs all of its inputs."""

    def gives(given: Given, weather: int) -> Outputs:
        values = {key: [item() for item in thunk] if isinstance(thunk, list) else thunk() for key, thunk in given.items()}
        found = function(**values)
        return dict(zip(names, found if len(names) > 1 else [found], strict=True))

    return gives


def failing(a: int) -> int:
    raise Lost("failed")


def odd_fails(a: int) -> int:
    return failing(a) if a % 2 else a


def risky_inside(given: Given, weather: int) -> Outputs:
    a = given["a"]()
    if a % 2:  # the inner node failed, what gives the output was skipped
        raise Lost("skipped")
    return {"value": a + 1}


def first_positive(given: Given, weather: int) -> Outputs:
    return {"value": next((value for name in "ab" if (value := given[name]()) > 0), None) or given["c"]()}


def switch(given: Given, weather: int) -> Outputs:
    return {"value": given["yes" if given["condition"]() else "no"]()}


def pick(given: Given, weather: int) -> Outputs:
    return {"box": given["b" if given["which"]() % 2 else "a"]()}


def changing(name: str, source: str, half: bool = False) -> Callable[[Given, int], Outputs]:
    def gives(given: Given, weather: int) -> Outputs:
        value = given[source]() + weather
        return {name: value // 2 if half else value}

    return gives


def grown(boxes: list[int], by: int) -> list[int]:
    return [box + by for box in boxes]


def kind(inputs: dict[str, Type], outputs: dict[str, Type], function: Callable[..., Any], many: str = "", **rest: Any) -> Kind:
    return Kind(inputs, outputs, eager(function, *outputs), many, **rest)


VALUE = {"value": INT}
KINDS: dict[str, Kind] = {
    "add": kind({"a": INT, "b": INT}, VALUE, lambda a, b: a + b),
    "half": kind({"a": INT}, VALUE, lambda a: a // 2),
    "pair": kind({"a": INT, "b": INT}, {"low": INT, "high": INT}, lambda a, b: (min(a, b), max(a, b))),
    "few": kind({"count": INT}, {"value": INTS}, lambda count: list(range(count % 4))),
    "total": kind({"items": INTS}, VALUE, lambda items: sum(items)),
    "untidy": kind({"items": INTS}, VALUE, lambda items: len(items) + 1),
    "sum_all": kind({"items": INT}, VALUE, lambda items: sum(items), "items"),
    "digits": kind({"items": INT}, VALUE, lambda items: int("".join(str(n % 10) for n in items[:3]) or "0"), "items"),
    "later": kind({"a": INT}, VALUE, lambda a: a),
    "slow": kind({"a": INT}, VALUE, lambda a: a),
    "even": kind({"a": INT}, {"value": BOOL}, lambda a: a % 2 == 0),
    "box": kind({"content": INT}, {"box": BOX}, lambda content: content),
    "few_boxes": kind({"count": INT}, {"boxes": BOXES}, lambda count: list(range(count % 4))),
    "box_list": kind({"boxes": BOX}, {"boxes": BOXES}, lambda boxes: boxes, "boxes"),
    "box_pair": kind({"a": BOX, "b": BOX}, {"low": BOX, "high": BOX}, lambda a, b: (min(a, b), max(a, b))),
    "open_box": kind({"box": BOX, "plus": INT}, VALUE, lambda box, plus: box + plus),
    "grow": kind({"box": BOX, "by": INT}, {"box": BOX}, lambda box, by: box + by),
    "grow_there": kind({"box": BOX, "by": INT}, {"box": BOX}, lambda box, by: box + by),
    "count_boxes": kind({"boxes": BOXES}, VALUE, lambda boxes: len(boxes)),
    "fail": kind({"a": INT}, VALUE, failing),
    "fail_odd": kind({"a": INT}, VALUE, odd_fails),
    "weather": Kind({"a": INT}, VALUE, changing("value", "a")),
    "weather_box": Kind({"content": INT}, {"box": BOX}, changing("box", "content")),
    "switch": Kind({"condition": BOOL, "yes": ANY, "no": ANY}, {"value": ANY}, switch),
    "first_positive": Kind({"a": INT, "b": INT, "c": INT}, VALUE, first_positive),
    "pick": Kind({"which": INT, "a": BOX, "b": BOX}, {"box": BOX}, pick, composite=True),
    "grow_some": kind({"box": BOX, "times": INT}, {"box": BOX}, lambda box, times: box + times % 3, composite=True),
    "grow_all": kind({"boxes": BOXES, "by": INT}, {"boxes": BOXES}, grown, composite=True),
    "same_boxes": kind({"boxes": BOXES}, {"boxes": BOXES}, lambda boxes: boxes, composite=True),
    "join": kind({"boxes": BOX}, {"boxes": BOXES}, lambda boxes: grown(boxes, 1), "boxes", composite=True),
    "join_numbers": kind({"items": INT}, VALUE, lambda items: sum(items), "items", composite=True),
    "add_times": kind({"a": INT, "times": INT}, VALUE, lambda a, times: a + 1 + times % 3, composite=True),
    "risky": kind({"a": INT}, VALUE, odd_fails, composite=True),
    "risky_inside": Kind({"a": INT}, VALUE, risky_inside, composite=True),
    "forecast": Kind({"a": INT}, VALUE, changing("value", "a", half=True), composite=True),
}
LAZY = {"switch": ("yes", "no"), "first_positive": ("a", "b", "c")}
CHANGING = frozenset({"weather", "weather_box", "forecast"})


# ---- graphs: seeds, resolved ----


class Seed(NamedTuple):
    """A node to be: `choices` decide its inputs among what fits."""

    uid: int
    kind: str
    choices: tuple[int, ...]


class Source(NamedTuple):
    node: str
    output: str
    mode: str  # direct, wrap, map


@dataclass(frozen=True)
class Made:
    """A node of a graph: typed values, and one or (variadic) many sources per linked input."""

    kind: str
    values: dict[str, Any]
    sources: dict[str, tuple[Source, ...]]
    outputs: dict[str, Type]

    @property
    def mapped(self) -> bool:
        return any(source.mode == "map" for sources in self.sources.values() for source in sources)


Graph = dict[str, Made]


def how(source: Type, target: Type) -> str | None:
    if target == ANY:
        return "direct"
    if source.base != target.base:
        return None
    return {0: "direct", -1: "wrap", 1: "map"}.get(source.depth - target.depth)


def resolve(seeds: Iterable[Seed]) -> Graph:
    """The graph that seeds stand for. Choices prefer the same source whatever else there is, so that edits stay local."""
    graph: Graph = {}
    for seed in seeds:
        made = _resolve_one(seed, graph)
        graph[f"n{seed.uid}"] = made or Made("box", {"content": seed.choices[0] % 4}, {}, {"box": BOX})
    return graph


def _resolve_one(seed: Seed, graph: Graph) -> Made | None:
    spec = KINDS[seed.kind]
    values: dict[str, Any] = {}
    sources: dict[str, tuple[Source, ...]] = {}
    bound = ANY
    for (name, wanted), choice in zip(spec.inputs.items(), seed.choices, strict=False):
        target = bound if wanted == ANY else wanted
        fits = [
            Source(node, output, mode)
            for node, made in graph.items()
            for output, given in made.outputs.items()
            if (mode := how(given, target)) and not (wanted == ANY and mode != "direct")
        ]
        fits.sort(key=lambda source: (_shuffled(source.node, choice), source.output))
        if name == spec.many:
            sources[name] = tuple(fits[: choice % 4])
        elif target in (INT, INTS) and (choice % 5 == 0 or not fits) and not (seed.kind in LAZY and fits):
            values[name] = choice // 5 % 4 if target == INT else list(range(choice // 5 % 4))
        elif target == BOOL and not fits:
            values[name] = choice % 2 == 0
        elif fits:
            sources[name] = (fits[0],)
            if wanted == ANY:
                bound = graph[fits[0].node].outputs[fits[0].output]
        else:
            return None
    outputs = {name: bound if given == ANY else given for name, given in spec.outputs.items()}
    made = Made(seed.kind, values, sources, outputs)
    if made.mapped:
        made = replace(made, outputs={name: Type(base, depth + 1) for name, (base, depth) in outputs.items()})
    return made if all(given.depth <= 2 for given in made.outputs.values()) else None


def _shuffled(node: str, choice: int) -> int:
    return (int(node[1:]) + 1) * (2 * choice + 1) * 2654435761 % 2**32


def as_document(graph: Graph) -> dict[str, Any]:
    return {
        name: {
            "type": f"t/{made.kind}",
            "version": 1,
            "inputs": {**made.values, **({"seconds": 0.001} if made.kind == "slow" else {})},
            "links": {
                key: (texts if key == KINDS[made.kind].many else texts[0])
                for key, sources in made.sources.items()
                if (texts := [f"{source.node}.{source.output}" for source in sources])
            },
        }
        for name, made in graph.items()
    }


# ---- the oracle ----


def oracle(graph: Graph, weather: int) -> Callable[[str], Outputs]:
    """Outputs by node; asking for a lost one raises Lost. It remembers within one graph, else it would take for ever."""
    known: dict[str, Outputs | Lost] = {}

    def evaluate(name: str) -> Outputs:
        if name not in known:
            try:
                known[name] = _evaluate(graph[name], needed, weather)
            except Lost as lost:
                known[name] = lost
        found = known[name]
        if isinstance(found, Lost):
            raise Lost(*found.states)
        return found

    def needed(source: Source) -> Any:
        try:
            value = evaluate(source.node)[source.output]
        except Lost:
            raise Lost("skipped") from None
        return [value] if source.mode == "wrap" else value

    return evaluate


def _evaluate(made: Made, needed: Callable[[Source], Any], weather: int) -> Outputs:
    spec = KINDS[made.kind]
    lists = {source: needed(source) for sources in made.sources.values() for source in sources if source.mode == "map"}
    sizes = {len(items) for items in lists.values()} - {1}
    if len(sizes) > 1:
        raise Lost("failed")

    def given(i: int) -> Given:
        def thunk(source: Source) -> Thunk:
            items = lists.get(source)
            return (lambda: needed(source)) if items is None else (lambda: items[0 if len(items) == 1 else i])

        thunks: dict[str, Any] = {name: (lambda value=value: value) for name, value in made.values.items()}
        for name, sources in made.sources.items():
            many = [thunk(source) for source in sources]
            thunks[name] = many if name == spec.many else many[0]
        return thunks

    if not lists:
        return spec.gives(given(0), weather)
    rows, states = [], set()
    for i in range(sizes.pop() if sizes else 1):
        try:
            rows.append(spec.gives(given(i), weather))
        except Lost as lost:
            states |= lost.states
    if states:
        raise Lost(*states)
    return {name: [row[name] for row in rows] for name in made.outputs}


# ---- comparing ----


class World:
    """An engine and what is known of its past."""

    def __init__(self, engine: Engine, bench: Bench) -> None:
        self.engine, self.bench = engine, bench
        self.computed: set[Any] = set()

    async def run(self, graph: Graph, wanted: list[str], listener: Callable[[Event], None] | None = None) -> RunResult:
        document = document_from({"nodegraph": 1, "id": "random", "nodes": as_document(graph)})
        plan = compile_document(document, self.engine.library.catalog, wanted)
        return await self.engine.run(plan, listener=listener)

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

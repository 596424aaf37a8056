"""Node types whose values say how they were made: a `Term` names the node type and the inputs that it came from.

So two values are equal when they came about in the same way, which is what keys are to say. Every call that ends is logged by
node type and inputs.
"""

from __future__ import annotations

import asyncio
import threading
from collections import Counter
from collections.abc import Callable, Sequence
from hashlib import blake2b
from typing import Any, NamedTuple, TypeVar

from nodegraph import Buffer, Codec, GraphBuilder, Inputs, Lazy, NodeError, Pack, composite, node, socket

T = TypeVar("T")


class Term(str):
    """The name of a value that cannot be typed in: how it was made."""


def term(*how: Any) -> Term:
    return Term(f"{how[0]}:{blake2b(repr(how).encode(), digest_size=6).hexdigest()}")


def odd_fails(a: int) -> int:
    if a % 2:
        raise NodeError("Odd numbers do not work.")
    return a


RULES: dict[str, Callable[..., Any]] = {
    "add": lambda a, b: (a + b) % 9,
    "half": lambda a: a // 2,
    "pair": lambda a, b: (min(a, b), max(a, b)),
    "even": lambda a: a % 2 == 0,
    "above_one": lambda a: a > 1,
    "few": lambda count: [(count + i) % 3 for i in range(count % 4)],
    "total": lambda items: sum(items) % 9,
    "sum_all": lambda items: sum(items) % 9,
    "make": lambda content: term("make", content),
    "few_things": lambda count: [term("few_things", count, i) for i in range(count % 4)],
    "grow": lambda thing, by: term("grow", thing, by),
    "later": lambda thing: term("later", thing),
    "kept_here": lambda thing: term("kept_here", thing),
    "step": lambda thing, by: term("step", thing, by),
    "step_alone": lambda thing: term("step_alone", thing),
    "weigh": lambda thing, plus: (int(thing[-1], 16) + plus) % 9,
    "two": lambda a, b: (term("low", a, b), term("high", a, b)),
    "join": lambda things: term("join", things),
    "gather": lambda things: [term("gather", things, i) for i in range(len(things))],
    "count": lambda things: len(things),
    "bundle": lambda things: term("bundle", things),
    "fail_odd": odd_fails,
    "fail_heavy": lambda thing: term("fail_heavy", thing, odd_fails(int(thing[-1], 16))),
    "weather": lambda a, today: (a + today) % 9,
    "fresh": lambda content, today: term("fresh", content, today),
    "switch": lambda condition, chosen: chosen,
    "first_positive": lambda *found: found[-1],
}
"""What each node type gives, for terms and JSON."""


@socket(
    codec=Codec(lambda thing: (str(thing.term), {"x": Buffer("U8", (4,), b"0123")}), lambda data, buffers: Thing(Term(data))),
    nbytes=lambda thing: 1000,
)
class Thing:
    def __init__(self, term: Term) -> None:
        self.term = term


class Numbers(NamedTuple):
    low: int
    high: int


class Two(NamedTuple):
    low: Thing
    high: Thing


def plain(value: Any) -> Any:
    """A value as the reference knows it."""
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    return value.term if isinstance(value, Thing) else value


def frozen(value: Any) -> Any:
    return tuple(frozen(item) for item in value) if isinstance(value, list | tuple) else value


def _wrapped(value: Any) -> Any:
    if isinstance(value, list):
        return [_wrapped(item) for item in value]
    return Thing(value) if isinstance(value, Term) else value


Label = tuple[Any, ...]
"""A computation: the node type, and its inputs' values by name."""


def label(kind: str, given: dict[str, Any]) -> Label:
    return (kind, *((name, type(plain(value)).__name__, frozen(plain(value))) for name, value in sorted(given.items())))


class World:
    """A pack whose calls are logged. `today` is what nodes that are never cached depend on."""

    def __init__(self) -> None:
        self.log: Counter[Label] = Counter()
        self.today = 0
        self.batches: list[int] = []
        self.pause: Callable[[], None] = lambda: None  # called in every call that runs on a thread
        self._threads = threading.local()
        self._lock = threading.Lock()

    @property
    def last(self) -> Label:
        """The last computation on this thread."""
        found: Label = self._threads.last
        return found

    def note(self, kind: str, given: dict[str, Any]) -> None:
        self._threads.last = found = label(kind, given)
        with self._lock:
            self.log[found] += 1

    def did(self, kind: str, **given: Any) -> Any:
        if threading.current_thread() is not threading.main_thread():
            self.pause()
        found = RULES[kind](**{name: plain(value) for name, value in given.items()})
        self.note(kind, given)
        return _wrapped(list(found) if isinstance(found, tuple) else found)

    def pack(self) -> Pack:
        did = self.did

        @node()
        def add(a: int, b: int) -> int:
            return did("add", a=a, b=b)

        @node()
        def half(a: int) -> int:
            return did("half", a=a)

        @node()
        def pair(a: int, b: int) -> Numbers:
            return Numbers(*did("pair", a=a, b=b))

        @node()
        def even(a: int) -> bool:
            return did("even", a=a)

        @node()
        def above_one(a: int) -> bool:
            return did("above_one", a=a)

        @node()
        def few(count: int) -> list[int]:
            return did("few", count=count)

        @node()
        def total(items: list[int]) -> int:
            return did("total", items=items)

        @node()
        def sum_all(*items: int) -> int:
            return did("sum_all", items=list(items))

        @node(output_name="thing")
        def make(content: int) -> Thing:
            return did("make", content=content)

        @node(output_name="things")
        def few_things(count: int) -> list[Thing]:
            return did("few_things", count=count)

        @node(output_name="thing")
        def grow(thing: Thing, by: int) -> Thing:
            return did("grow", thing=thing, by=by)

        @node(output_name="thing")
        async def later(thing: Thing) -> Thing:
            await asyncio.sleep(0)
            return did("later", thing=thing)

        @node(output_name="thing", cache="memory")
        def kept_here(thing: Thing) -> Thing:
            return did("kept_here", thing=thing)

        @node(output_name="thing", lane="gpu")
        def step(thing: Thing, by: int) -> Thing:
            return did("step", thing=thing, by=by)

        @step.batched(key=lambda inputs: inputs.by % 2)
        def steps(calls: Sequence[Inputs]) -> list[Thing]:
            self.batches.append(len(calls))
            return [did("step", thing=call.thing, by=call.by) for call in calls]

        @node(output_name="thing", lane="gpu")
        def step_alone(thing: Thing) -> Thing:
            return did("step_alone", thing=thing)

        @node()
        def weigh(thing: Thing, plus: int) -> int:
            return did("weigh", thing=thing, plus=plus)

        @node()
        def two(a: Thing, b: Thing) -> Two:
            return Two(*did("two", a=a, b=b))

        @node(output_name="thing")
        def join(*things: Thing) -> Thing:
            return did("join", things=list(things))

        @node(output_name="things")
        def gather(*things: Thing) -> list[Thing]:
            return did("gather", things=list(things))

        @node()
        def count(things: list[Thing]) -> int:
            return did("count", things=things)

        @node(output_name="thing")
        def bundle(things: list[Thing]) -> Thing:
            return did("bundle", things=things)

        @node()
        def fail_odd(a: int) -> int:
            return did("fail_odd", a=a)

        @node(output_name="thing")
        def fail_heavy(thing: Thing) -> Thing:
            return did("fail_heavy", thing=thing)

        @node(cache="never")
        def weather(a: int) -> int:
            return did("weather", a=a, today=self.today)

        @node(cache="never", output_name="thing")
        def fresh(content: int) -> Thing:
            return did("fresh", content=content, today=self.today)

        @node()
        async def switch(condition: bool, yes: Lazy[T], no: Lazy[T]) -> T:
            chosen = await (yes if condition else no)
            did("switch", condition=condition, chosen=chosen)
            return chosen

        @node()
        async def first_positive(a: Lazy[int], b: Lazy[int], c: Lazy[int]) -> int:
            found = {}
            for name, lazy in (("a", a), ("b", b), ("c", c)):
                found[name] = await lazy
                if found[name] > 0:
                    break
            self.note("first_positive", found)
            return list(found.values())[-1]

        @composite(output_name="thing")
        def grow_some(graph: GraphBuilder, thing: Thing, times: int) -> Thing:
            for i in range(times % 3):
                thing = graph.add(grow, thing=thing, by=i)
            return thing

        @composite(output_name="thing")
        def denoise(graph: GraphBuilder, thing: Thing, times: int) -> Thing:
            for i in range(times % 4):
                thing = graph.add(step, thing=thing, by=i)
            return thing

        @composite(output_name="thing")
        def countdown(graph: GraphBuilder, thing: Thing, depth: int) -> Thing:
            if depth % 3 == 0:
                return thing
            return graph.add(countdown, thing=graph.add(grow, thing=thing, by=depth), depth=depth % 3 - 1)

        @composite(output_name="thing")
        def pick(graph: GraphBuilder, which: int, a: Thing, b: Thing) -> Thing:
            return b if which % 2 else a

        @composite(output_name="things")
        def grow_all(graph: GraphBuilder, things: list[Thing], by: int) -> list[Thing]:
            return graph.add(grow, thing=things, by=by)

        @composite(output_name="things")
        def same(graph: GraphBuilder, things: list[Thing]) -> list[Thing]:
            return things

        @composite(output_name="things")
        def gather_grown(graph: GraphBuilder, *things: Thing) -> list[Thing]:
            return graph.add(gather, things=[graph.add(grow, thing=thing, by=1) for thing in things])

        @composite()
        def both(graph: GraphBuilder, thing: Thing, by: int) -> Two:
            return Two(graph.add(grow, thing=thing, by=by), graph.add(step, thing=thing, by=by))

        @composite()
        def add_some(graph: GraphBuilder, a: int, times: int) -> int:
            found = graph.add(add, a=a, b=1)
            for _ in range(times % 3):
                found = graph.add(add, a=found, b=2)
            return found

        @composite()
        def risky(graph: GraphBuilder, a: int) -> int:
            return graph.add(add, a=graph.add(fail_odd, a=a), b=1)

        @composite()
        def forecast(graph: GraphBuilder, a: int) -> int:
            return graph.add(half, a=graph.add(weather, a=a))

        return Pack.of("m", list(locals().values()))


BODIES = {
    "growing": {
        "nodes": {"grow": {"type": "m/grow", "version": 1, "inputs": {"by": 1}}},
        "interface": {
            "inputs": {"state": {"to": ["grow.thing"]}, "item": {"to": ["grow.by"]}},
            "outputs": {"state": "grow.thing"},
        },
    },
    "weighing": {
        "nodes": {
            "grow": {"type": "m/grow", "version": 1, "inputs": {"by": 5}},
            "weigh": {"type": "m/weigh", "version": 1, "inputs": {"plus": 0}, "links": {"thing": "grow.thing"}},
        },
        "interface": {"inputs": {"item": {"to": ["grow.thing"]}}, "outputs": {"weight": "weigh.value"}},
    },
    "halving": {
        "nodes": {
            "half": {"type": "m/half", "version": 1, "inputs": {"a": 0}},
            "big": {"type": "m/above_one", "version": 1, "links": {"a": "half.value"}},
        },
        "interface": {"inputs": {"state": {"to": ["half.a"]}}, "outputs": {"state": "half.value", "go_on": "big.value"}},
    },
}
"""The subgraphs that loops of random documents iterate over."""

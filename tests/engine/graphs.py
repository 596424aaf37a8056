"""Small packs and documents for engine tests. `note` counts calls, so that tests see what was computed."""

from __future__ import annotations

import asyncio
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import Any, NamedTuple, TypeVar

from nodegraph import Context, GraphBuilder, Lazy, NodeError, Pack, composite, node, socket
from nodegraph.engine import Engine, Library, RunOptions, RunResult
from nodegraph.graph import compile_document
from nodegraph.graph.document import document_from

T = TypeVar("T")


@socket(color="#123456", nbytes=lambda value: value.size, generation=lambda value: value.writes)
class Box:
    """A value that cannot be typed in, and knows when it was written into."""

    def __init__(self, content: Any, size: int = 100) -> None:
        self.content, self.size, self.writes = content, size, 0


class Pair(NamedTuple):
    low: int
    high: int


class BoxPair(NamedTuple):
    low: Box
    high: Box


@dataclass
class Bench:
    """A pack whose nodes count their calls, and what tests use to hold nodes back."""

    calls: Counter[str] = field(default_factory=Counter)
    gate: threading.Event = field(default_factory=threading.Event)
    entered: threading.Event = field(default_factory=threading.Event)
    threads: dict[str, set[str]] = field(default_factory=dict)
    weather: int = 0

    def pack(self, name: str = "t") -> Pack:
        calls, gate, entered = self.calls, self.gate, self.entered

        def note(what: str) -> None:
            calls[what] += 1
            self.threads.setdefault(what, set()).add(threading.current_thread().name)

        @node()
        def add(a: int, b: int = 1) -> int:
            note("add")
            return a + b

        @node()
        def half(a: int) -> int:
            note("half")
            return a // 2

        @node()
        def pair(a: int, b: int) -> Pair:
            note("pair")
            return Pair(min(a, b), max(a, b))

        @node()
        def numbers(count: int) -> list[int]:
            note("numbers")
            return list(range(count))

        @node()
        def total(items: list[int]) -> int:
            note("total")
            return sum(items)

        @node()
        def sum_all(*items: int) -> int:
            note("sum_all")
            return sum(items)

        @node()
        def digits(*items: int) -> int:
            """Depends on the order."""
            note("digits")
            return int("".join(str(item % 10) for item in items[:3]) or "0")

        @node()
        def box(content: int, size: int = 100) -> Box:
            note("box")
            return Box(content, size)

        @node()
        def boxes(count: int) -> list[Box]:
            note("boxes")
            return [Box(i) for i in range(count)]

        @node()
        def box_pair(a: Box, b: Box) -> BoxPair:
            note("box_pair")
            return BoxPair(*sorted((a, b), key=lambda box: box.content))

        @node()
        def open_box(box: Box, plus: int = 0) -> int:
            note("open_box")
            return int(box.content) + plus

        @node()
        def grow(box: Box, by: int = 1) -> Box:
            note("grow")
            return Box(box.content + by, box.size)

        @node()
        def count_boxes(boxes: list[Box]) -> int:
            note("count_boxes")
            return len(boxes)

        @node()
        def vandal(box: Box) -> Box:
            note("vandal")
            box.writes += 1
            return box

        @node()
        def fail(a: int) -> int:
            note("fail")
            raise NodeError("This never works.", socket="a", hint="Use another node.")

        @node()
        def crash(a: int) -> int:
            note("crash")
            raise ZeroDivisionError("oh")

        @node()
        def fail_odd(a: int) -> int:
            note("fail_odd")
            if a % 2:
                raise NodeError("Odd numbers do not work.", socket="a")
            return a

        @node()
        def even(a: int) -> bool:
            note("even")
            return a % 2 == 0

        @node()
        def few(count: int) -> list[int]:
            note("few")
            return list(range(count % 4))

        @node()
        def few_boxes(count: int) -> list[Box]:
            note("few_boxes")
            return [Box(i) for i in range(count % 4)]

        @node(output_name="boxes")
        def box_list(*boxes: Box) -> list[Box]:
            note("box_list")
            return list(boxes)

        @node()
        def untidy(items: list[int]) -> int:
            """Keeps no order in what it is given."""
            note("untidy")
            items.append(1)
            items.sort()
            return len(items)

        @node()
        async def switch(condition: bool, yes: Lazy[T], no: Lazy[T]) -> T:
            note("switch")
            return await (yes if condition else no)

        @node()
        async def first_positive(a: Lazy[int], b: Lazy[int], c: Lazy[int]) -> int:
            note("first_positive")
            for lazy in (a, b):
                if (value := await lazy) > 0:
                    return value
            return await c

        @node(cache="never")
        def clock(a: int = 0) -> int:
            note("clock")
            return calls["clock"]

        @node(cache="never")
        def fresh_box(content: int) -> Box:
            note("fresh_box")
            return Box(content)

        @node(cache="never")
        def weather(a: int) -> int:
            """Another number on another day."""
            note("weather")
            return a + self.weather

        @node(cache="never")
        def weather_box(content: int) -> Box:
            note("weather_box")
            return Box(content + self.weather)

        @node()
        def wait_for_gate(a: int, context: Context) -> int:
            note("wait_for_gate")
            entered.set()
            while not gate.wait(0.01):
                context.check_cancelled()
            context.progress(1, 1)
            return a

        @node()
        async def later(a: int) -> int:
            note("later")
            await asyncio.sleep(0)
            return a

        @node()
        async def together(a: int) -> int:
            """Ends when two of them have begun."""
            note("together")
            while calls["together"] < 2:  # noqa: ASYNC110
                await asyncio.sleep(0)
            return a

        @node(lane="gpu")
        def on_device(box: Box, context: Context) -> Box:
            note("on_device")
            return Box((box.content, str(context.device)))

        @node(lane="gpu")
        def grow_there(box: Box, by: int = 1) -> Box:
            note("grow_there")
            return Box(box.content + by, box.size)

        @node()
        def slow(a: int, seconds: float = 0.05) -> int:
            note("slow")
            time.sleep(seconds)
            return a

        @composite(output_name="box")
        def grow_times(graph: GraphBuilder, box: Box, times: int, by: int = 1) -> Box:
            for _ in range(times):
                box = graph.add(grow, box=box, by=by)
            return box

        @composite(output_name="box")
        def grow_some(graph: GraphBuilder, box: Box, times: int) -> Box:
            for _ in range(times % 3):
                box = graph.add(grow, box=box)
            return box

        @composite(output_name="box")
        def countdown(graph: GraphBuilder, box: Box, depth: int) -> Box:
            """Recurses on a value."""
            return box if depth == 0 else graph.add(countdown, box=graph.add(grow, box=box), depth=depth - 1)

        @composite(output_name="box")
        def broken_composite(graph: GraphBuilder, box: Box) -> Box:
            return graph.add(grow, by="many")

        @composite(output_name="boxes")
        def grow_all(graph: GraphBuilder, boxes: list[Box], by: int = 1) -> list[Box]:
            """Maps inside."""
            return graph.add(grow, box=boxes, by=by)

        @composite(output_name="boxes")
        def same_boxes(graph: GraphBuilder, boxes: list[Box]) -> list[Box]:
            return boxes

        @composite(output_name="boxes")
        def join(graph: GraphBuilder, *boxes: Box) -> list[Box]:
            return graph.add(box_list, boxes=[graph.add(grow, box=box) for box in boxes])

        @composite()
        def join_numbers(graph: GraphBuilder, *items: int) -> int:
            return graph.add(total, items=list(items))

        @composite(output_name="box")
        def pick(graph: GraphBuilder, which: int, a: Box, b: Box) -> Box:
            return b if which % 2 else a

        @composite()
        def add_times(graph: GraphBuilder, a: int, times: int) -> int:
            link = graph.add(add, a=a)
            for _ in range(times % 3):
                link = graph.add(add, a=link)
            return link

        @composite()
        def risky(graph: GraphBuilder, a: int) -> int:
            return graph.add(fail_odd, a=a)

        @composite()
        def risky_inside(graph: GraphBuilder, a: int) -> int:
            return graph.add(add, a=graph.add(risky, a=a))

        @composite()
        def forecast(graph: GraphBuilder, a: int) -> int:
            return graph.add(half, a=graph.add(weather, a=a))

        return Pack.of(name, list(locals().values()))


def entry(kind: str, **inputs: Any) -> dict[str, Any]:
    """A node of a document: text with a dot is a link, a tuple of such texts many links."""
    links = {key: list(value) if isinstance(value, tuple) else value for key, value in inputs.items() if _is_link(value)}
    values = {key: value for key, value in inputs.items() if not _is_link(value)}
    return {"type": f"t/{kind}", "version": 1, "inputs": values, "links": links}


def _is_link(value: Any) -> bool:
    return (isinstance(value, str) and "." in value) or isinstance(value, tuple)


class Lab:
    """An engine over a bench, and a short way to run documents in it."""

    def __init__(self, engine: Engine, bench: Bench) -> None:
        self.engine, self.bench = engine, bench

    async def run(
        self, nodes: dict[str, Any], wanted: list[str] | None = None, *, count_anew: bool = True, **options: Any
    ) -> RunResult:
        document = document_from({"nodegraph": 1, "id": "lab", "nodes": nodes})
        if count_anew:
            self.bench.calls.clear()
        plan = compile_document(document, self.engine.library.catalog, wanted)
        return await self.engine.run(plan, RunOptions(**options))

    @property
    def calls(self) -> dict[str, int]:
        return dict(self.bench.calls)


def values(result: RunResult) -> dict[str, Any]:
    return {output.name: output.value for output in result.outputs}


def states(result: RunResult) -> dict[str, str]:
    return {name: row["state"] for name, row in result.nodes.items()}


def library(bench: Bench) -> Library:
    return Library.of([bench.pack()])

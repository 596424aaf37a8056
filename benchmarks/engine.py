"""What the engine itself costs: trivial nodes in chains, fans and lattices, in microseconds per node of the graph.

compile = parse, validate, plan and key the JSON text, freshly each time; run = everything after. Phases: `cold` (empty
cache), `cached` (nothing changed), `edit_first` and `edit_last` (one value changed at that end). Every figure is the best of
several repetitions in one process; `--json` prints {"cases": [...], "others": [...]}. The others: values found on disk by a new
engine, and many runs at once.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nodegraph import Buffer, Codec, Pack, node, socket
from nodegraph.engine import Engine, Library
from nodegraph.graph import compile_document, parse_document
from nodegraph.store import DiskTier

BUDGETS = {("compile", ""): 60.0, ("run", "cold"): 60.0, ("run", "cached"): 5.0}

Graph = dict[str, Any]


@node()
def add(a: int, b: int = 1) -> int:
    """Add two numbers."""
    return a + b


@socket(
    codec=Codec(
        lambda s: ({"number": s.number}, {"x": Buffer("U8", (len(s.data),), s.data)}),
        lambda d, b: Kept(d["number"], b["x"].data),
    ),
    nbytes=lambda kept: len(kept.data),
    durable=True,
)
@dataclass(frozen=True, eq=False)
class Kept:
    """A value that goes to disk however cheap it was."""

    number: int
    data: Any


@node()
def keep(a: int, kilobytes: int = 1) -> Kept:
    """A value of so many kilobytes."""
    return Kept(a, bytes(kilobytes << 10))


def typed(a: int) -> Graph:
    return {"type": "bench/add", "version": 1, "inputs": {"a": a, "b": 1}}


def linked(*links: str) -> Graph:
    names = dict(zip("ab", (f"{link}.value" for link in links), strict=False))
    return {"type": "bench/add", "version": 1, "inputs": {} if len(links) == 2 else {"b": 1}, "links": names}


def chain(length: int) -> Graph:
    """n0 -> n1 -> ... The value grows by one at each node."""
    return {"n0": typed(0)} | {f"n{i}": linked(f"n{i - 1}") for i in range(1, length)}


def fan_out(width: int) -> Graph:
    """One source, `width` sinks, each with a value of its own."""
    sinks = {f"n{i}": linked("n0") for i in range(1, width + 1)}
    for i, sink in enumerate(sinks.values()):
        sink["inputs"] = {"b": i}
    return {"n0": typed(0)} | sinks


def lattice(rows: int, columns: int) -> Graph:
    """Every node adds its upper and its left neighbour: an exponential number of paths."""
    nodes: Graph = {}
    for row in range(rows):
        for column in range(columns):
            above, left = f"n{row - 1}_{column}", f"n{row}_{column - 1}"
            links = [name for name in (above, left) if name in nodes]
            nodes[f"n{row}_{column}"] = linked(*links) if links else typed(0)
    return nodes


SHAPES: dict[str, Callable[[], Graph]] = {
    "chain_1000": lambda: chain(1000),
    "chain_10000": lambda: chain(10_000),
    "fan_out_1000": lambda: fan_out(1000),
    "lattice_30x30": lambda: lattice(30, 30),
}
GROWTH: dict[str, Callable[[], Graph]] = {
    "chain_100": lambda: chain(100),
    "chain_100000": lambda: chain(100_000),
    "fan_out_100000": lambda: fan_out(100_000),
}


def edited(nodes: Graph, name: str, number: int) -> Graph:
    """The graph with one value of one node changed to something new."""
    item = nodes[name]
    return {**nodes, name: {**item, "inputs": {**item["inputs"], "b" if "b" in item["inputs"] else "a": number}}}


async def measure(name: str, nodes: Graph, repeat: int) -> list[dict[str, Any]]:
    """The four phases of one graph."""
    library = Library.of([Pack.of("bench", [add])])
    first, last = next(iter(nodes)), next(reversed(nodes))
    if "b" not in nodes[last].get("inputs", {}):  # the lattice's last node has two links: one value to edit is put before it
        nodes = {**nodes, "value": typed(0)}
        nodes[last] = {**nodes[last], "links": {**nodes[last]["links"], "b": "value.value"}}
        last = "value"
    count = len(nodes)
    best: dict[str, tuple[float, float]] = {}

    async def once(engine: Engine, phase: str, graph: Graph) -> None:
        text = json.dumps({"nodegraph": 1, "id": name, "nodes": graph})
        gc.collect()
        start = time.perf_counter()
        prepared = await engine.prepare(compile_document(parse_document(text), library.catalog))
        middle = time.perf_counter()
        result = await engine.execute(prepared)
        end = time.perf_counter()
        assert result.status == "succeeded", result.problems
        times = ((middle - start) / count * 1e6, (end - middle) / count * 1e6)
        best[phase] = tuple(map(min, best.get(phase, times), times))  # type: ignore[assignment]

    async with Engine(library) as engine:
        await once(engine, "warm-up", chain(100))  # the cost of the node is learned
        for round_ in range(repeat):
            engine.memory.clear()
            await once(engine, "cold", nodes)
            await once(engine, "cached", nodes)
            await once(engine, "edit_first", edited(nodes, first, 1_000_003 + round_))
            await once(engine, "edit_last", edited(nodes, last, 2_000_003 + round_))
    rows = []
    for phase in ("cold", "cached", "edit_first", "edit_last"):
        compile_us, run_us = best[phase]
        rows.append(
            {"name": name, "phase": phase, "nodes": count, "compile_us": round(compile_us, 2), "run_us": round(run_us, 3)}
        )
    return rows


async def measure_disk(count: int, kilobytes: int) -> list[dict[str, Any]]:
    """`count` values of so many kilobytes each, all wanted: computed and written, found on disk by a new engine, in memory."""
    library = Library.of([Pack.of("bench", [add, keep])])
    nodes = {f"n{i}": {"type": "bench/keep", "inputs": {"a": i, "kilobytes": kilobytes}} for i in range(count)}
    text = json.dumps({"nodegraph": 1, "id": "disk", "nodes": nodes})
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for phases in (("cold and written",), ("disk hit", "memory hit")):
            async with Engine(library, disk=DiskTier(Path(folder), 1 << 30)) as engine:
                for phase in phases:
                    prepared = await engine.prepare(compile_document(parse_document(text), library.catalog))
                    gc.collect()
                    start = time.perf_counter()
                    result = await engine.execute(prepared)
                    await engine.cache.drain()
                    seconds = time.perf_counter() - start
                    assert result.status == "succeeded", result.problems
                    rows.append(
                        {"name": f"{count} values of {kilobytes} KiB", "phase": phase, "us": round(seconds / count * 1e6, 1)}
                    )
    return rows


async def measure_many(runs: int, length: int) -> list[dict[str, Any]]:
    """Runs at once on one engine: all different, and all the same."""
    library = Library.of([Pack.of("bench", [add])])
    rows = []
    async with Engine(library) as engine:
        await engine.run(compile_document(parse_document(json.dumps({"nodegraph": 1, "nodes": chain(100)})), library.catalog))
        for phase in ("all different", "all the same"):
            plans = []
            for i in range(runs):
                nodes = chain(length)
                nodes["n0"] = typed(1_000_000 + (i * length if phase == "all different" else 0))
                document = parse_document(json.dumps({"nodegraph": 1, "id": f"{phase} {i}", "nodes": nodes}))
                plans.append(await engine.prepare(compile_document(document, library.catalog)))
            gc.collect()
            start = time.perf_counter()
            results = await asyncio.gather(*(engine.execute(plan) for plan in plans))
            seconds = time.perf_counter() - start
            assert {result.status for result in results} == {"succeeded"}
            rows.append({"name": f"{runs} runs of {length}", "phase": phase, "us": round(seconds / (runs * length) * 1e6, 2)})
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    parser.add_argument("--quick", action="store_true", help="one repetition, no growth cases")
    parser.add_argument("--growth", action="store_true", help="also 100 and 100,000 nodes")
    arguments = parser.parse_args()
    shapes = {**SHAPES, **(GROWTH if arguments.growth else {})}
    cases = []
    for name, make in shapes.items():
        cases += asyncio.run(measure(name, make(), 1 if arguments.quick else 3))
    count, runs = (100, 8) if arguments.quick else (1000, 64)
    others = [row for kilobytes in (1, 200) for row in asyncio.run(measure_disk(count, kilobytes))]
    others += asyncio.run(measure_many(runs, 100 if arguments.quick else 1000))
    if arguments.json:
        print(json.dumps({"cases": cases, "others": others}, indent=2))
        return
    print(f"{'case':16} {'phase':12} {'nodes':>7} {'compile us/node':>16} {'run us/node':>12}")
    for case in cases:
        over = [what for (what, phase), most in BUDGETS.items() if phase in ("", case["phase"]) and case[f"{what}_us"] > most]
        print(
            f"{case['name']:16} {case['phase']:12} {case['nodes']:7} {case['compile_us']:16.1f} {case['run_us']:12.2f}"
            + (f"  over budget: {', '.join(over)}" if over else "")
        )
    print(f"\n{'case':26} {'phase':18} {'us/node':>9}")
    for row in others:
        print(f"{row['name']:26} {row['phase']:18} {row['us']:9.1f}")


if __name__ == "__main__":
    main()

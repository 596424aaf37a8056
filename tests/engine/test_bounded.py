"""How many values live at once: what the cache may hold, what is being worked with, and no more."""

from __future__ import annotations

import asyncio
import threading
import weakref
from dataclasses import dataclass, field
from typing import Any

import pytest

from engine.conftest import PretendedDevice
from engine.graphs import values
from nodegraph import Pack, node, socket
from nodegraph.engine import Engine, Library, RunOptions, RunResult
from nodegraph.graph import compile_document
from nodegraph.graph.document import document_from

MIB = 1 << 20
BUDGET = 8 * MIB
COUNT = 300
WORKING = 16
"""Values that may live beyond the budget: what threads work with and wait to hand on."""


@socket(nbytes=lambda blob: MIB)
class Blob:
    """A megabyte, as far as anybody asks."""

    def __init__(self, number: int) -> None:
        self.number = number


@dataclass
class Living:
    """How many blobs live, and the most that ever did."""

    alive: weakref.WeakSet[Blob] = field(default_factory=weakref.WeakSet)
    most: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)

    def made(self, number: int) -> Blob:
        blob = Blob(number)
        with self.lock:
            self.alive.add(blob)
            self.most = max(self.most, len(self.alive))
        return blob

    def pack(self) -> Pack:
        made = self.made

        @node(output_name="blob")
        def first(number: int) -> Blob:
            return made(number)

        @node(output_name="blob")
        def then(blob: Blob, add: int = 1) -> Blob:
            return made(blob.number + add)

        @node(output_name="blob", lane="gpu")
        def on_device(blob: Blob, add: int = 1) -> Blob:
            return made(blob.number + add)

        @node()
        def read(blob: Blob) -> int:
            return blob.number

        @node()
        def total(*items: int) -> int:
            return sum(items)

        @node(output_name="items")
        def numbers(count: int) -> list[int]:
            return list(range(count))

        return Pack.of("b", list(locals().values()))


def at(kind: str, **inputs: Any) -> dict[str, Any]:
    links = {
        name: list(value) if isinstance(value, tuple) else value
        for name, value in inputs.items()
        if isinstance(value, (str, tuple))
    }
    return {"type": f"b/{kind}", "inputs": {name: value for name, value in inputs.items() if name not in links}, "links": links}


async def most_alive(nodes: dict[str, Any], wanted: list[str], budget: int = BUDGET, **options: Any) -> tuple[RunResult, int]:
    living = Living()
    async with Engine(Library.of([living.pack()]), memory_bytes=budget, device=PretendedDevice) as engine:
        plan = compile_document(document_from({"nodegraph": 1, "nodes": nodes}), engine.library.catalog, wanted)
        async with asyncio.timeout(30):
            result = await engine.run(plan, RunOptions(**options))
        assert result.status == "succeeded"
        assert engine.memory.used_bytes <= budget
    return result, living.most


def chain(kind: str) -> dict[str, Any]:
    nodes = {"n0": at("first", number=0)} | {f"n{i}": at(kind, blob=f"n{i - 1}.blob") for i in range(1, COUNT)}
    return nodes | {"end": at("read", blob=f"n{COUNT - 1}.blob")}


def fan(order: str) -> dict[str, Any]:
    """One value, many that follow from it, and a number from each of those."""
    nodes = {"source": at("first", number=0)}
    pairs = [(f"v{i}", at("then", blob="source.blob", add=i), f"r{i}", at("read", blob=f"v{i}.blob")) for i in range(COUNT)]
    if order == "pair by pair":
        for value_name, value, read_name, read in pairs:
            nodes |= {value_name: value, read_name: read}
    else:
        nodes |= {name: value for name, value, _, _ in pairs} | {name: read for _, _, name, read in pairs}
    return nodes | {"end": at("total", items=tuple(f"r{i}.value" for i in range(COUNT)))}


@pytest.mark.parametrize("kind", ["then", "on_device"])
@pytest.mark.parametrize("budget", [BUDGET, 0])
async def test_a_long_chain_lives_within_the_budget(kind: str, budget: int) -> None:
    result, most = await most_alive(chain(kind), ["end"], budget)
    assert values(result) == {"end.value": COUNT - 1}
    assert most <= budget // MIB + WORKING


@pytest.mark.parametrize("order", ["pair by pair", "level by level"])
@pytest.mark.parametrize("budget", [BUDGET, 0])
async def test_a_wide_fan_lives_within_the_budget(order: str, budget: int) -> None:
    result, most = await most_alive(fan(order), ["end"], budget)
    assert values(result) == {"end.value": sum(range(COUNT))}
    assert most <= budget // MIB + WORKING


async def test_a_list_that_is_read_item_by_item_lives_within_the_budget() -> None:
    nodes = {
        "numbers": at("numbers", count=COUNT),
        "first": at("first", number="numbers.items"),
        "then": at("then", blob="first.blob"),
        "read": at("read", blob="then.blob"),
    }
    result, most = await most_alive(nodes, ["read"])
    assert values(result) == {"read.value": [i + 1 for i in range(COUNT)]}
    assert most <= BUDGET // MIB + WORKING


async def test_outputs_that_are_handed_over_are_not_kept() -> None:
    nodes = {f"n{i}": at("first", number=i) for i in range(COUNT)}
    came: list[int] = []
    _, most = await most_alive(nodes, list(nodes), receiver=lambda output: came.append(output.value.number), keep=False)
    assert sorted(came) == list(range(COUNT))
    assert most <= BUDGET // MIB + WORKING


async def test_outputs_that_are_kept_stay_to_the_end_of_the_run_and_no_longer() -> None:
    nodes = {f"n{i}": at("first", number=i) for i in range(20)}
    living = Living()
    async with Engine(Library.of([living.pack()]), memory_bytes=0, device=PretendedDevice) as engine:
        plan = compile_document(document_from({"nodegraph": 1, "nodes": nodes}), engine.library.catalog, list(nodes))
        result = await engine.run(plan)
        assert len(result.outputs) == len(living.alive) == 20
        del result
        async with asyncio.timeout(5):
            while living.alive:  # noqa: ASYNC110 (the lane's thread may not have left the call's frame yet)
                await asyncio.sleep(0.001)

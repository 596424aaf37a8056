"""The memory tier: a byte budget that holds, and eviction that keeps what is dear."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from engine.graphs import Bench, Lab, entry, library, values
from engine.steps import Desk, Log, at, picture
from nodegraph import Storage
from nodegraph.engine import Engine
from nodegraph.store import Alias, MemoryTier, Place, Result
from nodegraph.store.memory import ENTRY_BYTES


def result(key: str) -> Result:
    return Result(key, {"value": key})


@given(
    st.lists(st.tuples(st.sampled_from("abcdefgh"), st.integers(0, 900), st.floats(0, 5)), max_size=60),
    st.integers(ENTRY_BYTES, 3000),
)
def test_the_budget_always_holds_and_what_is_found_is_what_was_put(puts: list[tuple[str, int, float]], budget: int) -> None:
    tier = MemoryTier(budget)
    for key, nbytes, cost in puts:
        tier.put(key, result(key), nbytes, cost)
        assert tier.used_bytes <= budget
        for known in "abcdefgh":
            found = tier.find(known)
            assert found is None or found.values == {"value": known}
    assert tier.used_bytes == sum(tier._worth[key].size for key in tier._entries)


def test_the_cheapest_per_byte_leaves_first() -> None:
    tier = MemoryTier(3 * (1000 + ENTRY_BYTES))
    tier.put("dear", result("dear"), 1000, cost_seconds=10)
    tier.put("cheap", result("cheap"), 1000, cost_seconds=0.001)
    tier.put("fair", result("fair"), 1000, cost_seconds=1)
    tier.put("new", result("new"), 1000, cost_seconds=1)
    assert tier.find("cheap") is None
    assert tier.find("dear") is not None


def test_what_was_dear_once_leaves_in_the_end_when_nobody_asks_for_it() -> None:
    tier = MemoryTier(2 * (1000 + ENTRY_BYTES))
    tier.put("old", result("old"), 1000, cost_seconds=2)
    for i in range(200):
        tier.put(f"n{i}", result(f"n{i}"), 1000, cost_seconds=0.1)
    assert tier.find("old") is None


def test_something_larger_than_the_budget_is_not_kept_and_evicts_nothing() -> None:
    tier = MemoryTier(1000)
    tier.put("small", result("small"), 100)
    tier.put("huge", result("huge"), 5000)
    assert tier.find("huge") is None
    assert tier.find("small") is not None


def test_an_alias_of_parts_is_found_only_while_every_part_is_there() -> None:
    tier = MemoryTier(10**6)
    tier.put("a", Result("a", {"x": [1, 2, 3]}))
    tier.put("b", Result("b", {"y": 9}))
    tier.put("whole", Alias(None, {"out": [Place("a", "x", (1,)), Place("b", "y")]}))
    found = tier.find("whole")
    assert found is not None
    assert found.values == {"out": [2, 9]}
    tier._drop("b")
    assert tier.find("whole") is None


def test_memory_that_results_share_is_counted_once_and_freed_with_the_last() -> None:
    tier = MemoryTier(10**6)
    shared = Storage("pixels", 1000)
    tier.put("a", result("a"), storages=[shared])
    tier.put("b", result("b"), storages=[shared, Storage("more", 50)])
    assert tier.used_bytes == 1050 + 2 * ENTRY_BYTES
    tier.forget(Place("a", "value"))
    assert tier.used_bytes == 1050 + ENTRY_BYTES
    tier.forget(Place("b", "value"))
    assert tier.used_bytes == 0


def test_each_device_has_its_own_budget_and_what_leaves_it_is_spilled() -> None:
    spilled: list[str] = []
    tier = MemoryTier(10**6, lambda entry, seconds: spilled.append(entry.key))
    tier.set_budget("gpu:0", 2 * (1000 + ENTRY_BYTES))
    for i, seconds in enumerate((1.0, 3.0, 2.0)):
        tier.put(f"k{i}", result(f"k{i}"), 0, seconds, [Storage(i, 1000, "gpu:0")])
    assert spilled == ["k0"]
    assert tier.find("k0") is None
    assert tier.used_by_device == {"": 0, "gpu:0": 2 * (1000 + ENTRY_BYTES)}
    assert tier.leave("gpu:0") == 2 * (1000 + ENTRY_BYTES)
    assert sorted(spilled) == ["k0", "k1", "k2"]
    assert tier.used_by_device["gpu:0"] == 0


@given(
    st.lists(st.tuples(st.sampled_from("abcdefgh"), st.sets(st.integers(0, 5)), st.floats(0, 5)), max_size=60),
    st.integers(ENTRY_BYTES, 4000),
)
def test_shared_memory_never_breaks_the_budget_nor_the_books(puts: list[tuple[str, set[int], float]], budget: int) -> None:
    tier = MemoryTier(budget)
    for key, ids, cost in puts:
        tier.put(key, result(key), 0, cost, [Storage(i, 100 * i) for i in ids])
        kept = {storage for worth in tier._worth.values() for storage in worth.storages}
        assert tier.used_bytes == ENTRY_BYTES * len(tier) + sum(storage.nbytes for storage in kept)
        assert tier.used_bytes <= budget


async def test_values_leave_a_full_device_for_the_host_and_are_found_there(device: Any) -> None:
    device.value_budget = 5000
    log = Log(stays=True)
    log.gate.set()
    async with Desk(log, device) as desk:
        nodes = {"begin": at("begin", seed=1), "denoise": at("denoise", state="begin.state", steps=20)}
        await desk.run(nodes)
        await asyncio.gather(*desk.engine._tasks)
        used = desk.engine.memory.used_by_device
        assert used["device:0"] <= 5000
        assert used[""] >= 15 * 1000
        log.calls.clear()
        nodes["denoise"]["inputs"]["steps"] = 21
        assert values(await desk.run(nodes, ["denoise.state"]))["denoise.state"].number == 1021
        assert log.calls == {"step": 1}


async def test_free_gives_everything_back_and_the_next_run_works(device: Any, tmp_path: Path) -> None:
    log = Log()
    log.gate.set()
    async with Desk(log, device, tmp_path) as desk:
        await desk.run(picture(1))
        freed = await desk.engine.free()
        assert freed.value_bytes > 3000
        assert len(desk.engine.memory) == 0
        log.calls.clear()
        assert (await desk.run(picture(1))).status == "succeeded"
        assert log.calls["step"] == 0, "what is on disk stays there"


async def test_a_run_whose_results_do_not_fit_still_succeeds_and_explains_what_it_lost() -> None:
    bench = Bench()
    async with Engine(library(bench), memory_bytes=2000) as engine:
        lab = Lab(engine, bench)
        nodes = {"n0": entry("box", content=0, size=900)}
        nodes |= {f"n{i}": entry("grow", box=f"n{i - 1}.box") for i in range(1, 20)}
        nodes["end"] = entry("open_box", box="n19.box")
        assert values(await lab.run(nodes)) == {"end": 19}
        assert engine.memory.used_bytes <= 2000
        nodes["end"] = entry("open_box", box="n19.box", plus=1)
        again = await lab.run(nodes)
    assert values(again) == {"end": 20}
    lost = [row for name, row in again.nodes.items() if row["state"] == "computed" and name != "end"]
    assert lost == [] or all(row["reason"] == "no longer in the cache" for row in lost)

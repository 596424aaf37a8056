"""The memory tier: a byte budget that holds, and eviction that keeps what is dear."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from engine.graphs import Bench, Lab, entry, library, values
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
    assert tier.used_bytes == sum(tier._worth[key][2] for key in tier._entries)


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

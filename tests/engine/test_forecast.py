"""Forecasts: what a run would do is said before it, nothing is computed, and a run then does so."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.conftest import PretendedDevice
from engine.graphs import Bench, Lab, entry, library, states
from engine.oracle import as_document, resolve
from engine.test_random_graphs import edited, new_seed, some
from nodegraph.engine import Engine
from nodegraph.engine.forecast import Forecast, forecast
from nodegraph.graph import compile_document
from nodegraph.graph.document import document_from
from nodegraph.store import DiskTier
from nodegraph.store.journal import Journal

Nodes = dict[str, Any]


async def foresee(lab: Lab, nodes: Nodes, wanted: list[str] | None = None) -> Forecast:
    before = lab.calls
    if lab.engine.history.journal is not None:
        lab.engine.history.journal.flush()
    document = document_from({"nodegraph": 1, "id": "lab", "nodes": nodes})
    plan = compile_document(document, lab.engine.library.catalog, wanted)
    size = len(plan.nodes)
    found = forecast(lab.engine, await lab.engine.prepare(plan))
    assert lab.calls == before
    assert len(plan.nodes) == size
    return found


def outlooks(found: Forecast) -> dict[str, str]:
    return {row.node: row.outlook for row in found.nodes}


def why(found: Forecast) -> dict[str, str]:
    return {row.node: row.why for row in found.nodes}


@pytest.fixture
async def remembering(device: PretendedDevice, tmp_path: Path) -> AsyncIterator[Lab]:
    """An engine with a journal."""
    bench = Bench()
    async with Engine(library(bench), device=lambda: device) as engine:
        engine.history.journal = Journal(tmp_path / "journal.sqlite")
        yield Lab(engine, bench)
        engine.history.journal.close()


CHAIN = {"a": entry("box", content=1), "b": entry("grow", box="a.box"), "c": entry("grow", box="b.box", by=5)}


async def test_before_the_first_run_everything_would_run_and_nothing_is_known_of_it(lab: Lab) -> None:
    found = await foresee(lab, CHAIN)
    assert outlooks(found) == dict.fromkeys("abc", "would_run")
    assert set(why(found).values()) == {"first run here"}
    assert (found.seconds, found.covered, found.peak_bytes) == (None, 0, None)


async def test_after_a_run_only_its_outputs_are_looked_at(lab: Lab) -> None:
    await lab.run(CHAIN)
    found = await foresee(lab, CHAIN)
    assert outlooks(found) == {"a": "not_needed", "b": "not_needed", "c": "hit"}
    assert found.nodes[2].tier == "memory"
    assert found.seconds == 0


async def test_an_edit_would_recompute_what_follows_and_says_why(lab: Lab) -> None:
    await lab.run(CHAIN)
    found = await foresee(lab, {**CHAIN, "b": entry("grow", box="a.box", by=2)})
    assert outlooks(found) == {"a": "hit", "b": "would_run", "c": "would_run"}
    assert why(found) == {"a": "in memory", "b": "by changed from 1 to 2", "c": "box changed (from b)"}


async def test_only_what_is_wanted_is_looked_at(lab: Lab) -> None:
    assert outlooks(await foresee(lab, CHAIN, ["b"])) == {"a": "would_run", "b": "would_run"}


async def test_a_composite_with_typed_numbers_shows_every_part(lab: Lab) -> None:
    nodes = {"a": entry("box", content=1), "g": entry("grow_times", box="a.box", times=20)}
    found = await foresee(lab, nodes)
    assert [row.node for row in found.nodes][:4] == ["a", "g", "g/grow", "g/grow_2"]
    assert found.nodes[1].parts == 20
    assert (len(found.single), len(found.would_run)) == (21, 21)
    await lab.run(nodes)
    found = await foresee(lab, {**nodes, "g": entry("grow_times", box="a.box", times=22)})
    assert [row.node for row in found.would_run] == ["g/grow_21", "g/grow_22"]
    assert {row.node: row.outlook for row in found.nodes}["g"] == "would_run"


async def test_a_composite_whose_parts_are_all_there_is_a_hit(lab: Lab) -> None:
    await lab.run({"a": entry("box", content=1), "g": entry("grow_times", box="a.box", times=4)})
    found = await foresee(lab, {"a": entry("box", content=1), "g": entry("grow_times", box="a.box", times=3)})
    assert outlooks(found)["g"] == "hit"
    assert why(found)["g"] == "its parts are in the cache"


async def test_composites_in_composites_are_expanded(lab: Lab) -> None:
    found = await foresee(lab, {"a": entry("box", content=1), "g": entry("countdown", box="a.box", depth=3)})
    assert "g/countdown/countdown/grow" in outlooks(found)
    assert len(found.would_run) == 4


async def test_what_a_composite_becomes_is_unknown_until_its_number_is_there(lab: Lab) -> None:
    nodes = {"n": entry("half", a=6), "a": entry("box", content=1), "g": entry("grow_times", box="a.box", times="n.value")}
    found = await foresee(lab, nodes)
    assert outlooks(found) == {"n": "would_run", "a": "unknown", "g": "unknown"}
    assert why(found)["g"] == "known when n has run"
    assert found.unknown == 2
    await lab.run({"n": entry("half", a=6)})
    assert len((await foresee(lab, nodes)).would_run) == 4


async def test_a_list_that_is_there_is_divided_and_one_that_is_not_is_unknown(lab: Lab) -> None:
    nodes = {"l": entry("boxes", count=3), "g": entry("grow", box="l.boxes")}
    found = await foresee(lab, nodes)
    assert outlooks(found) == {"l": "would_run", "g": "unknown"}
    await lab.run({"l": entry("boxes", count=3)})
    found = await foresee(lab, nodes)
    assert outlooks(found) == {"l": "hit", "g": "would_run"} | {f"g[{i}]": "would_run" for i in range(3)}


async def test_a_list_made_of_known_parts_divides_what_follows_it(lab: Lab) -> None:
    await lab.run({"l": entry("boxes", count=3)})
    nodes = {"l": entry("boxes", count=3), "g": entry("grow", box="l.boxes"), "h": entry("grow", box="g.box", by=2)}
    assert len((await foresee(lab, nodes)).would_run) == 6


async def test_lazy_branches_are_unknown_unless_they_are_there(lab: Lab) -> None:
    nodes = {
        "yes": entry("box", content=1),
        "no": entry("box", content=2),
        "s": entry("switch", condition=True, yes="yes.box", no="no.box"),
    }
    found = await foresee(lab, nodes)
    assert outlooks(found) == {"yes": "unknown", "no": "unknown", "s": "would_run"}
    assert why(found)["no"] == "only if s asks for it"
    await lab.run(nodes)
    assert outlooks(await foresee(lab, nodes)) == {"yes": "not_needed", "no": "not_needed", "s": "hit"}


async def test_what_runs_each_time_would_run(lab: Lab) -> None:
    nodes = {"c": entry("fresh_box", content=1), "g": entry("grow", box="c.box")}
    await lab.run(nodes)
    found = await foresee(lab, nodes)
    assert why(found) == {"c": "it runs each time", "g": "something before it runs each time"}


async def test_a_result_that_left_the_cache_is_named_as_such(lab: Lab) -> None:
    await lab.run(CHAIN)
    lab.engine.memory.clear()
    assert set(why(await foresee(lab, CHAIN)).values()) == {"no longer in the cache"}


async def test_inputs_that_come_out_the_same_are_found(lab: Lab) -> None:
    await lab.run({"h": entry("half", a=5)})
    await lab.run({"x": entry("add", a=2)})
    found = await foresee(lab, {"h": entry("half", a=5), "x": entry("add", a="h.value")})
    assert outlooks(found) == {"h": "hit", "x": "hit"}


async def test_a_composite_that_would_fail_says_how(lab: Lab) -> None:
    found = await foresee(lab, {"a": entry("box", content=1), "g": entry("broken_composite", box="a.box")})
    assert "would fail" in why(found)["g"]


async def test_a_chain_may_be_longer_than_the_recursion_limit(lab: Lab) -> None:
    nodes = {"n0": entry("box", content=0)} | {f"n{i}": entry("grow", box=f"n{i - 1}.box") for i in range(1, 3000)}
    assert len((await foresee(lab, nodes)).would_run) == 3000


@pytest.mark.parametrize(
    "nodes",
    [
        CHAIN,
        {"a": entry("box", content=1), "g": entry("grow_times", box="a.box", times=3), "o": entry("open_box", box="g.box")},
        {"l": entry("boxes", count=3), "g": entry("grow", box="l.boxes"), "n": entry("count_boxes", boxes="g.box")},
        {"h": entry("half", a=9), "x": entry("add", a="h.value"), "y": entry("add", a="x.value", b=7)},
    ],
    ids=["chain", "composite", "map", "numbers"],
)
async def test_a_run_does_what_was_foreseen(lab: Lab, nodes: Nodes) -> None:
    first = next(iter(nodes))
    await lab.run({first: nodes[first]})
    expected = outlooks(await foresee(lab, nodes))
    happened = states(await lab.run(nodes))
    assert {name: {"would_run": "computed"}.get(state, state) for name, state in expected.items()} == happened


async def test_another_process_finds_what_is_on_disk_without_reading_it(tmp_path: Path) -> None:
    nodes = {"s": entry("slow", a=1), "x": entry("add", a="s.value")}
    async with Engine(library(Bench()), disk=DiskTier(tmp_path, 1 << 30)) as engine:
        await Lab(engine, Bench()).run(nodes)
    async with Engine(library(Bench()), disk=DiskTier(tmp_path, 1 << 30)) as engine:
        found = await foresee(Lab(engine, Bench()), nodes)
        assert len(engine.memory) == 0
    assert [(row.node, row.outlook, row.tier) for row in found.nodes] == [("s", "hit", "disk"), ("x", "would_run", None)]


ALLOWED = {
    "hit": {"hit"},
    "would_run": {"computed", "hit"},  # also when inputs come out the same, or another node computes it at the same time
    "not_needed": {"not_needed"},
    "unknown": {"computed", "hit", "not_needed"},
}


LAZY = {"t/switch", "t/first_positive"}


async def follow(number: int, size: int, edits: int) -> None:
    """A random graph, edited, foreseen and run again and again."""
    random = Random(number)
    seeds: list[Any] = []
    for uid in range(size):
        seeds.append(new_seed(random, uid, seeds))
    bench = Bench()
    async with Engine(library(bench), device=PretendedDevice) as engine:
        lab = Lab(engine, bench)
        for _ in range(edits):
            while engine.in_flight:  # noqa: ASYNC110  # what a failed run before has left
                await asyncio.sleep(0)
            graph = resolve(seeds)
            nodes, wanted = as_document(graph), some(graph, random)
            expected = {row.node: row for row in (await foresee(lab, nodes, wanted)).nodes}
            result = await lab.run(nodes, wanted, count_anew=False)
            seeds = edited(random, seeds)
            if result.problems:  # what a failure made useless does not run
                continue
            happened = states(result)
            doubt = any(row.outlook == "unknown" or row.type in LAZY for row in expected.values())
            for name, row in expected.items():
                spared = doubt and happened.get(name) == "not_needed"
                nothing = row.parts == 0 or row.type == "t/same_boxes"  # hands through, does nothing itself
                if name in happened and not spared and not nothing:
                    assert happened[name] in ALLOWED[row.outlook], (name, row, result.nodes[name])
            for name, state in happened.items():
                unforeseen = name not in expected and state == "computed"
                assert not unforeseen or any(expected[o].outlook == "unknown" for o in owners(name) if o in expected), name


def owners(path: str) -> list[str]:
    """The nodes that a part is inside of."""
    return [path[:i] for i, letter in enumerate(path) if letter in "/["]


@pytest.mark.slow
@settings(max_examples=100, deadline=None)
@given(number=st.integers(0, 2**32), size=st.integers(1, 20), edits=st.integers(1, 5))
def test_any_graph_after_any_edit_runs_as_foreseen(number: int, size: int, edits: int) -> None:
    asyncio.run(follow(number, size, edits))


# ---- estimates ----


async def test_the_time_of_a_lost_result_is_known_exactly(remembering: Lab) -> None:
    result = await remembering.run(CHAIN)
    remembering.engine.memory.clear()
    found = await foresee(remembering, CHAIN)
    assert {row.node: round(row.ms or 0, 3) for row in found.nodes} == {name: row["ms"] for name, row in result.nodes.items()}
    assert {row.basis for row in found.nodes} == {"the same before"}
    assert found.covered == 3


async def test_another_process_knows_the_time_of_the_same_type_at_the_same_size(
    device: PretendedDevice, remembering: Lab, tmp_path: Path
) -> None:
    assert remembering.engine.history.journal is not None
    await remembering.run({"b": entry("box", content=1, size=50), "d": entry("on_device", box="b.box")})
    remembering.engine.history.journal.flush()
    async with Engine(library(Bench()), device=lambda: device) as engine:
        engine.history.journal = Journal(tmp_path / "journal.sqlite")
        lab = Lab(engine, Bench())
        found = await foresee(
            lab, {"elsewhere": entry("box", content=1, size=50), "x": entry("on_device", box="elsewhere.box")}
        )
        other = await foresee(lab, {"b": entry("box", content=2, size=80), "y": entry("on_device", box="b.box")})
        engine.history.journal.close()
    assert [(row.type, row.basis) for row in found.nodes] == [("t/box", "the same before"), ("t/on_device", "the same before")]
    assert [row.basis for row in other.nodes] == ["this node before", "this type"]
    assert found.peak_bytes == 123


async def test_what_is_unlike_anything_before_has_no_estimate(remembering: Lab) -> None:
    await remembering.run({"a": entry("box", content=1)})
    found = await foresee(remembering, {"a": entry("box", content=1), "z": entry("open_box", box="a.box")})
    assert {row.node: row.ms for row in found.nodes} == {"a": None, "z": None}
    assert (len(found.would_run), found.covered, found.seconds) == (1, 0, None)


async def test_a_composites_estimate_is_that_of_its_parts(remembering: Lab) -> None:
    nodes = {"a": entry("box", content=1), "g": entry("grow_times", box="a.box", times=3)}
    await remembering.run(nodes)
    remembering.engine.memory.clear()
    found = await foresee(remembering, nodes)
    rows = {row.node: row for row in found.nodes}
    parts = [row.ms or 0 for name, row in rows.items() if name.startswith("g/")]
    assert rows["g"].ms == pytest.approx(sum(parts))
    assert found.seconds == pytest.approx((sum(parts) + (rows["a"].ms or 0)) / 1e3)


async def test_a_forecast_as_data_has_a_row_per_node_and_totals(remembering: Lab) -> None:
    await remembering.run(CHAIN)
    data = (await foresee(remembering, {**CHAIN, "c": entry("grow", box="b.box", by=6)})).to_json()
    assert [(row["node"], row["state"], row["cache"]) for row in data["nodes"]] == [
        ("a", "not_needed", None),
        ("b", "hit", "memory"),
        ("c", "would_run", None),
    ]
    assert data["outputs"] == ["c"]
    total = data["total"]
    assert (total["nodes"], total["would_run"], total["in_cache"], total["estimated"]) == (3, 1, 1, 1)

"""Subgraphs as nodes: stamped into the plan as `outer/inner`, run once per item over lists, cached node by node."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from engine.conftest import PretendedDevice
from engine.graphs import Bench, entry, states, values
from engine.loops import LoopLab, document, library, loop, subgraph
from nodegraph.engine import Engine
from nodegraph.graph import compile_document


@pytest.fixture
async def lab(device: PretendedDevice) -> AsyncIterator[LoopLab]:
    bench = Bench()
    async with Engine(library(bench), device=lambda: device) as engine:
        yield LoopLab(engine, bench)
        bench.gate.set()


def call(name: str, **inputs: Any) -> dict[str, Any]:
    """A node that is a subgraph."""
    return entry(name, **inputs) | {"type": f"subgraph/{name}"}


ADDING = subgraph({"sum": entry("add", a=1, b=2)}, {"a": "sum.a", "b": "sum.b"}, {"sum": "sum.value"})

GROWING = subgraph(
    {"grow": entry("grow", by=1), "open": entry("open_box", box="grow.box")},
    {"box": "grow.box", "by": "grow.by"},
    {"box": "grow.box", "value": "open.value"},
)

TWICE = subgraph({"one": call("adding", b=10), "two": call("adding", a="one.sum", b=100)}, {"a": "one.a"}, {"sum": "two.sum"})


async def test_a_subgraph_gives_what_its_nodes_give(lab: LoopLab) -> None:
    result = await lab.run({"s": call("adding", a=40)}, {"adding": ADDING})
    assert values(result) == {"s.sum": 42}
    assert set(result.nodes) == {"s/sum"}


async def test_links_go_in_and_out_of_subgraphs_in_subgraphs(lab: LoopLab) -> None:
    nodes = {"n": entry("add", a=1, b=1), "s": call("twice", a="n.value"), "t": entry("add", a="s.sum", b=1000)}
    result = await lab.run(nodes, {"adding": ADDING, "twice": TWICE})
    assert values(result) == {"t": 1112}
    assert set(result.nodes) == {"n", "s/one/sum", "s/two/sum", "t"}


async def test_nodes_of_a_subgraph_are_cached_by_what_they_are_given(lab: LoopLab) -> None:
    nodes = {"b": entry("box", content=3), "s": call("growing", box="b.box", by=2)}
    await lab.run(nodes, {"growing": GROWING})
    alone = {"b": entry("box", content=3), "g": entry("grow", box="b.box", by=2), "o": entry("open_box", box="g.box")}
    result = await lab.run(alone, {})
    assert lab.calls == {}, "the same nodes outside of a subgraph are the same results"
    assert set(states(result).values()) <= {"hit", "not_needed"}


async def test_a_list_into_an_input_that_takes_one_runs_the_whole_subgraph_per_item(lab: LoopLab) -> None:
    nodes = {"n": entry("numbers", count=3), "s": call("twice", a="n.value")}
    result = await lab.run(nodes, {"adding": ADDING, "twice": TWICE})
    assert values(result) == {"s": [110, 111, 112]}
    assert "s[2]/two/sum" in result.nodes


async def test_over_a_list_every_output_is_a_list(lab: LoopLab) -> None:
    nodes = {"b": entry("box", content=3), "n": entry("numbers", count=2), "s": call("growing", box="b.box", by="n.value")}
    nodes["first"] = {"type": "core/list_item", "inputs": {"index": 1}, "links": {"items": "s.value"}}
    result = await lab.run(nodes, {"growing": GROWING})
    assert values(result) == {"first": 4}


async def test_an_unset_input_has_the_interfaces_default_else_the_nodes_own_value(lab: LoopLab) -> None:
    adding = subgraph({"sum": entry("add", a=1, b=2)}, {"a": "sum.a", "b": "sum.b"}, {"sum": "sum.value"})
    adding["interface"]["inputs"]["b"]["default"] = 50
    assert values(await lab.run({"s": call("adding")}, {"adding": adding})) == {"s.sum": 51}
    assert values(await lab.run({"s": call("adding", b=2)}, {"adding": adding})) == {"s.sum": 3}


async def test_one_input_may_set_several_nodes(lab: LoopLab) -> None:
    both = subgraph(
        {"x": entry("add", b=1), "y": entry("add", b=2), "sum": entry("add", a="x.value", b="y.value")},
        {"n": ["x.a", "y.a"]},
        {"sum": "sum.value"},
    )
    assert values(await lab.run({"s": call("both", n=10)}, {"both": both})) == {"s.sum": 23}


async def test_a_disabled_subgraph_is_bypassed_by_its_types(lab: LoopLab) -> None:
    nodes = {"b": entry("box", content=3), "s": call("growing", box="b.box"), "o": entry("open_box", box="s.box")}
    nodes["s"]["disabled"] = True
    result = await lab.run(nodes, {"growing": GROWING})
    assert values(result) == {"o": 3}
    assert not [name for name in result.nodes if name.startswith("s/")]


async def test_what_a_disabled_node_inside_passes_on_comes_from_outside(lab: LoopLab) -> None:
    growing = subgraph({"grow": entry("grow", by=1) | {"disabled": True}}, {"box": "grow.box"}, {"box": "grow.box"})
    nodes = {"b": entry("box", content=3), "s": call("growing", box="b.box"), "o": entry("open_box", box="s.box")}
    assert values(await lab.run(nodes, {"growing": growing})) == {"o": 3}


async def test_subgraphs_lie_in_loops_and_loops_in_subgraphs(lab: LoopLab) -> None:
    body = subgraph({"add": call("adding", b=5)}, {"item": "add.a"}, {"sum": "add.sum"})
    outer = subgraph({"each": loop("map", "body", items=[1, 2])}, {"numbers": "each.items"}, {"sums": "each.sum"})
    subgraphs = {"adding": ADDING, "body": body, "outer": outer}
    result = await lab.run({"s": call("outer", numbers=[1, 2, 3])}, subgraphs)
    assert values(result) == {"s.sums": [6, 7, 8]}
    assert "s/each[2]/add/sum" in result.nodes


async def test_a_value_for_a_variadic_input_of_the_subgraph_comes_over_links(lab: LoopLab) -> None:
    listing = subgraph({"all": {"type": "core/make_list"}}, {"things": "all.items"}, {"list": "all.items"})
    nodes = {"x": entry("add", a=1, b=1), "y": entry("add", a=2, b=2)}
    nodes["s"] = {"type": "subgraph/listing", "links": {"things": ["x.value", "y.value"]}}
    assert values(await lab.run(nodes, {"listing": listing})) == {"s.list": [2, 4]}


async def test_a_failing_node_is_named_by_its_path(lab: LoopLab) -> None:
    failing = subgraph({"bad": entry("fail", a=1)}, {}, {"value": "bad.value"})
    result = await lab.run({"s": call("failing")}, {"failing": failing})
    assert [problem.node for problem in result.problems] == ["s/bad"]


async def test_a_node_inside_can_be_run_alone(lab: LoopLab) -> None:
    nodes = {"n": entry("add", a=1, b=1), "s": call("twice", a="n.value")}
    result = await lab.run(nodes, {"adding": ADDING, "twice": TWICE}, ["s/one/sum"])
    assert values(result) == {"s/one/sum.value": 12}
    assert "s/two/sum" not in lab.calls


async def test_ids_and_titles_of_subgraphs_are_in_no_key(lab: LoopLab) -> None:
    await lab.run({"s": call("adding", a=7)}, {"adding": ADDING})
    await lab.run({"other": call("plus", a=7)}, {"plus": ADDING | {"title": "Plus"}})
    assert lab.calls == {}


def test_compiling_many_subgraph_nodes_is_linear(device: PretendedDevice) -> None:
    catalog = library(Bench()).catalog
    nodes = {"n0": call("adding", a=0)}
    nodes |= {f"n{i}": call("adding", a=f"n{i - 1}.sum") for i in range(1, 3000)}
    plan = compile_document(document(nodes, {"adding": ADDING}), catalog)
    assert len(plan.nodes) == 3000


@pytest.mark.parametrize("kind", ["called per item", "map", "fold"])
async def test_another_default_further_in_computes_again(lab: LoopLab, kind: str) -> None:
    adding = subgraph({"sum": entry("add", a=0, b=2)}, {"a": "sum.a", "b": "sum.b"}, {"sum": "sum.value"})
    inside = {"add": call("adding")}
    body = subgraph(inside, {"item": "add.a"}, {"sum": "add.sum"})
    folded = subgraph(inside, {"item": "add.a", "state": "keep.a"}, {"state": "add.sum"})
    folded["nodes"] = inside | {"keep": entry("add", a=0)}
    nodes = {
        "called per item": {"n": entry("numbers", count=2), "s": call("body", item="n.value")},
        "map": {"s": loop("map", "body", items=[0, 1])},
        "fold": {"s": loop("fold", "folded", items=[0, 1], initial=0)},
    }[kind]
    for default in (5, 6):
        adding["interface"]["inputs"]["b"]["default"] = default
        result = await lab.run(nodes, {"adding": adding, "body": body, "folded": folded})
        assert values(result) == {"s": default + 1 if kind == "fold" else [default, default + 1]}


@pytest.mark.parametrize("mapped", [False, True])
async def test_an_output_that_is_off_inside_brings_nothing_to_a_variadic_input(lab: LoopLab, mapped: bool) -> None:
    off = subgraph({"x": entry("half") | {"disabled": True}}, {}, {"x": "x.value"})
    listing = subgraph({"all": {"type": "t/sum_all"}}, {"things": "all.items"}, {"sum": "all.value"})
    nodes = {"x": entry("add", a=1, b=1), "o": call("off"), "n": entry("numbers", count=2)}
    links = ["x.value", "o.x", *(["n.value"] if mapped else [])]
    nodes["s"] = {"type": "subgraph/listing", "links": {"things": links}}
    result = await lab.run(nodes, {"off": off, "listing": listing}, ["s.sum"])
    assert values(result) == {"s.sum": [2, 3] if mapped else 2}


@pytest.mark.parametrize("source", ["n.value", "one.value"])
async def test_an_output_that_is_off_inside_is_left_out(lab: LoopLab, source: str) -> None:
    half = subgraph(
        {"x": entry("add", b=1), "w": entry("open_box") | {"disabled": True}}, {"a": "x.a"}, {"x": "x.value", "w": "w.value"}
    )
    nodes = {"n": entry("numbers", count=2), "one": entry("add", a=1, b=1), "s": call("half", a=source)}
    plan = compile_document(document(nodes, {"half": half}, {"x": "s.x", "w": "s.w"}), lab.engine.library.catalog)
    result = await lab.engine.run(plan)
    assert values(result) == {"x": [1, 2] if source == "n.value" else 3}


async def test_a_subgraph_without_outputs_runs_as_a_whole_when_asked(lab: LoopLab) -> None:
    mute = subgraph({"x": entry("add", a=1, b=1)}, {}, {})
    await lab.run({"s": call("mute")}, {"mute": mute}, ["s"])
    assert lab.calls == {"add": 1}


async def test_other_outputs_of_a_mapped_subgraph_are_other_results(lab: LoopLab) -> None:
    body = subgraph({"x": entry("add", b=1), "y": entry("add", b=100)}, {"a": ["x.a", "y.a"]}, {"out": "x.value"})
    nodes = {"n": entry("numbers", count=2), "s": call("body", a="n.value")}
    assert values(await lab.run(nodes, {"body": body})) == {"s": [1, 2]}
    body["interface"]["outputs"] = {"out": "y.value"}
    assert values(await lab.run(nodes, {"body": body})) == {"s": [100, 101]}


async def test_inputs_of_any_type_have_nothing_to_do_with_one_another(lab: LoopLab) -> None:
    pick = {"type": "core/switch", "inputs": {"condition": True}}
    body = subgraph({"p": pick, "q": pick}, {"a": ["p.yes", "p.no"], "b": ["q.yes", "q.no"]}, {"a": "p.value", "b": "q.value"})
    nodes = {"n": entry("add", a=1, b=1), "b": entry("box", content=3), "s": call("body", a="n.value", b="b.box")}
    nodes["o"] = entry("open_box", box="s.b")
    assert values(await lab.run(nodes, {"body": body}, ["s.a", "o"])) == {"s.a": 2, "o.value": 3}

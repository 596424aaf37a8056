"""Loops over subgraphs: what they give, what they compute again after an edit, and how they end."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from engine.conftest import PretendedDevice
from engine.graphs import Bench, entry, states, values
from engine.loops import CORE, LoopLab, document, library, loop, subgraph
from nodegraph import FilePath, InvalidWorkflow, Pack, node
from nodegraph.engine import Engine, Library, RunResult
from nodegraph.graph import compile_document
from nodegraph.store import Roots


@pytest.fixture
async def lab(device: PretendedDevice) -> AsyncIterator[LoopLab]:
    bench = Bench()
    async with Engine(library(bench), device=lambda: device) as engine:
        yield LoopLab(engine, bench)
        bench.gate.set()


ADDING = subgraph({"sum": entry("add", a=0, b=0)}, {"state": "sum.a", "item": "sum.b"}, {"state": "sum.value"})
"""state + item"""

GROWING = subgraph({"grow": entry("grow", by=1)}, {"state": "grow.box", "item": "grow.by"}, {"state": "grow.box"})
"""A box that grows by every item."""

OPENING = subgraph(
    {"grow": entry("grow", by=1), "open": entry("open_box", box="grow.box")},
    {"item": "grow.box", "by": "grow.by", "plus": "open.plus"},
    {"box": "grow.box", "value": "open.value"},
)
"""Two nodes and two outputs per box."""

HALVING = subgraph(
    {
        "half": entry("half"),
        "big": {"type": "core/compare", "inputs": {"how": "greater", "b": 1}, "links": {"a": "half.value"}},
    },
    {"state": "half.a"},
    {"state": "half.value", "go_on": "big.value"},
)
"""Halves until there is no more than one."""

COUNTING = subgraph(
    {
        "grow": entry("grow"),
        "open": entry("open_box", box="grow.box"),
        "small": {"type": "core/compare", "inputs": {"how": "less", "b": 5}, "links": {"a": "open.value"}},
    },
    {"state": "grow.box", "below": "small.b"},
    {"state": "grow.box", "go_on": "small.value"},
)
"""A box that grows while what is in it is below a number."""


def problem_texts(result: RunResult) -> list[str]:
    return [str(problem) for problem in result.problems]


# ---- what loops give ----


async def test_a_fold_hands_the_state_from_round_to_round(lab: LoopLab) -> None:
    nodes = {"n": entry("numbers", count=5), "sum": loop("fold", "adding", items="n.value", initial=100)}
    result = await lab.run(nodes, {"adding": ADDING})
    assert values(result) == {"sum": 100 + 0 + 1 + 2 + 3 + 4}
    assert lab.calls == {"numbers": 1, "add": 5}
    assert {"sum[0]/sum", "sum[4]/sum"} <= set(result.nodes)


async def test_items_and_the_initial_state_may_be_typed(lab: LoopLab) -> None:
    assert values(await lab.run({"sum": loop("fold", "adding", items=[3, 4], initial=1)}, {"adding": ADDING})) == {"sum": 8}


async def test_a_fold_takes_sockets_as_items_and_as_state(lab: LoopLab) -> None:
    body = subgraph({"pair": entry("box_pair")}, {"state": "pair.a", "item": "pair.b"}, {"state": "pair.high"})
    nodes = {
        "b": entry("boxes", count=4),
        "first": entry("box", content=2),
        "f": loop("fold", "larger", items="b.boxes", initial="first.box"),
        "o": entry("open_box", box="f.state"),
    }
    result = await lab.run(nodes, {"larger": body})
    assert values(result) == {"o": 3}
    assert lab.calls["box_pair"] == 4
    assert "f[3]/pair" in result.nodes


async def test_a_map_gives_a_list_for_every_output_of_its_body(lab: LoopLab) -> None:
    nodes = {
        "b": entry("boxes", count=3),
        "m": loop("map", "opening", items="b.boxes", by=10),
        "count": entry("count_boxes", boxes="m.box"),
        "total": entry("total", items="m.value"),
    }
    assert values(await lab.run(nodes, {"opening": OPENING})) == {"count": 3, "total": 10 + 11 + 12}


async def test_the_index_of_a_round_may_be_used(lab: LoopLab) -> None:
    body = subgraph({"sum": entry("add", a=0, b=0)}, {"item": "sum.a", "index": "sum.b"}, {"value": "sum.value"})
    nodes = {"m": loop("map", "numbered", items=[10, 20, 30]), "total": entry("total", items="m.value")}
    assert values(await lab.run(nodes, {"numbered": body}, ["m"])) == {"m.value": [10, 21, 32]}


async def test_a_while_runs_for_as_long_as_go_on_is_true(lab: LoopLab) -> None:
    result = await lab.run({"w": loop("while_", "halving", initial=40)}, {"halving": HALVING}, ["w"])
    assert values(result) == {"w.state": 1, "w.rounds": 5}
    assert lab.calls == {"half": 5}


async def test_a_while_runs_at_least_once(lab: LoopLab) -> None:
    result = await lab.run({"w": loop("while_", "halving", initial=0)}, {"halving": HALVING}, ["w"])
    assert values(result) == {"w.state": 0, "w.rounds": 1}


async def test_a_while_takes_a_socket_as_its_state_and_captured_values(lab: LoopLab) -> None:
    nodes = {
        "b": entry("box", content=0),
        "w": loop("while_", "counting", initial="b.box", below=3),
        "o": entry("open_box", box="w.state"),
    }
    result = await lab.run(nodes, {"counting": COUNTING}, ["o", "w.rounds"])
    assert values(result) == {"o.value": 3, "w.rounds": 3}
    assert lab.calls["grow"] == 3


async def test_an_empty_list_maps_to_empty_lists_and_folds_to_the_initial_state(lab: LoopLab) -> None:
    nodes = {
        "none": entry("boxes", count=0),
        "first": entry("box", content=7),
        "m": loop("map", "opening", items="none.boxes"),
        "f": loop("fold", "adding", items=[], initial=5),
        "g": loop("fold", "growing", items=[], initial="first.box"),
        "o": entry("open_box", box="g.state"),
    }
    subgraphs = {"opening": OPENING, "adding": ADDING, "growing": GROWING}
    result = await lab.run(nodes, subgraphs, ["m", "f", "o"])
    assert values(result) == {"m.box": [], "m.value": [], "f.state": 5, "o.value": 7}


async def test_a_single_item_counts_as_a_list_of_one(lab: LoopLab) -> None:
    nodes = {
        "b": entry("box", content=5),
        "n": entry("half", a=6),
        "m": loop("map", "opening", items="b.box", by="n.value"),
        "f": loop("fold", "adding", items="n.value", initial=1),
    }
    result = await lab.run(nodes, {"opening": OPENING, "adding": ADDING}, ["m.value", "f"])
    assert values(result) == {"m.value": [8], "f.state": 4}


async def test_captured_values_are_the_same_in_every_round_typed_linked_or_the_body_s_own(lab: LoopLab) -> None:
    nodes = {
        "n": entry("half", a=200),
        "own": loop("map", "opening", items="b.boxes"),
        "typed": loop("map", "opening", items="b.boxes", by=10),
        "linked": loop("map", "opening", items="b.boxes", by="n.value", plus=1000),
        "b": entry("boxes", count=2),
    }
    result = await lab.run(nodes, {"opening": OPENING}, ["own.value", "typed.value", "linked.value"])
    assert values(result) == {"own.value": [1, 2], "typed.value": [10, 11], "linked.value": [1100, 1101]}


async def test_sockets_may_be_captured(lab: LoopLab) -> None:
    body = subgraph({"pair": entry("box_pair")}, {"item": "pair.a", "other": "pair.b"}, {"low": "pair.low"})
    nodes = {
        "b": entry("boxes", count=4),
        "two": entry("box", content=2),
        "m": loop("map", "lower", items="b.boxes", other="two.box"),
        "o": entry("open_box", box="m.low"),
    }
    assert values(await lab.run(nodes, {"lower": body}, ["o"])) == {"o.value": [0, 1, 2, 2]}


async def test_an_interface_input_may_set_several_places_and_a_variadic_one(lab: LoopLab) -> None:
    body = subgraph(
        {"twice": entry("add", a=0, b=0), "all": entry("digits", items=("twice.value",))},
        {"item": ["twice.a", "twice.b", "all.items"], "more": "all.items"},
        {"value": "all.value"},
    )
    nodes = {"x": entry("add", a=3), "y": entry("add", a=4), "m": loop("map", "digits", items=[1, 2])}
    nodes["m"]["links"]["more"] = ["x.value", "y.value"]
    assert values(await lab.run(nodes, {"digits": body}, ["m"])) == {"m.value": [214, 424]}


async def test_a_whole_number_fits_where_the_body_takes_any_number(lab: LoopLab) -> None:
    body = subgraph({"sum": {"type": "core/calculate"}}, {"state": "sum.a", "item": "sum.b"}, {"state": "sum.value"})
    nodes = {"n": entry("numbers", count=3), "f": loop("fold", "sum", items="n.value", initial=1)}
    (output,) = (await lab.run(nodes, {"sum": body})).outputs
    assert (output.value, type(output.value)) == (4.0, float)


async def test_what_has_no_type_of_its_own_takes_that_of_what_is_linked(lab: LoopLab) -> None:
    body = subgraph(
        {"choose": entry("switch", condition=True)},
        {"state": "choose.yes", "item": "choose.no", "keep": "choose.condition"},
        {"state": "choose.value"},
    )
    for keep, last in ((True, 9), (False, 2)):
        nodes = {
            "b": entry("boxes", count=3),
            "first": entry("box", content=9),
            "f": loop("fold", "choosing", items="b.boxes", initial="first.box", keep=keep),
            "o": entry("open_box", box="f.state"),
        }
        assert values(await lab.run(nodes, {"choosing": body})) == {"o": last}


async def test_a_list_may_be_mapped_over_inside_the_body(lab: LoopLab) -> None:
    body = subgraph(
        {"each": entry("add", a=0, b=0), "total": entry("total", items="each.value")},
        {"item": "total.items", "by": "each.b"},
        {"value": "total.value"},
    )
    body["interface"]["inputs"]["item"]["to"] = ["flat.items", "each.a"]
    body["nodes"]["flat"] = entry("total")
    nodes = {"m": loop("map", "inner", items=[[1, 2], [], [3]], by=10)}
    assert values(await lab.run(nodes, {"inner": body})) == {"m": [23, 0, 13]}


async def test_a_list_into_a_captured_single_input_maps_the_whole_loop(lab: LoopLab) -> None:
    nodes = {
        "n": entry("numbers", count=3),
        "b": entry("boxes", count=2),
        "m": loop("map", "opening", items="b.boxes", by="n.value"),
        "f": loop("fold", "adding", items=[1, 2], initial="n.value"),
    }
    result = await lab.run(nodes, {"opening": OPENING, "adding": ADDING}, ["m.value", "f"])
    assert values(result) == {"m.value": [[0, 1], [1, 2], [2, 3]], "f.state": [3, 4, 5]}
    assert "m[2][1]/grow" in result.nodes


async def test_lists_of_lists_map_the_loop_over_the_outer_ones(lab: LoopLab) -> None:
    nodes = {
        "b": entry("boxes", count=2),
        "n": entry("numbers", count=3),
        "many": loop("map", "opening", items="b.boxes", by="n.value"),
        "again": loop("map", "opening", items="many.box"),
    }
    assert values(await lab.run(nodes, {"opening": OPENING}, ["again.value"])) == {"again.value": [[1, 2], [2, 3], [3, 4]]}


async def test_loops_may_lie_in_loops(lab: LoopLab) -> None:
    row = subgraph(
        {"inner": loop("fold", "adding", initial=0, items=[])},
        {"item": "inner.items", "start": "inner.initial"},
        {"sum": "inner.state"},
    )
    nodes = {"m": loop("map", "row", items=[[1, 2], [3], []], start=100), "t": entry("total", items="m.sum")}
    result = await lab.run(nodes, {"row": row, "adding": ADDING})
    assert values(result) == {"t": 103 + 103 + 100}
    assert "m[0]/inner[1]/sum" in result.nodes


async def test_a_while_in_a_fold_over_sockets(lab: LoopLab) -> None:
    step = subgraph(
        {"until": loop("while_", "counting", below=0)},
        {"state": "until.initial", "item": "until.below"},
        {"state": "until.state"},
    )
    nodes = {
        "b": entry("box", content=0),
        "f": loop("fold", "step", items=[2, 5, 3], initial="b.box"),
        "o": entry("open_box", box="f.state"),
    }
    assert values(await lab.run(nodes, {"step": step, "counting": COUNTING})) == {"o": 6}


async def test_a_loop_on_a_device_runs_there(lab: LoopLab) -> None:
    body = subgraph({"grow": entry("grow_there")}, {"state": "grow.box", "item": "grow.by"}, {"state": "grow.box"})
    nodes = {"b": entry("box", content=0), "f": loop("fold", "there", items=[1, 2, 3], initial="b.box")}
    nodes["o"] = entry("open_box", box="f.state")
    assert values(await lab.run(nodes, {"there": body})) == {"o": 6}


# ---- what is computed again ----


def mapped(count: int, contents: int = 0, by: int = 1) -> dict[str, Any]:
    """Boxes that are nodes of their own, collected into a list and mapped over."""
    boxes = {f"b{i}": entry("box", content=i + (contents if i == 1 else 0)) for i in range(count)}
    links = tuple(f"b{i}.box" for i in range(count))
    return {**boxes, "list": {"type": "core/make_list", "links": {"items": list(links)}}} | {
        "m": loop("map", "opening", items="list.items", by=by)
    }


async def test_a_second_run_of_a_loop_computes_nothing(lab: LoopLab) -> None:
    nodes = {
        "m": loop("map", "opening", items="b.boxes"),
        "b": entry("boxes", count=3),
        "f": loop("fold", "adding", items=[1, 2], initial=0),
        "w": loop("while_", "halving", initial=40),
    }
    subgraphs = {"opening": OPENING, "adding": ADDING, "halving": HALVING}
    first = await lab.run(nodes, subgraphs)
    again = await lab.run(nodes, subgraphs)
    assert lab.calls == {}
    assert values(again) == values(first)
    assert states(again) == {"m": "hit", "b": "not_needed", "f": "hit", "w": "hit"}


async def test_a_longer_list_computes_only_the_new_rounds(lab: LoopLab) -> None:
    def nodes(count: int) -> dict[str, Any]:
        return {
            "n": entry("numbers", count=count),
            "b": entry("box", content="n.value"),
            "m": loop("map", "opening", items="b.box"),
            "f": loop("fold", "growing", items="n.value", initial="first.box"),
            "first": entry("box", content=50),
        }

    subgraphs = {"opening": OPENING, "growing": GROWING}
    await lab.run(nodes(3), subgraphs)
    assert lab.calls == {"numbers": 1, "box": 4, "grow": 6, "open_box": 3}
    await lab.run(nodes(5), subgraphs)
    assert lab.calls == {"numbers": 1, "box": 2, "grow": 4, "open_box": 2}
    await lab.run(nodes(4), subgraphs)
    assert lab.calls == {"numbers": 1}


@pytest.mark.parametrize(("changed", "rounds"), [(0, 4), (2, 2), (3, 1)])
async def test_a_changed_item_computes_its_round_of_a_map_and_the_rounds_of_a_fold_from_there(
    lab: LoopLab, changed: int, rounds: int
) -> None:
    def nodes(items: list[int]) -> dict[str, Any]:
        return {
            "m": loop("map", "opening", items="b.box"),
            "b": entry("box", content="n.value"),
            "n": {"type": "core/map", "inputs": {"body": "same", "items": items}},
            "first": entry("box", content=0),
            "f": loop("fold", "growing", items=items, initial="first.box"),
        }

    same = subgraph({"same": entry("add", a=0, b=0)}, {"item": "same.a"}, {"value": "same.value"})
    subgraphs = {"same": same, "opening": OPENING, "growing": GROWING}
    items = [10, 11, 12, 13]
    await lab.run(nodes(items), subgraphs)
    items[changed] = 99
    await lab.run(nodes(items), subgraphs)
    assert lab.calls == {"add": 1, "box": 1, "grow": 1 + rounds, "open_box": 1}


async def test_a_changed_captured_value_computes_only_what_reads_it(lab: LoopLab) -> None:
    nodes = {"b": entry("boxes", count=3), "m": loop("map", "opening", items="b.boxes", plus=0)}
    await lab.run(nodes, {"opening": OPENING})
    nodes["m"] = loop("map", "opening", items="b.boxes", plus=1)
    await lab.run(nodes, {"opening": OPENING})
    assert lab.calls == {"open_box": 3}


async def test_a_longer_while_goes_on_from_where_it_was(lab: LoopLab) -> None:
    def nodes(below: int) -> dict[str, Any]:
        return {"b": entry("box", content=0), "w": loop("while_", "counting", initial="b.box", below=below)}

    await lab.run(nodes(4), {"counting": COUNTING})
    assert lab.calls["grow"] == 4
    await lab.run(nodes(6), {"counting": COUNTING})
    assert lab.calls == {"grow": 2, "open_box": 2}
    await lab.run(nodes(2), {"counting": COUNTING})
    assert lab.calls == {}


async def test_an_edit_inside_the_body_computes_what_it_changes(lab: LoopLab) -> None:
    nodes = {"b": entry("boxes", count=3), "m": loop("map", "opening", items="b.boxes")}
    first = await lab.run(nodes, {"opening": OPENING})
    edited = subgraph(
        {"grow": entry("grow", by=1), "open": entry("open_box", box="grow.box", plus=5)},
        {"item": "grow.box"},
        {"box": "grow.box", "value": "open.value"},
    )
    second = await lab.run(nodes, {"opening": edited})
    assert lab.calls == {"open_box": 3}
    assert [value + 5 for value in values(first)["m.value"]] == values(second)["m.value"]


async def test_an_edit_in_a_body_inside_a_body_is_seen(lab: LoopLab) -> None:
    row = subgraph({"inner": loop("fold", "adding", initial=0)}, {"item": "inner.items"}, {"sum": "inner.state"})
    nodes = {"m": loop("map", "row", items=[[1, 2], [3]])}
    assert values(await lab.run(nodes, {"row": row, "adding": ADDING})) == {"m": [3, 3]}
    product = subgraph(
        {"x": {"type": "core/calculate_whole", "inputs": {"operation": "subtract"}}},
        {"state": "x.a", "item": "x.b"},
        {"state": "x.value"},
    )
    assert values(await lab.run(nodes, {"row": row, "adding": product})) == {"m": [-3, -3]}


async def test_names_titles_and_layout_of_a_subgraph_change_nothing(lab: LoopLab) -> None:
    nodes = {"b": entry("boxes", count=3), "m": loop("map", "opening", items="b.boxes")}
    await lab.run(nodes, {"opening": OPENING})
    titled = {**OPENING, "title": "Opening", "layout": {"nodes": {"grow": [1, 2]}}, "colour": "red"}
    renamed = {"b": nodes["b"], "m": loop("map", "other", items="b.boxes")}
    result = await lab.run(renamed, {"other": titled})
    assert lab.calls == {}
    assert states(result)["m"] == "hit"


async def test_equal_rounds_are_computed_once(lab: LoopLab) -> None:
    body = subgraph({"half": entry("half")}, {"item": "half.a"}, {"value": "half.value"})
    assert values(await lab.run({"m": loop("map", "b", items=[8, 8, 6, 8])}, {"b": body})) == {"m": [4, 4, 3, 4]}
    assert lab.calls == {"half": 2}


async def test_what_is_given_differs_from_what_is_not(lab: LoopLab) -> None:
    """The body's own link serves until the node gives something, and again when it does not: same values, other results."""
    body = subgraph(
        {"ten": entry("add", a=9), "sum": entry("add", a=0, b="ten.value")},
        {"item": "sum.a", "more": "sum.b"},
        {"value": "sum.value"},
    )
    own, given = loop("map", "body", items=[1]), loop("map", "body", items=[1], more=1)
    for _ in range(2):
        assert values(await lab.run({"m": own}, {"body": body})) == {"m": [11]}
        assert values(await lab.run({"m": given}, {"body": body})) == {"m": [2]}


async def test_what_runs_each_time_runs_each_time_in_every_round(lab: LoopLab) -> None:
    body = subgraph({"w": entry("weather"), "half": entry("half", a="w.value")}, {"item": "w.a"}, {"value": "half.value"})
    nodes = {"m": loop("map", "body", items=[10, 20])}
    for weather in (0, 2, 4):
        lab.bench.weather = weather
        assert values(await lab.run(nodes, {"body": body})) == {"m": [5 + weather // 2, 10 + weather // 2]}
        assert lab.calls["weather"] == 2


async def test_a_file_that_a_body_names_counts_by_its_content(device: PretendedDevice, tmp_path: Path) -> None:
    @node()
    def read(file: FilePath, plus: int = 0) -> int:
        return int(Path(file).read_text()) + plus

    pack, file = Pack.of("files", [read]), tmp_path / "a.txt"
    named = subgraph(
        {"read": {"type": "files/read", "inputs": {"file": "a.txt"}}}, {"item": "read.plus"}, {"value": "read.value"}
    )
    captured = subgraph({"read": {"type": "files/read"}}, {"item": "read.plus", "file": "read.file"}, {"value": "read.value"})
    nested = subgraph({"inner": loop("map", "named")}, {"item": "inner.items"}, {"values": "inner.value"})
    nodes = {
        "n": loop("map", "named", items=[1, 2]),
        "c": {"type": "core/map", "inputs": {"body": "captured", "items": [1, 2], "file": "a.txt"}},
        "d": loop("map", "nested", items=[[1]]),
    }
    catalog = Library.of([pack, CORE])
    plan = compile_document(document(nodes, {"named": named, "captured": captured, "nested": nested}), catalog.catalog)
    async with Engine(catalog, device=lambda: device, roots=Roots((tmp_path,))) as engine:
        for content in (10, 20, 10):
            file.write_text(str(content))
            found = values(await engine.run(plan))
            assert found == {"n": [content + 1, content + 2], "c": [content + 1, content + 2], "d": [[content + 1]]}
        file.unlink()
        with pytest.raises(InvalidWorkflow) as missing:
            await engine.run(plan)
    assert {(problem.node, problem.socket) for problem in missing.value.problems} == {
        ("n", "read/file"),
        ("c", "file"),
        ("d", "inner/read/file"),
    }


async def test_an_unused_branch_inside_a_body_is_not_computed(lab: LoopLab) -> None:
    body = subgraph(
        {
            "even": entry("even"),
            "half": entry("half"),
            "more": entry("add", b=100),
            "choose": entry("switch", condition="even.value", yes="half.value", no="more.value"),
        },
        {"item": ["even.a", "half.a", "more.a"]},
        {"value": "choose.value"},
    )
    assert values(await lab.run({"m": loop("map", "body", items=[1, 2, 3])}, {"body": body})) == {"m": [101, 1, 103]}
    assert lab.calls == {"even": 3, "switch": 3, "half": 1, "add": 2}


async def test_only_the_rounds_before_a_wanted_item_are_computed(lab: LoopLab) -> None:
    body = subgraph({"grow": entry("grow"), "never": entry("fail", a=1)}, {"item": "grow.box"}, {"box": "grow.box"})
    nodes = {"b": entry("boxes", count=2), "m": loop("map", "body", items="b.boxes"), "c": entry("count_boxes", boxes="m.box")}
    result = await lab.run(nodes, {"body": body}, ["m"])
    assert list(values(result)) == ["m.box"]
    assert lab.calls == {"boxes": 1, "grow": 2}


async def test_a_disabled_node_in_a_body_is_bypassed(lab: LoopLab) -> None:
    body = subgraph(
        {"grow": entry("grow", by=5), "open": entry("open_box", box="grow.box")},
        {"item": "grow.box"},
        {"box": "grow.box", "value": "open.value"},
    )
    nodes = {"b": entry("boxes", count=2), "m": loop("map", "body", items="b.boxes")}
    assert values(await lab.run(nodes, {"body": body}))["m.value"] == [5, 6]
    body["nodes"]["grow"]["disabled"] = True
    result = await lab.run(nodes, {"body": body})
    assert values(result)["m.value"] == [0, 1]
    assert [box.content for box in values(result)["m.box"]] == [0, 1]


async def test_a_fold_whose_only_node_is_disabled_hands_its_state_through(lab: LoopLab) -> None:
    body = subgraph({"sum": {**entry("grow"), "disabled": True}}, {"state": "sum.box", "item": "sum.by"}, {"state": "sum.box"})
    nodes = {"b": entry("box", content=3), "f": loop("fold", "body", items=[1, 2], initial="b.box")}
    assert values(await lab.run(nodes, {"body": body}))["f"].content == 3


async def test_a_disabled_loop_is_bypassed_by_its_state(lab: LoopLab) -> None:
    nodes = {
        "b": entry("box", content=3),
        "f": {**loop("fold", "growing", items=[1, 2], initial="b.box"), "disabled": True},
        "list": entry("boxes", count=2),
        "m": {**loop("map", "opening", items="list.boxes"), "disabled": True},
        "o": entry("open_box", box="f.state"),
        "c": entry("count_boxes", boxes="m.box"),
    }
    assert values(await lab.run(nodes, {"growing": GROWING, "opening": OPENING})) == {"o": 3, "c": 2}


# ---- length ----


async def test_a_thousand_rounds_take_time_linear_in_their_number(lab: LoopLab) -> None:
    body = subgraph(
        {
            "next": {"type": "core/calculate_whole", "inputs": {"b": 1}},
            "more": {"type": "core/compare", "inputs": {"how": "less"}, "links": {"a": "next.value"}},
        },
        {"state": "next.a", "below": "more.b"},
        {"state": "next.value", "go_on": "more.value"},
    )
    seconds = {}
    limit = sys.getrecursionlimit()
    for count, first in ((250, 10_000), (1000, 20_000), (2000, 30_000)):
        start = time.perf_counter()
        nodes = {"w": loop("while_", "body", initial=first, below=first + count, limit=5000)}
        result = await lab.run(nodes, {"body": body}, ["w"])
        seconds[count] = time.perf_counter() - start
        assert values(result) == {"w.state": first + count, "w.rounds": count}
        assert f"w[{count - 1}]/next" in result.nodes
    assert sys.getrecursionlimit() == limit
    assert seconds[2000] < 8 * 4 * max(seconds[250], 0.02)  # 8 times the rounds; the 4 is for a busy machine


@pytest.mark.parametrize("kind", ["map", "fold"])
async def test_ten_thousand_items_are_no_matter(lab: LoopLab, kind: str) -> None:
    inputs = {"map": {"item": "sum.b", "start": "sum.a"}, "fold": {"state": "sum.a", "item": "sum.b"}}[kind]
    body = subgraph({"sum": {"type": "core/calculate_whole"}}, inputs, {"state": "sum.value"})
    nodes = {"l": loop(kind, "body", items=[1] * 10_000, **({"initial": 0} if kind == "fold" else {}))}
    result = values(await lab.run(nodes, {"body": body}))["l"]
    assert result == (10_000 if kind == "fold" else [1] * 10_000)


# ---- how loops fail ----


async def test_more_items_than_the_limit_are_refused_before_the_first_round(lab: LoopLab) -> None:
    for items in ({"items": [1, 2, 3, 4]}, {"items": "n.value"}):
        nodes = {"n": entry("numbers", count=4), "f": loop("fold", "adding", initial=0, limit=3, **items)}
        (problem,) = (await lab.run(nodes, {"adding": ADDING}, ["f"])).problems
        assert (problem.node, problem.socket, problem.expected, problem.got) == ("f", "limit", "at most 3", "4 items")
        assert "no round was done" in problem.message
        assert "Raise the limit" in str(problem.hint)
        assert "add" not in lab.calls


async def test_more_boxes_than_the_limit_are_refused_too_and_the_problem_is_the_loop_s(lab: LoopLab) -> None:
    nodes = {"b": entry("boxes", count=4), "m": loop("map", "opening", items="b.boxes", limit=3)}
    (problem,) = (await lab.run(nodes, {"opening": OPENING}, ["m.value"])).problems
    assert (problem.node, problem.got) == ("m", "4 items")


async def test_a_while_that_does_not_end_stops_at_its_limit(lab: LoopLab) -> None:
    nodes = {"b": entry("box", content=0), "w": loop("while_", "counting", initial="b.box", below=1000, limit=7)}
    nodes["o"] = entry("open_box", box="w.state")
    result = await lab.run(nodes, {"counting": COUNTING})
    (problem,) = result.problems
    assert problem.node == "w"
    assert "has done 7 rounds and would go on" in problem.message
    assert "go_on becomes false" in str(problem.hint)
    assert lab.calls["grow"] == 7
    assert states(result)["o"] == "skipped"


async def test_a_raised_limit_goes_on_where_the_loop_stopped(lab: LoopLab) -> None:
    def nodes(limit: int) -> dict[str, Any]:
        return {"b": entry("box", content=0), "w": loop("while_", "counting", initial="b.box", below=9, limit=limit)}

    await lab.run(nodes(7), {"counting": COUNTING})
    assert values(await lab.run(nodes(20), {"counting": COUNTING}, ["w.rounds"])) == {"w.rounds": 9}
    assert lab.calls["grow"] == 2


async def test_a_round_of_a_map_that_fails_names_its_node_and_fails_the_map(lab: LoopLab) -> None:
    body = subgraph({"odd": entry("fail_odd")}, {"item": "odd.a"}, {"value": "odd.value"})
    nodes = {"m": loop("map", "body", items=[0, 1, 2]), "t": entry("total", items="m.value")}
    result = await lab.run(nodes, {"body": body})
    (problem,) = result.problems
    assert problem.node == "m[1]/odd"
    assert states(result)["t"] == "skipped"
    assert states(result)["m"] == "failed"


async def test_a_round_that_fails_ends_a_fold_and_a_while(lab: LoopLab) -> None:
    failing = subgraph(
        {"next": entry("add"), "odd": entry("fail_odd", a="next.value"), "yes": entry("even", a="odd.value")},
        {"state": "next.a", "item": "next.b"},
        {"state": "odd.value"},
    )
    result = await lab.run({"f": loop("fold", "body", items=[2, 1, 1], initial=0)}, {"body": failing})
    assert [problem.node for problem in result.problems] == ["f[1]/odd"]
    assert lab.calls == {"add": 2, "fail_odd": 2}
    del failing["interface"]["inputs"]["item"]
    failing["interface"]["outputs"]["go_on"] = "yes.value"
    result = await lab.run({"w": loop("while_", "body", initial=1), "end": entry("add", a="w.state")}, {"body": failing})
    assert [problem.node for problem in result.problems] == ["w[1]/odd"]
    assert states(result)["end"] == "skipped"


async def test_a_value_that_does_not_fit_inside_says_where(lab: LoopLab) -> None:
    body = subgraph({"many": {"type": "core/number_range"}}, {"item": "many.count"}, {"numbers": "many.numbers"})
    nodes = {"n": entry("numbers", count=2), "x": entry("add", a="n.value", b=-1), "m": loop("map", "body", items="x.value")}
    (problem,) = (await lab.run(nodes, {"body": body})).problems
    assert problem.node == "m"
    assert problem.got == "-1 as item 1"


async def test_cancelling_a_loop_stops_it(lab: LoopLab) -> None:
    body = subgraph({"wait": entry("wait_for_gate")}, {"item": "wait.a"}, {"value": "wait.value"})
    plan_nodes = {"m": loop("map", "body", items=list(range(50)))}
    running = asyncio.create_task(lab.run(plan_nodes, {"body": body}))
    await asyncio.to_thread(lab.bench.entered.wait)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert lab.calls["wait_for_gate"] < 50

"""Computed structure: lazy inputs, composites, maps over lists."""

from __future__ import annotations

import pytest

from engine.graphs import Lab, entry, states, values


def switched(condition: bool, no: int = 20) -> dict[str, object]:
    return {
        "yes": entry("add", a=10),
        "no": entry("half", a=no),
        "s": entry("switch", condition=condition, yes="yes.value", no="no.value"),
        "end": entry("add", a="s.value", b=100),
    }


async def test_a_switch_computes_one_branch(lab: Lab) -> None:
    assert values(await lab.run(switched(True))) == {"end": 111}
    assert lab.calls == {"switch": 1, "add": 2}
    assert values(await lab.run(switched(False))) == {"end": 110}
    assert lab.calls == {"switch": 1, "half": 1, "add": 1}


async def test_a_change_in_the_unused_branch_computes_nothing(lab: Lab) -> None:
    await lab.run(switched(True))
    result = await lab.run(switched(True, no=40))
    assert lab.calls == {}
    assert states(result)["no"] == "not_needed"


async def test_the_trace_of_lazy_inputs_depends_on_what_they_gave(lab: Lab) -> None:
    def nodes(a: int, b: int, c: int) -> dict[str, object]:
        parts = {name: entry("add", a=value, b=0) for name, value in (("a", a), ("b", b), ("c", c))}
        return {**parts, "f": entry("first_positive", a="a.value", b="b.value", c="c.value")}

    assert values(await lab.run(nodes(0, 0, 3))) == {"f": 3}
    assert lab.calls["add"] == 2  # a and b are the same node twice
    assert values(await lab.run(nodes(0, 2, 3))) == {"f": 2}
    assert lab.calls == {"add": 1, "first_positive": 1}
    assert values(await lab.run(nodes(0, 2, 9))) == {"f": 2}
    assert lab.calls == {}
    assert values(await lab.run(nodes(0, 0, 3))) == {"f": 3}
    assert lab.calls == {}


async def test_a_failing_unused_branch_does_no_harm_and_a_used_one_skips_the_switch(lab: Lab) -> None:
    nodes = switched(True)
    nodes["no"] = entry("fail", a=1)
    assert (await lab.run(nodes)).status == "succeeded"
    nodes["s"] = entry("switch", condition=False, yes="yes.value", no="no.value")
    result = await lab.run(nodes)
    assert states(result)["s"] == states(result)["end"] == "skipped"
    assert result.nodes["s"]["reason"] == "no failed"
    assert [problem.node for problem in result.problems] == ["no"]


async def test_a_composite_is_cached_node_by_node(lab: Lab) -> None:
    nodes = {"b": entry("box", content=0), "g": entry("grow_times", box="b.box", times=5), "o": entry("open_box", box="g.box")}
    first = await lab.run(nodes)
    assert values(first) == {"o": 5}
    assert lab.calls == {"box": 1, "grow": 5, "open_box": 1}
    assert states(first)["g/grow_3"] == "computed"
    nodes["g"] = entry("grow_times", box="b.box", times=7)
    assert values(await lab.run(nodes)) == {"o": 7}
    assert lab.calls == {"grow": 2, "open_box": 1}
    again = await lab.run(nodes)
    assert lab.calls == {}
    assert "g/grow" not in again.nodes


async def test_a_composite_takes_linked_values_and_is_found_when_they_come_out_the_same(lab: Lab) -> None:
    nodes = {
        "n": entry("half", a=6),
        "b": entry("box", content=0),
        "g": entry("grow_times", box="b.box", times="n.value"),
        "o": entry("open_box", box="g.box"),
    }
    assert values(await lab.run(nodes)) == {"o": 3}
    nodes["n"] = entry("half", a=7)
    assert values(await lab.run(nodes)) == {"o": 3}
    assert lab.calls == {"half": 1}


async def test_composites_may_recurse_on_values(lab: Lab) -> None:
    nodes = {"b": entry("box", content=0), "c": entry("countdown", box="b.box", depth=40), "o": entry("open_box", box="c.box")}
    assert values(await lab.run(nodes)) == {"o": 40}
    assert lab.calls["grow"] == 40


async def test_what_a_composite_builds_is_checked(lab: Lab) -> None:
    result = await lab.run({"b": entry("box", content=0), "c": entry("broken_composite", box="b.box")})
    assert {problem.code for problem in result.problems} == {"bad_value", "missing_input"}
    assert all(problem.node == "c/grow" for problem in result.problems)


async def test_a_failure_inside_a_composite_names_the_inner_node(lab: Lab) -> None:
    nodes = {"b": entry("box", content=0), "v": entry("vandal", box="b.box"), "g": entry("grow_times", box="v.box", times=2)}
    result = await lab.run(nodes)
    assert states(result)["g"] == "skipped"
    assert result.problems[0].node == "v"


async def test_a_list_maps_a_node_and_each_item_is_cached_by_itself(lab: Lab) -> None:
    nodes = {"n": entry("numbers", count=4), "x": entry("add", a="n.value", b=10), "t": entry("total", items="x.value")}
    first = await lab.run(nodes)
    assert values(first) == {"t": 10 + 11 + 12 + 13}
    assert {"x[0]", "x[3]"} <= set(first.nodes)
    nodes["n"] = entry("numbers", count=6)
    assert values(await lab.run(nodes)) == {"t": 10 + 11 + 12 + 13 + 14 + 15}
    assert lab.calls == {"numbers": 1, "add": 2, "total": 1}


async def test_mapped_items_keep_their_identity_through_a_chain_of_maps(lab: Lab) -> None:
    nodes = {"n": entry("numbers", count=3), "b": entry("box", content="n.value"), "g": entry("grow", box="b.box")}
    nodes["c"] = entry("count_boxes", boxes="g.box")
    assert values(await lab.run(nodes)) == {"c": 3}
    nodes["n"] = entry("numbers", count=4)
    assert values(await lab.run(nodes)) == {"c": 4}
    assert lab.calls == {"numbers": 1, "box": 1, "grow": 1, "count_boxes": 1}


async def test_items_of_a_list_that_one_node_made_are_places_of_their_own(lab: Lab) -> None:
    nodes = {"b": entry("boxes", count=3), "o": entry("open_box", box="b.boxes"), "t": entry("total", items="o.value")}
    assert values(await lab.run(nodes)) == {"t": 3}
    await lab.run(nodes)
    assert lab.calls == {}


async def test_lists_zip_and_one_item_goes_with_all(lab: Lab) -> None:
    nodes = {
        "n": entry("numbers", count=3),
        "one": entry("numbers", count=1),
        "x": entry("add", a="n.value", b="n.value"),
        "y": entry("add", a="x.value", b="one.value"),
        "t": entry("total", items="y.value"),
    }
    assert values(await lab.run(nodes)) == {"t": 0 + 2 + 4}


async def test_lists_of_different_lengths_are_refused_with_their_lengths(lab: Lab) -> None:
    nodes = {"n": entry("numbers", count=3), "m": entry("numbers", count=2), "x": entry("add", a="n.value", b="m.value")}
    (problem,) = (await lab.run(nodes)).problems
    assert problem.node == "x"
    assert problem.got == "a: 3, b: 2"


async def test_an_empty_list_maps_to_an_empty_list(lab: Lab) -> None:
    nodes = {"n": entry("numbers", count=0), "x": entry("add", a="n.value"), "t": entry("total", items="x.value")}
    assert values(await lab.run(nodes)) == {"t": 0}


async def test_one_value_wraps_into_a_list(lab: Lab) -> None:
    assert values(await lab.run({"a": entry("add", a=4), "t": entry("total", items="a.value")})) == {"t": 5}
    await lab.run({"t": entry("total", items=[5])})
    assert lab.calls == {}


async def test_a_composite_maps_over_a_list(lab: Lab) -> None:
    nodes = {
        "b": entry("boxes", count=3),
        "g": entry("grow_times", box="b.boxes", times=2),
        "o": entry("open_box", box="g.box"),
    }
    nodes["t"] = entry("total", items="o.value")
    result = await lab.run(nodes)
    assert values(result) == {"t": (0 + 1 + 2) + 3 * 2}
    assert "g[2]/grow_2" in result.nodes


@pytest.mark.parametrize("count", [1, 50])
async def test_a_map_over_a_failing_node_fails_once_per_item_and_skips_the_rest(lab: Lab, count: int) -> None:
    result = await lab.run(
        {"n": entry("numbers", count=count), "f": entry("fail", a="n.value"), "t": entry("total", items="f.value")}
    )
    assert states(result)["t"] == "skipped"
    assert states(result)["f"] == "failed"
    assert {problem.node for problem in result.problems} <= {f"f[{i}]" for i in range(count)}

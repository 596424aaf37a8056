"""Demand: what is computed, what is found, what is never asked for."""

from __future__ import annotations

from engine.graphs import Lab, entry, states, values


async def test_a_second_identical_run_computes_nothing_and_touches_only_the_output(lab: Lab) -> None:
    nodes = {"a": entry("add", a=1), "b": entry("add", a="a.value"), "c": entry("add", a="b.value")}
    assert values(await lab.run(nodes)) == {"c": 4}
    again = await lab.run(nodes)
    assert values(again) == {"c": 4}
    assert lab.calls == {}
    assert states(again) == {"a": "not_needed", "b": "not_needed", "c": "hit"}


async def test_an_edit_recomputes_only_what_follows(lab: Lab) -> None:
    nodes = {"a": entry("box", content=1), "b": entry("grow", box="a.box"), "c": entry("grow", box="b.box", by=5)}
    await lab.run(nodes)
    nodes["c"] = entry("grow", box="b.box", by=6)
    result = await lab.run(nodes)
    assert lab.calls == {"grow": 1}
    assert states(result) == {"a": "not_needed", "b": "hit", "c": "computed"}
    assert result.nodes["c"]["reason"] == "by changed from 5 to 6"


async def test_an_upstream_change_that_gives_the_same_small_value_stops_there(lab: Lab) -> None:
    nodes = {"a": entry("half", a=4), "b": entry("add", a="a.value"), "c": entry("add", a="b.value")}
    await lab.run(nodes)
    nodes["a"] = entry("half", a=5)
    result = await lab.run(nodes)
    assert lab.calls == {"half": 1}
    assert states(result) == {"a": "computed", "b": "hit", "c": "hit"}


async def test_a_number_gives_the_same_key_typed_or_linked(lab: Lab) -> None:
    await lab.run({"x": entry("add", a=3, b=4)})
    result = await lab.run({"three": entry("half", a=6), "x": entry("add", a="three.value", b=4)})
    assert lab.calls == {"half": 1}
    assert states(result)["x"] == "hit"


async def test_ids_and_titles_do_not_enter_keys(lab: Lab) -> None:
    await lab.run({"x": entry("add", a=3)})
    await lab.run({"another": {**entry("add", a=3), "title": "Mine"}})
    assert lab.calls == {}


async def test_equal_nodes_in_one_run_are_computed_once(lab: Lab) -> None:
    result = await lab.run({f"n{i}": entry("box", content=7) for i in range(20)})
    assert lab.calls == {"box": 1}
    assert sorted(states(result).values()) == ["computed"] + ["hit"] * 19


async def test_several_outputs_come_by_name(lab: Lab) -> None:
    result = await lab.run({"p": entry("pair", a=5, b=2), "x": entry("add", a="p.high", b=100)})
    assert values(result) == {"x": 105}
    assert values(await lab.run({"p": entry("pair", a=5, b=2)})) == {"p.low": 2, "p.high": 5}


async def test_only_the_wanted_node_and_what_it_needs_runs(lab: Lab) -> None:
    nodes = {"a": entry("add", a=1), "b": entry("half", a="a.value"), "c": entry("total", items="a.value")}
    result = await lab.run(nodes, wanted=["b"])
    assert lab.calls == {"add": 1, "half": 1}
    assert states(result)["c"] == "not_needed"


async def test_a_chain_may_be_longer_than_the_recursion_limit(lab: Lab) -> None:
    nodes = {"n0": entry("box", content=0)} | {f"n{i}": entry("grow", box=f"n{i - 1}.box") for i in range(1, 3000)}
    nodes["end"] = entry("open_box", box="n2999.box")
    assert values(await lab.run(nodes)) == {"end": 2999}
    lab.engine.memory.clear()
    await lab.run({**nodes, "end": entry("open_box", box="n2999.box", plus=1)})
    nodes["n0"] = entry("box", content=0, size=101)
    assert values(await lab.run(nodes)) == {"end": 2999}


async def test_a_chain_of_hits_by_value_is_no_recursion_either(lab: Lab) -> None:
    def chain(first: int) -> dict[str, object]:
        return {"n0": entry("half", a=first)} | {f"n{i}": entry("add", a=f"n{i - 1}.value", b=0) for i in range(1, 3000)}

    await lab.run(chain(4))
    assert values(await lab.run(chain(5))) == {"n2999": 2}
    assert lab.calls == {"half": 1}


async def test_nodes_that_are_never_cached_run_each_time_and_so_does_what_follows_their_boxes(lab: Lab) -> None:
    nodes = {"f": entry("fresh_box", content=1), "g": entry("grow", box="f.box"), "o": entry("open_box", box="g.box")}
    await lab.run(nodes)
    await lab.run(nodes)
    assert lab.calls["fresh_box"] == 1
    assert lab.calls["grow"] == 1


async def test_what_follows_an_uncached_number_runs_only_when_the_number_is_new(lab: Lab) -> None:
    nodes = {"c": entry("clock"), "x": entry("add", a="c.value")}
    await lab.run(nodes)
    await lab.run(nodes)
    assert lab.calls == {"clock": 1}


async def test_variadic_links_keep_their_order_and_count(lab: Lab) -> None:
    nodes = {"a": entry("add", a=1), "b": entry("add", a=10), "s": entry("sum_all", items=("a.value", "b.value", "a.value"))}
    assert values(await lab.run(nodes)) == {"s": 2 + 11 + 2}
    nodes["s"] = entry("sum_all", items=("a.value", "b.value"))
    assert values(await lab.run(nodes)) == {"s": 13}


async def test_a_linked_value_that_does_not_fit_fails_by_name(lab: Lab) -> None:
    from typing import Annotated

    from pydantic import Field

    from nodegraph import Pack, node
    from nodegraph.engine import Engine, Library

    @node()
    def ten() -> int:
        return 10

    @node()
    def small(a: Annotated[int, Field(le=5)]) -> int:
        return a

    async with Engine(Library.of([Pack.of("t", [ten, small])])) as engine:
        result = await Lab(engine, lab.bench).run({"ten": entry("ten"), "small": entry("small", a="ten.value")})
    (problem,) = result.problems
    assert (problem.node, problem.socket, problem.expected, problem.got) == ("small", "a", "a whole number of at most 5", "10")

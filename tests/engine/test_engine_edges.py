"""Corners where a key could lie or a run could wait for ever."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from engine.conftest import PretendedDevice
from engine.graphs import Bench, Lab, entry, library, states, values
from nodegraph import Context, FilePath, GraphBuilder, Lazy, Pack, composite, node, socket
from nodegraph.engine import Engine, Library
from nodegraph.store import Roots


async def lab_of(nodes: list[Any], tmp: Path | None = None) -> Lab:
    engine = Engine(Library.of([Pack.of("t", nodes)]), roots=Roots(files=[tmp] if tmp else []), device=PretendedDevice)
    return Lab(await engine.__aenter__(), Bench())


async def test_what_follows_an_uncached_number_inside_a_composite_is_new_when_the_number_is(lab: Lab) -> None:
    nodes = {"f": entry("forecast", a=10), "x": entry("add", a="f.value")}
    assert values(await lab.run(nodes)) == {"x": 6}
    lab.bench.weather = 10
    assert values(await lab.run(nodes)) == {"x": 11}


async def test_a_file_named_over_a_link_is_keyed_by_its_content(tmp_path: Path) -> None:
    @node()
    def named() -> FilePath:
        return "words.txt"  # type: ignore[return-value]

    @node()
    def read(path: FilePath) -> str:
        return path.read_text()

    lab = await lab_of([named, read], tmp_path)
    for text in ("one", "another"):
        (tmp_path / "words.txt").write_text(text)
        assert values(await lab.run({"n": entry("named"), "r": entry("read", path="n.value")})) == {"r": text}


async def test_a_file_that_a_composite_names_itself_counts_by_its_content(tmp_path: Path) -> None:
    @node()
    def read(path: FilePath) -> str:
        return path.read_text()

    @node()
    def louder(text: str) -> str:
        return f"{text}!"

    @composite()
    def known(graph: GraphBuilder) -> str:
        return graph.add(louder, text=graph.add(read, path="known.txt"))

    @composite()
    def around(graph: GraphBuilder) -> str:
        return graph.add(known)

    lab = await lab_of([read, louder, known, around], tmp_path)
    for text in ("one", "another", "one"):
        (tmp_path / "known.txt").write_text(text)
        assert values(await lab.run({"k": entry("known"), "a": entry("around")})) == {"k": f"{text}!", "a": f"{text}!"}


async def test_a_composite_that_names_a_missing_file_fails_alone(tmp_path: Path) -> None:
    @node()
    def read(path: FilePath) -> str:
        return path.read_text()

    @node()
    def two() -> int:
        return 2

    @composite()
    def broken(graph: GraphBuilder) -> str:
        return graph.add(read, path="nowhere.txt")

    @composite()
    def sound(graph: GraphBuilder) -> int:
        return graph.add(two)

    lab = await lab_of([read, two, broken, sound], tmp_path)
    result = await asyncio.wait_for(lab.run({"b": entry("broken"), "s": entry("sound")}), 10)
    assert states(result) == {"b": "failed", "s": "computed", "s/two": "computed"}


@pytest.mark.parametrize("part", ["nbytes", "to_host", "to_device", "generation"])
async def test_a_socket_types_own_code_may_fail_and_the_run_ends(part: str) -> None:
    def broken(*values: Any) -> Any:
        raise ValueError("no")

    @socket(**{part: broken})
    class Odd:
        pass

    @node()
    def odd() -> Odd:
        return Odd()

    @node()
    def here(value: Odd) -> int:
        return 1

    @node()
    async def awaited(value: Odd) -> int:
        return 1

    @node(lane="gpu")
    def there(value: Odd) -> int:
        return 1

    lab = await lab_of([odd, here, awaited, there])
    nodes = {"o": entry("odd")} | {name: entry(name, value="o.odd") for name in ("here", "awaited", "there")}
    for _ in range(2):  # and nothing is left in flight that the second run would wait for
        result = await asyncio.wait_for(lab.run(nodes), 10)
        assert result.status == "failed"


async def test_no_device_adapter_fails_the_node_each_time(lab: Lab) -> None:
    def lanes() -> list[Any]:
        raise RuntimeError("no device")

    device = PretendedDevice()
    device.lanes = lanes  # type: ignore[method-assign]
    async with Engine(library(lab.bench), device=lambda: device) as engine:
        for _ in range(2):
            nodes = {"b": entry("box", content=1), "d": entry("on_device", box="b.box")}
            result = await asyncio.wait_for(Lab(engine, lab.bench).run(nodes), 10)
            assert states(result)["d"] == "failed"


async def test_an_async_node_cancelled_before_it_began_is_not_left_in_flight(lab: Lab) -> None:
    nodes = {"l": entry("later", a=1)}
    for turns in range(6):
        task = asyncio.create_task(lab.run(nodes))
        for _ in range(turns):
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        lab.engine.memory.clear()
    assert values(await asyncio.wait_for(lab.run(nodes), 10)) == {"l": 1}


async def test_a_lazy_input_awaited_twice_at_once_is_one_step_of_the_trace() -> None:
    @node()
    def one() -> int:
        return 1

    @node()
    async def twice(a: Lazy[int]) -> int:
        return sum(await asyncio.gather(a, a))

    lab = await lab_of([one, twice])
    nodes = {"o": entry("one"), "t": entry("twice", a="o.value")}
    assert values(await lab.run(nodes)) == {"t": 2}
    nodes["o"] = {**nodes["o"], "title": "the same"}
    assert values(await asyncio.wait_for(lab.run(nodes), 10)) == {"t": 2}


async def test_a_result_made_without_a_failed_lazy_input_is_not_kept() -> None:
    failing = [True]

    @node()
    def shaky() -> int:
        if failing[0]:
            raise ValueError("not today")
        return 1

    @node()
    async def either(a: Lazy[int], b: int = 7) -> int:
        try:
            return await a
        except Exception:
            return b

    lab = await lab_of([shaky, either])
    nodes = {"s": entry("shaky"), "e": entry("either", a="s.value")}
    assert values(await lab.run(nodes)) == {"e": 7}
    failing[0] = False
    assert values(await lab.run(nodes)) == {"e": 1}


async def test_a_value_that_a_node_wrote_into_is_forgotten(lab: Lab) -> None:
    nodes = {"b": entry("box", content=1), "v": entry("vandal", box="b.box")}
    await lab.run(nodes)
    await lab.run({"b": entry("box", content=1)})
    assert lab.calls == {"box": 1}


async def test_a_context_may_stand_before_many_links() -> None:
    @node()
    def one() -> int:
        return 1

    @node()
    def count(context: Context, first: int, *items: int) -> int:
        return len(items) + first

    lab = await lab_of([one, count])
    assert values(await lab.run({"o": entry("one"), "c": entry("count", first=5, items=("o.value", "o.value"))})) == {"c": 7}


async def test_what_failed_or_runs_each_time_is_not_said_to_have_left_memory(lab: Lab) -> None:
    nodes = {"c": entry("fresh_box", content=1), "g": entry("grow", box="c.box")}
    await lab.run(nodes)
    result = await lab.run(nodes)
    assert {name: row["reason"] for name, row in result.nodes.items()} == {
        "c": "it runs each time",
        "g": "something before it runs each time",
    }


async def test_a_composite_that_hands_a_failed_nodes_value_through_is_skipped(lab: Lab) -> None:
    nodes = {"b": entry("fail", a=1), "bb": entry("box", content="b.value"), "c": entry("countdown", box="bb.box", depth=0)}
    assert states(await lab.run(nodes)) == {"b": "failed", "bb": "skipped", "c": "skipped"}


async def test_closing_the_engine_ends_its_runs_and_leaves_no_task() -> None:
    bench = Bench()
    async with Engine(library(bench)) as engine:
        lab = Lab(engine, bench)
        runs = [asyncio.create_task(lab.run({"w": entry("wait_for_gate", a=i), "l": entry("later", a=i)})) for i in range(40)]
        await asyncio.to_thread(bench.entered.wait)
    results = await asyncio.wait_for(asyncio.gather(*runs), 10)
    assert {result.status for result in results} == {"cancelled"}
    assert not engine.in_flight
    assert not engine._tasks
    with pytest.raises(RuntimeError, match="closed"):
        await lab.run({"a": entry("add", a=1)})


async def test_outputs_of_one_node_are_places_of_their_own(lab: Lab) -> None:
    nodes = {f"b{i}": entry("box", content=i) for i in range(2)} | {"p": entry("box_pair", a="b0.box", b="b1.box")}
    nodes |= {name: entry("open_box", box=f"p.{name}") for name in ("low", "high")}
    assert values(await lab.run(nodes)) == {"low": 0, "high": 1}


async def test_a_run_that_joins_a_call_while_it_is_being_cancelled_does_it_again() -> None:
    gate = asyncio.Event()

    @node()
    async def hold(a: int) -> int:
        await gate.wait()
        return a

    for turns in range(8):
        lab = await lab_of([hold])
        gate.clear()
        first = asyncio.create_task(lab.run({"h": entry("hold", a=1)}))
        while not lab.engine.in_flight:  # noqa: ASYNC110
            await asyncio.sleep(0)
        for _ in range(3):
            await asyncio.sleep(0)
        first.cancel()
        for _ in range(turns):
            await asyncio.sleep(0)
        second = asyncio.create_task(lab.run({"h": entry("hold", a=1)}))
        await asyncio.gather(first, return_exceptions=True)
        gate.set()
        assert values(await asyncio.wait_for(second, 10)) == {"h": 1}


async def test_lazy_inputs_may_be_typed(lab: Lab) -> None:
    assert values(await lab.run({"f": entry("first_positive", a=0, b=2, c=3)})) == {"f": 2}
    await lab.run({"f": entry("first_positive", a=0, b=2, c=3)})
    assert lab.calls == {}

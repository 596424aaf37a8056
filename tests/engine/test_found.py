"""What the model and the stress test found: a minimal test for each, expected to fail until it is mended."""

from __future__ import annotations

import asyncio

from engine.conftest import PretendedDevice
from engine.graphs import Bench, Lab, entry, values
from engine.steps import Desk, Log, at
from nodegraph import Lazy, Pack, node
from nodegraph.engine import Engine, Library


async def test_a_node_with_lazy_inputs_is_computed_once_by_two_runs_at_once(device: PretendedDevice) -> None:
    count = 0

    @node()
    async def dear_choice(which: bool, yes: Lazy[int], no: Lazy[int]) -> int:
        nonlocal count
        count += 1
        value = await (yes if which else no)
        for _ in range(20):  # minutes of work
            await asyncio.sleep(0)
        return value

    @node()
    def one(a: int) -> int:
        return a

    nodes = {"one": entry("one", a=1), "c": entry("dear_choice", which=True, yes="one.value", no="one.value")}
    async with Engine(Library.of([Pack.of("t", [dear_choice, one])]), device=lambda: device) as engine:
        lab = Lab(engine, Bench())
        results = await asyncio.gather(*(lab.run(nodes, ["c"]) for _ in range(3)))
    assert [values(result) for result in results] == [{"c.value": 1}] * 3
    assert count == 1


async def test_a_choice_behind_a_choice_on_the_same_condition_does_not_wait_for_itself(lab: Lab) -> None:
    nodes = {
        "a": entry("add", a=1),
        "inner": entry("switch", condition=True, yes="a.value", no="a.value"),
        "outer": entry("switch", condition=True, yes="inner.value", no="a.value"),
    }
    assert values(await asyncio.wait_for(lab.run(nodes, ["outer"]), 5)) == {"outer.value": 2}


async def test_a_lane_forgets_calls_that_nobody_wants_any_more(device: PretendedDevice) -> None:
    log = Log()
    async with Desk(log, device) as desk:
        blocking = asyncio.create_task(desk.run({"b": at("begin", seed=1), "s": at("step", state="b.state")}))
        while not desk.engine._devices or desk.engine._devices.lanes[0]._free:  # noqa: ASYNC110
            await asyncio.sleep(0)
        waiting = asyncio.create_task(desk.run({"b": at("begin", seed=2), "s": at("step", state="b.state")}, exact=False))
        while not desk.engine._devices.lanes[0]._peers:  # noqa: ASYNC110
            await asyncio.sleep(0)
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
        log.gate.set()
        await blocking
        await asyncio.sleep(0)
        assert not desk.engine._devices.lanes[0]._peers

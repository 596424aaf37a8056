"""What the model and the stress test found: a minimal test for each, expected to fail until it is mended."""

from __future__ import annotations

import asyncio
import gc
import weakref
from typing import Any

import pytest

from engine.conftest import PretendedDevice
from engine.graphs import Bench, Box, Lab, entry, values
from engine.inside import at_rest
from engine.steps import Desk, Log, State, at
from engine.test_stress import Lane, steps
from nodegraph import Lazy, NodeError, Pack, Secret, node
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


async def test_of_a_wide_fan_each_value_is_read_before_the_next_but_few_are_made() -> None:
    nodes = {}
    for i in range(100):
        nodes |= {f"b{i}": at("begin", seed=i), f"d{i}": at("decode", state=f"b{i}.state")}
    log = Log()
    log.gate.set()
    async with Desk(log, PretendedDevice(), memory_bytes=0) as desk:
        await desk.run(nodes, [f"d{i}" for i in range(100)])
    kinds = [text.split()[0] for text in log.order]
    ahead = [kinds[: i + 1].count("begin") - kinds[: i + 1].count("decode") for i in range(len(kinds))]
    assert max(ahead) < 20


async def test_a_run_that_is_over_lets_go_of_its_values_at_once(device: PretendedDevice) -> None:
    alive: weakref.WeakSet[State] = weakref.WeakSet()
    log = Log()
    log.gate.set()
    async with Desk(log, device, memory_bytes=0) as desk:
        gc.collect()
        gc.disable()
        try:
            result = await desk.run({"b": at("begin", seed=1), "s": at("step", state="b.state")}, ["b", "s"])
            alive.update(output.value for output in result.outputs)
            assert len(alive) == 2
            del result
            async with asyncio.timeout(5):
                while alive:  # noqa: ASYNC110 (the lane's thread may not have left the call's frame yet)
                    await asyncio.sleep(0.001)
        finally:
            gc.enable()


@pytest.mark.parametrize("how", ["message", "node error", "cause"])
async def test_a_secrets_value_is_in_no_error(how: str, device: PretendedDevice, monkeypatch: pytest.MonkeyPatch) -> None:
    @node()
    def fetch(token: Secret) -> str:
        value = token.reveal()
        if how == "node error":
            raise NodeError(f"The key {value} is not accepted.", got=value, hint=f"Not {value}.")
        if how == "message":
            raise ConnectionError(f"GET https://hub?key={value} gave 403")
        try:
            raise KeyError(value)
        except KeyError as error:
            raise ConnectionError("no answer") from error

    monkeypatch.setenv("NODEGRAPH_SECRET_HUB", "hunter2-0123456789")
    events: list[Any] = []
    async with Engine(Library.of([Pack.of("t", [fetch])]), device=lambda: device) as engine:
        result = await Lab(engine, Bench()).run({"f": entry("fetch", token="hub")}, listener=events.append)
    assert result.problems
    assert "hunter2" not in repr(result.problems)
    assert "hunter2" not in repr(events)


async def test_a_call_that_a_more_urgent_run_waits_for_is_as_urgent(device: PretendedDevice) -> None:
    async with Desk(Log(), device) as desk:
        lane = Lane(desk)
        await lane.begin(steps(1, 1))
        await lane.begin(steps(2, 3))
        await lane.begin(steps(3, 1))
        shared = asyncio.create_task(desk.run(steps(3, 1), priority=5))
        while not any(call.waiters for call in desk.engine.in_flight.values()):  # noqa: ASYNC110
            await asyncio.sleep(0)
        order = await lane.finish()
        await shared
    assert order == ["1.0", "3.0", "2.0", "2.1", "2.2"]


async def test_a_batch_key_that_cannot_be_hashed_fails_its_node_alone(device: PretendedDevice) -> None:
    @node(lane="gpu", output_name="box")
    def step(box: Box, by: int = 1) -> Box:
        return Box(box.content + by)

    @step.batched(key=lambda inputs: [inputs.by])  # type: ignore[arg-type, return-value]
    def steps(calls: Any) -> list[Box]:
        return [Box(call.box.content + call.by) for call in calls]

    @node()
    def box(content: int) -> Box:
        return Box(content)

    @node(lane="gpu")
    def look(box: Box) -> int:
        return int(box.content)

    nodes = {"b": entry("box", content=1), "s": entry("step", box="b.box"), "l": entry("look", box="b.box")}
    async with Engine(Library.of([Pack.of("t", [step, box, look])]), device=lambda: device) as engine:
        async with asyncio.timeout(5):
            result = await Lab(engine, Bench()).run(nodes, ["s", "l"], exact=False)
        assert [problem.node for problem in result.problems] == ["s"]
        assert values(result) == {"l.value": 1}
        assert await at_rest(engine, 1) == {}

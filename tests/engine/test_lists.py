"""Lists go through a workflow item by item: the first is done before the second begins, none is held longer than needed."""

from __future__ import annotations

import time
import weakref
from typing import Any

from engine.graphs import Lab, entry, states, values
from engine.steps import Desk, Log, State, at
from nodegraph.engine import RunOutput


def many(count: int, steps: int = 2, **begin: Any) -> dict[str, Any]:
    return {
        "seeds": at("seeds", first=1, count=count),
        "begin": at("begin", seed="seeds.seeds", **begin),
        "denoise": at("denoise", state="begin.state", steps=steps),
        "decode": at("decode", state="denoise.state"),
        "save": at("save", number="decode.value"),
    }


async def test_the_first_item_is_handed_over_before_the_second_is_computed(device: Any) -> None:
    log = Log(before_step=lambda number: time.sleep(0.02))  # a step takes its time, or the device runs ahead
    log.gate.set()
    came: list[tuple[tuple[int, ...], int]] = []

    def receive(output: RunOutput) -> None:
        came.append((output.item, log.calls["step"]))

    async with Desk(log, device) as desk:
        result = await desk.run(many(4), receiver=receive, keep=False)
    assert result.status == "succeeded"
    assert [item for item, _ in came] == [(0,), (1,), (2,), (3,)]
    assert all(steps <= 2 * (item[0] + 2) for item, steps in came), "the device is at most one item ahead of what is saved"
    assert result.outputs == []
    assert [step for step in log.order if step.startswith("step")][:4] == ["step 1000", "step 1001", "step 2000", "step 2001"]
    assert set(states(result).values()) == {"computed"}


async def test_a_failing_item_leaves_the_others_alone(device: Any) -> None:
    log = Log()
    log.gate.set()
    came: list[tuple[int, ...]] = []

    def fail_at_two(number: int) -> None:
        if number == 2001:
            raise ValueError("not this one")

    log.before_step = fail_at_two
    async with Desk(log, device) as desk:
        result = await desk.run(many(4), receiver=lambda output: came.append(output.item), keep=False)
    assert result.status == "failed"
    assert [problem.node for problem in result.problems] == ["denoise[1]/step_2"]
    assert came == [(0,), (2,), (3,)]


async def test_a_long_list_never_lies_whole_in_memory(device: Any) -> None:
    log = Log()
    log.gate.set()
    alive: weakref.WeakSet[State] = weakref.WeakSet()
    most = 0

    async with Desk(log, device, memory_bytes=10_000) as desk:
        keep = desk.engine.cache.keep

        def counted(*arguments: Any) -> Any:
            nonlocal most
            result = keep(*arguments)
            alive.update(value for value in result.values.values() if isinstance(value, State))
            most = max(most, len(alive))
            return result

        desk.engine.cache.keep = counted  # type: ignore[method-assign]
        result = await desk.run(many(50, nbytes=4000), keep=False, receiver=lambda output: None)
    assert result.status == "succeeded"
    assert log.calls["step"] == 100
    assert most < 80, "most are begun at once; none is kept when its item is done"
    assert desk.engine.memory.used_bytes <= 10_000


async def test_a_list_that_is_wanted_whole_comes_whole(device: Any) -> None:
    log = Log()
    log.gate.set()
    async with Desk(log, device) as desk:
        result = await desk.run(many(3), ["decode.value", "denoise.state"])
        assert values(result)["decode.value"] == [1002, 2002, 3002]
        assert [state.number for state in values(result)["denoise.state"]] == [1002, 2002, 3002]
        again = await desk.run(many(3), ["decode.value"])
        assert states(again)["decode"] == "hit"
        assert values(again)["decode.value"] == [1002, 2002, 3002]


async def test_a_longer_list_computes_only_the_new_items(device: Any) -> None:
    log = Log()
    log.gate.set()
    async with Desk(log, device) as desk:
        await desk.run(many(3))
        log.calls.clear()
        result = await desk.run(many(5))
    assert log.calls == {"seeds": 1, "begin": 2, "step": 4, "decode": 2, "save": 2}
    assert [artifact.data for artifact in values(result)["save"]] == [f"picture {i}002".encode() for i in range(1, 6)]


async def test_cheap_outputs_come_first(device: Any) -> None:
    log = Log()
    log.gate.set()
    nodes = {
        "a": at("begin", seed=1),
        "long": at("denoise", state="a.state", steps=9),
        "b": at("begin", seed=2),
        "short": at("step", state="b.state"),
    }
    async with Desk(log, device) as desk:
        await desk.run(nodes, ["long.state", "short.state"])
    assert log.order.index("step 2000") == min(log.order.index(step) for step in log.order if step.startswith("step"))


async def test_lists_of_lists_map_level_by_level_and_come_back_as_they_were(lab: Lab) -> None:
    nodes = {
        "counts": entry("numbers", count=4),
        "lists": entry("numbers", count="counts.value"),
        "plus": entry("add", a="lists.value", b=10),
        "zipped": entry("add", a="plus.value", b="counts.value"),
        "sums": entry("total", items="zipped.value"),
    }
    result = await lab.run(nodes, ["plus.value", "zipped.value", "sums.value"])
    assert values(result) == {
        "plus.value": [[], [10], [10, 11], [10, 11, 12]],
        "zipped.value": [[], [11], [12, 13], [13, 14, 15]],
        "sums.value": [0, 11, 25, 42],
    }
    came: dict[tuple[int, ...], object] = {}
    await lab.run(nodes, ["plus.value"], receiver=lambda output: came.update({output.item: output.value}), keep=False)
    assert came in (
        {(): [[], [10], [10, 11], [10, 11, 12]]},
        {(1, 0): 10, (2, 0): 10, (2, 1): 11, (3, 0): 10, (3, 1): 11, (3, 2): 12},
    )

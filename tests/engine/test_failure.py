"""What goes wrong ends only what depends on it: failures, cancellation, memory, writes into shared values."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from engine.graphs import Lab, entry, states, values
from nodegraph.engine import NodeFailed


async def test_one_failure_skips_what_depends_on_it_and_the_rest_finishes(lab: Lab) -> None:
    nodes = {
        "good": entry("add", a=1),
        "bad": entry("fail", a="good.value"),
        "after": entry("add", a="bad.value"),
        "other": entry("half", a="good.value"),
    }
    result = await lab.run(nodes)
    assert result.status == "failed"
    assert values(result) == {"other": 1}
    assert states(result) == {"good": "computed", "bad": "failed", "after": "skipped", "other": "computed"}
    (problem,) = result.problems
    assert str(problem) == "bad.a: This never works. Use another node."


async def test_a_fault_in_a_node_is_told_from_a_users_mistake_and_keeps_its_trace(lab: Lab) -> None:
    events: list[Any] = []
    result = await lab.run({"c": entry("crash", a=1)}, listener=events.append)
    assert result.problems[0].code == "node_crashed"
    assert "ZeroDivisionError: oh" in result.problems[0].message
    (failed,) = [event for event in events if isinstance(event, NodeFailed)]
    assert "Traceback" in failed.trace


async def test_a_failure_is_not_cached(lab: Lab) -> None:
    await lab.run({"f": entry("fail", a=1)})
    await lab.run({"f": entry("fail", a=1)})
    assert lab.calls == {"fail": 1}


async def test_a_node_that_writes_into_its_input_fails_by_name(lab: Lab) -> None:
    result = await lab.run({"b": entry("box", content=1), "v": entry("vandal", box="b.box")})
    assert "wrote into its input 'box'" in result.problems[0].message


async def test_cancelling_reaches_a_running_node_and_nothing_more_starts(lab: Lab) -> None:
    nodes = {"w": entry("wait_for_gate", a=1), "after": entry("add", a="w.value")}
    task = asyncio.create_task(lab.run(nodes))
    await asyncio.to_thread(lab.bench.entered.wait)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert lab.calls == {"wait_for_gate": 1}


async def test_cancelling_one_run_leaves_another_that_wants_the_same_result_alone(lab: Lab) -> None:
    nodes = {"w": entry("wait_for_gate", a=1), "after": entry("add", a="w.value")}
    first = asyncio.create_task(lab.run(nodes))
    await asyncio.to_thread(lab.bench.entered.wait)
    second = asyncio.create_task(lab.run(nodes))
    while not any(call.waiters for call in lab.engine.in_flight.values()):  # noqa: ASYNC110
        await asyncio.sleep(0)
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first
    lab.bench.gate.set()
    result = await second
    assert values(result) == {"after": 2}
    assert result.nodes["w"]["reason"] == "computed at the same time"


async def test_the_same_key_in_flight_is_computed_once_across_runs(lab: Lab) -> None:
    nodes = {"w": entry("wait_for_gate", a=1)}
    runs = [asyncio.create_task(lab.run(nodes, count_anew=False)) for _ in range(5)]
    await asyncio.to_thread(lab.bench.entered.wait)
    while sum(len(call.waiters) for call in lab.engine.in_flight.values()) < 4:  # noqa: ASYNC110
        await asyncio.sleep(0)
    lab.bench.gate.set()
    results = await asyncio.gather(*runs)
    assert [values(result) for result in results] == [{"w": 1}] * 5
    assert lab.calls == {"wait_for_gate": 1}


async def test_async_nodes_overlap(lab: Lab) -> None:
    nodes = {"a": entry("together", a=1), "b": entry("together", a=2), "t": entry("sum_all", items=("a.value", "b.value"))}
    assert values(await asyncio.wait_for(lab.run(nodes), 10)) == {"t": 3}


async def test_out_of_memory_makes_room_and_tries_once_more(lab: Lab, device: Any) -> None:
    device.failures = 1
    result = await lab.run({"b": entry("box", content=1), "d": entry("on_device", box="b.box")})
    assert result.status == "succeeded"
    assert device.released


async def test_out_of_memory_twice_fails_with_what_is_free(lab: Lab, device: Any) -> None:
    device.failures = 2
    result = await lab.run({"b": entry("box", content=1), "d": entry("on_device", box="b.box")})
    (problem,) = result.problems
    assert problem.node == "d"
    assert "tried to allocate 3 GiB" in problem.message
    assert problem.got == "5 MiB free"


async def test_device_work_has_one_thread_of_its_own(lab: Lab) -> None:
    nodes: dict[str, Any] = {f"b{i}": entry("box", content=i) for i in range(8)}
    nodes |= {f"d{i}": entry("on_device", box=f"b{i}.box") for i in range(8)}
    result = await lab.run(nodes)
    assert {value.content[1] for value in values(result).values()} == {"device:0"}
    assert len(lab.bench.threads["on_device"]) == 1


async def test_cheap_nodes_stop_hopping_to_threads(lab: Lab) -> None:
    nodes = {"n0": entry("add", a=0)} | {f"n{i}": entry("add", a=f"n{i - 1}.value") for i in range(1, 400)}
    await lab.run(nodes)
    assert "MainThread" in lab.bench.threads["add"]


async def test_slow_nodes_never_run_on_the_loop(lab: Lab) -> None:
    nodes = {f"n{i}": entry("slow", a=i, seconds=0.002) for i in range(20)}
    await lab.run(nodes)
    assert all(name.startswith("nodegraph-cpu") for name in lab.bench.threads["slow"])

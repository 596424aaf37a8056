"""Events: numbered, complete, linear in the graph."""

from __future__ import annotations

import asyncio
from typing import Any

from engine.graphs import Lab, entry
from nodegraph.engine import (
    NodeExpanded,
    NodeFinished,
    NodeProgress,
    NodeStarted,
    RunFinished,
    RunStarted,
)


async def test_events_are_numbered_and_framed_by_start_and_finish(lab: Lab) -> None:
    events: list[Any] = []
    await lab.run({"a": entry("add", a=1), "b": entry("add", a="a.value")}, listener=events.append)
    assert [event.seq for event in events] == list(range(1, len(events) + 1))
    assert isinstance(events[0], RunStarted)
    assert isinstance(events[-1], RunFinished)
    assert events[-1].status == "succeeded"


async def test_every_node_that_was_needed_finishes_once_and_computed_ones_start_before(lab: Lab) -> None:
    events: list[Any] = []
    nodes = {"b": entry("box", content=0), "g": entry("grow_times", box="b.box", times=3)}
    result = await lab.run(nodes, listener=events.append)
    finished = [event.node for event in events if isinstance(event, NodeFinished)]
    started = [event.node for event in events if isinstance(event, NodeStarted)]
    assert sorted(finished) == sorted(result.nodes)
    assert set(started) == {"b", "g/grow", "g/grow_2", "g/grow_3"}
    assert [event.into for event in events if isinstance(event, NodeExpanded)] == [("g/grow", "g/grow_2", "g/grow_3")]


async def test_volume_is_linear_in_the_graph(lab: Lab) -> None:
    def chain(length: int, start: int) -> dict[str, Any]:
        return {"n0": entry("add", a=start)} | {f"n{i}": entry("add", a=f"n{i - 1}.value") for i in range(1, length)}

    counts = []
    for length, start in ((100, 0), (200, 1000)):
        events: list[Any] = []
        await lab.run(chain(length, start), listener=events.append)
        counts.append(len(events))
    assert counts == [2 * 100 + 2, 2 * 200 + 2]


async def test_progress_and_device_peaks_are_told(lab: Lab) -> None:
    events: list[Any] = []
    lab.bench.gate.set()
    nodes = {"w": entry("wait_for_gate", a=1), "b": entry("box", content=1), "d": entry("on_device", box="b.box")}
    await lab.run(nodes, listener=events.append)
    assert [(event.node, event.done, event.total) for event in events if isinstance(event, NodeProgress)] == [("w", 1, 1)]
    peaks = {event.node: event.peak_bytes for event in events if isinstance(event, NodeFinished)}
    assert peaks == {"w": None, "b": None, "d": 123}


async def test_nothing_is_told_after_a_run_has_ended(lab: Lab) -> None:
    events: list[Any] = []
    task = asyncio.create_task(lab.run({"w": entry("wait_for_gate", a=1)}, listener=events.append))
    await asyncio.to_thread(lab.bench.entered.wait)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    lab.bench.gate.set()
    while lab.engine.in_flight:  # noqa: ASYNC110
        await asyncio.sleep(0)
    assert isinstance(events[-1], RunFinished)
    assert events[-1].status == "cancelled"

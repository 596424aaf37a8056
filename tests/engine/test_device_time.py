"""A device that is not done when its call returns: work behind it goes on, other lanes wait, and times are the device's own."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

from engine.graphs import values
from engine.steps import Desk, Log, picture
from nodegraph.engine import Event, NodeFinished


async def test_steps_follow_each_other_at_once_and_other_lanes_wait_for_the_device(device: Any) -> None:
    device.done = threading.Event()
    log = Log()
    log.gate.set()
    events: list[Event] = []
    async with Desk(log, device) as desk:
        run = asyncio.create_task(desk.run(picture(1, 5), listener=events.append))
        while log.calls["step"] < 5:  # noqa: ASYNC110
            await asyncio.sleep(0.001)
        await asyncio.sleep(0.01)
        assert log.calls["decode"] == 0
        assert not [event for event in events if isinstance(event, NodeFinished) and "step" in event.node]
        device.done.set()
        result = await run
    assert values(result)["save"].data == b"picture 1005"
    steps = [event for event in events if isinstance(event, NodeFinished) and "step" in event.node]
    assert [event.node for event in steps] == [f"denoise/step_{i}" for i in range(1, 6)]
    assert {event.ms for event in steps} == {250}
    assert result.nodes["denoise/step_3"]["ms"] == 250


async def test_a_run_is_over_when_the_device_is_done(device: Any) -> None:
    device.done = threading.Event()
    log = Log()
    log.gate.set()
    async with Desk(log, device) as desk:
        run = asyncio.create_task(desk.run(picture(1, 2), ["denoise.state"]))
        while log.calls["step"] < 2:  # noqa: ASYNC110
            await asyncio.sleep(0.001)
        await asyncio.sleep(0.01)
        assert not run.done()
        device.done.set()
        assert values(await run)["denoise.state"].number == 1002

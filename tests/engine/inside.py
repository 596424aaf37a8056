"""What tests look at inside an engine: the only place that knows where it lies."""

from __future__ import annotations

import asyncio
import gc
from typing import Any

from nodegraph.engine import Engine
from nodegraph.engine.run import Run


def lanes_of(engine: Engine) -> list[Any]:
    devices = engine._devices
    return [*(devices.lanes if devices is not None else []), *([engine._cpu] if engine._cpu is not None else [])]


def device_lane(engine: Engine) -> Any:
    """The lane of the only device, once it has been used."""
    assert engine._devices is not None
    return engine._devices.lanes[0]


def leftovers(engine: Engine) -> dict[str, Any]:
    """What an engine with nothing to do should not have: empty when all is well."""
    found: dict[str, Any] = {
        "in flight": dict(engine.in_flight),
        "deciding": dict(engine.deciding),
        "tasks": set(engine._tasks),
        "timings": set(engine.timings),
        "runs": set(engine._runs),
        "loading": dict(engine.cache._loading),
    }
    for i, lane in enumerate(lanes_of(engine)):
        found[f"queue of lane {i}"] = [call for *_, call in lane._queue if not call.taken]
        found[f"waiting in lane {i}"] = lane._waiting
        found[f"peers of lane {i}"] = dict(lane._peers)
    return {name: value for name, value in found.items() if value}


def living_runs() -> list[Run]:
    """Runs that somebody holds on to, with all their results. A loop's last handle may hold one for a turn."""
    gc.collect()
    return [found for found in gc.get_objects() if type(found) is Run]


async def at_rest(engine: Engine, seconds: float = 10) -> dict[str, Any]:
    """Wait until nothing is under way; what is left when it takes too long."""
    try:
        async with asyncio.timeout(seconds):
            while leftovers(engine):  # noqa: ASYNC110
                await asyncio.sleep(0.001)
    except TimeoutError:
        pass
    return leftovers(engine)

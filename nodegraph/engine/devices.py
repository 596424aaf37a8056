"""The engine's devices: a lane each, the networks that are resident there, and what happens when memory runs out."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

from nodegraph.engine.arbiter import Arbiter
from nodegraph.engine.batching import BatchLimits
from nodegraph.engine.calls import Call, Outcome
from nodegraph.engine.contexts import context_of
from nodegraph.engine.device import DeviceAdapter
from nodegraph.engine.lanes import ThreadLane
from nodegraph.engine.on_device import Workplace, perform_on_device
from nodegraph.store.memory import HOST, Place

if TYPE_CHECKING:
    from nodegraph.engine.engine import Engine

_LOG = logging.getLogger(__name__)

_DEVICE_SECONDS = 0.05  # what a call is taken to cost until the device has said it


@dataclass(frozen=True, slots=True)
class _Device:
    lane: ThreadLane
    place: Workplace


class DeviceUse(NamedTuple):
    """A device's memory in bytes, None where it cannot tell, and the networks that are resident there: kind and bytes."""

    name: str
    kind: str
    free: int | None
    total: int | None
    networks: tuple[tuple[str, int], ...]


class Devices:
    """Made with the first call of the gpu lane; `budget_bytes` is for the networks on each device."""

    def __init__(self, engine: Engine, adapter: DeviceAdapter, budget_bytes: int | None) -> None:
        self._engine, self.adapter = engine, adapter
        self._loop = asyncio.get_running_loop()
        self._devices = [self._opened(device, budget_bytes) for device in adapter.lanes()]
        self.calls: Counter[int] = Counter()  # that were performed, by how many there were at once

    def _opened(self, device: Any, budget_bytes: int | None) -> _Device:
        engine, adapter = self._engine, self.adapter
        clock = ThreadPoolExecutor(1, thread_name_prefix=f"nodegraph-clock-{device}")
        arbiter = Arbiter(adapter, device, engine.library.loader_of, budget_bytes)
        place = Workplace(adapter, arbiter, BatchLimits(), partial(self._make_room, device), clock)
        work, done = partial(self._perform, place), partial(self._done, place)
        values = adapter.value_bytes(device)
        if values is not None:
            engine.memory.set_budget(str(device), values)
        return _Device(ThreadLane(str(device), 1, work, engine.started, done, place.at_once), place)

    @property
    def lanes(self) -> list[ThreadLane]:
        return [device.lane for device in self._devices]

    def submit(self, call: Call) -> None:
        """Give a call to the device with the least to do. Raises what the node's batch key raises."""
        batch = None if call.run.hasher.exact else call.node.batch
        fits = None if batch is None else batch.key(call.inputs)
        hash(fits)  # the author's mistake is to fail this node, not the lane
        call.batch_key = None if fits is None else (call.spec.id, fits)
        min(self._devices, key=lambda device: device.lane.load).lane.submit(call)

    def _perform(self, place: Workplace, calls: Sequence[Call]) -> list[Outcome]:
        return perform_on_device(calls, [context_of(self._engine, call) for call in calls], place)

    def _done(self, place: Workplace, call: Call, outcome: Outcome) -> None:
        """A device's thread is done with a call; where the device itself is not, what follows there need not wait for it."""
        engine = self._engine
        self.calls[outcome.batch] += 1
        if outcome.pending is not None:
            outcome.cost = engine.costs.known(call.spec) or _DEVICE_SECONDS
            outcome.timing = engine.spawn(self._timed(place, call, outcome, outcome.pending))
            for timings in (engine.timings, call.run.timings):
                timings.add(outcome.timing)
                outcome.timing.add_done_callback(timings.discard)
        engine.settle(call, outcome)

    async def _timed(self, place: Workplace, call: Call, outcome: Outcome, pending: Callable[[], float]) -> None:
        """The device's own time for a call, once it is done."""
        try:
            seconds = await self._loop.run_in_executor(place.clock, pending)
        except Exception as error:
            _LOG.exception("%s: the device failed after the call had returned", call.path)
            call.run.on_device_failure(call, error)
            await self._engine.cache.remove(self._engine.cache.forget(Place(call.key, "")))
            return
        finally:
            if outcome.result is not None:
                outcome.result.ready = ()
        self._engine.costs.learn(call.spec, seconds / outcome.batch)
        place.learn(call, outcome.batch, seconds)
        call.run.on_timed(call, seconds / outcome.batch, outcome.peak_bytes)

    def _make_room(self, device: Any) -> None:
        """On a device's thread, out of memory: cached values leave it, or the host where values lie there."""

        async def leave() -> None:
            await self._engine.cache.drain()
            self._engine.memory.leave(HOST if self.adapter.value_bytes(device) is None else str(device))
            await asyncio.gather(*self._engine.spilling)

        with contextlib.suppress(Exception):
            asyncio.run_coroutine_threadsafe(leave(), self._loop).result(timeout=30)
        gc.collect()
        self.adapter.release(device)

    async def uses(self) -> list[DeviceUse]:
        """What is in each device's memory. The devices are asked on a thread, for a driver may take its time."""
        return await asyncio.to_thread(lambda: [self._use(device.place.arbiter) for device in self._devices])

    def _use(self, arbiter: Arbiter) -> DeviceUse:
        device, adapter = arbiter.device, self.adapter
        free, total = adapter.free_bytes(device), adapter.total_bytes(device)
        return DeviceUse(str(device), str(device).partition(":")[0], free, total, arbiter.sizes)

    async def drop_networks(self) -> int:
        """Let every network go that nothing is using at the moment: how many bytes it was."""
        return sum([await device.lane.ask(device.place.arbiter.drop_unused) for device in self._devices])

    async def release(self) -> None:
        """Give memory that is free back to the system."""
        for device in self._devices:
            await device.lane.ask(partial(self.adapter.release, device.place.arbiter.device))

    async def close(self) -> None:
        for device in self._devices:
            await device.lane.close()
            device.place.clock.shutdown(wait=False)

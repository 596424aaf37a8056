"""Many runs at once on real threads: shared work is done once, nothing is left behind, and the order is fair."""

from __future__ import annotations

import asyncio
import threading
import time
from random import Random
from types import SimpleNamespace
from typing import Any

import pytest

from engine.conftest import PretendedDevice
from engine.drawn import NAMES, Seed, resolve
from engine.graphs import Bench, Lab, entry, library
from engine.inside import at_rest, device_lane, living_runs
from engine.steps import Desk, Log, at
from engine.watched import Watched
from nodegraph.engine import Engine, Event, NodeFinished

# ---- many runs ----


def variants(random: Random, count: int) -> list[list[Seed]]:
    """Documents that have most of their nodes in common."""
    names = [name for name in NAMES if name not in ("fail_odd", "fail_heavy", "risky", "fresh", "weather", "forecast")]

    def new(uid: int) -> Seed:
        a, b, c = (random.randrange(10_000) for _ in range(3))
        return Seed(uid, random.choice(names), (a, b, c))

    shared = [new(uid) for uid in range(40)]
    shared += [Seed(40 + i, "make", (5 * i, 0, 0)) for i in range(4)]  # typed: 0 to 3
    shared += [Seed(50 + i, "step", (17 * i + 3, 5 * i + 5, 0)) for i in range(20)]
    return [shared + [new(100 + uid) for uid in range(5)] for _ in range(count)]


@pytest.mark.slow
@pytest.mark.parametrize("number", [1, 2, 3])
async def test_two_hundred_runs_at_once_compute_what_they_share_once(number: int) -> None:
    random = Random(number)
    watched: Any = Watched(SimpleNamespace(jobs=0), disk=False, dear=True)  # type: ignore[arg-type]
    pauses = [random.choice([0.0, 0.0, 0.0002, 0.001]) for _ in range(997)]
    watched.world.pause = lambda: time.sleep(pauses[time.perf_counter_ns() % 997])
    graphs = [resolve(seeds) for seeds in variants(random, 20)]
    for each in watched._patches:
        each.start()
    try:
        await watched.start()

        async def one(i: int) -> None:
            graph = graphs[i % len(graphs)]
            names = [name for name in graph if random.random() < 0.5] or list(graph)[-1:]
            options = {"exact": random.random() < 0.5, "priority": random.randrange(3)}
            task = asyncio.create_task(watched.run(graph, names, piecewise=random.random() < 0.3, **options))
            if random.random() < 0.3:
                await asyncio.sleep(random.random() * 0.3)
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)
            else:
                await task

        async with asyncio.timeout(60):
            await asyncio.gather(*(one(i) for i in range(200)))
        assert await at_rest(watched.engine) == {}
        watched.check()
        assert not watched.failing
        assert max(watched.world.batches) > 1
        assert len(watched.engine._runs) == 0
        await asyncio.sleep(0)
        assert [run for run in living_runs() if run.engine is watched.engine] == []
        await watched.stop()
    finally:
        for each in watched._patches:
            each.stop()


async def test_runs_that_are_cancelled_at_once_leave_nothing_behind(device: PretendedDevice) -> None:
    log = Log()
    log.gate.set()
    random = Random(5)
    async with Desk(log, device) as desk:

        async def one(seed: int) -> None:
            nodes = {
                "b": at("begin", seed=seed % 4),
                "d": at("denoise", state="b.state", steps=20),
                "o": at("decode", state="d.state"),
            }
            task = asyncio.create_task(desk.run(nodes, exact=seed % 3 > 0, priority=seed % 2))
            await asyncio.sleep(random.random() * 0.05)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

        async with asyncio.timeout(20):
            await asyncio.gather(*(one(seed) for seed in range(60)))
        assert await at_rest(desk.engine) == {}
        assert [run for run in living_runs() if run.engine is desk.engine] == []
        nodes = {"b": at("begin", seed=1), "d": at("denoise", state="b.state", steps=20)}
        async with asyncio.timeout(10):
            assert (await desk.run(nodes)).status == "succeeded"


# ---- order ----


def steps(seed: int, count: int = 2) -> dict[str, Any]:
    return {"b": at("begin", seed=seed), "d": at("denoise", state="b.state", steps=count)}


class Lane:
    """A device lane that a first call keeps busy, and runs that queue behind it."""

    def __init__(self, desk: Desk) -> None:
        self.desk = desk
        self.tasks: list[asyncio.Task[Any]] = []

    async def begin(self, nodes: dict[str, Any], **options: Any) -> asyncio.Task[Any]:
        """Start a run, and wait until it stands in the lane."""
        before = 0 if self.desk.engine._devices is None else device_lane(self.desk.engine)._count
        self.tasks.append(asyncio.create_task(self.desk.run(nodes, **options)))
        async with asyncio.timeout(10):
            while self.desk.engine._devices is None or device_lane(self.desk.engine)._count == before:  # noqa: ASYNC110
                await asyncio.sleep(0.001)
        return self.tasks[-1]

    async def finish(self) -> list[str]:
        """Open the lane; the steps in the order in which they were done, as `seed.step`."""
        self.desk.log.gate.set()
        async with asyncio.timeout(10):
            await asyncio.gather(*self.tasks, return_exceptions=True)
        numbers = [int(text.split()[1]) for text in self.desk.log.order if text.startswith("step")]
        return [f"{number // 1000}.{number % 1000}" for number in numbers]


async def test_a_run_of_higher_priority_goes_first_and_of_equal_ones_the_older(device: PretendedDevice) -> None:
    async with Desk(Log(), device) as desk:
        lane = Lane(desk)
        await lane.begin(steps(1, 1))
        await lane.begin(steps(2))
        await lane.begin(steps(3))
        await lane.begin(steps(4), priority=5)
        await lane.begin(steps(5), priority=-1)
        order = await lane.finish()
    assert order == ["1.0", "4.0", "4.1", "2.0", "2.1", "3.0", "3.1", "5.0", "5.1"]


async def test_a_batch_is_led_by_whoever_is_first_and_takes_others_along(device: PretendedDevice) -> None:
    async with Desk(Log(), device) as desk:
        lane = Lane(desk)
        await lane.begin(steps(1, 1))
        for seed in (2, 3, 4):
            await lane.begin(steps(seed, 1), exact=False)
        await lane.begin({"b": at("begin", seed=5, nbytes=77), "d": at("step", state="b.state")}, exact=False, priority=1)
        order = await lane.finish()
    assert order[:2] == ["1.0", "5.0"]
    assert sorted(order[2:]) == ["2.0", "3.0", "4.0"]


@pytest.mark.parametrize("exact", [True, False])
async def test_after_cancel_at_most_one_more_step_begins(exact: bool, device: PretendedDevice) -> None:
    log, loop = Log(), asyncio.get_running_loop()
    log.gate.set()
    tasks: list[asyncio.Task[Any]] = []
    cancelled_at: list[int] = []

    def cancel() -> None:
        tasks[0].cancel()
        cancelled_at.append(log.calls["step"])

    def before_step(number: int) -> None:
        if number == 1007:
            loop.call_soon_threadsafe(cancel)

    log.before_step = before_step
    async with Desk(log, device) as desk:
        tasks.append(asyncio.create_task(desk.run(steps(1, 500), exact=exact)))
        async with asyncio.timeout(10):
            await asyncio.gather(*tasks, return_exceptions=True)
            await at_rest(desk.engine)
    assert tasks[0].cancelled()
    assert log.calls["step"] <= cancelled_at[0] + 1


async def test_after_cancel_at_most_one_more_call_begins_per_thread_of_the_cpu_lane() -> None:
    bench, loop = Bench(), asyncio.get_running_loop()
    async with Engine(library(bench), device=PretendedDevice) as engine:
        lab = Lab(engine, bench)
        nodes = {f"s{i}": entry("slow", a=i, seconds=0.001) for i in range(300)}
        task = asyncio.create_task(lab.run(nodes, list(nodes)))
        async with asyncio.timeout(10):
            while bench.calls["slow"] < 20:  # noqa: ASYNC110
                await asyncio.sleep(0)
            task.cancel()
            at_cancel = bench.calls["slow"]
            await asyncio.gather(task, return_exceptions=True)
            await at_rest(engine)
        threads = len(bench.threads["slow"])
    assert bench.calls["slow"] <= at_cancel + threads
    assert loop.is_running()


# ---- overlap ----


async def test_the_cpu_and_io_lanes_go_on_while_the_device_is_busy(device: PretendedDevice) -> None:
    log = Log()
    finished: dict[str, asyncio.Event] = {name: asyncio.Event() for name in ("decode", "later", "begin2")}
    log_pack_nodes = {
        "begin": at("begin", seed=1),
        "step": at("step", state="begin.state"),  # held by the gate
        "begin2": at("begin", seed=2),
        "decode": at("decode", state="begin2.state"),
        "later": at("wait", number="decode.value"),
        "end": at("decode", state="step.state"),
    }

    def listen(event: Event) -> None:
        if isinstance(event, NodeFinished) and event.node in finished:
            finished[event.node].set()

    async with Desk(log, device) as desk:
        task = asyncio.create_task(desk.run(log_pack_nodes, ["later.value", "end.value"], listener=listen))
        async with asyncio.timeout(10):
            await asyncio.gather(*(event.wait() for event in finished.values()))
            assert log.calls["step"] == 0, "the device is still at work"
            log.gate.set()
            result = await task
    assert result.status == "succeeded"


async def test_two_runs_overlap_on_different_lanes(device: PretendedDevice) -> None:
    log = Log()
    async with Desk(log, device) as desk:
        lane = Lane(desk)
        held = await lane.begin(steps(1, 3))
        async with asyncio.timeout(10):
            other = await desk.run({"b": at("begin", seed=2), "d": at("decode", state="b.state")})
        assert other.status == "succeeded"
        assert not held.done()
        await lane.finish()


async def test_the_loop_stays_free_while_threads_are_busy() -> None:
    bench = Bench()
    async with Engine(library(bench), device=PretendedDevice) as engine:
        task = asyncio.create_task(Lab(engine, bench).run({"w": entry("wait_for_gate", a=1)}))
        async with asyncio.timeout(10):
            await asyncio.to_thread(bench.entered.wait)
            for _ in range(100):
                await asyncio.sleep(0)
            assert not task.done()
            bench.gate.set()
            assert (await task).status == "succeeded"
    assert threading.current_thread() is threading.main_thread()

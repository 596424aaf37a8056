"""Batches: calls with one batch key run at once, from any branch and any run, and nobody is worse off for it."""

from __future__ import annotations

import asyncio
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from engine.graphs import states, values
from engine.steps import Desk, Log, at, picture
from nodegraph.engine.batching import BatchLimits


async def test_runs_that_do_not_ask_for_exact_results_share_their_steps(device: Any) -> None:
    log = Log()
    async with Desk(log, device) as desk:
        runs = [asyncio.create_task(desk.run(picture(seed, 20), exact=False)) for seed in range(8)]
        log.gate.set()
        results = await asyncio.gather(*runs)
    assert {result.status for result in results} == {"succeeded"}
    assert [values(result)["save"].data for result in results] == [f"picture {seed * 1000 + 20}".encode() for seed in range(8)]
    assert log.calls["step"] == 8 * 20
    assert max(log.batches) == 8


async def test_exact_runs_never_share_a_batch_nor_a_result_with_runs_that_do(device: Any) -> None:
    log = Log()
    log.gate.set()
    async with Desk(log, device) as desk:
        await asyncio.gather(*(desk.run(picture(seed)) for seed in range(4)))
        assert set(log.batches) == {1}
        assert log.calls["step"] == 12
        await asyncio.gather(*(desk.run(picture(seed), exact=False) for seed in range(4)))
        assert log.calls["step"] == 24
        again = await desk.run(picture(1))
    assert states(again)["save"] == "hit"
    assert log.calls["begin"] == 4, "what cannot run in batches is the same for both"


async def test_branches_of_one_run_share_batches_and_other_sizes_stay_apart(device: Any) -> None:
    log = Log()
    nodes = {f"b{i}": at("begin", seed=i, nbytes=1000 if i < 6 else 2000) for i in range(9)}
    nodes |= {f"d{i}": at("denoise", state=f"b{i}.state", steps=12) for i in range(9)}
    async with Desk(log, device) as desk:
        run = asyncio.create_task(desk.run(nodes, [f"d{i}.state" for i in range(9)], exact=False))
        log.gate.set()
        result = await run
    assert [output.value.number for output in result.outputs] == [1000 * i + 12 for i in range(9)]
    assert max(log.batches) in range(4, 7)


async def test_one_bad_call_fails_alone_and_its_companions_go_on(device: Any) -> None:
    log = Log()
    nodes = {f"b{i}": at("begin", seed=i) for i in range(4)}
    nodes |= {f"s{i}": at("step", state=f"b{i}.state", poison=i == 2) for i in range(4)}
    async with Desk(log, device) as desk:
        run = asyncio.create_task(desk.run(nodes, [f"s{i}.state" for i in range(4)], exact=False))
        log.gate.set()
        result = await run
    assert [problem.node for problem in result.problems] == ["s2"]
    assert sorted(values(result)) == ["s0.state", "s1.state", "s3.state"]


async def test_a_batch_that_does_not_fit_is_halved_and_the_limit_is_remembered(device: Any) -> None:
    log = Log(most=3)
    log.gate.set()
    async with Desk(log, device) as desk:
        results = await asyncio.gather(*(desk.run(picture(seed, 30), exact=False) for seed in range(8)))
        assert {result.status for result in results} == {"succeeded"}
        assert log.calls["step"] == 240
        assert max(log.batches) <= 3
        log.batches.clear()
        await asyncio.gather(*(desk.run(picture(seed + 100, 5), exact=False) for seed in range(8)))
        assert max(log.batches) <= 2


async def test_cancelling_one_run_of_a_batch_leaves_its_companions_alone(device: Any) -> None:
    log = Log()
    async with Desk(log, device) as desk:
        runs = [asyncio.create_task(desk.run(picture(seed, 5), exact=False)) for seed in range(4)]
        while not desk.engine._devices:  # noqa: ASYNC110
            await asyncio.sleep(0)
        runs[0].cancel()
        log.gate.set()
        results = await asyncio.gather(*runs, return_exceptions=True)
    assert isinstance(results[0], asyncio.CancelledError)
    assert all(not isinstance(result, BaseException) and result.status == "succeeded" for result in results[1:])


def test_the_limit_grows_while_larger_batches_do_more_per_second() -> None:
    limits = BatchLimits()
    sizes = []
    for _ in range(20):
        size = limits.at_once("k", 64)
        sizes.append(size)
        limits.learn("k", size, 1.0 + 0.1 * size if size <= 8 else 1.0 * size)  # better up to 8, much worse beyond
    assert sizes[-1] == 8
    assert max(sizes) <= 32


def test_where_batches_bring_nothing_calls_run_alone() -> None:
    limits = BatchLimits()
    for _ in range(20):
        size = limits.at_once("k", 64)
        limits.learn("k", size, 0.1 * size)
    assert limits.at_once("k", 64) == 1


@given(st.lists(st.tuples(st.integers(1, 64), st.floats(1e-4, 10), st.booleans()), max_size=60), st.integers(1, 64))
def test_the_limit_is_at_least_one_and_never_above_what_is_allowed_or_fits(
    events: list[tuple[int, float, bool]], most: int
) -> None:
    limits, fits = BatchLimits(), 1 << 30
    for size, seconds, refused in events:
        if refused:
            limits.refuse("k", size)
            fits = min(fits, max(1, size // 2))
        else:
            limits.learn("k", size, seconds)
        assert 1 <= limits.at_once("k", most) <= max(1, min(most, fits))

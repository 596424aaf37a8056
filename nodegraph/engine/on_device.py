"""Running calls on a device's thread: one alone or several as a batch, with networks resident and out of memory answered.

Out of memory, in order: references dropped, unused networks and cached values leave the device, a batch is halved, a single
call is tried once more; then it fails with what was wanted and what was free.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import Any

from nodegraph.engine.arbiter import Arbiter
from nodegraph.engine.batching import BatchLimits
from nodegraph.engine.calls import Call, Outcome, check_unwritten, failed, generations, invoke, to_device, unpack
from nodegraph.engine.device import DeviceAdapter
from nodegraph.sdk.batching import Inputs
from nodegraph.sdk.context import Context
from nodegraph.sdk.errors import Cancelled, NodeError


@dataclass(frozen=True, slots=True)
class Workplace:
    """A device at work: `make_room` lets cached values leave it, `clock` is where somebody waits for it."""

    adapter: DeviceAdapter
    arbiter: Arbiter
    limits: BatchLimits
    make_room: Callable[[], None]
    clock: Executor

    def at_once(self, call: Call) -> int:
        """How many calls like this one to run together."""
        batch = call.node.batch
        return 1 if batch is None else self.limits.at_once(call.batch_key, batch.limit)

    def learn(self, call: Call, size: int, seconds: float) -> None:
        """A batch of calls like this one took so long."""
        if call.batch_key is not None:
            self.limits.learn(call.batch_key, size, seconds)


def perform_on_device(calls: Sequence[Call], contexts: Sequence[Context], place: Workplace) -> list[Outcome]:
    """Run calls that fit together: one outcome each, in order."""
    for context in contexts:
        context.device, context.load = place.arbiter.device, place.arbiter.resident
    outcomes = _perform(calls, contexts, place)
    place.arbiter.unpin()
    return outcomes


def _perform(calls: Sequence[Call], contexts: Sequence[Context], place: Workplace) -> list[Outcome]:
    adapter, arbiter, size = place.adapter, place.arbiter, len(calls)
    start, loading = time.perf_counter(), arbiter.loading_seconds
    for attempt in (1, 2):
        try:
            outcomes = _attempt(calls, contexts, place)
            break
        except Exception as error:
            if not adapter.is_out_of_memory(error):
                if size == 1:
                    outcomes = [failed(calls[0], error)]
                    break
                alone = True
            else:
                alone = False
                message, wanted = str(error).split("\n")[0], adapter.wanted_bytes(error)
        # here the exception and its traceback are gone, and with them what they kept alive
        if alone:  # one of them is at fault, and only that one is to fail
            return [_perform([call], [context], place)[0] for call, context in zip(calls, contexts, strict=True)]
        arbiter.drop_unused()
        place.make_room()
        if size > 1:
            place.limits.refuse(calls[0].batch_key, size)
            half = size // 2
            return _perform(calls[:half], contexts[:half], place) + _perform(calls[half:], contexts[half:], place)
        if attempt == 2:
            outcomes = [_no_room(calls[0], message, wanted, adapter.free_bytes(arbiter.device))]
    seconds = time.perf_counter() - start
    cost = max(0.0, seconds - (arbiter.loading_seconds - loading))
    if all(outcome.values is not None and outcome.pending is None for outcome in outcomes):
        place.learn(calls[0], size, cost)
    for outcome in outcomes:
        outcome.seconds, outcome.cost, outcome.batch = seconds / size, cost / size, size
    return outcomes


def _attempt(calls: Sequence[Call], contexts: Sequence[Context], place: Workplace) -> list[Outcome]:
    """Run the calls once. Raises whatever the node raised."""
    with place.adapter.working(place.arbiter.device) as working:
        for call in calls:
            to_device(call, place.arbiter.device)
        before = [generations(call) for call in calls]
        if len(calls) == 1:
            results: Sequence[Any] = [invoke(calls[0], contexts[0])]
        else:
            results = _together(calls, contexts)
    outcomes = []
    for call, known, result in zip(calls, before, results, strict=True):
        try:
            if isinstance(result, BaseException):
                raise result
            check_unwritten(call, known)
            outcomes.append(Outcome(result, peak_bytes=working.peak_bytes, pending=working.pending))
        except Exception as error:
            if len(calls) == 1 or (place.adapter.is_out_of_memory(error) and not isinstance(error, NodeError)):
                raise
            outcomes.append(failed(call, error))
    return outcomes


def _together(calls: Sequence[Call], contexts: Sequence[Context]) -> Sequence[Any]:
    """Several calls at once: outputs by name for each, or the exception that it ended with."""
    batch = calls[0].node.batch
    assert batch is not None
    wanted = [i for i, call in enumerate(calls) if not call.abandoned]
    results: list[Any] = [Cancelled(call.path) for call in calls]
    if wanted:
        returned = batch.run([Inputs.of(calls[i].arguments, contexts[i]) for i in wanted])
        if len(returned) != len(wanted):
            raise TypeError(f"{calls[0].spec.id} was given {len(wanted)} calls at once and gave {len(returned)} results")
        for i, value in zip(wanted, returned, strict=True):
            results[i] = value if isinstance(value, BaseException) else unpack(calls[i].spec, value)
    return results


def _no_room(call: Call, message: str, wanted: int | None, free: int | None) -> Outcome:
    expected = f"{_mib(wanted)} more" if wanted is not None else None
    got = f"{_mib(free)} free" if free is not None else None
    hint = "Make the picture smaller, or close what else uses the device."
    error = NodeError(f"Out of memory: {message}", expected=expected, got=got, hint=hint)
    return Outcome(problem=error.problem(call.path, "out_of_memory"))


def _mib(nbytes: int) -> str:
    return f"{nbytes / 2**20:,.0f} MiB"

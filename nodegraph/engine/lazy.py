"""Nodes with lazy inputs: which input they await is found out by running them, and remembered as a trace.

The key grows with every awaited input: key0 = eager inputs; key' = hash(key, name, token). Under each key the cache holds
either "then `name` was awaited" or the result, so a later run follows the trace and evaluates only what was used.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from nodegraph.engine.calls import Call, Lost
from nodegraph.engine.gather import linked
from nodegraph.engine.keys import digest
from nodegraph.sdk.errors import NodeError
from nodegraph.sdk.values import Lazy
from nodegraph.store import Alias, Result, Trace

if TYPE_CHECKING:
    from nodegraph.engine.run import Run


async def run_lazy(run: Run, call: Call) -> None:
    """Find the node's result by its trace, or run it and record the trace."""
    from nodegraph.engine.run import COMPUTED, HIT, QUEUED  # here, because run.py starts this

    run.state[call.index] = QUEUED
    node = run.nodes[call.index]
    memory = run.engine.memory
    known: dict[str, Any] = {}
    trail: list[tuple[str, str]] = []  # (key, name) in the order awaited
    key = call.key

    async def awaited(name: str) -> Any:
        nonlocal key
        if name not in known:
            value, token, volatile = await _evaluate(run, call.index, name)
            known[name] = value
            call.volatile = call.volatile or volatile
            trail.append((key, name))
            key = digest(f"{key}\0{name}\0{token}")
        return known[name]

    try:
        while not call.volatile:
            entry = memory.get(key)
            if isinstance(entry, Result):
                run.alias(call.index, Alias(key), call.volatile)
                run.finish(call.index, entry, HIT, "in memory, chosen inputs came out the same")
                return
            if not isinstance(entry, Trace):
                break
            await awaited(entry.name)
        for spec in node.spec.inputs:
            if spec.lazy and (any(link.input == spec.name for link in node.links)):
                call.arguments[spec.name] = Lazy(lambda name=spec.name: awaited(name))  # type: ignore[misc]
            elif spec.lazy:
                call.arguments[spec.name] = Lazy.of(call.arguments.get(spec.name))
        start = time.perf_counter()
        outcome = await run.engine.perform_async(call)
        outcome.seconds = time.perf_counter() - start
        if outcome.values is None:
            if outcome.problem is not None:
                run.fail(call.index, outcome.problem, trace=outcome.trace)
            return
        result = Result(key, outcome.values, None, call.volatile)
        if not call.volatile:
            for before, name in trail:
                memory.put(before, Trace(name))
            memory.put(key, result, run.engine.nbytes(call.spec, outcome.values), outcome.seconds)
            run.alias(call.index, Alias(key), call.volatile)
        run.ms[call.index] = outcome.seconds * 1e3
        run.finish(call.index, result, COMPUTED, "")
    except Lost as lost:
        run.skip(call.index, lost.source)
    except NodeError as error:
        run.fail(call.index, error.problem(node.id))
    finally:
        run.go_on()


async def _evaluate(run: Run, index: int, name: str) -> tuple[Any, str, bool]:
    """The value, token and volatility of a lazy input's link."""
    from nodegraph.engine.run import COMPUTED, HIT

    node = run.nodes[index]
    link = next(link for link in node.links if link.input == name)
    await run.evaluate(link.source)
    if run.state[link.source] not in (COMPUTED, HIT):
        raise Lost(link.source)
    value, token = linked(run.nodes, run.result, node, link)
    source = run.result[link.source]
    return value, token, source is not None and source.volatile

"""Nodes with lazy inputs: which input they await is found out by running them, and remembered as a trace.

The key grows with every awaited input: key0 = eager inputs; key' = hash(key, name, token). Under each key the cache holds
either "then `name` was awaited" or the result, so a later run follows the trace and evaluates only what was used.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from functools import partial
from typing import TYPE_CHECKING, Any

from nodegraph.engine.cache import Fetch
from nodegraph.engine.calls import Call, Lost, moved
from nodegraph.engine.gather import Linked, granted, linked
from nodegraph.engine.keys import digest
from nodegraph.engine.losing import fail, fail_with, skip
from nodegraph.engine.states import HIT, QUEUED, THERE
from nodegraph.sdk.errors import NodeError
from nodegraph.sdk.values import Lazy
from nodegraph.store import Alias, Result, Trace

if TYPE_CHECKING:
    from nodegraph.engine.run import Run


async def run_lazy(run: Run, call: Call) -> None:
    """Find the node's result by its trace, or run it and record the trace."""
    i, cache = call.index, run.cache
    run.state[i] = QUEUED
    call.key = digest(f"{call.key}\0lazy")  # what follows grows it; a node of this type without links has the key so far
    deciding = run.engine.deciding
    lazy_links = {link.input for link in run.nodes[i].links if link.lazy}
    decided: asyncio.Event | None = None
    known: dict[str, Any] = {}
    waited = 0.0
    trail: list[tuple[str, str]] = []  # (key, name) in the order awaited

    async def awaited(name: str) -> Any:
        nonlocal waited
        if name not in known:
            start = time.perf_counter()
            value, token, volatile = await _evaluate(run, call, name)
            waited += time.perf_counter() - start
            if name not in known:  # awaited twice at the same time
                convert = call.node.converters.get(name)
                made = convert(value) if convert is not None and value is not None else value
                known[name] = granted(made, run.engine.secrets) if call.spec.input_by_name[name].secret else made
                call.volatile = call.volatile or volatile
                trail.append((call.key, name))
                call.key = digest(f"{call.key}\0{name}\0{token}")
        return known[name]

    try:
        while not call.volatile:
            entry = cache.entry(call.key)
            where = "in memory"
            if isinstance(entry, Fetch):
                entry, where = (await cache.load(entry.keys)).get(call.key), "on disk"
            if isinstance(entry, Result):
                run.alias(i, Alias(call.key), entry.durable)
                run.finish(i, entry, HIT, f"{where}, chosen inputs came out the same")
                return
            if not isinstance(entry, Trace) or entry.name not in lazy_links:
                other = deciding.get(run.static[i])
                if other is None:
                    break
                await other.wait()  # the same node of the same graph in another run: what it finds out serves both
                continue
            try:
                await awaited(entry.name)
            except Lost:  # the node may know what to do without it
                break
        if not run.moving[i] and run.static[i] not in deciding:
            decided = deciding[run.static[i]] = asyncio.Event()
        _offer(run, call, awaited)
        waited = 0.0
        outcome = await run.engine.perform_lazy(call)
        outcome.seconds = outcome.cost = max(0.0, outcome.seconds - waited)
        outcome = run.engine.keep(call, outcome)
        if outcome.result is not None and not call.volatile:
            for before, name in trail:
                cache.note(before, Trace(name), outcome.result.durable)
        run.take(call, outcome)
    except Lost as lost:
        skip(run, i, lost.source)
    except NodeError as error:
        fail(run, i, error.problem(run.nodes[i].id))
    except Exception as error:
        fail_with(run, i, error)
    finally:
        if decided is not None:
            del deciding[run.static[i]]
            decided.set()
        run.go_on()


def _offer(run: Run, call: Call, awaited: Callable[[str], Awaitable[Any]]) -> None:
    """Put a Lazy into the call's arguments for every lazy input."""
    linked_inputs = {link.input for link in run.nodes[call.index].links}
    for spec in call.spec.inputs:
        if spec.lazy and spec.name in linked_inputs:
            call.arguments[spec.name] = Lazy(partial(awaited, spec.name))
        elif spec.lazy:
            call.arguments[spec.name] = Lazy.of(call.arguments.get(spec.name))


async def _evaluate(run: Run, call: Call, name: str) -> Linked:
    """What a lazy input's link brings. Raises Lost; a node that catches it gives a result that no key tells of."""
    i = call.index
    link = next(link for link in run.nodes[i].links if link.input == name)
    await run.evaluate(link.source)
    if run.state[link.source] not in THERE:
        call.volatile = True
        raise Lost(link.source)
    run.moving[i] = run.moving[i] or run.moving[link.source]
    brought = linked(run.nodes, run.result, run.nodes[i], link, run.files)
    result = run.result[link.source]
    if result is not None and result.ready:
        await asyncio.wait(result.ready)
    socket = run.engine.extents.socket(call.spec.input_by_name[name].type)
    if socket is None or socket.to_host is None or brought.value is None:
        return brought
    return brought._replace(value=moved(brought.value, socket.to_host))

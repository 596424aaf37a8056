"""Walking backwards from what is wanted, only past misses.

A node is asked for its value, or (marked ~index) only for what its list consists of: then its items are asked for one by one
by those who are linked to them.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from nodegraph.engine.cache import Fetch
from nodegraph.engine.gather import values_of_composite
from nodegraph.engine.holding import drop, has_value, hold
from nodegraph.engine.losing import skip
from nodegraph.engine.states import HIT, LOST, QUEUED, THERE, UNSEEN, WAITING
from nodegraph.engine.structure import counted_link, followed, length
from nodegraph.graph.plan import PlanLink
from nodegraph.sdk.typeexpr import TypeExpr
from nodegraph.store import Alias, Result

if TYPE_CHECKING:
    from nodegraph.engine.run import Run


def demand(run: Run, marks: Iterable[int]) -> None:
    """Ask for nodes. Never recursive: chains may be as long as they like."""
    state, stack = run.state, list(marks)
    while stack:
        i = stack.pop()
        structural = i < 0
        if structural:
            i = ~i
        elif not run.valued[i]:
            run.valued[i] = True
            if state[i] == WAITING and i in run.parts:  # so far only its structure was wanted
                stack += wait_for_parts(run, i)
                continue
        if state[i] != UNSEEN:
            if state[i] not in THERE or has_value(run, i) or (structural and i in run.parts):
                continue
            if i in run.parts:
                stack += wait_for_parts(run, i)
                continue
            state[i] = UNSEEN  # it was let go, and somebody came late
        if run.moving[i] or not _find(run, i, structural):
            stack += _wait(run, i, awaited(run, i))


def awaited(run: Run, i: int) -> list[int]:
    """The sources that a node waits for before its key, or its parts, can be known; ~source for its structure alone."""
    node = run.nodes[i]
    if node.mapped:
        return _unknown(run, (link for link in node.links if link.mode == "map"))
    if node.spec.composite:
        items = counted_link(node)
        values = dict.fromkeys(link.source for link in values_of_composite(node))
        return [*values, *(_unknown(run, (items,)) if items is not None else ())]
    return list(dict.fromkeys(link.source for link in node.links if not link.lazy))


def _unknown(run: Run, lists: Iterable[PlanLink]) -> list[int]:
    """Where the lists come from whose length is not known yet, marked for their structure alone."""
    return list(dict.fromkeys(~followed(run, link).source for link in lists if length(run, link) is None))


def _wait(run: Run, i: int, marks: list[int]) -> list[int]:
    """Let node `i` wait for the sources that are not there yet: what is to be demanded, the first source last."""
    missing = [mark for mark in marks if mark < 0 or not has_value(run, mark)]
    for mark in missing:
        at = ~mark if mark < 0 else mark
        if run.state[at] in LOST:
            skip(run, i, at)
            return []
    hold(run, i, {*(link.source for link in run.nodes[i].links), *(~mark for mark in missing if mark < 0)})
    run.state[i], run.pending[i] = WAITING, len(missing)
    if not run.turn[i]:
        run.turns += 1
        run.turn[i] = run.turns
    for mark in missing:
        at, me = (~mark, ~i) if mark < 0 else (mark, i)
        waiting = run.dependents[at]
        if waiting is None:
            run.dependents[at] = [me]
        else:
            waiting.append(me)
    if not missing:
        run.ready.append(i)
    return missing[::-1]


def wait_deeper(run: Run, i: int, marks: list[int]) -> None:
    """A list's structure lies deeper than was known when node `i` began to wait: it waits there."""
    drop(run, i)
    demand(run, _wait(run, i, marks))


def wait_for_parts(run: Run, i: int) -> list[int]:
    """Wait until the parts that a node consists of have settled: those that are to be demanded, if its value is wanted."""
    targets = list(dict.fromkeys(link.source for link in run.parts[i].links()))
    valued = run.valued[i]
    lost = next((target for target in targets if run.state[target] in LOST), None)
    if lost is not None and not run.nodes[i].mapped:
        skip(run, i, lost)
        return []
    missing = [target for target in targets if run.state[target] not in LOST and not _serves(run, target, valued)]
    if valued:
        hold(run, i, targets)
    run.state[i], run.pending[i] = WAITING, len(missing)
    for target in missing:
        run.dependents[target] = [*(mark for mark in run.dependents[target] or () if mark != i), i]
    if not missing:
        run.ready.append(i)
    return missing[::-1] if valued or i in run.wanted else []


def _serves(run: Run, i: int, valued: bool) -> bool:
    """Whether a part is there: with its value, where that is wanted."""
    return has_value(run, i) if valued else run.state[i] in THERE


def structure_known(run: Run, i: int) -> None:
    """A node was divided: who waited for its structure alone goes on."""
    waiting = run.dependents[i]
    if waiting and any(mark < 0 for mark in waiting):
        run.dependents[i] = [mark for mark in waiting if mark >= 0]
        run.notify(mark for mark in waiting if mark < 0)


# ---- what is there already ----


def _find(run: Run, i: int, structural: bool) -> bool:
    """Look a node up by its static key. Structure alone is found by dividing, part by part."""
    spec = run.nodes[i].spec
    divides = run.nodes[i].mapped or spec.composite
    if structural and divides and i not in run.wanted:
        return False
    found = run.cache.find(run.static[i], divides or not run.engine.costs.is_cheap(spec))
    if isinstance(found, Result):
        led_here = found.key != run.static[i] or found.refs is not None  # by an alias, which may be anybody's
        if led_here and not _fits(run, i, found):
            return False
        run.finish(i, found, HIT, "in memory")
        return True
    if found is None or (structural and divides and len(found.keys) > 1):
        return False
    fetch(run, i, run.static[i], found, "on disk")
    return True


def _fits(run: Run, i: int, result: Result) -> bool:
    """Whether a result has the outputs of its node: what lies on disk may be anybody's."""
    node = run.nodes[i]
    outputs = node.spec.output_by_name
    if result.values.keys() != outputs.keys():
        return False
    if result.refs is None:
        return True
    mapped = max((link.depth for link in node.links if link.mode == "map"), default=int(node.mapped))
    return all(_nesting(ref) <= mapped + _levels(outputs[name].type) for name, ref in (result.refs or {}).items())


def _nesting(ref: Any) -> int:
    return 1 + max(map(_nesting, ref), default=0) if isinstance(ref, list) else 0


def _levels(expr: TypeExpr) -> float:
    """How deep lists of this type may be nested."""
    if expr.kind == "list":
        return 1 + _levels(expr.item)
    if expr.kind in ("optional", "union"):
        return max(map(_levels, expr.args))
    return math.inf if expr.kind == "var" or expr.name == "json" else 0


def fetch(run: Run, i: int, key: str, found: Fetch, reason: str) -> None:
    """Load what lies on disk, and go on with node `i` then."""
    run.state[i] = QUEUED
    run.spawn(_fetched(run, i, key, found, reason))


async def _fetched(run: Run, i: int, key: str, found: Fetch, reason: str) -> None:
    result = run.cache.loaded(key, await run.cache.load(found.keys))
    if run.ended or run.cancelled:
        return
    if result is not None and _fits(run, i, result):
        if key != run.static[i]:
            run.alias(i, Alias(key), True)
        run.finish(i, result, HIT, reason)
    else:  # it was damaged, or another process has just removed it
        run.cache.give_up(key)
        run.state[i] = UNSEEN
        drop(run, i)
        demand(run, [i if run.valued[i] else ~i])
    run.go_on()

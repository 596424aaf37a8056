"""Nodes that become others, in a run: their parts join its plan, and their outputs are put together from theirs.

A mapped node whose list comes from another mapped node is divided as soon as the list's length is known, and its items are
linked to that node's items one by one: so item 1 goes all the way before item 2 begins, and no list is ever whole in memory
unless somebody wants it whole.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from nodegraph.engine import events as ev
from nodegraph.engine.expand import Parts, expand, map_over
from nodegraph.engine.gather import linked, values_of_composite
from nodegraph.engine.order import Order
from nodegraph.engine.prepare import extend_static_keys, picked
from nodegraph.engine.states import COMPUTED, HIT, LOST, THERE, UNSEEN, WAITING
from nodegraph.graph.plan import PlanLink
from nodegraph.store import Alias, Result
from nodegraph.store.memory import GONE

if TYPE_CHECKING:
    from nodegraph.engine.run import Run


def divide(run: Run, i: int) -> None:
    """Find the parts of a mapped node or a composite, and wait for those that give its outputs.

    They are demanded when the node's value is wanted; where only its structure is, others will ask for them one by one. Raises
    NodeError, InvalidWorkflow or PackError; the run's plan is then as it was.
    """
    node, base = run.nodes[i], len(run.nodes)
    rank, items = run.order[i]
    if node.mapped:
        lengths = {link: _length(run, link) for link in node.links if link.mode in ("map", "one")}
        parts = map_over(node, lengths, base)
        for part in parts.nodes:
            part.links = tuple(followed(run, link) if link.item else link for link in part.links)
        order: list[Order] = [(rank, (*items, k)) for k in range(len(parts.nodes))]
    else:
        parts = expand(node, _known_values(run, i), run.engine.library, base)
        order = [(rank, items)] * len(parts.nodes)
    _append(run, parts, order)
    run.parts[i] = parts
    run.outputs.divided(i, parts)
    run.emit(ev.NodeExpanded, node.id, tuple(part.id for part in parts.nodes))
    wait_for_parts(run, i)
    run.structure_known(i)


def wait_for_parts(run: Run, i: int) -> None:
    """Wait until the parts that a node consists of have settled; demand them if its value is wanted."""
    targets = list(dict.fromkeys(link.source for link in run.parts[i].links()))
    valued = run.valued[i]
    lost = next((target for target in targets if run.state[target] in LOST), None)
    if lost is not None and not run.nodes[i].mapped:
        run.skip(i, lost)
        return
    missing = [
        t for t in targets if run.state[t] not in LOST and (not run.has_value(t) if valued else run.state[t] not in THERE)
    ]
    run.state[i], run.pending[i] = WAITING, len(missing)
    for target in missing:
        run.dependents[target] = [*(mark for mark in run.dependents[target] or () if mark != i), i]
    if valued:
        run.hold(i, targets)
    if not missing:
        run.ready.append(i)
    elif valued or i in run.wanted:
        run.demand(list(reversed(missing)))


def assemble(run: Run, i: int) -> None:
    """All parts have settled: the node's outputs are theirs."""
    parts = run.parts[i]
    sources = dict.fromkeys(link.source for link in parts.links())
    lost = next((source for source in sources if run.state[source] in LOST), None)
    if lost is not None:
        run.skip(i, lost)
        return
    if run.valued[i] and not all(map(run.has_value, sources)):  # the value came to be wanted when parts had let theirs go
        wait_for_parts(run, i)
        return
    values: dict[str, Any] = {}
    refs: dict[str, Any] = {}
    for output, link in parts.outputs.items():
        if isinstance(link, list):
            refs[output] = [_ref(run, item) for item in link]
            values[output] = [_value(run, item) for item in link] if run.valued[i] else None
        else:
            refs[output] = _ref(run, link)
            values[output] = _value(run, link) if run.valued[i] else None
    results = [result for source in sources if (result := run.result[source]) is not None]
    run.moving[i] = run.moving[i] or any(run.moving[source] for source in sources)
    hit = parts.nodes and all(run.state[source] == HIT for source in sources)
    state, reason = (HIT, "its parts are in the cache") if hit else (COMPUTED, "")
    durable = all(result.durable for result in results)
    volatile = any(result.volatile for result in results)
    run.alias(i, Alias(None, refs), durable)
    run.finish(i, Result(run.static[i], values if run.valued[i] else GONE, refs, volatile, durable), state, reason)


def followed(run: Run, link: PlanLink) -> PlanLink:
    """The link with its source as far inside as is known: past composites that were expanded and maps that were divided."""
    while True:
        parts = run.parts.get(link.source)
        if parts is None:
            return link
        output = parts.outputs[link.output]
        if isinstance(output, list):
            if not link.item:
                return link
            inner, rest = output[link.item[0]], link.item[1:]
        elif output.mode == "wrap":  # a list of one
            if not link.item:
                return link
            inner, rest = output, link.item[1:]
        else:
            inner, rest = output, link.item
        link = link._replace(source=inner.source, output=inner.output, item=(*inner.item, *rest))


def length(run: Run, link: PlanLink) -> int | None:
    """How many items a mapped link brings, or None where that is not known yet."""
    if link.mode == "one":
        return 1
    link = followed(run, link)
    parts = run.parts.get(link.source)
    if parts is not None and not link.item:
        output = parts.outputs[link.output]
        if isinstance(output, list) or output.mode == "wrap":
            return len(output) if isinstance(output, list) else 1
    source = run.result[link.source]
    if source is None or source.hollow:
        return None
    value = source.values[link.output]
    for i in link.item:
        value = value[i]
    return len(value)


def _length(run: Run, link: PlanLink) -> int:
    known = length(run, link)
    assert known is not None
    return known


def _known_values(run: Run, i: int) -> dict[str, Any]:
    """A composite's values by input, typed or linked; variadic ones in a list."""
    node = run.nodes[i]
    values = dict(node.values)
    for link in values_of_composite(node):
        value = linked(run.nodes, run.result, node, link, run.files).value
        values[link.input] = [*values.get(link.input, ()), value] if link.many else value
    return values


def _append(run: Run, parts: Parts, order: list[Order]) -> None:
    size, more = len(run.nodes), len(parts.nodes)
    run.nodes.extend(parts.nodes)
    run.order.extend(order)
    run.state.extend([UNSEEN] * more)
    run.valued.extend([False] * more)
    run.result.extend([None] * more)
    run.pending.extend([0] * more)
    run.uses.extend([0] * more)
    run.dependents.extend([None] * more)
    try:
        extend_static_keys(run.nodes, run.static, run.moving, run.hasher, run.files, run.result)
    except Exception:
        for column in run.columns:
            del column[size:]
        raise


def _value(run: Run, link: PlanLink) -> Any:
    """The value that an output's link brings."""
    result = run.result[link.source]
    assert result is not None
    value = result.values[link.output]
    for i in link.item:
        value = value[i]
    return [value] if link.mode == "wrap" else value


def _ref(run: Run, link: PlanLink) -> Any:
    """Where the value that an output's link brings lies."""
    result = run.result[link.source]
    assert result is not None
    ref = picked(result.ref(link.output), link)
    return [ref] if link.mode == "wrap" else ref

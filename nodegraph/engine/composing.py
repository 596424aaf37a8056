"""Nodes that become others, in a run: their parts join its plan, and their outputs are put together from theirs.

A mapped node whose list comes from another mapped node is divided as soon as the list's length is known, and its items are
linked to that node's items one by one: so item 1 goes all the way before item 2 begins, and no list is ever whole in memory
unless somebody wants it whole.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from nodegraph.engine import events as ev
from nodegraph.engine.demand import demand, structure_known, wait_for_parts
from nodegraph.engine.expand import expand, map_over
from nodegraph.engine.gather import linked, values_of_composite
from nodegraph.engine.holding import has_value
from nodegraph.engine.losing import skip
from nodegraph.engine.order import Order
from nodegraph.engine.parts import Parts
from nodegraph.engine.prepare import extend_static_keys, own_files, picked
from nodegraph.engine.states import COMPUTED, HIT, LOST, UNSEEN
from nodegraph.engine.structure import counted_link, followed, length
from nodegraph.graph.iteration import COUNT
from nodegraph.graph.plan import PlanLink, PlanNode
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
        for part in parts.nodes if node.iteration is not None else ():
            part.links = tuple(followed(run, link) if link.item else link for link in part.links)
        order = [(rank, items)] * len(parts.nodes)
    _append(run, node, parts, order)
    run.parts[i] = parts
    run.outputs.divided(i, node, base, parts)
    run.emit(ev.NodeExpanded, node.id, tuple(part.id for part in parts.nodes), node.spec.id)
    demand(run, wait_for_parts(run, i))
    structure_known(run, i)


def assemble(run: Run, i: int) -> None:
    """All parts have settled: the node's outputs are theirs."""
    parts = run.parts[i]
    sources = dict.fromkeys(link.source for link in parts.links())
    lost = next((source for source in sources if run.state[source] in LOST), None)
    if lost is not None:
        skip(run, i, lost)
        return
    if run.valued[i] and not all(has_value(run, source) for source in sources):  # they had let go when it came to be wanted
        demand(run, wait_for_parts(run, i))
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
    hit = all(run.state[source] == HIT for source in sources)
    state, reason = (HIT, "its parts are in the cache" if sources else "it has no parts") if hit else (COMPUTED, "")
    durable = all(result.durable for result in results)
    volatile = any(result.volatile for result in results)
    run.alias(i, Alias(None, refs), durable)
    whole = Result(run.static[i], values if run.valued[i] else GONE, refs, volatile, durable)
    whole.ready = [future for result in results for future in result.ready]
    run.finish(i, whole, state, reason)


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
    if (items := counted_link(node)) is not None:
        values[COUNT] = _length(run, items)
    return values


def _append(run: Run, node: PlanNode, parts: Parts, order: list[Order]) -> None:
    size, more = len(run.nodes), len(parts.nodes)
    run.nodes.extend(parts.nodes)
    run.order.extend(order)
    run.state.extend([UNSEEN] * more)
    run.valued.extend([False] * more)
    run.result.extend([None] * more)
    run.pending.extend([0] * more)
    run.uses.extend([0] * more)
    run.turn.extend([0] * more)
    run.dependents.extend([None] * more)
    try:
        known = {link.source for link in values_of_composite(node)} if node.spec.composite and not node.mapped else ()
        extend_static_keys(run.nodes, run.static, run.moving, run.hasher, run.files, run.result, known, own_files(node))
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

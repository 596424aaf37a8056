"""Nodes that become others, in a run: their parts join its plan, and their outputs are put together from theirs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from nodegraph.engine import events as ev
from nodegraph.engine.expand import Parts, expand, map_over
from nodegraph.engine.gather import linked
from nodegraph.engine.prepare import extend_static_keys, picked
from nodegraph.engine.states import COMPUTED, HIT, LOST, THERE, UNSEEN, WAITING
from nodegraph.graph.plan import PlanLink
from nodegraph.store import Alias, Result

if TYPE_CHECKING:
    from nodegraph.engine.run import Run


def divide(run: Run, i: int) -> None:
    """Find the parts of a mapped node or a composite, and demand those that give its outputs.

    Raises NodeError, InvalidWorkflow or PackError; the run's plan is then as it was.
    """
    node, base = run.nodes[i], len(run.nodes)
    if node.mapped:
        lengths = {link: _length(run, link) for link in node.links if link.mode in ("map", "one")}
        parts = map_over(node, lengths, base)
    else:
        parts = expand(node, _known_values(run, i), run.engine.library, base)
    _append(run, parts)
    run.parts[i] = parts
    run.emit(ev.NodeExpanded, node.id, tuple(part.id for part in parts.nodes))
    targets = dict.fromkeys(link.source for link in parts.links())
    lost = next((target for target in targets if run.state[target] in LOST), None)
    if lost is not None:
        run.skip(i, lost)
        return
    missing = [target for target in targets if run.state[target] not in THERE]
    run.state[i], run.pending[i] = WAITING, len(missing)
    for target in missing:
        run.dependents[target] = [*(run.dependents[target] or ()), i]
    if missing:
        run.demand(list(reversed(missing)))
    else:
        run.ready.append(i)


def assemble(run: Run, i: int) -> None:
    """All parts are there: the node's outputs are theirs."""
    parts = run.parts[i]
    values: dict[str, Any] = {}
    refs: dict[str, Any] = {}
    for output, link in parts.outputs.items():
        if isinstance(link, list):
            pairs = [_brought(run, item) for item in link]
            values[output], refs[output] = [value for value, _ in pairs], [ref for _, ref in pairs]
        else:
            values[output], refs[output] = _brought(run, link)
    sources = {link.source for link in parts.links()}
    results = [result for source in sources if (result := run.result[source]) is not None]
    run.moving[i] = run.moving[i] or any(run.moving[source] for source in sources)
    hit = parts.nodes and all(run.state[source] == HIT for source in sources)
    state, reason = (HIT, "its parts are in memory") if hit else (COMPUTED, "")
    run.alias(i, Alias(None, refs))
    run.finish(i, Result(run.static[i], values, refs, any(result.volatile for result in results)), state, reason)


def _length(run: Run, link: PlanLink) -> int:
    """How many items a mapped link brings."""
    if link.mode == "one":
        return 1
    source = run.result[link.source]
    assert source is not None
    value = source.values[link.output]
    for i in link.item:
        value = value[i]
    return len(value)


def _known_values(run: Run, i: int) -> dict[str, Any]:
    """A composite's values by input, typed or linked; variadic ones in a list."""
    node = run.nodes[i]
    values = dict(node.values)
    for link in node.links:
        if link.by_value and not link.lazy:
            value = linked(run.nodes, run.result, node, link, run.files).value
            values[link.input] = [*values.get(link.input, ()), value] if link.many else value
    return values


def _append(run: Run, parts: Parts) -> None:
    size, more = len(run.nodes), len(parts.nodes)
    run.nodes.extend(parts.nodes)
    run.state.extend([UNSEEN] * more)
    run.result.extend([None] * more)
    run.pending.extend([0] * more)
    run.dependents.extend([None] * more)
    try:
        extend_static_keys(run.nodes, run.static, run.moving, run.engine.hasher, run.files, run.result)
    except Exception:
        for column in (run.nodes, run.state, run.result, run.pending, run.dependents, run.static, run.moving):
            del column[size:]
        raise


def _brought(run: Run, link: PlanLink) -> tuple[Any, Any]:
    """The value that an output's link brings, and where it lies."""
    result = run.result[link.source]
    assert result is not None
    value = result.values[link.output]
    for i in link.item:
        value = value[i]
    ref = picked(result.ref(link.output), link)
    return ([value], [ref]) if link.mode == "wrap" else (value, ref)

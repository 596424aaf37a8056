"""Nodes that iterate: the rounds of a map, fold or while become nodes of the run's plan, `loop[0]/inner`, `loop[1]/inner` ...

What a round is given as JSON it holds as typed values, everything else comes over links; so the keys of a round tell of
nothing but what it is given, and a change recomputes the rounds that it reaches. Of a list of anything else only the number of
items has to be known. A while does not know its next round: a node of the type `Iteration.then` waits for the truth, and
carries on.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from nodegraph.engine.parts import Parts
from nodegraph.graph.iteration import COUNT, GO_ON, MOST_ROUNDS, STATE
from nodegraph.graph.plan import Iteration, PlanLink, PlanNode
from nodegraph.graph.stamping import Bound, Given, Stamp
from nodegraph.sdk.errors import NodeError, Problem


class TooManyRounds(NodeError):
    """A loop would go on beyond its limit. The problem is the loop's, whichever of its nodes found it."""

    def __init__(self, loop: str, limit: int, message: str, got: str, hint: str) -> None:
        super().__init__(message, socket="limit", expected=f"at most {limit:,}", got=got, hint=hint)
        self.loop = loop

    def problem(self, node: str, code: str = "node_failed") -> Problem:
        return super().problem(self.loop, code)


def iterate(node: PlanNode, iteration: Iteration, values: Mapping[str, Any], base: int) -> Parts:
    """The next rounds of a node that iterates, its JSON inputs known. `base` is the index of the first new node.

    Raises NodeError when the rounds would be too many, or a value does not fit inside.
    """
    if node.spec.iterates == "while":
        return _next_round(node, iteration, values, base)
    if node.spec.iterates == "once":
        stamp = Stamp(iteration.body, node.id, base, values, _unknown(node, values))
        outputs = {name: stamp.link(bound, f".{name}") for name, bound in stamp.once().items()}
        return Parts(stamp.nodes, {**outputs})
    return _all_rounds(node, iteration, values, base)


def _all_rounds(node: PlanNode, iteration: Iteration, values: Mapping[str, Any], base: int) -> Parts:
    """Every round of a map or a fold."""
    items = next((link for link in node.links if link.input == "items"), None)
    if "items" in values:
        size = len(values["items"])
    elif items is not None and items.mode == "wrap":
        size = 1
    else:
        size = values[COUNT]
    limit = _limit(values)
    if size > limit:
        hint = f"Raise the limit, at most to {MOST_ROUNDS:,}, or give it fewer items."
        raise TooManyRounds(node.id, limit, "There are more items than the limit; no round was done.", f"{size:,} items", hint)
    rounds = Stamp(iteration.body, node.id, base, values, _unknown(node, values))

    def item(i: int) -> Bound:
        if "items" in values:
            return Given(values["items"][i])
        assert items is not None
        return items._replace(mode="direct", item=items.item if items.mode == "wrap" else (*items.item, i))

    if node.spec.iterates == "map":
        given = [rounds.round(i, {"item": item(i)}) for i in range(size)]
        names = [output.name for output in node.spec.outputs]
        outputs = {name: [rounds.link(found[name], f"[{i}].{name}") for i, found in enumerate(given)] for name in names}
        return Parts(rounds.nodes, {**outputs})
    state = rounds.bound("initial")
    if size == 0 and state == Given(None):
        raise NodeError("There is neither an item nor an initial state, so there is nothing to give.", socket="initial")
    for i in range(size):
        state = rounds.round(i, {"item": item(i), "state": state})["state"]
    return Parts(rounds.nodes, {"state": rounds.link(state, ".state")})


def _next_round(node: PlanNode, iteration: Iteration, values: Mapping[str, Any], base: int) -> Parts:
    """One round of a while, and a node that waits for what it gives; or, when it was the last, the result."""
    done, limit = values.get(COUNT, 0), _limit(values)
    path = node.id.removesuffix(f"[{done}]") if done else node.id
    rounds = Stamp(iteration.body, path, base, values, _unknown(node, values))
    state = rounds.bound(STATE if done else "initial")
    if done and not values[GO_ON]:
        outputs = {"state": rounds.link(state, ".state"), "rounds": rounds.link(Given(done), ".rounds")}
        return Parts(rounds.nodes, {**outputs})
    if done >= limit:
        hint = f"Raise the limit, at most to {MOST_ROUNDS:,}, or see to it that go_on becomes false."
        message = f"The loop has done {done:,} rounds and would go on."
        raise TooManyRounds(path, limit, message, "one more round", hint)
    given = rounds.round(done, {"state": state})
    known = {name: value for name, value in values.items() if name not in ("initial", STATE, GO_ON)} | {COUNT: done + 1}
    links = [link for link in _unknown(node, values) if link.input not in ("initial", STATE, GO_ON)]
    for name, bound in ((STATE, given["state"]), (GO_ON, given["go_on"])):
        if isinstance(bound, Given):
            known[name] = bound.value
        else:
            links.append(bound._replace(input=name))
    after = PlanNode(f"{path}[{done + 1}]", iteration.then, known, tuple(links), iteration=iteration)
    place = base + len(rounds.nodes)
    return Parts([*rounds.nodes, after], {name: PlanLink(name, place, name) for name in ("state", "rounds")})


def _limit(values: Mapping[str, Any]) -> int:
    return min(int(values.get("limit", MOST_ROUNDS)), MOST_ROUNDS)


def _unknown(node: PlanNode, values: Mapping[str, Any]) -> Iterable[PlanLink]:
    """The links of a node that bring more than a known value."""
    return (link for link in node.links if link.input not in values)

"""Nodes that iterate: the rounds of a map, fold or while become nodes of the run's plan, `loop[0]/inner`, `loop[1]/inner` ...

What a round is given as JSON it holds as typed values, everything else comes over links; so the keys of a round tell of
nothing but what it is given, and a change recomputes the rounds that it reaches. Of a list of anything else only the number of
items has to be known. A while does not know its next round: a node of the type `Iteration.then` waits for the truth, and
carries on.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from nodegraph.engine.builtin import CONSTANT
from nodegraph.engine.parts import Parts, joined
from nodegraph.graph.iteration import COUNT, GO_ON, MOST_ROUNDS, STATE
from nodegraph.graph.plan import Iteration, PlanLink, PlanNode
from nodegraph.graph.values import BadValue, accept
from nodegraph.sdk.errors import NodeError, Problem


class Given(NamedTuple):
    """A JSON value that is known."""

    value: Any


Bound = Given | PlanLink
"""What an input of the body is given: a value, or a link into the run's plan."""


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
    rounds = _Rounds(node, iteration, values, node.id, base)

    def item(i: int) -> Bound:
        if "items" in values:
            return Given(values["items"][i])
        assert items is not None
        return items._replace(mode="direct", item=items.item if items.mode == "wrap" else (*items.item, i))

    if node.spec.iterates == "map":
        given = [rounds.add(i, {"item": item(i)}) for i in range(size)]
        names = [output.name for output in node.spec.outputs]
        outputs = {name: [rounds.link(found[name], f"[{i}].{name}") for i, found in enumerate(given)] for name in names}
        return Parts(rounds.nodes, {**outputs})
    state = rounds.bound("initial")
    if size == 0 and state == Given(None):
        raise NodeError("There is neither an item nor an initial state, so there is nothing to give.", socket="initial")
    for i in range(size):
        state = rounds.add(i, {"item": item(i), "state": state})["state"]
    return Parts(rounds.nodes, {"state": rounds.link(state, ".state")})


def _next_round(node: PlanNode, iteration: Iteration, values: Mapping[str, Any], base: int) -> Parts:
    """One round of a while, and a node that waits for what it gives; or, when it was the last, the result."""
    done, limit = values.get(COUNT, 0), _limit(values)
    path = node.id.removesuffix(f"[{done}]") if done else node.id
    rounds = _Rounds(node, iteration, values, path, base)
    state = rounds.bound(STATE if done else "initial")
    if done and not values[GO_ON]:
        outputs = {"state": rounds.link(state, ".state"), "rounds": rounds.link(Given(done), ".rounds")}
        return Parts(rounds.nodes, {**outputs})
    if done >= limit:
        hint = f"Raise the limit, at most to {MOST_ROUNDS:,}, or see to it that go_on becomes false."
        message = f"The loop has done {done:,} rounds and would go on."
        raise TooManyRounds(path, limit, message, "one more round", hint)
    given = rounds.add(done, {"state": state})
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


class _Rounds:
    """Stamps out the body of a loop. `nodes` are what it has made so far; the first of them has the index `base`."""

    def __init__(self, node: PlanNode, iteration: Iteration, values: Mapping[str, Any], path: str, base: int) -> None:
        self.nodes: list[PlanNode] = []
        self._body, self._path, self._base = iteration.body, path, base
        self._given: dict[str, Bound] = {}
        for name, value in values.items():
            self._given[name] = Given(value)
            if isinstance(value, list):  # what a variadic input is given has a name for each
                self._given |= {f"{name}[{i}]": Given(item) for i, item in enumerate(value)}
        many: Counter[str] = Counter()
        for link in _unknown(node, values):
            self._given[f"{link.input}[{many[link.input]}]" if link.many else link.input] = link
            many[link.input] += 1
        for name in self._body.inputs:
            if name in self._given:
                self._given[name] = self._brought(name, self._given[name], f".{name}")

    def bound(self, name: str) -> Bound:
        return self._given[name]

    def add(self, i: int, own: Mapping[str, Bound]) -> dict[str, Bound]:
        """Add round `i`, with what it is given of its own; what it gives, by output."""
        given: list[Bound] = []
        for name in self._body.inputs:
            if name == "index":
                given.append(self._brought(name, Given(i), f"[{i}].{name}"))
            elif name in own:
                given.append(self._brought(name, own[name], f"[{i}].{name}"))
            else:
                given.append(self._given[name])
        start = self._base + len(self.nodes)
        for part in self._body.nodes:
            path = f"{self._path}[{i}]/{part.id}"
            values, links = _given_to(part, path, given, start)
            self.nodes.append(PlanNode(path, part.spec, values, links, part.mapped, part.iteration))
        return {
            name: PlanLink(
                name, start + wanted.source, wanted.output or name, by_value=wanted.type is not None and wanted.type.is_json
            )
            if wanted.source >= 0
            else given[-1 - wanted.source]
            for name, wanted in self._body.outputs.items()
        }

    def link(self, bound: Bound, name: str) -> PlanLink:
        """What is given, as a link."""
        return self._constant(bound, name) if isinstance(bound, Given) else bound

    def _brought(self, name: str, bound: Bound, place: str) -> Bound:
        """What an input is given, by way of a node of its own where a value, or a list of one, cannot go straight in."""
        meets = self._body.meets[name]
        if isinstance(bound, Given):
            apart = bool(meets & {"map", "many"})
        else:
            apart = bound.mode == "wrap" and bool(meets & {"wrap", "one"})
        return self._constant(bound, place) if apart else bound

    def _constant(self, bound: Bound, place: str) -> PlanLink:
        index = self._base + len(self.nodes)
        values, links = (
            ({"value": bound.value}, ()) if isinstance(bound, Given) else ({}, (bound._replace(input="value", many=False),))
        )
        self.nodes.append(PlanNode(f"{self._path}{place}", CONSTANT, values, links))
        by_value = isinstance(bound, Given) or bound.by_value
        return PlanLink("value", index, "value", by_value=by_value)


def _given_to(part: PlanNode, path: str, given: list[Bound], start: int) -> tuple[Mapping[str, Any], tuple[PlanLink, ...]]:
    """A part's values and links in its round: what comes from outside the body is what the round is given."""
    values, links = part.values, []
    for link in part.links:
        bound = given[-1 - link.source] if link.source < 0 else None
        if bound is None:
            links.append(link._replace(source=start + link.source))
        elif isinstance(bound, Given):
            value = [bound.value] if link.mode == "wrap" else bound.value
            values = {**values, link.input: _fitting(part, path, link.input, value)}
        else:
            links.append(joined(link, bound))
    return values, tuple(links)


def _fitting(part: PlanNode, path: str, name: str, value: Any) -> Any:
    spec = part.spec.input_by_name[name]
    if spec.schema is None:
        return value
    try:
        return accept(spec, value)
    except BadValue as bad:
        raise NodeError(f"A value that {path}.{name} is given does not fit.", expected=bad.expected, got=bad.got) from None

"""Stamping out a compiled subgraph: its nodes become nodes of a plan, with what it is given in place of its interface inputs.

What is given as JSON the nodes hold as typed values, everything else comes over links; so their keys tell of nothing but what
they are given.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from nodegraph.graph.builtin import CONSTANT
from nodegraph.graph.plan import Body, PlanLink, PlanNode
from nodegraph.graph.values import BadValue, accept
from nodegraph.sdk.errors import NodeError


class Given(NamedTuple):
    """A JSON value that is known."""

    value: Any


Bound = Given | PlanLink
"""What an input of a body is given: a value, or a link into the plan."""


class Stamp:
    """Stamps out a body, once or in rounds. `nodes` are what it has made so far; the first of them has the index `base`.

    `values` and `links` are those of the node whose body it is; `path` is how its nodes' paths begin.
    """

    def __init__(self, body: Body, path: str, base: int, values: Mapping[str, Any], links: Iterable[PlanLink]) -> None:
        self.nodes: list[PlanNode] = []
        self._body, self._path, self._base = body, path, base
        self._given: dict[str, Bound] = {}
        for name, value in values.items():
            self._given[name] = Given(value)
            if isinstance(value, list):  # what a variadic input is given has a name for each
                self._given |= {f"{name}[{i}]": Given(item) for i, item in enumerate(value)}
        many: Counter[str] = Counter()
        for link in links:
            self._given[f"{link.input}[{many[link.input]}]" if link.many else link.input] = link
            many[link.input] += 1
        for name in body.inputs:
            if name in self._given:
                self._given[name] = self._brought(name, self._given[name], f".{name}")

    def bound(self, name: str) -> Bound:
        """What the input `name` of the node is given."""
        return self._given[name]

    def once(self) -> dict[str, Bound]:
        """Add the body; what it gives, by output. Raises NodeError for a value that does not fit inside."""
        return self._add("/", [self._given[name] for name in self._body.inputs])

    def round(self, i: int, own: Mapping[str, Bound]) -> dict[str, Bound]:
        """Add round `i`, with what it is given of its own; what it gives, by output. Raises NodeError as `once` does."""
        given: list[Bound] = []
        for name in self._body.inputs:
            if name == "index":
                given.append(self._brought(name, Given(i), f"[{i}].{name}"))
            elif name in own:
                given.append(self._brought(name, own[name], f"[{i}].{name}"))
            else:
                given.append(self._given[name])
        return self._add(f"[{i}]/", given)

    def _add(self, place: str, given: list[Bound]) -> dict[str, Bound]:
        start = self._base + len(self.nodes)
        for part in self._body.nodes:
            path = f"{self._path}{place}{part.id}"
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

    def whole(self, bound: Bound, name: str) -> PlanLink:
        """What is given, as a link that brings it as it is."""
        straight = isinstance(bound, PlanLink) and bound.mode == "direct" and not bound.item
        return bound if straight and isinstance(bound, PlanLink) else self._constant(bound, name)

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


def joined(inner: PlanLink, outer: PlanLink) -> PlanLink:
    """An inner link that comes from outside, over the outer link: one link from the outer one's source."""
    if outer.mode == "wrap" and inner.mode in ("wrap", "one"):
        raise TypeError(f"the list input {outer.input!r} of a composite is linked on in a way that does not fit")
    mode = inner.mode if outer.mode == "direct" else "one" if inner.mode == "map" else "wrap"
    by_value = inner.by_value or outer.by_value
    return inner._replace(source=outer.source, output=outer.output, item=outer.item, mode=mode, by_value=by_value)


def _given_to(part: PlanNode, path: str, given: list[Bound], start: int) -> tuple[Mapping[str, Any], tuple[PlanLink, ...]]:
    """A part's values and links where it is stamped: what comes from outside the body is what the body is given."""
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

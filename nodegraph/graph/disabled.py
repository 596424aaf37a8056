"""Disabled nodes are part of the graph: bypassed by matching types, else what cannot do without them is off too."""

from __future__ import annotations

from collections.abc import Mapping, Set
from dataclasses import dataclass, field
from typing import Any

from nodegraph.graph.links import Ref
from nodegraph.graph.relations import relate
from nodegraph.sdk.spec import NodeSpec

Output = tuple[str, str]


@dataclass(slots=True)
class Disabled:
    """Which nodes are off, and where the outputs of those that are bypassed come from."""

    off: set[str] = field(default_factory=set)
    bypass: dict[Output, Output] = field(default_factory=dict)

    def through(self, node: str, output: str) -> Output | None:
        """Where a value really comes from; None when its branch is off."""
        place: Output | None = (node, output)
        seen: set[Output] = set()
        while place is not None and place[0] in self.off:
            if place in seen:
                return None
            seen.add(place)
            place = self.bypass.get(place)
        return place


def switch_off(
    disabled: Set[str],
    specs: Mapping[str, NodeSpec],
    refs: dict[str, list[Ref]],
    values: Mapping[str, dict[str, Any]],
) -> Disabled:
    """Take disabled nodes, and all that cannot do without them, out of `refs`; what stays is led around them.

    Inputs that lose their links get their defaults in `values`. Linear in the links.
    """
    found = Disabled(set(disabled))
    for name in disabled & set(specs):
        _bypass(found, name, specs[name], refs.pop(name))
    readers: dict[str, list[str]] = {}  # of outputs that they cannot do without
    lost: list[str] = []
    linked: dict[str, set[str]] = {}
    for name, links in refs.items():
        inputs = specs[name].input_by_name
        linked[name] = {ref.input for ref in links}
        sources = [(ref, found.through(ref.node, ref.output)) for ref in links]
        refs[name] = [ref._replace(node=place[0], output=place[1]) for ref, place in sources if place is not None]
        for ref, place in sources:
            if inputs[ref.input].required:
                lost += [name] if place is None else []
                readers.setdefault(place[0] if place else "", []).append(name)
    while lost:
        name = lost.pop()
        if name not in found.off:
            found.off.add(name)
            lost += readers.get(name, ())
    for name in found.off:
        refs.pop(name, None)
    for name, links in refs.items():
        kept = [ref for ref in links if ref.node not in found.off]
        gone = linked[name] - {ref.input for ref in kept}
        by_name = specs[name].input_by_name
        values[name].update({key: by_name[key].default for key in gone if not by_name[key].many})
        refs[name] = kept
    return found


def _bypass(found: Disabled, name: str, spec: NodeSpec, refs: list[Ref]) -> None:
    """Lead each output of a disabled node back to the first linked input of a fitting type."""
    links = {ref.input: (ref.node, ref.output) for ref in refs}
    for output in spec.outputs:
        for item in spec.inputs:
            relation = relate(item.type.item if item.type.kind == "optional" else item.type, output.type)
            if item.name in links and relation is not None and relation.how == "direct":
                found.bypass[name, output.name] = links[item.name]
                break

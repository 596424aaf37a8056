"""Subgraphs: a definition that has been converted, as its instances need to know it, and the instances."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from nodegraph.graph.values import BadValue, accept
from nodegraph.importing.comfyui.draft import SEEDS, Draft, Entry, coerced
from nodegraph.importing.comfyui.source import Origin, Outer, Reader
from nodegraph.importing.comfyui.wiring import Constant
from nodegraph.importing.naming import free_name, slug
from nodegraph.sdk.spec import InputSpec


@dataclass(frozen=True, slots=True)
class Function:
    """A converted subgraph. `inputs` leads from its input names to ours, `specs` says what ours take where that is known.

    `shown` are outputs that its previews and saved pictures became, beyond its own.
    """

    name: str
    title: str
    inputs: Mapping[str, str]
    titles: Mapping[str, str]
    specs: Mapping[str, InputSpec]
    outputs: tuple[str | None, ...]
    shown: tuple[tuple[str, str], ...] = ()


def instance(draft: Draft, function: Function) -> Draft:
    """A node of the type `subgraph/NAME`."""
    node, scope = draft.node, draft.scope
    name = free_name(slug(node.title, "") or function.name, draft.entries, scope.entries, reached=scope.reached)
    entry = draft.entries[name] = Entry(f"subgraph/{function.name}")
    for outer, key in function.inputs.items():
        reader, place = Reader(node.id, outer), scope.wiring.place(node, outer)
        value = place.value if isinstance(place, Constant) else node.values.get(outer)
        if value is not None:
            entry.inputs[key] = _taken(draft, function, outer, key, value)
            draft.used.add(reader)
        if isinstance(place, Origin):
            entry.links[key] = place
        elif isinstance(place, Outer):
            draft.outer.setdefault(place.name, []).append(f"{name}.{key}")
        elif isinstance(place, Constant):
            draft.targets.setdefault(Reader(place.node, "value"), []).append(f"{name}.{key}")
            draft.used.add(Reader(place.node, "value"))
        draft.targets.setdefault(reader, []).append(f"{name}.{key}")
        if key in function.specs and place is None:
            draft.publish(key, function.titles.get(key, ""), outer)
    for slot in node.inputs:
        if slot.name not in function.inputs and scope.wiring.place(node, slot.name) is not None:
            draft.note(f"its input {slot.name} leads nowhere inside, and its link was left out")
    for i, output in enumerate(function.outputs):
        if output is not None:
            draft.output(i, f"{name}.{output}")
    for shown, output in function.shown:
        draft.show(shown, f"{name}.{output}")
    return draft


def _taken(draft: Draft, function: Function, outer: str, key: str, value: object) -> object:
    """A value as our input takes it; one that it does not take stays, so that checking the document says so."""
    spec = function.specs.get(key)
    if spec is None:
        return value
    value = coerced(spec, value)
    if isinstance(value, int) and not 0 <= value < SEEDS and (spec.schema or {}).get("maximum") == SEEDS - 1:
        value = draft.as_seed(value)
    try:
        accept(spec, value)
    except BadValue as bad:
        draft.note(f"its {outer} {bad.got} is not taken here: {bad.expected} is expected")
    return value

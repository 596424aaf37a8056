"""Nodes that we have no counterpart for, kept as they are: a document of ours that says what is missing, and loses nothing."""

from __future__ import annotations

from typing import Any

from nodegraph.importing.comfyui.draft import Draft, Entry
from nodegraph.importing.comfyui.source import InputSlot, Origin, Outer, OutputSlot, Reader, SourceNode
from nodegraph.importing.comfyui.wiring import Constant
from nodegraph.importing.naming import free_name, slug, type_part, words

PACK = "comfyui"
_SLOTS = 1000
_ELSEWHERE = frozenset({"id", "type", "class_type", "title", "_meta", "pos", "inputs", "outputs", "order", "mode"})


def placeholder(draft: Draft) -> Draft:
    """A node of the type `comfyui/CLASS` with the source's values, links and sockets under their own names."""
    node = draft.node
    name = free_name(
        slug(node.title or words(node.type), "node"), draft.entries, draft.scope.entries, reached=draft.scope.reached
    )
    entry = draft.entries[name] = Entry(f"{PACK}/{type_part(node.type)}", dict(node.values))
    for slot in node.inputs:
        place = draft.scope.wiring.place(node, slot.name)
        reader = Reader(node.id, slot.name)
        if isinstance(place, Constant):
            entry.inputs[slot.name] = place.value
            draft.targets.setdefault(Reader(place.node, "value"), []).append(f"{name}.{slot.name}")
            draft.used.add(Reader(place.node, "value"))
        elif isinstance(place, Origin):
            entry.links[slot.name] = place
        elif isinstance(place, Outer):
            draft.outer.setdefault(place.name, []).append(f"{name}.{slot.name}")
        draft.targets[reader] = [f"{name}.{slot.name}"]
    for key in node.values:
        draft.targets.setdefault(Reader(node.id, key), [f"{name}.{key}"])
        draft.used.add(Reader(node.id, key))
    names: list[str] = []
    for i in range(max(len(node.outputs), min(draft.scope.graph.slots_read.get(node.id, 0), _SLOTS))):
        written = node.outputs[i] if i < len(node.outputs) else OutputSlot("")
        names.append(free_name(written.name or written.type.strip("*") or f"output_{i}", names))
        draft.output(i, f"{name}.{names[-1]}")
    entry.extra = _extra(node, names)
    return draft


def _extra(node: SourceNode, outputs: list[str]) -> dict[str, Any]:
    """Everything else of the node, under one name."""
    properties = node.raw.get("properties")
    version = properties.get("ver") if isinstance(properties, dict) else None
    known = {
        "id": node.id,
        "class": node.type,
        "pack": node.pack,
        "version": version,
        "mode": node.mode if node.mode != "active" else "",
        "inputs": [_input(slot) for slot in node.inputs],
        "outputs": [
            {"name": name, "type": node.outputs[i].type if i < len(node.outputs) else ""} for i, name in enumerate(outputs)
        ],
    }
    rest = {key: value for key, value in node.raw.items() if key not in _ELSEWHERE and value not in (None, {}, [])}
    found: dict[str, Any] = {"comfyui": rest | {key: value for key, value in known.items() if value}}
    return {"title": node.title, **found} if node.title else found


def _input(slot: InputSlot) -> dict[str, Any]:
    marks = {"optional": slot.optional, "widget": slot.widget}
    return {"name": slot.name, "type": slot.type, **{key: True for key, is_so in marks.items() if is_so}}

"""ComfyUI's API format: node ids to `class_type` and `inputs`, a link being [id, slot]. Names, but no types and no layout."""

from __future__ import annotations

from typing import Any

from nodegraph.importing.comfyui.source import Graph, InputSlot, Origin, OutputSlot, Source, SourceNode
from nodegraph.importing.comfyui.widgets import OUTPUTS


def read_api(data: dict[str, Any]) -> Source:
    """The graph of a file in the API format. What is misshapen in it is left out and listed in `skipped`."""
    skipped: list[str] = []
    written: dict[str, dict[str, Any]] = {}
    for id, entry in data.items():
        if isinstance(entry, dict) and isinstance(entry.get("class_type"), str) and entry["class_type"]:
            written[id] = entry
        else:
            skipped.append(f"{id!r} has no class_type and was left out.")
    slots: dict[str, int] = {}
    nodes = {id: _node(id, entry, written, slots, skipped) for id, entry in written.items()}
    return Source(
        "ComfyUI API prompt", Graph(nodes={id: _with_outputs(n, slots) for id, n in nodes.items()}), {}, tuple(skipped)
    )


def _node(id: str, entry: dict[str, Any], nodes: dict[str, Any], slots: dict[str, int], skipped: list[str]) -> SourceNode:
    given, meta = entry.get("inputs"), entry.get("_meta")
    if given is not None and not isinstance(given, dict):
        skipped.append(f"The inputs of node {id} are no object and were left out.")
    values: dict[str, Any] = {}
    inputs: list[InputSlot] = []
    for name, value in (given if isinstance(given, dict) else {}).items():
        if not _is_link(value):
            values[name] = value["__value__"] if isinstance(value, dict) and set(value) == {"__value__"} else value
            continue
        origin = Origin(str(value[0]), value[1])
        if origin.node in nodes and origin.slot >= 0:
            inputs.append(InputSlot(name, link=origin))
            slots[origin.node] = max(slots.get(origin.node, 0), origin.slot + 1)
        elif origin.node in nodes or str(value[0]).lstrip("-").isdecimal():
            skipped.append(
                f"The link into {name} of node {id} leads to output {origin.slot} of node {origin.node}: there is none."
            )
        else:
            values[name] = value  # two items that happen to look like a link
    title = meta.get("title") if isinstance(meta, dict) else None
    raw = {key: value for key, value in entry.items() if key != "inputs"}
    return SourceNode(
        id, entry["class_type"], title if isinstance(title, str) else "", values=values, inputs=tuple(inputs), raw=raw
    )


def _with_outputs(node: SourceNode, slots: dict[str, int]) -> SourceNode:
    known = OUTPUTS.get(node.type, ())
    names = [*known, *(f"output_{i}" for i in range(len(known), slots.get(node.id, 0)))]
    outputs = tuple(OutputSlot(name, name if name.isupper() else "") for name in names)
    return SourceNode(*(node.id, node.type, node.title, node.mode, node.values, node.inputs, outputs), raw=node.raw)


def _is_link(value: Any) -> bool:
    return (
        isinstance(value, list)
        and len(value) == 2
        and isinstance(value[0], str)
        and isinstance(value[1], int)
        and not isinstance(value[1], bool)
        and -1 <= value[1] < 1000
    )

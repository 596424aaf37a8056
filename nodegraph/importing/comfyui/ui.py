"""ComfyUI's UI format (litegraph's "save" format, versions 0.4 and 1.0), piece by piece: a broken piece is skipped and said.

Links are arrays [id, from, slot, to, slot, type] or objects; subgraph definitions have their own nodes and links, with -10 as
the node their inputs come from and -20 as the one their outputs go to. Native reroutes only bend links that name their ends.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from nodegraph.importing.comfyui.source import (
    Box,
    Graph,
    InputSlot,
    Mode,
    Origin,
    Outer,
    OuterInput,
    OuterOutput,
    OutputSlot,
    Reader,
    Source,
    SourceNode,
)
from nodegraph.importing.comfyui.widgets import named_values

_INPUTS, _OUTPUTS = "-10", "-20"
_OPTIONAL = 7  # litegraph's shape of sockets that may stay empty
_MODES: dict[Any, Mode] = {2: "muted", 4: "bypassed"}
_SCALARS = frozenset({"INT", "FLOAT", "STRING", "BOOLEAN", "COMBO"})
_READ = frozenset({"nodes", "links", "groups", "definitions"})


class _Link(NamedTuple):
    origin: str
    slot: int
    target: str
    target_slot: int


def read_ui(data: dict[str, Any]) -> Source:
    """The graphs of a file in the UI format. What is misshapen in it is left out and listed in `skipped`."""
    skipped: list[str] = []
    definitions = data.get("definitions")
    found = definitions.get("subgraphs") if isinstance(definitions, dict) else None
    entries: dict[str, dict[str, Any]] = {}
    for entry in _dicts(found or [], "subgraph definitions", skipped):
        name = _key(entry.get("id"))
        if name is None or name in entries:
            skipped.append("A subgraph definition without an id, or with one that stands twice, was left out.")
            continue
        entries[name] = entry
    widgets = {name: [i.name for i in _outer_inputs(entry) if i.type in _SCALARS] for name, entry in entries.items()}
    graphs = {name: _graph(name, entry, widgets, skipped) for name, entry in entries.items()}
    rest = {key: value for key, value in data.items() if key not in _READ}
    return Source("ComfyUI workflow", _graph("", data, widgets, skipped), graphs, tuple(skipped), rest, _app_mode(data))


def _graph(name: str, data: dict[str, Any], widgets: dict[str, list[str]], skipped: list[str]) -> Graph:
    where = f" in the subgraph {data.get('name') or name!r}" if name else ""
    inputs = _outer_inputs(data) if name else ()
    written: dict[str, dict[str, Any]] = {}
    for entry in _dicts(data.get("nodes"), f"nodes{where}", skipped):
        id = _key(entry.get("id"))
        if id is None or not isinstance(entry.get("type"), str) or not entry["type"]:
            skipped.append(f"A node without an id or a type{where} was left out.")
        elif id in written:
            skipped.append(f"A second node with the id {id}{where} was left out.")
        else:
            written[id] = entry
    links = _links(data.get("links"), where, skipped)

    def origin(link: Any, target: str) -> Origin | Outer | None:
        if not isinstance(link, (int, str)) or isinstance(link, bool):
            return None
        found = links.get(str(link))
        if found is None:
            skipped.append(f"The link {link} into node {target}{where} is missing from the file.")
        elif name and found.origin == _INPUTS:
            if 0 <= found.slot < len(inputs):
                return Outer(inputs[found.slot].name)
            skipped.append(f"The link {link} into node {target}{where} comes from an input that is missing.")
        elif found.origin not in written:
            skipped.append(f"The link {link} into node {target}{where} comes from node {found.origin}, which is missing.")
        else:
            return Origin(found.origin, max(0, found.slot))
        return None

    nodes = {
        id: _node(id, entry, [(slot, origin(slot.get("link"), id)) for slot in _dicts(entry.get("inputs"), "", [])], widgets)
        for id, entry in written.items()
    }
    outputs = _outer_outputs(data, links, written, inputs) if name else ()
    return Graph(name, _text(data.get("name")), nodes, _boxes(data.get("groups")), inputs, outputs)


def _node(
    id: str,
    entry: dict[str, Any],
    slots: list[tuple[dict[str, Any], Origin | Outer | None]],
    widgets: dict[str, list[str]],
) -> SourceNode:
    properties = entry["properties"] if isinstance(entry.get("properties"), dict) else {}
    inputs: dict[str, InputSlot] = {}
    for i, (slot, link) in enumerate(slots):
        widget = slot.get("widget")
        written = widget.get("name") if isinstance(widget, dict) else None
        name = _text(written) or _text(slot.get("name")) or f"input_{i}"
        while name in inputs:
            name += "_"
        inputs[name] = InputSlot(
            *(name, _type(slot.get("type")), link, isinstance(widget, dict), slot.get("shape") == _OPTIONAL)
        )
    type_ = entry["type"]
    listed = widgets.get(type_) or [slot.name for slot in inputs.values() if slot.widget]
    values = named_values(type_, entry.get("widgets_values"), entry.get("widgets_values_named"), listed)
    outputs = _dicts(entry.get("outputs"), "", [])
    return SourceNode(
        id,
        type_,
        _text(entry.get("title")),
        _MODES.get(_whole(entry.get("mode")), "active"),
        values,
        tuple(inputs.values()),
        tuple(OutputSlot(_text(slot.get("name")), _type(slot.get("type"))) for slot in outputs),
        _pair(entry.get("pos")),
        _pair(entry.get("size")),
        _text(properties.get("cnr_id")) or _text(properties.get("aux_id")),
        {key: value for key, value in entry.items() if key not in ("widgets_values", "widgets_values_named")},
    )


def _links(data: Any, where: str, skipped: list[str]) -> dict[str, _Link]:
    found: dict[str, _Link] = {}
    bad = 0
    items = data if isinstance(data, list) else list(data.values()) if isinstance(data, dict) else []
    for item in items:
        if isinstance(item, list) and len(item) >= 5:
            id, *ends = item[:5]
        elif isinstance(item, dict):
            id, *ends = (item.get(k) for k in ("id", "origin_id", "origin_slot", "target_id", "target_slot"))
        else:
            id, ends = None, []
        name, *keys = (_key(id), *(_key(end) for end in ends[::2]))
        numbers = [_whole(end) for end in ends[1::2]]
        if name is None or len(keys) != 2 or keys[0] is None or keys[1] is None or None in numbers:
            bad += item is not None
            continue
        found[name] = _Link(keys[0], numbers[0] or 0, keys[1], numbers[1] or 0)
    if bad:
        skipped.append(f"{bad} misshapen link{'s' if bad > 1 else ''}{where} left out.")
    return found


def _outer_inputs(data: dict[str, Any]) -> tuple[OuterInput, ...]:
    found: dict[str, OuterInput] = {}
    for i, slot in enumerate(_dicts(data.get("inputs"), "", [])):
        name = _text(slot.get("name")) or f"input_{i}"
        while name in found:
            name += "_"
        found[name] = OuterInput(name, _type(slot.get("type")), _text(slot.get("label")))
    return tuple(found.values())


def _outer_outputs(
    data: dict[str, Any], links: dict[str, _Link], nodes: dict[str, Any], inputs: tuple[OuterInput, ...]
) -> tuple[OuterOutput, ...]:
    into = {link.target_slot: link for link in links.values() if link.target == _OUTPUTS}
    found = []
    for i, slot in enumerate(_dicts(data.get("outputs"), "", [])):
        link = into.get(i)
        origin: Origin | Outer | None = None
        if link is not None and link.origin in nodes:
            origin = Origin(link.origin, max(0, link.slot))
        elif link is not None and link.origin == _INPUTS and 0 <= link.slot < len(inputs):
            origin = Outer(inputs[link.slot].name)
        found.append(OuterOutput(_text(slot.get("name")), _type(slot.get("type")), _text(slot.get("label")), origin))
    return tuple(found)


def _boxes(data: Any) -> tuple[Box, ...]:
    found = []
    for item in _dicts(data, "", []):
        bounding = item.get("bounding")
        numbers = [_number(part) for part in bounding] if isinstance(bounding, list) else []
        if len(numbers) == 4 and None not in numbers:
            x, y, width, height = (number or 0.0 for number in numbers)
            found.append(Box(_text(item.get("title")), x, y, width, height, _text(item.get("color"))))
    return tuple(found)


def _app_mode(data: dict[str, Any]) -> tuple[Reader, ...]:
    extra = data.get("extra")
    linear = extra.get("linearData") if isinstance(extra, dict) else None
    inputs = linear.get("inputs") if isinstance(linear, dict) else None
    pairs = [item for item in inputs if isinstance(item, list) and len(item) >= 2] if isinstance(inputs, list) else []
    return tuple(Reader(str(node), str(name)) for node, name, *_ in pairs)


def _dicts(data: Any, what: str, skipped: list[str]) -> list[dict[str, Any]]:
    """The objects in a list; with a name for it, whatever else lies there is counted."""
    items = data if isinstance(data, list) else []
    found = [item for item in items if isinstance(item, dict)]
    if what and len(found) < len(items):
        skipped.append(f"{len(items) - len(found)} misshapen entries among the {what} were left out.")
    return found


def _key(value: Any) -> str | None:
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return str(value) if isinstance(value, (int, str)) and not isinstance(value, bool) and value != "" else None


def _whole(value: Any) -> int | None:
    if isinstance(value, str) and value.isdecimal() and len(value) < 10:
        value = int(value)
    return int(value) if isinstance(value, (int, float)) and abs(value) < 1e9 else None


def _number(value: Any) -> float | None:
    return float(value) if isinstance(value, (int, float)) and not isinstance(value, bool) and abs(value) < 1e12 else None


def _pair(value: Any) -> tuple[float, float] | None:
    """[x, y], or {"0": x, "1": y} as older files write it."""
    if isinstance(value, dict):
        value = [value.get("0"), value.get("1")]
    numbers = [_number(part) for part in value[:2]] if isinstance(value, list) else []
    if len(numbers) < 2 or numbers[0] is None or numbers[1] is None:
        return None
    return numbers[0], numbers[1]


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""


def _type(value: Any) -> str:
    """A socket type. Old files list a choice's values in its place."""
    return value if isinstance(value, str) else "COMBO" if isinstance(value, list) else "*"

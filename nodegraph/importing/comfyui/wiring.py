"""Where a link really comes from: through the nodes that only exist in ComfyUI's editor, and around bypassed ones."""

from __future__ import annotations

from collections import deque
from functools import cached_property
from typing import Any, NamedTuple

from nodegraph.importing.comfyui.source import Graph, Origin, Outer, Reader, SourceNode

REROUTES = frozenset({"Reroute", "Reroute (rgthree)", "SetNode"})
"""They pass their only input on."""
SHOWS = {
    "ImageCompare": ("image_a", "image_b"),
    "MaskPreview": ("mask",),
    "PreviewAny": ("source",),
    "PreviewAudio": ("audio",),
    "PreviewImage": ("images",),
}
"""Nodes that show what they are linked to, and keep nothing."""
_PASSES = {"PreviewImage": "images", "MaskPreview": "mask", "SaveImage": "images", "SaveImageAdvanced": "images"}
"""Nodes whose output is their input."""
NOTES = frozenset({"Note", "MarkdownNote"})
EDITOR_ONLY = REROUTES | NOTES | {"GetNode", "PrimitiveNode"}


class Constant(NamedTuple):
    """A value that an editor node (PrimitiveNode) puts into what it is linked to."""

    value: Any
    node: str


Place = Origin | Outer | Constant | None


class Wiring:
    """The links of one graph."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self._followed: dict[Origin, Place] = {}

    @cached_property
    def _setters(self) -> dict[Any, SourceNode]:
        found = (node for node in self.graph.nodes.values() if node.type == "SetNode")
        return {str(node.values.get("name")): node for node in found}

    def place(self, node: SourceNode, name: str) -> Place:
        """Where an input's link comes from, past editor nodes; bypassed nodes are still seen."""
        return self._follow(node.link(name))

    def effective(self, link: Place) -> Place:
        """Where a link comes from when bypassed nodes are led around."""
        seen: set[Origin] = set()
        link = self._follow(link)
        while isinstance(link, Origin) and self.graph.nodes[link.node].mode == "bypassed":
            if link in seen:
                return None
            seen.add(link)
            node = self.graph.nodes[link.node]
            name = bypass_input(node, link.slot)
            link = self._follow(node.link(name)) if name is not None else None
        return link

    def origin(self, node: SourceNode, name: str) -> SourceNode | None:
        """The node that an input really reads, if it is one of this graph."""
        found = self.effective(node.link(name))
        return self.graph.nodes[found.node] if isinstance(found, Origin) else None

    def _follow(self, link: Place) -> Place:
        way: dict[Origin, None] = {}
        while isinstance(link, Origin) and link not in self._followed:
            before = self._before(link)
            if before == link:
                break
            way[link] = None
            link = None if before in way else before
        found = self._followed.get(link, link) if isinstance(link, Origin) else link
        self._followed.update(dict.fromkeys(way, found))
        return found

    def _before(self, link: Origin) -> Place:
        """One step towards where a link comes from: the link itself where that is a node that computes."""
        node = self.graph.nodes[link.node]
        if node.type == "PrimitiveNode":
            return Constant(node.values.get("value"), node.id)
        if node.type == "GetNode":
            setter = self._setters.get(str(node.values.get("name")))
            return Origin(setter.id, 0) if setter is not None else None
        if node.type in REROUTES:
            return next((slot.link for slot in node.inputs if slot.link is not None), None)
        if node.type == "PreviewAny" and self._is_text(node.link("source")):
            return node.link("source")
        return node.link(_PASSES[node.type]) if node.type in _PASSES else link

    def _is_text(self, link: Place) -> bool:
        """Whether an output is text by its own word: then showing it as text changes nothing."""
        outputs = self.graph.nodes[link.node].outputs if isinstance(link, Origin) else ()
        return isinstance(link, Origin) and link.slot < len(outputs) and outputs[link.slot].type == "STRING"

    @cached_property
    def readers(self) -> dict[str, list[Reader]]:
        """Who reads a node's outputs, past editor nodes."""
        found: dict[str, list[Reader]] = {}
        for node in self.graph.nodes.values():
            for slot in node.inputs if node.type not in EDITOR_ONLY else ():
                link = self._follow(slot.link)
                if isinstance(link, Origin):
                    found.setdefault(link.node, []).append(Reader(node.id, slot.name))
        return found

    @cached_property
    def leaves(self) -> frozenset[str]:
        """Nodes whose outputs the subgraph gives to its outside."""
        links = (self._follow(output.link) for output in self.graph.outputs)
        return frozenset(link.node for link in links if isinstance(link, Origin))

    @cached_property
    def off(self) -> dict[str, str]:
        """What ComfyUI does not run because of muted nodes: they, and all that cannot do without them, with the muted node."""
        readers: dict[str, list[Reader]] = {}
        for node in self.graph.nodes.values():
            for slot in node.inputs:
                link = self.effective(slot.link) if not slot.optional else None
                if isinstance(link, Origin):
                    readers.setdefault(link.node, []).append(Reader(node.id, slot.name))
        found = {node.id: node.id for node in self.graph.nodes.values() if node.mode == "muted"}
        todo = deque(found)
        while todo:
            name = todo.popleft()
            for reader in readers.get(name, ()):
                if reader.node not in found:
                    found[reader.node] = found[name]
                    todo.append(reader.node)
        return found


def bypass_input(node: SourceNode, slot: int) -> str | None:
    """The input that a bypassed node passes through to an output: the one beside it, else the first of its type."""
    type_ = node.outputs[slot].type if slot < len(node.outputs) else "*"
    beside = node.inputs[slot] if slot < len(node.inputs) else None
    if beside is not None and _fits(beside.type, type_):
        return beside.name
    exact = (item.name for item in node.inputs if item.type == type_)
    fitting = (item.name for item in node.inputs if _fits(item.type, type_))
    return next(exact, None) or next(fitting, None)


def _fits(given: str, wanted: str) -> bool:
    """ComfyUI's rule: any type fits `*`, and lists of types fit where they share one."""
    return "*" in (given, wanted) or bool(set(given.upper().split(",")) & set(wanted.upper().split(",")))

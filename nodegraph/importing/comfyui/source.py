"""A ComfyUI graph as it is written, whichever of the two formats it came in: nodes with named values and named links."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal, NamedTuple

Mode = Literal["active", "muted", "bypassed"]


class Origin(NamedTuple):
    """An output of a source node."""

    node: str
    slot: int


class Outer(NamedTuple):
    """An input of the subgraph that this graph is the inside of."""

    name: str


class Reader(NamedTuple):
    """An input of a source node, as the reader of an output."""

    node: str
    input: str


@dataclass(frozen=True, slots=True)
class InputSlot:
    """An input socket: `widget` where a value can be typed instead of a link, `optional` where the node runs without."""

    name: str
    type: str = ""
    link: Origin | Outer | None = None
    widget: bool = False
    optional: bool = False


@dataclass(frozen=True, slots=True)
class OutputSlot:
    name: str
    type: str = ""


@dataclass(frozen=True)
class SourceNode:
    """A node: `values` are its widgets by name, `raw` is how it was written."""

    id: str
    type: str
    title: str = ""
    mode: Mode = "active"
    values: dict[str, Any] = field(default_factory=dict)
    inputs: tuple[InputSlot, ...] = ()
    outputs: tuple[OutputSlot, ...] = ()
    position: tuple[float, float] | None = None
    size: tuple[float, float] | None = None
    pack: str = ""
    raw: dict[str, Any] = field(default_factory=dict)

    @cached_property
    def input_by_name(self) -> dict[str, InputSlot]:
        return {slot.name: slot for slot in self.inputs}

    def link(self, name: str) -> Origin | Outer | None:
        slot = self.input_by_name.get(name)
        return slot.link if slot is not None else None


class OuterInput(NamedTuple):
    """An input of a subgraph, as its definition lists it."""

    name: str
    type: str
    label: str


class OuterOutput(NamedTuple):
    name: str
    type: str
    label: str
    link: Origin | Outer | None


class Box(NamedTuple):
    """A frame around nodes."""

    title: str
    x: float
    y: float
    width: float
    height: float
    color: str


@dataclass(frozen=True)
class Graph:
    """The nodes of one graph: the whole workflow, or the inside of one subgraph (`name` is its UUID then)."""

    name: str = ""
    title: str = ""
    nodes: dict[str, SourceNode] = field(default_factory=dict)
    boxes: tuple[Box, ...] = ()
    inputs: tuple[OuterInput, ...] = ()
    outputs: tuple[OuterOutput, ...] = ()

    @cached_property
    def readers(self) -> dict[Origin, list[Reader]]:
        """Who reads each output."""
        found: dict[Origin, list[Reader]] = {}
        for node in self.nodes.values():
            for slot in node.inputs:
                if isinstance(slot.link, Origin):
                    found.setdefault(slot.link, []).append(Reader(node.id, slot.name))
        return found

    @cached_property
    def slots_read(self) -> dict[str, int]:
        """How many outputs a node must have for those that are read, whatever it lists."""
        found: dict[str, int] = {}
        for origin in (*self.readers, *(output.link for output in self.outputs)):
            if isinstance(origin, Origin):
                found[origin.node] = max(found.get(origin.node, 0), origin.slot + 1)
        return found


@dataclass(frozen=True)
class Source:
    """A whole file: the workflow, its subgraphs by UUID, what could not be read, and the rest of the file as it was."""

    format: str
    root: Graph
    subgraphs: dict[str, Graph] = field(default_factory=dict)
    skipped: tuple[str, ...] = ()
    rest: dict[str, Any] = field(default_factory=dict)
    public: tuple[Reader, ...] = ()
    """What the author chose to show in ComfyUI's app mode, in order."""

"""What a rule writes: our nodes for one node of the source. A draft that fails leaves no trace."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from nodegraph.graph.values import BadValue, accept
from nodegraph.importing.comfyui.source import Origin, Outer, Reader, SourceNode
from nodegraph.importing.comfyui.wiring import Constant, Place
from nodegraph.importing.naming import free_name
from nodegraph.sdk.spec import InputSpec, NodeSpec

if TYPE_CHECKING:
    from nodegraph.importing.comfyui.scope import Scope

SEEDS = 1 << 32
"""Our seeds end before this; ComfyUI's before 2^64."""

Rule = Callable[["Draft"], None]
"""Writes a draft for `draft.node`, or raises Unmappable."""


class Unmappable(Exception):
    """Why a node stays a placeholder, worded for the person who reads the report."""


@dataclass(slots=True)
class Entry:
    """A node of ours in the making: links are our own outputs (`noise.latent`) or outputs of the source."""

    type: str
    inputs: dict[str, Any] = field(default_factory=dict)
    links: dict[str, str | Origin | list[str | Origin]] = field(default_factory=dict)
    extra: dict[str, Any] = field(default_factory=dict)
    disabled: bool = False


@dataclass(slots=True)
class Draft:
    """Our nodes for `node`, and how its sockets map to theirs.

    `targets` says which of our inputs (`node.input`) an input of the source became, for interfaces that set it.
    """

    node: SourceNode
    scope: Scope
    entries: dict[str, Entry] = field(default_factory=dict)
    outputs: dict[int, str] = field(default_factory=dict)
    targets: dict[Reader, list[str]] = field(default_factory=dict)
    outer: dict[str, list[str]] = field(default_factory=dict)
    absorbed: list[tuple[str, Reader]] = field(default_factory=list)
    used: set[Reader] = field(default_factory=set)
    shown: list[tuple[str, str]] = field(default_factory=list)
    public: list[tuple[str, str, Reader]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    main: str = ""
    """The node that carries the source's title and what has no other place; the first one where no rule says."""

    # ---- our nodes ----

    def add(self, id: str, type_: str) -> str:
        """A node of ours; its id is numbered where it is taken."""
        if type_ not in self.scope.catalog.nodes:
            raise Unmappable(f"the node type {type_} is not installed")
        name = free_name(id, self.entries, self.scope.entries, reached=self.scope.reached)
        self.entries[name] = Entry(type_)
        return name

    def set(self, place: str, value: Any) -> None:
        """A value of ours. Raises Unmappable where the input does not take it."""
        node, _, key = place.partition(".")
        self.entries[node].inputs[key] = self._accepted(place, value)

    def link(self, place: str, source: str) -> None:
        """A link between our nodes."""
        node, _, key = place.partition(".")
        self.entries[node].links[key] = source

    def output(self, slot: int, place: str) -> None:
        """Which of our outputs an output of the source became."""
        self.outputs[slot] = place

    def note(self, text: str) -> None:
        if text not in self.notes:
            self.notes.append(text)

    # ---- from the source ----

    def value(self, name: str, otherwise: Any = None, of: SourceNode | None = None) -> Any:
        """A typed value of the source. Raises Unmappable where it comes from a link, so that it is not known."""
        node = of or self.node
        place = self.place(name, node)
        if isinstance(place, Origin | Outer):
            raise Unmappable(f"its {name} comes from a link, so that it cannot be known here")
        return place.value if isinstance(place, Constant) else node.values.get(name, otherwise)

    def place(self, name: str, of: SourceNode | None = None) -> Place:
        """Where an input's link comes from; None where there is none, or bypassed nodes lead nowhere."""
        node = of or self.node
        place = self.scope.wiring.place(node, name)
        return place if self.scope.wiring.effective(place) is not None else None

    def linked(self, name: str, of: SourceNode | None = None) -> bool:
        return isinstance(self.place(name, of), Origin | Outer)

    def take(
        self,
        place: str,
        name: str,
        *,
        of: SourceNode | None = None,
        otherwise: Any = None,
        convert: Callable[[Any], Any] | None = None,
        value: bool = True,
    ) -> None:
        """An input of ours from an input of the source: its link, and its value (through `convert`) if it has one.

        Raises Unmappable where ours does not take the value.
        """
        node, key = of or self.node, place.partition(".")[2]
        entry, reader = self.entries[place.partition(".")[0]], Reader((of or self.node).id, name)
        found = self.place(name, node)
        if value:
            typed = found.value if isinstance(found, Constant) else node.values.get(name, otherwise)
            if typed is not None:
                try:
                    entry.inputs[key] = self._accepted(place, convert(typed) if convert else typed)
                except Unmappable:
                    if not isinstance(found, Origin):
                        raise
                    self.note(f"its typed {name} {typed!r}, which the link overrules, was left out")
            self.used.add(reader)
        if isinstance(found, Constant):
            self.used.add(Reader(found.node, "value"))
            self.targets.setdefault(Reader(found.node, "value"), []).append(place)
        if isinstance(found, Origin):
            entry.links[key] = found
        elif isinstance(found, Outer):
            self.outer.setdefault(found.name, []).append(place)
        self.targets.setdefault(reader, []).append(place)

    def gather(self, place: str, *names: str) -> None:
        """An input of ours that takes many links, from several linked inputs of the source.

        Raises Unmappable where one of them is linked to nothing in this graph.
        """
        node, _, key = place.partition(".")
        links: list[str | Origin] = []
        for name in names:
            found = self.place(name)
            if not isinstance(found, Origin):
                raise Unmappable(f"its {name} is not linked to a node of this graph")
            links.append(found)
            self.targets.setdefault(Reader(self.node.id, name), []).append(place)
        self.entries[node].links[key] = links

    def seed(self, place: str, name: str, of: SourceNode | None = None) -> None:
        """A seed of ours from one of the source, which may be larger than ours can be."""
        self.take(place, name, of=of, otherwise=0, convert=self.as_seed)

    def as_seed(self, value: Any) -> Any:
        """A seed as ours: the rest of dividing it by 2^32, with a note where that is another number."""
        number = whole(value)
        if number is not None and not 0 <= number < SEEDS:
            self.note(f"the seed {number} became {number % SEEDS}: seeds end at 4294967295 here")
            return number % SEEDS
        return value

    def pass_on(self, slot: int, name: str) -> None:
        """An output that is what an input reads. Raises Unmappable where nothing of ours brings that."""
        place = self.place(name)
        found = self.scope.resolve(place) if isinstance(place, Origin) else None
        if found is None:
            raise Unmappable(f"its {name} comes from outside, or from nothing that is known")
        self.output(slot, found)

    def absorb(self, name: str, of: SourceNode | None = None) -> None:
        """The node that an input reads needs no node of its own for this reader."""
        node = of or self.node
        found = self.scope.wiring.effective(node.link(name))
        if isinstance(found, Origin):
            self.absorbed.append((found.node, Reader(node.id, name)))

    def show(self, name: str, place: str) -> None:
        """An output for the interface."""
        self.shown.append((name, place))

    def publish(self, name: str, title: str, reader: str, of: SourceNode | None = None) -> None:
        """An input of the source that people want to set: `name` is what the interface calls it."""
        self.public.append((name, title, Reader((of or self.node).id, reader)))

    # ---- values ----

    def spec(self, place: str) -> tuple[NodeSpec, InputSpec]:
        node, _, key = place.partition(".")
        spec = self.scope.catalog.nodes[self.entries[node].type]
        if key not in spec.input_by_name:
            raise Unmappable(f"{spec.id} has no input {key} in this version")
        return spec, spec.input_by_name[key]

    def _accepted(self, place: str, value: Any) -> Any:
        spec, item = self.spec(place)
        value = coerced(item, value)
        try:
            return accept(item, value)
        except BadValue as bad:
            raise Unmappable(f"{spec.id} takes {bad.expected} as its {item.name}, not {bad.got}") from None


def whole(value: Any) -> int | None:
    """A number without a fraction, also as ComfyUI accepts it: 20.0 or "20"."""
    if isinstance(value, str) and value.strip().lstrip("-").isdecimal() and len(value) < 40:
        value = int(value)
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def number(value: Any) -> float | None:
    """A number, also as text."""
    if isinstance(value, str):
        try:
            value = float(value)
        except ValueError:
            return None
    plain = isinstance(value, (int, float)) and not isinstance(value, bool) and abs(value) < 1e300
    return float(value) if plain else None


def coerced(spec: InputSpec, value: Any) -> Any:
    """A value in the kind of number that the input takes, as ComfyUI does silently: nothing else is changed."""
    kinds: Sequence[Any] = [(spec.schema or {}).get("type"), *(s.get("type") for s in (spec.schema or {}).get("anyOf", ()))]
    if "integer" in kinds and (found := whole(value)) is not None:
        return found
    if "number" in kinds and isinstance(value, str) and (close := number(value)) is not None:
        return close
    return value

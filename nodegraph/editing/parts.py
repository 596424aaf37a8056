"""The part of a document that an edit is about: the document itself, or one of its subgraphs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from nodegraph.graph.document import SUBGRAPHS, Document, Interface, NodeEntry, Subgraph
from nodegraph.sdk.builder import NODE_ID
from nodegraph.sdk.errors import InvalidWorkflow, Problem, nearest

Position = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Part:
    """Nodes with their interface and layout; `scope` is the subgraph's name, empty for the document itself."""

    scope: str
    nodes: Mapping[str, NodeEntry]
    interface: Interface
    layout: Mapping[str, Any]

    def place(self, node: str) -> str:
        """How problems name a node of this part."""
        return f"{SUBGRAPHS}.{self.scope}/{node}" if self.scope else node

    @property
    def places(self) -> Mapping[str, Any]:
        """Where the nodes lie on the canvas, as the file says it."""
        found = self.layout.get("nodes")
        return found if isinstance(found, Mapping) else {}


def part_of(document: Document, scope: str) -> Part:
    """The document's part of that name. Raises InvalidWorkflow where there is none."""
    if not scope:
        return Part("", document.nodes, document.interface, document.layout)
    subgraph = document.subgraphs.get(scope)
    if subgraph is None:
        hint = nearest(scope, document.subgraphs, "There are")
        raise InvalidWorkflow([Problem("no_subgraph", f"There is no subgraph {scope!r}.", hint=hint or None)])
    return Part(scope, subgraph.nodes, subgraph.interface, subgraph.layout)


def with_part(document: Document, part: Part, subgraphs: Mapping[str, Subgraph]) -> Document:
    """The document with one part and all its subgraphs replaced. Nothing of the result is shared with what it came from."""
    changed = {"nodes": dict(part.nodes), "interface": part.interface, "layout": dict(part.layout)}
    found = dict(subgraphs)
    if part.scope:
        found[part.scope] = found[part.scope].model_copy(update=changed)
        changed = {}
    return document.model_copy(update={**changed, "subgraphs": found}).model_copy(deep=True)


def replaced(layout: Mapping[str, Any], out: Iterable[str], put: Mapping[str, Any]) -> dict[str, Any]:
    """A layout without the places of some nodes, and with those of others."""
    places = layout.get("nodes", {})
    if not isinstance(places, Mapping):
        return dict(layout)
    gone = set(out)
    known = {**{name: place for name, place in places.items() if name not in gone}, **put}
    return {**layout, "nodes": known} if known or "nodes" in layout else dict(layout)


def position(place: Any) -> Position | None:
    """A place in the form that is understood: `[x, y]`."""
    if isinstance(place, list) and len(place) == 2 and all(type(part) in (int, float) for part in place):
        return place[0], place[1]
    return None


def centre(places: Mapping[str, Any]) -> Position | None:
    """The middle of those places that are understood, in whole pixels."""
    known = [found for found in map(position, places.values()) if found is not None]
    if not known:
        return None
    return round(sum(x for x, _ in known) / len(known)), round(sum(y for _, y in known) / len(known))


def check_name(name: str, what: str, taken: Iterable[str]) -> None:
    """Raise InvalidWorkflow where a name cannot be used, or is."""
    if not NODE_ID.match(name):
        expected = "letters, digits, _ and -, not starting with a digit"
        raise InvalidWorkflow([Problem("bad_id", f"This {what} cannot be used.", None, None, expected, repr(name))])
    if name in taken:
        raise InvalidWorkflow([Problem("bad_id", f"There is a {what} {name!r} already.", hint="Choose another name.")])


def free_name(wanted: str, taken: Iterable[str]) -> str:
    """`wanted`, numbered where it is taken."""
    known, name, number = set(taken), wanted, 2
    while name in known:
        name, number = f"{wanted}_{number}", number + 1
    return name


def split(text: str) -> tuple[str, str]:
    """`node.output` as its two parts."""
    node, _, output = text.partition(".")
    return node, output


def as_list(link: str | list[str]) -> list[str]:
    """The links of one socket."""
    return link if isinstance(link, list) else [link]

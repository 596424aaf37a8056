"""What a document's canonical JSON is made of: which places hold things by name, name nodes, or have an order.

Comparing, changing and merging walk along this one table, so that a new field of documents is taught to them here only.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, Final

from pydantic.fields import FieldInfo

from nodegraph.graph.canonical import compact
from nodegraph.graph.document import INPUT_RULES, SUBGRAPHS, InterfaceInput

Path = tuple[str, ...]
"""Where something lies in a document's JSON: `("nodes", "denoise", "inputs", "steps")`."""

Tree = dict[str, Any]


class Absent(Enum):
    """The value of what is not there; JSON's null is a value like any other."""

    ABSENT = "absent"

    def __repr__(self) -> str:
        return "ABSENT"


ABSENT: Final = Absent.ABSENT


@dataclass(frozen=True, slots=True)
class Shape:
    """One kind of place. `word` begins the kinds of its changes; `default` is what its absence means."""

    word: str
    fields: Mapping[str, Shape] = field(default_factory=dict)
    """What lies in it under fixed names."""
    each: Shape | None = None
    """What lies in it under free names."""
    default: Any = ABSENT
    ordered: bool = False
    """The order of the names counts."""
    names: bool = False
    """The names are those of nodes."""
    refs: bool = False
    """Holds `node.socket`, or a list of them."""
    scope: bool = False
    """Has nodes, and so node names, of its own."""
    settled: bool = False
    """Is always there, so it only ever changes."""

    @property
    def descends(self) -> bool:
        return bool(self.fields) or self.each is not None

    def child(self, name: str) -> Shape:
        return self.fields.get(name) or self.each or FIELD

    def keys(self, *trees: Mapping[str, Any]) -> list[str]:
        """The names in these trees, each once: known fields first, the rest by name."""
        found = {key for tree in trees for key in tree}
        return [*(name for name in self.fields if name in found), *sorted(found - self.fields.keys())]


def _text(word: str) -> Shape:
    return Shape(word, default="", settled=True)


def _unless_required(name: str, known: FieldInfo) -> Any:
    """What a public input says by leaving a field out; rules that are left out are no rules, not even null."""
    return ABSENT if known.is_required() or name in INPUT_RULES else known.default


FIELD = Shape("field")
LINK = Shape("link", refs=True)
NODE = Shape(
    "node",
    {
        "type": Shape("type", settled=True),
        "version": Shape("version", settled=True),
        "inputs": Shape("inputs", each=Shape("input"), default={}),
        "links": Shape("links", each=LINK, default={}),
        "disabled": Shape("disabled", default=False, settled=True),
    },
)
PUBLIC_INPUT = Shape(
    "interface_input",
    {
        name: Shape("interface_input", refs=name == "to", settled=True, default=_unless_required(name, known))
        for name, known in InterfaceInput.model_fields.items()
    },
)
INTERFACE = Shape(
    "interface",
    {
        "inputs": Shape("interface_inputs", each=PUBLIC_INPUT, default={}, ordered=True),
        "outputs": Shape("interface_outputs", each=Shape("interface_output", refs=True), default={}, ordered=True),
    },
    default={},
)
LAYOUT = Shape("layout", {"nodes": Shape("layout", each=Shape("layout"), names=True)}, each=Shape("layout"), default={})
LOCK = Shape("lock", each=Shape("lock", each=Shape("lock")), default={})
NODES = Shape("nodes", each=NODE, default={}, names=True)
SUBGRAPH = Shape(
    "subgraph",
    {
        "title": _text("title"),
        "description": _text("description"),
        "file": _text("file"),
        "nodes": NODES,
        "interface": INTERFACE,
        "layout": LAYOUT,
    },
    scope=True,
)
DOCUMENT = Shape(
    "document",
    {
        "id": _text("id"),
        "title": _text("title"),
        "description": _text("description"),
        "nodes": NODES,
        "interface": INTERFACE,
        SUBGRAPHS: Shape("subgraphs", each=SUBGRAPH, default={}),
        "packs": Shape("packs", each=Shape("pack"), default={}),
        "layout": LAYOUT,
        "lock": LOCK,
    },
    scope=True,
)


_TEXT = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode


def same(one: Any, other: Any) -> bool:
    """Whether two parts of canonical documents are written alike: 1, 1.0 and true are three values."""
    if one is ABSENT or other is ABSENT:
        return one is other
    return one is other or _TEXT(one) == _TEXT(other)


def fits(one: Any, other: Any) -> bool:
    """The same for values from anywhere, whose objects may be in any order."""
    if one is ABSENT or other is ABSENT:
        return one is other
    return compact(one) == compact(other)


def scope_of(path: Path) -> Path:
    """The graph that a place belongs to: the document `()`, or one of its subgraphs."""
    return path[:2] if len(path) > 2 and path[0] == SUBGRAPHS else ()


def at_path(tree: Any, path: Path, default: Any = ABSENT) -> Any:
    """What lies at a path, or `default`."""
    for key in path:
        if not isinstance(tree, dict) or key not in tree:
            return default
        tree = tree[key]
    return tree


def place(path: Path) -> str:
    """A path as people write it: `denoise.steps`, `subgraphs.year/grown.b`, `interface.inputs.seed.title`."""
    scope = scope_of(path)
    if scope:
        inner = path[2:]
        return f"{'.'.join(scope)}/{place(inner)}" if inner[0] == "nodes" else ".".join(path)
    if path[0] == "nodes" and len(path) > 1:
        rest = path[2:]
        return ".".join([path[1], *(rest[1:] if rest[0] in ("inputs", "links") else rest)]) if rest else path[1]
    return ".".join(path)


# ---- names of nodes ----


def node_in(ref: str) -> str:
    """The node that `node.socket` names."""
    return ref.partition(".")[0]


def refs_in(value: Any) -> list[str]:
    """The `node.socket`s of a link, a list of links, or nothing."""
    if isinstance(value, str):
        return [value]
    return [item for item in value if isinstance(item, str)] if isinstance(value, (list, tuple)) else []


def ref_places(graph: Mapping[str, Any]) -> Iterator[tuple[Path, Any]]:
    """Every place of a graph that names nodes, with what it says."""
    for name, entry in graph.get("nodes", {}).items():
        for key, link in entry.get("links", {}).items():
            yield ("nodes", name, "links", key), link
    interface = graph.get("interface", {})
    for name, item in interface.get("inputs", {}).items():
        yield ("interface", "inputs", name, "to"), item["to"]
    for name, output in interface.get("outputs", {}).items():
        yield ("interface", "outputs", name), output


def permutation(pairs: Mapping[str, str]) -> dict[str, str]:
    """New names for old, made a permutation: a name that is taken over goes to what has given its own away.

    Links may name nodes that are not there; so these too can be renamed, and renamed back, without two becoming one.
    """
    back = {new: old for old, new in pairs.items()}
    whole = {old: new for old, new in pairs.items() if old != new}
    for end in [new for new in whole.values() if new not in pairs]:
        start = end
        while start in back:
            start = back[start]
        whole[end] = start
    return whole


def renamed(shape: Shape, value: Any, names: Mapping[str, str]) -> Any:
    """A part of one graph with its nodes renamed, and everything that names them."""
    return _renamed(shape, value, lambda name: names.get(name, name)) if names else value


def _renamed(shape: Shape, value: Any, name: Callable[[str], str]) -> Any:
    if shape.refs:
        return [_ref(item, name) for item in value] if isinstance(value, (list, tuple)) else _ref(value, name)
    if not isinstance(value, dict) or not shape.descends:
        return value
    inner = {key: _inside(shape.child(key), item, name) for key, item in value.items()}
    return dict(sorted((name(key), item) for key, item in inner.items())) if shape.names else inner


def _inside(shape: Shape, value: Any, name: Callable[[str], str]) -> Any:
    return value if shape.scope else _renamed(shape, value, name)


def _ref(ref: Any, name: Callable[[str], str]) -> Any:
    if not isinstance(ref, str):
        return ref
    node, dot, socket = ref.partition(".")
    return f"{name(node)}{dot}{socket}"


def renamed_path(path: Path, names: Mapping[str, str]) -> Path:
    """A path inside one graph, after renaming."""
    scope = scope_of(path)
    return scope + tuple(_renamed_keys(SUBGRAPH if scope else DOCUMENT, path[len(scope) :], names))


def _renamed_keys(shape: Shape, keys: Iterable[str], names: Mapping[str, str]) -> Iterator[str]:
    for key in keys:
        yield names.get(key, key) if shape.names else key
        shape = shape.child(key)


def shape_at(path: Path) -> Shape:
    """What kind of place a path leads to."""
    shape = DOCUMENT
    for key in path:
        shape = shape.child(key)
    return shape

"""Arbitrary documents and arbitrary edits of them, for properties about whatever changes documents.

`documents()` gives parsed documents of every part that the format has: nodes of known and unknown types, values of every JSON
kind, links single and many (dangling ones too), interfaces with all their fields, subgraphs inside and in files, layout,
lock, and fields that nobody knows, everywhere. `edited(document)` gives one after some edits as a person would make.
"""

from __future__ import annotations

import copy
from typing import Any

from hypothesis import strategies as st

from nodegraph.graph import Document, dump_document
from nodegraph.graph.document import document_from, to_json

NAMES = ["a", "b", "c", "d", "model", "prompt", "prompt_2", "denoise", "save-it", "_x9"]
SOCKETS = ["image", "text", "value", "steps", "items"]
TYPES = ["core/integer", "core/text", "core/calculate", "image/resize_image", "gone/node", "core/map", "subgraph/year", ""]
PUBLIC = ["prompt", "seed", "steps", "size"]
UNKNOWN = ["x", "seen", "comment", "Ω", "with space"]

texts = st.text(st.characters(codec="utf-8"), max_size=8)
numbers = st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False)
plain = st.none() | st.booleans() | st.sampled_from([0, 1, 0.0, -0.0, 1.0, True, False, "", "1"]) | numbers | texts
values = st.recursive(
    plain,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=6,
)
"""Every kind of JSON value."""
names = st.sampled_from(NAMES)
sockets = st.sampled_from(SOCKETS)
refs = st.builds("{}.{}".format, names, sockets) | st.sampled_from(["nothing", "a.b.c", "", "."])
extra = st.dictionaries(st.sampled_from(UNKNOWN), values, max_size=2) | st.just({})
"""Fields that this version does not know."""


def _part(**known: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    return st.tuples(extra, st.fixed_dictionaries({}, optional=known)).map(lambda both: {**both[0], **both[1]})


entries = st.builds(
    lambda type_, rest: {"type": type_, **rest},
    st.sampled_from(TYPES),
    _part(
        version=st.integers(0, 3),
        inputs=st.dictionaries(sockets, values, max_size=3),
        links=st.dictionaries(sockets, refs | st.lists(refs, max_size=3), max_size=3),
        disabled=st.booleans(),
    ),
)
public_inputs = st.builds(
    lambda to, rest: {"to": to, **rest},
    st.lists(refs, max_size=3),
    _part(
        title=texts,
        description=texts,
        group=texts,
        as_list=st.booleans(),
        default=values,
        minimum=st.none() | numbers,
        maximum=st.none() | numbers,
        step=st.none() | numbers,
        choices=st.none() | st.lists(values, max_size=3),
    ),
)
interfaces = _part(
    inputs=st.dictionaries(st.sampled_from(PUBLIC), public_inputs, max_size=4).flatmap(
        lambda found: st.permutations(list(found.items())).map(dict)
    ),
    outputs=st.dictionaries(st.sampled_from(PUBLIC), refs, max_size=3),
)
positions = st.dictionaries(names, st.tuples(st.integers(0, 9), st.integers(0, 9)).map(list), max_size=3)
layouts = st.dictionaries(st.sampled_from(["frames", "notes", "zoom"]), values, max_size=2) | st.builds(
    lambda nodes, more: {"nodes": nodes, **more}, positions | values, st.dictionaries(st.just("notes"), values, max_size=1)
)
locks = st.dictionaries(
    st.sampled_from(["packs", "models", "inputs"]), st.dictionaries(texts, values, max_size=2) | values, max_size=3
)
graphs = st.dictionaries(names, entries, max_size=5)
subgraphs = st.one_of(
    _part(title=texts, nodes=graphs, interface=interfaces, layout=layouts),
    st.builds(lambda rest: {"file": "other.json", **rest}, _part(title=texts)),
)


def documents(most_subgraphs: int = 2) -> st.SearchStrategy[Document]:
    """Valid-shaped documents: they parse, and need not compile."""
    data = st.builds(
        lambda nodes, rest: {"nodegraph": 1, "nodes": nodes, **rest},
        graphs,
        _part(
            id=texts,
            title=texts,
            interface=interfaces,
            subgraphs=st.dictionaries(st.sampled_from(["year", "body"]), subgraphs, max_size=most_subgraphs),
            packs=st.dictionaries(names, _part(version=texts).map(lambda part: {"distribution": "d", **part}), max_size=2),
            layout=layouts,
            lock=locks,
        ),
    )
    return data.map(document_from)


CROWDED = document_from(
    {
        "nodegraph": 1,
        "id": "crowded",
        "title": "Crowded",
        "nodes": {
            "model": {"type": "core/text", "inputs": {"value": "starter"}},
            "prompt": {"type": "core/text", "inputs": {"text": "a red apple"}, "links": {"image": "model.image"}},
            "prompt_2": {"type": "core/text", "inputs": {"text": ""}, "links": {"image": "model.image"}},
            "denoise": {
                "type": "gone/node",
                "inputs": {"steps": 20, "value": 1.0},
                "links": {"image": "prompt.image", "text": "prompt_2.text", "items": ["prompt.text", "prompt_2.text"]},
                "seen": [1],
            },
            "a": {"type": "core/map", "inputs": {"body": "year", "steps": 3}, "links": {"items": "denoise.items"}},
            "save-it": {"type": "image/resize_image", "links": {"image": "a.image", "items": ["a.text"]}, "disabled": True},
        },
        "interface": {
            "inputs": {
                "prompt": {"to": ["prompt.text", "prompt_2.text"], "title": "Prompt", "group": "Text"},
                "seed": {"to": ["denoise.value"], "default": None, "minimum": 0},
                "steps": {"to": ["denoise.steps"], "choices": [10, 20]},
            },
            "outputs": {"size": "a.value", "prompt": "prompt.text", "steps": "denoise.steps"},
        },
        "subgraphs": {
            "year": {
                "nodes": {
                    "b": {"type": "core/calculate", "inputs": {"value": 2}},
                    "c": {"type": "core/calculate", "links": {"value": "b.value"}},
                },
                "interface": {"inputs": {"seed": {"to": ["b.value"]}}, "outputs": {"size": "c.value"}},
            },
            "body": {"file": "other.json"},
        },
        "layout": {"nodes": {"model": [0, 0], "prompt": [1, 0]}, "zoom": 1},
        "lock": {"packs": {"core": "1"}},
    }
)
"""One in which most names that edits draw are taken: two people's edits of it often meet."""


def same_text(one: Document, other: Document) -> bool:
    """Whether two documents are saved as the same bytes."""
    return dump_document(one) == dump_document(other)


# ---- edits ----


@st.composite
def edited(draw: st.DrawFn, document: Document, most: int = 4, renames: bool = True) -> Document:
    """The document after up to `most` edits anywhere in it."""
    data = copy.deepcopy(to_json(document))
    for _ in range(draw(st.integers(0, most).map(lambda count: most - count))):
        inside = [subgraph for subgraph in data.get("subgraphs", {}).values() if "file" not in subgraph]
        graph = draw(st.sampled_from([data, data, *inside]))
        draw(st.sampled_from(EDITS if renames else [edit for edit in EDITS if edit is not rename]))(draw, graph)
    return document_from(data)


def _entry(draw: st.DrawFn, graph: dict[str, Any]) -> dict[str, Any]:
    nodes = graph.setdefault("nodes", {})
    if not nodes:
        nodes[draw(names)] = draw(entries)
    return nodes[draw(st.sampled_from(sorted(nodes)))]


def set_input(draw: st.DrawFn, graph: dict[str, Any]) -> None:
    _entry(draw, graph).setdefault("inputs", {})[draw(sockets)] = draw(values)


def set_link(draw: st.DrawFn, graph: dict[str, Any]) -> None:
    _entry(draw, graph).setdefault("links", {})[draw(sockets)] = draw(refs | st.lists(refs, max_size=3))


def add_link(draw: st.DrawFn, graph: dict[str, Any]) -> None:
    links = _entry(draw, graph).setdefault("links", {})
    present = links.get("items", [])
    links["items"] = [*(present if isinstance(present, list) else [present]), draw(refs)]


def clear(draw: st.DrawFn, graph: dict[str, Any]) -> None:
    entry = _entry(draw, graph)
    entry.pop(draw(st.sampled_from(["inputs", "links", "disabled", "x"])), None)


def change_field(draw: st.DrawFn, graph: dict[str, Any]) -> None:
    entry = _entry(draw, graph)
    name, value = draw(
        st.tuples(st.just("type"), st.sampled_from(TYPES))
        | st.tuples(st.just("version"), st.integers(1, 4))
        | st.tuples(st.just("disabled"), st.booleans())
        | st.tuples(st.sampled_from(UNKNOWN), values)
    )
    entry[name] = value


def add_node(draw: st.DrawFn, graph: dict[str, Any]) -> None:
    graph.setdefault("nodes", {})[draw(names)] = draw(entries)


def remove_node(draw: st.DrawFn, graph: dict[str, Any]) -> None:
    """Remove a node and what is linked to it, as an editor does."""
    nodes = graph.get("nodes", {})
    if not nodes:
        return
    gone = draw(st.sampled_from(sorted(nodes)))
    del nodes[gone]
    for entry in nodes.values():
        links = entry.get("links", {})
        for key, link in list(links.items()):
            kept = [ref for ref in (link if isinstance(link, list) else [link]) if ref.partition(".")[0] != gone]
            if not kept:
                del links[key]
            elif isinstance(link, list):
                links[key] = kept
    outputs = graph.get("interface", {}).get("outputs", {})
    for name in [name for name, ref in outputs.items() if ref.partition(".")[0] == gone]:
        del outputs[name]
    for item in graph.get("interface", {}).get("inputs", {}).values():
        item["to"] = [ref for ref in item["to"] if ref.partition(".")[0] != gone]


def rename(draw: st.DrawFn, graph: dict[str, Any]) -> None:
    """Give a node another id, and tell those that name it."""
    nodes = graph.get("nodes", {})
    free = [name for name in [*NAMES, "renamed"] if name not in nodes]
    if nodes and free:
        rename_node(graph, draw(st.sampled_from(sorted(nodes))), draw(st.sampled_from(free)))


def rename_node(graph: dict[str, Any], old: str, new: str) -> None:
    def ref(text: str) -> str:
        node, dot, socket = text.partition(".")
        return f"{new}{dot}{socket}" if node == old else text

    graph["nodes"] = {new if name == old else name: entry for name, entry in graph["nodes"].items()}
    for entry in graph["nodes"].values():
        for key, link in entry.get("links", {}).items():
            entry["links"][key] = [ref(item) for item in link] if isinstance(link, list) else ref(link)
    interface = graph.get("interface", {})
    for item in interface.get("inputs", {}).values():
        item["to"] = [ref(text) for text in item["to"]]
    interface.get("outputs", {}).update({name: ref(text) for name, text in interface.get("outputs", {}).items()})


def change_interface(draw: st.DrawFn, graph: dict[str, Any]) -> None:
    interface = graph.setdefault("interface", {})
    interface[draw(st.sampled_from(["inputs", "outputs"]))] = {}
    interface.update(draw(interfaces))


def set_public_input(draw: st.DrawFn, graph: dict[str, Any]) -> None:
    inputs = graph.setdefault("interface", {}).setdefault("inputs", {})
    inputs[draw(st.sampled_from(PUBLIC))] = draw(public_inputs)


def reorder(draw: st.DrawFn, graph: dict[str, Any]) -> None:
    interface = graph.setdefault("interface", {})
    for name in ("inputs", "outputs"):
        items = list(interface.get(name, {}).items())
        interface[name] = dict(draw(st.permutations(items)))


def move(draw: st.DrawFn, graph: dict[str, Any]) -> None:
    graph["layout"] = draw(layouts)


def retitle(draw: st.DrawFn, graph: dict[str, Any]) -> None:
    graph["title"] = draw(texts)


def edit_subgraphs(draw: st.DrawFn, graph: dict[str, Any]) -> None:
    """Add, replace or remove a subgraph; in a subgraph, what an unknown field of that name says."""
    found = graph.setdefault("subgraphs", {})
    name = draw(st.sampled_from(["year", "body"]))
    if name in found and draw(st.booleans()):
        del found[name]
    else:
        found[name] = draw(subgraphs)


EDITS = [
    *(set_input, set_link, add_link, clear, change_field, add_node, remove_node, remove_node, rename, rename, edit_subgraphs),
    *(change_interface, set_public_input, reorder, move, retitle),
]

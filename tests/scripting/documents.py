"""Documents of installed nodes with sockets that they have, crossed with all that a script has to work around.

`editing.documents` draws from names of no meaning; here most links and values fit, so that most nodes are said by a call.
"""

from __future__ import annotations

from typing import Any

from editing.documents import documents as any_documents
from editing.documents import extra, interfaces, layouts, refs, texts, values
from hypothesis import strategies as st

from nodegraph.graph import Document
from nodegraph.graph.document import document_from

TYPES: dict[str, tuple[list[str], list[str]]] = {
    "core/integer": (["value"], ["value"]),
    "core/calculate_whole": (["a", "operation", "b"], ["value"]),
    "core/make_list": (["items"], ["items"]),
    "core/join_text": (["texts", "separator"], ["text"]),
    "core/ask": (["options", "question"], ["chosen", "place"]),
    "core/fold": (["body", "items", "initial", "rate", "class", "two words"], ["state"]),
    "core/while_": (["body", "initial", "limit", "items"], ["state", "rounds"]),
    "core/map": (["body", "items", "rate"], ["number", "class", "_private", "two words"]),
    "subgraph/year": (["state", "lambda", "a-b", "builder", "node"], ["state", "node", "builder", ""]),
    "subgraph/": (["x"], ["x"]),
    "gone/node": (["x", "self"], ["x", "is"]),
    "core/": (["x"], ["x"]),
    "gone": (["x"], ["x"]),
}
"""Node types with inputs that they have or take, and outputs."""

NAMES = ["a", "b", "a-b", "a_b", "core", "graph", "class", "print", "year", "map", "_", "integer"]
WRONG = ["a", "value", "nonsense", "index"]


@st.composite
def _nodes(draw: st.DrawFn) -> dict[str, Any]:
    names = draw(st.lists(st.sampled_from(NAMES), unique=True, max_size=6))
    types = {name: draw(st.sampled_from(sorted(TYPES))) for name in names}
    links = [f"{name}.{output}" for name in names for output in (*TYPES[types[name]][1], "nonsense")]
    link = st.sampled_from(links) | st.sampled_from(links) | refs if links else refs
    return {name: draw(_entry(types[name], link)) for name in names}


def _entry(type_id: str, link: st.SearchStrategy[str]) -> st.SearchStrategy[dict[str, Any]]:
    sockets = st.sampled_from([*TYPES[type_id][0] * 3, *WRONG])
    known = st.fixed_dictionaries(
        {"type": st.just(type_id)},
        optional={
            "version": st.sampled_from([1, 1, 1, 2]),
            "inputs": st.dictionaries(sockets, values, max_size=3),
            "links": st.dictionaries(sockets, link | st.lists(link, max_size=3), max_size=3),
            "disabled": st.booleans(),
        },
    )
    return st.tuples(extra, known).map(lambda both: {**both[0], **both[1]})


_subgraphs = st.fixed_dictionaries(
    {},
    optional={
        "title": texts,
        "file": st.sampled_from(["", "other.json"]),
        "nodes": _nodes(),
        "interface": interfaces,
        "layout": layouts,
        "subgraphs": values,  # what a field of that name says inside a subgraph, nobody knows
        "lock": values,
        "id": values,
    },
)


def documents() -> st.SearchStrategy[Document]:
    """Documents that are hard to say in Python, and any others."""
    known = st.fixed_dictionaries(
        {"nodegraph": st.just(1), "nodes": _nodes()},
        optional={
            "id": texts,
            "title": texts,
            "interface": interfaces,
            "layout": layouts,
            "lock": st.dictionaries(texts, values, max_size=2),
            "subgraphs": st.dictionaries(st.sampled_from(["year", "graph", "a-b", "class"]), _subgraphs, max_size=2),
            "file": values,
            "self": values,
        },
    )
    crossed = st.tuples(extra, known).map(lambda both: document_from({**both[0], **both[1]}))
    return crossed | any_documents()

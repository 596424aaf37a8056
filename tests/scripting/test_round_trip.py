"""Documents as graphs and as scripts: what comes back is the document, to the last byte of its canonical text."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given

from nodegraph import Graph
from nodegraph.graph import Document, dump_document, load_document
from nodegraph.graph.document import document_from
from scripting.conftest import built
from scripting.documents import documents

WORKFLOWS = sorted((Path(__file__).parents[2] / "workflows").glob("*.json"))
ScriptOf = Callable[[Document], str]


@given(documents())
def test_a_graph_of_a_document_is_that_document(document: Document) -> None:
    before = dump_document(document)
    assert dump_document(Graph.of(document).document()) == before
    assert dump_document(document) == before


@given(document=documents())
def test_a_script_of_a_document_builds_that_document(script_of: ScriptOf, document: Document) -> None:
    assert dump_document(built(script_of(document))) == dump_document(document)


@given(document=documents())
def test_a_document_has_one_script(script_of: ScriptOf, document: Document) -> None:
    script = script_of(document)
    assert script_of(built(script)) == script


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_the_shipped_workflows_are_what_their_scripts_build(script_of: ScriptOf, path: Path) -> None:
    document = load_document(path)
    assert dump_document(built(script_of(document))) == dump_document(document)


@pytest.mark.parametrize(
    "data",
    [
        {
            "nodes": {
                "a": {"type": "core/calculate_whole", "links": {"a": "b.value"}},
                "b": {"type": "core/calculate_whole", "links": {"a": "a.value"}},
            }
        },
        {"nodes": {"a": {"type": "core/calculate_whole", "links": {"a": "a.value"}}}},
        {
            "nodes": {
                "a": {"type": "core/integer", "version": 7, "inputs": {"value": 1, "gone": [None]}, "links": {"value": "x.y"}}
            }
        },
        {"nodes": {"a": {"type": "core/make_list", "inputs": {"items": [1]}, "links": {"items": []}}}},
        {"nodes": {"a": {"type": "core/make_list", "links": {"items": "a.b"}}}},
        {"nodes": {"a": {"type": "core/integer", "inputs": {"value": None}}}},
        {
            "nodes": {
                "a": {
                    "type": "core/map",
                    "inputs": {"body": "x", "self": 1, "node": 2, "": 3},
                    "links": {"id": [], "self": "b.c"},
                }
            }
        },
        {"nodes": {}, "layout": {"nodes": {"a": [10**400, 0]}}, "x": 10**400},
        {
            "nodes": {"a": {"type": "gone/x", "links": {"y": ["", ".", "a.", ".b", "a.b.c", "a"]}}},
            "interface": {"outputs": {"o": "", "p": "a."}},
        },
        {
            "nodes": {},
            "interface": {"inputs": {"a": {"to": ["x"], "minimum": None, "default": None, "name": "n", "self": 1, "to_": 0}}},
        },
        {"nodes": {"a": {"type": "gone/x"}, "b": {"type": "gone/y", "links": {"x": ["a._node", "a._builder", "a.__class__"]}}}},
        {"nodes": {}, "title": 'say "hi"\\\n\u2028 {x}', "id": "'\"", "subgraphs": {"s": {"title": '"""'}}},
    ],
    ids=[
        "cycle",
        "self link",
        "newer version",
        "values of many",
        "one of many",
        "null",
        "odd names",
        "huge",
        "odd links",
        "odd fields",
        "names of our own",
        "quotes",
    ],
)
def test_what_is_odd_survives(script_of: ScriptOf, data: dict[str, Any]) -> None:
    document = document_from(data)
    assert dump_document(Graph.of(document).document()) == dump_document(document)
    assert dump_document(built(script_of(document))) == dump_document(document)

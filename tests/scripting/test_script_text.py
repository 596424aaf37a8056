"""Scripts read as a person would have written them, and are formatted as ruff formats."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given

from nodegraph.graph import Document, load_document
from nodegraph.graph.document import document_from
from scripting.documents import documents
from scripting.test_round_trip import WORKFLOWS

ScriptOf = Callable[[Document], str]

APPLE: dict[str, Any] = {
    "title": "Apple",
    "nodes": {
        "model": {"type": "diffusion/load_model", "inputs": {"model": "starter"}},
        "prompt": {
            "type": "diffusion/encode_prompt",
            "version": 2,
            "inputs": {"text": "a red apple"},
            "links": {"encoder": "model.text_encoder"},
        },
        "twice": {"type": "subgraph/twice", "links": {"picture": "gone.image"}},
        "gone": {"type": "gone/paint", "inputs": {"size": 3}},
    },
    "interface": {"inputs": {"prompt": {"to": ["prompt.text"], "title": "Prompt"}}, "outputs": {"image": "twice.picture"}},
    "subgraphs": {"twice": {"file": "twice.json"}},
    "layout": {"nodes": {"model": [0, 0]}},
}

SCRIPT = '''"""Apple: built by calling nodes."""

import nodegraph
from nodegraph_nodes import diffusion

graph = nodegraph.Graph("Apple")
graph.subgraph("twice", file="twice.json")

model = graph.add(diffusion.load_model, "model", model="starter")
gone = graph.place("gone/paint", "gone", inputs={"size": 3})
graph.add(
    diffusion.encode_prompt, "prompt", encoder=model.text_encoder, text="a red apple"
)
twice = graph.call("twice", "twice", picture=gone.image)

graph.input("prompt", "prompt.text", title="Prompt")
graph.output("image", twice.picture)

graph.keep(layout={"nodes": {"model": [0, 0]}})

if __name__ == "__main__":
    result = graph.workflow(__file__).run(out="outputs")
    for name, rows in result.files.items():
        print(name, rows)
'''


def test_a_script_says_what_is_no_default_in_the_order_of_the_data(script_of: ScriptOf) -> None:
    assert script_of(document_from(APPLE)) == SCRIPT


@pytest.mark.parametrize(
    ("name", "variable"),
    [
        ("a-b", "a_b"),
        ("class", "class_"),
        ("map", "map_"),
        ("core", "core_"),
        ("graph", "graph_"),
        ("_x", "_x"),
        ("match", "match_"),
    ],
)
def test_ids_become_variables_that_python_has_free(script_of: ScriptOf, name: str, variable: str) -> None:
    nodes = {name: {"type": "core/integer"}, "z": {"type": "core/calculate_whole", "links": {"a": f"{name}.value"}}}
    script = script_of(document_from({"nodes": nodes}))
    assert f'{variable} = graph.add(core.integer, "{name}")\ngraph.add(core.calculate_whole, "z", a={variable})' in script


def test_ids_that_would_be_one_variable_are_numbered(script_of: ScriptOf) -> None:
    nodes = {name: {"type": "core/integer"} for name in ("a-b", "a_b")}
    script = script_of(document_from({"nodes": nodes, "interface": {"outputs": {"x": "a-b.value", "y": "a_b.value"}}}))
    assert 'a_b = graph.add(core.integer, "a-b")\na_b_2 = graph.add(core.integer, "a_b")' in script


def test_nodes_that_nothing_waits_for_come_as_they_are_drawn(script_of: ScriptOf) -> None:
    nodes = {name: {"type": "core/integer"} for name in ("a", "b", "c", "d")}
    layout = {"nodes": {"c": [0, 0], "b": [0, 5], "a": [3, -9], "d": "nowhere"}}
    script = script_of(document_from({"nodes": nodes, "layout": layout}))
    places = [script.index(f'graph.add(core.integer, "{name}")') for name in ("c", "b", "a", "d")]
    assert places == sorted(places)


def test_sources_come_first_wherever_they_are_drawn(script_of: ScriptOf) -> None:
    links = {"a": "b.value", "b": "c.value", "c": "d.value"}
    nodes = {name: {"type": "core/calculate_whole", "links": {"a": link}} for name, link in links.items()}
    nodes["d"] = {"type": "core/calculate_whole"}
    layout = {"nodes": {name: [place, 0] for place, name in enumerate("abcd")}}
    script = script_of(document_from({"nodes": nodes, "layout": layout}))
    places = [script.index(f'graph.add(core.calculate_whole, "{name}"') for name in "dcba"]
    assert places == sorted(places)
    assert "graph.link(" not in script


def test_what_stands_behind_links_disturbs_nobody(script_of: ScriptOf) -> None:
    node = {"type": "core/calculate_whole", "inputs": {"a": 3, "b": 4}, "links": {"a": "x.value"}, "note": "mine"}
    script = script_of(document_from({"nodes": {"sum": node}}))
    assert 'graph.add(core.calculate_whole, "sum", a=graph.link("x.value"), b=4)\n' in script
    assert 'graph.keep("sum", inputs={"a": 3}, note="mine")\n' in script


def assert_as_ruff_writes(folder: Path, scripts: list[str]) -> None:
    """Ruff changes nothing with its own settings, and finds nothing unused or out of order."""
    for i, script in enumerate(scripts):
        (folder / f"script_{i}.py").write_text(script, "utf-8")
    check = ["check", "--isolated", "--quiet", "--select", "E,F,I,W", "--ignore", "E501", "."]
    for arguments in (["format", "--isolated", "--diff", "."], check):
        done = subprocess.run(
            [sys.executable, "-m", "ruff", *arguments], cwd=folder, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout


def test_the_scripts_of_shipped_workflows_are_as_ruff_writes(script_of: ScriptOf, tmp_path: Path) -> None:
    assert_as_ruff_writes(tmp_path, [script_of(load_document(path)) for path in WORKFLOWS])


def test_any_script_is_as_ruff_writes(script_of: ScriptOf, tmp_path: Path) -> None:
    scripts: list[str] = []

    @given(documents())
    def collect(document: Document) -> None:
        scripts.append(script_of(document))

    collect()
    assert_as_ruff_writes(tmp_path, scripts)


def test_a_long_text_stays_whole(script_of: ScriptOf, tmp_path: Path) -> None:
    nodes = {
        "t": {"type": "core/text", "inputs": {"value": "word " * 60}},
        "x": {"type": "gone/x", "inputs": {"a": ["word " * 60], "b": {"c": "word " * 60}}},
    }
    assert_as_ruff_writes(tmp_path, [script_of(document_from({"nodes": nodes}))])

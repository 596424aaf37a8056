"""ComfyUI's own templates: every one opens, and nothing that stands in it is lost."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from importing.comfy import catalog, templates
from nodegraph.graph import dump_document, parse_document, validate
from nodegraph.importing import Imported, Row, from_comfyui, read_foreign_json

FILES = templates()
needs_templates = pytest.mark.skipif(
    not FILES, reason="comfyui-workflow-templates-json is not installed (pip install '.[dev]')"
)


def opened(file: Path) -> tuple[Any, Imported]:
    data = read_foreign_json(file.read_text("utf-8"))
    return data, from_comfyui(data, catalog(), file.stem)


def graphs(data: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield data
    yield from (data.get("definitions") or {}).get("subgraphs") or []


def check(file: Path) -> None:
    data, found = opened(file)
    text = dump_document(found.document)
    assert dump_document(parse_document(text)) == text
    validate(found.document, catalog())
    written = [node for graph in graphs(data) for node in graph["nodes"]]
    assert len(found.report.rows) == len(written)
    assert all(row.became or row.reason for row in found.report.rows)
    kept = Kept(found)
    lost = [(node["type"], value) for node in written for value in values_of(node) if value is not None and not kept.has(value)]
    assert lost == []
    assert [row for row in found.report.rows if row.fate == "placeholder" and not links_kept(row, found, data)] == []


def links_kept(row: Row, found: Imported, data: Any) -> bool:
    """Whether every link into a placeholder is a link, an input of its subgraph, or spoken of."""
    scope, _, id = row.id.rpartition("/")
    graph = found.document.subgraphs[scope] if scope else found.document
    (name,) = (place.split(" ")[0] for place in row.became)
    titles = [graph for graph in graphs(data) if not scope or graph.get("name") == graph_title(found, scope)]
    written = [node for part in titles for node in part["nodes"] if str(node["id"]) == id and node["type"] == row.type]
    public = {place for item in graph.interface.inputs.values() for place in item.to}
    entry = graph.nodes[name]
    linked = [(slot.get("widget") or slot)["name"] for slot in written[0]["inputs"] if slot["link"] is not None]
    kept = {*entry.links, *entry.inputs}
    return bool(row.notes) or all(key in kept or f"{name}.{key}" in public for key in linked)


def graph_title(found: Imported, name: str) -> str:
    return found.document.subgraphs[name].title


def values_of(node: dict[str, Any]) -> list[Any]:
    values = node.get("widgets_values")
    found = list(values.values()) if isinstance(values, dict) else list(values or [])
    return found + list((node.get("widgets_values_named") or {}).values())


class Kept:
    """Everything that a document and its report hold: values as they are, texts also as parts of longer ones."""

    def __init__(self, found: Imported) -> None:
        self.values: set[str] = set()
        self._walk(json.loads(dump_document(found.document)))
        notes = [note for row in found.report.rows for note in row.notes]
        self.text = "\n".join([*self.texts, *notes])

    @property
    def texts(self) -> list[str]:
        return [json.loads(value) for value in self.values if value.startswith('"')]

    def _walk(self, value: Any) -> None:
        self.values.add(
            json.dumps(float(value) if isinstance(value, int) and not isinstance(value, bool) else value, sort_keys=True)
        )
        for item in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
            self._walk(item)

    def has(self, value: Any) -> bool:
        plain = isinstance(value, (int, float)) and not isinstance(value, bool)
        if json.dumps(float(value) if plain else value, sort_keys=True) in self.values:
            return True
        if isinstance(value, dict | list):
            return all(self.has(item) for item in (value.values() if isinstance(value, dict) else value))
        return str(value).replace("\\", "/") in self.text or repr(value) in self.text


@needs_templates
@pytest.mark.parametrize("file", FILES[::12], ids=lambda file: file.stem)
def test_a_template_opens_and_loses_nothing(file: Path) -> None:
    check(file)


@needs_templates
@pytest.mark.slow
def test_all_templates_open_and_lose_nothing() -> None:
    for file in FILES:
        try:
            check(file)
        except AssertionError as lost:
            raise AssertionError(f"{file.name}: {lost}") from None


@needs_templates
def test_the_two_stages_of_sdxl_become_one_run_over_two_models() -> None:
    _, found = opened(next(file for file in FILES if file.stem == "sdxl_simple_example"))
    assert not found.report.placeholders
    assert validate(found.document, catalog()) == []
    assert found.document.nodes["denoise_2"].links["state"] == "denoise.state"
    assert found.document.nodes["denoise_2"].links["denoiser"] == "model_2.denoiser"

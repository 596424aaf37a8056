"""Sweeps: every combination once, where it belongs, and what is shared computed once."""

from __future__ import annotations

from typing import Any

import pytest

from nodegraph import InvalidWorkflow
from nodegraph.api.paths import shipped
from nodegraph.editing import sweep
from nodegraph.graph import Catalog, Document, installed_catalog, load_document, public_inputs, validate
from nodegraph.graph.document import document_from, to_json


@pytest.fixture(scope="module")
def catalog(data_folder: Any) -> Catalog:
    return installed_catalog(data_folder / "catalog")


@pytest.fixture(scope="module")
def workflow() -> Document:
    return load_document(shipped("workflows") / "text_to_image.json")


def chosen(document: Document, *names: str) -> dict[str, tuple[Any, ...]]:
    pictures = {key: entry for key, entry in document.nodes.items() if entry.type.startswith("subgraph/")}
    return {key: tuple(entry.inputs[name] for name in names) for key, entry in pictures.items()}


def test_every_combination_is_painted_once_and_laid_out_row_by_row(catalog: Catalog, workflow: Document) -> None:
    made = sweep(workflow, catalog, {"guidance_scale": [1, 4.5, 8], "seed": [3, 4]})
    assert validate(made, catalog) == []
    found = chosen(made, "guidance_scale", "seed")
    order = [link.partition(".")[0] for link in made.nodes["pictures"].links["items"]]
    assert [found[key] for key in order] == [(scale, seed) for seed in (3, 4) for scale in (1, 4.5, 8)]
    assert made.nodes["grid"].inputs["columns"] == ["guidance scale: 1", "guidance scale: 4.5", "guidance scale: 8"]
    assert made.nodes["grid"].inputs["rows"] == ["seed: 3", "seed: 4"]
    assert list(made.interface.outputs) == ["sheet"]
    assert document_from(to_json(made)) == made


def test_a_third_axis_gives_a_sheet_for_each_value(catalog: Catalog, workflow: Document) -> None:
    made = sweep(workflow, catalog, {"seed": [1, 2], "steps": [5], "sampler": ["euler", "heun"]})
    assert validate(made, catalog) == []
    assert list(made.interface.outputs) == ["sheet_1", "sheet_2"]
    assert made.nodes["grid_2"].inputs["title"] == "sampler: heun"
    assert set(chosen(made, "sampler").values()) == {("euler",), ("heun",)}


def test_the_other_inputs_stay_inputs_of_the_sweep(catalog: Catalog, workflow: Document) -> None:
    made = sweep(workflow, catalog, {"seed": [1, 2]})
    inputs = public_inputs(made, catalog)
    assert "seed" not in inputs
    assert inputs.keys() == public_inputs(workflow, catalog).keys() - {"seed"}
    assert inputs["steps"].value == 20
    assert len(inputs["prompt"].to) == 2


def test_what_the_picture_does_not_need_is_left_out(catalog: Catalog, workflow: Document) -> None:
    made = sweep(workflow, catalog, {"seed": [1]})
    assert "save" not in made.subgraphs["painted"].nodes
    assert "decode" in made.subgraphs["painted"].nodes


@pytest.mark.parametrize(
    ("axes", "output", "says"),
    [
        ({"sed": [1]}, "", "no input 'sed'"),
        ({"seed": []}, "", "has no values"),
        ({"guidance_scale": [400]}, "", "does not take this value"),
        ({}, "", "one to three axes"),
        ({"seed": range(50), "steps": range(1, 40)}, "", "too many pictures"),
        ({"seed": [1]}, "picture", "no output 'picture'"),
    ],
)
def test_what_is_wrong_with_a_sweep_is_said(
    catalog: Catalog, workflow: Document, axes: dict[str, Any], output: str, says: str
) -> None:
    with pytest.raises(InvalidWorkflow, match=says):
        sweep(workflow, catalog, axes, output)


def test_a_workflow_without_pictures_says_so(catalog: Catalog) -> None:
    nodes = {"number": {"type": "core/integer", "inputs": {"value": 3}}}
    interface = {"inputs": {"n": {"to": ["number.value"]}}, "outputs": {"n": "number.value"}}
    document = document_from({"nodegraph": 1, "nodes": nodes, "interface": interface})
    with pytest.raises(InvalidWorkflow, match="no output that is a single picture"):
        sweep(document, catalog, {"n": [1, 2]})


def test_every_shipped_workflow_with_a_seed_can_be_swept(catalog: Catalog) -> None:
    for file in sorted(shipped("workflows").glob("*.json")):
        document = load_document(file)
        if "seed" in document.interface.inputs:
            made = sweep(document, catalog, {"seed": [1, 2]})
            assert validate(made, catalog) == [], file.name

"""`nodegraph schema`, the help of a workflow, and options that keep to an interface's ranges."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from cli.conftest import SUM, Nodegraph
from nodegraph.graph.document_schema import document_schema

ROOT = Path(__file__).parents[2]

FORM: dict[str, Any] = {
    "inputs": {
        "count": {
            "to": ["seeds.count"],
            "title": "Number of seeds",
            "group": "Seeds",
            "minimum": 1,
            "maximum": 4,
            "default": 3,
            "description": "How many there are.",
        },
        "a-number": {"to": ["a.value"], "group": "Numbers", "minimum": -5, "step": 5},
        "b": {"to": ["sum.b"], "description": "Is added."},
        "seed": {"to": ["seeds.seed"], "group": "Seeds"},
        "how": {"to": ["how.operation"], "group": "Numbers", "choices": ["add", "subtract"]},
        "linked": {"to": ["sum.a"], "group": "Numbers", "title": "First"},
    },
    "outputs": {"sum": "sum.value", "seeds": "seeds.seeds", "file": "words.text"},
}


@pytest.fixture
def form(tmp_path: Path) -> Path:
    """A workflow with an interface that says all there is to say."""
    return stored(tmp_path, FORM)


def stored(tmp_path: Path, interface: dict[str, Any], **nodes: Any) -> Path:
    path = tmp_path / "form.json"
    document = copy.deepcopy(SUM) | {"id": "form", "title": "Form", "interface": interface}
    document["nodes"] |= nodes
    path.write_text(json.dumps(document))
    return path


# ---- help ----


def test_help_lists_inputs_by_group_with_ranges_values_and_defaults(nodegraph: Nodegraph, form: Path) -> None:
    for option in ("--help", "-h"):
        shown = nodegraph("run", form, option).stdout
        lines = [" ".join(line.split()) for line in shown[shown.index("Inputs of Form:") :].splitlines() if line.strip()]
        assert lines == [
            "Inputs of Form:",
            "--b Is added. (a whole number; now 4)",
            "Seeds",
            "--count Number of seeds. How many there are. (a whole number from 1 to 4; now 2, default 3)",
            "--seed Seed (a whole number from 0 to 4294967295, or random; now 1)",
            "Numbers",
            "--a-number Value (a whole number of at least -5; now 3)",
            '--how Operation (one of "add", "subtract"; now "add")',
            "--linked First (a whole number; linked to a.value)",
            "Outputs of Form:",
            "sum int",
            "seeds list[seed]",
            "file str",
        ]


def test_help_says_what_is_required_and_what_comes_out_all_the_same(nodegraph: Nodegraph, tmp_path: Path) -> None:
    interface = {"inputs": {"text": {"to": ["n.text"]}}, "outputs": {"words": "n.words"}}
    path = stored(tmp_path, interface, n={"type": "core/split_lines"})
    interface["inputs"]["text"]["to"], interface["outputs"]["words"] = ["n.value"], "n.texts"
    path = stored(tmp_path, interface, n={"type": "core/split_lines"})
    shown = nodegraph("run", path, "--help").stdout
    assert "(text; required)" in shown
    assert "list[str]" in shown


# ---- options ----


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--count", "5"], ["--count does not take this value", "expected a whole number from 1 to 4", "got 5"]),
        (["--count=0"], ["expected a whole number from 1 to 4", "got 0"]),
        (["--a-number", "-6"], ["--a-number does not take", "expected a whole number of at least -5", "got -6"]),
        (["--how", "multiply"], ['expected one of "add", "subtract"', 'got "multiply"']),
        (["--count", "many"], ["expected a whole number from 1 to 4", "got 'many'"]),
        (["--count"], ["--count needs a value", "expected a whole number from 1 to 4"]),
        (["--numbr", "1"], ["no option --numbr", "--a-number"]),
    ],
    ids=str,
)
def test_options_keep_to_the_ranges_of_the_interface(
    nodegraph: Nodegraph, form: Path, flags: list[str], words: list[str]
) -> None:
    done = nodegraph("run", form, *flags)
    assert (done.code, done.stdout) == (2, "")
    for word in words:
        assert word in done.stderr


@pytest.mark.parametrize(
    ("flags", "output", "value"),
    [
        (["--a-number", "-5"], "sum", -1),
        (["--a_number=7"], "sum", 11),
        (["--count", "4"], "seeds", [1, 2, 3, 4]),
        (["--linked", "10"], "sum", 14),
        (["--set", "seeds.count=6"], "seeds", [1, 2, 3, 4, 5, 6]),
    ],
    ids=str,
)
def test_options_inside_the_ranges_are_used(
    nodegraph: Nodegraph, form: Path, flags: list[str], output: str, value: Any
) -> None:
    done = nodegraph("run", form, *flags, "--json")
    assert done.json["outputs"][output] == [{"value": value}]


# ---- validate ----


def test_an_interface_that_contradicts_itself_is_refused(nodegraph: Nodegraph, tmp_path: Path) -> None:
    interface = {"inputs": {"count": {"to": ["seeds.count"], "minimum": -1, "default": "x"}}}
    for command in ("validate", "run", "schema"):
        done = nodegraph(command, stored(tmp_path, interface))
        assert done.code == 2
        assert "2 problems" in done.stderr
        assert "interface.count: The minimum lies outside" in done.stderr
    problems = nodegraph("schema", stored(tmp_path, interface), "--json").json["problems"]
    assert [problem["code"] for problem in problems] == ["bad_interface"] * 2


def test_a_value_outside_the_interfaces_range_is_remarked_upon_and_runs(nodegraph: Nodegraph, tmp_path: Path) -> None:
    path = stored(tmp_path, {"inputs": {"count": {"to": ["seeds.count"], "minimum": 3}}, "outputs": {"s": "seeds.seeds"}})
    done = nodegraph("validate", path)
    assert done.code == 0
    assert "is fine" in done.stdout
    assert "interface.count: seeds.count holds a value that could not be set here" in done.stderr
    found = nodegraph("validate", path, "--json").json
    assert (found["status"], [remark["code"] for remark in found["remarks"]]) == ("valid", ["outside_interface"])
    assert nodegraph("run", path).stdout == "s: [1, 2]\n"


# ---- schemas ----


def test_the_schema_of_a_workflow_agrees_with_running_it(nodegraph: Nodegraph, form: Path) -> None:
    schema = nodegraph("schema", form).json
    Draft202012Validator.check_schema(schema)
    assert list(schema["properties"]) == list(FORM["inputs"])
    assert schema["$id"] == "urn:nodegraph:form:inputs"
    done = nodegraph("run", form, "--json").json
    for name, item in schema["properties"].items():
        assert item.get("default", done["inputs"][name]) == done["inputs"][name]
    assert Draft202012Validator(schema).is_valid({})
    assert Draft202012Validator(schema).is_valid({"count": 2})
    assert not Draft202012Validator(schema).is_valid({"count": 5})


def test_what_a_run_gives_is_what_the_schema_of_its_outputs_says(nodegraph: Nodegraph, tmp_path: Path) -> None:
    outputs = {"sum": "sum.value", "real": "real.value", "seeds": "seeds.seeds", "size": "size.width", "file": "save.file"}
    nodes: dict[str, Any] = {
        "fill": {"type": "image/save_image", "links": {"image": "load.image"}},
        "load": {"type": "image/load_image", "inputs": {"path": "in.png"}},
    }
    from PIL import Image

    Image.new("RGB", (3, 2)).save(tmp_path / "in.png")
    nodes["save"] = nodes.pop("fill")
    nodes["size"] = {"type": "image/image_size", "links": {"image": "load.image"}}
    path = stored(tmp_path, {"outputs": outputs | {"picture": "load.image"}}, **nodes)
    schema = nodegraph("schema", path, "--outputs").json
    Draft202012Validator.check_schema(schema)
    assert [item["x-type"] for item in schema["properties"].values()] == [
        "int",
        "float",
        "list[seed]",
        "int",
        "Artifact",
        "Image",
    ]
    done = nodegraph("run", path, "--json").json
    Draft202012Validator(schema).validate(done["outputs"])
    assert set(schema["properties"]) == set(done["outputs"])
    for name, rows in done["outputs"].items():
        other = rows[0]
        wrong = {key: value + ["x"] if isinstance(value, list) else f"{value}?" for key, value in other.items()}
        assert not Draft202012Validator(schema).is_valid({name: [wrong]})


@pytest.mark.parametrize("path", sorted((ROOT / "workflows").glob("*.json")), ids=lambda path: path.stem)
def test_shipped_workflows_have_schemas_whose_defaults_fit(nodegraph: Nodegraph, path: Path) -> None:
    schema = nodegraph("schema", path).json
    Draft202012Validator.check_schema(schema)
    properties = schema["properties"]
    for key in ("default", "x-reset"):
        Draft202012Validator(schema).validate({name: item[key] for name, item in properties.items()})
    assert all(item["title"] and item["description"] and item["x-group"] for item in properties.values())
    assert "required" not in schema
    assert nodegraph("validate", path, "--json").json.get("remarks") is None


def test_the_schema_of_files_is_the_published_one(nodegraph: Nodegraph) -> None:
    done = nodegraph("schema")
    assert done.json == document_schema()
    assert done.stdout == (ROOT / "docs" / "workflow.schema.json").read_text("utf-8")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--outputs"], ["--outputs is about a workflow", "nodegraph schema FILE --outputs"]),
        (["gone.json"], ["There is no file gone.json"]),
        (["gone.json", "--outputs"], ["There is no file gone.json"]),
    ],
)
def test_what_has_no_schema_is_refused(nodegraph: Nodegraph, arguments: list[str], words: list[str]) -> None:
    done = nodegraph("schema", *arguments)
    assert (done.code, done.stdout, done.error) == (2, "", None)
    for word in words:
        assert word in done.stderr
    assert nodegraph("schema", *arguments, "--json").json["status"] == "invalid"

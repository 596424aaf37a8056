"""JSON Schemas: a workflow's inputs agree with what setting them does, and that of files with what reading them does."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from graph.test_document import documents, json_values
from graph.test_interface import CATALOG, MORE, SAMPLES, TYPED, document, inside, taken
from graph.test_values import values
from nodegraph.graph import public_inputs, validate, with_inputs
from nodegraph.graph.document import Document, document_from
from nodegraph.graph.document_schema import WORDS, document_schema
from nodegraph.graph.schema import inputs_schema, outputs_schema
from nodegraph.sdk.errors import InvalidWorkflow

ROOT = Path(__file__).parents[2]

# ---- a workflow's inputs ----


def accepted(made: Document, inputs: dict[str, Any]) -> bool:
    """Whether a workflow can run with these inputs."""
    try:
        return validate(with_inputs(made, CATALOG, inputs), CATALOG) == []
    except InvalidWorkflow:
        return False


@pytest.mark.parametrize("kind", MORE)
def test_the_schema_of_an_input_takes_what_can_be_set(kind: str) -> None:
    made = document({"n": kind}, {"x/y ~": {"to": ["n.value"]}})
    schema = inputs_schema(made, CATALOG)
    Draft202012Validator.check_schema(schema)
    validator = Draft202012Validator(schema)
    for value in SAMPLES:
        assert validator.is_valid({"x/y ~": value}) == accepted(made, {"x/y ~": value}), value
    assert not validator.is_valid({})
    assert not accepted(made, {})
    assert not validator.is_valid({"x/y ~": 1, "z": 1})


RULES: dict[str, st.SearchStrategy[Any]] = {
    "minimum": st.integers(-2, 3),
    "maximum": st.integers(0, 5),
    "step": st.integers(1, 4),
    "choices": st.lists(st.sampled_from([0, 1, 2, "a", "fast", None]), min_size=1, max_size=3),
    "default": st.sampled_from(SAMPLES),
    "group": st.sampled_from(["", "A"]),
}
VALUES = {kind: [value for value in SAMPLES if taken(schema, value)] for kind, (_, schema) in TYPED.items()}


@st.composite
def workflows(draw: st.DrawFn) -> Document:
    """A document with public inputs, each with as many of the drawn rules as do not contradict it."""
    kinds = draw(st.dictionaries(st.sampled_from("abc"), st.sampled_from(list(MORE)), min_size=1))
    given_ = {name: draw(st.sampled_from(VALUES[kind])) for name, kind in kinds.items() if draw(st.booleans())}
    interface: dict[str, Any] = {}
    for name in draw(st.lists(st.sampled_from("xyz"), min_size=1, unique=True)):
        rules = [("to", [f"{node}.value"]) for node in draw(st.lists(st.sampled_from(sorted(kinds)), min_size=1, unique=True))]
        rules += [(rule, draw(RULES[rule])) for rule in draw(st.lists(st.sampled_from(list(RULES)), unique=True))]
        for rule, said in rules:
            before = interface.get(name, {})
            if rule != "to" and not before:
                continue
            item = before | {rule: [*before.get("to", []), *said] if rule == "to" else said}
            found = validate(document(kinds, interface | {name: item}, **given_), CATALOG)
            if not any(problem.code == "bad_interface" for problem in found):
                interface[name] = item
    return document(kinds, interface, **given_)


@given(workflows(), st.dictionaries(st.sampled_from("xyzw"), values | st.sampled_from(SAMPLES), max_size=3))
def test_the_schema_agrees_with_setting_inputs(made: Document, inputs: dict[str, Any]) -> None:
    assume("0" * 300 not in json.dumps(inputs))  # whole numbers that no float holds are numbers in JSON Schema
    needed = {problem.place for problem in validate(made, CATALOG)}
    if not needed <= {place for item in public_inputs(made, CATALOG).values() for place in item.to}:
        with pytest.raises(InvalidWorkflow):
            inputs_schema(made, CATALOG)
        return
    schema = inputs_schema(made, CATALOG)
    Draft202012Validator.check_schema(schema)
    assert Draft202012Validator(schema).is_valid(inputs) == accepted(made, inputs), schema


def test_a_property_says_what_a_form_needs() -> None:
    rules = {"title": "Share", "description": "Of all.", "group": "A", "minimum": 10, "step": 5, "default": 20}
    made = document({"m": "str", "n": "percent"}, {"a": {"to": ["m.value"]}, "x": {"to": ["n.value"], **rules}}, m="", n=30)
    properties = inputs_schema(made, CATALOG)["properties"]
    assert list(properties) == ["a", "x"]
    assert properties["x"] == {
        "title": "Share",
        "description": "Of all.",
        "type": "integer",
        "minimum": 10,
        "maximum": 100,
        "default": 30,
        "x-reset": 20,
        "x-type": "int",
        "x-order": 2,
        "x-group": "A",
        "x-step": 5,
    }


def test_what_has_no_value_is_required_and_what_is_linked_has_no_default() -> None:
    nodes = {
        "a": {"type": "k/two"},
        "b": {"type": "k/two", "links": {"a": "a.value"}},
        "c": {"type": "k/int"},
    }
    interface = {"inputs": {"l": {"to": ["b.a"]}, "r": {"to": ["c.value"]}, "v": {"to": ["a.a"]}}}
    schema = inputs_schema(document_from({"nodes": nodes, "interface": interface}), CATALOG)
    assert schema["required"] == ["r"]
    assert schema["properties"]["l"]["x-linked"] == "a.value"
    assert {name for name, item in schema["properties"].items() if "default" in item} == {"v"}


def test_the_schema_is_named_after_the_workflow() -> None:
    data = {"nodes": {}, "id": "a b/ü", "title": "Ä", "description": "Draws."}
    schema = inputs_schema(document_from(data), CATALOG)
    Draft202012Validator.check_schema(schema)
    assert (schema["$id"], schema["title"], schema["description"]) == ("urn:nodegraph:a%20b%2F%C3%BC:inputs", "Ä", "Draws.")


def test_a_workflow_that_cannot_run_has_no_schema() -> None:
    made = document({"n": "int", "m": "int"}, {"x": {"to": ["n.value"], "minimum": 3, "maximum": 1}})
    for schema_of in (inputs_schema, outputs_schema):
        with pytest.raises(InvalidWorkflow) as caught:
            schema_of(made, CATALOG)
        assert {(item.code, item.place) for item in caught.value.problems} == {
            ("missing_input", "m.value"),
            ("bad_interface", "interface.x"),
        }


def test_outputs_have_the_types_that_a_run_gives() -> None:
    made = inside({"x": {"to": ["n.a"]}}, {})
    made = made.model_copy(
        update={"interface": document_from({"nodes": {}, "interface": {"outputs": {"o": "s.value"}}}).interface}
    )
    schema = outputs_schema(made, CATALOG)
    Draft202012Validator.check_schema(schema)
    assert Draft202012Validator(schema).is_valid({"o": [{"value": 3}]})
    assert not Draft202012Validator(schema).is_valid({"o": [{"value": "3"}]})


# ---- files ----

FILES = Draft202012Validator(document_schema())


def test_the_published_schema_is_the_one_that_the_code_gives() -> None:
    published = json.loads((ROOT / "docs" / "workflow.schema.json").read_text("utf-8"))
    assert published == document_schema(), "run: nodegraph schema > docs/workflow.schema.json"
    Draft202012Validator.check_schema(published)


def test_every_field_is_described() -> None:
    schema = document_schema()
    parts = {"Document": schema, **schema["$defs"]}
    for name, part in parts.items():
        assert part["description"]
        assert {key for key, field in part["properties"].items() if not field.get("description")} == set()
        assert set(WORDS[name]) == set(part["properties"])


@pytest.mark.parametrize("path", sorted((ROOT / "workflows").glob("*.json")), ids=lambda path: path.stem)
def test_shipped_workflows_are_what_the_schema_says(path: Path) -> None:
    FILES.validate(json.loads(path.read_text("utf-8")))


@given(documents)
def test_what_can_be_read_is_what_the_schema_says(data: dict[str, Any]) -> None:
    document_from(data)
    FILES.validate(data)


def places(data: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Every place in a document."""
    below = data.items() if isinstance(data, dict) else enumerate(data) if isinstance(data, list) else ()
    return [path] + [place for key, part in below for place in places(part, (*path, key))]


@given(documents, st.data())
def test_what_cannot_be_read_is_not_what_the_schema_says(data: dict[str, Any], more: st.DataObject) -> None:
    path = more.draw(st.sampled_from(places(data)))
    changed = copy.deepcopy(data)
    value = more.draw(json_values)
    if path:
        inner = changed
        for key in path[:-1]:
            inner = inner[key]
        inner[path[-1]] = value
    else:
        changed = value
    try:
        document_from(changed)
    except InvalidWorkflow:
        whole_floats = any(isinstance(part, float) and part.is_integer() for part in [value])
        assert not FILES.is_valid(changed) or whole_floats
    else:
        wrong = {error.validator for error in FILES.iter_errors(changed)}
        assert wrong <= {"pattern", "anyOf"}, "only links that name no output are refused by the schema alone"


REFUSED: dict[str, Any] = {
    "no object": [],
    "no nodes": {"nodegraph": 1},
    "nodes in a list": {"nodes": []},
    "a newer format": {"nodegraph": 2, "nodes": {}},
    "true for a format": {"nodegraph": True, "nodes": {}},
    "a node without a type": {"nodes": {"a": {}}},
    "a version in text": {"nodes": {"a": {"type": "x/y", "version": "1"}}},
    "a link that is a number": {"nodes": {"a": {"type": "x/y", "links": {"i": 5}}}},
    "an id that begins with a digit": {"nodes": {"1a": {"type": "x/y"}}},
    "an id with a line break": {"nodes": {"a\n": {"type": "x/y"}}},
    "a subgraph's id": {"nodes": {}, "subgraphs": {"a b": {}}},
    "an id in a subgraph": {"nodes": {}, "subgraphs": {"a": {"nodes": {"b.c": {"type": "x/y"}}}}},
    "an interface input without places": {"nodes": {}, "interface": {"inputs": {"x": {}}}},
    "true for a minimum": {"nodes": {}, "interface": {"inputs": {"x": {"to": [], "minimum": True}}}},
    "choices that are no list": {"nodes": {}, "interface": {"inputs": {"x": {"to": [], "choices": "a"}}}},
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_reading_refuses_the_schema_refuses(name: str) -> None:
    assert not FILES.is_valid(REFUSED[name])
    with pytest.raises(InvalidWorkflow):
        document_from(REFUSED[name])


@pytest.mark.parametrize(
    "data",
    [
        {"nodes": {"a": {"type": "x/y", "links": {"i": "b"}}}},
        {"nodes": {"a": {"type": "x/y", "links": {"i": ["b.c", "d"]}}}},
        {"nodes": {}, "interface": {"outputs": {"o": "b"}}},
        {"nodes": {}, "interface": {"inputs": {"x": {"to": ["1b.c"]}}}},
    ],
    ids=str,
)
def test_a_link_that_names_no_output_can_be_read_but_not_run(data: dict[str, Any]) -> None:
    assert not FILES.is_valid(data)
    assert validate(document_from(data), CATALOG) != []

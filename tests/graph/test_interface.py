"""Interfaces: what the sockets take, made narrower; what contradicts itself is named; what is set is checked against it."""

from __future__ import annotations

import itertools
from typing import Annotated, Any, Literal

import jsonschema
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from pydantic import BaseModel, Field

from graph import packs
from graph.test_values import KINDS
from nodegraph import Pack, Seed
from nodegraph.graph import Catalog, compile_document, public_inputs, validate, with_inputs
from nodegraph.graph.document import Document, document_from
from nodegraph.graph.interface import grouped, interface_remarks, used_inputs
from nodegraph.graph.intersection import intersection
from nodegraph.sdk import typeexpr as te
from nodegraph.sdk.annotations import json_schema, parse
from nodegraph.sdk.errors import InvalidWorkflow, Problem
from nodegraph.sdk.spec import InputSpec, NodeSpec, OutputSpec
from nodegraph_nodes import core

CORE = Catalog.of([Pack.of("t", vars(packs).values()), Pack.of("core", vars(core).values())])


class Tree(BaseModel):
    """A schema that refers to itself."""

    kind: str = ""
    corners: list[Tree] = []


MORE: dict[str, Any] = {
    **KINDS,
    "tree": Tree,
    "percent": Annotated[int, Field(ge=0, le=100)],
    "open": Annotated[float, Field(gt=0, lt=2)],
    "even": Annotated[int, Field(multiple_of=2, ge=-4, le=4)],
    "short name": Annotated[str, Field(min_length=1, max_length=4)],
    "word": Annotated[str, Field(pattern="^[a-z]*$")],
    "optional list": list[Annotated[int, Field(ge=0)]] | None,
    "number or choice": Annotated[int, Field(le=3)] | Literal["a", "b"],
    "anything": dict | list | str | int | float | bool | None,
}
TYPED = {name: (parse(annotation).type, json_schema(annotation)) for name, annotation in MORE.items()}


def taking(name: str, *inputs: InputSpec) -> NodeSpec:
    return NodeSpec(f"k/{name}", "1", inputs, (OutputSpec("value", te.value("int")),))


CATALOG = Catalog(
    {
        f"k/{name}": taking(name, InputSpec("value", kind, True, schema=schema, title="Value", description="What is taken."))
        for name, (kind, schema) in TYPED.items()
    }
    | {"k/two": taking("two", *(InputSpec(name, te.value("int"), False, 3, {"type": "integer"}) for name in "ab"))}
    | {"k/vae": taking("vae", InputSpec("value", te.value("model:vae"), True, schema={"type": "string"}, file="model:vae"))}
    | {"k/file": taking("file", InputSpec("value", te.value("file"), True, schema={"type": "string"}, file="file"))}
    | CORE.nodes,
    CORE.sockets,
)


def document(kinds: dict[str, str], interface: dict[str, Any], **given: Any) -> Document:
    """A node per kind, `given` their values; `interface` are its inputs."""
    nodes = {
        name: {"type": f"k/{kind}", "inputs": {"value": given[name]} if name in given else {}} for name, kind in kinds.items()
    }
    return document_from({"nodes": nodes, "interface": {"inputs": interface}})


def problems(kind: str, present: Any, **rules: Any) -> list[Problem]:
    return validate(document({"n": kind}, {"x": {"to": ["n.value"], **rules}}, n=present), CATALOG)


def taken(schema: dict[str, Any] | None, value: Any) -> bool:
    return schema is not None and jsonschema.Draft202012Validator(schema).is_valid(value)


# ---- what several sockets take ----


@pytest.mark.parametrize("kind", MORE)
def test_an_intersection_takes_what_both_take(kind: str) -> None:
    first = TYPED[kind][1]
    mine = [taken(first, value) for value in SAMPLES]
    for _, second in TYPED.values():
        both = intersection(first, second)
        for value, fits in zip(SAMPLES, mine, strict=True):
            if value != [] or both is not None:  # a list that can only be empty counts as nothing
                assert taken(both, value) == (fits and taken(second, value)), (value, both)


SAMPLES = [
    *(None, True, False, *range(-7, 13), 2.0, 2.5, -0.5, 0.0, 1.5, 2**32, 100, 101, 1e300),
    *("", "a", "b", "aa", "fast", "slow", "long text", "#ffffff", "A", "1"),
    *([], [1], [0, 2], [-1], [1, "slow"], ["fast"], [1.5], [1, "a"], ["#ffffff"], [[1, "fast"]], [None], [[0, 0], [1, 0.5]]),
    *({}, {"x": 1}, {"x": "a"}, {"corners": [{"x": 1}]}, {"corners": []}, {"kind": "slow"}, {"kind": "slow", "corners": [{}]}),
]


@pytest.mark.parametrize(
    ("kinds", "words"),
    [
        (["percent", "int in a range"], "a whole number of at least 0 below 5"),
        (["float", "int"], "a whole number"),
        (["optional range", "int"], "a whole number of at least 1"),
        (["optional range", "optional int"], "a whole number of at least 1 or null"),
        (["str", "text choice"], 'one of "a", "b"'),
        (["short str", "short name"], "text of at least 1 character, of at most 2 characters"),
        (["color", "str"], "a colour such as #ff8800"),
        (["list", "optional list"], "a list, each item a whole number of at least 0"),
        (["multiple", "even"], "a whole number from -4 to 4, a multiple of 6"),
        (["seed", "percent", "float"], "a whole number from 0 to 100"),
        (["word", "color"], "text matching ^[a-z]*$ that is also a colour such as #ff8800"),
    ],
    ids=str,
)
def test_an_input_of_several_sockets_takes_what_all_take(kinds: list[str], words: str) -> None:
    names = dict(zip("abc", kinds, strict=False))
    made = document(names, {"x": {"to": [f"{name}.value" for name in names]}})
    assert public_inputs(made, CATALOG)["x"].takes == words


@pytest.mark.parametrize("order", [["float", "seed", "int"], ["seed", "float"], ["int", "seed"]], ids=str)
def test_a_seed_among_numbers_can_be_drawn(order: list[str]) -> None:
    names = dict(zip("abc", order, strict=False))
    made = document(names, {"x": {"to": [f"{name}.value" for name in names]}})
    assert public_inputs(made, CATALOG)["x"].spec.schema == json_schema(Seed)


@pytest.mark.parametrize("order", ["ab", "ba"])
def test_a_name_that_is_a_file_somewhere_is_a_file(order: str) -> None:
    made = document({"a": "str", "b": "file"}, {"x": {"to": [f"{name}.value" for name in order]}})
    assert public_inputs(made, CATALOG)["x"].spec.file == "file"


@pytest.mark.parametrize(
    ("kinds", "words"),
    [
        (["int", "str"], ["a.value takes a whole number, b.value takes text", "interface input of its own"]),
        (["short list", "list of choices"], ["a list of at most 2, each item a number"]),
        (["text choice", "enum"], ['a.value takes one of "a", "b"', 'b.value takes one of "fast", "slow"']),
        (["vae", "file"], ["model:vae", "file"]),
        (["percent", "open", "one choice"], ['c.value takes "a"']),
    ],
    ids=str,
)
def test_sockets_that_take_nothing_in_common_are_a_problem(kinds: list[str], words: list[str]) -> None:
    names = dict(zip("abc", kinds, strict=False))
    made = document(names, {"x": {"to": [f"{name}.value" for name in names]}})
    (problem,) = (item for item in validate(made, CATALOG) if item.code != "missing_input")
    assert (problem.code, problem.place) == ("bad_interface", "interface.x")
    assert all(word in str(problem) for word in words), str(problem)


def test_a_list_and_one_of_its_items_may_be_linked_together_but_not_typed() -> None:
    made = document({"a": "list", "b": "int"}, {"x": {"to": ["a.value", "b.value"]}}, a=[1], b=1)
    assert validate(made, CATALOG) == []
    assert public_inputs(made, CATALOG) == {}
    with pytest.raises(InvalidWorkflow, match=r"'x' cannot be typed in: it goes to a\.value, b\.value"):
        with_inputs(made, CATALOG, {"x": 1})


# ---- rules ----

Case = tuple[str, Any, dict[str, Any], list[list[str]]]
FAULTS: dict[str, Case] = {
    # name: kind, present value, rules, the words of each problem
    "below the node's": ("percent", 5, {"minimum": -1}, [["minimum lies outside", "from 0 to 100, got -1", "only narrow"]]),
    "above the node's": ("percent", 5, {"maximum": 101}, [["maximum lies outside", "from 0 to 100, got 101"]]),
    "minimum above it all": ("percent", 5, {"minimum": 200}, [["minimum lies outside", "got 200"]]),
    "on an end that is not taken": ("open", 1.0, {"minimum": 0}, [["minimum lies outside", "above 0 below 2, got 0"]]),
    "minimum above maximum": ("percent", 5, {"minimum": 9, "maximum": 3}, [["minimum is larger", "got from 9 to 3"]]),
    "nothing between": ("even", 2, {"minimum": 3, "maximum": 3}, [["lies in this range", "got minimum 3, maximum 3"]]),
    "half a whole number": ("percent", 5, {"minimum": 1.5}, [["minimum is no number that fits", "got 1.5"]]),
    "a number beyond numbers": ("float", 1.0, {"maximum": 10**400}, [["maximum is no number that fits"]]),
    "range of text": (
        "str",
        "",
        {"minimum": 1, "maximum": 2},
        [["Minimum and maximum", "numbers only", "got minimum 1, maximum 2"]],
    ),
    "range of truth": ("bool", True, {"maximum": 2}, [["numbers only", "true or false"]]),
    "step of nothing": ("float", 1.0, {"step": 0}, [["step must be larger than 0"]]),
    "step of half a number": ("int", 1, {"step": 0.5}, [["step is no number that fits"]]),
    "step between the node's": ("even", 2, {"step": 3}, [["a multiple of 2, got 3"]]),
    "step of text": ("str", "", {"step": 3}, [["Step can be said of numbers only"]]),
    "not a choice": ("enum", "fast", {"choices": ["fast", "fastest"]}, [["This choice is not", 'got "fastest"']]),
    "not choices": ("enum", "fast", {"choices": ["x", "y"]}, [["These choices are not", 'got "x", "y"']]),
    "choices out of range": ("percent", 5, {"choices": [5, 500]}, [["This choice", "got 500"]]),
    "no choices": ("enum", "fast", {"choices": []}, [["no choices in the list", "Remove the list"]]),
    "choices of truth": ("bool", True, {"choices": [True]}, [["Choices cannot be said", "true or false"]]),
    "choices of a list": ("list of choices", [], {"choices": ["slow", ["fast"]]}, [["This choice", 'got ["fast"]']]),
    "default out of range": ("percent", 5, {"maximum": 10, "default": 11}, [["default does not fit", "from 0 to 10, got 11"]]),
    "default of another type": ("percent", 5, {"default": "5"}, [["default does not fit", 'got "5"']]),
    "everything": (
        "percent",
        5,
        {"minimum": -1, "maximum": 101, "step": -1, "choices": ["a"], "default": []},
        [["minimum"], ["maximum"], ["step"], ["choice"], ["default", "from 0 to 100"]],
    ),
}


@pytest.mark.parametrize("name", FAULTS)
def test_a_rule_that_cannot_be_is_a_problem_of_the_interface(name: str) -> None:
    kind, present, rules, expected = FAULTS[name]
    found = problems(kind, present, **rules)
    assert [(item.code, item.place) for item in found] == [("bad_interface", "interface.x")] * len(expected)
    for problem, words in zip(found, expected, strict=True):
        assert all(word in str(problem) for word in words), str(problem)


@pytest.mark.parametrize(
    ("kind", "present", "rules", "words"),
    [
        ("percent", 5, {"minimum": 0, "maximum": 100}, "a whole number from 0 to 100"),
        ("percent", 5, {"minimum": 2.0}, "a whole number from 2 to 100"),
        ("int", 5, {"minimum": -3}, "a whole number of at least -3"),
        ("int", 5, {"minimum": -1234567, "maximum": 10**18}, "a whole number from -1234567 to 1000000000000000000"),
        ("float", 0.5, {"minimum": 0.1234567, "maximum": 1e300}, "a number from 0.1234567 to 1e+300"),
        ("open", 1.0, {"minimum": 0.5, "step": 0.1}, "a number of at least 0.5 below 2"),
        ("optional range", None, {"maximum": 9, "default": None}, "a whole number from 1 to 9 or null"),
        ("optional enum", None, {"choices": ["slow"]}, 'one of "slow" or null'),
        ("optional enum", None, {"choices": ["slow", None]}, 'one of "slow" or null'),
        ("list", [], {"minimum": 0, "default": [1]}, "a list, each item a whole number of at least 0"),
        ("optional list", [], {"maximum": 7}, "a list, each item a whole number from 0 to 7 or null"),
        ("list of choices", [], {"choices": ["slow"], "default": []}, 'a list, each item one of "slow"'),
        ("number choice", 1, {"minimum": 1}, "one of 1"),
        ("int or text", "a", {"minimum": 1}, "a whole number of at least 1 or text"),
        ("union", "a", {"choices": [3, "b"]}, 'one of 3 or one of "b"'),
        ("str", "", {"choices": ["x", "y"]}, 'one of "x", "y"'),
        ("float", 1.0, {"choices": [1, 2.5]}, "one of 1.0, 2.5"),
        ("even", 2, {"minimum": 1, "step": 4}, "a whole number from 1 to 4, a multiple of 2"),
        ("int", 1, {"default": None}, "a whole number"),
        ("str", "", {"minimum": None, "choices": None}, "text"),
    ],
    ids=str,
)
def test_rules_narrow_what_an_input_takes(kind: str, present: Any, rules: dict[str, Any], words: str) -> None:
    kind = "union" if kind == "int or text" else kind
    assert problems(kind, present, **rules) == []
    made = document({"n": kind}, {"x": {"to": ["n.value"], **rules}}, n=present)
    assert public_inputs(made, CATALOG)["x"].takes == words


NUMBERS = ["int", "percent", "even", "int in a range", "float", "open", "float in a range", "seed", "multiple"]


@pytest.mark.parametrize("kind", NUMBERS)
@given(
    minimum=st.none() | st.integers(-5, 9),
    maximum=st.none() | st.integers(-5, 9),
    value=st.integers(-6, 10) | st.floats(-6, 10),
)
def test_a_range_takes_what_lies_in_it_and_in_the_nodes(
    kind: str, minimum: int | None, maximum: int | None, value: float
) -> None:
    made = document({"n": kind}, {"x": {"to": ["n.value"], "minimum": minimum, "maximum": maximum}})
    assume(all(problem.code == "missing_input" for problem in validate(made, CATALOG)))
    inside = (minimum is None or minimum <= value) and (maximum is None or value <= maximum)
    assert taken(public_inputs(made, CATALOG)["x"].spec.schema, value) == (inside and taken(TYPED[kind][1], value))


@pytest.mark.parametrize("kind", [name for name in MORE if name != "bool"])
def test_choices_take_what_is_among_them(kind: str) -> None:
    def interface(*choices: Any) -> Document:
        return document({"n": kind}, {"x": {"to": ["n.value"], "choices": list(choices)}})

    def right(choice: Any) -> bool:
        return all(problem.code == "missing_input" for problem in validate(interface(choice), CATALOG))

    def plain(value: Any) -> list[Any]:
        return value if isinstance(value, list) and "list" in (expr.kind, *(part.kind for part in expr.args)) else [value]

    expr = TYPED[kind][0]

    allowed = [value for value in SAMPLES if value is not None and right(value)]
    assert allowed
    for choices in itertools.pairwise(allowed):
        schema = public_inputs(interface(*choices), CATALOG)["x"].spec.schema
        for value in SAMPLES:
            among = all(item is None or taken({"enum": choices}, item) for item in plain(value))
            assert taken(schema, value) == (among and taken(TYPED[kind][1], value)), (schema, value)


def test_a_rule_of_what_can_only_be_linked_is_a_problem() -> None:
    nodes = {"a": {"type": "t/paint"}, "b": {"type": "t/blur", "links": {"picture": "a.picture"}}}
    rules = {"to": ["b.picture"], "minimum": 1, "choices": [1], "default": 1}
    found = validate(document_from({"nodes": nodes, "interface": {"inputs": {"x": rules}}}), CATALOG)
    assert [(item.code, item.place) for item in found] == [("bad_interface", "interface.x")] * 2
    assert "Minimum and choices cannot be said" in found[0].message
    assert "a link of type Picture" in str(found[1])


def test_an_input_that_sets_nothing_is_a_problem() -> None:
    (problem,) = validate(document({"n": "int"}, {"x": {"to": []}}, n=1), CATALOG)
    assert (problem.code, problem.place, problem.message) == ("bad_interface", "interface.x", "This input sets nothing.")


def test_two_inputs_that_set_one_socket_are_a_problem() -> None:
    made = document({"m": "int", "n": "int"}, {"x": {"to": ["n.value"]}, "y": {"to": ["m.value", "n.value"]}}, m=1, n=1)
    (problem,) = validate(made, CATALOG)
    assert (problem.code, problem.place) == ("bad_interface", "interface.y")
    assert "n.value is set by the input 'x' already" in problem.message


def test_two_inputs_may_give_to_one_variadic_socket() -> None:
    inner = {
        "nodes": {"s": {"type": "t/sheet"}},
        "interface": {"inputs": {"x": {"to": ["s.pictures"]}, "y": {"to": ["s.pictures"]}}, "outputs": {"o": "s.picture"}},
    }
    nodes = {"p": {"type": "t/paint"}, "s": {"type": "subgraph/s", "links": {"x": ["p.picture"], "y": ["p.picture"]}}}
    assert validate(document_from({"nodes": nodes, "subgraphs": {"s": inner}}), CATALOG) == []


@pytest.mark.parametrize("type_name", ["subgraph/inner", "core/map"])
def test_what_is_wrong_with_a_subgraphs_interface_is_found_inside(type_name: str) -> None:
    inner = {
        "nodes": {"n": {"type": "k/percent"}},
        "interface": {"inputs": {"item": {"to": ["n.value"], "maximum": 999}}, "outputs": {"value": "n.value"}},
    }
    inputs = {"item": 7} if type_name.startswith("subgraph") else {"body": "inner", "items": [7]}
    nodes = {"s": {"type": type_name, "inputs": inputs}}
    found = validate(document_from({"nodes": nodes, "subgraphs": {"inner": inner}}), CATALOG)
    assert [(item.code, item.place) for item in found] == [("bad_interface", "subgraphs.inner/interface.item")]


# ---- setting ----


def test_setting_a_value_outside_the_range_is_refused_in_the_ranges_words() -> None:
    made = document({"n": "percent"}, {"x": {"to": ["n.value"], "minimum": 10, "maximum": 20}}, n=15)
    with pytest.raises(InvalidWorkflow) as caught:
        with_inputs(made, CATALOG, {"x": 21, "y": 1})
    bad, unknown = caught.value.problems
    assert (bad.code, bad.expected, bad.got) == ("bad_value", "a whole number from 10 to 20", "21")
    assert unknown.code == "no_such_input"
    assert with_inputs(made, CATALOG, {"x": 20}).nodes["n"].inputs == {"value": 20}


def test_steps_between_are_taken() -> None:
    made = document({"n": "percent"}, {"x": {"to": ["n.value"], "step": 8}}, n=0)
    assert with_inputs(made, CATALOG, {"x": 13}).nodes["n"].inputs == {"value": 13}
    assert public_inputs(made, CATALOG)["x"].step == 8


def test_one_input_sets_all_its_sockets() -> None:
    made = document(
        {"a": "float", "b": "int", "c": "percent"}, {"x": {"to": ["a.value", "b.value", "c.value"]}}, a=1.0, b=1, c=1
    )
    changed = with_inputs(made, CATALOG, {"x": 7})
    assert [entry.inputs["value"] for entry in changed.nodes.values()] == [7, 7, 7]
    assert validate(changed, CATALOG) == []


def test_a_document_with_a_value_outside_the_range_runs_as_it_did_and_says_so() -> None:
    made = document({"n": "percent"}, {"x": {"to": ["n.value"], "maximum": 20, "default": 10}}, n=90)
    plan = compile_document(made, CATALOG)
    assert plan.nodes[0].values == {"value": 90}
    (remark,) = interface_remarks(made, CATALOG)
    assert (remark.code, remark.place) == ("outside_interface", "interface.x")
    assert (remark.expected, remark.got) == ("a whole number from 0 to 20", "90")
    assert "n.value" in remark.message


def test_sockets_that_hold_different_values_are_remarked_upon() -> None:
    made = document({"a": "int", "b": "int"}, {"x": {"to": ["a.value", "b.value"]}}, a=1, b=2)
    (remark,) = interface_remarks(made, CATALOG)
    assert (remark.code, remark.got) == ("values_differ", "a.value holds 1, b.value holds 2")
    assert interface_remarks(with_inputs(made, CATALOG, {"x": 3}), CATALOG) == []


def test_what_a_node_has_of_its_own_is_remarked_upon_where_a_form_shows_it() -> None:
    made = document_from({"nodes": {"n": {"type": "k/two"}}, "interface": {"inputs": {"x": {"to": ["n.a"], "maximum": 2}}}})
    assert [item.got for item in interface_remarks(made, CATALOG)] == ["3"]
    inner = {"s": {"nodes": made.nodes, "interface": made.interface}}
    assert interface_remarks(Document.model_validate({"nodes": {}, "subgraphs": inner}), CATALOG) == []


def test_remarks_come_from_subgraphs_too() -> None:
    inner = document({"n": "percent"}, {"x": {"to": ["n.value"], "maximum": 20}}, n=90)
    outer = Document.model_validate({"nodes": {}, "subgraphs": {"s": {"nodes": inner.nodes, "interface": inner.interface}}})
    assert [item.place for item in interface_remarks(outer, CATALOG)] == ["subgraphs.s/interface.x"]


# ---- what a form and a subgraph see ----


def test_inputs_keep_the_order_of_the_file_and_gather_by_group() -> None:
    names = {"a": "B", "b": "", "c": "A", "d": "B"}
    made = document(dict.fromkeys(names, "int"), {n: {"to": [f"{n}.value"], "group": g} for n, g in names.items()})
    inputs = public_inputs(made, CATALOG)
    assert [(item.name, item.order) for item in inputs.values()] == [("a", 1), ("b", 2), ("c", 3), ("d", 4)]
    groups = {group: [item.name for item in items] for group, items in grouped(inputs.values()).items()}
    assert list(groups.items()) == [("", ["b"]), ("B", ["a", "d"]), ("A", ["c"])]


def test_words_are_the_interfaces_else_the_nodes() -> None:
    own = {"to": ["n.value"], "title": "Share", "description": "Of all."}
    inputs = public_inputs(document({"n": "percent"}, {"x": {"to": ["n.value"]}, "y": own}), CATALOG)
    assert (inputs["x"].title, inputs["x"].description) == ("Value", "What is taken.")
    assert (inputs["y"].title, inputs["y"].description) == ("Share", "Of all.")


def test_a_public_input_reads_as_a_line() -> None:
    inputs = public_inputs(document({"n": "percent"}, {"x": {"to": ["n.value"]}}), CATALOG)
    assert repr(inputs) == "{'x': <Value: a whole number from 0 to 100; required>}"
    made = document({"n": "percent"}, {"x": {"to": ["n.value"]}}, n=7)
    assert repr(public_inputs(made, CATALOG)["x"]) == "<Value: a whole number from 0 to 100; now 7>"


def test_the_value_in_the_document_is_used_and_the_default_is_what_a_form_goes_back_to() -> None:
    made = document({"n": "percent"}, {"x": {"to": ["n.value"], "default": 10}}, n=90)
    (item,) = public_inputs(made, CATALOG).values()
    assert (item.value, item.spec.default, item.missing) == (90, 10, False)
    assert used_inputs(made, CATALOG) == {"x": 90}


def test_an_input_that_is_linked_inside_says_from_where() -> None:
    nodes = {"a": {"type": "k/two"}, "b": {"type": "k/two", "inputs": {"a": 5}, "links": {"a": "a.value"}}}
    made = document_from({"nodes": nodes, "interface": {"inputs": {"x": {"to": ["b.a"]}}}})
    assert public_inputs(made, CATALOG)["x"].linked == "a.value"
    assert public_inputs(with_inputs(made, CATALOG, {"x": 1}), CATALOG)["x"].linked == ""


def inside(interface: dict[str, Any], inner: dict[str, Any], **given: Any) -> Document:
    """A node `s` that is a subgraph of one node `n`, which adds up `a` and `b`."""
    subgraph = {
        "nodes": {"n": {"type": "k/two", "inputs": inner}},
        "interface": {"inputs": interface, "outputs": {"value": "n.value"}},
    }
    return document_from({"nodes": {"s": {"type": "subgraph/sum", "inputs": given}}, "subgraphs": {"sum": subgraph}})


@pytest.mark.parametrize(
    ("interface", "inner", "given_", "values_"),
    [
        ({"x": {"to": ["n.a"]}}, {"a": 1}, {}, {"a": 1, "b": 3}),
        ({"x": {"to": ["n.a"], "default": 2}}, {"a": 1}, {}, {"a": 2, "b": 3}),
        ({"x": {"to": ["n.a"], "default": 2}}, {"a": 1}, {"x": 5}, {"a": 5, "b": 3}),
        ({"x": {"to": ["n.a", "n.b"], "default": 2}}, {"a": 1}, {}, {"a": 2, "b": 2}),
        ({"x": {"to": ["n.a"], "default": None}}, {"a": 1}, {}, {"a": 1, "b": 3}),
    ],
)
def test_a_subgraph_that_is_given_nothing_uses_its_default_else_the_value_inside(
    interface: dict[str, Any], inner: dict[str, Any], given_: dict[str, Any], values_: dict[str, Any]
) -> None:
    plan = compile_document(inside(interface, inner, **given_), CATALOG)
    assert [node.values for node in plan.nodes] == [values_]


def test_a_value_typed_into_a_subgraph_keeps_to_its_range() -> None:
    interface = {"x": {"to": ["n.a"], "minimum": 2, "maximum": 4}}
    assert validate(inside(interface, {"a": 9}, x=3), CATALOG) == []
    (problem,) = validate(inside(interface, {"a": 9}, x=5), CATALOG)
    assert (problem.code, problem.place, problem.expected) == ("bad_value", "s.x", "a whole number from 2 to 4")


def test_a_default_stands_in_for_a_value_that_a_subgraph_needs() -> None:
    def needing(**rules: Any) -> Document:
        subgraph = {
            "nodes": {"n": {"type": "k/percent"}},
            "interface": {"inputs": {"x": {"to": ["n.value"], **rules}}, "outputs": {"value": "n.value"}},
        }
        return document_from({"nodes": {"s": {"type": "subgraph/p"}}, "subgraphs": {"p": subgraph}})

    assert [item.code for item in validate(needing(), CATALOG)] == ["missing_input"]
    assert [node.values for node in compile_document(needing(default=8), CATALOG).nodes] == [{"value": 8}]

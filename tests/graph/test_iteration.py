"""Nodes that iterate over subgraphs, as documents: the sockets that follow from a body, and everything that can be wrong."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest

from graph.packs import Picture, T, blend, blur, count, halves, listen, measure, paint, pick, play, save, sheet
from nodegraph import FilePath, Pack, composite, node
from nodegraph.graph import (
    Catalog,
    compile_document,
    dump_document,
    node_spec,
    parse_document,
    public_inputs,
    validate,
    with_bodies,
    with_inputs,
)
from nodegraph.graph.document import Document, document_from
from nodegraph.sdk.errors import InvalidWorkflow, Problem
from nodegraph_nodes import core


@node()
def gallery(count: int = 2) -> list[Picture]:
    """Several pictures."""


@node()
def read(file: FilePath) -> Picture:
    """Takes a file."""


@composite(iterates="map")
def each(body: str, items: list[T]) -> None:
    """Another pack's loop."""


PACK = Pack.of("t", [paint, blur, measure, blend, halves, sheet, play, listen, pick, save, count, gallery, read, each])
CATALOG = Catalog.of([PACK, Pack.of("core", vars(core).values())])


def entry(kind: str, links: dict[str, Any] | None = None, **inputs: Any) -> dict[str, Any]:
    return {"type": kind if "/" in kind else f"t/{kind}", "inputs": inputs, "links": links or {}}


def subgraph(nodes: dict[str, Any], inputs: dict[str, Any], outputs: dict[str, str]) -> dict[str, Any]:
    to = {name: {"to": [text] if isinstance(text, str) else text} for name, text in inputs.items()}
    return {"nodes": nodes, "interface": {"inputs": to, "outputs": outputs}}


FILTER = subgraph({"blur": entry("blur")}, {"item": "blur.picture", "radius": "blur.radius"}, {"picture": "blur.picture"})
REFINE = subgraph(
    {"blur": entry("blur", radius=2.5)},
    {"state": "blur.picture", "item": "blur.radius"},
    {"state": "blur.picture"},
)
UNTIL = subgraph(
    {
        "blur": entry("blur"),
        "size": entry("measure", {"picture": "blur.picture"}),
        "big": entry("core/compare", {"a": "size.value"}, b=3.0),
    },
    {"state": "blur.picture"},
    {"state": "blur.picture", "go_on": "big.value"},
)
BODIES = {"filter": FILTER, "refine": REFINE, "until": UNTIL}


def made(nodes: dict[str, Any], subgraphs: dict[str, Any] | None = None, **rest: Any) -> Document:
    return document_from({"nodes": nodes, "subgraphs": BODIES if subgraphs is None else subgraphs, **rest})


def problems(nodes: dict[str, Any], subgraphs: dict[str, Any] | None = None, **rest: Any) -> list[Problem]:
    return validate(made(nodes, subgraphs, **rest), CATALOG)


GALLERY = entry("gallery")
MAP = entry("core/map", {"items": "g.pictures"}, body="filter")
FOLD = entry("core/fold", {"initial": "p.picture"}, body="refine", items=[1, 2])
WHILE = entry("core/while_", {"initial": "p.picture"}, body="until")
ALL = {"g": GALLERY, "p": entry("paint"), "m": MAP, "f": FOLD, "w": WHILE}


def sockets(document: Document, name: str) -> tuple[dict[str, str], dict[str, str]]:
    plan = compile_document(document, CATALOG)
    spec = plan.nodes[plan.index[name]].spec
    return {item.name: str(item.type) for item in spec.inputs}, {item.name: str(item.type) for item in spec.outputs}


# ---- sockets ----


def test_loops_that_fit_have_no_problems() -> None:
    assert problems(ALL) == []


@pytest.mark.parametrize(
    ("name", "inputs", "outputs"),
    [
        ("m", {"body": "str", "limit": "int", "items": "list[Picture]", "radius": "float"}, {"picture": "list[Picture]"}),
        ("f", {"body": "str", "limit": "int", "items": "list[float]", "initial": "Picture"}, {"state": "Picture"}),
        ("w", {"body": "str", "limit": "int", "initial": "Picture"}, {"state": "Picture", "rounds": "int"}),
    ],
)
def test_a_loop_s_sockets_follow_from_its_body(name: str, inputs: dict[str, str], outputs: dict[str, str]) -> None:
    assert sockets(made(ALL), name) == (inputs, outputs)


def test_a_captured_input_has_the_constraints_and_the_value_of_what_it_points_to() -> None:
    body = subgraph(
        {"paint": entry("paint", size=4), "n": entry("count")},
        {"item": "n.value", "size": "paint.size"},
        {"p": "paint.picture"},
    )
    nodes = {"m": entry("core/map", items=[1], body="body", size=65)}
    (problem,) = problems(nodes, {"body": body})
    assert (problem.node, problem.socket, problem.expected) == ("m", "size", "a whole number from 1 to 64")
    document = made({"m": entry("core/map", items=[1], body="body")}, {"body": body})
    spec = node_spec(document, CATALOG, document.nodes["m"])
    assert spec is not None
    assert (spec.input_by_name["size"].default, spec.input_by_name["size"].required) == (4, False)


def test_items_may_be_typed_where_an_item_may() -> None:
    (problem,) = problems({**ALL, "f": entry("core/fold", {"initial": "p.picture"}, body="refine", items=[1, "two"])})
    assert (problem.node, problem.socket, problem.got) == ("f", "items", '"two" as item 2')
    (problem,) = problems({**ALL, "m": entry("core/map", body="filter", items=["a.png"])})
    assert (problem.code, problem.node, problem.expected) == ("not_a_value", "m", "a link of type list[Picture]")


def test_a_list_of_files_cannot_be_typed_because_their_content_counts() -> None:
    body = subgraph({"read": entry("read")}, {"item": "read.file"}, {"picture": "read.picture"})
    (problem,) = problems({"m": entry("core/map", body="body", items=["a.png"])}, {"body": body})
    assert (problem.code, problem.socket) == ("not_a_value", "items")


def test_the_interface_s_inputs_lead_into_loops() -> None:
    interface = {"inputs": {"radius": {"to": ["m.radius"]}, "radii": {"to": ["f.items"]}, "rounds": {"to": ["w.limit"]}}}
    document = made(ALL, interface={**interface, "outputs": {"sheets": "m.picture"}})
    assert validate(document, CATALOG) == []
    known = public_inputs(document, CATALOG)
    assert {name: item.value for name, item in known.items()} == {"radius": 1.0, "radii": [1, 2], "rounds": 100}
    changed = with_inputs(document, CATALOG, {"radius": 3, "radii": [4], "rounds": 5})
    assert {name: changed.nodes[name].inputs[key] for name, key in (("m", "radius"), ("f", "items"), ("w", "limit"))} == {
        "m": 3.0,
        "f": [4.0],
        "w": 5,
    }
    with pytest.raises(InvalidWorkflow, match="a whole number from 1 to 10000"):
        with_inputs(document, CATALOG, {"rounds": 10_001})


def test_outputs_of_loops_connect_by_their_types() -> None:
    nodes = {
        **ALL,
        "sheet": entry("sheet", {"pictures": ["f.state", "w.state"]}),
        "mapped": entry("measure", {"picture": "m.picture"}),
        "rounds": entry("count", {"value": "w.rounds"}),
    }
    assert problems(nodes) == []
    (problem,) = problems({**ALL, "play": entry("play", {"sound": "f.state"})})
    assert (problem.code, problem.expected, problem.got) == ("wrong_type", "Sound", "Picture")


def test_a_variable_takes_the_type_of_what_is_linked() -> None:
    body = subgraph({"pick": entry("pick", condition=True)}, {"item": ["pick.yes", "pick.no"]}, {"one": "pick.value"})
    nodes = {"g": GALLERY, "m": entry("core/map", {"items": "g.pictures"}, body="body")}
    plan = compile_document(made({**nodes, "n": entry("measure", {"picture": "m.one"})}, {"body": body}), CATALOG)
    assert str(plan.nodes[plan.index["m"]].spec.output_by_name["one"].type) == "list[Picture]"


def test_a_variable_that_nothing_is_linked_to_is_only_a_missing_input() -> None:
    body = subgraph(
        {"pick": entry("pick", condition=True)},
        {"state": ["pick.yes", "pick.no"], "item": "pick.condition"},
        {"state": "pick.value"},
    )
    (problem,) = problems({"f": entry("core/fold", body="body", items=[True])}, {"body": body})
    assert (problem.code, problem.node, problem.socket) == ("missing_input", "f", "initial")


def test_a_list_linked_to_a_captured_input_maps_the_loop() -> None:
    radii = entry("core/number_range")
    nodes = {**ALL, "r": radii, "m": entry("core/map", {"items": "g.pictures", "radius": "r.numbers"}, body="filter")}
    plan = compile_document(made(nodes), CATALOG, ["m"])
    assert [str(wanted.type) for wanted in plan.wanted] == ["list[list[Picture]]"]


def test_another_pack_may_declare_a_loop() -> None:
    assert problems({"g": GALLERY, "e": entry("each", {"items": "g.pictures"}, body="filter")}) == []


def test_a_loop_in_a_body_has_its_sockets_there() -> None:
    outer = subgraph(
        {"inner": entry("core/fold", body="refine", items=[1.0])},
        {"item": "inner.initial", "radii": "inner.items"},
        {"picture": "inner.state"},
    )
    nodes = {"g": GALLERY, "m": entry("core/map", {"items": "g.pictures"}, body="outer", radii=[2.0])}
    assert problems(nodes, {"outer": outer, "refine": REFINE}) == []
    nodes["m"]["inputs"]["radii"] = ["wide"]
    (problem,) = problems(nodes, {"outer": outer, "refine": REFINE})
    assert (problem.node, problem.socket) == ("m", "radii")


# ---- what can be wrong ----


def changed(body: dict[str, Any], *path: str, to: Any = None) -> dict[str, Any]:
    """A copy of a subgraph with one part replaced, or (to None) left out."""
    copied = copy.deepcopy(body)
    place = copied
    for name in path[:-1]:
        place = place[name]
    if to is None:
        del place[path[-1]]
    else:
        place[path[-1]] = to
    return copied


PLACES = ("interface", "inputs")
GIVEN = ("interface", "outputs")
CASES: dict[str, tuple[dict[str, Any], dict[str, Any], str, str, str | None, list[str]]] = {
    # name: nodes, subgraphs, code, node, socket, words of the message
    "an unknown body": (
        {"m": entry("core/map", {"items": "g.pictures"}, body="fliter")},
        {},
        "no_body",
        "m",
        "body",
        ["Did you mean filter?"],
    ),
    "no body": (
        {"m": entry("core/map", {"items": "g.pictures"})},
        {},
        "no_body",
        "m",
        "body",
        ["There are: filter, refine, until."],
    ),
    "a linked body": (
        {"m": entry("core/map", {"items": "g.pictures", "body": "t.text"}), "t": entry("core/text")},
        *({}, "bad_link", "m", "body", ["a name, not a link"]),
    ),
    "no items": ({"m": entry("core/map", body="filter")}, {}, "missing_input", "m", "items", ["list[Picture]"]),
    "no initial state": ({"w": entry("core/while_", body="until")}, {}, "missing_input", "w", "initial", ["Picture"]),
    "a limit that is too high": (
        {"w": {**WHILE, "inputs": {"body": "until", "limit": 10_001}}},
        {},
        "bad_value",
        "w",
        "limit",
        ["10000"],
    ),
    "items of the wrong type": (
        {
            "p": entry("paint"),
            "s": entry("listen", {"picture": "p.picture"}),
            "m": entry("core/map", {"items": "s.sound"}, body="filter"),
        },
        *({}, "wrong_type", "m", "items", ["Expected list[Picture], got Sound"]),
    ),
    "an input that the body does not have": (
        {"m": {**MAP, "inputs": {"body": "filter", "radios": 2}}},
        *({}, "no_input", "m", "radios", ["Did you mean radius?"]),
    ),
    "an output that the body does not have": (
        {"x": entry("measure", {"picture": "m.pictures"})},
        *({}, "dangling_link", "x", "picture", ["no output 'pictures'", "Did you mean picture?"]),
    ),
    "a body without an item": (
        {},
        {"filter": changed(FILTER, *PLACES, "item")},
        "bad_body",
        "m",
        "body",
        ["'item'", "It has: radius."],
    ),
    "a body without a state to take": (
        {},
        {"until": changed(UNTIL, *PLACES, "state")},
        "bad_body",
        "w",
        "body",
        ["interface input 'state'"],
    ),
    "a body without a state to give": (
        {},
        {"refine": changed(REFINE, *GIVEN, "state")},
        "bad_body",
        "f",
        "body",
        ["interface output 'state'"],
    ),
    "a body without go_on": (
        {},
        {"until": changed(UNTIL, *GIVEN, "go_on")},
        "bad_body",
        "w",
        "body",
        ["output 'go_on'", "It has: state."],
    ),
    "a body without outputs": (
        {},
        {"filter": changed(FILTER, *GIVEN, "picture")},
        "bad_body",
        "m",
        "body",
        ["no interface outputs"],
    ),
    "a state of another type": (
        {},
        {"until": changed(UNTIL, *GIVEN, "state", to="size.value")},
        "wrong_type",
        "w",
        "body",
        ["Expected Picture, got int"],
    ),
    "go_on that is no truth": (
        {},
        {"until": changed(UNTIL, *GIVEN, "go_on", to="size.value")},
        "wrong_type",
        "w",
        "body",
        ["Expected bool, got int"],
    ),
    "an interface input with a name that is taken": (
        {},
        {"filter": changed(FILTER, *PLACES, "limit", to={"to": ["blur.radius"]})},
        "bad_body",
        "m",
        "body",
        ["'limit'", "Rename it"],
    ),
    "an unknown type inside": (
        {},
        {"filter": changed(FILTER, "nodes", "odd", to=entry("blurr"))},
        "unknown_type",
        "subgraphs.filter/odd",
        None,
        ["t/blur"],
    ),
    "a bad value inside": (
        {},
        {"filter": changed(FILTER, "nodes", "p", to=entry("paint", size=0))},
        "bad_value",
        "subgraphs.filter/p",
        "size",
        ["got 0"],
    ),
    "a link inside that comes from nowhere": (
        {},
        {"filter": changed(FILTER, "nodes", "m", to=entry("measure", {"picture": "blurr.picture"}))},
        *("dangling_link", "subgraphs.filter/m", "picture", ["Did you mean blur?"]),
    ),
    "a missing link inside": (
        {},
        {"filter": changed(FILTER, "nodes", "m", to=entry("measure"))},
        "missing_input",
        "subgraphs.filter/m",
        "picture",
        ["Picture"],
    ),
    "a circle inside": (
        {},
        {"filter": changed(FILTER, "nodes", "b", to=entry("blur", {"picture": "b.picture"}))},
        *("cycle", "subgraphs.filter/b", None, ["b -> b"]),
    ),
    "an interface input that goes nowhere": (
        {},
        {"filter": changed(FILTER, *PLACES, "x", to={"to": ["blur.radios"]})},
        "dangling_input",
        "subgraphs.filter",
        None,
        ["blur.radios"],
    ),
    "an interface output that comes from nowhere": (
        {},
        {"filter": changed(FILTER, *GIVEN, "x", to="blurr.picture")},
        "dangling_output",
        "subgraphs.filter",
        None,
        ["Did you mean blur?"],
    ),
    "two places of different types under one name": (
        {},
        {
            "filter": changed(
                changed(FILTER, "nodes", "play", to=entry("play")), *PLACES, "item", to={"to": ["blur.picture", "play.sound"]}
            )
        },
        *("wrong_type", "subgraphs.filter/play", "sound", ["the input 'item'", "Expected Sound, got Picture"]),
    ),
    "a node that saves behind no output": (
        {},
        {"filter": changed(FILTER, "nodes", "save", to=entry("save", {"picture": "blur.picture"}))},
        *("unused_output", "subgraphs.filter/save", None, ["Inside a loop", "interface"]),
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_a_fault_is_named_placed_and_explained(case: str) -> None:
    nodes, subgraphs, code, place, socket, words = CASES[case]
    (problem,) = problems({**ALL, **nodes}, {**BODIES, **subgraphs})
    assert (problem.code, problem.node, problem.socket) == (code, place, socket)
    assert all(word in str(problem) for word in words), str(problem)


def test_all_problems_come_at_once_inside_and_outside() -> None:
    subgraphs = {**BODIES, "filter": changed(FILTER, "nodes", "p", to=entry("paint", size=0))}
    nodes = {**ALL, "m": entry("core/map", body="filter"), "x": entry("pant"), "w": entry("core/while_", body="util")}
    found = {(problem.node, problem.code) for problem in problems(nodes, subgraphs)}
    assert found == {
        ("m", "missing_input"),
        ("x", "unknown_type"),
        ("w", "no_body"),
        ("subgraphs.filter/p", "bad_value"),
    }


def test_a_fault_in_a_body_that_serves_twice_is_reported_once() -> None:
    subgraphs = {**BODIES, "filter": changed(FILTER, "nodes", "p", to=entry("paint", size=0))}
    assert (
        len(
            problems(
                {**ALL, "again": MAP, "typed": entry("core/map", {"items": "g.pictures"}, body="filter", radius=3.0)}, subgraphs
            )
        )
        == 1
    )


def test_a_subgraph_that_nobody_uses_disturbs_nobody() -> None:
    assert problems({"p": entry("paint")}, {"broken": subgraph({"x": entry("nothing")}, {}, {"y": "z.a"})}) == []


def test_a_disabled_loop_disturbs_nobody() -> None:
    subgraphs = {**BODIES, "filter": changed(FILTER, "nodes", "p", to=entry("paint", size=0))}
    assert problems({**ALL, "m": {**MAP, "disabled": True}}, subgraphs) == []


def nested(body: str) -> dict[str, Any]:
    """A subgraph whose only node runs another over a list of lists."""
    return subgraph(
        {"loop": entry("core/fold", body=body)}, {"state": "loop.initial", "item": "loop.items"}, {"state": "loop.state"}
    )


@pytest.mark.parametrize(
    ("subgraphs", "circle"),
    [
        ({"a": nested("a")}, "a -> a"),
        ({"a": nested("b"), "b": nested("a")}, "a -> b -> a"),
        ({"a": nested("b"), "b": nested("c"), "c": nested("a")}, "a -> b -> c -> a"),
    ],
)
def test_a_body_that_contains_itself_is_an_error_that_names_the_circle(subgraphs: dict[str, Any], circle: str) -> None:
    (problem,) = problems(
        {"p": entry("paint"), "f": entry("core/fold", {"initial": "p.picture"}, body="a", items=[1])}, subgraphs
    )
    assert (problem.code, problem.node, problem.socket) == ("cycle", "f", "body")
    assert circle in problem.message


def test_a_body_that_leads_to_a_circle_reports_it_where_it_is() -> None:
    subgraphs = {"outer": nested("a"), "a": nested("b"), "b": nested("a")}
    found = problems(
        {"p": entry("paint"), "f": entry("core/fold", {"initial": "p.picture"}, body="outer", items=[[1]])}, subgraphs
    )
    assert [(problem.node, problem.code) for problem in found] == [("subgraphs.outer/loop", "cycle")]


def test_subgraphs_may_lie_deep_in_one_another_but_not_without_end() -> None:
    def chain(length: int) -> list[Problem]:
        subgraphs = {f"s{i}": nested(f"s{i + 1}") for i in range(length)} | {f"s{length}": REFINE}
        items: Any = 1.0
        for _ in range(length + 1):
            items = [items]
        nodes = {"p": entry("paint"), "f": entry("core/fold", {"initial": "p.picture"}, body="s0", items=items)}
        return problems(nodes, subgraphs)

    assert chain(20) == []
    (problem,) = chain(1000)
    assert (problem.node, problem.socket) == ("f", "body")
    assert "1001 subgraphs lie in one another" in problem.message


# ---- the document ----


def test_subgraphs_survive_saving_with_all_they_hold() -> None:
    text = json.dumps(
        {
            "nodegraph": 1,
            "nodes": {"g": GALLERY, "m": MAP},
            "subgraphs": {
                "zebra": {**FILTER, "title": "Stripes", "colour": {"b": 1, "a": 2}, "layout": {"nodes": {"blur": [1, 2]}}},
                "file": {"file": "other.json"},
                "filter": FILTER,
            },
        }
    )
    document = parse_document(text)
    once = dump_document(document)
    assert dump_document(parse_document(once)) == once
    written = json.loads(once)["subgraphs"]
    assert list(written) == ["file", "filter", "zebra"]
    assert written["file"] == {"file": "other.json"}
    assert written["zebra"]["colour"] == {"a": 2, "b": 1}
    assert list(written["filter"]["interface"]["inputs"]) == ["item", "radius"]


@pytest.mark.parametrize(
    ("subgraphs", "place", "words"),
    [
        ({"a b": FILTER}, "subgraphs.a b", "'a b'"),
        ({"a": subgraph({"1": entry("blur")}, {}, {})}, "subgraphs.a/1", "node id"),
        ({"a": 5}, "subgraphs.a", "an object"),
        ({"a": {"nodes": {"x": {"version": 2}}}}, "subgraphs.a/x", "type is missing"),
        ({"a": {"interface": {"inputs": {"x": {"to": "y.z"}}}}}, "subgraphs.a", "interface.inputs.x.to has the wrong form"),
    ],
)
def test_a_misshapen_subgraph_is_reported_with_its_place(subgraphs: dict[str, Any], place: str, words: str) -> None:
    with pytest.raises(InvalidWorkflow) as error:
        document_from({"nodes": {}, "subgraphs": subgraphs})
    (problem,) = error.value.problems
    assert problem.node == place
    assert words in str(problem)


# ---- the plan ----


def test_the_nodes_inside_bodies_can_be_walked_with_the_places_that_problems_name() -> None:
    outer = subgraph(
        {"inner": entry("core/fold", body="refine")}, {"item": "inner.initial", "radii": "inner.items"}, {"p": "inner.state"}
    )
    nodes = {"g": GALLERY, "m": entry("core/map", {"items": "g.pictures"}, body="outer", radii=[2.0])}
    plan = compile_document(made(nodes, {"outer": outer, "refine": REFINE}), CATALOG)
    assert [place for place, _ in with_bodies(plan.nodes)] == ["g", "m", "subgraphs.outer/inner", "subgraphs.refine/blur"]


def test_a_file_that_is_named_inside_a_body_belongs_to_the_loop_s_key() -> None:
    inner = subgraph(
        {"read": entry("read", file="a.png"), "n": entry("count")}, {"item": "n.value"}, {"picture": "read.picture"}
    )
    outer = subgraph({"loop": entry("core/map", body="inner")}, {"item": "loop.items"}, {"pictures": "loop.picture"})
    plan = compile_document(
        made({"m": entry("core/map", body="outer", items=[[1]])}, {"inner": inner, "outer": outer}), CATALOG
    )
    (loop,) = plan.nodes
    assert [(item.name, item.file, loop.values[item.name]) for item in loop.spec.file_inputs] == [
        ("loop/read/file", "file", "a.png")
    ]

"""Subgraphs as node types: the sockets that follow from their interfaces, and everything that can be wrong with them."""

from __future__ import annotations

from typing import Any

import pytest

from graph.packs import blend, blur, count, halves, measure, paint, pick, play, save, sheet
from nodegraph import Pack
from nodegraph.graph import Catalog, compile_document, node_spec, public_inputs, validate
from nodegraph.graph.document import Document, document_from
from nodegraph.sdk.errors import Problem
from nodegraph_nodes import core

CATALOG = Catalog.of(
    [Pack.of("t", [paint, blur, measure, blend, halves, sheet, play, pick, save, count])]
    + [Pack.of("core", vars(core).values())]
)


def entry(kind: str, links: dict[str, Any] | None = None, **inputs: Any) -> dict[str, Any]:
    return {"type": kind if "/" in kind else f"t/{kind}", "inputs": inputs, "links": links or {}}


def subgraph(nodes: dict[str, Any], inputs: dict[str, Any], outputs: dict[str, str]) -> dict[str, Any]:
    to = {name: {"to": [text] if isinstance(text, str) else text} for name, text in inputs.items()}
    return {"nodes": nodes, "interface": {"inputs": to, "outputs": outputs}}


SOFT = subgraph(
    {"blur": entry("blur"), "size": entry("measure", {"picture": "blur.picture"})},
    {"picture": "blur.picture", "radius": "blur.radius"},
    {"picture": "blur.picture", "size": "size.value"},
)


def document(nodes: dict[str, Any], **subgraphs: Any) -> Document:
    return document_from({"nodegraph": 1, "nodes": nodes, "subgraphs": subgraphs})


def problems(nodes: dict[str, Any], **subgraphs: Any) -> list[Problem]:
    return validate(document(nodes, **subgraphs), CATALOG)


def only(found: list[Problem]) -> Problem:
    assert len(found) == 1, found
    return found[0]


def test_the_sockets_follow_from_the_interface() -> None:
    found = document({"s": entry("subgraph/soft")}, soft=SOFT)
    spec = node_spec(found, CATALOG, found.nodes["s"])
    assert spec is not None
    assert [(item.name, str(item.type), item.required, item.default) for item in spec.inputs] == [
        ("picture", "Picture", True, None),
        ("radius", "float", False, 1.0),
    ]
    assert [item.name for item in spec.outputs] == ["picture", "size"]


def test_inner_nodes_have_paths_and_outer_links_go_straight_in() -> None:
    nodes = {"p": entry("paint"), "s": entry("subgraph/soft", {"picture": "p.picture"}, radius=2.0)}
    plan = compile_document(document(nodes, soft=SOFT), CATALOG)
    assert [node.id for node in plan.nodes] == ["p", "s/blur", "s/size"]
    assert plan.nodes[1].values == {"radius": 2.0}
    assert [(link.input, link.source, link.output) for link in plan.nodes[1].links] == [("picture", 0, "picture")]


def test_a_public_input_may_set_a_subgraphs_input() -> None:
    found = document({"p": entry("paint"), "s": entry("subgraph/soft", {"picture": "p.picture"}, radius=2.0)}, soft=SOFT)
    found.interface.inputs["softness"] = document_from(
        {"nodes": {}, "interface": {"inputs": {"softness": {"to": ["s.radius"]}}}}
    ).interface.inputs["softness"]
    assert public_inputs(found, CATALOG)["softness"].value == 2.0


def test_a_node_inside_that_runs_unasked_is_run() -> None:
    saving = subgraph({"save": entry("save")}, {"picture": "save.picture"}, {})
    nodes = {"p": entry("paint"), "s": entry("subgraph/saving", {"picture": "p.picture"})}
    plan = compile_document(document(nodes, saving=saving), CATALOG)
    assert [(wanted.name, wanted.output) for wanted in plan.wanted] == [("s/save", None)]


@pytest.mark.parametrize(
    ("nodes", "code", "place", "words"),
    [
        ({"s": entry("subgraph/sift")}, "no_subgraph", "s", "Did you mean soft"),
        ({"s": entry("subgraph/soft")}, "missing_input", "s.picture", "Link"),
        (
            {"s": entry("subgraph/soft", {"picture": "n.value"}), "n": entry("count", value=1)},
            "wrong_type",
            "s.picture",
            "Picture",
        ),
        (
            {"s": entry("subgraph/soft", {"picture": "p.picture"}, radius="x"), "p": entry("paint")},
            "bad_value",
            "s.radius",
            "number",
        ),
        ({"s": entry("subgraph/soft", {"picture": "p.picture"}, size=1), "p": entry("paint")}, "no_input", "s.size", "size"),
        (
            {
                "s": entry("subgraph/soft", {"picture": "p.picture"}),
                "p": entry("paint"),
                "b": entry("blur", {"picture": "s.pictures"}),
            },
            "dangling_link",
            "b.picture",
            "picture",
        ),
        (
            {
                "s": entry("subgraph/soft", {"picture": "p.picture"}),
                "p": entry("paint"),
                "b": entry("blur", {"picture": "s.size"}),
            },
            "wrong_type",
            "b.picture",
            "int",
        ),
    ],
)
def test_mistakes_are_named_at_the_node(nodes: dict[str, Any], code: str, place: str, words: str) -> None:
    problem = only(problems(nodes, soft=SOFT))
    assert (problem.code, problem.place) == (code, place)
    assert words in str(problem)


def test_a_mistake_inside_is_named_once_however_often_it_is_used() -> None:
    bad = subgraph({"blur": entry("blur", radius="wide")}, {"picture": "blur.picture"}, {"picture": "blur.picture"})
    nodes = {"p": entry("paint"), "s": entry("subgraph/bad", {"picture": "p.picture"})}
    nodes["t"] = entry("subgraph/bad", {"picture": "s.picture"})
    assert only(problems(nodes, bad=bad)).place == "subgraphs.bad/blur.radius"


def test_a_subgraph_that_contains_itself_is_an_error_that_names_the_circle() -> None:
    a = subgraph({"inner": entry("subgraph/b")}, {}, {"picture": "inner.picture"})
    b = subgraph({"inner": entry("subgraph/a")}, {}, {"picture": "inner.picture"})
    problem = only(problems({"s": entry("subgraph/a")}, a=a, b=b))
    assert problem.code == "cycle"
    assert "a -> b -> a" in problem.message
    assert "loop" in str(problem.hint)


def test_a_circle_through_a_loop_body_is_found_too() -> None:
    a = subgraph({"each": entry("core/map", body="b", items=[1])}, {"n": "each.items"}, {"out": "each.out"})
    b = subgraph({"again": entry("subgraph/a")}, {"item": "again.n"}, {"out": "again.out"})
    problem = only(problems({"s": entry("subgraph/a")}, a=a, b=b))
    assert problem.code == "cycle"


def test_nesting_beyond_any_use_is_an_error() -> None:
    chain = {f"s{i}": subgraph({"inner": entry(f"subgraph/s{i + 1}")}, {}, {"picture": "inner.picture"}) for i in range(40)}
    chain["s40"] = subgraph({"inner": entry("paint")}, {}, {"picture": "inner.picture"})
    assert only(problems({"s": entry("subgraph/s0")}, **chain)).code == "cycle"


def test_nodes_and_subgraphs_may_multiply_only_so_far() -> None:
    """Each level holds the next one ten times: a billion nodes in a hundred lines."""
    levels = {}
    for i in range(9):
        inner = {f"n{k}": entry(f"subgraph/s{i + 1}") for k in range(10)}
        levels[f"s{i}"] = subgraph(inner, {}, {"picture": "n0.picture"})
    levels["s9"] = subgraph({"paint": entry("paint")}, {}, {"picture": "paint.picture"})
    problem = only(problems({"s": entry("subgraph/s0")}, **levels))
    assert (problem.code, problem.node) == ("too_large", "subgraphs.s3/n2")

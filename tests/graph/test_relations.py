"""May these connect? The shared table, and what variables stand for."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from nodegraph.graph.relations import relate, substitute
from nodegraph.sdk import typeexpr as te
from nodegraph.sdk.typeexpr import TypeExpr

CASES = json.loads((Path(__file__).parents[1] / "type_relations.json").read_text("utf-8"))
INT, FLOAT, TEXT, JSON = map(te.value, ("int", "float", "str", "json"))
IMAGE, MASK = te.socket_type("Image"), te.socket_type("Mask")
T = te.var("T")

leaves = st.sampled_from([INT, FLOAT, TEXT, JSON, IMAGE, MASK])
closed_types = st.recursive(
    leaves,
    lambda inner: (
        inner.map(te.list_of) | inner.map(te.optional) | st.lists(inner, min_size=2, max_size=3).map(lambda a: te.union(*a))
    ),
    max_leaves=5,
)


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{json.dumps(case['source'])} -> {json.dumps(case['target'])}")
def test_the_table_holds(case: dict[str, Any]) -> None:
    relation = relate(TypeExpr.from_json(case["source"]), TypeExpr.from_json(case["target"]))
    assert (relation.how if relation else None) == case["relation"], case["why"]


def test_the_table_has_no_case_twice() -> None:
    pairs = [json.dumps([case["source"], case["target"]]) for case in CASES]
    assert len(set(pairs)) == len(pairs)


@given(closed_types | st.just(T) | st.just(te.list_of(T)))
def test_a_type_survives_its_json_form(expr: TypeExpr) -> None:
    assert TypeExpr.from_json(json.loads(json.dumps(expr.to_json()))) == expr


@given(closed_types)
@example(te.union(INT, te.optional(TEXT)))
def test_every_type_connects_to_itself_directly(expr: TypeExpr) -> None:
    relation = relate(expr, expr)
    assert relation is not None
    assert relation.how == "direct"


@given(closed_types)
def test_a_variable_stands_for_the_whole_type_it_is_linked_to(expr: TypeExpr) -> None:
    relation = relate(expr, T)
    assert relation is not None
    assert (relation.how, relation.bindings) == ("direct", {"T": expr})


@given(closed_types, closed_types)
def test_asking_changes_no_bindings(source: TypeExpr, target: TypeExpr) -> None:
    bound = {"T": target}
    relate(source, te.list_of(T), bound)
    assert bound == {"T": target}


@pytest.mark.parametrize(
    ("bound", "source", "target", "how", "stands_for"),
    [
        (IMAGE, IMAGE, T, "direct", IMAGE),
        (IMAGE, MASK, T, None, None),
        (INT, FLOAT, T, "direct", FLOAT),  # the wider of the two
        (FLOAT, INT, T, "direct", FLOAT),
        (te.list_of(IMAGE), IMAGE, T, None, None),  # a variable never maps or wraps
        (IMAGE, te.list_of(IMAGE), T, None, None),
        (IMAGE, te.list_of(IMAGE), te.list_of(T), "direct", IMAGE),
        (IMAGE, IMAGE, te.list_of(T), "wrap", IMAGE),
        (IMAGE, MASK, te.list_of(T), None, None),
        (te.optional(IMAGE), IMAGE, T, "direct", te.optional(IMAGE)),
        (IMAGE, te.optional(IMAGE), T, "direct", te.optional(IMAGE)),
        (JSON, INT, T, "direct", JSON),
    ],
    ids=str,
)
def test_links_to_one_variable_must_agree(
    bound: TypeExpr, source: TypeExpr, target: TypeExpr, how: str | None, stands_for: TypeExpr | None
) -> None:
    relation = relate(source, target, {"T": bound})
    assert (relation and relation.how) == how
    if relation is not None:
        assert relation.bindings == {"T": stands_for}


def test_substituting_reaches_every_level() -> None:
    expr = te.optional(te.list_of(te.union(T, te.var("U"))))
    assert substitute(expr, {"T": IMAGE}) == te.optional(te.list_of(te.union(IMAGE, te.var("U"))))

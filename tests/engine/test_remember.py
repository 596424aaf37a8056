"""What is remembered of a run: long values by digest, secrets by name, shapes by what decides the work."""

from __future__ import annotations

from typing import Any

import pytest

from engine.graphs import Lab, entry
from nodegraph.engine.remember import remembered_values
from nodegraph.engine.shapes import shape_signatures
from nodegraph.graph import compile_document
from nodegraph.graph.document import document_from
from nodegraph.graph.plan import PlanNode
from nodegraph.sdk import typeexpr as te
from nodegraph.sdk.spec import InputSpec, NodeSpec
from nodegraph.store.past import Long


def _node(kind: te.TypeExpr, value: Any) -> PlanNode:
    spec = NodeSpec("t/x", "r", (InputSpec("i", kind, True, schema={}),), ())
    return PlanNode("n", spec, {"i": value})


def test_a_long_value_is_kept_by_its_digest() -> None:
    long = remembered_values(_node(te.value("str"), "word " * 1000))["i"]
    assert isinstance(long, Long)
    assert len(long.shown) <= 60
    assert remembered_values(_node(te.value("str"), "word " * 1000))["i"] == long
    assert remembered_values(_node(te.value("str"), "word " * 1001))["i"] != long


SECRET = te.value("secret")


@pytest.mark.parametrize(
    ("kind", "value", "kept"),
    [
        (SECRET, "my_token", "my_token"),
        (SECRET, "sk-3f9a/secret+value==", "(no name of a secret)"),
        (te.TypeExpr("optional", args=(SECRET,)), "sk-3f9a/secret", "(no name of a secret)"),
        (te.TypeExpr("list", args=(SECRET,)), ["name", "p@ssword"], ["name", "(no name of a secret)"]),
        (SECRET, {"value": "p@ssword"}, "(no name of a secret)"),
    ],
    ids=str,
)
def test_of_a_secret_only_a_name_is_kept(kind: te.TypeExpr, value: Any, kept: Any) -> None:
    assert remembered_values(_node(kind, value))["i"] == kept


# ---- shapes ----


def shapes(lab: Lab, nodes: dict[str, Any]) -> dict[str, str]:
    plan = compile_document(document_from({"nodegraph": 1, "nodes": nodes}), lab.engine.library.catalog)
    return dict(zip([node.id for node in plan.nodes], shape_signatures(plan.nodes), strict=True))


async def test_a_size_before_a_node_is_in_its_signature_and_a_name_is_not(lab: Lab) -> None:
    small = shapes(lab, {"a": entry("box", content=1, size=5), "o": entry("grow", box="a.box")})
    large = shapes(lab, {"a": entry("box", content=1, size=6), "o": entry("grow", box="a.box")})
    renamed = shapes(lab, {"z": entry("box", content=1, size=5), "y": entry("grow", box="z.box")})
    assert small["o"] != large["o"]
    assert small["o"] == renamed["y"]


async def test_a_node_that_adds_no_size_changes_no_signature_after_it(lab: Lab) -> None:
    direct = shapes(lab, {"a": entry("boxes", count=2), "n": entry("count_boxes", boxes="a.boxes")})
    assert direct["n"] == direct["a"]

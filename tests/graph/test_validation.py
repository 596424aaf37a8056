"""Faulty documents: every fault is found, named, placed, and comes with what to do about it."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import networkx as nx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from graph.packs import CATALOG
from nodegraph import Pack, PackError, node, socket
from nodegraph.graph import Catalog, compile_document, validate
from nodegraph.graph.document import document_from
from nodegraph.sdk.errors import InvalidWorkflow, Problem


def entry(type_name: str, links: dict[str, Any] | None = None, *, disabled: bool = False, **inputs: Any) -> dict[str, Any]:
    return {"type": f"t/{type_name}", "inputs": inputs, "links": links or {}, "disabled": disabled}


def problems(nodes: dict[str, Any], **rest: Any) -> list[Problem]:
    return validate(document_from({"nodes": nodes, **rest}), CATALOG)


PAINT = entry("paint")
CASES: dict[str, tuple[dict[str, Any], str, str | None, str | None, list[str]]] = {
    # name: nodes, code, node, socket, and words that the message must have
    "unknown node type": ({"a": entry("pant")}, "unknown_type", "a", None, ["'t/pant'", "Did you mean t/paint"]),
    "unknown pack": ({"a": {"type": "u/paint"}}, "unknown_type", "a", None, ["The pack 'u' is not installed", "t/paint"]),
    "no pack at all": ({"a": {"type": "paint"}}, "unknown_type", "a", None, ["Did you mean t/paint"]),
    "missing link": ({"a": entry("blur")}, "missing_input", "a", "picture", ["required", "Picture", "Link something"]),
    "missing value": ({"a": entry("count")}, "missing_input", "a", "value", ["a value or a link of type int"]),
    "unknown input": ({"a": entry("paint", sise=3)}, "no_input", "a", "sise", ["'sise'", "Did you mean size?"]),
    "link to an unknown input": (
        {"a": PAINT, "b": entry("paint", {"zoom": "a.picture"})},
        "no_input",
        "b",
        "zoom",
        ["'zoom'", "It has: mode, size."],
    ),
    "below the range": ({"a": entry("paint", size=0)}, "bad_value", "a", "size", ["a whole number from 1 to 64, got 0"]),
    "above the range": ({"a": entry("paint", size=65)}, "bad_value", "a", "size", ["from 1 to 64, got 65"]),
    "not a whole number": ({"a": entry("paint", size=1.5)}, "bad_value", "a", "size", ["a whole number", "got 1.5"]),
    "true is no number": ({"a": entry("paint", size=True)}, "bad_value", "a", "size", ["a whole number", "got true"]),
    "text is no number": ({"a": entry("paint", size="8")}, "bad_value", "a", "size", ["a whole number", 'got "8"']),
    "null is no number": ({"a": entry("paint", size=None)}, "bad_value", "a", "size", ["got null"]),
    "not a choice": ({"a": entry("paint", mode="oval")}, "bad_value", "a", "mode", ['"flat", "round"', 'got "oval"']),
    "a value where only links fit": (
        {"a": entry("blur", picture="x.png")},
        "not_a_value",
        "a",
        "picture",
        ["cannot be typed in", "a link of type Picture"],
    ),
    "wrong type": (
        {"a": PAINT, "b": entry("play", {"sound": "a.picture"})},
        "wrong_type",
        "b",
        "sound",
        ["a.picture", "Expected Sound, got Picture", "t/listen turns Picture into Sound"],
    ),
    "a number too wide": (
        {"a": PAINT, "m": entry("measure", {"picture": "a.picture"}), "b": entry("play", {"sound": "m.value"})},
        "wrong_type",
        "b",
        "sound",
        ["Expected Sound, got int"],
    ),
    "branches of different types": (
        {
            "a": PAINT,
            "s": entry("listen", {"picture": "a.picture"}),
            "b": entry("pick", {"yes": "a.picture", "no": "s.sound"}, condition=True),
        },
        "wrong_type",
        "b",
        "no",
        ["Expected Picture, got Sound"],
    ),
    "dangling link": ({"a": entry("blur", {"picture": "pait.picture"})}, "dangling_link", "a", "picture", ["'pait.picture'"]),
    "dangling link, near miss": (
        {"paint": PAINT, "a": entry("blur", {"picture": "pait.picture"})},
        "dangling_link",
        "a",
        "picture",
        ["does not exist", "Did you mean paint?"],
    ),
    "unknown output": (
        {"a": PAINT, "b": entry("blur", {"picture": "a.image"})},
        "dangling_link",
        "b",
        "picture",
        ["t/paint has no output 'image'", "It has: picture."],
    ),
    "no output named": (
        {"a": PAINT, "b": entry("blur", {"picture": "a"})},
        "dangling_link",
        "b",
        "picture",
        ["'a' is not a link"],
    ),
    "several links into one": (
        {"a": PAINT, "b": entry("blur", {"picture": ["a.picture", "a.picture"]})},
        "bad_link",
        "b",
        "picture",
        ["one link", "a list of links"],
    ),
    "self loop": ({"a": entry("blur", {"picture": "a.picture"})}, "cycle", "a", None, ["a -> a", "one direction"]),
    "another version": ({"a": {"type": "t/paint", "version": 2}}, "version", "a", None, ["version 1, got version 2", "Update"]),
}


@pytest.mark.parametrize("name", CASES)
def test_a_fault_is_named_and_placed(name: str) -> None:
    nodes, code, at, socket_name, words = CASES[name]
    (problem,) = problems(nodes)
    assert (problem.code, problem.node, problem.socket) == (code, at, socket_name)
    for word in words:
        assert word in str(problem)


@pytest.mark.parametrize(
    ("interface", "code", "words"),
    [
        ({"outputs": {"o": "x.picture"}}, "dangling_output", ["'o'", "'x.picture'", "There are: a."]),
        ({"outputs": {"o": "a.image"}}, "dangling_output", ["'a.image'", "It has: picture."]),
        ({"outputs": {"o": "a"}}, "dangling_output", ["'a'", "It has: picture."]),
        ({"inputs": {"i": {"to": ["x.size"]}}}, "dangling_input", ["'i'", "'x.size'", "There are: a."]),
        ({"inputs": {"i": {"to": ["a.size", "a.sise"]}}}, "dangling_input", ["'a.sise'", "Did you mean size?"]),
    ],
)
def test_an_interface_that_leads_nowhere_is_a_fault(interface: dict[str, Any], code: str, words: list[str]) -> None:
    (problem,) = problems({"a": PAINT}, interface=interface)
    assert problem.code == code
    for word in words:
        assert word in str(problem)


def test_a_cycle_is_shown_as_a_path() -> None:
    nodes = {name: entry("blur", {"picture": f"{other}.picture"}) for name, other in ["ac", "ba", "cb"]}
    nodes["after"] = entry("blur", {"picture": "a.picture"})
    (problem,) = problems(nodes)
    path = problem.message.removeprefix("The links go in a circle: ").removesuffix(".").split(" -> ")
    assert path[0] == path[-1]
    assert sorted(path[:-1]) == ["a", "b", "c"]
    assert all((b, nodes[b]["links"]["picture"]) == (b, f"{a}.picture") for a, b in pairwise(path))


def test_each_of_two_cycles_is_listed() -> None:
    nodes = {name: entry("blur", {"picture": f"{other}.picture"}) for name, other in ["ab", "ba", "cd", "dc"]}
    assert [problem.code for problem in problems(nodes)] == ["cycle", "cycle"]


def test_all_faults_of_a_file_are_listed_at_once() -> None:
    nodes = {
        "a": entry("pant"),
        "b": entry("paint", size=0, mode="oval"),
        "c": entry("blur"),
        "d": entry("blur", {"picture": "x.y"}),
        "e": entry("play", {"sound": "b.picture"}),
        "f": entry("blur", {"picture": "f.picture"}),
    }
    found = {(problem.node, problem.code) for problem in problems(nodes, interface={"outputs": {"o": "q.r"}})}
    assert found == {
        ("a", "unknown_type"),
        ("b", "bad_value"),
        ("c", "missing_input"),
        ("d", "dangling_link"),
        ("e", "wrong_type"),
        ("f", "cycle"),
        (None, "dangling_output"),
    }


def test_what_follows_from_a_fault_is_not_a_fault_of_its_own() -> None:
    nodes = {"a": entry("pant"), "b": entry("blur", {"picture": "a.picture"}), "c": entry("blur", {"picture": "b.picture"})}
    assert [problem.node for problem in problems(nodes)] == ["a"]


def test_problems_have_a_json_form_without_empty_fields() -> None:
    (problem,) = problems({"a": entry("paint", size=0)})
    assert problem.to_json() == {
        "code": "bad_value",
        "message": "This value does not fit.",
        "node": "a",
        "socket": "size",
        "expected": "a whole number from 1 to 64",
        "got": "0",
    }


def test_a_value_behind_a_link_is_not_looked_at() -> None:
    nodes = {"n": entry("count", value=1), "a": entry("paint", {"size": "n.value"}, size="old and wrong")}
    assert problems(nodes) == []


# ---- wanted ----


def wanted(nodes: dict[str, Any], names: list[str] | None = None, **rest: Any) -> list[tuple[str, str, str | None]]:
    plan = compile_document(document_from({"nodes": nodes, **rest}), CATALOG, names)
    return [(item.name, plan.nodes[item.source].id, item.output) for item in plan.wanted]


CHAIN = {"a": PAINT, "b": entry("blur", {"picture": "a.picture"}), "s": entry("save", {"picture": "b.picture"})}


def test_a_run_gives_the_interface_and_what_runs_unasked() -> None:
    assert wanted(CHAIN, interface={"outputs": {"o": "a.picture"}}) == [("o", "a", "picture"), ("s", "s", None)]


def test_without_outputs_a_run_gives_the_ends_of_the_graph() -> None:
    assert wanted({"a": PAINT, "b": entry("blur", {"picture": "a.picture"})}) == [("b", "b", None)]


def test_wanted_names_nodes_or_outputs() -> None:
    assert wanted(CHAIN, ["b", "a.picture"]) == [("b.picture", "b", "picture"), ("a.picture", "a", "picture")]


@pytest.mark.parametrize(
    ("name", "words"),
    [("bb", "Did you mean b?"), ("b.image", "It has: picture."), ("zzz", "There are: a, b, s.")],
)
def test_wanting_what_is_not_there_names_what_there_is(name: str, words: str) -> None:
    with pytest.raises(InvalidWorkflow) as caught:
        wanted(CHAIN, [name])
    assert words in str(caught.value)


# ---- disabled nodes ----


def compiled(nodes: dict[str, Any], **rest: Any) -> dict[str, list[str]]:
    """The nodes of the plan, each with what it is linked from."""
    plan = compile_document(document_from({"nodes": nodes, **rest}), CATALOG)
    return {item.id: [f"{plan.nodes[link.source].id}.{link.output}" for link in item.links] for item in plan.nodes}


def test_a_disabled_filter_is_bypassed() -> None:
    nodes = CHAIN | {"b": entry("blur", {"picture": "a.picture"}, disabled=True)}
    assert compiled(nodes) == {"a": [], "s": ["a.picture"]}


def test_a_chain_of_disabled_filters_is_bypassed() -> None:
    nodes = {
        "a": PAINT,
        "b": entry("blur", {"picture": "a.picture"}, disabled=True),
        "c": entry("blur", {"picture": "b.picture"}, disabled=True),
        "s": entry("save", {"picture": "c.picture"}),
    }
    assert compiled(nodes) == {"a": [], "s": ["a.picture"]}


def test_a_bypassed_node_may_be_an_output() -> None:
    nodes = {"a": PAINT, "b": entry("blur", {"picture": "a.picture"}, disabled=True)}
    assert wanted(nodes, interface={"outputs": {"o": "b.picture"}}) == [("o", "a", "picture")]


def test_a_disabled_node_without_a_matching_input_switches_its_branch_off() -> None:
    nodes = {
        "a": PAINT,
        "l": entry("listen", {"picture": "a.picture"}, disabled=True),
        "p": entry("play", {"sound": "l.sound"}),
        "q": entry("paint", {"size": "p.value"}),
        "s": entry("save", {"picture": "q.picture"}),
        "t": entry("save", {"picture": "a.picture"}),
    }
    # q has a default for its size and goes on without it
    assert compiled(nodes) == {"a": [], "q": [], "s": ["q.picture"], "t": ["a.picture"]}


def test_a_branch_is_off_as_far_as_it_is_needed() -> None:
    nodes = {
        "a": entry("paint", disabled=True),
        "b": entry("blur", {"picture": "a.picture"}),
        "c": entry("blend", {"picture": "p.picture", "over": "b.picture"}),
        "d": entry("sheet", {"pictures": ["b.picture", "p.picture"]}),
        "e": entry("sheet", {"pictures": ["b.picture"]}),
        "p": PAINT,
    }
    assert compiled(nodes) == {"p": [], "c": ["p.picture"], "d": ["p.picture"], "e": []}


def test_an_input_that_lost_its_link_has_its_default() -> None:
    nodes = {"a": entry("paint", disabled=True), "p": PAINT}
    nodes |= {
        "c": entry("blend", {"picture": "p.picture", "over": "a.picture"}),
        "e": entry("sheet", {"pictures": ["a.picture"]}),
    }
    plan = compile_document(document_from({"nodes": nodes}), CATALOG)
    assert {item.id: item.values for item in plan.nodes if item.id in "ce"} == {"c": {"over": None}, "e": {}}


def test_faults_of_a_disabled_node_do_not_count() -> None:
    assert problems({"a": entry("pant", disabled=True), "b": entry("blur", size=0, disabled=True), "c": PAINT}) == []


def test_a_circle_of_disabled_nodes_is_off() -> None:
    nodes = {name: entry("blur", {"picture": f"{other}.picture"}, disabled=True) for name, other in ["ab", "ba"]}
    assert compiled(
        nodes | {"s": entry("save", {"picture": "a.picture"}), "p": PAINT, "t": entry("save", {"picture": "p.picture"})}
    ) == {
        "p": [],
        "t": ["p.picture"],
    }


def test_a_workflow_whose_outputs_are_all_off_says_so() -> None:
    (problem,) = problems({"a": PAINT, "s": entry("save", {"picture": "a.picture"}, disabled=True)})
    assert problem.code == "nothing_to_run"


def test_asking_for_a_disabled_node_says_that_it_is_disabled() -> None:
    with pytest.raises(InvalidWorkflow, match="'b' is disabled"):
        wanted({"a": PAINT, "b": entry("blur", {"picture": "a.picture"}, disabled=True)}, ["b"])


# ---- size and order ----


def chain(length: int) -> dict[str, Any]:
    nodes = {"n0": PAINT} | {f"n{i}": entry("blur", {"picture": f"n{i - 1}.picture"}) for i in range(1, length)}
    return dict(reversed(nodes.items()))


def test_a_chain_of_ten_thousand_nodes_compiles() -> None:
    plan = compile_document(document_from({"nodes": chain(10_000)}), CATALOG)
    assert [item.id for item in plan.nodes] == [f"n{i}" for i in range(10_000)]


def test_a_circle_of_ten_thousand_nodes_is_one_fault() -> None:
    nodes = chain(10_000) | {"n0": entry("blur", {"picture": "n9999.picture"})}
    (problem,) = problems(nodes)
    assert problem.code == "cycle"


@pytest.mark.parametrize("bypassed", [True, False], ids=["all bypassed", "all off"])
def test_a_chain_of_ten_thousand_nodes_can_be_switched_off(bypassed: bool) -> None:
    nodes = chain(10_000)
    for i in range(1, 9_999) if bypassed else [0]:
        nodes[f"n{i}"] = nodes[f"n{i}"] | {"disabled": True}
    plan = compile_document(document_from({"nodes": nodes | {"other": PAINT}}), CATALOG)
    assert {item.id for item in plan.nodes} == ({"n0", "n9999", "other"} if bypassed else {"other"})


@given(st.data())
def test_the_order_is_topological_and_cycles_are_found_where_networkx_finds_them(data: st.DataObject) -> None:
    size = data.draw(st.integers(1, 8))
    edges = data.draw(st.sets(st.tuples(st.integers(0, size - 1), st.integers(0, size - 1)), max_size=12))
    sources = {i: [f"n{a}.picture" for a, b in sorted(edges) if b == i] for i in range(size)}
    nodes = {f"n{i}": entry("sheet", {"pictures": sources[i]}) for i in range(size)}
    graph = nx.DiGraph(edges)
    found = problems(nodes)
    loops = [
        part for part in nx.strongly_connected_components(graph) if len(part) > 1 or any(graph.has_edge(n, n) for n in part)
    ]
    assert len(found) == len(loops)
    if not loops:
        plan = compile_document(document_from({"nodes": nodes}), CATALOG)
        assert all(plan.index[f"n{a}"] < plan.index[f"n{b}"] for a, b in edges)


# ---- catalogs ----


def test_two_packs_that_declare_one_socket_type_are_an_error() -> None:
    def pack(name: str, color: str) -> Pack:
        @socket(name="Tone", color=color)
        class Tone:
            pass

        @node()
        def make() -> Tone:
            return Tone()

        return Pack.of(name, [make])

    with pytest.raises(PackError, match=r"'a' and 'b'.*'Tone'"):
        Catalog.of([pack("a", "#111111"), pack("b", "#222222")])


def test_a_node_of_a_broken_pack_is_reported_with_the_reason() -> None:
    catalog = Catalog(CATALOG.nodes, CATALOG.sockets, {"bad": "Traceback ...\nImportError: no module named 'x'"})
    (problem,) = validate(document_from({"nodes": {"a": {"type": "bad/thing"}}}), catalog)
    assert problem.code == "broken_pack"
    assert "ImportError: no module named 'x'" in problem.message

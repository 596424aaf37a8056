"""Extracting a subgraph and inlining it: back and forth is the identity, and what is computed stays the same."""

from __future__ import annotations

from typing import Any

import pytest
from engine.conftest import PretendedDevice
from engine.graphs import Bench, entry, values
from engine.loops import CORE, document, library, loop, subgraph
from hypothesis import assume, given
from hypothesis import strategies as st

from editing.documents import documents
from nodegraph import InvalidWorkflow
from nodegraph.editing import Extracted, extract, inline
from nodegraph.engine import Engine, RunResult
from nodegraph.graph import Catalog, Document, compile_document, dump_document, public_inputs, validate
from nodegraph.graph.document import document_from, to_json

CATALOG = Catalog.of([Bench().pack(), CORE])


def call(name: str, **inputs: Any) -> dict[str, Any]:
    return entry(name, **inputs) | {"type": f"subgraph/{name}"}


def extracted(found: Document, selection: set[str], scope: str = "") -> Extracted | None:
    """The selection in a subgraph, or None where that is refused for one of the reasons that there are."""
    try:
        return extract(found, CATALOG, selection, "made", scope=scope)
    except InvalidWorkflow as error:
        if {problem.code for problem in error.problems} <= {"cycle", "mixed_links", "wrong_type", "disabled"}:
            return None
        raise


# ---- back and forth ----


@given(st.data())
def test_inlining_what_was_extracted_is_the_identity(data: st.DataObject) -> None:
    found = data.draw(documents())
    inside = [name for name, part in found.subgraphs.items() if part.nodes]
    scope = data.draw(st.sampled_from(["", *inside]))
    nodes = found.subgraphs[scope].nodes if scope else found.nodes
    assume(nodes)
    selection = data.draw(st.sets(st.sampled_from(sorted(nodes)), min_size=1))
    made = extracted(found, selection, scope)
    if made is None:
        return
    assert document_from(to_json(made.document)) == made.document, "what comes out can be saved and opened"
    back = inline(made.document, CATALOG, made.node, scope=scope)
    assert dump_document(back.document) == dump_document(found)


@st.composite
def typed_graphs(draw: st.DrawFn) -> Document:
    """Graphs that run: whole numbers, boxes, lists of them, nodes that are mapped."""
    nodes: dict[str, Any] = {}
    numbers: list[str] = []
    lists: list[str] = []
    for i in range(draw(st.integers(1, 9))):
        name = f"n{i}"
        kind = draw(st.sampled_from(["add", "numbers", "total", "sum_all"] if numbers else ["add", "numbers"]))
        number: Any = draw(st.sampled_from(numbers)) if numbers and draw(st.booleans()) else draw(st.integers(1, 5))
        if kind == "add":
            source = draw(st.sampled_from([*lists, number])) if lists else number
            nodes[name] = entry("add", a=source, b=draw(st.integers(1, 3)))
            (lists if source in lists else numbers).append(f"{name}.value")
        elif kind == "numbers":
            nodes[name] = entry("numbers", count=draw(st.integers(1, 3)))
            lists.append(f"{name}.value")
        elif kind == "total":
            nodes[name] = entry("total", items=draw(st.sampled_from(lists)) if lists else [1, 2])
            numbers.append(f"{name}.value")
        else:
            picked = draw(st.lists(st.sampled_from(numbers), min_size=1, max_size=3))
            nodes[name] = {"type": "t/sum_all", "links": {"items": picked}}
            numbers.append(f"{name}.value")
    outputs = {f"out{i}": text for i, text in enumerate(numbers + lists)}
    return document(nodes, {}, outputs)


async def run(found: Document) -> tuple[RunResult, Bench]:
    bench = Bench()
    async with Engine(library(bench), device=PretendedDevice) as engine:
        return await engine.run(compile_document(found, engine.library.catalog)), bench


@given(st.data())
async def test_a_graph_computes_the_same_with_a_part_of_it_in_a_subgraph(data: st.DataObject) -> None:
    found = data.draw(typed_graphs())
    selection = data.draw(st.sets(st.sampled_from(sorted(found.nodes)), min_size=1))
    made = extracted(found, selection)
    if made is None:
        return
    assert validate(made.document, CATALOG) == []
    before, bench = await run(found)
    after, again = await run(made.document)
    assert values(after) == values(before)
    assert again.calls == bench.calls, "as many calls of each node"
    assert dump_document(inline(made.document, CATALOG, made.node).document) == dump_document(found)


# ---- what the subgraph looks like ----


def growing() -> Document:
    nodes = {
        "b": entry("box", content=3),
        "one": entry("grow", box="b.box", by=2),
        "two": entry("grow", box="one.box", by=4),
        "open": entry("open_box", box="two.box"),
        "other": entry("open_box", box="b.box", plus=1),
    }
    found = document(nodes, {}, {"value": "open.value"})
    data = to_json(found)
    data["interface"]["inputs"] = {"by": {"to": ["one.by", "two.by"], "title": "By", "group": "Growing"}}
    data["layout"] = {"nodes": {name: [i * 100, 0] for i, name in enumerate(nodes)}, "frames": []}
    return document_from(data)


def test_sockets_are_named_after_what_they_lead_to_and_public_inputs_go_through() -> None:
    made = extract(growing(), CATALOG, ["one", "two", "open"], "grown")
    part = made.document.subgraphs["grown"]
    assert made.document.nodes["grown"].links == {"box": "b.box"}
    assert {name: item.to for name, item in part.interface.inputs.items()} == {"box": ["one.box"], "by": ["one.by", "two.by"]}
    assert part.interface.outputs == {"value": "open.value"}
    public = public_inputs(made.document, CATALOG)["by"]
    assert (public.to, public.value, public.title) == (("grown.by",), 2, "By")
    assert made.document.layout["nodes"] == {"b": [0, 0], "other": [400, 0], "grown": [200, 0]}


def test_setting_the_public_input_of_an_extracted_part_sets_every_node_in_it() -> None:
    from nodegraph.graph import with_inputs

    made = extract(growing(), CATALOG, ["one", "two"], "grown").document
    plan = compile_document(with_inputs(made, CATALOG, {"by": 7}), CATALOG)
    assert [node.values["by"] for node in plan.nodes if node.id.startswith("grown/")] == [7, 7]


async def test_a_list_from_outside_still_meets_the_nodes_one_by_one() -> None:
    nodes = {"n": entry("numbers", count=3), "add": entry("add", a="n.value", b=10), "sum": entry("total", items="add.value")}
    made = extract(document(nodes, {}, {"sum": "sum.value"}), CATALOG, ["add", "sum"], "summed")
    assert made.document.subgraphs["summed"].interface.inputs["a"].as_list
    result, bench = await run(made.document)
    assert values(result) == {"sum": 33}
    assert (bench.calls["add"], bench.calls["total"]) == (3, 1)


def test_inlining_beside_nodes_of_the_same_name_renames_and_moves_them() -> None:
    made = extract(growing(), CATALOG, ["one", "two"], "grown").document
    data = to_json(made)
    data["nodes"]["one"] = {"type": "t/add", "version": 1, "inputs": {"a": 1}}
    data["nodes"]["again"] = {"type": "subgraph/grown", "version": 1, "links": {"box": "b.box"}}
    data["layout"]["nodes"]["grown"] = [150, 1000]
    found = inline(document_from(data), CATALOG, "grown")
    assert found.nodes == {"one": "grown_one", "two": "two"}
    assert found.document.nodes["two"].links == {"box": "grown_one.box"}
    assert found.document.layout["nodes"]["two"] == [200, 1000]
    assert "grown" in found.document.subgraphs, "another node uses it"


def test_values_and_links_of_the_node_go_to_every_socket_that_the_input_sets() -> None:
    both = subgraph(
        {"x": entry("add", a=1, b=1), "y": entry("add", a=2, b="x.value")},
        {"n": ["x.a", "y.a"], "m": "y.b"},
        {"out": "y.value"},
    )
    nodes = {"one": entry("add", a=1, b=1), "s": call("both", n="one.value", m=5)}
    found = inline(document(nodes, {"both": both}, {"out": "s.out"}), CATALOG, "s").document
    assert (found.nodes["x"].links, found.nodes["y"].links) == ({"a": "one.value"}, {"a": "one.value"})
    assert found.nodes["y"].inputs["b"] == 5
    assert found.interface.outputs == {"out": "y.value"}
    assert found.subgraphs == {}


def test_a_subgraph_in_a_subgraph_is_extracted_and_inlined_in_its_scope() -> None:
    outer = subgraph(
        {"x": entry("add", a=1, b=1), "y": entry("add", a="x.value", b=1), "z": entry("add", a="y.value", b=1)},
        {"n": "x.a"},
        {"out": "z.value"},
    )
    found = document({"s": call("outer", n=1)}, {"outer": outer}, {"out": "s.out"})
    made = extract(found, CATALOG, ["x", "y"], "inner", scope="outer")
    assert set(made.document.subgraphs["outer"].nodes) == {"inner", "z"}
    assert [node.id for node in compile_document(made.document, CATALOG).nodes] == ["s/inner/x", "s/inner/y", "s/z"]
    assert dump_document(inline(made.document, CATALOG, "inner", scope="outer").document) == dump_document(found)


# ---- what cannot be ----


def problem_of(found: Document, selection: list[str], name: str = "part", **more: Any) -> Any:
    with pytest.raises(InvalidWorkflow) as caught:
        extract(found, CATALOG, selection, name, **more)
    return caught.value.problems[0]


def test_a_selection_around_a_node_that_is_left_out_is_refused_and_names_it() -> None:
    problem = problem_of(growing(), ["one", "open"])
    assert problem.code == "cycle"
    assert "two" in problem.message


@pytest.mark.parametrize(
    ("selection", "name", "words"),
    [
        ([], "part", "selected"),
        (["one", "nothing"], "part", "nothing"),
        (["one"], "9lives", "9lives"),
        (["one"], "a/b", "a/b"),
    ],
)
def test_selections_and_names_that_cannot_be_are_refused(selection: list[str], name: str, words: str) -> None:
    assert words in str(problem_of(growing(), selection, name))


def test_an_order_of_links_that_a_subgraph_could_not_keep_is_refused() -> None:
    nodes = {
        "x": entry("add", a=1),
        "y": entry("add", a=2),
        "all": {"type": "t/digits", "links": {"items": ["x.value", "y.value"]}},
    }
    found = document(nodes, {})
    assert problem_of(found, ["y", "all"]).code == "mixed_links"
    assert extract(found, CATALOG, ["x", "all"], "part").document.nodes["part"].links == {"items": ["y.value"]}


def refusal(found: Document, node: str) -> list[str]:
    with pytest.raises(InvalidWorkflow) as caught:
        inline(found, CATALOG, node)
    return [problem.code for problem in caught.value.problems]


def test_nothing_is_lost_by_inlining() -> None:
    part = subgraph({"x": entry("add", a=1, b=1)}, {"n": "x.a"}, {"out": "x.value"})
    nodes = {"s": call("part", n=1, gone=5), "r": entry("add", a="s.missing", b=1)}
    nodes["s"]["disabled"] = True
    assert refusal(document(nodes, {"part": part}), "s") == ["disabled", "no_input", "dangling_link"]


def test_a_subgraph_that_runs_once_per_item_stays() -> None:
    part = subgraph({"x": entry("add", a=1, b=1)}, {"n": "x.a"}, {"out": "x.value"})
    nodes = {"l": entry("numbers", count=2), "s": call("part", n="l.value")}
    assert refusal(document(nodes, {"part": part}), "s") == ["mapped"]


def test_what_is_no_subgraph_cannot_be_inlined() -> None:
    found = document({"x": entry("add", a=1), "s": call("gone"), "f": call("file")}, {"file": {"file": "x.json"}})
    assert [refusal(found, name) for name in ("x", "s", "f", "nothing")] == [
        ["no_subgraph"],
        ["no_subgraph"],
        ["no_file"],
        ["no_such_node"],
    ]


def test_a_loop_moves_with_its_body_named() -> None:
    body = subgraph({"x": entry("add", a=1, b=1)}, {"item": "x.a"}, {"out": "x.value"})
    found = document({"l": entry("numbers", count=2), "each": loop("map", "body", items="l.value")}, {"body": body})
    made = extract(found, CATALOG, ["each"], "part")
    assert validate(made.document, CATALOG) == []
    assert set(made.document.subgraphs) == {"body", "part"}


# ---- what extracting and inlining could quietly change ----


def test_a_list_beside_other_links_is_refused() -> None:
    nodes = {"n": entry("numbers", count=2), "d": {"type": "t/sum_all", "links": {"items": ["n.value"]}}}
    nodes["e"] = entry("add", a=1, b="d.value")
    assert problem_of(document(nodes, {}), ["d", "e"]).code == "wrong_type"


def test_a_link_from_a_node_that_is_off_is_refused() -> None:
    nodes = {"b": entry("box", content=1), "off": entry("open_box", box="b.box") | {"disabled": True}}
    nodes["x"] = entry("add", a="off.value", b=40)
    nodes["y"] = entry("add", a=1, b=1)
    problem = problem_of(document(nodes, {}), ["x", "y"])
    assert (problem.code, problem.node, problem.socket) == ("disabled", "x", "a")


def test_an_input_that_takes_a_list_does_so_further_in_and_back() -> None:
    inside = {"add": entry("add", a=0, b=1), "sum": entry("total", items="add.value")}
    outer = subgraph(inside, {"xs": "add.a"}, {"sum": "sum.value"})
    outer["interface"]["inputs"]["xs"]["as_list"] = True
    found = document({"n": entry("numbers", count=3), "s": call("outer", xs="n.value")}, {"outer": outer}, {"sum": "s.sum"})
    made = extract(found, CATALOG, ["add"], "inner", scope="outer")
    assert made.document.subgraphs["inner"].interface.inputs["xs"].as_list
    assert not made.document.subgraphs["outer"].interface.inputs["xs"].as_list
    assert validate(made.document, CATALOG) == []
    assert dump_document(inline(made.document, CATALOG, "inner", scope="outer").document) == dump_document(found)


def test_the_rules_of_an_input_that_is_inlined_hold_on() -> None:
    part = subgraph({"x": entry("add", a=1, b=1)}, {"n": "x.a"}, {"out": "x.value"})
    part["interface"]["inputs"]["n"] |= {"maximum": 3, "choices": [1, 2, 3]}
    found = document({"s": call("part")}, {"part": part}, {"out": "s.out"})
    data = to_json(found)
    data["interface"]["inputs"] = {"n": {"to": ["s.n"], "minimum": 1, "maximum": 5}}
    item = inline(document_from(data), CATALOG, "s").document.interface.inputs["n"]
    assert (item.to, item.minimum, item.maximum, item.choices) == (["x.a"], 1, 3, [1, 2, 3])

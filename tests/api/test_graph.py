"""Workflows built in Python are documents, and documents are graphs again."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from nodegraph import Graph, InvalidWorkflow, PackError, RunFailed, Session, load
from nodegraph.api import Workflow
from nodegraph.artifacts import embed
from nodegraph.graph import dump_document, load_document, parse_document
from nodegraph.graph.document import document_from, to_json
from nodegraph_nodes.core import calculate, calculate_whole, integer, make_list, seed_list, switch, text
from nodegraph_nodes.core import map as loop_over

WORKFLOWS = sorted((Path(__file__).parents[2] / "workflows").glob("*.json"))


@pytest.fixture(scope="module")
def session(data_folder: Path) -> Iterator[Session]:
    with Session(data_folder) as opened:
        yield opened


def sum_graph(session: Session) -> Graph:
    graph = Graph("Sum", session)
    a = integer_link = graph.add(integer, "a", value=3)
    total = calculate_whole(integer_link, b=4)
    graph.add(make_list, "both", items=[a, total])
    graph.input("a", "a.value", title="First")
    graph.output("sum", total)
    return graph


def test_a_graph_is_written_as_a_document(session: Session) -> None:
    assert to_json(sum_graph(session).document()) == {
        "nodegraph": 1,
        "title": "Sum",
        "nodes": {
            "a": {"type": "core/integer", "version": 1, "inputs": {"value": 3}},
            "both": {"type": "core/make_list", "version": 1, "links": {"items": ["a.value", "calculate_whole.value"]}},
            "calculate_whole": {"type": "core/calculate_whole", "version": 1, "inputs": {"b": 4}, "links": {"a": "a.value"}},
        },
        "interface": {"inputs": {"a": {"to": ["a.value"], "title": "First"}}, "outputs": {"sum": "calculate_whole.value"}},
    }


def test_a_graph_runs(session: Session) -> None:
    result = sum_graph(session).workflow().run(a=10)
    assert (result["sum"], result.inputs) == (14, {"a": 10})


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_the_shipped_workflows_survive_being_graphs(session: Session, path: Path) -> None:
    document = load_document(path)
    assert dump_document(Graph.of(document, session).document()) == dump_document(document)


def test_what_a_graph_does_not_know_of_a_document_stays(session: Session) -> None:
    source = {
        "nodegraph": 1,
        "id": "x",
        "title": "T",
        "nodes": {
            "a": {"type": "core/integer", "version": 1, "inputs": {"value": 1}, "disabled": True, "note": [1]},
            "b": {"type": "core/make_list", "version": 1, "links": {"items": ["a.value"]}},
        },
        "interface": {"inputs": {"i": {"to": ["a.value"], "color": "red"}}},
        "layout": {"nodes": {"a": [1, 2]}},
        "other": {"program": None},
    }
    assert to_json(Graph.of(document_from(source), session).document()) == source


def test_a_graph_made_from_a_document_can_grow_and_leaves_the_document_alone(session: Session) -> None:
    document = sum_graph(session).document()
    before = dump_document(document)
    graph = Graph.of(document, session)
    graph.output("text", graph.add(text, value="x"))
    assert set(graph.document().nodes) == {"a", "both", "calculate_whole", "text"}
    assert dump_document(document) == before


def test_a_document_with_an_unknown_node_is_no_graph(session: Session) -> None:
    with pytest.raises(PackError, match="'gone' is not installed"):
        Graph.of(document_from({"nodes": {"a": {"type": "gone/x"}}}), session)


def test_only_the_chosen_branch_of_a_switch_runs(session: Session) -> None:
    graph = Graph("Choice", session)
    good, bad = graph.add(calculate, "good", a=1.0), graph.add(calculate, "bad", operation="divide", b=0.0)
    graph.output("it", graph.add(switch, condition=True, yes=good, no=bad))
    result = graph.workflow().run()
    assert result["it"] == 1.0
    assert result.nodes["bad"]["state"] == "not_needed"


def test_the_branch_that_is_chosen_may_fail(session: Session) -> None:
    graph = Graph("Choice", session)
    good, bad = graph.add(calculate, "good", a=1.0), graph.add(calculate, "bad", operation="divide", b=0.0)
    graph.output("it", graph.add(switch, condition=False, yes=good, no=bad))
    with pytest.raises(RunFailed, match=r"bad\.b: 1 divide 0|bad\.b: 0 divide 0"):
        graph.workflow().run()


def test_a_list_runs_the_node_after_it_once_per_item(session: Session) -> None:
    graph = Graph("Map", session)
    seeds = graph.add(seed_list, seed=5, count=3)
    graph.output("sums", graph.add(calculate_whole, a=seeds, b=1))
    assert graph.workflow().run()["sums"] == [6, 7, 8]


# ---- workflows ----


@pytest.mark.parametrize(
    ("inputs", "says"),
    [({"b": 1}, "no input 'b'"), ({"a": "x"}, "a whole number"), ({"a": 1.5, "c": 2}, "no input 'c'")],
)
def test_inputs_that_do_not_fit_are_refused_before_anything_runs(session: Session, inputs: Any, says: str) -> None:
    with pytest.raises(InvalidWorkflow, match=says):
        sum_graph(session).workflow().run(**inputs)


def test_setting_inputs_makes_another_workflow(session: Session) -> None:
    workflow = sum_graph(session).workflow()
    before = workflow.to_json()
    assert workflow.with_inputs(a=9).inputs["a"].value == 9
    assert workflow.with_values({"calculate_whole.b": 8}).run()["sum"] == 11
    assert workflow.to_json() == before


def test_setting_a_linked_input_replaces_the_link(session: Session) -> None:
    assert sum_graph(session).workflow().with_values({"calculate_whole.a": 100}).run()["sum"] == 104


def test_a_value_for_an_unknown_node_is_refused(session: Session) -> None:
    with pytest.raises(InvalidWorkflow, match=r"no 'x\.y' to set"):
        sum_graph(session).workflow().with_values({"x.y": 1})


async def test_a_workflow_runs_in_asyncio(session: Session) -> None:
    assert (await sum_graph(session).workflow().run_async(a=1))["sum"] == 5


def test_a_saved_workflow_loads_as_it_was(session: Session, tmp_path: Path) -> None:
    workflow = sum_graph(session).workflow()
    workflow.save(tmp_path / "w.json")
    assert load(tmp_path / "w.json", session).document == workflow.document


def picture(*, workflow: str | None) -> bytes:
    from PIL import Image

    file = __import__("io").BytesIO()
    Image.new("RGB", (2, 2)).save(file, "png")
    return embed(file.getvalue(), "image/png", {} if workflow is None else {"workflow": workflow})


def test_a_picture_loads_as_the_workflow_it_carries(session: Session, tmp_path: Path) -> None:
    workflow = sum_graph(session).workflow()
    (tmp_path / "p.png").write_bytes(picture(workflow=workflow.to_json()))
    assert load(tmp_path / "p.png", session).document == workflow.document


@pytest.mark.parametrize(
    ("carried", "says"),
    [(None, "a picture without a nodegraph workflow"), ("{", "not JSON"), ('{"nodes": [], "last_node_id": 1}', "ComfyUI")],
)
def test_a_picture_without_a_workflow_says_so(session: Session, tmp_path: Path, carried: str | None, says: str) -> None:
    (tmp_path / "p.png").write_bytes(picture(workflow=carried))
    with pytest.raises(InvalidWorkflow, match=says):
        load(tmp_path / "p.png", session)


def test_files_may_lie_beside_the_workflow(session: Session, tmp_path: Path) -> None:
    (tmp_path / "in.png").write_bytes(picture(workflow=None))
    nodes = {
        "p": {"type": "image/load_image", "inputs": {"path": "in.png"}},
        "s": {"type": "image/image_size", "links": {"image": "p.image"}},
    }
    (tmp_path / "w.json").write_text(json.dumps({"nodes": nodes, "interface": {"outputs": {"width": "s.width"}}}))
    assert load(tmp_path / "w.json", session).run()["width"] == 2


@pytest.mark.parametrize("name", ["../out.png", "/etc/hostname", "a/../../out.png"])
def test_files_elsewhere_are_refused_unless_allowed(session: Session, tmp_path: Path, name: str) -> None:
    (tmp_path / "out.png").write_bytes(picture(workflow=None))
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "w.json").write_text(
        json.dumps({"nodes": {"p": {"type": "image/load_image", "inputs": {"path": name}}}})
    )
    with pytest.raises(InvalidWorkflow, match="lies outside the folders"):
        load(tmp_path / "in" / "w.json", session).run()


def test_a_path_that_the_caller_allows_may_lie_anywhere(session: Session, tmp_path: Path) -> None:
    (tmp_path / "out.png").write_bytes(picture(workflow=None))
    path = str(tmp_path / "out.png")
    document = document_from({"nodes": {"p": {"type": "image/load_image", "inputs": {"path": path}}}})
    assert Workflow(document, session).run(allow=[path], wanted=["p.image"])["p.image"].shape == (2, 2, 3)


def test_loading_reads_what_dumping_wrote(session: Session) -> None:
    document = sum_graph(session).document()
    assert parse_document(dump_document(document)) == document


def test_a_graph_s_subgraphs_are_filled_like_graphs_and_named_by_loops(session: Session) -> None:
    graph = Graph("Loops", session)
    twice = graph.subgraph("twice", "Twice as much")
    doubled = twice.add(calculate_whole, "doubled", operation="multiply", b=2)
    twice.input("item", "doubled.a")
    twice.input("by", "doubled.b")
    twice.output("number", doubled)
    rows = graph.subgraph("rows")
    rows.output("numbers", rows.add(loop_over, "inner", body="twice").number)
    rows.input("item", "inner.items")
    rows.input("by", "inner.by")
    three = graph.add(integer, "three", value=3)
    graph.output("numbers", graph.add(loop_over, "outer", body="rows", items=[[1, 2], [5]], by=three).numbers)
    assert graph.workflow().run()["numbers"] == [[3, 6], [15]]
    document = graph.document()
    assert dump_document(Graph.of(document, session).document()) == dump_document(document)


def test_a_subgraph_s_name_is_like_a_node_s(session: Session) -> None:
    with pytest.raises(ValueError, match="'two words' cannot be a subgraph's name"):
        Graph("Loops", session).subgraph("two words")

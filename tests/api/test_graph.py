"""Workflows built in Python are documents, and documents are graphs again."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from nodegraph import Graph, InvalidWorkflow, RunFailed, Session, load
from nodegraph.api import Workflow
from nodegraph.artifacts import embed
from nodegraph.graph import dump_document, load_document, parse_document
from nodegraph.graph.document import document_from, to_json
from nodegraph_nodes.core import calculate, calculate_whole, integer, make_list, seed_list, switch, text
from nodegraph_nodes.core import map as loop_over
from nodegraph_nodes.image import image_size, load_image

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


def test_a_document_with_an_unknown_node_is_a_graph_that_can_go_on(session: Session) -> None:
    graph = Graph.of(document_from({"nodes": {"a": {"type": "gone/x", "version": 4}}}), session)
    graph.add(text, "t", value=graph.link("a.words"))
    nodes = to_json(graph.document())["nodes"]
    assert nodes["a"] == {"type": "gone/x", "version": 4}
    assert nodes["t"]["links"] == {"value": "a.words"}


EVERYTHING = {
    "nodegraph": 1,
    "id": "all",
    "title": "Everything",
    "nodes": {
        "a": {"type": "core/integer", "version": 1, "inputs": {"value": 3}, "disabled": True, "note": "mine"},
        "b": {"type": "core/integer", "version": 2, "inputs": {"old": 1, "value": 7}, "links": {"value": "later.number"}},
        "called": {
            "type": "subgraph/half",
            "version": 1,
            "inputs": {"by": 2},
            "links": {"number": "a.value", "rest": ["a.value"]},
        },
        "gone": {"type": "gone/x", "version": 5, "inputs": {"size": [1]}, "links": {"x": "a.value", "y": ["called.z", "no"]}},
    },
    "interface": {
        "inputs": {
            "first": {
                "to": ["a.value", "b.value"],
                "title": "First",
                "description": "A number.",
                "group": "Numbers",
                "as_list": True,
                "default": None,
                "minimum": 1,
                "maximum": 9.5,
                "step": 2,
                "choices": [1, 3],
                "name": "kept",
            },
            "alone": {"to": []},
        },
        "outputs": {"z": "called.z", "broken": "no"},
        "color": "red",
    },
    "subgraphs": {
        "far": {"file": "far.json"},
        "half": {
            "title": "Half",
            "nodes": {"n": {"type": "core/integer", "version": 1}},
            "interface": {"inputs": {"number": {"to": ["n.value"]}}, "outputs": {"z": "n.value"}},
            "layout": {"nodes": {"n": [1, 2]}},
            "lock": 1,
        },
    },
    "layout": {"frames": [{"title": "F"}], "notes": [{"text": "N"}]},
    "lock": {"packs": {"core": "1"}},
    "other": {"program": True},
}


def test_everything_that_a_document_can_say_can_be_said_in_python(session: Session) -> None:
    graph = Graph("Everything", session, id="all")
    half = graph.subgraph("half", "Half")
    half.output("z", half.add(integer, "n"))
    half.input("number", "n.value")
    half.keep(layout={"nodes": {"n": [1, 2]}}, lock=1)
    graph.subgraph("far", file="far.json")
    a = graph.add(integer, "a", value=3)
    graph.add(integer, "b", value=graph.link("later.number"))
    called = graph.call("half", "called", number=a, rest=[a], by=2)
    graph.place("gone/x", "gone", version=5, inputs={"size": [1]}, links={"x": a, "y": [called.z, "no"]})
    graph.disable("a")
    graph.input(
        "first",
        "a.value",
        "b.value",
        title="First",
        description="A number.",
        group="Numbers",
        as_list=True,
        default=None,
        minimum=1,
        maximum=9.5,
        step=2,
        choices=[1, 3],
        name="kept",
    )
    graph.input("alone")
    graph.output("z", called.z)
    graph.output("broken", "no")
    graph.keep("a", note="mine")
    graph.keep("b", version=2, inputs={"value": 7, "old": 1})
    graph.keep(layout={"frames": [{"title": "F"}], "notes": [{"text": "N"}]}, lock={"packs": {"core": "1"}})
    graph.keep(interface={"color": "red"}, other={"program": True})
    assert to_json(graph.document()) == EVERYTHING
    assert to_json(Graph.of(graph.document(), session).document()) == EVERYTHING


def test_a_subgraph_is_called_by_its_name(session: Session) -> None:
    graph = Graph("Call", session)
    half = graph.subgraph("half")
    half.output("number", half.add(calculate_whole, "halved", operation="divide", b=2))
    half.input("number", "halved.a")
    ten = graph.add(integer, "ten", value=10)
    once = graph.call("half", "once", number=ten)
    twice = graph.call("half", "twice", number=once.number)
    graph.output("typed", graph.call("half", number=7).number)
    graph.output("number", twice.number)
    assert dict(graph.workflow().run().values) == {"typed": 3, "number": 2}


def test_a_document_is_its_own_once_it_is_made(session: Session) -> None:
    layout = {"nodes": {"a": [0, 0]}}
    graph = sum_graph(session)
    graph.keep(layout=layout)
    document = graph.document()
    layout["nodes"]["a"] = [9, 9]
    graph.add(text, "more")
    assert document.layout == {"nodes": {"a": [0, 0]}}
    assert "more" not in document.nodes


@pytest.mark.parametrize(
    ("build", "error", "says"),
    [
        (lambda g: g.place("gone/x", "a b"), ValueError, "'a b' cannot be a node id"),
        (lambda g: g.place("gone/x", "a", links={"x": 3}), TypeError, "3 is no link into 'x'"),
        (lambda g: g.call("half", x=Graph().link("a.b")), TypeError, "comes from another graph"),
        (lambda g: g.output("x", Graph().link("a.b")), TypeError, "comes from another graph"),
        (lambda g: g.output("x", g.call("half")), TypeError, "is no link: name one output"),
        (lambda g: g.keep("aa", note=1), LookupError, "no node 'aa'.*Did you mean a"),
        (lambda g: g.disable("zz"), LookupError, "no node 'zz'"),
        (lambda g: g.keep("a", type="x"), TypeError, "said when it is added"),
        (lambda g: g.keep(nodes={}), TypeError, "nodes are added"),
        (lambda g: g.keep(interface={"inputs": {}}), TypeError, r"use input\(\) and output\(\)"),
        (lambda g: (g.keep(layout=3), g.document()), InvalidWorkflow, "layout has the wrong form"),
        (lambda g: (g.input("i", minimum="low"), g.document()), InvalidWorkflow, r"interface\.inputs\.i\.minimum"),
        (lambda g: g.add(integer, "i", 3), TypeError, r"given by name: integer\(\.\.\., NAME=3\)"),
    ],
)
def test_what_cannot_be_said_is_refused(session: Session, build: Any, error: type[Exception], says: str) -> None:
    graph = Graph("Wrong", session)
    graph.add(integer, "a")
    with pytest.raises(error, match=says):
        build(graph)


def test_files_may_lie_beside_the_script_that_builds_the_graph(session: Session, tmp_path: Path) -> None:
    (tmp_path / "in.png").write_bytes(picture(workflow=None))
    graph = Graph("Beside", session)
    graph.output("width", image_size(graph.add(load_image, path="in.png").image).width)
    with pytest.raises(InvalidWorkflow, match=r"in\.png"):
        graph.workflow().run()
    assert graph.workflow(tmp_path / "script.py").run()["width"] == 2


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
    assert load(tmp_path / "w.json", session, trust=True).run()["width"] == 2


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

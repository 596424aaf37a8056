"""Subgraphs in files of their own: found below the roots, taken into what runs and into pictures, never into the file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from nodegraph import InvalidWorkflow, Pack, Session, load, node
from nodegraph.graph import compile_document, node_spec
from nodegraph.sdk.errors import Problem
from nodegraph_nodes import core


@node()
def add(a: int, b: int = 1) -> int:
    """a + b"""
    return a + b


PACKS = [Pack.of("t", [add]), Pack.of("core", vars(core).values())]


@pytest.fixture
def session(tmp_path: Path) -> Any:
    with Session(tmp_path / "data", packs=PACKS) as session:
        yield session


def write(path: Path, **document: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"nodegraph": 1, **document}))
    return path


def adding(b: int = 1, **more: Any) -> dict[str, Any]:
    interface = {"inputs": {"a": {"to": ["sum.a"]}}, "outputs": {"sum": "sum.value"}}
    return {"nodes": {"sum": {"type": "t/add", "inputs": {"a": 0, "b": b}}}, "interface": interface, **more}


def calling(file: str, **inputs: Any) -> dict[str, Any]:
    return {
        "nodes": {"s": {"type": "subgraph/other", "inputs": inputs}},
        "interface": {"inputs": {"n": {"to": ["s.a"]}}, "outputs": {"sum": "s.sum"}},
        "subgraphs": {"other": {"file": file}},
    }


def problems(path: Path, session: Session) -> list[Problem]:
    with pytest.raises(InvalidWorkflow) as caught:
        load(path, session).run()
    return list(caught.value.problems)


def test_a_workflow_file_is_a_node(tmp_path: Path, session: Session) -> None:
    write(tmp_path / "w" / "plus.json", **adding(b=5))
    main = write(tmp_path / "w" / "main.json", **calling("plus.json", a=1))
    workflow = load(main, session)
    assert workflow.inputs["n"].value == 1
    assert workflow.run(n=10)["sum"] == 15
    assert workflow.document.subgraphs["other"].file == "plus.json", "the document itself keeps naming the file"


def test_what_a_run_records_needs_no_other_file(tmp_path: Path, session: Session) -> None:
    write(tmp_path / "w" / "plus.json", **adding())
    result = load(write(tmp_path / "w" / "main.json", **calling("plus.json")), session).run(n=3)
    plan = compile_document(result.document, session.catalog)
    assert [node.id for node in plan.nodes] == ["s/sum"]
    assert result.inputs == {"n": 3}


def test_a_changed_file_counts_at_the_next_run(tmp_path: Path, session: Session) -> None:
    plus = write(tmp_path / "w" / "plus.json", **adding(b=1))
    workflow = load(write(tmp_path / "w" / "main.json", **calling("plus.json", a=1)), session)
    assert workflow.run()["sum"] == 2
    write(plus, **adding(b=2))
    assert workflow.run()["sum"] == 3


def test_files_bring_their_own_subgraphs_and_names_do_not_meet(tmp_path: Path, session: Session) -> None:
    inner = {"inner": adding(b=100)}
    through = {
        "nodes": {"i": {"type": "subgraph/inner"}},
        "interface": {"inputs": {"a": {"to": ["i.a"]}}, "outputs": {"sum": "i.sum"}},
        "subgraphs": inner,
    }
    write(tmp_path / "w" / "lib" / "plus.json", **through)
    main = calling("lib/plus.json")
    main["subgraphs"]["inner"] = adding(b=7)
    main["nodes"]["t"] = {"type": "subgraph/inner", "links": {"a": "s.sum"}}
    main["interface"]["outputs"] = {"sum": "t.sum"}
    assert load(write(tmp_path / "w" / "main.json", **main), session).run(n=1)["sum"] == 1 + 100 + 7


def test_a_file_may_be_the_body_of_a_loop(tmp_path: Path, session: Session) -> None:
    body = adding(b=10)
    body["interface"]["inputs"] = {"item": {"to": ["sum.a"]}}
    write(tmp_path / "w" / "body.json", **body)
    main = {
        "nodes": {"each": {"type": "core/map", "inputs": {"body": "b", "items": [1, 2]}}},
        "interface": {"outputs": {"sums": "each.sum"}},
        "subgraphs": {"b": {"file": "body.json"}},
    }
    assert load(write(tmp_path / "w" / "main.json", **main), session).run()["sums"] == [11, 12]


def test_a_file_named_by_a_file_is_looked_for_beside_that(tmp_path: Path, session: Session) -> None:
    write(tmp_path / "w" / "lib" / "deep.json", **adding(b=3))
    write(
        tmp_path / "w" / "lib" / "mid.json",
        **calling("deep.json"),
    )
    mid = json.loads((tmp_path / "w" / "lib" / "mid.json").read_text())
    mid["interface"]["inputs"] = {"a": {"to": ["s.a"]}}
    (tmp_path / "w" / "lib" / "mid.json").write_text(json.dumps(mid))
    assert load(write(tmp_path / "w" / "main.json", **calling("lib/mid.json")), session).run(n=1)["sum"] == 4


def test_the_data_folder_has_workflows_for_every_document(tmp_path: Path, session: Session) -> None:
    write(session.data / "workflows" / "plus.json", **adding(b=2))
    assert load(write(tmp_path / "elsewhere" / "main.json", **calling("plus.json")), session, trust=True).run(n=1)["sum"] == 3


@pytest.mark.parametrize("name", ["../secret.json", "/etc/passwd", "lib/../../secret.json", "link.json"])
def test_no_file_outside_of_the_roots_is_read(tmp_path: Path, session: Session, name: str) -> None:
    secret = write(tmp_path / "secret.json", **adding())
    (tmp_path / "w" / "lib").mkdir(parents=True)
    (tmp_path / "w" / "link.json").symlink_to(secret)
    (found,) = problems(write(tmp_path / "w" / "main.json", **calling(name)), session)
    assert (found.code, found.node) == ("no_file", "subgraphs.other")
    assert "outside" in found.message


def test_files_that_contain_themselves_are_named(tmp_path: Path, session: Session) -> None:
    write(tmp_path / "w" / "b.json", **calling("main.json"))
    (found,) = problems(write(tmp_path / "w" / "main.json", **calling("b.json")), session)
    assert found.code == "cycle"
    assert "main.json -> b.json -> main.json" in found.message


def test_what_is_wrong_in_files_is_told_all_at_once(tmp_path: Path, session: Session) -> None:
    (tmp_path / "w").mkdir()
    (tmp_path / "w" / "broken.json").write_text('{"nodes": {')
    main = calling("broken.json")
    main["subgraphs"]["gone"] = {"file": "gone.json"}
    main["subgraphs"]["both"] = {"file": "gone.json", "nodes": {"x": {"type": "t/add"}}}
    found = problems(write(tmp_path / "w" / "main.json", **main), session)
    assert [(problem.code, problem.node) for problem in found] == [
        ("bad_json", "subgraphs.other"),
        ("no_file", "subgraphs.gone"),
        ("bad_document", "subgraphs.both"),
    ]
    assert "broken.json" in found[0].message
    assert "line 1" in found[0].message


def test_a_document_that_was_not_read_from_a_file_says_what_it_lacks(session: Session) -> None:
    from nodegraph.graph.document import document_from

    with pytest.raises(InvalidWorkflow) as caught:
        session.compile(document_from({"nodegraph": 1, **calling("plus.json")}))
    assert caught.value.problems[0].code == "no_file"


@pytest.mark.parametrize("name", ["a\u0000b.json", "x" * 5000])
def test_names_that_no_file_can_have_are_refused(tmp_path: Path, session: Session, name: str) -> None:
    (found,) = problems(write(tmp_path / "w" / "main.json", **calling(name)), session)
    assert (found.code, found.node) == ("no_file", "subgraphs.other")


def test_a_file_that_is_named_twice_brings_its_subgraphs_once(tmp_path: Path, session: Session) -> None:
    through = {
        "nodes": {"i": {"type": "subgraph/inner"}},
        "interface": {"inputs": {"a": {"to": ["i.a"]}}, "outputs": {"sum": "i.sum"}},
        "subgraphs": {"inner": adding(b=100)},
    }
    write(tmp_path / "w" / "plus.json", **through)
    main = calling("plus.json", a=1)
    main["subgraphs"] |= {"again": {"file": "./plus.json"}, "other-inner": adding(b=1), "inner": adding(b=2)}
    main["nodes"]["t"] = {"type": "subgraph/again", "links": {"a": "s.sum"}}
    main["interface"]["outputs"] = {"sum": "t.sum"}
    workflow = load(write(tmp_path / "w" / "main.json", **main), session)
    assert set(workflow.linked.subgraphs) == {"other", "again", "other-inner", "inner", "other-inner-2"}
    assert workflow.run()["sum"] == 201


def test_files_in_files_end_somewhere(tmp_path: Path, session: Session) -> None:
    for i in range(40):
        write(tmp_path / "w" / f"f{i}.json", **calling(f"f{i + 1}.json"))
    write(tmp_path / "w" / "f40.json", **adding())
    found = problems(tmp_path / "w" / "f0.json", session)
    assert {problem.code for problem in found} == {"too_large"}


def test_a_workflow_opened_through_a_link_finds_what_lies_beside_it(tmp_path: Path, session: Session) -> None:
    write(tmp_path / "w" / "plus.json", **adding(b=5))
    main = write(tmp_path / "w" / "main.json", **calling("plus.json"))
    (tmp_path / "desk").mkdir()
    (tmp_path / "desk" / "link.json").symlink_to(main)
    assert load(tmp_path / "desk" / "link.json", session).run(n=1)["sum"] == 6


def test_a_file_brings_its_title_and_description(tmp_path: Path, session: Session) -> None:
    write(tmp_path / "w" / "plus.json", **adding(title="Plus", description="One more."))
    workflow = load(write(tmp_path / "w" / "main.json", **calling("plus.json")), session)
    spec = node_spec(workflow.linked, session.catalog, workflow.document.nodes["s"])
    assert spec is not None
    assert (spec.title, spec.description) == ("Plus", "One more.")

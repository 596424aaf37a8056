"""A document from outside does nothing but compute until somebody has accepted what it wants."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from nodegraph import FilePath, Graph, Pack, Secret, Session, Untrusted, load, node
from nodegraph.artifacts import embed
from nodegraph.graph.uses import Use

RAN: list[str] = []


@node(output_name="text", cache="never")
def read(file: FilePath) -> str:
    """Reads a file."""
    RAN.append("read")
    return file.read_text()


@node(output_name="text", permissions={"network"})
def send(text: str, token: Secret | None = None) -> str:
    """Would reach out."""
    RAN.append("send")
    return text


@pytest.fixture
def session(tmp_path: Path) -> Iterator[Session]:
    RAN.clear()
    (tmp_path / "data" / "inputs").mkdir(parents=True)
    for name in ("a.txt", "b.txt"):
        (tmp_path / "data" / "inputs" / name).write_text(name)
    with Session(tmp_path / "data", packs=[Pack.of("t", [read, send])]) as session:
        yield session


def document(file: str = "a.txt", **more: Any) -> dict[str, Any]:
    nodes = {"r": {"type": "t/read", "inputs": {"file": file}}, **more}
    return {"nodegraph": 1, "nodes": nodes, "interface": {"inputs": {"f": {"to": ["r.file"]}}, "outputs": {"text": "r.text"}}}


def written(path: Path, data: dict[str, Any]) -> Path:
    path.write_text(json.dumps(data))
    return path


def test_nothing_runs_before_what_it_wants_is_accepted(tmp_path: Path, session: Session) -> None:
    send_node = {"type": "t/send", "inputs": {"token": "HUB"}, "links": {"text": "r.text"}}
    workflow = load(written(tmp_path / "w.json", document(s=send_node)), session)
    with pytest.raises(Untrusted) as caught:
        workflow.run()
    assert RAN == []
    assert caught.value.wants == {Use("file", "a.txt"): "r", Use("permission", "network"): "s", Use("secret", "HUB"): "s"}
    assert {problem.node for problem in caught.value.problems} == {"r", "s"}


def test_a_script_may_say_that_it_trusts_a_file(tmp_path: Path, session: Session) -> None:
    path = written(tmp_path / "w.json", document())
    assert load(path, session, trust=True).run()["text"] == "a.txt"
    with pytest.raises(Untrusted):
        load(path, session).run()


def test_what_was_accepted_holds_for_later_and_for_edits_that_want_no_more(tmp_path: Path, session: Session) -> None:
    path = written(tmp_path / "w.json", document())
    load(path, session).accept()
    assert load(path, session).run()["text"] == "a.txt"
    written(path, document() | {"title": "edited by hand"})
    assert load(path, session).run()["text"] == "a.txt"
    written(path, document("b.txt"))
    with pytest.raises(Untrusted):
        load(path, session).run()


def test_accepting_once_without_remembering_ends_with_the_workflow(tmp_path: Path, session: Session) -> None:
    path = written(tmp_path / "w.json", document())
    workflow = load(path, session)
    workflow.accept(remember=False)
    assert workflow.run()["text"] == "a.txt"
    assert load(path, session).wants()


def test_what_the_caller_sets_needs_no_consent(tmp_path: Path, session: Session) -> None:
    workflow = load(written(tmp_path / "w.json", document()), session)
    assert workflow.run(f="b.txt")["text"] == "b.txt"
    assert workflow.with_values({"r.file": "b.txt"}).run()["text"] == "b.txt"


def test_a_copy_of_an_accepted_file_is_known_by_its_content_but_for_the_files_that_it_names(
    tmp_path: Path, session: Session
) -> None:
    data = document(s={"type": "t/send", "inputs": {"token": "HUB"}, "links": {"text": "r.text"}})
    load(written(tmp_path / "w.json", data), session).accept()
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "a.txt").write_text("another file of that name")
    copy = load(written(tmp_path / "elsewhere" / "w.json", data), session)
    assert copy.wants() == {Use("file", "a.txt"): "r"}


def test_a_document_from_elsewhere_asks_before_it_takes_in_a_workflow_of_yours(tmp_path: Path, session: Session) -> None:
    (session.data / "workflows").mkdir()
    private = {"nodegraph": 1, "nodes": {"s": {"type": "t/send", "inputs": {"text": "my prompt"}}}}
    written(session.data / "workflows" / "mine.json", private)
    main = {"nodegraph": 1, "nodes": {"s": {"type": "subgraph/x"}}, "subgraphs": {"x": {"file": "mine.json"}}}
    (tmp_path / "downloads").mkdir()
    workflow = load(written(tmp_path / "downloads" / "w.json", main), session)
    assert workflow.wants()[Use("file", "mine.json")] == "subgraphs.x"
    workflow.accept()
    assert not load(tmp_path / "downloads" / "w.json", session).wants()


def test_what_was_built_here_is_trusted_and_so_is_the_file_it_is_saved_to(tmp_path: Path, session: Session) -> None:
    graph = Graph("Mine", session)
    graph.output("text", graph.add(read, "r", file="a.txt"))
    workflow = graph.workflow()
    assert workflow.run()["text"] == "a.txt"
    workflow.save(tmp_path / "mine.json")
    assert load(tmp_path / "mine.json", session).run()["text"] == "a.txt"


def test_saving_an_untrusted_workflow_does_not_make_it_trusted(tmp_path: Path, session: Session) -> None:
    workflow = load(written(tmp_path / "w.json", document()), session)
    workflow.save(tmp_path / "saved.json")
    with pytest.raises(Untrusted):
        load(tmp_path / "saved.json", session).run()


def test_a_picture_is_known_by_its_place(tmp_path: Path, session: Session) -> None:
    from PIL import Image

    Image.new("RGB", (2, 2)).save(tmp_path / "plain.png")
    data = embed((tmp_path / "plain.png").read_bytes(), "image/png", {"workflow": json.dumps(document())})
    for name in ("one.png", "two.png"):
        (tmp_path / name).write_bytes(data)
    assert load(tmp_path / "one.png", session).wants()
    load(tmp_path / "one.png", session).accept()
    assert not load(tmp_path / "one.png", session).wants()
    assert set(load(tmp_path / "two.png", session).wants()) == {Use("file", "a.txt")}


def test_subgraph_files_are_looked_through(tmp_path: Path, session: Session) -> None:
    written(tmp_path / "lib.json", document())
    main = {"nodegraph": 1, "nodes": {"s": {"type": "subgraph/lib"}}, "subgraphs": {"lib": {"file": "lib.json"}}}
    workflow = load(written(tmp_path / "w.json", main), session)
    assert set(workflow.wants()) == {Use("file", "a.txt")}
    workflow.accept()
    written(tmp_path / "lib.json", document("b.txt"))
    assert set(load(tmp_path / "w.json", session).wants()) == {Use("file", "b.txt")}


async def test_asynchronous_runs_ask_too(tmp_path: Path, session: Session) -> None:
    with pytest.raises(Untrusted):
        await load(written(tmp_path / "w.json", document()), session).run_async()


def test_saving_accepts_nothing_that_could_not_be_asked_about(tmp_path: Path, session: Session) -> None:
    """The file is not there yet where the document was opened; where it is saved, it is."""
    (tmp_path / "there").mkdir()
    (tmp_path / "there" / "mine.txt").write_text("private")
    (tmp_path / "download").mkdir()
    workflow = load(written(tmp_path / "download" / "w.json", document("mine.txt")), session)
    assert workflow.wants() == {}
    workflow.save(tmp_path / "there" / "w.json")
    with pytest.raises(Untrusted):
        load(tmp_path / "there" / "w.json", session).run()


def test_choosing_the_body_of_a_loop_accepts_nothing_in_it(tmp_path: Path, session: Session) -> None:
    part = {"nodes": {"r": {"type": "t/read"}}, "interface": {"inputs": {"f": {"to": ["r.file"], "default": "a.txt"}}}}
    data = {"nodegraph": 1, "nodes": {"s": {"type": "subgraph/other"}}, "subgraphs": {"other": {}, "part": part}}
    assert load(written(tmp_path / "w.json", data), session).wants() == {Use("file", "a.txt"): "subgraphs.part"}


def test_a_file_that_the_caller_allows_needs_no_consent(tmp_path: Path, session: Session) -> None:
    beside = tmp_path / "beside.txt"
    beside.write_text("beside")
    workflow = load(written(tmp_path / "w.json", document(str(beside))), session)
    assert workflow.run(allow=[str(beside)])["text"] == "beside"
    assert workflow.wants(allow=[str(beside)]) == {}

"""Graphs within a document: made of a selection, entered, changed, taken apart, kept as files."""

from __future__ import annotations

import pytest

from web.browser import Editor
from web.test_documents import NUMBERS, change, select, selection

pytestmark = pytest.mark.slow

SCOPE = "nodegraph.tabs.current.value.scope.value"


def extract(editor: Editor, name: str, *ids: str) -> None:
    select(editor, *ids)
    editor.page.locator(".canvas").focus()
    editor.page.keyboard.press("Control+Alt+e")
    editor.page.locator("dialog input").fill(name)
    editor.page.keyboard.press("Enter")


def test_a_selection_becomes_a_subgraph_and_comes_back(editor: Editor) -> None:
    editor.open(NUMBERS)
    before = editor.json
    extract(editor, "sums", "two", "three")
    editor.wait("Boolean(nodegraph.tabs.current.value.store.json.value.subgraphs?.sums)")
    assert selection(editor) == {"sums"}
    assert set(editor.nodes) == {"one", "sums"}
    editor.command("subgraph.inline")
    editor.wait("!nodegraph.tabs.current.value.store.json.value.subgraphs?.sums")
    after = editor.json
    assert after["nodes"] == before["nodes"]
    assert after["layout"] == before["layout"]
    assert selection(editor) == {"two", "three"}
    editor.command("edit.undo")
    editor.command("edit.undo")
    assert editor.json == before


def test_one_enters_a_subgraph_changes_it_and_finds_the_way_back(editor: Editor) -> None:
    editor.open(NUMBERS)
    extract(editor, "sums", "two", "three")
    editor.wait("Boolean(nodegraph.tabs.current.value.store.json.value.subgraphs?.sums)")
    editor.fit()
    camera = editor.page.evaluate("nodegraph.tabs.current.value.camera.value")
    editor.page.mouse.dblclick(*editor.middle('[data-node="sums"] .node-head'))
    editor.wait(f"{SCOPE} === 'sums'")
    editor.page.locator('[data-node="two"]').wait_for()
    editor.page.get_by_role("navigation", name="Way to this graph").get_by_text("sums").wait_for()
    change(editor, "two", 42)
    assert editor.json["subgraphs"]["sums"]["nodes"]["two"]["inputs"]["b"] == 42
    editor.shot("subgraph")
    assert editor.axe() == []
    select(editor)
    editor.page.locator(".canvas").focus()
    editor.page.keyboard.press("Escape")
    editor.wait(f"{SCOPE} === ''")
    assert selection(editor) == {"sums"}
    assert editor.page.evaluate("nodegraph.tabs.current.value.camera.value") == camera
    editor.command("edit.undo")
    assert editor.page.evaluate(SCOPE) == "sums"
    assert editor.json["subgraphs"]["sums"]["nodes"]["two"]["inputs"]["b"] == 2
    assert selection(editor) == {"two"}
    editor.command("edit.undo")
    assert editor.page.evaluate(SCOPE) == ""
    assert editor.page.evaluate("nodegraph.tabs.current.value.path.value") == []


def test_what_cannot_be_a_subgraph_is_refused_with_the_reason(editor: Editor) -> None:
    editor.open(NUMBERS)
    before = editor.json
    extract(editor, "around", "one", "three")
    editor.page.get_by_text("Select the nodes that lie between, too.").wait_for()
    editor.page.keyboard.press("Escape")
    assert editor.json == before
    editor.complaints = [text for text in editor.complaints if "422" not in text]


def test_bodies_of_loops_are_entered_too(editor: Editor) -> None:
    editor.open("grow")
    select(editor, "pictures")
    editor.page.locator(".canvas").focus()
    editor.page.keyboard.press("Control+ArrowDown")
    editor.wait(f"{SCOPE} === 'picture'")
    select(editor, "grow")
    editor.page.keyboard.press("Control+ArrowDown")
    editor.wait("nodegraph.tabs.current.value.path.value.length === 2")
    editor.page.locator(".crumbs").get_by_text("Grow", exact=True).first.click()
    editor.wait(f"{SCOPE} === ''")


def test_a_subgraph_kept_as_a_file_keeps_its_sockets(editor: Editor) -> None:
    editor.open(NUMBERS)
    extract(editor, "sums", "two")
    editor.wait("Boolean(nodegraph.tabs.current.value.store.json.value.subgraphs?.sums)")
    editor.command("subgraph.publish")
    editor.wait("nodegraph.tabs.current.value.store.json.value.subgraphs.sums.file === 'sums.json'")
    editor.fit()
    editor.socket("sums.value", "output")
    saved = editor.page.evaluate("nodegraph.api.get('/api/workflows/sums').then((found) => found.workflow.nodes)")
    assert set(saved) == {"two"}
    problems = editor.page.evaluate(
        "nodegraph.api.post('/api/workflows/validate', {workflow: nodegraph.tabs.current.value.store.json.value})"
    )
    assert [row for row in problems["problems"] if row.get("node") == "sums"] == []
    editor.page.evaluate("nodegraph.tabs.current.value.selection.value = new Set(['sums'])")
    editor.command("subgraph.enter")
    editor.wait("nodegraph.tabs.current.value.file.value?.id === 'sums'")


def test_a_saved_workflow_is_inserted_as_a_subgraph(editor: Editor) -> None:
    saved = {
        **NUMBERS,
        "id": "adder",
        "title": "Adder",
        "interface": {"inputs": {"start": {"to": ["one.value"]}}, "outputs": {"sum": "three.value"}},
    }
    editor.page.evaluate("(workflow) => nodegraph.api.post('/api/workflows', {workflow, id: 'adder'})", saved)
    editor.open({"nodegraph": 1, "id": "empty", "nodes": {}})
    editor.page.evaluate("void nodegraph.commands.run('subgraph.insert_saved')")
    editor.page.locator("dialog .card", has_text="Adder").click()
    editor.wait("nodegraph.tabs.current.value.store.json.value.nodes.adder?.type === 'subgraph/adder'")
    editor.socket("adder.start", "input")
    editor.socket("adder.sum", "output")

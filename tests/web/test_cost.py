"""What things cost, counted and not timed: what an event, a drag or a pan writes, how many nodes are built, what rests."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from web.browser import Editor
from web.graphs import many_pictures, rows_of_sums

pytestmark = pytest.mark.slow

PICTURES = Path(__file__).parents[2] / "workflows" / "text_to_image.json"

WATCH = """() => {
  const name = (node) => {
    const at = node.nodeType === 1 ? node : node.parentElement;
    const { wire, thing } = at.dataset ?? {};
    return at.closest("[data-node]")?.dataset.node ?? wire ?? thing ?? at.className?.baseVal ?? at.className;
  };
  window.written = [];
  const take = (record) => !/^keeping\b/.test(name(record.target)) // that a draft was kept is said when it was
    && window.written.push(`${name(record.target)} ${record.attributeName ?? record.type}`);
  const observer = new MutationObserver((records) => records.forEach(take));
  observer.observe(document, { subtree: true, childList: true, attributes: true, characterData: true });
  window.frames_drawn = 0;
  window.realFrame ??= window.requestAnimationFrame;
  window.requestAnimationFrame = (work) => window.realFrame((at) => (window.frames_drawn++, work(at)));
}"""
FEED = """([type, node, more]) =>
  nodegraph.events.tell({ seq: null, at: Date.now() / 1000, type, job: "made_up", node, ...more })"""
SEEN = """const view = nodegraph.canvas.view();
  const seen = [...nodegraph.canvas.scene.items.values()].filter(({ box }) => box.x < view.x + view.width
    && box.y < view.y + view.height && box.x + box.width > view.x && box.y + box.height > view.y).map(({ id }) => id);"""


def watch(editor: Editor) -> None:
    """Note from now on what is written; what is being built yet, beyond the view, is waited for."""
    editor.frame()
    editor.page.evaluate(WATCH)
    for _ in range(100):
        if not written(editor):
            break
    editor.page.evaluate("() => void (window.frames_drawn = 0)")


def written(editor: Editor) -> list[str]:
    """What was written since `watch`: the name of the node or link (or the class of the element), and the attribute."""
    editor.page.evaluate("new Promise((done) => window.realFrame(() => window.realFrame(() => setTimeout(done))))")
    return list(editor.page.evaluate("window.written.splice(0)"))


def open_at(editor: Editor, document: dict[str, Any], zoom: float = 1) -> None:
    editor.open(document)
    editor.page.evaluate("(zoom) => void (nodegraph.tabs.current.value.camera.value = {x: -20, y: -20, zoom})", zoom)
    settle(editor)


def settle(editor: Editor) -> None:
    """Wait until everything in view is built."""
    built = "seen.every((id) => document.querySelector(`[data-node='${id}']`))"
    editor.wait(f"(() => {{ {SEEN} return nodegraph.canvas.isFar || {built} }})()")
    editor.frame()


def begin_job(editor: Editor) -> None:
    editor.page.evaluate(
        """() => { nodegraph.runs.add("made_up", { state: "running" }); nodegraph.tabs.current.value.job.value = "made_up"; }"""
    )


def test_a_progress_event_changes_only_its_node(editor: Editor) -> None:
    open_at(editor, rows_of_sums(1000))
    begin_job(editor)
    editor.page.evaluate(FEED, ["node_started", "n1", {}])
    editor.page.evaluate(FEED, ["node_progress", "n1", {"done": 1, "total": 20}])
    editor.wait("document.querySelector('.keeping')?.textContent === 'Draft kept'")
    watch(editor)
    editor.page.evaluate(FEED, ["node_progress", "n1", {"done": 2, "total": 20}])
    found = written(editor)
    assert found
    assert {row.split(" ")[0] for row in found} == {"n1"}
    assert len(found) <= 8


def test_a_progress_event_of_a_node_out_of_view_changes_nothing(editor: Editor) -> None:
    open_at(editor, rows_of_sums(1000))
    begin_job(editor)
    editor.page.evaluate(FEED, ["node_started", "n999", {}])
    watch(editor)
    editor.page.evaluate(FEED, ["node_progress", "n999", {"done": 2, "total": 20}])
    assert written(editor) == []


def test_dragging_a_node_writes_it_and_its_links_only(editor: Editor) -> None:
    open_at(editor, rows_of_sums(1000))
    x, y = editor.middle('[data-node="n1"] .node-head')
    editor.page.mouse.move(x, y)
    editor.page.mouse.down()
    editor.page.mouse.move(x + 10, y + 10, steps=3)
    watch(editor)
    editor.page.mouse.move(x + 33, y + 57, steps=5)
    found = {row.split(" ")[0] for row in written(editor) if not row.startswith("guide")}
    editor.page.mouse.up()
    assert found == {"n1", "n0.value>n1.a", "n1.value>n2.a"}


def test_a_pan_writes_one_transform(editor: Editor) -> None:
    open_at(editor, rows_of_sums(1000))
    watch(editor)
    editor.page.evaluate("nodegraph.canvas.pan(7, 5)")  # towards where no further nodes are
    assert written(editor) == ["world style"]
    editor.page.evaluate("nodegraph.canvas.pan(-7, -5)")
    assert written(editor) == ["world style"]


def test_only_nodes_near_the_viewport_are_built(editor: Editor) -> None:
    editor.wait(f"document.querySelectorAll('[data-node]').length >= {len(editor.nodes)}")  # all is counted
    for document in (rows_of_sums(1000), many_pictures(1000, json.loads(PICTURES.read_text()))):
        before = editor.page.evaluate("nodegraph.canvas.nodes.count")
        open_at(editor, document)
        near = editor.page.evaluate(f"(() => {{ {SEEN} return seen.length }})()")
        assert 0 < near < 60
        assert editor.page.locator("[data-node]").count() <= near
        assert editor.page.evaluate("nodegraph.canvas.nodes.count") - before <= near


def test_what_is_far_is_drawn_and_nothing_is_built(editor: Editor) -> None:
    editor.open(rows_of_sums(1000))
    editor.frame()
    assert editor.page.locator("[data-node]").count() == 0
    watch(editor)
    editor.page.evaluate("nodegraph.canvas.pan(-7, -5)")
    assert written(editor) == ["world style"]


def test_coming_near_builds_a_few_nodes_a_frame(editor: Editor) -> None:
    editor.open(rows_of_sums(1000))
    most = editor.page.evaluate("""async () => {
        let [last, most] = [document.querySelectorAll("[data-node]").length, 0];
        nodegraph.tabs.current.value.camera.value = { x: 600, y: 600, zoom: 0.65 };
        for (let frame = 0; frame < 60; frame++) {
            await new Promise(requestAnimationFrame);
            const now = document.querySelectorAll("[data-node]").length;
            [last, most] = [now, Math.max(most, now - last)];
        }
        return [last, most];
    }""")
    assert most[0] > 20, "the nodes are there at the end"
    assert most[1] <= 8


def test_nothing_runs_at_rest(editor: Editor) -> None:
    assert editor.run()["state"] == "succeeded"
    editor.wait("document.querySelector('.node-state.computed, .node-state.hit') !== null")
    editor.page.wait_for_load_state("networkidle")
    watch(editor)
    written(editor)
    frames = editor.page.evaluate("""async () => { const before = window.frames_drawn;
        await new Promise((done) => setTimeout(done, 1000)); return window.frames_drawn - before; }""")
    assert written(editor) == []
    assert frames == 0


def test_a_node_with_the_focus_stays_when_it_leaves_the_view(editor: Editor) -> None:
    open_at(editor, rows_of_sums(1000))
    field = editor.page.locator('[data-node="n1"] input').first
    field.focus()
    editor.page.evaluate("nodegraph.canvas.pan(-6000, -3000)")
    settle(editor)
    assert editor.page.locator("[data-node]").count() > 1
    assert editor.page.evaluate("document.activeElement.closest('[data-node]').dataset.node") == "n1"
    assert editor.page.locator('[data-node="n0"]').count() == 0

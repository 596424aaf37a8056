"""Running: consent, states, problems, questions, the queue, and that a run is never lost to a reload."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from server.harness import ServerProcess, until

from web.browser import Editor

pytestmark = pytest.mark.slow


def busy(name: str, seconds: float = 0.0) -> dict[str, Any]:
    """Two nodes of the test pack, the second of which makes a file."""
    nodes = {
        "work": {"type": "busy/work", "version": 1, "inputs": {"label": name, "seconds": seconds}},
        "page": {"type": "busy/page", "version": 1, "links": {"text": "work.value"}},
    }
    layout = {"nodes": {"work": [0, 0], "page": [320, 0]}}
    return {
        "nodegraph": 1,
        "id": name,
        "title": name,
        "nodes": nodes,
        "interface": {"outputs": {"page": "page.artifact"}},
        "layout": layout,
    }


def looked_at(editor: Editor) -> None:
    """Wait until the server has said what the document wants."""
    editor.wait("nodegraph.tabs.current.value.wants.value.length > 0")


def accept(editor: Editor) -> None:
    """Press Run and accept what is wanted."""
    looked_at(editor)
    editor.page.click("button.run")
    editor.page.get_by_role("button", name="Accept and run").click()


def badge(editor: Editor, node: str) -> Any:
    return editor.page.locator(f'[data-node="{node}"] .node-state')


def test_nothing_runs_before_what_a_workflow_wants_was_accepted(editor: Editor) -> None:
    editor.open(busy("consent"))
    looked_at(editor)
    editor.page.click("button.run")
    dialog = editor.page.locator("dialog[open]")
    assert "busy" in dialog.locator("li").inner_text()
    editor.shot("wants")
    assert editor.axe("dialog[open]") == []
    assert editor.server.get("/api/jobs?document=consent")["jobs"] == []
    dialog.get_by_role("button", name="Accept and run").click()
    assert editor.wait_for_job()["state"] == "succeeded"
    editor.wait_for_node("work", "computed")


def test_running_again_takes_all_from_the_cache_and_says_why(editor: Editor) -> None:
    editor.open(busy("again"))
    accept(editor)
    editor.wait_for_job()
    editor.command("run.plan")
    editor.wait("document.querySelector('.node-state.forecast.hit') !== null")
    assert editor.run()["state"] == "succeeded"
    for node in ("work", "page"):
        editor.wait_for_node(node, "hit", "not_needed")
    page = badge(editor, "page")
    page.locator("summary").focus()
    editor.page.keyboard.press("Enter")
    assert "from the cache" in page.locator("dl").inner_text()
    assert editor.axe(".node-state") == []


def test_a_run_can_be_cancelled_by_keyboard_and_tried_again(editor: Editor) -> None:
    editor.open(busy("cancelled", 60))
    accept(editor)
    editor.wait("document.querySelector('[data-node=work] .node-state.running') !== null")
    assert editor.page.title().endswith("cancelled - nodegraph")
    editor.page.keyboard.press("Control+Alt+Enter")
    assert editor.wait_for_job("cancelled")["state"] == "cancelled"
    editor.command("queue.open")
    editor.page.get_by_role("button", name="Try again: cancelled").click()
    editor.wait_for_job("running")
    editor.command("run.cancel")
    editor.wait_for_job("cancelled")


def test_running_up_to_a_node_leaves_out_the_rest(editor: Editor) -> None:
    editor.open(busy("here"))
    editor.page.evaluate("nodegraph.tabs.current.value.selection.value = new Set(['work'])")
    looked_at(editor)
    editor.command("run.here")
    editor.page.get_by_role("button", name="Accept and run").click()
    job = editor.wait_for_job()
    assert editor.server.get(f"/api/jobs/{job['id']}")["wanted"] == ["work"]
    assert editor.run_state("page")["state"] == ""


def test_a_wrong_value_is_shown_at_its_socket_and_can_be_put_right_there(editor: Editor) -> None:
    """No run is needed for it: the server looks after every change."""
    editor.page.evaluate(
        "nodegraph.tabs.current.value.store.change('x', (json) => ({...json, nodes: {...json.nodes, "
        "denoise: {...json.nodes.denoise, inputs: {...json.nodes.denoise.inputs, steps: 5000}}}}))"
    )
    editor.wait("document.querySelector('.socket[data-wrong]') !== null")
    wrong = editor.page.locator(".socket[data-wrong]")
    assert [(one.get_attribute("data-of"), one.get_attribute("data-socket")) for one in wrong.all()] == [("denoise", "steps")]
    shown = editor.page.locator('[data-node="denoise"] .problem')
    shown.hover()
    assert "1000" in shown.inner_text()
    editor.shot("problem")
    assert editor.axe(".node-problems") == []
    shown.get_by_role("button", name="Back to the default").click()
    editor.wait("document.querySelector('.socket[data-wrong]') === null")
    assert "steps" not in editor.nodes["denoise"]["inputs"]


def test_what_fails_in_a_run_is_shown_on_its_node_with_the_trace_folded(editor: Editor) -> None:
    document = busy("failing")
    document["nodes"]["work"] = {"type": "busy/refuse", "version": 1, "inputs": {"label": "no"}}
    editor.open(document)
    accept(editor)
    assert editor.wait_for_job()["state"] == "failed"
    shown = editor.page.locator('[data-node="work"] .problem')
    shown.hover()
    assert "This never works." in shown.inner_text()
    assert "Use another node." in shown.inner_text()
    assert editor.page.locator('[data-node="page"] .problem').count() == 0
    assert shown.locator("details[open]").count() == 0
    editor.page.reload()
    editor.wait("window.nodegraph?.ready === true")
    shown.wait_for()
    assert editor.page.locator(".toast.error").count() == 0, "what ended before is no news"


def test_a_reload_goes_on_with_the_job_and_a_cancelled_one_runs_nowhere(editor: Editor) -> None:
    editor.open(busy("reloaded", 60))
    accept(editor)
    running = "document.querySelectorAll('[data-node=work] :is(.node-state.running, progress)').length"
    editor.wait(f"{running} === 2")
    job = editor.job()
    assert job
    editor.wait("nodegraph.tabs.current.value.kept.value === 'kept'")
    editor.page.reload()
    editor.wait("window.nodegraph?.ready === true")
    editor.wait(f"{running} === 2")
    assert (editor.job() or {})["id"] == job["id"]
    editor.command("run.cancel")
    editor.wait_for_job("cancelled")
    editor.wait(f"{running} === 0")
    assert {editor.run_state(node)["state"] for node in ("work", "page")} == {""}


def test_nobody_is_asked_for_a_file_that_was_chosen_by_hand(editor: Editor) -> None:
    nodes = {"load": {"type": "image/load_image"}, "show": {"type": "image/show_image", "links": {"image": "load.image"}}}
    editor.open({"nodegraph": 1, "id": "chosen", "nodes": nodes, "layout": {"nodes": {"load": [0, 0], "show": [320, 0]}}})
    editor.page.set_input_files(".file-field input", Path(__file__).parents[2] / "workflows/examples/apple.png")
    looked_at(editor)
    assert editor.page.locator(".banner.wants").count() == 0
    assert editor.run()["state"] == "succeeded"


def test_another_page_shows_the_same_running_job(editor: Editor, new_editor: Callable[..., Editor]) -> None:
    editor.open(busy("followed", 60))
    accept(editor)
    editor.wait("document.querySelector('[data-node=work] progress') !== null")
    job = editor.job()
    assert job
    other = new_editor("desktop", "dark").start(f"/?job={job['id']}")
    other.wait("(id) => nodegraph.tabs.current.value?.job.value === id", job["id"])
    assert other.nodes.keys() == {"work", "page"}
    other.wait("document.querySelector('[data-node=work] .node-state.running') !== null")
    other.open(busy("followed", 60))
    other.wait("(id) => nodegraph.tabs.current.value.job.value === id", job["id"])
    other.command("run.cancel")
    assert editor.wait_for_job("cancelled")["reason"] == other.wait_for_job("cancelled")["reason"]
    other.no_complaints()


def test_what_a_node_asks_is_answered_at_the_node(editor: Editor) -> None:
    nodes = {
        "options": {"type": "core/split_lines", "version": 1, "inputs": {"value": "red\ngreen"}},
        "ask": {"type": "core/ask", "version": 1, "inputs": {"question": "Which?"}, "links": {"options": "options.texts"}},
    }
    layout = {"nodes": {"options": [0, 0], "ask": [320, 0]}}
    editor.open(
        {"nodegraph": 1, "id": "asks", "nodes": nodes, "interface": {"outputs": {"colour": "ask.chosen"}}, "layout": layout}
    )
    editor.page.click("button.run")
    asked = editor.page.locator('[data-node="ask"] fieldset')
    asked.wait_for(timeout=60_000)
    editor.shot("question")
    assert editor.axe(".node-question") == []
    asked.get_by_role("button", name="green").focus()
    editor.page.keyboard.press("Enter")
    job = editor.wait_for_job()
    assert editor.server.get(f"/api/jobs/{job['id']}")["outputs"]["colour"][0]["value"] == "green"


def test_the_queue_is_reordered_by_keyboard_and_by_dragging(editor: Editor) -> None:
    server: ServerProcess = editor.server
    server.ask("POST", "/api/queue/pause")
    ids = [server.submit(busy(f"queued-{letter}")) for letter in "abc"]
    order = lambda: [row["id"] for row in server.get("/api/queue")["queued"]]  # noqa: E731
    editor.command("queue.open")
    editor.page.locator(f'[data-job="{ids[2]}"]').wait_for()
    editor.shot("queue")
    assert editor.axe('[data-panel="queue"]') == []
    up = editor.page.get_by_role("button", name="Move up: queued-c")
    up.focus()
    editor.page.keyboard.press("Enter")
    until(lambda: order() == [ids[0], ids[2], ids[1]])
    editor.wait("(id) => document.querySelectorAll('[data-panel=queue] ol [data-job]')[1]?.dataset.job === id", ids[2])
    editor.page.drag_and_drop(f'[data-job="{ids[1]}"]', f'[data-job="{ids[0]}"]')
    until(lambda: order() == [ids[1], ids[0], ids[2]])
    editor.page.get_by_role("button", name="Clear").click()
    editor.page.get_by_role("button", name="OK").click()
    until(lambda: order() == [])
    server.ask("POST", "/api/queue/resume")


def test_runs_follow_changes_of_meaning_only_and_only_where_wanted(editor: Editor) -> None:
    editor.open(busy("changing"))
    accept(editor)
    first = editor.wait_for_job()["id"]
    editor.command("run.on_change")
    editor.page.evaluate("nodegraph.tabs.current.value.store.change('x', (json) => ({...json, layout: {}}))")
    editor.page.evaluate(
        "nodegraph.tabs.current.value.store.change('x', (json) => ({...json, nodes: {...json.nodes, work: {...json.nodes.work, "
        "inputs: {label: 'other', seconds: 0}}}}))"
    )
    editor.wait("(first) => nodegraph.tabs.current.value.job.value !== first", first)
    editor.wait_for_job("succeeded")
    assert len(editor.server.get("/api/jobs?document=changing")["jobs"]) == 2


def test_several_runs_draw_other_seeds(editor: Editor) -> None:
    editor.server.ask("POST", "/api/queue/pause")
    editor.command("run.many")
    editor.page.fill("dialog[open] input", "3")
    editor.page.keyboard.press("Enter")
    rows = until(lambda: (rows := editor.server.get("/api/queue")["queued"]) and len(rows) == 3 and rows)
    assert len({row["inputs"]["seed"] for row in rows}) == 3
    assert rows[0]["inputs"]["seed"] == editor.nodes["noise"]["inputs"]["seed"] == 7
    editor.server.ask("POST", "/api/queue/clear")
    editor.server.ask("POST", "/api/queue/resume")

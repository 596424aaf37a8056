"""The denoise timeline: previews while it runs, scrubbing, and forking without computing the steps before again."""

from __future__ import annotations

from typing import Any

import pytest

from web.browser import Editor, module

pytestmark = pytest.mark.slow
STEPS = 6


def with_steps(editor: Editor, steps: int = STEPS) -> None:
    editor.page.evaluate(
        """(steps) => nodegraph.tabs.current.value.store.change("steps", (json) => ({...json, nodes: {...json.nodes,
        denoise: {...json.nodes.denoise, inputs: {...json.nodes.denoise.inputs, steps}},
        schedule: {...json.nodes.schedule, inputs: {...json.nodes.schedule.inputs, steps}}}}))""",
        steps,
    )


def test_a_preview_shows_on_the_node_while_it_denoises(editor: Editor) -> None:
    with_steps(editor, 30)
    editor.page.click("button.run")
    editor.wait("document.querySelector('[data-node=denoise] img.node-picture')?.naturalWidth > 0", seconds=90)
    editor.wait("/^[0-9]+% /.test(document.title)")
    editor.shot("preview")
    editor.command("edit.undo")
    assert editor.page.locator('[data-node="denoise"] img.node-picture').count() == 1
    editor.command("timeline.open")
    editor.wait("document.querySelector('.timeline .strip img') !== null")
    editor.command("run.cancel")
    editor.wait_for_job()
    picture = editor.page.locator('[data-node="denoise"] img.node-picture')
    assert picture.get_attribute("alt") == "The last picture of the work"
    assert picture.evaluate("(picture) => picture.decode().then(() => picture.naturalWidth)") > 0


def test_steps_are_scrubbed_and_a_fork_computes_only_its_own(editor: Editor) -> None:
    with_steps(editor)
    assert editor.run(seconds=120)["state"] == "succeeded"
    editor.command("timeline.open")
    slider = editor.page.get_by_role("slider", name="Step")
    slider.wait_for()
    assert slider.get_attribute("max") == str(STEPS)
    slider.focus()
    editor.page.keyboard.press("Home")
    editor.wait("document.querySelector('.timeline .now img')?.alt.endsWith('step 1')")
    editor.page.keyboard.press("ArrowRight")
    editor.page.keyboard.press("ArrowRight")
    editor.wait("document.querySelector('.timeline .now img')?.naturalWidth > 0")
    assert (slider.get_attribute("aria-valuetext") or "").startswith(f"Step 3 of {STEPS}, computed")
    editor.shot("timeline")
    assert editor.axe('[data-panel="timeline"]') == []

    before = editor.json
    editor.page.get_by_role("button", name="Fork here").click()
    prompt = editor.page.locator("dialog[open] textarea")
    assert prompt.input_value() == "a red apple"
    assert editor.axe("dialog[open]") == []
    prompt.fill("a green pear")
    first = editor.page.evaluate("nodegraph.tabs.current.value.job.value")
    editor.page.get_by_role("button", name="Fork and run").click()
    editor.wait("nodegraph.tabs.current.value.store.json.value.nodes.denoise_fork !== undefined")
    editor.wait("(first) => nodegraph.tabs.current.value.job.value !== first", first)
    job = editor.wait_for_job(seconds=120)
    shown = editor.server.get(f"/api/jobs/{job['id']}")
    assert sorted(shown["outputs"]) == ["image", "image_fork"]
    assert shown["outputs"]["image"][0]["digest"] != shown["outputs"]["image_fork"][0]["digest"]
    states = {path: row["state"] for path, row in shown["nodes"].items()}
    assert {states.get(f"denoise_fork/step_{number}", states["denoise_fork"]) for number in (1, 2, 3)} <= {"hit", "not_needed"}
    assert [path for path, state in states.items() if "/step_" in path and state == "computed"] == [
        f"denoise_rest/step_{number}" for number in range(1, STEPS - 2)
    ]
    editor.fit()
    editor.shot("forked")
    editor.command("edit.undo")
    assert editor.json == before


def test_a_fork_says_why_where_it_cannot_be(editor: Editor) -> None:
    """The number of steps is taken from a node that holds it; where it is computed, nobody can say where step k is."""
    look = """async ([address, change]) => {
        const { forkable } = await import(address);
        const json = structuredClone(nodegraph.tabs.current.value.store.json.value);
        for (const [id, entry] of Object.entries(change)) json.nodes[id] = {...json.nodes[id], ...entry};
        const { reason, steps } = forkable(nodegraph.catalog.value, json, "denoise");
        return [reason, steps];
    }"""

    def forkable(change: dict[str, Any]) -> Any:
        return editor.page.evaluate(look, [module("model/fork.js"), change])

    links = editor.nodes["denoise"]["links"]
    linked = {"denoise": {"links": {**links, "steps": "count.value"}}}
    assert forkable({}) == ["", 20]
    assert forkable({"count": {"type": "core/integer", "inputs": {"value": 12}}, **linked}) == ["", 12]
    assert forkable({"count": {"type": "core/calculate_whole", "inputs": {"a": 12}}, **linked})[0] == "computed"
    assert forkable({"denoise": {"links": {**links, "guidance": "model.denoiser"}}})[0] == "guidance"
    assert forkable({"denoise": {"type": "diffusion/decode"}})[0] == "not_here"

"""The form view: promote, fill in, run, see the picture; by link; on a phone."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from web.browser import Editor
from web.test_fields import SET, described

pytestmark = pytest.mark.slow


ALSO = """([name, place]) => nodegraph.tabs.current.value.store.change("", (json) => {
  const one = json.interface.inputs[name];
  const inputs = { ...json.interface.inputs, [name]: { ...one, to: [...one.to, place] } };
  return { ...json, interface: { ...json.interface, inputs } };
})"""
"""Has a public input set another socket as well."""


PROBLEMS = "nodegraph.runs.get(nodegraph.tabs.current.value.job.value).problems.value"


def promote(editor: Editor, place: str, title: str) -> None:
    editor.page.locator(f'[data-node] [data-place="{place}"]').dispatch_event("contextmenu")
    editor.page.click("dialog >> text=Show in the form")
    assert editor.json["interface"]["inputs"][title]["to"] == [place]


def ran(editor: Editor, begin: Callable[[], None]) -> None:
    """Begin a run, and wait for it: not for one that the document had before."""
    before = (editor.job() or {}).get("id")
    begin()
    editor.wait("(before) => ![before, ''].includes(nodegraph.tabs.current.value.job.value)", before)
    assert editor.wait_for_job()["state"] == "succeeded", editor.page.evaluate(PROBLEMS)


def test_promoted_fields_make_a_form_that_runs(editor: Editor) -> None:
    editor.page.evaluate("nodegraph.tabs.current.value.store.change('', ({ interface: _, ...json }) => json)")
    editor.page.evaluate(SET, ["save", "name", "picture"])
    editor.page.click(".views button:has-text('Form')")
    assert editor.page.locator(".form fieldset legend").first.inner_text()  # no interface: all fields, by node
    assert "Show in the form" in editor.page.locator(".form > .dim").inner_text()
    editor.page.click(".views button:has-text('Graph')")
    promote(editor, "prompt.text", "prompt")
    promote(editor, "schedule.steps", "steps")
    editor.page.evaluate(ALSO, ["steps", "denoise.steps"])
    editor.page.click(".views button:has-text('Form')")
    editor.page.fill('[data-place="steps"]', "4")
    assert (editor.nodes["schedule"]["inputs"]["steps"], editor.nodes["denoise"]["inputs"]["steps"]) == (4, 4)
    editor.page.fill('[data-place="prompt"]', "a yellow banana")
    ran(editor, lambda: editor.page.keyboard.press("Control+Enter"))
    assert editor.wait("document.querySelector('.form-results figure img')?.naturalWidth") > 0
    assert editor.page.locator(".form-results a[download]").get_attribute("href").startswith("/api/")
    editor.shot("form-light")
    assert editor.axe() == []


def test_a_link_opens_a_form_with_values(new_editor: Callable[..., Editor]) -> None:
    editor = new_editor("desktop", "dark").start("/?form=text_to_image&prompt=a%20green%20pear&seed=5&steps=1000")
    assert editor.page.input_value('[data-place="prompt"]') == "a green pear"
    assert (editor.nodes["noise"]["inputs"]["seed"], editor.nodes["begin"]["inputs"]["seed"]) == (5, 5)
    assert editor.nodes["denoise"]["inputs"]["steps"] == 20
    assert "100 is the most" in editor.page.locator(".toast.error").inner_text()
    jobs = editor.page.evaluate("nodegraph.api.get('/api/jobs').then((found) => found.jobs)")
    assert all(job["inputs"].get("seed") != 5 for job in jobs)  # a link sets values and runs nothing
    link = editor.page.evaluate("import('/app/src/form/link.js').then((module) => module.linkTo(nodegraph.tabs.current.value))")
    assert link == f"{editor.server.url}/?form=text_to_image&prompt=a+green+pear&seed=5"
    editor.shot("form-dark")
    assert editor.axe(".form-view") == []
    editor.no_complaints()


def test_on_a_phone_the_form_comes_first_and_fits(new_editor: Callable[..., Editor]) -> None:
    editor = new_editor("phone").start()
    editor.open("text_to_image")
    editor.page.locator(".form-view h1").wait_for()
    editor.page.fill('[data-place="steps"]', "2")
    ran(editor, lambda: editor.page.click(".form-run .main"))
    assert editor.page.evaluate("document.querySelector('.form-view').scrollWidth <= innerWidth")
    editor.shot("form-phone")
    assert editor.axe(".form-view") == []
    editor.no_complaints()


def test_problems_stand_at_the_fields_that_they_are_about(editor: Editor) -> None:
    editor.page.click(".views button:has-text('Form')")
    editor.page.evaluate(SET, ["denoise", "steps", 5000])
    editor.wait("document.querySelector('.form [data-place=steps]')?.getAttribute('aria-invalid') === 'true'")
    steps = editor.page.locator('[data-place="steps"]')
    assert "5000" in described(editor, steps)
    editor.page.evaluate(SET, ["save", "quality", 5000])
    editor.wait("document.querySelector('.form-problems')?.textContent.includes('5000')")

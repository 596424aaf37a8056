"""Two windows with one workflow: neither overwrites the other."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from web.browser import Editor
from web.test_documents import NUMBERS, change

pytestmark = pytest.mark.slow

FILE = "nodegraph.tabs.current.value.file.value"
BAR = "This workflow was saved elsewhere"


def two_windows(editor: Editor, new_editor: Callable[..., Editor], title: str) -> tuple[Editor, Editor]:
    """The same saved workflow, open in two browsers."""
    editor.open({**NUMBERS, "title": title})
    editor.page.locator(".canvas").focus()
    editor.page.keyboard.press("Shift+Control+s")
    editor.page.locator("dialog input").fill(title)
    editor.page.keyboard.press("Enter")
    file = editor.wait(FILE)
    other = new_editor().start(f"/?workflow={file['id']}")
    other.wait(f"{FILE}?.id === '{file['id']}'")
    return editor, other


def save(editor: Editor) -> None:
    editor.page.locator(".canvas").focus()
    editor.page.keyboard.press("Control+s")


def saved(editor: Editor) -> dict[str, Any]:
    """What lies on the server under the id of the current tab."""
    return dict(editor.page.evaluate(f"nodegraph.api.get(`/api/workflows/${{{FILE}.id}}`).then((found) => found.workflow)"))


def test_changes_of_two_windows_that_go_together_are_merged(editor: Editor, new_editor: Callable[..., Editor]) -> None:
    one, other = two_windows(editor, new_editor, "Together")
    change(one, "two", 20)
    change(other, "three", 30)
    save(other)
    other.wait("!nodegraph.tabs.current.value.store.dirty.value")
    one.page.get_by_text(BAR).wait_for()
    before = one.json
    save(one)
    one.wait("!nodegraph.tabs.current.value.store.dirty.value")
    found = saved(one)
    assert (found["nodes"]["two"]["inputs"]["b"], found["nodes"]["three"]["inputs"]["b"]) == (20, 30)
    assert one.page.get_by_text(BAR).count() == 0
    one.command("edit.undo")
    assert one.json == before
    one.complaints = [text for text in one.complaints if "409" not in text]
    other.no_complaints()


def test_where_both_changed_the_same_a_person_chooses(editor: Editor, new_editor: Callable[..., Editor]) -> None:
    one, other = two_windows(editor, new_editor, "Apart")
    change(one, "two", 20)
    change(one, "three", 21)
    change(other, "two", 30)
    change(other, "three", 31)
    save(other)
    other.wait("!nodegraph.tabs.current.value.store.dirty.value")
    save(one)
    one.page.locator("fieldset", has_text="three · b").get_by_label("Elsewhere:").check()
    one.shot("conflict")
    assert one.axe("dialog") == []
    one.page.get_by_role("button", name="Merge and save").click()
    one.wait("!nodegraph.tabs.current.value.store.dirty.value")
    found = saved(one)
    assert (found["nodes"]["two"]["inputs"]["b"], found["nodes"]["three"]["inputs"]["b"]) == (20, 31)
    other.page.get_by_text(BAR).wait_for()
    other.page.get_by_role("button", name="Compare").click()
    other.page.locator(".changes li", has_text="two · b: 30 → 20").wait_for()
    other.page.keyboard.press("Escape")
    mine = other.json
    other.page.get_by_role("button", name="Take over").click()
    other.wait("nodegraph.tabs.current.value.store.json.value.nodes.two.inputs.b === 20")
    assert not other.page.evaluate("nodegraph.tabs.current.value.store.dirty.value")
    other.command("edit.undo")
    assert other.json == mine
    one.complaints = [text for text in one.complaints if "409" not in text]
    other.no_complaints()


def test_giving_up_a_merge_changes_nothing(editor: Editor, new_editor: Callable[..., Editor]) -> None:
    one, other = two_windows(editor, new_editor, "Given up")
    change(one, "two", 20)
    change(other, "two", 30)
    save(other)
    other.wait("!nodegraph.tabs.current.value.store.dirty.value")
    mine = one.json
    save(one)
    one.page.get_by_role("button", name="Cancel").click()
    one.wait("document.querySelector('dialog') === null")
    assert one.json == mine
    assert saved(one)["nodes"]["two"]["inputs"]["b"] == 30
    one.complaints = [text for text in one.complaints if "409" not in text]

"""The whole page after a run, as people see it: dark and light, high contrast, German, on a phone. Each is kept."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from web.browser import Editor

pytestmark = pytest.mark.slow


def painted(editor: Editor) -> Editor:
    """The editor with a picture made in four steps."""
    editor.start()
    editor.open("text_to_image")
    editor.page.evaluate(
        """() => {
          const tab = nodegraph.tabs.current.value;
          const set = (json, id) => ({ ...json.nodes[id], inputs: { ...json.nodes[id].inputs, steps: 4 } });
          tab.store.change("Steps", (json) => {
            const nodes = { ...json.nodes, schedule: set(json, "schedule"), denoise: set(json, "denoise") };
            return { ...json, nodes };
          });
        }"""
    )
    assert editor.run(seconds=120)["state"] == "succeeded"
    return editor


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_page_with_its_panels_open(new_editor: Callable[..., Editor], scheme: str) -> None:
    editor = painted(new_editor("desktop", scheme))
    editor.page.click('.rail [aria-label="Outline"]')
    editor.page.wait_for_selector('[data-panel="outline"] [role="treeitem"]')
    editor.fit()
    editor.page.wait_for_selector(".node-picture")
    editor.shot(f"editor-{scheme}")
    editor.page.click('.rail [aria-label="Inspector"]')
    editor.page.wait_for_selector('[data-panel="inspector"] input')
    assert editor.axe() == []
    editor.no_complaints()


def test_high_contrast_german_and_large_at_once(new_editor: Callable[..., Editor]) -> None:
    editor = painted(new_editor("desktop", "dark"))
    editor.page.keyboard.press("Control+,")
    dialog = editor.page.locator("dialog")
    dialog.get_by_label("Contrast").select_option("more")
    dialog.get_by_label("Size of texts and controls").fill("1.4")
    dialog.get_by_label("Language").select_option("de")
    editor.wait("document.documentElement.lang === 'de'")
    editor.page.get_by_role("dialog").get_by_role("button").first.click()
    editor.wait("!document.querySelector('dialog')")
    assert editor.page.locator("button.run").inner_text() == "Ausführen"
    assert editor.nodes["prompt"]["inputs"]["text"] == "a red apple"
    editor.fit()
    editor.shot("editor-german-contrast")
    assert editor.axe() == []
    editor.page.reload()
    editor.wait("window.nodegraph?.ready === true")
    assert editor.page.evaluate("[document.documentElement.lang, document.documentElement.dataset.contrast]") == ["de", "more"]
    editor.no_complaints()


def test_a_phone_shows_the_form_first_and_nothing_scrolls_sideways(new_editor: Callable[..., Editor]) -> None:
    editor = painted(new_editor("phone", "light"))
    assert editor.page.evaluate("nodegraph.view.value") == "form"
    assert editor.page.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0
    editor.shot("editor-phone")
    assert editor.axe() == []
    editor.no_complaints()


def test_commands_are_found_by_name_and_run(editor: Editor) -> None:
    editor.page.locator(".canvas").focus()
    editor.page.keyboard.press("Control+k")
    editor.page.wait_for_selector(".command-palette li")
    assert editor.axe("dialog") == []
    editor.page.keyboard.type("select all")
    editor.page.keyboard.press("Enter")
    editor.wait("nodegraph.tabs.current.value.selection.value.size === 10")
    editor.page.keyboard.press("?")
    editor.page.wait_for_selector(".key-help kbd")
    assert editor.axe("dialog") == []
    listed = editor.page.locator(".key-help").inner_text()
    assert "Select all" in listed
    editor.page.keyboard.press("Escape")
    editor.wait("!document.querySelector('dialog')")
    assert editor.page.evaluate("document.activeElement.classList.contains('canvas')")

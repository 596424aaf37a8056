"""The canvas: what is built, what moves, what a gesture changes."""

from __future__ import annotations

import pytest

from web.browser import Editor

pytestmark = pytest.mark.slow


def test_dragging_a_node_changes_the_document_once(editor: Editor) -> None:
    x, y = editor.place("decode")
    start = editor.middle('[data-node="decode"] .node-head')
    editor.drag(start, (start[0] + 30, start[1] + 90))
    after = editor.place("decode")
    assert after[0] > x
    assert after[1] > y
    assert editor.page.evaluate("nodegraph.tabs.current.value.store.history.value.undo.length") == 1
    editor.command("edit.undo")
    assert editor.place("decode") == [x, y]


def test_a_link_that_does_not_fit_is_refused_with_the_reason(editor: Editor) -> None:
    before = editor.json
    editor.wire("decode.image", "guidance.positive")
    assert editor.page.locator(".toast.error").inner_text().startswith("Image does not fit into Positive")
    assert editor.json == before

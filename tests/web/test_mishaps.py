"""What must not go wrong: documents that nobody meant, two windows with one document, haste."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from web.browser import Editor, module

pytestmark = pytest.mark.slow

TWO: dict[str, Any] = {
    "nodegraph": 1,
    "id": "two",
    "title": "Two",
    "nodes": {
        "one": {"type": "core/integer", "version": 1, "inputs": {"value": 1}},
        "sum": {"type": "core/calculate", "version": 1, "inputs": {"b": 2}, "links": {"a": "one.value"}},
    },
    "layout": {"nodes": {"one": [0, 0], "sum": [300, 0]}},
}
TAB = "nodegraph.tabs.current.value"
HISTORY = f"{TAB}.store.history.value.undo.map((entry) => entry.label)"
HOSTILE: dict[str, dict[str, Any]] = {
    "names that every object has": {
        "nodes": {
            "constructor": {"type": "core/integer"},
            "__proto__": {"type": "core/integer"},
            "a": {"type": "toString", "links": {"x": "valueOf.x", "constructor": "constructor.value", "__proto__": "gone.x"}},
            "b": {"type": "subgraph/hasOwnProperty", "links": {"x": "toString.x"}},
            "c": {"type": "core/map", "inputs": {"body": "constructor"}},
        },
        "interface": {
            "inputs": {"__proto__": {"to": ["toString.x"]}, "constructor": {"to": []}},
            "outputs": {"valueOf": "constructor.x"},
        },
    },
    "circles": {
        "nodes": {
            "a": {"type": "core/calculate", "links": {"a": "b.value", "b": "a.value"}},
            "b": {"type": "core/calculate", "links": {"a": "a.value"}},
            "s": {"type": "subgraph/s"},
        },
        "subgraphs": {
            "s": {
                "nodes": {"s": {"type": "subgraph/s"}},
                "interface": {"inputs": {"x": {"to": ["s.x"]}}, "outputs": {"y": "s.y"}},
            }
        },
    },
    "a layout of other things": {
        "nodes": {"a": {"type": "core/integer"}, "b": {"type": "core/calculate", "links": {"a": "a.value"}}},
        "layout": {
            "nodes": {"a": ["x", None], "b": [1e300, 0]},
            "widths": {"a": "wide", "b": -5},
            "titles": {"a": {"x": 1}},
            "collapsed": {"a": 1},
            "frames": [None, {"id": 7, "title": {"a": 1}, "color": "url(javascript:0)"}],
            "notes": [{"text": 5}, {"id": "n", "text": ["x"], "x": 0, "y": 0, "width": 10, "height": 10}],
            "reroutes": {"a.value>b.a": [["x", 1], None]},
            "seeds": 5,
        },
    },
    "lists for records": {
        "nodes": {"a": {"type": "core/integer"}},
        "layout": {
            "nodes": [],
            "widths": [1],
            "titles": "t",
            "collapsed": "all",
            "frames": "f",
            "notes": {"a": 1},
            "reroutes": 1,
            "seeds": [1],
        },
    },
    "values of other types": {
        "title": "<img src=x onerror=alert(1)>",
        "nodes": {
            "a": {"type": "core/integer", "inputs": {"value": "many"}},
            "b": {"type": "core/text", "inputs": {"value": [1, {"a": 2}]}},
            "c": {"type": "image/load_image", "inputs": {"path": {"x": 1}}},
            "d": {"type": "diffusion/denoise", "inputs": {"sampler": {"a": 1}, "steps": None}},
        },
    },
}


def edit(editor: Editor, **parts: Any) -> None:
    editor.page.evaluate("(parts) => nodegraph.tabs.edit('Edit', (graph) => ({ ...graph, ...parts }))", parts)


def wait_kept(editor: Editor) -> None:
    editor.wait(f"{TAB}.kept.value === 'kept'")


def drafts(editor: Editor) -> set[str]:
    return set(editor.page.evaluate("nodegraph.api.get('/api/drafts').then(({ drafts }) => drafts.map((draft) => draft.id))"))


@pytest.mark.parametrize("name", HOSTILE)
def test_a_document_that_nobody_meant_is_shown_and_can_be_mended(editor: Editor, name: str) -> None:
    document = {"nodegraph": 1, **HOSTILE[name]}
    editor.page.evaluate(
        "(text) => nodegraph.open(JSON.parse(text))", json.dumps(document)
    )  # as a file: __proto__ is a name there
    editor.fit()
    before = editor.page.evaluate(f"JSON.stringify({TAB}.store.json.value)")
    assert json.loads(before) == document
    for command in ["select.all", "edit.duplicate", "edit.undo", "edit.arrange", "edit.undo"]:
        editor.command(command)
        editor.frame()
    assert editor.page.evaluate(f"JSON.stringify({TAB}.store.json.value)") == before
    assert editor.page.locator("[data-node]").count() >= 1
    for view in ["form", "graph"]:
        editor.page.evaluate("(view) => void (nodegraph.view.value = view)", view)
        editor.frame()
    editor.command("select.all")
    editor.command("edit.delete")
    assert editor.page.evaluate(f"Object.keys({TAB}.store.json.value.nodes).length") == 0
    editor.no_complaints()


def test_what_is_pasted_and_is_no_graph_is_refused(editor: Editor) -> None:
    given = [
        {"clipping": {}, "nodes": {"a": {}}},
        {"clipping": {}, "nodes": {"a": None}},
        {"nodes": {"a": {"type": "core/integer", "links": {"value": 5}}}},
        {"nodes": {}, "subgraphs": {"s": 5}},
        {"nodes": {}, "subgraphs": {"s": {"interface": {"inputs": {"x": {}}}}}},
    ]
    texts = [json.dumps({"nodegraph": 1, **one}) for one in given]
    look = "async ([where, texts]) => texts.map((await import(where)).readText)"
    found = editor.page.evaluate(look, [module("model/clipboard.js"), texts])
    assert [one["kind"] for one in found] == [""] * len(texts)


def test_a_window_that_was_duplicated_has_drafts_of_its_own(editor: Editor) -> None:
    editor.open(TWO)
    edit(editor, description="mine")
    wait_kept(editor)
    key = editor.page.evaluate(f"{TAB}.key")
    with editor.page.context.expect_page() as opened:
        editor.page.evaluate("void open(location.href)")
    other = Editor(opened.value, editor.server)
    other.wait("window.nodegraph?.ready === true")
    edit(other, description="theirs")
    wait_kept(other)
    assert other.page.evaluate(f"{TAB}.key") != key
    other.command("document.close")
    other.page.get_by_role("button", name="Discard").click()
    other.wait("!nodegraph.tabs.all.value.some((tab) => tab.title.value === 'Two')")
    assert key in drafts(editor)
    editor.start()
    assert editor.json["description"] == "mine"
    other.no_complaints()


def test_work_without_nodes_is_asked_about_before_its_tab_closes(editor: Editor) -> None:
    editor.open({"nodegraph": 1, "title": "Notes only", "nodes": {}})
    note = {"id": "n", "text": "All I know", "x": 0, "y": 0, "width": 200, "height": 100}
    edit(editor, layout={"notes": [note]})
    editor.command("document.close")
    editor.page.get_by_role("button", name="Discard").wait_for()
    editor.page.keyboard.press("Escape")
    assert editor.json["layout"]["notes"] == [note]


def test_work_that_is_thrown_away_while_its_draft_is_on_its_way_stays_away(editor: Editor) -> None:
    editor.open(TWO)
    key = editor.page.evaluate(f"{TAB}.key")
    edit(editor, description="x" * 100_000)
    editor.page.evaluate("window.dispatchEvent(new Event('blur'))")  # the draft leaves at once
    editor.command("document.close")
    editor.page.get_by_role("button", name="Discard").click()
    editor.wait("(key) => !nodegraph.tabs.all.value.some((tab) => tab.key === key)", key)
    editor.wait("(key) => performance.getEntriesByType('resource').filter((one) => one.name.endsWith(key)).length >= 2", key)
    assert key not in drafts(editor)


def test_typing_goes_on_in_a_step_of_its_own_after_a_save_and_in_another_graph(editor: Editor) -> None:
    steps = editor.page.evaluate(
        """async (where) => {
          const { createStore } = await import(where);
          const store = createStore({ nodegraph: 1 });
          const type = (title, merge, scope = "") => store.change("type", (json) => ({ ...json, title }), { merge, scope });
          const counts = [];
          for (const [title, merge, scope] of [["a", "x"], ["ab", "x"], ["abc", "y"], ["abcd", "y", "inner"]]) {
            type(title, merge, scope);
            counts.push(store.history.value.undo.length);
          }
          store.saved.value = store.json.value;
          type("abcde", "y", "inner");
          return [...counts, store.history.value.undo.length, store.undo() && store.dirty.value];
        }""",
        module("model/store.js"),
    )
    assert steps == [1, 1, 2, 3, 4, False]


def test_saving_twice_in_haste_is_saving_once_after_the_other(editor: Editor) -> None:
    editor.open(TWO)
    editor.page.keyboard.press("Control+s")
    editor.page.locator("dialog input").fill("Haste")
    editor.page.keyboard.press("Enter")
    editor.wait(f"{TAB}.file.value !== null")
    edit(editor, description="more")
    editor.page.evaluate("nodegraph.commands.run('document.save'); nodegraph.commands.run('document.save')")
    editor.wait(f"!{TAB}.store.dirty.value")
    kept = editor.page.evaluate(f"nodegraph.api.get('/api/workflows/' + {TAB}.file.value.id)")
    assert kept["workflow"]["description"] == "more"
    assert editor.page.evaluate(HISTORY) == ["Rename", "Edit"]  # and no merge with what was saved a moment ago


def test_a_title_goes_to_the_document_where_it_was_begun(editor: Editor) -> None:
    editor.open({**TWO, "title": "First"})
    editor.open({**TWO, "title": "Second"})
    editor.page.evaluate(f"{TAB}.selection.value = new Set(['one']); nodegraph.canvas.host.focus()")
    editor.page.keyboard.press("F2")
    editor.page.keyboard.type("Named")
    editor.page.keyboard.press("Control+Alt+PageUp")
    editor.wait(f"{TAB}.title.value === 'First'")
    editor.page.evaluate("nodegraph.canvas.host.focus()")
    titles = "nodegraph.tabs.all.value.slice(-2).map((tab) => tab.store.json.value.layout.titles?.one ?? '')"
    assert editor.wait(f"{titles}[1] && {titles}") == ["", "Named"]


def test_a_sum_is_typed_to_its_end(editor: Editor) -> None:
    editor.open(TWO)
    field = editor.page.locator("#node-one\\.value")
    field.click()
    field.press("Control+a")
    editor.page.keyboard.type("512*25")  # on the way it reads as 512, 1024 and 12800
    assert field.input_value() == "512*25"
    assert editor.nodes["one"]["inputs"]["value"] == 12800
    field.press("Enter")
    editor.wait("document.activeElement.value === '12800'")
    assert editor.page.evaluate(f"{HISTORY}.length") == 1


def test_what_is_refused_leaves_the_value_as_it_was(editor: Editor) -> None:
    editor.open("text_to_image")
    steps = editor.page.locator("#node-denoise\\.steps")
    for leave, shown in [("Enter", "5000"), ("Escape", "20")]:
        steps.click()
        steps.press("Control+a")
        editor.page.keyboard.type("5000")  # on the way it reads as 5, 50 and 500
        steps.press(leave)
        editor.wait(f"document.activeElement.value === '{shown}'")
        assert editor.nodes["denoise"]["inputs"]["steps"] == 20


def test_a_page_over_plain_http_from_another_device_works_without_what_browsers_withhold_there(
    new_editor: Callable[..., Editor],
) -> None:
    editor = new_editor()
    editor.page.add_init_script(
        "delete Crypto.prototype.randomUUID; Object.defineProperty(Navigator.prototype, 'clipboard', { value: undefined });"
    )
    editor.start()
    editor.command("document.new")
    editor.open("text_to_image")
    editor.page.evaluate("nodegraph.view.value = 'form'")
    editor.page.get_by_role("button", name="Copy link").click()
    assert editor.page.locator("dialog input").input_value().endswith("/?form=text_to_image")
    editor.page.keyboard.press("Escape")
    editor.no_complaints()

"""Documents: tabs, drafts, saving, copying, arranging, history, the start."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from server.harness import ServerProcess

from web.browser import Editor, module

pytestmark = pytest.mark.slow

NUMBERS: dict[str, Any] = {
    "nodegraph": 1,
    "id": "numbers",
    "title": "Numbers",
    "nodes": {
        "one": {"type": "core/integer", "version": 1, "inputs": {"value": 1}},
        "two": {"type": "core/calculate", "version": 1, "inputs": {"operation": "add", "b": 2}, "links": {"a": "one.value"}},
        "three": {"type": "core/calculate", "version": 1, "inputs": {"operation": "add", "b": 3}, "links": {"a": "two.value"}},
    },
    "layout": {
        "nodes": {"one": [0, 0], "two": [300, 0], "three": [600, 0]},
        "titles": {"two": "Add two"},
        "seeds": {"two.b": "keep"},
    },
}
KEPT = "nodegraph.tabs.current.value.kept.value === 'kept'"
TITLES = "nodegraph.tabs.all.value.map((tab) => tab.title.value)"


def change(editor: Editor, node: str, value: float, input_: str = "b") -> None:
    """Type a value, as one undo step."""
    editor.page.evaluate(
        """([node, input, value]) => {
          const set = (entry) => ({ ...entry, inputs: { ...entry.inputs, [input]: value } });
          const recipe = (graph) => ({ ...graph, nodes: { ...graph.nodes, [node]: set(graph.nodes[node]) } });
          nodegraph.tabs.edit(`Set ${input}`, recipe);
        }""",
        [node, input_, value],
    )


def select(editor: Editor, *ids: str) -> None:
    editor.page.evaluate("(ids) => void (nodegraph.tabs.current.value.selection.value = new Set(ids))", list(ids))


def selection(editor: Editor) -> set[str]:
    return set(editor.page.evaluate("[...nodegraph.tabs.current.value.selection.value]"))


def test_fifty_steps_are_undone_exactly(editor: Editor) -> None:
    editor.open(NUMBERS)
    states = [editor.json]
    for step in range(50):
        change(editor, ["two", "three"][step % 2], step + 10)
        states.append(editor.json)
    for state in reversed(states[:-1]):
        editor.command("edit.undo")
        assert editor.json == state
    for state in states[1:]:
        editor.command("edit.redo")
        assert editor.json == state
    assert selection(editor) == {"three"}


def test_the_first_start_shows_what_comes_with_nodegraph(
    new_editor: Callable[..., Editor], new_server: Callable[..., ServerProcess]
) -> None:
    with new_server() as server:
        for size, scheme in (("desktop", "light"), ("phone", "dark")):
            editor = new_editor(size, scheme, on=server).start()
            card = editor.page.locator(".card", has_text="Text to image")
            card.wait_for()
            editor.wait("document.querySelectorAll('.workflows .graph-picture rect').length > 20")
            editor.shot(f"start-{size}-{scheme}")
            assert editor.axe() == []
            card.click()
            editor.wait("nodegraph.tabs.current.value?.title.value === 'Text to image'")
            assert editor.page.locator(".start-page").count() == 0
            editor.no_complaints()


def test_a_workflow_is_named_at_its_first_save_and_keeps_its_name(editor: Editor) -> None:
    editor.open({**NUMBERS, "title": ""})
    editor.page.keyboard.press("Control+s")
    editor.page.locator("dialog input").fill("My numbers")
    editor.page.keyboard.press("Enter")
    editor.wait("nodegraph.tabs.current.value.file.value?.id.toLowerCase() === 'my_numbers'")
    assert editor.json["title"] == "My numbers"
    change(editor, "two", 7)
    assert editor.page.evaluate("nodegraph.tabs.current.value.store.dirty.value")
    editor.page.keyboard.press("Control+s")
    editor.wait("!nodegraph.tabs.current.value.store.dirty.value")
    assert editor.page.locator("dialog").count() == 0


def test_tabs_are_used_by_keyboard(editor: Editor) -> None:
    editor.open(NUMBERS)
    editor.command("document.new")
    titles = editor.page.evaluate(TITLES)
    assert titles[-2:] == ["Numbers", "Untitled"]
    editor.page.locator("[role=tab][aria-selected=true]").focus()
    editor.page.keyboard.press("ArrowLeft")
    editor.wait("document.activeElement.textContent.includes('Numbers') && document.activeElement.ariaSelected === 'true'")
    editor.page.keyboard.press("Alt+ArrowRight")
    assert editor.page.evaluate(TITLES)[-2:] == ["Untitled", "Numbers"]
    editor.wait("document.activeElement.textContent.includes('Numbers')")
    editor.page.keyboard.press("F2")
    editor.page.locator(".tab-field").fill("Sums")
    editor.page.keyboard.press("Enter")
    editor.wait("nodegraph.tabs.current.value.title.value === 'Sums'")
    editor.page.locator("[role=tab][aria-selected=true]").focus()
    editor.page.keyboard.press("Delete")
    editor.page.get_by_role("button", name="Discard").wait_for()
    assert editor.axe("dialog") == []
    editor.page.get_by_role("button", name="Discard").click()
    editor.wait("!nodegraph.tabs.all.value.some((tab) => tab.title.value === 'Sums')")


def test_a_browser_that_is_killed_loses_nothing(
    new_editor: Callable[..., Editor], new_server: Callable[..., ServerProcess]
) -> None:
    with new_server() as server:
        editor = new_editor(on=server).start()
        editor.open(NUMBERS)
        change(editor, "three", 33)
        editor.wait(KEPT)
        work = editor.json
        with pytest.raises(Exception, match="crash"):
            editor.page.goto("chrome://crash")
        other = new_editor(on=server).start()
        other.page.get_by_text("One unsaved draft").wait_for()
        other.page.get_by_role("button", name="Restore").click()
        other.wait("nodegraph.tabs.current.value?.title.value === 'Numbers'")
        assert other.json == work
        assert other.page.evaluate("nodegraph.tabs.current.value.store.dirty.value") or other.page.evaluate(KEPT)
        other.no_complaints()


def test_a_window_has_its_tabs_again_after_loading(editor: Editor) -> None:
    editor.open(NUMBERS)
    change(editor, "two", 9)
    editor.wait(KEPT)
    select(editor, "three")
    editor.page.evaluate("nodegraph.tabs.current.value.camera.value = {x: 12, y: 34, zoom: 0.5}")
    titles, work = editor.page.evaluate(TITLES), editor.json
    editor.start()
    assert editor.page.evaluate(TITLES) == titles
    assert editor.json == work
    assert editor.page.evaluate("nodegraph.tabs.current.value.camera.value") == {"x": 12, "y": 34, "zoom": 0.5}
    assert selection(editor) == {"three"}


def test_work_waits_in_the_browser_while_the_server_is_away(
    new_editor: Callable[..., Editor], new_server: Callable[..., ServerProcess]
) -> None:
    with new_server() as server:
        editor = new_editor(on=server).start()
        editor.open(NUMBERS)
        editor.page.context.set_offline(True)
        change(editor, "two", 21)
        editor.page.locator(".keeping.lost").wait_for()
        work = editor.json
        editor.page.context.set_offline(False)
        editor.start()
        editor.wait(KEPT)
        assert editor.json == work


def test_nodes_are_pasted_into_another_window_with_what_is_between_them(
    editor: Editor, new_editor: Callable[..., Editor]
) -> None:
    editor.open(NUMBERS)
    select(editor, "two", "three")
    editor.page.locator(".canvas").focus()
    editor.page.keyboard.press("Control+c")
    editor.page.keyboard.press("Control+v")
    editor.wait("Object.keys(nodegraph.tabs.current.value.store.json.value.nodes).length === 5")
    assert selection(editor) == {"two_2", "three_2"}
    nodes = editor.nodes
    assert nodes["three_2"] == {**NUMBERS["nodes"]["three"], "links": {"a": "two_2.value"}}
    assert "links" not in nodes["two_2"]
    assert editor.json["layout"]["titles"] == {"two": "Add two", "two_2": "Add two"}
    editor.page.keyboard.press("Shift+Control+v")
    editor.wait("Object.keys(nodegraph.tabs.current.value.store.json.value.nodes).length === 7")
    assert editor.nodes["two_3"]["links"] == {"a": "one.value"}
    other = Editor(editor.page.context.new_page(), editor.server).start()
    other.open({"nodegraph": 1, "id": "other", "nodes": {}})
    other.page.locator(".canvas").focus()
    other.page.keyboard.press("Control+v")
    other.wait("Object.keys(nodegraph.tabs.current.value.store.json.value.nodes).length === 2")
    assert other.nodes["three"]["links"] == {"a": "two.value"}
    other.command("edit.undo")
    assert other.nodes == {}
    other.no_complaints()


def test_a_whole_workflow_is_inserted_or_opened(editor: Editor) -> None:
    editor.open({"nodegraph": 1, "id": "other", "nodes": {}})
    paste = """(text) => {
      const clipboardData = new DataTransfer();
      clipboardData.setData("text/plain", text);
      const event = new ClipboardEvent("paste", { clipboardData, bubbles: true, cancelable: true });
      document.querySelector(".canvas").dispatchEvent(event);
    }"""
    editor.page.evaluate(paste, json.dumps(NUMBERS))
    editor.page.get_by_role("button", name="Insert here").click()
    editor.wait("Object.keys(nodegraph.tabs.current.value.store.json.value.nodes).length === 3")
    editor.page.evaluate(paste, json.dumps(NUMBERS))
    editor.page.get_by_role("button", name="Open in a tab").click()
    editor.wait("nodegraph.tabs.current.value.title.value === 'Numbers'")


def test_what_is_copied_and_pasted_says_the_same_for_every_selection(editor: Editor) -> None:
    """Pasted into an empty document, a copy is the selection: same nodes, inner links and subgraphs."""
    found = editor.page.evaluate(
        """async (where) => {
          const { copy, paste } = await import(where);
          const text = JSON.stringify;
          const wrong = [];
          for (const id of ["grow", "text_to_image", "three_strengths"]) {
            const json = (await (await fetch(`/api/workflows/${id}`)).json()).workflow;
            const ids = Object.keys(json.nodes);
            for (let round = 0; round < 40; round++) {
              const chosen = new Set(ids.filter((_, index) => (round * 7919 + index * 104729) % 3));
              const empty = { nodegraph: 1, id: "e", nodes: {} };
              const made = paste(empty, "", JSON.parse(JSON.stringify(copy(json, "", chosen))), [0, 0]).json;
              for (const one of chosen) {
                const [was, is] = [json.nodes[one], made.nodes[one]];
                const inside = ([, from]) => [from].flat().every((end) => chosen.has(end.split(".")[0]));
                for (const [input, from] of Object.entries(was.links ?? {}).filter(inside)) {
                  if (text(is.links?.[input]) !== text(from)) wrong.push([id, one, input]);
                }
                if (text(is.inputs) !== text(was.inputs)) wrong.push([id, one]);
              }
              for (const [name, graph] of Object.entries(made.subgraphs ?? {})) {
                if (text(graph) !== text(json.subgraphs[name])) wrong.push([id, name]);
              }
              if (Object.keys(made.nodes).length !== chosen.size) wrong.push([id, round]);
            }
          }
          return wrong;
        }""",
        module("model/clipboard.js"),
    )
    assert found == []


def test_an_arranged_graph_has_no_overlaps_and_reads_from_left_to_right(editor: Editor) -> None:
    found = editor.page.evaluate(
        """async (where) => {
          const { layered } = await import(where);
          let seed = 1;
          const random = () => (seed = (seed * 48271) % 2147483647) / 2147483647;
          const wrong = [];
          let slowest = 0;
          for (let round = 0; round < 60; round++) {
            const count = round === 0 ? 1000 : 1 + Math.floor(random() * 60);
            const size = () => ({ width: 160 + random() * 200, height: 32 + random() * 400 });
            const sizes = new Map(Array.from({ length: count }, (_, index) => [`n${index}`, size()]));
            const links = [];
            for (let index = 1; index < count; index++) {
              const count = Math.floor(random() * 4);
              for (let more = 0; more < count; more++) links.push([`n${Math.floor(random() * index)}`, `n${index}`]);
            }
            const begun = performance.now();
            const places = layered(sizes, links);
            slowest = Math.max(slowest, performance.now() - begun);
            const boxes = [...places].map(([id, [x, y]]) => ({ x, y, ...sizes.get(id) }));
            if (boxes.length !== count) wrong.push("missing");
            boxes.forEach((a, index) => boxes.slice(index + 1).forEach((b) => {
              const beside = a.x >= b.x + b.width || b.x >= a.x + a.width;
              if (!beside && a.y < b.y + b.height && b.y < a.y + a.height) wrong.push("overlap");
            }));
            const right = (id) => places.get(id)[0] + sizes.get(id).width;
            for (const [from, to] of links) if (right(from) >= places.get(to)[0]) wrong.push(`${from} ${to}`);
          }
          return { wrong, slowest };
        }""",
        module("model/layout.js"),
    )
    assert found["wrong"] == []
    assert found["slowest"] < 1000  # 300 ms on a quiet machine


def test_arranging_keeps_a_frame_around_what_lies_in_it(editor: Editor) -> None:
    frame = {"id": "f", "title": "Sums", "x": 280, "y": -50, "width": 600, "height": 400}
    layout = {"nodes": {"one": [900, 0], "two": [300, 0], "three": [310, 10]}, "frames": [frame]}
    editor.open({**NUMBERS, "layout": layout})
    editor.command("edit.arrange")
    editor.wait("nodegraph.tabs.current.value.store.history.value.undo.length === 1")
    after = editor.json["layout"]
    box = after["frames"][0]
    for node in ("two", "three"):
        x, y = after["nodes"][node]
        assert box["x"] < x < box["x"] + box["width"]
        assert box["y"] < y < box["y"] + box["height"]
    assert after["nodes"]["one"][0] < box["x"]
    editor.command("edit.undo")
    assert editor.json["layout"] == layout


def test_revisions_are_compared_and_restored(editor: Editor) -> None:
    editor.open({**NUMBERS, "title": "History of numbers"})
    editor.page.keyboard.press("Control+s")
    editor.page.keyboard.press("Enter")
    editor.wait("nodegraph.tabs.current.value.file.value !== null")
    first = editor.json
    change(editor, "two", 77)
    editor.page.evaluate("nodegraph.commands.run('document.save')")
    editor.wait("!nodegraph.tabs.current.value.store.dirty.value")
    editor.page.evaluate("nodegraph.open.right; document.querySelector('.rail button[aria-label=History]').click()")
    editor.page.locator(".history button", has_text="Look").last.click()
    editor.page.locator(".changes li", has_text="two · b: 2 → 77").wait_for()
    assert editor.page.locator("dialog .graph-picture .changed").count() == 1
    editor.shot("compare")
    assert editor.axe() == []
    editor.page.keyboard.press("Escape")
    editor.page.locator(".history button", has_text="Restore").last.click()
    editor.wait("nodegraph.tabs.current.value.store.json.value.nodes.two.inputs.b === 2")
    assert editor.nodes == first["nodes"]
    editor.shot("history")
    editor.page.locator(".history button", has_text="Set b").click()
    assert editor.nodes["two"]["inputs"]["b"] == 77


def test_files_are_opened_and_another_programs_are_reported(editor: Editor, tmp_path: Path) -> None:
    own = tmp_path / "own.json"
    own.write_text(json.dumps({**NUMBERS, "title": "From a file"}))
    comfyui = tmp_path / "theirs.json"
    comfyui.write_text(
        json.dumps(
            {
                "1": {"class_type": "CheckpointLoaderSimple", "inputs": {"ckpt_name": "x.safetensors"}},
                "2": {"class_type": "Strange", "inputs": {}},
            }
        )
    )
    open_ = "document.open_file"
    with editor.page.expect_file_chooser() as chooser:
        editor.command(open_)
    chooser.value.set_files(own)
    editor.wait("nodegraph.tabs.current.value.title.value === 'From a file'")
    assert editor.page.evaluate("nodegraph.tabs.current.value.store.dirty.value")
    with editor.page.expect_file_chooser() as chooser:
        editor.command(open_)
    chooser.value.set_files(comfyui)
    editor.page.locator("dialog .changes li.removed", has_text="Strange").wait_for()
    editor.shot("import-report")
    assert editor.axe("dialog") == []


def test_the_open_dialog_finds_renames_and_deletes(editor: Editor) -> None:
    editor.page.evaluate(
        "(workflow) => nodegraph.api.post('/api/workflows', {workflow, id: 'to_rename'})", {**NUMBERS, "title": "Rename me"}
    )
    editor.page.keyboard.press("Control+o")
    editor.page.get_by_role("button", name="Duplicate Rename me").click()
    editor.page.get_by_role("button", name="Rename Rename me").nth(1).wait_for()
    editor.page.get_by_role("button", name="Rename Rename me").last.click()
    editor.page.locator("dialog input[type=text]").fill("renamed")
    editor.page.keyboard.press("Enter")
    editor.wait("nodegraph.api.get('/api/workflows/renamed').then(() => true, () => false)")
    editor.page.locator("dialog input[type=search]").fill("rename me")
    editor.wait("document.querySelectorAll('dialog .card').length === 2")
    for left in (1, 0):
        editor.page.get_by_role("button", name="Delete Rename me").first.click()
        editor.page.locator("dialog .actions .main").click()
        editor.wait(f"document.querySelectorAll('dialog .card').length === {left}")
    editor.page.get_by_text("Nothing found.").wait_for()
    assert editor.page.evaluate("nodegraph.api.get('/api/workflows/renamed').then(() => true, (error) => error.status)") == 404
    editor.complaints = [text for text in editor.complaints if "404" not in text]

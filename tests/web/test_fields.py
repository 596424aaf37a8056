"""Fields: what each control takes, refuses and offers, by mouse and by keyboard, on nodes and in the inspector."""

from __future__ import annotations

import json
from typing import Any

import pytest
from server.harness import ServerProcess

from web.browser import Editor, module

pytestmark = pytest.mark.slow

CALLS = """async ([module, name, given]) => {
  const found = await import(module);
  return given.map((one) => { try { return found[name](...one) ?? null } catch (error) { return error.message } });
}"""

SET = """([node, input, value]) => nodegraph.tabs.current.value.store.change("", (json) => {
  const entry = json.nodes[node];
  return { ...json, nodes: { ...json.nodes, [node]: { ...entry, inputs: { ...entry.inputs, [input]: value } } } };
})"""
"""Writes a value into the document as it is, past every control."""

CONTROLS: dict[str, Any] = {
    "nodegraph": 1,
    "id": "controls",
    "title": "Controls",
    "nodes": {
        "grid": {"type": "image/image_grid"},
        "curve": {"type": "image/adjust_curve"},
        "plot": {"type": "core/plot_numbers", "inputs": {"numbers": [1, 2.5]}},
        "table": {"type": "core/show_table"},
        "load": {"type": "image/load_image", "inputs": {"path": "examples/apple.png"}},
        "mask": {"type": "mask/load_mask"},
        "model": {"type": "diffusion/load_model", "inputs": {"model": "elsewhere"}},
        "map": {"type": "core/map", "inputs": {"body": "inner"}},
        "a": {"type": "core/calculate", "inputs": {"a": 1}},
        "b": {"type": "core/calculate", "inputs": {"a": 2}},
    },
    "subgraphs": {"inner": {"nodes": {}}},
}


def calls(editor: Editor, place: str, name: str, *given: list[Any]) -> list[Any]:
    """What a function of a module gives for each row of arguments; its error's words where it throws."""
    return list(editor.page.evaluate(CALLS, [module(place), name, list(given)]))


def inspect(editor: Editor, *ids: str) -> None:
    """Open the inspector on some nodes."""
    look = "(ids) => { const tab = nodegraph.tabs.current.value; tab.selection.value = new Set(ids); }"
    editor.page.evaluate(look, list(ids))
    if not editor.page.locator("[data-panel=inspector]").count():
        editor.page.click(".rail.right button[aria-label=Inspector]")


def field(editor: Editor, place: str) -> Any:
    return editor.page.locator(f'.inspector [data-place="{place}"]')


def press(editor: Editor, place: str, *keys: str) -> None:
    field(editor, place).focus()
    for key in keys:
        editor.page.keyboard.press(key)


def described(editor: Editor, of: Any) -> str:
    """What is said beside a field."""
    return str(editor.page.locator(f'[id="{of.get_attribute("aria-describedby")}"]').inner_text())


def undo_steps(editor: Editor) -> int:
    return int(editor.page.evaluate("nodegraph.tabs.current.value.store.history.value.undo.length"))


def test_sums_are_calculated_and_nothing_else_is(editor: Editor) -> None:
    given = ["512*1.5", "2+3*4", "(2+3)*4", "-4/8", "1,5", "1e3", "2**3", "alert(1)", "1/0", "", "3 4"]
    found = calls(editor, "fields/number.js", "calculated", *[[text] for text in given])
    assert found == [768, 14, 20, -0.5, 1.5, 1000, None, None, None, None, None]


def test_weights_go_up_and_down_by_a_twentieth_and_leave_at_one(editor: Editor) -> None:
    rows = [
        ["a red apple", 3, 3, 1],
        ["a (red:1.05) apple", 5, 5, 1],
        ["a (red:1.05) apple", 5, 5, -1],
        ["a red apple", 2, 11, -1],
        ["a , b", 2, 2, 1],
    ]
    found = calls(editor, "fields/weights.js", "weighted", *rows)
    assert [one and one["text"] for one in found] == [
        "a (red:1.05) apple",
        "a (red:1.1) apple",
        "a red apple",
        "a (red apple:0.95)",
        None,
    ]
    assert (found[0]["from"], found[0]["to"]) == (3, 6)


def test_a_number_takes_sums_and_steps_and_refuses_what_is_out_of_range(editor: Editor) -> None:
    inspect(editor, "noise")
    width = field(editor, "noise.width")
    width.fill("64*1.5")
    press(editor, "noise.width", "Enter")
    assert editor.nodes["noise"]["inputs"]["width"] == 96
    press(editor, "noise.width", "ArrowUp", "Control+ArrowUp")
    assert editor.nodes["noise"]["inputs"]["width"] == 107
    width.fill("3")
    press(editor, "noise.width", "Tab")
    assert editor.nodes["noise"]["inputs"]["width"] == 107
    assert width.get_attribute("aria-invalid") == "true"
    assert described(editor, width) == "8 is the least."
    press(editor, "noise.width", "Escape")
    assert width.input_value() == "107"
    assert width.get_attribute("aria-invalid") is None
    width.fill("")
    press(editor, "noise.width", "Enter")
    assert editor.nodes["noise"]["inputs"]["width"] is None


def test_pulling_at_the_label_of_a_number_on_a_node_is_one_change(editor: Editor) -> None:
    start = editor.middle('[data-node="guidance"] [data-place="guidance.scale"] >> xpath=../label')
    place = editor.place("guidance")
    editor.drag(start, (start[0] + 40, start[1]))
    assert editor.nodes["guidance"]["inputs"]["scale"] == pytest.approx(5)
    assert undo_steps(editor) == 1
    assert editor.place("guidance") == place


def test_a_seed_that_is_to_be_new_is_drawn_into_the_document_before_a_run(editor: Editor) -> None:
    inspect(editor, "noise")
    editor.page.click('.inspector button[aria-label="A new seed for each run"]')
    assert editor.json["layout"]["seeds"] == {"noise.seed": "new"}
    editor.page.evaluate(f"import('{module('fields/seed.js')}').then((seeds) => seeds.drawSeeds(nodegraph.tabs.current.value))")
    seed = editor.nodes["noise"]["inputs"]["seed"]
    assert seed != 7
    assert editor.nodes["begin"]["inputs"]["seed"] == seed  # the interface sets both
    assert undo_steps(editor) == 2
    editor.page.click('.inspector button[aria-label="Draw a seed"]')
    assert editor.nodes["noise"]["inputs"]["seed"] != seed


def test_a_seed_is_taken_from_an_earlier_run(editor: Editor) -> None:
    editor.page.evaluate("nodegraph.tabs.current.value.store.change('', (json) => ({ ...json, id: 'seeds-of-mine' }))")
    inspect(editor, "noise")
    field(editor, "noise.seed").fill("41")
    editor.page.evaluate("nodegraph.view.value = 'form'")
    editor.page.locator('[data-place="steps"]').fill("2")
    editor.page.evaluate("nodegraph.view.value = 'graph'")
    editor.run("succeeded")
    field(editor, "noise.seed").fill("42")
    editor.page.click('.inspector button[aria-label="Options for Seed"]')
    editor.page.click("dialog >> text=Take an earlier seed")
    editor.page.click("dialog .picker li button")
    editor.wait("nodegraph.tabs.current.value.store.json.value.nodes.noise.inputs.seed !== 42")
    assert editor.nodes["noise"]["inputs"]["seed"] in (7, 41)


def test_a_prompt_changes_weights_and_offers_names(editor: Editor) -> None:
    models = {
        "models": [
            {"name": "soft-light", "kind": "lora", "bytes": 1, "folder": "x"},
            {"name": "blurry", "kind": "embedding", "bytes": 1, "folder": "x"},
        ]
    }
    editor.page.route("**/api/models", lambda route: route.fulfill(body=json.dumps(models), content_type="application/json"))
    editor.page.reload()
    editor.wait("window.nodegraph?.ready === true")
    editor.open("text_to_image")
    inspect(editor, "prompt")
    area = field(editor, "prompt.text")
    press(editor, "prompt.text", "End", "Control+ArrowUp", "Control+ArrowUp")
    assert editor.nodes["prompt"]["inputs"]["text"] == "a red (apple:1.1)"
    area.fill("")
    editor.page.keyboard.type("a red sof")
    assert area.get_attribute("role") == "combobox"
    assert area.get_attribute("aria-activedescendant") == editor.page.locator('.offers [aria-selected="true"]').get_attribute(
        "id"
    )
    editor.page.keyboard.press("Enter")
    assert editor.nodes["prompt"]["inputs"]["text"] == "a red <lora:soft-light:1>"
    editor.page.keyboard.type(" embedding:")
    editor.page.keyboard.press("Escape")
    assert not editor.page.locator(".offers").count()
    editor.page.keyboard.press("Enter")
    assert editor.nodes["prompt"]["inputs"]["text"].endswith("embedding:\n")


def test_each_control_writes_what_it_is_given_and_reads_it_back(editor: Editor) -> None:
    editor.open(CONTROLS)
    inspect(editor, "grid")
    field(editor, "grid.background").fill("#12345")
    press(editor, "grid.background", "Tab")
    assert "background" not in editor.nodes["grid"].get("inputs", {})
    field(editor, "grid.background").fill("#12345680")
    assert editor.nodes["grid"]["inputs"]["background"] == "#12345680"

    inspect(editor, "curve")
    field(editor, "curve.curve").focus()
    for key in ("Enter", "ArrowUp"):
        editor.page.keyboard.press(key)
    assert editor.nodes["curve"]["inputs"]["curve"] == [[0, 0.01], [0.5, 0], [1, 1]]
    editor.page.locator(".inspector ellipse").nth(1).focus()
    editor.page.keyboard.press("Delete")
    assert editor.nodes["curve"]["inputs"]["curve"] == [[0, 0.01], [1, 1]]

    inspect(editor, "plot")
    editor.page.locator(".inspector .list-items").first.locator("button:has-text('Add')").click()
    editor.page.click('.inspector button[aria-label="Move Numbers 2 up"]')
    assert editor.nodes["plot"]["inputs"]["numbers"] == [2.5, 1, 2.5]

    inspect(editor, "table")
    field(editor, "table.table").fill('{"columns": ["a"')
    press(editor, "table.table", "Tab")
    assert "table" not in editor.nodes["table"].get("inputs", {})
    assert "This is no JSON" in editor.page.locator(".inspector .field-wrong").inner_text()
    field(editor, "table.table").fill('{"columns": ["a"], "rows": []}')
    assert editor.nodes["table"]["inputs"]["table"] == {"columns": ["a"], "rows": []}

    inspect(editor, "map")
    field(editor, "map.body").select_option("inner")
    inspect(editor, "model")
    assert field(editor, "model.model").inner_text() == "not found: elsewhere"
    field(editor, "model.model").click()
    editor.page.keyboard.type("start")
    editor.page.locator("dialog li button").first.wait_for()
    editor.page.keyboard.press("Enter")
    assert editor.nodes["model"]["inputs"]["model"] == "starter"


def test_an_input_that_reads_several_kinds_of_models_offers_them_all(editor: Editor) -> None:
    editor.open("train_denoiser")
    inspect(editor, "coder")
    assert field(editor, "coder.model").inner_text() == "starter"  # a whole model, whose autoencoder is read
    field(editor, "coder.model").click()
    editor.page.locator("dialog li button").first.wait_for()
    assert [row.split("\n")[0] for row in editor.page.locator("dialog li button").all_inner_texts()] == ["starter"]
    editor.page.keyboard.press("Escape")
    inspect(editor, "model")
    assert field(editor, "model.model").inner_text() == "starter"


def test_a_file_is_chosen_uploaded_and_dropped(editor: Editor, server: ServerProcess) -> None:
    editor.open(CONTROLS)
    inspect(editor, "load")
    assert editor.wait("document.querySelector('.inspector .file-field img')?.naturalWidth") > 0
    field(editor, "load.path").click()
    editor.page.click("dialog li button:has-text('sketch.png')")
    assert editor.nodes["load"]["inputs"]["path"] == "examples/sketch.png"
    picture = editor.page.request.get(f"{server.url}/api/inputs/file?name=examples/apple.png").body()
    given = {"name": "mine.png", "mimeType": "image/png", "buffer": picture}
    editor.page.set_input_files(".inspector input[type=file]", given)
    editor.wait("nodegraph.tabs.current.value.store.json.value.nodes.load.inputs.path.startsWith('uploads/')")
    uploaded = editor.nodes["load"]["inputs"]["path"]
    drop = """async ([selector, url]) => {
      const bytes = await (await fetch(url)).blob();
      const data = new DataTransfer();
      data.items.add(new File([bytes], "dropped.png", { type: "image/png" }));
      const event = new DragEvent("drop", { dataTransfer: data, bubbles: true, cancelable: true });
      document.querySelector(selector).dispatchEvent(event);
    }"""
    editor.page.evaluate(drop, [".inspector .file-field", "/api/inputs/file?name=examples/sketch.png"])
    editor.wait("(was) => ![was].includes(nodegraph.tabs.current.value.store.json.value.nodes.load.inputs.path)", uploaded)
    assert editor.nodes["load"]["inputs"]["path"].startswith("uploads/")


def test_several_nodes_are_set_together_in_one_step(editor: Editor) -> None:
    editor.open(CONTROLS)
    inspect(editor, "a", "b")
    assert field(editor, "a.a").get_attribute("placeholder") == "several values"
    field(editor, "a.a").fill("5")
    assert (editor.nodes["a"]["inputs"]["a"], editor.nodes["b"]["inputs"]["a"]) == (5, 5)
    assert undo_steps(editor) == 1


def test_a_field_is_reset_promoted_and_withdrawn_by_its_menu(editor: Editor) -> None:
    inspect(editor, "guidance")
    field(editor, "guidance.rescale").fill("0.5")
    for choice in ("Show in the form", "Back to the default"):
        editor.page.click('.inspector button[aria-label="Options for Rescale"]')
        editor.page.click(f"dialog >> text={choice}")
    assert editor.json["interface"]["inputs"]["rescale"]["to"] == ["guidance.rescale"]
    assert "rescale" not in editor.nodes["guidance"]["inputs"]
    assert editor.page.locator('[data-node="guidance"] .promoted').count() == 2
    press(editor, "guidance.rescale", "Shift+F10")
    editor.page.click("dialog >> text=Take out of the form")
    assert "rescale" not in editor.json["interface"]["inputs"]


def test_a_problem_is_shown_on_its_field(editor: Editor) -> None:
    inspect(editor, "noise")
    editor.page.evaluate(SET, ["noise", "width", 3])
    editor.wait("document.querySelector('.inspector [data-place=\"noise.width\"]')?.getAttribute('aria-invalid') === 'true'")
    width = field(editor, "noise.width")
    assert "3" in described(editor, width)


def test_the_inspector_edits_the_document_and_its_interface(editor: Editor) -> None:
    inspect(editor)
    editor.page.locator(".interface summary").nth(3).click()
    row = editor.page.locator(".interface > li").nth(3)
    row.get_by_label("Name").fill("how many")
    row.get_by_label("Name").press("Enter")
    row.get_by_label("Most", exact=True).fill("40")
    row.get_by_label("Most", exact=True).press("Enter")
    editor.page.click('.interface button[aria-label="Move Steps up"]')
    names = list(editor.json["interface"]["inputs"])
    assert names[2:4] == ["how_many", "seed"]
    assert editor.json["interface"]["inputs"]["how_many"]["maximum"] == 40
    editor.page.get_by_label("Add an output …").select_option("noise.latent")
    assert editor.json["interface"]["outputs"]["latent"] == "noise.latent"
    editor.shot("inspector-document")
    assert editor.axe(".inspector") == []
    inspect(editor, "noise")
    editor.shot("inspector-node")
    assert editor.axe(".inspector") == []


def test_a_secret_is_kept_and_only_its_name_is_shown(editor: Editor) -> None:
    editor.page.evaluate(
        """async () => {
          const { Secret } = await import("/app/src/fields/names.js");
          const { h, render } = await import("preact");
          const app = nodegraph, tab = app.tabs.current.value;
          const host = document.createElement("div");
          host.id = "secret-here";
          document.body.append(host);
          const change = (value) => (window.secretTaken = value);
          render(h(Secret, { app, tab, value: "", attrs: { "aria-label": "Secret" }, change }), host);
        }"""
    )
    editor.page.locator("#secret-here button").dispatch_event("click")
    editor.page.fill("dialog input[type=text]", "my_key")
    editor.page.fill("dialog input[type=password]", "hush")
    editor.page.click("dialog button.main")
    editor.wait("window.secretTaken === 'MY_KEY'")
    assert "hush" not in editor.page.content()

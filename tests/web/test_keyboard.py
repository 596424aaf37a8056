"""The graph by keyboard alone: building, linking, travelling; and the outline, which does the same without the canvas."""

from __future__ import annotations

import pytest

from web.browser import Editor

pytestmark = pytest.mark.slow

FOCUS = "document.activeElement.ariaLabel"
SAID = "document.querySelector('p.only-read').textContent"


class Keys:
    """What a person does who has no pointer."""

    def __init__(self, editor: Editor) -> None:
        self.editor, self.keyboard = editor, editor.page.keyboard

    def press(self, *keys: str) -> None:
        for key in keys:
            self.keyboard.press(key)

    def choose(self, text: str, opened_by: str) -> None:
        """Open a list with a key, and take the first that a text finds."""
        self.press(opened_by)
        self.choose_here(text)

    def choose_here(self, text: str) -> None:
        self.editor.page.wait_for_selector("dialog[open] [role=combobox]")
        self.keyboard.type(text)
        self.editor.page.wait_for_selector("[role=option]")
        title = self.editor.page.locator("[role=combobox]").get_attribute("aria-label")
        self.press("Enter")
        self.editor.wait("(title) => document.querySelector('[role=combobox]')?.ariaLabel !== title", title)

    def connect(self, socket: str, to: str) -> None:
        """Link a socket of the node with the focus to what the list has first for a text: a socket, or a new node."""
        self.choose(socket, "c")
        self.choose_here(to)

    def go_in(self, title: str) -> None:
        """From a node into its field of that title."""
        self.press("Enter")
        for _ in range(20):
            if self.editor.page.evaluate("document.activeElement.labels?.[0]?.innerText.trim()") == title:
                return
            self.press("Tab")
        raise AssertionError(f"no field {title}")

    def write(self, title: str, text: str) -> None:
        """Write into a field of the node with the focus, and come back out."""
        self.go_in(title)
        self.press("Control+a")
        self.keyboard.type(text)
        self.press("Enter", "Escape")

    def choose_model(self, name: str) -> None:
        self.go_in("Model")
        self.press("Enter")
        self.editor.page.wait_for_selector("dialog[open] li")
        self.keyboard.type(name)
        self.press("Enter")
        self.editor.page.wait_for_selector("dialog", state="detached")
        self.press("Escape")


def test_text_to_image_is_built_from_nothing_by_keyboard_alone_and_runs(editor: Editor) -> None:
    keys = Keys(editor)
    editor.page.evaluate("nodegraph.commands.run('document.new')")
    editor.wait("Object.keys(nodegraph.tabs.current.value.graph.value.nodes ?? {}).length === 0")
    editor.page.locator(".canvas").focus()
    keys.choose("load model", "Tab")
    keys.choose_model("starter")
    assert editor.page.evaluate(FOCUS).startswith("Load model, load_model, 0 inputs linked")
    keys.connect("output text_encoder", "encode prompt")
    keys.press("Enter")
    keys.keyboard.type("a red apple")
    keys.press("Escape")
    assert editor.page.evaluate(FOCUS).startswith("Encode prompt, encode_prompt, one input linked")
    keys.connect("output conditioning", "guidance")
    keys.connect("input negative", "+ encode prompt")
    assert editor.page.evaluate(FOCUS).startswith("Encode prompt, encode_prompt_2")
    keys.connect("input encoder", "load model")
    keys.press("Control+ArrowRight")
    assert editor.page.evaluate(FOCUS).startswith("Guidance, guidance, 2 inputs linked")
    keys.connect("output guidance", "denoise")
    keys.write("Steps", "4")
    keys.connect("input denoiser", "load model")
    keys.connect("input schedule", "noise schedule")
    keys.write("Steps", "4")
    keys.connect("input denoiser", "load model")
    keys.connect("output schedule", "begin denoise")
    keys.connect("output denoise", "denoise: state")
    keys.connect("input noise", "sample noise")
    keys.connect("input denoiser", "load model")
    keys.press("]", "]")
    assert editor.page.evaluate(FOCUS).startswith("Denoise, denoise")
    keys.connect("output latent", "decode")
    keys.connect("input autoencoder", "load model")
    keys.connect("output image", "save image")
    assert editor.nodes["save_image"]["links"] == {"image": "decode.image"}
    assert [editor.nodes[node]["inputs"]["steps"] for node in ("denoise", "noise_schedule")] == [4, 4]
    editor.shot("built-by-keyboard")
    keys.press("Control+Enter")
    assert editor.wait_for_job()["state"] == "succeeded", editor.job()


def test_arrows_travel_and_the_document_is_not_touched(editor: Editor) -> None:
    keys = Keys(editor)
    editor.page.locator(".canvas").focus()
    keys.press("Home")
    assert editor.page.evaluate(FOCUS).startswith("Load model, model")
    keys.press("ArrowRight", "ArrowRight", "End")
    assert editor.page.evaluate(FOCUS).startswith("Save image, save, one input linked")
    keys.press("[")
    assert editor.page.evaluate(FOCUS).startswith("Decode, decode, 2 inputs linked")
    keys.press("]")
    assert editor.page.evaluate(FOCUS).startswith("Save image")
    keys.press("ArrowRight")
    assert editor.page.evaluate(SAID).strip() == "No further node there"
    keys.press("Shift+ArrowLeft")
    assert editor.page.evaluate("[...nodegraph.tabs.current.value.selection.value]") == ["save", "decode"]
    assert editor.page.evaluate("nodegraph.tabs.current.value.store.history.value.undo.length") == 0


def test_a_node_far_out_of_view_is_built_to_have_the_focus(editor: Editor) -> None:
    editor.page.evaluate("nodegraph.tabs.current.value.camera.value = {x: 90000, y: 90000, zoom: 1}")
    editor.page.locator(".canvas").focus()
    editor.page.keyboard.press("End")
    assert editor.page.evaluate("document.activeElement.dataset.node") == "save"


def test_alt_and_arrows_move_the_selection_in_one_step(editor: Editor) -> None:
    x, y = editor.place("decode")
    editor.page.locator('[data-node="decode"]').focus()
    for _ in range(3):
        editor.page.keyboard.press("Alt+ArrowDown")
    assert editor.place("decode") == [x, y + 48]
    assert editor.page.evaluate("nodegraph.tabs.current.value.store.history.value.undo.length") == 1


def test_links_are_taken_out_and_nodes_switched_off_by_keyboard(editor: Editor) -> None:
    keys = Keys(editor)
    editor.page.locator('[data-node="save"]').focus()
    keys.connect("input image", "disconnect")
    assert "links" not in editor.nodes["save"]
    assert editor.page.evaluate("document.activeElement.dataset.node") == "save"
    keys.connect("input image", "decode")
    assert editor.nodes["save"]["links"] == {"image": "decode.image"}
    editor.page.locator('[data-node="decode"]').focus()
    keys.press("m")
    assert editor.nodes["decode"]["disabled"] is True
    assert "then also off: save" in editor.page.evaluate(SAID)
    keys.press("Shift+ArrowRight", "ArrowLeft")
    assert ", off," in (editor.page.locator('.canvas [data-node="decode"]').get_attribute("aria-label") or "")


def test_f6_goes_round_the_parts_of_the_page(editor: Editor) -> None:
    editor.command("outline.open")
    seen = set()
    for _ in range(6):
        editor.page.keyboard.press("F6")
        seen.add(editor.page.evaluate("document.activeElement.closest('.bar, .rail, aside, #main')?.className ?? ''"))
    assert len(seen) >= 4


def test_the_outline_names_and_changes_everything(editor: Editor) -> None:
    keys, page = Keys(editor), editor.page
    page.locator(".canvas").focus()
    keys.press("Alt+o")
    editor.wait("document.activeElement.role === 'treeitem'")
    names = page.locator('.outline [aria-level="1"]').evaluate_all("(all) => all.map((one) => one.ariaLabel)")
    assert names[0].startswith("Load model, model")
    assert names[-1].startswith("Save image, save, one input linked")
    keys.press("End", "ArrowRight")
    page.wait_for_selector('.outline [data-of="save"]')
    rows = page.locator('.outline [data-of="save"]').evaluate_all("(all) => all.map((one) => one.ariaLabel)")
    assert rows[0] == "Input Image, Image, from decode.image"
    assert "Output file" in rows[-1]
    assert editor.axe(".outline") == []
    editor.shot("outline")
    keys.press("ArrowRight", "Delete")
    assert "links" not in editor.nodes["save"]
    assert page.evaluate(FOCUS) == "Input Image, Image, required, not linked"
    keys.press("c")
    keys.choose_here("decode")
    assert editor.nodes["save"]["links"] == {"image": "decode.image"}
    keys.press("ArrowDown", "Enter")
    keys.keyboard.type("x")
    editor.wait("String(nodegraph.tabs.current.value.graph.value.nodes.save.inputs.name).includes('x')")
    keys.press("Escape")
    assert page.evaluate("document.activeElement.dataset.socket") == "name"
    keys.press("ArrowLeft", "m")
    assert editor.nodes["save"]["disabled"] is True
    keys.press("Delete")
    assert "save" not in editor.nodes
    page.fill(".outline input[type=search]", "prompt")
    assert page.locator('.outline [aria-level="1"]').count() == 2


def test_the_outline_is_used_at_phone_width(new_editor: object) -> None:
    made: Editor = new_editor("phone", "dark").start()  # type: ignore[operator]
    made.page.evaluate("nodegraph.open('text_to_image')")
    made.page.evaluate("void nodegraph.commands.run('outline.open')")
    made.page.locator('.outline [data-node="guidance"]').tap()
    made.page.wait_for_selector('.outline [data-of="guidance"]')
    assert made.page.locator(".outline").bounding_box()["width"] <= 390
    made.shot("outline-phone")
    made.page.locator('.outline [data-of="guidance"][data-socket="positive"] button').tap()
    made.page.wait_for_selector(".pick")
    assert made.axe("dialog[open]") == []
    made.shot("connect-phone")
    made.no_complaints()

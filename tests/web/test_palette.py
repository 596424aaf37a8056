"""Finding and adding nodes: the palette, the ranking behind it, the panel of nodes, help."""

from __future__ import annotations

import pytest

from web.browser import Editor, module

pytestmark = pytest.mark.slow

SPEC = {"inputs": [], "outputs": [], "description": "", "category": "c", "deprecated": "", "version": 1}
TYPES = [
    {**SPEC, "id": "p/denoise", "title": "Denoise"},
    {**SPEC, "id": "p/encode_prompt", "title": "Encode prompt", "description": "Turns a prompt into conditioning."},
    {**SPEC, "id": "p/blur", "title": "Blur", "category": "image/filter"},
    {**SPEC, "id": "p/sharpen", "title": "Sharpen", "description": "The opposite of blur."},
    {**SPEC, "id": "p/motion_blur", "title": "Motion blur"},
    {**SPEC, "id": "p/old_blur", "title": "Blur (old)", "deprecated": "Use Blur."},
    {**SPEC, "id": "q/begin", "title": "Begin denoise", "category": "diffusion/denoise"},
]
RANK = """async ([where, specs, text, recent]) => {
  const { ranked } = await import(where);
  return ranked(specs, text, recent).map((one) => one.id);
}"""

FOUND = [
    ("dn", "p/denoise"),
    ("ep", "p/encode_prompt"),
    ("blur", "p/blur"),
    ("mot bl", "p/motion_blur"),
    ("conditioning", "p/encode_prompt"),
    ("filter", "p/blur"),
    ("q/", "q/begin"),
]


@pytest.mark.parametrize(("text", "first"), FOUND)
def test_a_text_finds_the_type_that_is_meant(editor: Editor, text: str, first: str) -> None:
    assert editor.page.evaluate(RANK, [module("model/search.js"), TYPES, text, []])[0] == first


def test_titles_come_before_descriptions_and_deprecated_types_last(editor: Editor) -> None:
    found = editor.page.evaluate(RANK, [module("model/search.js"), TYPES, "blur", []])
    assert found == ["p/blur", "p/motion_blur", "p/sharpen", "p/old_blur"]
    assert editor.page.evaluate(RANK, [module("model/search.js"), TYPES, "xyz", []]) == []
    assert editor.page.evaluate(RANK, [module("model/search.js"), TYPES, "", ["p/sharpen", "p/denoise"]])[:2] == [
        "p/sharpen",
        "p/denoise",
    ]


def test_two_thousand_types_are_ranked_in_a_few_milliseconds(editor: Editor) -> None:
    look = """async (where) => {
      const { ranked } = await import(where);
      const more = {description: "Does this and that with it.", category: "c/d", deprecated: ""};
      const specs = Array.from({length: 2000}, (_, n) => ({id: `p/type_${n}`, title: `Type number ${n}`, ...more}));
      ranked(specs, "warm");
      const before = performance.now();
      for (const text of ["t", "ty", "type nu", "number 17", "this"]) ranked(specs, text);
      return (performance.now() - before) / 5;
    }"""
    assert editor.page.evaluate(look, module("model/search.js")) < 100  # instant for people, also on a busy machine


def test_the_palette_opens_at_the_pointer_and_what_was_used_last_comes_first(editor: Editor) -> None:
    page = editor.page
    box = page.locator(".canvas").bounding_box()
    assert box
    page.mouse.dblclick(box["x"] + 300, box["y"] + 60)
    page.wait_for_selector(".pick")
    page.keyboard.type("show text")
    page.keyboard.press("Enter")
    editor.wait("'show_text' in nodegraph.tabs.current.value.graph.value.nodes")
    page.keyboard.press("/")
    page.wait_for_selector(".pick")
    assert page.locator("[role=option]").first.inner_text().startswith("Show text")
    assert editor.axe("dialog[open]") == []
    editor.shot("palette")
    page.keyboard.type("text")
    page.keyboard.press("ArrowDown")
    title = page.locator("[role=option][aria-selected=true] .name").inner_text()
    page.keyboard.press("Shift+Enter")
    assert page.locator(".pick").count() == 1
    assert len(editor.nodes) == 12
    page.keyboard.press("Escape")
    assert title


def test_subgraphs_of_the_document_are_offered_except_where_they_would_run_themselves(editor: Editor) -> None:
    inner = {"title": "Xylophone", "nodes": {"text": {"type": "core/text"}}}
    editor.open(
        {"nodegraph": 1, "id": "s", "title": "S", "nodes": {"call": {"type": "subgraph/loud"}}, "subgraphs": {"loud": inner}}
    )
    page = editor.page
    page.locator(".canvas").focus()
    page.keyboard.press("/")
    page.keyboard.type("xylophone")
    page.keyboard.press("Enter")
    editor.wait("Object.keys(nodegraph.tabs.current.value.graph.value.nodes).length === 2")
    assert {node["type"] for node in editor.nodes.values()} == {"subgraph/loud"}
    page.evaluate("nodegraph.tabs.current.value.path.value = [{node: 'call', scope: 'loud'}]")
    page.keyboard.press("/")
    page.wait_for_selector(".pick")
    page.keyboard.type("xylophone")
    assert page.locator("[role=option]").count() == 0


def test_the_panel_tells_what_a_type_is_for_and_adds_it_by_key_and_by_dragging(editor: Editor) -> None:
    page = editor.page
    page.locator(".rail.left button[aria-label=Nodes]").click()
    page.fill(".nodes-panel input", "sample noise")
    row = page.locator("[data-type='diffusion/sample_noise']")
    row.focus()
    summary = page.locator(".nodes-panel section").inner_text()
    assert "64 – " in summary or "Width" in summary
    assert editor.axe(".nodes-panel") == []
    editor.shot("nodes-panel")
    row.press("Enter")
    assert "sample_noise" in editor.nodes
    box = page.locator(".canvas").bounding_box()
    assert box
    editor.drag(editor.middle("[data-type='diffusion/sample_noise']"), (box["x"] + 500, box["y"] + 500))
    assert "sample_noise_2" in editor.nodes


def test_help_shows_the_packs_own_text_and_nothing_of_it_can_run(editor: Editor) -> None:
    page = editor.page
    page.locator('[data-node="denoise"]').focus()
    page.keyboard.press("F1")
    page.wait_for_selector(".node-help .markdown")
    assert "Denoiser" in page.locator(".node-help").inner_text()
    assert editor.axe("dialog[open]") == []
    editor.shot("node-help")
    page.keyboard.press("Escape")
    text = (
        "# Head\n\nA `code`, **bold** and [web](https://example.org) but [bad](javascript:alert(1)) <b>x</b>\n\n"
        "- one\n- two\n\n![ours](a.png) ![theirs](https://x/y.png)\n\n```\n<i>\n```"
    )
    made = page.evaluate(
        """async ([where, base, markdown]) => {
          const { Markdown } = await import(where);
          const { html, render } = await import(base);
          const place = document.createElement("div");
          render(html`<${Markdown} markdown=${markdown} pictures=${{"a.png": "/api/packs/p/docs/a.png"}} />`, place);
          return place.innerHTML;
        }""",
        [module("palette/markdown.js"), module("html.js"), text],
    )
    assert made == (
        '<div class="markdown"><h3>Head</h3><p>A <code>code</code>, <strong>bold</strong> and '
        '<a href="https://example.org" target="_blank" rel="noopener noreferrer nofollow">web</a>'
        " but bad) &lt;b&gt;x&lt;/b&gt;</p>"
        '<ul><li>one</li><li>two</li></ul><p><img src="/api/packs/p/docs/a.png" alt="ours"> theirs</p>'
        "<pre><code>&lt;i&gt;</code></pre></div>"
    )


def test_text_to_image_is_built_from_nothing_by_mouse_and_runs(editor: Editor) -> None:
    page = editor.page
    page.evaluate("nodegraph.commands.run('document.new')")
    editor.wait("Object.keys(nodegraph.tabs.current.value.graph.value.nodes ?? {}).length === 0")
    page.evaluate("nodegraph.tabs.current.value.camera.value = {x: -20, y: -20, zoom: 0.6}")
    places = {
        "load model": (20, 200), "encode prompt": (220, 20), "encode  prompt": (220, 190),
        "sample noise": (220, 360), "noise schedule": (400, 430), "guidance": (400, 20),
        "begin denoise": (580, 380), "denoise": (760, 60), "decode": (940, 60), "save image": (1100, 200),
    }  # fmt: skip
    box = page.locator(".canvas").bounding_box()
    assert box
    for title, (x, y) in places.items():
        page.mouse.dblclick(box["x"] + x, box["y"] + y)
        page.wait_for_selector(".pick")
        page.keyboard.type(title)
        page.locator("[role=option]").first.click()
        page.wait_for_selector(".pick", state="detached")
    wires = """load_model.text_encoder encode_prompt.encoder, load_model.text_encoder encode_prompt_2.encoder,
      encode_prompt.conditioning guidance.positive, encode_prompt_2.conditioning guidance.negative,
      load_model.denoiser sample_noise.denoiser, load_model.denoiser noise_schedule.denoiser,
      sample_noise.latent begin_denoise.noise, noise_schedule.schedule begin_denoise.schedule,
      noise_schedule.schedule denoise.schedule,
      load_model.denoiser denoise.denoiser, begin_denoise.denoise_state denoise.state, guidance.guidance denoise.guidance,
      load_model.autoencoder decode.autoencoder, denoise.latent decode.latent, decode.image save_image.image"""
    for pair in wires.split(","):
        editor.wire(*pair.split())
    assert sum(len(node.get("links", {})) for node in editor.nodes.values()) == 15
    page.click('[data-place="load_model.model"]')
    page.locator("dialog[open] li button", has_text="starter").first.click()
    for node in ("denoise", "noise_schedule"):
        page.click(f'[data-place="{node}.steps"]', click_count=3)
        page.keyboard.type("4")
    editor.shot("built-by-mouse")
    assert editor.run()["state"] == "succeeded", editor.job()

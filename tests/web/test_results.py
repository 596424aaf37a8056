"""Results: the gallery of runs, looking at pictures, comparing them, sweeps as grids, and files that are dropped."""

from __future__ import annotations

import base64
import io
import json
import math
from typing import Any

import pytest
from importing.comfy import picture, ui
from PIL import Image, ImageChops, ImageStat
from server.harness import ServerProcess
from server.test_documents import png

from web.browser import Editor, module

pytestmark = pytest.mark.slow

DROP = """([name, type, data]) => {
  const bytes = Uint8Array.from(atob(data), (letter) => letter.charCodeAt(0));
  const dataTransfer = new DataTransfer();
  dataTransfer.items.add(new File([bytes], name, { type }));
  const target = document.querySelector("#main");
  for (const kind of ["dragover", "drop"]) {
    target.dispatchEvent(new DragEvent(kind, { dataTransfer, bubbles: true, cancelable: true }));
    if (kind === "dragover") window.veiled = !document.querySelector(".drop-veil").hidden;
  }
}"""


@pytest.fixture(scope="module")
def sweep(server: ServerProcess) -> list[dict[str, Any]]:
    """Two seeds, each with two strengths of guidance, and one other prompt: jobs that have ended, the first first."""
    given = [{"seed": seed, "guidance_scale": scale} for seed in (11, 12) for scale in (2.0, 6.0)]
    given.append({"seed": 13, "prompt": "a violet teapot"})
    ids = []
    for inputs in given:
        status, answer = server.ask("POST", "/api/jobs", {"workflow_id": "text_to_image", "inputs": {"steps": 4, **inputs}})
        assert status == 202, answer
        ids.append(answer["id"])
    jobs = [server.wait(id_, seconds=180) for id_ in ids]
    assert [job["state"] for job in jobs] == ["succeeded"] * len(jobs)
    return jobs


def gallery(editor: Editor, typed: str = "", count: int | None = None) -> None:
    """Open the gallery and search; wait for so many pictures."""
    editor.command("view.gallery")
    editor.page.fill(".finder input", typed)
    if count is not None:
        editor.wait(f"document.querySelectorAll('.gallery .pictures li').length === {count}")


def pick(editor: Editor, *places: int) -> None:
    for place in places:
        editor.page.click(f".gallery .pictures li:nth-child({place}) .picture", modifiers=["Control"])


def drop(editor: Editor, name: str, data: bytes, media_type: str = "image/png") -> None:
    editor.page.evaluate(DROP, [name, media_type, base64.b64encode(data).decode()])


def tabs(editor: Editor) -> int:
    return int(editor.page.evaluate("nodegraph.tabs.all.value.length"))


# ---- the gallery ----


def test_the_search_box_finds_runs_by_words_seed_model_and_node(editor: Editor, sweep: list[dict[str, Any]]) -> None:
    gallery(editor, count=5)
    assert editor.axe() == []
    editor.shot("gallery")
    for typed, count in (
        ("violet", 1),
        ("seed:11", 2),
        ("seed:11 violet", 0),
        ("model:start node:denoise", 5),
        ("node:load_image", 0),
        ("after:2100-01-01", 0),
    ):
        gallery(editor, typed, count)
    gallery(editor, "seed:12 apple", 2)
    editor.page.click(".chips button[aria-pressed=true]:first-child")
    editor.wait("document.querySelectorAll('.gallery .pictures li').length === 4")
    assert editor.page.input_value(".finder input") == "apple"


def test_what_is_typed_into_the_search_box_becomes_filters(editor: Editor) -> None:
    read = "async ([where, typed]) => [...(await import(where)).asked(typed, { types: ['diffusion/denoise'] })].join(' ')"
    where = module("results/query.js")
    assert editor.page.evaluate(read, [where, 'seed:7 node:denoise model:"a b" red fox']) == (
        "text,red fox seed,7 node,diffusion/denoise model,a b state,succeeded"
    )
    assert editor.page.evaluate(read, [where, "seed:seven state:failed http://x after:"]) == "text,http://x state,failed"


def test_the_gallery_is_walked_through_and_picked_from_by_keys(editor: Editor, sweep: list[dict[str, Any]]) -> None:
    gallery(editor, "", 5)
    editor.page.focus(".gallery .pictures li:nth-child(1) .picture")
    keys = editor.page.keyboard
    keys.press("ArrowRight")
    keys.press(" ")
    keys.press("End")
    keys.press(" ")
    picked = "[...document.querySelectorAll('.gallery .pictures li')].map((one) => Number(one.className === 'picked')).join('')"
    editor.wait(f"{picked} === '01001'")
    assert editor.page.locator(".pictures .picture[tabindex='0']").count() == 1
    keys.press("Escape")
    editor.wait(f"{picked} === '00000'")
    keys.press("Enter")
    editor.wait("document.querySelector('.viewer .facts dd')")
    assert editor.page.inner_text(".viewer .steer span") == "5 / 5"
    keys.press("ArrowLeft")
    editor.wait("document.querySelector('.viewer .steer span').textContent === '4 / 5'")
    keys.press("Escape")


def test_what_is_picked_and_found_again_stays_picked(editor: Editor, sweep: list[dict[str, Any]]) -> None:
    gallery(editor, "apple", 4)
    pick(editor, 1, 2, 3)
    gallery(editor, "apple seed:11", 2)
    editor.wait("document.querySelectorAll('.pictures .picked').length === 1")
    gallery(editor, "apple", 4)
    assert editor.page.locator(".pictures .picked").count() == 1


def test_a_run_that_ends_comes_to_the_front_and_one_that_is_deleted_goes(editor: Editor, sweep: list[dict[str, Any]]) -> None:
    gallery(editor, "seed:77", 0)
    job = editor.server.ask("POST", "/api/jobs", {"workflow_id": "text_to_image", "inputs": {"steps": 4, "seed": 77}})[1]["id"]
    editor.server.wait(job, seconds=120)
    editor.wait("document.querySelectorAll('.gallery .pictures li').length === 1")
    pick(editor, 1)
    editor.page.click(".chosen button:has-text('Delete')")
    editor.page.click("dialog button.main")
    editor.wait("document.querySelectorAll('.gallery .pictures li').length === 0")
    assert editor.server.ask("GET", f"/api/jobs/{job}")[0] == 404


def test_the_workflow_of_a_picture_opens_with_the_run_on_its_nodes(editor: Editor, sweep: list[dict[str, Any]]) -> None:
    gallery(editor, "violet", 1)
    pick(editor, 1)
    editor.page.click(".chosen button:has-text('Open the workflow')")
    editor.wait("nodegraph.tabs.all.value.length === 2 && nodegraph.view.value === 'graph'")
    assert editor.nodes["prompt"]["inputs"]["text"] == "a violet teapot"
    editor.wait_for_node("decode", "computed", "hit")
    assert editor.job()["id"] == sweep[4]["id"]  # type: ignore[index]


def test_the_seed_and_the_prompt_of_a_run_are_set_in_the_open_document(editor: Editor, sweep: list[dict[str, Any]]) -> None:
    gallery(editor, "violet", 1)
    pick(editor, 1)
    editor.page.click(".chosen button:has-text('Use its seed')")
    editor.wait("nodegraph.tabs.current.value.store.json.value.nodes.noise.inputs.seed === 13")
    assert editor.nodes["begin"]["inputs"]["seed"] == 13
    assert editor.nodes["prompt"]["inputs"]["text"] == "a red apple"
    editor.page.click(".chosen button:has-text('Use its prompt')")
    editor.wait("nodegraph.tabs.current.value.store.json.value.nodes.prompt.inputs.text === 'a violet teapot'")


# ---- looking and comparing ----


def test_the_viewer_zooms_and_shows_what_the_file_carries(editor: Editor, sweep: list[dict[str, Any]]) -> None:
    editor.command("viewer.open", {"job": sweep[0]["id"]})
    editor.wait("document.querySelector('.stage img')?.naturalWidth && document.querySelector('.viewer .facts dd')")
    keys = editor.page.keyboard
    keys.press("1")
    editor.wait("document.querySelector('.stage').dataset.zoom === '1.000'")
    keys.press("+")
    editor.wait("document.querySelector('.stage').dataset.zoom === '1.250'")
    editor.page.mouse.move(*editor.middle(".stage"))
    editor.page.mouse.wheel(0, -800)
    editor.wait("document.querySelector('.laid.pixels')")
    editor.page.click(".viewer details:last-child > summary")
    editor.wait("document.querySelector('.viewer details section h3')?.textContent === 'nodegraph'")
    assert editor.axe() == []
    editor.shot("viewer")


def test_two_pictures_are_compared_by_border_difference_and_settings(editor: Editor, sweep: list[dict[str, Any]]) -> None:
    gallery(editor, "seed:11", 2)
    pick(editor, 1, 2)
    editor.page.click(".chosen button:has-text('Compare')")
    editor.wait("document.querySelector('.comparing .psnr') && document.querySelector('.differing td')")
    assert editor.axe() == []
    editor.page.fill(".comparing input[type=range]", "25")
    editor.wait("document.querySelectorAll('.laid img')[1].style.clipPath.includes('25%')")
    assert editor.page.inner_text(".differing tbody").split() == ["guidance_scale", "6", "2"]

    files = [editor.server.ask("GET", sweep[place]["outputs"]["image"][0]["url"])[1] for place in (1, 0)]
    a, b = (Image.open(io.BytesIO(data)).convert("RGB") for data in files)
    apart = ImageChops.difference(a, b)
    error = sum(value**2 for value in ImageStat.Stat(apart).rms) / 3
    said = float(editor.page.inner_text(".psnr").split()[1])
    assert said == pytest.approx(10 * math.log10(255**2 / error), abs=0.02)

    editor.page.click(".comparing button:has-text('Difference')")
    place = "document.querySelector('.laid canvas').getContext('2d').getImageData(32, 32, 1, 1).data"
    expected = [min(255, 4 * value) for value in apart.getpixel((32, 32))]  # type: ignore[union-attr]
    editor.wait(f"[...{place}].slice(0, 3).join() === '{','.join(map(str, expected))}'")
    editor.shot("results-compare")
    editor.page.focus(".stage")
    editor.page.keyboard.press("x")
    editor.wait("document.querySelector('.laid img').alt === 'B'")
    editor.page.click(".comparing button:has-text('Side by side')")
    editor.page.focus(".stage")
    editor.page.keyboard.press("1")
    editor.wait("[...document.querySelectorAll('.stage')].map((one) => one.dataset.zoom).join() === '1.000,1.000'")


def test_runs_of_a_sweep_lie_in_a_grid_by_what_they_differ_in(editor: Editor, sweep: list[dict[str, Any]]) -> None:
    gallery(editor, "apple", 4)
    pick(editor, 1, 2, 3, 4)
    editor.page.click(".chosen button:has-text('Grid')")
    editor.wait("document.querySelectorAll('.sweep td button').length === 4")
    assert editor.axe() == []
    editor.shot("results-sweep")
    assert editor.page.locator(".sweep thead th").all_inner_texts() == ["11", "12"]
    assert editor.page.locator(".sweep tbody th").all_inner_texts() == ["2", "6"]
    with editor.page.expect_download() as saved:
        editor.page.click(".sweep button:has-text('Save as one picture')")
    sheet = Image.open(saved.value.path())
    assert sheet.width > 2 * 256
    assert len(sheet.getcolors(1 << 20) or []) > 1000
    editor.page.click(".sweep tbody tr:nth-child(2) td:nth-of-type(1) button")
    look = """() => {
      const [names, values] = ["dt", "dd"].map((tag) => [...document.querySelectorAll(`.viewer .facts ${tag}`)]);
      const facts = Object.fromEntries(names.map((name, at) => [name.innerText, values[at].innerText]));
      return facts.seed && facts.guidance_scale ? facts : null;
    }"""
    shown = editor.wait(look)
    assert (shown["seed"], shown["guidance_scale"]) == ("11", "6")


# ---- files ----


def test_a_picture_of_ours_that_is_dropped_opens_its_workflow(editor: Editor, sweep: list[dict[str, Any]]) -> None:
    drop(editor, "ours.png", editor.server.ask("GET", sweep[4]["outputs"]["image"][0]["url"])[1])
    editor.wait("nodegraph.tabs.all.value.length === 2")
    assert editor.page.evaluate("window.veiled")
    assert editor.page.locator(".drop-veil").is_hidden()
    assert editor.nodes["prompt"]["inputs"]["text"] == "a violet teapot"


def test_pictures_of_other_programs_open_as_imports(editor: Editor) -> None:
    text = "a cat\nNegative prompt: a dog\nSteps: 7, Sampler: Euler, CFG scale: 5, Seed: 3, Size: 64x64, Model: any"
    for number, data in enumerate((png(parameters=text), png(workflow=json.dumps(ui(*picture()))))):
        drop(editor, "theirs.png", data)
        editor.wait(f"nodegraph.tabs.all.value.length === {number + 2} && document.querySelector('dialog[open]')")
        assert any(node["type"] == "diffusion/denoise" for node in editor.nodes.values())
        editor.page.keyboard.press("Escape")
        editor.wait("!document.querySelector('dialog[open]')")
    editor.complaints.clear()  # the browser notes that opening as ours was refused


def test_a_picture_without_a_workflow_may_become_an_input(editor: Editor) -> None:
    data = io.BytesIO()
    Image.new("RGB", (37, 21), "teal").save(data, "PNG")
    drop(editor, "plain.png", data.getvalue())
    editor.wait("document.querySelector('dialog .choose button')")
    assert "37 × 21" in editor.page.inner_text("dialog")
    editor.page.click("dialog .choose li:last-child button")
    editor.wait("nodegraph.tabs.current.value.store.json.value.nodes.load_image")
    assert editor.nodes["load_image"]["inputs"]["path"].startswith("uploads/")
    assert tabs(editor) == 1
    editor.complaints.clear()


def test_the_gallery_fits_a_phone(new_editor: Any, sweep: list[dict[str, Any]]) -> None:
    phone = new_editor("phone", "dark").start()
    phone.open("text_to_image")
    gallery(phone, "", 5)
    assert phone.page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    phone.page.tap(".gallery .pictures li:nth-child(1) .picture")
    phone.wait("document.querySelector('.viewer .facts dd')")
    assert phone.page.evaluate("document.querySelector('.viewer').scrollWidth <= document.querySelector('.viewer').clientWidth")
    phone.shot("viewer-phone")
    assert phone.axe() == []

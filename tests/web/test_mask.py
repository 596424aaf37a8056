"""Painting masks and sketches, and staged results of inpainting: files to the bit, journeys with mouse and keys."""

from __future__ import annotations

import base64
import io
import urllib.parse
from collections.abc import Callable
from typing import Any

import networkx
import numpy as np
import pytest
from PIL import Image

from web.browser import Editor, module

pytestmark = pytest.mark.slow

VIEW = ".paint-view"


def pure(editor: Editor, name: str, body: str, given: Any = None) -> Any:
    """Run JavaScript with a module of the tools as `it`, in the page."""
    return editor.page.evaluate(
        f"async ([where, given]) => {{ const it = await import(where); {body} }}", [module(f"tools/{name}.js"), given]
    )


def file_of(editor: Editor, name: str) -> Image.Image:
    """A file that an input names, as the server gives it."""
    look = """async (url) => { const bytes = new Uint8Array(await (await fetch(url)).arrayBuffer());
        let text = ""; for (const one of bytes) text += String.fromCharCode(one); return btoa(text); }"""
    found = editor.page.evaluate(look, f"/api/inputs/file?name={urllib.parse.quote(name)}")
    return Image.open(io.BytesIO(base64.b64decode(found)))


def value(editor: Editor, node: str) -> str:
    return str(editor.nodes[node]["inputs"]["path"])


def at(editor: Editor, x: float, y: float) -> tuple[float, float]:
    """Where a pixel of the painted picture is on the screen."""
    box = editor.page.locator(".paint-stage").bounding_box()
    size = editor.page.evaluate(
        "(() => { const one = document.querySelector('.paint-stage canvas'); return [one.width, one.height]; })()"
    )
    assert box
    return box["x"] + box["width"] * x / size[0], box["y"] + box["height"] * y / size[1]


def paint_mask(editor: Editor) -> None:
    editor.page.evaluate("void nodegraph.commands.run('mask.edit')")
    editor.page.wait_for_selector(".paint-stage canvas:not(.below)")
    editor.frame()


def finish(editor: Editor, node: str) -> str:
    before = value(editor, node)
    editor.page.click(".painter .actions .main")
    editor.wait("!document.querySelector('dialog[open]')")
    after = value(editor, node)
    assert after != before
    return after


@pytest.fixture
def inpaint(new_editor: Callable[..., Editor]) -> Editor:
    made = new_editor().start()
    made.open("inpaint")
    return made


# ---- files ----


def test_a_mask_that_the_page_writes_is_read_by_pillow_to_the_bit(editor: Editor) -> None:
    values = [0, 1, 255, 256, 32767, 32768, 65534, 65535, 12345, 54321, 7, 40000]
    body = """const blob = await it.encodeMask(Float32Array.from(given, (one) => one / 65535), 4, 3);
        return [...new Uint8Array(await blob.arrayBuffer())];"""
    written = Image.open(io.BytesIO(bytes(pure(editor, "png", body, values))))
    assert written.size == (4, 3)
    assert written.mode in ("I;16", "I;16B", "I")
    assert np.asarray(written).astype(int).ravel().tolist() == values


@pytest.mark.parametrize(("dtype", "most"), [(np.uint8, 255), (np.uint16, 65535)])
def test_a_grey_picture_that_pillow_writes_is_read_by_the_page_to_the_bit(editor: Editor, dtype: Any, most: int) -> None:
    # slopes and noise, so that all filters of the format are used
    rows, columns = np.mgrid[0:37, 0:53]
    noise = np.random.default_rng(1).integers(0, most, (37, 53))
    data = np.where(rows > 20, noise, (rows * 31 + columns * columns * 7) % (most + 1)).astype(dtype)
    kept = io.BytesIO()
    Image.fromarray(data).save(kept, "PNG", optimize=True)
    body = "const found = await it.decodeMask(Uint8Array.from(given)); return [found.width, found.height, [...found.data]];"
    width, height, found = pure(editor, "png", body, list(kept.getvalue()))
    assert (width, height) == (53, 37)
    assert (np.round(np.array(found) * most).astype(int) == data.ravel()).all()


def test_a_sketch_is_written_as_a_picture_of_three_channels(editor: Editor) -> None:
    body = """const blob = await it.encodeRgb(new ImageData(Uint8ClampedArray.from(given), 2, 1));
        return [...new Uint8Array(await blob.arrayBuffer())];"""
    written = Image.open(io.BytesIO(bytes(pure(editor, "png", body, [1, 2, 3, 255, 250, 128, 0, 255]))))
    assert written.mode == "RGB"
    assert [written.getpixel((0, 0)), written.getpixel((1, 0))] == [(1, 2, 3), (250, 128, 0)]


# ---- tools, as functions ----


def test_a_soft_brush_falls_off_steadily_and_a_hard_one_at_once(editor: Editor) -> None:
    body = """return [0, 0.5, 1].map((hard) => { const { cover } = it.line(0, 0, 0, 0, 20, hard);
        return [...Array(25).keys()].map((x) => cover(x, 0)); });"""
    for falls, hard in zip(pure(editor, "brushes", body), (0, 0.5, 1), strict=True):
        assert falls == sorted(falls, reverse=True)
        assert falls[0] == 1
        assert falls[-1] == 0
        between = [one for one in falls if 0 < one < 1]
        assert len(between) <= 2 if hard == 1 else len(between) >= 8


def test_a_lasso_covers_what_it_goes_round_with_soft_edges(editor: Editor) -> None:
    body = """const { cover } = it.polygon([[2, 2], [12.5, 2], [12.5, 9], [2, 9]]);
        return [...Array(12).keys()].map((y) => [...Array(16).keys()].map((x) => cover(x + 0.5, y + 0.5)));"""
    found = np.array(pure(editor, "brushes", body))
    assert (found[2:9, 2:12] == 1).all()
    assert (found[2:9, 12] == 0.5).all()
    assert found.sum() == pytest.approx(10.5 * 7)


def test_a_fill_takes_what_networkx_calls_one_component(editor: Editor) -> None:
    data = (np.random.default_rng(4).random((40, 50)) > 0.42).astype(np.float32)
    cells = networkx.grid_2d_graph(40, 50).subgraph([tuple(place) for place in np.argwhere(data == 1).tolist()])
    wanted = max(networkx.connected_components(cells), key=len)
    y, x = min(wanted)
    body = "return [...it.flood(Float32Array.from(given[0]), 1, 50, 40, given[1], given[2], 0.1)];"
    found = np.array(pure(editor, "brushes", body, [data.ravel().tolist(), x, y])).reshape(40, 50)
    assert {tuple(place) for place in np.argwhere(found).tolist()} == wanted
    assert len(wanted) > 200


@pytest.mark.parametrize("sigma", [0.8, 3.0, 12.5])
def test_a_feather_is_nearly_a_gaussian_blur(editor: Editor, sigma: float) -> None:
    data = np.zeros((60, 80))
    data[20:45, 30:70] = 1
    found = pure(
        editor,
        "brushes",
        "return [...it.feather(Float32Array.from(given[0]), 80, 60, given[1])];",
        [data.ravel().tolist(), sigma],
    )
    bell = np.exp(-0.5 * (np.arange(-50, 51) / sigma) ** 2)
    wanted = np.pad(data, 50, mode="edge")
    for axis in (0, 1):
        wanted = np.apply_along_axis(np.convolve, axis, wanted, bell / bell.sum(), mode="valid")
    assert np.abs(np.array(found).reshape(60, 80) - wanted).max() < 0.02


def test_every_step_is_taken_back_and_done_again_to_the_bit(editor: Editor) -> None:
    body = """const brushes = await import(where.replace("surface", "brushes"));
        const one = it.createSurface(40, 30, 1);
        const flat = () => one.flat().data.join();
        const seen = [flat()];
        const act = (work) => { work(); seen.push(flat()); };
        const dab = (x, y) => {
          const { area, cover } = brushes.line(x, y, x + 9, y, 6, 0.3);
          one.begin();
          one.paint(area, cover);
          one.end();
        };
        dab(20, 14);
        one.undo();
        for (const work of [() => dab(8, 8), () => one.addLayer(), () => dab(30, 20), () => one.setLayer(1, { opacity: 0.5 }),
          () => one.moveLayer(-1), () => one.removeLayer(), () => one.change((data) => data.map((v) => 1 - v))]) act(work);
        act(() => one.change((data) => brushes.feather(data, 40, 30, 2)));
        const back = [flat()]; while (one.canUndo) { one.undo(); back.push(flat()); }
        const again = [flat()]; while (one.canRedo) { one.redo(); again.push(flat()); }
        return [seen, back.reverse(), again];"""
    seen, back, again = pure(editor, "surface", body)
    assert seen == back == again
    assert len(set(seen)) >= 6


def test_passing_twice_within_one_stroke_does_not_add_up(editor: Editor) -> None:
    body = """return [1, 4].map((channels) => [1, 2].map((times) => {
          const one = it.createSurface(9, 9, channels);
          one.begin();
          for (let i = 0; i < times; i++) one.paint(one.whole, (x) => x / 9, { color: [1, 0.5, 0] });
          one.end();
          return one.flat().data.join();
        }));"""
    for once, twice in pure(editor, "surface", body):
        assert once == twice


# ---- journeys ----


def test_a_mask_is_painted_run_staged_accepted_and_run_again(inpaint: Editor) -> None:
    editor = inpaint
    editor.page.evaluate(
        """async () => { const { setValue } = await import("/app/src/model/edit.js");
        const set = (graph, node) => setValue(graph, node, "steps", 3);
        nodegraph.tabs.edit("fewer steps", (graph) => set(set(graph, "schedule"), "part")); }"""
    )
    paint_mask(editor)
    editor.page.get_by_role("button", name="Clear").click()
    editor.drag(at(editor, 20, 32), at(editor, 44, 32))
    editor.page.keyboard.press("Control+z")
    editor.drag(at(editor, 24, 30), at(editor, 40, 34))
    editor.frame()
    editor.shot("mask-desktop-light")
    assert editor.axe("dialog") == []
    steps = editor.page.evaluate("nodegraph.tabs.current.value.store.history.value.undo.length")
    mask = file_of(editor, finish(editor, "mask"))
    assert editor.page.evaluate("nodegraph.tabs.current.value.store.history.value.undo.length") == steps + 1
    assert mask.size == (64, 64)
    assert mask.mode.startswith("I")
    painted = np.asarray(mask).astype(int)
    assert painted[32, 32] == 65535
    assert painted[:20].max() == painted[:, :10].max() == 0
    assert ((painted > 0) & (painted < 65535)).any()

    before = value(editor, "picture")
    assert editor.run()["state"] == "succeeded"
    editor.page.get_by_role("button", name="Compare and accept").click()
    editor.page.wait_for_selector(".staged")
    editor.wait("[...document.querySelectorAll('.staged img')].every((one) => one.complete && one.naturalWidth)")
    editor.shot("mask-staged")
    assert editor.axe("dialog") == []
    editor.page.get_by_role("button", name="Accept", exact=True).click()
    editor.wait("(before) => nodegraph.tabs.current.value.store.json.value.nodes.picture.inputs.path !== before", before)
    after = file_of(editor, value(editor, "picture")).convert("RGB")
    old, new = np.asarray(file_of(editor, before).convert("RGB")).astype(int), np.asarray(after).astype(int)
    far = np.ones((64, 64), bool)
    for y, x in np.argwhere(painted > 0):
        far[max(0, y - 13) : y + 14, max(0, x - 13) : x + 14] = False  # the workflow feathers by 3 pixels, so over 4 * 3
    assert far.sum() > 500
    assert (old[far] == new[far]).all()
    assert (old != new).any()

    job = editor.job()
    assert job
    editor.page.click("button.run")
    editor.wait("(id) => nodegraph.tabs.current.value.job.value !== id", job["id"])
    assert editor.wait_for_job()["state"] == "succeeded"
    editor.wait_for_node("picture", "computed")
    editor.command("edit.undo")
    assert value(editor, "picture") == before
    editor.no_complaints()


def test_a_refused_result_leaves_the_picture_and_goes_back_to_painting(inpaint: Editor) -> None:
    editor = inpaint
    before = editor.nodes
    editor.page.evaluate(
        """async () => { const { stage } = await import("/app/src/tools/staging.js"); const tab = nodegraph.tabs.current.value;
        const picture = tab.store.json.value.nodes.picture.inputs.path;
        void stage(nodegraph, { tab, node: "picture", before: picture, after: `/api/inputs/file?name=${picture}` }); }"""
    )
    editor.page.get_by_role("button", name="Refuse").click()
    editor.page.wait_for_selector(VIEW)
    assert editor.nodes == before


def test_a_mask_is_painted_with_keys_alone(inpaint: Editor) -> None:
    editor = inpaint
    paint_mask(editor)
    keys = editor.page.keyboard
    editor.wait("document.activeElement?.matches('.paint-view')")
    for key in ["Control+i", "Control+i", "e", "g", "b", "]", "["]:
        keys.press(key)
    keys.press("Tab")
    assert editor.page.evaluate("!document.activeElement.matches('.paint-view')")
    editor.page.get_by_role("button", name="Clear").focus()
    keys.press("Enter")
    editor.page.focus(VIEW)
    for key in ["Shift+ArrowUp", "Shift+ArrowLeft", "Shift+ArrowLeft", "ArrowLeft", "Space"]:
        keys.press(key)
    assert "Painted at 11, 22" in editor.page.locator(".painter [role=status]").inner_text()
    for key in ["Shift+ArrowRight", "Shift+ArrowRight", "Shift+Space"]:
        keys.press(key)
    keys.press("l")
    for key in [
        "ArrowDown",
        *["Shift+ArrowDown"] * 2,
        "Space",
        "Shift+ArrowRight",
        "Space",
        "Shift+ArrowDown",
        "Space",
        "Enter",
    ]:
        keys.press(key)
    keys.press("Control+Enter")
    editor.wait("!document.querySelector('dialog[open]')")
    painted = np.asarray(file_of(editor, value(editor, "mask"))).astype(int)
    assert (painted[22, 11:31] == 65535).all()
    assert painted[46, 37] == 65535  # inside the lasso
    assert painted[10].max() == 0
    editor.no_complaints()


def test_an_old_mask_is_gone_on_with_and_leaving_unkept_strokes_asks(inpaint: Editor) -> None:
    editor = inpaint
    old = np.asarray(file_of(editor, value(editor, "mask"))).astype(int)
    paint_mask(editor)
    editor.page.get_by_role("button", name="Add a layer").click()
    editor.drag(at(editor, 4, 4), at(editor, 6, 6))
    editor.page.keyboard.press("Escape")
    editor.page.get_by_role("button", name="Cancel").click()
    new = np.asarray(file_of(editor, finish(editor, "mask"))).astype(int)
    assert (new[16:] == old[16:] * 257).all()
    assert new[5, 5] == 65535
    paint_mask(editor)
    assert editor.page.locator(".paint-side li").count() == 2
    editor.page.keyboard.press("Escape")
    editor.wait("!document.querySelector('dialog[open]')")
    editor.no_complaints()


def test_a_feather_is_tried_out_before_it_is_a_step(inpaint: Editor) -> None:
    editor = inpaint
    paint_mask(editor)
    page = editor.page
    seen = (
        "[...document.querySelector('.paint-stage canvas:not(.below)').getContext('2d').getImageData(0, 0, 64, 64).data].join()"
    )
    before = page.evaluate(seen)
    page.get_by_role("button", name="Feather").click()
    editor.wait(f"(before) => {seen} !== before", before)
    page.get_by_role("button", name="Feather").click()
    editor.wait(f"(before) => {seen} === before", before)
    page.get_by_role("button", name="Feather").click()
    page.get_by_role("button", name="Apply").click()
    editor.wait(f"(before) => {seen} !== before", before)
    page.keyboard.press("Control+z")
    editor.wait(f"(before) => {seen} === before", before)


def test_a_sketch_in_named_colours_becomes_a_picture(new_editor: Callable[..., Editor]) -> None:
    editor = new_editor().start()
    editor.open("sketch_to_image")
    page = editor.page
    page.evaluate("void nodegraph.commands.run('sketch.edit')")
    page.wait_for_selector(".paint-stage canvas:not(.below)")
    editor.frame()
    page.get_by_role("button", name="Grass").click()
    page.get_by_label("Picture below").uncheck()
    editor.drag(at(editor, 10, 50), at(editor, 54, 50))
    page.get_by_label("Name of the colour").fill("meadow")
    page.keyboard.press("Enter")
    page.get_by_role("button", name="Sky").click()
    page.focus(VIEW)
    page.keyboard.press("g")
    page.mouse.click(*at(editor, 10, 10))
    editor.frame()
    editor.shot("sketch-desktop-light")
    assert editor.axe("dialog") == []
    sketch = file_of(editor, finish(editor, "picture"))
    assert sketch.mode == "RGB"
    assert [sketch.getpixel(place) for place in ((10, 10), (30, 50))] == [(0x7A, 0xB8, 0xF5), (0x4D, 0x9A, 0x3F)]
    assert "meadow" in page.evaluate("localStorage.getItem('nodegraph.palette')")
    assert editor.run()["state"] == "succeeded"
    assert page.locator(".toast", has_text="repainted").count() == 0
    editor.no_complaints()


@pytest.mark.parametrize(("size", "scheme"), [("desktop", "dark"), ("phone", "light"), ("phone", "dark")])
def test_both_editors_look_right_and_are_accessible(new_editor: Callable[..., Editor], size: str, scheme: str) -> None:
    for workflow, command in (("inpaint", "mask"), ("sketch_to_image", "sketch")):
        editor = new_editor(size, scheme).start()
        editor.open(workflow)
        editor.page.evaluate(f"void nodegraph.commands.run('{command}.edit')")
        editor.page.wait_for_selector(".paint-stage canvas:not(.below)")
        editor.frame()
        editor.drag(at(editor, 20, 20), at(editor, 40, 40))
        editor.frame()
        editor.shot(f"{command}-{size}-{scheme}")
        assert editor.axe("dialog") == []
        editor.no_complaints()


def test_two_fingers_zoom_and_leave_no_stroke(new_editor: Callable[..., Editor]) -> None:
    editor = new_editor("phone").start()
    editor.open("inpaint")
    paint_mask(editor)
    before = editor.page.locator(".paint-stage").bounding_box()
    x, y = editor.middle(VIEW)
    touch = editor.page.context.new_cdp_session(editor.page)
    for kind, apart in (("touchStart", 20), ("touchMove", 40), ("touchMove", 60)):
        points = [{"x": x + side * apart, "y": y, "id": number} for number, side in enumerate((-1, 1))]
        touch.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})
    touch.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})
    editor.frame()
    after = editor.page.locator(".paint-stage").bounding_box()
    assert before
    assert after
    assert after["width"] == pytest.approx(3 * before["width"], rel=0.1)
    assert editor.page.get_by_role("button", name="Undo").is_disabled()


def test_a_large_picture_draws_only_what_a_stroke_touches(editor: Editor) -> None:
    body = """const { createSurface } = await import(where.replace("painter", "surface"));
        const one = it.createPainter(createSurface(2048, 2048, 1), null);
        const put = CanvasRenderingContext2D.prototype.putImageData;
        const areas = []; let asked = 0;
        const ask = window.requestAnimationFrame;
        window.requestAnimationFrame = (work) => { asked += new Error().stack.includes("/tools/"); return ask(work); };
        CanvasRenderingContext2D.prototype.putImageData = function (image, ...rest) {
          areas.push(image.width * image.height);
          return put.call(this, image, ...rest);
        };
        const frame = () => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)));
        one.size.value = 40;
        one.press(1000, 1000); one.move(1010, 1000); await frame(); one.move(1020, 1000); one.lift(); await frame();
        const drawing = asked; await frame();
        window.requestAnimationFrame = ask; CanvasRenderingContext2D.prototype.putImageData = put;
        return [areas, drawing, asked - drawing];"""
    areas, drawing, at_rest = pure(editor, "painter", body)
    assert areas
    assert max(areas) < 80 * 80
    assert drawing > 0
    assert at_rest == 0

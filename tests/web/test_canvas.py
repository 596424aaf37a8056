"""The canvas: what moves, what is selected, arranged and written, and what a gesture changes."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest

from web.browser import Editor, module

pytestmark = pytest.mark.slow

NODES = [f"n{i}" for i in range(6)]
LINK = "n2.value>n3.a"


def chain() -> dict[str, Any]:
    """Two rows of three nodes, one after the other, with a frame, a note and a link around corners."""
    nodes: dict[str, Any] = {name: {"type": "core/calculate", "version": 1, "inputs": {"b": 1}} for name in NODES}
    for before, after in pairwise(NODES):
        nodes[after]["links"] = {"a": f"{before}.value"}
    places = {name: [300 * (i % 3), 300 * (i // 3)] for i, name in enumerate(NODES)}
    layout = {
        "nodes": places,
        "frames": [{"title": "Old group", "at": [-30, -60], "size": [560, 270], "color": "#3f82d0"}],
        "notes": [{"id": "hint", "text": "A note", "x": 900, "y": 0, "width": 220, "height": 120}],
        "reroutes": {LINK: [[860, 250], [-60, 260]]},
    }
    return {"nodegraph": 1, "title": "Chain", "nodes": nodes, "layout": layout}


@pytest.fixture
def canvas(editor: Editor) -> Editor:
    editor.open(chain())
    return editor


def layout(editor: Editor) -> dict[str, Any]:
    return dict(editor.json["layout"])


def selected(editor: Editor) -> set[str]:
    return set(editor.page.evaluate("[...nodegraph.tabs.current.value.selection.value]"))


def select(editor: Editor, *ids: str) -> None:
    editor.page.evaluate("(ids) => void (nodegraph.tabs.current.value.selection.value = new Set(ids))", list(ids))
    editor.frame()


def camera(editor: Editor) -> dict[str, float]:
    return dict(editor.page.evaluate("nodegraph.tabs.current.value.camera.value"))


def under(editor: Editor, x: float, y: float) -> list[float]:
    """The world's point at a point of the page."""
    return list(editor.page.evaluate("([x, y]) => nodegraph.canvas.pointAt({clientX: x, clientY: y})", [x, y]))


def on_page(editor: Editor, x: float, y: float) -> tuple[float, float]:
    """Where a point of the world is in the page."""
    look = """([x, y]) => { const box = nodegraph.canvas.host.getBoundingClientRect(), at = nodegraph.canvas.onScreen([x, y]);
        return [box.left + at[0], box.top + at[1]]; }"""
    found = editor.page.evaluate(look, [x, y])
    return float(found[0]), float(found[1])


def head(editor: Editor, node: str) -> tuple[float, float]:
    return editor.middle(f'[data-node="{node}"] .node-head')


def test_dragging_a_node_changes_the_document_once(editor: Editor) -> None:
    x, y = editor.place("decode")
    start = head(editor, "decode")
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


def test_the_point_under_the_pointer_stays_when_zooming(canvas: Editor) -> None:
    for x, y, delta in [(300, 300, -120), (900, 600, 240), (500, 450, -33.5)]:
        canvas.page.mouse.move(x, y)
        before = under(canvas, x, y)
        canvas.page.evaluate(
            """([x, y, deltaY]) => nodegraph.canvas.host.dispatchEvent(
                new WheelEvent("wheel", {clientX: x, clientY: y, deltaY, ctrlKey: true, cancelable: true}))""",
            [x, y, delta],
        )
        assert under(canvas, x, y) == pytest.approx(before)
    assert camera(canvas)["zoom"] != 1


def test_a_trackpad_and_the_middle_button_and_space_pan(canvas: Editor) -> None:
    x, y = 700, 700
    before = under(canvas, x, y)
    canvas.drag((x, y), (x + 80, y - 60), button="middle")
    assert under(canvas, x + 80, y - 60) == pytest.approx(before)
    canvas.page.locator(".canvas").focus()
    canvas.page.keyboard.down(" ")
    start = head(canvas, "n1")
    place = under(canvas, *start)
    canvas.drag(start, (start[0] - 40, start[1] + 30))
    canvas.page.keyboard.up(" ")
    assert under(canvas, start[0] - 40, start[1] + 30) == pytest.approx(place)
    at = camera(canvas)
    canvas.page.mouse.wheel(13, 7)
    canvas.frame()
    assert (camera(canvas)["x"], camera(canvas)["y"]) == pytest.approx((at["x"] + 13 / at["zoom"], at["y"] + 7 / at["zoom"]))
    assert canvas.json == chain()


def test_a_box_adds_to_the_selection_and_a_lasso_takes_what_it_goes_around(canvas: Editor) -> None:
    select(canvas, "n5")
    canvas.page.keyboard.down("Shift")
    canvas.drag(on_page(canvas, -80, -90), on_page(canvas, 320, 100))
    canvas.page.keyboard.up("Shift")
    assert selected(canvas) == {"n0", "n1", "n5"}
    canvas.page.mouse.move(*on_page(canvas, 570, -80))
    canvas.page.keyboard.down("Alt")
    canvas.page.mouse.down()
    for point in [(1180, -80), (1180, 220), (570, 220)]:
        canvas.page.mouse.move(*on_page(canvas, *point), steps=4)
    canvas.shot("canvas-lasso")
    canvas.page.mouse.up()
    canvas.page.keyboard.up("Alt")
    assert selected(canvas) == {"n2", "hint"}


def test_what_is_dragged_snaps_to_its_neighbours_unless_alt_is_held(canvas: Editor) -> None:
    start = head(canvas, "n4")
    zoom = camera(canvas)["zoom"]
    canvas.page.mouse.move(*start)
    canvas.page.mouse.down()
    canvas.page.mouse.move(start[0] + 3 * zoom, start[1] + 47 * zoom, steps=4)
    canvas.page.mouse.move(start[0] + 4 * zoom, start[1] + 53 * zoom, steps=2)
    assert canvas.page.locator(".guide.x").is_visible()
    canvas.page.mouse.up()
    assert canvas.place("n4") == [300, 350]
    assert canvas.page.locator(".guide").count() == 0
    start = head(canvas, "n4")
    canvas.page.keyboard.down("Alt")
    canvas.drag(start, (start[0] + 4 * zoom, start[1]))
    canvas.page.keyboard.up("Alt")
    assert canvas.place("n4")[0] == pytest.approx(304, abs=1)


def test_a_drag_at_the_border_takes_the_canvas_along(canvas: Editor) -> None:
    start, before = head(canvas, "n5"), camera(canvas)
    canvas.page.mouse.move(*start)
    canvas.page.mouse.down()
    box = canvas.page.locator(".canvas").bounding_box()
    assert box
    canvas.page.mouse.move(start[0], box["y"] + box["height"] - 4, steps=5)
    canvas.wait("(y) => nodegraph.tabs.current.value.camera.value.y > y + 200", before["y"])
    canvas.page.mouse.up()
    rest = camera(canvas)
    assert canvas.place("n5")[1] > 500
    canvas.frame()
    assert camera(canvas) == rest


def test_a_frame_takes_along_what_lies_in_it(canvas: Editor) -> None:
    start = canvas.middle('[data-thing="frames:0"] > .text')
    zoom = camera(canvas)["zoom"]
    canvas.page.keyboard.down("Alt")
    canvas.drag(start, (start[0] + 50 * zoom, start[1] - 20 * zoom))
    canvas.page.keyboard.up("Alt")
    found = layout(canvas)
    assert found["nodes"]["n0"] == pytest.approx([50, -20], abs=1)
    assert found["nodes"]["n1"] == pytest.approx([350, -20], abs=1)
    assert found["nodes"]["n2"] == [600, 0]
    frame = found["frames"][0]
    assert [frame["x"], frame["y"], frame["title"]] == pytest.approx([20, -80, "Old group"], abs=1)
    canvas.command("edit.undo")
    assert canvas.json == chain()


def test_a_frame_is_made_named_coloured_and_resized_by_keyboard(canvas: Editor) -> None:
    select(canvas, "n3", "n4")
    canvas.page.locator(".canvas").focus()
    canvas.page.keyboard.press("g")
    canvas.page.keyboard.type("Second row")
    canvas.page.keyboard.press("Enter")
    made = layout(canvas)["frames"][1]
    assert made["title"] == "Second row"
    assert made["x"] < 0
    assert made["x"] + made["width"] > 530
    assert canvas.page.evaluate("document.activeElement.dataset.thing") == made["id"]
    canvas.page.keyboard.press("Shift+Alt+ArrowRight")
    canvas.page.evaluate("void nodegraph.commands.run('edit.color')")
    canvas.page.get_by_role("button", name="Green").click()
    after = layout(canvas)["frames"][1]
    assert (after["width"], after["color"]) == (made["width"] + 20, "#4c9f5f")
    canvas.shot("canvas-frames")
    assert canvas.axe() == []
    canvas.page.locator(".canvas").focus()
    canvas.page.keyboard.press("Delete")
    assert [frame["title"] for frame in layout(canvas)["frames"]] == ["Old group"]


def test_a_note_is_written_in_place_and_resized_by_its_corner(canvas: Editor) -> None:
    canvas.page.mouse.dblclick(*canvas.middle('[data-thing="hint"] > .text'))
    canvas.page.keyboard.press("Control+A")
    canvas.page.keyboard.type("Two\nlines")
    canvas.page.keyboard.press("Control+Enter")
    assert layout(canvas)["notes"][0]["text"] == "Two\nlines"
    corner, zoom = canvas.middle('[data-thing="hint"] > .grip'), camera(canvas)["zoom"]
    canvas.drag(corner, (corner[0] + 40 * zoom, corner[1] + 20 * zoom))
    note = layout(canvas)["notes"][0]
    assert (note["width"], note["height"]) == (260, 140)


def test_a_link_gets_corners_that_move_and_go_again(canvas: Editor) -> None:
    at = on_page(canvas, 265, 45)
    point = canvas.page.evaluate(
        """(key) => { const path = nodegraph.canvas.wires.path(key), at = path.getPointAtLength(path.getTotalLength() / 2);
        return [at.x, at.y]; }""",
        "n0.value>n1.a",
    )
    at = on_page(canvas, *point)
    canvas.page.mouse.dblclick(*at)
    assert layout(canvas)["reroutes"]["n0.value>n1.a"] == [pytest.approx(point, abs=1)]
    canvas.drag(at, (at[0], at[1] + 100))
    assert layout(canvas)["reroutes"]["n0.value>n1.a"][0][1] > point[1] + 60
    assert selected(canvas) == {"n0.value>n1.a#0"}
    canvas.page.keyboard.press("Delete")
    assert "n0.value>n1.a" not in layout(canvas)["reroutes"]
    canvas.page.mouse.dblclick(*canvas.middle(f'[data-thing="{LINK}#0"]'))
    assert layout(canvas)["reroutes"][LINK] == [[-60, 260]]
    for _ in range(4):
        canvas.command("edit.undo")
    assert canvas.json == chain()


def test_selected_nodes_are_aligned_and_distributed(canvas: Editor) -> None:
    select(canvas, "n0", "n4", "n2")
    canvas.command("align.left")
    assert [canvas.place(node)[0] for node in ("n0", "n4", "n2")] == [0, 0, 0]
    canvas.command("edit.undo")
    look = """async ([path, boxes, way]) => [...(await import(path)).aligned(new Map(boxes), way)]"""
    boxes = [["a", {"x": 0, "y": 0, "width": 100, "height": 10}], ["b", {"x": 110, "y": 5, "width": 50, "height": 30}],
             ["c", {"x": 300, "y": 9, "width": 100, "height": 20}]]  # fmt: skip
    path = module("model/align.js")
    assert canvas.page.evaluate(look, [path, boxes, "across"]) == [["a", [0, 0]], ["b", [175, 5]], ["c", [300, 9]]]
    assert dict(canvas.page.evaluate(look, [path, boxes, "middle"])) == {"a": [0, 12.5], "b": [110, 2.5], "c": [300, 7.5]}


def test_a_node_is_renamed_widened_and_collapsed(canvas: Editor) -> None:
    canvas.page.mouse.dblclick(*canvas.middle('[data-node="n1"] .node-title'))
    canvas.page.keyboard.type("Twice")
    canvas.page.keyboard.press("Enter")
    assert layout(canvas)["titles"] == {"n1": "Twice"}
    canvas.page.keyboard.press("F2")
    canvas.page.keyboard.type("Never")
    canvas.page.keyboard.press("Escape")
    assert layout(canvas)["titles"] == {"n1": "Twice"}
    grip, zoom = canvas.middle('[data-node="n1"] .grip'), camera(canvas)["zoom"]
    canvas.drag((grip[0], grip[1] + 50 * zoom), (grip[0] + 60 * zoom, grip[1] + 50 * zoom))
    assert layout(canvas)["widths"] == {"n1": 290}
    canvas.command("node.collapse")
    assert layout(canvas)["collapsed"] == ["n1"]
    assert canvas.page.locator('[data-node="n1"] [data-socket]').count() == 2


def test_frames_notes_and_corners_are_reached_by_keyboard(canvas: Editor) -> None:
    canvas.page.locator(".canvas").focus()
    reached = []
    for _ in range(4):
        canvas.page.keyboard.press(".")
        reached.append(canvas.page.evaluate("document.activeElement.dataset.thing"))
    assert reached == ["frames:0", "hint", f"{LINK}#0", f"{LINK}#1"]
    canvas.page.keyboard.press("Delete")
    assert layout(canvas)["reroutes"] == {LINK: [[860, 250]]}
    canvas.page.keyboard.press(".")
    canvas.page.keyboard.press("Alt+ArrowRight")
    assert layout(canvas)["frames"][0]["x"] > -30
    assert canvas.place("n0")[0] > 0, "what lies in a frame goes along"


def test_the_minimap_moves_the_camera_and_can_be_put_away(canvas: Editor) -> None:
    canvas.page.evaluate("nodegraph.tabs.current.value.camera.value = {x: 0, y: 0, zoom: 1}")
    canvas.frame()
    box = canvas.page.locator(".minimap").bounding_box()
    assert box
    canvas.page.mouse.click(box["x"] + box["width"] - 10, box["y"] + 20)
    assert camera(canvas)["x"] > 100
    canvas.command("view.minimap")
    canvas.wait("!document.querySelector('.minimap')")
    canvas.command("view.minimap")


def test_everything_works_in_the_far_view_as_well(canvas: Editor) -> None:
    canvas.page.evaluate("nodegraph.canvas.zoom(0.2)")
    canvas.frame()
    assert canvas.page.evaluate("nodegraph.canvas.isFar")
    canvas.page.mouse.move(*on_page(canvas, 650, 60))
    assert canvas.page.locator(".far-hover").inner_text() == "Calculate"
    canvas.shot("canvas-far")
    canvas.drag(on_page(canvas, 650, 60), on_page(canvas, 650, 760))
    assert canvas.place("n2")[1] == pytest.approx(700, abs=20)
    assert selected(canvas) == {"n2"}
    canvas.page.evaluate("nodegraph.canvas.zoom(1.2)")
    canvas.frame()
    assert canvas.page.evaluate("nodegraph.canvas.isFar"), "a little closer is not near: nothing flickers at the border"
    canvas.page.evaluate("nodegraph.canvas.zoom(2)")
    canvas.wait("document.querySelectorAll('[data-node]').length > 0 && !nodegraph.canvas.isFar")


def test_two_fingers_zoom_around_their_middle_and_one_pans(new_editor: Any) -> None:
    phone = new_editor("phone").start()
    phone.open(chain())
    phone.page.evaluate("nodegraph.view.value = 'graph'")
    phone.wait("nodegraph.canvas !== null")
    phone.fit()
    box = phone.page.locator(".canvas").bounding_box()
    assert box
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] - 120
    touch = phone.page.context.new_cdp_session(phone.page)

    def send(kind: str, *points: tuple[float, float]) -> None:
        rows = [{"x": px, "y": py, "id": i} for i, (px, py) in enumerate(points)]
        touch.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": rows})

    before, zoom = under(phone, x, y), camera(phone)["zoom"]
    send("touchStart", (x - 40, y))
    send("touchStart", (x - 40, y), (x + 40, y))
    for step in range(1, 9):
        send("touchMove", (x - 40 - 5 * step, y), (x + 40 + 5 * step, y))
    send("touchEnd")
    phone.wait("(zoom) => nodegraph.tabs.current.value.camera.value.zoom > zoom * 1.9", zoom)
    assert under(phone, x, y) == pytest.approx(before, abs=0.5)
    before = under(phone, x, y)
    send("touchStart", (x, y))
    send("touchMove", (x + 20, y))
    send("touchMove", (x + 60, y + 30))
    send("touchEnd")
    phone.wait(
        "([x, y, wx]) => Math.abs(nodegraph.canvas.pointAt({clientX: x, clientY: y})[0] - wx) < 0.5",
        [x + 60, y + 30, before[0]],
    )
    phone.shot("canvas-phone")
    assert phone.json == chain()
    phone.no_complaints()

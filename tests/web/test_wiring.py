"""Links: what fits, what is refused and why, and how nodes get into and out of links."""

from __future__ import annotations

import json
from typing import Any

import pytest

from nodegraph.graph import Catalog, compile_document, parse_document
from nodegraph.sdk.pack import installed_packs, load_pack
from web.browser import Editor, module

pytestmark = pytest.mark.slow

UNDO = "nodegraph.tabs.current.value.store.history.value.undo.length"
IMAGES: dict[str, Any] = {
    "nodegraph": 1,
    "id": "images",
    "title": "Images",
    "nodes": {
        "load": {"type": "image/load_image"},
        "size": {"type": "image/resize_image", "inputs": {"width": 64}, "links": {"image": "load.image"}},
        "save": {"type": "image/save_image", "links": {"image": "size.image"}},
        "grid": {"type": "image/image_grid", "links": {"images": "load.image"}},
        "invert": {"type": "mask/invert_mask"},
        "spare": {"type": "image/adjust_curve"},
        "list": {"type": "core/make_list", "links": {"items": ["load.image", "size.image", "grid.image"]}},
    },
    "layout": {
        "nodes": {
            "load": [0, 0], "size": [360, 0], "save": [760, 0], "grid": [360, 300],
            "invert": [0, 300], "spare": [0, 520], "list": [760, 420],
        }
    },
}  # fmt: skip


@pytest.fixture
def images(editor: Editor) -> Editor:
    editor.open(IMAGES)
    return editor


def links(editor: Editor, node: str) -> dict[str, Any]:
    return dict(editor.nodes[node].get("links", {}))


def choose(editor: Editor, title: str) -> None:
    """Choose an item of the menu at the pointer."""
    editor.page.locator("[role=menuitem]", has_text=title).first.click()


def between(editor: Editor, output: str, input_: str) -> tuple[float, float]:
    (ax, ay), (bx, by) = editor.socket(output, "output"), editor.socket(input_, "input")
    return (ax + bx) / 2, (ay + by) / 2


def test_only_sockets_that_fit_light_up_while_a_link_is_in_the_hand(images: Editor) -> None:
    page = images.page
    page.mouse.move(*images.socket("invert.mask", "output"))
    page.mouse.down()
    page.mouse.move(*images.socket("save.image", "input"), steps=4)
    lit = page.evaluate(
        "[...document.querySelectorAll('.canvas .socket.fits')].map((one) => `${one.dataset.of}.${one.dataset.socket}`)"
    )
    assert lit
    assert not {"save.image", "size.image", "invert.mask"} & set(lit)
    assert "does not fit" in page.locator(".hint:not(:empty)").inner_text()
    page.keyboard.press("Escape")
    page.mouse.up()


REFUSED = [
    ("invert.mask", "output", "size.image", "output", "Both are outputs"),
    ("size.image", "input", "spare.image", "input", "Both are inputs"),
    ("invert.mask", "output", "save.image", "input", "Mask does not fit into Image, which takes Image."),
    ("size.image", "output", "size.image", "input", "cannot be linked to itself"),
    ("list.items", "output", "list.items", "input", "cannot be linked to itself"),
]


@pytest.mark.parametrize(("start", "side", "end", "other", "reason"), REFUSED)
def test_a_refused_link_says_why(images: Editor, start: str, side: str, end: str, other: str, reason: str) -> None:
    if start == "size.image" and side == "input":
        images.page.evaluate(
            "nodegraph.tabs.edit('x', (g) => ({...g, nodes: {...g.nodes, size: {type: 'image/resize_image'}}}))"
        )
        images.frame()
    before = images.json
    images.drag(images.socket(start, side), images.socket(end, other))
    assert reason in images.page.locator(".toast.error").last.inner_text()
    assert images.json == before


def test_a_link_that_would_close_a_circle_is_refused(images: Editor) -> None:
    images.drag(images.socket("size.image", "output"), images.socket("load.path", "input"))
    assert "does not fit" in images.page.locator(".toast.error").last.inner_text()
    found = images.page.evaluate(
        """async (where) => {
          const { mayConnect } = await import(where);
          const nodes = { a: { type: "core/text" }, b: { type: "core/text", links: { value: "a.text" } } };
          const json = { nodegraph: 1, nodes };
          const ends = [{ node: "b", socket: "text", side: "output" }, { node: "a", socket: "value", side: "input" }];
          const why = (from) => mayConnect(nodegraph.catalog.value, json, "", from, ends[1]).reason;
          return [why(ends[0]), why({ node: "c", socket: "x", side: "output" })];
        }""",
        module("model/connect.js"),
    )
    assert found == ["That would close a circle: b already depends on a.", "One end of this link is no longer there."]


def test_a_link_dropped_on_a_node_takes_its_best_socket_and_a_node_without_one_says_so(images: Editor) -> None:
    images.drag(images.socket("load.image", "output"), images.middle('[data-node="spare"] .node-head'))
    assert links(images, "spare") == {"image": "load.image"}
    images.drag(images.socket("invert.mask", "output"), images.middle('[data-node="size"] .node-head'))
    assert images.page.locator(".toast.error").last.inner_text() == "Resize image has no socket that fits Mask."


def test_dropping_on_an_occupied_input_replaces_its_link_in_one_step(images: Editor) -> None:
    images.wire("load.image", "save.image")
    assert links(images, "save") == {"image": "load.image"}
    assert images.page.evaluate(UNDO) == 1
    images.command("edit.undo")
    assert links(images, "save") == {"image": "size.image"}


def test_a_link_is_broken_by_pulling_it_off_and_repaired_by_putting_it_back(images: Editor) -> None:
    x, y = images.socket("save.image", "input")
    images.drag((x, y), (x - 40, y + 220))
    assert links(images, "save") == {}
    images.wire("size.image", "save.image")
    assert links(images, "save") == {"image": "size.image"}


def test_a_link_dropped_on_empty_space_offers_what_fits_and_links_it(images: Editor) -> None:
    page = images.page
    x, y = images.socket("invert.mask", "output")
    images.drag((x, y), (x + 60, y + 330))
    page.wait_for_selector(".pick")
    titles = page.locator(".pick .name").all_inner_texts()
    assert any(title.startswith("Feather mask") for title in titles)
    assert not any(title.startswith("Encode prompt") for title in titles)
    first = {title: place for place, title in enumerate(title.split("\n")[0].rsplit(" ", 1)[0] for title in titles)}
    assert first["Feather mask"] < first["Ask"], "what takes anything comes after what takes this"
    page.keyboard.type("feather")
    page.keyboard.press("Enter")
    images.wait("'feather_mask' in nodegraph.tabs.current.value.graph.value.nodes")
    assert links(images, "feather_mask") == {"mask": "invert.mask"}
    assert images.page.evaluate(UNDO) == 1


def test_two_taps_connect_two_sockets(images: Editor) -> None:
    page = images.page
    page.mouse.click(*images.socket("load.image", "output"))
    assert "choose the other socket" in page.locator(".hint:not(:empty)").inner_text()
    page.mouse.click(*images.socket("spare.image", "input"))
    assert links(images, "spare") == {"image": "load.image"}
    assert page.locator(".canvas.wiring").count() == 0


def test_a_node_is_inserted_by_dragging_it_onto_a_link(images: Editor) -> None:
    images.drag(images.middle('[data-node="spare"] .node-head'), between(images, "size.image", "save.image"))
    assert links(images, "spare") == {"image": "size.image"}
    assert links(images, "save") == {"image": "spare.image"}
    images.command("edit.undo")
    assert links(images, "save") == {"image": "size.image"}
    assert images.place("spare") == [0, 520]


def test_the_menu_of_a_link_tells_its_type_and_inserts_a_node(images: Editor) -> None:
    page = images.page
    where = between(images, "size.image", "save.image")
    page.mouse.move(*where)
    assert page.locator(".hint:not(:empty)").inner_text() == "Image: size → save"
    page.mouse.click(*where, button="right")
    assert page.locator("dialog.at p").first.inner_text() == "Image · size.image → save.image"
    assert images.axe("dialog[open]") == []
    images.shot("menu-of-a-link")
    choose(images, "Insert a node")
    page.keyboard.type("adjust")
    page.keyboard.press("Enter")
    images.wait("'adjust_curve' in nodegraph.tabs.current.value.graph.value.nodes")
    assert links(images, "adjust_curve") == {"image": "size.image"}
    assert links(images, "save") == {"image": "adjust_curve.image"}
    images.command("edit.undo")
    page.mouse.click(*where, button="right")
    choose(images, "Add a dot")
    assert list(images.json["layout"]["reroutes"]) == ["size.image>save.image"]
    images.command("edit.undo")
    page.mouse.click(*where, button="right")
    choose(images, "Disconnect")
    assert links(images, "save") == {}


def test_links_of_an_input_that_takes_several_are_reordered(images: Editor) -> None:
    images.command(
        "link.earlier",
        {"edge": {"target": "list", "input": "items", "source": "grid", "output": "image", "index": 2, "key": ""}},
    )
    assert links(images, "list") == {"items": ["load.image", "grid.image", "size.image"]}


def test_switching_a_node_off_says_what_becomes_of_its_readers(images: Editor) -> None:
    page = images.page
    page.mouse.click(*images.middle('[data-node="size"] .node-head'), button="right")
    item = page.locator("[role=menuitem]", has_text="Switch off or on")
    assert "hands load.image on as image" in item.inner_text()
    item.click()
    assert images.nodes["size"]["disabled"] is True
    assert "off" in page.locator('[data-node="size"] .node-head').inner_text()
    page.locator('[data-node="load"]').focus()
    page.keyboard.press("Shift+F10")
    about = page.locator("[role=menuitem]", has_text="Switch off or on").inner_text()
    assert "then also off: " in about
    assert "save" in about


def test_the_rule_for_what_is_off_is_the_servers(images: Editor) -> None:
    catalog = Catalog.of(load_pack(installed_packs()[name]) for name in ("core", "image", "mask"))
    look = """async ([where, json, id]) => {
      const { offWith } = await import(where);
      return offWith(nodegraph.catalog.value, json, json, id);
    }"""
    nodes = {**IMAGES["nodes"], "load": {"type": "image/load_image", "inputs": {"path": "a.png"}}}
    nodes |= {
        "invert": {"type": "mask/invert_mask", "links": {"mask": "load.mask"}},
        "spare": {"type": "image/adjust_curve", "links": {"image": "load.image"}},
    }
    nodes |= {
        "show": {"type": "core/show_text", "inputs": {"text": "always on"}},
        "last": {"type": "core/show_text", "inputs": {"text": "too"}},
    }
    for name in nodes:
        document = {**IMAGES, "nodes": {**nodes, name: {**nodes[name], "disabled": True}}}
        off = set(compile_document(parse_document(json.dumps(document)), catalog).disabled)
        assert {name, *images.page.evaluate(look, [module("model/rewire.js"), document, name])} == off, name


def test_removing_a_node_closes_the_gap(images: Editor) -> None:
    images.page.locator('[data-node="size"]').focus()
    images.page.keyboard.press("Control+Delete")
    assert "size" not in images.nodes
    assert links(images, "save") == {"image": "load.image"}
    assert images.page.evaluate(UNDO) == 1


def test_swapping_a_node_keeps_what_fits_and_says_what_is_lost(images: Editor) -> None:
    page = images.page
    images.page.locator('[data-node="size"]').focus()
    images.page.evaluate("void nodegraph.commands.run('node.swap')")
    page.keyboard.type("adjust")
    row = page.locator("[role=option]", has_text="Adjust curve")
    assert "loses Width" in row.inner_text()
    row.click()
    node = images.nodes["size"]
    assert node["type"] == "image/adjust_curve"
    assert node["links"] == {"image": "load.image"}
    assert "inputs" not in node
    assert links(images, "save") == {"image": "size.image"}
    images.command("edit.undo")
    assert images.nodes["size"]["inputs"] == {"width": 64}


def test_another_id_is_checked_and_links_follow(images: Editor) -> None:
    page = images.page
    page.locator('[data-node="size"]').focus()
    page.keyboard.press("Shift+F2")
    for wish, said in (("9 lives", "begins with a letter"), ("save", "a node save already")):
        page.fill("dialog input", wish)
        page.keyboard.press("Enter")
        images.wait("(said) => document.querySelector('.toasts').textContent.includes(said)", said)
        page.wait_for_selector("dialog input")
    page.fill("dialog input", "smaller")
    page.keyboard.press("Enter")
    images.wait("'smaller' in nodegraph.tabs.current.value.graph.value.nodes")
    assert links(images, "save") == {"image": "smaller.image"}


def test_a_finger_taps_two_sockets_and_a_long_touch_opens_the_menu(new_editor: Any) -> None:
    made = new_editor("phone").start()
    made.command("view.graph")
    made.page.evaluate("nodegraph.view.value = 'graph'")
    made.open(
        {
            **IMAGES,
            "nodes": {name: IMAGES["nodes"][name] for name in ("load", "spare")},
            "layout": {"nodes": {"load": [0, 0], "spare": [0, 320]}},
        }
    )
    made.page.touchscreen.tap(*made.socket("load.image", "output"))
    made.page.touchscreen.tap(*made.socket("spare.image", "input"))
    assert links(made, "spare") == {"image": "load.image"}
    made.shot("phone-wiring")

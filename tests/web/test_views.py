"""Views: what nodes give is shown as their types declare it, on the node and in the viewer."""

from __future__ import annotations

from typing import Any

import pytest

from web.browser import Editor, module

pytestmark = pytest.mark.slow

WORKFLOW: dict[str, Any] = {
    "nodegraph": 1,
    "id": "views",
    "nodes": {
        "text": {"type": "core/show_text", "inputs": {"text": "plain <b>words</b>"}},
        "table": {"type": "core/show_table", "inputs": {"table": {"columns": ["a", "b"], "rows": [[1, "x"], [2.5, None]]}}},
        "plot": {"type": "core/plot_numbers", "inputs": {"numbers": [1.0, 4.0, 2.0], "title": "Peak"}},
    },
    "layout": {"nodes": {"text": [0, 0], "table": [300, 0], "plot": [600, 0]}},
}


def test_text_tables_and_plots_are_shown_on_their_nodes(editor: Editor) -> None:
    editor.open(WORKFLOW)
    assert editor.run()["state"] == "succeeded"
    editor.wait("document.querySelector('[data-node=plot] .plot path')")
    assert editor.page.locator("[data-node=text] .value").text_content() == "plain <b>words</b>"
    cells = editor.page.locator("[data-node=table] td")
    assert cells.all_text_contents() == ["1", "x", "2.5", ""]
    assert editor.page.locator("[data-node=plot] svg").get_attribute("aria-label") == "Peak. : 3 points from 1 to 4"
    editor.shot("views-on-nodes")
    editor.command("viewer.open", {"job": editor.job()["id"], "index": 1})  # type: ignore[index]
    editor.wait("document.querySelector('.viewer .outputs')")
    assert editor.axe(".viewer") == []


def test_gaps_and_logarithmic_axes_are_drawn(editor: Editor) -> None:
    """1, 10 and 100 lie evenly on a logarithmic axis; null begins a new line."""
    drawn = editor.page.evaluate(
        """async (where) => {
          const [{ Plot }, { render, html }] = await Promise.all([import(where), import("/app/src/html.js")]);
          const place = document.body.appendChild(document.createElement("div"));
          const draw = (plot) => {
            render(html`<${Plot} plot=${plot} />`, place);
            return place.querySelector("path").getAttribute("d");
          };
          const gap = draw({ series: [{ y: [1, 2, null, 3, 4] }] });
          const log = draw({ y: { scale: "log" }, series: [{ y: [1, 10, 100] }] });
          render(null, place);
          return { gap, log };
        }""",
        module("views/plot.js"),
    )
    assert drawn["gap"].count("M") == 2
    heights = [float(part.split()[1]) for part in drawn["log"].replace("M", "").split("L")]
    assert heights[0] - heights[1] == pytest.approx(heights[1] - heights[2])


def test_a_view_of_a_list_takes_a_row_for_each_item_or_one_for_all(editor: Editor) -> None:
    shown = editor.page.evaluate(
        """async (where) => {
          const [{ Output }, { render, html }] = await Promise.all([import(where), import("/app/src/html.js")]);
          const place = document.body.appendChild(document.createElement("div"));
          const texts = (rows) => {
            render(html`<${Output} rows=${rows} view="text" />`, place);
            return [...place.querySelectorAll("pre")].map((one) => one.textContent);
          };
          const both = [texts([{ value: "a" }, { value: "b" }]), texts([{ value: ["a", "b"] }])];
          render(null, place);
          return both;
        }""",
        module("views/output.js"),
    )
    assert shown == [["a", "b"], ["a", "b"]]


def test_pictures_are_compared_shown_side_by_side_on_their_nodes(editor: Editor) -> None:
    editor.open("text_to_image")
    json = editor.json
    nodes = {name: node for name, node in json["nodes"].items() if name != "save"}
    for name, type_, links in (
        ("compare", "image/compare_images", {"before": "decode.image", "after": "decode.image"}),
        ("images", "image/show_images", {"images": "decode.image"}),
    ):
        nodes[name] = {"type": type_, "links": links}
    nodes["schedule"]["inputs"]["steps"] = nodes["denoise"]["inputs"]["steps"] = 2
    layout = {"nodes": {**json["layout"]["nodes"], "compare": [1740, 0], "images": [1740, 300]}}
    editor.open({"nodegraph": 1, "id": "shown", "nodes": nodes, "layout": layout})
    assert editor.run()["state"] == "succeeded", editor.job()
    names = editor.page.evaluate("Object.keys(nodegraph.runs.get(nodegraph.tabs.current.value.job.value).outputs.value)")
    assert sorted(names) == ["compare.after", "compare.before", "images"]
    editor.page.evaluate("nodegraph.canvas.fit(['compare', 'images'])")
    editor.wait("document.querySelectorAll('[data-node=compare] .compare img').length === 2")
    editor.wait("document.querySelector('[data-node=images] .outputs .picture img')")
    editor.shot("views-of-pictures")

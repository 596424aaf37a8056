"""Links through nodes of ComfyUI's editor, around bypassed ones, and what muted ones take with them."""

from __future__ import annotations

from typing import Any

import pytest

from importing.comfy import catalog, document, imported, node, picture, row, ui
from nodegraph.graph import validate


def through(*between: dict[str, Any], last: tuple[int, int]) -> list[dict[str, Any]]:
    """The default workflow whose decoder reads `last`."""
    nodes = picture()
    nodes[5]["inputs"][0]["link"] = last
    return [*nodes, *between]


@pytest.mark.parametrize(
    "between",
    [
        [node(50, "Reroute", None, {"": (3, 0)})],
        [node(51, "Reroute", None, {"": (3, 0)}), node(50, "Reroute", None, {"": (51, 0)})],
        [node(49, "SetNode", ["x"], {"LATENT": (3, 0)}), node(50, "GetNode", ["x"])],
    ],
)
def test_links_lead_through_nodes_of_the_editor(between: list[dict[str, Any]]) -> None:
    found = imported(ui(*through(*between, last=(50, 0))))
    assert found.document.nodes["decode"].links["latent"] == "denoise.latent"
    assert validate(found.document, catalog()) == []


@pytest.mark.parametrize(
    "between",
    [
        [node(50, "Reroute", None, {"": (51, 0)}), node(51, "Reroute", None, {"": (50, 0)})],
        [node(50, "GetNode", ["nobody"])],
        [node(50, "Reroute")],
    ],
)
def test_those_that_lead_nowhere_leave_no_link(between: list[dict[str, Any]]) -> None:
    assert "latent" not in document(*through(*between, last=(50, 0))).nodes["decode"].links


def test_a_primitive_node_sets_what_it_is_linked_to_as_one_input() -> None:
    nodes = picture()
    for entry, name in ((nodes[4], "steps"), (nodes[4], "seed")):
        entry["inputs"].append(
            {"name": name, "type": "INT", "widget": {"name": name}, "link": (60, 0) if name == "steps" else None}
        )
    found = document(*nodes, node(60, "PrimitiveNode", [12, "fixed"]))
    assert found.nodes["schedule"].inputs["steps"] == found.nodes["denoise"].inputs["steps"] == 12
    assert found.interface.inputs["steps"].to == ["schedule.steps", "denoise.steps"]


def test_a_primitive_of_the_core_stays_a_node_that_the_interface_sets() -> None:
    nodes = picture()
    nodes[4]["inputs"].append({"name": "seed", "type": "INT", "widget": {"name": "seed"}, "link": (60, 0)})
    found = imported(ui(*nodes, node(60, "PrimitiveInt", [2**40 + 3, "fixed"])))
    assert found.document.nodes["noise"].links["seed"] == "integer.value"
    assert found.document.nodes["integer"].inputs["value"] == 3
    assert found.document.interface.inputs["seed"].to == ["integer.value"]
    assert validate(found.document, catalog()) == []
    assert "1099511627779" in row(found, 60).notes[0]


def lora(mode: int) -> list[dict[str, Any]]:
    nodes = picture()
    nodes[4]["inputs"][0]["link"] = (10, 0)
    nodes[1]["inputs"][0]["link"] = (10, 1)
    return [*nodes, node(10, "LoraLoaderBypass", ["a.safetensors", 1, 1], {"model": (4, 0), "clip": (4, 1)}, mode=mode)]


def test_what_a_bypassed_node_reads_goes_around_it() -> None:
    found = imported(ui(*lora(4)))
    assert found.document.nodes["lora_loader_bypass"].disabled
    assert found.document.nodes["denoise"].links["denoiser"] == "model.denoiser"
    assert found.document.nodes["positive"].links["encoder"] == "model.text_encoder"
    assert validate(found.document, catalog()) == []
    assert "bypassed" in row(found, 10).notes[0]


def test_a_bypass_that_ours_does_alike_keeps_its_links() -> None:
    nodes = [
        node(1, "LoadImage", ["a.png", "image"]),
        node(2, "ImageScale", ["area", 32, 32, "disabled"], {"image": (1, 0)}, mode=4),
        node(3, "SaveImage", ["x"], {"images": (2, 0)}),
    ]
    found = document(*nodes)
    assert found.nodes["resize"].disabled
    assert found.nodes["save"].links["image"] == "resize.image"


def test_a_bypassed_sampler_passes_its_latent_as_in_comfyui() -> None:
    """Our denoise has no latent to pass: the link has to go around."""
    nodes = [
        node(4, "CheckpointLoaderSimple", ["starter"]),
        node(1, "LoadImage", ["a.png", "image"]),
        node(2, "VAEEncode", None, {"pixels": (1, 0), "vae": (4, 2)}),
        node(6, "CLIPTextEncode", ["a"], {"clip": (4, 1)}),
        node(3, "KSampler", [7, "fixed", 20, 8, "euler", "normal", 1],
             {"model": (4, 0), "positive": (6, 0), "negative": (6, 0), "latent_image": (2, 0)}, mode=4),
        node(8, "VAEDecode", None, {"samples": (3, 0), "vae": (4, 2)}),
        node(9, "SaveImage", ["x"], {"images": (8, 0)}),
    ]  # fmt: skip
    found = document(*nodes)
    assert found.nodes["decode"].links["latent"] == "encode.latent"
    assert all(found.nodes[name].disabled for name in ("noise", "begin", "guidance", "schedule", "denoise"))
    assert list(found.interface.inputs) == ["prompt", "image", "model"]
    assert validate(found, catalog()) == []


def test_what_needs_a_muted_node_does_not_run_even_where_ours_would_pass_something_through() -> None:
    nodes = [
        node(1, "LoadImage", ["a.png", "image"]),
        node(2, "ImageScale", ["area", 32, 32, "disabled"], {"image": (1, 0)}, mode=2),
        node(3, "SaveImage", ["scaled"], {"images": (2, 0)}),
        node(4, "SaveImage", ["whole"], {"images": (1, 0)}),
    ]
    found = imported(ui(*nodes))
    off = {entry.inputs.get("name", name) for name, entry in found.document.nodes.items() if entry.disabled}
    assert off == {"resize", "scaled-{digest}"}
    (output,) = found.document.interface.outputs.values()
    assert found.document.nodes[output.split(".")[0]].inputs["name"] == "whole-{digest}"
    assert "node 2" in row(found, 3).notes[0]


def test_an_optional_input_does_without_a_muted_node() -> None:
    reader = node(3, "Mystery", [1], {"image": (1, 0)})
    reader["inputs"][0]["shape"] = 7
    found = imported(ui(node(1, "LoadImage", ["a.png", "image"], mode=2), reader))
    assert not found.document.nodes["mystery"].disabled
    assert found.document.nodes["mystery"].links == {}
    assert any("left out" in note for note in row(found, 3).notes)


def test_previews_are_outputs_and_pass_on_what_they_show() -> None:
    nodes = [
        node(1, "LoadImage", ["a.png", "image"]),
        node(2, "PreviewImage", None, {"images": (1, 0)}, outputs=[{"name": "images", "type": "IMAGE"}]),
        node(3, "SaveImage", ["x"], {"images": (2, 0)}),
    ]
    found = document(*nodes)
    assert found.interface.outputs == {"image": "save.file", "preview": "image.image"}
    assert found.nodes["save"].links["image"] == "image.image"


def test_a_circle_of_links_is_kept_for_checking_to_find() -> None:
    found = document(
        node(1, "ImageScale", ["area", 32, 32, "disabled"], {"image": (2, 0)}),
        node(2, "ImageScale", ["area", 32, 32, "disabled"], {"image": (1, 0)}),
    )
    assert "cycle" in {problem.code for problem in validate(found, catalog())}


def test_what_the_author_put_into_app_mode_comes_first() -> None:
    found = document(
        *picture(), extra={"linearData": {"inputs": [["3", "cfg"], ["9", "nothing"], ["6", "text"]], "outputs": []}}
    )
    assert list(found.interface.inputs)[:3] == ["guidance_scale", "prompt", "negative_prompt"]

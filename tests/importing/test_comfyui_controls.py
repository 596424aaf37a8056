"""ComfyUI's control networks, which it hangs on prompts, become controls on the guidance."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import pytest

from importing.comfy import API, catalog, imported, node, picture, row, ui
from nodegraph.graph import validate
from nodegraph.importing import Imported

LOAD = node(20, "ControlNetLoader", ["sd15\\canny.safetensors"])
IMAGE = node(21, "LoadImage", ["apple.png", "image"])
EDGES = node(22, "Canny", [0.3, 0.7], {"image": (21, 0)})


def apply(id: int, positive: tuple[int, int], negative: tuple[int, int], values: Any = (0.8, 0.1, 0.9), **more: Any) -> Any:
    links = {"positive": positive, "negative": negative, "control_net": (20, 0), "image": (22, 0), **more}
    return node(id, "ControlNetApplyAdvanced", list(values), links)


def sampled(positive: tuple[int, int], negative: tuple[int, int], *more: dict[str, Any]) -> Imported:
    nodes = picture()
    nodes[4]["inputs"][1]["link"], nodes[4]["inputs"][2]["link"] = positive, negative
    return imported(ui(*nodes, *deepcopy([LOAD, IMAGE, EDGES]), *more))  # ui writes into them


def controls(found: Imported) -> list[str]:
    return [name for name, entry in found.document.nodes.items() if entry.type == "diffusion/apply_control"]


def test_a_control_network_is_put_on_the_guidance_and_the_prompts_go_around_it() -> None:
    found = sampled((23, 0), (23, 1), apply(23, (6, 0), (7, 0)))
    assert not found.report.placeholders
    assert validate(found.document, catalog()) == []
    nodes = found.document.nodes
    assert nodes["controlnet"].inputs == {"model": "sd15/canny.safetensors"}
    assert nodes["edges"].inputs == {"low": 0.3, "high": 0.7}
    assert nodes["control"].inputs == {"strength": 0.8, "start": 0.1, "end": 0.9}
    assert nodes["control"].links == {
        "guidance": "guidance.guidance",
        "controlnet": "controlnet.controlnet",
        "image": "edges.image",
    }
    assert nodes["guidance"].links == {"positive": "positive.conditioning", "negative": "negative.conditioning"}
    assert nodes["denoise"].links["guidance"] == "control.guidance"
    assert row(found, 23).reason == "part of denoise"
    assert "share of the steps" in " ".join(row(found, 3).notes)
    assert found.document.interface.inputs["control_strength"].to == ["control.strength"]


def test_several_stand_in_the_order_in_which_they_were_applied() -> None:
    found = sampled((24, 0), (24, 1), apply(23, (6, 0), (7, 0), (0.5, 0, 1)), apply(24, (23, 0), (23, 1), (0.9, 0, 1)))
    nodes = found.document.nodes
    assert validate(found.document, catalog()) == []
    first, second = sorted(controls(found), key=lambda name: nodes[name].inputs["strength"])
    assert nodes[first].links["guidance"] == "guidance.guidance"
    assert nodes[second].links["guidance"] == f"{first}.guidance"
    assert nodes["denoise"].links["guidance"] == f"{second}.guidance"
    assert not row(found, 3).notes  # of all steps: nothing differs


def test_the_older_node_counts_for_both_prompts_in_comfyui_and_so_it_does_here() -> None:
    older = node(23, "ControlNetApply", [0.6], {"conditioning": (6, 0), "control_net": (20, 0), "image": (22, 0)})
    found = sampled((23, 0), (7, 0), older)
    assert validate(found.document, catalog()) == []
    assert found.document.nodes["control"].inputs == {"strength": 0.6}
    assert "balance" not in found.document.nodes["control"].inputs


def test_a_bypassed_control_network_is_gone_around() -> None:
    found = sampled((23, 0), (23, 1), apply(23, (6, 0), (7, 0)) | {"mode": 4})
    assert found.document.nodes["denoise"].links["guidance"] == "guidance.guidance"
    assert found.document.nodes["guidance"].links["negative"] == "negative.conditioning"


@pytest.mark.parametrize(
    ("positive", "negative", "more", "words"),
    [
        ((23, 0), (7, 0), {}, "different control networks"),
        ((23, 1), (23, 0), {}, "other way round"),
        ((23, 0), (23, 1), {"vae": (4, 2)}, "reads latents"),
    ],
)
def test_what_cannot_be_said_here_stays_as_it_was(positive: Any, negative: Any, more: Any, words: str) -> None:
    found = sampled(positive, negative, apply(23, (6, 0), (7, 0), **more))
    assert row(found, 3).fate == row(found, 23).fate == "placeholder"
    assert words in row(found, 3).reason
    assert not controls(found)


def test_the_api_format_gives_the_same() -> None:
    data = {name: dict(entry, inputs=dict(entry["inputs"])) for name, entry in API.items()}
    data |= {
        "20": {"class_type": "ControlNetLoader", "inputs": {"control_net_name": "canny.safetensors"}},
        "21": {"class_type": "LoadImage", "inputs": {"image": "apple.png"}},
        "23": {
            "class_type": "ControlNetApplyAdvanced",
            "inputs": {
                "positive": ["6", 0],
                "negative": ["7", 0],
                "control_net": ["20", 0],
                "image": ["21", 0],
                "strength": 1.0,
                "start_percent": 0.0,
                "end_percent": 1.0,
            },
        },
    }
    data["3"]["inputs"] |= {"positive": ["23", 0], "negative": ["23", 1]}
    found = imported(data)
    assert not found.report.placeholders
    assert found.document.nodes["denoise"].links["guidance"] == "control.guidance"

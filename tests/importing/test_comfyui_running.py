"""Imported workflows run for real with the bundled model, and compute what ComfyUI's settings say."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from PIL import Image as Pillow

import nodegraph
from importing.comfy import API, imported, node, picture, ui
from nodegraph.api.paths import shipped
from nodegraph.graph import save_document


def run(data: object, tmp_path: Path, **inputs: object) -> nodegraph.Result:
    save_document(imported(data).document, tmp_path / "imported.json")
    with nodegraph.Session() as session:
        return nodegraph.load(tmp_path / "imported.json", session, trust=True).run(**inputs)


@pytest.mark.slow
def test_an_imported_text_to_image_makes_the_picture_of_the_shipped_workflow(tmp_path: Path) -> None:
    """The same model, seed and settings: the same pixels, whichever way the nodes were wired."""
    settings = (7, "fixed", 4, 4.0, "euler", "normal", 1.0)
    nodes = picture(sampler=settings)
    nodes[2]["widgets_values"] = [""]
    nodes[3]["widgets_values"] = [64, 64, 1]
    made = run(ui(*nodes), tmp_path)["image"]
    with nodegraph.Session() as session:
        shipped_one = nodegraph.load(shipped("workflows") / "text_to_image.json", session)
        wanted = shipped_one.run(prompt="a red apple", negative_prompt="", seed=7, steps=4, guidance_scale=4.0)["image"]
    assert pixels(made) == pixels(wanted)


@pytest.mark.slow
def test_a_batch_and_the_api_format_run_too(tmp_path: Path) -> None:
    batch = picture(sampler=(7, "fixed", 2, 4.0, "dpmpp_2m", "karras", 1.0))
    batch[3]["widgets_values"] = [64, 64, 3]
    assert len({pixels(item) for item in run(ui(*batch), tmp_path)["image"]}) == 3
    assert pixels(run(API, tmp_path, steps=2)["image"])


@pytest.mark.slow
@pytest.mark.parametrize(("steps", "denoise", "whole", "first"), [(3, 0.75, 4, 1), (2, 0.3, 6, 4), (3, 1.0, 3, 0)])
def test_image_to_image_does_the_steps_that_comfyui_does(
    tmp_path: Path, steps: int, denoise: float, whole: int, first: int
) -> None:
    """ComfyUI: of int(steps / denoise) steps the last `steps`."""
    Pillow.new("RGB", (64, 64), "orange").save(tmp_path / "orange.png")
    nodes = [n for n in picture(sampler=(7, "fixed", steps, 4.0, "euler", "normal", denoise)) if n["id"] != 5]
    nodes[3]["inputs"][3]["link"] = (11, 0)
    nodes += [node(10, "LoadImage", ["orange.png", "image"]), node(11, "VAEEncode", None, {"pixels": (10, 0), "vae": (4, 2)})]
    document = imported(ui(*nodes)).document
    save_document(document, tmp_path / "imported.json")
    with nodegraph.Session(files=[tmp_path]) as session:
        workflow = nodegraph.load(tmp_path / "imported.json", session, trust=True)
        result = workflow.run(wanted=["denoise.state", "schedule.schedule", "begin.denoise_state"])
    assert result["schedule.schedule"].steps == whole
    assert result["begin.denoise_state"].index == first
    assert result["denoise.state"].index == whole


def pixels(artifact: nodegraph.Artifact) -> bytes:
    with Pillow.open(io.BytesIO(artifact.data)) as opened:
        return opened.convert("RGB").tobytes()

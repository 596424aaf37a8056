"""The shipped workflows that start from a picture, run for real: inpainting, image to image, sketches."""

from __future__ import annotations

import io
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image as Pillow
from torch import Tensor

import nodegraph
from nodegraph.api.paths import shipped
from nodegraph.graph.uses import Use

WORKFLOWS = shipped("workflows")
EXAMPLES = WORKFLOWS / "examples"


@pytest.fixture(scope="module")
def session() -> Iterator[nodegraph.Session]:
    with nodegraph.Session() as opened:
        yield opened


def opened(file: Path | bytes) -> Tensor:
    with Pillow.open(io.BytesIO(file) if isinstance(file, bytes) else file) as picture:
        return torch.tensor(list(picture.convert("RGB").tobytes())).view(picture.height, picture.width, 3)


def run(session: nodegraph.Session, name: str, **inputs: Any) -> Tensor:
    return opened(nodegraph.load(WORKFLOWS / f"{name}.json", session).run(**inputs)["image"].data)


@pytest.mark.parametrize("sampler", ["euler", "dpmpp_2m", "euler_ancestral"])
def test_inpainting_repaints_inside_the_mask_and_keeps_every_pixel_outside(session: nodegraph.Session, sampler: str) -> None:
    before, after = opened(EXAMPLES / "apple.png"), run(session, "inpaint", sampler=sampler, steps=12, feather=1.0)
    assert torch.equal(after[:, :28], before[:, :28])  # the mask's edge is at 32; feathering reaches 4 pixels
    red, green, blue = after[24:44, 38:52].float().mean((0, 1))
    assert green > max(red, blue)
    assert before[24:44, 38:52].float().mean((0, 1)).argmax() == 0


def test_a_mask_of_nothing_gives_the_picture_back(session: nodegraph.Session, tmp_path: Path) -> None:
    Pillow.new("L", (64, 64), 0).save(tmp_path / "none.png")
    workflow = nodegraph.load(WORKFLOWS / "inpaint.json", session)
    result = workflow.run(mask=str(tmp_path / "none.png"), steps=2, allow=[str(tmp_path / "none.png")])
    assert torch.equal(opened(result["image"].data), opened(EXAMPLES / "apple.png"))


def test_inpainting_takes_pictures_of_other_sizes(session: nodegraph.Session) -> None:
    after = run(session, "inpaint", width=96, height=80, steps=3)
    assert after.shape == (80, 96, 3)


@pytest.mark.slow
def test_a_stopped_and_continued_inpainting_gives_the_same_picture(tmp_path: Path) -> None:
    """Its states go through the disk on the way."""
    document = json.loads((WORKFLOWS / "inpaint.json").read_text("utf-8"))
    del document["interface"]
    nodes = document["nodes"]
    first, steps = nodes["denoise"], 5
    nodes["schedule"]["inputs"]["steps"] = nodes["part"]["inputs"]["steps"] = steps
    del first["links"]["steps"]
    first["inputs"] = {"sampler": "dpmpp_2m", "steps": steps}
    whole = _run(document, tmp_path / "a")
    first["inputs"]["steps"] = 2
    second = {
        **first,
        "inputs": {"sampler": "dpmpp_2m", "steps": steps - 2},
        "links": {**first["links"], "state": "denoise.state"},
    }
    nodes["denoise_2"] = second
    _run(document, tmp_path / "b", wanted="denoise.latent")
    nodes["decode"]["links"]["latent"] = "denoise_2.latent"
    forked = _run(document, tmp_path / "b")
    states = {name: row["state"] for name, row in forked.nodes.items() if "/step_" in name}
    assert {name for name, state in states.items() if state == "computed"} == {f"denoise_2/step_{i}" for i in (1, 2, 3)}
    assert torch.equal(forked["composite.image"], whole["composite.image"])


def _run(document: dict[str, Any], data: Path, wanted: str = "composite.image") -> nodegraph.Result:
    data.mkdir(exist_ok=True)
    file = data / "document.json"
    file.write_text(json.dumps(document), "utf-8")
    with nodegraph.Session(data) as session:
        return nodegraph.load(file, session, trust=True).run(wanted=[wanted])


@pytest.mark.slow
@pytest.mark.parametrize(("name", "prompt"), [("image_to_image", "a peach"), ("sketch_to_image", "a red car")])
def test_strength_says_how_much_of_the_picture_changes(session: nodegraph.Session, name: str, prompt: str) -> None:
    start = opened(EXAMPLES / ("apple.png" if name == "image_to_image" else "sketch.png")).float()
    off = [
        (run(session, name, prompt=prompt, strength=s, steps=5).float() - start).abs().mean().item() for s in (0.0, 0.4, 1.0)
    ]
    assert off == sorted(off)
    assert off[0] < 8 < off[2]  # what the autoencoder alone changes is little


@pytest.mark.parametrize("file", sorted(WORKFLOWS.glob("*.json")), ids=lambda file: file.stem)
def test_every_workflow_says_in_a_sentence_what_it_makes_and_has_a_place_for_every_node(file: Path) -> None:
    document = json.loads(file.read_text("utf-8"))
    assert 10 < len(document["description"]) < 140
    assert document["description"].endswith(".")
    for part in (document, *document.get("subgraphs", {}).values()):
        assert set(part["layout"]["nodes"]) == set(part["nodes"])


def test_a_copy_of_a_shipped_workflow_may_read_the_examples_and_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "data" / "inputs").mkdir(parents=True)
    (tmp_path / "data" / "inputs" / "mine.png").write_bytes((EXAMPLES / "apple.png").read_bytes())
    document = json.loads((WORKFLOWS / "inpaint.json").read_text("utf-8"))
    document["nodes"]["picture"]["inputs"]["path"] = "mine.png"
    (tmp_path / "copy.json").write_text(json.dumps(document))
    with nodegraph.Session(tmp_path / "data") as session:
        assert set(nodegraph.load(tmp_path / "copy.json", session).wants()) == {Use("file", "mine.png")}
        shutil.copy(WORKFLOWS / "inpaint.json", tmp_path / "copy.json")
        assert not nodegraph.load(tmp_path / "copy.json", session).wants()


def test_examples_stay_small() -> None:
    training = [EXAMPLES / name for name in ("icons.zip", "icons.jsonl")]  # 48 pictures to try trainings with
    assert sum(file.stat().st_size for file in training) < 130_000
    assert sum(file.stat().st_size for file in EXAMPLES.iterdir() if file not in training) < 30_000

"""The workflows that train, end to end at toy size: they learn, what they keep is loaded by name, and a killed one goes on."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image as Pillow
from safetensors import safe_open
from safetensors.torch import load_file

import nodegraph
from nodegraph.api.paths import shipped
from nodegraph.engine import NodeProgress

WORKFLOWS = shipped("workflows")
TOY = {"batch": 8, "save_every": 1000, "show_every": 1000, "resolution": 32}
SMALL = {"channels": [16, 32], "variants": 2, "drawing_steps": 3}


@pytest.fixture(scope="module")
def session(tmp_path_factory: pytest.TempPathFactory) -> Iterator[nodegraph.Session]:
    with nodegraph.Session(tmp_path_factory.mktemp("training")) as opened:
        yield opened


def run(session: nodegraph.Session, workflow: str, /, **inputs: Any) -> nodegraph.Result:
    return nodegraph.load(WORKFLOWS / f"{workflow}.json", session).run(**{**TOY, **inputs})


def pixels(artifact: nodegraph.Artifact) -> torch.Tensor:
    with Pillow.open(io.BytesIO(artifact.data)) as picture:
        return torch.tensor(list(picture.convert("RGB").tobytes()), dtype=torch.float).view(picture.height, picture.width, 3)


def curve(result: nodegraph.Result, name: str) -> list[float]:
    """A column of the curves, in order."""
    (line,) = (line for line in result["curves"]["series"] if line["name"] == name)
    return list(line["y"])


def halves(values: list[float]) -> tuple[float, float]:
    middle = len(values) // 2
    return sum(values[:middle]) / middle, sum(values[middle:]) / (len(values) - middle)


@pytest.mark.parametrize("workflow", sorted(file.stem for file in WORKFLOWS.glob("train_*.json")))
def test_a_name_that_cannot_be_kept_by_is_refused_before_a_training_begins(session: nodegraph.Session, workflow: str) -> None:
    with pytest.raises(nodegraph.InvalidWorkflow, match="This is no name for a") as caught:
        run(session, workflow, name="../mine")
    (problem,) = caught.value.problems
    assert (problem.socket, problem.got) == ("name", "../mine")
    with pytest.raises(nodegraph.InvalidWorkflow, match="name"):  # 202 bytes, which with an ending not every disk takes
        run(session, workflow, name="ж" * 101)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["kl", "vq"])
def test_both_phases_and_then_a_picture_of_what_was_kept(session: nodegraph.Session, kind: str) -> None:
    shape = {"regularisation": kind, "width": 16, "codebook": 64, "latent_channels": 3}
    first = run(session, "train_autoencoder", steps=60, name=f"coder-{kind}", picture="examples/apple.png", **shape)
    before, after = halves(curve(first, "loss"))
    assert after < before * 0.8
    assert first["psnr"] > 8
    assert pixels(first["picture"]).shape == (32, 32, 3)
    second = run(session, "train_denoiser", steps=60, name=f"model-{kind}", autoencoder=f"coder-{kind}", **SMALL)
    before, after = halves(curve(second, "loss"))
    assert after < before
    again = nodegraph.load(WORKFLOWS / "text_to_image.json", session)
    drawn = again.run(model=f"model-{kind}", prompt="a red apple", seed=7, steps=3, guidance_scale=4.0)
    assert torch.equal(pixels(drawn["image"]), pixels(second["image"]))


@pytest.mark.slow
def test_a_lora_learns_one_style_and_changes_the_picture(session: nodegraph.Session) -> None:
    small = {"resolution": 64, "batch": 6, "learning_rate": 1e-3, "variants": 0, "drawing_steps": 4, "held_out": 0.0}
    result = run(session, "train_lora", steps=25, name="noto", **small)
    facts = load_metadata(session.data / "models" / "noto.safetensors")
    assert result["loss"] < facts["error_before"]
    assert facts["pictures"] == 24  # one style of two
    worn = pixels(result["image"])
    bare = pixels(run(session, "train_lora", steps=25, name="noto", lora_weight=0.0, **small)["image"])
    assert (worn - bare).abs().mean() > 1
    apart = nodegraph.load(WORKFLOWS / "text_to_image.json", session).run(prompt="a cake", seed=7, steps=4, guidance_scale=4.0)
    assert torch.equal(pixels(apart["image"]), bare)


def load_metadata(file: Path) -> Mapping[str, Any]:
    with safe_open(file, "pt") as opened:
        found: Mapping[str, Any] = json.loads(opened.metadata()["nodegraph"])
    return found


@pytest.mark.slow
def test_a_class_is_drawn_by_its_name(session: nodegraph.Session) -> None:
    result = run(session, "train_class_conditional", steps=40, **SMALL)
    before, after = halves(curve(result, "loss"))
    assert after < before
    fruit = pixels(result["image"])
    sky = pixels(run(session, "train_class_conditional", steps=40, **SMALL, **{"class": "sky"})["image"])
    assert not torch.equal(fruit, sky)
    with pytest.raises(nodegraph.RunFailed, match="spoon"):
        run(session, "train_class_conditional", steps=40, **SMALL, **{"class": "spoon"})


@pytest.mark.parametrize("workflow", ["train_denoiser", "train_upscaler"])
def test_nothing_need_be_held_out(session: nodegraph.Session, workflow: str) -> None:
    small = {"channels": 16, "layers": 2, "crop": 32} if workflow == "train_upscaler" else SMALL
    assert pixels(run(session, workflow, steps=4, held_out=0.0, name="all", **small)["image"]).ndim == 3


def test_a_layout_needs_no_captions(session: nodegraph.Session) -> None:
    assert pixels(run(session, "train_layout", steps=4, captions=None, name="silent", **SMALL)["image"]).ndim == 3


@pytest.mark.slow
def test_a_layout_counts(session: nodegraph.Session, tmp_path: Path) -> None:
    result = run(session, "train_layout", steps=40, **SMALL)
    before, after = halves(curve(result, "loss"))
    assert after < before
    other = tmp_path / "other.png"
    Pillow.new("L", (64, 64), 3).save(other)
    with nodegraph.Session(session.data, files=[tmp_path]) as second:  # trained and kept already: another process finds it
        again = run(second, "train_layout", steps=40, layout="other.png", **SMALL)
    assert again.nodes["train"]["state"] != "computed"
    assert not torch.equal(pixels(again["image"]), pixels(result["image"]))


@pytest.mark.slow
def test_the_starter_becomes_an_inpainting_model(session: nodegraph.Session) -> None:
    more = {"resolution": 64, "batch": 4, "variants": 1, "drawing_steps": 3}
    result = run(session, "train_inpaint", steps=12, **more)
    assert result["loss"] < 1
    picture = pixels(result["image"])
    apart = nodegraph.load(WORKFLOWS / "inpaint_model.json", session)
    again = apart.run(model="my-inpainting-model", prompt="a green apple", steps=3, width=64, height=64)
    assert pixels(again["image"]).shape == picture.shape
    assert result.nodes["told"]["state"] == "computed"


def test_an_upscaler_learns_and_enlarges(session: nodegraph.Session) -> None:
    result = run(session, "train_upscaler", steps=40, channels=16, layers=2, crop=32)
    before, after = halves(curve(result, "loss"))
    assert after < before
    with Pillow.open(WORKFLOWS / "examples" / "apple.png") as original:
        assert pixels(result["image"]).shape == (2 * original.height, 2 * original.width, 3)
    apart = nodegraph.load(WORKFLOWS / "upscale_model.json", session)
    again = apart.run(upscaler="my-upscaler", picture="examples/apple.png")
    assert torch.equal(pixels(again["image"]), pixels(result["image"]))


KILLED = """
import os, signal, sys
import nodegraph
from nodegraph_nodes.training.loop import checkpoint

save = checkpoint.save

def save_and_die(folder, progressed, *rest):
    save(folder, progressed, *rest)
    if progressed.step == 8:
        os.kill(os.getpid(), signal.SIGKILL)

checkpoint.save = save_and_die
nodegraph.load(sys.argv[1]).run(**eval(sys.argv[2]))
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="there is no SIGKILL")
def test_a_killed_training_goes_on_and_comes_to_the_same_weights(tmp_path: Path) -> None:
    inputs = {**TOY, **SMALL, "steps": 16, "save_every": 4, "name": "survivor"}
    file = WORKFLOWS / "train_denoiser.json"
    environment = {**os.environ, "NODEGRAPH_DATA": str(tmp_path / "killed")}
    died = subprocess.run([sys.executable, "-c", KILLED, str(file), repr(inputs)], env=environment, check=False)
    assert died.returncode == -signal.SIGKILL
    assert not (tmp_path / "killed" / "models" / "survivor").exists()
    steps: list[float] = []

    def listen(event: object) -> None:
        if isinstance(event, NodeProgress) and event.node == "train" and event.total == 16:
            steps.append(event.done)

    with nodegraph.Session(tmp_path / "killed") as session:
        nodegraph.load(file, session).run(**inputs, listener=listen)
    assert steps[0] >= 8
    with nodegraph.Session(tmp_path / "undisturbed") as session:
        nodegraph.load(file, session).run(**inputs)
    went_on, undisturbed = (weights(tmp_path / name / "models" / "survivor") for name in ("killed", "undisturbed"))
    assert went_on.keys() == undisturbed.keys()
    assert all(torch.equal(went_on[name], undisturbed[name]) for name in went_on)


def weights(folder: Path) -> dict[str, torch.Tensor]:
    (file,) = (folder / "unet").glob("*.safetensors")
    return load_file(file)

"""The workflows that ship, run for real with the bundled model: pictures, caching, forking, reproduction."""

from __future__ import annotations

import io
import json
import math
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path

import pytest
import torch
from PIL import Image as Pillow
from safetensors import safe_open
from safetensors.torch import load_file
from stand_ins import SMALL, STAND_INS, session_with

import nodegraph
from nodegraph.api.paths import shipped
from nodegraph.engine import NodePreview
from nodegraph.sdk.context import Context
from nodegraph_nodes.diffusion import (
    begin_denoise,
    decode,
    denoise_step,
    encode_prompt,
    finish_denoise,
    guidance,
    load_model,
    noise_schedule,
)
from nodegraph_nodes.diffusion.model import autoencoder_network, denoiser_network, text_encoder_network
from nodegraph_nodes.types import Autoencoder, Denoiser, Latent, TextEncoder

WORKFLOWS = shipped("workflows")
STARTER = shipped("models") / "starter"


@pytest.fixture(scope="module")
def session() -> Iterator[nodegraph.Session]:
    with nodegraph.Session() as opened:
        yield opened


def states(result: nodegraph.Result) -> Counter[str]:
    return Counter(row["state"] for row in result.nodes.values())


def pixels(artifact: nodegraph.Artifact) -> torch.Tensor:
    with Pillow.open(io.BytesIO(artifact.data)) as picture:
        return torch.tensor(list(picture.convert("RGB").tobytes()), dtype=torch.float).view(picture.height, picture.width, 3)


@pytest.mark.parametrize("file", sorted(WORKFLOWS.glob("*.json")), ids=lambda file: file.stem)
def test_every_shipped_workflow_runs_and_is_canonical(file: Path, session: nodegraph.Session, tmp_path: Path) -> None:
    """Those whose models do not come along run with tiny random ones. In fewer than four steps dpmpp_2m is Euler here.

    Those that train keep a model: in a data folder of their own, where no other test finds it.
    """
    build = STAND_INS.get(file.stem)
    trains = file.stem.startswith("train_")
    own = session_with(build, tmp_path) if build else nodegraph.Session(tmp_path / "data") if trains else nullcontext(session)
    with own as opened:
        workflow = nodegraph.load(file, opened)
        assert workflow.to_json() == file.read_text("utf-8")
        wanted = {"steps": 4, "fork_at": 1, **({} if build is None else SMALL)}
        inputs = {name: value for name, value in wanted.items() if name in workflow.inputs}
        saved = workflow.run(**inputs).save(tmp_path / "results")
    for name in json.loads(file.read_text("utf-8"))["interface"]["outputs"]:
        assert all(
            Path(row["path"]).stat().st_size > 100 if "path" in row else row.get("value") or row["type"] for row in saved[name]
        )


@pytest.mark.parametrize("name", STAND_INS)
def test_a_workflow_whose_model_is_not_there_says_which_one_is_missing(name: str, session: nodegraph.Session) -> None:
    file = WORKFLOWS / f"{name}.json"
    assert "not come along" in json.loads(file.read_text("utf-8"))["description"]
    with pytest.raises(nodegraph.InvalidWorkflow, match=r"There is no model '.+'\. There are: .*starter"):
        nodegraph.load(file, session).run()


def test_a_red_apple_is_red_and_on_white(session: nodegraph.Session) -> None:
    picture = pixels(nodegraph.load(WORKFLOWS / "text_to_image.json", session).run(prompt="a red apple", seed=7)["image"])
    centre, corner = picture[24:44, 24:44].mean((0, 1)), picture[:4, -4:].mean((0, 1))
    assert centre[0] > 150 > 90 > max(centre[1], centre[2])
    assert corner.min() > 220


def test_a_second_identical_run_computes_no_node(session: nodegraph.Session) -> None:
    workflow = nodegraph.load(WORKFLOWS / "text_to_image.json", session)
    first = workflow.run(seed=11, steps=3)
    again = nodegraph.load(WORKFLOWS / "text_to_image.json", session).run(seed=11, steps=3)
    assert again["image"].data == first["image"].data
    assert states(again)["computed"] == 0


def test_the_same_prompt_and_seed_give_the_same_bytes_when_computed_anew(session: nodegraph.Session, tmp_path: Path) -> None:
    workflow = nodegraph.load(WORKFLOWS / "text_to_image.json", session)
    first = workflow.run(seed=12, steps=3).save(tmp_path / "a")
    session.clear_cache()
    again = workflow.run(seed=12, steps=3)
    assert states(again)["computed"] > 10
    assert again.save(tmp_path / "b")["image"][0]["digest"] == first["image"][0]["digest"]
    assert again.save(tmp_path / "a") == first  # the same file, not a second one


def test_another_guidance_after_step_15_of_20_computes_only_what_follows(session: nodegraph.Session) -> None:
    workflow = nodegraph.load(WORKFLOWS / "half_this_half_that.json", session)
    workflow.run(steps=20, fork_at=15, seed=5, second_scale=4.0)
    result = workflow.run(steps=20, fork_at=15, seed=5, second_scale=6.0)
    computed = {name for name, row in result.nodes.items() if row["state"] == "computed"}
    after = {"switch", "switch/finish", *(f"switch/step_{i}" for i in range(1, 6))}
    assert computed == {"second_guidance", *after, "decode_switch", "images", "sheet", "save"}
    assert result.nodes["second_guidance"]["reason"] == "scale changed from 4.0 to 6.0"


def test_fewer_steps_of_the_same_run_are_found(session: nodegraph.Session) -> None:
    """The states of a fork's first half serve a fork at an earlier step."""
    workflow = nodegraph.load(WORKFLOWS / "half_this_half_that.json", session)
    workflow.run(steps=8, fork_at=6, seed=21)
    result = workflow.run(steps=8, fork_at=4, seed=21)
    assert not any(row["state"] == "computed" for name, row in result.nodes.items() if name.startswith("start/step"))


def test_a_forked_run_that_stays_equals_one_that_never_stopped(session: nodegraph.Session) -> None:
    fork = nodegraph.load(WORKFLOWS / "half_this_half_that.json", session)
    straight = nodegraph.load(WORKFLOWS / "text_to_image.json", session)
    inputs = {"seed": 31, "steps": 6}
    stayed = fork.run(wanted=["decode_stay.image"], first="a tree", fork_at=2, first_scale=4.0, **inputs)
    whole = straight.run(wanted=["decode.image"], prompt="a tree", guidance_scale=4.0, **inputs)
    assert torch.equal(stayed["decode_stay.image"], whole["decode.image"])


def test_every_step_shows_a_preview(session: nodegraph.Session) -> None:
    previews = []
    workflow = nodegraph.load(WORKFLOWS / "text_to_image.json", session)
    workflow.run(seed=41, steps=4, listener=lambda event: previews.append(event) if isinstance(event, NodePreview) else None)
    assert [event.node for event in previews] == [f"denoise/step_{i}" for i in range(1, 5)]
    assert all(len(event.preview.rgb) == event.preview.width * event.preview.height * 3 for event in previews)


def test_a_saved_picture_runs_again_as_the_workflow_it_carries(session: nodegraph.Session, tmp_path: Path) -> None:
    saved = nodegraph.load(WORKFLOWS / "text_to_image.json", session).run(seed=51, steps=3).save(tmp_path)
    picture = Path(saved["image"][0]["path"])
    again = nodegraph.load(picture, session)
    assert again.inputs["seed"].value == 51
    assert again.run().save(tmp_path) == saved


def test_a_size_the_model_cannot_make_says_what_it_can(session: nodegraph.Session) -> None:
    with pytest.raises(nodegraph.RunFailed) as failed:
        nodegraph.load(WORKFLOWS / "text_to_image.json", session).run(width=100)
    (problem,) = failed.value.result.run.problems
    assert (problem.node, problem.socket, problem.expected) == ("noise", "width", "a multiple of 16")
    assert problem.hint == "Try 96."


def test_a_larger_picture_has_the_size_asked_for(session: nodegraph.Session) -> None:
    image = nodegraph.load(WORKFLOWS / "text_to_image.json", session).run(width=96, height=80, steps=2)["image"]
    assert pixels(image).shape == (80, 96, 3)


def test_growing_one_size_further_or_with_one_prompt_more_computes_only_that(session: nodegraph.Session) -> None:
    workflow = nodegraph.load(WORKFLOWS / "grow.json", session)
    small = {"steps": 3, "seed": 61, "prompts": "a panda"}
    workflow.run(sizes=[80], **small)
    further = workflow.run(sizes=[80, 96], **small)
    computed = {name for name, row in further.nodes.items() if row["state"] == "computed"}
    assert {name for name in computed if name.startswith("pictures[0]/grow[")} >= {"pictures[0]/grow[1]/decode"}
    assert not any(name.startswith(("pictures[0]/grow[0]/", "pictures[0]/denoise")) for name in computed)
    more = workflow.run(sizes=[80, 96], **{**small, "prompts": "a panda\na rocket"})
    states_of = {name: row["state"] for name, row in more.nodes.items()}
    assert states_of["pictures[1]/grow[1]/decode"] == "computed"
    assert not any(state == "computed" for name, state in states_of.items() if name.startswith("pictures[0]/grow["))


@pytest.mark.slow
def test_the_command_prints_what_it_did_as_json(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "nodegraph.cli", "run", str(WORKFLOWS / "text_to_image.json")]
    command += ["--prompt", "a red apple", "--seed", "7", "--steps", "3", "--json", "--out", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    report = json.loads(done.stdout)
    assert set(report) == {"status", "outputs", "inputs", "nodes", "seconds"}
    assert report["status"] == "succeeded"
    assert report["inputs"]["seed"] == 7
    (picture,) = report["outputs"]["image"]
    assert Path(picture["path"]).is_file()
    assert report["nodes"]["denoise/step_3"]["state"] == "computed"
    assert set(report["nodes"]["decode"]) == {"type", "state", "reason", "ms", "key", "bytes"}


def test_node_functions_called_by_hand_reproduce_the_reference_pictures() -> None:
    """The stored noise gives the stored pictures (Euler, 20 steps, guidance 4, fp32): PSNR >= 40 dB."""
    with safe_open(STARTER / "reference.safetensors", "pt") as file:
        prompts = json.loads(file.metadata()["prompts"])
    reference = load_file(STARTER / "reference.safetensors")
    loaders = {Denoiser: denoiser_network, TextEncoder: text_encoder_network, Autoencoder: autoencoder_network}
    resident: dict[object, object] = {}

    def load(recipe: Denoiser | TextEncoder | Autoencoder) -> object:
        return resident.setdefault(recipe, loaders[type(recipe)](recipe, torch.device("cpu")))

    context = Context(load=load)
    model = load_model(nodegraph.ModelFile("starter", STARTER, "digest"), precision="float32")
    schedule = noise_schedule(model.denoiser, "normal", 20)
    negative = encode_prompt(context, model.text_encoder, "")
    for i in (0, 6):
        combined = guidance(encode_prompt(context, model.text_encoder, prompts[i]), negative, scale=4.0)
        state = begin_denoise(Latent(reference["noise"][i], "starter"), schedule)
        for _ in range(20):
            state = denoise_step(context, model.denoiser, state, schedule, combined, "euler")
        image = decode(context, model.autoencoder, finish_denoise(state, schedule))
        wanted = (reference["images"][i].movedim(0, -1).clamp(-1, 1) + 1) / 2
        error = (image - wanted).square().mean().item()
        assert 10 * math.log10(1 / error) >= 40
        other = (reference["images"][1].movedim(0, -1).clamp(-1, 1) + 1) / 2
        assert 10 * math.log10(1 / (image - other).square().mean().item()) < 20  # the oracle can tell pictures apart

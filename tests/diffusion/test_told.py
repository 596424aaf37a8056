"""What a model is told, through the nodes: a class, nothing, a prompt; and mistakes, in words."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from diffusers import DiTPipeline, FluxPipeline
from tiny_ldm import NAMES, tiny_dit, tiny_labelled, tiny_text, tiny_unconditional
from tiny_transformers import save_original, tiny_flux, tiny_sd3

import nodegraph
from nodegraph import NodeError
from nodegraph_nodes import diffusion
from nodegraph_nodes.diffusion.classes import class_label, unconditional
from nodegraph_nodes.diffusion.families import describe_model
from nodegraph_nodes.diffusion.noise import sample_noise
from nodegraph_nodes.diffusion.samplers import initial_noise

SEED, STEPS = 3, 4
CLOSE = 0.5 / 255


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("models")
    tiny_unconditional().save_pretrained(root / "nothing")
    tiny_labelled().save_pretrained(root / "labelled")
    tiny_text().save_pretrained(root / "text")
    tiny_dit().save_pretrained(root / "dit")
    index = root / "dit/model_index.json"
    index.write_text(json.dumps(json.loads(index.read_text()) | {"id2label": NAMES}))
    tiny_flux().save_pretrained(root / "flux")
    tiny_sd3().save_pretrained(root / "sd3")
    save_original(tiny_flux(), root / "flux_without_t5.safetensors", t5=False)
    return root


@pytest.fixture(scope="module")
def session(models: Path, data_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[nodegraph.Session]:
    data = tmp_path_factory.mktemp("told")
    (data / "catalog").symlink_to(data_folder / "catalog")
    with nodegraph.Session(data, models=[models], disk_bytes=0) as session:
        yield session


def recipe(models: Path, name: str) -> Any:
    return describe_model(models / name, "digest").denoiser


def begun(
    session: nodegraph.Session, model: str, *, width: int | None = None, sized: bool = False
) -> tuple[nodegraph.Graph, Any, Any, Any]:
    """A graph with a model, its schedule (of the noise's size, or not) and a run that has begun."""
    graph = nodegraph.Graph("Test", id="test", session=session)
    loaded = graph.add(diffusion.load_model, "model", model=model)
    size = {} if width is None else {"width": width, "height": width}
    noise = graph.add(diffusion.sample_noise, "noise", denoiser=loaded.denoiser, seed=SEED, **size)
    seen = {"latent": noise} if sized else {}
    schedule = graph.add(diffusion.noise_schedule, "schedule", denoiser=loaded.denoiser, schedule="simple", steps=STEPS, **seen)
    return graph, loaded, schedule, graph.add(diffusion.begin_denoise, "begin", noise=noise, schedule=schedule)


def finished(graph: nodegraph.Graph, loaded: Any, schedule: Any, state: Any, **told: Any) -> Any:
    """The picture [H, W, 3] of a run with this guidance."""
    guided = graph.add(diffusion.guidance, "guidance", **told)
    done = graph.add(
        diffusion.denoise, "denoise", denoiser=loaded.denoiser, state=state, schedule=schedule, guidance=guided, steps=STEPS
    )
    graph.output("image", graph.add(diffusion.decode, "decode", autoencoder=loaded.autoencoder, latent=done.latent))
    return graph.workflow().run(wanted=["decode.image"])["decode.image"].numpy()


def test_a_class_by_its_name_makes_diffusers_picture(models, session):
    graph, loaded, schedule, state = begun(session, "dit")
    panda = graph.add(class_label, "panda", denoiser=loaded.denoiser, name="Giant Panda")
    nothing = graph.add(unconditional, "nothing", denoiser=loaded.denoiser)
    ours = finished(graph, loaded, schedule, state, positive=panda, negative=nothing, scale=4.0)
    pipeline = DiTPipeline.from_pretrained(models / "dit", local_files_only=True)
    options = {"generator": torch.Generator().manual_seed(SEED), "num_inference_steps": STEPS, "output_type": "np"}
    expected = pipeline(pipeline.get_label_ids(["panda"]) if pipeline.labels else [7], guidance_scale=4.0, **options).images[0]
    assert np.abs(ours - expected).max() <= CLOSE


def test_a_schedule_that_sees_the_noise_makes_flux_pictures_of_any_size_as_diffusers_does(models, session):
    graph, loaded, schedule, state = begun(session, "flux", width=64, sized=True)
    words = graph.add(diffusion.encode_prompt, "words", encoder=loaded.text_encoder, text="a red apple")
    ours = finished(graph, loaded, schedule, state, positive=words, scale=1.0)
    pipeline = FluxPipeline.from_pretrained(models / "flux", local_files_only=True)
    latents = FluxPipeline._pack_latents(initial_noise(SEED, (1, 16, 8, 8)), 1, 16, 8, 8)
    size = {"width": 64, "height": 64, "num_inference_steps": STEPS}
    expected = pipeline("a red apple", latents=latents, guidance_scale=3.5, output_type="np", **size).images[0]
    assert np.abs(ours - expected).max() <= CLOSE
    graph, loaded, schedule, state = begun(session, "flux", width=64)
    words = graph.add(diffusion.encode_prompt, "words", encoder=loaded.text_encoder, text="a red apple")
    assert np.abs(finished(graph, loaded, schedule, state, positive=words, scale=1.0) - expected).max() > 5 * CLOSE


@pytest.mark.parametrize(
    ("model", "told", "expected", "got", "hint"),
    [
        ("labelled", "text", "a class", "a prompt", "class_label"),
        ("nothing", "text", "nothing", "a prompt", "unconditional"),
        ("text", "labelled", "a prompt", "a class", "encode_prompt"),
        ("labelled", "nothing", "a class", "nothing", "class_label"),
    ],
)
def test_what_another_model_is_told_is_refused_in_words(session, model, told, expected, got, hint):
    graph, loaded, schedule, state = begun(session, model)
    other = graph.add(diffusion.load_model, "other", model=told)
    if told == "text":
        words = graph.add(diffusion.encode_prompt, "words", encoder=other.text_encoder, text="a panda")
    else:
        words = graph.add(class_label if told == "labelled" else unconditional, "words", denoiser=other.denoiser)
    error = failure(lambda: finished(graph, loaded, schedule, state, positive=words, scale=1.0))
    assert (error.expected, error.got) == (expected, got)
    assert hint in (error.hint or "")


@pytest.mark.parametrize(
    ("model", "says", "hint"),
    [
        ("dit", "reads no prompts: it is told a class", "diffusion/class_label"),
        ("nothing", "reads no prompts: it is told nothing", "diffusion/unconditional"),
        ("flux_without_t5.safetensors", "no T5 text encoder. Put text_encoder_2/ and tokenizer_2/", None),
    ],
)
def test_a_prompt_that_a_model_cannot_read_is_refused_in_words(session, model, says, hint):
    graph, loaded, schedule, state = begun(session, model)
    words = graph.add(diffusion.encode_prompt, "words", encoder=loaded.text_encoder, text="a panda")
    error = failure(lambda: finished(graph, loaded, schedule, state, positive=words, scale=1.0))
    assert says in str(error.message)
    assert hint is None or hint in error.hint


def test_a_picture_that_is_too_large_for_its_positions_is_refused_in_words(session):
    graph, loaded, schedule, state = begun(session, "sd3", width=192)
    words = graph.add(diffusion.encode_prompt, "words", encoder=loaded.text_encoder, text="a panda")
    error = failure(lambda: finished(graph, loaded, schedule, state, positive=words, scale=1.0))
    assert (error.expected, error.got) == ("sides of at most 128 pixels", "192")
    assert "tile_denoiser" in error.hint


def failure(run: Any) -> Any:
    """The error of the node that failed."""
    with pytest.raises(nodegraph.RunFailed) as caught:
        run()
    return caught.value.result.run.problems[0]


def test_classes_go_by_number_and_by_name_and_one_of_them_means_nothing(models):
    dit, labelled = recipe(models, "dit"), recipe(models, "labelled")
    assert class_label(denoiser=dit, label=207).extra["class_label"].item() == 207
    assert class_label(denoiser=dit, name=" tinca tinca ").extra["class_label"].item() == 0
    assert unconditional(denoiser=dit).extra["class_label"].item() == 1000
    assert unconditional(denoiser=recipe(models, "nothing")).kind == "none"
    assert class_label(denoiser=labelled, label=10).kind == "class"


@pytest.mark.parametrize(
    ("model", "inputs", "socket", "says"),
    [
        ("dit", {"label": 1000}, "label", "0 to 999"),
        ("dit", {"name": "golfish"}, "name", "Did you mean goldfish"),
        ("labelled", {"name": "goldfish"}, "name", "no names"),
        ("text", {"label": 1}, "denoiser", "encode_prompt"),
        ("nothing", {"label": 1}, "denoiser", "unconditional"),
    ],
)
def test_classes_that_are_not_there_are_refused_in_words(models, model, inputs, socket, says):
    with pytest.raises(NodeError) as caught:
        class_label(denoiser=recipe(models, model), **inputs)
    assert caught.value.socket == socket
    assert says in f"{caught.value} {caught.value.expected} {caught.value.hint}"


def test_nothing_is_refused_where_the_model_does_not_know_it(models):
    with pytest.raises(NodeError, match="told a prompt") as caught:
        unconditional(denoiser=recipe(models, "text"))
    assert "without a text" in caught.value.hint
    with pytest.raises(NodeError, match="not trained to be told no class"):
        unconditional(denoiser=recipe(models, "labelled"))


def test_sizes_that_a_model_cannot_make_are_refused_in_words(models):
    with pytest.raises(NodeError) as caught:
        sample_noise(denoiser=recipe(models, "flux"), width=1000, height=1024)
    assert (caught.value.socket, caught.value.expected, caught.value.hint) == ("width", "a multiple of 16", "Try 992.")
    with pytest.raises(NodeError, match="square") as caught:
        sample_noise(denoiser=recipe(models, "dit"), width=64, height=128)
    assert caught.value.socket == "height"

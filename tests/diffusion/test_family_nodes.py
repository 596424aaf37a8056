"""Models of every family through graphs: parts of their own, the base handing over to the refiner, and what is refused."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from tiny_models.ldm import vae_to_ldm
from tiny_models.pictures import TOLERANCE, difference, theirs
from tiny_models.stored import Stored
from torch import Tensor

import nodegraph
from nodegraph import Graph, NodeError, RunFailed, Session
from nodegraph_nodes import diffusion
from nodegraph_nodes.diffusion.families import describe_model
from nodegraph_nodes.diffusion.samplers import initial_noise
from nodegraph_nodes.types import Conditioning, DenoiseState, Guidance, Schedule

STEPS = 4


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> Stored:
    return Stored(tmp_path_factory.mktemp("nodes"))


@pytest.fixture(scope="module")
def session(stored: Stored, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Session]:
    with Session(tmp_path_factory.mktemp("data"), models=[stored.root]) as opened:
        yield opened


def name_of(stored: Stored, name: str) -> str:
    """As documents name it."""
    return stored.path(name, "single file").relative_to(stored.root).as_posix()


def guided(graph: Graph, name: str, model: Any, prompt: str = "a red apple", **sizes: int) -> Any:
    prompts = []
    for part, text in (("positive", prompt), ("negative", "blurry")):
        encoded = graph.add(diffusion.encode_prompt, f"{name}_{part}", encoder=model.text_encoder, text=text)
        if sizes:
            encoded = graph.add(diffusion.size_conditioning, f"{name}_{part}_size", conditioning=encoded, **sizes)
        prompts.append(encoded)
    return graph.add(diffusion.guidance, name, positive=prompts[0], negative=prompts[1], scale=6.0)


def drawn(graph: Graph, model: Any, guidance: Any, steps: int = STEPS) -> tuple[Any, Any]:
    """A run begun with a model: the denoise node and the schedule."""
    noise = graph.add(diffusion.sample_noise, "noise", denoiser=model.denoiser, width=64, height=64, seed=3)
    schedule = graph.add(diffusion.noise_schedule, "schedule", denoiser=model.denoiser, steps=STEPS, schedule="ddim_uniform")
    begun = graph.add(diffusion.begin_denoise, "begin", noise=noise, schedule=schedule)
    options = {"denoiser": model.denoiser, "schedule": schedule, "guidance": guidance, "sampler": "ddim", "steps": steps}
    return graph.add(diffusion.denoise, "denoise", state=begun, **options), schedule


def test_the_refiner_finishes_what_the_base_began_as_in_diffusers(stored, session):
    graph = Graph("Two models", session)
    base = graph.add(diffusion.load_model, "base", model=name_of(stored, "sdxl"))
    refiner = graph.add(diffusion.load_model, "refiner", model=name_of(stored, "sdxl_refiner"))
    first, schedule = drawn(graph, base, guided(graph, "guidance", base), steps=2)
    second = graph.add(
        diffusion.denoise,
        "finish",
        denoiser=refiner.denoiser,
        state=first.state,
        schedule=schedule,
        guidance=guided(graph, "refined", refiner),
        sampler="ddim",
        steps=STEPS - 2,
    )
    graph.add(diffusion.decode, "decode", autoencoder=refiner.autoencoder, latent=second.latent)
    half = theirs(stored.pipeline("sdxl"), latents=noise_of(3), denoising_end=0.5, output_type="latent")
    whole = theirs(stored.pipeline("sdxl_refiner"), image=half[None], denoising_start=0.5, latents=None)
    assert difference(graph.workflow().run(wanted=["decode.image"])["decode.image"], whole) <= TOLERANCE


def noise_of(seed: int) -> Tensor:
    return initial_noise(seed, (4, 8, 8))[None]


def test_a_graph_with_sdxl_gives_the_picture_of_diffusers_and_sizes_change_it(stored, session):
    pictures: list[Tensor] = []
    for sizes in ({}, {"width": 64, "height": 64}, {"width": 512, "height": 300}):
        graph = Graph("One model", session)
        model = graph.add(diffusion.load_model, "model", model=name_of(stored, "sdxl"))
        run, _ = drawn(graph, model, guided(graph, "guidance", model, **sizes))
        graph.add(diffusion.decode, "decode", autoencoder=model.autoencoder, latent=run.latent)
        pictures.append(graph.workflow().run(wanted=["decode.image"])["decode.image"])
    assert difference(pictures[0], theirs(stored.pipeline("sdxl"), latents=noise_of(3))) <= TOLERANCE
    torch.testing.assert_close(pictures[1], pictures[0])
    assert difference(pictures[2], pictures[0]) > 1 / 255


def test_an_autoencoder_of_its_own_takes_the_place_of_the_models(stored, session):
    tensors = {name: t.detach().clone().contiguous() for name, t in vae_to_ldm(stored.pipeline("sdxl").vae).items()}
    lone = stored.root / "lone.safetensors"
    save_file(tensors, lone)
    stored.pipeline("sdxl").vae.save_config(lone.with_suffix(".config"))
    graph = Graph("A VAE", session)
    model = graph.add(diffusion.load_model, "model", model=name_of(stored, "sdxl"))
    run, _ = drawn(graph, model, guided(graph, "guidance", model))
    vae = graph.add(diffusion.load_autoencoder, "vae", model="lone.safetensors")
    for name, autoencoder in (("own", model.autoencoder), ("lone", vae)):
        graph.add(diffusion.decode, name, autoencoder=autoencoder, latent=run.latent)
    result = graph.workflow().run(wanted=["own.image", "lone.image"])
    assert torch.equal(result["own.image"], result["lone.image"])


def model_file(path: Path) -> nodegraph.ModelFile[Any]:
    return nodegraph.ModelFile(path.name, path, "digest")


def test_each_part_can_have_a_precision_of_its_own(stored):
    file = model_file(stored.path("sdxl"))
    model = diffusion.load_model(file, "float16", autoencoder_precision="float32")
    assert [part.precision for part in model] == ["float16", "float16", "float32"]
    assert [part.precision for part in diffusion.load_model(file, text_encoder_precision="bfloat16")][1] == "bfloat16"


def test_what_a_model_predicts_can_be_said(stored):
    denoiser = describe_model(stored.path("sdxl"), "").denoiser
    changed = diffusion.set_prediction(denoiser, "v", zero_terminal_snr=True)
    assert (denoiser.prediction, changed.prediction, changed.process.zero_terminal_snr) == ("epsilon", "v", True)
    starter = describe_model(Path(__file__).parents[2] / "models/starter", "").denoiser
    with pytest.raises(NodeError, match="fixed by its kind"):
        diffusion.set_prediction(starter, "v")


def test_a_vae_chosen_as_checkpoint_and_a_checkpoint_without_family_are_explained(stored, tmp_path):
    save_file(
        {"encoder.conv_in.weight": torch.zeros(1), "decoder.mid.block_1.conv1.weight": torch.zeros(1)},
        tmp_path / "v.safetensors",
    )
    with pytest.raises(NodeError, match=r"it is an autoencoder \(VAE\)") as caught:
        diffusion.load_model(model_file(tmp_path / "v.safetensors"))
    assert caught.value.socket == "model"
    assert "diffusion/load_autoencoder" in (caught.value.hint or "")
    with pytest.raises(NodeError, match="does not tell which models") as caught:
        diffusion.load_autoencoder(model_file(tmp_path / "v.safetensors"))
    assert caught.value.socket == "family"
    with pytest.raises(NodeError, match="a denoising network alone"):
        diffusion.load_autoencoder(model_file(stored.path("sd1") / "unet"))


@pytest.mark.parametrize(
    ("name", "concat", "said"),
    [
        ("sd1 inpainting", None, "has to be told what to paint"),
        ("sd1", (5, 8, 8), "cannot be told a mask and a picture"),
        ("sd1 inpainting", (5, 8, 9), "another size"),
        ("sd1 inpainting", (4, 8, 8), "another size"),
    ],
)
def test_an_inpainting_model_needs_its_further_channels_and_no_other_model_takes_them(stored, name, concat, said):
    denoiser = describe_model(stored.path(name), "").denoiser
    prompt = Conditioning(torch.zeros(77, 32), "sd1")
    guidance = Guidance(prompt, None, 1.0, concat=None if concat is None else torch.zeros(concat))
    schedule = Schedule("normal", "sd1", *(torch.zeros(3, dtype=torch.float64) for _ in range(3)))
    state = DenoiseState(torch.zeros(4, 8, 8), 0, 0, "sd1")

    class Nothing:
        def __getattr__(self, name: str) -> Any:
            raise AssertionError("nothing is loaded before the check")

    with pytest.raises(NodeError, match=said) as caught:
        diffusion.denoise_step(Nothing(), denoiser, state, schedule, guidance)
    assert caught.value.socket == "guidance"
    assert caught.value.hint


def test_a_prompt_of_the_base_is_refused_by_the_refiner(stored, session):
    graph = Graph("Mixed up", session)
    base = graph.add(diffusion.load_model, "base", model=name_of(stored, "sdxl"))
    refiner = graph.add(diffusion.load_model, "refiner", model=name_of(stored, "sdxl_refiner"))
    drawn(graph, refiner, guided(graph, "guidance", base), steps=1)
    with pytest.raises(RunFailed, match="another kind of model"):
        graph.workflow().run(wanted=["denoise.latent"])

"""The bundled model: it must give the pictures that were stored with it."""

import dataclasses
import json
import shutil
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load, save, save_file
from torch import Tensor

from nodegraph_nodes.diffusion.families import (
    LoadedAutoencoder,
    LoadedDenoiser,
    LoadedTextEncoder,
    describe_model,
    load_autoencoder,
    load_denoiser,
    load_text_encoder,
)
from nodegraph_nodes.diffusion.families.source import read_tensors
from nodegraph_nodes.diffusion.families.storage import dense
from nodegraph_nodes.diffusion.predict import guided_denoised, preview_image
from nodegraph_nodes.diffusion.samplers import begin, dpmpp_2m, euler, finish, run_step
from nodegraph_nodes.diffusion.schedules import make_process, make_schedule
from nodegraph_nodes.types import DenoiseState, Guidance, NoiseProcess

MODEL = Path(__file__).parents[2] / "models/starter"
RECIPES = describe_model(MODEL, "digest", "float32")
STEPS = 20


@pytest.fixture(scope="module")
def networks() -> tuple[LoadedDenoiser, LoadedTextEncoder, LoadedAutoencoder]:
    return (
        load_denoiser(RECIPES.denoiser, "cpu"),
        load_text_encoder(RECIPES.text_encoder, "cpu"),
        load_autoencoder(RECIPES.autoencoder, "cpu"),
    )


@pytest.fixture(scope="module")
def reference() -> tuple[list[str], Tensor, Tensor]:
    """Prompts, noise [8, 4, h, w] and pictures [8, H, W, 3] in 0..1."""
    with safe_open(MODEL / "reference.safetensors", framework="pt") as file:
        prompts = json.loads(file.metadata()["prompts"])
        images = (file.get_tensor("images").permute(0, 2, 3, 1) / 2 + 0.5).clamp(0, 1)
        return prompts, file.get_tensor("noise"), images


def sample(networks, prompt: str, noise: Tensor, scale: float = 4.0) -> Tensor:
    """The finished latent [C, h, w]."""
    denoiser, text_encoder, _ = networks
    positive, negative = text_encoder.encode([prompt, ""])
    guidance = Guidance(positive, negative, scale)
    schedule = make_schedule("normal", make_process(RECIPES.denoiser.process), STEPS, "starter")
    state = begin(noise, schedule, 0)
    for _ in range(STEPS):
        state = run_step(euler, state, schedule, lambda x, point: guided_denoised(denoiser, x, point, guidance, 0.0))
    return finish(state, schedule)


def psnr(a: Tensor, b: Tensor) -> float:
    return (-10 * (a - b).square().mean().clamp(min=1e-20).log10()).item()


@pytest.mark.parametrize("item", [0, 5, 7])
def test_it_reproduces_its_reference_pictures(networks, reference, item):
    prompts, noise, images = reference
    picture = networks[2].decode(sample(networks, prompts[item], noise[item])[None])[0]
    assert psnr(picture, images[item]) >= 60
    assert psnr(picture, images[item - 1]) < 20


def test_the_comparison_would_notice_another_prompt_or_scale(networks, reference):
    prompts, noise, images = reference
    for other in (sample(networks, prompts[1], noise[0]), sample(networks, prompts[0], noise[0], scale=3.0)):
        assert psnr(networks[2].decode(other[None])[0], images[0]) < 40


def test_a_run_resumed_from_stored_bytes_gives_the_same_bits(networks, reference):
    prompts, noise, _ = reference
    positive, negative = networks[1].encode([prompts[0], ""])
    guidance = Guidance(positive, negative, 4.0, rescale=0.5)
    schedule = make_schedule("karras", make_process(RECIPES.denoiser.process), 6, "starter")

    def run(state: DenoiseState, until: int) -> DenoiseState:
        while state.index < until:
            state = run_step(dpmpp_2m, state, schedule, lambda x, point: guided_denoised(networks[0], x, point, guidance, 0.0))
        return state

    half = run(begin(noise[0], schedule, 0), 3)
    assert half.x.is_contiguous()
    assert half.denoised is not None
    tensors = load(save({"x": half.x, "denoised": half.denoised.clone()} | dict(half.history)))
    x, denoised = tensors.pop("x"), tensors.pop("denoised")
    stored = DenoiseState(x, half.index, half.seed, half.family, denoised, tensors)
    assert torch.equal(run(stored, 6).x, run(half, 6).x)


def test_its_recipe_describes_a_64_pixel_flow_model():
    denoiser = RECIPES.denoiser
    assert (denoiser.prediction, denoiser.process) == ("flow", NoiseProcess("rectified_flow"))
    assert (denoiser.native_size, denoiser.downscale, denoiser.size_multiple) == ((64, 64), 4, 16)
    assert len({hash(recipe) for recipe in RECIPES}) == 3
    assert json.loads(json.dumps(dataclasses.asdict(denoiser)))["latent_channels"] == 4


def test_latents_are_normalised_and_survive_the_round_trip(networks, reference):
    pixels = reference[2][:2]
    samples = networks[2].encode(pixels)
    assert samples.shape == (2, 4, 16, 16)
    assert 0.3 < samples.std().item() < 2
    assert psnr(networks[2].decode(samples), pixels) > 18


def test_its_preview_resembles_the_picture(networks, reference):
    prompts, noise, images = reference
    preview = preview_image(sample(networks, prompts[0], noise[0]), RECIPES.denoiser)
    blocks = images[0].unflatten(0, (16, 4)).unflatten(2, (16, 4)).mean((1, 3))
    assert psnr(preview, blocks) > 18
    assert psnr(preview.flip(-1), blocks) < 16


def test_any_size_in_its_multiple_works(networks):
    noise = torch.randn(4, 12, 20, generator=torch.Generator().manual_seed(0))
    assert networks[2].decode(sample(networks, "a tree", noise)[None]).shape == (1, 48, 80, 3)


def test_its_text_encoder_counts_tokens_and_zeroes_padding(networks):
    encoder = networks[1]
    assert encoder.max_tokens == 22
    assert encoder.count_tokens("a red apple") == 3
    assert encoder.count_tokens("apple " * 30) == 30
    short = encoder.encode(["a red apple"])[0]
    assert short.states.shape == (24, 384)
    assert short.states[5:].abs().max() == 0
    assert short.states[:5].abs().amax(dim=1).min() > 0
    assert short.pooled is not None
    assert short.pooled.norm().item() == pytest.approx(384**0.5, rel=1e-5)


def test_a_card_without_preview_factors_or_geometry_still_works(tmp_path):
    copy = tmp_path / "model"
    shutil.copytree(MODEL, copy, copy_function=lambda source, target: Path(target).symlink_to(source))
    card = json.loads((MODEL / "starter.json").read_text())
    (copy / "starter.json").unlink()
    (copy / "starter.json").write_text(json.dumps({"latent": card["latent"]}))
    denoiser = describe_model(copy, "digest").denoiser
    assert denoiser.preview.factors[0] == (0.25, 0.0, 0.0)
    assert (denoiser.native_size, denoiser.downscale) == ((64, 64), 4)
    assert load_text_encoder(describe_model(copy, "digest").text_encoder, "cpu").max_tokens == 22


def test_plain_weights_are_read_where_there_are_no_int8_ones(networks, tmp_path):
    copy = tmp_path / "model"
    shutil.copytree(MODEL, copy, copy_function=lambda source, target: Path(target).symlink_to(source))
    quantised = copy / "unet/model.int8.safetensors"
    save_file(
        {name: dense(tensor) for name, tensor in read_tensors(quantised).items()},
        copy / "unet/diffusion_pytorch_model.safetensors",
    )
    quantised.unlink()
    plain = load_denoiser(describe_model(copy, "digest").denoiser, "cpu")
    weights = networks[0].module.state_dict()
    assert all(torch.equal(tensor, weights[name]) for name, tensor in plain.module.state_dict().items())


def test_int8_rows_are_multiplied_by_their_scales(tmp_path):
    stored = {
        "a.weight": torch.tensor([[1, -2], [3, 127]], dtype=torch.int8),
        "a.weight.scale": torch.tensor([0.5, 2.0], dtype=torch.float16),
        "norm.scale": torch.tensor([3.0]),
    }
    save_file(stored, tmp_path / "stored.safetensors")
    tensors = read_tensors(tmp_path / "stored.safetensors")
    assert tensors.keys() == {"a.weight", "norm.scale"}
    assert dense(tensors["a.weight"]).tolist() == [[0.5, -1.0], [6.0, 254.0]]

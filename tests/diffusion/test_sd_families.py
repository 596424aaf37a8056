"""Stable Diffusion 1, 2, XL, its refiner and inpainting models: whole pictures equal those of diffusers' pipelines."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import StableDiffusionImg2ImgPipeline, StableDiffusionXLImg2ImgPipeline
from tiny_models import save_single_file, tiny_scheduler, tiny_sd1, tiny_sd2
from tiny_models.xl import tiny_refiner, tiny_sdxl
from torch import Tensor

from nodegraph_nodes.diffusion.families import (
    describe_model,
    load_autoencoder,
    load_denoiser,
    load_text_encoder,
)
from nodegraph_nodes.diffusion.predict import guided_denoised
from nodegraph_nodes.diffusion.samplers import SAMPLERS, begin, finish, run_step
from nodegraph_nodes.diffusion.schedules import make_process, make_schedule
from nodegraph_nodes.types import Conditioning, Guidance

STEPS, SCALE, HALF = 4, 6.0, 2
PROMPT, NEGATIVE = "a red apple", "blurry"
TOLERANCE = 0.5 / 255
TINY: dict[str, Callable[[], Any]] = {
    "sd1": tiny_sd1,
    "sd2": tiny_sd2,
    "sdxl": tiny_sdxl,
    "sdxl_refiner": tiny_refiner,
    "sd1 inpainting": lambda: tiny_sd1(channels=9),
    "sd2 inpainting": lambda: tiny_sd2(channels=9, prediction="epsilon"),
    "sdxl inpainting": lambda: tiny_sdxl(channels=9),
}
PLAIN = ["sd1", "sd2", "sdxl"]
INPAINTING = [name for name in TINY if name.endswith("inpainting")]


@pytest.fixture(scope="module")
def pipelines() -> dict[str, Any]:
    return {name: build() for name, build in TINY.items()}


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory, pipelines: dict[str, Any]) -> dict[str, dict[str, Path]]:
    root = tmp_path_factory.mktemp("families")
    found = {}
    for name, pipeline in pipelines.items():
        folder, single = root / name / "folder", root / name / "single.safetensors"
        pipeline.save_pretrained(folder)
        found[name] = {"folder": folder, "single file": save_single_file(pipeline, single)}
    return found


def noise(width: int = 64, height: int = 64) -> Tensor:
    return torch.randn(1, 4, height // 8, width // 8, generator=torch.Generator().manual_seed(3))


def ours(
    model: Path,
    *,
    prompt: str = PROMPT,
    negative: str = NEGATIVE,
    start: Tensor | None = None,
    size: tuple[int, int] = (64, 64),
    concat: Tensor | None = None,
    change: Callable[[Conditioning], Conditioning] = lambda conditioning: conditioning,
    **options: Any,
) -> Tensor:
    """From disk to pixels [H, W, 3]. start: a normalised latent [4, h, w], of which the last half of the steps is done."""
    recipes = describe_model(model, "digest", **options)
    denoiser = load_denoiser(recipes.denoiser, "cpu")
    positive, away = map(change, load_text_encoder(recipes.text_encoder, "cpu").encode([prompt, negative]))
    schedule = make_schedule("ddim_uniform", make_process(recipes.denoiser.process), STEPS, recipes.denoiser.family)
    guidance = Guidance(positive, away, SCALE, concat=concat)
    state = begin(noise(*size)[0], schedule, 0, index=0 if start is None else HALF, latent=start)
    for index in range(state.index, STEPS):
        progress = index / STEPS
        state = run_step(
            SAMPLERS["ddim"],
            state,
            schedule,
            lambda x, point, progress=progress: guided_denoised(denoiser, x, point, guidance, progress),
        )
    return load_autoencoder(recipes.autoencoder, "cpu").decode(finish(state, schedule)[None])[0]


def theirs(pipeline: Any, **options: Any) -> Tensor:
    """The pipeline's, from the same noise."""
    pipeline.scheduler = tiny_scheduler(pipeline.scheduler.config.prediction_type)
    settings = {"negative_prompt": NEGATIVE, "guidance_scale": SCALE, "num_inference_steps": STEPS, "latents": noise()}
    result = pipeline(PROMPT, output_type="np", **{**settings, **options})
    return torch.from_numpy(result.images[0])


def difference(one: Tensor, other: Tensor) -> float:
    return (one - other).abs().max().item()


@pytest.mark.parametrize("layout", ["folder", "single file"])
@pytest.mark.parametrize("name", PLAIN)
def test_a_picture_from_text_equals_the_one_of_diffusers(models, pipelines, name, layout):
    expected = theirs(pipelines[name])
    assert difference(ours(models[name][layout]), expected) <= TOLERANCE
    assert difference(ours(models[name][layout], prompt="a dog"), expected) > 10 * TOLERANCE


@pytest.mark.parametrize("layout", ["folder", "single file"])
@pytest.mark.parametrize("name", [*PLAIN, "sdxl_refiner"])
def test_a_picture_from_a_picture_equals_the_one_of_diffusers(models, pipelines, name, layout):
    kind = StableDiffusionXLImg2ImgPipeline if name.startswith("sdxl") else StableDiffusionImg2ImgPipeline
    components = pipelines[name].components
    pipeline = kind(**components, **({} if kind is StableDiffusionXLImg2ImgPipeline else {"requires_safety_checker": False}))
    if name == "sdxl_refiner":
        pipeline.register_to_config(requires_aesthetics_score=True)
    pipeline.set_progress_bar_config(disable=True)
    start = torch.randn(1, 4, 8, 8, generator=torch.Generator().manual_seed(5))
    generator = torch.Generator().manual_seed(3)
    expected = theirs(pipeline, image=start, strength=HALF / STEPS, generator=generator, latents=None)
    assert difference(ours(models[name][layout], start=start[0]), expected) <= TOLERANCE


@pytest.mark.parametrize("layout", ["folder", "single file"])
@pytest.mark.parametrize("name", INPAINTING)
def test_an_inpainted_picture_equals_the_one_of_diffusers(models, pipelines, name, layout):
    mask = torch.zeros(1, 1, 64, 64)
    mask[..., 16:40, 24:56] = 1
    masked = torch.randn(1, 4, 8, 8, generator=torch.Generator().manual_seed(7))
    expected = theirs(
        pipelines[name], image=torch.rand(1, 3, 64, 64), mask_image=mask, masked_image_latents=masked, strength=1.0,
        height=64, width=64,
    )  # fmt: skip
    concat = torch.cat([mask[0, :, ::8, ::8], masked[0]])
    assert describe_model(models[name][layout], "digest").denoiser.concat_channels == 5
    assert difference(ours(models[name][layout], concat=concat), expected) <= TOLERANCE
    assert difference(ours(models[name][layout], concat=0 * concat), expected) > 2 * TOLERANCE

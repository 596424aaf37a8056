"""Whole pictures of tiny models: ours from disk to pixels, and those of diffusers' pipelines from the same noise."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
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
from tiny_models import tiny_scheduler

STEPS, SCALE, HALF = 4, 6.0, 2
PROMPT, NEGATIVE = "a red apple", "blurry"
TOLERANCE = 0.5 / 255


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
    result = pipeline(PROMPT, **{"output_type": "np", **settings, **options})
    return torch.as_tensor(result.images[0])


def difference(one: Tensor, other: Tensor) -> float:
    return (one - other).abs().max().item()

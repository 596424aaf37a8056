"""Every sampler against diffusers' own scheduler loop, on a tiny random U-Net, given the same noise levels and noise."""

from collections.abc import Iterator
from typing import Any

import diffusers.schedulers.scheduling_euler_ancestral_discrete as ancestral
import pytest
import torch
from diffusers import (
    DDIMScheduler,
    DPMSolverMultistepScheduler,
    EulerAncestralDiscreteScheduler,
    EulerDiscreteScheduler,
    FlowMatchEulerDiscreteScheduler,
    HeunDiscreteScheduler,
)
from tiny_models import BETAS, LATENT_SHAPE, tiny_sd1
from torch import Tensor

from nodegraph_nodes.diffusion.families.networks import UNetDenoiser
from nodegraph_nodes.diffusion.predict import guided_denoised
from nodegraph_nodes.diffusion.samplers import SAMPLERS, begin, initial_noise, run_step, step_noise
from nodegraph_nodes.diffusion.schedules import make_process, make_schedule
from nodegraph_nodes.types import (
    Conditioning,
    Denoiser,
    Guidance,
    NoiseProcess,
    Prediction,
    PreviewFactors,
    Schedule,
)

SEED, STEPS, SCALE = 7, 8, 5.0
TOLERANCE = 1e-4
DIFFUSERS_WORDS: dict[Prediction, str] = {"epsilon": "epsilon", "v": "v_prediction", "flow": "flow_prediction"}
KARRAS_STYLE = {  # schedulers that keep x divided by alpha
    "euler": EulerDiscreteScheduler,
    "euler_ancestral": EulerAncestralDiscreteScheduler,
    "heun": HeunDiscreteScheduler,
}


@pytest.fixture(scope="module")
def unet() -> Any:
    return tiny_sd1().unet


@pytest.fixture
def same_step_noise(monkeypatch: pytest.MonkeyPatch) -> None:
    draws: Iterator[int] = iter(range(1000))
    monkeypatch.setattr(ancestral, "randn_tensor", lambda shape, **_: step_noise(SEED, next(draws), 0, tuple(shape)[1:])[None])


def prompt(seed: int) -> Conditioning:
    return Conditioning(torch.randn(77, 32, generator=torch.Generator().manual_seed(seed)), "sd1")


def guidance(positive: int = 1, scale: float = SCALE) -> Guidance:
    return Guidance(prompt(positive), prompt(0), scale)


def schedule_for(name: str, prediction: Prediction) -> Schedule:
    kind = "rectified_flow" if prediction == "flow" else "variance_preserving"
    return make_schedule(name, make_process(NoiseProcess(kind)), STEPS, "sd1")


def denoiser_of(unet: Any, prediction: Prediction) -> UNetDenoiser:
    recipe = Denoiser(
        family="sd1",
        path="",
        digest="",
        prediction=prediction,
        process=NoiseProcess("variance_preserving"),
        latent_channels=4,
        downscale=8,
        size_multiple=8,
        native_size=(64, 64),
        preview=PreviewFactors((), (0, 0, 0)),
    )
    return UNetDenoiser(recipe, unet)


def ours(unet: Any, sampler: str, schedule: Schedule, prediction: Prediction, guidance: Guidance) -> Tensor:
    denoiser = denoiser_of(unet, prediction)
    state = begin(initial_noise(SEED, LATENT_SHAPE), schedule, SEED)
    for _ in range(schedule.steps):
        state = run_step(
            SAMPLERS[sampler], state, schedule, lambda x, point: guided_denoised(denoiser, x, point, guidance, 0.5)
        )
    return state.x


@torch.no_grad()
def theirs(unet: Any, scheduler: Any, schedule: Schedule, guidance: Guidance) -> Tensor:
    """A plain diffusers loop over the same noise levels."""
    levels = schedule.sigma / (1 if isinstance(scheduler, FlowMatchEulerDiscreteScheduler) else schedule.alpha)
    timesteps = schedule.timestep[:-1]
    if isinstance(scheduler, FlowMatchEulerDiscreteScheduler):
        scheduler.set_timesteps(sigmas=schedule.sigma[:-1].numpy())
    else:
        scheduler.set_timesteps(schedule.steps)
    if getattr(scheduler.config, "use_flow_sigmas", False):
        levels = schedule.sigma
    if isinstance(scheduler, HeunDiscreteScheduler):
        levels = torch.cat([levels[:1], levels[1:-1].repeat_interleave(2), levels[-1:]])
        timesteps = torch.cat([timesteps[:1], timesteps[1:].repeat_interleave(2)])
    if not isinstance(scheduler, DDIMScheduler):
        scheduler.sigmas, scheduler.timesteps = levels.float(), timesteps.float()
        scheduler.set_begin_index(0)
    x = initial_noise(SEED, LATENT_SHAPE)[None]
    if isinstance(scheduler, tuple(KARRAS_STYLE.values())):
        x = x / schedule.point(0).alpha
    assert guidance.negative is not None
    states = torch.stack([guidance.negative.states, guidance.positive.states])
    for timestep in scheduler.timesteps:
        scaled = scheduler.scale_model_input(x, timestep) if hasattr(scheduler, "scale_model_input") else x
        negative, positive = unet(torch.cat([scaled, scaled]), timestep, states, return_dict=False)[0].chunk(2)
        output = negative + guidance.scale * (positive - negative)
        x = scheduler.step(output, timestep, x, return_dict=False)[0]
    return x[0] * (schedule.point(schedule.steps).alpha if isinstance(scheduler, tuple(KARRAS_STYLE.values())) else 1)


def relative(a: Tensor, b: Tensor) -> float:
    return ((a - b).norm() / b.norm()).item()


@pytest.mark.parametrize("prediction", ["epsilon", "v"])
@pytest.mark.parametrize("schedule_name", ["normal", "karras", "simple"])
@pytest.mark.parametrize("sampler", ["euler", "euler_ancestral", "heun", "dpmpp_2m"])
@pytest.mark.usefixtures("same_step_noise")
def test_variance_preserving_samplers_give_the_latents_of_diffusers(unet, sampler, schedule_name, prediction):
    word = DIFFUSERS_WORDS[prediction]
    if sampler == "dpmpp_2m":
        scheduler = DPMSolverMultistepScheduler(**BETAS, prediction_type=word, algorithm_type="dpmsolver++", solver_order=2)
    else:
        scheduler = KARRAS_STYLE[sampler](**BETAS, prediction_type=word)
    schedule = schedule_for(schedule_name, prediction)
    expected = theirs(unet, scheduler, schedule, guidance())
    assert relative(ours(unet, sampler, schedule, prediction, guidance()), expected) < TOLERANCE


@pytest.mark.parametrize("prediction", ["epsilon", "v"])
@pytest.mark.parametrize("sampler", ["ddim", "euler"])
def test_ddim_and_euler_both_give_the_latents_of_the_ddim_scheduler(unet, sampler, prediction):
    word = DIFFUSERS_WORDS[prediction]
    scheduler = DDIMScheduler(**BETAS, prediction_type=word, clip_sample=False, set_alpha_to_one=False, steps_offset=1)
    schedule = schedule_for("ddim_uniform", prediction)
    expected = theirs(unet, scheduler, schedule, guidance())
    assert relative(ours(unet, sampler, schedule, prediction, guidance()), expected) < TOLERANCE


@pytest.mark.parametrize("schedule_name", ["normal", "karras"])
@pytest.mark.parametrize("sampler", ["euler", "ddim", "dpmpp_2m"])
def test_flow_samplers_give_the_latents_of_diffusers(unet, sampler, schedule_name):
    schedule = schedule_for(schedule_name, "flow")
    if sampler == "dpmpp_2m":
        scheduler = DPMSolverMultistepScheduler(use_flow_sigmas=True, prediction_type="flow_prediction")
    else:
        scheduler = FlowMatchEulerDiscreteScheduler()
    expected = theirs(unet, scheduler, schedule, guidance())
    assert relative(ours(unet, sampler, schedule, "flow", guidance()), expected) < TOLERANCE


@pytest.mark.parametrize("prediction", ["epsilon", "v", "flow"])
def test_the_comparison_would_notice_another_sampler_prompt_scale_or_prediction(unet, prediction):
    schedule = schedule_for("karras", prediction)
    distinct = ["euler", "euler_ancestral", "heun", "dpmpp_2m"]
    latents = {sampler: ours(unet, sampler, schedule, prediction, guidance()) for sampler in distinct}
    for one in distinct:
        for other in distinct:
            assert one == other or relative(latents[one], latents[other]) > 10 * TOLERANCE
    reference = latents["euler"]
    assert relative(ours(unet, "euler", schedule, prediction, guidance(positive=2)), reference) > 10 * TOLERANCE
    assert relative(ours(unet, "euler", schedule, prediction, guidance(scale=1)), reference) > 10 * TOLERANCE
    for other in {"epsilon", "v"} - {prediction}:
        if prediction != "flow":
            assert relative(ours(unet, "euler", schedule, other, guidance()), reference) > 10 * TOLERANCE

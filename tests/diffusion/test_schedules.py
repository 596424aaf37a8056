"""Noise schedules against diffusers' schedulers, spacing by spacing."""

import numpy as np
import pytest
import torch
from diffusers import (
    DDIMScheduler,
    DPMSolverMultistepScheduler,
    EulerDiscreteScheduler,
    FlowMatchEulerDiscreteScheduler,
)
from hypothesis import given
from hypothesis import strategies as st
from tiny_models import BETAS

from nodegraph_nodes.diffusion.schedules import SCHEDULES, RectifiedFlow, make_process, make_schedule
from nodegraph_nodes.types import NoiseProcess, Schedule

SD1 = NoiseProcess("variance_preserving")
FLOW = NoiseProcess("rectified_flow")
TOLERANCE = {"rtol": 1e-5, "atol": 1e-7}


def sigma_hats(schedule: Schedule) -> np.ndarray:
    return (schedule.sigma / schedule.alpha).numpy()


@pytest.mark.parametrize("steps", [2, 7, 20, 30])
@pytest.mark.parametrize(
    ("name", "config"),
    [
        ("normal", {"timestep_spacing": "linspace"}),
        ("simple", {"timestep_spacing": "trailing"}),
        ("karras", {"use_karras_sigmas": True, "timestep_spacing": "linspace"}),
    ],
)
@pytest.mark.parametrize("betas", [BETAS, {"beta_start": 0.0001, "beta_end": 0.02, "beta_schedule": "linear"}])
def test_variance_preserving_schedules_are_those_of_the_euler_scheduler(name, config, betas, steps):
    theirs = EulerDiscreteScheduler(**betas, **config)
    theirs.set_timesteps(steps)
    ours = make_schedule(name, make_process(NoiseProcess("variance_preserving", **betas)), steps, "sd1")
    np.testing.assert_allclose(sigma_hats(ours), theirs.sigmas.numpy(), **TOLERANCE)
    np.testing.assert_allclose(ours.timestep[:-1].numpy(), theirs.timesteps.numpy(), rtol=1e-5, atol=1e-3)


@pytest.mark.parametrize("steps", [5, 20, 30, 999])
def test_ddim_uniform_is_what_stable_diffusion_1_was_published_with(steps):
    theirs = DDIMScheduler(**BETAS, set_alpha_to_one=False, steps_offset=1, clip_sample=False)
    theirs.set_timesteps(steps)
    ours = make_schedule("ddim_uniform", make_process(SD1), steps, "sd1")
    assert ours.timestep[:-1].tolist() == theirs.timesteps.tolist()
    alphas_cumprod = torch.cat([theirs.alphas_cumprod[theirs.timesteps], theirs.final_alpha_cumprod[None]])
    np.testing.assert_allclose(ours.alpha.numpy() ** 2, alphas_cumprod.numpy(), **TOLERANCE)


def test_simple_is_the_trailing_spacing_of_dpm_solver_too():
    theirs = DPMSolverMultistepScheduler(**BETAS, timestep_spacing="trailing")
    theirs.set_timesteps(12)
    ours = make_schedule("simple", make_process(SD1), 12, "sd1")
    np.testing.assert_allclose(sigma_hats(ours), theirs.sigmas.numpy(), **TOLERANCE)
    assert ours.timestep[:-1].tolist() == theirs.timesteps.tolist()


@pytest.mark.parametrize("name", ["normal", "simple", "ddim_uniform"])
def test_flow_schedules_fall_in_equal_steps_like_the_flow_matching_scheduler(name):
    theirs = FlowMatchEulerDiscreteScheduler()
    theirs.set_timesteps(sigmas=np.linspace(1, 1 / 20, 20))
    ours = make_schedule(name, RectifiedFlow(), 20, "starter")
    np.testing.assert_allclose(ours.sigma.numpy(), theirs.sigmas.numpy(), rtol=1e-5, atol=1e-7)
    np.testing.assert_allclose(ours.timestep[:-1].numpy(), theirs.timesteps.numpy(), rtol=1e-5)


def test_flow_karras_follows_the_karras_ramp_from_one_to_a_thousandth():
    schedule = make_schedule("karras", RectifiedFlow(), 10, "starter")
    roots = schedule.sigma[:-1].numpy() ** (1 / 7)
    np.testing.assert_allclose(np.diff(roots), np.full(9, (0.001 ** (1 / 7) - 1) / 9))
    assert schedule.sigma[-1] == 0


def test_zero_terminal_snr_is_rescaled_as_in_diffusers():
    theirs = EulerDiscreteScheduler(**BETAS, rescale_betas_zero_snr=True, timestep_spacing="trailing")
    theirs.set_timesteps(10)
    process = make_process(NoiseProcess("variance_preserving", zero_terminal_snr=True))
    ours = make_schedule("simple", process, 10, "sd1")
    np.testing.assert_allclose(sigma_hats(ours), theirs.sigmas.numpy(), rtol=1e-4)
    assert ours.sigma[0] / ours.alpha[0] == pytest.approx(4096, rel=1e-4)


@given(st.sampled_from(sorted(SCHEDULES)), st.integers(1, 200), st.sampled_from([SD1, FLOW]))
def test_every_schedule_falls_from_noise_to_clean(name, steps, parameters):
    schedule = make_schedule(name, make_process(parameters), steps, "any")
    assert schedule.steps == steps
    assert schedule.alpha.dtype == schedule.sigma.dtype == schedule.timestep.dtype == torch.float64
    for values in (schedule.sigma, -schedule.alpha, schedule.timestep[:-1]):
        assert bool((values.diff() < 0).all())
    if parameters is FLOW:
        assert (schedule.point(0).alpha, schedule.point(0).sigma) == (0, 1)
        torch.testing.assert_close(schedule.alpha + schedule.sigma, torch.ones_like(schedule.alpha))
    else:
        torch.testing.assert_close(schedule.alpha**2 + schedule.sigma**2, torch.ones_like(schedule.alpha))
    assert schedule.point(steps).sigma <= 0.03


@pytest.mark.parametrize(
    ("name", "steps", "says"),
    [
        ("normal", 0, "at least 1 step"),
        ("karras", -3, "at least 1 step"),
        ("quadratic", 20, "choose one of normal, karras"),
        ("simple", 1001, "at most 1000 steps"),
        ("ddim_uniform", 1000, "at most 999 steps"),
    ],
)
def test_impossible_schedules_are_refused_with_advice(name, steps, says):
    with pytest.raises(ValueError, match=says):
        make_schedule(name, make_process(SD1), steps, "sd1")


def test_an_unknown_beta_schedule_is_named():
    with pytest.raises(ValueError, match="'cosine'"):
        make_process(NoiseProcess("variance_preserving", beta_schedule="cosine"))

"""Schedules that are ramps, quantiles or the user's own, against diffusers, closed forms and mpmath; and their nodes."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import diffusers.schedulers.scheduling_euler_discrete as euler_discrete
import mpmath
import numpy as np
import pytest
import torch
from diffusers import DPMSolverMultistepScheduler, EulerDiscreteScheduler
from tiny_models import BETAS

from nodegraph import NodeError
from nodegraph_nodes.diffusion import custom_schedule, noise_schedule, partial_steps
from nodegraph_nodes.diffusion.schedules import RectifiedFlow, Shape, make_process, make_schedule
from nodegraph_nodes.diffusion.schedules.beta import beta_quantile, beta_share
from nodegraph_nodes.types import Denoiser, NoiseProcess, PreviewFactors, Schedule

SD1 = make_process(NoiseProcess("variance_preserving"))
FLOW = RectifiedFlow()
LOW, HIGH = 0.029167, 14.614642


def denoiser(kind: Any = "variance_preserving") -> Denoiser:
    return Denoiser("test", "", "", "epsilon", NoiseProcess(kind), 4, 8, 8, (64, 64), PreviewFactors((), (0, 0, 0)))


def sigma_hats(schedule: Schedule) -> np.ndarray:
    return (schedule.sigma / schedule.alpha).numpy()


# ---- quantiles of the beta distribution ----


@pytest.mark.parametrize(
    ("a", "b", "closed"),
    [
        (0.5, 0.5, lambda p: np.sin(np.pi * p / 2) ** 2),  # the arcsine distribution
        (1.0, 3.0, lambda p: 1 - (1 - p) ** (1 / 3)),
        (2.5, 1.0, lambda p: p ** (1 / 2.5)),
        (1.0, 1.0, lambda p: p),
    ],
)
def test_quantiles_are_those_of_the_closed_forms(a, b, closed):
    shares = np.linspace(0, 1, 101)
    np.testing.assert_allclose(beta_quantile(shares, a, b), closed(shares), rtol=1e-11, atol=1e-14)


@pytest.mark.parametrize(("a", "b"), [(0.6, 0.6), (0.1, 2.0), (7.0, 0.3), (40.0, 60.0)])
def test_shares_are_those_of_mpmath_and_quantiles_their_inverse(a, b):
    x = np.array([1e-6, 0.01, 0.2, 0.5, 0.77, 0.99])
    expected = [float(mpmath.betainc(a, b, 0, value, regularized=True)) for value in x]
    np.testing.assert_allclose(beta_share(x, a, b), expected, rtol=1e-10, atol=1e-15)
    shares = np.array([0.25, 0.5, 0.9])
    back = [float(mpmath.betainc(a, b, 0, value, regularized=True)) for value in beta_quantile(shares, a, b)]
    np.testing.assert_allclose(back, shares, rtol=1e-9)


def quantile_of_mpmath(share: float, a: float, b: float) -> float:
    if share in (0, 1):
        return float(share)
    low, high = mpmath.mpf(0), mpmath.mpf(1)
    for _ in range(40):
        middle = (low + high) / 2
        low, high = (middle, high) if mpmath.betainc(a, b, 0, middle, regularized=True) < share else (low, middle)
    return float(low)


# ---- spacings ----


@pytest.mark.parametrize("steps", [2, 11])
@pytest.mark.parametrize(
    ("name", "config"),
    [("exponential", "use_exponential_sigmas"), ("beta_sigma", "use_beta_sigmas"), ("karras", "use_karras_sigmas")],
)
def test_ramps_are_those_of_diffusers(name, config, steps, monkeypatch):
    beta = SimpleNamespace(ppf=quantile_of_mpmath)
    monkeypatch.setattr(euler_discrete, "scipy", SimpleNamespace(stats=SimpleNamespace(beta=beta)), raising=False)
    monkeypatch.setattr(euler_discrete, "is_scipy_available", lambda: True)
    theirs = EulerDiscreteScheduler(**BETAS, **{config: True})
    theirs.set_timesteps(steps)
    ours = make_schedule(name, SD1, steps, "sd1")
    np.testing.assert_allclose(sigma_hats(ours), theirs.sigmas.numpy(), rtol=1e-5, atol=1e-7)
    np.testing.assert_allclose(ours.timestep[:-1].numpy(), theirs.timesteps.numpy(), rtol=1e-4, atol=1e-2)
    other = make_schedule("normal", SD1, steps, "sd1")
    assert steps == 2 or np.abs(sigma_hats(other) - theirs.sigmas.numpy()).max() > 0.1


@pytest.mark.parametrize("steps", [3, 9, 27])
def test_sgm_uniform_is_the_linspace_of_dpm_solver_where_the_timesteps_are_whole(steps):
    theirs = DPMSolverMultistepScheduler(**BETAS, timestep_spacing="linspace")
    theirs.set_timesteps(steps)
    ours = make_schedule("sgm_uniform", SD1, steps, "sd1")
    np.testing.assert_allclose(ours.timestep[:-1].numpy(), theirs.timesteps.numpy(), atol=1e-9)
    np.testing.assert_allclose(sigma_hats(ours), theirs.sigmas.numpy(), rtol=1e-5, atol=1e-7)


def test_polyexponential_is_k_diffusions_and_with_rho_1_the_exponential():
    ramp = np.linspace(1, 0, 12) ** 1.7
    expected = np.exp(ramp * (np.log(HIGH) - np.log(LOW)) + np.log(LOW))
    ours = make_schedule("polyexponential", SD1, 12, "sd1", Shape(1.7, LOW, HIGH))
    np.testing.assert_allclose(sigma_hats(ours)[:-1], expected, rtol=1e-12)
    even, usual = (sigma_hats(make_schedule(name, SD1, 12, "sd1")) for name in ("exponential", "polyexponential"))
    np.testing.assert_allclose(even, usual, rtol=1e-12)


def test_kl_optimal_is_the_closed_form_of_align_your_steps():
    share = np.arange(10) / 9
    expected = np.tan(share * np.arctan(LOW) + (1 - share) * np.arctan(HIGH))
    ours = make_schedule("kl_optimal", SD1, 10, "sd1", Shape(None, LOW, HIGH))
    np.testing.assert_allclose(sigma_hats(ours)[:-1], expected, rtol=1e-12)
    flow = make_schedule("kl_optimal", FLOW, 10, "test")
    angles = np.arctan2(flow.sigma.numpy(), flow.alpha.numpy())[:-1]
    np.testing.assert_allclose(np.diff(angles), (np.arctan(0.001 / 0.999) - np.pi / 2) / 9, rtol=1e-9)


def test_beta_takes_quantiles_of_time():
    ours = make_schedule("beta", SD1, 8, "sd1")
    expected = [999 * quantile_of_mpmath(1 - i / 8, 0.6, 0.6) for i in range(8)]
    np.testing.assert_allclose(ours.timestep[:-1].numpy(), expected, rtol=1e-9)
    flow = make_schedule("beta", FLOW, 8, "test")
    np.testing.assert_allclose(flow.sigma[:-1].numpy(), np.array(expected) / 999, rtol=1e-9)


@pytest.mark.parametrize("name", ["karras", "exponential", "polyexponential", "beta_sigma", "kl_optimal"])
@pytest.mark.parametrize(("process", "low", "high"), [(SD1, 0.1, 5.0), (FLOW, 0.05, 0.9)])
def test_a_ramp_goes_from_the_sigma_max_to_the_sigma_min_that_are_asked_for(name, process, low, high):
    schedule = make_schedule(name, process, 7, "test", Shape(None, low, high))
    levels = schedule.sigma if process is FLOW else schedule.sigma / schedule.alpha
    assert (levels[0].item(), levels[-2].item(), levels[-1].item()) == pytest.approx((high, low, 0))


def test_a_larger_rho_is_denser_towards_the_end():
    sevens, nines = (make_schedule("karras", SD1, 10, "sd1", Shape(rho)) for rho in (None, 9.0))
    assert (sigma_hats(nines)[1:-2] < sigma_hats(sevens)[1:-2]).all()


# ---- the nodes ----


@pytest.mark.parametrize("kind", ["variance_preserving", "rectified_flow"])
def test_a_custom_schedule_goes_through_the_levels_that_are_said(kind):
    levels = [0.9, 0.5, 0.2, 0.0]
    schedule = custom_schedule(denoiser(kind), levels)
    got = schedule.sigma if kind == "rectified_flow" else schedule.sigma / schedule.alpha
    torch.testing.assert_close(got, torch.tensor(levels, dtype=torch.float64))
    assert schedule.steps == 3
    assert schedule.timestep[-1] == 0
    assert (schedule.timestep.diff() < 0).all()
    again = custom_schedule(denoiser(kind), got.tolist()[:-1])
    assert again.point(2) == schedule.point(2), "a schedule may end with noise"


@pytest.mark.parametrize(
    ("kind", "levels", "says"),
    [
        ("variance_preserving", [1.0], "at least two"),
        ("variance_preserving", [1.0, 2.0], "fall from one"),
        ("variance_preserving", [1.0, float("nan")], "fall from one"),
        ("variance_preserving", [1.0, -1.0], "between 0"),
        ("rectified_flow", [1.5, 0.0], "between 0 and 1"),
    ],
)
def test_levels_that_are_no_schedule_are_refused(kind, levels, says):
    with pytest.raises(NodeError, match=says) as caught:
        custom_schedule(denoiser(kind), levels)
    assert caught.value.socket == "sigmas"


@pytest.mark.parametrize(
    ("kind", "shape", "says"),
    [
        ("variance_preserving", {"sigma_min": 20.0}, "between 0 and sigma_max"),
        ("variance_preserving", {"sigma_min": 2.0, "sigma_max": 1.0}, "between 0 and sigma_max"),
        ("rectified_flow", {"sigma_max": 14.6}, "at most 1"),
    ],
)
def test_a_ramp_that_cannot_be_is_refused(kind, shape, says):
    with pytest.raises(NodeError, match=says):
        noise_schedule(denoiser(kind), "karras", 10, **shape)


def test_more_steps_than_a_spacing_has_are_the_users_to_change():
    with pytest.raises(NodeError, match="at most 999") as caught:
        noise_schedule(denoiser(), "ddim_uniform", 1000)
    assert caught.value.socket == "steps"


@pytest.mark.parametrize(
    ("steps", "strength", "end", "expected"),
    [(20, 1.0, 0.8, (0, 16)), (20, 0.2, 1.0, (16, 4)), (20, 0.6, 0.8, (8, 8)), (20, 0.1, 0.5, (18, 0)), (7, 1.0, 0.5, (0, 4))],
)
def test_a_run_may_end_before_its_schedule_does(steps, strength, end, expected):
    assert partial_steps(steps, strength, end) == expected

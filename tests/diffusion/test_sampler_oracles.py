"""The samplers against diffusers' schedulers (with what they lack put in), and k-diffusion's formulas written out.

The network is a function that any prediction makes sense of: what is compared is the solver.
"""

from __future__ import annotations

import importlib
import math
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from itertools import pairwise
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from diffusers import DDPMScheduler, DPMSolverMultistepScheduler, KDPM2DiscreteScheduler, LCMScheduler, UniPCMultistepScheduler
from tiny_models import BETAS
from torch import Tensor

from nodegraph_nodes.diffusion.predict import to_denoised
from nodegraph_nodes.diffusion.samplers import (
    SAMPLERS,
    begin,
    initial_noise,
    multistep,
    run_step,
    sampler_of,
    step_noise,
    stochastic,
)
from nodegraph_nodes.diffusion.samplers import ode as ode_solvers
from nodegraph_nodes.diffusion.schedules import custom_schedule, make_process, make_schedule
from nodegraph_nodes.types import NoiseProcess, Point, Prediction, Schedule

pytestmark = pytest.mark.filterwarnings("ignore:__array_wrap__:DeprecationWarning")  # diffusers' tables through numpy

SEED, STEPS, SHAPE = 7, 8, (2, 6, 6)
TOLERANCE = 1e-4
WORDS = {"epsilon": "epsilon", "v": "v_prediction", "flow": "flow_prediction"}


def network(x: Tensor, timestep: float) -> Tensor:
    return 0.7 * torch.sin(1.5 * x + timestep / 400) + 0.2 * x


def schedule_of(name: str, prediction: Prediction, steps: int = STEPS) -> Schedule:
    """A flow's begins a little below pure noise: diffusers' solvers have no rule for sigma_hat = infinity."""
    if prediction == "flow":
        process = make_process(NoiseProcess("rectified_flow"))
        return custom_schedule(process, [*np.linspace(0.95, 0.08, steps), 0.0], "test")
    return make_schedule(name, make_process(NoiseProcess("variance_preserving")), steps, "test")


def ours(sampler: str, schedule: Schedule, prediction: Prediction, eta: float | None = None) -> Tensor:
    state = begin(initial_noise(SEED, SHAPE), schedule, SEED)
    for _ in range(schedule.steps):
        state = run_step(
            sampler_of(sampler, eta),
            state,
            schedule,
            lambda x, point: to_denoised(x, network(x, point.timestep), prediction, point),
        )
    return state.x


def relative(a: Tensor, b: Tensor) -> float:
    return ((a - b).norm() / b.norm()).item()


def ve_run(scheduler: Any, schedule: Schedule, visited: Sequence[Point], prediction: Prediction) -> Tensor:
    """A loop over a scheduler that keeps x / alpha. A flow's estimates are given to it as the noise that they imply."""
    first, last = schedule.point(0), schedule.point(schedule.steps)
    x = initial_noise(SEED, SHAPE) * math.hypot(first.alpha, first.sigma) / first.alpha
    for point, timestep in zip(visited, scheduler.timesteps, strict=True):
        inner = point.alpha * x
        output = network(inner, point.timestep)
        if prediction == "flow":
            output = (x - to_denoised(inner, output, "flow", point)) * (point.alpha / point.sigma)
        scheduler.is_scale_input_called = True
        x = scheduler.step(output[None], timestep, x[None], return_dict=False)[0][0]
    return x * last.alpha


def vp_run(scheduler: Any, schedule: Schedule) -> Tensor:
    """A loop over a scheduler that keeps x itself."""
    first = schedule.point(0)
    x = initial_noise(SEED, SHAPE) * math.hypot(first.alpha, first.sigma)
    for index, timestep in enumerate(scheduler.timesteps):
        output = network(x, schedule.point(index).timestep)
        x = scheduler.step(output[None], timestep, x[None], return_dict=False)[0][0]
    return x


def levels(schedule: Schedule) -> Tensor:
    return schedule.sigma / schedule.alpha


def word_for(prediction: Prediction) -> str:
    return "epsilon" if prediction == "flow" else WORDS[prediction]


def middle_points(scheduler: Any, schedule: Schedule, prediction: Prediction) -> list[Point]:
    """The points half-way in log sigma_hat, with timesteps by diffusers' own interpolation."""
    points = []
    for here, there in pairwise(levels(schedule).tolist()[:-1]):
        sigma_hat = math.sqrt(here * there)
        if prediction == "flow":
            t = sigma_hat / (1 + sigma_hat)
            points.append(Point(1 - t, t, 1000 * t))
        else:
            alpha = 1 / math.hypot(1, sigma_hat)
            table = ((1 - scheduler.alphas_cumprod) / scheduler.alphas_cumprod).sqrt().log().numpy()
            timestep = float(scheduler._sigma_to_t(np.array(sigma_hat), table))
            points.append(Point(alpha, alpha * sigma_hat, timestep))
    return points


def twice(schedule: Schedule, middles: Sequence[Point]) -> list[Point]:
    """Where a solver with two estimates a step asks: each point, and the middle after it; the last step asks once."""
    points = [schedule.point(index) for index in range(schedule.steps)]
    return [point for pair in zip(points, middles, strict=False) for point in pair] + points[-1:]


def with_noise(module: str, monkeypatch: pytest.MonkeyPatch) -> None:
    draws: Iterator[int] = iter(range(1000))
    monkeypatch.setattr(
        importlib.import_module(f"diffusers.schedulers.{module}"),
        "randn_tensor",
        lambda shape, **_: step_noise(SEED, next(draws), 0, SHAPE)[None],
    )


# ---- each oracle: the same levels, timesteps and noise in a scheduler of diffusers ----


def their_dpm2(schedule: Schedule, prediction: Prediction, monkeypatch: pytest.MonkeyPatch) -> Tensor:
    scheduler = KDPM2DiscreteScheduler(**BETAS, prediction_type=word_for(prediction))
    scheduler.set_timesteps(schedule.steps)
    sigmas = levels(schedule).float()
    between = sigmas.log().lerp(sigmas.roll(1).log(), 0.5).exp()
    scheduler.sigmas = torch.cat([sigmas[:1], sigmas[1:].repeat_interleave(2), sigmas[-1:]])
    scheduler.sigmas_interpol = torch.cat([between[:1], between[1:].repeat_interleave(2), between[-1:]])
    scheduler.set_begin_index(0)
    return ve_run(scheduler, schedule, twice(schedule, middle_points(scheduler, schedule, prediction)), prediction)


def integral(function: Callable[[Any], Any], start: float, end: float, **_: Any) -> tuple[float]:
    """What scipy.integrate.quad does, for smooth functions."""
    at, weights = np.polynomial.legendre.leggauss(8)
    start, end = float(start), float(end)
    half, centre = (end - start) / 2, (end + start) / 2
    return (half * sum(w * float(function(half * a + centre)) for a, w in zip(at, weights, strict=True)),)


def their_lms(schedule: Schedule, prediction: Prediction, monkeypatch: pytest.MonkeyPatch) -> Tensor:
    module = importlib.import_module("diffusers.schedulers.scheduling_lms_discrete")
    monkeypatch.setattr(module, "integrate", SimpleNamespace(quad=integral), raising=False)
    scheduler = module.LMSDiscreteScheduler(**BETAS, prediction_type=word_for(prediction))
    scheduler.set_timesteps(schedule.steps)
    scheduler.sigmas = levels(schedule)
    scheduler.set_begin_index(0)
    return ve_run(scheduler, schedule, [schedule.point(i) for i in range(schedule.steps)], prediction)


def their_dpmpp_sde(schedule: Schedule, prediction: Prediction, monkeypatch: pytest.MonkeyPatch) -> Tensor:
    monkeypatch.setitem(sys.modules, "torchsde", ModuleType("torchsde"))
    module = importlib.import_module("diffusers.schedulers.scheduling_dpmsolver_sde")
    scheduler = module.DPMSolverSDEScheduler(**BETAS, prediction_type=word_for(prediction))
    scheduler.set_timesteps(schedule.steps)
    sigmas = levels(schedule).float()
    scheduler.sigmas = torch.cat([sigmas[:1], sigmas[1:-1].repeat_interleave(2), sigmas[-1:]])
    points = twice(schedule, middle_points(scheduler, schedule, prediction))
    scheduler.timesteps = torch.tensor([point.timestep for point in points])
    scheduler.set_begin_index(0)
    calls = iter(range(1000))

    def noise(_from: Tensor, _to: Tensor) -> Tensor:
        call = next(calls)
        step, second = divmod(call, 2)
        whole, bridge = (step_noise(SEED, step, draw, SHAPE) for draw in (0, 1))
        if second:
            return whole
        start, end = levels(schedule)[step].item(), levels(schedule)[step + 1].item()
        share = (1 / (start * end) - 1 / start**2) / (1 / end**2 - 1 / start**2)
        return math.sqrt(share) * whole + math.sqrt(1 - share) * bridge

    scheduler.noise_sampler = noise
    return ve_run(scheduler, schedule, points, prediction)


def native(scheduler: Any, schedule: Schedule, prediction: Prediction) -> Tensor:
    scheduler.set_timesteps(schedule.steps)
    scheduler.sigmas = (schedule.sigma if prediction == "flow" else levels(schedule)).float()
    scheduler.timesteps = schedule.timestep[:-1].float()
    scheduler.set_begin_index(0)
    return vp_run(scheduler, schedule)


def their_uni_pc(schedule: Schedule, prediction: Prediction, monkeypatch: pytest.MonkeyPatch, kind: str = "bh1") -> Tensor:
    flow = prediction == "flow"
    betas = {} if flow else BETAS
    scheduler = UniPCMultistepScheduler(
        **betas, prediction_type=WORDS[prediction], use_flow_sigmas=flow, solver_order=3, solver_type=kind
    )
    return native(scheduler, schedule, prediction)


def their_uni_pc_bh2(schedule: Schedule, prediction: Prediction, monkeypatch: pytest.MonkeyPatch) -> Tensor:
    return their_uni_pc(schedule, prediction, monkeypatch, "bh2")


def their_dpmpp_2m_sde(schedule: Schedule, prediction: Prediction, monkeypatch: pytest.MonkeyPatch) -> Tensor:
    with_noise("scheduling_dpmsolver_multistep", monkeypatch)
    flow = prediction == "flow"
    betas = {} if flow else BETAS
    scheduler = DPMSolverMultistepScheduler(
        **betas, prediction_type=WORDS[prediction], use_flow_sigmas=flow, algorithm_type="sde-dpmsolver++"
    )
    return native(scheduler, schedule, prediction)


def their_dpmpp_2s_ancestral(schedule: Schedule, prediction: Prediction, monkeypatch: pytest.MonkeyPatch) -> Tensor:
    """k-diffusion's sample_dpmpp_2s_ancestral with eta = 1, in float64."""
    process = make_process(schedule.process)  # type: ignore[arg-type]

    def model(x: Tensor, sigma: float) -> Tensor:
        point = process.point_at(sigma)
        return to_denoised(point.alpha * x, network(point.alpha * x, point.timestep), prediction, point)

    sigmas = levels(schedule).tolist()
    first = schedule.point(0)
    x = initial_noise(SEED, SHAPE).double() * math.hypot(first.alpha, first.sigma) / first.alpha
    for i, (sigma, following) in enumerate(pairwise(sigmas)):
        denoised = model(x, sigma)
        up = min(following, (following**2 * (sigma**2 - following**2) / sigma**2) ** 0.5)
        down = (following**2 - up**2) ** 0.5
        if down == 0:
            x = x + (x - denoised) / sigma * (down - sigma)
        else:
            t, t_next = -math.log(sigma), -math.log(down)
            h = t_next - t
            s = t + h / 2
            x_2 = (math.exp(-s) / math.exp(-t)) * x - math.expm1(-h / 2) * denoised
            x = (math.exp(-t_next) / math.exp(-t)) * x - math.expm1(-h) * model(x_2, math.exp(-s))
        if following > 0:
            x = x + step_noise(SEED, i, 0, SHAPE) * up
    return (x * schedule.point(schedule.steps).alpha).float()


ORACLES: dict[str, Callable[[Schedule, Prediction, pytest.MonkeyPatch], Tensor]] = {
    "dpm2": their_dpm2,
    "lms": their_lms,
    "dpmpp_sde": their_dpmpp_sde,
    "dpmpp_2s_ancestral": their_dpmpp_2s_ancestral,
    "dpmpp_2m_sde": their_dpmpp_2m_sde,
    "uni_pc": their_uni_pc,
    "uni_pc_bh2": their_uni_pc_bh2,
}


def fit_for(sampler: str, schedule: Schedule) -> Schedule:
    """diffusers' bh1 gives NaN in a last step to sigma = 0 (infinity times nothing): it is compared without that step."""
    if sampler != "uni_pc":
        return schedule
    return replace(schedule, alpha=schedule.alpha[:-1], sigma=schedule.sigma[:-1], timestep=schedule.timestep[:-1])


@pytest.mark.parametrize(("prediction", "name"), [("epsilon", "normal"), ("v", "karras"), ("v", "beta"), ("flow", "custom")])
@pytest.mark.parametrize("sampler", ORACLES)
def test_a_sampler_gives_the_latents_of_diffusers(sampler, name, prediction, monkeypatch):
    schedule = fit_for(sampler, schedule_of(name, prediction))
    expected = ORACLES[sampler](schedule, prediction, monkeypatch)
    assert relative(ours(sampler, schedule, prediction), expected) < TOLERANCE
    others = {other: relative(ours(other, schedule, prediction), expected) for other in sorted(set(SAMPLERS) - {sampler})}
    assert min(others.values()) > 5 * TOLERANCE, others


@pytest.mark.parametrize("prediction", ["epsilon", "v"])
@pytest.mark.parametrize(("sampler", "scheduler_class"), [("ddpm", DDPMScheduler), ("lcm", LCMScheduler)])
def test_samplers_of_whole_timesteps_give_the_latents_of_diffusers(sampler, scheduler_class, prediction, monkeypatch):
    with_noise(scheduler_class.__module__.rsplit(".", 1)[-1], monkeypatch)
    schedule = schedule_of("simple", prediction)
    scheduler = scheduler_class(**BETAS, prediction_type=WORDS[prediction], clip_sample=False)
    timesteps = schedule.timestep[:-1].long()
    scheduler.set_timesteps(timesteps=timesteps.tolist())
    scheduler.timesteps = timesteps
    expected = vp_run(scheduler, schedule)
    assert relative(ours(sampler, schedule, prediction), expected) < TOLERANCE
    assert relative(ours("dpmpp_2m_sde", schedule, prediction), expected) > 10 * TOLERANCE


@pytest.mark.parametrize("prediction", ["epsilon", "flow"])
def test_ddpm_euler_ancestral_and_ddim_with_eta_1_are_one_step(prediction):
    schedule = schedule_of("karras", prediction)
    expected = ours("ddpm", schedule, prediction)
    for sampler in ("euler_ancestral", "ddim"):
        assert relative(ours(sampler, schedule, prediction, 1.0), expected) < 1e-5
        assert relative(ours(sampler, schedule, prediction, 0.5), expected) > 0.01


@pytest.mark.parametrize("prediction", ["epsilon", "v", "flow"])
def test_without_eta_the_stochastic_solvers_are_the_deterministic_ones_under_them(prediction):
    schedule = schedule_of("karras", prediction)
    for sampler, under in {"euler_ancestral": "euler", "ddim": "euler", "dpmpp_2m_sde": "dpmpp_2m"}.items():
        torch.testing.assert_close(ours(sampler, schedule, prediction, 0.0), ours(under, schedule, prediction))
    a, b = (ours(sampler, schedule, prediction, 0.0) for sampler in ("dpmpp_2s_ancestral", "dpmpp_sde"))
    torch.testing.assert_close(a, b)


@pytest.mark.parametrize("eta", [0.0, 0.4, 1.0])
def test_ddim_with_eta_gives_the_latents_of_the_ddim_scheduler(eta, monkeypatch):
    from diffusers import DDIMScheduler

    with_noise("scheduling_ddim", monkeypatch)
    scheduler = DDIMScheduler(**BETAS, clip_sample=False, set_alpha_to_one=False, steps_offset=1)
    scheduler.set_timesteps(STEPS)
    schedule = schedule_of("ddim_uniform", "epsilon")
    x = initial_noise(SEED, SHAPE)
    for timestep in scheduler.timesteps:
        x = scheduler.step(network(x, float(timestep))[None], timestep, x[None], eta=eta, return_dict=False)[0][0]
    assert relative(ours("ddim", schedule, "epsilon", eta), x) < TOLERANCE
    assert relative(ours("ddim", schedule, "epsilon", 0.7), x) > 10 * TOLERANCE


def scaled(function: Callable[..., Any], factor: float) -> Callable[..., Any]:
    def changed(*arguments: Any) -> Any:
        result = function(*arguments)
        return [factor * each for each in result] if isinstance(result, list) else factor * result

    return changed


@pytest.mark.parametrize(
    ("sampler", "module", "coefficient"),
    [
        ("lms", multistep, "_adams"),
        ("uni_pc", multistep, "_beyond_first_order"),
        ("uni_pc_bh2", multistep, "_beyond_first_order"),
        ("dpmpp_2s_ancestral", stochastic, "_kept"),
        ("dpmpp_sde", stochastic, "_kept"),
        ("dpmpp_2m_sde", stochastic, "ratio_of"),
    ],
)
def test_a_coefficient_that_is_one_percent_off_would_be_noticed(sampler, module, coefficient, monkeypatch):
    schedule = fit_for(sampler, schedule_of("karras", "v"))
    expected = ORACLES[sampler](schedule, "v", monkeypatch)
    assert relative(ours(sampler, schedule, "v"), expected) < TOLERANCE
    monkeypatch.setattr(module, coefficient, scaled(getattr(module, coefficient), 0.99))
    assert relative(ours(sampler, schedule, "v"), expected) > 2 * TOLERANCE


def test_a_middle_that_is_off_would_be_noticed(monkeypatch):
    schedule = schedule_of("karras", "v")
    expected = their_dpm2(schedule, "v", monkeypatch)
    middle = ode_solvers.middle
    monkeypatch.setattr(ode_solvers, "middle", lambda schedule, p, q: middle(schedule, p, q, 0.98))
    assert relative(ours("dpm2", schedule, "v"), expected) > 2 * TOLERANCE


def test_both_draws_of_dpmpp_sde_are_increments_of_one_brownian_path():
    """With an estimate of 0, x is noise alone: what the first half added is part of what the whole step added."""
    schedule = schedule_of("karras", "epsilon")
    state = begin(torch.zeros(1, 200, 200), schedule, 3, index=0)
    p, q = schedule.point(0), schedule.point(1)
    step = SAMPLERS["dpmpp_sde"](state, schedule, step_noise)
    x, _ = next(step)
    half, m = step.send(torch.zeros_like(x))
    with pytest.raises(StopIteration) as stopped:
        step.send(torch.zeros_like(x))
    whole = stopped.value.value.x

    def increment(x: Tensor, point: Point) -> Tensor:
        """x = sigma sigma_hat W(alpha^2 / sigma^2), so W = x alpha / sigma^2."""
        return x * point.alpha / point.sigma**2

    clocks = [(point.alpha / point.sigma) ** 2 for point in (p, m, q)]
    first, both = increment(half, m), increment(whole, q)
    second = both - first
    assert first.var().item() == pytest.approx(clocks[1] - clocks[0], rel=0.03)
    assert second.var().item() == pytest.approx(clocks[2] - clocks[1], rel=0.03)
    assert torch.corrcoef(torch.stack([first.flatten(), second.flatten()]))[0, 1].abs() < 0.02
    assert torch.corrcoef(torch.stack([first.flatten(), both.flatten()]))[0, 1] > 0.1

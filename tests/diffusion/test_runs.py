"""Runs of steps: order of convergence on a problem with a known answer, forking, resuming, batching, noise."""

import math
from collections.abc import Sequence
from itertools import pairwise

import pytest
import torch
from torch import Tensor

from nodegraph_nodes.diffusion.samplers import (
    SAMPLERS,
    begin,
    euler,
    finish,
    initial_noise,
    run_step,
    run_steps,
    sampler_of,
    step_noise,
)
from nodegraph_nodes.diffusion.schedules import make_process, make_schedule
from nodegraph_nodes.types import DenoiseState, NoiseProcess, Point, Schedule

MEAN, DEVIATION = 0.7, 0.4  # the data: x0 ~ N(MEAN, DEVIATION^2)
NOISE = torch.tensor([[[-1.3, 0.4, 0.9, 2.1]]], dtype=torch.float64)
KINDS = ("variance_preserving", "rectified_flow")


def denoised(x: Tensor, point: Point) -> Tensor:
    """E[x0 | x], exactly."""
    gain = point.alpha * DEVIATION**2 / (point.alpha**2 * DEVIATION**2 + point.sigma**2)
    return MEAN + gain * (x - point.alpha * MEAN)


def exact(schedule: Schedule, index: int) -> Tensor:
    """The probability-flow ODE's solution from NOISE at the schedule's start to `index`."""

    def deviation(point: Point) -> float:
        return math.hypot(point.alpha * DEVIATION, point.sigma)

    first, last = schedule.point(0), schedule.point(index)
    start = begin(NOISE, schedule, 0).x
    return last.alpha * MEAN + deviation(last) / deviation(first) * (start - first.alpha * MEAN)


def schedule_of(kind: str, steps: int, name: str = "karras") -> Schedule:
    return make_schedule(name, make_process(NoiseProcess(kind)), steps, "test")


def run(sampler: str, schedule: Schedule, state: DenoiseState, until: int, eta: float | None = None) -> DenoiseState:
    while state.index < until:
        state = run_step(sampler_of(sampler, eta), state, schedule, denoised)
    return state


def error(sampler: str, kind: str, steps: int) -> float:
    """At the last level before clean: the jump from there to zero has a fixed size, and so no order."""
    schedule = schedule_of(kind, steps)
    x = run(sampler, schedule, begin(NOISE, schedule, 0), steps - 1, 0.0).x
    return (x - exact(schedule, steps - 1)).abs().max().item()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("sampler", "order"),
    [
        ("euler", 1),
        ("ddim", 1),
        ("heun", 2),
        ("dpm2", 2),
        ("dpmpp_2m", 2),
        ("dpmpp_2m_sde", 2),
        ("dpmpp_2s_ancestral", 2),
        ("dpmpp_sde", 2),
    ],
)
def test_a_sampler_converges_with_its_order(sampler, order, kind):
    errors = [error(sampler, kind, steps) for steps in (40, 80, 160)]
    for coarse, fine in pairwise(errors):
        assert math.log2(coarse / fine) == pytest.approx(order, abs=0.25), errors
    assert errors[-1] < 0.03


def error_with_memory(sampler: str, kind: str, steps: int, first: float, last: float) -> float:
    """Over a part of the schedule, begun with exact memories: the first steps of a multistep solver are of lower order."""
    schedule, history = schedule_of(kind, steps), {}
    start, end = int(first * steps), int(last * steps)
    for back in (1, 2, 3):
        point, x = schedule.point(start - back), exact(schedule, start - back)
        estimate = denoised(x, point)
        history[f"uni_pc_denoised_{back}"] = estimate
        history[f"lms_noise_{back}"] = (x - point.alpha * estimate) / point.sigma
    state = DenoiseState(exact(schedule, start), start, 0, "test", None, history)
    return (run(sampler, schedule, state, end).x - exact(schedule, end)).abs().max().item()


@pytest.mark.parametrize(("kind", "first"), [("variance_preserving", 0.4), ("rectified_flow", 0.25)])
@pytest.mark.parametrize("sampler", ["uni_pc", "uni_pc_bh2", "lms"])
def test_a_multistep_sampler_is_of_fourth_order_once_it_remembers_enough(sampler, kind, first):
    first = 0.4 if sampler == "lms" else first
    errors = [error_with_memory(sampler, kind, steps, first, first + 0.5) for steps in (80, 160, 320)]
    for coarse, fine in pairwise(errors):
        assert math.log2(coarse / fine) == pytest.approx(4, abs=0.25), errors
    second = [error_with_memory("dpmpp_2m", kind, steps, first, first + 0.5) for steps in (160, 320)]
    assert math.log2(second[0] / second[1]) < 2.5


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("sampler", ["uni_pc", "uni_pc_bh2", "lms"])
def test_it_begins_from_pure_noise_with_lower_order_and_converges_all_the_same(sampler, kind):
    errors = [error(sampler, kind, steps) for steps in (20, 40, 80)]
    assert errors[0] > 3 * errors[1] > 9 * errors[2] or errors[0] < 1e-4, errors
    assert errors[-1] < 0.002


@pytest.mark.parametrize("kind", KINDS)
def test_lcm_samples_the_data_distribution_where_the_network_is_a_consistency_function(kind):
    """A distilled network maps x to the end of its ODE, not to the mean of what it may come from."""

    def consistent(x: Tensor, point: Point) -> Tensor:
        return MEAN + DEVIATION / math.hypot(point.alpha * DEVIATION, point.sigma) * (x - point.alpha * MEAN)

    schedule = schedule_of(kind, 4)
    state = begin(initial_noise(0, (1, 100, 100)), schedule, 3)
    for _ in range(4):
        state = run_step(SAMPLERS["lcm"], state, schedule, consistent)
    x = finish(state, schedule)
    assert x.mean().item() == pytest.approx(MEAN, abs=0.02)
    assert x.std().item() == pytest.approx(DEVIATION, rel=0.03)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("sampler", ["euler_ancestral", "dpmpp_2s_ancestral", "dpmpp_sde", "dpmpp_2m_sde", "ddpm"])
def test_a_stochastic_sampler_samples_the_data_distribution(sampler, kind):
    schedule = schedule_of(kind, 100)
    noise = initial_noise(0, (1, 100, 100))
    x = finish(run(sampler, schedule, begin(noise, schedule, 3), schedule.steps), schedule)
    assert x.mean().item() == pytest.approx(MEAN, abs=0.02)
    assert x.std().item() == pytest.approx(DEVIATION, rel=0.05)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("sampler", SAMPLERS)
@pytest.mark.parametrize("fork", [1, 4])
def test_a_run_that_is_stopped_stored_and_resumed_equals_an_uninterrupted_one_bit_for_bit(sampler, fork, kind):
    schedule = schedule_of(kind, 8)
    start = begin(initial_noise(5, (4, 8, 8)), schedule, 5)
    half = run(sampler, schedule, start, fork)
    stored = DenoiseState(
        half.x.clone(),
        half.index,
        half.seed,
        half.family,
        half.denoised,
        {name: tensor.clone() for name, tensor in half.history.items()},
    )
    assert torch.equal(run(sampler, schedule, stored, 8).x, run(sampler, schedule, start, 8).x)


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_a_step_leaves_its_input_as_it_was(sampler):
    schedule = schedule_of("variance_preserving", 4)
    state = run("dpmpp_2m", schedule, begin(initial_noise(1, (4, 4, 4)), schedule, 1), 2)
    x, history = state.x.clone(), {name: tensor.clone() for name, tensor in state.history.items()}
    run(sampler, schedule, state, 4)
    assert torch.equal(state.x, x)
    assert all(torch.equal(state.history[name], tensor) for name, tensor in history.items())


def test_dpmpp_2m_takes_a_first_order_step_when_the_history_is_missing():
    schedule = schedule_of("variance_preserving", 6)
    state = run("dpmpp_2m", schedule, begin(NOISE, schedule, 0), 3)
    forgetful = DenoiseState(state.x, state.index, state.seed, state.family)
    first_order = run_step(SAMPLERS["dpmpp_2m"], forgetful, schedule, denoised).x
    assert torch.equal(first_order, run_step(euler, forgetful, schedule, denoised).x)
    assert not torch.equal(first_order, run_step(SAMPLERS["dpmpp_2m"], state, schedule, denoised).x)


def test_several_runs_step_together_as_each_would_alone():
    cases = [(sampler, index % 8) for index, sampler in enumerate(SAMPLERS)]
    schedule = schedule_of("variance_preserving", 8)
    states = [run(s, schedule, begin(initial_noise(i, (4, 4, 4)), schedule, i), at) for i, (s, at) in enumerate(cases)]
    calls = []

    def predict_many(requests: Sequence) -> list[Tensor]:
        calls.append([request.item for request in requests])
        return [denoised(request.x, request.point) for request in requests]

    steps = [SAMPLERS[s](state, schedule, step_noise) for (s, _), state in zip(cases, states, strict=True)]
    together = run_steps(steps, predict_many)
    assert calls[0] == list(range(len(cases)))
    assert [cases[item][0] for item in calls[1]] == ["heun", "dpm2", "dpmpp_2s_ancestral", "dpmpp_sde"]
    assert len(calls) == 2
    for (sampler, _), state, result in zip(cases, states, together, strict=True):
        assert torch.equal(result.x, run_step(SAMPLERS[sampler], state, schedule, denoised).x)


def test_a_finished_run_refuses_another_step():
    schedule = schedule_of("variance_preserving", 2)
    state = run("euler", schedule, begin(NOISE, schedule, 0), 2)
    with pytest.raises(ValueError, match="already finished"):
        run_step(euler, state, schedule, denoised)


def test_a_run_begins_as_noise_or_as_a_noised_picture():
    schedule, noise, latent = schedule_of("variance_preserving", 10), initial_noise(0, (4, 8, 8)), torch.ones(4, 8, 8)
    assert torch.equal(begin(noise, schedule, 0).x, noise)
    point = schedule.point(6)
    state = begin(noise, schedule, 0, index=6, latent=latent)
    torch.testing.assert_close(state.x, point.alpha * latent + point.sigma * noise)
    assert (state.index, state.seed, state.family) == (6, 0, "test")
    assert torch.equal(finish(begin(noise, schedule, 0, index=10, latent=latent), schedule), latent)
    with pytest.raises(ValueError, match="make them equal"):
        begin(noise, schedule, 0, latent=torch.ones(4, 8, 9))
    with pytest.raises(ValueError, match="outside a schedule of 10"):
        begin(noise, schedule, 0, index=11)


def test_an_unfinished_run_shows_its_latest_estimate():
    schedule = schedule_of("rectified_flow", 10)
    state = run("euler", schedule, begin(NOISE, schedule, 0), 4)
    assert finish(state, schedule) is state.denoised


def test_initial_noise_is_what_diffusers_draws_for_the_seed():
    from diffusers.utils.torch_utils import randn_tensor

    expected = randn_tensor((1, 4, 8, 8), generator=torch.Generator().manual_seed(42))[0]
    assert torch.equal(initial_noise(42, (4, 8, 8)), expected)


def test_step_noise_depends_on_seed_step_and_draw_alone():
    torch.manual_seed(1)
    first = step_noise(3, 5, 0, (4, 8, 8))
    torch.manual_seed(2)
    assert torch.equal(step_noise(3, 5, 0, (4, 8, 8)), first)
    for other in ((4, 5, 0), (3, 6, 0), (3, 5, 1), (-3, 5, 0), (2**64 + 3, 5, 0)):
        assert not torch.equal(step_noise(*other, (4, 8, 8)), first)
    assert first.std().item() == pytest.approx(1, abs=0.2)

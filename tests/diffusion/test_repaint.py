"""Soft inpainting: what a mask keeps, from when on it repaints, whatever the solver; and the nodes that bring the mask in."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from nodegraph import NodeError
from nodegraph.store.record import Record, pack, unpack
from nodegraph_nodes.diffusion import begin_denoise, masked_latent, partial_steps
from nodegraph_nodes.diffusion.samplers import (
    SAMPLERS,
    begin,
    finish,
    initial_noise,
    masked_step,
    repainted_share,
    run_step,
    run_steps,
)
from nodegraph_nodes.diffusion.schedules import make_process, make_schedule
from nodegraph_nodes.types import CODEC, DenoiseState, Latent, NoiseProcess, Point, Schedule

REMEMBERING = {"dpmpp_2m", "dpmpp_2m_sde", "lms", "uni_pc", "uni_pc_bh2"}
KINDS = ("variance_preserving", "rectified_flow")
STEPS = 8  # a power of two: shares of it are exact
MEAN, DEVIATION = 0.7, 0.4
NOISE = initial_noise(3, (4, 6, 6))
ORIGINAL = initial_noise(4, (4, 6, 6)) * DEVIATION + 2  # far from what the model would make


def denoised(x: Tensor, point: Point) -> Tensor:
    """E[x0 | x] for data N(MEAN, DEVIATION^2), place by place."""
    gain = point.alpha * DEVIATION**2 / (point.alpha**2 * DEVIATION**2 + point.sigma**2)
    return MEAN + gain * (x - point.alpha * MEAN)


def schedule_of(kind: str, steps: int = STEPS) -> Schedule:
    return make_schedule("normal", make_process(NoiseProcess(kind)), steps, "test")


def started(schedule: Schedule, mask: Tensor | None, index: int = 0) -> DenoiseState:
    return begin(NOISE, schedule, 9, index=index, latent=ORIGINAL, mask=mask)


def run(sampler: str, schedule: Schedule, state: DenoiseState, until: int | None = None) -> DenoiseState:
    while state.index < (schedule.steps if until is None else until):
        state = run_step(SAMPLERS[sampler], state, schedule, denoised)
    return state


def full(value: float) -> Tensor:
    return torch.full((6, 6), value)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("sampler", SAMPLERS)
def test_where_the_mask_is_0_every_level_is_the_original_with_its_noise_and_the_end_is_the_original(sampler, kind):
    schedule = schedule_of(kind)
    state = started(schedule, full(0.0))
    while state.index < STEPS:
        state = run(sampler, schedule, state, state.index + 1)
        point = schedule.point(state.index)
        assert torch.equal(state.x, point.alpha * ORIGINAL + point.sigma * NOISE)
        assert torch.equal(state.denoised, ORIGINAL)
    torch.testing.assert_close(finish(state, schedule), ORIGINAL)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("sampler", SAMPLERS)
def test_where_the_mask_is_1_nothing_changes_to_the_bit(sampler, kind):
    schedule = schedule_of(kind)
    masked, free = run(sampler, schedule, started(schedule, full(1.0))), run(sampler, schedule, started(schedule, None))
    assert torch.equal(masked.x, free.x)
    assert torch.equal(masked.denoised, free.denoised)
    assert free.repaint is None


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("sampler", sorted(set(SAMPLERS) - REMEMBERING))
@pytest.mark.parametrize("last", [1, 3, 6])
def test_a_mask_of_k_nths_is_image_to_image_with_the_last_k_of_n_steps(sampler, kind, last):
    schedule = schedule_of(kind)
    masked = run(sampler, schedule, started(schedule, full(last / STEPS)))
    assert torch.equal(masked.x, run(sampler, schedule, started(schedule, None, STEPS - last)).x)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("last", [1, 3, 6])
def test_a_solver_with_a_memory_goes_on_from_estimates_of_the_original_with_noise(kind, last):
    schedule = schedule_of(kind)
    masked = run("dpmpp_2m", schedule, started(schedule, full(last / STEPS)))
    point = schedule.point(STEPS - last - 1)
    remembered = denoised(point.alpha * ORIGINAL + point.sigma * NOISE, point)
    state = started(schedule, None, STEPS - last)
    state = DenoiseState(state.x, state.index, state.seed, state.family, None, {"previous_denoised": remembered})
    torch.testing.assert_close(masked.x, run("dpmpp_2m", schedule, state).x)


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_every_place_follows_its_own_mask_value(sampler):
    schedule = schedule_of("rectified_flow")
    mask = torch.linspace(0, 1, 36).view(6, 6)
    together = run(sampler, schedule, started(schedule, mask)).x
    for i, value in enumerate(mask.flatten().tolist()):
        alone = run(sampler, schedule, started(schedule, full(value))).x
        torch.testing.assert_close(alone.flatten(1)[:, i], together.flatten(1)[:, i])


@pytest.mark.parametrize("sampler", ["euler", "heun", "dpm2", "dpmpp_2m", "ddim", "lms", "uni_pc"])
def test_the_result_is_a_continuous_function_of_the_mask(sampler):
    schedule = schedule_of("variance_preserving")
    noise, original = torch.full((1, 1, 2001), 0.5), torch.full((1, 1, 2001), 2.0)
    state = begin(noise, schedule, 0, latent=original, mask=torch.linspace(0, 1, 2001)[None])
    result = run(sampler, schedule, state).x[0, 0]
    assert (result[0] - result[-1]).abs() > 0.5
    assert (result[1:] - result[:-1]).abs().max() < 0.01


def test_the_steps_of_a_place_add_up_to_its_share_of_the_schedule():
    mask = torch.linspace(0, 1, 101, dtype=torch.float64)
    shares = torch.stack([repainted_share(mask, step, 20) for step in range(20)])
    torch.testing.assert_close(shares.sum(0), 20 * mask)
    assert (shares[1:] >= shares[:-1]).all()


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_a_masked_run_that_is_stored_and_resumed_equals_an_uninterrupted_one_bit_for_bit(sampler):
    schedule = schedule_of("rectified_flow")
    mask = torch.linspace(0, 1, 36).view(6, 6)
    half = run(sampler, schedule, started(schedule, mask), 3)
    record = unpack(pack(Record("0" * 40, "result", *CODEC.encode(half))), "0" * 40)
    stored = CODEC.decode(record.data, record.buffers)
    assert torch.equal(run(sampler, schedule, stored).x, run(sampler, schedule, started(schedule, mask)).x)


def test_masked_and_free_runs_step_together_as_each_would_alone():
    schedule = schedule_of("rectified_flow")
    mask = torch.linspace(0, 1, 36).view(6, 6)
    cases = [("heun", mask, 2), ("euler", None, 0), ("dpmpp_2m", mask.T, 5), ("euler_ancestral", full(0.5), 4)]
    states = [run(sampler, schedule, started(schedule, mask), at) for sampler, mask, at in cases]
    steps = [masked_step(SAMPLERS[sampler], state, schedule) for (sampler, *_), state in zip(cases, states, strict=True)]
    together = run_steps(steps, lambda requests: [denoised(request.x, request.point) for request in requests])
    for (sampler, *_), state, result in zip(cases, states, together, strict=True):
        assert torch.equal(result.x, run_step(SAMPLERS[sampler], state, schedule, denoised).x)


def test_a_picture_that_is_taken_out_early_shows_the_original_where_nothing_is_repainted():
    schedule = schedule_of("rectified_flow")
    mask = torch.cat([torch.zeros(6, 3), torch.ones(6, 3)], 1)
    early = finish(run("euler", schedule, started(schedule, mask), 3), schedule)
    assert torch.equal(early[..., :3], ORIGINAL[..., :3])
    assert not torch.isclose(early[..., 3:], ORIGINAL[..., 3:]).any()


# ---- the nodes ----


def test_the_mask_of_a_latent_is_the_mean_over_the_pixels_of_each_position():
    mask = torch.rand(48, 24, generator=torch.Generator().manual_seed(0))
    latent = masked_latent(Latent(torch.zeros(4, 6, 3), "test"), mask)
    expected = torch.stack([torch.stack([part.mean() for part in row.split(8, 1)]) for row in mask.split(8)])
    torch.testing.assert_close(latent.mask, expected)
    assert set(masked_latent(latent, torch.ones(48, 24)).mask.unique().tolist()) == {1.0}
    assert set(masked_latent(latent, torch.zeros(6, 3)).mask.unique().tolist()) == {0.0}


@pytest.mark.parametrize("shape", [(48, 48), (24, 24), (47, 24), (5, 3), (3, 6)])
def test_a_mask_of_another_size_is_a_problem_with_both_sizes(shape):
    latent = Latent(torch.zeros(4, 6, 3), "test")
    with pytest.raises(NodeError, match="does not fit the picture") as caught:
        masked_latent(latent, torch.zeros(shape))
    error: Any = caught.value
    assert (error.socket, error.got) == ("mask", f"{shape[1]} x {shape[0]}")
    assert error.expected == "as large as the picture: a multiple of 3 x 6"
    assert "mask/resize_mask" in error.hint


def test_a_run_begins_with_the_mask_of_its_latent():
    schedule = schedule_of("rectified_flow")
    noise, latent = Latent(NOISE, "test"), masked_latent(Latent(ORIGINAL, "test"), torch.ones(24, 24))
    state = begin_denoise(noise, schedule, latent, 2, 5)
    assert state.repaint is not None
    assert torch.equal(state.repaint.original, ORIGINAL)
    assert torch.equal(state.repaint.noise, NOISE)
    assert torch.equal(state.repaint.mask, torch.ones(6, 6))
    free = begin_denoise(noise, schedule, Latent(ORIGINAL, "test"), 2, 5)
    assert free.repaint is None
    assert torch.equal(free.x, state.x)


@pytest.mark.parametrize(
    ("steps", "strength", "expected"),
    [(20, 0.6, (8, 12)), (20, 0.0, (20, 0)), (20, 1.0, (0, 20)), (3, 0.5, (1, 2)), (7, 0.3, (5, 2)), (1, 0.4, (1, 0))],
)
def test_a_strength_means_a_number_of_steps(steps, strength, expected):
    assert partial_steps(steps, strength) == expected

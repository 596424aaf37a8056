"""What a run's nodes do beside the steps: variations of a seed, handing over to a refiner, and results that are not finite."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor

from nodegraph import NodeError
from nodegraph_nodes.diffusion import begin_denoise, finish_denoise, hand_over, hand_over_latent, sample_noise
from nodegraph_nodes.diffusion.decode import decode, decode_many
from nodegraph_nodes.diffusion.denoise import denoise_step, denoise_steps
from nodegraph_nodes.diffusion.samplers import initial_noise, varied_noise
from nodegraph_nodes.diffusion.schedules import make_process, make_schedule
from nodegraph_nodes.types import (
    Autoencoder,
    Conditioning,
    Denoiser,
    DenoiseState,
    Guidance,
    Latent,
    NoiseProcess,
    PreviewFactors,
)

PREVIEW = PreviewFactors(((1.0, 0.0, 0.0),) * 4, (0, 0, 0))
SCHEDULE = make_schedule("normal", make_process(NoiseProcess("rectified_flow")), 4, "test")


def denoiser(family: str = "test") -> Denoiser:
    return Denoiser(family, "", "", "flow", NoiseProcess("rectified_flow"), 4, 8, 8, (64, 64), PREVIEW)


# ---- seeds ----


def test_without_a_strength_the_variation_seed_changes_nothing_and_at_1_it_is_the_seed():
    one, other = (sample_noise(denoiser(), seed).samples for seed in (5, 9))
    assert torch.equal(sample_noise(denoiser(), 5, variation_seed=9).samples, one)
    assert torch.equal(sample_noise(denoiser(), 5, variation_seed=9, variation_strength=1.0).samples, other)


@pytest.mark.parametrize("strength", [0.1, 0.5, 0.9])
def test_a_variation_lies_on_the_arc_and_is_noise_as_loud_as_any(strength):
    one, other = (initial_noise(seed, (4, 64, 64)) for seed in (5, 9))
    between = varied_noise(one, other, strength)
    assert between.std().item() == pytest.approx(1, abs=0.02)
    assert between.dtype == torch.float32
    angle = torch.acos(torch.dot(one.flatten(), between.flatten()) / one.norm() / between.norm())
    whole = torch.acos(torch.dot(one.flatten(), other.flatten()) / one.norm() / other.norm())
    assert (angle / whole).item() == pytest.approx(strength, abs=0.02)
    straight = torch.lerp(one, other, strength)
    assert strength != 0.5 or straight.std() < 0.75, "a straight line would be too quiet"


def test_a_variation_of_a_seed_with_itself_is_the_seed():
    one = initial_noise(5, (4, 8, 8))
    torch.testing.assert_close(varied_noise(one, one, 0.4), one)


# ---- handing over ----


def test_a_refiner_goes_on_with_the_state_of_its_base_model():
    state = begin_denoise(Latent(torch.ones(4, 8, 8), "sdxl"), replace(SCHEDULE, family="sdxl"), None, 0, 3)
    handed = hand_over(state, denoiser("sdxl_refiner"))
    assert handed.family == "sdxl_refiner"
    assert handed.x is state.x
    assert (handed.index, handed.seed) == (state.index, state.seed)
    assert hand_over_latent(Latent(state.x, "sdxl", torch.ones(8, 8)), denoiser("sdxl_refiner")).mask is not None


@pytest.mark.parametrize(("family", "to"), [("sd1", "sdxl"), ("starter", "sd1"), ("sdxl_refiner", "sd2")])
def test_models_of_different_latent_spaces_do_not_hand_over(family, to):
    with pytest.raises(NodeError, match="latent space") as caught:
        hand_over_latent(Latent(torch.ones(4, 8, 8), family), denoiser(to))
    assert (caught.value.got, caught.value.socket) == (family, "latent")


# ---- results that are not finite ----


class Broken:
    """A network that gives NaN for prompts of NaN."""

    family = "test"
    prediction = "flow"

    def predict(self, x: Tensor, timesteps: Any, prompts: Any, hints: Any = None) -> Tensor:
        return x + prompts.states.mean((1, 2))[:, None, None, None]


def call(value: float) -> Any:
    context = SimpleNamespace(resident=lambda recipe: Broken(), preview=lambda make: None)
    prompt = Conditioning(torch.full((2, 3), value), "test")
    state = begin_denoise(Latent(initial_noise(1, (4, 8, 8)), "test"), SCHEDULE)
    values = {"denoiser": denoiser(), "state": state, "schedule": SCHEDULE, "guidance": Guidance(prompt, None, 1.0)}
    return SimpleNamespace(context=context, sampler="dpm2", eta=None, **values)


def test_a_step_whose_result_is_not_finite_says_which_and_what_to_do():
    broken = call(float("nan"))
    with pytest.raises(NodeError, match="Step 1 of 4 with dpm2 gave numbers that are not finite") as caught:
        denoise_step(broken.context, broken.denoiser, broken.state, broken.schedule, broken.guidance, "dpm2")
    assert "float32" in str(caught.value.hint)


def test_in_a_batch_only_the_run_that_is_broken_fails():
    results = denoise_steps([call(0.1), call(float("inf")), call(0.2)])
    assert [isinstance(result, NodeError) for result in results] == [False, True, False]


def test_a_finished_run_that_is_not_finite_is_no_latent():
    state = DenoiseState(torch.full((4, 8, 8), float("nan")), 4, 0, "test")
    with pytest.raises(NodeError, match="not finite"):
        finish_denoise(state, SCHEDULE)


def test_an_autoencoder_that_gives_nan_is_told_apart_from_a_latent_that_has_it():
    recipe = Autoencoder("test", "", "", 4, 8, 0, 1)

    def decoded(samples: Tensor) -> Tensor:
        return torch.where(samples[:, :1, :, :, None] > 5, float("nan"), 0.5).expand(-1, -1, -1, -1, 3)[:, 0]

    context: Any = SimpleNamespace(resident=lambda recipe: SimpleNamespace(decode=decoded))
    good, loud = (Latent(torch.full((4, 8, 8), value), "test") for value in (0.0, 9.0))
    assert torch.isfinite(decode(context, recipe, good)).all()
    with pytest.raises(NodeError, match="autoencoder gave") as caught:
        decode(context, recipe, loud)
    assert caught.value.socket == "autoencoder"
    calls = [SimpleNamespace(context=context, autoencoder=recipe, latent=latent) for latent in (good, loud)]
    assert [isinstance(result, NodeError) for result in decode_many(calls)] == [False, True]

"""Refinements of guidance: each method's formula written out, dynamic thresholding, the curve; alone and in a mixed batch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest
import torch
from diffusers.guiders.adaptive_projected_guidance import normalized_guidance
from diffusers.guiders.classifier_free_zero_star_guidance import cfg_zero_star_scale
from torch import Tensor

from nodegraph import NodeError
from nodegraph_nodes.diffusion import guidance as guidance_node
from nodegraph_nodes.diffusion.combine import combine, scale_at, thresholded
from nodegraph_nodes.diffusion.families import Hints, Prompts
from nodegraph_nodes.diffusion.predict import Evaluation, guided_denoised, guided_denoised_many, to_denoised
from nodegraph_nodes.types import Conditioning, Guidance, Point, Prediction

POINT = Point(alpha=0.8, sigma=0.6, timestep=400.0)
SHAPE = (4, 8, 8)


def noise(seed: int, *shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def prompt(seed: int) -> Conditioning:
    return Conditioning(noise(seed, 5, 3), "toy")


class ToyDenoiser:
    family = "toy"
    nbytes = 0

    def __init__(self, prediction: Prediction = "epsilon") -> None:
        self.prediction = prediction
        self.rows = 0

    def to(self, device: torch.device | str) -> ToyDenoiser:
        return self

    def predict(self, x: Tensor, timesteps: Sequence[float], prompts: Prompts, hints: Hints | None = None) -> Tensor:
        self.rows += len(x)
        shift = prompts.states.mean((1, 2))[:, None, None, None]
        return torch.sin(x * (2 + shift)) + shift * torch.cos(3 * x)


def output_for(x: Tensor, conditioning: Conditioning) -> Tensor:
    return ToyDenoiser().predict(x[None], [400.0], Prompts(conditioning.states[None]))[0]


PLAIN = Guidance(prompt(1), prompt(2), 6.0, empty=prompt(3))


def guided(guidance: Guidance, x: Tensor, prediction: Prediction = "epsilon", progress: float = 0.5) -> Tensor:
    return guided_denoised(ToyDenoiser(prediction), x, POINT, guidance, progress)


def test_perpendicular_guidance_takes_of_the_negative_what_the_positive_does_not_say():
    x = noise(0, *SHAPE)
    positive, negative, empty = (output_for(x, prompt(seed)).double() for seed in (1, 2, 3))
    wanted, unwanted = positive - empty, negative - empty
    perpendicular = unwanted - (unwanted * wanted).sum() / wanted.norm() ** 2 * wanted
    assert (perpendicular * wanted).sum().abs() < 1e-9
    output = empty + 6.0 * (wanted - 0.7 * perpendicular)
    guidance = replace(PLAIN, method="perpendicular", negative_scale=0.7)
    torch.testing.assert_close(guided(guidance, x), to_denoised(x, output.float(), "epsilon", POINT), rtol=1e-4, atol=1e-4)
    denoiser = ToyDenoiser()
    guided_denoised(denoiser, x, POINT, guidance, 0.5)
    assert denoiser.rows == 3


def test_a_negative_prompt_that_says_what_the_positive_says_changes_nothing_in_perpendicular_guidance():
    x = noise(0, *SHAPE)
    same = replace(PLAIN, negative=PLAIN.positive, method="perpendicular")
    plain = replace(PLAIN, negative=PLAIN.empty)
    torch.testing.assert_close(guided(same, x), guided(plain, x), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("prediction", ["epsilon", "v", "flow"])
def test_orthogonal_guidance_is_adaptive_projected_guidance_of_the_estimates(prediction):
    x = noise(0, *SHAPE)
    estimates = [to_denoised(x, output_for(x, prompt(seed)), prediction, POINT)[None] for seed in (1, 2)]
    expected = normalized_guidance(*estimates, 6.0 - 1, eta=0.0, use_original_formulation=True)[0]
    ours = guided(replace(PLAIN, method="orthogonal"), x, prediction)
    torch.testing.assert_close(ours, expected, rtol=1e-4, atol=1e-4)
    assert (guided(PLAIN, x, prediction) - expected).abs().max() > 0.01


def test_zero_star_scales_the_negative_as_diffusers_does():
    x = noise(0, *SHAPE)
    positive, negative = (output_for(x, prompt(seed)) for seed in (1, 2))
    scale = cfg_zero_star_scale(positive.flatten()[None], negative.flatten()[None])[0]
    expected = negative * scale + 6.0 * (positive - negative * scale)
    ours = combine(negative, positive, replace(PLAIN, method="zero_star"))
    torch.testing.assert_close(ours, expected, rtol=1e-4, atol=1e-4)
    assert (combine(negative, positive, PLAIN) - expected).abs().max() > 0.01


def test_thresholding_limits_each_channel_to_what_it_is_without_guidance():
    unguided = noise(1, *SHAPE)
    strong = 5 * noise(2, *SHAPE) + 3
    limited = thresholded(strong, unguided, 0.9)
    for channel, usual, before in zip(limited, unguided, strong, strict=True):
        away, s = before - before.mean(), torch.quantile((before - before.mean()).abs(), 0.9)
        m = torch.quantile((usual - usual.mean()).abs(), 0.9)
        torch.testing.assert_close(channel, before.mean() + away.clamp(-s, s) * m / s)
        assert (channel - before.mean()).abs().max() <= m + 1e-5


def test_thresholding_leaves_alone_what_is_not_stronger_than_without_guidance():
    unguided = noise(1, *SHAPE)
    assert torch.equal(thresholded(0.5 * unguided, unguided, 0.9), 0.5 * unguided)
    assert torch.equal(thresholded(unguided, unguided, 1.0), unguided)


def test_a_threshold_tames_a_run_with_a_large_scale_and_changes_nothing_without_guidance():
    x = noise(0, *SHAPE)
    wild, tame = (guided(replace(PLAIN, scale=30.0, threshold=threshold), x) for threshold in (0.0, 0.95))
    alone = guided(replace(PLAIN, scale=1.0), x)
    assert wild.std() > 2 * alone.std() > tame.std()
    assert torch.equal(guided(replace(PLAIN, scale=1.0, threshold=0.95), x), alone)


def test_a_curve_says_how_much_of_the_scale_counts_at_each_step():
    curved = replace(PLAIN, curve=((0.0, 0.0), (0.5, 1.0), (1.0, 0.5)))
    assert [scale_at(curved, progress) for progress in (0.0, 0.5, 1.0)] == pytest.approx([1.0, 6.0, 3.5])
    assert scale_at(replace(curved, end=0.4), 0.5) == 1
    x = noise(0, *SHAPE)
    denoiser = ToyDenoiser()
    guided_denoised(denoiser, x, POINT, curved, 0.0)
    assert denoiser.rows == 1, "no second pass where nothing of it counts"
    torch.testing.assert_close(guided(curved, x, progress=1.0), guided(replace(PLAIN, scale=3.5), x))


def test_runs_with_different_methods_share_a_batch_and_keep_their_values():
    guidances = [
        PLAIN,
        replace(PLAIN, method="perpendicular"),
        replace(PLAIN, method="orthogonal", rescale=0.4),
        replace(PLAIN, method="zero_star", threshold=0.9),
        Guidance(prompt(4), None, 1.0),
    ]
    evaluations = [Evaluation(noise(i, *SHAPE), POINT, guidance, i / 5) for i, guidance in enumerate(guidances)]
    together = guided_denoised_many(ToyDenoiser(), evaluations)
    for estimate, evaluation in zip(together, evaluations, strict=True):
        torch.testing.assert_close(estimate, guided_denoised(ToyDenoiser(), *evaluation))
    assert len({estimate.sum().item() for estimate in together}) == len(guidances)


def test_perpendicular_guidance_without_an_empty_prompt_says_what_to_link():
    with pytest.raises(NodeError, match="says nothing") as caught:
        guidance_node(prompt(1), prompt(2), method="perpendicular")
    assert caught.value.socket == "empty"
    assert guidance_node(prompt(1), None, method="perpendicular").negative is None


def test_the_node_hands_on_what_it_is_told():
    curve = [(0.0, 1.0), (1.0, 0.2)]
    made = guidance_node(prompt(1), prompt(2), 5.0, method="zero_star", threshold=0.99, curve=curve, distilled=2.0)
    assert (made.method, made.threshold, made.curve, made.distilled) == ("zero_star", 0.99, tuple(curve), 2.0)
    with pytest.raises(NodeError, match="left to right"):
        guidance_node(prompt(1), prompt(2), curve=[(0.5, 1.0), (0.1, 0.2)])

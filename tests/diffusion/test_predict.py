"""From raw network outputs to guided estimates: predictions, guidance, batching, cost."""

from collections.abc import Sequence

import pytest
import torch
from diffusers.pipelines.stable_diffusion.pipeline_stable_diffusion import rescale_noise_cfg
from torch import Tensor

from nodegraph_nodes.diffusion.families import Hints, Prompts
from nodegraph_nodes.diffusion.predict import (
    Evaluation,
    combine,
    guided_denoised,
    guided_denoised_many,
    preview_image,
    to_denoised,
)
from nodegraph_nodes.types import (
    Conditioning,
    Denoiser,
    Guidance,
    NoiseProcess,
    Point,
    Prediction,
    PreviewFactors,
)

POINT = Point(alpha=0.8, sigma=0.6, timestep=400.0)


class ToyDenoiser:
    """Output depends on each item's x, timestep and prompt; remembers the batches it was given."""

    family = "toy"
    prediction: Prediction = "epsilon"
    nbytes = 0

    def __init__(self) -> None:
        self.batches: list[list[float]] = []

    def to(self, device: torch.device | str) -> "ToyDenoiser":
        return self

    def predict(self, x: Tensor, timesteps: Sequence[float], prompts: Prompts, hints: Hints | None = None) -> Tensor:
        self.batches.append(list(timesteps))
        prompt = prompts.states.mean((1, 2)) + (0 if prompts.pooled is None else prompts.pooled.mean(1))
        return torch.sin(x) * prompt[:, None, None, None] + torch.tensor(timesteps)[:, None, None, None] / 1000


def noise(seed: int, *shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def prompt(seed: int, length: int = 5, pooled: bool = True) -> Conditioning:
    return Conditioning(noise(seed, length, 3), "toy", noise(seed + 100, 3) if pooled else None)


@pytest.mark.parametrize("prediction", ["epsilon", "v", "flow"])
def test_a_perfect_prediction_gives_back_the_picture(prediction):
    x0, eps = noise(0, 4, 8, 8), noise(1, 4, 8, 8)
    point = Point(0.4, 0.6, 600) if prediction == "flow" else POINT
    x = point.alpha * x0 + point.sigma * eps
    output = {"epsilon": eps, "v": point.alpha * eps - point.sigma * x0, "flow": eps - x0}[prediction]
    torch.testing.assert_close(to_denoised(x, output, prediction, point), x0)


def test_predicted_noise_is_refused_where_there_is_nothing_but_noise():
    with pytest.raises(ValueError, match="pure noise"):
        to_denoised(noise(0, 4), noise(1, 4), "epsilon", Point(0.0, 1.0, 1000))


@pytest.mark.parametrize("rescale", [0.0, 0.3, 1.0])
def test_guidance_combines_outputs_as_diffusers_does(rescale):
    negative, positive = noise(0, 4, 8, 8), noise(1, 4, 8, 8)
    combined = negative + 7.5 * (positive - negative)
    expected = rescale_noise_cfg(combined[None], positive[None], rescale)[0] if rescale else combined
    ours = combine(negative, positive, Guidance(prompt(0), prompt(1), 7.5, rescale=rescale))
    torch.testing.assert_close(ours, expected)
    assert rescale == 0 or (ours - combined).norm() / combined.norm() > 0.01


@pytest.mark.parametrize(
    ("guidance", "progress", "passes"),
    [
        (Guidance(prompt(1), prompt(0), 7.0), 0.0, 2),
        (Guidance(prompt(1), prompt(0), 7.0), 0.95, 2),
        (Guidance(prompt(1), prompt(0), 7.0), 1.0, 2),
        (Guidance(prompt(1), prompt(0), 1.0), 0.5, 1),
        (Guidance(prompt(1), None, 7.0), 0.5, 1),
        (Guidance(prompt(1), prompt(0), 7.0, start=0.2, end=0.6), 0.1, 1),
        (Guidance(prompt(1), prompt(0), 7.0, start=0.2, end=0.6), 0.2, 2),
        (Guidance(prompt(1), prompt(0), 7.0, start=0.2, end=0.6), 0.6, 1),
    ],
)
def test_the_negative_prompt_is_evaluated_only_where_guidance_applies(guidance, progress, passes):
    denoiser = ToyDenoiser()
    guided_denoised(denoiser, noise(0, 4, 8, 8), POINT, guidance, progress)
    assert denoiser.batches == [[POINT.timestep] * passes]


def test_runs_at_different_levels_and_scales_share_one_batch_and_keep_their_values():
    denoiser = ToyDenoiser()
    evaluations = [
        Evaluation(noise(1, 4, 8, 8), POINT, Guidance(prompt(1), prompt(0), 7.0), 0.1),
        Evaluation(noise(2, 4, 8, 8), Point(0.6, 0.8, 700.0), Guidance(prompt(2), None, 1.0), 0.5),
        Evaluation(noise(3, 4, 8, 8), Point(0.99, 0.1, 20.0), Guidance(prompt(3), prompt(4), 2.0, rescale=0.5), 0.9),
    ]
    together = guided_denoised_many(denoiser, evaluations)
    assert denoiser.batches == [[400.0, 400.0, 700.0, 20.0, 20.0]]
    for estimate, evaluation in zip(together, evaluations, strict=True):
        torch.testing.assert_close(estimate, guided_denoised(ToyDenoiser(), *evaluation))


def test_prompts_of_different_lengths_are_evaluated_in_passes_of_their_own():
    denoiser = ToyDenoiser()
    guidance = Guidance(prompt(1), prompt(0, length=6), 7.0)
    estimate = guided_denoised(denoiser, noise(0, 4, 8, 8), POINT, guidance, 0.5)
    assert denoiser.batches == [[400.0], [400.0]]
    outputs = [
        ToyDenoiser().predict(noise(0, 4, 8, 8)[None], [400.0], Prompts(p.states[None], p.pooled[None]))[0]
        for p in (guidance.negative, guidance.positive)
    ]
    torch.testing.assert_close(estimate, to_denoised(noise(0, 4, 8, 8), combine(*outputs, guidance), "epsilon", POINT))


def test_a_prompt_for_another_family_is_refused_clearly():
    negative = Conditioning(noise(0, 5, 3), "sd1", noise(0, 3))
    with pytest.raises(ValueError, match="encoded for 'sd1' but the model is 'toy'"):
        guided_denoised(ToyDenoiser(), noise(0, 4, 8, 8), POINT, Guidance(prompt(1), negative, 7.0), 0.5)


def test_a_preview_is_the_linear_map_of_the_recipe():
    recipe = Denoiser(
        family="toy",
        path="",
        digest="",
        prediction="flow",
        process=NoiseProcess("rectified_flow"),
        latent_channels=2,
        downscale=8,
        size_multiple=8,
        native_size=(64, 64),
        preview=PreviewFactors(((0.1, 0.2, 0.3), (-0.1, 0.0, 2.0)), (0.5, 0.4, 0.3)),
    )
    picture = preview_image(torch.ones(2, 3, 5), recipe)
    assert picture.shape == (3, 5, 3)
    torch.testing.assert_close(picture[0, 0], torch.tensor([0.5, 0.6, 1.0]))

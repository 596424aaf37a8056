"""From a network's raw output to the guided estimate of the clean latent, one run or several in one batch.

Guidance combines raw outputs, as diffusers does, so pictures agree with it; `to_denoised` then solves
x = alpha x0 + sigma eps for x0.
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from nodegraph_nodes.types import Conditioning, Denoiser, Guidance, Point, Prediction

from .families.loaded import LoadedDenoiser, Prompts


class Evaluation(NamedTuple):
    """One guided estimate that is wanted. x: [C, h, w]; progress: how far the run is, 0..1, for guidance's range."""

    x: Tensor
    point: Point
    guidance: Guidance
    progress: float


def to_denoised(x: Tensor, output: Tensor, prediction: Prediction, point: Point) -> Tensor:
    """The x0 estimate that a raw output means at a noise level. All tensors have one shape.

    epsilon: (x - sigma eps) / alpha (Ho et al. 2020); v: alpha x - sigma v (Salimans & Ho 2022), for alpha^2 + sigma^2
    = 1; flow: x - sigma v (Liu et al. 2022), for alpha = 1 - sigma.
    """
    if prediction == "epsilon":
        if point.alpha == 0:
            raise ValueError("A network that predicts noise says nothing at pure noise (alpha = 0); use another schedule.")
        return (x - point.sigma * output) / point.alpha
    if prediction == "v":
        return point.alpha * x - point.sigma * output
    return x - point.sigma * output


def guided_denoised(denoiser: LoadedDenoiser, x: Tensor, point: Point, guidance: Guidance, progress: float) -> Tensor:
    """The guided x0 estimate [C, h, w] of one run: a network batch of [negative, positive], or the positive alone."""
    return guided_denoised_many(denoiser, [Evaluation(x, point, guidance, progress)])[0]


def guided_denoised_many(denoiser: LoadedDenoiser, evaluations: Sequence[Evaluation]) -> list[Tensor]:
    """The guided x0 estimates [C, h, w] of several runs from one network batch; noise levels and guidance may differ.

    Raises ValueError where latents or prompts of different shapes or families meet.
    """
    rows: list[tuple[Evaluation, Conditioning]] = []
    for evaluation in evaluations:
        if is_guided(evaluation.guidance, evaluation.progress):
            assert evaluation.guidance.negative is not None
            rows.append((evaluation, evaluation.guidance.negative))
        rows.append((evaluation, evaluation.guidance.positive))
    outputs = denoiser.predict(
        _stacked([e.x for e, _ in rows], "latents"),
        [e.point.timestep for e, _ in rows],
        _prompts([c for _, c in rows], denoiser.family),
    )
    estimates, row = [], 0
    for evaluation in evaluations:
        if is_guided(evaluation.guidance, evaluation.progress):
            output = combine(outputs[row], outputs[row + 1], evaluation.guidance)
            row += 2
        else:
            output = outputs[row]
            row += 1
        estimates.append(to_denoised(evaluation.x, output, denoiser.prediction, evaluation.point))
    return estimates


def is_guided(guidance: Guidance, progress: float) -> bool:
    """Whether the negative prompt is evaluated at this point of the run (start <= progress < end)."""
    if guidance.negative is None or guidance.scale == 1:
        return False
    return guidance.start <= progress < guidance.end or (progress >= 1 and guidance.end >= 1)


def combine(negative: Tensor, positive: Tensor, guidance: Guidance) -> Tensor:
    """Classifier-free guidance of raw outputs [C, h, w] (Ho & Salimans 2022, equation 6, with scale = 1 + w).

    Then, by `rescale`, towards the positive's standard deviation (Lin et al. 2023, equations 15 and 16).
    """
    output = negative + guidance.scale * (positive - negative)
    if guidance.rescale > 0:
        factor = positive.std() / output.std()
        output = output * (guidance.rescale * factor + (1 - guidance.rescale))
    return output


def preview_image(samples: Tensor, denoiser: Denoiser) -> Tensor:
    """A rough picture of normalised latents, without the autoencoder: [C, h, w] -> [h, w, 3], 0..1."""
    factors = samples.new_tensor(denoiser.preview.factors)  # [C, 3]
    bias = samples.new_tensor(denoiser.preview.bias)
    return (torch.einsum("chw,cr->hwr", samples, factors) + bias).clamp(0, 1)


def _prompts(conditionings: Sequence[Conditioning], family: str) -> Prompts:
    """Stack conditionings along the batch. Raises ValueError for another family's, or for different lengths."""
    for conditioning in conditionings:
        if conditioning.family != family:
            raise ValueError(
                f"This prompt was encoded for {conditioning.family!r} but the model is {family!r}; "
                "encode it with the text encoder of the same model."
            )
    pooled = [c.pooled for c in conditionings if c.pooled is not None]
    if pooled and len(pooled) != len(conditionings):
        raise ValueError("Some of these prompts have a pooled vector and some have not; encode them in the same way.")
    return Prompts(_stacked([c.states for c in conditionings], "prompts"), _stacked(pooled, "prompts") if pooled else None)


def _stacked(tensors: Sequence[Tensor], what: str) -> Tensor:
    first = tensors[0]
    for tensor in tensors:
        if tensor.shape != first.shape:
            raise ValueError(
                f"These {what} cannot be evaluated together: one is {tuple(first.shape)}, another "
                f"{tuple(tensor.shape)}. Make them the same length or size."
            )
    return torch.stack(tuple(tensors))

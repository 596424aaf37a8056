"""From a network's raw output to the guided estimate of the clean latent, one run or several in one batch.

Guidance combines raw outputs, as diffusers does, so pictures agree with it; `to_denoised` then solves
x = alpha x0 + sigma eps for x0.
"""

from collections.abc import Callable, Hashable, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import interpolate

from nodegraph_nodes.types import Conditioning, Denoiser, Guidance, Point, Prediction

from .combine import combine, in_range, is_guided, scale_at, thresholded
from .families.loaded import Hints, LoadedDenoiser, Prompts

Resident = Callable[[Any], Any]
"""A recipe -> its network, loaded."""


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


class Row(NamedTuple):
    """One item of a network batch: a prompt of an evaluation."""

    evaluation: Evaluation
    conditioning: Conditioning


def guided_denoised(
    denoiser: LoadedDenoiser, x: Tensor, point: Point, guidance: Guidance, progress: float, resident: Resident | None = None
) -> Tensor:
    """The guided x0 estimate [C, h, w] of one run: a network batch of [negative, positive], or the positive alone."""
    return guided_denoised_many(denoiser, [Evaluation(x, point, guidance, progress)], resident)[0]


def guided_denoised_many(
    denoiser: LoadedDenoiser, evaluations: Sequence[Evaluation], resident: Resident | None = None
) -> list[Tensor]:
    """The guided x0 estimates [C, h, w] of several runs; noise levels and guidance may differ.

    Prompts of one length share a network batch. resident: loads what guidance names beside the denoiser. Raises ValueError
    where latents of different shapes or prompts of different families meet.
    """
    rows: list[Row] = []
    spans: list[tuple[slice, ...]] = []  # of each evaluation's negative, positive and empty prompts among the rows
    for evaluation in evaluations:
        places = []
        for prompt in _prompts_of(evaluation):
            parts = [] if prompt is None else active(prompt, evaluation.progress)
            places.append(slice(len(rows), len(rows) + len(parts)))
            rows += [Row(evaluation, part) for part in parts]
        spans.append(tuple(places))
    outputs = _outputs(denoiser, rows, resident)
    return [
        _guided(
            evaluation,
            denoiser.prediction,
            *([(outputs[i], rows[i]) for i in range(*span.indices(len(rows)))] for span in places),
        )
        for evaluation, places in zip(evaluations, spans, strict=True)
    ]


Answers = Sequence[tuple[Tensor, Row]]
"""The outputs for a prompt's parts, each with what was asked."""


def _prompts_of(evaluation: Evaluation) -> tuple[Conditioning | None, Conditioning, Conditioning | None]:
    """The negative, positive and empty prompts that this evaluation asks about; None for what it does not need."""
    guidance = evaluation.guidance
    guided = is_guided(guidance, evaluation.progress)
    empty = guidance.empty if guided and guidance.method == "perpendicular" else None
    return guidance.negative if guided else None, guidance.positive, empty


def _guided(evaluation: Evaluation, prediction: Prediction, negative: Answers, positive: Answers, empty: Answers) -> Tensor:
    """The guided x0 estimate [C, h, w] from the outputs for the prompts."""

    def denoised(output: Tensor) -> Tensor:
        return to_denoised(evaluation.x, output, prediction, evaluation.point)

    def whole(answers: Answers, away: Tensor | None = None) -> Tensor:
        return joined([output for output, _ in answers], [row for _, row in answers], away)

    guidance = evaluation.guidance
    if not negative:
        return denoised(whole(positive))
    away = whole(negative)
    nothing = whole(empty) if empty else None
    towards = whole(positive, away if nothing is None else nothing)
    scale = scale_at(guidance, evaluation.progress)
    guided = denoised(combine(away, towards, guidance, scale=scale, empty=nothing, estimate=denoised))
    return thresholded(guided, denoised(towards), guidance.threshold) if guidance.threshold > 0 else guided


def _outputs(denoiser: LoadedDenoiser, rows: Sequence[Row], resident: Resident | None) -> list[Tensor]:
    """The network's raw outputs [C, h, w], a row each: one pass for all prompts of one length."""
    groups: dict[Hashable, list[int]] = {}
    for index, row in enumerate(rows):
        groups.setdefault(prompt_shape(row.conditioning), []).append(index)
    outputs: list[Tensor] = [rows[0].evaluation.x] * len(rows)
    for indices in groups.values():
        some = [rows[index] for index in indices]
        batch = denoiser.predict(
            _stacked([row.evaluation.x for row in some], "latents"),
            [row.evaluation.point.timestep for row in some],
            _prompts([row.conditioning for row in some], denoiser.family),
            hints_of(some),
        )
        for index, output in zip(indices, batch, strict=True):
            outputs[index] = output
    return outputs


def hints_of(rows: Sequence[Row]) -> Hints:
    """What steers the rows of a batch beside their prompts."""
    evaluations = [row.evaluation for row in rows]
    concat = [each.guidance.concat for each in evaluations if each.guidance.concat is not None]
    return Hints(
        progress=tuple(each.progress for each in evaluations),
        distilled=tuple(each.guidance.distilled for each in evaluations),
        concat=_stacked(concat, "masked pictures") if len(concat) == len(rows) else None,
    )


def active(conditioning: Conditioning, progress: float) -> list[Conditioning]:
    """The parts of a prompt that count at this point of a run (start <= progress < end); where none does, its first."""
    parts = conditioning.parts
    return [part for part in parts if in_range(part.start, part.end, progress)] or [parts[0]]


def joined(outputs: Sequence[Tensor], rows: Sequence[Row], away: Tensor | None = None) -> Tensor:
    """The outputs [C, h, w] of a prompt's parts as one.

    With a mask at any part: their mean at each place, by weight and mask. Without: the sum of their directions from `away` by
    weight (Liu et al. 2022, composable diffusion, equation 11); where there is no such output, their mean by weight.
    """
    if len(outputs) == 1:
        return outputs[0]
    parts = [row.conditioning for row in rows]
    if all(part.mask is None for part in parts) and away is not None:
        return away + sum((part.weight * (output - away) for part, output in zip(parts, outputs, strict=True)), start=0 * away)
    shares = torch.stack([_share(part, outputs[0]) for part in parts])  # [N, 1, h, w]
    total = shares.sum(0)
    shares = torch.where(total > 1e-6, shares / total.clamp_min(1e-6), 1 / len(parts))
    return (torch.stack(list(outputs)) * shares).sum(0)


def _share(part: Conditioning, output: Tensor) -> Tensor:
    """How much a part counts at each place of an output [C, h, w]: [1, h, w]."""
    if part.mask is None:
        return output.new_full((1, *output.shape[1:]), part.weight)
    return part.weight * interpolate(part.mask[None, None].to(output), output.shape[1:], mode="area")[0]


def prompt_shape(conditioning: Conditioning) -> Hashable:
    """What must agree for prompts to be stacked."""
    return (
        conditioning.states.shape,
        None if conditioning.pooled is None else conditioning.pooled.shape,
        tuple(sorted((name, tensor.shape) for name, tensor in conditioning.extra.items())),
    )


def preview_image(samples: Tensor, denoiser: Denoiser) -> Tensor:
    """A rough picture of normalised latents, without the autoencoder: [C, h, w] -> [h, w, 3], 0..1."""
    factors = samples.new_tensor(denoiser.preview.factors)  # [C, 3]
    bias = samples.new_tensor(denoiser.preview.bias)
    return (torch.einsum("chw,cr->hwr", samples, factors) + bias).clamp(0, 1)


def _prompts(conditionings: Sequence[Conditioning], family: str) -> Prompts:
    """Stack conditionings of one shape along the batch. Raises ValueError for another family's."""
    for conditioning in conditionings:
        if conditioning.family != family:
            raise ValueError(
                f"This prompt was encoded for {conditioning.family!r} but the model is {family!r}; "
                "encode it with the text encoder of the same model."
            )
    first = conditionings[0]
    return Prompts(
        _stacked([c.states for c in conditionings], "prompts"),
        None if first.pooled is None else _stacked([c.pooled for c in conditionings if c.pooled is not None], "prompts"),
        {name: _stacked([c.extra[name] for c in conditionings], "prompts") for name in first.extra},
    )


def _stacked(tensors: Sequence[Tensor], what: str) -> Tensor:
    first = tensors[0]
    for tensor in tensors:
        if tensor.shape != first.shape:
            raise ValueError(
                f"These {what} cannot be evaluated together: one is {tuple(first.shape)}, another "
                f"{tuple(tensor.shape)}. Make them the same length or size."
            )
    return torch.stack(tuple(tensors))

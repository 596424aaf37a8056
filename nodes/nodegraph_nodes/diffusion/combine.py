"""How raw outputs for several prompts combine to one: classifier-free guidance and its refinements.

All are made of sums of outputs, whatever these predict; only `orthogonal` and the threshold look at the picture that they mean.
"""

from collections.abc import Callable

import torch
from torch import Tensor

from nodegraph import curve_at
from nodegraph_nodes.types import Guidance

Estimate = Callable[[Tensor], Tensor]
"""A raw output [C, h, w] -> the x0 estimate that it means, [C, h, w]."""


def scale_at(guidance: Guidance, progress: float) -> float:
    """The guidance scale at this point of a run: 1 where guidance is off, else 1 + (scale - 1) times its curve."""
    if guidance.negative is None or not in_range(guidance.start, guidance.end, progress):
        return 1.0
    share = curve_at(guidance.curve, progress) if guidance.curve else 1.0
    return 1 + (guidance.scale - 1) * share if share != 1 else guidance.scale


def is_guided(guidance: Guidance, progress: float) -> bool:
    """Whether the negative prompt is evaluated at this point of the run."""
    return scale_at(guidance, progress) != 1


def in_range(start: float, end: float, progress: float) -> bool:
    """Whether a share of the schedule lies in start <= progress < end; the very end belongs to what ends there."""
    return start <= progress < end or (progress >= 1 and end >= 1)


def combine(
    negative: Tensor,
    positive: Tensor,
    guidance: Guidance,
    *,
    scale: float | None = None,
    empty: Tensor | None = None,
    estimate: Estimate | None = None,
) -> Tensor:
    """The guided output of raw outputs [C, h, w]; scale: where it differs from the guidance's own.

    classifier_free: n + s (p - n) (Ho & Salimans 2022, equation 6, with s = 1 + w).
    perpendicular: o + s (p' - k n'), with p' = p - o and n' the part of n - o that is perpendicular to p', o the output for
    `empty` and k the negative_scale (Perp-Neg, Armandpour et al. 2023).
    orthogonal: p + (s - 1) d, with d the part of p - n that is orthogonal to the positive's x0 estimate (APG, Sadat et al.
    2024, section 4 with eta 0, without its momentum and norm limit).
    zero_star: m + s (p - m), with m the projection of p on n (CFG-Zero*, Fan et al. 2025, without its first
    steps of 0).

    Then, by `rescale`, towards the positive's standard deviation (Lin et al. 2023, equations 15 and 16).
    """
    scale = guidance.scale if scale is None else scale
    if guidance.method == "perpendicular":
        if empty is None:
            raise ValueError("Perpendicular guidance needs the prompt that says nothing: link it to `empty`.")
        wanted = positive - empty
        unwanted = negative - empty
        output = empty + scale * (wanted - guidance.negative_scale * (unwanted - _along(unwanted, wanted)))
    elif guidance.method == "orthogonal":
        difference = positive - negative
        output = positive + (scale - 1) * (
            difference - _along(difference, positive if estimate is None else estimate(positive))
        )
    elif guidance.method == "zero_star":
        projected = _along(positive, negative)
        output = projected + scale * (positive - projected)
    else:
        output = negative + scale * (positive - negative)
    if guidance.rescale > 0:
        factor = positive.std() / output.std()
        output = output * (guidance.rescale * factor + (1 - guidance.rescale))
    return output


def thresholded(denoised: Tensor, unguided: Tensor, share: float) -> Tensor:
    """Dynamic thresholding (Saharia et al. 2022, section 2.3) of an x0 estimate [C, h, w], channel by channel around its mean.

    Where the `share` quantile s of |D - mean| exceeds the same quantile m of the estimate of the positive prompt alone,
    values are limited to s and divided by s / m. The paper's m is 1, the range of pixels; latents have no such range, and the
    unguided estimate says what is usual.
    """
    mean = denoised.mean((1, 2), keepdim=True)
    away = denoised - mean
    s = _quantile(away, share)
    usual = _quantile(unguided - unguided.mean((1, 2), keepdim=True), share)
    limited = torch.maximum(torch.minimum(away, s), -s) * (usual / s.clamp_min(1e-12))
    return torch.where(s > usual, mean + limited, denoised)


def _quantile(values: Tensor, share: float) -> Tensor:
    """Of the absolute values of each channel: [C, h, w] -> [C, 1, 1]."""
    return torch.quantile(values.abs().flatten(1).float(), share, dim=1)[:, None, None].to(values)


def _along(values: Tensor, direction: Tensor) -> Tensor:
    """The projection of one output on another, as vectors of all their values."""
    return (values * direction).sum() / (direction * direction).sum().clamp_min(1e-12) * direction

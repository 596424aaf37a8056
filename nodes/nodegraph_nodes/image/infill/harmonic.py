"""Smooth filling: the surface over the hole that has no bumps of its own, as a soap film has none."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d, interpolate, pad

_SWEEPS = 60
_OVERRELAXATION = 1.7


def harmonic(image: Tensor, hole: Tensor) -> Tensor:
    """The picture [H, W, C] whose hole (bool [H, W], not everywhere) solves Laplace's equation, level at the picture's border.

    Coarse to fine (push-pull, Gortler et al. 1996), at each size relaxed towards the solution.
    """
    top, bottom = _span(hole.any(1))
    left, right = _span(hole.any(0))
    pixels = image[top:bottom, left:right].movedim(-1, 0)[None]  # what lies beyond the hole's rim has no influence
    known = (~hole[top:bottom, left:right])[None, None]
    result = image.clone()
    result[top:bottom, left:right] = _solved(pixels, known)[0].movedim(0, -1)
    return result


def _span(along: Tensor) -> tuple[int, int]:
    """From where to where there is a hole, with a pixel more on both sides."""
    places = along.nonzero()[:, 0]
    return max(0, int(places[0]) - 1), min(len(along), int(places[-1]) + 2)


def _solved(pixels: Tensor, known: Tensor) -> Tensor:
    """pixels: [1, C, H, W]; known: bool [1, 1, H, W], true somewhere."""
    if known.all():
        return pixels
    weights = known.to(pixels)
    share = avg_pool2d(weights, 2, ceil_mode=True, count_include_pad=False)
    coarse = avg_pool2d(pixels * weights, 2, ceil_mode=True, count_include_pad=False) / share.clamp_min(1e-12)
    size = pixels.shape[2:]
    start = interpolate(_solved(coarse, share > 0), size, mode="bilinear", align_corners=False)
    return _relaxed(torch.where(known, pixels, start), known)


def _relaxed(pixels: Tensor, known: Tensor) -> Tensor:
    """Red-black Gauss-Seidel with over-relaxation (Young 1954): every place moves towards the mean of its four neighbours."""
    height, width = pixels.shape[2:]
    red = (torch.arange(height)[:, None] + torch.arange(width)) % 2 == 0
    for _ in range(_SWEEPS):
        for half in (red, ~red):
            wide = pad(pixels, (1, 1, 1, 1), mode="replicate")
            mean = (wide[..., :-2, 1:-1] + wide[..., 2:, 1:-1] + wide[..., 1:-1, :-2] + wide[..., 1:-1, 2:]) / 4
            pixels = torch.where(half & ~known, torch.lerp(pixels, mean, _OVERRELAXATION), pixels)
    return pixels

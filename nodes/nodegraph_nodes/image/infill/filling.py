"""The methods by which a hole is filled, from a flat colour to texture, under one name each."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from nodegraph_nodes.image.infill.harmonic import harmonic
from nodegraph_nodes.image.infill.nearest import nearest_known
from nodegraph_nodes.image.infill.patches import patched

Infill = Literal["smooth", "edge", "mirror", "patches", "mean", "color", "noise"]
"""smooth: blends between the hole's edges; edge: the nearest pixel outside; mirror: what lies as far outside as the place lies
inside; patches: texture from elsewhere in the picture; mean: the mean colour outside; color: a colour of one's own; noise:
random colours, spread as those outside."""


def filled(image: Tensor, hole: Tensor, method: Infill, color: Tensor | None = None, seed: int = 0) -> Tensor:
    """The picture [H, W, C] with its hole (bool [H, W]) filled; all else stays to the bit.

    color: [C], for the method of that name. seed: for patches and noise. Raises ValueError where all is hole, for methods that
    need something outside it: all but color and noise.
    """
    if not hole.any():
        return image
    known = image[~hole]  # [N, C]
    if len(known) == 0 and method not in ("color", "noise"):
        raise ValueError("there is nothing outside the hole")
    if method == "smooth":
        return harmonic(image, hole)
    if method == "patches":
        return patched(image, hole, seed)
    if method in ("edge", "mirror"):
        return _from_outside(image, hole, mirrored=method == "mirror")
    result = image.clone()
    if method == "mean":
        result[hole] = known.mean(0)
    elif method == "color":
        result[hole] = image.new_zeros(image.shape[-1]) if color is None else color.to(image)
    else:
        result[hole] = _noise(known, int(hole.sum()), seed)
    return result


def _from_outside(image: Tensor, hole: Tensor, *, mirrored: bool) -> Tensor:
    """The nearest pixel outside the hole; mirrored: what lies as far beyond it, if that is outside."""
    height, width = hole.shape
    rows, columns = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    near_rows, near_columns = nearest_known(hole)
    if mirrored:
        far_rows, far_columns = 2 * near_rows - rows, 2 * near_columns - columns
        inside = (far_rows >= 0) & (far_rows < height) & (far_columns >= 0) & (far_columns < width)
        good = inside & ~hole[far_rows.clamp(0, height - 1), far_columns.clamp(0, width - 1)]
        near_rows, near_columns = torch.where(good, far_rows, near_rows), torch.where(good, far_columns, near_columns)
    return torch.where(hole[..., None], image[near_rows, near_columns], image)


def _noise(known: Tensor, count: int, seed: int) -> Tensor:
    """Colours [count, C], normally distributed as those that are known; opaque, as far as they have an opacity."""
    generator = torch.Generator().manual_seed(seed)
    drawn = torch.randn(count, known.shape[1], generator=generator)
    mean = known.mean(0) if len(known) else known.new_full((known.shape[1],), 0.5)
    deviation = known.std(0, correction=0).clamp_min(0.05) if len(known) else torch.full_like(mean, 0.2)
    colors = (mean + deviation * drawn.to(known)).clamp(0, 1)
    if colors.shape[1] == 4:
        colors[:, 3] = 1
    return colors

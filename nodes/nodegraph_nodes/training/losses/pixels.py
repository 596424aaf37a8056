"""Distances between pictures, pixel by pixel and edge by edge. Pictures are [B, 3, H, W], -1..1."""

from typing import Literal

import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d

PixelLoss = Literal["l1", "l2", "both"]


def pixel_distance(made: Tensor, wanted: Tensor, kind: PixelLoss) -> Tensor:
    """The mean absolute difference, the mean squared one, or their sum."""
    difference = made - wanted
    if kind == "l1":
        return difference.abs().mean()
    return difference.square().mean() + (difference.abs().mean() if kind == "both" else 0)


def gradient_distance(made: Tensor, wanted: Tensor, scales: int = 3) -> Tensor:
    """The mean absolute difference of neighbouring pixels' differences, at full size, half and quarter: blurred edges cost."""
    difference, total = made - wanted, torch.zeros((), device=made.device)
    for _ in range(scales):
        total = total + (difference[..., 1:] - difference[..., :-1]).abs().mean()
        total = total + (difference[..., 1:, :] - difference[..., :-1, :]).abs().mean()
        if min(difference.shape[2:]) < 4:
            break
        difference = avg_pool2d(difference, 2)
    return total / (2 * scales)

"""What pictures go through before a classifier sees them: it is to know them turned, small, blurred and noisy."""

import math

import torch
from torch import Tensor
from torch.nn.functional import affine_grid, grid_sample, interpolate

_TURN = math.radians(12)
_SMALLEST = 0.7
_FEWEST_PIXELS = 40  # of a side that is reduced and enlarged: below, people would not know it either


def worn(picture: Tensor, random: torch.Generator) -> Tensor:
    """A view of a picture [H, W, 3], 0..1: turned, moved, perhaps mirrored, blurred by a reduction, with noise."""
    turn, size, right, down, *chances = torch.rand(9, generator=random).tolist()
    planes = picture.movedim(-1, 0)[None]  # [1, 3, H, W]
    planes = _moved(planes, (2 * turn - 1) * _TURN, 1 - (1 - _SMALLEST) * size, 2 * right - 1, 2 * down - 1, chances[0] < 0.3)
    if chances[1] < 0.4:
        height, width = planes.shape[2:]
        least = min(1.0, _FEWEST_PIXELS / min(height, width))
        share = least + (1 - least) * chances[2]
        small = (max(1, round(height * share)), max(1, round(width * share)))
        planes = interpolate(planes, small, mode="bicubic", antialias=True)
        planes = interpolate(planes, (height, width), mode="bicubic", antialias=True)
    if chances[3] < 0.3:
        planes = planes + torch.randn(planes.shape, generator=random) * 0.05 * chances[4]
    return planes[0].movedim(0, -1).clamp(0, 1).contiguous()


def _moved(planes: Tensor, angle: float, size: float, right: float, down: float, mirrored: bool) -> Tensor:
    """Planes [1, 3, H, W] turned by an angle, at a share of their size, in a place that they stay inside of.

    What was outside has the mean colour of the corners.
    """
    cosine, sine = math.cos(angle) / size, math.sin(angle) / size
    free = 1 - size
    sign = -1.0 if mirrored else 1.0
    rows = [[sign * cosine, -sine], [sign * sine, cosine]]
    x, y = right * free, down * free
    matrix = torch.tensor([[*row, -row[0] * x - row[1] * y] for row in rows])
    ground = planes[:, :, [0, 0, -1, -1], [0, -1, 0, -1]].mean(2)[..., None, None]
    grid = affine_grid(matrix[None], list(planes.shape), align_corners=False)
    return grid_sample(planes - ground, grid, mode="bilinear", padding_mode="zeros", align_corners=False) + ground

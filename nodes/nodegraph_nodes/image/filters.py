"""Filters over pictures: blurs, gradients, connected regions. Beyond its border a picture goes on as it is there.

Planes are [C, H, W] or [H, W] float32.
"""

import math

import torch
from torch import Tensor
from torch.nn.functional import conv2d, max_pool2d, pad

_LUMA = (0.299, 0.587, 0.114)
"""ITU-R BT.601, section 2.5.1: what pillow and OpenCV take for grey, and with them those who trained control networks."""


def flat(image: Tensor) -> Tensor:
    """A picture [H, W, 3 or 4] without transparency, [3, H, W]: on black."""
    planes = image.movedim(-1, 0)
    return planes[:3] * planes[3:] if planes.shape[0] == 4 else planes


def luma(planes: Tensor) -> Tensor:
    """Colours [3, H, W] as grey [H, W] (BT.601)."""
    return torch.einsum("chw,c->hw", planes, planes.new_tensor(_LUMA))


def as_image(plane: Tensor) -> Tensor:
    """Grey [H, W] as a picture [H, W, 3]."""
    return plane.clamp(0, 1)[..., None].repeat(1, 1, 3)


def blurred(planes: Tensor, sigma: float) -> Tensor:
    """A Gaussian blur; sigma: its standard deviation in pixels."""
    return _along(_along(planes, _bell(sigma), 0), _bell(sigma), 1) if sigma > 0 else planes


def slopes(planes: Tensor, sigma: float) -> tuple[Tensor, Tensor]:
    """The derivatives to the right and downwards of planes blurred by a Gaussian, per pixel (sampled derivatives of it)."""
    bell, slope = _bell(sigma), _bell_slope(sigma)
    return _along(_along(planes, slope, 1), bell, 0), _along(_along(planes, slope, 0), bell, 1)


def sobel(plane: Tensor) -> tuple[Tensor, Tensor]:
    """Sobel's derivatives of [H, W] to the right and downwards: 8 per unit of slope, so 4 at a step of 1."""
    smooth, difference = torch.tensor([1.0, 2.0, 1.0]), torch.tensor([-1.0, 0.0, 1.0])
    return _along(_along(plane, difference, 1), smooth, 0), _along(_along(plane, difference, 0), smooth, 1)


def _bell(sigma: float) -> Tensor:
    reach = max(1, math.ceil(4 * sigma))
    distance = torch.arange(-reach, reach + 1, dtype=torch.float64)
    bell = torch.exp(-0.5 * (distance / sigma) ** 2)
    return bell / bell.sum()


def _bell_slope(sigma: float) -> Tensor:
    """The bell's derivative, scaled so that a ramp of slope 1 gives exactly 1."""
    bell = _bell(sigma)
    distance = torch.arange(bell.shape[0], dtype=torch.float64) - bell.shape[0] // 2
    slope = distance * bell
    return slope / (slope * distance).sum()


def _along(planes: Tensor, weights: Tensor, axis: int) -> Tensor:
    """Correlate with weights [2 r + 1] downwards (axis 0) or to the right (axis 1)."""
    reach = weights.shape[0] // 2
    stack = planes[None, None] if planes.ndim == 2 else planes[:, None]
    around, shape = ((0, 0, reach, reach), (1, 1, -1, 1)) if axis == 0 else ((reach, reach, 0, 0), (1, 1, 1, -1))
    return conv2d(pad(stack, around, mode="replicate"), weights.to(planes).view(shape)).view(planes.shape)


def thickened(plane: Tensor, radius: int) -> Tensor:
    """The maximum of [H, W] over a disc around every pixel, row by row of the disc."""
    height = plane.shape[0]
    tall = pad(plane, (0, 0, radius, radius), value=-math.inf)
    grown = plane
    for offset in range(-radius, radius + 1):
        half = math.isqrt(radius**2 - offset**2)
        rows = tall[radius + offset :][:height]
        grown = torch.maximum(grown, max_pool2d(rows[None], (1, 2 * half + 1), 1, (0, half))[0])
    return grown


def regions(inside: Tensor) -> Tensor:
    """The connected regions (8 neighbours) of [H, W] bool: a number for each pixel, the same within a region; -1 outside.

    Regions are united over all pairs of neighbours at once: the larger number is hung on the smaller, then every pixel takes
    its root's (Shiloach & Vishkin 1982). That takes about as many rounds as the number of pixels has bits.
    """
    numbers = torch.full(inside.shape, -1, dtype=torch.long, device=inside.device)
    numbers[inside] = torch.arange(int(inside.sum()), device=inside.device)
    first, second = _neighbours(numbers)
    roots = torch.arange(int(inside.sum()), device=inside.device)
    while not torch.equal(roots[first], roots[second]):
        low, high = torch.minimum(roots[first], roots[second]), torch.maximum(roots[first], roots[second])
        roots = roots.scatter_reduce(0, high, low, "amin")
        while not torch.equal(roots, further := roots[roots]):
            roots = further
    numbers[inside] = roots
    return numbers


def _neighbours(numbers: Tensor) -> tuple[Tensor, Tensor]:
    """The numbers of all neighbouring pixels of which neither is -1, as two lists."""
    pairs = [
        (numbers[:, :-1], numbers[:, 1:]),
        (numbers[:-1], numbers[1:]),
        (numbers[:-1, :-1], numbers[1:, 1:]),
        (numbers[:-1, 1:], numbers[1:, :-1]),
    ]
    first, second = (torch.cat([pair[side].flatten() for pair in pairs]) for side in (0, 1))
    both = (first >= 0) & (second >= 0)
    return first[both], second[both]

"""Between two sets of vectors: along the line, or along the arc. Tensors [..., D] of one shape."""

import torch
from torch import Tensor

_PARALLEL = 1e-4  # sine of the angle below which the arc is the line


def lerp(a: Tensor, b: Tensor, weight: float) -> Tensor:
    """a + weight (b - a); a and b to the bit at 0 and 1."""
    return a.clone() if weight == 0 else b.clone() if weight == 1 else a + weight * (b - a)


def slerp(a: Tensor, b: Tensor, weight: float) -> Tensor:
    """Each vector's direction along the arc between the two (Shoemake 1985), its length along the line.

    Where one of the two is zero, or they point the same or opposite ways, it is `lerp`.
    """
    lengths = a.norm(dim=-1, keepdim=True), b.norm(dim=-1, keepdim=True)
    ahead, aside = (vector / length.clamp_min(1e-12) for vector, length in zip((a, b), lengths, strict=True))
    angle = (ahead * aside).sum(-1, keepdim=True).clamp(-1, 1).acos()
    sine = angle.sin()
    arc = (((1 - weight) * angle).sin() * ahead + (weight * angle).sin() * aside) / sine.clamp_min(_PARALLEL)
    straight = (sine < _PARALLEL) | (lengths[0] == 0) | (lengths[1] == 0)
    return torch.where(straight, lerp(a, b, weight), arc * lerp(*lengths, weight))

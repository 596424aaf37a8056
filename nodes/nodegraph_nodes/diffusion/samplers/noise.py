"""Noise as a pure function of the item's seed: independent of device, batch position and batch size.

torch's CPU generator uses the low 32 bits of its seed only, so seeds that differ by a multiple of 2^32 look alike.
"""

import hashlib
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

NoiseSource = Callable[[int, int, int, Sequence[int]], Tensor]
"""(seed, step, draw, shape) -> standard normal noise of that shape, float32, on the CPU."""


def initial_noise(seed: int, shape: Sequence[int]) -> Tensor:
    """The noise a run starts from: what diffusers draws for `torch.Generator().manual_seed(seed)`. float32, CPU."""
    return _randn(seed, shape)


def varied_noise(noise: Tensor, other: Tensor, strength: float) -> Tensor:
    """Noise between two of one shape, on the arc between them (Shoemake 1985, slerp): 0 is the first, 1 the other.

    A straight line would leave it too quiet in the middle: sqrt(1/2) of its deviation.
    """
    if strength <= 0 or strength >= 1:
        return noise if strength <= 0 else other
    cosine = torch.dot(noise.flatten().double(), other.flatten().double()) / (noise.double().norm() * other.double().norm())
    angle = torch.acos(cosine.clamp(-1, 1))
    if angle.sin() < 1e-6:  # the same noise, or its negative: there is no one arc
        return torch.lerp(noise, other, strength)
    first, second = torch.sin((1 - strength) * angle) / angle.sin(), torch.sin(strength * angle) / angle.sin()
    return first.item() * noise + second.item() * other


def step_noise(seed: int, step: int, draw: int, shape: Sequence[int]) -> Tensor:
    """The `draw`-th noise that step number `step` of a run adds. float32, CPU."""
    digest = hashlib.blake2b(f"{seed}/{step}/{draw}".encode(), digest_size=8).digest()
    return _randn(int.from_bytes(digest, "little"), shape)


def _randn(seed: int, shape: Sequence[int]) -> Tensor:
    return torch.randn(tuple(shape), generator=torch.Generator().manual_seed(seed), dtype=torch.float32)

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


def step_noise(seed: int, step: int, draw: int, shape: Sequence[int]) -> Tensor:
    """The `draw`-th noise that step number `step` of a run adds. float32, CPU."""
    digest = hashlib.blake2b(f"{seed}/{step}/{draw}".encode(), digest_size=8).digest()
    return _randn(int.from_bytes(digest, "little"), shape)


def _randn(seed: int, shape: Sequence[int]) -> Tensor:
    return torch.randn(tuple(shape), generator=torch.Generator().manual_seed(seed), dtype=torch.float32)

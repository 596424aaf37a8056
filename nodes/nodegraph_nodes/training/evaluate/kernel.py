"""The kernel distance between two sets of vectors (Bińkowski et al. 2018): a squared maximum mean discrepancy.

Unlike Fréchet's its estimate has no bias, so few pictures make it uncertain, not wrong; subsets tell how uncertain.
"""

from typing import NamedTuple

import torch
from torch import Tensor


class KernelDistance(NamedTuple):
    """mean and deviation over subsets; subset: how many of each set are in one."""

    mean: float
    deviation: float
    subset: int


def kernel_distance(first: Tensor, second: Tensor, *, subsets: int = 100, subset: int = 1000, seed: int = 0) -> KernelDistance:
    """KID of vectors [N, D] and [M, D] with the paper's kernel (x.y / D + 1)^3, in float64 on the CPU.

    subset: vectors drawn of each set, without repetition; at most as many as the smaller has. Raises ValueError for sets of
    fewer than two, or of different widths.
    """
    if first.ndim != 2 or second.ndim != 2 or first.shape[1] != second.shape[1]:
        raise ValueError(f"vectors of {tuple(first.shape)} and {tuple(second.shape)} do not compare")
    count = min(len(first), len(second), subset)
    if count < 2:
        raise ValueError("the estimate needs two vectors at least")
    one, other = (vectors.double().cpu() for vectors in (first, second))
    whole = count == len(one) == len(other)  # all subsets are the same
    generator = torch.Generator().manual_seed(seed)
    found = []
    for _ in range(1 if whole else subsets):
        x, y = (vectors[torch.randperm(len(vectors), generator=generator)[:count]] for vectors in (one, other))
        found.append(discrepancy(x, y))
    values = torch.stack(found)
    return KernelDistance(values.mean().item(), values.std(correction=0).item(), count)


def discrepancy(x: Tensor, y: Tensor) -> Tensor:
    """The unbiased estimate of the squared discrepancy (Gretton et al. 2012, equation 3) of [n, D] and [m, D]."""
    n, m = len(x), len(y)
    within_x, within_y = _kernel(x, x), _kernel(y, y)
    within = (within_x.sum() - within_x.trace()) / (n * (n - 1)) + (within_y.sum() - within_y.trace()) / (m * (m - 1))
    return within - 2 * _kernel(x, y).mean()


def _kernel(x: Tensor, y: Tensor) -> Tensor:
    return (x @ y.T / x.shape[1] + 1) ** 3

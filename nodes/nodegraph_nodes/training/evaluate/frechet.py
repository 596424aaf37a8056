"""The Fréchet distance between two sets of vectors, each taken for a Gaussian (Heusel et al. 2017, equation 6).

d^2 = |m1 - m2|^2 + tr(S1 + S2 - 2 (S1 S2)^(1/2)). With S = X^T X of centred rows, the last trace is the sum of the singular
values of X1 X2^T: no root of a covariance is taken, so singular ones (fewer pictures than dimensions) lose no digits.
"""

import torch
from torch import Tensor


def frechet_distance(first: Tensor, second: Tensor) -> float:
    """Squared Fréchet distance of vectors [N, D] and [M, D], in float64 on the CPU. Covariances are over N - 1.

    Raises ValueError for sets of fewer than two, or of different widths.
    """
    if first.ndim != 2 or second.ndim != 2 or first.shape[1] != second.shape[1]:
        raise ValueError(f"vectors of {tuple(first.shape)} and {tuple(second.shape)} do not compare")
    if min(len(first), len(second)) < 2:
        raise ValueError("a covariance needs two vectors at least")
    one, other = (vectors.double().cpu() for vectors in (first, second))
    apart = (one.mean(0) - other.mean(0)).square().sum()
    one, other = (_root(vectors) for vectors in (one, other))
    shared = torch.linalg.svdvals(one @ other.T).sum()
    return max(0.0, float(apart + one.square().sum() + other.square().sum() - 2 * shared))


def _root(vectors: Tensor) -> Tensor:
    """R [min(N, D), D] with R^T R the covariance."""
    centred: Tensor = (vectors - vectors.mean(0)) / (len(vectors) - 1) ** 0.5
    if len(vectors) <= vectors.shape[1]:
        return centred
    root: Tensor = torch.linalg.qr(centred, mode="r").R
    return root

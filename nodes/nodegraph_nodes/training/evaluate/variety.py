"""How different the pictures of one prompt are: a model that answers every seed with one picture has none."""

from collections.abc import Sequence

from torch import Tensor
from torch.nn.functional import normalize


def mean_pairwise_distance(vectors: Tensor) -> float:
    """Mean of 1 - cosine over all pairs of [N, D]: 0 where all are alike. Raises ValueError for fewer than two."""
    count = _pairs(len(vectors))
    unit = normalize(vectors.double(), dim=1)
    cosines = unit @ unit.T
    return (1 - (cosines.sum() - cosines.trace()) / (2 * count)).item()


def mean_pairwise_error(pictures: Sequence[Tensor]) -> float:
    """Mean absolute difference over all pairs of pictures [H, W, C] of one size, 0..1. Raises ValueError for fewer than two."""
    count = _pairs(len(pictures))
    total = sum((one - other).abs().mean().item() for i, one in enumerate(pictures) for other in pictures[:i])
    return total / count


def _pairs(count: int) -> int:
    if count < 2:
        raise ValueError("variety needs two pictures at least")
    return count * (count - 1) // 2


def by_caption(captions: Sequence[str]) -> dict[str, list[int]]:
    """The places of each caption, in the order of their first."""
    found: dict[str, list[int]] = {}
    for index, caption in enumerate(captions):
        found.setdefault(caption.strip(), []).append(index)
    return found

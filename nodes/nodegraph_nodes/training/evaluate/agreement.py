"""Whether pictures show what was asked for: by a network that reads both, and by the answers of a classifier."""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn.functional import normalize

_WEIGHT = 2.5  # Hessel et al.'s, so that scores lie about 0..1


def clip_scores(pictures: Tensor, texts: Tensor) -> Tensor:
    """CLIPScore of pairs (Hessel et al. 2021, equation 1): 2.5 max(cos, 0). [N, D], [N, D] -> [N]."""
    return _WEIGHT * (normalize(pictures.float(), dim=1) * normalize(texts.float(), dim=1)).sum(1).clamp_min(0)


def similarity(first: Tensor, second: Tensor) -> Tensor:
    """Cosines of all pairs: [N, D], [M, D] -> [N, M]."""
    return normalize(first.float(), dim=1) @ normalize(second.float(), dim=1).T


def ranks(scores: Tensor, right: Sequence[int]) -> list[int]:
    """The place of the right answer among all, from 1: [N, C] and N indices. Of equal scores, and of NaN, it comes last."""
    chosen = torch.tensor(list(right))[:, None]
    mine = scores.gather(1, chosen)
    return (~(scores < mine)).sum(1).tolist()


def top(places: Sequence[int], count: int) -> float:
    """The share of answers that are among the first `count`."""
    return sum(place <= count for place in places) / len(places)

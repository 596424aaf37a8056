"""Figures of how good pictures are: distances between sets, agreement with captions, variety. Pure torch; knows no nodes."""

from .agreement import clip_scores, ranks, similarity, top
from .frechet import frechet_distance
from .kernel import KernelDistance, kernel_distance
from .naming import Names
from .variety import by_caption, mean_pairwise_distance, mean_pairwise_error

__all__ = [
    "KernelDistance",
    "Names",
    "by_caption",
    "clip_scores",
    "frechet_distance",
    "kernel_distance",
    "mean_pairwise_distance",
    "mean_pairwise_error",
    "ranks",
    "similarity",
    "top",
]

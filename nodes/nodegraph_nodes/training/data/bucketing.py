"""Sizes of about one area and many shapes, as NovelAI and SDXL train: each picture goes to the one nearest its own shape."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from nodegraph_nodes.types import Dataset

from .plan import bucket_of

Size = tuple[int, int]


def bucket_sizes(side: int, step: int, longest_ratio: float) -> tuple[Size, ...]:
    """Sizes (width, height), multiples of `step`, of no more than side x side pixels, the square one first.

    For each width up to the square's the largest height that fits (NovelAI, "Improvements on Stable
    Diffusion", 2022), and the same turned; none is longer than `longest_ratio` times its other side.
    """
    square = max(step, side // step * step)
    found = {(square, square)}
    for width in range(step, square, step):
        height = side * side // width // step * step
        if height <= longest_ratio * width:
            found |= {(width, height), (height, width)}
    return tuple(sorted(found, key=lambda size: (size != (square, square), size)))


def bucketed(dataset: Dataset, sizes: tuple[Size, ...], fewest: int) -> Dataset:
    """A data set in those of some sizes that have at least `fewest` of its pictures; the others go to the nearest left."""
    counts = np.bincount(bucket_of(replace(dataset, buckets=sizes)), minlength=len(sizes))
    kept = tuple(size for size, count in zip(sizes, counts, strict=True) if count >= fewest)
    kept = kept or (sizes[int(counts.argmax())],)
    counts = np.bincount(bucket_of(replace(dataset, buckets=kept)), minlength=len(kept))
    return replace(dataset, buckets=tuple(size for size, count in zip(kept, counts, strict=True) if count), fit="cover")

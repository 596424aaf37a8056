"""Which pictures each step of a training sees: a pure function of data, batch size, seed and step.

Each bucket has an endless stream of permutations of its pictures; an epoch takes so many whole batches from each that every
picture comes at least once, and the buckets come in a random order.
"""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from nodegraph import NodeError
from nodegraph_nodes.types import Dataset

PLAIN = -1
"""The draw that varies nothing: no augmentation, the first caption, the centre of what is cut."""

_ORDER, _BUCKETS, _HELD_OUT = 1, 2, 3  # what seeds are for


class Pick(NamedTuple):
    """One reading of a picture. entry: index in `dataset.entries`; bucket: index in `sizes(dataset)`.

    draw: seeds everything random about it; the same pick always gives the same example. `PLAIN` varies nothing.
    """

    entry: int
    draw: int
    bucket: int


def sizes(dataset: Dataset) -> tuple[tuple[int, int], ...]:
    """The sizes (width, height) that examples have: the data set's buckets, else those of its pictures."""
    return dataset.buckets or tuple(sorted({(entry.width, entry.height) for entry in dataset.entries}))


def bucket_of(dataset: Dataset) -> npt.NDArray[np.int64]:
    """For each entry the index in `sizes` of what it is brought to: nearest in shape (the logarithm of width / height)."""
    if not dataset.buckets:
        place = {size: index for index, size in enumerate(sizes(dataset))}
        return np.array([place[entry.width, entry.height] for entry in dataset.entries], np.int64)
    shapes = np.array([(entry.width, entry.height) for entry in dataset.entries], np.float64).reshape(-1, 2)
    shape = np.log(shapes[:, 0] / shapes[:, 1])
    best, nearest = np.full(len(shape), np.inf), np.zeros(len(shape), np.int64)
    for index, (width, height) in enumerate(dataset.buckets):
        distance = np.abs(shape - np.log(width / height))
        closer = distance < best - 1e-12
        best[closer], nearest[closer] = distance[closer], index
    return nearest


class BatchPlan:
    """The picks of step 0, 1, ... without end. All picks of a batch share a bucket.

    Raises NodeError for a data set without pictures.
    """

    def __init__(self, dataset: Dataset, batch: int, seed: int) -> None:
        if not dataset.entries:
            raise NodeError("The data set has no pictures.", socket="data")
        self._batch, self._seed, self._repeats = batch, seed, dataset.repeats
        place = bucket_of(dataset)
        self._members = {int(bucket): np.flatnonzero(place == bucket) for bucket in np.unique(place)}
        self._batches = {bucket: -(-len(found) * self._repeats // batch) for bucket, found in self._members.items()}
        self._order = lru_cache(maxsize=2)(self._order_of)
        self._shuffled = lru_cache(maxsize=2 * len(self._members) + 2)(self._shuffle)

    @property
    def steps_per_epoch(self) -> int:
        return sum(self._batches.values())

    def __getitem__(self, step: int) -> tuple[Pick, ...]:
        if step < 0:
            raise IndexError(step)
        epoch, turn = divmod(step, self.steps_per_epoch)
        buckets, before = self._order(epoch)
        bucket = int(buckets[turn])
        first = (epoch * self._batches[bucket] + int(before[turn])) * self._batch
        return tuple(self._pick(bucket, place) for place in range(first, first + self._batch))

    def __reduce__(self) -> tuple[object, ...]:
        raise TypeError("A plan is made anew from its data set, not copied.")

    def _pick(self, bucket: int, place: int) -> Pick:
        members = self._members[bucket]
        turn, at = divmod(place, len(members) * self._repeats)
        chosen = int(self._shuffled(bucket, turn)[at])
        repeat, index = divmod(chosen, len(members))
        return Pick(int(members[index]), turn * self._repeats + repeat, bucket)

    def _shuffle(self, bucket: int, turn: int) -> npt.NDArray[np.int64]:
        count = len(self._members[bucket]) * self._repeats
        return np.random.default_rng((self._seed, _ORDER, bucket, turn)).permutation(count)

    def _order_of(self, epoch: int) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        """The bucket of each step of an epoch, and how many batches of the same bucket come before."""
        buckets = np.repeat(list(self._batches), list(self._batches.values()))
        buckets = np.random.default_rng((self._seed, _BUCKETS, epoch)).permutation(buckets)
        before = np.zeros(len(buckets), np.int64)
        for bucket in self._batches:
            found = buckets == bucket
            before[found] = np.arange(found.sum())
        return buckets, before


def held_out(dataset: Dataset, count: int, seed: int) -> tuple[Pick, ...]:
    """Up to `count` different pictures as they are, bucket by bucket: what a validation looks at each time."""
    chosen = np.random.default_rng((seed, _HELD_OUT)).permutation(len(dataset.entries))[:count]
    place = bucket_of(dataset)
    return tuple(Pick(int(entry), PLAIN, int(place[entry])) for entry in sorted(chosen, key=lambda entry: int(place[entry])))

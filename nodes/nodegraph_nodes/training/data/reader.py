"""Examples of a data set, read from disk and varied.

What was decoded is kept in memory, at the size that is needed, within a budget.
"""

from __future__ import annotations

import os
import threading
from collections import OrderedDict
from types import TracebackType
from typing import NamedTuple, Self

import numpy as np
import torch
from torch import Tensor

from nodegraph_nodes.types import Dataset, Fit

from .decoding import Pixels, decode_layout, decode_picture
from .drawing import Canvas, covering, fitted
from .plan import PLAIN, Pick, sizes
from .sources import OpenSource, open_source
from .varying import Variations, plain


class Example(NamedTuple):
    """A captioned picture. pixels: [H, W, 3] uint8; layout: [H, W] uint8, numbers of regions."""

    pixels: Tensor
    caption: str
    label: int | None
    layout: Tensor | None


class Reader:
    """Reads examples. Threads may share it; a copy in another process opens its files anew.

    seed: of all variation, with a pick's entry and draw. cache_bytes: for decoded pictures.
    """

    def __init__(self, dataset: Dataset, *, seed: int = 0, cache_bytes: int = 2**30) -> None:
        self.dataset, self._seed, self._budget = dataset, seed, cache_bytes
        self._sizes, self._variations = sizes(dataset), Variations(dataset)
        self._sources: dict[int, OpenSource] = {}
        self._process = os.getpid()
        self._cache: OrderedDict[tuple[int, int, int, float], Canvas] = OrderedDict()
        self._held = 0
        self._lock = threading.Lock()

    def read(self, pick: Pick) -> Example:
        """The example of a pick. Raises UnreadablePicture for a broken picture, NodeError where the files are gone."""
        entry, (width, height) = self.dataset.entries[pick.entry], self._sizes[pick.bucket]
        if pick.draw == PLAIN:
            pixels, layout, caption = plain(entry, self._look(pick.entry, width, height))
        else:
            random = np.random.default_rng((self._seed, pick.entry, pick.draw))
            pixels, layout, caption = self._variations.apply(pick.entry, width, height, self._look, random)
        return Example(_tensor(pixels), caption, entry.label, None if layout is None else _tensor(layout))

    def close(self) -> None:
        for source in self._sources.values():
            source.close()
        self._sources.clear()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def __reduce__(self) -> tuple[object, ...]:
        return _reopened, (self.dataset, self._seed, self._budget)

    def _look(self, index: int, width: int, height: int, zoom: float = 0) -> Canvas:
        key = (index, width, height, zoom)
        with self._lock:
            if key in self._cache:
                self._cache.move_to_end(key)
                return self._cache[key]
        canvas = self._decode(index, width, height, zoom)
        size = _nbytes(canvas)
        with self._lock:
            if key not in self._cache and size <= self._budget:
                self._cache[key] = canvas
                self._held += size
                while self._held > self._budget:
                    self._held -= _nbytes(self._cache.popitem(last=False)[1])
        return canvas

    def _decode(self, index: int, width: int, height: int, zoom: float) -> Canvas:
        entry, source = self.dataset.entries[index], self._source(self.dataset.entries[index].source)
        picture = decode_picture(source.read(entry.file), entry.file)
        fit: Fit = self.dataset.fit
        if zoom:
            fit = "stretch"
            width, height = covering(picture.size, width, height, zoom)
        pixels = np.asarray(fitted(picture, width, height, fit))
        if not entry.layout:
            return Canvas(pixels)
        layout = decode_layout(source.read(entry.layout), entry.layout)
        if layout.size != picture.size:  # a map of another resolution lies over the whole picture
            layout = fitted(layout, *picture.size, "stretch", layout=True)
        return Canvas(pixels, np.asarray(fitted(layout, width, height, fit, layout=True)))

    def _source(self, index: int) -> OpenSource:
        with self._lock:
            if self._process != os.getpid():  # a forked process would move its parent's place in the file
                self._sources, self._process = {}, os.getpid()
            if index not in self._sources:
                self._sources[index] = open_source(self.dataset.sources[index])
            return self._sources[index]


def _reopened(dataset: Dataset, seed: int, cache_bytes: int) -> Reader:
    return Reader(dataset, seed=seed, cache_bytes=cache_bytes)


def _tensor(pixels: Pixels) -> Tensor:
    """A copy, for the cached array belongs to all readings."""
    return torch.from_numpy(np.array(pixels, order="C"))


def _nbytes(canvas: Canvas) -> int:
    return canvas.pixels.nbytes + (canvas.layout.nbytes if canvas.layout is not None else 0)

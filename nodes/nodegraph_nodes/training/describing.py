"""What a data set holds, for people: figures, what was skipped, how large pictures are, and a sheet as a network sees them."""

from __future__ import annotations

from collections import Counter
from statistics import mean, median
from typing import Annotated, NamedTuple

import numpy as np
from pydantic import Field

from nodegraph import Axis, Context, NodeError, Plot, Seed, Series, Table, node
from nodegraph_nodes.image.labels import contact_sheet
from nodegraph_nodes.training.data import PLAIN, Pick, Reader, UnreadablePicture, bucket_of, sizes
from nodegraph_nodes.types import Dataset, Image

_MOST_ROWS = 1000


class DataFigures(NamedTuple):
    figures: Table
    classes: Table
    skipped: Table
    sizes: Plot


@node(category="training/data")
def data_figures(data: Dataset) -> DataFigures:
    """How many pictures, how large, how much is said of them, which classes, and what was skipped and why."""
    entries = data.entries
    words = [len(caption.split()) for entry in entries for caption in entry.captions]
    areas = [(entry.width * entry.height) ** 0.5 for entry in entries]
    rows: list[list[str | float | bool | None]] = [
        ["pictures", len(entries)],
        ["of an epoch", len(data)],
        ["skipped", len(data.skipped)],
        ["with captions", sum(bool(entry.captions) for entry in entries)],
        ["with a subject", sum(bool(entry.subject) for entry in entries)],
        ["different subjects", len({entry.subject for entry in entries if entry.subject})],
        ["styles", len({entry.style for entry in entries if entry.style})],
        ["with a class", sum(entry.label is not None for entry in entries)],
        ["classes", len(data.classes)],
        ["with a layout", sum(bool(entry.layout) for entry in entries)],
        ["words of a caption, mean", round(mean(words), 1) if words else None],
        ["words of a caption, most", max(words, default=None)],
        ["side of a square as large, median", round(median(areas)) if areas else None],
        ["smallest side", min((min(entry.width, entry.height) for entry in entries), default=None)],
        ["largest side", max((max(entry.width, entry.height) for entry in entries), default=None)],
    ]
    if data.buckets and entries:
        counts = np.bincount(bucket_of(data), minlength=len(data.buckets))
        rows += [[f"at {width} x {height}", int(count)] for (width, height), count in zip(data.buckets, counts, strict=True)]
    labels = Counter(entry.label for entry in entries if entry.label is not None)
    named: list[list[str | float | bool | None]] = [[name, labels[number]] for number, name in enumerate(data.classes)]
    return DataFigures(
        Table(columns=["of the data", "value"], rows=rows),
        Table(columns=["class", "pictures"], rows=named[:_MOST_ROWS]),
        Table(columns=["file", "why"], rows=[[item.file, item.why] for item in data.skipped[:_MOST_ROWS]]),
        _histogram(areas),
    )


def _histogram(sides: list[float]) -> Plot:
    counts, edges = np.histogram(sides, bins=min(32, max(1, len(set(sides))))) if sides else (np.zeros(0), np.zeros(1))
    middles = [float(value) for value in (edges[1:] + edges[:-1]) / 2]
    bars = Series(name="pictures", x=middles, y=[float(count) for count in counts], kind="bars")
    return Plot(title="Sizes", x=Axis(label="side of a square as large, pixels"), y=Axis(label="pictures"), series=[bars])


@node(category="training/data", output_name="sheet")
def data_sheet(
    context: Context,
    data: Dataset,
    count: Annotated[int, Field(ge=1, le=1000)] = 24,
    columns: Annotated[int, Field(ge=0, le=100, description="0 makes the sheet about square.")] = 0,
    varied: Annotated[bool, Field(description="As a training sees them; else as they are.")] = True,
    cell: Annotated[int, Field(ge=16, le=1024, description="Pixels: larger pictures are shrunk to it.")] = 128,
    seed: Seed = 0,
) -> Image:
    """Some pictures at random, with the captions that a network is told."""
    if not data.entries:
        raise NodeError("The data set has no pictures.", socket="data")
    random = np.random.default_rng(seed)
    place = bucket_of(data) if sizes(data) else np.zeros(len(data.entries), np.int64)
    images, captions = [], []
    broken: list[UnreadablePicture] = []
    with Reader(data, seed=seed, cache_bytes=0) as reader:
        for turn, entry in enumerate(_order(len(data.entries), count, random)):
            context.check_cancelled()
            try:
                example = reader.read(Pick(entry, turn if varied else PLAIN, int(place[entry])))
            except UnreadablePicture as error:
                broken.append(error)
                continue
            label = "" if example.label is None or not data.classes else f"[{data.classes[example.label]}] "
            images.append(example.pixels.float() / 255)
            captions.append(f"{label}{example.caption}")
            context.progress(len(images), count)
            if len(images) == count:
                break
    if not images:
        raise NodeError("Not one of the pictures can be read.", socket="data", got=str(broken[0]))
    sheet: Image = contact_sheet(images, captions, columns, cell)
    return sheet


def _order(have: int, count: int, random: np.random.Generator) -> list[int]:
    """Pictures in a random order, several times over where there are fewer than asked for."""
    turns = [random.permutation(have) for _ in range(1 + min(count, 10_000) // have)]
    return [int(entry) for entry in np.concatenate(turns)]

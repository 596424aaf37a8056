"""Parts of a data set: two that share nothing, or those pictures that a text, a number or a share picks out."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import replace
from typing import Literal

import numpy as np

from nodegraph_nodes.types import Dataset, Entry, PictureSource

Together = Literal["picture", "subject", "group", "class"]
"""What stays on one side of a split: single pictures, or all that show the same."""


def some(dataset: Dataset | None) -> Dataset | None:
    """A data set, or None for an empty one: what is held out of few pictures, or of a share of 0."""
    return dataset if dataset is not None and dataset.entries else None


def split(dataset: Dataset, share: float, count: int, together: Together, seed: int) -> tuple[Dataset, Dataset]:
    """The rest, and `count` pictures (0: a share of them) that are held out; whole subjects, groups or classes where asked.

    Which ones depends on what they are called, not on their order, so that a picture more moves few others.
    """
    wanted = min(count or round(share * len(dataset.entries)), len(dataset.entries))
    keys = [_key(entry, together) for entry in dataset.entries]
    sizes: dict[str, int] = {}
    for key in keys:
        sizes[key] = sizes.get(key, 0) + 1
    held, total = set(), 0
    for key in sorted(sizes, key=lambda key: hashlib.sha256(f"{seed}\0{key}".encode("utf-8", "surrogatepass")).digest()):
        if total >= wanted:
            break
        held.add(key)
        total += sizes[key]
    rest = tuple(entry for entry, key in zip(dataset.entries, keys, strict=True) if key not in held)
    out = tuple(entry for entry, key in zip(dataset.entries, keys, strict=True) if key in held)
    return replace(dataset, entries=rest), replace(dataset, entries=out, skipped=(), repeats=1)


def _key(entry: Entry, together: Together) -> str:
    picture = f"{entry.source}\0{entry.file}"
    match together:
        case "subject":
            return f"s\0{entry.subject.lower() or (entry.captions[0].lower() if entry.captions else picture)}"
        case "group":
            return f"g\0{entry.group or picture}"
        case "class":
            return f"c\0{picture if entry.label is None else entry.label}"
        case "picture":
            return picture


def filtered(dataset: Dataset, words: Iterable[str], without: Iterable[str]) -> Dataset:
    """Entries of which one of the words is said (none: all), and none of the words in `without`."""
    wanted, unwanted = [word.lower() for word in words], [word.lower() for word in without]

    def taken(entry: Entry) -> bool:
        said = _said(entry, dataset.classes)
        return (not wanted or any(word in said for word in wanted)) and not any(word in said for word in unwanted)

    return replace(dataset, entries=tuple(entry for entry in dataset.entries if taken(entry)))


def taken(dataset: Dataset, first: int, count: int, shuffle: int | None) -> Dataset:
    """Entries `first` to `first + count` (0: to the end), of a random order where there is a seed for it."""
    entries = dataset.entries
    if shuffle is not None:
        order = np.random.default_rng(shuffle).permutation(len(entries))
        entries = tuple(entries[int(place)] for place in order)
    return replace(dataset, entries=entries[first : first + count if count else None])


def joined(datasets: Iterable[Dataset]) -> Dataset:
    """Several data sets as one. Classes with one name are one class; how pictures are varied and sized is as in the first."""
    every = list(datasets)
    sources: list[PictureSource] = []
    entries: list[Entry] = []
    classes = list(dict.fromkeys(name for dataset in every for name in dataset.classes))
    place = {name: index for index, name in enumerate(classes)}
    for dataset in every:
        offset = len(sources)
        sources += dataset.sources
        for entry in dataset.entries:
            label = None if entry.label is None else place[dataset.classes[entry.label]] if dataset.classes else entry.label
            entries.append(replace(entry, source=entry.source + offset, label=label))
    return replace(
        every[0],
        sources=tuple(sources),
        entries=tuple(entries),
        classes=tuple(classes),
        regions=max((dataset.regions for dataset in every), key=len),
        skipped=tuple(item for dataset in every for item in dataset.skipped),
    )


def _said(entry: Entry, classes: tuple[str, ...]) -> str:
    label = classes[entry.label] if entry.label is not None and classes else ""
    return "\n".join((*entry.captions, entry.subject, entry.style, entry.group, label, *entry.tags)).lower()

"""From where pictures lie and what is said of them to a data set.

Every picture is looked at once; broken ones are listed, not fatal.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import PurePosixPath

import numpy as np

from nodegraph import NodeError
from nodegraph_nodes.types import Dataset, Entry, PictureSource, Skipped

from .decoding import UnreadablePicture, decode_layout, decode_picture, picture_size
from .records import Record
from .sources import OpenSource

Said = list[tuple[str, Record]]
"""Pictures by their names in a source, with what is said of each."""

_LISTED = 10  # names in a message


def find_pictures(
    opened: OpenSource,
    source: PictureSource,
    said: Said,
    *,
    classes: tuple[str, ...] = (),
    regions: tuple[str, ...] = (),
    whole: bool = True,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Dataset:
    """The pictures of a source with what is said of them.

    whole: decode each to its last pixel, so that broken ones are known now; else only their headers are read.
    Raises NodeError where no picture can be used.
    """
    classes = classes or class_names(record for _, record in said)
    place = {name: index for index, name in enumerate(classes)}
    entries, skipped = [], []
    for done, (name, record) in enumerate(said):
        if done % 32 == 0:
            progress(done, len(said))
        try:
            width, height = _size(opened, name, whole)
            if record.layout and whole:
                _check_layout(opened, record.layout, regions)
            label = _label(record.label, place, name)
        except UnreadablePicture as error:
            skipped.append(Skipped(error.file, error.why))
        else:
            entries.append(_entry(name, width, height, record, label))
    progress(len(said), len(said))
    if not entries:
        listed = "; ".join(f"{item.file}: {item.why}" for item in skipped[:3])
        raise NodeError("Not one of the pictures can be read.", socket="pictures", expected="pictures", got=listed)
    return Dataset((source,), tuple(entries), classes, regions, skipped=tuple(skipped))


def matched(pictures: Sequence[str], records: Mapping[str, Record]) -> tuple[Said, list[str]]:
    """Records with the names of their pictures, and the names for which there is none.

    Whole names come first, else those without folders or endings where only one picture fits.
    """
    there, by_tail = set(pictures), _tails(pictures)
    found, missing = [], []
    for file, record in records.items():
        name = file if file in there else by_tail.get(file)
        if name is None:
            missing.append(file)
        else:
            found.append((name, record))
    return found, missing


def no_such_pictures(missing: Sequence[str], pictures: Sequence[str]) -> NodeError:
    """What is raised for captions of pictures that are not there: all of them at once, as far as a message goes."""
    return NodeError(
        f"The captions name {_count(missing)} that {'does' if len(missing) == 1 else 'do'} not exist: {listed(missing)}.",
        socket="captions",
        expected=f"names of files in `pictures`, as {', '.join(pictures[:2])}",
        got=listed(missing),
        hint="Correct the names, or set `allow_missing` to leave these lines out.",
    )


def no_captions(missing: Sequence[str], looked: str) -> NodeError:
    """What is raised for pictures of which nothing is said."""
    return NodeError(
        f"Nothing is said of {_count(missing)}: {listed(missing)}.",
        socket="captions",
        expected=looked,
        got=listed(missing),
        hint="Add captions, set `allow_missing` to take these pictures without, or set `captions_from` to none.",
    )


def listed(names: Sequence[str]) -> str:
    """Names for a message."""
    more = f" and {len(names) - _LISTED:,} more" if len(names) > _LISTED else ""
    return ", ".join(names[:_LISTED]) + more


def class_names(records: Iterable[Record]) -> tuple[str, ...]:
    """The classes' names by label: words in alphabetical order; numbers stand for themselves."""
    labels = {record.label for record in records if record.label is not None}
    numbers = [label for label in labels if isinstance(label, int)]
    if len(numbers) == len(labels):
        return tuple(map(str, range(max(numbers) + 1))) if numbers and 0 <= min(numbers) <= max(numbers) < 100_000 else ()
    return tuple(sorted(map(str, labels)))


def _label(label: str | int | None, place: Mapping[str, int], name: str) -> int | None:
    if label is None:
        return None
    if isinstance(label, int) and 0 <= label < len(place) and str(label) not in place:
        return label
    if str(label) not in place:
        raise UnreadablePicture(name, f"its class {label!r} is none of the {len(place)} classes")
    return place[str(label)]


def _size(opened: OpenSource, name: str, whole: bool) -> tuple[int, int]:
    data = opened.read(name)
    return decode_picture(data, name).size if whole else picture_size(data, name)


def _check_layout(opened: OpenSource, name: str, regions: Sequence[str]) -> None:
    largest = int(np.asarray(decode_layout(opened.read(name), name)).max())
    if regions and largest >= len(regions):
        raise UnreadablePicture(name, f"it has region {largest}, and only {len(regions)} regions have names")


def _entry(name: str, width: int, height: int, record: Record, label: int | None) -> Entry:
    return Entry(
        source=0,
        file=name,
        width=width,
        height=height,
        captions=record.captions,
        subject=record.subject,
        style=record.style,
        label=label,
        layout=record.layout,
        tags=record.tags,
        aliases=record.aliases,
        group=record.group,
    )


def _tails(names: Sequence[str]) -> dict[str, str]:
    """Names by what may stand for them; what stands for several stands for none."""
    tails: dict[str, str] = {}
    unclear = set()
    for name in names:
        path = PurePosixPath(name)
        for tail in {path.name, path.stem, str(path.with_suffix(""))}:
            if tails.setdefault(tail, name) != name:
                unclear.add(tail)
    return {tail: name for tail, name in tails.items() if tail not in unclear}


def _count(names: Sequence[str]) -> str:
    return f"{len(names):,} picture{'' if len(names) == 1 else 's'}"

"""Ways to vary the pictures of a data set, and what their captions then say.

Nothing is drawn here: `data.varying` does that when pictures are read.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import replace
from typing import Annotated

from pydantic import Field

from nodegraph import NodeError, node
from nodegraph.sdk.errors import nearest
from nodegraph_nodes.training.data.captions import STYLE_PHRASES
from nodegraph_nodes.training.data.colours import GROUNDS, HUES, NEUTRALS
from nodegraph_nodes.training.data.varying import subjects, together
from nodegraph_nodes.types import Augmentation, Dataset

Chance = Annotated[float, Field(ge=0, le=1, description="The share of pictures.", json_schema_extra={"x-step": 0.05})]
Spread = Annotated[
    float, Field(ge=0, le=0.9, description="By how much at most, as a share.", json_schema_extra={"x-step": 0.05})
]
Apart = Annotated[
    str,
    Field(
        description="What is never put together, so that one can ask for it later: a line each.",
        json_schema_extra={"format": "multiline"},
    ),
]
Words = Annotated[str, Field(description="Names, separated by commas; none: all that are known.")]


@node(category="training/data", output_name="data")
def augment_backgrounds(
    data: Dataset,
    chance: Chance = 0.35,
    colours: Words = "",
    spread: Annotated[float, Field(ge=0, le=60, description="How far a colour varies, in steps of 255.")] = 8.0,
    white_named: Annotated[float, Field(ge=0, le=1, description="How often a white ground is named, too.")] = 0.15,
) -> Dataset:
    """Lay transparent pictures on colours, and say so: "a cat on a red background"."""
    names = _known(colours, GROUNDS)
    return _with(data, "background", chance, colours=names, spread=spread, white_named=white_named)


@node(category="training/data", output_name="data")
def augment_colours(data: Dataset, chance: Chance = 0.3, colours: Words = "", apart: Apart = "") -> Dataset:
    """Turn pictures to named colours, and say so: "a blue cat". For pictures with a subject. apart: lines like "blue + cat"."""
    known = (*HUES, *NEUTRALS)
    return _with(data, "recolour", chance, colours=_known(colours, known), apart=_apart(apart, data, known))


@node(category="training/data", output_name="data")
def augment_pairs(data: Dataset, chance: Chance = 0.15, apart: Apart = "") -> Dataset:
    """Put two pictures of one style side by side: "a cat and a dog". apart: lines like "cat + dog"."""
    return _fit(_with(data, "pairs", chance, apart=_apart(apart, data)))


@node(category="training/data", output_name="data")
def augment_halves(data: Dataset, chance: Chance = 0.08, apart: Apart = "") -> Dataset:
    """Join the left half of a picture to the right half of another: "half pizza half cat". apart: lines like "pizza + cat"."""
    return _fit(_with(data, "halves", chance, apart=_apart(apart, data)))


@node(category="training/data", output_name="data")
def augment_crops(
    data: Dataset,
    chance: Chance = 1.0,
    smallest: Annotated[
        float, Field(ge=0.1, le=1, description="The least share of width and height that is shown; 1 only moves the frame.")
    ] = 0.85,
) -> Dataset:
    """Show a part of each picture, somewhere else each time. Captions must fit what is left."""
    return _with(data, "crop", chance, smallest=smallest)


@node(category="training/data", output_name="data")
def augment_mirrored(data: Dataset, chance: Chance = 0.5) -> Dataset:
    """Swap left and right. Not for pictures with writing, nor where captions say left or right: those become wrong."""
    return _with(data, "flip", chance)


@node(category="training/data", output_name="data")
def augment_light(
    data: Dataset, chance: Chance = 0.8, brightness: Spread = 0.1, contrast: Spread = 0.1, saturation: Spread = 0.1
) -> Dataset:
    """Make pictures a little lighter or darker, harder or softer, more or less colourful."""
    return _with(data, "jitter", chance, brightness=brightness, contrast=contrast, saturation=saturation)


@node(category="training/data", output_name="data")
def augment_styles(
    data: Dataset,
    chance: Chance = 0.55,
    phrases: Annotated[
        str,
        Field(
            description="A line each. {what}: the caption; {style}: the word; {a style}: with its article.",
            json_schema_extra={"format": "multiline"},
        ),
    ] = "\n".join(STYLE_PHRASES),
) -> Dataset:
    """Name the style in captions: "a cat, 3d style"."""
    lines = tuple(filter(None, map(str.strip, phrases.splitlines())))
    for line in lines:
        if "{what}" not in line or not ("{style}" in line or "{a style}" in line):
            raise NodeError(
                "A phrase lacks what it is about.", socket="phrases", expected="{what} and {style} in each line", got=line
            )
    return _with(data, "style", chance, phrases=lines)


@node(category="training/data", output_name="data")
def augment_tags(
    data: Dataset,
    chance: Chance = 0.15,
    most: Annotated[int, Field(ge=1, le=100, description="Tags of one caption.")] = 2,
) -> Dataset:
    """Add a picture's tags to its caption: "an apple, fruit, red"."""
    return _with(data, "tags", chance, most=most)


@node(category="training/data", output_name="data")
def augment_names(
    data: Dataset,
    chance: Chance = 0.6,
    endings: Annotated[str, Field(description="Last words that may be left out, separated by commas.")] = "",
    groups: Annotated[str, Field(description="Groups of pictures for which this holds; none: all.")] = "",
) -> Dataset:
    """Call subjects by their other names, and without endings that stand for nothing: "cat" for "cat face"."""
    left_out = tuple(f" {word}" for word in _listed(endings))
    return _with(data, "aliases", chance, endings=left_out, groups=_listed(groups))


def _with(data: Dataset, kind: str, chance: float, **settings: float | str | tuple[str, ...]) -> Dataset:
    return replace(data, augmentations=(*data.augmentations, Augmentation(kind, chance, tuple(settings.items()))))


def _fit(data: Dataset) -> Dataset:
    share = together(data.augmentations)
    if share > 1 + 1e-9:
        raise NodeError(
            "More pictures are put together than there are.",
            socket="chance",
            expected="shares up to 1 in all",
            got=f"{share:g}",
        )
    return data


def _listed(text: str) -> tuple[str, ...]:
    return tuple(filter(None, map(str.strip, text.split(","))))


def _apart(text: str, data: Dataset, colours: Collection[str] = ()) -> tuple[str, ...]:
    """The lines, each "one + other" with names that there are: a misspelt one would be put together all the same.

    colours: what the first is one of, where it is no subject. Raises NodeError, for all lines at once.
    """
    lines = tuple(filter(None, map(str.strip, text.splitlines())))
    if not lines:
        return ()
    pairs = [tuple(map(str.strip, line.split("+", 1))) for line in lines]
    if wrong := [line for line, pair in zip(lines, pairs, strict=True) if len(pair) < 2 or not all(pair)]:
        raise NodeError("A line does not name two things.", socket="apart", expected="one + other", got="; ".join(wrong))
    shown = subjects(data)
    unknown = {one: colours or shown for one, _ in pairs if one not in (colours or shown)}
    unknown |= {other: shown for _, other in pairs if other not in shown}
    if unknown:
        names = ", ".join(map(repr, unknown))
        hints = " ".join(nearest(name, known, "There are") for name, known in unknown.items())
        raise NodeError(f"There is no {names} among the pictures.", socket="apart", got="; ".join(unknown), hint=hints)
    return lines


def _known(text: str, known: Iterable[str]) -> tuple[str, ...]:
    names, there = _listed(text), tuple(known)
    for name in names:
        if name not in there:
            raise NodeError(f"There is no colour {name!r}.", socket="colours", expected=", ".join(there), got=name)
    return names

"""Parts of data sets: held-out pictures, and those that a text or a number picks out."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated, NamedTuple

from pydantic import Field

from nodegraph import NodeError, Seed, node
from nodegraph_nodes.training.data.choosing import Together, filtered, joined, split, taken
from nodegraph_nodes.types import Dataset

Count = Annotated[int, Field(ge=0)]
Words = Annotated[str, Field(description="Separated by commas.")]


class SplitData(NamedTuple):
    train: Dataset
    validation: Dataset


@node(category="training/data")
def split_data(
    data: Dataset,
    share: Annotated[float, Field(ge=0, le=1, description="Of the pictures, held out for validation.")] = 0.1,
    count: Annotated[Count, Field(description="How many are held out; 0: the share.")] = 0,
    together: Annotated[
        Together, Field(description="Pictures of one of these stay on one side: none of it is seen.")
    ] = "picture",
    seed: Seed = 0,
) -> SplitData:
    """Hold pictures out that a training does not see."""
    rest, held = split(data, share, count, together, seed)
    if not rest.entries:
        raise NodeError(
            "Nothing is left to train on.",
            socket="count" if count else "share",
            expected=f"fewer than all of the {len(data.entries)} pictures",
            got=str(count or share),
            hint="Hold fewer out, or keep less together." if together != "picture" else None,
        )
    return SplitData(rest, held)


@node(category="training/data", output_name="data")
def take_pictures(
    data: Dataset,
    words: Annotated[Words, Field(description="Pictures of which one of these is said, separated by commas; none: all.")] = "",
    without: Annotated[Words, Field(description="Not those of which one of these is said.")] = "",
    first: Count = 0,
    count: Annotated[Count, Field(description="0: all.")] = 0,
    shuffle: Annotated[Seed | None, Field(description="The seed of a random order; none: as they are.")] = None,
) -> Dataset:
    """Some of the pictures: by what is said of them, by their number, or at random."""
    part = taken(filtered(data, _listed(words), _listed(without)), first, count, shuffle)
    if not part.entries:
        raise NodeError(
            "None of the pictures is left.",
            socket="words" if words else "first",
            expected=f"some of {len(data.entries)} pictures",
            got=words or str(first),
        )
    return part


@node(category="training/data", output_name="data")
def join_data(*data: Dataset) -> Dataset:
    """Several data sets as one, varied and sized as the first."""
    if not data:
        raise NodeError("There is no data to join.", socket="data", expected="at least one data set", got="none")
    return joined(data)


@node(category="training/data", output_name="data")
def repeat_data(data: Dataset, times: Annotated[int, Field(ge=1, le=10_000)] = 2) -> Dataset:
    """Let an epoch have each picture several times, varied anew each time."""
    return replace(data, repeats=data.repeats * times)


def _listed(text: str) -> tuple[str, ...]:
    return tuple(filter(None, map(str.strip, text.split(","))))

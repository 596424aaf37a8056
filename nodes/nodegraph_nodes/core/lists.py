"""Lists. A node that gets a list where it takes one item runs once per item; several lists go side by side."""

from __future__ import annotations

from typing import Annotated, TypeVar

from pydantic import Field

from nodegraph import NodeError, Seed, composite, node
from nodegraph.sdk.values import MAX_SEED

T = TypeVar("T")

Count = Annotated[int, Field(ge=0, le=10_000)]


@composite(category="core/list", output_name="items")
def make_list(*items: T) -> list[T]:
    """Make a list of what is linked, in the order of the links."""
    return list(items)  # of the links themselves: each item stays where it is, and keeps its identity


@node(category="core/list", output_name="numbers")
def number_range(start: float = 0.0, step: float = 1.0, count: Count = 4) -> list[float]:
    """`count` numbers from `start` on, each `step` further."""
    return [start + step * i for i in range(count)]


@node(category="core/list", output_name="seeds")
def seed_list(seed: Seed = 0, count: Count = 4) -> list[Seed]:
    """`count` seeds, counting up from the first: linked to a noise node it makes that many pictures."""
    if seed + count - 1 > MAX_SEED:
        raise NodeError(
            "The last seed would be too large.", socket="seed", expected=f"at most {MAX_SEED - count + 1}", got=str(seed)
        )
    return [seed + i for i in range(count)]


@node(category="core/list", output_name="item")
def list_item(items: list[T], index: Annotated[int, Field(description="From 0; -1 is the last.")] = 0) -> T:
    """One item of a list."""
    if not -len(items) <= index < len(items):
        expected = f"{-len(items)} to {len(items) - 1}" if items else "a list that is not empty"
        raise NodeError(f"The list has {len(items)} items.", socket="index", expected=expected, got=str(index))
    return items[index]


@node(category="core/list", output_name="length")
def list_length(items: list[T]) -> int:
    """How many items a list has."""
    return len(items)

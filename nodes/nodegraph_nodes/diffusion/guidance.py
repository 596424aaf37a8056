"""Guidance: how strongly a prompt pulls, and away from what."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from nodegraph import Problem, node
from nodegraph_nodes.types import Conditioning, Guidance

Share = Annotated[float, Field(ge=0, le=1)]


def range_is_ordered(values: dict[str, object]) -> list[Problem]:
    """A check for nodes with a start and an end."""
    start, end = values.get("start", 0.0), values.get("end", 1.0)
    if isinstance(start, float) and isinstance(end, float) and start > end:
        return [
            Problem("bad_value", "This ends before it starts.", socket="end", expected=f"at least {start:g}", got=f"{end:g}")
        ]
    return []


@node(category="diffusion/guidance", check=range_is_ordered)
def guidance(
    positive: Conditioning,
    negative: Conditioning | None = None,
    scale: Annotated[
        float, Field(ge=0, le=100, description="1: none, and twice as fast. Higher follows the prompt more closely.")
    ] = 7.0,
    rescale: Annotated[Share, Field(description="Tames over-exposure at high scales; 0 is off.")] = 0.0,
    start: Annotated[Share, Field(description="Share of the steps after which guidance begins.")] = 0.0,
    end: Annotated[Share, Field(description="Share of the steps after which guidance ends.")] = 1.0,
) -> Guidance:
    """Classifier-free guidance (Ho and Salimans 2022): away from the negative prompt, towards the positive one."""
    return Guidance(positive, negative, scale, rescale, start, end)

"""Masks as fuzzy sets (Zadeh 1965): how much each place belongs to them."""

from __future__ import annotations

from typing import Annotated, Literal

import torch
from pydantic import Field

from nodegraph import node
from nodegraph_nodes.mask.size import same_size
from nodegraph_nodes.types import Mask


@node(category="mask/combine")
def invert_mask(mask: Mask) -> Mask:
    """The other part of the picture."""
    return 1 - mask


@node(category="mask/combine")
def combine_masks(
    a: Mask,
    b: Mask,
    operation: Annotated[
        Literal["union", "intersection", "difference", "multiply"],
        Field(description="union: in either; intersection: in both; difference: in a and not in b; multiply: a times b."),
    ] = "union",
) -> Mask:
    """Two masks as one."""
    same_size(a, b, "b", "first mask")
    if operation == "union":
        return torch.maximum(a, b)
    if operation == "intersection":
        return torch.minimum(a, b)
    return torch.minimum(a, 1 - b) if operation == "difference" else a * b


@node(category="mask/combine")
def blend_masks(
    a: Mask,
    b: Mask,
    weight: Annotated[float, Field(ge=0, le=1, description="0: the first; 1: the second.")] = 0.5,
) -> Mask:
    """A mask between two."""
    same_size(a, b, "b", "first mask")
    return torch.lerp(a, b, weight)

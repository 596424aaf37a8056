"""Where a mask lies, and what it encloses."""

from __future__ import annotations

from typing import Annotated, Literal, NamedTuple

import torch
from pydantic import Field

from nodegraph import NodeError, node
from nodegraph_nodes.mask.edge import grow_mask
from nodegraph_nodes.types import Mask


class Box(NamedTuple):
    left: int
    top: int
    width: int
    height: int


@node(category="mask/measure")
def bounding_box(
    mask: Mask,
    level: Annotated[float, Field(ge=0, lt=1, description="What is above it counts.")] = 0.0,
) -> Box:
    """The smallest box that holds all of a mask, in pixels."""
    counts = mask > level
    rows, columns = counts.any(1).nonzero()[:, 0], counts.any(0).nonzero()[:, 0]
    if len(rows) == 0:
        got = f"at most {mask.max().item():g} everywhere"
        hint = "Paint on it what is to change, or use a mask that marks something."
        raise NodeError("The mask is empty.", socket="mask", expected=f"something above {level:g}", got=got, hint=hint)
    left, top = int(columns[0]), int(rows[0])
    return Box(left, top, int(columns[-1]) + 1 - left, int(rows[-1]) + 1 - top)


@node(category="mask/edge")
def fill_holes(mask: Mask) -> Mask:
    """Fill what a mask encloses: what cannot be reached from the border, up, down, left and right, becomes part of it.

    A soft mask is a landscape that is filled up like lakes in the rain (Soille & Gratin 1994).
    """
    if min(mask.shape) < 3:
        return mask
    water = torch.full_like(mask, float("inf"))
    water[[0, -1]], water[:, [0, -1]] = mask[[0, -1]], mask[:, [0, -1]]
    while True:
        before = water.clone()
        for land, level in ((mask, water), (mask.T, water.T)):
            for order in (range(1, len(land)), range(len(land) - 2, -1, -1)):
                step = -1 if order.step > 0 else 1
                for row in order:  # it sinks to its neighbour's level, or to the ground
                    level[row] = torch.maximum(land[row], torch.minimum(level[row], level[row + step]))
        if torch.equal(water, before):
            return water


@node(category="mask/edge")
def outline(
    mask: Mask,
    width: Annotated[int, Field(ge=1, le=200, description="Pixels.")] = 4,
    where: Annotated[Literal["inside", "outside", "both"], Field(description="On which side of the edge it runs.")] = "both",
) -> Mask:
    """The line around a mask: for seams, and to repaint only an edge. `both` runs half inside, half outside."""
    outer = {"inside": 0, "outside": width, "both": width // 2}[where]
    inner = {"inside": width, "outside": 0, "both": width - width // 2}[where]
    line: torch.Tensor = grow_mask(mask, outer) - grow_mask(mask, -inner)
    return line.clamp(0, 1)

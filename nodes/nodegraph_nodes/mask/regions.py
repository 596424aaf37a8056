"""Masks out of flat colours: a sketch or a label map says with its colours which region is which."""

from __future__ import annotations

from typing import Annotated, NamedTuple

import torch
from pydantic import Field
from torch import Tensor

from nodegraph import Color, NodeError, Table, node
from nodegraph_nodes.image.color import rgba
from nodegraph_nodes.types import Image, Mask

Tolerance = Annotated[
    float,
    Field(ge=0, le=1, description="How far each of red, green and blue may be off; 0: only these colours."),
]


@node(category="mask/regions", output_name="masks")
def regions_from_sketch(
    image: Image,
    colors: Annotated[list[Color], Field(description="A region each. Their opacity does not matter.")],
    tolerance: Tolerance = 0.1,
) -> list[Mask]:
    """A mask for each colour of a sketch, in order. A pixel belongs to the nearest colour, so that regions never overlap."""
    if not colors:
        raise NodeError("There are no colours.", socket="colors", expected="at least one", hint="mask/find_colors lists them.")
    palette = torch.stack([rgba(color)[:3] for color in colors]).to(image)
    distance, nearest = _nearest(image[..., :3], palette)
    near = distance <= tolerance + 0.5 / 255  # half a step of 8 bits: colours of files are no finer
    return [((nearest == index) & near).float() for index in range(len(colors))]


def _nearest(pixels: Tensor, palette: Tensor) -> tuple[Tensor, Tensor]:
    """How far the nearest colour is from each pixel [H, W, 3], where it differs most, and which it is: both [H, W]."""
    best = torch.full(pixels.shape[:2], float("inf"))
    which = torch.zeros(pixels.shape[:2], dtype=torch.long)
    for index, color in enumerate(palette):
        distance = (pixels - color).abs().amax(-1)
        closer = distance < best
        best, which = torch.where(closer, distance, best), torch.where(closer, index, which)
    return best, which


class Found(NamedTuple):
    colors: Annotated[list[Color], Field(description="The largest first: link it to mask/regions_from_sketch.")]
    table: Annotated[Table, Field(description="Each with its pixels and its share of the picture.")]


@node(category="mask/regions")
def find_colors(
    image: Image,
    most: Annotated[int, Field(ge=1, le=256, description="How many at most.")] = 12,
    smallest: Annotated[
        float, Field(ge=0, le=1, description="Share of the picture that a colour has to cover: edges between colours do not.")
    ] = 0.005,
    tolerance: Annotated[float, Field(ge=0, le=1, description="Colours as close as this to a larger one count as that.")] = 0.1,
) -> Found:
    """The colours that a sketch or a label map is made of, and how much of it each covers."""
    levels = (image[..., :3].reshape(-1, 3) * 255).round().long()
    codes, counts = torch.unique(levels @ torch.tensor([1 << 16, 1 << 8, 1]), return_counts=True)
    order = counts.argsort(descending=True, stable=True)
    found: list[tuple[int, int]] = []
    for code, count in zip(codes[order].tolist(), counts[order].tolist(), strict=True):
        near = next((i for i, (other, _) in enumerate(found) if _apart(code, other) <= tolerance * 255 + 0.5), None)
        if near is not None:
            found[near] = (found[near][0], found[near][1] + count)
        elif len(found) < 1024:
            found.append((code, count))
    kept = [(code, count) for code, count in found if count >= smallest * len(levels)]
    kept = sorted(kept, key=lambda item: -item[1])[:most]
    rows: list[list[bool | int | float | str | None]] = [
        [f"#{code:06x}", count, round(count / len(levels), 4)] for code, count in kept
    ]
    return Found([f"#{code:06x}" for code, _ in kept], Table(columns=["color", "pixels", "share"], rows=rows))


def _apart(a: int, b: int) -> int:
    """How far two colours are apart in the channel where they differ most, 0..255."""
    return max(abs((a >> shift & 255) - (b >> shift & 255)) for shift in (16, 8, 0))

"""What a picture shows where, without its details: surfaces, soft tiles, regions of one colour, colours without any place."""

from __future__ import annotations

import math
from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import Tensor
from torch.nn.functional import grid_sample, interpolate

from nodegraph import Seed, node
from nodegraph_nodes.image.filters import blurred, flat, luma, slopes
from nodegraph_nodes.types import Image

_SAMPLE = 65_536  # pixels that colours are learnt from
_ROUNDS = 30


@node(category="image/preprocess")
def normal_from_depth(
    depth: Annotated[Image, Field(description="White is near, black far.")],
    relief: Annotated[float, Field(ge=0, le=10_000, description="How far white lies before black, in pixels.")] = 100.0,
    sigma: Annotated[float, Field(gt=0, le=50, description="Blur in pixels; more hides steps between grey levels.")] = 1.0,
    green: Annotated[
        Literal["up", "down"], Field(description="Where surfaces look that are green: up (OpenGL) or down (DirectX).")
    ] = "up",
) -> Image:
    """The directions that surfaces look in, from a picture of their depth: red to the right, green up, blue towards us.

    The normal of z(x, y) is (-dz/dx, -dz/dy, 1), made as long as 1 and brought from -1..1 to 0..1.
    """
    right, down = slopes(relief * luma(flat(depth)), sigma)
    normal = torch.stack([-right, down if green == "up" else -down, torch.ones_like(right)])
    unit: Tensor = normal / normal.norm(dim=0)
    return (unit / 2 + 0.5).clamp(0, 1).movedim(0, -1).contiguous()


@node(category="image/preprocess")
def tile_resample(
    image: Image,
    factor: Annotated[float, Field(ge=1, le=64, description="How much smaller the picture becomes on the way.")] = 4.0,
) -> Image:
    """Take away a picture's details: smaller by the mean of pixels, and back to its size. For tile control networks."""
    planes = flat(image)
    height, width = planes.shape[1:]
    small = interpolate(planes[None], (max(1, round(height / factor)), max(1, round(width / factor))), mode="area")
    large = interpolate(small, (height, width), mode="bicubic", align_corners=False)[0]
    return large.clamp(0, 1).movedim(0, -1).contiguous()


@node(category="image/preprocess")
def shuffle_content(
    image: Image,
    seed: Seed = 0,
    scale: Annotated[int, Field(ge=8, le=4096, description="Pixels between independent places; less tears it up more.")] = 256,
) -> Image:
    """Move a picture's pixels about in smooth waves: colours and style stay, content goes. For shuffle control networks.

    Each pixel is taken from a place that two smooth random fields say, as in ControlNet 1.1's ContentShuffleDetector.
    """
    planes = flat(image)
    height, width = planes.shape[1:]
    generator = torch.Generator().manual_seed(seed)
    across, down = (_waves(height, width, scale, generator) for _ in range(2))
    grid = torch.stack([2 * across - 1, 2 * down - 1], 2)[None].to(planes)
    moved = grid_sample(planes[None], grid, mode="bilinear", padding_mode="border", align_corners=True)[0]
    return moved.clamp(0, 1).movedim(0, -1).contiguous()


def _waves(height: int, width: int, scale: int, generator: torch.Generator) -> Tensor:
    """A smooth random field [H, W] from 0 to 1."""
    coarse = torch.rand((1, 1, math.ceil(height / scale) + 3, math.ceil(width / scale) + 3), generator=generator)
    size = (coarse.shape[2] * scale, coarse.shape[3] * scale)
    field = interpolate(coarse, size, mode="bicubic", align_corners=False)[0, 0, scale:, scale:][:height, :width]
    return (field - field.min()) / (field.max() - field.min()).clamp_min(1e-6)


@node(category="image/preprocess")
def color_regions(
    image: Image,
    count: Annotated[int, Field(ge=1, le=64, description="How many colours are left.")] = 8,
    sigma: Annotated[float, Field(ge=0, le=50, description="Blur before, in pixels; more makes regions larger.")] = 2.0,
    seed: Seed = 0,
) -> Image:
    """Paint a picture with few colours, as a sketch of its layout.

    Lloyd's k-means over the colours (1982), from the seeding of Arthur & Vassilvitskii (2007, k-means++).
    """
    colours = blurred(flat(image), sigma).flatten(1).T  # [N, 3]
    generator = torch.Generator().manual_seed(seed)
    sample = colours.cpu()
    if len(sample) > _SAMPLE:
        sample = sample[torch.randperm(len(sample), generator=generator)[:_SAMPLE]]
    centres = _settled(_seeded(sample, count, generator), sample).to(colours)
    return centres[_nearest(colours, centres)].view(*image.shape[:2], 3).clamp(0, 1)


def _seeded(colours: Tensor, count: int, generator: torch.Generator) -> Tensor:
    """Centres [K, 3], each drawn with a probability that grows with its squared distance to those before; K <= count."""
    centres = colours[torch.randint(len(colours), (1,), generator=generator)]
    while len(centres) < count:
        distance = ((colours[:, None] - centres[None]) ** 2).sum(2).amin(1)
        if distance.max() < 1e-8:
            break  # there are no more colours than centres
        centres = torch.cat([centres, colours[torch.multinomial(distance, 1, generator=generator)]])
    return centres


def _settled(centres: Tensor, colours: Tensor) -> Tensor:
    """Lloyd's rounds: each centre becomes the mean of the colours that are nearest to it."""
    for _ in range(_ROUNDS):
        owner = _nearest(colours, centres)
        sums = torch.zeros_like(centres).index_add_(0, owner, colours)
        sizes = torch.bincount(owner, minlength=len(centres))[:, None]
        moved = torch.where(sizes > 0, sums / sizes.clamp_min(1), centres)
        if torch.equal(moved, centres):
            break
        centres = moved
    return centres


def _nearest(colours: Tensor, centres: Tensor) -> Tensor:
    """The number of the nearest centre for each colour, [N]."""
    return torch.cat([((part[:, None] - centres[None]) ** 2).sum(2).argmin(1) for part in torch.split(colours, _SAMPLE)])

"""Regions: prompts that count at places of the picture."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated, Literal

from pydantic import Field
from torch import Tensor

from nodegraph import NodeError, node
from nodegraph_nodes.diffusion.guidance import Share, range_is_ordered
from nodegraph_nodes.mask.size import resize_mask
from nodegraph_nodes.types import Conditioning, Mask


@node(category="diffusion/prompt", check=range_is_ordered)
def region(
    conditioning: Conditioning,
    mask: Annotated[Mask, Field(description="Where the prompt counts, and how much beside others.")],
    weight: Annotated[float, Field(gt=0, le=100, description="Against other regions at the same places.")] = 1.0,
    mode: Annotated[
        Literal["latent", "attention"],
        Field(
            description="latent: the network runs once per region and the estimates are combined. attention: it runs once "
            "for all of them and each place reads its own prompt; faster and more of one picture, only for U-Nets."
        ),
    ] = "latent",
    start: Annotated[Share, Field(description="Share of the steps after which it begins to count.")] = 0.0,
    end: Annotated[Share, Field(description="Share of the steps after which it no longer counts.")] = 1.0,
) -> Conditioning:
    """A prompt for a part of the picture. Link several to diffusion/combine_regions."""
    if not bool((mask > 0).any()):
        hint = "Paint where the prompt is to count, or leave the region out."
        raise NodeError("This mask is empty: the prompt would count nowhere.", socket="mask", hint=hint)
    parts = [
        replace(
            part,
            weight=part.weight * weight,
            start=max(part.start, start),
            end=min(part.end, end),
            mask=mask if part.mask is None else _both(part.mask, mask),
            attend=mode == "attention",
            others=(),
        )
        for part in conditioning.parts
    ]
    return replace(parts[0], others=tuple(parts[1:]))


@node(category="diffusion/prompt")
def combine_regions(
    *regions: Conditioning,
    base: Annotated[
        Conditioning | None,
        Field(description="A prompt for the whole picture: what no region covers, and what holds it together."),
    ] = None,
    base_weight: Annotated[
        float,
        Field(
            gt=0, le=100, description="How much the base counts within regions, whose weight is 1 unless they say otherwise."
        ),
    ] = 0.2,
) -> Conditioning:
    """Several regions as one prompt. Where they overlap they mix; places of none follow the base, or all of them."""
    if not regions:
        raise NodeError("There are no regions to combine.", socket="regions", expected="at least one diffusion/region")
    parts = [part for each in regions for part in each.parts]
    if base is not None:
        inside = all(part.attend for part in parts)  # then the base shares their pass of the network
        whole = [replace(part, weight=part.weight * base_weight, attend=inside, others=()) for part in base.parts]
        parts = whole + parts
    for part in parts:
        if part.family != parts[0].family:
            raise NodeError(
                "These prompts were encoded for different kinds of models.",
                socket="regions",
                expected=parts[0].family,
                got=part.family,
                hint="Encode them with one text encoder.",
            )
    return replace(parts[0], others=tuple(replace(part, others=()) for part in parts[1:]))


def _both(first: Tensor, second: Tensor) -> Tensor:
    """The places of both masks, at the size of the second."""
    height, width = second.shape
    resized: Tensor = first if first.shape == second.shape else resize_mask(first, width, height)
    return resized * second

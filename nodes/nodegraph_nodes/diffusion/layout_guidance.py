"""Models that draw after a layout: what lies where, said to them."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor
from torch.nn.functional import adaptive_avg_pool2d

from nodegraph import NodeError, node
from nodegraph_nodes.diffusion.families import told_nothing
from nodegraph_nodes.diffusion.families.layouts import TOKENS, layout_shares, layout_states, regions_of
from nodegraph_nodes.types import Conditioning, Denoiser, Guidance, Image, Mask


@node(category="diffusion/guidance")
def layout_guidance(
    denoiser: Denoiser,
    layout: Annotated[
        Image | None,
        Field(description="A map: the grey level (0 to 255) of each place is the number of its region, as in training."),
    ] = None,
    masks: Annotated[
        list[Mask] | None, Field(description="In place of a map: where each region lies, in the order of their numbers.")
    ] = None,
    guidance: Annotated[
        Guidance | None,
        Field(description="For models that are also told a prompt or a class: theirs, to which the layout comes."),
    ] = None,
    scale: Annotated[
        float, Field(ge=1, le=30, description="How closely a layout is followed that is read by attention; 1: no guidance.")
    ] = 3.0,
) -> Guidance:
    """Tell a model what lies where, if it was trained on layouts. The layout is as large as the picture, or has its shape."""
    names = regions_of(denoiser)
    if not names:
        raise NodeError("This model was not trained on layouts.", socket="denoiser", hint="Train one: training/train_denoiser.")
    if denoiser.concat_channels:
        told = guidance or Guidance(told_nothing(denoiser.family), None, 1.0)
        height, width = _size(denoiser, layout, masks)
        return replace(told, concat=_shares(layout, masks, names, (height, width)))
    if guidance is not None:
        raise NodeError(
            "This model reads nothing but the layout.",
            socket="guidance",
            expected="nothing",
            got="a guidance",
            hint="Unlink it.",
        )
    states = layout_states(_shares(layout, masks, names, (TOKENS, TOKENS))[None])[0]
    positive = Conditioning(states, denoiser.family)
    return Guidance(positive, Conditioning(torch.zeros_like(states), denoiser.family) if scale > 1 else None, scale)


def _shares(layout: Image | None, masks: list[Mask] | None, names: tuple[str, ...], size: tuple[int, int]) -> Tensor:
    """How much of each place is which region: [regions, h, w]."""
    if (layout is None) == (not masks):
        raise NodeError(
            "The layout comes as a map or as masks.",
            socket="layout",
            expected="one of them",
            got="both" if masks else "neither",
        )
    if layout is not None:
        return layout_shares((layout[..., 0] * 255).round()[None], len(names), size)[0]
    assert masks is not None
    if len(masks) != len(names) or len({mask.shape for mask in masks}) > 1:
        raise NodeError(
            "There has to be a mask for each region, all of one size.",
            socket="masks",
            expected=f"{len(names)}: {', '.join(names)}",
            got=", ".join(f"{mask.shape[1]} x {mask.shape[0]}" for mask in masks),
        )
    return adaptive_avg_pool2d(torch.stack(list(masks))[None].float(), size)[0]


def _size(denoiser: Denoiser, layout: Image | None, masks: list[Mask] | None) -> tuple[int, int]:
    """The latent's height and width for a picture as large as the layout."""
    shown = layout if layout is not None else masks[0] if masks else torch.zeros(0, 0)
    height, width = shown.shape[:2]
    if height % denoiser.size_multiple or width % denoiser.size_multiple:
        raise NodeError(
            "A layout of this size does not fit the model.",
            socket="layout" if layout is not None else "masks",
            expected=f"multiples of {denoiser.size_multiple}, as large as the picture",
            got=f"{width} x {height}",
        )
    return height // denoiser.downscale, width // denoiser.downscale

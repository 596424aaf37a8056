"""Enlarging pictures with a network, tile by tile."""

from __future__ import annotations

from typing import Annotated, Literal

import torch
from pydantic import Field

from nodegraph import Context, ModelFile, NodeError, loader, node
from nodegraph_nodes.diffusion.families import ModelError, compute_dtype
from nodegraph_nodes.diffusion.families.kinds import UPSCALER
from nodegraph_nodes.diffusion.tiling import blend, cut, windows
from nodegraph_nodes.diffusion.unfit import unfit
from nodegraph_nodes.image.size import Method, resized
from nodegraph_nodes.types import Image, Precision, Upscaler
from nodegraph_nodes.upscale.network import LoadedUpscaler, load_upscaler_file


@node(category="upscale")
def load_upscaler(
    model: Annotated[
        ModelFile[Literal["upscaler"]],
        Field(description="A .safetensors file of an enlarging network: ESRGAN, SwinIR, DAT, SPAN and many others."),
    ],
    precision: Annotated[Precision, Field(description="What it computes in; auto is the device's best.")] = "auto",
) -> Upscaler:
    """Read which network a file holds, and by how much it enlarges."""
    try:
        found = load_upscaler_file(model.path)
    except ModelError as error:
        raise unfit(model, "upscaler", error, UPSCALER) from None
    return Upscaler(str(model.path), model.digest, found.architecture, found.scale, precision)


@loader(Upscaler)
def upscaler_network(recipe: Upscaler, device: torch.device) -> LoadedUpscaler:
    """An enlarging network on a device."""
    from pathlib import Path

    try:
        network = load_upscaler_file(Path(recipe.path))
    except ModelError as error:
        raise NodeError(f"The upscaler cannot be loaded: {error}") from None
    return network.convert(compute_dtype(recipe.precision, device))


@node(category="upscale", lane="gpu")
def upscale_image(
    context: Context,
    upscaler: Upscaler,
    image: Image,
    factor: Annotated[
        float | None, Field(gt=0, le=16, description="How much wider and higher in the end; empty: by what the network does.")
    ] = None,
    tile: Annotated[int, Field(ge=0, le=4096, description="Pixels of a window; 0: the whole picture at once.")] = 512,
    overlap: Annotated[int, Field(ge=0, le=512, description="Pixels that neighbouring windows share.")] = 32,
    method: Annotated[
        Method, Field(description="The filter that brings it to the factor, where the network makes another.")
    ] = ("lanczos"),
) -> Image:
    """Make a picture larger with a network that has learned what details look like. Transparency is enlarged by a filter."""
    network: LoadedUpscaler = context.resident(upscaler)
    planes = image[..., :3].movedim(-1, 0)  # [3, H, W]
    height, width = planes.shape[1:]
    side = tile or max(height, width)
    if overlap >= side:
        raise NodeError(
            "Windows overlap by more than they are large.", socket="overlap", expected=f"less than {side}", got=str(overlap)
        )
    places = windows(height, width, (side, side), overlap)
    parts = []
    for done, window in enumerate(places, 1):
        context.check_cancelled()
        parts.append(network.enlarge(cut(planes, window)[None])[0])
        context.progress(done, len(places))
    scale = network.scale
    made = blend(parts, [window.times(scale) for window in places], height * scale, width * scale, overlap * scale)
    larger = made.movedim(0, -1).contiguous()
    if image.shape[2] == 4:
        alpha = resized(image[..., 3:].expand(-1, -1, 3), width * scale, height * scale, "bicubic")[..., :1]
        larger = torch.cat([larger, alpha.to(larger)], 2)
    if factor is not None and factor != scale:
        larger = resized(larger, max(1, round(width * factor)), max(1, round(height * factor)), method)
    return larger

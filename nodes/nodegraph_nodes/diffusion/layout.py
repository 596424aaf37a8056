"""How a model lays a picture out: seamless borders, and windows for pictures that are larger than the model or the memory."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated, Literal, NamedTuple

from pydantic import Field

from nodegraph import NodeError, Problem, node
from nodegraph_nodes.types import Autoencoder, Denoiser, Tiles

Tile = Annotated[int, Field(ge=64, le=4096, description="Pixels.")]
Overlap = Annotated[int, Field(ge=0, le=2048, description="Pixels that neighbours share: more hides the seams better.")]


class Seamless(NamedTuple):
    denoiser: Denoiser
    autoencoder: Autoencoder


@node(category="diffusion/layout")
def seamless(
    denoiser: Denoiser,
    autoencoder: Autoencoder,
    axes: Annotated[
        Literal["both", "x", "y"],
        Field(description="x: left goes on at the right; y: top goes on at the bottom; both: a texture that tiles."),
    ] = "both",
) -> Seamless:
    """Make pictures that go on at their other side: textures and panoramas. Both networks have to know it."""
    return Seamless(replace(denoiser, wrap=axes), replace(autoencoder, wrap=axes))


def _overlap_fits(values: dict[str, object]) -> list[Problem]:
    sides = [value for name in ("width", "height") if isinstance(value := values.get(name, 512), int)]
    overlap, tile = values.get("overlap"), min(sides, default=4096)
    if not isinstance(overlap, int) or overlap < tile:
        return []
    return [
        Problem(
            "bad_value",
            "Tiles overlap by more than they are large.",
            socket="overlap",
            expected=f"less than {tile}",
            got=str(overlap),
        )
    ]


@node(category="diffusion/layout", check=_overlap_fits)
def tile_denoiser(denoiser: Denoiser, width: Tile = 512, height: Tile = 512, overlap: Overlap = 128) -> Denoiser:
    """Denoise in overlapping windows that are blended at every step: pictures larger than the model was trained on."""
    _whole_positions(denoiser.size_multiple, width=width, height=height)
    return replace(denoiser, tiles=Tiles(width, height, overlap))


@node(category="diffusion/layout", check=_overlap_fits)
def tile_autoencoder(autoencoder: Autoencoder, width: Tile = 512, height: Tile = 512, overlap: Overlap = 64) -> Autoencoder:
    """Decode and encode in overlapping windows: large pictures in little memory."""
    _whole_positions(autoencoder.downscale, width=width, height=height)
    return replace(autoencoder, tiles=Tiles(width, height, overlap))


def _whole_positions(multiple: int, **sides: int) -> None:
    for name, side in sides.items():
        if side % multiple:
            hint = f"Try {max(1, round(side / multiple)) * multiple}."
            raise NodeError(
                "A tile of this size does not fit the model.",
                socket=name,
                expected=f"a multiple of {multiple}",
                got=str(side),
                hint=hint,
            )

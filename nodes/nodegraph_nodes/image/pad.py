"""Larger canvases, and sizes that a model can make."""

from __future__ import annotations

from typing import Annotated, Literal, NamedTuple

import torch
from pydantic import Field
from torch.nn.functional import pad

from nodegraph import Color, NodeError, Seed, node
from nodegraph_nodes.image.color import rgba
from nodegraph_nodes.image.infill import Infill, filled
from nodegraph_nodes.image.size import resize_image
from nodegraph_nodes.types import Image, Mask

Border = Annotated[int, Field(ge=0, le=8192, json_schema_extra={"x-unit": "px", "x-step": 8})]
InfillMethod = Annotated[
    Infill,
    Field(
        description="smooth: blends between the edges; edge: repeats the nearest pixel; mirror: reflects; patches: texture "
        "from elsewhere in the picture; mean: the mean colour; color: the colour below; noise: random colours."
    ),
]


class Padded(NamedTuple):
    image: Annotated[Image, Field(description="The picture on its larger canvas.")]
    mask: Annotated[Mask, Field(description="1 on what is new, 0 on the picture, between in the seam.")]


@node(category="image/size")
def pad_image(
    image: Image,
    left: Border = 0,
    top: Border = 0,
    right: Border = 0,
    bottom: Border = 0,
    infill: InfillMethod = "smooth",
    color: Annotated[Color, Field(description="For the infill of that name.")] = "#808080",
    feather: Annotated[
        int, Field(ge=0, le=1024, description="Pixels of the picture, along its new sides, over which the mask fades to 0.")
    ] = 8,
    seed: Annotated[Seed, Field(description="For patches and noise.")] = 0,
) -> Padded:
    """Enlarge the canvas on any side, to paint on there. The picture stays to the bit, and the mask says what is new."""
    height, width = image.shape[:2]
    if height + top + bottom > 16384 or width + left + right > 16384:
        raise NodeError("The canvas would be too large.", expected="at most 16384 pixels a side")
    hole = torch.ones(height + top + bottom, width + left + right, dtype=torch.bool)
    hole[top : top + height, left : left + width] = False
    canvas = pad(image, (0, 0, left, right, top, bottom))
    ground = rgba(color)[: image.shape[-1]]
    mask = hole.float()
    mask[top : top + height, left : left + width] = _seam(height, width, (left, top, right, bottom), feather)
    return Padded(filled(canvas, hole, infill, ground, seed), mask)


def _seam(height: int, width: int, borders: tuple[int, int, int, int], feather: int) -> torch.Tensor:
    """((feather - d) / feather)^2, d pixels from the nearest side that was enlarged [H, W]: ComfyUI's ImagePadForOutpaint."""
    rows, columns = torch.arange(height)[:, None].float(), torch.arange(width).float()
    far = float(height + width + feather)
    left, top, right, bottom = (border > 0 for border in borders)
    across = torch.minimum(columns if left else columns + far, width - columns if right else columns + far)
    along = torch.minimum(rows if top else rows + far, height - rows if bottom else rows + far)
    distance = torch.minimum(across, along)
    return ((feather - distance) / max(feather, 1)).clamp_min(0) ** 2


class Fitted(NamedTuple):
    image: Image
    mask: Annotated[
        Mask, Field(description="The mask, likewise; without one, 1 where the picture lies and 0 where it was padded.")
    ]


@node(category="image/size")
def fit_to_multiple(
    image: Image,
    mask: Annotated[Mask | None, Field(description="A mask of the picture, to stay over it.")] = None,
    multiple: Annotated[int, Field(ge=1, le=1024, description="Pixels: 8 fits most autoencoders, 16 or 64 most models.")] = 16,
    how: Annotated[
        Literal["crop", "pad", "resize"],
        Field(description="crop: cut off at the edges; pad: repeat the edges; resize: stretch to the nearest size that fits."),
    ] = "crop",
) -> Fitted:
    """Bring width and height to multiples of a number, as models need them."""
    height, width = image.shape[:2]
    if mask is None:
        mask = torch.ones(height, width)
    elif mask.shape != (height, width):
        got = f"{mask.shape[1]} x {mask.shape[0]}"
        hint = "Link mask/resize_mask before it."
        raise NodeError(
            "This has another size than the image.", socket="mask", expected=f"{width} x {height}", got=got, hint=hint
        )
    if how == "resize":
        rows, columns = (max(1, round(side / multiple)) * multiple for side in (height, width))
        resized: torch.Tensor = resize_image(mask[..., None], columns, rows, "bilinear")
        return Fitted(resize_image(image, columns, rows), resized[..., 0].contiguous())
    if how == "crop":
        rows, columns = (side // multiple * multiple for side in (height, width))
        if not rows or not columns:
            raise NodeError(
                "The image is smaller than the multiple.",
                socket="image",
                expected=f"at least {multiple} x {multiple}",
                got=f"{width} x {height}",
                hint="Choose how = resize or pad, or a smaller multiple.",
            )
        top, left = (height - rows) // 2, (width - columns) // 2
        part = (slice(top, top + rows), slice(left, left + columns))
        return Fitted(image[part].contiguous(), mask[part].contiguous())
    down, right = -height % multiple, -width % multiple
    borders = (right // 2, right - right // 2, down // 2, down - down // 2)
    planes = pad(image.movedim(-1, 0)[None], borders, mode="replicate")[0].movedim(0, -1)
    return Fitted(planes.contiguous(), pad(mask, borders))

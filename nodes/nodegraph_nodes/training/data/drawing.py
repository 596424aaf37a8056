"""Pictures brought to a size, cut and put together, with their layouts alike: pixels smoothly, regions by nearest."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from PIL import Image as Pillow

from nodegraph_nodes.types import Fit

from .decoding import Pixels

Box = tuple[float, float, float, float]


class Canvas(NamedTuple):
    """A picture that is being varied. pixels: [H, W, 3 or 4] uint8; layout: [H, W] uint8 or none."""

    pixels: Pixels
    layout: Pixels | None = None


def fitted(picture: Pillow.Image, width: int, height: int, fit: Fit, layout: bool = False) -> Pillow.Image:
    """A picture at exactly width x height. contain: what it does not fill is transparent (of a layout: region 0).

    Transparency is premultiplied while sizes change, so that what cannot be seen colours no edge.
    """
    if picture.size == (width, height):
        return picture
    filtering = Pillow.Resampling.NEAREST if layout else Pillow.Resampling.BICUBIC
    have, box = picture.size, None
    inner = (width, height)
    if fit == "cover":
        scale = max(width / have[0], height / have[1])
        cut = (min(have[0], width / scale), min(have[1], height / scale))
        left, top = (have[0] - cut[0]) / 2, (have[1] - cut[1]) / 2
        box = (left, top, left + cut[0], top + cut[1])
    elif fit == "contain":
        scale = min(width / have[0], height / have[1])
        inner = (max(1, min(width, round(have[0] * scale))), max(1, min(height, round(have[1] * scale))))
    picture = _resized(picture, inner, filtering, box)
    if inner == (width, height):
        return picture
    ground = Pillow.new("L", (width, height), 0) if layout else Pillow.new("RGBA", (width, height), (255, 255, 255, 0))
    ground.paste(picture, ((width - inner[0]) // 2, (height - inner[1]) // 2))
    return ground


def covering(have: tuple[int, int], width: int, height: int, zoom: float) -> tuple[int, int]:
    """The size that a whole picture is kept at, for boxes of down to 1 / zoom of it to fill width x height.

    Not larger than the picture is, unless it has to be, to be large enough at all.
    """
    scale = max(width / have[0], height / have[1])
    scale = max(scale, min(1.0, scale * zoom))
    return max(width, round(have[0] * scale)), max(height, round(have[1] * scale))


def box_within(size: tuple[int, int], width: int, height: int, share: float, right: float, down: float) -> Box:
    """A box of the shape width x height: `share` of the largest that fits, and where (0 to 1, from the left and from above)."""
    scale = min(size[0] / width, size[1] / height) * share
    wide, high = width * scale, height * scale
    left, top = (size[0] - wide) * right, (size[1] - high) * down
    if abs(wide - width) < 0.5 and abs(high - height) < 0.5:  # no pixel has to change
        left, top, wide, high = round(left), round(top), width, height
    return left, top, min(left + wide, size[0]), min(top + high, size[1])


def mirrored(canvas: Canvas) -> Canvas:
    """Left is right."""
    return Canvas(canvas.pixels[:, ::-1], None if canvas.layout is None else canvas.layout[:, ::-1])


def cut_out(canvas: Canvas, box: Box, width: int, height: int) -> Canvas:
    """What lies in a box (left, top, right, bottom in pixels) at width x height."""

    def cut(pixels: Pixels, filtering: Pillow.Resampling) -> Pixels:
        whole = all(edge == int(edge) for edge in box) and (box[2] - box[0], box[3] - box[1]) == (width, height)
        if whole:
            left, top = int(box[0]), int(box[1])
            return pixels[top : top + height, left : left + width]
        return np.asarray(_resized(Pillow.fromarray(np.ascontiguousarray(pixels)), (width, height), filtering, box))

    layout = None if canvas.layout is None else cut(canvas.layout, Pillow.Resampling.NEAREST)
    return Canvas(cut(canvas.pixels, Pillow.Resampling.BICUBIC), layout)


def side_by_side(left: Canvas, right: Canvas, width: int, height: int) -> Canvas:
    """Two small pictures beside each other, each in the middle of its half; around them is nothing (transparent, region 0)."""
    pixels = np.zeros((height, width, 4), np.uint8)
    mapped = left.layout is not None or right.layout is not None
    layout = np.zeros((height, width), np.uint8) if mapped else None
    for canvas, offset in ((left, 0), (right, width - width // 2)):
        high, wide = canvas.pixels.shape[:2]
        top = (height - high) // 2
        area = (slice(top, top + high), slice(offset, offset + wide))
        pixels[area] = with_opacity(canvas.pixels)
        if layout is not None and canvas.layout is not None:
            layout[area] = canvas.layout
    return Canvas(pixels, layout)


def halved(left: Canvas, right: Canvas) -> Canvas:
    """The left half of one picture and the right half of another of the same size."""
    half = left.pixels.shape[1] // 2
    pixels = with_opacity(left.pixels).copy()
    pixels[:, half:] = with_opacity(right.pixels)[:, half:]
    layout = None
    if left.layout is not None or right.layout is not None:
        layout = np.zeros(pixels.shape[:2], np.uint8) if left.layout is None else left.layout.copy()
        layout[:, half:] = 0 if right.layout is None else right.layout[:, half:]
    return Canvas(pixels, layout)


def with_opacity(pixels: Pixels) -> Pixels:
    """[H, W, 3 or 4] as [H, W, 4]."""
    if pixels.shape[-1] == 4:
        return pixels
    return np.concatenate([pixels, np.full((*pixels.shape[:2], 1), 255, np.uint8)], -1)


def _resized(
    picture: Pillow.Image, size: tuple[int, int], filtering: Pillow.Resampling, box: Box | None = None
) -> Pillow.Image:
    if picture.mode == "RGBA":
        return picture.convert("RGBa").resize(size, filtering, box).convert("RGBA")
    return picture.resize(size, filtering, box)

"""Sheets with words: what each row, column and picture is."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Annotated

import torch
from PIL import Image as Pillow
from PIL import ImageDraw, ImageFont
from pydantic import Field

from nodegraph import Color, NodeError, node
from nodegraph_nodes.pictures import from_pillow, to_pillow
from nodegraph_nodes.types import Image

TextSize = Annotated[int, Field(ge=6, le=200, description="Pixels.")]
Gap = Annotated[int, Field(ge=0, le=1000, description="Pixels between the images.")]
_LINES = 4
_LINE = 1.3  # heights of the letters


@node(category="image/layout")
def labelled_grid(
    images: Annotated[list[Image], Field(description="Row by row, from the left.")],
    columns: Annotated[list[str], Field(description="What stands above each column; as many as there are columns.")],
    rows: Annotated[list[str] | None, Field(description="What stands before each row; none: one row.")] = None,
    title: str = "",
    gap: Gap = 4,
    text_size: TextSize = 14,
    ink: Color = "#202020",
    background: Color = "#ffffff",
) -> Image:
    """Lay images out as a table with words at its columns and rows: the sheet of a sweep."""
    count, wanted = len(images), max(1, len(columns)) * max(1, len(rows or []))
    if not columns or count != wanted:
        raise NodeError(
            "There are not as many images as the labels say.",
            socket="images",
            expected=f"{len(columns)} x {max(1, len(rows or []))} images",
            got=str(count),
        )
    height, width = (max(image.shape[axis] for image in images) for axis in (0, 1))
    font = ImageFont.load_default(text_size)
    above = [_lines(text, font, width) for text in columns]
    before = [_lines(text, font, max(width, 8 * text_size)) for text in rows or []]
    line = math.ceil(text_size * _LINE)
    top = (2 * line if title else 0) + line * max(map(len, above)) + gap
    left = max((font.getlength(text) for texts in before for text in texts), default=0)
    left = math.ceil(left) + 2 * gap if rows else gap
    sheet = Pillow.new("RGB", (left + len(columns) * (width + gap), top + max(1, len(before)) * (height + gap)), background[:7])
    pen = ImageDraw.Draw(sheet)
    if title:
        pen.text((left, line / 4), title, fill=ink, font=ImageFont.load_default(round(text_size * 1.2)))
    for column, texts in enumerate(above):
        for number, text in enumerate(texts):
            pen.text((left + column * (width + gap), top - gap - line * (len(texts) - number)), text, fill=ink, font=font)
    for row, texts in enumerate(before):
        for number, text in enumerate(texts):
            pen.text((gap, top + row * (height + gap) + line * number), text, fill=ink, font=font)
    for index, image in enumerate(images):
        row, column = divmod(index, len(columns))
        _paste(sheet, image, left + column * (width + gap), top + row * (height + gap), width, height)
    return from_pillow(sheet)


@node(category="image/layout")
def contact_sheet(
    images: list[Image],
    captions: Annotated[list[str] | None, Field(description="What stands below each image; none: its number.")] = None,
    columns: Annotated[int, Field(ge=0, le=1000, description="0 makes the sheet about square.")] = 0,
    cell: Annotated[int, Field(ge=16, le=4096, description="Pixels: larger images are shrunk to it.")] = 256,
    gap: Gap = 8,
    text_size: TextSize = 12,
    ink: Color = "#202020",
    background: Color = "#ffffff",
) -> Image:
    """Small copies of many images with a caption each."""
    if not images:
        raise NodeError("There are no images to lay out.", socket="images", expected="at least one image", got="an empty list")
    if captions is not None and len(captions) != len(images):
        raise NodeError(
            "Every image has one caption.", socket="captions", expected=f"{len(images)} captions", got=str(len(captions))
        )
    columns = min(columns or math.ceil(math.sqrt(len(images))), len(images))
    font = ImageFont.load_default(text_size)
    small = [_shrunk(image, cell) for image in images]
    width, height = max(each.width for each in small), max(each.height for each in small)
    below = [_lines(text, font, width) for text in captions or map(str, range(1, len(images) + 1))]
    line = math.ceil(text_size * _LINE)
    step = height + line * max(map(len, below)) + gap
    rows = math.ceil(len(images) / columns)
    sheet = Pillow.new("RGB", (gap + columns * (width + gap), gap + rows * step), background[:7])
    pen = ImageDraw.Draw(sheet)
    for index, (picture, texts) in enumerate(zip(small, below, strict=True)):
        row, column = divmod(index, columns)
        x, y = gap + column * (width + gap), gap + row * step
        place = (x + (width - picture.width) // 2, y + (height - picture.height) // 2)
        sheet.paste(picture, place, picture if picture.mode == "RGBA" else None)
        for number, text in enumerate(texts):
            pen.text((x, y + height + line * number), text, fill=ink, font=font)
    return from_pillow(sheet)


def _shrunk(image: torch.Tensor, cell: int) -> Pillow.Image:
    picture = to_pillow(image)
    picture.thumbnail((cell, cell), Pillow.Resampling.LANCZOS)
    return picture


def _paste(sheet: Pillow.Image, image: torch.Tensor, left: int, top: int, width: int, height: int) -> None:
    """An image in the middle of its cell."""
    picture = to_pillow(image)
    place = (left + (width - picture.width) // 2, top + (height - picture.height) // 2)
    sheet.paste(picture, place, picture if picture.mode == "RGBA" else None)


def _lines(text: str, font: ImageFont.FreeTypeFont | ImageFont.ImageFont, width: float) -> Sequence[str]:
    """A text in lines that are no wider than so many pixels; what is longer than some lines ends in dots."""
    lines = [""]
    for word in text.split():
        longer = f"{lines[-1]} {word}".strip()
        if font.getlength(longer) <= width or not lines[-1]:
            lines[-1] = longer
        else:
            lines.append(word)
    if len(lines) > _LINES:
        lines = [*lines[: _LINES - 1], lines[_LINES - 1] + " ..."]
    return [_cut(line, font, width) for line in lines]


def _cut(line: str, font: ImageFont.FreeTypeFont | ImageFont.ImageFont, width: float) -> str:
    if font.getlength(line) <= width:
        return line
    while line and font.getlength(line + "...") > width:
        line = line[:-1]
    return line + "..."

"""How far two pictures are apart, in numbers, in a picture, and in how they were made."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple

import torch
from PIL import Image as Pillow
from PIL import UnidentifiedImageError
from pydantic import Field
from torch import Tensor
from torch.nn.functional import avg_pool2d, conv2d

from nodegraph import Axis, FilePath, NodeError, Plot, Series, Table, node
from nodegraph_nodes.image.curve import LUMA
from nodegraph_nodes.types import Image

_LONGEST = 200  # characters of a value in a table


class Measures(NamedTuple):
    psnr: Annotated[float, Field(description="Peak signal-to-noise ratio, decibels; 100 where the pictures are equal.")]
    ssim: Annotated[float, Field(description="Structural similarity of the luma: 1 is equal.")]
    mean_error: Annotated[float, Field(description="Mean absolute difference, of 255.")]
    largest_error: Annotated[float, Field(description="Largest difference of any channel, of 255.")]
    table: Annotated[Table, Field(description="All of it.")]


@node(category="image/compare")
def measure_images(reference: Image, image: Image) -> Measures:
    """Measure how far a picture is from another one: PSNR, SSIM (Wang et al. 2004) and errors. Transparency is ignored."""
    first, second = _both(reference, image)
    difference = (first - second).abs()
    mean_square = difference.square().mean().item()
    psnr = 100.0 if mean_square == 0 else min(100.0, -10 * math.log10(mean_square))
    found = (psnr, structural_similarity(first, second), 255 * difference.mean().item(), 255 * difference.max().item())
    rows: list[list[Any]] = [
        [name, round(value, 4)]
        for name, value in zip(("PSNR, dB", "SSIM", "mean error, of 255", "largest error, of 255"), found, strict=True)
    ]
    return Measures(*found, Table(columns=["measure", "value"], rows=rows))


@node(category="image/compare")
def image_difference(
    reference: Image,
    image: Image,
    gain: Annotated[float, Field(ge=1, le=255, description="How much the differences are turned up.")] = 4.0,
    mode: Annotated[
        Literal["absolute", "signed", "heat"],
        Field(description="absolute: black is equal; signed: grey is equal; heat: one number, from blue over green to red."),
    ] = "absolute",
) -> Image:
    """Show where two pictures differ."""
    first, second = _both(reference, image)
    if mode == "absolute":
        return ((second - first).abs() * gain).clamp(0, 1)
    if mode == "signed":
        return ((second - first) * gain / 2 + 0.5).clamp(0, 1)
    hot = ((second - first).abs().amax(2) * gain).clamp(0, 1)
    centres = torch.tensor([1.0, 0.5, 0.0])  # red is hottest
    return ((1 - (hot[..., None] - centres).abs() * 2).clamp(0, 1) * (hot > 0)[..., None]).contiguous()


@node(category="image/compare", output=True, view="plot", output_name="plot")
def image_histogram(
    image: Image,
    bins: Annotated[int, Field(ge=2, le=256)] = 64,
    scale: Annotated[Literal["linear", "log"], Field(description="log: counts one more than there are.")] = "linear",
) -> Plot:
    """How often each brightness occurs, per channel."""
    middles = [(i + 0.5) / bins for i in range(bins)]
    series = []
    for channel, name in enumerate(("red", "green", "blue")):
        counts = torch.histc(image[..., channel], bins, 0, 1) + (1 if scale == "log" else 0)
        series.append(Series(name=name, x=middles, y=[float(count) for count in counts]))
    return Plot(title="Histogram", x=Axis(label="brightness"), y=Axis(label="pixels", scale=scale), series=series)


@node(category="image/compare", output_name="table")
def compare_metadata(
    first: FilePath,
    second: FilePath,
    only_different: Annotated[bool, Field(description="Leave out what is the same in both.")] = True,
) -> Table:
    """What two picture files say of how they were made (the workflow, the parameters, the camera), side by side."""
    one, other = _metadata(first, "first"), _metadata(second, "second")
    names = sorted(one.keys() | other.keys())
    rows = [[name, one.get(name), other.get(name)] for name in names if one.get(name) != other.get(name) or not only_different]
    return Table(columns=["what", first.name, second.name], rows=[list(row) for row in rows])


def structural_similarity(first: Tensor, second: Tensor) -> float:
    """Mean SSIM of two pictures [H, W, 3] (Wang et al. 2004, equation 13): luma, Gaussian window of 11 with sigma 1.5.

    Windows lie inside the picture; one smaller than 11 is a window by itself.
    """
    weights = torch.tensor(LUMA, dtype=torch.float64)
    x, y = ((image.double() @ weights)[None, None] for image in (first, second))
    height, width = x.shape[2:]
    distance = torch.arange(11, dtype=torch.float64) - 5
    bell = torch.exp(-(distance**2) / (2 * 1.5**2))
    kernel = (bell[:, None] * bell[None] / bell.sum() ** 2)[None, None]

    def mean(plane: Tensor) -> Tensor:
        return avg_pool2d(plane, (height, width)) if min(height, width) < 11 else conv2d(plane, kernel)

    mean_x, mean_y = mean(x), mean(y)
    variance_x, variance_y = mean(x * x) - mean_x**2, mean(y * y) - mean_y**2
    covariance = mean(x * y) - mean_x * mean_y
    c1, c2 = 0.01**2, 0.03**2
    above = (2 * mean_x * mean_y + c1) * (2 * covariance + c2)
    below = (mean_x**2 + mean_y**2 + c1) * (variance_x + variance_y + c2)
    return (above / below).mean().item()


def _both(reference: Tensor, image: Tensor) -> tuple[Tensor, Tensor]:
    if reference.shape[:2] != image.shape[:2]:
        raise NodeError(
            "The pictures have different sizes.",
            socket="image",
            expected=f"{reference.shape[1]} x {reference.shape[0]}",
            got=f"{image.shape[1]} x {image.shape[0]}",
            hint="Bring them to one size with image/resize_image.",
        )
    return reference[..., :3], image[..., :3]


def _metadata(path: Path, socket: str) -> dict[str, str]:
    """Texts and Exif of a picture file by name; JSON inside is taken apart."""
    try:
        with Pillow.open(path) as picture:
            picture.load()
            found = {"size": f"{picture.width} x {picture.height}", "format": str(picture.format)}
            texts = {str(name): value for name, value in picture.info.items() if isinstance(value, str)}
            exif = {f"exif {name}": str(value) for name, value in picture.getexif().items()}
    except (UnidentifiedImageError, OSError, SyntaxError, ValueError, Pillow.DecompressionBombError):
        raise NodeError(f"{path.name} is not a picture that can be read.", socket=socket) from None
    for name, text in (texts | exif).items():
        found |= {place: value[:_LONGEST] for place, value in _flat(name, text)}
    return found


def _flat(name: str, text: str) -> Iterator[tuple[str, str]]:
    try:
        value = json.loads(text)
    except ValueError:
        value = text
    yield from _leaves(name, value)


def _leaves(name: str, value: Any) -> Iterator[tuple[str, str]]:
    if isinstance(value, dict):
        for key, item in value.items():
            if key != "layout":  # where nodes lie changes no picture
                yield from _leaves(f"{name}.{key}", item)
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from _leaves(f"{name}[{index}]", item)
    else:
        yield name, value if isinstance(value, str) else json.dumps(value)

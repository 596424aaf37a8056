"""What an autoencoder keeps of pictures, in figures and side by side."""

from __future__ import annotations

import math
from typing import Annotated, NamedTuple

import torch
from pydantic import Field
from torch import Tensor

from nodegraph import Context, NodeError, Table, node
from nodegraph_nodes.image.measure import structural_similarity
from nodegraph_nodes.training.evaluate import frechet_distance
from nodegraph_nodes.training.features import Extractor
from nodegraph_nodes.training.load_feature_network import of_dataset
from nodegraph_nodes.training.losses import load_efficientnet
from nodegraph_nodes.types import Autoencoder, Dataset, FeatureNetwork, Image


class Reconstruction(NamedTuple):
    psnr: Annotated[float, Field(description="Of the mean squared error over all pictures, in dB; 100 where nothing is lost.")]
    ssim: Annotated[float, Field(description="Mean over the pictures.")]
    perceptual: Annotated[float | None, Field(description="Mean distance in EfficientNet-Lite0's first layers.")]
    rfid: Annotated[float | None, Field(description="Fréchet distance between pictures and reconstructions.")]
    table: Annotated[Table, Field(description="Each picture's figures, the worst first.")]
    grid: Annotated[Image, Field(description="Pictures, and below each what becomes of it.")]


@node(category="training/evaluate", lane="gpu")
def measure_reconstruction(
    context: Context,
    autoencoder: Autoencoder,
    data: Dataset,
    count: Annotated[int, Field(ge=1, le=1_000_000, description="How many pictures; the seed chooses them.")] = 64,
    perceptual: Annotated[bool, Field(description="Also measure by EfficientNet-Lite0, a package.")] = True,
    network: Annotated[FeatureNetwork | None, Field(description="For the Fréchet distance (rFID); none: without.")] = None,
    shown: Annotated[int, Field(ge=1, le=64, description="Pictures of the grid.")] = 8,
    seed: Annotated[int, Field(ge=0)] = 0,
) -> Reconstruction:
    """Send pictures through an autoencoder, there and back, and measure what is lost."""
    coder = context.resident(autoencoder)
    eye: Extractor | None = None if network is None else context.resident(network)
    count = min(count, len(data.entries))
    if count < (1 if eye is None else 2):
        raise NodeError("There are too few pictures.", socket="data", expected="2 or more", got=str(count))
    distance = load_efficientnet() if perceptual else None
    rows: list[list[bool | int | float | str | None]] = []
    pairs: list[tuple[Tensor, Tensor]] = []
    vectors: list[Tensor] = []
    for number, wanted in enumerate(of_dataset(data, count, seed)):
        context.check_cancelled()
        _check_size(wanted, autoencoder)
        made = coder.decode(coder.encode(wanted[None]))[0].clamp(0, 1).float().cpu()
        error = (made - wanted).square().mean().item()
        apart = None if distance is None else float(distance(_planes(made), _planes(wanted)))
        rows.append([number, round(_decibels(error), 3), round(structural_similarity(wanted, made), 4), apart, error])
        if eye is not None:
            vectors.append(eye.features([wanted, made]))
        if number < shown:
            pairs.append((wanted, made))
        context.progress(number + 1, count)
    mean = [sum(float(row[column] or 0) for row in rows) / len(rows) for column in range(5)]
    rfid = None
    if vectors:
        both = torch.stack(vectors)
        rfid = frechet_distance(both[:, 0], both[:, 1])
    rows.sort(key=lambda row: float(row[1] or 0))
    table = Table(columns=["picture", "PSNR, dB", "SSIM", "perceptual"], rows=[row[:4] for row in rows])
    return Reconstruction(_decibels(mean[4]), mean[2], mean[3] if perceptual else None, rfid, table, _grid(pairs))


def _decibels(error: float) -> float:
    return 100.0 if error == 0 else min(100.0, -10 * math.log10(error))


def _planes(picture: Tensor) -> Tensor:
    """[H, W, 3], 0..1 -> [1, 3, H, W], -1..1."""
    return picture.movedim(-1, 0)[None] * 2 - 1


def _check_size(picture: Tensor, autoencoder: Autoencoder) -> None:
    height, width = picture.shape[:2]
    if height % autoencoder.downscale or width % autoencoder.downscale:
        raise NodeError(
            "The pictures' size does not fit this autoencoder.",
            socket="data",
            expected=f"multiples of {autoencoder.downscale}",
            got=f"{width} x {height}",
            hint="Put training/resize_pictures before it.",
        )


def _grid(pairs: list[tuple[Tensor, Tensor]]) -> Tensor:
    """Pictures in a row and their reconstructions below; smaller ones lie at the top left of white cells."""
    height, width = (max(wanted.shape[axis] for wanted, _ in pairs) for axis in (0, 1))
    sheet = torch.ones(2 * height, width * len(pairs), 3)
    for column, pair in enumerate(pairs):
        for row, picture in enumerate(pair):
            place = sheet[row * height :, column * width :]
            place[: picture.shape[0], : picture.shape[1]] = picture
    return sheet

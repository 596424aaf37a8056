"""A small upscaler as a node: pictures in, a network that makes pictures larger out."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from typing import Annotated, Any, Literal, NamedTuple

import torch
from pydantic import Field
from torch import Tensor

from nodegraph import Context, ModelFile, NodeError, Plot, node
from nodegraph_nodes.training.data import sizes
from nodegraph_nodes.training.data.choosing import some
from nodegraph_nodes.training.loop import Share, plot_of, run_training, train
from nodegraph_nodes.training.losses import Perceptual, perceptual_distance
from nodegraph_nodes.training.losses.pixels import PixelLoss
from nodegraph_nodes.training.tasks.upscaler import (
    ARCHITECTURE,
    UPSCALER,
    Compact,
    Reduction,
    UpscalerLosses,
    UpscalerTask,
)
from nodegraph_nodes.types import Dataset, Image, TrainedUpscaler, TrainingPlan


class UpscalerTraining(NamedTuple):
    upscaler: TrainedUpscaler
    curves: Plot
    psnr: Annotated[float, Field(description="Of held-out pictures, in dB.")]
    bicubic_psnr: Annotated[float, Field(description="Of the same pictures enlarged by a bicubic filter.")]
    samples: Annotated[Image, Field(description="Held-out pictures, reduced and enlarged: bicubic, the network; the original.")]


@node(category="training", lane="gpu")
def train_upscaler(
    context: Context,
    data: Annotated[Dataset, Field(description="Pictures in the size that is to be reached.")],
    plan: TrainingPlan,
    validation: Annotated[
        Dataset | None,
        Field(description="Pictures that it is measured by; none: some of the data set's, which it trains on too."),
    ] = None,
    scale: Annotated[int, Field(ge=2, le=4, description="How many times larger pictures become.")] = 2,
    channels: Annotated[int, Field(ge=8, le=256, multiple_of=8, description="Of each layer.")] = 48,
    layers: Annotated[int, Field(ge=1, le=64, description="Between the first and the last.")] = 12,
    crop: Annotated[
        int, Field(ge=16, le=1024, description="Pixels of a side of what is cut from each picture: smaller is quicker.")
    ] = 64,
    reduction: Annotated[
        Reduction, Field(description="How pictures are made small: by the mean of areas, a bicubic filter, or either in turn.")
    ] = "both",
    pixels: Annotated[
        PixelLoss, Field(description="l2 has the higher PSNR and copes with plain backgrounds; l1 is crisper on photographs.")
    ] = "l2",
    gradient_weight: Annotated[float, Field(ge=0, le=100, description="Of edges: differences of neighbouring pixels.")] = 0.1,
    perceptual: Annotated[
        Perceptual,
        Field(description="What judges likeness beside pixels: EfficientNet-Lite0, which is a package, or your LPIPS weights."),
    ] = "none",
    perceptual_weight: Annotated[float, Field(ge=0, le=100)] = 0.1,
    lpips_weights: Annotated[
        ModelFile[Literal["perceptual"]] | None, Field(description="VGG-16 and LPIPS's layers, for lpips.")
    ] = None,
) -> UpscalerTraining:
    """Train a small network that enlarges pictures like these better than a filter. Interrupted, it goes on where it was."""
    losses = UpscalerLosses(pixels, gradient_weight, perceptual_weight if perceptual != "none" else 0.0)
    inputs = {
        "data": data,
        "validation": some(validation),
        "shape": {"channels": channels, "layers": layers, "scale": scale},
        "crop": crop,
        "reduction": reduction,
        "losses": asdict(losses),
        "perceptual": perceptual,
        "lpips_weights": None if lpips_weights is None else str(lpips_weights.path),
    }
    upscaler, picture = run_training(upscaler_training, context, plan, inputs)
    facts = json.loads(upscaler.facts)
    curves = plot_of(upscaler.history.columns, title="Upscaler")
    return UpscalerTraining(upscaler, curves, facts["psnr"], facts["bicubic_psnr"], picture)


def upscaler_training(
    context: Context,
    share: Share,
    plan: TrainingPlan,
    *,
    data: Dataset,
    validation: Dataset | None,
    shape: Mapping[str, Any],
    crop: int,
    reduction: Reduction,
    losses: Mapping[str, Any],
    perceptual: Perceptual,
    lpips_weights: str | None,
) -> tuple[TrainedUpscaler, Tensor]:
    """The training itself, by one process or its part of it by one of several: the network, and what it makes of pictures."""
    device, chosen, scale = torch.device(context.device), UpscalerLosses(**losses), int(shape["scale"])
    for socket, pictures in (("data", data), ("validation", validation)):
        if pictures is not None:
            _check(pictures, scale, socket)
    distance = perceptual_distance(perceptual, lpips_weights) if chosen.perceptual else None
    torch.manual_seed(plan.seed)
    task = UpscalerTask(
        Compact(**shape),
        data,
        validation,
        chosen,
        distance,
        reduction=reduction,
        crop=crop,
        batch=plan.batch,
        seed=plan.seed,
        device=device,
    )
    trained = train(task, plan, context, device, share)
    trained.networks[UPSCALER].eval()
    with torch.no_grad():
        measured, picture = task.measure(trained.networks), task.picture(trained.networks)
    assert picture is not None
    facts = {
        **trained.facts(UPSCALER, len(data.entries)),
        **shape,
        "reduction": reduction,
        "psnr": round(measured.psnr, 4),
        "bicubic_psnr": round(measured.bicubic, 4),
    }
    upscaler = TrainedUpscaler(
        tensors=trained.weights(UPSCALER),
        architecture=ARCHITECTURE,
        scale=scale,
        history=trained.history,
        facts=json.dumps(facts),
    )
    return upscaler, picture


def _check(data: Dataset, scale: int, socket: str) -> None:
    """There must be pictures, and something left of them when they are reduced. Raises NodeError."""
    if not data.entries:
        raise NodeError("There are no pictures.", socket=socket, expected="at least one", got="none")
    least = 8 * scale
    for width, height in sizes(data):
        if min(width, height) < least:
            raise NodeError(
                "Pictures are too small to be reduced.",
                socket=socket,
                expected=f"at least {least} pixels on each side",
                got=f"{width} x {height}",
            )

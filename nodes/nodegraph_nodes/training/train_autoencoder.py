"""The first phase as a node: pictures in, an autoencoder out."""

from __future__ import annotations

import copy
import json
import math
from collections.abc import Mapping
from dataclasses import asdict
from typing import Annotated, Any, Literal, NamedTuple

import torch
from pydantic import Field
from torch import Tensor

from nodegraph import Context, ModelFile, NodeError, Plot, node
from nodegraph_nodes.training.loop import Share, Trained, plot_of, run_training, train
from nodegraph_nodes.training.losses import Perceptual, perceptual_distance
from nodegraph_nodes.training.losses.pixels import PixelLoss
from nodegraph_nodes.training.tasks.autoencoder import AUTOENCODER, AutoencoderLosses, AutoencoderTask
from nodegraph_nodes.training.tasks.autoencoder_networks import (
    Regularisation,
    Shape,
    channels_for,
    freeze_encoder,
    new_autoencoder,
    widen_latents,
)
from nodegraph_nodes.types import Autoencoder, Dataset, Image, TrainedAutoencoder, TrainingPlan


class AutoencoderTraining(NamedTuple):
    autoencoder: TrainedAutoencoder
    curves: Plot
    psnr: Annotated[float, Field(description="Of held-out pictures, in dB.")]
    ssim: Annotated[float, Field(description="Of held-out pictures.")]
    reconstructions: Annotated[Image, Field(description="Held-out pictures, and below each what becomes of it.")]


@node(category="training", lane="gpu")
def train_autoencoder(
    context: Context,
    data: Dataset,
    plan: TrainingPlan,
    validation: Annotated[
        Dataset | None,
        Field(description="Pictures that it is measured by; none: some of the data set's, which it trains on too."),
    ] = None,
    start: Annotated[
        Autoencoder | None, Field(description="An autoencoder to go on from; what it is then decides its shape.")
    ] = None,
    trained: Annotated[
        Literal["all", "decoder"],
        Field(description="decoder: latents stay what they are, so denoisers that were trained on them go on working."),
    ] = "all",
    regularisation: Annotated[
        Regularisation, Field(description="kl: latents near a unit Gaussian (Stable Diffusion's); vq: a codebook.")
    ] = "kl",
    downscale: Annotated[
        int, Field(ge=1, le=64, description="Pixels per latent position along a side (f): a power of two.")
    ] = 8,
    latent_channels: Annotated[
        int | None, Field(ge=1, le=64, description="None: 4, or what start has. More than start has: it is widened.")
    ] = None,
    width: Annotated[
        int, Field(ge=8, le=1024, multiple_of=8, description="Channels of the finest level; they double downwards.")
    ] = 64,
    channels: Annotated[
        list[int] | None, Field(description="Channels of each level, fine to coarse, in place of width.", max_length=8)
    ] = None,
    layers: Annotated[int, Field(ge=1, le=4, description="Residual blocks of each level.")] = 2,
    attention: Annotated[bool, Field(description="Attention among the latent's places.")] = True,
    codebook: Annotated[int, Field(ge=2, le=1_000_000, description="Entries, for vq.")] = 8192,
    pixels: Annotated[PixelLoss, Field(description="l1 is sharper, l2 has the higher PSNR.")] = "both",
    gradient_weight: Annotated[float, Field(ge=0, le=100, description="Of edges: differences of neighbouring pixels.")] = 0.5,
    perceptual: Annotated[
        Perceptual,
        Field(description="What judges likeness beside pixels: EfficientNet-Lite0, which is a package, or your LPIPS weights."),
    ] = "efficientnet",
    perceptual_weight: Annotated[float, Field(ge=0, le=100)] = 0.5,
    lpips_weights: Annotated[
        ModelFile[Literal["perceptual"]] | None, Field(description="VGG-16 and LPIPS's layers, for lpips.")
    ] = None,
    kl_weight: Annotated[
        float, Field(ge=0, le=1, description="Too little leaves outliers in the latents, too much blurs.")
    ] = 1e-6,
    adversarial_weight: Annotated[
        float, Field(ge=0, le=10, description="Of the patch discriminator, against the rest's pull on the last layer; 0: none.")
    ] = 0.5,
    adversarial_start: Annotated[int, Field(ge=0, le=10_000_000, description="The step from which it takes part.")] = 5000,
) -> AutoencoderTraining:
    """Train an autoencoder (KL or VQ): the space that a diffusion model works in. Interrupted, it goes on where it was."""
    shape = Shape(
        regularisation,
        downscale,
        latent_channels or 4,
        tuple(channels or channels_for(downscale, width)),
        layers,
        codebook,
        attention,
    )
    losses = AutoencoderLosses(pixels, perceptual_weight, gradient_weight, kl_weight, adversarial_weight, adversarial_start)
    inputs = {
        "data": data,
        "validation": validation,
        "start": start,
        "shape": shape._asdict(),
        "latent_channels": latent_channels,
        "trained": trained,
        "losses": asdict(losses),
        "perceptual": perceptual,
        "lpips_weights": None if lpips_weights is None else str(lpips_weights.path),
    }
    autoencoder, picture = run_training(autoencoder_training, context, plan, inputs)
    columns = autoencoder.history.columns
    measured = {name: columns[name][-1][1] for name in ("psnr", "ssim")}
    return AutoencoderTraining(autoencoder, plot_of(columns, title="Autoencoder"), **measured, reconstructions=picture)


def autoencoder_training(
    context: Context,
    share: Share,
    plan: TrainingPlan,
    *,
    data: Dataset,
    validation: Dataset | None,
    start: Autoencoder | None,
    shape: Mapping[str, Any],
    latent_channels: int | None,
    trained: Literal["all", "decoder"],
    losses: Mapping[str, Any],
    perceptual: Perceptual,
    lpips_weights: str | None,
) -> tuple[TrainedAutoencoder, Tensor]:
    """The training itself, by one process or its part of it by one of several: the autoencoder, and what it makes of pictures.

    shape, losses: the fields of a `Shape` and of `AutoencoderLosses`. shape counts where there is no start; latent_channels
    where there is: how many it is to have then.
    """
    device, chosen = torch.device(context.device), AutoencoderLosses(**losses)
    distance = perceptual_distance(perceptual, lpips_weights) if chosen.perceptual else None
    torch.manual_seed(plan.seed)
    if start is None:
        network = new_autoencoder(Shape(**shape), data.buckets[0][0] if data.buckets else 256)
    else:
        network = copy.deepcopy(context.resident(start).module).float().requires_grad_(True)
        if latent_channels is not None:
            network = widen_latents(network, latent_channels)
    if trained == "decoder":
        freeze_encoder(network, start)
    if plan.gradient_checkpointing:
        network.enable_gradient_checkpointing()
    _check_sizes(data, network)
    task = AutoencoderTask(
        network, data, validation, chosen, distance, batch=plan.batch, seed=plan.seed, device=device, share=share
    )
    done = train(task, plan, context, device, share)
    picture = task.picture(done.networks)
    assert picture is not None
    return _result(task, done, data, start if trained == "decoder" else None), picture


def _check_sizes(data: Dataset, network: Any) -> None:
    """Pictures must come in sizes that the network can halve. Raises NodeError."""
    downscale = 2 ** (len(network.config.block_out_channels) - 1)
    if not data.buckets:
        raise NodeError(
            "The pictures have no common size.",
            socket="data",
            hint="Put training/resize_pictures, or training/bucket_pictures, before it.",
        )
    for width, height in data.buckets:
        if width % downscale or height % downscale:
            raise NodeError(
                "The pictures' size cannot be halved often enough.",
                socket="data",
                expected=f"multiples of {downscale}",
                got=f"{width} x {height}",
                hint="Change the size of the pictures, or the autoencoder's downscale.",
            )


def _result(task: AutoencoderTask, trained: Trained, data: Dataset, same_latents: Autoencoder | None) -> TrainedAutoencoder:
    """same_latents: the autoencoder whose normalisation stays, because its encoder did."""
    passing: Any = trained.networks[AUTOENCODER]
    passing.eval()
    config = passing.network.config
    if same_latents is None:
        task.even_out(trained.networks)
    mean, std, preview = task.statistics(trained.networks, same_latents)
    downscale = 2 ** (len(config.block_out_channels) - 1)
    measured = {name: rows[-1][1] for name, rows in trained.figures.items() if rows}
    facts = {
        **trained.facts(AUTOENCODER, len(data.entries)),
        **{name: round(value, 5) for name, value in measured.items() if math.isfinite(value)},
    }
    return TrainedAutoencoder(
        config=json.dumps(_plain(config), sort_keys=True),
        tensors={name: tensor.detach().cpu().contiguous() for name, tensor in passing.network.state_dict().items()},
        latent_channels=config.latent_channels,
        downscale=downscale,
        shift=mean,
        scale=1 / std,
        history=trained.history,
        facts=json.dumps(facts),
        preview=preview,
    )


def _plain(config: Any) -> dict[str, Any]:
    """diffusers' config as it is written to a file, without what is only of this installation."""
    kept = {name: value for name, value in dict(config).items() if name not in ("_use_default_values", "_name_or_path")}
    kept.setdefault("_class_name", "VQModel" if "num_vq_embeddings" in kept else "AutoencoderKL")
    return kept

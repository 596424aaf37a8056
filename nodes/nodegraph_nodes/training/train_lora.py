"""Low-rank changes of a denoiser as a node: captioned pictures and a model in, a LoRA out."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Annotated, Any, Literal, NamedTuple

import torch
from pydantic import Field
from torch import Tensor

from nodegraph import Context, NodeError, Plot, node
from nodegraph_nodes.diffusion.families import latents_of
from nodegraph_nodes.diffusion.families.networks import UNetDenoiser
from nodegraph_nodes.training.data import held_out
from nodegraph_nodes.training.loop import Share, Trained, computes_in_bfloat16, plot_of, run_training, train
from nodegraph_nodes.training.tasks.denoiser import DENOISER, ERROR, DenoiserTask, Sketches
from nodegraph_nodes.training.tasks.examples import Source
from nodegraph_nodes.training.tasks.fresh import Fresh
from nodegraph_nodes.training.tasks.low_rank import LowRankUNet, Targets, file_tensors, layers_of
from nodegraph_nodes.training.tasks.noising import Emphasis, Noising
from nodegraph_nodes.training.tasks.starting import check_sizes
from nodegraph_nodes.training.tasks.stock import stock_of
from nodegraph_nodes.training.tasks.telling import Telling, prompted
from nodegraph_nodes.types import (
    Autoencoder,
    Dataset,
    Denoiser,
    Image,
    TextEncoder,
    TrainedLora,
    TrainingPlan,
)

_SEEN, _SHOWN = 32, 4

Times = Literal["auto", "uniform", "logit_normal"]


class LoraTraining(NamedTuple):
    lora: TrainedLora
    curves: Plot
    samples: Annotated[Image, Field(description="What the model draws of the prompts with the LoRA.")]
    loss: Annotated[float, Field(description="Mean squared error of the clean latent in the pictures it is measured by.")]


@node(title="Train LoRA", category="training", lane="gpu")
def train_lora(
    context: Context,
    data: Dataset,
    plan: TrainingPlan,
    denoiser: Annotated[Denoiser, Field(description="The model that the LoRA is for. It stays as it is.")],
    text_encoder: TextEncoder,
    autoencoder: Autoencoder,
    validation: Annotated[
        Dataset | None,
        Field(description="Pictures that it is measured by; none: some of the data set's, which it trains on too."),
    ] = None,
    rank: Annotated[int, Field(ge=1, le=1024, description="Of the changes: higher learns more, and makes larger files.")] = 8,
    alpha: Annotated[
        float | None, Field(gt=0, le=4096, description="The changes count alpha / rank; empty: as much as the rank.")
    ] = None,
    targets: Annotated[
        Targets, Field(description="Which layers are changed. All of them learn shapes and textures quicker, and forget more.")
    ] = "attention",
    variants: Annotated[
        int,
        Field(ge=0, le=10_000, description="Of each picture, encoded once before the training; 0: new ones at every step."),
    ] = 1,
    dropout: Annotated[
        float, Field(ge=0, le=1, description="The share of pictures of which it is told nothing: guidance needs some.")
    ] = 0.1,
    times: Annotated[
        Times,
        Field(description="Which noise levels it sees: all alike, or more in the middle. auto: the middle for flow models."),
    ] = "auto",
    times_mean: Annotated[float, Field(ge=-5, le=5, description="For logit_normal: higher means noisier.")] = 0.0,
    times_std: Annotated[float, Field(gt=0, le=5, description="For logit_normal: lower means more in the middle.")] = 1.0,
    min_snr: Annotated[
        float, Field(ge=0, le=100, description="min-SNR weights' gamma (5 is usual), for v and epsilon; 0: no weights.")
    ] = 0.0,
    offset_noise: Annotated[float, Field(ge=0, le=1, description="How much of the noise is one colour all over.")] = 0.0,
    prompts: Annotated[
        list[str] | None, Field(max_length=64, description="What it draws to be looked at; empty: captions of the data set.")
    ] = None,
    guidance_scale: Annotated[float, Field(ge=1, le=30, description="Of these drawings.")] = 4.0,
) -> LoraTraining:
    """Teach a model a subject or a style by small changes of its layers (LoRA). Interrupted, it goes on where it was."""
    inputs = {
        "data": data,
        "validation": validation,
        "denoiser": denoiser,
        "text_encoder": text_encoder,
        "autoencoder": autoencoder,
        "changes": {"targets": targets, "rank": rank, "alpha": alpha or float(rank)},
        "emphasis": {"sampling": times, "mean": times_mean, "std": times_std, "min_snr": min_snr, "offset": offset_noise},
        "variants": variants,
        "dropout": dropout,
        "prompts": prompts,
        "guidance_scale": guidance_scale,
    }
    lora, picture = run_training(lora_training, context, plan, inputs)
    columns = lora.history.columns
    return LoraTraining(lora, plot_of(columns, title="LoRA"), picture, columns[ERROR][-1][1])


def lora_training(
    context: Context,
    share: Share,
    plan: TrainingPlan,
    *,
    data: Dataset,
    validation: Dataset | None,
    denoiser: Denoiser,
    text_encoder: TextEncoder,
    autoencoder: Autoencoder,
    changes: dict[str, Any],
    emphasis: dict[str, Any],
    variants: int,
    dropout: float,
    prompts: list[str] | None,
    guidance_scale: float,
) -> tuple[TrainedLora, Tensor]:
    """The training itself, by one process or its part of it by one of several: the LoRA, and what the model draws with it."""
    device = torch.device(context.device)
    _check_model(denoiser, text_encoder, autoencoder)
    if plan.compiled:
        context.log.warning("The network of a LoRA is not compiled: its frozen part belongs to others, too.")
        plan = replace(plan, compiled=False)
    seen_data = _few(validation or data, plan.seed)
    encoder, coder = context.resident(text_encoder), context.resident(autoencoder)
    base = _base(context, denoiser, plan, device)
    levels = len(base.module.config.block_out_channels)
    for each in (data, seen_data):
        check_sizes(each, autoencoder, levels)

    seen = stock_of(context, "held_out", seen_data, 0, coder, encoder, plan.seed, share, extra=prompts or ()).to(device)
    source: Source = Fresh(data, coder, encoder, None, plan.seed)
    if variants:
        source = stock_of(context, "pictures", data, variants, coder, encoder, plan.seed, share).to(device)
    config = base.module.config
    telling = Telling("prompt", config.class_embed_type is not None or config.addition_embed_type == "text_time")
    batch = next(seen.batches(_SHOWN, device))
    if prompts and seen.captions is not None:
        batch = prompted(batch, seen.captions, prompts)
    channels, height, width = batch.latents.shape[1:]
    shown = telling.guidances(batch, guidance_scale)
    sketches = Sketches(coder, telling, denoiser.process, shown, (channels, height, width))
    if emphasis["sampling"] == "auto":
        emphasis = {**emphasis, "sampling": "logit_normal" if denoiser.prediction == "flow" else "uniform"}
    noising = Noising(denoiser.process, denoiser.prediction, Emphasis(**emphasis), device)
    torch.manual_seed(plan.seed)
    network = LowRankUNet(base, denoiser.downscale, **changes).to(device)
    if not network.changes:
        raise NodeError("The model has no such layers.", socket="targets", got=changes["targets"])
    task = DenoiserTask(
        network,
        data,
        source,
        seen,
        telling,
        noising,
        sketches,
        dropout=dropout,
        batch=plan.batch,
        seed=plan.seed,
        device=device,
    )
    with network.worn(plan.gradient_checkpointing, device.type == "cpu"):
        with torch.no_grad():
            before = task.validate(task.networks)[ERROR]  # changes begin as nothing
        trained = train(task, plan, context, device, share)
        with torch.no_grad():
            picture = task.picture(trained.networks)
    assert picture is not None
    facts = {
        "base": denoiser.digest,
        **changes,
        "emphasis": emphasis,
        "dropout": dropout,
        "variants": variants,
        "error_before": round(before, 6),
    }
    return _result(trained, denoiser, data, facts), picture


def _check_model(denoiser: Denoiser, text_encoder: TextEncoder, autoencoder: Autoencoder) -> None:
    """The parts must belong together, and be told prompts. Raises NodeError."""
    if denoiser.conditioning != "prompt" or denoiser.concat_channels:
        raise NodeError(
            "This model is told something else than prompts.",
            socket="denoiser",
            expected="a model that draws from prompts alone",
            got="an inpainting model" if denoiser.concat_channels else denoiser.conditioning,
        )
    if text_encoder.family != denoiser.family:
        raise NodeError(
            "This text encoder is of another kind of model.",
            socket="text_encoder",
            expected=denoiser.family,
            got=text_encoder.family,
        )
    if latents_of(denoiser.family) != latents_of(autoencoder.family):
        raise NodeError(
            "This autoencoder is of another kind of model.",
            socket="autoencoder",
            expected=denoiser.family,
            got=autoencoder.family,
        )


def _base(context: Context, denoiser: Denoiser, plan: TrainingPlan, device: torch.device) -> UNetDenoiser:
    """The frozen network, whole on the device, in the training's precision. Raises NodeError."""
    precision: Any = "bfloat16" if computes_in_bfloat16(plan, device) else "float32"
    plain = replace(denoiser, precision=precision, compiled="off", tiles=None, wrap="none", attention="auto")
    network = context.resident(replace(plain, preview_decoder=None))
    if not isinstance(network, UNetDenoiser):
        raise NodeError(
            "LoRAs are trained for U-Nets here.",
            socket="denoiser",
            expected="the starter model, Stable Diffusion 1, 2 or XL",
            got=denoiser.family,
        )
    if any(parameter.device.type != device.type for parameter in network.module.parameters()):
        raise NodeError(
            "The model does not fit on the device as a whole.",
            socket="denoiser",
            hint="Load it with storage int8 or nf4: its weights stay as they are, and take less memory.",
        )
    assert not any(parameter.requires_grad for parameter in network.module.parameters())
    assert layers_of(network.module, "attention")
    return network


def _few(data: Dataset, seed: int) -> Dataset:
    """Some pictures, as they are."""
    if not any(entry.captions or entry.subject for entry in data.entries):
        raise NodeError(
            "The pictures have no captions." if data.entries else "There are no pictures.",
            socket="data",
            expected="captioned pictures",
            got=f"{len(data.entries)} pictures",
        )
    picks = held_out(data, _SEEN, seed)
    return replace(data, entries=tuple(data.entries[pick.entry] for pick in picks), repeats=1)


def _result(trained: Trained, denoiser: Denoiser, data: Dataset, facts: dict[str, Any]) -> TrainedLora:
    network: Any = trained.networks[DENOISER]
    told = {
        **trained.facts(DENOISER, len(data.entries)),
        **facts,
        **{name: round(rows[-1][1], 6) for name, rows in trained.figures.items() if rows},
    }
    return TrainedLora(
        tensors=file_tensors(network.changes, facts["alpha"]),
        family=denoiser.family,
        rank=facts["rank"],
        history=trained.history,
        facts=json.dumps(told),
    )

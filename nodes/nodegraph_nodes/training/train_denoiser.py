"""The second phase as a node: captioned pictures and an autoencoder in, a denoiser out."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated, NamedTuple

from pydantic import Field

from nodegraph import Context, Curve, NodeError, Plot, node
from nodegraph.sdk.curve import check_curve
from nodegraph_nodes.training.data.choosing import some
from nodegraph_nodes.training.denoiser_training import denoiser_training
from nodegraph_nodes.training.loop import plot_of, run_training
from nodegraph_nodes.training.tasks.denoiser import ERROR
from nodegraph_nodes.training.tasks.denoiser_settings import DenoiserSettings, FurtherKind, check_told
from nodegraph_nodes.training.tasks.noising import Emphasis, TimeSampling
from nodegraph_nodes.training.tasks.starting import process_of
from nodegraph_nodes.training.tasks.telling import What
from nodegraph_nodes.types import (
    Autoencoder,
    Dataset,
    Denoiser,
    Image,
    Prediction,
    TextEncoder,
    TrainedDenoiser,
    TrainingPlan,
)

_CHANNELS = (96, 144, 192)  # 13.8 million parameters


class DenoiserTraining(NamedTuple):
    denoiser: TrainedDenoiser
    curves: Plot
    samples: Annotated[Image, Field(description="What it draws of the prompts.")]
    loss: Annotated[float, Field(description="Mean squared error of the clean latent in held-out pictures, over four levels.")]


@node(category="training", lane="gpu")
def train_denoiser(
    context: Context,
    data: Dataset,
    plan: TrainingPlan,
    autoencoder: Autoencoder,
    text_encoder: Annotated[TextEncoder | None, Field(description="What reads captions, for prompt.")] = None,
    validation: Annotated[
        Dataset | None,
        Field(description="Pictures that it is measured by; none: some of the data set's, which it trains on too."),
    ] = None,
    start: Annotated[
        Denoiser | None,
        Field(description="A denoiser to go on from; what it is then decides its network, prediction and noise."),
    ] = None,
    conditioning: Annotated[
        What, Field(description="What it is told of a picture: its caption, its class, its layout (by attention), or nothing.")
    ] = "prompt",
    further: Annotated[
        FurtherKind,
        Field(
            description="Further input channels: where each region of the layout lies; or, for inpainting, a mask and the "
            "picture without what it hides."
        ),
    ] = "nothing",
    prediction: Annotated[
        Prediction, Field(description="What it says of noise: flow (rectified flow), v, or epsilon, the noise itself.")
    ] = "flow",
    channels: Annotated[
        list[int] | None,
        Field(min_length=1, max_length=8, description="Of the U-Net's levels, fine to coarse; empty: 96, 144, 192."),
    ] = None,
    layers: Annotated[int, Field(ge=1, le=4, description="Residual blocks of each level.")] = 1,
    attention_levels: Annotated[
        list[int] | None, Field(max_length=8, description="Levels that attend, 0 the finest; empty: all but the finest.")
    ] = None,
    heads: Annotated[int, Field(ge=1, le=64, description="Of each attention.")] = 4,
    variants: Annotated[
        int,
        Field(
            ge=0,
            le=10_000,
            description="Of each picture: so many are varied and encoded, once, before the training. 0: each is encoded when "
            "it is read, always another, and slower.",
        ),
    ] = 4,
    dropout: Annotated[
        float, Field(ge=0, le=1, description="The share of pictures of which it is told nothing: guidance needs that.")
    ] = 0.1,
    times: Annotated[
        TimeSampling, Field(description="Which noise levels it sees: all alike, more in the middle, or as the curve says.")
    ] = "logit_normal",
    times_mean: Annotated[float, Field(ge=-5, le=5, description="For logit_normal: higher means noisier.")] = 0.0,
    times_std: Annotated[float, Field(gt=0, le=5, description="For logit_normal: lower means more in the middle.")] = 1.0,
    times_curve: Annotated[
        Curve | None, Field(description="For curve: how often each level is seen, from clean (left) to pure noise.")
    ] = None,
    min_snr: Annotated[
        float, Field(ge=0, le=100, description="min-SNR weights' gamma (5 is usual), for v and epsilon; 0: no weights.")
    ] = 0.0,
    zero_terminal_snr: Annotated[
        bool, Field(description="The last noise level is pure noise, for v: it learns very dark and very bright pictures.")
    ] = False,
    offset_noise: Annotated[float, Field(ge=0, le=1, description="How much of the noise is one colour all over.")] = 0.0,
    prompts: Annotated[
        list[str] | None, Field(max_length=64, description="What it draws to be looked at; empty: held-out captions.")
    ] = None,
    guidance_scale: Annotated[float, Field(ge=1, le=30, description="Of these drawings.")] = 4.0,
) -> DenoiserTraining:
    """Train a denoiser of an autoencoder's latents: the model that draws. Interrupted, it goes on where it was."""
    validation = some(validation)
    widths = tuple(channels or _CHANNELS)
    settings = DenoiserSettings(
        conditioning=conditioning,
        further=further,
        prediction=prediction,
        zero_terminal_snr=zero_terminal_snr,
        channels=widths,
        layers=layers,
        attention_levels=tuple(range(1, len(widths))) or (0,) if attention_levels is None else tuple(attention_levels),
        heads=heads,
        variants=variants,
        dropout=dropout,
        emphasis=Emphasis(times, times_mean, times_std, _points(times, times_curve), min_snr, offset_noise),
        prompts=tuple(prompts or ()),
        guidance_scale=guidance_scale,
    )
    check_told(settings, data, validation, text_encoder)
    process_of(prediction, zero_terminal_snr)
    inputs = {
        "data": data,
        "validation": validation,
        "autoencoder": autoencoder,
        "text_encoder": text_encoder,
        "start": start,
        "settings": asdict(settings),
    }
    denoiser, picture = run_training(denoiser_training, context, plan, inputs, spreads=True)
    columns = denoiser.history.columns
    return DenoiserTraining(denoiser, plot_of(columns, title="Denoiser"), picture, columns[ERROR][-1][1])


def _points(times: TimeSampling, curve: Curve | None) -> tuple[tuple[float, float], ...]:
    if times != "curve":
        return ()
    if curve is None or max(y for _, y in curve) <= 0:
        raise NodeError(
            "There is no curve that says which noise levels are seen.",
            socket="times_curve",
            expected="points from 0 to 1, not all of them at 0",
            got="none" if curve is None else "0 everywhere",
        )
    check_curve(curve, "times_curve")
    return tuple((x, y) for x, y in curve)

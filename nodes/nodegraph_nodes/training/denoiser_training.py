"""The second phase, put together: examples, network and noise as the settings say, trained by one process or several."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from nodegraph import Context, NodeError
from nodegraph_nodes.diffusion.families.layouts import POSITIONS
from nodegraph_nodes.training.data import held_out, sizes
from nodegraph_nodes.training.loop import Share, Trained, train
from nodegraph_nodes.training.tasks.captions import Captions, encode_captions
from nodegraph_nodes.training.tasks.denoiser import DENOISER, DenoiserTask, Sketches
from nodegraph_nodes.training.tasks.denoiser_networks import Told, UNetShape, new_unet, prepare
from nodegraph_nodes.training.tasks.denoiser_settings import DenoiserSettings
from nodegraph_nodes.training.tasks.examples import Source
from nodegraph_nodes.training.tasks.fresh import Fresh
from nodegraph_nodes.training.tasks.further import Further, Holes, Regions
from nodegraph_nodes.training.tasks.latent_colours import fitted_preview
from nodegraph_nodes.training.tasks.noising import Emphasis, Noising
from nodegraph_nodes.training.tasks.starting import begun_from, check_sizes, process_of
from nodegraph_nodes.training.tasks.stock import Stock, stock_of
from nodegraph_nodes.training.tasks.telling import Telling, prompted
from nodegraph_nodes.types import (
    Autoencoder,
    Dataset,
    Denoiser,
    Guidance,
    TextEncoder,
    TrainedDenoiser,
    TrainingPlan,
)

_SEEN, _SHOWN = 64, 8


def denoiser_training(
    context: Context,
    share: Share,
    plan: TrainingPlan,
    *,
    data: Dataset,
    validation: Dataset | None,
    autoencoder: Autoencoder,
    text_encoder: TextEncoder | None,
    start: Denoiser | None,
    settings: Mapping[str, Any],
) -> tuple[TrainedDenoiser, Tensor]:
    """The training itself, by one process or its part of it by one of several: the denoiser, and what it draws.

    settings: the fields of `DenoiserSettings`.
    """
    chosen = _settings(settings)
    device = torch.device(context.device)
    coder = context.resident(autoencoder)
    encoder = context.resident(text_encoder) if text_encoder is not None and chosen.conditioning == "prompt" else None
    channels = autoencoder.latent_channels
    further, concat = _further(chosen, data, coder, channels)
    prediction, process = chosen.prediction, process_of(chosen.prediction, chosen.zero_terminal_snr)
    torch.manual_seed(plan.seed)
    told = _told(chosen, data, encoder, concat)
    if start is None:
        check_sizes(data, autoencoder, len(chosen.channels))
        shape = UNetShape(chosen.channels, chosen.layers, chosen.attention_levels, chosen.heads)
        unet = new_unet(shape, told, channels, max(sizes(data)[0]) // autoencoder.downscale)
    else:
        prediction, process = start.prediction, start.process
        plain = replace(start, compiled="off", tiles=None, wrap="none", attention="auto")
        unet = begun_from(getattr(context.resident(plain), "module", None), start, autoencoder, concat)
        check_sizes(data, autoencoder, len(unet.config.block_out_channels))
        _check_start(unet, start, told, chosen)
    prepare(unet, device.type == "cpu")
    if plan.gradient_checkpointing:
        unet.enable_gradient_checkpointing()
    some = _few(validation or data, plan.seed)
    seen = stock_of(context, "held_out", some, 0, coder, encoder, plan.seed, share, further, chosen.prompts).to(device)
    source: Source = Fresh(data, coder, encoder, further, plan.seed)
    if chosen.variants:
        source = stock_of(context, "pictures", data, chosen.variants, coder, encoder, plan.seed, share, further).to(device)
    telling = Telling(chosen.conditioning, unet.config.class_embed_type is not None, len(data.classes), concat > 0)
    width, height = sizes(data)[0]
    latent_size = (channels, height // autoencoder.downscale, width // autoencoder.downscale)
    task = DenoiserTask(
        unet,
        data,
        source,
        seen,
        telling,
        Noising(process, prediction, chosen.emphasis, device),
        Sketches(coder, telling, process, _shown(seen, telling, chosen, latent_size, device), latent_size),
        dropout=0.0 if chosen.conditioning == "none" else chosen.dropout,
        batch=plan.batch,
        seed=plan.seed,
        device=device,
    )
    trained = train(task, plan, context, device, share)
    with torch.no_grad():
        picture = task.picture(trained.networks)
    assert picture is not None
    uses = chosen.uses_layouts
    denoiser = TrainedDenoiser(
        config=_config(trained.networks[DENOISER]),
        tensors=trained.weights(DENOISER),
        prediction=prediction,
        process=process,
        conditioning="prompt" if chosen.conditioning == "layout" else chosen.conditioning,
        latent_channels=channels,
        native_size=(width, height),
        history=trained.history,
        preview=fitted_preview(coder, [kept.latents for kept in seen.kept.values()], autoencoder.downscale, device),
        concat_channels=concat,
        classes=data.classes if chosen.conditioning == "class" else (),
        regions=data.regions if uses else (),
        facts=json.dumps(_facts(trained, data, chosen, start)),
    )
    return denoiser, picture


def _settings(fields: Mapping[str, Any]) -> DenoiserSettings:
    """Settings as they came over from another process: pairs are lists there."""
    emphasis = dict(fields["emphasis"])
    emphasis["curve"] = tuple((float(x), float(y)) for x, y in emphasis["curve"])
    lists = {name: tuple(fields[name]) for name in ("channels", "attention_levels", "prompts")}
    return DenoiserSettings(**{**fields, **lists, "emphasis": Emphasis(**emphasis)})


def _further(settings: DenoiserSettings, data: Dataset, coder: Any, channels: int) -> tuple[Further | None, int]:
    """What more is known of each picture, and of how many input channels it is."""
    if settings.conditioning == "layout":
        return Regions(len(data.regions), attended=True), 0
    if settings.further == "layout":
        return Regions(len(data.regions), attended=False), len(data.regions)
    return (Holes(coder), 1 + channels) if settings.further == "inpainting" else (None, 0)


def _told(settings: DenoiserSettings, data: Dataset, encoder: Any, concat: int) -> Told:
    if settings.conditioning == "class":
        return Told(classes=len(data.classes) + 1, concat=concat)
    if settings.conditioning == "layout":
        return Told(states=len(data.regions) + POSITIONS)
    if encoder is None:
        return Told(concat=concat)
    empty: Captions = encode_captions(encoder, [])
    return Told(states=empty.width, pooled=empty.pooled_width, concat=concat)


def _check_start(unet: Any, start: Denoiser, told: Told, settings: DenoiserSettings) -> None:
    """A network that goes on must be told what it was told before. Raises NodeError."""
    means = "prompt" if settings.conditioning == "layout" else settings.conditioning
    if start.conditioning != means:
        raise NodeError(
            "This denoiser is told something else.",
            socket="start",
            expected=f"one that is told a {means}" if means != "none" else "one that is told nothing",
            got=start.conditioning,
            hint="Choose the conditioning that it was trained with.",
        )
    for socket, expected, got in (
        ("text_encoder", unet.config.cross_attention_dim, told.states),
        ("data", unet.config.num_class_embeds, told.classes),
    ):
        if got and expected != got:
            raise NodeError(
                "This does not fit the denoiser to go on from.",
                socket=socket,
                expected=f"{expected} numbers for each token" if socket == "text_encoder" else f"{expected} classes, with none",
                got=str(got),
            )
    if unet.config.class_embed_type is not None and not told.pooled:
        raise NodeError("This denoiser is also told the prompt as a whole.", socket="text_encoder", hint="Use its own.")


def _few(data: Dataset, seed: int) -> Dataset:
    """Some pictures, as they are."""
    picks = held_out(data, _SEEN, seed)
    return replace(data, entries=tuple(data.entries[pick.entry] for pick in picks), repeats=1)


def _shown(
    seen: Stock, telling: Telling, settings: DenoiserSettings, size: tuple[int, int, int], device: torch.device
) -> list[Guidance]:
    """What is drawn: the prompts, or what was said of held-out pictures of that size."""
    alike = [batch for batch in seen.batches(_SHOWN, device) if batch.latents.shape[1:] == size]
    batch = alike[0] if alike else next(seen.batches(_SHOWN, device))
    if settings.prompts and seen.captions is not None:
        batch = prompted(batch, seen.captions, list(settings.prompts))
    return telling.guidances(batch, settings.guidance_scale)


def _config(unet: Any) -> str:
    kept = {name: value for name, value in dict(unet.config).items() if not name.startswith("_")}
    return json.dumps({"_class_name": "UNet2DConditionModel", **kept}, sort_keys=True)


def _facts(trained: Trained, data: Dataset, settings: DenoiserSettings, start: Denoiser | None) -> dict[str, Any]:
    return {
        **trained.facts(DENOISER, len(data.entries)),
        "variants": settings.variants,
        "conditioning": settings.conditioning,
        "dropout": settings.dropout,
        "times": settings.emphasis.sampling,
        "min_snr": settings.emphasis.min_snr,
        **({} if start is None else {"started_from": start.digest}),
        **{name: round(rows[-1][1], 5) for name, rows in trained.figures.items() if rows},
    }

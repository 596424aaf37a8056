"""Keeping what was trained: models in the models folder, ready to be used at once and to be loaded by name later."""

from __future__ import annotations

import json
import shutil
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any, NamedTuple

from pydantic import Field

from nodegraph import Context, NodeError, node
from nodegraph_nodes.diffusion.families import ModelError, describe_autoencoder, describe_model
from nodegraph_nodes.training.keeping import (
    Replace,
    Weights,
    card_of,
    curves_of,
    digest_of,
    folder_is_named,
    place_model,
    write_card,
    write_network,
)
from nodegraph_nodes.types import Autoencoder, Denoiser, Image, TextEncoder, TrainedAutoencoder, TrainedDenoiser

Name = Annotated[str, Field(min_length=1, max_length=100, description="Of the model's folder in the models folder.")]
HowStored = Annotated[
    Weights, Field(description="float16 is half as large as float32; int8, one scale per row, a quarter, and less exact.")
]
Notes = Annotated[
    str,
    Field(
        description="What it learned from, whose pictures those were, what it is good at: goes into its README.md.",
        json_schema_extra={"format": "multiline"},
    ),
]
Samples = Annotated[
    Image | None, Field(description="What it makes: goes into its card, and is shown wherever models are listed.")
]


class KeptModel(NamedTuple):
    denoiser: Denoiser
    text_encoder: TextEncoder
    autoencoder: Autoencoder


@node(category="training", cache="never", output=True, check=folder_is_named)
def keep_autoencoder(
    context: Context,
    autoencoder: TrainedAutoencoder,
    name: Name = "my-autoencoder",
    weights: HowStored = "float16",
    notes: Notes = "",
    replace: Replace = False,
    samples: Samples = None,
) -> Autoencoder:
    """Write a trained autoencoder into the models folder. What comes out encodes and decodes like any other."""

    def write(folder: Path) -> None:
        error = write_network(folder / "vae", json.loads(autoencoder.config), autoencoder.tensors, weights)
        card = {
            **_said_of_latents(autoencoder),
            "trained": {"autoencoder": {**json.loads(autoencoder.facts), "weights": weights, "relative_error": error}},
        }
        write_card(folder, card, {"autoencoder": autoencoder.history.columns}, name, notes, samples)

    place = place_model(context.models, name, replace, write)
    return describe_autoencoder(place, digest_of(place))


@node(category="training", lane="gpu", cache="never", output=True, check=folder_is_named)
def keep_model(
    context: Context,
    denoiser: TrainedDenoiser,
    autoencoder: Annotated[Autoencoder, Field(description="The one whose latents it was trained on.")],
    text_encoder: Annotated[
        TextEncoder | None, Field(description="The one that said its captions; none without prompts.")
    ] = None,
    name: Name = "my-model",
    weights: HowStored = "float16",
    notes: Notes = "",
    replace: Replace = False,
    samples: Samples = None,
) -> KeptModel:
    """Write a trained model into the models folder, whole: it is loaded by its name, and can be given away."""
    _check_text_encoder(denoiser, text_encoder)
    network: Any = context.resident(autoencoder).module

    def write(folder: Path) -> None:
        config = {name: value for name, value in dict(network.config).items() if not name.startswith("_")}
        config["_class_name"] = type(network).__name__
        before = card_of(Path(autoencoder.path))
        rounded = write_network(folder / "vae", config, network.state_dict(), _stored_as(autoencoder))
        error = write_network(folder / "unet", json.loads(denoiser.config), denoiser.tensors, weights)
        if text_encoder is not None:
            shutil.copytree(Path(text_encoder.path) / "text_encoder", folder / "text_encoder")
        facts = {**json.loads(denoiser.facts), "weights": weights, "relative_error": error}
        card: dict[str, Any] = {
            "latent": {"mean": autoencoder.shift, "std": 1 / autoencoder.scale},
            "downscale": autoencoder.downscale,
            "resolution": list(denoiser.native_size),
            "prediction": denoiser.prediction,
            "process": asdict(denoiser.process),
            "conditioning_kind": denoiser.conditioning,
            "concat_channels": denoiser.concat_channels,
            "trained": {**before.get("trained", {}), "denoiser": facts},
        }
        card["trained"].setdefault("autoencoder", {})["relative_error"] = rounded
        card |= {"classes": list(denoiser.classes)} if denoiser.classes else {}
        card |= {"regions": list(denoiser.regions)} if denoiser.regions else {}
        card |= {"preview": before["preview"]} if "preview" in before else {}
        if text_encoder is not None:
            card["text_length"] = card_of(Path(text_encoder.path)).get("text_length", 24)
        curves = {**curves_of(Path(autoencoder.path), "autoencoder"), "denoiser": denoiser.history.columns}
        write_card(folder, card, curves, name, notes, samples)

    place = place_model(context.models, name, replace, write)
    try:
        return KeptModel(*describe_model(place, digest_of(place)))
    except ModelError as error:
        raise NodeError(f"The model was written, and cannot be read: {error}") from None


def _check_text_encoder(denoiser: TrainedDenoiser, text_encoder: TextEncoder | None) -> None:
    prompted = denoiser.conditioning == "prompt" and not denoiser.regions
    if prompted and text_encoder is None:
        raise NodeError(
            "A model that reads prompts goes with its text encoder.",
            socket="text_encoder",
            hint="Link the one it was trained with.",
        )
    if text_encoder is None:
        return
    if not (Path(text_encoder.path) / "text_encoder" / "tokenizer.json").is_file() or text_encoder.family != "starter":
        raise NodeError(
            "This text encoder cannot be put into a model of its own.",
            socket="text_encoder",
            expected="the starter's, or one of a model that was made here",
            got=text_encoder.family,
        )
    if text_encoder.patches or text_encoder.embeddings or text_encoder.skip:
        raise NodeError(
            "The text encoder is changed by a LoRA, a learned word or clip skip, which a model's folder cannot hold.",
            socket="text_encoder",
        )


def _stored_as(autoencoder: Autoencoder) -> Weights:
    """An autoencoder keeps the precision that its file has."""
    folder = Path(autoencoder.path) / "vae"
    if (folder / "model.int8.safetensors").is_file():
        return "int8"
    return (
        "float32" if card_of(folder.parent).get("trained", {}).get("autoencoder", {}).get("weights") == "float32" else "float16"
    )


def _said_of_latents(autoencoder: TrainedAutoencoder) -> dict[str, Any]:
    return {
        "latent": {"mean": autoencoder.shift, "std": 1 / autoencoder.scale},
        "downscale": autoencoder.downscale,
        **({} if autoencoder.preview is None else {"preview": asdict(autoencoder.preview)}),
    }

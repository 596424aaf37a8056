"""DiT (Peebles & Xie 2023): a transformer that is told an ImageNet class. A folder of diffusers' DiTPipeline."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn

import torch
from torch import Tensor

from nodegraph_nodes.types import Autoencoder, Denoiser, Precision, TextEncoder

from .assemble import fill, skeleton
from .classes import LABEL, Classes, label_names
from .coders import autoencoder_of, downscale_of, load_vae, plain_preview
from .errors import NotPrompted
from .family import Family, Recipes
from .loaded import Hints, Prompts
from .networks import KLAutoencoder
from .on_device import OnDevice
from .parts import check_part, part_config, part_tensors, reads
from .scheduler_config import prediction_of, process_of
from .source import ModelSource

NAME = "dit"


def recognise(source: ModelSource) -> bool:
    return source.has("model_index.json") and source.json("model_index.json").get("_class_name") == "DiTPipeline"


@reads
def describe(source: ModelSource, precision: Precision) -> Recipes:
    """Recipes of a DiT folder from its configs and headers. Raises BrokenModel."""
    check_part(source, "transformer")
    check_part(source, "vae")
    config, vae = part_config(source, "transformer/config.json"), part_config(source, "vae/config.json")
    scheduler = part_config(source, "scheduler/scheduler_config.json")
    path, digest, channels = str(source.path), source.digest, int(config["in_channels"])
    downscale = downscale_of(vae)
    native = int(config["sample_size"]) * downscale
    return Recipes(
        Denoiser(
            NAME,
            path,
            digest,
            prediction=prediction_of(scheduler, path),
            process=process_of(scheduler),
            latent_channels=channels,
            downscale=downscale,
            size_multiple=downscale * int(config.get("patch_size", 2)),
            native_size=(native, native),
            preview=plain_preview(channels),
            precision=precision,
            conditioning="class",
            square=True,
        ),
        TextEncoder(NAME, path, digest, precision),
        autoencoder_of(NAME, source, vae, channels, 0.18215, precision),
    )


def classes(recipe: Denoiser) -> Classes:
    """ImageNet's classes; the row after the last means nothing."""
    source = ModelSource(Path(recipe.path), recipe.digest)
    count = int(part_config(source, "transformer/config.json").get("num_embeds_ada_norm") or 1000)
    return Classes(count, count, label_names(source.json("model_index.json")))


def load_denoiser(recipe: Denoiser, device: torch.device, dtype: torch.dtype) -> "DiTDenoiser":
    from diffusers import DiTTransformer2DModel

    source = ModelSource(Path(recipe.path), recipe.digest)
    known = DiTTransformer2DModel.load_config(str(source.path / "transformer"), local_files_only=True)
    transformer = skeleton(lambda: DiTTransformer2DModel.from_config(known))
    transformer = fill(transformer, part_tensors(source, "transformer"), recipe.path, "transformer", dtype)
    return DiTDenoiser(recipe, transformer)


class DiTDenoiser(OnDevice):
    """A diffusers DiTTransformer2DModel; the variance that it may predict beside the noise is not used, as in diffusers."""

    def __init__(self, recipe: Denoiser, transformer: Any) -> None:
        self.family = recipe.family
        self.prediction = recipe.prediction
        super().__init__(transformer)

    @torch.no_grad()
    def predict(self, x: Tensor, timesteps: Sequence[float], prompts: Prompts, hints: Hints | None = None) -> Tensor:
        """x [B, C, n, n] at one timestep per item -> the network's raw output [B, C, n, n] float32."""
        place = self.place
        output = self.module(
            x.to(place),
            timestep=torch.tensor(timesteps, device=place.device, dtype=torch.float32),
            class_labels=prompts.extra[LABEL].to(place.device),
            return_dict=False,
        )[0]
        return output[:, : x.shape[1]].float().contiguous()  # type: ignore[no-any-return]


def load_autoencoder(recipe: Autoencoder, device: torch.device, dtype: torch.dtype) -> KLAutoencoder:
    source = ModelSource(Path(recipe.path), recipe.digest)
    return load_vae(recipe, source, part_config(source, "vae/config.json"), dtype)


def load_text_encoder(recipe: TextEncoder, device: torch.device, dtype: torch.dtype) -> NoReturn:
    raise NotPrompted(recipe.path, "a class")


DIT = Family(
    name=NAME,
    sought="a folder of diffusers' DiTPipeline",
    recognise=recognise,
    describe=describe,
    load_denoiser=load_denoiser,
    load_text_encoder=load_text_encoder,
    load_autoencoder=load_autoencoder,
    classes=classes,
)

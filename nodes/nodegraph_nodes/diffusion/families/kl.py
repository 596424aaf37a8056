"""KL autoencoders of Stable Diffusion from disk: inside a model, or in a file or folder of their own.

SD 1, SD 2 and SDXL have one architecture; what differs is the scale of the latents, which a bare file does not tell.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from nodegraph_nodes.types import Autoencoder, Precision

from . import ldm_names, starter
from .assemble import fill, skeleton
from .errors import BrokenModel, UndecidedFamily, UnknownModel
from .networks import KLAutoencoder
from .source import ModelSource, TensorInfo, read_header, read_json, read_tensors

WEIGHTS = ("diffusion_pytorch_model.safetensors", "diffusion_pytorch_model.fp16.safetensors")
SCALES = {"sd1": 0.18215, "sd2": 0.18215, "sdxl": 0.13025}
"""Of each family's normalised latents; the first family of a scale stands for it."""

_ROOT = Path(__file__).parent
_LDM_MARK, _DIFFUSERS_MARK = "decoder.mid.block_1.conv1.weight", "decoder.mid_block.resnets.0.conv1.weight"


@dataclass(frozen=True, slots=True)
class _Place:
    """Where an autoencoder lies. folder: in a diffusers layout ("." for one of its own); prefix: of the tensors in a file."""

    folder: str = ""
    prefix: str = ""
    diffusers_names: bool = False


def load_kl(recipe: Autoencoder, config: Mapping[str, Any], device: torch.device, dtype: torch.dtype) -> KLAutoencoder:
    """The autoencoder of a recipe. config: the one to use where its file brings none. Raises ModelError."""
    from diffusers import AutoencoderKL

    source = ModelSource(Path(recipe.path), recipe.digest)
    place = _place(source) or _Place("vae", ldm_names.VAE)  # a model without one: what it lacks is named as in models
    config = _own_config(source) or config
    vae = skeleton(lambda: AutoencoderKL.from_config(dict(config)))
    tensors = {name: _as_linear(name, tensor) for name, tensor in _read(source, place, vae, config).items()}
    return KLAutoencoder(recipe, fill(vae, tensors, recipe.path, "autoencoder", dtype, channels_last=True))


def describe_autoencoder(
    path: str | Path, digest: str, family: str | None = None, precision: Precision = "auto"
) -> Autoencoder:
    """The recipe of an autoencoder in a file or folder of its own, or of the one inside a model's file.

    family: whose latents it makes; None: as its config's scale says. Raises ModelError; UndecidedFamily where nothing says.
    """
    source = ModelSource(Path(path), digest)
    if starter.recognise(source):
        return starter.describe_autoencoder_of(source, precision)
    place = _place(source) if source.path.exists() else None
    if place is None:
        raise UnknownModel(
            str(path),
            [
                "an autoencoder (VAE): a diffusers folder with config.json",
                "a .safetensors file with encoder.* and decoder.* tensors, bare or under first_stage_model.*",
            ],
        )
    config = _own_config(source)
    if family is None:
        family = _family_of_scale(config)
    if family is None:
        raise UndecidedFamily(
            str(path),
            "it does not tell which family it is for, and the scales of their latents differ.",
            "Choose the family of the checkpoint that it goes with: sdxl for Stable Diffusion XL, sd1 for 1 and 2.",
        )
    if family not in SCALES:
        raise BrokenModel(str(path), f"autoencoders of their own are known for {', '.join(SCALES)}, not for {family!r}.")
    described = config or shipped_config(family)
    channels = int(described["latent_channels"])
    _check(source, place, channels)
    scale = float((config or {}).get("scaling_factor", SCALES[family]))
    downscale = 2 ** (len(described["block_out_channels"]) - 1)
    return Autoencoder(family, str(source.path), digest, channels, downscale, shift=0.0, scale=scale, precision=precision)


def shipped_config(family: str) -> dict[str, Any]:
    """The config of a family's autoencoder, as it ships with the pack."""
    return read_json(_ROOT / f"{family}_config/vae/config.json")


def _family_of_scale(config: Mapping[str, Any] | None) -> str | None:
    scale = None if config is None else config.get("scaling_factor")
    if not isinstance(scale, (int, float)):
        return None
    return next((family for family, known in SCALES.items() if math.isclose(known, scale, rel_tol=1e-3)), None)


def _place(source: ModelSource) -> _Place | None:
    """Where the autoencoder lies, or None for what is none: no such tensors, or no such folder."""
    if source.is_folder:
        if source.has("vae/config.json"):
            return _Place("vae")
        own = source.has("config.json") and source.json("config.json").get("_class_name") == "AutoencoderKL"
        return _Place(".") if own else None
    header = read_header(source.path)
    for prefix in (ldm_names.VAE, "", "vae."):
        for mark in (_LDM_MARK, _DIFFUSERS_MARK):
            if prefix + mark in header:
                return _Place(prefix=prefix, diffusers_names=mark == _DIFFUSERS_MARK)
    return None


def _own_config(source: ModelSource) -> dict[str, Any] | None:
    """The config that the model brings, in its folder or beside its file."""
    folder = source.path if source.is_folder else source.path.with_suffix(".config")
    file = next((file for file in (folder / "vae/config.json", folder / "config.json") if file.is_file()), None)
    return None if file is None else read_json(file)


def _check(source: ModelSource, place: _Place, channels: int) -> None:
    """Fail early on what headers tell: cut files, and another architecture."""
    if source.is_folder:
        read_header(source.weights(place.folder, *WEIGHTS))
        return
    found: TensorInfo | None = read_header(source.path).get(f"{place.prefix}decoder.conv_in.weight")
    if found is None or len(found.shape) != 4 or found.shape[1] != channels:
        got = "none" if found is None or len(found.shape) != 4 else str(found.shape[1])
        raise BrokenModel(str(source.path), f"its latents have {got} channels where {channels} are expected.")


def _read(source: ModelSource, place: _Place, vae: Any, config: Mapping[str, Any]) -> dict[str, Tensor]:
    """Its tensors under diffusers' names."""
    if source.is_folder:
        return {_current_name(name): tensor for name, tensor in source.read(place.folder, *WEIGHTS).items()}
    if place.diffusers_names:
        header = read_header(source.path)
        stored = {_current_name(name.removeprefix(place.prefix)): name for name in header if name.startswith(place.prefix)}
        return read_tensors(source.path, stored, network="autoencoder")
    names = {name: ldm_names.vae_name(name, config, place.prefix) for name in vae.state_dict()}
    return read_tensors(source.path, names, network="autoencoder")


def _current_name(name: str) -> str:
    """SD 1's own diffusers repositories were saved with these older attention names."""
    for old, new in ((".query.", ".to_q."), (".key.", ".to_k."), (".value.", ".to_v."), (".proj_attn.", ".to_out.0.")):
        name = name.replace(old, new)
    return name


def _as_linear(name: str, tensor: Tensor) -> Tensor:
    """Attention stored as 1 x 1 convolutions [O, I, 1, 1] -> [O, I]."""
    return tensor.flatten(1) if ".attentions." in name and tensor.ndim == 4 else tensor

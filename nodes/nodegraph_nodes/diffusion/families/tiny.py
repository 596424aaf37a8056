"""Tiny autoencoders (TAESD, https://github.com/madebyollin/taesd): a few convolutions, good enough to watch a run.

They take normalised latents as they are. On disk: a diffusers folder (AutoencoderTiny), or a file in diffusers' or in the
original layout, whole or the decoder alone. The original counts a clamp as the decoder's first layer, so its numbers are one
higher.
"""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from nodegraph_nodes.types import Autoencoder, Precision

from .assemble import fill, skeleton
from .errors import BrokenModel, MissingTensors, UndecidedFamily, UnknownModel
from .loaded import module_bytes
from .networks import for_inference
from .source import ModelSource, TensorInfo, read_header, read_tensors

FAMILIES = {4: ("sd1", "sdxl"), 16: ("sd3", "flux")}
"""By the number of latent channels, the families whose latents there are such networks for (SD 2 shares SD 1's)."""

_WEIGHTS = ("diffusion_pytorch_model.safetensors", "diffusion_pytorch_model.fp16.safetensors")
_DIFFUSERS, _ORIGINAL, _BARE = "decoder.layers.0.weight", "decoder.1.weight", "1.weight"
_MARKS = {
    _DIFFUSERS: "decoder.layers.2.conv.0.weight",
    _ORIGINAL: "decoder.3.conv.0.weight",
    _BARE: "3.conv.0.weight",
}
"""The decoder's first convolution in each layout, and its first block's."""

_NAMES = {"sdxl": ("xl",), "sd3": ("sd3",), "flux": ("f1", "flux")}


class _Found(NamedTuple):
    """A tiny autoencoder on disk. mark: the first convolution's name there."""

    weights: Path
    config: dict[str, Any]
    header: Mapping[str, TensorInfo]
    mark: str


def is_tiny(source: ModelSource) -> bool:
    """Whether this is a tiny autoencoder and nothing else."""
    return _find(source) is not None


def describe_tiny(path: str | Path, digest: str, family: str | None = None, precision: Precision = "auto") -> Autoencoder:
    """The recipe of a tiny autoencoder. family: whose latents it takes; None: as its channels and its name tell.

    Raises ModelError; UndecidedFamily where nothing tells.
    """
    source = ModelSource(Path(path), digest)
    found = _find(source) if source.path.exists() else None
    if found is None:
        sought = ["a tiny autoencoder (TAESD): a diffusers folder of AutoencoderTiny", "a .safetensors file of one"]
        raise UnknownModel(str(path), sought)
    config = _config(found)
    channels = int(config["latent_channels"])
    fitting = FAMILIES.get(channels, ())
    if not fitting:
        raise BrokenModel(str(path), f"it takes latents of {channels} channels; known are tiny autoencoders of 4 and 16.")
    if family is None:
        family = _named(source.path.stem.lower(), fitting)
    if family is None:
        raise UndecidedFamily(
            str(path),
            f"it takes latents of {channels} channels, and neither it nor its name tells whose.",
            f"Choose the family of the model that it goes with: {' or '.join(fitting)}.",
        )
    if family not in fitting:
        raise BrokenModel(str(path), f"it takes latents of {channels} channels, which those of {family} do not have.")
    downscale = int(config["upsampling_scaling_factor"]) ** (len(config["decoder_block_out_channels"]) - 1)
    return Autoencoder(family, str(source.path), digest, channels, downscale, shift=0.0, scale=1.0, precision=precision)


def load_tiny(recipe: Autoencoder, device: torch.device, dtype: torch.dtype) -> "TinyAutoencoder":
    """The network of a recipe. Raises ModelError."""
    from diffusers import AutoencoderTiny

    found = _find(ModelSource(Path(recipe.path), recipe.digest))
    if found is None:
        raise UnknownModel(recipe.path, ["a tiny autoencoder (TAESD)"])
    stored = {_our_name(name, found.mark): name for name in found.header}
    network = skeleton(lambda: AutoencoderTiny.from_config(_config(found)))
    encodes = any(name.startswith("encoder.") for name in stored)
    if not encodes:
        network.encoder = nn.Identity()
    names = {name: stored[name] for name in network.state_dict() if name in stored}
    if missing := [name for name in network.state_dict() if name not in names]:
        raise MissingTensors(recipe.path, "tiny autoencoder", missing)
    tensors = read_tensors(found.weights, names, network="tiny autoencoder")
    network = fill(network, tensors, recipe.path, "tiny autoencoder", dtype, channels_last=True)
    return TinyAutoencoder(recipe, network, encodes)


class TinyAutoencoder:
    """diffusers' AutoencoderTiny. Latents are normalised as they come; pixels inside are -1..1."""

    def __init__(self, recipe: Autoencoder, network: Any, encodes: bool) -> None:
        self.family = recipe.family
        self.module = for_inference(network)
        self.downscale = recipe.downscale
        self._encodes = encodes

    @property
    def nbytes(self) -> int:
        return module_bytes(self.module)

    def to(self, device: torch.device | str) -> "TinyAutoencoder":
        self.module.to(device)
        return self

    @torch.no_grad()
    def decode(self, samples: Tensor) -> Tensor:
        """Normalised latents [B, C, h, w] -> pixels [B, H, W, 3] float32, 0..1."""
        place = next(self.module.decoder.parameters())
        pixels = self.module.decode(samples.to(place), return_dict=False)[0].float()
        return (pixels / 2 + 0.5).clamp(0, 1).permute(0, 2, 3, 1).contiguous()  # type: ignore[no-any-return]

    @torch.no_grad()
    def encode(self, pixels: Tensor, noise: Tensor | None = None) -> Tensor:
        """Pixels [B, H, W, 3], 0..1 -> normalised latents [B, C, h, w] float32. It has no posterior: noise changes nothing.

        Raises ValueError for a size it cannot encode, and where there is a decoder alone.
        """
        if not self._encodes:
            raise ValueError("This autoencoder's file holds a decoder alone; encode with the model's own.")
        height, width = pixels.shape[1:3]
        if height % self.downscale or width % self.downscale:
            raise ValueError(f"This autoencoder takes sides that are multiples of {self.downscale}; got {width} x {height}.")
        place = next(self.module.decoder.parameters())
        x = (pixels.permute(0, 3, 1, 2) * 2 - 1).to(place)
        return self.module.encode(x, return_dict=False)[0].float().contiguous()  # type: ignore[no-any-return]


def _find(source: ModelSource) -> _Found | None:
    if source.is_folder:
        config = source.json("config.json") if source.has("config.json") else {}
        if config.get("_class_name") != "AutoencoderTiny":
            return None
        weights = source.weights(".", *_WEIGHTS)
        return _Found(weights, config, read_header(weights), _DIFFUSERS)
    header = read_header(source.path)
    for mark, block in _MARKS.items():
        if mark in header and block in header:
            return _Found(source.path, {}, header, mark)
    return None


def _config(found: _Found) -> dict[str, Any]:
    """diffusers' config: the folder's own, or TAESD's with what the first convolution tells. Raises BrokenModel."""
    defaults: dict[str, Any] = {"decoder_block_out_channels": (64,) * 4, "latent_channels": 4, "upsampling_scaling_factor": 2}
    if found.config:
        return defaults | found.config
    shape = found.header[found.mark].shape
    if len(shape) != 4:
        raise BrokenModel(str(found.weights), f"{found.mark} is no convolution.")
    widths = (shape[0],) * 4
    return defaults | {
        "latent_channels": shape[1],
        "encoder_block_out_channels": widths,
        "decoder_block_out_channels": widths,
    }


def _our_name(name: str, mark: str) -> str:
    """diffusers' name for a stored tensor."""
    if mark == _DIFFUSERS:
        return name
    if mark == _BARE:
        name = f"decoder.{name}"
    found = re.fullmatch(r"(encoder|decoder)\.(\d+)\.(.+)", name)
    if found is None:
        return name
    shift = 1 if found[1] == "decoder" else 0
    return f"{found[1]}.layers.{int(found[2]) - shift}.{found[3]}"


def _named(stem: str, families: tuple[str, ...]) -> str | None:
    """Which of these a file's name tells. A bare "taesd" is for the first, but only its whole name says so."""
    for family in families:
        if any(word in stem for word in _NAMES.get(family, ())):
            return family
    return "sd1" if "sd1" in families and re.search(r"taesd(?![3x])", stem) else None

"""Control networks: ControlNets (Zhang et al. 2023) and T2I-Adapters (Mou et al. 2023), from disk to residuals.

Both look at a picture and say what to add inside a denoiser's U-Net. A ControlNet looks at the noisy latent and the prompt too,
so it runs in every step; an adapter looks at the picture alone.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from nodegraph_nodes.types import ControlNet, Precision

from .assemble import fill, skeleton
from .control_names import adapter_config, adapter_names, controlnet_config, controlnet_family, controlnet_names
from .errors import BrokenModel, ModelError
from .loaded import LoadedControl, Prompts, Residuals
from .networks import added_conditions, for_inference
from .on_device import OnDevice
from .precision import compute_dtype
from .source import ModelSource, TensorInfo, read_header, read_json, read_tensors

_WEIGHTS = ("diffusion_pytorch_model.safetensors", "diffusion_pytorch_model.fp16.safetensors", "model.safetensors")

# What a person may have chosen instead, by a part of its tensors' names.
_OTHERS = {
    "lora_controlnet": "it is a Control-LoRA, which is not supported; use a whole ControlNet",
    "lora_": "it is a LoRA; load it as a LoRA",
    "task_embedding": "it is a ControlNet-Union, which is not supported; use one that is made for one kind of picture",
    "model.diffusion_model.": "it is a whole model or a U-Net; load it with diffusion/load_model",
    "transformer_blocks.0.attn.add_": "it is for a transformer such as Flux or SD 3; only Stable Diffusion 1, 2 and XL fit",
    "double_blocks.": "it is for Flux; only Stable Diffusion 1, 2 and XL fit",
    "image_proj": "it is an IP-Adapter",
}


@dataclass(frozen=True, slots=True)
class _Found:
    """A control network on disk. weights: its file; names: diffusers' names to those in the file."""

    recipe: ControlNet
    weights: Path
    names: dict[str, str]
    config: dict[str, Any]


def describe_control(path: str | Path, digest: str, precision: Precision = "auto") -> ControlNet:
    """The recipe of a control network on disk, from its header and config alone. Raises ModelError."""
    return _look(ModelSource(Path(path), digest), precision).recipe


def _look(source: ModelSource, precision: Precision) -> _Found:
    weights = _weights(source)
    header = read_header(weights)
    stated = _stated_config(source)
    if (other := _other(header)) is not None:
        raise ModelError(str(source.path), f"this is not a ControlNet: {other}.")
    if names := controlnet_names(header):
        shapes = {name: header[stored].shape for name, stored in names.items()}
        family = controlnet_family(shapes)
        recipe = ControlNet(family, str(source.path), source.digest, "controlnet", precision)
        return _Found(recipe, weights, names, _derived(controlnet_config, shapes, source) | stated)
    if names := adapter_names(header):
        shapes = {name: header[stored].shape for name, stored in names.items()}
        config = _derived(adapter_config, shapes, source) | stated
        family = "sdxl" if config["adapter_type"] == "full_adapter_xl" else "sd1"
        return _Found(ControlNet(family, str(source.path), source.digest, "t2i_adapter", precision), weights, names, config)
    raise ModelError(
        str(source.path),
        "this is neither a ControlNet (with controlnet_cond_embedding.* or input_hint_block.* tensors) nor a T2I-Adapter "
        "(with adapter.body.* or body.* tensors).",
    )


def _derived(config: Any, shapes: Mapping[str, tuple[int, ...]], source: ModelSource) -> dict[str, Any]:
    try:
        return dict(config(shapes))
    except (KeyError, IndexError) as missing:
        raise BrokenModel(str(source.path), f"it lacks tensors that every control network has: {missing}.") from None


def _weights(source: ModelSource) -> Path:
    if not source.path.exists():
        raise ModelError(str(source.path), "there is no such file or folder.")
    if not source.is_folder:
        return source.path
    if source.has("model_index.json"):
        raise ModelError(str(source.path), "this is not a ControlNet: it is a whole model; load it with diffusion/load_model.")
    return source.weights(".", *_WEIGHTS)


def _stated_config(source: ModelSource) -> dict[str, Any]:
    """What a folder's config says, or one in `<file stem>.config/` beside a file."""
    path = (source.path if source.is_folder else source.path.with_suffix(".config")) / "config.json"
    if not path.is_file():
        return {}
    return {name: value for name, value in read_json(path).items() if not name.startswith("_")}


def _other(header: Mapping[str, TensorInfo]) -> str | None:
    control = any("controlnet_cond_embedding" in name or "input_hint_block" in name for name in header)
    for mark, words in _OTHERS.items():
        if any(mark in name for name in header) and not (control and mark in ("model.diffusion_model.", "lora_")):
            return words
    return "it says only how to change a model's weights (a difference file)" if "difference" in header else None


def load_control(recipe: ControlNet, device: torch.device | str) -> LoadedControl:
    """The network of a recipe, on the device. Raises ModelError."""
    from diffusers import ControlNetModel, T2IAdapter

    found = _look(ModelSource(Path(recipe.path), recipe.digest), recipe.precision)
    build = ControlNetModel if recipe.kind == "controlnet" else T2IAdapter
    network = skeleton(lambda: build.from_config(found.config))
    needed = {name: found.names[name] for name in network.state_dict() if name in found.names}
    tensors = read_tensors(found.weights, needed, network="control network")
    tensors = {name: _as_wanted(tensor, network.get_parameter(name)) for name, tensor in tensors.items()}
    network = fill(
        network, tensors, recipe.path, "control network", compute_dtype(recipe.precision, device), channels_last=True
    )
    return (ControlNetwork if recipe.kind == "controlnet" else AdapterNetwork)(recipe, network)


def _as_wanted(tensor: Tensor, wanted: Tensor) -> Tensor:
    """Projections are stored as 1 x 1 convolutions [O, I, 1, 1] or as [O, I]: the same numbers."""
    same = tensor.ndim in (2, 4) and wanted.ndim in (2, 4) and tensor.numel() == wanted.numel()
    return tensor.view(wanted.shape) if same and tensor.shape[:2] == wanted.shape[:2] else tensor


class ControlNetwork(OnDevice):
    """A diffusers ControlNetModel."""

    def __init__(self, recipe: ControlNet, network: Any) -> None:
        self.family = recipe.family
        super().__init__(for_inference(network))
        self._downscale = 2 ** (len(network.config.conditioning_embedding_out_channels) - 1)
        self.positive_only = bool(network.config.global_pool_conditions)
        network.register_to_config(global_pool_conditions=False)  # pooled below, at the residuals' full size

    def picture_size(self, height: int, width: int) -> tuple[int, int]:
        return height * self._downscale, width * self._downscale

    @torch.no_grad()
    def residuals(
        self, x: Tensor, timesteps: Sequence[float], prompts: Prompts, negative: Sequence[bool], pictures: Tensor
    ) -> Residuals:
        place = self.place
        down, mid = self.module(
            x.to(place),
            torch.tensor(timesteps, device=place.device, dtype=torch.float32),
            prompts.states.to(place),
            controlnet_cond=_with_channels(pictures, self.module.config.conditioning_channels).to(place),
            added_cond_kwargs=added_conditions(self.module.config, self._downscale, x, prompts, negative, place),
            return_dict=False,
        )
        if self.positive_only:
            down, mid = [_pooled(each) for each in down], _pooled(mid)
        return Residuals(tuple(each.float() for each in down), mid.float())


class AdapterNetwork(OnDevice):
    """A diffusers T2IAdapter."""

    positive_only = False

    def __init__(self, recipe: ControlNet, network: Any) -> None:
        self.family = recipe.family
        super().__init__(for_inference(network))
        config = network.config
        self._multiple = config.downscale_factor
        # One for XL speaks first to the level below the top one.
        self._downscale = config.downscale_factor // (2 if config.adapter_type == "full_adapter_xl" else 1)

    def picture_size(self, height: int, width: int) -> tuple[int, int]:
        """Rounded up to what can be unshuffled, as the U-Net rounds up where it halves."""
        return _up(height * self._downscale, self._multiple), _up(width * self._downscale, self._multiple)

    @torch.no_grad()
    def residuals(
        self, x: Tensor, timesteps: Sequence[float], prompts: Prompts, negative: Sequence[bool], pictures: Tensor
    ) -> Residuals:
        pictures = _with_channels(pictures, self.module.config.in_channels)
        return Residuals(inside=tuple(each.float() for each in self.module(pictures.to(self.place))))


def _with_channels(pictures: Tensor, channels: int) -> Tensor:
    """[B, H, W, 3] -> [B, C, H, W]; networks of one channel see the mean of the three."""
    pictures = pictures.permute(0, 3, 1, 2)
    return pictures.mean(1, keepdim=True) if channels == 1 else pictures


def _pooled(residual: Tensor) -> Tensor:
    return residual.mean((2, 3), keepdim=True).expand_as(residual)


def _up(size: int, multiple: int) -> int:
    return -(-size // multiple) * multiple

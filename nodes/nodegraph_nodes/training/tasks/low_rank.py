"""A frozen U-Net with low-rank changes that are trained (Hu et al. 2021; for convolutions as in LoCon).

The module holds the changes alone: they are all that is optimised, averaged and saved. The U-Net stays where it is, in the
precision and storage that it was loaded with; hooks on its layers add what the changes say.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Literal, Self

import torch
from torch import Tensor, nn
from torch.nn.functional import linear

from nodegraph_nodes.diffusion.families import Prompts
from nodegraph_nodes.diffusion.families.networks import UNetDenoiser, added_conditions

from .denoiser_networks import prepare

Targets = Literal["attention", "attention and feed-forward", "all linear and convolutions"]

_ATTENTION = (".to_q", ".to_k", ".to_v", ".to_out.0")
_FEED_FORWARD = (".ff.net.0.proj", ".ff.net.2")
_BLOCKS = ("down_blocks.", "mid_block.", "up_blocks.")


def layers_of(unet: nn.Module, targets: Targets) -> dict[str, nn.Module]:
    """The layers to be changed, by name. All of them: those inside of the U-Net's blocks, which other programs know, too."""
    kinds = (nn.Linear, nn.Conv2d) if targets == "all linear and convolutions" else nn.Linear
    ends = _ATTENTION if targets == "attention" else (*_ATTENTION, *_FEED_FORWARD)
    every = targets == "all linear and convolutions"
    return {
        name: layer
        for name, layer in unet.named_modules()
        if isinstance(layer, kinds) and name.startswith(_BLOCKS) and (every or name.endswith(ends))
    }


class LowRank(nn.Module):
    """The change of a layer's output: up(down(x)) alpha / r. It begins as nothing."""

    def __init__(self, layer: Any, rank: int, factor: float) -> None:
        super().__init__()
        if isinstance(layer, nn.Conv2d):
            if layer.groups != 1:
                raise ValueError("Convolutions in groups have no low-rank change here.")
            down, up = torch.empty(rank, layer.in_channels, *layer.kernel_size), torch.zeros(layer.out_channels, rank, 1, 1)
        else:
            down, up = torch.empty(rank, layer.in_features), torch.zeros(layer.out_features, rank)
        self.factor = factor
        self.down, self.up = nn.Parameter(down), nn.Parameter(up)
        nn.init.kaiming_uniform_(self.down, a=math.sqrt(5))

    def forward(self, layer: Any, x: Tensor) -> Tensor:
        down, up = self.down.to(x.dtype), self.up.to(x.dtype)
        if isinstance(layer, nn.Conv2d):  # the layer's own stride and padding are the first one's
            return torch.conv2d(layer._conv_forward(x, down, None), up) * self.factor
        return linear(linear(x, down), up) * self.factor


class _Wearing:
    """Which changes a U-Net's layers have on. Two networks, the trained one and its average, take turns on one U-Net."""

    def __init__(self) -> None:
        self.changes: Mapping[str, LowRank] | None = None
        self.handles: list[Any] = []

    def put_on(self, layers: Mapping[str, nn.Module]) -> None:
        for name, layer in layers.items():
            self.handles.append(layer.register_forward_hook(self._hook(key_of(name))))

    def take_off(self) -> None:
        for handle in self.handles:
            handle.remove()
        self.handles, self.changes = [], None

    def _hook(self, key: str) -> Any:
        def changed(layer: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> Tensor:
            if self.changes is None:
                return output
            change: Tensor = self.changes[key](layer, inputs[0])
            return output + change.to(output.dtype)

        return changed


class LowRankUNet(nn.Module):
    """A U-Net with changes, called as diffusers' is. Copies of it share the U-Net."""

    def __init__(self, base: UNetDenoiser, downscale: int, targets: Targets, rank: int, alpha: float) -> None:
        super().__init__()
        self._base, self._downscale, self._wearing = base, downscale, _Wearing()
        self._layers = (base.module, targets)
        found = layers_of(base.module, targets)
        self.changes = nn.ModuleDict({key_of(name): LowRank(layer, rank, alpha / rank) for name, layer in found.items()})

    @contextmanager
    def worn(self, checkpointing: bool, on_cpu: bool) -> Iterator[None]:
        """While this is open the U-Net's layers obey; afterwards it is as it was."""
        unet, targets = self._layers
        processors = unet.attn_processors
        prepare(unet, on_cpu)
        if checkpointing:
            unet.enable_gradient_checkpointing()
        self._wearing.put_on(layers_of(unet, targets))
        try:
            yield
        finally:
            self._wearing.take_off()
            if checkpointing:
                unet.disable_gradient_checkpointing()
            unet.set_attn_processor(processors)

    def forward(
        self, noisy: Tensor, timesteps: Tensor, states: Tensor, class_labels: Tensor | None = None, return_dict: bool = False
    ) -> tuple[Tensor]:
        """noisy: [B, C, h, w]; timesteps: [B]; states: [B, L, D]; class_labels: [B, P], the prompts as a whole."""
        # left on: gradient checkpointing computes parts again on the way back
        self._wearing.changes = self.changes  # type: ignore[assignment]
        unet, place = self._base.module, self._base.place
        prompts = Prompts(states, class_labels)
        output: Tensor = unet(
            noisy.to(place),
            timesteps,
            states.to(place),
            class_labels=class_labels.to(place) if unet.config.class_embed_type and class_labels is not None else None,
            added_cond_kwargs=added_conditions(unet.config, self._downscale, noisy, prompts, (), place),
            return_dict=False,
        )[0]
        return (output.float(),)

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        for shared in (self._base, self._wearing, self._layers):
            memo[id(shared)] = shared
        copied = self.__class__.__new__(self.__class__)
        memo[id(self)] = copied
        copied.__dict__.update(copy.deepcopy(self.__dict__, memo))
        return copied


def key_of(layer: str) -> str:
    """A layer's name as LoRA files spell it: with _ throughout."""
    return layer.replace(".", "_")


def file_tensors(changes: Mapping[str, LowRank], alpha: float) -> dict[str, Tensor]:
    """The tensors of a LoRA file, by the names that kohya's sd-scripts gave them and nearly every program reads."""
    tensors: dict[str, Tensor] = {}
    for key, change in changes.items():
        stem = f"lora_unet_{key}"
        tensors[f"{stem}.lora_down.weight"] = change.down.detach().cpu().float().contiguous()
        tensors[f"{stem}.lora_up.weight"] = change.up.detach().cpu().float().contiguous()
        tensors[f"{stem}.alpha"] = torch.tensor(float(alpha))
    return tensors

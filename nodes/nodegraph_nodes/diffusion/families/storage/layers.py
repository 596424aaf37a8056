"""Linear layers and convolutions whose weights stay packed in memory and are unpacked at each use, one layer at a time."""

from typing import Any

import torch
from torch import Tensor, nn

from .packed import Coding, Packed

_NARROWEST = 64  # layers with fewer rows or columns are few and touchy: a network's first and last


class _Unpacking:
    """A layer whose `weight` is unpacked when it is asked for."""

    _coding: Coding
    _shape: tuple[int, ...]
    _dtype: torch.dtype
    _count: int

    @property
    def weight(self) -> Tensor:
        parts = [getattr(self, f"packed_{index}") for index in range(self._count)]
        return self._coding.unpack(parts, self._shape).to(self._dtype)


class _UnpackingLinear(_Unpacking, nn.Linear):  # type: ignore[override]
    pass


class _UnpackingConv2d(_Unpacking, nn.Conv2d):  # type: ignore[override]
    pass


_KINDS: dict[type, type] = {nn.Linear: _UnpackingLinear, nn.Conv2d: _UnpackingConv2d}


def is_packable(layer: nn.Module) -> bool:
    """Whether a layer's weight can stay packed."""
    return type(layer) in _KINDS


def is_wide(layer: nn.Module) -> bool:
    """Whether it is worth packing what is not packed already."""
    weight: Any = layer.weight
    return bool(min(weight.shape[0], weight[0].numel()) >= _NARROWEST)


def is_stored(layer: nn.Module) -> bool:
    """Whether a layer's weight is packed."""
    return isinstance(layer, _Unpacking)


def store(layer: nn.Module, packed: Packed, dtype: torch.dtype) -> None:
    """Give a layer a packed weight in place of its own. dtype: what it computes in."""
    found: Any = layer
    del found._parameters["weight"]
    found.__class__ = _KINDS[type(layer)]
    found._coding, found._shape, found._dtype, found._count = packed.coding, tuple(packed.shape), dtype, len(packed.parts)
    for index, part in enumerate(packed.parts):
        found.register_buffer(f"packed_{index}", part, persistent=False)

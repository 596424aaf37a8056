"""A tensor that is stored small: to everybody a float32 tensor of its shape, unpacked anew by whatever is done with it.

So code that renames, splits or reshapes weights need not know how they are stored. Taking rows keeps them packed.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.utils._pytree import tree_map

Unpack = Callable[[Sequence[Tensor], tuple[int, ...]], Tensor]
"""(parts, shape) -> the weights, float32."""


class Coding(NamedTuple):
    """A way to store weights. by_rows: each part's first dimension is the weights' first, so rows can be taken."""

    name: str
    unpack: Unpack
    by_rows: bool


class Packed(Tensor):
    """Weights in a coding. parts: the tensors that hold them."""

    coding: Coding
    parts: tuple[Tensor, ...]

    @staticmethod
    def __new__(cls, coding: Coding, parts: Sequence[Tensor], shape: Sequence[int]) -> "Packed":
        made: Packed = torch.Tensor._make_wrapper_subclass(
            cls, tuple(shape), dtype=torch.float32, device=parts[0].device, requires_grad=False
        )
        made.coding, made.parts = coding, tuple(parts)
        return made

    def __init__(self, coding: Coding, parts: Sequence[Tensor], shape: Sequence[int]) -> None: ...

    def __repr__(self, *, tensor_contents: Any = None) -> str:  # type: ignore[override]
        return f"Packed({self.coding.name}, {tuple(self.shape)})"

    def unpacked(self) -> Tensor:
        """The weights, float32."""
        return self.coding.unpack(self.parts, tuple(self.shape))

    @classmethod
    def __torch_dispatch__(  # type: ignore[override]
        cls, func: Any, types: Sequence[type], args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        if kept := _BY_ROWS.get(func):
            found = kept(*args, **(kwargs or {}))
            if found is not None:
                return found
        return func(*tree_map(dense, tuple(args)), **tree_map(dense, dict(kwargs or {})))


def dense(value: Any) -> Any:
    """A packed tensor's weights as float32; anything else as it is."""
    return value.unpacked() if isinstance(value, Packed) else value


def _rows(packed: Packed, start: int, stop: int) -> Packed:
    return Packed(packed.coding, [part[start:stop] for part in packed.parts], (stop - start, *packed.shape[1:]))


def _detach(packed: Packed) -> Packed:
    return Packed(packed.coding, packed.parts, packed.shape)


def _slice(packed: Packed, dim: int = 0, start: int | None = None, stop: int | None = None, step: int = 1) -> Packed | None:
    if dim != 0 or step != 1 or not packed.coding.by_rows:
        return None
    first, last, _ = slice(start, stop).indices(packed.shape[0])
    return _rows(packed, first, max(first, last))


def _split(packed: Packed, sizes: int | Sequence[int], dim: int = 0) -> list[Packed] | None:
    if dim != 0 or not packed.coding.by_rows:
        return None
    count = packed.shape[0]
    lengths = [min(sizes, count - i) for i in range(0, count, sizes)] if isinstance(sizes, int) else list(sizes)
    starts = [sum(lengths[:i]) for i in range(len(lengths))]
    return [_rows(packed, start, start + length) for start, length in zip(starts, lengths, strict=True)]


def _view(packed: Packed, shape: Sequence[int]) -> Packed | None:
    if not shape or shape[0] != packed.shape[0] or -1 in shape or not packed.coding.by_rows:
        return None
    return Packed(packed.coding, packed.parts, shape)


_ATEN = torch.ops.aten
_BY_ROWS: dict[Any, Callable[..., Any]] = {
    _ATEN.detach.default: _detach,
    _ATEN.alias.default: _detach,
    _ATEN.slice.Tensor: _slice,
    _ATEN.split.Tensor: _split,
    _ATEN.split_with_sizes.default: _split,
    _ATEN.view.default: _view,
    _ATEN._unsafe_view.default: _view,
}

"""Three ways to store weights small, each a pair of formulas.

int8: a scale per row, w = q s with |q| <= 127. float8: a cast to e4m3, with a scale per row that uses its range. nf4: blocks
of 64 weights, each the nearest of 16 quantiles of the normal distribution times the block's largest magnitude (Dettmers et al.
2023, QLoRA, appendix E), 4.5 bits a weight.
"""

import math
from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn.functional import pad

from nodegraph_nodes.types import Storage

from .packed import Coding, Packed, dense

FLOAT8_DTYPES = (torch.float8_e4m3fn, torch.float8_e5m2)
_E4M3_LARGEST = 448.0
_BLOCK = 64
NF4_LEVELS = (
    -1.0,
    -0.6961928009986877,
    -0.5250730514526367,
    -0.39491748809814453,
    -0.28444138169288635,
    -0.18477343022823334,
    -0.09105003625154495,
    0.0,
    0.07958029955625534,
    0.16093020141124725,
    0.24611230194568634,
    0.33791524171829224,
    0.44070982933044434,
    0.5626170039176941,
    0.7229568362236023,
    1.0,
)


def pack(weight: Tensor, storage: Storage) -> Packed | None:
    """Weights [rows, ...] in a storage; None where they stay as they are. What is packed that way already stays so."""
    if storage == "as_stored":
        if isinstance(weight, Packed):
            return None if weight.coding.name == "int8" else weight  # int8 files have always been opened up
        return float8(weight) if weight.dtype in FLOAT8_DTYPES else None
    if isinstance(weight, Packed) and weight.coding.name == storage:
        return weight
    return _PACK[storage](dense(weight).float())


# ---- int8 ----


def int8(quantised: Tensor, scale: Tensor) -> Packed:
    """quantised: [rows, ...] int8; scale: one a row."""
    rows = quantised.shape[0]
    return Packed(_INT8, (quantised.reshape(rows, -1), scale.reshape(-1, 1)), quantised.shape)


def _to_int8(weight: Tensor) -> Packed:
    scale = _largest(weight) / 127  # [rows, 1]
    quantised = (weight.flatten(1) / scale).round().clamp(-127, 127).to(torch.int8)
    return int8(quantised.reshape(weight.shape), scale)


def _from_int8(parts: Sequence[Tensor], shape: tuple[int, ...]) -> Tensor:
    quantised, scale = parts
    return (quantised.float() * scale.float()).reshape(shape)


# ---- float8 ----


def float8(quantised: Tensor, scale: Tensor | None = None) -> Packed:
    """quantised: [rows, ...] in a float8 dtype; scale: one a row, one for all, or none."""
    rows = quantised.shape[0]
    parts = (
        (quantised.reshape(rows, -1),)
        if scale is None
        else (quantised.reshape(rows, -1), scale.float().reshape(-1, 1).expand(rows, 1))
    )
    return Packed(_FLOAT8, parts, quantised.shape)


def _to_float8(weight: Tensor) -> Packed:
    scale = _largest(weight) / _E4M3_LARGEST
    return float8((weight.flatten(1) / scale).to(torch.float8_e4m3fn).reshape(weight.shape), scale)


def _from_float8(parts: Sequence[Tensor], shape: tuple[int, ...]) -> Tensor:
    weight = parts[0].float()
    return (weight * parts[1] if len(parts) > 1 else weight).reshape(shape)


# ---- nf4 ----


def nf4(weight: Tensor) -> Packed:
    """weight: float32, any shape."""
    flat = weight.reshape(-1)
    blocks = pad(flat, (0, -len(flat) % _BLOCK)).reshape(-1, _BLOCK)
    largest = blocks.abs().amax(1, keepdim=True)  # [blocks, 1]
    levels = blocks.new_tensor(NF4_LEVELS)
    middles = (levels[1:] + levels[:-1]) / 2
    index = torch.bucketize(blocks / largest.clamp_min(1e-30), middles).to(torch.uint8)  # [blocks, 64]
    return Packed(_NF4, (index[:, ::2] << 4 | index[:, 1::2], largest), weight.shape)


def _from_nf4(parts: Sequence[Tensor], shape: tuple[int, ...]) -> Tensor:
    pairs, largest = parts
    index = torch.stack((pairs >> 4, pairs & 15), -1).flatten(1).int()  # [blocks, 64]
    blocks = torch.tensor(NF4_LEVELS, device=pairs.device)[index] * largest
    return blocks.reshape(-1)[: math.prod(shape)].reshape(shape)


def _largest(weight: Tensor) -> Tensor:
    """The largest magnitude of each row [rows, 1], never 0."""
    return weight.flatten(1).abs().amax(1, keepdim=True).clamp_min(1e-30)


_INT8 = Coding("int8", _from_int8, by_rows=True)
_FLOAT8 = Coding("float8", _from_float8, by_rows=True)
_NF4 = Coding("nf4", _from_nf4, by_rows=False)
_PACK = {"int8": _to_int8, "float8": _to_float8, "nf4": nf4}

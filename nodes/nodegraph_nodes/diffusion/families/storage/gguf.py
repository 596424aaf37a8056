"""Tensors of a GGUF file, mapped from the file and left in its blocks until they are used.

The layouts of the blocks are those of ggml-quants.h (https://github.com/ggml-org/ggml): d, m: float16 scale and offset of
a block; low nibbles first. K-quants are blocks of 256 with 8 or 16 sub-blocks, whose scales are numbers of 6 or 8 bits.
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor

from nodegraph.sdk.gguf import KINDS, GgufHeader, GgufTensor
from nodegraph_nodes.diffusion.families.mapped import MappedFile

from .packed import Coding, Packed

_PLAIN = {
    "F32": torch.float32,
    "F16": torch.float16,
    "BF16": torch.bfloat16,
    "F64": torch.float64,
    "I8": torch.int8,
    "I16": torch.int16,
    "I32": torch.int32,
    "I64": torch.int64,
}


def read_gguf_tensors(path: Path, header: GgufHeader, names: Mapping[str, str]) -> dict[str, Tensor]:
    """Tensors by {name to return: name in the file}; quantised ones are `Packed`. Raises KeyError, OSError."""
    file = MappedFile(path)
    data = file.bytes(0, len(file))
    return {name: _tensor(data, header.tensors[stored]) for name, stored in names.items()}


def _tensor(data: Tensor, info: GgufTensor) -> Tensor:
    found = data[info.start : info.start + info.nbytes]
    if info.kind in _PLAIN:
        return found.view(_PLAIN[info.kind]).reshape(info.shape)
    rows, per_row = info.shape[0], found.numel() // max(info.shape[0], 1)
    by_rows = per_row > 0 and per_row % _SIZES[info.kind][1] == 0 and per_row * rows == found.numel()
    return Packed(_CODINGS[info.kind, by_rows], (found.reshape(rows, -1) if by_rows else found[None],), info.shape)


# ---- blocks ----


def _half(blocks: Tensor, start: int) -> Tensor:
    """The float16 at a byte of each block: [blocks, 1] float32."""
    return blocks[:, start : start + 2].contiguous().view(torch.float16).float()


def _nibbles(pairs: Tensor) -> Tensor:
    """[..., n] bytes -> [..., 2 n]: all low nibbles, then all high ones."""
    return torch.cat((pairs & 15, pairs >> 4), -1)


def _bits(words: Tensor) -> Tensor:
    """[blocks, n] bytes -> [blocks, 8 n], the lowest bit of the first byte first."""
    return (words[..., None] >> torch.arange(8, dtype=torch.uint8, device=words.device) & 1).flatten(-2)


def _q8_0(b: Tensor) -> Tensor:
    return _half(b, 0) * b[:, 2:].contiguous().view(torch.int8).float()


def _q4_0(b: Tensor) -> Tensor:
    return _half(b, 0) * (_nibbles(b[:, 2:]).float() - 8)


def _q4_1(b: Tensor) -> Tensor:
    return _half(b, 0) * _nibbles(b[:, 4:]).float() + _half(b, 2)


def _q5_0(b: Tensor) -> Tensor:
    return _half(b, 0) * ((_nibbles(b[:, 6:]) | _bits(b[:, 2:6]) << 4).float() - 16)


def _q5_1(b: Tensor) -> Tensor:
    return _half(b, 0) * (_nibbles(b[:, 8:]) | _bits(b[:, 4:8]) << 4).float() + _half(b, 2)


def _six_bit_scales(packed: Tensor) -> tuple[Tensor, Tensor]:
    """12 bytes -> the scales and offsets [blocks, 8] of a K-block's sub-blocks."""
    d, m, both = packed[:, :4], packed[:, 4:8], packed[:, 8:]
    scales = torch.cat((d & 63, (both & 15) | (d >> 2 & 48)), -1)
    offsets = torch.cat((m & 63, (both >> 4) | (m >> 2 & 48)), -1)
    return scales.float(), offsets.float()


def _k(b: Tensor, quants: Tensor) -> Tensor:
    """Q4_K and Q5_K: quants [blocks, 8, 32]."""
    scales, offsets = _six_bit_scales(b[:, 4:16])
    return (_half(b, 0) * scales)[..., None] * quants.float() - (_half(b, 2) * offsets)[..., None]


def _q4_k(b: Tensor) -> Tensor:
    return _k(b, _nibbles(b[:, 16:].reshape(-1, 4, 32)).reshape(-1, 8, 32))


def _q5_k(b: Tensor) -> Tensor:
    low = _nibbles(b[:, 48:].reshape(-1, 4, 32)).reshape(-1, 8, 32)
    shifts = torch.arange(8, dtype=torch.uint8, device=b.device)[:, None]
    return _k(b, low | (b[:, 16:48][:, None] >> shifts & 1) << 4)


def _q6_k(b: Tensor) -> Tensor:
    low = _nibbles(b[:, :128].reshape(-1, 2, 64)).reshape(-1, 8, 32)
    shifts = torch.arange(0, 8, 2, dtype=torch.uint8, device=b.device)[:, None]
    high = (b[:, 128:192].reshape(-1, 2, 1, 32) >> shifts & 3).reshape(-1, 8, 32)
    scales = _half(b, 208) * b[:, 192:208].contiguous().view(torch.int8).float()
    return scales[..., None] * ((low | high << 4).float() - 32).reshape(-1, 16, 16)


def _q2_k(b: Tensor) -> Tensor:
    scales = _half(b, 80) * (b[:, :16] & 15).float()
    offsets = _half(b, 82) * (b[:, :16] >> 4).float()
    shifts = torch.arange(0, 8, 2, dtype=torch.uint8, device=b.device)[:, None]
    quants = (b[:, 16:80].reshape(-1, 2, 1, 32) >> shifts & 3).reshape(-1, 16, 16)
    return scales[..., None] * quants.float() - offsets[..., None]


def _q3_k(b: Tensor) -> Tensor:
    shifts = torch.arange(0, 8, 2, dtype=torch.uint8, device=b.device)[:, None]
    low = (b[:, 32:96].reshape(-1, 2, 1, 32) >> shifts & 3).reshape(-1, 16, 16)
    eight = torch.arange(8, dtype=torch.uint8, device=b.device)[:, None]
    high = 1 - (b[:, :32][:, None] >> eight & 1).reshape(-1, 16, 16)  # a bit that is off takes 4 away
    packed = b[:, 96:108]
    low_scales = _nibbles(packed[:, :8])
    high_scales = (packed[:, 8:12][:, None] >> shifts & 3).reshape(-1, 16)
    scales = _half(b, 108) * ((low_scales | high_scales << 4).float() - 32)
    return scales[..., None] * (low.float() - 4 * high.float())


_BLOCKS: dict[str, Callable[[Tensor], Tensor]] = {
    "Q4_0": _q4_0,
    "Q4_1": _q4_1,
    "Q5_0": _q5_0,
    "Q5_1": _q5_1,
    "Q8_0": _q8_0,
    "Q2_K": _q2_k,
    "Q3_K": _q3_k,
    "Q4_K": _q4_k,
    "Q5_K": _q5_k,
    "Q6_K": _q6_k,
}
_SIZES = {name: (weights, nbytes) for name, weights, nbytes in KINDS.values()}


def _coding(kind: str, by_rows: bool) -> Coding:
    blocks, nbytes = _BLOCKS[kind], _SIZES[kind][1]

    def unpack(parts: Sequence[Tensor], shape: tuple[int, ...]) -> Tensor:
        return blocks(parts[0].reshape(-1, nbytes)).reshape(shape)

    return Coding(kind, unpack, by_rows)


_CODINGS = {(kind, by_rows): _coding(kind, by_rows) for kind in _BLOCKS for by_rows in (True, False)}

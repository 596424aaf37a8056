"""Which floating-point type a network computes in."""

import torch

from nodegraph_nodes.types import Precision

_DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


_LARGE_BYTES = 400_000_000
"""From here on a network's arithmetic outweighs what converting costs."""


def compute_dtype(precision: Precision, device: torch.device | str, stored_bytes: int = 0) -> torch.dtype:
    """The dtype to compute in. "auto" is bfloat16 on GPUs that have it, float16 on other GPUs, float32 elsewhere.

    CPUs stay at float32 even with AVX512-BF16: measured on a 2-core Sapphire Rapids guest without AMX (torch 2.13,
    batch 2, ms a step, float32 / bfloat16): 6.4M U-Net 20 / 26, 34M 64 / 67, 92M 525 / 550, SD 1 at 256 px 2250 / 2540.
    With AMX tiles a bfloat16 product takes a seventh of the time, so there large networks use it (stored_bytes: their files').
    """
    if precision != "auto":
        return _DTYPES[precision]
    kind = torch.device(device).type
    if kind == "cpu" and stored_bytes >= _LARGE_BYTES and has_amx():
        return torch.bfloat16
    if kind != "cuda":
        return torch.float32
    return torch.bfloat16 if torch.cuda.is_bf16_supported() else torch.float16


def has_amx() -> bool:
    """Whether this CPU multiplies bfloat16 in tiles, as torch sees it."""
    supported = getattr(torch.cpu, "_is_amx_tile_supported", None)
    return bool(supported and supported())


def decode_dtype(precision: Precision) -> torch.dtype:
    """The dtype of an autoencoder: "auto" is float32 everywhere, since half precision shows as banding or overflows."""
    return torch.float32 if precision == "auto" else _DTYPES[precision]

"""int8 storage: `name` holds int8 rows, `name.scale` one scale per row; weight[row] = int8[row] * scale[row]."""

from collections.abc import Mapping

import torch
from torch import Tensor


def dequantise(stored: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Stored tensors -> plain ones: int8 weights become float32 [rows, ...], all others pass through unchanged."""
    quantised = {name for name, tensor in stored.items() if tensor.dtype == torch.int8 and f"{name}.scale" in stored}
    scales = {f"{name}.scale" for name in quantised}
    return {
        name: _rows(tensor, stored[f"{name}.scale"]) if name in quantised else tensor
        for name, tensor in stored.items()
        if name not in scales
    }


def _rows(tensor: Tensor, scale: Tensor) -> Tensor:
    return tensor.float() * scale.float().reshape(-1, *[1] * (tensor.ndim - 1))

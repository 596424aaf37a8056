"""Trained networks as files in the folder of models: whole or not at all, and nothing is replaced unasked."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor

from nodegraph import Context, NodeError
from nodegraph.sdk.writing import write_atomically

from .naming import file_parts

FileName = Annotated[
    str, Field(min_length=1, max_length=150, description="Of the file in the folder of models; it may begin with a folder.")
]
Replace = Annotated[bool, Field(description="Replace a file of this name that holds something else.")]


def keep_tensors(
    context: Context, name: str, tensors: Mapping[str, Tensor], metadata: Mapping[str, str], replace: bool
) -> Path:
    """Write `<models>/NAME.safetensors`. What is there already and holds the same is left alone. Raises NodeError."""
    from safetensors.torch import save

    parts = file_parts(name)
    file = context.models.joinpath(*parts[:-1], f"{parts[-1]}.safetensors")
    if file.exists():
        if _holds(file, tensors, metadata):
            return file
        if not replace:
            raise NodeError(
                f"There is a model {file.name!r} already, and it is another.",
                socket="name",
                got=str(file),
                hint="Choose another name, or set replace.",
            )
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(file, save(dict(tensors), dict(metadata)))
    except OSError as error:
        raise NodeError(f"The model cannot be written: {error}", socket="name") from None
    context.log.info("%s is %.2f MB.", file, file.stat().st_size / 1e6)
    return file


def _holds(file: Path, tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> bool:
    """Whether a file holds exactly this; its bytes may lie in another order."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(file, "pt") as opened:
            if set(opened.keys()) != set(tensors) or (opened.metadata() or {}) != dict(metadata):
                return False
            return all(_same(opened.get_tensor(name), tensor) for name, tensor in tensors.items())
    except (OSError, SafetensorError):
        return False


def _same(first: Tensor, second: Tensor) -> bool:
    return first.dtype == second.dtype and first.shape == second.shape and torch.equal(first, second)

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
_CARDS = ("starter.json", "model_index.json")
Replace = Annotated[bool, Field(description="Put it in the place of another that was made here.")]


def keep_tensors(
    context: Context, name: str, tensors: Mapping[str, Tensor], metadata: Mapping[str, str], replace: bool
) -> Path:
    """Write `<models>/NAME.safetensors`. What is there already and holds the same is left alone. Raises NodeError."""
    from safetensors.torch import save

    parts = file_parts(name)
    file = context.models.joinpath(*parts[:-1], f"{parts[-1]}.safetensors")
    _check_place(context.models, file)
    if file.exists():
        if _holds(file, tensors, metadata):
            return file
        if not _made_here(file):
            raise NodeError(
                f"There is a file {file.name!r} that was not made here; it is left as it is.",
                socket="name",
                got=str(file),
                hint="Choose another name.",
            )
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


def _check_place(models: Path, file: Path) -> None:
    """A file lies below the folder of models, where no link leads out of it, and in no model's own folder. Raises NodeError."""
    root, place = models.resolve(), file.parent.resolve()
    if file.is_symlink() or not place.is_relative_to(root):
        raise NodeError("A link leads from there to somewhere else.", socket="name", got=str(file), hint="Choose another name.")
    for folder in (place, *place.parents)[: len(place.relative_to(root).parts)]:
        if any((folder / card).is_file() for card in _CARDS):
            raise NodeError(
                f"{folder.name!r} is the folder of a model, and holds nothing else.",
                socket="name",
                got=str(file),
                hint="Choose another name.",
            )


def _made_here(file: Path) -> bool:
    """Whether it was a keeping node that wrote a file: its metadata say so."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(file, "pt") as opened:
            said = opened.metadata() or {}
    except (OSError, SafetensorError):
        return False
    return "nodegraph" in said or str(said.get("format")).startswith("nodegraph ")


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

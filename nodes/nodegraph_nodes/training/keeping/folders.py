"""Models as folders: how what was trained is written, so that it is found among the models like any other.

A folder is written beside its place and then moved there: it is whole or it is not. It replaces only what was made here.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor

from nodegraph import NodeError
from nodegraph_nodes.training.loop import readable, write_tensors

from .naming import check_folder_name

CARD, MADE_HERE = "starter.json", "nodegraph"
Weights = Literal["float32", "float16", "int8"]
_PARTS = frozenset({".safetensors", ".json", ".txt", ".model", ".gz"})


def place_model(models: Path, name: str, replace: bool, write: Callable[[Path], None]) -> Path:
    """The folder `name` below `models`, as `write` fills it; one that holds the same is left alone. Raises NodeError."""
    check_folder_name(name)
    place = models / name
    fresh = Path(tempfile.mkdtemp(prefix=f".{name}.", dir=models))
    try:
        readable(fresh)
        write(fresh)
        digest = digest_of(fresh)
        if place.exists():
            if place.is_dir() and digest_of(place) == digest:
                return place
            _check_replaceable(place, name, replace)
            old = fresh.with_name(f"{fresh.name}.old")
            place.rename(old)
            fresh.rename(place)
            shutil.rmtree(old, ignore_errors=True)
        else:
            fresh.rename(place)
        _flush(models)
        return place
    except OSError as error:
        raise NodeError(
            f"The model {name} cannot be written to {models}: {_why(error)}.",
            socket="name",
            hint="Nothing was changed there. Make room and run again: what was trained is kept and is not done anew.",
        ) from None
    finally:
        shutil.rmtree(fresh, ignore_errors=True)


def _why(error: OSError) -> str:
    if isinstance(error, shutil.Error):  # of a copied folder: (from, to, why) of each file
        return str(error.args[0][0][2])
    return error.strerror or str(error)


def _check_replaceable(place: Path, name: str, replace: bool) -> None:
    if not _made_here(place):
        raise NodeError(
            f"There is a model {name} that was not made here; it is left as it is.", socket="name", hint="Use another name."
        )
    if not replace:
        raise NodeError(f"There is another model {name} already.", socket="name", hint="Use another name, or turn on replace.")


def _made_here(place: Path) -> bool:
    try:
        return bool(json.loads((place / CARD).read_text("utf-8")).get("made_by") == MADE_HERE)
    except (OSError, ValueError, AttributeError):
        return False


def _flush(folder: Path) -> None:
    if os.name == "nt":
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def digest_of(folder: Path) -> str:
    """The digest of a model's folder as the runner has it: of its parts' names and contents."""
    parts = sorted(
        part
        for part in folder.rglob("*")
        if part.is_file() and part.suffix in _PARTS and not any(name.startswith(".") for name in part.relative_to(folder).parts)
    )
    rows = (f"{part.relative_to(folder).as_posix()}\0{_sha256(part)}\n" for part in parts)
    return hashlib.sha256("".join(rows).encode()).hexdigest()


def _sha256(file: Path) -> str:
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()


def write_network(folder: Path, config: Mapping[str, Any], tensors: Mapping[str, Tensor], weights: Weights) -> float:
    """A network in diffusers' layout. Gives the relative error of what was rounded: |rounded - weight| / |weight|, in norms."""
    folder.mkdir(parents=True)
    (folder / "config.json").write_text(json.dumps(dict(config), indent=2, sort_keys=True) + "\n", "utf-8")
    stored, wrong, size = dict[str, Tensor](), 0.0, 0.0
    for name, tensor in tensors.items():
        exact = tensor.detach().float().cpu()
        parts = _rounded(name, exact, weights) if tensor.is_floating_point() else {name: tensor.cpu()}
        stored |= parts
        if tensor.is_floating_point():
            wrong += (_read(name, parts) - exact).square().sum().item()
            size += exact.square().sum().item()
    file = "model.int8.safetensors" if weights == "int8" else "diffusion_pytorch_model.safetensors"
    write_tensors(folder / file, stored)
    return (wrong / size) ** 0.5 if size else 0.0


def _rounded(name: str, tensor: Tensor, weights: Weights) -> dict[str, Tensor]:
    if weights == "float32":
        return {name: tensor}
    if weights == "float16" or tensor.ndim < 2:
        return {name: tensor.half()}
    scale = (tensor.flatten(1).abs().amax(1) / 127).clamp_min(1e-12)
    rows = scale.view(-1, *[1] * (tensor.ndim - 1))
    return {name: (tensor / rows).round().to(torch.int8), f"{name}.scale": scale}


def _read(name: str, parts: Mapping[str, Tensor]) -> Tensor:
    tensor = parts[name].float()
    scale = parts.get(f"{name}.scale")
    return tensor if scale is None else tensor * scale.view(-1, *[1] * (tensor.ndim - 1))

"""Checkpoints: everything that a training needs to go on as if it had not been interrupted, written whole or not at all.

One safetensors file for each checkpoint, and `state.json`, which names the one that counts and is replaced last. The process
may end between any two system calls.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from torch import Tensor, nn
from torch.optim import Optimizer

from nodegraph.sdk.writing import write_atomically

from .spreading import spread_like

_STATE = "state.json"
_FORMAT = 1


class Damaged(Exception):
    """A checkpoint that cannot be read, and why."""


class Progressed(NamedTuple):
    """How far a training is: steps done, figures by name as (step, value), seconds spent on it.

    pending: figures of the last steps that are not yet a point of a curve.
    """

    step: int
    figures: dict[str, list[tuple[int, float]]]
    seconds: float
    pending: dict[str, list[float]]


def tensors_of(
    networks: Mapping[str, nn.Module], averages: Mapping[str, nn.Module], optimizers: Mapping[str, Optimizer]
) -> dict[str, Tensor]:
    """All tensors of a training, as a checkpoint names them."""
    tensors = {f"network.{name}.{key}": value for name, net in networks.items() for key, value in net.state_dict().items()}
    tensors |= {f"average.{name}.{key}": value for name, net in averages.items() for key, value in net.state_dict().items()}
    for name, optimizer in optimizers.items():
        for index, state in optimizer.state_dict()["state"].items():
            tensors |= {f"optimizer.{name}.{index}.{key}": value for key, value in state.items()}
    return tensors


def save(folder: Path, progressed: Progressed, tensors: Mapping[str, Tensor]) -> None:
    """Write a checkpoint of `tensors_of`, then remove those before it. Raises OSError; then the one before still counts."""
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / f"checkpoint-{progressed.step}.safetensors"
    write_tensors(file, tensors)
    state = {"format": _FORMAT, "file": file.name, **progressed._asdict()}
    write_atomically(folder / _STATE, json.dumps(state).encode())
    for old in folder.glob("checkpoint-*.safetensors"):
        if old != file:
            with contextlib.suppress(OSError):
                old.unlink()


def load(
    folder: Path,
    networks: Mapping[str, nn.Module],
    averages: Mapping[str, nn.Module],
    optimizers: Mapping[str, Optimizer],
) -> Progressed | None:
    """Go back to the last checkpoint; None where there is none. Raises Damaged for one that cannot be read whole."""
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    if not (folder / _STATE).exists():
        return None
    try:
        state = json.loads((folder / _STATE).read_text("utf-8"))
        if state["format"] != _FORMAT:
            raise Damaged(f"it is of format {state['format']}, not {_FORMAT}")
        tensors = load_file(folder / state["file"])
    except (OSError, ValueError, KeyError, TypeError, SafetensorError) as error:
        raise Damaged(str(error)) from None
    for kind, modules in (("network", networks), ("average", averages)):
        for name, module in modules.items():
            module.load_state_dict(_spread(_below(tensors, f"{kind}.{name}."), module.state_dict()))
    for name, optimizer in optimizers.items():
        found: dict[int, dict[str, Tensor]] = {}
        for key, value in _below(tensors, f"optimizer.{name}.").items():
            index, _, field = key.partition(".")
            found.setdefault(int(index), {})[field] = value
        parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
        found = {
            index: {key: spread_like(value, parameters[index]) for key, value in each.items()} for index, each in found.items()
        }
        now: dict[str, Any] = optimizer.state_dict()
        optimizer.load_state_dict({"state": found, "param_groups": now["param_groups"]})
    figures = {name: [(int(step), float(value)) for step, value in rows] for name, rows in state["figures"].items()}
    return Progressed(int(state["step"]), figures, float(state["seconds"]), state["pending"])


def _spread(tensors: Mapping[str, Tensor], models: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Tensors as the network's own are spread; names that it does not know are for it to tell."""
    return {key: spread_like(value, models[key]) if key in models else value for key, value in tensors.items()}


def _below(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {key.removeprefix(prefix): value for key, value in tensors.items() if key.startswith(prefix)}


def write_tensors(file: Path, tensors: Mapping[str, Tensor]) -> None:
    """A safetensors file, whole or not at all, without a copy of everything in memory. Raises OSError."""
    from safetensors import SafetensorError
    from safetensors.torch import save_file

    fresh = file.with_suffix(".new")
    try:
        save_file({key: value.detach().cpu().contiguous() for key, value in tensors.items()}, fresh)
        readable(fresh)
        with fresh.open("rb") as opened:
            os.fsync(opened.fileno())
        fresh.replace(file)
    except (OSError, SafetensorError) as error:
        with contextlib.suppress(OSError):
            fresh.unlink(missing_ok=True)
        raise error if isinstance(error, OSError) else OSError(str(error)) from None


def readable(path: Path) -> None:
    """Give a new file or folder the permissions that others have here: what is made as temporary is its owner's alone."""
    beside = path.parent.stat().st_mode & 0o777
    path.chmod(beside if path.is_dir() else beside & 0o666)

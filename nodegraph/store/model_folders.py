"""Other programs' model folders, registered in place: which of their sub-folders hold models, and which folders there are.

Nothing is ever written into a registered folder.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

from nodegraph.sdk.errors import NodeError
from nodegraph.sdk.writing import NotWritten, not_written, write_atomically
from nodegraph.store.locks import alone

REGISTER = "models.json"
_PATIENCE_SECONDS = 10.0

KINDS = {
    "checkpoints": "checkpoint",
    "stable-diffusion": "checkpoint",
    "diffusers": "checkpoint",
    "diffusion_models": "diffusion_model",
    "unet": "diffusion_model",
    "vae": "autoencoder",
    "loras": "lora",
    "lora": "lora",
    "lycoris": "lora",
    "text_encoders": "text_encoder",
    "text_encoder": "text_encoder",
    "clip": "text_encoder",
    "clip_vision": "image_encoder",
    "controlnet": "controlnet",
    "t2i_adapter": "controlnet",
    "upscale_models": "upscaler",
    "esrgan": "upscaler",
    "realesrgan": "upscaler",
    "swinir": "upscaler",
    "embeddings": "embedding",
    "hypernetworks": "hypernetwork",
    "style_models": "style_model",
    "ipadapter": "ip_adapter",
    "vae_approx": "preview",
}
"""What lies in a sub-folder, by its name in lower case; names found first are looked at first."""

_A1111 = frozenset({"stable-diffusion", "lora", "esrgan", "realesrgan", "lycoris"})
_COMFYUI = frozenset({"checkpoints", "loras", "diffusion_models", "text_encoders", "upscale_models", "unet", "clip"})


class Layout(NamedTuple):
    """How a folder keeps its models. folders: those that are searched, in order; a plain folder is searched itself."""

    kind: Literal["comfyui", "a1111", "folder"]
    folders: tuple[Path, ...]


class Registered(NamedTuple):
    """A registered folder and how it is laid out; None where it is not there now, as on a disk that is unplugged."""

    folder: Path
    layout: Layout | None


def layout_of(folder: Path) -> Layout:
    """Recognise a `models` folder of ComfyUI or A1111, or the program's folder around it. Raises OSError."""
    found = _known(folder)
    if (folder / "models").is_dir() and all(KINDS[path.name.lower()] == "embedding" for path in found):
        found = [*_known(folder / "models"), *found]  # the program's folder; A1111 keeps embeddings beside the models
    if not found:
        return Layout("folder", (folder,))
    names = {path.name.lower() for path in found}
    kind: Literal["comfyui", "a1111"] = "a1111" if len(_A1111 & names) > len(_COMFYUI & names) else "comfyui"
    order = list(KINDS)
    return Layout(kind, tuple(sorted(found, key=lambda path: order.index(path.name.lower()))))


def _known(folder: Path) -> list[Path]:
    with os.scandir(folder) as entries:
        return sorted(folder / entry.name for entry in entries if entry.name.lower() in KINDS and Path(entry.path).is_dir())


def kind_by_folder(root: Path) -> str | None:
    """What a root holds by its name: `checkpoints`, `Lora`."""
    return KINDS.get(root.name.lower())


# ---- the register ----


def registered(data: Path) -> list[Registered]:
    """The folders that were registered, as they are now. A register that cannot be read counts as empty."""
    try:
        folders = _read(data / REGISTER)
    except NodeError:
        return []
    return [Registered(folder, _layout_now(folder)) for folder in folders]


def registered_roots(data: Path) -> tuple[Path, ...]:
    """The folders to look for models in; those of missing folders are left out."""
    return tuple(root for _, layout in registered(data) if layout is not None for root in layout.folders)


def register(data: Path, folder: Path) -> bool:
    """Add a folder; False where it was there already. Raises NodeError for a broken register, NotWritten."""
    return _change(data, lambda rows: rows if folder in rows else [*rows, folder])


def unregister(data: Path, folder: Path) -> bool:
    """Take a folder off the list; nothing in it is touched. False where it was not on it. Raises as `register`."""
    return _change(data, lambda rows: [row for row in rows if row != folder])


def _change(data: Path, change: Any) -> bool:
    file = data / REGISTER
    try:
        data.mkdir(parents=True, exist_ok=True)
        with alone(data / f".{REGISTER}.lock", _PATIENCE_SECONDS):
            before: Sequence[Path] = _read(file)
            after: Sequence[Path] = change(before)
            if list(after) == list(before):
                return False
            rows = {"folders": [str(folder) for folder in after]}
            write_atomically(file, (json.dumps(rows, indent=1) + "\n").encode())
            return True
    except NotWritten:
        raise
    except OSError as error:  # the folder or the lock in it: it is this place that cannot be written
        raise not_written(error, file) from None


def _read(file: Path) -> list[Path]:
    try:
        rows = json.loads(file.read_text("utf-8"))["folders"]
        if not isinstance(rows, list) or not all(isinstance(row, str) and Path(row).is_absolute() for row in rows):
            raise ValueError("no list of folders")
    except FileNotFoundError:
        return []
    except (OSError, ValueError, TypeError, LookupError, RecursionError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is damaged"
        raise NodeError(f"{file} cannot be read: {why}.", hint="Move it away, and add the folders again.") from None
    return [Path(row) for row in rows]


def _layout_now(folder: Path) -> Layout | None:
    try:
        return layout_of(folder) if folder.is_dir() else None
    except OSError:
        return None

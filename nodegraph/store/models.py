"""The models that lie in the roots: what there is, without opening more than headers, and whether it is whole."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from nodegraph.sdk.errors import NodeError, Problem
from nodegraph.store.files import MODEL_ENDINGS, Digests, check_model, model_parts
from nodegraph.store.model_folders import kind_by_folder
from nodegraph.store.model_headers import UNKNOWN, Model, check_whole, look

_ENDING = ".safetensors"
_CARDS = ("starter.json", "model_index.json")  # of folders that are models
_DEEPEST, _MOST = 8, 50_000  # sub-folders, and models in all
_PIPELINES = {
    "StableDiffusionXL": "sdxl",
    "StableDiffusion3": "sd3",
    "StableDiffusion": "sd1",
    "Flux": "flux",
}
_PARTS = {"AutoencoderKL": "autoencoder", "ControlNetModel": "controlnet", "UNet2DConditionModel": "diffusion_model"}


class ModelInfo(NamedTuple):
    """A model that documents can name. root: the folder that `name` is looked up in; kind, family: None where it does not tell.

    sha256: where it is remembered; trouble: why it cannot be used, as far as its header tells.
    """

    name: str
    path: Path
    root: Path
    kind: str | None
    family: str | None
    size_bytes: int
    sha256: str | None = None
    trouble: str | None = None


class Verified(NamedTuple):
    """What reading a model whole has shown. against: what its digests were compared with."""

    info: ModelInfo
    sha256: str | None
    against: tuple[str, ...]
    problems: tuple[Problem, ...]


def list_models(roots: Sequence[Path], digests: Digests | None = None) -> list[ModelInfo]:
    """The models in the roots, in the order in which names are looked up. Missing roots are passed over."""
    found: list[ModelInfo] = []
    taken: dict[str, Path] = {}
    for root in dict.fromkeys(roots):
        for path in _models_below(root, root, 0):
            if len(found) == _MOST:
                return found
            info = _look(path, root, digests)
            if (first := taken.setdefault(info.name, path)) != path:
                info = info._replace(trouble=f"{first.parent} has a model of this name, which is found first.")
            found.append(info)
    return found


def verify_model(info: ModelInfo, digests: Digests | None = None, progress: Callable[[int], None] | None = None) -> Verified:
    """Read a model whole: its headers, and its digests against what was remembered and against `NAME.sha256` beside it.

    `progress` hears of bytes read; what it raises comes out, so a long reading can be given up.
    """
    known = digests or Digests()
    problems: list[Problem] = []
    against: set[str] = set()
    try:
        check_model(info.path)
        for part in model_parts(info.path):
            problems += _check_part(part, known, against, progress)
        sha256 = known.of(info.path) if not problems else None
    except NodeError as error:
        return Verified(info, None, (), (*problems, error.problem(info.name, "broken_model")))
    except OSError as error:
        message = f"{info.path.name} cannot be read ({error.strerror})."
        problem = Problem("unreadable_model", message, info.name, hint="Check the disk, and whether you may read the file.")
        return Verified(info, None, (), (*problems, problem))
    return Verified(info._replace(sha256=sha256), sha256, tuple(sorted(against)), tuple(problems))


def _check_part(part: Path, digests: Digests, against: set[str], progress: Callable[[int], None] | None) -> Iterator[Problem]:
    """What is wrong with one file of a model. Raises NodeError, OSError."""
    if part.suffix in MODEL_ENDINGS:
        check_whole(part)
    now, before = digests.read_again(part, progress)
    if before is not None:
        against.add("remembered")
        if before != now:
            message = f"{part.name} has changed although its size and time have not: the disk may have damaged it."
            yield Problem("changed_model", message, part.name, None, before, now, "Copy or download it again.")
    for file in (part.with_name(f"{part.name}.sha256"), part.with_suffix(".sha256")):
        if file.is_file():
            against.add("sidecar")
            listed = _listed(file)
            if listed is None:
                yield Problem(
                    "broken_sidecar", f"{file.name} holds no sha256.", part.name, hint="Write it again, or remove it."
                )
            elif listed != now:
                message = f"{part.name} is not the file that {file.name} was written for."
                yield Problem("changed_model", message, part.name, None, listed, now, "Copy or download it again.")
            return


def _listed(file: Path) -> str | None:
    """The digest in a file as `sha256sum` writes it, or alone."""
    with file.open("rb") as opened:
        found = re.search(rb"(?<![0-9a-f])[0-9a-f]{64}(?![0-9a-f])", opened.read(4096).lower())
    return found[0].decode() if found else None


# ---- finding ----


def _models_below(folder: Path, root: Path, depth: int) -> Iterator[Path]:
    """Models in a folder and those below it, by name; a folder that is a model is one."""
    try:
        with os.scandir(folder) as entries:
            names = sorted((entry.name, _is_folder(entry)) for entry in entries if not entry.name.startswith("."))
    except OSError:
        return
    for name, is_folder in names:
        path = folder / name
        if not is_folder:
            if name.endswith(MODEL_ENDINGS):
                yield path
        elif _is_model(path):
            yield path
        elif depth < _DEEPEST and not name.endswith(".config") and not path.is_symlink():
            yield from _models_below(path, root, depth + 1)


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:
        return False


def _is_model(folder: Path) -> bool:
    try:
        if any((folder / card).is_file() for card in _CARDS):
            return True
        return (folder / "config.json").is_file() and any(folder.glob(f"*{_ENDING}"))
    except OSError:
        return False


def _look(path: Path, root: Path, digests: Digests | None) -> ModelInfo:
    name = path.relative_to(root).as_posix()
    model, size, trouble = UNKNOWN, 0, None
    try:
        if not path.resolve().is_relative_to(root.resolve()):
            trouble = "A link out of its folder: add the folder that it leads to."
        else:
            size = sum(part.stat().st_size for part in model_parts(path))
            model = _folder_model(path) if path.is_dir() else look(path)
    except NodeError as error:
        trouble = str(error)
    except (OSError, RuntimeError, ValueError, AttributeError) as error:  # RuntimeError: a link in a circle
        trouble = f"It cannot be read ({getattr(error, 'strerror', None) or 'its header is damaged'})."
    known = digests.known(path) if digests is not None and trouble is None else None
    return ModelInfo(name, path, root, model.kind or kind_by_folder(root), model.family, size, known, trouble)


def _folder_model(folder: Path) -> Model:
    if (folder / _CARDS[0]).is_file():
        return Model("checkpoint", "starter")
    if (pipeline := _said(folder / _CARDS[1], "_class_name")) is None:
        part = _said(folder / "config.json", "_class_name")
        return Model(_PARTS[part], None) if part in _PARTS else UNKNOWN
    family = next((family for start, family in _PIPELINES.items() if pipeline.startswith(start)), None)
    if family == "sd1":  # SD 2 has the pipeline of SD 1, and another text encoder
        activation = _said(folder / "text_encoder/config.json", "hidden_act")
        family = None if activation is None else "sd1" if activation == "quick_gelu" else "sd2"
    elif family == "sdxl" and not (folder / "text_encoder").exists() and (folder / "text_encoder_2").exists():
        family = "sdxl_refiner"
    return Model("checkpoint", family)


def _said(config: Path, name: str) -> str | None:
    """What a JSON file says under a name, if it says anything."""
    try:
        return str(json.loads(config.read_text("utf-8"))[name])
    except (OSError, ValueError, TypeError, LookupError, RecursionError):
        return None

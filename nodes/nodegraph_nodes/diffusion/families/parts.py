"""The parts of a large model (transformer, vae, text_encoder_3, tokenizer_3 ...) and where each of them lies.

A diffusers folder has a folder for each. A single file has some of them under prefixes of their own, and often lacks the large
text encoder and always its vocabulary; the folder `<file stem>.config` beside it, laid out like a diffusers folder, may hold
those, with their weights, and may replace shipped configs.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import wraps
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from nodegraph_nodes.types import Precision

from .errors import BrokenModel, ModelError
from .family import Recipes
from .source import ModelSource, TensorInfo, read_header, read_json, read_tensors, stored_bytes
from .storage import FLOAT8_DTYPES

_OF_TEXT = ("cond_stage_model.", "conditioner.", "text_encoders.")
_OF_PIXELS = ("first_stage_model.", "vae.")  # beginnings of a single file's names
_STEMS = ("diffusion_pytorch_model", "model")


class Piece(NamedTuple):
    """Where a tensor lies in a file that fuses several. rows: of the stored one, None for all; swapped: by halves."""

    name: str
    rows: tuple[int, int | None] | None = None
    swapped: bool = False


def home(source: ModelSource) -> Path:
    """The folder that holds a model's parts: itself, or the one beside a single file (which need not exist)."""
    return source.path if source.is_folder else source.path.with_suffix(".config")


def has_weights(source: ModelSource, part: str) -> bool:
    """Whether there is a folder of this part with weights in it."""
    return bool(_weight_files(home(source) / part))


def part_config(source: ModelSource, name: str, otherwise: Callable[[], dict[str, Any]] | None = None) -> dict[str, Any]:
    """A part's config, such as "vae/config.json"; `otherwise` says what it is where there is none. Raises BrokenModel."""
    path = home(source) / name
    if otherwise is not None and not path.is_file():
        return otherwise()
    return read_json(path)


def part_tensors(source: ModelSource, part: str) -> dict[str, Tensor]:
    """All tensors in a part's folder, whether one file or several. Raises BrokenModel."""
    files = _weight_files(home(source) / part)
    if not files:
        source.weights(part, f"{_STEMS[0]}.safetensors")  # says what is there instead
    return {name: tensor for file in files for name, tensor in read_pieces(file).items()}


def check_part(source: ModelSource, part: str) -> None:
    """Fail early on a part whose files are missing or cut. Raises BrokenModel."""
    files = _weight_files(home(source) / part)
    if not files:
        source.weights(part, f"{_STEMS[0]}.safetensors")
    for file in files:
        read_header(file)


def denoiser_bytes(source: ModelSource) -> int:
    """What a model's denoising network takes on disk. Raises BrokenModel."""
    if source.is_folder:
        return _bytes_of_parts(source, ("unet", "transformer"))
    return stored_bytes(source.path, lambda name: not name.startswith(_OF_TEXT + _OF_PIXELS))


def text_encoder_bytes(source: ModelSource) -> int:
    """What a model's text encoders take on disk. Raises BrokenModel."""
    if source.is_folder:
        return _bytes_of_parts(source, ("text_encoder", "text_encoder_2", "text_encoder_3", "bert"))
    beside = _bytes_of_parts(source, ("text_encoder", "text_encoder_2", "text_encoder_3"))
    return beside + stored_bytes(source.path, lambda name: name.startswith(_OF_TEXT))


def _bytes_of_parts(source: ModelSource, parts: Sequence[str]) -> int:
    files = [file for part in parts for file in _weight_files(home(source) / part)]
    return sum(file.stat().st_size for file in files if file.is_file())


def _weight_files(folder: Path) -> list[Path]:
    """A part's weight file, or the files its index names, in order."""
    for stem in _STEMS:
        for variant in ("", ".fp16"):
            if (single := folder / f"{stem}{variant}.safetensors").is_file():
                return [single]
            index = folder / f"{stem}.safetensors.index{variant}.json"
            if index.is_file():
                names = read_json(index).get("weight_map", {}).values()
                return [folder / Path(str(name)).name for name in sorted(set(names))]
    return []


def read_pieces(path: Path, pieces: Mapping[str, Piece] | None = None, *, network: str = "network") -> dict[str, Tensor]:
    """{name: tensor} of a file, mapped from it as far as possible; None reads all under their own names.

    What is stored small stays so, but where halves change places. Raises BrokenModel, MissingTensors.
    """
    if pieces is None:
        return read_tensors(path, network=network)
    tensors = read_tensors(path, {name: piece.name for name, piece in pieces.items()}, network=network)
    return {name: _cut(tensor, pieces[name]) for name, tensor in tensors.items()}


def _cut(tensor: Tensor, piece: Piece) -> Tensor:
    if piece.rows is not None:
        tensor = tensor[piece.rows[0] : piece.rows[1]]
    if not piece.swapped:
        return tensor
    return torch.cat([half.float() if half.dtype in FLOAT8_DTYPES else half for half in tensor.chunk(2)[::-1]])


def reads(describe: Callable[[ModelSource, Precision], Recipes]) -> Callable[[ModelSource, Precision], Recipes]:
    """Configs and headers were written by anybody: what they lack is said in words, as a BrokenModel."""

    @wraps(describe)
    def described(source: ModelSource, precision: Precision) -> Recipes:
        try:
            return describe(source, precision)
        except ModelError:
            raise
        except (LookupError, TypeError, ValueError, ArithmeticError) as error:
            problem = f"its configs or tensors are not what its kind of model has ({type(error).__name__}: {error})."
            raise BrokenModel(str(source.path), problem) from error

    return described


def absent(source: ModelSource, what: str, *needed: str) -> BrokenModel:
    """The error for a part that a model lacks: what it is, and which folders must hold it."""
    folders = " and ".join(f"{folder}/" for folder in needed)
    where = str(source.path) if source.is_folder else f"the folder {home(source).name} beside the file"
    return BrokenModel(
        str(source.path),
        f"it has no {what}. Put {folders} (as in the model's diffusers folder, with config, safetensors and vocabulary) into "
        f"{where}, or link that part from another model of the same family.",
    )


def prefix_of(header: Mapping[str, TensorInfo], landmark: str, *prefixes: str) -> str | None:
    """Which of these prefixes the tensor `landmark` has in a file, or None."""
    return next((prefix for prefix in prefixes if prefix + landmark in header), None)

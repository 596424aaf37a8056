"""A model on disk, looked at without loading it: a diffusers-style folder, or one .safetensors or .gguf file.

Only formats that cannot run code are read; pickles (.ckpt, .bin, .pt) are refused. safetensors: 8 bytes little-endian header
length, JSON header, tensor bytes (https://github.com/huggingface/safetensors). Weights that are stored small (int8 or float8
with scales, GGUF's blocks) come as `storage.Packed` tensors.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from nodegraph import NodeError
from nodegraph.sdk.gguf import GgufHeader, read_gguf_header

from .errors import BrokenModel, MissingTensors
from .mapped import MappedFile
from .storage import FLOAT8_DTYPES, float8, int8, read_gguf_tensors

_LARGEST_HEADER_BYTES = 100_000_000  # the format's own limit
_PICKLES = (".ckpt", ".pt", ".pth", ".bin")
GGUF = ".gguf"
_DTYPES = {
    "F64": torch.float64,
    "F32": torch.float32,
    "F16": torch.float16,
    "BF16": torch.bfloat16,
    "F8_E4M3": torch.float8_e4m3fn,
    "F8_E5M2": torch.float8_e5m2,
    "I64": torch.int64,
    "I32": torch.int32,
    "I16": torch.int16,
    "I8": torch.int8,
    "U64": torch.uint64,
    "U32": torch.uint32,
    "U16": torch.uint16,
    "U8": torch.uint8,
    "BOOL": torch.bool,
}
_UNET_PREFIX = "model.diffusion_model."
_UNET_BEGINNINGS = ("input_blocks.", "double_blocks.", "joint_blocks.")


class TensorInfo(NamedTuple):
    """One entry of a header. dtype is the format's own word: F32, BF16, I8, Q4_K ..."""

    dtype: str
    shape: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class ModelSource:
    """A model as found on disk. path: a folder or a file; digest: of its content, as the caller defines it."""

    path: Path
    digest: str

    @property
    def is_folder(self) -> bool:
        return self.path.is_dir()

    def has(self, relative: str) -> bool:
        return self.is_folder and (self.path / relative).is_file()

    def json(self, relative: str) -> dict[str, Any]:
        """A JSON object inside the folder. Raises BrokenModel."""
        return read_json(self.path / relative)

    def read(self, folder: str, *names: str) -> dict[str, Tensor]:
        """All tensors of the weights in `folder`, whether in one file or in shards that an index lists. Raises BrokenModel."""
        stored: dict[str, Tensor] = {}
        for path in self.shards(folder, *names):
            stored |= read_tensors(path)
        return stored

    def shards(self, folder: str, *names: str) -> list[Path]:
        """The files that hold the weights in `folder`: one, or those that an index lists. Raises BrokenModel."""
        for name in names:
            index = f"{folder}/{name}.index.json"
            if not self.has(f"{folder}/{name}") and self.has(index):
                return self._listed(folder, index)
        return [self.weights(folder, *names)]

    def _listed(self, folder: str, index: str) -> list[Path]:
        listed = self.json(index).get("weight_map")
        files = sorted({str(file) for file in listed.values()}) if isinstance(listed, dict) else []
        if not files or any(Path(file).name != file or file in ("", "..") for file in files):
            raise BrokenModel(str(self.path), f"{index} lists no files of its folder.")
        if missing := [file for file in files if not self.has(f"{folder}/{file}")]:
            raise BrokenModel(str(self.path), f"there is no {folder}/{missing[0]}, which {index} lists.")
        return [self.path / folder / file for file in files]

    def weights(self, folder: str, *names: str) -> Path:
        """The first of these weight files that exists in `folder`. Raises BrokenModel; it names pickles if they do."""
        for name in names:
            if self.has(f"{folder}/{name}"):
                return self.path / folder / name
        pickles = [f.name for f in (self.path / folder).glob("*") if f.suffix in _PICKLES]
        if pickles:
            raise BrokenModel(
                str(self.path),
                f"{folder}/{pickles[0]} is a pickle, which could run code when opened; only .safetensors is read. "
                "Convert the model, or download its safetensors form.",
            )
        raise BrokenModel(str(self.path), f"there is no {folder}/{names[0]}.")


def read_json(path: Path) -> dict[str, Any]:
    """A JSON object from a file. Raises BrokenModel."""
    try:
        value = json.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        raise BrokenModel(str(path), "this file is missing.") from None
    except (OSError, ValueError) as error:
        raise BrokenModel(str(path), f"not readable as JSON ({error}).") from error
    if not isinstance(value, dict):
        raise BrokenModel(str(path), "a JSON object was expected.")
    return value


def read_header(path: Path) -> dict[str, TensorInfo]:
    """The names, dtypes and shapes in a file, without its tensors. Raises BrokenModel if it is damaged.

    A GGUF file that holds one network has its names without the prefix that they have in a whole checkpoint; it is put back.
    """
    if path.suffix == GGUF:
        return {name: TensorInfo(t.kind, t.shape) for name, t in _gguf(path)[1].items()}
    return {name: TensorInfo(entry.dtype, entry.shape) for name, entry in _entries(path)[0].items()}


class _Entry(NamedTuple):
    """One entry of a safetensors header. start, end: its bytes, counted from behind the header."""

    dtype: str
    shape: tuple[int, ...]
    start: int
    end: int


def _entries(path: Path) -> tuple[dict[str, _Entry], int]:
    """What the header of a safetensors file lists, and where its tensors begin. Raises BrokenModel."""
    if path.suffix in _PICKLES:
        raise BrokenModel(str(path), "a pickle could run code when opened; only .safetensors is read.")
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            length = int.from_bytes(file.read(8), "little")
            if not 0 < length <= min(_LARGEST_HEADER_BYTES, size - 8):
                raise BrokenModel(str(path), "not a safetensors file, or its beginning is damaged.")
            header = json.loads(file.read(length))
        header.pop("__metadata__", None)
        tensors = {
            name: _Entry(entry["dtype"], tuple(entry["shape"]), *entry["data_offsets"]) for name, entry in header.items()
        }
        end = max((entry.end for entry in tensors.values()), default=0)
    except OSError as error:
        raise BrokenModel(str(path), f"cannot be opened ({error.strerror}).") from error
    except (AttributeError, KeyError, TypeError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise BrokenModel(str(path), "not a safetensors file, or its header is damaged.") from error
    if size < 8 + length + end:
        raise BrokenModel(
            str(path),
            f"the file ends after {size:,} of {8 + length + end:,} bytes; it was probably not copied completely.",
        )
    return tensors, 8 + length


def stored_bytes(path: Path, wanted: Callable[[str], bool]) -> int:
    """How many bytes the tensors with such names take in a file. Raises BrokenModel."""
    if path.suffix == GGUF:
        return sum(tensor.nbytes for name, tensor in _gguf(path)[1].items() if wanted(name))
    return sum(entry.end - entry.start for name, entry in _entries(path)[0].items() if wanted(name))


def read_metadata(path: Path) -> dict[str, str]:
    """What a safetensors file says of itself in words, which its writer was free to leave out. Raises BrokenModel."""
    read_header(path)  # checks the file
    with path.open("rb") as file:
        said = json.loads(file.read(int.from_bytes(file.read(8), "little"))).get("__metadata__")
    return {str(name): str(value) for name, value in said.items()} if isinstance(said, dict) else {}


def read_tensors(path: Path, names: Mapping[str, str] | None = None, *, network: str = "network") -> dict[str, Tensor]:
    """Tensors of a safetensors file, mapped from the file (read when touched). Raises BrokenModel, MissingTensors.

    names: {name to return: name in the file}; None reads all under their own names. Quantised weights come with their scales
    in them; who asks for those by name gets both as they are stored.
    """
    present = read_header(path)
    every = names is None
    names = {name: name for name in present} if names is None else names
    if missing := [stored for stored in dict.fromkeys(names.values()) if stored not in present]:
        raise MissingTensors(str(path), network, missing)
    if path.suffix == GGUF:
        header, tensors = _gguf(path)
        return read_gguf_tensors(path, header._replace(tensors=tensors), names)
    scales = {name: scale for name in names.values() if (scale := _scale_of(name, present))}
    asked = set() if every else set(names.values())
    scales = {name: scale for name, scale in scales.items() if scale not in asked}
    passed = set(scales.values())
    entries, begin = _entries(path)
    file = MappedFile(path)
    return {
        name: _scaled(
            _mapped(file, path, stored, entries[stored], begin),
            _mapped(file, path, scales[stored], entries[scales[stored]], begin) if stored in scales else None,
        )
        for name, stored in names.items()
        if stored not in passed
    }


def _mapped(file: MappedFile, path: Path, name: str, entry: _Entry, begin: int) -> Tensor:
    dtype = _DTYPES.get(entry.dtype)
    if dtype is None:
        raise BrokenModel(str(path), f"the tensor {name} is stored as {entry.dtype}, which is not known here.")
    if entry.start < 0 or entry.end - entry.start != torch.Size(entry.shape).numel() * dtype.itemsize:
        raise BrokenModel(str(path), f"its header is damaged: {name} has another size than its shape says.")
    return file.tensor(begin + entry.start, dtype, entry.shape)


def _scale_of(name: str, present: Mapping[str, TensorInfo]) -> str | None:
    """The tensor that holds the scales of a quantised one."""
    if present[name].dtype not in ("I8", "F8_E4M3", "F8_E5M2"):
        return None
    stem = name.removesuffix("weight")
    return next((s for s in (f"{name}.scale", f"{name}_scale", f"{stem}scale_weight") if s in present), None)


def _scaled(tensor: Tensor, scale: Tensor | None) -> Tensor:
    """A tensor that is packed if it is quantised. float8 without a scale stays a plain tensor."""
    if scale is None:
        return tensor
    return float8(tensor, scale) if tensor.dtype in FLOAT8_DTYPES else int8(tensor, scale)


def _gguf(path: Path) -> tuple[GgufHeader, dict[str, Any]]:
    """A GGUF file's header, and its tensors by the names of a whole checkpoint. Raises BrokenModel."""
    try:
        header = read_gguf_header(path)
    except NodeError as error:
        raise BrokenModel(str(path), str(error)) from None
    except OSError as error:
        raise BrokenModel(str(path), f"cannot be opened ({error.strerror}).") from error
    bare = any(name.startswith(_UNET_BEGINNINGS) for name in header.tensors)
    return header, {(_UNET_PREFIX + name if bare else name): tensor for name, tensor in header.tensors.items()}

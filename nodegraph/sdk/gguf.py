"""The header of a GGUF file: names, kinds, shapes and places of its tensors, without the tensors.

The format (https://github.com/ggml-org/ggml/blob/master/docs/gguf.md, versions 2 and 3): "GGUF", a version, counts, then typed
metadata and tensor infos, little-endian; sizes are listed from the innermost, so shapes here are in the opposite order.
"""

from __future__ import annotations

import math
import struct
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

from nodegraph.sdk.errors import NodeError

KINDS: dict[int, tuple[str, int, int]] = {
    0: ("F32", 1, 4),
    1: ("F16", 1, 2),
    2: ("Q4_0", 32, 18),
    3: ("Q4_1", 32, 20),
    6: ("Q5_0", 32, 22),
    7: ("Q5_1", 32, 24),
    8: ("Q8_0", 32, 34),
    10: ("Q2_K", 256, 84),
    11: ("Q3_K", 256, 110),
    12: ("Q4_K", 256, 144),
    13: ("Q5_K", 256, 176),
    14: ("Q6_K", 256, 210),
    24: ("I8", 1, 1),
    25: ("I16", 1, 2),
    26: ("I32", 1, 4),
    27: ("I64", 1, 8),
    28: ("F64", 1, 8),
    30: ("BF16", 1, 2),
}
"""ggml's number of a kind -> its name, how many weights a block has, and how many bytes."""

_PLAIN = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
_STRING, _ARRAY = 8, 9
_MOST_TENSORS, _MOST_ENTRIES, _MOST_DIMENSIONS = 1_000_000, 100_000, 4
_ORIGINAL_SHAPE = "comfy.gguf.orig_shape."


class GgufTensor(NamedTuple):
    """One tensor. kind: ggml's name; shape: as a network has it; start: of its bytes in the file."""

    kind: str
    shape: tuple[int, ...]
    start: int
    nbytes: int


class GgufHeader(NamedTuple):
    """What a GGUF file says of itself. metadata: its entries, arrays of more than 16 as how many they are."""

    metadata: dict[str, Any]
    tensors: dict[str, GgufTensor]


def read_gguf_header(path: Path) -> GgufHeader:
    """Raises NodeError for what is no whole GGUF file or has weights of an unknown kind, OSError."""
    size = path.stat().st_size
    with path.open("rb") as file:
        try:
            return _header(file, path, size)
        except (struct.error, UnicodeDecodeError, OverflowError, ValueError):
            raise NodeError(
                f"{path.name} is not a GGUF file, or its beginning is damaged.", hint="Copy or download it again."
            ) from None


def _header(file: BinaryIO, path: Path, size: int) -> GgufHeader:
    magic, version = file.read(4), _number(file, "I")
    if magic != b"GGUF" or version not in (2, 3):
        raise ValueError("another format")
    tensor_count, entry_count = _number(file, "Q"), _number(file, "Q")
    if tensor_count > _MOST_TENSORS or entry_count > _MOST_ENTRIES:
        raise ValueError("counts that no model has")
    metadata: dict[str, Any] = {}
    for _ in range(entry_count):
        name = _text(file, size)
        metadata[name] = _value(file, _number(file, "I"), size)
    rows = [_info(file, path, size) for _ in range(tensor_count)]
    alignment = metadata.get("general.alignment", 32)
    if not isinstance(alignment, int) or alignment < 1:
        raise ValueError("an alignment that is none")
    begin = -(-file.tell() // alignment) * alignment
    tensors = {}
    for name, kind, shape, offset, nbytes in rows:
        original = metadata.get(_ORIGINAL_SHAPE + name)
        if isinstance(original, list) and math.prod(original) == math.prod(shape):
            shape = tuple(original)
        if begin + offset + nbytes > size:
            raise NodeError(
                f"{path.name} is cut short.",
                expected=f"at least {begin + offset + nbytes:,} bytes",
                got=f"{size:,}",
                hint="Copy or download it again.",
            )
        tensors[name] = GgufTensor(kind, shape, begin + offset, nbytes)
    return GgufHeader(metadata, tensors)


def _info(file: BinaryIO, path: Path, size: int) -> tuple[str, str, tuple[int, ...], int, int]:
    """One tensor's name, kind, shape, offset behind the header, and bytes."""
    name, dimensions = _text(file, size), _number(file, "I")
    if dimensions > _MOST_DIMENSIONS:
        raise ValueError("more dimensions than ggml has")
    shape = tuple(_number(file, "Q") for _ in range(dimensions))[::-1]
    number, offset = _number(file, "I"), _number(file, "Q")
    if number not in KINDS:
        known = ", ".join(kind for kind, _, _ in KINDS.values())
        raise NodeError(
            f"{path.name} has weights of a kind that is not read here (ggml's {number}).", expected=f"one of {known}"
        )
    kind, weights, nbytes = KINDS[number]
    if shape and shape[-1] % weights:
        raise ValueError("rows that are not whole blocks")
    return name, kind, shape, offset, math.prod(shape) // weights * nbytes


def _value(file: BinaryIO, kind: int, size: int, nested: bool = False) -> Any:
    if kind in _PLAIN:
        return _number(file, _PLAIN[kind])
    if kind == _STRING:
        return _text(file, size)
    if kind != _ARRAY or nested:
        raise ValueError("metadata of an unknown kind")
    inner, count = _number(file, "I"), _number(file, "Q")
    if count > size:
        raise ValueError("an array longer than its file")
    values = [_value(file, inner, size, nested=True) for _ in range(count)]
    return values if count <= 16 else count


def _text(file: BinaryIO, size: int) -> str:
    length = _number(file, "Q")
    if length > size:
        raise ValueError("a text longer than its file")
    return _read(file, length).decode("utf-8")


def _number(file: BinaryIO, kind: str) -> Any:
    form = struct.Struct("<" + kind)
    return form.unpack(_read(file, form.size))[0]


def _read(file: BinaryIO, length: int) -> bytes:
    found = file.read(length)
    if len(found) != length:
        raise ValueError("the file ends")
    return found

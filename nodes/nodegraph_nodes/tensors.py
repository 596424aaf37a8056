"""Values made of tensors, handled alike: their bytes, their device, their codec, and whether somebody wrote into them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import fields, is_dataclass, replace
from types import MappingProxyType
from typing import Any

import torch
from torch import Tensor

from nodegraph import Buffer, Codec, Storage


def tensors_in(value: Any) -> Iterator[Tensor]:
    """Every tensor of a value: itself, or those in its fields, mappings and tuples."""
    if isinstance(value, Tensor):
        yield value
    elif is_dataclass(value):
        for field in fields(value):
            yield from tensors_in(getattr(value, field.name))
    elif isinstance(value, Mapping):
        for item in value.values():
            yield from tensors_in(item)
    elif type(value) is tuple:
        for item in value:
            yield from tensors_in(item)


def map_tensors(value: Any, change: Callable[[Tensor], Tensor]) -> Any:
    """The value with `change` applied to every tensor; the very same object where nothing changed."""
    if isinstance(value, Tensor):
        return change(value)
    if isinstance(value, Mapping):
        items = {name: map_tensors(item, change) for name, item in value.items()}
        return value if all(items[name] is item for name, item in value.items()) else MappingProxyType(items)
    if type(value) is tuple:
        entries = tuple(map_tensors(item, change) for item in value)
        return value if all(new is item for new, item in zip(entries, value, strict=True)) else entries
    if is_dataclass(value) and not isinstance(value, type):
        old = {field.name: getattr(value, field.name) for field in fields(value)}
        new = {name: map_tensors(item, change) for name, item in old.items()}
        changed = {name: item for name, item in new.items() if item is not old[name]}
        return replace(value, **changed) if changed else value
    return value


def nbytes(value: Any) -> int:
    """Bytes of all tensors of a value."""
    return sum(tensor.nbytes for tensor in tensors_in(value))


def storages(value: Any) -> Iterator[Storage]:
    """The memory that a value's tensors keep alive: a view keeps the whole tensor that it looks at."""
    for tensor in tensors_in(value):
        storage = tensor.untyped_storage()
        device = "" if tensor.device.type == "cpu" else str(tensor.device)
        yield Storage(storage.data_ptr(), storage.nbytes(), device)


def describe(value: Any) -> str:
    """A value's tensors in a few words each: shape, dtype, range."""
    return ", ".join(map(_described, tensors_in(value))) or type(value).__name__


def _described(tensor: Tensor) -> str:
    shape = " x ".join(map(str, tensor.shape)) or "one number"
    dtype = str(tensor.dtype).removeprefix("torch.")
    if tensor.numel() == 0 or tensor.is_complex():
        return f"{shape} {dtype}"
    if not bool(torch.isfinite(tensor).all()):
        return f"{shape} {dtype} with NaN or infinity"
    return f"{shape} {dtype} {tensor.min().item():.4g} to {tensor.max().item():.4g}"


def generation(value: Any) -> int:
    """A number that grows with every in-place write to one of the value's tensors."""
    return sum(tensor._version for tensor in tensors_in(value) if not tensor.is_inference())


def to_device(value: Any, device: torch.device) -> Any:
    """The value with its tensors on a device."""
    return map_tensors(value, lambda tensor: tensor.to(device))


def to_host(value: Any) -> Any:
    """The value with its tensors in the host's memory."""
    return map_tensors(value, lambda tensor: tensor.cpu())


def buffer(tensor: Tensor) -> Buffer:
    """A dense tensor's bytes; those of a contiguous one in the host's memory are not copied."""
    if tensor.dtype not in _DTYPE_NAMES:
        raise TypeError(f"tensors of {tensor.dtype} have no name in safetensors files")
    flat = tensor.detach().cpu().contiguous().reshape(-1)
    return Buffer(_DTYPE_NAMES[tensor.dtype], tuple(tensor.shape), flat.view(torch.uint8).numpy().data)


def tensor(buffer: Buffer) -> Tensor:
    """The tensor that a buffer holds, in memory of its own.

    That memory is torch's, hence aligned as a computed tensor's is: matrix libraries may round otherwise where it is not.
    """
    made = torch.empty(buffer.shape, dtype=_DTYPES[buffer.dtype])
    if made.numel():
        made.reshape(-1).view(torch.uint8).numpy().data[:] = memoryview(buffer.data).cast("B")
    return made


def codec(class_named: Callable[[str], type]) -> Codec:
    """The codec of plain tensors and of frozen dataclasses made of tensors, JSON values and one another.

    A value becomes JSON in which `{"$tensor": NAME}` stands for a tensor and `{"$class": NAME, ...}` for a dataclass, which
    `class_named` finds again. Encoding raises TypeError for what would not come back as it was.
    """

    def encode(value: Any) -> tuple[Any, Mapping[str, Buffer]]:
        buffers: dict[str, Buffer] = {}
        names: dict[int, str] = {}  # a tensor that stands in two places is written once

        def plain(item: Any, name: str) -> Any:
            if isinstance(item, Tensor):
                if id(item) not in names:
                    names[id(item)] = name
                    buffers[name] = buffer(item)
                return {"$tensor": names[id(item)]}
            if is_dataclass(item) and not isinstance(item, type):
                if class_named(type(item).__name__) is not type(item):
                    raise TypeError(f"{type(item).__name__} is not a class that this codec can find again")
                rows = {field.name: plain(getattr(item, field.name), f"{name}.{field.name}") for field in fields(item)}
                return {"$class": type(item).__name__, **rows}
            if isinstance(item, Mapping):
                return {"$map": {key: plain(entry, f"{name}.{key}") for key, entry in item.items()}}
            if type(item) is tuple:
                return {"$tuple": [plain(entry, f"{name}.{i}") for i, entry in enumerate(item)]}
            if type(item) is list:
                return [plain(entry, f"{name}.{i}") for i, entry in enumerate(item)]
            if item is None or type(item) in (bool, int, float, str):
                return item
            raise TypeError(f"{name} holds a {type(item).__name__}, which this codec does not know")

        return plain(value, "value"), buffers

    def decode(data: Any, buffers: Mapping[str, Buffer]) -> Any:
        tensors: dict[str, Tensor] = {}

        def made(item: Any) -> Any:
            if isinstance(item, list):
                return [made(entry) for entry in item]
            if not isinstance(item, dict):
                return item
            if "$tensor" in item:
                name = item["$tensor"]
                if name not in tensors:
                    tensors[name] = tensor(buffers[name])
                return tensors[name]
            if "$map" in item:
                return MappingProxyType({key: made(entry) for key, entry in item["$map"].items()})
            if "$tuple" in item:
                return tuple(made(entry) for entry in item["$tuple"])
            return class_named(item["$class"])(**{key: made(entry) for key, entry in item.items() if key != "$class"})

        return made(data)

    return Codec(encode, decode)


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
    "U8": torch.uint8,
    "BOOL": torch.bool,
}
_DTYPE_NAMES = {dtype: name for name, dtype in _DTYPES.items()}

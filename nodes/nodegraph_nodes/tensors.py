"""Values made of tensors, handled alike: their bytes, their device, their codec, and whether somebody wrote into them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import fields, is_dataclass, replace
from types import MappingProxyType
from typing import Any

import torch
from torch import Tensor

from nodegraph import Codec


def tensors_in(value: Any) -> Iterator[Tensor]:
    """Every tensor of a value: itself, or those in its fields."""
    if isinstance(value, Tensor):
        yield value
    elif is_dataclass(value):
        for field in fields(value):
            yield from tensors_in(getattr(value, field.name))
    elif isinstance(value, Mapping):
        for item in value.values():
            yield from tensors_in(item)


def map_tensors(value: Any, change: Callable[[Tensor], Tensor]) -> Any:
    """The value with `change` applied to every tensor; the very same object where nothing changed."""
    if isinstance(value, Tensor):
        return change(value)
    if isinstance(value, Mapping):
        items = {name: map_tensors(item, change) for name, item in value.items()}
        return value if all(items[name] is item for name, item in value.items()) else MappingProxyType(items)
    if is_dataclass(value) and not isinstance(value, type):
        old = {field.name: getattr(value, field.name) for field in fields(value)}
        new = {name: map_tensors(item, change) for name, item in old.items()}
        changed = {name: item for name, item in new.items() if item is not old[name]}
        return replace(value, **changed) if changed else value
    return value


def nbytes(value: Any) -> int:
    """Bytes of all tensors of a value."""
    return sum(tensor.nbytes for tensor in tensors_in(value))


def generation(value: Any) -> int:
    """A number that grows with every in-place write to one of the value's tensors."""
    return sum(tensor._version for tensor in tensors_in(value) if not tensor.is_inference())


def to_device(value: Any, device: torch.device) -> Any:
    """The value with its tensors on a device."""
    return map_tensors(value, lambda tensor: tensor.to(device))


def to_host(value: Any) -> Any:
    """The value with its tensors in the host's memory."""
    return map_tensors(value, lambda tensor: tensor.cpu())


def codec(class_named: Callable[[str], type]) -> Codec:
    """The codec of plain tensors and of frozen dataclasses made of tensors, JSON values and one another.

    A value becomes JSON in which `{"$tensor": NAME}` stands for a tensor and `{"$class": NAME, ...}` for a dataclass, which
    `class_named` finds again.
    """

    def encode(value: Any) -> tuple[Any, Mapping[str, Tensor]]:
        tensors: dict[str, Tensor] = {}
        names: dict[int, str] = {}  # a tensor that stands in two places is written once

        def plain(item: Any, name: str) -> Any:
            if isinstance(item, Tensor):
                if id(item) not in names:
                    names[id(item)] = name
                    tensors[name] = item.detach().cpu().contiguous()
                return {"$tensor": names[id(item)]}
            if is_dataclass(item) and not isinstance(item, type):
                rows = {field.name: plain(getattr(item, field.name), f"{name}.{field.name}") for field in fields(item)}
                return {"$class": type(item).__name__, **rows}
            if isinstance(item, Mapping):
                return {"$map": {key: plain(entry, f"{name}.{key}") for key, entry in item.items()}}
            if isinstance(item, tuple):
                return {"$tuple": [plain(entry, f"{name}.{i}") for i, entry in enumerate(item)]}
            return item

        return plain(value, "value"), tensors

    def decode(data: Any, tensors: Mapping[str, Any]) -> Any:
        if not isinstance(data, dict):
            return data
        if "$tensor" in data:
            return tensors[data["$tensor"]]
        if "$map" in data:
            return MappingProxyType({key: decode(item, tensors) for key, item in data["$map"].items()})
        if "$tuple" in data:
            return tuple(decode(item, tensors) for item in data["$tuple"])
        made = {key: decode(item, tensors) for key, item in data.items() if key != "$class"}
        return class_named(data["$class"])(**made)

    return Codec(encode, decode)

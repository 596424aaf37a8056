"""How values of these types are written down, moved and described."""

from dataclasses import is_dataclass
from typing import Any

from nodegraph_nodes.tensors import codec, describe, generation, storages, to_device, to_host


def _class_named(name: str) -> type:
    """A dataclass of this package. Raises LookupError for anything else: what is read may have been written by anybody."""
    from nodegraph_nodes import types

    found = getattr(types, name, None) if isinstance(name, str) else None
    if not isinstance(found, type) or not is_dataclass(found) or not found.__module__.startswith(f"{types.__name__}."):
        raise LookupError(f"There is no type {name!r} here.")
    return found


CODEC = codec(_class_named)
"""Writes and reads every type of this package, and values that hold one another (a guidance holds conditionings)."""

TENSORS: dict[str, Any] = {
    "codec": CODEC,
    "storages": storages,
    "generation": generation,
    "describe": describe,
    "to_host": to_host,
    "to_device": to_device,
}
"""What a socket type of tensors is declared with."""

"""From a config and stored tensors to a network, with nothing random and nothing missing left inside.

How weights are to lie in memory is a matter of the recipe, not of its family: `loading` says it for all that is filled inside.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from nodegraph_nodes.types import Storage

from .errors import BrokenModel, MissingTensors
from .storage import dense, is_packable, pack, store
from .storage.layers import is_wide

_LOADING: ContextVar[tuple[Storage, bool]] = ContextVar("loading", default=("as_stored", False))


@dataclass(frozen=True, slots=True, eq=False)
class Originals:
    """Where a network's weights came from: the stored tensors (mapped from the file, so they cost no memory), and its dtype."""

    tensors: Mapping[str, Tensor]
    dtype: torch.dtype

    def weight(self, name: str) -> Tensor:
        """A parameter as it is loaded, on the CPU."""
        found: Tensor = dense(self.tensors[name])
        return found.to(self.dtype)


@contextmanager
def loading(storage: Storage = "as_stored", *, outline: bool = False) -> Iterator[None]:
    """How weights are stored by what is filled inside. outline: they are not read at all and stay on 'meta'."""
    token = _LOADING.set((storage, outline))
    try:
        yield
    finally:
        _LOADING.reset(token)


def skeleton(build: Callable[[], Any]) -> Any:
    """A network without memory for its parameters (they are on 'meta'); buffers are real."""
    from accelerate import init_empty_weights

    with init_empty_weights(include_buffers=False):
        return build()


def fill(module: nn.Module, tensors: Mapping[str, Tensor], path: str, network: str, dtype: torch.dtype) -> Any:
    """Put stored tensors into a skeleton, converted to dtype, or packed where `loading` or the file says so.

    Tensors that the network does not know are ignored.

    Raises MissingTensors, or BrokenModel for tensors of another shape than the config says.
    """
    wanted = dict(module.named_parameters()) | {n: b for n, b in module.named_buffers() if n in module.state_dict()}
    if missing := [name for name in wanted if name not in tensors]:
        raise MissingTensors(path, network, missing)
    for name, parameter in wanted.items():
        if tensors[name].shape != parameter.shape:
            raise BrokenModel(
                path,
                f"in the {network}, {name} is {_size(tensors[name])} where {_size(parameter)} is expected: "
                "the model's config does not describe these weights.",
            )
    module.originals = Originals(tensors, dtype)  # type: ignore[assignment]  # no part of the network
    storage, outline = _LOADING.get()
    if outline:
        return module
    kept = {f"{name}.weight": layer for name, layer in module.named_modules() if is_packable(layer)}
    plain: dict[str, Tensor] = {}
    for name in wanted:
        layer = kept.get(name)
        worth = layer is not None and (storage == "as_stored" or is_wide(layer))
        packed = pack(tensors[name], storage) if worth else None
        if layer is not None and packed is not None:
            store(layer, packed, dtype)
        else:
            plain[name] = dense(tensors[name]).to(dtype)
    module.load_state_dict(plain, strict=False, assign=True)
    return module


def _size(tensor: Tensor) -> str:
    return " x ".join(map(str, tensor.shape))

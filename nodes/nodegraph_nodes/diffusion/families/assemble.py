"""From a config and stored tensors to a network, with nothing random and nothing missing left inside.

How weights are to lie in memory is a matter of the recipe, not of its family: `loading` says it for all that is filled inside.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from nodegraph_nodes.types import Storage

from .errors import BrokenModel, MissingTensors
from .mapped import let_go
from .storage import Packed, dense, is_packable, pack, store
from .storage.layers import is_wide

_LOADING: ContextVar[tuple[Storage, bool]] = ContextVar("loading", default=("as_stored", False))


@dataclass(frozen=True, slots=True, eq=False)
class Originals:
    """Where a network's weights came from: the stored tensors (mapped from the file, so they cost no memory), and its dtype."""

    tensors: Mapping[str, Tensor]
    dtype: torch.dtype

    def weight(self, name: str) -> Tensor:
        """A parameter as it is loaded, on the CPU."""
        return converted(self.tensors[name], self.dtype)


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


def fill(
    module: nn.Module,
    tensors: Mapping[str, Tensor],
    path: str,
    network: str,
    dtype: torch.dtype,
    *,
    channels_last: bool = False,
) -> Any:
    """Put stored tensors into a skeleton, converted to dtype, or packed where `loading` or the file says so.

    One after the other, so that what was read of the file is never in memory as a whole. Tensors that the network does not
    know are ignored. channels_last: the layout of what has four dimensions, as `for_inference` wants it.

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
    layout = torch.channels_last if channels_last else torch.preserve_format
    for name in wanted:
        layer = kept.get(name)
        worth = layer is not None and (storage == "as_stored" or is_wide(layer))
        packed = pack(tensors[name], storage) if worth else None
        if layer is not None and packed is not None:
            store(layer, packed, dtype)
            if packed is not tensors[name]:
                _leave(tensors[name], packed.parts)
        else:
            plain[name] = converted(tensors[name], dtype, layout if tensors[name].ndim == 4 else torch.preserve_format)
    module.load_state_dict(plain, strict=False, assign=True)
    return module


def converted(stored: Tensor, dtype: torch.dtype, layout: torch.memory_format = torch.preserve_format) -> Tensor:
    """A stored tensor as a network holds it. What was read of the file for that is let go, unless it is the result itself."""
    made: Tensor = dense(stored).to(dtype, memory_format=layout)
    _leave(stored, (made,))
    return made


def _leave(stored: Tensor, made: Sequence[Tensor]) -> None:
    """Let a stored tensor go but for what lies in the file still."""
    kept = {tensor.untyped_storage().data_ptr() for tensor in made}
    for part in stored.parts if isinstance(stored, Packed) else (stored,):
        if part.device.type == "cpu" and part.untyped_storage().data_ptr() not in kept:
            let_go(part)


def _size(tensor: Tensor) -> str:
    return " x ".join(map(str, tensor.shape))

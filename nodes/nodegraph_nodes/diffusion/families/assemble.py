"""From a config and stored tensors to a network, with nothing random and nothing missing left inside."""

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from .errors import BrokenModel, MissingTensors


def skeleton(build: Callable[[], Any]) -> Any:
    """A network without memory for its parameters (they are on 'meta'); buffers are real."""
    from accelerate import init_empty_weights

    with init_empty_weights(include_buffers=False):
        return build()


def fill(module: nn.Module, tensors: Mapping[str, Tensor], path: str, network: str, dtype: torch.dtype) -> Any:
    """Put stored tensors into a skeleton, converted to dtype. Tensors that the network does not know are ignored.

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
    module.load_state_dict({name: tensors[name].to(dtype) for name in wanted}, strict=False, assign=True)
    return module


def _size(tensor: Tensor) -> str:
    return " x ".join(map(str, tensor.shape))

"""Networks spread over processes: each holds a part of every weight and gathers a block's whole while it computes with it.

This is fully sharded data parallelism (Rajbhandari et al. 2020, ZeRO, stage 3) as torch's `fully_shard` does it. A spread
network's parameters are DTensors; it is called like any other, by all processes at once.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

import torch
from torch import Tensor, nn


def spread(networks: Iterable[nn.Module], device: torch.device) -> None:
    """Spread networks over all processes, in place. Each block by itself, so that no more than one is ever whole."""
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.fsdp import fully_shard

    mesh = init_device_mesh(device.type, (torch.distributed.get_world_size(),))
    for network in networks:
        for parameter in network.parameters():
            parameter.data = parameter.data.contiguous()  # other layouts cannot be cut
        for unit in (*_blocks(network), network):
            fully_shard(unit, mesh=mesh, reshard_after_forward=True)


def _blocks(network: nn.Module) -> Iterator[nn.Module]:
    """The parts that compute one after another: members of lists, and children that have parts themselves."""
    for child in network.children():
        parts = child if isinstance(child, nn.ModuleList) else [child] if any(child.children()) else []
        yield from (part for part in parts if any(True for _ in part.parameters()))


def whole(tensor: Tensor) -> Tensor:
    """A tensor with all its parts. To be called by all processes; what is not spread is itself."""
    gather = getattr(tensor, "full_tensor", None)  # DTensor has it; its module is not there in every build of torch
    return tensor if gather is None else gather()


def wholes(tensors: Mapping[str, Tensor], kept: bool = True) -> dict[str, Tensor]:
    """Tensors with all their parts, in the host's memory where they had to be put together; empty where not `kept`.

    To be called by all processes. One tensor at a time is put together on the device.
    """
    found = {}
    for name, tensor in tensors.items():
        full = whole(tensor)
        if kept:
            found[name] = full if full is tensor else full.cpu()
    return found


def spread_like(tensor: Tensor, model: Tensor) -> Tensor:
    """A whole tensor, which all processes have, spread as `model` is. One that is not spread stays as it is."""
    mesh, placements = (getattr(model, name, None) for name in ("device_mesh", "placements"))
    if mesh is None or tensor.shape != model.shape:
        return tensor
    from torch.distributed.tensor import distribute_tensor

    return distribute_tensor(tensor.to(model.device), mesh, placements)

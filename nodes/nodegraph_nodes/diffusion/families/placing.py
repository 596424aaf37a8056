"""Bringing networks onto a device and off again; what is larger than its room is streamed through it, block by block.

A streamed network keeps as many of its blocks on the device as fit. The others stay in the host's memory, and each is copied
over while the one before it computes (diffusers' group offloading).
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import torch
from torch import nn

_FOR_WORK = 0.3
"""The share of the room that stays free for what a network computes."""


def place(network: Any, device: torch.device, room_bytes: int | None) -> None:
    """Bring a loaded network onto a device. room_bytes: what is free there; None where that cannot be told.

    network: as in `loaded.py`, with `module` and `to`. What a pack's loader has put on the device already, stays; what can be
    neither moved nor streamed is the pack's own business.
    """
    module = getattr(network, "module", None)
    if not hasattr(network, "to") or _is_on(module, device):
        return
    budget = None if room_bytes is None else int(room_bytes * (1 - _FOR_WORK))
    too_large = budget is not None and device.type != "cpu" and network.nbytes > budget
    if budget is not None and too_large and isinstance(module, nn.Module) and hasattr(network, "streams_on"):
        stream(module, device, budget)
        network.streams_on(device)
    else:
        network.to(device)


def _is_on(module: Any, device: torch.device) -> bool:
    """Whether a module's weights lie on a device, all of them."""
    if not isinstance(module, nn.Module) or _STREAMED in module.__dict__:
        return False
    devices = {parameter.device for parameter in module.parameters()}
    return devices == {device}


def take_off(network: Any) -> None:
    """Bring a network into the host's memory, whole."""
    module = getattr(network, "module", None)
    if isinstance(module, nn.Module) and (streaming := module.__dict__.pop(_STREAMED, None)) is not None:
        for block in streaming.blocks:
            _unhook(block)
    network.to("cpu")


@contextmanager
def held_still(network: Any) -> Iterator[None]:
    """While a network is changed it is not streamed: streaming holds weights of its own, which a change would not reach."""
    module = getattr(network, "module", None)
    streaming: _Streaming | None = module.__dict__.get(_STREAMED) if isinstance(module, nn.Module) else None
    if module is None or streaming is None:
        yield
        return
    take_off(network)
    try:
        yield
    finally:
        stream(module, streaming.device, streaming.budget_bytes)
        network.streams_on(streaming.device)


class _Streaming(NamedTuple):
    """How a network is streamed."""

    blocks: list[nn.Module]
    device: torch.device
    budget_bytes: int


_STREAMED = "_nodegraph_streamed"


def stream(module: nn.Module, device: torch.device, budget_bytes: int) -> list[nn.Module]:
    """Keep on the device what fits the budget, and stream the other blocks through it: those that are streamed."""
    from diffusers.hooks import apply_group_offloading

    streamed = blocks_to_stream(module, budget_bytes)
    inside = {id(part) for block in streamed for part in block.modules()}
    for part in module.modules():  # everything else lies on the device
        if id(part) not in inside:
            for parameter in part.parameters(recurse=False):
                parameter.data = parameter.data.to(device)
            for name, buffer in part.named_buffers(recurse=False):
                setattr(part, name, buffer.to(device))
    for block in streamed:
        apply_group_offloading(block, device, torch.device("cpu"), "leaf_level", use_stream=device.type == "cuda")
    module.__dict__[_STREAMED] = _Streaming(streamed, device, budget_bytes)
    return streamed


def blocks_to_stream(module: nn.Module, budget_bytes: int) -> list[nn.Module]:
    """The blocks to stream so that the rest, and the largest streamed block's largest layer, fit a budget: the last ones first.

    Early blocks are kept: while they compute, the first streamed one can be on its way.
    """
    found = list(_blocks(module))
    left = sum(_bytes(block) for block in found) + _loose_bytes(module, found)
    streamed: list[nn.Module] = []
    for block in reversed(found):
        passing = max((_own_bytes(part) for other in streamed for part in other.modules()), default=0)
        if left + 2 * passing <= budget_bytes:
            break
        streamed.insert(0, block)
        left -= _bytes(block)
    return streamed


def _blocks(module: nn.Module) -> Iterator[nn.Module]:
    """The network's blocks in order: what its lists hold, else its children."""
    for child in module.children():
        if isinstance(child, nn.ModuleList):
            yield from child
        else:
            yield child


def _bytes(module: nn.Module) -> int:
    return sum(tensor.numel() * tensor.element_size() for tensor in (*module.parameters(), *module.buffers()))


def _own_bytes(module: nn.Module) -> int:
    tensors = (*module.parameters(recurse=False), *module.buffers(recurse=False))
    return sum(tensor.numel() * tensor.element_size() for tensor in tensors)


def _loose_bytes(module: nn.Module, blocks: list[nn.Module]) -> int:
    return _bytes(module) - sum(map(_bytes, blocks))


def _unhook(block: nn.Module) -> None:
    """Take diffusers' hooks off again; its registry has no call for a whole tree."""
    for part in block.modules():
        registry: Any = part.__dict__.get("_diffusers_hook")
        for name in list(registry.hooks) if registry is not None else ():
            registry.remove_hook(name, recurse=False)

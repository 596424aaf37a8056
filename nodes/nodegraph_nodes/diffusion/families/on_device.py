"""A torch module as the arbiter moves it about: on a device, off again, or streamed through it."""

from typing import Any, Self

import torch
from torch import Tensor

from .loaded import module_bytes


class OnDevice:
    """What loaded networks have in common. place: a tensor of the dtype and device that it computes in and on."""

    def __init__(self, module: Any) -> None:
        self.module = module.eval().requires_grad_(False)
        self.place: Tensor = next(module.parameters())  # diffusers' own .dtype and .device cost 2 ms a call

    @property
    def nbytes(self) -> int:
        return module_bytes(self.module)

    def to(self, device: torch.device | str) -> Self:
        self.module.to(device)
        self.place = next(self.module.parameters())
        return self

    def streams_on(self, device: torch.device) -> None:
        """Compute there from now on, though some of the weights lie elsewhere between two uses."""
        self.place = torch.empty(0, device=device, dtype=self.place.dtype)

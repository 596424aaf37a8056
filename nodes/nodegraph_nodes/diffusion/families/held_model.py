"""What loaded encoders have in common: one model of transformers, that is not trained."""

from typing import Any, Self

import torch

from .loaded import module_bytes


class HeldModel:
    """A model: what it takes, and where it lies."""

    def __init__(self, model: Any) -> None:
        self.model = model.eval().requires_grad_(False)

    @property
    def nbytes(self) -> int:
        return module_bytes(self.model)

    def to(self, device: torch.device | str) -> Self:
        self.model.to(device)
        return self

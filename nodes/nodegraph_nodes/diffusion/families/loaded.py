"""Networks in memory, as the rest of the library sees them: one interface per role, whatever the architecture.

Tensors cross these interfaces in float32; inside, a network computes in the dtype it was loaded with.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import NamedTuple, Protocol, Self

import torch
from torch import Tensor, nn

from nodegraph_nodes.types import Conditioning, Prediction


class Prompts(NamedTuple):
    """Conditionings stacked along the batch. states: [B, L, D]; pooled: [B, P] or None; extra: by name, [B, ...]."""

    states: Tensor
    pooled: Tensor | None = None
    extra: Mapping[str, Tensor] = MappingProxyType({})


@dataclass(frozen=True, slots=True, eq=False)
class Hints:
    """What steers a network beside its prompts, stacked along the batch.

    progress: the share of the schedule that each item has done. distilled: the guidance scale that a distilled network is told.
    concat: [B, C', h, w], the further input channels of an inpainting model. negative: which items are negative prompts; none
    given means that none is.
    """

    progress: tuple[float, ...]
    distilled: tuple[float, ...]
    concat: Tensor | None = None
    negative: tuple[bool, ...] = ()


class LoadedDenoiser(Protocol):
    """A denoising network."""

    family: str
    prediction: Prediction

    @property
    def nbytes(self) -> int: ...

    def to(self, device: torch.device | str) -> Self: ...

    def predict(self, x: Tensor, timesteps: Sequence[float], prompts: Prompts, hints: Hints | None = None) -> Tensor:
        """x [B, C, h, w] at one timestep per item -> the network's raw output [B, C, h, w] float32."""


class LoadedTextEncoder(Protocol):
    """A text encoder with its tokenizer. max_tokens: how many tokens of a text it reads; the rest is cut off."""

    family: str
    max_tokens: int

    @property
    def nbytes(self) -> int: ...

    def to(self, device: torch.device | str) -> Self: ...

    def count_tokens(self, text: str) -> int:
        """How many tokens the text has, not counting the marks at its ends. More than max_tokens are cut off."""

    def encode(self, texts: Sequence[str]) -> list[Conditioning]:
        """One conditioning per text."""


class LoadedAutoencoder(Protocol):
    """An image autoencoder. Pixels are 0..1 sRGB, latents normalised."""

    family: str

    @property
    def nbytes(self) -> int: ...

    def to(self, device: torch.device | str) -> Self: ...

    def decode(self, samples: Tensor) -> Tensor:
        """[B, C, h, w] -> [B, H, W, 3]"""

    def encode(self, pixels: Tensor, noise: Tensor | None = None) -> Tensor:
        """[B, H, W, 3] -> [B, C, h, w]: the posterior's mean, or a sample of it where noise [B, C, h, w] is given."""


def module_bytes(module: nn.Module) -> int:
    """Bytes of a module's parameters and buffers."""
    return sum(t.numel() * t.element_size() for t in (*module.parameters(), *module.buffers()))

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


class Residuals(NamedTuple):
    """What control networks add inside a U-Net, each [B, C, h, w] float32, from the largest to the smallest.

    down: to what each layer of its way down hands across; mid: to what its middle gives; inside: to what its levels hand down.
    """

    down: tuple[Tensor, ...] = ()
    mid: Tensor | None = None
    inside: tuple[Tensor, ...] = ()


@dataclass(frozen=True, slots=True, eq=False)
class Reading:
    """Something that the cross-attention of one item reads: a prompt, or a picture through an adapter.

    tokens: [L, D]. mask: [H, W] at any size, where it counts; None for everywhere. adapter: whose keys and values it is read
    with; None for the network's own, that is, a prompt.
    """

    tokens: Tensor
    weight: float = 1.0
    mask: Tensor | None = None
    adapter: "LoadedImageAdapter | None" = None


@dataclass(frozen=True, slots=True, eq=False)
class Hints:
    """What steers a network beside its prompts, stacked along the batch.

    progress: the share of the schedule that each item has done. distilled: the guidance scale that a distilled network is told.
    concat: [B, C', h, w], the further input channels of an inpainting model. negative: which items are negative prompts; none
    given means that none is. residuals: what control networks add inside. readings: for each item what its cross-attention
    reads: prompts, instead of its own, and pictures; empty where no item has any; only a U-Net knows them.
    """

    progress: tuple[float, ...]
    distilled: tuple[float, ...]
    concat: Tensor | None = None
    negative: tuple[bool, ...] = ()
    residuals: Residuals | None = None
    readings: tuple[tuple[Reading, ...], ...] = ()


class LoadedDenoiser(Protocol):
    """A denoising network."""

    family: str
    prediction: Prediction

    @property
    def nbytes(self) -> int: ...

    def to(self, device: torch.device | str) -> Self: ...

    def predict(self, x: Tensor, timesteps: Sequence[float], prompts: Prompts, hints: Hints | None = None) -> Tensor:
        """x [B, C, h, w] at one timestep per item -> the network's raw output [B, C, h, w] float32."""


class LoadedControl(Protocol):
    """A control network. positive_only: it steers the positive prompt's estimate alone."""

    family: str
    positive_only: bool

    @property
    def module(self) -> nn.Module: ...

    @property
    def nbytes(self) -> int: ...

    def to(self, device: torch.device | str) -> Self: ...

    def picture_size(self, height: int, width: int) -> tuple[int, int]:
        """Height and width in pixels of the pictures that go with latents of a height and width."""

    def residuals(
        self, x: Tensor, timesteps: Sequence[float], prompts: Prompts, negative: Sequence[bool], pictures: Tensor
    ) -> Residuals:
        """What it adds for latents x [B, C, h, w] and pictures [B, H, W, 3], 0..1, at full strength.

        negative: which prompts are negative ones.
        """


class LoadedImageAdapter(Protocol):
    """What an IP-Adapter adds to a denoiser: tokens for its cross-attentions, and their keys and values in each."""

    path: str

    @property
    def nbytes(self) -> int: ...

    def to(self, device: torch.device | str) -> Self: ...

    def tokens(self, embeds: Tensor) -> Tensor:
        """What an image encoder says of N pictures [N, T, D] -> tokens [L, W], all pictures' behind one another."""

    def keys_and_values(self, layer: int, tokens: Tensor) -> tuple[Tensor, Tensor]:
        """Of tokens [K, L, W] in the denoiser's cross-attention number `layer`: two [K, L, C]."""

    @property
    def widths(self) -> tuple[tuple[int, int], ...]:
        """(W, C) of each layer."""


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

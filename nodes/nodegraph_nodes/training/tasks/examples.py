"""What a denoiser's training sees of a batch: latents, and what may be told of each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, Protocol

import torch
from torch import Tensor

from nodegraph_nodes.training.data import Pick

from .captions import Captions

UNLABELLED = -1


class Batch(NamedTuple):
    """Examples of one size. latents: [B, C, h, w] float32; captions: [B], numbers in `book`; labels: [B], -1 for none.

    further: what more is told of each, [B, C', h', w'] float32: a layout's regions, or a mask and the masked picture's latent.
    """

    latents: Tensor
    captions: Tensor
    labels: Tensor
    further: Tensor | None
    book: Captions | None


class Source(Protocol):
    """Where examples come from: encoded before, or as they are read. Reading and collating may happen in other processes."""

    def read(self, pick: Pick) -> Any:
        """One example, in the host's memory."""

    def collate(self, examples: Sequence[Any]) -> Mapping[str, Tensor]:
        """Examples as tensors, in the host's memory."""

    def take(self, collated: Mapping[str, Tensor], device: torch.device) -> Batch:
        """The batch, on the device."""


def seed_of(pick: Pick, seed: int) -> int:
    """What seeds everything random about an example beside its variation."""
    return ((seed * 1_000_003 + pick.entry) * 4099 + pick.draw + 1) % 2**32

"""Pictures that are encoded as they are read: every one is new, and each step pays for it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from nodegraph_nodes.diffusion.families import LoadedAutoencoder, LoadedTextEncoder
from nodegraph_nodes.training.data import Example, Pick, Reader
from nodegraph_nodes.types import Dataset

from .captions import encode_captions
from .encoding import normal_latents
from .examples import UNLABELLED, Batch, seed_of
from .further import Further


class Seen(NamedTuple):
    """An example, and what seeds what is random about it beside."""

    example: Example
    seed: int


class Reading:
    """Reads in any process."""

    def __init__(self, dataset: Dataset, seed: int) -> None:
        self._reader, self._seed = Reader(dataset, seed=seed), seed

    def __call__(self, pick: Pick) -> Seen:
        return Seen(self._reader.read(pick), seed_of(pick, self._seed))


class Fresh:
    """Examples of a data set, encoded batch by batch. encoder: for captions, where they are told."""

    def __init__(
        self,
        dataset: Dataset,
        autoencoder: LoadedAutoencoder,
        encoder: LoadedTextEncoder | None,
        further: Further | None,
        seed: int,
    ) -> None:
        self.read, self.collate = Reading(dataset, seed), collated
        self._autoencoder, self._encoder, self._further = autoencoder, encoder, further

    @torch.no_grad()
    def take(self, collated: Mapping[str, Tensor], device: torch.device) -> Batch:
        with torch.autocast(device.type, enabled=False):
            pixels = collated["pixels"].to(device).float() / 255
            latents = normal_latents(self._autoencoder, pixels)
            texts = [bytes(row).rstrip(b"\0").decode() for row in collated["texts"].tolist()]
            book = None if self._encoder is None else encode_captions(self._encoder, texts)
            numbers = torch.tensor([0 if book is None else book.number[text] for text in texts])
            further = None
            if self._further is not None:
                layouts = collated.get("layouts")
                examples = [
                    Example(pixels[row], text, None, None if layouts is None else layouts[row])
                    for row, text in enumerate(texts)
                ]
                further = self._further.of(examples, pixels, latents, collated["seeds"].tolist()).to(device)
        return Batch(latents, numbers, collated["labels"], further, book)


def collated(examples: Sequence[Seen]) -> dict[str, Tensor]:
    """Pixels [B, H, W, 3] uint8, captions [B, L] as UTF-8 filled up with zeros, labels [B], layouts [B, H, W], seeds [B]."""
    found = [seen.example for seen in examples]
    texts = [example.caption.encode() for example in found]
    length = max(1, *map(len, texts))
    batch = {
        "pixels": torch.stack([example.pixels for example in found]),
        "texts": torch.tensor([list(text.ljust(length, b"\0")) for text in texts], dtype=torch.uint8),
        "labels": torch.tensor([UNLABELLED if example.label is None else example.label for example in found]),
        "seeds": torch.tensor([seen.seed for seen in examples]),
    }
    layouts = [example.layout for example in found if example.layout is not None]
    return {**batch, "layouts": torch.stack(layouts)} if len(layouts) == len(found) else batch

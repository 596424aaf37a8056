"""What a denoiser is told of a picture in training: words, a class, a layout; of some pictures nothing, for guidance."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, NamedTuple

import torch
from torch import Tensor

from nodegraph_nodes.diffusion.families import Prompts, told_class, told_nothing
from nodegraph_nodes.diffusion.families.layouts import layout_states
from nodegraph_nodes.types import Conditioning, Guidance

from .captions import Captions
from .examples import Batch

FAMILY = "training"
"""Of the conditionings and networks that are used while a training lasts."""

What = Literal["prompt", "class", "layout", "none"]


class Heard(NamedTuple):
    """What a U-Net is given beside the noisy latent. states: [B, L, D]; classes: [B] numbers, or [B, P] the prompt as a whole.

    concat: [B, C', h, w], further input channels.
    """

    states: Tensor | None = None
    classes: Tensor | None = None
    concat: Tensor | None = None


@dataclass(frozen=True, slots=True)
class Telling:
    """How a denoiser is told of a batch.

    pools: it is told the prompt as a whole, too. classes: how many; the number after the last stands for none. concat: what
    is further known of a picture comes as input channels, of which nothing is ever left out. The empty prompt, and a layout of
    zeros, stand for nothing.
    """

    what: What
    pools: bool = False
    classes: int = 0
    concat: bool = False

    def hear(self, batch: Batch, silent: Tensor) -> Heard:
        """What is heard of each picture of a batch; of those that are `silent` [B], nothing."""
        concat = batch.further if self.concat else None
        if self.what == "prompt" and batch.book is not None:
            states, pooled = batch.book[batch.captions.where(~silent.to(batch.captions.device), 0)]
            return Heard(states, pooled if self.pools else None, concat)
        if self.what == "class":
            known = (batch.labels >= 0) & ~silent.to(batch.labels.device)
            return Heard(None, batch.labels.where(known, self.classes), concat)
        if self.what == "layout" and batch.further is not None:
            return Heard(layout_states(batch.further) * ~silent.to(batch.further.device)[:, None, None])
        return Heard(concat=concat)

    def guidances(self, batch: Batch, scale: float) -> list[Guidance]:
        """How pictures like these are drawn."""
        count = len(batch.latents)
        concat = batch.further if self.concat else None
        positive = self._said(self.hear(batch, torch.zeros(count, dtype=torch.bool)), count)
        negative = self._said(self.hear(batch, torch.ones(count, dtype=torch.bool)), count)
        return [
            Guidance(
                positive[row],
                None if self.what == "none" else negative[row],
                1.0 if self.what == "none" else scale,
                concat=None if concat is None else concat[row],
            )
            for row in range(count)
        ]

    def _said(self, heard: Heard, count: int) -> list[Conditioning]:
        if self.what == "class" and heard.classes is not None:
            return [told_class(FAMILY, number) for number in heard.classes.tolist()]
        if heard.states is None:
            return [told_nothing(FAMILY)] * count
        pooled = [None] * count if heard.classes is None else heard.classes
        return [Conditioning(states, FAMILY, whole) for states, whole in zip(heard.states, pooled, strict=True)]

    def heard_from(self, prompts: Prompts, concat: Tensor | None) -> Heard:
        """The same the other way round: what conditionings mean to the network."""
        if self.what == "class":
            return Heard(None, prompts.extra["class_label"], concat)
        return Heard(prompts.states if prompts.states.numel() else None, prompts.pooled, concat)


def prompted(batch: Batch, book: Captions, prompts: list[str]) -> Batch:
    """A batch for these prompts; what else is told of its pictures is that of the batch's, in turn."""
    rows = torch.arange(len(prompts)) % len(batch.latents)
    numbers = torch.tensor([book.number[text] for text in prompts], device=batch.captions.device)
    further = None if batch.further is None else batch.further[rows.to(batch.further.device)]
    return Batch(
        batch.latents[rows.to(batch.latents.device)], numbers, batch.labels[rows.to(batch.labels.device)], further, book
    )

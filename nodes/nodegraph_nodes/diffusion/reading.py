"""What a network's cross-attention reads of a guidance: prompts at their places, and pictures through their adapters."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from nodegraph_nodes.types import Conditioning, Guidance

from .combine import in_range
from .families.attention import normalised
from .families.loaded import LoadedImageAdapter, Reading


def prompts_read(parts: Sequence[Conditioning]) -> tuple[Reading, ...]:
    """The readings of parts that share one item of a batch; none for a single part, which counts everywhere."""
    if len(parts) == 1:
        return ()
    return tuple(Reading(part.states, part.weight, part.mask) for part in parts)


def pictures_read(
    guidance: Guidance, progress: float, negative: bool, resident: Callable[[Any], Any] | None
) -> tuple[Reading, ...]:
    """The readings of a guidance's image prompts at this point of a run. negative: for the prompt that it leads away from.

    resident: an adapter's recipe -> the adapter, loaded.
    """
    readings = []
    for prompt in guidance.image_prompts:
        if prompt.weight != 0 and in_range(prompt.start, prompt.end, progress):
            if resident is None:
                raise ValueError("Image prompts need a way to load their adapters.")
            adapter: LoadedImageAdapter = resident(prompt.network)
            tokens = adapter.tokens(prompt.empty if negative else prompt.embeds)
            readings.append(Reading(tokens, prompt.weight, prompt.mask, adapter))
    return tuple(readings)


def as_one(parts: Sequence[Conditioning]) -> Conditioning:
    """The prompt of an item that several parts share; what is not read by places (pooled) is their mean, by area and weight.

    Its length is the mean of their lengths: a network has seen no shorter ones.
    """
    first = parts[0]
    if len(parts) == 1 or first.pooled is None:
        return first
    weights = normalised(torch.stack([part.weight * _covered(part.mask, first.states) for part in parts]))[:, None]
    pooled = torch.stack([part.pooled if part.pooled is not None else first.pooled for part in parts])  # [N, P]
    mean = (pooled * weights.to(pooled)).sum(0)
    length = (pooled.norm(dim=1, keepdim=True) * weights.to(pooled)).sum(0)
    return replace(first, pooled=mean * length / mean.norm().clamp_min(1e-6))


def _covered(mask: Tensor | None, like: Tensor) -> Tensor:
    """The share of the picture that a mask covers: []"""
    return like.new_ones(()) if mask is None else mask.to(like).mean()

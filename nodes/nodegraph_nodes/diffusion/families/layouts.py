"""Models that are told what lies where: which regions they know, and how a layout is said to them.

As further input channels, one for each region; or as states for cross-attention, one for each of TOKENS x TOKENS places.
"""

import math
from pathlib import Path

import torch
from torch import Tensor
from torch.nn.functional import adaptive_avg_pool2d, one_hot

from nodegraph_nodes.types import Denoiser

from .source import ModelSource

TOKENS = 8  # places along a side of a layout that is read by attention
_FREQUENCIES = 4  # of the sines and cosines that say where a place is, along each axis
POSITIONS = 4 * _FREQUENCIES
_CARD = "starter.json"


def regions_of(recipe: Denoiser) -> tuple[str, ...]:
    """The names of the regions that a model knows, in the order of their numbers; empty for a model that knows no layouts."""
    source = ModelSource(Path(recipe.path), recipe.digest)
    if not source.is_folder or not source.has(_CARD):
        return ()
    return tuple(str(name) for name in source.json(_CARD).get("regions", []))


def layout_shares(maps: Tensor, regions: int, size: tuple[int, int]) -> Tensor:
    """How much of each place is which region: maps [B, H, W] of numbers -> [B, regions, h, w], 0..1. Others are none."""
    flags = one_hot(maps.long().clamp(0, regions), regions + 1)[..., :regions].movedim(-1, 1).float()
    return adaptive_avg_pool2d(flags, size)


def layout_states(shares: Tensor) -> Tensor:
    """Regions' shares [B, R, h, w] as what cross-attention reads: [B, h w, R + POSITIONS], a place in each row.

    Behind the shares stand sines and cosines of where it lies (Vaswani et al. 2017, section 3.5, along both axes). No
    parameters: what to make of it is the attention's own business.
    """
    count, _, height, width = shares.shape
    down, across = _waves(height, shares), _waves(width, shares)
    places = torch.cat([down[:, None].expand(-1, width, -1), across[None].expand(height, -1, -1)], -1)
    return torch.cat([shares.flatten(2).transpose(1, 2), places.flatten(0, 1).expand(count, -1, -1)], 2)


def _waves(places: int, like: Tensor) -> Tensor:
    """[places, 2 frequencies]"""
    turns = math.pi * 2.0 ** torch.arange(_FREQUENCIES, device=like.device, dtype=like.dtype)
    angles = (torch.arange(places, device=like.device, dtype=like.dtype) + 0.5)[:, None] / places * turns
    return torch.cat([angles.sin(), angles.cos()], 1)

"""Filling with texture: every patch of the hole is to look like some patch outside it.

Coarse to fine, in turns: find for each patch its most similar one outside (PatchMatch, Barnes et al. 2009), then let the
patches that cover a pixel vote for its colour (Wexler et al. 2007).
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d, interpolate, max_pool2d

from nodegraph_nodes.image.infill.harmonic import harmonic

_REACH = 3  # patches of 7 x 7
_SMALLEST = 24  # pixels of a picture's shorter side that are enough to begin with
_TURNS = 6
_AROUND = ((-1, 0), (1, 0), (0, -1), (0, 1))


class Patches(NamedTuple):
    """The patches that reach into a hole. rows, columns: their centres [N]; cells: the rows and columns [N, P] of their pixels.

    offsets: of a patch's pixels from its centre, down and to the right [P]. numbers: [H, W], of the patch around each pixel,
    or -1. sources: bool [H, W], the centres of whole patches outside the hole.
    """

    rows: Tensor
    columns: Tensor
    cells: tuple[Tensor, Tensor]
    offsets: tuple[Tensor, Tensor]
    numbers: Tensor
    sources: Tensor


class Matches(NamedTuple):
    """For each patch [N] the centre of the one outside the hole that it looks like, and the squares by which it differs."""

    rows: Tensor
    columns: Tensor
    distance: Tensor


def patched(image: Tensor, hole: Tensor, seed: int) -> Tensor:
    """The picture [H, W, C] with its hole (bool [H, W], not everywhere) filled by patches of the rest.

    Where no whole patch lies outside the hole it is filled smoothly instead.
    """
    return _at_size(image, hole, torch.Generator().manual_seed(seed))


def _at_size(image: Tensor, hole: Tensor, generator: torch.Generator) -> Tensor:
    height, width = hole.shape
    patches = _patches(hole)
    if not patches.sources.any():
        return harmonic(image, hole)
    estimate = None
    if min(height, width) >= 2 * _SMALLEST:
        known = (~hole).to(image)[None, None]
        share = avg_pool2d(known, 2, ceil_mode=True, count_include_pad=False)
        planes = avg_pool2d(image.movedim(-1, 0)[None] * known, 2, ceil_mode=True, count_include_pad=False)
        small, small_hole = (planes / share.clamp_min(1e-12))[0].movedim(0, -1), share[0, 0] == 0
        if small_hole.any():
            made = _at_size(small, small_hole, generator).movedim(-1, 0)[None]
            larger = interpolate(made, (height, width), mode="bilinear", align_corners=False)[0].movedim(0, -1)
            estimate = torch.where(hole[..., None], larger, image)
    if estimate is None:
        estimate = harmonic(image, hole)
    rows, columns = patches.sources.nonzero(as_tuple=True)
    first = torch.randint(len(rows), (len(patches.rows),), generator=generator)
    matches = Matches(rows[first], columns[first], torch.zeros(0))
    for _ in range(_TURNS):
        matches = _searched(patches, estimate, matches, generator)
        estimate = _voted(patches, estimate, hole, matches)
    return estimate


def _patches(hole: Tensor) -> Patches:
    height, width = hole.shape
    touched = max_pool2d(hole.float()[None, None], 2 * _REACH + 1, 1, _REACH)[0, 0] > 0
    sources = torch.zeros_like(hole)
    sources[_REACH : height - _REACH, _REACH : width - _REACH] = True
    rows, columns = touched.nonzero(as_tuple=True)
    numbers = torch.full((height, width), -1)
    numbers[rows, columns] = torch.arange(len(rows))
    down, right = (side.flatten() for side in torch.meshgrid(*[torch.arange(-_REACH, _REACH + 1)] * 2, indexing="ij"))
    cells = (  # beyond the border a picture goes on as it is there
        (rows[:, None] + down).clamp(0, height - 1),
        (columns[:, None] + right).clamp(0, width - 1),
    )
    return Patches(rows, columns, cells, (down, right), numbers, sources & ~touched)


def _searched(patches: Patches, estimate: Tensor, matches: Matches, generator: torch.Generator) -> Matches:
    """Better matches in a changed picture: those of neighbours, and random ones nearer and nearer by."""
    height, width = patches.numbers.shape
    everywhere = torch.arange(len(patches.rows))
    matches = matches._replace(distance=_differences(patches, estimate, everywhere, matches.rows, matches.columns))
    for step in (8, 4, 2, 1):
        for down, right in _AROUND:  # what fits a neighbour fits, shifted, here too
            at = (patches.rows + down * step).clamp(0, height - 1), (patches.columns + right * step).clamp(0, width - 1)
            theirs = patches.numbers[at]
            rows, columns = matches.rows[theirs] - down * step, matches.columns[theirs] - right * step
            matches = _better(patches, estimate, matches, rows, columns, theirs >= 0)
    radius = max(height, width)
    while radius >= 1:
        jumps = ((torch.rand(2, len(patches.rows), generator=generator) * 2 - 1) * radius).round().long()
        matches = _better(patches, estimate, matches, matches.rows + jumps[0], matches.columns + jumps[1], everywhere >= 0)
        radius //= 2
    return matches


def _better(patches: Patches, estimate: Tensor, matches: Matches, rows: Tensor, columns: Tensor, good: Tensor) -> Matches:
    """The matches, with those proposed (rows, columns [N]) that are good, whole patches, and more alike."""
    height, width = patches.numbers.shape
    rows, columns = rows.clamp(0, height - 1), columns.clamp(0, width - 1)
    (among,) = (good & patches.sources[rows, columns]).nonzero(as_tuple=True)
    distance = _differences(patches, estimate, among, rows[among], columns[among])
    closer = distance < matches.distance[among]
    changed = among[closer]
    return Matches(
        matches.rows.index_copy(0, changed, rows[changed]),
        matches.columns.index_copy(0, changed, columns[changed]),
        matches.distance.index_copy(0, changed, distance[closer]),
    )


def _differences(patches: Patches, estimate: Tensor, which: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    """The sums of squares by which some patches differ from those around the given centres: [len(which)]."""
    ours = estimate[patches.cells[0][which], patches.cells[1][which]]  # [n, P, C]
    theirs = estimate[rows[:, None] + patches.offsets[0], columns[:, None] + patches.offsets[1]]
    return (ours - theirs).square().sum((1, 2))


def _voted(patches: Patches, estimate: Tensor, hole: Tensor, matches: Matches) -> Tensor:
    """Each pixel of the hole as the mean of what its patches' likenesses have there, those more that are more alike."""
    height, width, channels = estimate.shape
    spread = matches.distance.mean().clamp_min(1e-8)
    weights = torch.exp(-matches.distance / spread).clamp_min(1e-6)[:, None].expand_as(patches.cells[0]).reshape(-1)
    colors = estimate[matches.rows[:, None] + patches.offsets[0], matches.columns[:, None] + patches.offsets[1]]
    places = (patches.cells[0] * width + patches.cells[1]).reshape(-1)
    total = estimate.new_zeros(height * width).index_add_(0, places, weights)
    summed = estimate.new_zeros(height * width, channels).index_add_(0, places, colors.reshape(-1, channels) * weights[:, None])
    mean = (summed / total.clamp_min(1e-6)[:, None]).view(height, width, channels)
    return torch.where(hole[..., None], mean, estimate)

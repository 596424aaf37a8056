"""Filling with texture: every patch of the hole is to look like some patch outside it.

Coarse to fine, in turns: find for each patch its most similar one outside (PatchMatch, Barnes et al. 2009), then let the
patches that cover a pixel vote for its colour (Wexler et al. 2007).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d, interpolate, max_pool2d

from nodegraph_nodes.image.infill.harmonic import harmonic

_REACH = 3  # patches of 7 x 7
_SMALLEST = 24  # pixels of a picture's shorter side that are enough to begin with
_FIRST_TURNS, _FURTHER_TURNS = 6, 2  # at the smallest size, where all is found, and at those that refine it
_NEAR = 16  # pixels: how far off a match from a smaller size may be
_AT_ONCE = 1 << 15  # patches: memory
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
    return _at_size(image, hole, torch.Generator().manual_seed(seed))[0]


def _at_size(image: Tensor, hole: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor | None]:
    """The picture filled, and where the patch around each pixel comes from: rows and columns [2, H, W], -1 where none is."""
    height, width = hole.shape
    patches = _patches(hole)
    if not patches.sources.any():
        return harmonic(image, hole), None
    rows, columns = patches.sources.nonzero(as_tuple=True)
    first = torch.randint(len(rows), (len(patches.rows),), generator=generator)
    matches = Matches(rows[first], columns[first], torch.zeros(0))
    estimate, known = _from_half(image, hole, generator)
    steps, radius, turns = [8, 4, 2, 1], max(height, width), _FIRST_TURNS
    if known is not None:
        steps, radius, turns = [1], _NEAR, _FURTHER_TURNS
        rows, columns = known[:, patches.rows, patches.columns].unbind(0)
        good = (rows >= 0) & patches.sources[rows.clamp(0, height - 1), columns.clamp(0, width - 1)]
        matches = Matches(torch.where(good, rows, matches.rows), torch.where(good, columns, matches.columns), matches.distance)
    for _ in range(turns):
        matches = _searched(patches, estimate, matches, steps, radius, generator)
        estimate = _voted(patches, estimate, hole, matches)
    places = torch.full((2, height, width), -1)
    places[:, patches.rows, patches.columns] = torch.stack([matches.rows, matches.columns])
    return estimate, places


def _from_half(image: Tensor, hole: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor | None]:
    """What filling the picture at half its size says: the picture and the places; smooth, and None, where that is too small."""
    height, width = hole.shape
    if min(height, width) < 2 * _SMALLEST:
        return harmonic(image, hole), None
    known = (~hole).to(image)[None, None]
    share = avg_pool2d(known, 2, ceil_mode=True, count_include_pad=False)
    planes = avg_pool2d(image.movedim(-1, 0)[None] * known, 2, ceil_mode=True, count_include_pad=False)
    if not (share == 0).any():
        return harmonic(image, hole), None
    made, places = _at_size((planes / share.clamp_min(1e-12))[0].movedim(0, -1), share[0, 0] == 0, generator)
    larger = interpolate(made.movedim(-1, 0)[None], (height, width), mode="bilinear", align_corners=False)[0]
    estimate = torch.where(hole[..., None], larger.movedim(0, -1), image)
    if places is None:
        return estimate, None
    wide = places.repeat_interleave(2, 1).repeat_interleave(2, 2)[:, :height, :width]
    odd = torch.stack(torch.meshgrid(torch.arange(height) % 2, torch.arange(width) % 2, indexing="ij"))
    return estimate, torch.where(wide >= 0, 2 * wide + odd, -1)


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


def _searched(
    patches: Patches, estimate: Tensor, matches: Matches, steps: Sequence[int], radius: int, generator: torch.Generator
) -> Matches:
    """Better matches in a changed picture: those of neighbours some steps away, and random ones nearer and nearer by."""
    height, width = patches.numbers.shape
    everywhere = torch.arange(len(patches.rows))
    matches = matches._replace(distance=_differences(patches, estimate, everywhere, matches.rows, matches.columns))
    for step in steps:
        for down, right in _AROUND:  # what fits a neighbour fits, shifted, here too
            at = (patches.rows + down * step).clamp(0, height - 1), (patches.columns + right * step).clamp(0, width - 1)
            theirs = patches.numbers[at]
            rows, columns = matches.rows[theirs] - down * step, matches.columns[theirs] - right * step
            matches = _better(patches, estimate, matches, rows, columns, theirs >= 0)
    while radius >= 1:
        jumps = ((torch.rand(2, len(patches.rows), generator=generator) * 2 - 1) * radius).round().long()
        matches = _better(patches, estimate, matches, matches.rows + jumps[0], matches.columns + jumps[1], everywhere >= 0)
        radius //= 3
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
    differences = []
    for start in range(0, len(which), _AT_ONCE):
        part = slice(start, start + _AT_ONCE)
        ours = estimate[patches.cells[0][which[part]], patches.cells[1][which[part]]]  # [n, P, C]
        differences.append((ours - _around(patches, estimate, rows[part], columns[part])).square().sum((1, 2)))
    return torch.cat(differences) if differences else estimate.new_zeros(0)


def _around(patches: Patches, estimate: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    """The patches around centres [n]: [n, P, C]."""
    width = estimate.shape[1]
    places = (rows * width + columns)[:, None] + (patches.offsets[0] * width + patches.offsets[1])
    return estimate.reshape(-1, estimate.shape[2])[places]


def _voted(patches: Patches, estimate: Tensor, hole: Tensor, matches: Matches) -> Tensor:
    """Each pixel of the hole as the mean of what its patches' likenesses have there, those more that are more alike."""
    height, width, channels = estimate.shape
    spread = matches.distance.mean().clamp_min(1e-8)
    weights = torch.exp(-matches.distance / spread).clamp_min(1e-6)
    total, summed = estimate.new_zeros(height * width), estimate.new_zeros(height * width, channels)
    for start in range(0, len(weights), _AT_ONCE):
        part = slice(start, start + _AT_ONCE)
        places = (patches.cells[0][part] * width + patches.cells[1][part]).reshape(-1)
        shares = weights[part, None].expand(-1, len(patches.offsets[0])).reshape(-1)
        colors = _around(patches, estimate, matches.rows[part], matches.columns[part]).reshape(-1, channels)
        total.index_add_(0, places, shares)
        summed.index_add_(0, places, colors * shares[:, None])
    mean = (summed / total.clamp_min(1e-6)[:, None]).view(height, width, channels)
    return torch.where(hole[..., None], mean, estimate)

"""Large pictures in overlapping windows that are blended with linear ramps: denoising, decoding and encoding.

Denoising is MultiDiffusion (Bar-Tal et al. 2023, equation 5). Where a picture wraps, windows go over its border.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import interpolate

from nodegraph_nodes.types import Conditioning, Control, ControlNet, Denoiser, Guidance, Tiles, Wrap

from .families.loaded import LoadedAutoencoder, LoadedDenoiser
from .families.wrapping import set_wrap
from .predict import Evaluation, guided_denoised_many
from .steering import Resident, fitted

_AT_ONCE = 8
"""Windows in one batch: a step's memory is that of so many small pictures, however large the whole is."""


class Window(NamedTuple):
    """A part of a picture, in positions of its grid. It may go over the border and on at the other side."""

    top: int
    left: int
    height: int
    width: int

    def times(self, scale: int) -> "Window":
        """The same part on a grid that is so many times finer."""
        return Window(*(scale * side for side in self))


def windows(height: int, width: int, tile: tuple[int, int], overlap: int, wrap: Wrap = "none") -> list[Window]:
    """Windows of one size that cover a grid, each overlapping its neighbours by at least `overlap` where the tile allows.

    tile: (height, width). A picture that fits into one tile is one window, but along an axis that wraps there are two, so that
    the border lies inside one of them.
    """
    rows = _starts(height, tile[0], overlap, wrap in ("y", "both"))
    columns = _starts(width, tile[1], overlap, wrap in ("x", "both"))
    return [Window(top, left, min(tile[0], height), min(tile[1], width)) for top in rows for left in columns]


def _starts(length: int, tile: int, overlap: int, wraps: bool) -> list[int]:
    step = max(1, tile - overlap)
    if wraps:
        count = max(2, math.ceil(length / min(step, length)))
        return [round(i * length / count) for i in range(count)]
    if length <= tile:
        return [0]
    count = math.ceil((length - tile) / step) + 1
    return [round(i * (length - tile) / (count - 1)) for i in range(count)]


def cut(x: Tensor, window: Window) -> Tensor:
    """The part [..., height, width] of x [..., H, W] that a window shows."""
    rows = torch.arange(window.top, window.top + window.height, device=x.device) % x.shape[-2]
    columns = torch.arange(window.left, window.left + window.width, device=x.device) % x.shape[-1]
    return x.index_select(-2, rows).index_select(-1, columns)


def blend(parts: Sequence[Tensor], places: Sequence[Window], height: int, width: int, overlap: int) -> Tensor:
    """Parts [..., h, w] at their windows -> the whole [..., height, width]: their mean, less of each at its rim."""
    if len(parts) == 1:
        return parts[0]
    whole = parts[0].new_zeros(*parts[0].shape[:-2], height, width)
    weights = parts[0].new_zeros(height, width)
    for part, window in zip(parts, places, strict=True):
        weight = _ramp(window.height, overlap).to(part)[:, None] * _ramp(window.width, overlap).to(part)[None]
        rows = torch.arange(window.top, window.top + window.height, device=part.device) % height
        columns = torch.arange(window.left, window.left + window.width, device=part.device) % width
        whole[..., rows[:, None], columns[None]] += part * weight
        weights[rows[:, None], columns[None]] += weight
    return whole / weights


def _ramp(length: int, overlap: int) -> Tensor:
    """1 in the middle, falling over `overlap` positions towards both ends, nowhere 0. [length]"""
    distance = torch.arange(length, dtype=torch.float32) + 0.5
    return (torch.minimum(distance, length - distance) / max(1, overlap)).clamp(max=1)


# ---- denoising ----


def estimates(
    network: LoadedDenoiser, denoiser: Denoiser, evaluations: Sequence[Evaluation], resident: Resident | None = None
) -> list[Tensor]:
    """The guided x0 estimates [C, h, w] of several runs, in tiles where the recipe says so."""
    resident = resident and _wrapping(resident, "none" if denoiser.tiles else denoiser.wrap)
    if denoiser.tiles is None:
        return guided_denoised_many(network, evaluations, resident)
    scale, tiles = denoiser.downscale, denoiser.tiles
    height, width = evaluations[0].x.shape[1:]
    overlap = tiles.overlap // scale
    places = windows(height, width, (tiles.height // scale, tiles.width // scale), overlap, denoiser.wrap)
    sized = [_sized(evaluation, scale) for evaluation in evaluations]
    wanted = [_in_window(evaluation, window, scale) for evaluation in sized for window in places]
    parts: list[Tensor] = []
    for start in range(0, len(wanted), _AT_ONCE):
        parts += guided_denoised_many(network, wanted[start : start + _AT_ONCE], resident)
    count = len(places)
    return [blend(parts[i * count : (i + 1) * count], places, height, width, overlap) for i in range(len(evaluations))]


def _wrapping(resident: Resident, wrap: Wrap) -> Resident:
    """Control networks see across the picture's border where the denoiser does."""

    def found(recipe: Any) -> Any:
        network = resident(recipe)
        if isinstance(recipe, ControlNet):
            set_wrap(network.module, wrap)
        return network

    return found


def _sized(evaluation: Evaluation, scale: int) -> Evaluation:
    """Masks as large as the latent and control pictures as large as the picture: once, and not for every window."""
    size = (evaluation.x.shape[1], evaluation.x.shape[2])

    def picture(control: Control) -> Control:
        return replace(control, image=fitted(control.image, size[0] * scale, size[1] * scale, control.fit))

    guidance = _placed(evaluation.guidance, lambda mask: _resized(mask[None], size)[0])
    return evaluation._replace(guidance=replace(guidance, controls=tuple(map(picture, guidance.controls))))


def _in_window(evaluation: Evaluation, window: Window, scale: int) -> Evaluation:
    """What a window sees of a run: everything that has a place is cut along with x."""
    fine = window.times(scale)
    guidance = _placed(evaluation.guidance, lambda mask: cut(mask, window))
    guidance = replace(
        guidance,
        controls=tuple(replace(c, image=cut(c.image.movedim(-1, 0), fine).movedim(0, -1)) for c in guidance.controls),
        concat=None if guidance.concat is None else cut(guidance.concat, window),
    )
    return evaluation._replace(x=cut(evaluation.x, window), guidance=guidance)


def _placed(guidance: Guidance, change: Callable[[Tensor], Tensor]) -> Guidance:
    """A guidance with other masks."""

    def mask(whole: Tensor | None) -> Tensor | None:
        return None if whole is None else change(whole)

    def prompt(whole: Conditioning) -> Conditioning:
        return replace(whole, mask=mask(whole.mask), others=tuple(map(prompt, whole.others)))

    return replace(
        guidance,
        positive=prompt(guidance.positive),
        negative=None if guidance.negative is None else prompt(guidance.negative),
        empty=None if guidance.empty is None else prompt(guidance.empty),
        controls=tuple(replace(each, mask=mask(each.mask)) for each in guidance.controls),
        image_prompts=tuple(replace(each, mask=mask(each.mask)) for each in guidance.image_prompts),
    )


def _resized(planes: Tensor, size: tuple[int, int]) -> Tensor:
    """[C, H, W] at another size."""
    if tuple(planes.shape[1:]) == size:
        return planes
    shrinks = size[0] < planes.shape[1]
    return interpolate(planes[None], size, mode="area" if shrinks else "bilinear")[0]


# ---- the autoencoder ----

Progress = Callable[[int, int], None]


def decoded(
    network: LoadedAutoencoder, samples: Tensor, scale: int, tiles: Tiles, wrap: Wrap, progress: Progress = lambda *_: None
) -> Tensor:
    """Latents [B, C, h, w] -> pixels [B, H, W, 3], one window at a time."""
    height, width = samples.shape[2:]
    places = windows(height, width, (tiles.height // scale, tiles.width // scale), tiles.overlap // scale, wrap)
    parts = []
    for done, window in enumerate(places, 1):
        parts.append(network.decode(cut(samples, window)).movedim(-1, 1))
        progress(done, len(places))
    fine = [window.times(scale) for window in places]
    return blend(parts, fine, height * scale, width * scale, tiles.overlap).movedim(1, -1).contiguous()


def encoded(
    network: LoadedAutoencoder, pixels: Tensor, scale: int, tiles: Tiles, wrap: Wrap, progress: Progress = lambda *_: None
) -> Tensor:
    """Pixels [B, H, W, 3] -> latents [B, C, h, w], one window at a time."""
    height, width = pixels.shape[1] // scale, pixels.shape[2] // scale
    places = windows(height, width, (tiles.height // scale, tiles.width // scale), tiles.overlap // scale, wrap)
    planes, parts = pixels.movedim(-1, 1), []
    for done, window in enumerate(places, 1):
        parts.append(network.encode(cut(planes, window.times(scale)).movedim(1, -1)))
        progress(done, len(places))
    return blend(parts, places, height, width, tiles.overlap // scale).contiguous()

"""What control pictures add to a batch of the denoiser: each row its own pictures, strengths, ranges and masks.

A row whose controls are off gets zeros, which change nothing, so rows with and without controls share a batch.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import interpolate, pad

from nodegraph_nodes.types import Control, ControlNet, Fit

from .combine import in_range
from .families.loaded import LoadedControl, Prompts, Residuals

Resident = Callable[[Any], Any]
"""A recipe -> its network, loaded."""

_SOFT = 0.825
_SOFT_INSIDE = (0.25, 0.62, 0.825, 1.0)


class Steered(NamedTuple):
    """The controls of one row of a batch. progress: how far its run is, 0..1; negative: it is of the negative prompt."""

    controls: tuple[Control, ...]
    progress: float
    negative: bool


class _Use(NamedTuple):
    """A control that counts in a row of the batch."""

    row: int
    control: Control


def residuals_of(
    rows: Sequence[Steered],
    x: Tensor,
    timesteps: Sequence[float],
    prompts: Prompts,
    family: str,
    resident: Resident | None,
) -> Residuals | None:
    """The sum of what the controls of each row add; None where none counts. x: [B, C, h, w].

    Each network runs once, for the rows that it steers. Raises ValueError for a control of another family.
    """
    total: Residuals | None = None
    for recipe, uses in _by_network(rows).items():
        if recipe.family != family:
            raise ValueError(f"This control network is for {recipe.family!r} but the model is {family!r}; use one that fits.")
        if resident is None:
            raise ValueError("There are control pictures, but nothing that loads their networks.")
        network: LoadedControl = resident(recipe)
        uses = [use for use in uses if not rows[use.row].negative or not _spares_negative(network, use.control)]
        if not uses:
            continue
        found = _evaluated(network, uses, rows, x, timesteps, prompts)
        total = _added(total, _placed(_weighed(found, uses), uses, len(rows)))
    return total


def _by_network(rows: Sequence[Steered]) -> dict[ControlNet, list[_Use]]:
    found: dict[ControlNet, list[_Use]] = {}
    for index, row in enumerate(rows):
        for control in row.controls:
            if control.strength != 0 and in_range(control.start, control.end, row.progress):
                found.setdefault(control.network, []).append(_Use(index, control))
    return found


def _spares_negative(network: LoadedControl, control: Control) -> bool:
    return network.positive_only or control.balance == "control"


def _evaluated(
    network: LoadedControl,
    uses: Sequence[_Use],
    rows: Sequence[Steered],
    x: Tensor,
    timesteps: Sequence[float],
    prompts: Prompts,
) -> Residuals:
    """What a network adds for each use, at full strength."""
    index = torch.tensor([use.row for use in uses], device=x.device)
    size = network.picture_size(x.shape[2], x.shape[3])
    sized: dict[tuple[int, Fit], Tensor] = {}
    for use in uses:
        if (key := (id(use.control.image), use.control.fit)) not in sized:
            sized[key] = fitted(use.control.image[..., :3], *size, use.control.fit)
    return network.residuals(
        x[index],
        [timesteps[use.row] for use in uses],
        Prompts(
            prompts.states[index.to(prompts.states.device)],
            None if prompts.pooled is None else prompts.pooled[index.to(prompts.pooled.device)],
            {name: tensor[index.to(tensor.device)] for name, tensor in prompts.extra.items()},
        ),
        [rows[use.row].negative for use in uses],
        torch.stack([sized[id(use.control.image), use.control.fit] for use in uses]),
    )


def fitted(image: Tensor, height: int, width: int, fit: Fit) -> Tensor:
    """A picture [H, W, C] at another size. What `contain` leaves free is black, which says nothing to a control network."""
    if image.shape[:2] == (height, width):
        return image
    old_height, old_width = image.shape[:2]
    scales = (height / old_height, width / old_width)
    inner = (height, width)
    if fit != "stretch":
        scale = max(scales) if fit == "cover" else min(scales)
        inner = (max(1, round(old_height * scale)), max(1, round(old_width * scale)))
    pixels = interpolate(image.movedim(-1, 0)[None], inner, mode="bicubic", antialias=True)[0].clamp(0, 1)
    down, across = height - inner[0], width - inner[1]  # negative: what is cut off
    pixels = pad(pixels, (across // 2, across - across // 2, down // 2, down - down // 2))
    return pixels.movedim(0, -1).contiguous()


def _weighed(found: Residuals, uses: Sequence[_Use]) -> Residuals:
    """By strength, balance and mask."""
    down_weights = [[_soft(use.control, depth, len(found.down)) for use in uses] for depth in range(len(found.down))]
    inside = [[_soft_inside(use.control, depth) for use in uses] for depth in range(len(found.inside))]
    return Residuals(
        tuple(_times(each, weights, uses) for each, weights in zip(found.down, down_weights, strict=True)),
        None if found.mid is None else _times(found.mid, [use.control.strength for use in uses], uses),
        tuple(_times(each, weights, uses) for each, weights in zip(found.inside, inside, strict=True)),
    )


def _soft(control: Control, depth: int, depths: int) -> float:
    """How much a residual of the way down counts: the finer the less, unless balanced (as A1111's extension does)."""
    return control.strength * (1.0 if control.balance == "balanced" else _SOFT ** (depths - depth))


def _soft_inside(control: Control, depth: int) -> float:
    """The same for an adapter's, with the numbers of A1111's extension."""
    soft = _SOFT_INSIDE[min(depth, len(_SOFT_INSIDE) - 1)]
    return control.strength * (1.0 if control.balance == "balanced" else soft)


def _times(residual: Tensor, weights: Sequence[float], uses: Sequence[_Use]) -> Tensor:
    """residual: [U, C, h, w], a row per use."""
    weighed = residual * residual.new_tensor(weights)[:, None, None, None]
    if all(use.control.mask is None for use in uses):
        return weighed
    shape = residual.shape[2:]
    masks = [
        residual.new_ones(shape)
        if (mask := use.control.mask) is None
        else interpolate(mask[None, None].to(residual), shape, mode="area")[0, 0]
        for use in uses
    ]
    return weighed * torch.stack(masks)[:, None]


def _placed(found: Residuals, uses: Sequence[_Use], rows: int) -> Residuals:
    """From a row per use to a row per item of the batch: uses of one item add up, items without any get zeros."""

    def placed(residual: Tensor) -> Tensor:
        index = torch.tensor([use.row for use in uses], device=residual.device)
        return residual.new_zeros(rows, *residual.shape[1:]).index_add_(0, index, residual)

    return Residuals(
        tuple(map(placed, found.down)), None if found.mid is None else placed(found.mid), tuple(map(placed, found.inside))
    )


def _added(one: Residuals | None, other: Residuals) -> Residuals:
    if one is None:
        return other
    mid = [each for each in (one.mid, other.mid) if each is not None]
    return Residuals(_sums(one.down, other.down), sum(mid[1:], start=mid[0]) if mid else None, _sums(one.inside, other.inside))


def _sums(one: tuple[Tensor, ...], other: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    if not one or not other:
        return one or other
    return tuple(a + b for a, b in zip(one, other, strict=True))

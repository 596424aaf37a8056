"""Which colours an autoencoder's latents stand for: a linear map, fitted, for pictures in progress."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d

from nodegraph_nodes.diffusion.families import LoadedAutoencoder
from nodegraph_nodes.types import PreviewFactors

_MOST = 32


@torch.no_grad()
def fitted_preview(
    autoencoder: LoadedAutoencoder, latents: Sequence[Tensor], downscale: int, device: torch.device
) -> PreviewFactors:
    """The least-squares map from latents, several [N, C, h, w] of different sizes, to the mean colours they decode to."""
    inputs, colours = [], []
    for some in latents:
        shown = some[:_MOST].float().to(device)
        pixels = avg_pool2d(autoencoder.decode(shown).permute(0, 3, 1, 2).float(), downscale)
        inputs.append(shown.movedim(1, -1).flatten(0, -2).cpu())
        colours.append(pixels.movedim(1, -1).flatten(0, -2).cpu())
    return fit_colours(torch.cat(inputs), torch.cat(colours))


def fit_colours(latents: Tensor, colours: Tensor) -> PreviewFactors:
    """The least-squares map from normalised latents [N, C] to colours [N, 3]."""
    known = torch.cat([latents.double(), torch.ones(len(latents), 1, dtype=torch.double)], 1)
    square = known.T @ known + 1e-6 * len(known) * torch.eye(known.shape[1], dtype=torch.double)
    found = torch.linalg.solve(square, known.T @ colours.double()).tolist()
    rows = tuple((round(red, 4), round(green, 4), round(blue, 4)) for red, green, blue in found)
    return PreviewFactors(rows[:-1], rows[-1])

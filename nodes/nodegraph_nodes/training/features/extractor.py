"""A network and what it is shown: pictures become squares of one size; what comes out is averaged over places."""

from collections.abc import Sequence
from typing import Self

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate

from nodegraph_nodes.diffusion.families.loaded import module_bytes


class Extractor:
    """Turns pictures into vectors. network: [B, 3, H, W] -> [B, C, h, w] or [B, L, C] or [B, C].

    size: the side in pixels of the squares that it is shown, 0: pictures as they are. mean, std: of the normalisation.
    """

    def __init__(self, network: nn.Module, size: int, mean: Sequence[float], std: Sequence[float]) -> None:
        self.network = network.eval().requires_grad_(False)
        self.size = size
        self._mean, self._std = (torch.tensor(values)[:, None, None] for values in (mean, std))

    @property
    def nbytes(self) -> int:
        return module_bytes(self.network)

    def to(self, device: torch.device | str) -> Self:
        self.network.to(device)
        return self

    def normalised(self, pictures: Sequence[Tensor]) -> Tensor:
        """Pictures [H, W, C], 0..1, as the network is shown them: [B, 3, size, size], channels last in memory."""
        planes = (squares(pictures, self.size) - self._mean) / self._std
        return planes.contiguous(memory_format=torch.channels_last)  # a third less time on a CPU

    @torch.no_grad()
    def features(self, pictures: Sequence[Tensor]) -> Tensor:
        """Pictures [H, W, C], 0..1, as vectors [B, D], float32, on the CPU."""
        place = next(self.network.parameters())
        out: Tensor = self.network(self.normalised(pictures).to(place))
        if out.ndim == 4:
            out = out.float().mean((2, 3))
        elif out.ndim == 3:  # a transformer's places
            out = out.float().mean(1)
        return out.float().cpu()


def squares(pictures: Sequence[Tensor], size: int) -> Tensor:
    """Pictures [H, W, C], 0..1, as [B, 3, size, size]: squeezed where they are not square; transparent places become white.

    Resized bicubically with antialiasing, which figures depend on (Parmar et al. 2022). With size 0 they stay, and have to
    be of one size.
    """
    return torch.stack([_square(picture.cpu().float(), size) for picture in pictures])


def _square(picture: Tensor, size: int) -> Tensor:
    if picture.shape[-1] == 4:
        picture = picture[..., :3] * picture[..., 3:] + (1 - picture[..., 3:])
    planes = picture.permute(2, 0, 1)
    if size == 0 or planes.shape[1:] == (size, size):
        return planes
    return interpolate(planes[None], (size, size), mode="bicubic", antialias=True)[0].clamp(0, 1)

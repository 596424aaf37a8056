"""Moving averages of weights (Polyak averaging): what is kept of a training, as it is better than where the last step ended."""

import copy
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn


class Averages:
    """Averages of some networks. decay: how much of the average a step leaves; 0: the averages are the networks themselves.

    To be made before the networks are placed, and placed like them: what is spread over processes cannot be copied.
    """

    def __init__(self, networks: Mapping[str, nn.Module], names: Sequence[str], decay: float) -> None:
        self._networks, self._decay = networks, decay
        self.networks = {name: copy.deepcopy(networks[name]).requires_grad_(False).eval() for name in names} if decay else {}

    @torch.no_grad()
    def update(self, step: int) -> None:
        """Take in the weights after step number `step`. Early on less is left, so that the beginning is soon forgotten."""
        decay = min(self._decay, (1 + step) / (10 + step))
        for name, average in self.networks.items():
            ours: list[Tensor] = list(average.parameters())
            theirs: list[Tensor] = list(self._networks[name].parameters())
            torch._foreach_lerp_(ours, theirs, 1 - decay)
            for mine, new in zip(average.buffers(), self._networks[name].buffers(), strict=True):
                mine.copy_(new)

    def best(self) -> dict[str, nn.Module]:
        """The networks by name: averages where there are any."""
        return {**self._networks, **self.networks}

"""What a spacing gives, and what may be said of its shape."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from .process import Array, VariancePreserving


class Levels(NamedTuple):
    """N + 1 falling noise levels and their timesteps. level: a variance-preserving process's sigma_hat, a flow's t."""

    level: Array
    timestep: Array


@dataclass(frozen=True, slots=True)
class Shape:
    """The numbers of a ramp; None: the spacing's own. sigma_min, sigma_max: levels, in the unit of `Levels`."""

    rho: float | None = None
    sigma_min: float | None = None
    sigma_max: float | None = None

    def rho_or(self, usual: float) -> float:
        return usual if self.rho is None else self.rho

    def ends(self, lowest: float, highest: float) -> tuple[float, float]:
        """sigma_min and sigma_max. Raises ValueError where they do not rise from above 0."""
        low = lowest if self.sigma_min is None else self.sigma_min
        high = highest if self.sigma_max is None else self.sigma_max
        if not 0 < low < high:
            raise ValueError(f"sigma_min has to lie between 0 and sigma_max, but they are {low:g} and {high:g}.")
        return low, high


def then_clean(process: VariancePreserving, timesteps: Array) -> Levels:
    """The levels of falling timesteps, and a clean picture after them."""
    return Levels(np.append(process.sigma_hat_at(timesteps), 0.0), np.append(timesteps, 0.0))

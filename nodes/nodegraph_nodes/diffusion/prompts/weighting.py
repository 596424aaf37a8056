"""What a weight does to a token's states, as ComfyUI and as A1111 compute it. States are [B, L, D], weights [B, L]."""

from torch import Tensor


def towards_empty(states: Tensor, weights: Tensor, empty: Tensor) -> Tensor:
    """ComfyUI's: empty + weight (states - empty). empty: [1, L, D], the states of the prompt without words.

    States of weight 1 keep their bits.
    """
    factor = weights[..., None].to(states)
    return states.where(factor == 1, empty + factor * (states - empty))


def multiplied(states: Tensor, weights: Tensor) -> Tensor:
    """A1111's: states times weight, and all of an item so that its mean is what it was."""
    changed = states * weights[..., None].to(states)
    factor = states.mean((1, 2), keepdim=True) / changed.mean((1, 2), keepdim=True)
    unchanged = (weights == 1).all(1).to(states.device)[:, None, None]
    return states.where(unchanged, changed * factor)

"""What a text encoder says of many captions, kept once each: real tokens only, in half precision."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import torch
from torch import Tensor

_AT_ONCE = 64


class Captions:
    """Encoded captions, by number.

    tokens: [S, D] of all captions behind one another; ends: [N + 1], where each ends; pooled: [N, P] or None; length: rows of
    an encoded caption, of which those that are zero at the end (padding) are left out here.
    """

    def __init__(self, texts: Sequence[str], tokens: Tensor, ends: Tensor, pooled: Tensor | None, length: int) -> None:
        self.texts, self.tokens, self.ends, self.pooled, self.length = tuple(texts), tokens, ends, pooled, length
        self.number = {text: index for index, text in enumerate(self.texts)}

    def __getitem__(self, numbers: Tensor) -> tuple[Tensor, Tensor | None]:
        """States [B, L, D] and pooled [B, P] of captions [B], float32, where the tokens lie."""
        first, end = self.ends[numbers], self.ends[numbers + 1]
        place = first[:, None] + torch.arange(self.length, device=first.device)
        real = place < end[:, None]
        states = self.tokens[place.where(real, torch.zeros_like(place))].float() * real[..., None]
        return states, None if self.pooled is None else self.pooled[numbers].float()

    def to(self, device: torch.device) -> Captions:
        pooled = None if self.pooled is None else self.pooled.to(device)
        return Captions(self.texts, self.tokens.to(device), self.ends.to(device), pooled, self.length)

    @property
    def nbytes(self) -> int:
        return sum(tensor.nbytes for tensor in (self.tokens, self.ends, self.pooled) if tensor is not None)

    @property
    def width(self) -> int:
        return self.tokens.shape[1]

    @property
    def pooled_width(self) -> int:
        return 0 if self.pooled is None else self.pooled.shape[1]


def encode_captions(encoder: Any, texts: Iterable[str], on: Callable[[int], None] = lambda count: None) -> Captions:
    """Encode each different text once; the empty one, which stands for no prompt, is number 0. on: is told how many are."""
    wanted = ["", *sorted(set(texts) - {""})]
    parts: list[Tensor] = []
    pooled: list[Tensor] = []
    length = 0
    by_length = sorted(range(len(wanted)), key=lambda index: len(wanted[index]))
    found: dict[int, tuple[Tensor, Tensor | None]] = {}
    for first in range(0, len(wanted), _AT_ONCE):
        some = by_length[first : first + _AT_ONCE]
        for index, told in zip(some, encoder.encode([wanted[index] for index in some]), strict=True):
            length = max(length, len(told.states))
            found[index] = (_real(told.states).half().cpu(), None if told.pooled is None else told.pooled.half().cpu())
        on(len(found))
    for index in range(len(wanted)):
        states, whole = found.pop(index)
        parts.append(states)
        if whole is not None:
            pooled.append(whole)
    ends = torch.tensor([0, *(len(part) for part in parts)]).cumsum(0)
    return Captions(wanted, torch.cat(parts), ends, torch.stack(pooled) if pooled else None, length)


def _real(states: Tensor) -> Tensor:
    """States without the rows at the end that are zero: an encoder's padding."""
    used = states.abs().amax(1).nonzero()
    return states[: int(used[-1]) + 1 if len(used) else 1]

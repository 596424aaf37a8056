"""How many calls run at once: learned per batch key, from measured throughput and from what did not fit into memory.

Sizes are powers of two. Each is tried twice, from one upwards, until two in a row bring no more calls per second; the best is
used, and its neighbours are tried again now and then.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable
from dataclasses import dataclass, field

_GAIN = 1.03  # a larger batch must be this much better: it makes everybody wait longer
_TRIES = 2  # the first time pays for what is set up once
_AGAIN = 100  # batches until the neighbours are tried again
_KEYS = 256


@dataclass(slots=True)
class _Learned:
    """Calls per second and how often that was measured, by size; the most that fitted into memory."""

    rate: dict[int, float] = field(default_factory=dict)
    tries: dict[int, int] = field(default_factory=dict)
    fits: int = 1 << 30
    batches: int = 0


class BatchLimits:
    """The limits of one device. Asked on the loop, taught on the device's thread: numbers are read and written whole."""

    def __init__(self) -> None:
        self._learned: OrderedDict[Hashable, _Learned] = OrderedDict()

    def at_once(self, key: Hashable, most: int) -> int:
        """How many calls with this batch key to run together; `most` is what the node's author allows."""
        known = self._of(key)
        most = min(most, known.fits)
        best, size = 1, 1
        while size <= most and size <= 4 * best:
            if known.tries.get(size, 0) < _TRIES:
                return size
            if known.rate[size] > known.rate[best] * _GAIN:
                best = size
            size *= 2
        return best

    def learn(self, key: Hashable, size: int, seconds: float) -> None:
        """A batch of `size` calls took this long."""
        known = self._of(key)
        power = 1 << (size.bit_length() - 1)
        rate, tries = size / max(seconds, 1e-9), known.tries.get(power, 0)
        known.rate[power] = rate if tries < _TRIES else (known.rate[power] + rate) / 2
        known.tries[power] = tries + 1
        known.batches += 1
        if known.batches % _AGAIN == 0:
            best = max(known.rate, key=lambda size: known.rate[size])
            known.fits *= 2  # what did not fit may have shared the memory with something else
            for neighbour in (best // 2, best * 2):
                if neighbour in known.tries:
                    known.tries[neighbour] = _TRIES - 1

    def refuse(self, key: Hashable, size: int) -> None:
        """A batch of `size` calls did not fit into memory."""
        known = self._of(key)
        known.fits = min(known.fits, max(1, size // 2))

    def _of(self, key: Hashable) -> _Learned:
        known = self._learned.setdefault(key, _Learned())
        self._learned.move_to_end(key)
        while len(self._learned) > _KEYS:
            self._learned.popitem(last=False)
        return known

"""How often an address may do something: token buckets, refilled as time goes by."""

from __future__ import annotations

import ipaddress
import time
from collections import OrderedDict
from collections.abc import Callable
from typing import NamedTuple

_MOST_ADDRESSES = 4096


class _Level(NamedTuple):
    left: float
    at: float


class Buckets:
    """A bucket for each address, of which the latest are remembered."""

    def __init__(self, per_second: float, burst: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._rate, self._burst, self._clock = per_second, max(1.0, burst), clock
        self._levels: OrderedDict[str, _Level] = OrderedDict()

    def take(self, address: str) -> float:
        """Take one. 0 where there was one, else how many seconds it takes until there is."""
        now = self._clock()
        level = self._levels.pop(address, _Level(self._burst, now))
        left = min(self._burst, level.left + (now - level.at) * self._rate)
        wait = 0.0 if left >= 1.0 else (1.0 - left) / self._rate
        self._levels[address] = _Level(left if wait else left - 1.0, now)
        if len(self._levels) > _MOST_ADDRESSES:
            self._levels.popitem(last=False)
        return wait


def client_of(remote: str | None) -> str:
    """Whom an address belongs to: itself, and for IPv6 the network, of which one client has all addresses."""
    try:
        address = ipaddress.ip_address((remote or "").partition("%")[0])
    except ValueError:
        return remote or "unknown"
    if isinstance(address, ipaddress.IPv6Address):
        return str(address.ipv4_mapped or ipaddress.ip_network((address, 64), strict=False))
    return str(address)

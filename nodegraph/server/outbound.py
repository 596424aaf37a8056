"""Connections to other machines, made only to addresses that were checked after the name was looked up.

The check stands where the socket is made, so neither a name that resolves differently the second time nor a redirect nor an odd
spelling of an address leads anywhere else. Sources: the IANA registries of special-purpose IPv4 and IPv6 addresses (RFC 6890).
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from collections.abc import Callable
from typing import Any

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult

_CLOSED_4 = [
    ipaddress.IPv4Network(text)
    for text in (
        *("0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12", "192.0.0.0/24"),
        *("192.0.2.0/24", "192.88.99.0/24", "192.168.0.0/16", "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24"),
        *("224.0.0.0/4", "240.0.0.0/4"),
    )
]
_OPEN_6 = ipaddress.IPv6Network("2000::/3")  # global unicast; not in it: mapped, NAT64, local, link-local, multicast
_CLOSED_6 = [
    ipaddress.IPv6Network(text)  # Teredo and other protocols, documentation, 6to4
    for text in ("2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20")
]


class NotPublic(OSError):
    """An address that may not be called."""


def is_public(address: str) -> bool:
    """Whether an IP address is one of the public internet; one that only wraps another (mapped, 6to4, NAT64) is not."""
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        return False
    if isinstance(found, ipaddress.IPv4Address):
        return not any(found in network for network in _CLOSED_4)
    return found in _OPEN_6 and not any(found in network for network in _CLOSED_6)


def literal(host: str) -> str | None:
    """An IP address in its one spelling, where a host is one."""
    try:
        return str(ipaddress.ip_address(host.strip("[]")))
    except ValueError:
        return None


def connector_for(host: str) -> aiohttp.TCPConnector:
    """Connects to this host alone: to public addresses, or to the very address that it is."""
    own = literal(host)

    def allowed(address: str) -> bool:
        return literal(address) == own if own is not None else is_public(address)

    return aiohttp.TCPConnector(
        resolver=_CheckedResolver(allowed),
        socket_factory=_checked_socket(allowed),
        use_dns_cache=False,
        force_close=True,
        limit=1,
    )


class _CheckedResolver(AbstractResolver):
    """Looks names up, and gives only addresses that may be called."""

    def __init__(self, allowed: Callable[[str], bool]) -> None:
        self._allowed = allowed

    async def resolve(self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC) -> list[ResolveResult]:
        loop = asyncio.get_running_loop()
        found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM, family=family)
        rows = [
            ResolveResult(
                hostname=host,
                host=str(place[0]),
                port=port,
                family=kind,
                proto=protocol,
                flags=socket.AI_NUMERICHOST | socket.AI_NUMERICSERV,
            )
            for kind, _, protocol, _, place in found
            if self._allowed(str(place[0]))
        ]
        if not rows:
            raise NotPublic("the name leads to no public address")
        return rows

    async def close(self) -> None:
        pass


def _checked_socket(allowed: Callable[[str], bool]) -> Callable[[Any], socket.socket]:
    def make(info: Any) -> socket.socket:
        kind, type_, protocol, _, place = info
        if not allowed(str(place[0])):
            raise NotPublic("the address is not a public one")
        return socket.socket(kind, type_, protocol)

    return make

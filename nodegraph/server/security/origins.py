"""Whether a request is meant for this server, and comes from its own page or from no page at all.

The name in Host defends against DNS rebinding; Origin and Sec-Fetch-Site against other pages in the user's browser, also those
that other programs on this machine serve from other ports.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from typing import NamedTuple

from nodegraph.server.problems import Refused
from nodegraph.settings import is_loopback
from nodegraph.settings.model import host_name

_HOST = re.compile(r"(\[[0-9A-Fa-f:.]{2,45}\]|[A-Za-z0-9._-]{1,255})(?::([0-9]{1,5}))?")
_ORIGIN = re.compile(rf"(https?)://({_HOST.pattern})")
_PORTS = {"http": 80, "https": 443}


class Host(NamedTuple):
    """A host name as it is compared, and a port if one was named."""

    name: str
    port: int | None


def read_host(text: str) -> Host | None:
    """What a Host header says, or None for what is none."""
    found = _HOST.fullmatch(text)
    if found is None:
        return None
    try:
        return Host(host_name(found[1]), int(found[2]) if found[2] else None)
    except ValueError:
        return None


def check_host(text: str, allowed: Collection[str]) -> Host:
    """The host that a request is for: this machine by a loopback name, or an allowed one. Raises Refused."""
    host = read_host(text)
    if host is None or not (is_loopback(host.name) or host.name in allowed):
        raise Refused(403, "foreign_host", "This server is not called by this name. Further names: server.allowed_hosts.")
    return host


def scheme_of(headers: Mapping[str, str], host: Host) -> str:
    """http, or what a reverse proxy says of itself. No page can send this header, and on this machine nobody is asked."""
    said = headers.get("X-Forwarded-Proto", "").strip().lower()
    return said if said in _PORTS and not is_loopback(host.name) else "http"


def check_origin(origins: Collection[str], scheme: str, host: Host) -> None:
    """Where a page sent the request, it must be this server's own. Raises Refused."""
    for text in origins:
        found = _ORIGIN.fullmatch(text)
        origin = read_host(found[2]) if found else None
        if found is None or origin is None or found[1] != scheme or _full(origin, scheme) != _full(host, scheme):
            raise Refused(403, "foreign_origin", "Pages of other sites may not use this server.")
    if len(origins) > 1:
        raise Refused(403, "foreign_origin", "A request comes from one page.")


def check_fetch(headers: Mapping[str, str], method: str, is_page: bool) -> None:
    """What browsers say of where a request comes from. Links and bookmarks to a page are fine. Raises Refused."""
    site = headers.get("Sec-Fetch-Site")
    if site is None or site in ("same-origin", "none"):
        return
    navigates = headers.get("Sec-Fetch-Mode") == "navigate" and headers.get("Sec-Fetch-Dest") == "document"
    if not (navigates and is_page and method in ("GET", "HEAD")):
        raise Refused(403, "foreign_site", "Pages of other sites may not use this server.")


def _full(host: Host, scheme: str) -> tuple[str, int]:
    return host.name, _PORTS[scheme] if host.port is None else host.port

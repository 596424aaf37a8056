"""Which server a client talks to, and with which token.

The server on this machine writes its address and token into its data folder (`server.json`, readable by its user alone). A
token that was found there goes to that server and to no other.
"""

from __future__ import annotations

import contextlib
import ipaddress
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from nodegraph.api.paths import data_folder
from nodegraph.client.errors import ServerGone

TOKEN_VARIABLE = "NODEGRAPH_TOKEN"
_START = "Start one with `nodegraph serve`, or say where it is: --server URL, Client(URL)."


@dataclass(frozen=True)
class Address:
    """A server's address without a slash at the end, and the token for it."""

    url: str
    token: str | None = field(default=None, repr=False)


def find_server(
    url: str | None = None, token: str | None = None, data: Path | None = None, environ: Mapping[str, str] = os.environ
) -> Address:
    """The server with this address, else the one that serves the data folder. Raises ServerGone where there is none."""
    folder = data_folder(None if data is None else Path(data), environ)
    here = _running(folder)
    token = token or environ.get(TOKEN_VARIABLE) or None
    if url is None:
        if here is None:
            raise ServerGone("No server runs for this data folder.", _START)
        return Address(here.url, token or here.token)
    wanted = normal_url(url)
    if token is None and here is not None and here.url == wanted:
        token = here.token
    if token is None and _is_this_machine(wanted):
        token = _kept_token(folder)
    return Address(wanted, token)


def normal_url(url: str) -> str:
    """An address in one form: with a scheme, without a slash at the end. Raises ServerGone for what is none."""
    text = url.strip() if "://" in url else f"http://{url.strip()}"
    bad = ServerGone(f"{url!r} is not the address of a server.", "Write http://HOST:PORT.")
    try:
        parts = urlsplit(text)
        host, port = parts.hostname, parts.port
    except ValueError:
        raise bad from None
    if parts.scheme not in ("http", "https") or not host or parts.username or parts.password or parts.query or parts.fragment:
        raise bad
    name = f"[{host}]" if ":" in host else host
    return f"{parts.scheme}://{name}{f':{port}' if port else ''}{parts.path.rstrip('/')}"


def _running(folder: Path) -> Address | None:
    """The server that says of itself that it serves this folder, if its process is there."""
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError, ServerGone):
        found = json.loads((folder / "server.json").read_text("utf-8"))
        if _lives(int(found["pid"])):
            return Address(normal_url(str(found["url"])), str(found["token"]) if found.get("token") else None)
    return None


def _lives(pid: int) -> bool:
    """Whether there is such a process: the port of one that was killed may be a stranger's by now."""
    import psutil

    return bool(psutil.pid_exists(pid))


def _kept_token(folder: Path) -> str | None:
    with contextlib.suppress(OSError, UnicodeDecodeError):
        return (folder / "token").read_text("utf-8").strip() or None
    return None


def _is_this_machine(url: str) -> bool:
    host = urlsplit(url).hostname or ""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"

"""Headers of every answer: a page of this server runs its own scripts only, and no other site can frame, embed or guess."""

from __future__ import annotations

from collections.abc import Iterable

from aiohttp import web


def policy(scripts: Iterable[str] = ()) -> str:
    """The content security policy of a page. scripts: the digests of inline scripts that it holds, as `'sha256-...'`."""
    return "; ".join(
        [
            "default-src 'none'",
            " ".join(["script-src 'self'", *scripts]),
            "style-src 'self'",
            "img-src 'self' blob: data:",
            "connect-src 'self'",
            "font-src 'self'",
            "base-uri 'none'",
            "form-action 'none'",
            "frame-ancestors 'none'",
        ]
    )


_UNUSED = ("camera", "display-capture", "geolocation", "hid", "microphone", "midi", "payment", "serial", "usb")

HEADERS = {
    "Content-Security-Policy": policy(),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "X-Frame-Options": "DENY",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": ", ".join(f"{feature}=()" for feature in _UNUSED),
    "Cache-Control": "no-store",
}
"""What an endpoint sets itself, as a stricter policy for files or how long they may be kept, stays."""


async def add_headers(request: web.BaseRequest, response: web.StreamResponse) -> None:
    """A signal handler, for when an answer is about to be written."""
    for name, value in HEADERS.items():
        response.headers.setdefault(name, value)
    response.headers["Server"] = "nodegraph"


def bare_answer(status: str) -> bytes:
    """An answer without a body for connections that get no further, as `408 Request Timeout`."""
    lines = [f"HTTP/1.1 {status}", "Server: nodegraph", *(f"{name}: {value}" for name, value in HEADERS.items())]
    return "\r\n".join([*lines, "Connection: close", "Content-Length: 0", "", ""]).encode("ascii")

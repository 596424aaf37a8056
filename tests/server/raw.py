"""HTTP as bytes on a socket: what no HTTP client would send."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Mapping
from typing import NamedTuple
from urllib.parse import urlsplit

from server.harness import TOKEN

BEARER = f"Authorization: Bearer {TOKEN}"


class Answer(NamedTuple):
    """status 0: the connection was closed without an answer."""

    status: int
    headers: Mapping[str, str]
    body: bytes


def request(
    method: str = "GET", path: str = "/api/jobs", *headers: str, body: bytes = b"", host: str | None = "HOST", auth: bool = True
) -> bytes:
    """A request with these header lines; HOST stands for the server's own name and port."""
    lines = [f"{method} {path} HTTP/1.1"]
    if host is not None:
        lines.append(f"Host: {host}")
    if auth:
        lines.append(BEARER)
    lines += headers
    if body and not any(line.lower().startswith(("content-length", "transfer-encoding")) for line in headers):
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + body


def connect(url: str, source: str = "127.0.0.1", seconds: float = 60.0) -> socket.socket:
    parts = urlsplit(url)
    assert parts.port is not None
    return socket.create_connection(("127.0.0.1", parts.port), timeout=seconds, source_address=(source, 0))


def placed(data: bytes, url: str) -> bytes:
    return data.replace(b"HOST", urlsplit(url).netloc.encode())


def send(url: str, data: bytes, source: str = "127.0.0.1", seconds: float = 60.0) -> Answer:
    """Send bytes and read one answer."""
    with connect(url, source, seconds) as connection:
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # it may answer before it has heard everything
            connection.sendall(placed(data, url))
        return read_answer(connection, has_body=not data.startswith(b"HEAD "))


def read_answer(connection: socket.socket, has_body: bool = True) -> Answer:
    """The next answer, whole."""
    data = b""
    while b"\r\n\r\n" not in data:
        part = _received(connection)
        if not part:
            return Answer(0, {}, data)
        data += part
    head, _, body = data.partition(b"\r\n\r\n")
    first, *lines = head.decode("latin-1").split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    while has_body and len(body) < int(headers.get("content-length", "0")):
        part = _received(connection)
        if not part:
            break
        body += part
    return Answer(int(first.split()[1]), headers, body)


def _received(connection: socket.socket) -> bytes:
    try:
        return connection.recv(1 << 16)
    except (ConnectionResetError, TimeoutError):
        return b""

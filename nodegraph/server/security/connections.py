"""Connections that do not get stuck: how many there are, how soon a request has to be there, how fast a body, a reader.

aiohttp knows no such limits. A connection here is its own, with timers; a client that is too slow hears 408 and is gone.
"""

from __future__ import annotations

import asyncio
from typing import NamedTuple

from aiohttp import web
from aiohttp.http_exceptions import LineTooLong

from nodegraph.logs import logger
from nodegraph.server.problems import Refused
from nodegraph.server.security.headers import HEADERS, bare_answer

_LOG = logger("server")
_TIMED_OUT = bare_answer("408 Request Timeout")
_FULL = bare_answer("503 Service Unavailable")


class Limits(NamedTuple):
    """What a client may take. head_seconds: from a request's first byte to the end of its headers; bodies are slower than
    `body_bytes_per_second` for at most `pace_seconds`; an answer that nobody reads is given up after `stall_seconds`."""

    connections: int = 512
    head_seconds: float = 10.0
    idle_seconds: float = 75.0
    body_bytes_per_second: float = 1024.0
    pace_seconds: float = 10.0
    stall_seconds: float = 60.0
    line_bytes: int = 8190
    headers: int = 100


class Connection(web.RequestHandler):
    """One connection. The guard says when a request is being handled."""

    __slots__ = ("_admitted", "_busy", "_limits", "_received", "_stalled", "_timer")

    def __init__(self, manager: web.Server, limits: Limits, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(
            manager,
            loop=loop,
            keepalive_timeout=limits.idle_seconds,
            max_line_size=limits.line_bytes,
            max_field_size=limits.line_bytes,
            max_headers=limits.headers,
            lingering_time=limits.head_seconds / 2,
            auto_decompress=False,  # nothing grows on the way in
            access_log=None,  # type: ignore[arg-type]
        )
        self._limits = limits
        self._admitted = self._busy = False
        self._received = 0
        self._timer: asyncio.TimerHandle | None = None
        self._stalled: asyncio.TimerHandle | None = None

    # ---- the life of a connection ----

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        assert self._manager is not None
        if len(self._manager.connections) >= self._limits.connections:
            transport.write(_FULL)
            transport.close()
            return
        self._admitted = True
        super().connection_made(transport)

    def connection_lost(self, exc: BaseException | None) -> None:
        self._stop_timer()
        self._stop_stalled()
        if self._admitted:
            super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if not self._admitted:
            return
        self._received += len(data)
        if data and not self._busy and self._timer is None:
            self._timer = self._loop.call_later(self._limits.head_seconds, self._give_up)
        super().data_received(data)

    def handling(self, request: web.BaseRequest) -> None:
        """The headers are there. From now on only a body that is still to come is waited for."""
        self._stop_timer()
        self._busy = True
        if not request.content.is_eof():
            self._watch_body(request)

    def log_access(self, request: web.BaseRequest, response: web.StreamResponse, time: float | None) -> None:
        """aiohttp calls this when an answer has been written; there is no access log."""
        self._busy = not request.content.is_eof()  # what is left of a body is no new request
        self._stop_timer()

    # ---- clients that are too slow ----

    def _watch_body(self, request: web.BaseRequest) -> None:
        before, seconds = self._received, self._limits.pace_seconds

        def look() -> None:
            nonlocal before
            self._timer = None
            if request.content.is_eof() or self.transport is None or not self._busy:
                return
            enough = self._received - before >= seconds * self._limits.body_bytes_per_second
            if not enough and self.transport.is_reading():  # else it is this side that is slow
                self._give_up(answered=request.writer.output_size > 0)
                return
            before = self._received
            self._timer = self._loop.call_later(seconds, look)

        self._timer = self._loop.call_later(seconds, look)

    def _give_up(self, answered: bool = False) -> None:
        self._timer = None
        if self.transport is None:
            return
        _LOG.info("connection_too_slow")
        if not answered:
            self.transport.write(_TIMED_OUT)
        self.transport.close()

    def pause_writing(self) -> None:
        super().pause_writing()
        if self.transport is not None:
            self._stalled = self._loop.call_later(self._limits.stall_seconds, self.transport.abort)

    def resume_writing(self) -> None:
        super().resume_writing()
        self._stop_stalled()

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _stop_stalled(self) -> None:
        if self._stalled is not None:
            self._stalled.cancel()
            self._stalled = None

    # ---- what is no request ----

    def handle_error(
        self, request: web.BaseRequest, status: int = 500, exc: BaseException | None = None, message: str | None = None
    ) -> web.StreamResponse:
        """The answer to what cannot be read, which is not repeated, nor logged."""
        if request.writer.output_size > 0:
            raise ConnectionError("An answer has begun; there is no room for another.")
        if isinstance(exc, LineTooLong):
            refused = Refused(431, "too_long", f"A line of a request has at most {self._limits.line_bytes} bytes.")
        elif status >= 500:
            if not isinstance(exc, ConnectionError):  # one that is gone has not failed
                _LOG.fault("request_failed", exc or RuntimeError())
            refused = Refused(status, "internal", "The server's log says more.")
        else:
            refused = Refused(status, "bad_request", "This is not HTTP as it is read here.")
        response = refused.response()
        response.headers.update({**HEADERS, "Server": "nodegraph"})
        response.force_close()
        return response

    def log_exception(self, *args: object, **more: object) -> None:
        """aiohttp's own words may hold what a client sent; the type of the error does not."""
        error = more.get("exc_info")
        _LOG.fault("connection_failed", error if isinstance(error, BaseException) else RuntimeError())


async def listen(server: web.Server, host: str, port: int, limits: Limits) -> asyncio.Server:
    """Take an address for an application (a runner's `server`); `start_serving` begins. Raises OSError where it is taken."""
    loop = asyncio.get_running_loop()

    def made() -> Connection:
        return Connection(server, limits, loop)

    return await loop.create_server(made, host, port, backlog=limits.connections, start_serving=False)

"""The server put together: the application, its middlewares, and running it until a signal comes."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Awaitable, Callable
from functools import cache
from importlib.metadata import version

from aiohttp import web
from aiohttp.typedefs import Middleware

from nodegraph.api.paths import shipped
from nodegraph.jobs import StoreFailed
from nodegraph.logs import logger
from nodegraph.server.openapi import describe
from nodegraph.server.pages import HOME, add_pages
from nodegraph.server.problems import Refused
from nodegraph.server.routes import ENDPOINTS
from nodegraph.server.routing import Endpoint, handler_of
from nodegraph.server.security import ACCESS, Access, Limits, add_headers, guarded, listen, running_file, taking
from nodegraph.server.service import Server

_LOG = logger("server")
_CLOSING_SECONDS = 2.0  # for answers under way, when everything else has ended

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def application(server: Server, access: Access) -> web.Application:
    """The server as an aiohttp application. The server is opened and closed by whoever runs it."""
    public: set[tuple[str, str]] = set()
    guard = guarded(access, public, (HOME,))
    app = web.Application(
        middlewares=[server.metrics.middleware, _telling(server), guard], client_max_size=server.settings.server.max_body_bytes
    )
    app[ACCESS] = access
    app.on_response_prepare.append(add_headers)
    for found in ENDPOINTS:
        handler = taking(found, handler_of(server, found))
        for method in _methods(found):
            app.router.add_route(method, found.path, handler)
            if found.public:
                public.add((method, found.path))
    description = cache(lambda: describe(ENDPOINTS, version("nodegraph")))

    async def openapi(request: web.Request) -> web.Response:
        return web.json_response(description())

    app.router.add_get("/api/openapi.json", openapi)
    public.update(add_pages(app, access, shipped("web")))
    return app


def _methods(found: Endpoint) -> list[str]:
    """The methods that an endpoint answers: HEAD wherever there is something to GET."""
    heads = found.method == "GET" and 101 not in found.answers
    heads = heads and not any(other.method == "HEAD" and other.path == found.path for other in ENDPOINTS)
    return [found.method, "HEAD"] if heads else [found.method]


def _telling(server: Server) -> Middleware:
    """The middleware that tells whatever goes wrong as a problem."""

    @web.middleware
    async def told(request: web.Request, handler: Handler) -> web.StreamResponse:
        try:
            return await handler(request)
        except Refused as refused:
            return refused.response()
        except StoreFailed as error:
            if server.draining:  # its store is closed before the last connection is
                return Refused(503, "stopping", "The server is being stopped.", headers={"Retry-After": "10"}).response()
            _LOG.fault("store_failed", error)
            return Refused(507, "store_failed", "The server's data folder cannot be used. Its log says more.").response()
        except web.HTTPException as error:
            headers = {name: value for name, value in error.headers.items() if name == "Allow"}
            return Refused(error.status, "http", error.reason, headers=headers).response()
        except (asyncio.CancelledError, ConnectionError):
            raise
        except Exception as error:
            _LOG.fault("request_failed", error)
            return Refused(500, "internal", "The server's log says more.").response()

    return told


async def serve(server: Server, ready: Callable[[str], None]) -> None:
    """Serve until SIGTERM or SIGINT. `ready` hears of the address, with a code that signs in once.

    Raises OSError where the address cannot be had, BadToken, NotWritten, StoreFailed.
    """
    over = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, lambda: server.hurry() if over.is_set() else over.set())
    settings = server.settings.server
    access = Access.of(server.settings)
    runner = web.AppRunner(application(server, access), shutdown_timeout=_CLOSING_SECONDS)
    await runner.setup()
    assert runner.server is not None
    listening = await listen(runner.server, settings.host, settings.port, Limits(settings.max_connections))
    try:
        await server.open()
        try:
            access.sessions = server.store.sessions
            await listening.start_serving()
            url = _url(settings.host, listening.sockets[0].getsockname()[1])
            server.holding.tell(url)
            with running_file(server.data, url, access.token):
                ready(f"{url}/" if access.token is None else f"{url}/?login={access.codes.issue()}")
                _LOG.info("server_started", url=url, pid=os.getpid())
                await over.wait()
                _LOG.info("server_stopping", running=server.pool.running, seconds=settings.shutdown_seconds)
                await server.drain()
        finally:
            await server.close()
            _LOG.info("server_stopped")
    finally:
        listening.close()
        await runner.cleanup()


def _url(host: str, port: int) -> str:
    """An address that works on this machine."""
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"

"""The server put together: the application, its middlewares, and running it until a signal comes."""

from __future__ import annotations

import asyncio
import logging
import signal
from collections.abc import Awaitable, Callable
from importlib.metadata import version

from aiohttp import web

from nodegraph.jobs import StoreFailed
from nodegraph.server.openapi import describe
from nodegraph.server.problems import Refused
from nodegraph.server.routes import ENDPOINTS
from nodegraph.server.routing import handler_of
from nodegraph.server.service import Server

_LOG = logging.getLogger("nodegraph.server")

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def application(server: Server) -> web.Application:
    """The server as an aiohttp application. The server is opened and closed by whoever runs it."""
    app = web.Application(middlewares=[_told], client_max_size=server.settings.server.max_body_bytes)
    for found in ENDPOINTS:
        app.router.add_route(found.method, found.path, handler_of(server, found))
    description = describe(ENDPOINTS, version("nodegraph"))

    async def openapi(request: web.Request) -> web.Response:
        return web.json_response(description)

    app.router.add_get("/api/openapi.json", openapi)
    return app


@web.middleware
async def _told(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Whatever goes wrong is told as a problem."""
    try:
        return await handler(request)
    except Refused as refused:
        return refused.response()
    except StoreFailed as error:
        return Refused(507, "store_failed", str(error)).response()
    except web.HTTPException as error:
        headers = {name: value for name, value in error.headers.items() if name == "Allow"}
        return Refused(error.status, "http", error.reason, headers=headers).response()
    except (asyncio.CancelledError, ConnectionError):
        raise
    except Exception:
        _LOG.exception("request_failed")
        return Refused(500, "internal", "The server's log says more.").response()


async def serve(server: Server, ready: Callable[[str], None]) -> None:
    """Serve until SIGTERM or SIGINT. `ready` hears of the address. Raises OSError where it cannot be had, StoreFailed."""
    over = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, over.set)
    settings = server.settings.server
    runner = web.AppRunner(application(server), access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, settings.host, settings.port)
    await server.open()
    try:
        await site.start()
        port = runner.addresses[0][1]
        ready(f"http://{settings.host}:{port}/")
        await over.wait()
        server.draining = True
        await server.close()
    finally:
        await runner.cleanup()

"""The one door: what every request must be before anything looks at what it asks.

In this order: can it be read (400), is it for this server and not from a foreign page (403), is it a known method (405), not
too often (429), from somebody who may (401); and, at the endpoint, of a type that it takes (415).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection

from aiohttp import web
from aiohttp.typedefs import Middleware

from nodegraph.server.problems import Refused
from nodegraph.server.routing import Endpoint, Raw
from nodegraph.server.security.access import Access, needed
from nodegraph.server.security.connections import Connection
from nodegraph.server.security.origins import check_fetch, check_host, check_origin, scheme_of

METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE")
CHANGING = frozenset({"POST", "PUT", "PATCH", "DELETE"})
_FORMS = frozenset({"application/x-www-form-urlencoded", "multipart/form-data"})

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
Route = tuple[str, str]
"""A method and the pattern of a path."""


def guarded(access: Access, public: Collection[Route], pages: Collection[str]) -> Middleware:
    """The middleware. public: what needs no secret; pages: paths that links of other sites may lead to."""

    @web.middleware
    async def guard(request: web.Request, handler: Handler) -> web.StreamResponse:
        if isinstance(request.protocol, Connection):
            request.protocol.handling(request)
        _check_form(request)
        host = check_host(request.headers["Host"], access.names(request))
        check_origin(request.headers.getall("Origin", ()), scheme_of(request.headers, host), host)
        check_fetch(request.headers, request.method, request.path in pages)
        if request.method not in METHODS:
            raise Refused(405, "no_such_method", "This method is not known here.", headers={"Allow": ", ".join(METHODS)})
        access.count(request)
        if _route(request) not in public and not await access.is_let_in(request):
            raise needed("Send the token: Authorization: Bearer TOKEN. It is in the data folder, in the file named token.")
        return await handler(request)

    return guard


def taking(found: Endpoint, handler: Handler) -> Handler:
    """The handler of an endpoint, for requests with a body of a type that it takes. No form of a page is ever one."""
    if found.method not in CHANGING:
        return handler
    taken = found.body.media_types if isinstance(found.body, Raw) else ("application/json",)
    refused = Refused(415, "wrong_type", f"Send it with Content-Type: {' or '.join(taken)}.")

    async def handle(request: web.Request) -> web.StreamResponse:
        if request.headers.get("Content-Encoding", "identity").strip().lower() != "identity":
            raise Refused(415, "encoded", "Send the body as it is, without Content-Encoding.")
        if "Content-Type" not in request.headers:
            if request.body_exists and (request.content_length != 0):
                raise refused
        elif not _takes(found, request.content_type):
            raise refused
        return await handler(request)

    return handle


def _takes(found: Endpoint, kind: str) -> bool:
    raw = found.body if isinstance(found.body, Raw) else None
    is_json = kind == "application/json" and (raw is None or raw.or_json is not None)
    return is_json or (raw is not None and raw.takes(kind) and kind not in _FORMS)


def _check_form(request: web.Request) -> None:
    """What the parser lets pass, and two readers could understand in two ways. Raises Refused."""
    if len(request.headers.getall("Host", ())) != 1:
        raise Refused(400, "bad_host", "A request names one Host.")
    if not request.raw_path.startswith("/"):
        raise Refused(400, "bad_target", "A request names a path of this server.")
    if len(request.headers.getall("Content-Type", ())) > 1 or len(request.headers.getall("Authorization", ())) > 1:
        raise Refused(400, "bad_headers", "Content-Type and Authorization stand once.")


def _route(request: web.Request) -> Route:
    resource = request.match_info.route.resource
    return request.method, "" if resource is None else resource.canonical

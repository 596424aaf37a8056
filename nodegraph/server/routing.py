"""Endpoints as data: what they take and give is declared once, checked at run time, and described by the OpenAPI document.

@endpoint("GET", "/api/jobs/{id}", answers={200: Job}, path={"id": JobId}, refuses=(404,), tag="jobs")
async def get_job(server: Server, call: Call) -> Job: ...
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from types import ModuleType
from typing import TYPE_CHECKING, Any, NamedTuple

from aiohttp import web
from pydantic import BaseModel, TypeAdapter, ValidationError

from nodegraph.graph.reading import read_json
from nodegraph.sdk.errors import InvalidWorkflow
from nodegraph.server.problems import Refused, misfits, not_found

if TYPE_CHECKING:
    from nodegraph.server.service import Server

_LARGE = 1 << 18  # bytes of JSON that are read apart from the loop


class Raw(NamedTuple):
    """A body or an answer that is no JSON: its media types."""

    media_types: tuple[str, ...] = ("application/octet-stream",)
    description: str = "Bytes."
    or_json: type[BaseModel] | None = None  # of a body: what application/json says instead

    def takes(self, media_type: str) -> bool:
        """Whether a body may be of this type; `image/*` stands for every kind of picture."""
        return media_type in self.media_types or f"{media_type.partition('/')[0]}/*" in self.media_types


class Given(NamedTuple):
    """An answer with another status than the first that is declared, or with headers."""

    body: BaseModel | None
    status: int | None = None
    headers: Mapping[str, str] = {}


@dataclass(frozen=True)
class Endpoint:
    """One method of one path. `answers` maps a status to a model, raw bytes, or None for an empty answer."""

    method: str
    path: str
    handler: Callable[[Server, Call], Awaitable[Any]]
    answers: Mapping[int, type[BaseModel] | Raw | None]
    tag: str
    summary: str
    description: str
    body: type[BaseModel] | Raw | None = None
    query: type[BaseModel] | None = None
    path_types: Mapping[str, Any] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    refuses: Sequence[int] = ()
    public: bool = False

    @cached_property
    def adapters(self) -> dict[str, TypeAdapter[Any]]:
        return {name: TypeAdapter(kind) for name, kind in self.path_types.items()}


class Call:
    """A request that has been checked: path parameters, query and body have the declared types."""

    def __init__(self, request: web.Request, path: Mapping[str, Any], query: Any, body: Any, raw: bytes = b"") -> None:
        self.request, self.path, self.query, self.body, self.raw = request, path, query, body, raw

    @property
    def id(self) -> str:
        return str(self.path["id"])

    def header(self, name: str) -> str | None:
        return self.request.headers.get(name)


def endpoint(
    method: str,
    path: str,
    *,
    answers: Mapping[int, type[BaseModel] | Raw | None],
    tag: str,
    body: type[BaseModel] | Raw | None = None,
    query: type[BaseModel] | None = None,
    types: Mapping[str, Any] | None = None,
    headers: Mapping[str, str] | None = None,
    refuses: Sequence[int] = (),
    public: bool = False,
) -> Callable[[Callable[[Server, Call], Awaitable[Any]]], Endpoint]:
    """Declare an endpoint. The handler's docstring is its description."""

    def declare(handler: Callable[[Server, Call], Awaitable[Any]]) -> Endpoint:
        summary, _, description = (handler.__doc__ or "").strip().partition("\n")
        return Endpoint(
            *(method, path, handler, answers, tag, summary, description.strip()),
            body=body,
            query=query,
            path_types=types or {},
            headers=headers or {},
            refuses=refuses,
            public=public,
        )

    return declare


def endpoints_of(*modules: ModuleType) -> tuple[Endpoint, ...]:
    """The endpoints that modules declare, in their order."""
    return tuple(item for module in modules for item in vars(module).values() if isinstance(item, Endpoint))


def handler_of(server: Server, found: Endpoint) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
    """The endpoint as aiohttp wants it: reads and checks the request, and writes the answer."""

    async def handle(request: web.Request) -> web.StreamResponse:
        path = _path(found, request)
        query = _query(found, request)
        body, raw = await _body(server, found, request)
        given = await found.handler(server, Call(request, path, query, body, raw))
        return _answer(found, given)

    return handle


def _path(found: Endpoint, request: web.Request) -> dict[str, Any]:
    try:
        return {name: adapter.validate_python(request.match_info[name]) for name, adapter in found.adapters.items()}
    except ValidationError:
        raise not_found(found.tag.rstrip("s")) from None


def _query(found: Endpoint, request: web.Request) -> Any:
    if found.query is None:
        return None
    fields = found.query.model_fields
    given: dict[str, Any] = {}
    for name in request.query:
        values = request.query.getall(name)
        is_list = name in fields and "list" in str(fields[name].annotation)
        given[name] = values if is_list else values[-1]
    try:
        return found.query.model_validate(given)
    except ValidationError as error:
        raise misfits(error) from None


async def _body(server: Server, found: Endpoint, request: web.Request) -> tuple[Any, bytes]:
    model = found.body
    if isinstance(model, Raw) and not (model.or_json is not None and request.content_type == "application/json"):
        if not model.takes(request.content_type):
            raise Refused(415, "wrong_type", f"Send one of these as Content-Type: {', '.join(model.media_types)}.")
        return None, b""
    if isinstance(model, Raw):
        model = model.or_json
    if model is None:
        return None, b""
    if request.content_type != "application/json":
        raise Refused(415, "not_json", "Send JSON with Content-Type: application/json.")
    raw = await read_body(request, server.settings.server.max_body_bytes)
    try:
        data = await asyncio.to_thread(read_json, raw.decode()) if len(raw) > _LARGE else read_json(raw.decode())
    except UnicodeDecodeError:
        raise Refused(400, "not_json", "The body is not UTF-8.") from None
    except InvalidWorkflow as error:
        raise Refused(400, "not_json", "The body is not JSON.", error.problems) from None
    try:
        return model.model_validate(data), raw
    except ValidationError as error:
        raise misfits(error) from None


async def read_body(request: web.Request, most: int) -> bytes:
    """The body, if it is no larger than that. Raises Refused."""
    too_large = Refused(413, "too_large", f"At most {most} bytes are taken.")
    if (request.content_length or 0) > most:
        raise too_large
    parts, total = [], 0
    async for part in request.content.iter_chunked(1 << 16):
        total += len(part)
        if total > most:
            raise too_large
        parts.append(part)
    return b"".join(parts)


def _answer(found: Endpoint, given: Any) -> web.StreamResponse:
    if isinstance(given, web.StreamResponse):
        return given
    made = given if isinstance(given, Given) else Given(given)
    status = made.status or next(iter(found.answers))
    if made.body is None:
        return web.Response(status=status, headers=made.headers)
    text = made.body.model_dump_json(exclude_none=True)
    return web.Response(status=status, text=text, content_type="application/json", headers=made.headers)

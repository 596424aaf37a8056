"""Requests to a server that may be restarted at any moment.

What can be asked twice without harm is asked again until the server is back, for as long as the client is patient; one that has
never answered is not waited for. Nothing but problems comes out of here, never an aiohttp error.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, TypeVar

import aiohttp
from pydantic import BaseModel, ValidationError

from nodegraph.client.errors import ClientError, Damaged, Refused, ServerGone, refusal
from nodegraph.client.finding import Address
from nodegraph.sdk.errors import InvalidWorkflow
from nodegraph.wire import ProblemDetails

PATIENCE_SECONDS = 60.0
"""How long a server that answered before may be away."""
_LONGEST_PAUSE = 2.0
_LONGEST_PREVIEW = 64 << 20
_TIMEOUT = aiohttp.ClientTimeout(total=None, sock_connect=10.0, sock_read=120.0)
_BROKEN = (aiohttp.ClientError, OSError, asyncio.TimeoutError)
_NOT_NOW = (429, 502, 503, 504)

Model = TypeVar("Model", bound=BaseModel)
Query = Mapping[str, str | int | Sequence[str] | None]
Body = Callable[[], Any]


class Patience:
    """How long one request goes on being tried, and how long to pause in between."""

    def __init__(self, seconds: float) -> None:
        self._end, self._pause = time.monotonic() + seconds, 0.05

    async def pause(self, error: ServerGone | Refused) -> None:
        """Wait a moment. Raises the error once it has been long enough."""
        if time.monotonic() + self._pause > self._end:
            raise error from None
        await asyncio.sleep(self._pause)
        self._pause = min(2 * self._pause, _LONGEST_PAUSE)


class Connection:
    """Talks to the server that `find` names; it is asked again where that server is gone, as it may come back elsewhere."""

    def __init__(self, find: Callable[[], Address], patience: float = PATIENCE_SECONDS) -> None:
        self._find, self.seconds = find, patience
        self._session: aiohttp.ClientSession | None = None
        self._reached = False

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()
            self._session = None

    # ---- requests ----

    async def ask(
        self,
        model: type[Model],
        method: str,
        path: str,
        *,
        query: Query | None = None,
        body: Any = None,
        headers: Mapping[str, str] | None = None,
        again: bool = True,
    ) -> Model:
        """One request, its answer read as `model`. `again` says that it may be made more than once."""
        data = None if body is None else json.dumps(body, ensure_ascii=False).encode()
        more = {**(headers or {}), **({} if method == "GET" else {"Content-Type": "application/json"})}
        answer = await self.send(method, path, query=query, data=lambda: data, headers=more, again=again)
        try:
            return model.model_validate_json(answer)
        except ValidationError:
            raise Damaged(f"The answer to {method} {path.partition('?')[0]} is not one of a nodegraph server.") from None

    async def send(
        self,
        method: str,
        path: str,
        *,
        query: Query | None = None,
        data: Body = lambda: None,
        headers: Mapping[str, str] | None = None,
        again: bool = True,
    ) -> bytes:
        """One request, its answer as bytes. Raises ServerGone, Refused, InvalidWorkflow."""
        patience = Patience(self.seconds)
        while True:
            try:
                return await self._once(method, path, query, data(), headers)
            except ServerGone as error:
                if not again or not self._reached:
                    raise
                await patience.pause(error)
            except Refused as error:
                if not again or error.status not in _NOT_NOW:
                    raise
                await patience.pause(error)

    async def _once(self, method: str, path: str, query: Query | None, data: Any, headers: Mapping[str, str] | None) -> bytes:
        address = self._find()
        try:
            async with self._open().request(
                method,
                address.url + path,
                params=_params(query),
                data=data,
                headers={**_authorization(address), **(headers or {})},
                allow_redirects=False,
            ) as answer:
                content = await answer.read()
        except _BROKEN as error:
            raise self._gone(address, error) from None
        self._reached = True
        if answer.status >= 300:
            raise _refusal(answer.status, answer.reason, content)
        return content

    # ---- events ----

    @asynccontextmanager
    async def socket(self, path: str, query: Query) -> AsyncIterator[AsyncIterator[str | bytes]]:
        """A WebSocket's messages. Raises ServerGone where it breaks, also while it is read; Refused."""
        address = self._find()
        try:
            async with self._open().ws_connect(
                address.url + path,
                params=_params(query),
                headers=_authorization(address),
                heartbeat=15.0,
                max_msg_size=_LONGEST_PREVIEW,
            ) as socket:
                self._reached = True
                yield _messages(socket)
        except aiohttp.WSServerHandshakeError as error:
            raise _refusal(error.status, error.message, b"") from None
        except _BROKEN as error:
            raise self._gone(address, error) from None

    @property
    def reached(self) -> bool:
        """Whether the server has answered at least once."""
        return self._reached

    def _open(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = aiohttp.ClientSession(timeout=_TIMEOUT, cookie_jar=aiohttp.DummyCookieJar())
        return self._session

    def _gone(self, address: Address, error: BaseException) -> ServerGone:
        if isinstance(error, aiohttp.InvalidURL):
            return ServerGone(f"{address.url} is not the address of a server.", "Write http://HOST:PORT.")
        if self._reached:
            hint = "Its jobs are not lost: they go on when it is started again."
            return ServerGone(f"The server at {address.url} is gone.", hint)
        hint = "Is it running? `nodegraph serve` starts one."
        return ServerGone(f"No server answers at {address.url}{_why(error)}.", hint)


async def _messages(socket: aiohttp.ClientWebSocketResponse) -> AsyncIterator[str | bytes]:
    async for message in socket:
        if message.type in (aiohttp.WSMsgType.TEXT, aiohttp.WSMsgType.BINARY):
            yield message.data
    if (error := socket.exception()) is not None:
        raise aiohttp.ClientError(str(error))


def _refusal(status: int, reason: str | None, content: bytes) -> ClientError | InvalidWorkflow:
    try:
        return refusal(ProblemDetails.model_validate_json(content))
    except ValidationError:
        title = f"The server answered {status} {reason or ''}".strip() + "."
        return refusal(ProblemDetails(type="nodegraph:http", title=title, status=max(status, 400)))


def _authorization(address: Address) -> dict[str, str]:
    return {"Authorization": f"Bearer {address.token}"} if address.token else {}


def _params(query: Query | None) -> list[tuple[str, str]]:
    found: list[tuple[str, str]] = []
    for name, value in (query or {}).items():
        if isinstance(value, (str, int)):
            found.append((name, str(value)))
        elif value is not None:
            found += [(name, item) for item in value]
    return found


def _why(error: BaseException) -> str:
    if isinstance(error, aiohttp.ClientSSLError):
        return ": its certificate is not trusted"
    reason = error.os_error if isinstance(error, aiohttp.ClientConnectorError) else error
    words = reason.strerror if isinstance(reason, OSError) else ""
    return f" ({words})" if words else ""

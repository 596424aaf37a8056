"""Who is let in: holders of the token, and browsers with a session that was made with it or with a one-time code."""

from __future__ import annotations

import math
import secrets

from aiohttp import web

from nodegraph.jobs import StoreFailed
from nodegraph.jobs.sessions import Sessions
from nodegraph.logs import logger
from nodegraph.server.problems import Refused
from nodegraph.server.security.codes import Codes
from nodegraph.server.security.origins import check_host, scheme_of
from nodegraph.server.security.rates import Buckets, client_of
from nodegraph.server.security.tokens import digest, kept_token, same
from nodegraph.settings import Settings, is_loopback
from nodegraph.settings.model import SHORTEST_TOKEN

_LOG = logger("server")
_GUESSES = 10.0
"""Wrong tokens that an address may send in a minute, where the token is short enough to be worth trying."""
_MANY_GUESSES = 600.0
_COOKIE_SECONDS = 400 * 24 * 3600  # as long as browsers keep one; the server forgets it sooner
_CHALLENGE = {"WWW-Authenticate": 'Bearer realm="nodegraph"'}


class Access:
    """The state of it: the token (None: everybody on this machine is let in), codes, sessions, and how often they asked."""

    def __init__(self, settings: Settings, token: str | None) -> None:
        server = settings.server
        self.token = token
        self.codes = Codes()
        self.sessions: Sessions | None = None  # there once the store is open
        own = () if is_loopback(server.host) else (server.host,)
        self._names = frozenset((*server.allowed_hosts, *own))
        self._requests = Buckets(server.requests_per_second, server.burst)
        guesses = _MANY_GUESSES if token is not None and len(token) >= SHORTEST_TOKEN else _GUESSES
        self._guesses = Buckets(guesses / 60.0, guesses)

    @classmethod
    def of(cls, settings: Settings) -> Access:
        """As the settings say. Raises BadToken, NotWritten, OSError."""
        given = settings.server.token
        if not settings.server.auth:
            return cls(settings, None)
        return cls(settings, given.get_secret_value() if given is not None else kept_token(settings.data))

    # ---- requests ----

    def names(self, request: web.Request) -> frozenset[str]:
        """The names of this server beyond loopback: as configured, and the very address that the connection came in on."""
        place = request.get_extra_info("sockname")
        return self._names | {str(place[0])} if isinstance(place, tuple) else self._names

    def count(self, request: web.Request) -> None:
        """Raises Refused (429) where the client asks too often."""
        if wait := self._requests.take(client_of(request.remote)):
            raise _later("too_many_requests", "Ask more slowly.", wait)

    async def is_let_in(self, request: web.Request) -> bool:
        """Whether the request shows the token or a session. Raises Refused for a wrong token."""
        if self.token is None:
            return True
        if (said := request.headers.get("Authorization")) is not None:
            scheme, _, given = said.partition(" ")
            if scheme.lower() == "bearer" and same(given.strip(" "), self.token):
                return True
            raise self.wrong(request)
        return (session := self.session_of(request)) is not None and await self._sessions.use(self._key(session))

    def wrong(self, request: web.Request) -> Refused:
        """The refusal of a wrong token or code. Guessing gets slow; the right one is never held up."""
        if wait := self._guesses.take(client_of(request.remote)):
            return _later("too_many_guesses", "There were too many wrong tokens. The right one is taken at once.", wait)
        _LOG.warning("sign_in_failed")
        return needed("The token is not this server's. It is in the data folder, in the file named token.")

    # ---- sessions ----

    def session_of(self, request: web.Request) -> str | None:
        """The session that a browser shows."""
        return request.cookies.get(cookie_name(request)) or None

    async def new_session(self, request: web.Request) -> str:
        """Begin a session; the Set-Cookie header that gives it to the browser."""
        session = secrets.token_urlsafe(32)
        try:
            await self._sessions.add(self._key(session))
        except StoreFailed:
            _LOG.warning("session_not_kept")  # it lasts until the server ends
        return self._cookie(request, session, _COOKIE_SECONDS)

    async def end_session(self, request: web.Request) -> str:
        """End the session that a browser shows; the Set-Cookie header that takes it away."""
        if (session := self.session_of(request)) is not None:
            await self._sessions.end(self._key(session))
        return self._cookie(request, "", 0)

    def _key(self, session: str) -> str:
        """What is kept of a session; with another token it is another, so a new token ends all sessions."""
        return digest(f"{self.token} {session}")

    def _cookie(self, request: web.Request, session: str, seconds: int) -> str:
        host = check_host(request.headers["Host"], self.names(request))
        secure = "; Secure" if scheme_of(request.headers, host) == "https" else ""
        return f"{cookie_name(request)}={session}; Max-Age={seconds}; Path=/; HttpOnly; SameSite=Strict{secure}"

    @property
    def _sessions(self) -> Sessions:
        assert self.sessions is not None, "the store is open while requests come"
        return self.sessions


ACCESS = web.AppKey("access", Access)


def cookie_name(request: web.Request) -> str:
    """Cookies know no ports; the name keeps two servers of one machine apart."""
    place = request.get_extra_info("sockname")
    return f"nodegraph-{place[1]}" if isinstance(place, tuple) else "nodegraph"


def needed(detail: str) -> Refused:
    return Refused(401, "unauthorized", detail, headers=_CHALLENGE)


def _later(kind: str, detail: str, seconds: float) -> Refused:
    return Refused(429, kind, detail, headers={"Retry-After": str(max(1, math.ceil(seconds)))})

"""Signing in and out: a browser's session, which stands for the token and is seen by no script."""

from __future__ import annotations

from nodegraph.server.routing import Call, Given, endpoint
from nodegraph.server.security.access import ACCESS
from nodegraph.server.security.tokens import same
from nodegraph.server.service import Server
from nodegraph.wire.sessions import SessionStart


@endpoint("POST", "/api/session", body=SessionStart, answers={204: None}, refuses=(401,), tag="session", public=True)
async def sign_in(server: Server, call: Call) -> Given:
    """Begin a session with the token. The answer sets a cookie that only this server gets, and no script reads."""
    access = call.request.app[ACCESS]
    body: SessionStart = call.body
    if access.token is not None and not same(body.token.get_secret_value(), access.token):
        raise access.wrong(call.request)
    return Given(None, headers={"Set-Cookie": await access.new_session(call.request)})


@endpoint("DELETE", "/api/session", answers={204: None}, refuses=(507,), tag="session")
async def sign_out(server: Server, call: Call) -> Given:
    """End the session of this browser. The token stays good."""
    return Given(None, headers={"Set-Cookie": await call.request.app[ACCESS].end_session(call.request)})

"""Who may use the server, and how much of it: Host and Origin, token and sessions, rates, connections, headers.

`guard` is the one door that every request passes; what is not declared public needs the token or a session.
"""

from nodegraph.server.security.access import ACCESS, Access
from nodegraph.server.security.connections import Connection, Limits, listen
from nodegraph.server.security.guard import guarded, taking
from nodegraph.server.security.headers import add_headers, policy
from nodegraph.server.security.running import running_file
from nodegraph.server.security.tokens import BadToken, kept_token

__all__ = [
    "ACCESS",
    "Access",
    "BadToken",
    "Connection",
    "Limits",
    "add_headers",
    "guarded",
    "kept_token",
    "listen",
    "policy",
    "running_file",
    "taking",
]

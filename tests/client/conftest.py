"""The server and the pack that tests over HTTP share."""

from server.conftest import new_server, server, site

__all__ = ["new_server", "server", "site"]

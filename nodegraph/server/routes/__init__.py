"""The endpoints, a module for each kind of thing."""

from __future__ import annotations

from nodegraph.server.routes import events, jobs, nodes, system
from nodegraph.server.routing import Endpoint, endpoints_of

ENDPOINTS: tuple[Endpoint, ...] = endpoints_of(jobs, events, nodes, system)

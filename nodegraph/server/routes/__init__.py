"""The endpoints, a module for each kind of thing."""

from __future__ import annotations

from nodegraph.server.routes import (
    artifacts,
    documentation,
    documents,
    drafts,
    events,
    inputs,
    jobs,
    models,
    nodes,
    queue,
    revisions,
    secrets,
    session,
    steps,
    system,
    uploads,
    workflows,
)
from nodegraph.server.routing import Endpoint, endpoints_of

ENDPOINTS: tuple[Endpoint, ...] = endpoints_of(
    jobs,
    steps,
    queue,
    events,
    nodes,
    documentation,
    workflows,
    revisions,
    drafts,
    documents,
    artifacts,
    uploads,
    inputs,
    models,
    secrets,
    session,
    system,
)

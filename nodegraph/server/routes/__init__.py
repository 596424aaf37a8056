"""The endpoints, a module for each kind of thing."""

from __future__ import annotations

from nodegraph.server.routes import (
    artifacts,
    documents,
    drafts,
    events,
    jobs,
    models,
    nodes,
    queue,
    revisions,
    secrets,
    session,
    system,
    uploads,
    workflows,
)
from nodegraph.server.routing import Endpoint, endpoints_of

ENDPOINTS: tuple[Endpoint, ...] = endpoints_of(
    jobs, queue, events, nodes, workflows, revisions, drafts, documents, artifacts, uploads, models, secrets, session, system
)

"""Jobs: submitting, looking, stopping, and the queue."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from nodegraph.jobs import Filter, JobRecord
from nodegraph.jobs.store import KeyReused
from nodegraph.server.preparing import prepare
from nodegraph.server.problems import Refused, not_found
from nodegraph.server.routing import Call, Given, endpoint
from nodegraph.server.service import Server
from nodegraph.server.views import summary, whole
from nodegraph.wire import Job, JobAccepted, JobPage, JobState, JobSubmission, Queue
from nodegraph.wire.jobs import JobId

_ID = {"id": JobId}
_KEY = "A name for this request: sent again with the same body, it queues nothing more and gives the same job."


class JobQuery(BaseModel):
    """Which jobs to list."""

    model_config = ConfigDict(extra="forbid")

    state: list[JobState] = Field(default=[], description="Only jobs in one of these states.")
    workflow_id: str | None = Field(default=None, max_length=100)
    text: str | None = Field(default=None, max_length=500, description="Words of a prompt, or of any text in the workflow.")
    model: str | None = Field(default=None, max_length=500)
    seed: Annotated[int, Field(ge=0, le=2**32 - 1)] | None = None
    node: str | None = Field(default=None, max_length=200, description="A node type that is in the workflow.")
    limit: int = Field(default=50, ge=1, le=500)
    cursor: JobId | None = Field(default=None, description="`next` of the page before.")


@endpoint(
    "POST",
    "/api/jobs",
    body=JobSubmission,
    answers={202: JobAccepted},
    headers={"Idempotency-Key": _KEY},
    refuses=(404, 409, 503, 507),
    tag="jobs",
)
async def submit_job(server: Server, call: Call) -> Given:
    """Queue a workflow with values for its interface."""
    if server.draining:
        raise Refused(503, "stopping", "The server is being stopped.", headers={"Retry-After": "30"})
    key = call.header("Idempotency-Key")
    if key is not None and not 1 <= len(key) <= 200:
        raise Refused(422, "bad_key", "An Idempotency-Key has 1 to 200 characters.")
    new = await prepare(server, call.body)
    try:
        job, fresh = await server.store.add(new, key, call.raw)
    except KeyReused:
        raise Refused(409, "key_reused", "This Idempotency-Key came before, with another request.") from None
    if fresh:
        server.dispatcher.look()
    accepted = JobAccepted(id=job.id, state=job.state, url=f"/api/jobs/{job.id}")
    return Given(accepted, headers={"Location": accepted.url})


@endpoint("GET", "/api/jobs", query=JobQuery, answers={200: JobPage}, tag="jobs")
async def list_jobs(server: Server, call: Call) -> JobPage:
    """Jobs, the newest first."""
    query: JobQuery = call.query
    seed = None if query.seed is None else str(query.seed)
    wanted = Filter(query.state, query.workflow_id, query.text, query.model, seed, query.node)
    jobs, following = await server.store.page(wanted, query.cursor, query.limit)
    return JobPage(jobs=[summary(job) for job in jobs], next=following)


@endpoint("GET", "/api/jobs/{id}", types=_ID, answers={200: Job}, tag="jobs")
async def get_job(server: Server, call: Call) -> Job:
    """A job: its state, its inputs as used, its outputs, and what became of its nodes."""
    return await _shown(server, await server.store.get(call.id))


@endpoint("POST", "/api/jobs/{id}/cancel", types=_ID, answers={200: Job}, tag="jobs")
async def cancel_job(server: Server, call: Call) -> Job:
    """Cancel a job. One that runs stops after the step that it is at; one that has ended stays as it is."""
    return await _shown(server, await server.dispatcher.cancel(call.id))


@endpoint("POST", "/api/jobs/{id}/pause", types=_ID, answers={200: Job}, tag="jobs")
async def pause_job(server: Server, call: Call) -> Job:
    """Let a job wait until it is resumed. One that runs stops after its step, and goes on from there later."""
    return await _shown(server, await server.dispatcher.pause(call.id))


@endpoint("POST", "/api/jobs/{id}/resume", types=_ID, answers={200: Job}, tag="jobs")
async def resume_job(server: Server, call: Call) -> Job:
    """A paused job goes back into the queue."""
    found = await server.store.resume(call.id)
    server.dispatcher.look()
    return await _shown(server, found)


@endpoint("GET", "/api/queue", answers={200: Queue}, tag="queue")
async def get_queue(server: Server, call: Call) -> Queue:
    """What runs and what waits, in the order in which it will run."""
    paused, running, queued = await server.store.queue()
    return Queue(paused=paused, running=[summary(job) for job in running], queued=[summary(job) for job in queued])


@endpoint("POST", "/api/queue/pause", answers={200: Queue}, tag="queue")
async def pause_queue(server: Server, call: Call) -> Queue:
    """Start no more jobs; what runs goes on."""
    await server.store.pause_queue(True)
    return await get_queue.handler(server, call)


@endpoint("POST", "/api/queue/resume", answers={200: Queue}, tag="queue")
async def resume_queue(server: Server, call: Call) -> Queue:
    """Start jobs again."""
    await server.store.pause_queue(False)
    server.dispatcher.look()
    return await get_queue.handler(server, call)


async def _shown(server: Server, found: JobRecord | None) -> Job:
    if found is None:
        raise not_found("job")
    nodes = server.dispatcher.live.get(found.id) or await server.store.nodes(found.id)
    return whole(found, nodes, server.dispatcher.questions.get(found.id, {}))

"""Jobs: submitting, looking, trying again, stopping, forgetting."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Annotated, Any

from aiohttp import web
from pydantic import AwareDatetime, BaseModel, BeforeValidator, ConfigDict, Field

from nodegraph.artifacts.kept import path_of
from nodegraph.jobs import Filter, JobRecord, Key, KeyReused, NotNow, QueueFull
from nodegraph.jobs.retention import delete
from nodegraph.server.preparing import prepare
from nodegraph.server.problems import Refused, not_found
from nodegraph.server.routing import Call, Given, endpoint
from nodegraph.server.service import Server
from nodegraph.server.views import job_url, summary, whole
from nodegraph.wire import Job, JobAccepted, JobPage, JobState, JobSubmission
from nodegraph.wire.events import Event
from nodegraph.wire.jobs import LONGEST_ID, Answer, JobId, Move, Priority, WorkflowDocument

_ID = {"id": JobId}
_KEY = "A name for this request: sent again with the same body within a day, it queues nothing more and gives the same job."
_KEY_FORM = re.compile(r"[\x20-\x7e]{1,200}")
_LATER = {"Retry-After": "10"}


def _split(values: Any) -> Any:
    """`state=queued,running` says the same as `state=queued&state=running`."""
    return [part for value in values for part in str(value).split(",")] if isinstance(values, list) else values


def _is_a_date(text: Any) -> Any:
    """pydantic would take a number for seconds since 1970."""
    if not isinstance(text, str) or not re.match(r"\d{4}-\d\d-\d\d[T ]", text, re.ASCII):
        raise ValueError("a moment as 2026-11-23T01:00:00Z")
    return text


Moment = Annotated[AwareDatetime, BeforeValidator(_is_a_date)]


class JobQuery(BaseModel):
    """Which jobs to list."""

    model_config = ConfigDict(extra="forbid")

    state: Annotated[list[JobState], BeforeValidator(_split)] = Field(
        default=[], max_length=20, description="Only jobs in one of these states; repeated, or separated by commas."
    )
    workflow_id: str | None = Field(default=None, max_length=100, description="Only runs of this saved workflow.")
    document: str | None = Field(
        default=None, min_length=1, max_length=LONGEST_ID, description="Only runs of the document with this `id`."
    )
    text: str | None = Field(default=None, max_length=500, description="Words of a prompt, or of any text in the workflow.")
    model: str | None = Field(default=None, max_length=500, description="Part of the name of a model that it uses.")
    seed: Annotated[int, Field(ge=0, le=2**64)] | None = Field(default=None, description="A seed that it uses.")
    node: str | None = Field(default=None, max_length=200, description="A node type that it uses.")
    created_after: Moment | None = Field(default=None, description="Only jobs that were queued then or later.")
    created_before: Moment | None = Field(default=None, description="Only jobs that were queued before then.")
    limit: int = Field(default=50, ge=1, le=500)
    cursor: JobId | None = Field(default=None, description="`next` of the page before.")


class JobEventQuery(BaseModel):
    """Which of a job's events to give."""

    model_config = ConfigDict(extra="forbid")

    since: int = Field(default=0, ge=0, le=2**62, description="What came after this event.")
    limit: int = Field(default=500, ge=1, le=5000)


class JobEvents(BaseModel):
    """What happened to a job, the oldest first."""

    events: list[Event]
    next: int | None = Field(default=None, description="Where to go on: since=NEXT; null where this was all.")


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
    _open_for_jobs(server)
    key = _key(call)
    async with _refusing():
        made = None if key is None else await server.store.made_by(key)
        if made is not None:
            return _accepted(made)
        new = await prepare(server, call.body)
        job, fresh = await server.store.add(new, key, server.settings.jobs.max_queued)
    if fresh:
        server.dispatcher.look()
    return _accepted(job)


@endpoint("GET", "/api/jobs", query=JobQuery, answers={200: JobPage}, tag="jobs")
async def list_jobs(server: Server, call: Call) -> JobPage:
    """Jobs, the newest first. What is queued meanwhile does not shift the pages."""
    query: JobQuery = call.query
    wanted = Filter(
        states=query.state,
        workflow_id=query.workflow_id,
        document_id=query.document,
        text=query.text,
        model=query.model,
        seed=None if query.seed is None else str(query.seed),
        node=query.node,
        created_after=_seconds(query.created_after),
        created_before=_seconds(query.created_before),
    )
    jobs, following = await server.store.page(wanted, query.cursor, query.limit)
    return JobPage(jobs=[summary(job) for job in jobs], next=following)


@endpoint("GET", "/api/jobs/{id}", types=_ID, answers={200: Job}, tag="jobs")
async def get_job(server: Server, call: Call) -> Job:
    """A job: its state, its inputs as used, its outputs, and what became of its nodes and why."""
    return await _shown(server, call.id)


@endpoint("DELETE", "/api/jobs/{id}", types=_ID, answers={204: None}, refuses=(409, 507), tag="jobs")
async def delete_job(server: Server, call: Call) -> Given:
    """Forget a job that has ended, and the files that no other job has."""
    job = await server.store.get(call.id)
    async with _refusing():
        if job is None or not await delete(server.store, server.artifacts, call.id):
            raise not_found("job")
    await asyncio.to_thread(_forget_thumbnails, server, job)
    return Given(None)


@endpoint("GET", "/api/jobs/{id}/workflow", types=_ID, answers={200: WorkflowDocument}, tag="jobs")
async def get_job_workflow(server: Server, call: Call) -> web.Response:
    """The workflow as the job runs it: its inputs set, its nodes at their present versions, its subgraphs inside."""
    document = await server.store.document(call.id)
    if document is None:
        raise not_found("job")
    return web.Response(text=document, content_type="application/json")


@endpoint("GET", "/api/jobs/{id}/events", types=_ID, query=JobEventQuery, answers={200: JobEvents}, tag="jobs")
async def get_job_events(server: Server, call: Call) -> JobEvents:
    """What happened to a job, the oldest first, as far as it is kept."""
    query: JobEventQuery = call.query
    if await server.store.get(call.id) is None:
        raise not_found("job")
    found = await server.store.events_of(call.id, query.since, query.limit + 1)
    following = found[query.limit - 1].seq if len(found) > query.limit else None
    return JobEvents(events=[Event.model_validate_json(event.text) for event in found[: query.limit]], next=following)


@endpoint("POST", "/api/jobs/{id}/cancel", types=_ID, answers={200: Job}, refuses=(507,), tag="jobs")
async def cancel_job(server: Server, call: Call) -> Job:
    """Cancel a job. One that runs stops after the step that it is at; one that has ended stays as it is."""
    return await _changed(server, call, server.dispatcher.cancel(call.id))


@endpoint("POST", "/api/jobs/{id}/pause", types=_ID, answers={200: Job}, refuses=(507,), tag="jobs")
async def pause_job(server: Server, call: Call) -> Job:
    """Let a job wait until it is resumed. One that runs stops after its step, and goes on from there later."""
    return await _changed(server, call, server.dispatcher.pause(call.id))


@endpoint("POST", "/api/jobs/{id}/resume", types=_ID, answers={200: Job}, refuses=(507,), tag="jobs")
async def resume_job(server: Server, call: Call) -> Job:
    """A paused job goes back into the queue."""
    return await _changed(server, call, server.store.resume(call.id))


@endpoint("POST", "/api/jobs/{id}/move", types=_ID, body=Move, answers={200: Job}, refuses=(409, 507), tag="jobs")
async def move_job(server: Server, call: Call) -> Job:
    """Move a job within the queue: before another one, to its front, or to its end. It takes on the priority of that place."""
    move: Move = call.body
    if move.before is not None:
        return await _changed(server, call, server.store.move_before(call.id, move.before))
    assert move.position is not None
    return await _changed(server, call, server.store.move_to_end(call.id, move.position))


@endpoint("POST", "/api/jobs/{id}/priority", types=_ID, body=Priority, answers={200: Job}, refuses=(409, 507), tag="jobs")
async def set_job_priority(server: Server, call: Call) -> Job:
    """Let a job that waits go before all of lower priority."""
    return await _changed(server, call, server.store.set_priority(call.id, call.body.priority))


@endpoint(
    "POST",
    "/api/jobs/{id}/retry",
    types=_ID,
    answers={202: JobAccepted},
    headers={"Idempotency-Key": _KEY},
    refuses=(409, 422, 503, 507),
    tag="jobs",
)
async def retry_job(server: Server, call: Call) -> Given:
    """Try a job again that failed or was cancelled, as a new job. What was finished comes from the cache."""
    _open_for_jobs(server)
    async with _refusing():
        job, fresh = await server.store.retry(call.id, _key(call), server.settings.jobs.max_queued)
    if job is None:
        raise not_found("job")
    if fresh:
        server.dispatcher.look()
    return _accepted(job)


@endpoint("POST", "/api/jobs/{id}/answer", types=_ID, body=Answer, answers={200: Job}, refuses=(409, 507), tag="jobs")
async def answer_job(server: Server, call: Call) -> Job:
    """Answer what a node of a running job asks."""
    answer: Answer = call.body
    shown = await _shown(server, call.id)
    asked = next((question for question in shown.questions if question.node == answer.node), None)
    if asked is None:
        raise Refused(409, "no_question", "The job asks nothing there.")
    if answer.choice >= len(asked.choices):
        raise Refused(422, "no_such_choice", f"There are {len(asked.choices)} choices, counted from 0.")
    if not server.dispatcher.answer(call.id, answer.node, answer.choice):
        raise Refused(409, "no_question", "The job asks nothing there any more.")
    await server.store.tell([("job_answered", call.id, {"node": answer.node, "choice": answer.choice})])
    return await _shown(server, call.id)


# ---- what they share ----


async def _shown(server: Server, id_: str) -> Job:
    live = server.dispatcher.live.get(id_)  # before the store is asked: the job may end meanwhile
    known = await server.store.known(id_)
    if known is None:
        raise not_found("job")
    nodes = live.rows if live is not None and known.job.state == "running" else known.nodes
    shown = whole(known.job, nodes, {} if live is None else live.questions, known.retried_as)
    hindrance = server.dispatcher.hindrance if shown.state == "queued" else ""
    return shown.model_copy(update={"reason": hindrance}) if hindrance else shown


def _forget_thumbnails(server: Server, job: JobRecord) -> None:
    """Small pictures go with the pictures."""
    for row in (row for rows in job.outputs.values() for row in rows):
        path = path_of(server.artifacts, str(row.get("digest")))
        if path is not None and not path.exists():
            server.thumbnails.forget(path.name)


async def _changed(server: Server, call: Call, change: Awaitable[JobRecord | None]) -> Job:
    """The job after a change; what may run now is looked for."""
    async with _refusing():
        if await change is None:
            raise not_found("job")
    server.dispatcher.look()
    return await _shown(server, call.id)


@asynccontextmanager
async def _refusing() -> AsyncIterator[None]:
    """What the store does not do, as the API says it."""
    try:
        yield
    except NotNow as error:
        raise Refused(409, "not_now", str(error)) from None
    except KeyReused:
        raise Refused(409, "key_reused", "This Idempotency-Key came before, with another request.") from None
    except QueueFull:
        raise Refused(503, "queue_full", "As many jobs wait as may (`jobs.max_queued`).", headers=_LATER) from None


def _open_for_jobs(server: Server) -> None:
    if server.draining:
        raise Refused(503, "stopping", "The server is being stopped.", headers={"Retry-After": "30"})


def _key(call: Call) -> Key | None:
    name = call.header("Idempotency-Key")
    if name is None:
        return None
    if not _KEY_FORM.fullmatch(name):
        raise Refused(422, "bad_key", "An Idempotency-Key has 1 to 200 plain characters (ASCII).")
    return Key.of(name, call.request.path.encode(), call.raw)


def _accepted(job: JobRecord) -> Given:
    accepted = JobAccepted(id=job.id, state=job.state, url=job_url(job.id))  # type: ignore[arg-type]
    return Given(accepted, headers={"Location": accepted.url})


def _seconds(moment: datetime | None) -> float | None:
    return None if moment is None else moment.timestamp()

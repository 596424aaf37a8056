"""The client for asyncio: every call is one request, or as many as it takes while the server is restarted."""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from pathlib import Path
from types import TracebackType
from typing import Any, Literal

from pydantic import RootModel

from nodegraph.client.connection import PATIENCE_SECONDS, Connection, Patience
from nodegraph.client.errors import Damaged, JobCancelled, JobFailed, Refused, ServerGone
from nodegraph.client.finding import find_server
from nodegraph.client.results import AsyncJobResult
from nodegraph.client.submitting import Accepted, Runnable, consents, workflow_fields
from nodegraph.client.uploads import Uploaded, opened
from nodegraph.sdk.writing import write_atomically
from nodegraph.wire import ENDED, Job, JobAccepted, JobPage, JobState, JobSummary, Queue
from nodegraph.wire.events import Event, EventsLost, JobChanged, Preview, read_event, read_preview
from nodegraph.wire.system import System
from nodegraph.wire.workflows import StoredWorkflow, WorkflowPage, WorkflowRow

OnEvent = Callable[[Event], object]
OnPreview = Callable[[Preview], object]


class Answer(RootModel[dict[str, Any]]):
    """An answer as it came."""


class AsyncClient:
    """Talks to a nodegraph server. Without an address, to the one that serves the data folder on this machine.

    `patience` is how many seconds a server that answered before may be away, as while it is restarted. Errors are those of
    `nodegraph.client.errors`, and InvalidWorkflow.
    """

    def __init__(
        self,
        url: str | None = None,
        token: str | None = None,
        data: Path | None = None,
        *,
        patience: float = PATIENCE_SECONDS,
    ) -> None:
        self._connection = Connection(lambda: find_server(url, token, data), patience)

    async def __aenter__(self) -> AsyncClient:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        await self._connection.close()

    # ---- running ----

    async def run(
        self,
        workflow: Runnable,
        *,
        outputs: Sequence[str] | None = None,
        priority: int = 0,
        exact: bool = True,
        accept: Accepted = (),
        webhook: str | None = None,
        on_event: OnEvent | None = None,
        on_preview: OnPreview | None = None,
        **inputs: Any,
    ) -> AsyncJobResult:
        """Submit a workflow with these inputs, wait for it, and give what it made.

        `workflow` is a document, a workflow or a graph; a file's path; or the id of one that the server has. A `Path` among the
        inputs is a file of this machine: it is uploaded. `on_event` and `on_preview` are called as things happen. `accept` is
        what the workflow may reach for, as `Untrusted.wants` lists it. Raises JobFailed, and what `submit` raises.
        """
        since = await self.latest_event()
        submitted = await self.submit(
            workflow, outputs=outputs, priority=priority, exact=exact, accept=accept, webhook=webhook, **inputs
        )
        async with aclosing(self.follow(submitted.id, since, previews=on_preview is not None)) as events:
            async for event in events:
                tell(event, on_event, on_preview)
        return await self.result(submitted.id)

    async def submit(
        self,
        workflow: Runnable,
        *,
        outputs: Sequence[str] | None = None,
        priority: int = 0,
        exact: bool | None = True,
        accept: Accepted = (),
        webhook: str | None = None,
        key: str | None = None,
        **inputs: Any,
    ) -> JobAccepted:
        """Queue a workflow; see `run`. `key` names the request: sent twice, it queues one job.

        Raises InvalidWorkflow, Untrusted, Refused, ServerGone.
        """
        values = {name: await self._input(value) for name, value in inputs.items()}
        body = {
            **workflow_fields(workflow),
            "inputs": values,
            "priority": priority,
            "exact": exact,
            "accept": consents(accept),
            **({} if outputs is None else {"outputs": list(outputs)}),
            **({} if webhook is None else {"webhook": webhook}),
        }
        headers = {"Idempotency-Key": key or uuid.uuid4().hex}
        return await self._connection.ask(JobAccepted, "POST", "/api/jobs", body=body, headers=headers)

    async def wait(self, id_: str) -> AsyncJobResult:
        """What a job gave, once it has ended; the server may be restarted meanwhile. Raises JobFailed."""
        async with aclosing(self.progress(id_)) as events:
            async for _ in events:
                pass
        return await self.result(id_)

    async def progress(self, id_: str, *, previews: bool = False) -> AsyncGenerator[Event | Preview]:
        """What happens to a job from now on until it has ended; nothing where it has already."""
        since = await self.latest_event()
        if (await self.job(id_)).state not in ENDED:  # asked after the number was, so nothing falls between the two
            async with aclosing(self.follow(id_, since, previews=previews)) as events:
                async for event in events:
                    yield event

    async def follow(self, id_: str, since: int, *, previews: bool = False) -> AsyncGenerator[Event | Preview]:
        """What happens to a job after an event from before its end, until then."""
        async with aclosing(self.events(since, job=id_, previews=previews)) as events:
            async for event in events:
                yield event
                if isinstance(event, JobChanged) and event.state in ENDED:
                    return
                if isinstance(event, Event) and event.type == "job_deleted":
                    return  # with all that told of its end
                if isinstance(event, EventsLost) and (await self.job(id_)).state in ENDED:
                    return

    async def result(self, id_: str) -> AsyncJobResult:
        """What a job that has ended gave. Raises JobFailed, JobCancelled."""
        result = AsyncJobResult(await self.job(id_), self.download)
        if result.job.state == "succeeded":
            return result
        raise (JobCancelled if result.job.state == "cancelled" else JobFailed)(result)

    async def _input(self, value: Any) -> Any:
        return (await self.upload(value)).file if isinstance(value, Path) else value

    # ---- jobs ----

    async def job(self, id_: str) -> Job:
        """A job as it is now. Raises Refused (404) where there is none."""
        return await self._connection.ask(Job, "GET", f"/api/jobs/{id_}")

    async def jobs(
        self, *, state: Sequence[JobState] = (), limit: int | None = None, **filters: Any
    ) -> AsyncGenerator[JobSummary]:
        """Jobs, the newest first. `filters` are those of the API: `workflow_id`, `text`, `model`, `seed`, `node`."""
        cursor, left = None, limit
        while left is None or left > 0:
            size = 100 if left is None else min(left, 100)
            query = {"state": list(state), "limit": size, "cursor": cursor, **filters}
            page = await self._connection.ask(JobPage, "GET", "/api/jobs", query=query)
            for found in page.jobs:
                yield found
            left = None if left is None else left - len(page.jobs)
            if (cursor := page.next) is None:
                return

    async def cancel(self, id_: str) -> Job:
        """Cancel a job; one that has ended stays as it is."""
        return await self._change(id_, "cancel")

    async def pause(self, id_: str) -> Job:
        """Let a job wait until it is resumed."""
        return await self._change(id_, "pause")

    async def resume(self, id_: str) -> Job:
        return await self._change(id_, "resume")

    async def retry(self, id_: str) -> JobAccepted:
        """Queue a job that did not succeed once more: what was finished is not computed again."""
        headers = {"Idempotency-Key": uuid.uuid4().hex}
        return await self._connection.ask(JobAccepted, "POST", f"/api/jobs/{id_}/retry", headers=headers)

    async def answer(self, id_: str, node: str, choice: int) -> None:
        """Answer what a node of a running job asks; choices count from 0."""
        body = {"node": node, "choice": choice}
        await self._connection.ask(Answer, "POST", f"/api/jobs/{id_}/answer", body=body, again=False)

    async def _change(self, id_: str, what: Literal["cancel", "pause", "resume"]) -> Job:
        return await self._connection.ask(Job, "POST", f"/api/jobs/{id_}/{what}")

    async def queue(self) -> Queue:
        """What runs and what waits."""
        return await self._connection.ask(Queue, "GET", "/api/queue")

    # ---- events ----

    async def latest_event(self) -> int:
        """The number of the latest event: from there on, nothing is missed."""
        return (await self.system()).seq

    async def events(
        self, since: int | None = None, *, job: str | None = None, previews: bool = False
    ) -> AsyncGenerator[Event | Preview]:
        """What happens, from now on or from after an event on; goes on where it was after an interruption.

        Raises ServerGone where the server stays away.
        """
        seq = await self.latest_event() if since is None else since
        patience = Patience(self._connection.seconds)
        while True:
            query = {"since": seq, "job": job, "previews": "true" if previews else "false"}
            error: ServerGone | Refused = ServerGone("The server ended the connection.")
            try:
                async with self._connection.socket("/api/events", query) as messages:
                    async for message in messages:
                        patience = Patience(self._connection.seconds)
                        event = _read(message)
                        yield event
                        seq = event.seq if isinstance(event, Event) and event.seq is not None else seq
            except ServerGone as gone:
                if not self._connection.reached:
                    raise
                error = gone
            except Refused as refused:
                if refused.status not in (429, 502, 503, 504):
                    raise
                error = refused
            await patience.pause(error)

    # ---- files ----

    async def upload(self, path: str | Path) -> Uploaded:
        """Send a file; `file` of the answer is what an input takes. Raises ClientError for a file that cannot be read."""
        path = Path(path)
        opened(path).close()
        headers = {"Content-Type": "application/octet-stream"}
        answer = await self._connection.send(
            "POST", "/api/uploads", query={"name": path.name}, data=lambda: opened(path), headers=headers
        )
        return Uploaded.model_validate_json(answer)

    async def download(self, digest: str, path: str | Path | None = None) -> bytes:
        """A file by its digest, also into a file. Raises Refused (404), Damaged where something else came."""
        data = await self._connection.send("GET", f"/api/artifacts/{digest}")
        if hashlib.sha256(data).hexdigest() != digest.removeprefix("sha256:"):
            raise Damaged("The file that came has another digest.")
        if path is not None:
            write_atomically(Path(path), data)
        return data

    # ---- what there is ----

    async def workflows(self, text: str = "") -> AsyncGenerator[WorkflowRow]:
        """The workflows that the server has, by id; with a text, those in whose id, title or description its words stand."""
        cursor = None
        while True:
            query = {"text": text, "cursor": cursor}
            page = await self._connection.ask(WorkflowPage, "GET", "/api/workflows", query=query)
            for found in page.workflows:
                yield found
            if (cursor := page.next) is None:
                return

    async def workflow(self, id_: str) -> StoredWorkflow:
        """A workflow that the server has: the document, what it wants, and what is wrong with it."""
        return await self._connection.ask(StoredWorkflow, "GET", f"/api/workflows/{id_}")

    async def nodes(self) -> dict[str, Any]:
        """The catalog: node types and socket types as data."""
        return (await self._connection.ask(Answer, "GET", "/api/nodes")).root

    async def system(self) -> System:
        """Workers, devices and memory."""
        return await self._connection.ask(System, "GET", "/api/system")


def tell(event: Event | Preview, on_event: OnEvent | None, on_preview: OnPreview | None) -> None:
    """Call whoever wants to hear of it."""
    if isinstance(event, Preview):
        if on_preview is not None:
            on_preview(event)
    elif on_event is not None:
        on_event(event)


def _read(message: str | bytes) -> Event | Preview:
    try:
        return read_event(message) if isinstance(message, str) else read_preview(message)
    except ValueError:
        raise Damaged("An event is not one of a nodegraph server.") from None

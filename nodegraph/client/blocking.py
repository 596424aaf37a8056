"""The client for scripts and notebooks: the asynchronous one on a loop in a thread of its own.

Callbacks and iterations happen in the caller's thread, and Ctrl-C comes through.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncGenerator, Coroutine, Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, TypeVar

from nodegraph.client.aio import AsyncClient, OnEvent, OnPreview, tell
from nodegraph.client.connection import PATIENCE_SECONDS
from nodegraph.client.errors import JobFailed
from nodegraph.client.results import JobResult
from nodegraph.client.submitting import Accepted, Runnable
from nodegraph.client.uploads import Uploaded
from nodegraph.wire import Job, JobAccepted, JobState, JobSummary, Queue
from nodegraph.wire.events import Event, Preview
from nodegraph.wire.system import System
from nodegraph.wire.workflows import StoredWorkflow, WorkflowRow

T = TypeVar("T")

_STOP_SECONDS = 5.0


class Client:
    """Talks to a nodegraph server. Without an address, to the one that serves the data folder on this machine.

    `patience` is how many seconds a server that answered before may be away, as while it is restarted. Errors are those of
    `nodegraph.client.errors`, and InvalidWorkflow. Close it, or use `with`.
    """

    def __init__(
        self,
        url: str | None = None,
        token: str | None = None,
        data: Path | None = None,
        *,
        patience: float = PATIENCE_SECONDS,
    ) -> None:
        self._client = AsyncClient(url, token, data, patience=patience)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="nodegraph-client", daemon=True)
        self._thread.start()

    def __enter__(self) -> Client:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Let the connections and the thread go. Twice does no harm."""
        if not self._loop.is_closed():
            self._do(self._client.close())
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join()
            self._loop.close()

    # ---- running ----

    def run(
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
    ) -> JobResult:
        """Submit a workflow with these inputs, wait for it, and give what it made.

        `workflow` is a document, a workflow or a graph; a file's path; or the id of one that the server has. A `Path` among the
        inputs is a file of this machine: it is uploaded. `on_event` and `on_preview` are called as things happen. `accept` is
        what the workflow may reach for, as `Untrusted.wants` lists it. Raises JobFailed, and what `submit` raises.
        """
        since = self._do(self._client.latest_event())
        submitted = self.submit(
            workflow, outputs=outputs, priority=priority, exact=exact, accept=accept, webhook=webhook, **inputs
        )
        for event in self.follow(submitted.id, since, previews=on_preview is not None):
            tell(event, on_event, on_preview)
        return self.result(submitted.id)

    def submit(
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
        return self._do(
            self._client.submit(
                workflow,
                outputs=outputs,
                priority=priority,
                exact=exact,
                accept=accept,
                webhook=webhook,
                key=key,
                **inputs,
            )
        )

    def wait(self, id_: str, timeout: float | None = None) -> JobResult:
        """What a job gave, once it has ended; the server may be restarted meanwhile. Raises JobFailed, TimeoutError."""
        try:
            return self._result(asyncio.wait_for(self._client.wait(id_), timeout))
        except TimeoutError:
            raise TimeoutError(f"Job {id_} has not ended within {timeout} seconds. It goes on.") from None

    def progress(self, id_: str, *, previews: bool = False) -> Iterator[Event | Preview]:
        """What happens to a job from now on until it has ended; nothing where it has already."""
        return self._each(self._client.progress(id_, previews=previews))

    def follow(self, id_: str, since: int, *, previews: bool = False) -> Iterator[Event | Preview]:
        """What happens to a job after an event from before its end, until then."""
        return self._each(self._client.follow(id_, since, previews=previews))

    def result(self, id_: str) -> JobResult:
        """What a job that has ended gave. Raises JobFailed, JobCancelled."""
        return self._result(self._client.result(id_))

    # ---- jobs ----

    def job(self, id_: str) -> Job:
        """A job as it is now. Raises Refused (404) where there is none."""
        return self._do(self._client.job(id_))

    def jobs(self, *, state: Sequence[JobState] = (), limit: int | None = None, **filters: Any) -> Iterator[JobSummary]:
        """Jobs, the newest first. `filters` are those of the API: `workflow_id`, `text`, `model`, `seed`, `node`."""
        return self._each(self._client.jobs(state=state, limit=limit, **filters))

    def cancel(self, id_: str) -> Job:
        """Cancel a job; one that has ended stays as it is."""
        return self._do(self._client.cancel(id_))

    def pause(self, id_: str) -> Job:
        """Let a job wait until it is resumed."""
        return self._do(self._client.pause(id_))

    def resume(self, id_: str) -> Job:
        return self._do(self._client.resume(id_))

    def retry(self, id_: str) -> JobAccepted:
        """Queue a job that did not succeed once more: what was finished is not computed again."""
        return self._do(self._client.retry(id_))

    def answer(self, id_: str, node: str, choice: int) -> None:
        """Answer what a node of a running job asks; choices count from 0."""
        self._do(self._client.answer(id_, node, choice))

    def queue(self) -> Queue:
        """What runs and what waits."""
        return self._do(self._client.queue())

    # ---- events ----

    def latest_event(self) -> int:
        """The number of the latest event: from there on, nothing is missed."""
        return self._do(self._client.latest_event())

    def events(self, since: int | None = None, *, job: str | None = None, previews: bool = False) -> Iterator[Event | Preview]:
        """What happens, from now on or from after an event on; goes on where it was after an interruption.

        Raises ServerGone where the server stays away.
        """
        return self._each(self._client.events(since, job=job, previews=previews))

    # ---- files ----

    def upload(self, path: str | Path) -> Uploaded:
        """Send a file; `file` of the answer is what an input takes. Raises ClientError for a file that cannot be read."""
        return self._do(self._client.upload(path))

    def download(self, digest: str, path: str | Path | None = None) -> bytes:
        """A file by its digest, also into a file. Raises Refused (404), Damaged where something else came."""
        return self._do(self._client.download(digest, path))

    # ---- what there is ----

    def workflows(self, text: str = "") -> Iterator[WorkflowRow]:
        """The workflows that the server has, by id; with a text, those in whose id, title or description its words stand."""
        return self._each(self._client.workflows(text))

    def workflow(self, id_: str) -> StoredWorkflow:
        """A workflow that the server has: the document, what it wants, and what is wrong with it."""
        return self._do(self._client.workflow(id_))

    def nodes(self) -> dict[str, Any]:
        """The catalog: node types and socket types as data."""
        return self._do(self._client.nodes())

    def system(self) -> System:
        """Workers, devices and memory."""
        return self._do(self._client.system())

    # ---- the thread ----

    def _do(self, work: Coroutine[Any, Any, T]) -> T:
        over = threading.Event()

        async def done() -> T:
            try:
                return await work
            finally:
                over.set()

        future = asyncio.run_coroutine_threadsafe(done(), self._loop)
        try:
            return future.result()
        except BaseException:  # a Ctrl-C here stops what goes on there, and is not told before it has stopped
            future.cancel()
            over.wait(_STOP_SECONDS)
            raise

    def _each(self, found: AsyncGenerator[T, None]) -> Iterator[T]:
        try:
            while True:
                try:
                    item = self._do(anext(found))
                except StopAsyncIteration:
                    return
                yield item
        finally:
            if not self._loop.is_closed():  # the client may be closed before an iterator that nobody finished
                self._do(found.aclose())

    def _result(self, work: Coroutine[Any, Any, Any]) -> JobResult:
        try:
            return JobResult(self._do(work).job, self.download)
        except JobFailed as error:
            raise type(error)(JobResult(error.job, self.download)) from None

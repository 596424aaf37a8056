"""The host of an engine: takes messages, runs jobs in one session, tells what becomes of them. It knows no transport."""

from __future__ import annotations

import asyncio
import json
import logging
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from nodegraph.api.session import Session
from nodegraph.api.workflow import Result, RunFailed, Workflow
from nodegraph.artifacts.kept import keep
from nodegraph.artifacts.place import SUFFIXES, file_name
from nodegraph.graph import parse_document
from nodegraph.sdk.context import Question
from nodegraph.sdk.errors import InvalidWorkflow, NodeError, PackError, Problem
from nodegraph.workers.calls import CALLS
from nodegraph.workers.messages import BadFrame, Message, as_text
from nodegraph.workers.telling import Telling

Send = Callable[[Message], None]
Key = tuple[str, int]

_MOST_LOGGED = 100  # lines of one attempt
_LONGEST_LOGGED = 1000


@dataclass
class _Running:
    """An attempt under way; `cancelled` says that somebody asked for its end."""

    task: asyncio.Task[dict[str, Any]]
    telling: Telling
    cancelled: bool = False


class Host:
    """Runs the jobs that it is given, several at a time, so that their steps batch. Everything is on one loop.

    `artifacts` is where output files go, by digest. `send` may be called on any thread and returns at once; it raises BadFrame
    for what is too large to be sent.
    """

    def __init__(self, session: Session, artifacts: Path, send: Send) -> None:
        self.session, self._artifacts, self._send = session, artifacts, send
        self._running: dict[Key, _Running] = {}
        self._questions: dict[tuple[str, str], asyncio.Future[int]] = {}
        self._calls: set[asyncio.Task[None]] = set()
        self._loop = asyncio.get_running_loop()

    @property
    def jobs(self) -> list[str]:
        """The jobs that run."""
        return [job for job, _ in self._running]

    def handle(self, message: Message) -> None:
        """Act on a message; answers come through `send`."""
        match message["kind"]:
            case "run":
                self._run(message)
            case "cancel":
                running = self._running.get((message["job"], message["attempt"]))
                if running is not None:
                    running.cancelled = True
                    running.task.cancel()
            case "answer":
                question = self._questions.get((message["job"], message["node"]))
                if question is not None and not question.done():
                    question.set_result(message["choice"])
            case "call":
                call = asyncio.create_task(self._call(message))
                self._calls.add(call)
                call.add_done_callback(self._calls.discard)

    async def stop(self) -> None:
        """Stop what runs and wait until it is told; finished steps stay in the cache."""
        tasks = [running.task for running in self._running.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, *self._calls, return_exceptions=True)
        await asyncio.sleep(0)  # `_over` has had its turn

    # ---- jobs ----

    def _run(self, message: Message) -> None:
        key = message["job"], message["attempt"]
        telling = Telling(*key, self._send)
        task = asyncio.create_task(self._ended(message, telling))
        self._running[key] = _Running(task, telling)
        task.add_done_callback(partial(self._over, key))  # also of a task that was cancelled before it began

    def _over(self, key: Key, task: asyncio.Task[dict[str, Any]]) -> None:
        """Tell the end of an attempt, exactly once. One that was stopped, and not because its job is to end, has no result."""
        running = self._running.pop(key)
        ended = _nothing("cancelled") if task.cancelled() else task.result()
        if ended["state"] == "cancelled" and not running.cancelled:
            ended["state"] = "stopped"
        running.telling.close()
        done = {"kind": "done", "job": key[0], "attempt": key[1]}
        try:
            self._send({**done, "ended": as_text(ended)})
        except BadFrame as error:
            problem = Problem("too_large", f"The result cannot be sent: {error}.", hint="Give large outputs as files.")
            self._send({**done, "ended": as_text(_refused([problem]))})

    async def _ended(self, message: Message, telling: Telling) -> dict[str, Any]:
        try:
            document = await asyncio.to_thread(parse_document, message["document"])
            workflow = Workflow(document, self.session)
            result = await workflow.run_async(
                wanted=message["wanted"],
                listener=telling.listen,
                out=self._put,
                exact=message["exact"],
                priority=message["priority"],
                asker=lambda question: self._ask(message, question),
                log=self._logger_of(message),
            )
        except RunFailed as failed:
            return _ended(failed.result, failed.result.run.problems)
        except InvalidWorkflow as error:
            return _refused(error.problems)
        except NodeError as error:
            return _refused([Problem("bad_output", str(error), None, None, error.expected, error.got, error.hint)])
        except PackError as error:
            return _refused([Problem("broken_pack", str(error))])
        except Exception as error:  # a fault of ours: the job ends, the worker goes on
            traceback.print_exc()
            return _refused([Problem("internal_error", f"The worker failed: {type(error).__name__}. Its log says more.")])
        return _ended(result, ())

    def _put(self, data: bytes, media_type: str, template: str, fields: Mapping[str, Any]) -> dict[str, Any]:
        """An output file goes to the artifacts; its name is what a client would save it under."""
        try:
            digest = keep(self._artifacts, data)
        except OSError as error:
            raise NodeError(f"The output cannot be written: {error.strerror}.", hint="Make room in the data folder.") from None
        name = file_name(template, {**fields, "digest": digest[7:15]}) + SUFFIXES.get(media_type, ".bin")
        return {"digest": digest, "media_type": media_type, "name": name, "bytes": len(data)}

    async def _ask(self, message: Message, question: Question) -> int:
        """Put a question to whoever looks at the job. Called on the engine's loop."""
        asked = asyncio.run_coroutine_threadsafe(self._asked(message, question), self._loop)
        return await asyncio.wrap_future(asked)

    async def _asked(self, message: Message, question: Question) -> int:
        pictures = [picture and self._put(picture.data, picture.media_type, picture.name, {}) for picture in question.pictures]
        text = as_text({"text": question.text, "choices": question.choices, "pictures": pictures})
        about = {"job": message["job"], "attempt": message["attempt"], "node": question.node}
        key = message["job"], question.node
        self._questions[key] = asyncio.get_running_loop().create_future()
        self._send({"kind": "question", **about, "question": text})
        try:
            return await self._questions[key]
        finally:
            del self._questions[key]

    def _logger_of(self, message: Message) -> Callable[[str], logging.Logger]:
        """Loggers for a job's nodes: what they say becomes a line in the server's log, with the job's id."""
        about = {"kind": "log", "job": message["job"], "attempt": message["attempt"]}
        left = _MOST_LOGGED

        def send(record: logging.LogRecord) -> None:
            nonlocal left
            left -= 1
            if left >= 0:
                text = record.getMessage()[:_LONGEST_LOGGED] if left else "It says more, which is left out."
                self._send({**about, "node": record.name, "level": record.levelname.lower(), "message": text})

        def logger_of(node: str) -> logging.Logger:
            log = logging.Logger(node, logging.INFO)  # known to nobody else: it goes with the call
            log.addHandler(_Sending(send))
            return log

        return logger_of

    # ---- calls ----

    async def _call(self, message: Message) -> None:
        result, problems = None, None
        try:
            result = as_text(await CALLS[message["what"]](self.session, json.loads(message["arguments"])))
        except InvalidWorkflow as error:
            problems = [problem.to_json() for problem in error.problems]
        except Exception as error:
            traceback.print_exc()
            problems = [Problem("internal_error", f"The worker failed: {type(error).__name__}.").to_json()]
        answer = {"kind": "answer", "id": message["id"]}
        try:
            self._send({**answer, "result": result, "problems": None if problems is None else as_text(problems)})
        except BadFrame as error:
            problems = [Problem("too_large", f"The answer cannot be sent: {error}.").to_json()]
            self._send({**answer, "result": None, "problems": as_text(problems)})


class _Sending(logging.Handler):
    """Hands records on."""

    def __init__(self, send: Callable[[logging.LogRecord], None]) -> None:
        super().__init__()
        self._send = send

    def emit(self, record: logging.LogRecord) -> None:
        try:
            self._send(record)
        except Exception:
            return  # a log line is never worth a failure


def _ended(result: Result, problems: Any) -> dict[str, Any]:
    state = result.run.status
    ended = {"state": state, "outputs": result.files, "nodes": result.nodes, "seconds": round(result.run.seconds, 3)}
    return {**ended, "error": _error(problems) if state == "failed" else None}


def _refused(problems: Any) -> dict[str, Any]:
    return {**_nothing("failed"), "error": _error(problems)}


def _nothing(state: str) -> dict[str, Any]:
    return {"state": state, "outputs": {}, "nodes": {}, "error": None, "seconds": 0.0}


def _error(problems: Any) -> dict[str, Any]:
    """Problems as the API tells them (`nodegraph.wire.ProblemDetails`)."""
    rows = [problem.to_json() for problem in problems]
    told = {"type": "nodegraph:run_failed", "title": "The run did not succeed.", "status": 422}
    return {**told, "detail": rows[0]["message"] if rows else None, "problems": rows}

"""The host of an engine: takes messages, runs jobs in one session, tells what becomes of them. It knows no transport."""

from __future__ import annotations

import asyncio
import json
import traceback
from collections.abc import Callable, Mapping
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
from nodegraph.workers.messages import Message
from nodegraph.workers.telling import Telling

Send = Callable[[Message], None]


class Host:
    """Runs the jobs that it is given, several at a time, so that their steps batch. Everything is on one loop.

    `artifacts` is where output files go, by digest. `send` is called on the loop and returns at once.
    """

    def __init__(self, session: Session, artifacts: Path, send: Send) -> None:
        self.session, self._artifacts, self._send = session, artifacts, send
        self._running: dict[tuple[str, int], asyncio.Task[None]] = {}
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
                key = message["job"], message["attempt"]
                self._running[key] = asyncio.create_task(self._run(message))
            case "cancel":
                task = self._running.get((message["job"], message["attempt"]))
                if task is not None:
                    task.cancel()
            case "answer":
                question = self._questions.get((message["job"], message["node"]))
                if question is not None and not question.done():
                    question.set_result(message["choice"])
            case "call":
                call = asyncio.create_task(self._call(message))
                self._calls.add(call)
                call.add_done_callback(self._calls.discard)

    async def pulse(self) -> None:
        """Return when the engine's loop has had its turn: it is alive."""
        await self.session.pulse()

    async def stop(self) -> None:
        """Cancel what runs and wait until it is told; finished steps stay in the cache."""
        tasks = list(self._running.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, *self._calls, return_exceptions=True)

    # ---- jobs ----

    async def _run(self, message: Message) -> None:
        job, attempt = message["job"], message["attempt"]
        telling = Telling(job, attempt, self._send, asyncio.get_running_loop())
        try:
            ended = await self._ended(message, telling)
        except asyncio.CancelledError:
            ended = {"state": "cancelled", "outputs": {}, "nodes": {}, "error": None, "seconds": 0.0}
        finally:
            telling.flush()
            del self._running[job, attempt]
        text = json.dumps(ended, ensure_ascii=False, default=str)
        self._send({"kind": "done", "job": job, "attempt": attempt, "ended": text})

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
        text = json.dumps({"text": question.text, "choices": question.choices, "pictures": pictures}, ensure_ascii=False)
        about = {"job": message["job"], "attempt": message["attempt"], "node": question.node}
        key = message["job"], question.node
        self._questions[key] = asyncio.get_running_loop().create_future()
        self._send({"kind": "question", **about, "question": text})
        try:
            return await self._questions[key]
        finally:
            del self._questions[key]

    # ---- calls ----

    async def _call(self, message: Message) -> None:
        answer: Message = {"kind": "answer", "id": message["id"]}
        try:
            result = await CALLS[message["what"]](self.session, json.loads(message["arguments"]))
            answer["result"] = json.dumps(result, ensure_ascii=False, default=str)
        except InvalidWorkflow as error:
            answer["problem"] = json.dumps([problem.to_json() for problem in error.problems], ensure_ascii=False)
        except Exception as error:
            traceback.print_exc()
            answer["problem"] = json.dumps([Problem("internal_error", f"The worker failed: {type(error).__name__}.").to_json()])
        self._send(answer)


def _ended(result: Result, problems: Any) -> dict[str, Any]:
    state = "succeeded" if result.run.status == "succeeded" else "failed"
    ended = {"state": state, "outputs": result.files, "nodes": result.nodes, "seconds": round(result.run.seconds, 3)}
    return {**ended, "error": _error(problems) if state == "failed" else None}


def _refused(problems: Any) -> dict[str, Any]:
    return {"state": "failed", "outputs": {}, "nodes": {}, "error": _error(problems), "seconds": 0.0}


def _error(problems: Any) -> dict[str, Any]:
    """Problems as the API tells them (`nodegraph.wire.ProblemDetails`)."""
    rows = [problem.to_json() for problem in problems]
    told = {"type": "nodegraph:run_failed", "title": "The run did not succeed.", "status": 422}
    return {**told, "detail": rows[0]["message"] if rows else None, "problems": rows}

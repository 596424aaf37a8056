"""A person decides: the run waits for an answer, other work goes on, and the answer is remembered."""

from __future__ import annotations

import asyncio

from engine.graphs import Bench, states, values
from nodegraph import Question
from nodegraph.engine import Engine, Library, RunOptions
from nodegraph.graph import compile_document
from nodegraph.graph.document import document_from
from nodegraph.sdk.pack import Pack
from nodegraph_nodes import core


def _library(bench: Bench) -> Library:
    return Library.of([bench.pack(), Pack.of("core", vars(core).values())])


def _document(**inputs: object) -> object:
    nodes = {
        "lines": {"type": "core/split_lines", "inputs": {"value": "red\ngreen\nblue"}},
        "ask": {"type": "core/ask", "inputs": inputs, "links": {"options": "lines.texts"}},
        "shout": {"type": "core/replace_text", "inputs": {"find": "u", "replacement": "U"}, "links": {"value": "ask.chosen"}},
        "other": {"type": "t/add", "inputs": {"a": 1}},
    }
    return document_from({"nodegraph": 1, "id": "ask", "nodes": nodes})


async def test_the_answer_decides_what_goes_on_and_the_rest_of_the_run_does_not_wait() -> None:
    bench, asked, answer = Bench(), asyncio.Event(), asyncio.Event()
    questions: list[Question] = []

    async def asker(question: Question) -> int:
        questions.append(question)
        asked.set()
        await answer.wait()
        return 2

    async with Engine(_library(bench)) as engine:
        plan = compile_document(_document(question="Which colour?"), engine.library.catalog)  # type: ignore[arg-type]
        run = asyncio.create_task(engine.run(plan, RunOptions(asker=asker)))
        await asked.wait()
        other = await engine.run(compile_document(_document(), engine.library.catalog, ["other"]))  # type: ignore[arg-type]
        assert values(other) == {"other.value": 2}
        answer.set()
        result = await run
        assert questions[0].text == "Which colour?"
        assert questions[0].choices == ("red", "green", "blue")
        assert "blUe" in values(result).values()
        again = await engine.run(plan, RunOptions(asker=asker))
        assert len(questions) == 1, "the answer is remembered"
        assert values(again) == values(result)
        plan = compile_document(_document(question="Which colour?", again=1), engine.library.catalog)  # type: ignore[arg-type]
        await engine.run(plan, RunOptions(asker=asker))
        assert len(questions) == 2, "another number asks again"


async def test_where_nobody_can_be_asked_the_node_fails_and_says_how_to_answer_beforehand() -> None:
    bench = Bench()
    async with Engine(_library(bench)) as engine:
        result = await engine.run(compile_document(_document(), engine.library.catalog))  # type: ignore[arg-type]
    assert result.status == "failed"
    (problem,) = result.problems
    assert problem.node == "ask/choose"
    assert "--answer ask=N" in str(problem)
    assert states(result)["other"] == "computed"


async def test_cancelling_a_run_that_waits_for_an_answer_ends_it() -> None:
    bench, asked = Bench(), asyncio.Event()

    async def asker(question: Question) -> int:
        asked.set()
        await asyncio.Event().wait()
        return 0

    async with Engine(_library(bench)) as engine:
        plan = compile_document(_document(), engine.library.catalog)  # type: ignore[arg-type]
        run = asyncio.create_task(engine.run(plan, RunOptions(asker=asker)))
        await asked.wait()
        run.cancel()
        result = await asyncio.gather(run, return_exceptions=True)
        assert isinstance(result[0], asyncio.CancelledError)
        assert not engine.in_flight

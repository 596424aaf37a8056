"""Explanations: which input changed since a node last ran in this workflow, also in a new process."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from engine.conftest import PretendedDevice
from engine.graphs import Bench, Lab, entry, library
from nodegraph.engine import Engine, RunResult
from nodegraph.graph import compile_document
from nodegraph.graph.document import document_from
from nodegraph.store.journal import Journal

Process = Callable[[], AbstractAsyncContextManager[Lab]]


@pytest.fixture
def process(device: PretendedDevice, tmp_path: Path) -> Process:
    """An engine as a new process has it: empty memory, the same journal."""

    @asynccontextmanager
    async def begin() -> AsyncIterator[Lab]:
        bench = Bench()
        async with Engine(library(bench), device=lambda: device) as engine:
            engine.history.journal = Journal(tmp_path / "journal.sqlite")
            yield Lab(engine, bench)
            engine.history.journal.close()

    return begin


def reasons(result: RunResult) -> dict[str, str]:
    return {name: row["reason"] for name, row in result.nodes.items() if row["state"] == "computed"}


PAIR = {"a": entry("box", content=1), "b": entry("grow", box="a.box")}


async def test_a_new_process_says_what_changed(process: Process) -> None:
    async with process() as lab:
        assert set(reasons(await lab.run(PAIR)).values()) == {"first run here"}
    async with process() as lab:
        found = reasons(await lab.run({**PAIR, "b": entry("grow", box="a.box", by=3)}))
    assert found == {"a": "no longer in the cache", "b": "by changed from 1 to 3"}


async def test_a_new_process_names_the_link_through_which_a_change_came(process: Process) -> None:
    async with process() as lab:
        await lab.run(PAIR)
    async with process() as lab:
        found = reasons(await lab.run({**PAIR, "a": entry("box", content=2)}))
    assert found == {"a": "content changed from 1 to 2", "b": "box changed (from a)"}


async def test_parts_of_composites_and_lists_are_explained_across_processes(process: Process) -> None:
    nodes = {"l": entry("boxes", count=2), "g": entry("grow_times", box="l.boxes", times=2, by=1)}
    async with process() as lab:
        await lab.run(nodes)
    async with process() as lab:
        found = reasons(await lab.run({**nodes, "g": entry("grow_times", box="l.boxes", times=2, by=4)}))
    assert found["g[1]/grow"] == "by changed from 1 to 4"
    assert "changed" in found["g[1]/grow_2"]


async def test_another_document_has_a_past_of_its_own(process: Process) -> None:
    async with process() as lab:
        await lab.run(PAIR)
    async with process() as lab:
        document = document_from({"nodegraph": 1, "id": "other", "nodes": PAIR})
        result = await lab.engine.run(compile_document(document, lab.engine.library.catalog))
    assert set(reasons(result).values()) == {"first run here"}


async def test_what_did_not_run_last_time_is_compared_with_when_it_last_ran(lab: Lab) -> None:
    await lab.run(PAIR)
    edited = {**PAIR, "b": entry("grow", box="a.box", by=2)}
    await lab.run(edited, wanted=["a"])
    assert reasons(await lab.run(edited)) == {"b": "by changed from 1 to 2"}


async def test_runs_of_hits_alone_do_not_push_older_runs_out(lab: Lab) -> None:
    await lab.run(PAIR)
    for _ in range(20):
        await lab.run(PAIR)
    lab.engine.memory.clear()
    assert set(reasons(await lab.run(PAIR)).values()) == {"no longer in the cache"}


async def test_a_node_that_had_this_input_before_the_last_change_is_no_longer_in_the_cache(lab: Lab) -> None:
    edited = {**PAIR, "b": entry("grow", box="a.box", by=2)}
    for nodes in (PAIR, edited):
        await lab.run(nodes)
    lab.engine.memory.clear()
    assert reasons(await lab.run(PAIR))["b"] == "no longer in the cache"


async def test_a_node_that_failed_before_says_what_changed_since(lab: Lab) -> None:
    await lab.run({"f": entry("fail_odd", a=3)})
    assert reasons(await lab.run({"f": entry("fail_odd", a=4)})) == {"f": "a changed from 3 to 4"}


async def test_a_node_that_failed_and_then_succeeds_was_not_finished_before(lab: Lab, device: PretendedDevice) -> None:
    nodes = {"b": entry("box", content=1), "d": entry("on_device", box="b.box")}
    device.failures = 2
    assert (await lab.run(nodes)).status == "failed"
    assert reasons(await lab.run(nodes))["d"] == "it was not finished before"


LONG = "a painting of a lighthouse at dawn, oil on canvas, by nobody in particular, very detailed, "


@pytest.mark.parametrize(
    ("before", "after", "reason"),
    [
        ("red", "blue", 'text changed from "red" to "blue"'),
        (
            LONG + "calm sea",
            LONG + "rough sea",
            "text changed from ...'lar, very detailed, calm sea' to ...'lar, very detailed, rough sea'",
        ),
        (LONG * 40, LONG * 40 + "!", "text changed after its first 60 characters"),
    ],
    ids=["short", "long", "very long"],
)
async def test_of_long_texts_the_place_that_changed_is_shown(before: str, after: str, reason: str) -> None:
    from nodegraph import Pack, node
    from nodegraph.engine import Library

    @node()
    def say(text: str) -> str:
        return text

    async with Engine(Library.of([Pack.of("t", [say])])) as engine:
        lab = Lab(engine, Bench())
        await lab.run({"s": entry("say", text=before)})
        assert reasons(await lab.run({"s": entry("say", text=after)})) == {"s": reason}


async def test_a_secret_typed_in_place_of_its_name_is_in_no_reason_and_no_file(process: Process, tmp_path: Path) -> None:
    from nodegraph import Pack, Secret, node
    from nodegraph.engine import Library

    @node()
    def fetch(token: Secret) -> int:
        return 1

    hidden = "sk-live+51H8x/very=secret"
    async with Engine(Library.of([Pack.of("t", [fetch])])) as engine:
        engine.history.journal = Journal(tmp_path / "secrets.sqlite")
        lab = Lab(engine, Bench())
        await lab.run({"f": entry("fetch", token=hidden)})
        result = await lab.run({"f": entry("fetch", token="my_token")})
        engine.history.journal.close()
    assert hidden not in result.nodes["f"]["reason"]
    journal = Journal(tmp_path / "secrets.sqlite")
    assert [run["f"].values for run in journal.runs("lab")] == [{"token": "my_token"}, {"token": "(no name of a secret)"}]
    journal.close()
    assert hidden.encode() not in (tmp_path / "secrets.sqlite").read_bytes()


async def test_a_run_too_large_to_keep_is_explained_in_this_process_only(process: Process) -> None:
    nodes: dict[str, Any] = {f"n{i}": entry("box", content=i) for i in range(5001)}
    async with process() as lab:
        await lab.run(nodes)
        assert lab.engine.history.journal is not None
        lab.engine.history.journal.flush()
        assert lab.engine.history.journal.runs("lab") == []


async def test_trouble_with_the_journal_does_not_reach_a_run(device: PretendedDevice, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    bench = Bench()
    async with Engine(library(bench), device=lambda: device) as engine:
        engine.history.journal = Journal(tmp_path / "file" / "journal.sqlite")
        result = await Lab(engine, bench).run(PAIR)
        engine.history.journal.close()
    assert result.status == "succeeded"
    assert engine.history.journal.trouble

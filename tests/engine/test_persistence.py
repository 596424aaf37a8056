"""The disk tier behind the engine: a new engine on the same folder goes on where the last one stopped."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from engine.graphs import states, values
from engine.steps import Desk, Log, State, at, picture
from nodegraph import Context, Pack, node
from nodegraph.engine import Engine, Library
from nodegraph.graph import compile_document
from nodegraph.graph.document import document_from
from nodegraph.store import DiskTier
from nodegraph.store.record import Record


async def test_a_new_engine_finds_everything_on_disk_and_reads_only_the_output(device: Any, tmp_path: Path) -> None:
    log = Log()
    log.gate.set()
    async with Desk(log, device, tmp_path) as desk:
        first = await desk.run(picture(1, 5), ["denoise.state"])
    log.calls.clear()
    async with Desk(log, device, tmp_path) as desk:
        second = await desk.run(picture(1, 5), ["denoise.state"])
    assert not log.calls
    assert values(second)["denoise.state"].number == values(first)["denoise.state"].number == 1005
    assert values(second)["denoise.state"].data == values(first)["denoise.state"].data
    assert second.nodes["denoise"]["reason"] == "on disk"
    assert second.nodes["begin"]["state"] == "not_needed"


async def test_a_longer_run_goes_on_from_the_last_step_on_disk(device: Any, tmp_path: Path) -> None:
    log = Log()
    log.gate.set()
    async with Desk(log, device, tmp_path) as desk:
        await desk.run(picture(1, 5))
    log.calls.clear()
    async with Desk(log, device, tmp_path) as desk:
        result = await desk.run(picture(1, 8))
    assert log.calls["step"] == 3
    assert log.calls["begin"] == 0
    assert values(result)["save"].data == b"picture 1008"


async def test_a_failed_run_keeps_what_it_had_finished(device: Any, tmp_path: Path) -> None:
    log = Log()
    log.gate.set()

    def fail_at_three(number: int) -> None:
        if number == 1003:
            raise ValueError("three is too much")

    log.before_step = fail_at_three
    async with Desk(log, device, tmp_path) as desk:
        assert (await desk.run(picture(1, 5))).status == "failed"
    log.before_step = lambda number: None
    log.calls.clear()
    async with Desk(log, device, tmp_path) as desk:
        assert (await desk.run(picture(1, 5))).status == "succeeded"
    assert log.calls["step"] == 2


async def test_cheap_results_are_not_written(device: Any, tmp_path: Path) -> None:
    log = Log()
    log.gate.set()
    async with Desk(log, device, tmp_path) as desk:
        await desk.run({"seeds": at("seeds", first=0, count=3), "begin": at("begin", seed=1)})
        await desk.engine.cache.drain()
        assert desk.engine.cache.disk is not None
        types = {row.type for row in desk.engine.cache.disk.info().types if row.type}
    assert types == {"s/begin"}, "a state is durable however cheap, numbers are not"


async def test_what_memory_evicts_is_read_back_from_disk(device: Any, tmp_path: Path) -> None:
    log = Log()
    log.gate.set()
    async with Desk(log, device, tmp_path, memory_bytes=3000) as desk:
        await desk.run(picture(1, 9))
        assert desk.engine.memory.used_bytes <= 3000
        log.calls.clear()
        result = await desk.run({**picture(1, 9), "other": at("step", state="begin.state", add=7)}, ["other.state"])
        assert values(result)["other.state"].number == 1007
        assert log.calls["step"] == 1


async def test_a_damaged_record_is_computed_again(device: Any, tmp_path: Path) -> None:
    log = Log()
    log.gate.set()
    nodes = {"begin": at("begin", seed=1, nbytes=50_000), "step": at("step", state="begin.state")}
    async with Desk(log, device, tmp_path) as desk:
        await desk.run(nodes)
    for blob in (tmp_path / "blobs").rglob("*.safetensors"):
        data = bytearray(blob.read_bytes())
        data[len(data) // 2] ^= 1
        blob.write_bytes(data)
    log.calls.clear()
    async with Desk(log, device, tmp_path) as desk:
        result = await desk.run(nodes)
        assert values(result)["step"].data == bytes([1]) * 50_000
        assert log.calls == {"begin": 1, "step": 1}
        await desk.engine.cache.drain()
        log.calls.clear()
    async with Desk(log, device, tmp_path) as desk:
        await desk.run(nodes)
        assert not log.calls, "what was damaged is whole again"


async def test_a_folder_that_cannot_be_written_does_not_stop_a_run(device: Any, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a folder")
    log = Log()
    log.gate.set()
    async with Desk(log, device, tmp_path / "file" / "cache") as desk:
        result = await desk.run(picture(1, 3))
        await desk.engine.cache.drain()
        assert result.status == "succeeded"
        assert desk.engine.cache.disk is not None
        assert desk.engine.cache.disk.trouble


async def test_a_value_that_a_node_wrote_into_leaves_the_disk_too(device: Any, tmp_path: Path) -> None:
    log = Log()
    log.gate.set()
    async with Desk(log, device, tmp_path) as desk:
        result = await desk.run({"begin": at("begin", seed=3)})
        key = next(key for key, entry in desk.engine.memory._entries.items() if getattr(entry, "type", "") == "s/begin")
        await desk.engine.cache.remove(desk.engine.cache.forget(desk.engine.memory._entries[key].ref("state")))
        assert desk.engine.cache.find(key) is None
    assert result.status == "succeeded"
    tier = DiskTier(tmp_path, 1 << 30)
    assert tier.kind(key) is None
    tier.close()


async def test_many_runs_at_once_on_one_folder_read_each_result_once(device: Any, tmp_path: Path) -> None:
    log = Log()
    log.gate.set()
    async with Desk(log, device, tmp_path) as desk:
        await desk.run(picture(1, 4), ["denoise.state"])
    log.calls.clear()
    async with Desk(log, device, tmp_path) as desk:
        results = await asyncio.gather(*(desk.run(picture(1, 4), ["denoise.state"]) for _ in range(20)))
    assert not log.calls
    assert {id(values(result)["denoise.state"]) for result in results} == {id(values(results[0])["denoise.state"])}
    assert {states(result)["denoise"] for result in results} == {"hit"}


async def test_unfinished_work_lies_in_a_folder_of_its_key_and_goes_when_the_work_is_done(device: Any, tmp_path: Path) -> None:
    done: list[int] = []

    @node()
    def long_work(context: Context, seed: int) -> State:
        file = context.scratch / "progress"
        start = int(file.read_text()) if file.exists() else 0
        for number in range(start, 10):
            done.append(number)
            file.write_text(str(number + 1))
            if number == 4 and start == 0:
                raise RuntimeError("the power went off")
        return State(seed, b"done")

    def engine() -> Engine:
        disk = DiskTier(tmp_path / "cache", 1 << 30)
        library = Library.of([Pack.of("s", [long_work])])
        return Engine(library, device=lambda: device, disk=disk, scratch=tmp_path / "scratch")

    document = document_from({"nodegraph": 1, "id": "long", "nodes": {"w": at("long_work", seed=1)}})
    for status in ("failed", "succeeded", "succeeded"):
        async with engine() as running:
            result = await running.run(compile_document(document, running.library.catalog))
            assert result.status == status
    assert done == list(range(10))
    assert list((tmp_path / "scratch").iterdir()) == []


class Full(DiskTier):
    """A disk without room."""

    def write(self, records: Sequence[Record]) -> None:
        return


@pytest.mark.parametrize("disk", ["full", "none"])
async def test_work_whose_result_is_not_written_is_taken_up_again(device: Any, tmp_path: Path, disk: str) -> None:
    found: list[bool] = []

    @node()
    def long_work(context: Context, seed: int) -> State:
        found.append((context.scratch / "progress").exists())
        (context.scratch / "progress").write_text("all of it")
        return State(seed, b"done")

    library = Library.of([Pack.of("s", [long_work])])
    document = document_from({"nodegraph": 1, "id": "long", "nodes": {"w": at("long_work", seed=1)}})
    for _ in range(2):
        tier = Full(tmp_path / "cache", 1 << 30) if disk == "full" else None
        async with Engine(library, device=lambda: device, disk=tier, scratch=tmp_path / "scratch") as running:
            assert (await running.run(compile_document(document, library.catalog))).status == "succeeded"
    assert found == [False, True]

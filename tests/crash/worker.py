"""What a worker process does: run the story on an engine of its own, with broken surroundings if asked."""

from __future__ import annotations

import asyncio
import concurrent.futures.thread  # noqa: F401  (asyncio imports it late, when nobody may read it any more)
import os
import resource
import time
from collections.abc import Mapping
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, NoReturn, cast

import networkx  # noqa: F401  (imported late, too)

from crash import pack
from nodegraph import Pack
from nodegraph.engine import Engine, Library
from nodegraph.graph import compile_document
from nodegraph.graph.document import document_from
from nodegraph.store import DiskTier, WriteBehind

NOBODY = 65534
STEPS = 30
ITEMS = 6


@dataclass(frozen=True, kw_only=True)
class Options:
    """What a worker is to do, and how its surroundings are broken.

    `window` is the write-behind window in seconds where not the default; `times` says how often to run, each time with an
    engine of its own; no file grows beyond `file_limit` bytes, as if the disk were full; as `nobody` it may write nowhere; with
    `no_clock` asking for the time of day is an error. `step_seconds` and `flaw` are for the pack.
    """

    folder: Path
    log: Path
    seed: int = 1
    steps: int = STEPS
    times: int = 1
    window: float | None = None
    budget: int = 1 << 30
    memory: int = 1 << 30
    digest: str = "0"
    file_limit: int | None = None
    nobody: bool = False
    no_clock: bool = False
    step_seconds: float = 0.006  # what takes less than 5 ms would not be written
    flaw: str = ""


class NoDevice:
    """What composites ask for their keys, without torch: importing it would take longer than the whole run."""

    def profile(self) -> str:
        return "none"

    def enter_host_thread(self) -> None:
        return None


def story(seed: int = 1, steps: int = STEPS, pack: str = "crash") -> dict[str, Any]:
    """A document: steps in a composite, chosen by a lazy node; six items of five steps each, partly in a mapped composite."""

    def at(kind: str, links: Mapping[str, str] | None = None, **inputs: Any) -> dict[str, Any]:
        return {"type": f"{pack}/{kind}", "inputs": inputs, "links": dict(links or {})}

    return {
        "nodegraph": 1,
        "id": "story",
        "nodes": {
            "begin": at("begin", seed=seed),
            "run": at("stretch", {"state": "begin.state"}, steps=steps),
            "unused": at("begin", seed=-seed),
            "chosen": at("choose", {"one": "run.state", "other": "unused.state"}, first=True),
            "many": at("begin_many", seed=seed, count=ITEMS),
            "second": at("step", {"state": "many.states"}),
            "third": at("step", {"state": "second.state"}),
            "rest": at("stretch", {"state": "third.state"}, steps=3),
            "tell": at("tell", {"chosen": "chosen.state", "states": "rest.state"}),
            "keep": at("keep", {"text": "tell.text"}),
        },
        "interface": {"outputs": {"text": "keep.artifact"}},
    }


def served(options: Options, said: Path, connection: Connection) -> None:
    """Run as a process: what goes to the terminal lands in the file `said`, what programs are told in the connection."""
    os.environ.update(pack.settings(options.log, options.step_seconds, options.flaw))
    handle = os.open(said, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(handle, 2)
    if options.nobody and os.geteuid() == 0:
        os.setgroups([])
        os.setgid(NOBODY)
        os.setuid(NOBODY)
    if options.no_clock:
        time.time = time.time_ns = _no_clock
    if options.file_limit is not None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (options.file_limit, resource.RLIM_INFINITY))
    for _ in range(options.times):
        connection.send(asyncio.run(_run(options, connection)))


async def _run(options: Options, connection: Connection) -> dict[str, Any]:
    library = Library.of([Pack.of("crash", vars(pack).values(), options.digest)])
    plan = compile_document(document_from(story(options.seed, options.steps)), library.catalog)
    disk = DiskTier(options.folder, options.budget)
    engine = Engine(library, disk=disk, memory_bytes=options.memory, device=cast(Any, NoDevice))
    if options.window is not None:
        assert engine.cache.behind is not None
        engine.cache.behind.close()
        engine.cache.behind = WriteBehind(disk, window_seconds=options.window)
    async with engine:
        connection.send("begun")
        result = await engine.run(plan)
        await engine.cache.drain()
        trouble = disk.trouble
    return {
        "status": result.status,
        "text": result.outputs[0].value.data.decode() if result.outputs else None,
        "problems": [str(problem) for problem in result.problems],
        "states": {node: [row["state"], row["reason"]] for node, row in result.nodes.items()},
        "trouble": trouble,
    }


def _no_clock(*_: object) -> NoReturn:
    raise AssertionError("somebody asked for the time of day")

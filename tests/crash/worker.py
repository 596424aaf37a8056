"""A process that runs the story on an engine of its own: `python -m crash.worker FOLDER`, with broken surroundings if asked."""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import resource
import sys
import time
from pathlib import Path
from typing import Any, NoReturn, cast

from crash import pack
from crash.story import STEPS, story
from nodegraph import Pack
from nodegraph.engine import Engine, Library
from nodegraph.graph import compile_document
from nodegraph.graph.document import document_from
from nodegraph.store import DiskTier, WriteBehind

NOBODY = 65534


class NoDevice:
    """What composites ask for their keys, without torch: importing it would take longer than the whole run."""

    def profile(self) -> str:
        return "none"

    def enter_host_thread(self) -> None:
        return None


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--steps", type=int, default=STEPS)
    parser.add_argument("--times", type=int, default=1, help="how often to run it, each time with an engine of its own")
    parser.add_argument("--window", type=float, help="the write-behind window in seconds, where not the default")
    parser.add_argument("--budget", type=int, default=1 << 30, help="of the disk tier, in bytes")
    parser.add_argument("--memory", type=int, default=1 << 30, help="of the memory tier, in bytes")
    parser.add_argument("--digest", default="0", help="of the pack's source")
    parser.add_argument("--file-limit", type=int, help="no file grows beyond so many bytes: a disk that is full")
    parser.add_argument("--nobody", action="store_true", help="go on as a user who may write nowhere")
    parser.add_argument("--no-clock", action="store_true", help="asking for the time of day is an error")
    options = parser.parse_args()
    if options.nobody and os.geteuid() == 0:
        import concurrent.futures.thread  # noqa: F401  (nobody may not read the interpreter's own folder either)
        import encodings.idna  # noqa: F401

        os.setgroups([])
        os.setgid(NOBODY)
        os.setuid(NOBODY)
    if options.no_clock:
        time.time = time.time_ns = _no_clock
    if options.file_limit is not None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (options.file_limit, resource.RLIM_INFINITY))
    for _ in range(options.times):
        _say(json.dumps(asyncio.run(_run(options))))


async def _run(options: argparse.Namespace) -> dict[str, Any]:
    library = Library.of([Pack.of("crash", vars(pack).values(), options.digest)])
    plan = compile_document(document_from(story(options.seed, options.steps)), library.catalog)
    disk = DiskTier(options.folder, options.budget)
    engine = Engine(library, disk=disk, memory_bytes=options.memory, device=cast(Any, NoDevice))
    if options.window is not None:
        assert engine.cache.behind is not None
        engine.cache.behind.close()
        engine.cache.behind = WriteBehind(disk, window_seconds=options.window)
    async with engine:
        _say("begun")
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


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def _no_clock(*_: object) -> NoReturn:
    raise AssertionError("somebody asked for the time of day")


if __name__ == "__main__":
    main()

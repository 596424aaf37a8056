"""A worker process: `python -m nodegraph.workers SETUP` (JSON). It talks on its standard input and output.

Whatever else writes to standard output goes to standard error, which the server logs. When the server is gone, the input
ends, and so does the worker: it stops what it does, writes what is only in memory, and exits.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import queue
import signal
import sys
import threading
from pathlib import Path
from typing import Any, BinaryIO

import psutil

from nodegraph.api.libraries import hush_libraries
from nodegraph.api.session import Session
from nodegraph.workers.host import Host
from nodegraph.workers.messages import Message, packed, read_frame

_BEAT_SECONDS = 1.0
_EXIT_SECONDS = 20.0


def main() -> None:
    setup = json.loads(sys.argv[1])
    incoming, outgoing = _take_streams()
    for number in (signal.SIGINT, signal.SIGTERM):  # the server says when to stop
        signal.signal(number, signal.SIG_IGN)
    with contextlib.suppress(OSError, AttributeError):
        os.nice(setup["nice"])
    hush_libraries()
    asyncio.run(_serve(setup, incoming, outgoing))
    os._exit(0)  # threads of libraries keep no worker alive


def _take_streams() -> tuple[BinaryIO, BinaryIO]:
    """The streams for messages; prints of nodes and libraries go to standard error from now on."""
    incoming, outgoing = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb", buffering=0)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(2, 1)
    return incoming, outgoing


async def _serve(setup: dict[str, Any], incoming: BinaryIO, outgoing: BinaryIO) -> None:
    loop, over = asyncio.get_running_loop(), asyncio.Event()
    out: queue.SimpleQueue[Message | None] = queue.SimpleQueue()
    session = Session(
        Path(setup["data"]),
        models=[Path(path) for path in setup["models"]],
        files=[Path(path) for path in setup["files"]],
        memory_bytes=setup["memory_bytes"],
        disk_bytes=setup["disk_bytes"],
    )
    host = Host(session, Path(setup["artifacts"]), out.put)
    writer = threading.Thread(target=_write, args=(out, outgoing), daemon=True)
    writer.start()
    threading.Thread(target=_read, args=(incoming, loop, host, over), daemon=True).start()
    out.put({"kind": "ready", "pid": os.getpid()})
    beating = asyncio.create_task(_beat(host, out))
    await over.wait()
    threading.Thread(target=_give_up, daemon=True).start()
    await host.stop()
    beating.cancel()
    await asyncio.to_thread(session.close)
    out.put(None)
    await asyncio.to_thread(writer.join)


def _read(incoming: BinaryIO, loop: asyncio.AbstractEventLoop, host: Host, over: asyncio.Event) -> None:
    with contextlib.suppress(RuntimeError):  # the loop is closed: we are on our way out
        while (message := read_frame(incoming)) is not None and message["kind"] != "stop":
            loop.call_soon_threadsafe(host.handle, message)
        loop.call_soon_threadsafe(over.set)


def _write(out: queue.SimpleQueue[Message | None], outgoing: BinaryIO) -> None:
    with contextlib.suppress(OSError):  # the server is gone, which `_read` sees too
        while (message := out.get()) is not None:
            frame = memoryview(packed(message))
            while frame:
                frame = frame[outgoing.write(frame) :]


async def _beat(host: Host, out: queue.SimpleQueue[Message | None]) -> None:
    """Say once a second that both loops, ours and the engine's, are alive, and what the process takes."""
    process = psutil.Process()
    while True:
        await host.pulse()
        out.put({"kind": "beat", "rss": process.memory_info().rss, "jobs": host.jobs})
        await asyncio.sleep(_BEAT_SECONDS)


def _give_up() -> None:
    """A node that cannot be stopped must not keep the process of a server that is gone."""
    threading.Event().wait(_EXIT_SECONDS)
    os._exit(1)


if __name__ == "__main__":
    main()

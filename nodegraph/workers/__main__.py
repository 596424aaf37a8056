"""A worker process: `python -m nodegraph.workers SETUP` (JSON). It talks on its standard input and output.

Whatever else writes to standard output goes to standard error, which the server logs. When the server is gone, the input
ends, and so does the worker: it stops what it does, writes what is only in memory, and exits.
"""

from __future__ import annotations

import asyncio
import contextlib
import io
import json
import os
import signal
import sys
import threading
from pathlib import Path
from typing import Any, BinaryIO

from nodegraph.api.libraries import hush_libraries
from nodegraph.api.session import Session
from nodegraph.workers.host import Host
from nodegraph.workers.lifeline import LEAVING_SECONDS, Lifeline, hold_on
from nodegraph.workers.messages import TO_WORKER, BadFrame, as_text, read_frame
from nodegraph.workers.outbox import Outbox
from nodegraph.workers.usage import Meter, versions

_BEAT_SECONDS = 1.0
_STOP_SECONDS = 60.0  # at most, when asked to stop: the server that asks ends us before


def main() -> None:
    setup = json.loads(sys.argv[1])
    incoming, outgoing = _take_streams()
    for number in (signal.SIGINT, signal.SIGTERM):  # the server says when to stop
        signal.signal(number, signal.SIG_IGN)
    hold_on(setup["server"])
    with contextlib.suppress(OSError, AttributeError):
        os.nice(setup["nice"])
    hush_libraries()
    asyncio.run(_serve(setup, incoming, outgoing))
    os._exit(0)  # threads of libraries keep no worker alive


def _take_streams() -> tuple[BinaryIO, io.RawIOBase]:
    """The streams for messages; prints of nodes and libraries go to standard error from now on."""
    incoming, outgoing = os.fdopen(os.dup(0), "rb"), io.FileIO(os.dup(1), "wb")
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(2, 1)
    return incoming, outgoing


async def _serve(setup: dict[str, Any], incoming: BinaryIO, outgoing: Any) -> None:
    loop, over = asyncio.get_running_loop(), asyncio.Event()
    out, lifeline = Outbox(), Lifeline(setup["heartbeat_seconds"])
    session = Session(
        Path(setup["data"]),
        models=[Path(path) for path in setup["models"]],
        files=[Path(path) for path in setup["files"]],
        memory_bytes=setup["memory_bytes"],
        disk_bytes=setup["disk_bytes"],
    )
    host = Host(session, Path(setup["artifacts"]), out.put)
    writer = threading.Thread(target=out.write_to, args=(outgoing,), daemon=True)
    writer.start()
    out.put({"kind": "ready", "pid": os.getpid(), "versions": versions()})

    def read() -> None:
        asked = _read(incoming, loop, host)
        lifeline.leave_within(_STOP_SECONDS if asked else LEAVING_SECONDS)
        with contextlib.suppress(RuntimeError):  # the loop is closed: we are on our way out
            loop.call_soon_threadsafe(over.set)

    threading.Thread(target=read, daemon=True).start()
    beating = asyncio.create_task(_beat(session, lifeline, out))
    await over.wait()
    await host.stop()
    beating.cancel()
    await asyncio.to_thread(session.close)
    out.close()
    await asyncio.to_thread(writer.join)


def _read(incoming: BinaryIO, loop: asyncio.AbstractEventLoop, host: Host) -> bool:
    """Hand messages on until the end; whether the server asked for it. One that speaks nonsense is as good as gone."""
    with contextlib.suppress(RuntimeError, BadFrame):
        while (message := read_frame(incoming, TO_WORKER)) is not None:
            if message["kind"] == "stop":
                return True
            loop.call_soon_threadsafe(host.handle, message)
    return False


async def _beat(session: Session, lifeline: Lifeline, out: Outbox) -> None:
    """Say now and then that both loops, ours and the engine's, are alive, and what the process takes."""
    meter = Meter(session)
    while True:
        out.put({"kind": "beat", "usage": as_text(await meter.read())})
        lifeline.wind_up()
        await asyncio.sleep(min(_BEAT_SECONDS, lifeline.heartbeat_seconds / 4))


if __name__ == "__main__":
    main()

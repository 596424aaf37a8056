"""A pack for a server's workers: nodes that take their time, write down that they ran, and die in every way there is.

`BUSY_LOG` names a file that gets a line for each call; a line is written at once, whole, by whichever process.
"""

from __future__ import annotations

import ctypes
import os
import signal
import time
from pathlib import Path
from typing import Literal

from nodegraph import Artifact, Context, NodeError, OldNode, migrate, node


def _written(line: str) -> int:
    """Append a line to the log, and say how many of its kind there are."""
    path = Path(os.environ["BUSY_LOG"])
    with path.open("a") as log:
        log.write(line + "\n")
    return path.read_text().splitlines().count(line)


@node(cache="content")
def work(context: Context, label: str, seconds: float = 0.0, after: str = "") -> str:
    """Work for a while, in small pieces; the result holds what came before."""
    _written(label)
    pieces = max(1, round(seconds / 0.01))
    for done in range(pieces):
        context.check_cancelled()
        context.progress(done, pieces)
        time.sleep(seconds / pieces)
    return f"{after}>{label}" if after else label


@node(output=True)
def page(text: str) -> Artifact:
    """The text as a file."""
    return Artifact(text.encode(), "text/plain", name="{workflow}-{digest}", embed="none")


@node(cache="never")
def die(label: str, how: Literal["SIGKILL", "SIGSEGV", "exit"] = "SIGKILL", times: int = 1000) -> str:
    """Take the whole process along, the first so many times."""
    if _written(label) > times:
        return label
    if how == "exit":
        os._exit(3)
    os.kill(os.getpid(), getattr(signal, how))
    time.sleep(60)
    return label


@node(cache="never")
def eat(label: str, mebibytes: int, seconds: float = 20.0) -> str:
    """Take memory, and hold it for a while."""
    _written(label)
    taken = bytearray(mebibytes << 20)
    time.sleep(seconds)
    return f"{label} {len(taken)}"


@node(cache="never")
def hang(label: str, seconds: int = 60) -> str:
    """Hold Python's lock, so that nothing else in the process goes on."""
    _written(label)
    ctypes.PyDLL(None).sleep(seconds)
    return label


@node(cache="never")
def refuse(label: str) -> str:
    """Fail as nodes do."""
    _written(label)
    raise NodeError("This never works.", hint="Use another node.")


@migrate("busy/toil", from_version=1)
def toil_is_work(old: OldNode) -> None:
    """`toil` was what `work` is now."""
    old.rename("name", "label")
    old.become("busy/work", version=1)

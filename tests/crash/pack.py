"""A pack of slow steps without tensors, for processes that are killed or given broken folders.

A step folds every byte of its input into its output, so one wrong byte anywhere changes the end; when it has finished it says
so in a log file. What it is to do differently stands in the environment, because it runs in processes of its own.
"""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import blake2b, shake_128
from pathlib import Path
from typing import Any

from nodegraph import Artifact, Buffer, Codec, GraphBuilder, Lazy, composite, node, socket

LOG = "CRASH_LOG"
STEP_SECONDS = "CRASH_STEP_SECONDS"
FLAW = "CRASH_FLAW"
"""`encode` or `decode`: what the codec of states fails at."""

LOG_ENDING = b"\n"
SALT = b"step"


def settings(log: Path, step_seconds: float, flaw: str = "") -> dict[str, str]:
    """The environment that the pack is to find."""
    return {LOG: str(log), STEP_SECONDS: str(step_seconds), FLAW: flaw}


class CodecFault(Exception):
    """Of no type that anybody expects of a codec."""


def _encode(state: State) -> tuple[Any, Mapping[str, Buffer]]:
    if os.environ.get(FLAW) == "encode":
        raise CodecFault("this codec cannot write")
    return {"name": state.name}, {"data": Buffer("U8", (len(state.data),), state.data)}


def _decode(data: Any, buffers: Mapping[str, Buffer]) -> State:
    if os.environ.get(FLAW) == "decode":
        raise CodecFault("this codec cannot read")
    return State(data["name"], bytes(buffers["data"].data))


@socket(codec=Codec(_encode, _decode), nbytes=lambda state: len(state.data))
@dataclass(frozen=True)
class State:
    """A name and bytes that follow from it and from everything before it."""

    name: str
    data: bytes


def made(text: str, nbytes: int) -> State:
    """The first state of a chain."""
    digest = blake2b(text.encode(), digest_size=16)
    return State(digest.hexdigest(), shake_128(digest.digest()).digest(nbytes))


def folded(state: State, salt: bytes = SALT) -> State:
    """The next state, from every byte of the one before."""
    digest = blake2b(salt + state.name.encode() + state.data, digest_size=16)
    return State(digest.hexdigest(), shake_128(digest.digest()).digest(len(state.data)))


def summary(states: list[State]) -> str:
    """A text that tells of every byte of every state."""
    return blake2b(b"".join(blake2b(state.name.encode() + state.data).digest() for state in states)).hexdigest()


def _finished(state: State) -> State:
    """Take a step's time, and say in the log that it has ended. Lines appended at once never mix."""
    time.sleep(float(os.environ.get(STEP_SECONDS, "0.02")))
    handle = os.open(os.environ[LOG], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666)
    os.write(handle, f"{time.monotonic():.6f} {state.name}".encode() + LOG_ENDING)
    os.close(handle)
    return state


@node()
def begin(seed: int, nbytes: int = 20_000) -> State:
    """A state from a seed."""
    return _finished(made(f"{seed}", nbytes))


@node(output_name="states")
def begin_many(seed: int, count: int = 6, nbytes: int = 300) -> list[State]:
    """Several states from a seed, one list."""
    return [_finished(made(f"{seed}/{number}", nbytes)) for number in range(count)]


@node(output_name="state")
def step(state: State) -> State:
    """One step."""
    return _finished(folded(state))


@composite(output_name="state")
def stretch(graph: GraphBuilder, state: State, steps: int = 30) -> State:
    """Steps, one after another."""
    for number in range(steps):
        state = graph.add(step, f"step_{number + 1}", state=state)
    return state


@node(output_name="state")
async def choose(first: bool, one: Lazy[State], other: Lazy[State]) -> State:
    """One of two, which is folded once more; the other is never asked for."""
    return _finished(folded(await (one if first else other), b"chosen"))


@node(output_name="text")
def tell(chosen: State, states: list[State]) -> str:
    """Everything in one text."""
    return summary([chosen, *states])


@node(output=True)
def keep(text: str) -> Artifact:
    """The text as a file."""
    return Artifact(text.encode(), "text/plain", "{node}")

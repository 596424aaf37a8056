"""A pack like a diffusion pack, without tensors: steps on a device that can run in batches, values that can be stored."""

from __future__ import annotations

import asyncio
import threading
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from nodegraph import Artifact, Buffer, Codec, Context, GraphBuilder, Inputs, NodeError, Pack, Storage, composite, node, socket
from nodegraph.engine import Engine, Library, RunOptions, RunResult
from nodegraph.graph import compile_document
from nodegraph.graph.document import document_from
from nodegraph.store import DiskTier


def _encode(value: State) -> tuple[Any, dict[str, Buffer]]:
    return {"number": value.number}, {"x": Buffer("U8", (len(value.data),), value.data)}


@socket(
    codec=Codec(_encode, lambda data, buffers: State(data["number"], bytes(buffers["x"].data))),
    storages=lambda value: [Storage(id(value.data), len(value.data), value.device)],
    to_host=lambda value: State(value.number, value.data),
    to_device=lambda value, device: State(value.number, value.data, str(device)),
    describe=lambda value: f"state {value.number}",
    durable=True,
)
@dataclass(frozen=True, eq=False)
class State:
    number: int
    data: bytes
    device: str = ""


@dataclass
class Log:
    """What was computed, in order, and how many at once. `gate` holds the device until a test opens it."""

    calls: Counter[str] = field(default_factory=Counter)
    order: list[str] = field(default_factory=list)
    batches: list[int] = field(default_factory=list)
    gate: threading.Event = field(default_factory=threading.Event)
    most: int = 1 << 30  # a larger batch runs out of memory
    before_step: Callable[[int], None] = field(default=lambda number: None)
    stays: bool = False  # whether results stay on the device

    def pack(self) -> Pack:
        def note(what: str, detail: object = "") -> None:
            self.calls[what] += 1
            self.order.append(f"{what} {detail}".strip())

        @node(output_name="state")
        def begin(seed: int, nbytes: int = 1000) -> State:
            note("begin", seed)
            return State(seed * 1000, bytes([seed % 256]) * nbytes)

        @node(lane="gpu", output_name="state")
        def step(context: Context, state: State, add: int = 1, poison: bool = False) -> State:
            self.gate.wait(10)
            self.batches.append(1)
            return _step(state, add, poison, str(context.device))

        @step.batched(key=lambda inputs: len(inputs.state.data))
        def steps(calls: Sequence[Inputs]) -> list[State]:
            self.gate.wait(10)
            if len(calls) > self.most:
                raise MemoryError(f"{len(calls)} do not fit")
            self.batches.append(len(calls))
            return [_step(call.state, call.add, call.poison, str(call.context.device)) for call in calls]

        def _step(state: State, add: int, poison: bool, device: str) -> State:
            self.before_step(state.number)
            note("step", state.number)
            if poison:
                raise NodeError("This step is poisoned.")
            return State(state.number + add, bytes(bytearray(state.data)), device if self.stays else "")

        @composite(output_name="state")
        def denoise(graph: GraphBuilder, state: State, steps: int = 3) -> State:
            for number in range(steps):
                state = graph.add(step, f"step_{number + 1}", state=state)
            return state

        @node()
        def decode(state: State) -> int:
            note("decode", state.number)
            return state.number

        @node()
        async def wait(number: int) -> int:
            note("wait", number)
            await asyncio.sleep(0)
            return number

        @node(output=True)
        def save(number: int) -> Artifact:
            note("save", number)
            return Artifact(f"picture {number}".encode(), "text/plain", "{node}-{index}")

        @node(output_name="seeds")
        def seeds(first: int, count: int) -> list[int]:
            note("seeds")
            return [first + i for i in range(count)]

        return Pack.of("s", list(locals().values()))


class Desk:
    """An engine over a log's pack, with a cache folder if one is given."""

    def __init__(self, log: Log, device: Any, folder: Path | None = None, **options: Any) -> None:
        self.log = log
        disk = None if folder is None else DiskTier(folder, 1 << 30)
        self.engine = Engine(Library.of([log.pack()]), device=lambda: device, disk=disk, **options)

    async def __aenter__(self) -> Desk:
        await self.engine.__aenter__()
        return self

    async def __aexit__(self, *rest: Any) -> None:
        self.log.gate.set()
        await self.engine.__aexit__(*rest)

    async def run(self, nodes: dict[str, Any], wanted: list[str] | None = None, **options: Any) -> RunResult:
        document = document_from({"nodegraph": 1, "id": "desk", "nodes": nodes})
        return await self.engine.run(compile_document(document, self.engine.library.catalog, wanted), RunOptions(**options))


def at(kind: str, **inputs: Any) -> dict[str, Any]:
    """A node of a document; a text with a dot is a link."""
    links = {name: value for name, value in inputs.items() if isinstance(value, str) and "." in value}
    values = {name: value for name, value in inputs.items() if name not in links}
    return {"type": f"s/{kind}", "inputs": values, "links": links}


def picture(seed: int, steps: int = 3) -> dict[str, Any]:
    """From a seed to a saved picture."""
    return {
        "begin": at("begin", seed=seed),
        "denoise": at("denoise", state="begin.state", steps=steps),
        "decode": at("decode", state="denoise.state"),
        "save": at("save", number="decode.value"),
    }

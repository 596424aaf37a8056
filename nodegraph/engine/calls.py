"""One call of one node: its arguments, running it on whatever thread its lane has, and what came of it."""

from __future__ import annotations

import asyncio
import inspect
import json
import time
import traceback
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from hashlib import blake2b
from typing import TYPE_CHECKING, Any

from nodegraph.engine.access import UsedFile
from nodegraph.graph.values import shown
from nodegraph.sdk.batching import Inputs
from nodegraph.sdk.context import Context
from nodegraph.sdk.errors import Cancelled, NodeError, Problem
from nodegraph.sdk.node import Node
from nodegraph.sdk.socket import Codec, SocketType
from nodegraph.sdk.spec import NodeSpec
from nodegraph.sdk.views import as_json
from nodegraph.store import Result

if TYPE_CHECKING:
    from nodegraph.engine.lanes import ThreadLane
    from nodegraph.engine.run import Run


Priority = tuple[int, int, int, tuple[int, ...], int]


@dataclass(slots=True, eq=False)
class Call:
    """A node about to run for `run`. `waiters` are other places that want the same key meanwhile.

    Calls with equal `batch_key` may run at once (None: with nobody); `taken` says that its lane has given it out.
    """

    run: Run
    index: int
    key: str
    spec: NodeSpec
    node: Node
    arguments: dict[str, Any]
    sockets: Mapping[str, SocketType]
    files: tuple[UsedFile, ...] = ()
    volatile: bool = False
    small: bool = False
    batch_key: Hashable = None
    taken: bool = False
    lane: ThreadLane | None = None  # where it waits, or runs
    watched: bool = False  # its inputs are digested before and after
    waiters: list[tuple[Run, int]] = field(default_factory=list)
    task: asyncio.Task[Outcome] | None = None

    @property
    def priority(self) -> Priority:
        """Order inside a lane: the run's priority, its age, cheap outputs, items one after another, who was asked for first.

        Nodes are asked for depth first, so what uses a value comes before the next value of its kind. A call that several runs
        want is as urgent as the most urgent of them.
        """
        return min(_place_in_line(run, i) for run, i in ((self.run, self.index), *self.waiters))

    @property
    def inputs(self) -> Inputs:
        return Inputs.of(self.arguments)

    @property
    def path(self) -> str:
        return self.run.nodes[self.index].id

    @property
    def abandoned(self) -> bool:
        """Whether nobody wants the result any more."""
        return self.run.ended and all(run.ended for run, _ in self.waiters)


def _place_in_line(run: Run, i: int) -> Priority:
    rank, items = run.order[i]
    return (-run.priority, run.number, rank, items, run.turn[i])


@dataclass(slots=True)
class Outcome:
    """What came of a call: values per output, or a problem (with the trace when it was not the user's mistake).

    `seconds` is how long it took, `cost` what doing it again would take (a network is loaded once); `batch` how many calls ran
    at once. `pending` waits for a device that is not done yet, and gives the seconds it took for all of them.
    """

    values: dict[str, Any] | None = None
    problem: Problem | None = None
    trace: str = ""
    cancelled: bool = False
    seconds: float = 0.0
    cost: float = 0.0
    peak_bytes: int | None = None
    spoilt: str = ""  # the input that the node wrote into
    batch: int = 1
    pending: Callable[[], float] | None = None
    timing: asyncio.Task[None] | None = None  # waits for it
    result: Result | None = None  # once it is kept


def spread(node: Node, arguments: Mapping[str, Any]) -> tuple[list[Any], dict[str, Any]]:
    """Arguments by name as Python wants them: where links are many, they and all parameters before them go by position."""
    many = node.variadic
    if many is None:
        return [], dict(arguments)
    first: list[Any] = []
    rest = dict(arguments)
    for name in inspect.signature(node.function).parameters:
        if name == many:
            first.extend(rest.pop(many, ()))
            break
        first.append(rest.pop(name))
    return first, rest


def unpack(spec: NodeSpec, returned: Any) -> dict[str, Any]:
    """The returned value by output name. Raises TypeError where it does not fit the declaration."""
    outputs = spec.outputs
    if len(outputs) == 1 and not hasattr(returned, "_fields"):
        return {outputs[0].name: as_json(returned, outputs[0].type)}
    if not outputs:
        return {}
    if not isinstance(returned, tuple) or len(returned) != len(outputs):
        raise TypeError(f"{spec.id} should return {len(outputs)} values, it returned {type(returned).__name__}")
    return {output.name: as_json(value, output.type) for output, value in zip(outputs, returned, strict=True)}


class Lost(Exception):
    """A lazy input could not be evaluated: the node at `source` failed or was skipped."""

    def __init__(self, source: int) -> None:
        super().__init__(source)
        self.source = source


class Spoilt(TypeError):
    """A node wrote into one of its inputs."""

    def __init__(self, name: str) -> None:
        super().__init__(f"the node wrote into its input {name!r}; values are shared and must not change: work on a copy")
        self.name = name


def failure(path: str, type_id: str, error: BaseException) -> Outcome:
    """An exception as an outcome: NodeError speaks for itself, anything else is a fault in the node and keeps its trace."""
    if isinstance(error, Cancelled):
        return Outcome(cancelled=True)
    if isinstance(error, NodeError):
        return Outcome(problem=error.problem(path))
    trace = "".join(traceback.format_exception(error))
    message = f"{type_id} failed: {type(error).__name__}: {error}".rstrip(": ")
    hint = "This is a fault in the node, not in the workflow; the log has the trace."
    spoilt = error.name if isinstance(error, Spoilt) else ""
    return Outcome(problem=Problem("node_crashed", message, path, hint=hint), trace=trace, spoilt=spoilt)


def failed(call: Call, error: BaseException) -> Outcome:
    """A call's exception as its outcome. A fault in the node comes with what the node was given."""
    outcome = failure(call.path, call.spec.id, error)
    if outcome.problem is not None and outcome.trace:
        outcome.problem = replace(outcome.problem, got=_described(call))
    return outcome


def _described(call: Call) -> str:
    """A call's inputs in a few words each: values as they are, the rest as its socket type says (shape, dtype, range)."""
    rows = []
    for name, value in call.arguments.items():
        socket = call.sockets.get(name)
        try:
            if isinstance(value, list) and socket is not None:
                inner = socket.describe(value[0]) if value and socket.describe is not None else socket.name
                text = f"{len(value)} x {inner}"
            elif socket is not None:
                text = socket.describe(value) if value is not None and socket.describe is not None else socket.name
            else:
                text = shown(value)
        except Exception:  # the socket type's own code, on a value that may be broken
            text = type(value).__name__
        rows.append(f"{name} = {text}")
    return "; ".join(rows) or "no inputs"


def perform(call: Call, context: Context) -> Outcome:
    """Run a synchronous call here and now, on a thread of the cpu lane or inline."""
    start = time.perf_counter()
    try:
        to_host(call)
        before = generations(call)
        values = invoke(call, context)
        check_unwritten(call, before)
    except (Exception, SystemExit, asyncio.CancelledError) as error:
        outcome = failed(call, error)
    else:
        outcome = Outcome(values)
    outcome.seconds = outcome.cost = time.perf_counter() - start
    return outcome


async def perform_async(call: Call, context: Context) -> Outcome:
    """Await an asynchronous call on the loop. Lost passes through: a lazy input's failure is not this node's."""
    start = time.perf_counter()
    try:
        to_host(call)
        before = generations(call)
        first, named = spread(call.node, with_context(call, context))
        outcome = Outcome(unpack(call.spec, await call.node.function(*first, **named)))
        check_unwritten(call, before)
    except Lost:
        raise
    except Exception as error:
        outcome = failed(call, error)
    outcome.seconds = outcome.cost = time.perf_counter() - start
    return outcome


def to_device(call: Call, device: Any) -> None:
    """Bring a call's inputs to the device that it runs on."""
    for name, socket in call.sockets.items():
        if socket.to_device is not None and call.arguments.get(name) is not None:
            call.arguments[name] = moved(call.arguments[name], partial(_to_device, socket.to_device, device))


def to_host(call: Call) -> None:
    """Bring a call's inputs to the host, for nodes that do not run on a device."""
    for name, socket in call.sockets.items():
        if socket.to_host is not None and call.arguments.get(name) is not None:
            call.arguments[name] = moved(call.arguments[name], socket.to_host)


def _to_device(move: Callable[[Any, Any], Any], device: Any, item: Any) -> Any:
    return move(item, device)


def moved(value: Any, move: Callable[[Any], Any]) -> Any:
    return [move(item) for item in value] if isinstance(value, list) else move(value)


def invoke(call: Call, context: Context) -> dict[str, Any]:
    first, named = spread(call.node, with_context(call, context))
    return unpack(call.spec, call.node.function(*first, **named))


def with_context(call: Call, context: Context) -> dict[str, Any]:
    parameter = call.node.context_parameter
    return call.arguments if parameter is None else {**call.arguments, parameter: context}


def generations(call: Call) -> dict[str, Any]:
    """What tells whether a call's inputs were written into: counters that grow, and (watched calls) digests of the content."""
    found = {}
    for name, socket in call.sockets.items():
        value = call.arguments.get(name)
        mark = _mark(call, socket)
        if mark is not None and value is not None:
            found[name] = [mark(item) for item in value] if isinstance(value, list) else mark(value)
    return found


def _mark(call: Call, socket: SocketType) -> Callable[[Any], Any] | None:
    codec = socket.codec if call.watched else None
    if codec is None:
        return socket.generation
    return lambda value: content_digest(codec, value)


def content_digest(codec: Codec, value: Any) -> str:
    """The digest of a value's content, as its codec writes it."""
    data, buffers = codec.encode(value)
    digest = blake2b(json.dumps(data, sort_keys=True, default=str).encode(), digest_size=20)
    for name, buffer in sorted(buffers.items()):
        digest.update(f"{name} {buffer.dtype} {buffer.shape}".encode())
        digest.update(buffer.data)
    return digest.hexdigest()


def check_unwritten(call: Call, before: Mapping[str, Any]) -> None:
    if before and generations(call) != before:
        after = generations(call)
        raise Spoilt(next(name for name in before if after[name] != before[name]))

"""One call of one node: its arguments, running it on whatever thread its lane has, and what came of it."""

from __future__ import annotations

import asyncio
import inspect
import time
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

from nodegraph.engine.access import UsedFile
from nodegraph.engine.arbiter import Arbiter
from nodegraph.engine.device import DeviceAdapter
from nodegraph.sdk.context import Context
from nodegraph.sdk.errors import Cancelled, NodeError, Problem
from nodegraph.sdk.node import Node
from nodegraph.sdk.socket import SocketType
from nodegraph.sdk.spec import NodeSpec

if TYPE_CHECKING:
    from nodegraph.engine.run import Run


@dataclass(slots=True, eq=False)
class Call:
    """A node about to run for `run`. `waiters` are other places that want the same key meanwhile."""

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
    waiters: list[tuple[Run, int]] = field(default_factory=list)
    task: asyncio.Task[Outcome] | None = None

    @property
    def priority(self) -> tuple[int, int, int]:
        """Order inside a lane: the run's priority, then the run's age, then the node's place in the plan."""
        return (-self.run.priority, self.run.number, self.index)

    @property
    def path(self) -> str:
        return self.run.nodes[self.index].id

    @property
    def abandoned(self) -> bool:
        """Whether nobody wants the result any more."""
        return self.run.ended and all(run.ended for run, _ in self.waiters)


@dataclass(slots=True)
class Outcome:
    """What came of a call: values per output, or a problem (with the trace when it was not the user's mistake)."""

    values: dict[str, Any] | None = None
    problem: Problem | None = None
    trace: str = ""
    cancelled: bool = False
    seconds: float = 0.0
    peak_bytes: int | None = None
    spoilt: str = ""  # the input that the node wrote into


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
        return {outputs[0].name: returned}
    if not outputs:
        return {}
    if not isinstance(returned, tuple) or len(returned) != len(outputs):
        raise TypeError(f"{spec.id} should return {len(outputs)} values, it returned {type(returned).__name__}")
    return {output.name: value for output, value in zip(outputs, returned, strict=True)}


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


def perform(call: Call, context: Context) -> Outcome:
    """Run a synchronous call here and now, on a thread of the cpu lane or inline."""
    start = time.perf_counter()
    try:
        to_host(call)
        before = _generations(call)
        values = _invoke(call, context)
        _check_unwritten(call, before)
    except (Exception, SystemExit, asyncio.CancelledError) as error:
        outcome = failure(call.path, call.spec.id, error)
    else:
        outcome = Outcome(values)
    outcome.seconds = time.perf_counter() - start
    return outcome


def perform_on_device(call: Call, context: Context, adapter: DeviceAdapter, arbiter: Arbiter) -> Outcome:
    """Run a call on its device's thread: inputs moved there, networks resident, out of memory answered once by making room."""
    start = time.perf_counter()
    context.device, context.load = arbiter.device, arbiter.resident
    outcome = Outcome()
    for attempt in (1, 2):
        try:
            with adapter.working(arbiter.device) as working:
                to_device(call, arbiter.device)
                before = _generations(call)
                values = _invoke(call, context)
            _check_unwritten(call, before)
            outcome = Outcome(values, peak_bytes=working.peak_bytes)
            break
        except Exception as error:
            if not adapter.is_out_of_memory(error):
                outcome = failure(call.path, call.spec.id, error)
                break
            message = str(error).split("\n")[0]
        # here the exception and its traceback are gone, and with them what they kept alive
        arbiter.drop_unused()
        if attempt == 2:
            free = adapter.free_bytes(arbiter.device)
            got = f"{free / 2**20:,.0f} MiB free" if free is not None else None
            hint = "Make the picture smaller, or close what else uses the device."
            problem = NodeError(f"Out of memory: {message}", got=got, hint=hint).problem(call.path)
            outcome = Outcome(problem=problem)
    arbiter.unpin()
    outcome.seconds = time.perf_counter() - start
    return outcome


async def perform_async(call: Call, context: Context) -> Outcome:
    """Await an asynchronous call on the loop. Lost passes through: a lazy input's failure is not this node's."""
    start = time.perf_counter()
    try:
        to_host(call)
        before = _generations(call)
        first, named = spread(call.node, _with_context(call, context))
        outcome = Outcome(unpack(call.spec, await call.node.function(*first, **named)))
        _check_unwritten(call, before)
    except Lost:
        raise
    except Exception as error:
        outcome = failure(call.path, call.spec.id, error)
    outcome.seconds = time.perf_counter() - start
    return outcome


def to_device(call: Call, device: Any) -> None:
    """Bring a call's inputs to the device that it runs on."""
    for name, socket in call.sockets.items():
        if socket.to_device is not None and call.arguments.get(name) is not None:
            call.arguments[name] = _moved(call.arguments[name], partial(_to_device, socket.to_device, device))


def to_host(call: Call) -> None:
    """Bring a call's inputs to the host, for nodes that do not run on a device."""
    for name, socket in call.sockets.items():
        if socket.to_host is not None and call.arguments.get(name) is not None:
            call.arguments[name] = _moved(call.arguments[name], socket.to_host)


def _to_device(move: Callable[[Any, Any], Any], device: Any, item: Any) -> Any:
    return move(item, device)


def _moved(value: Any, move: Callable[[Any], Any]) -> Any:
    return [move(item) for item in value] if isinstance(value, list) else move(value)


def _invoke(call: Call, context: Context) -> dict[str, Any]:
    first, named = spread(call.node, _with_context(call, context))
    return unpack(call.spec, call.node.function(*first, **named))


def _with_context(call: Call, context: Context) -> dict[str, Any]:
    parameter = call.node.context_parameter
    return call.arguments if parameter is None else {**call.arguments, parameter: context}


def _generations(call: Call) -> dict[str, Any]:
    found = {}
    for name, socket in call.sockets.items():
        value = call.arguments.get(name)
        if socket.generation is not None and value is not None:
            found[name] = [socket.generation(item) for item in value] if isinstance(value, list) else socket.generation(value)
    return found


def _check_unwritten(call: Call, before: Mapping[str, Any]) -> None:
    if before and _generations(call) != before:
        after = _generations(call)
        raise Spoilt(next(name for name in before if after[name] != before[name]))

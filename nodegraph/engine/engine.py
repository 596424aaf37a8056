"""The engine: one loop, its lanes, the cache, and the runs that share them."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Callable, Coroutine, Iterable, Mapping
from dataclasses import dataclass, field
from functools import partial
from types import TracebackType
from typing import Any, NamedTuple, TypeVar

from nodegraph.engine import events as ev
from nodegraph.engine.access import FileAccess
from nodegraph.engine.arbiter import Arbiter
from nodegraph.engine.calls import Call, Outcome, failure, perform, perform_async, perform_on_device
from nodegraph.engine.device import DeviceAdapter, installed_adapter
from nodegraph.engine.explain import History, reason_for_miss
from nodegraph.engine.keys import Hasher
from nodegraph.engine.lanes import ThreadLane
from nodegraph.engine.library import Library
from nodegraph.engine.prepare import Prepared, with_static_keys
from nodegraph.engine.run import Run
from nodegraph.engine.states import STATE_NAMES
from nodegraph.graph import Plan, PlanNode
from nodegraph.sdk.context import Context, Preview
from nodegraph.sdk.errors import InvalidWorkflow, Problem
from nodegraph.sdk.socket import SocketType
from nodegraph.sdk.spec import NodeSpec
from nodegraph.sdk.typeexpr import TypeExpr
from nodegraph.store import Digests, MemoryTier, Result, Roots

T = TypeVar("T")

CHEAP_SECONDS = 50e-6
"""A node type that takes less than a hop to a thread and back runs inline."""

MEMORY_BYTES = 2 << 30
"""The default budget of the memory tier."""


class RunOutput(NamedTuple):
    """Something a run was asked for: the interface's name or the node's id, where it came from, and its value."""

    name: str
    node: str
    output: str
    type: TypeExpr | None
    value: Any


@dataclass(frozen=True)
class RunResult:
    """What a run gave. `nodes` says of every node what became of it; `problems` is empty when all went well."""

    status: ev.Status
    outputs: list[RunOutput]
    problems: list[Problem]
    seconds: float
    report: Callable[[], dict[str, dict[str, Any]]] = field(repr=False)

    @property
    def nodes(self) -> dict[str, dict[str, Any]]:
        """By node path: type, state (computed, hit, not_needed, failed, skipped), reason, milliseconds."""
        return self.report()


class Engine:
    """Runs plans. Use as an async context manager; everything but node code happens on the loop it was entered on."""

    def __init__(
        self,
        library: Library,
        *,
        memory_bytes: int = MEMORY_BYTES,
        device: Callable[[], DeviceAdapter] = installed_adapter,
        device_bytes: int | None = None,
        digests: Digests | None = None,
        roots: Roots | None = None,
    ) -> None:
        self.library = library
        self.memory = MemoryTier(memory_bytes)
        self.digests = digests or Digests()
        self.roots = roots or Roots()
        self.hasher = Hasher(lambda: self.adapter.profile() + " exact")
        self.history = History()
        self.in_flight: dict[str, Call] = {}
        self._make_adapter = device
        self._adapter: DeviceAdapter | None = None
        self._device_bytes = device_bytes
        self._costs: dict[str, float] = {}
        self._sockets: dict[int, tuple[NodeSpec, dict[str, SocketType]]] = {}
        self._sizers: dict[int, tuple[NodeSpec, dict[str, Callable[[Any], int] | None]]] = {}
        self._cpu: ThreadLane | None = None
        self._devices: list[ThreadLane] = []
        self._tasks: set[asyncio.Task[Any]] = set()
        self._runs: set[Run] = set()
        self._imported: set[str] = set()
        self._count = 0
        self._closed = False

    async def __aenter__(self) -> Engine:
        self._loop = asyncio.get_running_loop()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._closed = True
        for run in list(self._runs):
            run.cancel()
        await asyncio.gather(*(run.over.wait() for run in self._runs))  # what runs for them is told now
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for lane in [*self._devices, *([self._cpu] if self._cpu else [])]:
            await lane.close()

    # ---- running ----

    async def run(
        self,
        plan: Plan,
        *,
        listener: ev.Listener | None = None,
        priority: int = 0,
        roots: Roots | None = None,
    ) -> RunResult:
        """Run a plan. Raises InvalidWorkflow when a file it names is missing or unfit, or a node's check refuses its values.

        A node that fails is no exception: the result says so. Cancelling the awaiting task cancels this run alone.
        """
        return await self.execute(await self.prepare(plan, roots), listener=listener, priority=priority)

    async def prepare(self, plan: Plan, roots: Roots | None = None) -> Prepared:
        """Check a plan's files and values and key its nodes; nothing is computed. Raises InvalidWorkflow."""
        specs = {id(node.spec): node.spec for node in plan.nodes}.values()
        if not self._imported.issuperset(spec.id for spec in specs):
            await asyncio.to_thread(self._import_code, list(specs))
        files = FileAccess(roots or self.roots, self.digests)
        problems = self._check(plan)
        if any(node.spec.file_inputs for node in plan.nodes):
            problems += await asyncio.to_thread(files.prepare, plan.nodes)
        if problems:
            raise InvalidWorkflow(problems)
        return with_static_keys(plan, files, self.hasher)

    def _import_code(self, specs: Iterable[NodeSpec]) -> None:
        """Import the packs and the device adapter that a plan needs, off the loop: torch alone takes seconds.

        What cannot be imported fails later, and only the nodes that need it.
        """
        for spec in specs:
            with contextlib.suppress(Exception):
                self.library.node(spec.id)
                if spec.lane == "gpu" and self._adapter is None:
                    self._adapter = self._make_adapter()
                self._imported.add(spec.id)

    async def execute(self, prepared: Prepared, *, listener: ev.Listener | None = None, priority: int = 0) -> RunResult:
        """Run what `prepare` gave."""
        if self._closed:
            raise RuntimeError("This engine is closed.")
        self._count += 1
        run = Run(self, prepared, self._count, listener, priority)
        self._runs.add(run)
        try:
            await run.execute()
        finally:
            self._runs.discard(run)
        result = self._result(run)
        self.history.add(run)
        return result

    def _check(self, plan: Plan) -> list[Problem]:
        """Let the nodes that declare a check see their typed values before anything runs."""
        problems = []
        checked = {node.spec.id for node in plan.nodes if node.spec.checked}
        for node in plan.nodes:
            if node.spec.id in checked:
                check = self.library.node(node.spec.id).check
                if check is not None:
                    found = check(node.values) or ()
                    problems += [Problem(**{**item.to_json(), "node": node.id}) for item in found]  # type: ignore[arg-type]
        return problems

    def _result(self, run: Run) -> RunResult:
        outputs = []
        for wanted in run.plan.wanted:
            result = run.result[wanted.source]
            if result is None:
                continue
            node = run.nodes[wanted.source]
            for name in [wanted.output] if wanted.output else list(result.values):
                shown = wanted.name if wanted.output or len(result.values) == 1 else f"{wanted.name}.{name}"
                expr = wanted.type or node.spec.output_by_name[name].type
                outputs.append(RunOutput(shown, node.id, name, expr, result.values[name]))
        nodes, static, moving, state, ms, reasons = run.nodes, run.static, run.moving, run.state, run.ms, run.reason
        past = self.history.last(run)

        def row(i: int, node: PlanNode) -> dict[str, Any]:
            name = STATE_NAMES[state[i]]
            why = reasons.get(i) or (reason_for_miss(nodes, static, moving, i, past) if name == "computed" else "")
            return {"type": node.spec.id, "state": name, "reason": why, "ms": round(ms.get(i, 0.0), 3)}

        def report() -> dict[str, dict[str, Any]]:
            return {node.id: row(i, node) for i, node in enumerate(nodes)}

        return RunResult(run.status, outputs, run.problems, run.seconds, report)

    # ---- calls ----

    def dispatch(self, call: Call) -> None:
        """Hand a call to the lane that its node declares."""
        if call.spec.lane == "gpu":
            self._gpu_lane().submit(call)
        elif call.node.is_async:
            call.task = self.spawn(self._await(call))
            call.task.add_done_callback(partial(self._awaited, call))
        else:
            if self._cpu is None:
                width = max(2, os.cpu_count() or 2)
                self._cpu = ThreadLane("cpu", width, self._perform_on_host, self._started, self.settle)
            self._cpu.submit(call)

    def spawn(self, work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        """A task that ends with the engine at the latest."""
        task = self._loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def _await(self, call: Call) -> Outcome:
        self._started(call)
        return await perform_async(call, self.context(call))

    def _awaited(self, call: Call, task: asyncio.Task[Outcome]) -> None:
        """An asynchronous call has ended; one that was cancelled may not even have begun."""
        self.settle(call, Outcome(cancelled=True) if task.cancelled() else task.result())

    def stop_abandoned(self) -> None:
        """A run has ended: what is awaited on the io lane and no other run wants stops."""
        for call in list(self.in_flight.values()):
            if call.task is not None and call.abandoned:
                call.task.cancel()

    async def perform_lazy(self, call: Call) -> Outcome:
        """Run a node with lazy inputs for its run; its result is not shared while it is under way."""
        self._started(call)
        if call.node.is_async:
            return await perform_async(call, self.context(call))
        return await asyncio.to_thread(perform, call, self.context(call))

    def _perform_on_host(self, call: Call) -> Outcome:
        if self._adapter is not None:
            self._adapter.enter_host_thread()
        outcome = perform(call, self.context(call))
        self.learn(call.spec, outcome.seconds)
        return outcome

    def _gpu_lane(self) -> ThreadLane:
        if not self._devices:
            for device in self.adapter.lanes():
                arbiter = Arbiter(self.adapter, device, self.library.load, self._device_bytes)

                def work(call: Call, arbiter: Arbiter = arbiter) -> Outcome:
                    return perform_on_device(call, self.context(call), self.adapter, arbiter)

                self._devices.append(ThreadLane(str(device), 1, work, self._started, self.settle))
        return min(self._devices, key=lambda lane: lane.load)

    @property
    def adapter(self) -> DeviceAdapter:
        """The device adapter, made when the first node of the gpu lane asks for it."""
        if self._adapter is None:
            self._adapter = self._make_adapter()
        return self._adapter

    def _started(self, call: Call) -> None:
        call.run.on_started(call)

    def settle(self, call: Call, outcome: Outcome) -> None:
        """A call is over: keep its result, and tell everybody who waits for it."""
        self.in_flight.pop(call.key, None)
        outcome = self.keep(call, outcome)
        call.run.take(call, outcome)
        for run, index in call.waiters:
            run.take_shared(index, call, outcome)

    def keep(self, call: Call, outcome: Outcome) -> Outcome:
        """Put what a call gave into memory, unless it is never cached or a file changed while it was used."""
        if outcome.values is None or call.volatile:
            return outcome
        call.volatile = not all(file.unchanged() for file in call.files)
        if not call.volatile:
            try:
                nbytes = self.nbytes(call.spec, outcome.values)
            except Exception as error:  # the socket type's own code
                return failure(call.path, call.spec.id, error)
            self.memory.put(call.key, Result(call.key, outcome.values), nbytes, outcome.seconds)
        return outcome

    def context(self, call: Call) -> Context:
        """The context of a call. Its reports hop to the loop; previews are made only when somebody listens."""
        post = self._loop.call_soon_threadsafe
        run = call.run
        context = Context(node=call.path, is_cancelled=lambda: call.abandoned)
        if run.listener is not None:
            context.on_progress = lambda done, total: _quietly(post, run.on_progress, call, done, total)
            context.on_preview = lambda preview: _quietly(post, run.on_preview, call, preview)
        return context

    # ---- what is known of node types ----

    def is_cheap(self, spec: NodeSpec) -> bool:
        return self._costs.get(spec.id, 1.0) < CHEAP_SECONDS

    def learn(self, spec: NodeSpec, seconds: float) -> None:
        """Remember what a node type costs: the mean that halves the past."""
        known = self._costs.get(spec.id)
        self._costs[spec.id] = seconds if known is None else (known + seconds) / 2

    def sockets_of(self, spec: NodeSpec) -> Mapping[str, SocketType]:
        """The socket types of a node type's inputs, where the pack has said something about them."""
        found = self._sockets.get(id(spec))
        if found is None:
            by_input = {item.name: self._socket(item.type) for item in spec.inputs if not item.lazy}
            found = (spec, {name: socket for name, socket in by_input.items() if socket is not None})
            self._sockets[id(spec)] = found
        return found[1]

    def _socket(self, expr: TypeExpr) -> SocketType | None:
        if expr.kind == "socket":
            return self.library.sockets.get(expr.name)
        return self._socket(expr.args[0]) if expr.kind in ("list", "optional") else None

    def nbytes(self, spec: NodeSpec, values: Mapping[str, Any]) -> int:
        """What keeping these outputs costs."""
        found = self._sizers.get(id(spec))
        if found is None:
            sizers = {}
            for output in spec.outputs:
                socket = self._socket(output.type)
                sizers[output.name] = socket.nbytes if socket else None
            found = self._sizers[id(spec)] = (spec, sizers)
        return sum(_size(value, found[1].get(name)) for name, value in values.items())


def _size(value: Any, sizer: Callable[[Any], int] | None) -> int:
    if type(value) in (int, float, bool):
        return 32
    if isinstance(value, (list, tuple)):
        return 64 + sum(_size(item, sizer) for item in value)
    if isinstance(value, dict):
        return 64 + sum(_size(item, sizer) for item in value.values())
    if isinstance(value, (str, bytes)):
        return 64 + len(value)
    if sizer is not None:
        return sizer(value)
    size = getattr(value, "nbytes", None)
    return size if isinstance(size, int) else 256


def _quietly(post: Callable[..., Any], call: Callable[..., None], *arguments: float | Preview | Call) -> None:
    """Post to the loop; a loop that is closed already has nobody to tell."""
    try:
        post(partial(call, *arguments))
    except RuntimeError:
        return

"""The engine: one loop, its lanes, the cache, and the runs that share them."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import shutil
from collections import Counter
from collections.abc import Callable, Coroutine, Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, TypeVar

from nodegraph.engine import events as ev
from nodegraph.engine.access import FileAccess
from nodegraph.engine.cache import Cache
from nodegraph.engine.calls import Call, Outcome, failure, perform, perform_async
from nodegraph.engine.coding import Coder
from nodegraph.engine.contexts import context_of, scratch_of
from nodegraph.engine.costs import Costs
from nodegraph.engine.device import DeviceAdapter, installed_adapter
from nodegraph.engine.devices import Devices, DeviceUse
from nodegraph.engine.explain import History, reason_for_miss
from nodegraph.engine.extent import Extents
from nodegraph.engine.keys import Hasher, digest
from nodegraph.engine.lanes import ThreadLane
from nodegraph.engine.library import Library
from nodegraph.engine.outputs import RunOutput, all_outputs
from nodegraph.engine.prepare import Prepared, with_static_keys
from nodegraph.engine.run import Run, RunOptions
from nodegraph.engine.states import reported
from nodegraph.graph import Plan, with_bodies
from nodegraph.sdk.errors import InvalidWorkflow, Problem
from nodegraph.sdk.spec import NodeSpec
from nodegraph.store import Digests, DiskTier, MemoryTier, Result, Roots
from nodegraph.store.journal import Journal
from nodegraph.store.secrets import Secrets

T = TypeVar("T")

MEMORY_BYTES = 2 << 30
"""The default budget of the memory tier."""

_DEFAULTS = RunOptions()


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
        """By node path: type, state (computed, hit, not_needed, failed, skipped), reason, milliseconds, key, bytes if known.

        The key is that of the result, or the static one of a node that has none.
        """
        return self.report()


class Freed(NamedTuple):
    """What `free` gave back: bytes of cached values, and of networks."""

    value_bytes: int
    network_bytes: int


class Usage(NamedTuple):
    """Bytes of cached values by device ("": the host's memory); each device; batches of calls on devices, and their calls."""

    values: dict[str, int]
    devices: Sequence[DeviceUse]
    batches: int
    calls: int


class Engine:
    """Runs plans. Use as an async context manager; everything but node code happens on the loop it was entered on.

    `disk` is the cache's disk tier, `scratch` the folder below which nodes keep unfinished work, `models` the one for models
    that nodes make, `secrets` what nodes' secrets are read from (none given: the environment). With `check_inputs` every
    node's inputs are digested before and after, which finds any write into them, and costs time.
    """

    def __init__(
        self,
        library: Library,
        *,
        memory_bytes: int = MEMORY_BYTES,
        disk: DiskTier | None = None,
        device: Callable[[], DeviceAdapter] = installed_adapter,
        device_bytes: int | None = None,
        digests: Digests | None = None,
        roots: Roots | None = None,
        scratch: Path | None = None,
        models: Path | None = None,
        journal: Journal | None = None,
        secrets: Secrets | None = None,
        check_inputs: bool = False,
    ) -> None:
        self.library = library
        self.extents, self.costs, self.history = Extents(library), Costs(), History(journal)
        self.memory = MemoryTier(memory_bytes, self._spill)
        self.cache = Cache(self.memory, Coder(library), self.extents, disk)
        self.digests = digests or Digests()
        self.roots = roots or Roots()
        self.secrets = secrets or Secrets()
        self.check_inputs = check_inputs
        self.in_flight: dict[str, Call] = {}
        self.deciding: dict[str, asyncio.Event] = {}  # by static key: nodes finding out which lazy inputs they need
        self.timings: set[asyncio.Task[None]] = set()  # calls whose device is not done yet
        self._hashers = {
            exact: Hasher(lambda: self.adapter.profile(), exact, lambda: self._packs_digest) for exact in (True, False)
        }
        self.scratch, self.models = scratch, models
        self._done_scratch: dict[Path, str] = {}  # of work that is done, and the key of what is on its way to disk
        self.spilling: set[asyncio.Task[None]] = set()  # results on their way from a device to the host
        self._make_adapter = device
        self._adapter: DeviceAdapter | None = None
        self._device_bytes = device_bytes
        self._cpu: ThreadLane | None = None
        self._devices: Devices | None = None
        self._tasks: set[asyncio.Task[Any]] = set()
        self._runs: set[Run] = set()
        self._imported: set[str] = set()
        self._count = 0
        self._closed = False

    async def __aenter__(self) -> Engine:
        self.loop = asyncio.get_running_loop()
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
        for lanes in (self._devices, self._cpu):
            if lanes is not None:
                await lanes.close()
        for scratch, key in list(self._done_scratch.items()):
            await self._clear_up(scratch, key)
        await self.cache.close()
        if self.history.journal is not None:
            await asyncio.to_thread(self.history.journal.close)

    # ---- running ----

    async def run(self, plan: Plan, options: RunOptions = _DEFAULTS, *, roots: Roots | None = None) -> RunResult:
        """Run a plan. Raises InvalidWorkflow when a file it names is missing or unfit, or a node's check refuses its values.

        A node that fails is no exception: the result says so. Cancelling the awaiting task cancels this run alone.
        """
        return await self.execute(await self.prepare(plan, roots, exact=options.exact), options)

    async def prepare(self, plan: Plan, roots: Roots | None = None, *, exact: bool = True) -> Prepared:
        """Check a plan's files and values and key its nodes; nothing is computed. Raises InvalidWorkflow."""
        specs = {id(node.spec): node.spec for _, node in with_bodies(plan.nodes)}.values()
        if not self._imported.issuperset(spec.id for spec in specs):
            await asyncio.to_thread(self._import_code, list(specs))
        files = FileAccess(roots or self.roots, self.digests)
        problems = self._check(plan) if any(spec.checked for spec in specs) else []
        if any(node.spec.file_inputs for node in plan.nodes):
            problems += await asyncio.to_thread(files.prepare, plan.nodes)
        if problems:
            raise InvalidWorkflow(problems)
        if self.history.journal is not None:
            await asyncio.to_thread(self.history.of, plan.document)
        return with_static_keys(plan, files, self._hashers[exact])

    def _import_code(self, specs: Iterable[NodeSpec]) -> None:
        """Import the packs and the device adapter that a plan needs, off the loop: torch alone takes seconds.

        What cannot be imported fails later, and only the nodes that need it.
        """
        for spec in specs:
            with contextlib.suppress(Exception):
                self.library.node(spec.id)
                if (spec.lane == "gpu" or spec.composite) and self._adapter is None:
                    self._adapter = self._make_adapter()
                self._imported.add(spec.id)

    async def execute(self, prepared: Prepared, options: RunOptions = _DEFAULTS) -> RunResult:
        """Run what `prepare` gave."""
        if self._closed:
            raise RuntimeError("This engine is closed.")
        self._count += 1
        run = Run(self, prepared, self._count, options)
        self._runs.add(run)
        try:
            await run.execute()
        except BaseException:
            self.history.add(run)
            raise
        finally:
            self._runs.discard(run)
        result = self._result(run)
        self.history.add(run)
        return result

    def _check(self, plan: Plan) -> list[Problem]:
        """Let the nodes that declare a check see their typed values before anything runs."""
        problems = []
        for place, node in with_bodies(plan.nodes):
            if node.spec.checked:
                check = self.library.node(node.spec.id).check
                if check is not None:
                    problems += [replace(item, node=place) for item in check(node.values) or ()]
        return problems

    def _result(self, run: Run) -> RunResult:
        nodes, static, moving, ms, reasons = run.nodes, run.static, run.moving, run.ms, run.reason
        state, parts, past = run.state, {} if run.cancelled else run.parts, self.history.last(run)
        keys, nbytes = run.keys, run.nbytes

        def row(i: int) -> dict[str, Any]:
            name = reported(state, parts, i)
            why = reasons.get(i) or (reason_for_miss(nodes, static, moving, i, past) if name == "computed" else "")
            told = {"type": nodes[i].spec.id, "state": name, "reason": why, "ms": round(ms.get(i, 0.0), 3)}
            return {**told, "key": keys.get(i, static[i]), **({"bytes": nbytes[i]} if i in nbytes else {})}

        def report() -> dict[str, dict[str, Any]]:
            return {node.id: row(i) for i, node in enumerate(nodes)}

        return RunResult(run.status, all_outputs(run), run.problems, run.seconds, report)

    # ---- calls ----

    def dispatch(self, call: Call) -> None:
        """Hand a call to the lane that its node declares."""
        if call.spec.lane == "gpu":
            if self._devices is None:
                self._devices = Devices(self, self.adapter, self._device_bytes)
            self._devices.submit(call)
        elif call.node.is_async:
            call.task = self.spawn(self._await(call))
            call.task.add_done_callback(partial(self._awaited, call))
        else:
            if self._cpu is None:
                width = max(2, os.cpu_count() or 2)
                self._cpu = ThreadLane("cpu", width, self._perform_on_host, self.started, self.settle)
            self._cpu.submit(call)

    def spawn(self, work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        """A task that ends with the engine at the latest."""
        task = self.loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def _await(self, call: Call) -> Outcome:
        self.started(call)
        return await perform_async(call, context_of(self, call))

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
        self.started(call)
        if call.node.is_async:
            return await perform_async(call, context_of(self, call))
        return await asyncio.to_thread(perform, call, context_of(self, call))

    def _perform_on_host(self, calls: Sequence[Call]) -> list[Outcome]:
        if self._adapter is not None:
            self._adapter.enter_host_thread()
        return [perform(call, context_of(self, call)) for call in calls]

    def _spill(self, result: Result, seconds: float) -> None:
        """A result leaves a device for the host's memory."""
        if not self._closed:
            task = self.spawn(self.cache.to_host(result, seconds))
            self.spilling.add(task)
            task.add_done_callback(self.spilling.discard)

    @property
    def adapter(self) -> DeviceAdapter:
        """The device adapter, made when the first node of the gpu lane asks for it."""
        if self._adapter is None:
            self._adapter = self._make_adapter()
        return self._adapter

    def started(self, call: Call) -> None:
        call.run.on_started(call)

    def settle(self, call: Call, outcome: Outcome) -> None:
        """A call is over: keep its result, and tell everybody who waits for it."""
        self.in_flight.pop(call.key, None)
        if outcome.values is not None and outcome.pending is None and not call.node.is_async:
            self.costs.learn(call.spec, outcome.cost)
        outcome = self.keep(call, outcome)
        if outcome.result is not None and outcome.result.durable and call.node.context_parameter is not None:
            scratch = scratch_of(self, call)
            if scratch is not None and scratch.is_dir():
                self._done_scratch[scratch] = call.key
                self.spawn(self._clear_up(scratch, call.key))
        call.run.take(call, outcome)
        for run, index in call.waiters:
            run.take_shared(index, call, outcome)

    async def _clear_up(self, scratch: Path, key: str) -> None:
        """What is done need not be resumed: once a result is on disk, the unfinished work that it came from goes.

        Where it could not be written the work stays, to be taken up again.
        """
        if await self.cache.is_written(key):
            await asyncio.to_thread(shutil.rmtree, scratch, ignore_errors=True)
        self._done_scratch.pop(scratch, None)

    def keep(self, call: Call, outcome: Outcome) -> Outcome:
        """Put what a call gave into the cache, unless it is never cached or a file changed while it was used."""
        if outcome.values is None:
            return outcome
        call.volatile = call.volatile or not all(file.unchanged() for file in call.files)
        if call.volatile:
            outcome.result = Result(call.key, outcome.values, None, True)
        else:
            try:
                outcome.result = self.cache.keep(call.spec, call.key, outcome.values, outcome.cost)
            except Exception as error:  # the socket type's own code
                return failure(call.path, call.spec.id, error)
        if outcome.timing is not None:
            outcome.result.ready = (outcome.timing,)
        return outcome

    @cached_property
    def _packs_digest(self) -> str:
        """The digest of every node type's revision."""
        return digest("\0".join(f"{name} {spec.revision}" for name, spec in sorted(self.library.catalog.nodes.items())))

    # ---- what it takes ----

    async def usage(self) -> Usage:
        """What the engine keeps in memory at the moment, and how its calls were batched."""
        devices, calls = ([], Counter()) if self._devices is None else (await self._devices.uses(), self._devices.calls)
        batches = round(sum(count / size for size, count in calls.items()))
        return Usage(dict(self.memory.used_by_device), devices, batches, calls.total())

    # ---- letting go ----

    async def free(self) -> Freed:
        """Give memory back now: cached values (on disk they stay) and networks that nothing is using at the moment."""
        await self.cache.drain()
        values = sum(self.memory.used_by_device.values())
        self.memory.clear()
        networks = 0 if self._devices is None else await self._devices.drop_networks()
        gc.collect()
        if self._devices is not None:
            await self._devices.release()
        return Freed(values, networks)

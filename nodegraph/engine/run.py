"""One run of one plan: a state machine on the engine's loop that walks backwards from what is wanted, only past misses.

A node waits for its links' sources, then its key is known: found in the cache, awaited if somebody computes it already, or
handed to its lane. Nodes that become others (composites, maps) append their parts to the run's plan. A result's values are let
go as soon as no waiting node needs them; the cache may have them still.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from nodegraph.engine import events as ev
from nodegraph.engine.cache import Fetch
from nodegraph.engine.calls import Call, Outcome, perform
from nodegraph.engine.composing import assemble, divide
from nodegraph.engine.demand import awaited, demand, fetch, wait_deeper
from nodegraph.engine.explain import reason_for_miss
from nodegraph.engine.gather import converted, gather
from nodegraph.engine.holding import drop, has_value, let_go
from nodegraph.engine.lazy import run_lazy
from nodegraph.engine.losing import fail, fail_with
from nodegraph.engine.order import FIRST, Order, rank_outputs
from nodegraph.engine.outputs import Outputs, Receiver
from nodegraph.engine.parts import Parts
from nodegraph.engine.prepare import Prepared, picked
from nodegraph.engine.states import COMPUTED, HIT, LOST, QUEUED, STATE_NAMES, UNSEEN, WAITING
from nodegraph.graph.plan import PlanNode
from nodegraph.sdk.context import Asker, Preview
from nodegraph.sdk.errors import InvalidWorkflow, NodeError, PackError, Problem
from nodegraph.store import Alias, Result

if TYPE_CHECKING:
    from nodegraph.engine.engine import Engine

_LOG = logging.getLogger(__name__)

_SLICE_SECONDS = 0.005  # cheap nodes run inline this long before the loop gets its turn


@dataclass(frozen=True, slots=True)
class RunOptions:
    """How a run is to go. `receiver` is handed every output as it comes; with `keep` the run holds them to its end too.

    `exact` runs never share a batch; `asker` is asked where a node wants a person's decision; `log` gives a node its logger.
    """

    listener: ev.Listener | None = None
    priority: int = 0
    exact: bool = True
    receiver: Receiver | None = None
    keep: bool = True
    asker: Asker | None = None
    log: Callable[[str], logging.Logger] | None = None


class Run:
    """The state of a run, in arrays by node index. Everything here happens on the engine's loop."""

    def __init__(self, engine: Engine, prepared: Prepared, number: int, options: RunOptions) -> None:
        self.engine, self.plan, self.number, self.options = engine, prepared.plan, number, options
        self.priority, self.listener = options.priority, options.listener
        self.files, self.hasher, self.cache = prepared.files, prepared.hasher, engine.cache
        self.nodes: list[PlanNode] = list(self.plan.nodes)
        size = len(self.nodes)
        self.static, self.moving = list(prepared.static), list(prepared.moving)
        self.state = [UNSEEN] * size
        self.valued = [False] * size  # whether somebody wants the value, not only the structure
        self.result: list[Result | None] = [None] * size
        self.pending = [0] * size
        self.uses = [0] * size  # how many waiting nodes hold the result
        self.dependents: list[list[int] | None] = [None] * size  # ~i waits for the structure alone
        self.order: list[Order] = [FIRST] * size
        self.turn = [0] * size  # when the node was asked for: who came first is served first
        self.columns: tuple[list[Any], ...] = (
            *(self.nodes, self.static, self.moving, self.state, self.valued),
            *(self.result, self.pending, self.uses, self.dependents, self.order, self.turn),
        )
        self.loose: list[int] = []  # results that nobody holds
        self.turns = 0
        self.left: set[int] = set()  # nodes whose values were let go
        self.untimed: set[int] = set()  # nodes whose device has not said how long it took
        self.holds: dict[int, Sequence[int]] = {}
        self.parts: dict[int, Parts] = {}
        self.reason: dict[int, str] = {}
        self.ms: dict[int, float] = {}
        self.peak: dict[int, int] = {}
        self.nbytes: dict[int, int] = {}
        self.keys: dict[int, str] = {}  # where results lie
        self.problems: list[Problem] = []
        self.ready: deque[int] = deque()
        self.inline: deque[Call] = deque()
        self.settled: dict[int, asyncio.Future[None]] = {}
        self.tasks: set[asyncio.Task[None]] = set()
        self.timings: set[asyncio.Task[None]] = set()  # calls whose device is not done yet
        self.ended = False  # nothing more is wanted
        self.closed = False  # nothing more is told
        self.cancelled = False
        self.wake, self.over = asyncio.Event(), asyncio.Event()
        self.status: ev.Status = "cancelled"
        self.seconds = 0.0
        self._seq = 0
        self.started = time.perf_counter()
        self.wanted = {wanted.source for wanted in self.plan.wanted}
        self.open = set(self.wanted)  # what is wanted and has not settled
        self.outputs = Outputs(self.plan.wanted, options.receiver)

    # ---- the run's life ----

    async def execute(self) -> None:
        """Run until everything wanted is there, has failed, or was skipped."""
        self.emit(ev.RunStarted, len(self.nodes))
        try:
            wanted = [wanted.source for wanted in reversed(self.plan.wanted)]
            demand(self, [i if self.options.keep or not self.nodes[i].mapped else ~i for i in wanted])
            if len(self.open) > 1:
                self._rank()
            while self.open and not self.cancelled:
                self._run_inline()
                if not self.inline and self.open and not self.cancelled:
                    await self.wake.wait()
                    self.wake.clear()
                else:
                    await asyncio.sleep(0)
            while self.timings and not self.cancelled:
                await asyncio.wait(self.timings)
        except BaseException:
            self.cancelled = True
            raise
        finally:
            self._end()

    def _rank(self) -> None:
        state, costs = self.state, self.engine.costs
        for i, order in rank_outputs(self.nodes, list(self.open), lambda i: state[i] == WAITING, costs.known).items():
            self.order[i] = order

    def _end(self) -> None:
        self.ended = True
        self.ready.clear()
        for task in list(self.tasks):
            task.cancel()
        while self.inline:
            self.engine.settle(self.inline.popleft(), Outcome(cancelled=True))
        self.engine.stop_abandoned()
        self.status = "cancelled" if self.cancelled else "failed" if self.problems else "succeeded"
        self.seconds = time.perf_counter() - self.started
        self.emit(ev.RunFinished, self.status, self.seconds)
        self.closed = True
        self.over.set()

    def cancel(self) -> None:
        """Stop: nothing more is started for this run; running nodes are told, unless another run wants their result."""
        if not self.ended:
            self.cancelled = True
            self.wake.set()

    def emit(self, kind: Any, *fields: Any) -> None:
        if self.listener is not None and not self.closed:
            self._seq += 1
            try:
                self.listener(kind(self._seq, time.perf_counter() - self.started, *fields))
            except Exception:
                _LOG.exception("the listener of a run failed; it hears no more of it")
                self.listener = None

    def spawn(self, work: Any) -> None:
        """A task of this run; it ends with the run at the latest."""
        task = self.engine.spawn(work)
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)

    # ---- a node whose sources are there ----

    def advance(self) -> None:
        """Take every node whose sources are there one step further. Never recursive: chains may be as long as they like."""
        while self.ready and not self.cancelled:
            self._advance_one(self.ready.popleft())
        let_go(self)

    def _advance_one(self, i: int) -> None:
        if self.state[i] != WAITING:  # it was ready twice: for its structure, and for its value
            return
        node = self.nodes[i]
        for link in node.links:
            if self.moving[link.source] and not link.lazy:
                self.moving[i] = True
        try:
            if i in self.parts:
                assemble(self, i)
            elif (node.mapped or node.iteration) and (deeper := [mark for mark in awaited(self, i) if mark < 0]):
                wait_deeper(self, i, deeper)
            elif node.mapped or node.spec.composite:
                divide(self, i)
            else:
                self._resolve(i)
        except InvalidWorkflow as error:
            fail(self, i, *error.problems)
        except NodeError as error:
            fail(self, i, error.problem(node.id))
        except PackError as error:
            fail(self, i, Problem("broken_pack", str(error), node.id))
        except Exception as error:
            fail_with(self, i, error)

    def _resolve(self, i: int) -> None:
        node, engine = self.nodes[i], self.engine
        arguments, tokens, volatile, small = gather(self.nodes, self.result, i, self.files)
        lazy = any(link.lazy for link in node.links)
        key = self.hasher.key(node.spec, tokens)
        if node.spec.cache == "never":
            key = f"{key}!{self.number}.{i}"
        elif not lazy:
            found = self.cache.find(key, not engine.costs.is_cheap(node.spec))
            if isinstance(found, Fetch):
                fetch(self, i, key, found, "on disk, inputs came out the same")
                return
            if found is not None:
                self.alias(i, Alias(key), found.durable)
                self.finish(i, found, HIT, "in memory, inputs came out the same")
                return
        function = engine.library.node(node.spec.id)
        files = converted(function, node, arguments, self.files, engine.secrets)
        sockets = engine.extents.inputs_of(node.spec)
        call = Call(self, i, key, node.spec, function, arguments, sockets, files, volatile, small)
        call.watched = engine.check_inputs
        if lazy or function.has_lazy:
            self.spawn(run_lazy(self, call))
        elif engine.timings and node.spec.lane != "gpu" and (unready := self._unready(i)):
            self.state[i] = QUEUED
            self.spawn(self._start_when_ready(call, unready))
        else:
            self.start(call)

    def _unready(self, i: int) -> list[asyncio.Future[Any]]:
        """What a node outside of a device waits for besides its sources: that devices are done with their values."""
        results = (self.result[link.source] for link in self.nodes[i].links if not link.lazy)
        return [future for result in results if result is not None for future in result.ready if not future.done()]

    async def _start_when_ready(self, call: Call, unready: Iterable[asyncio.Future[Any]]) -> None:
        await asyncio.wait(unready)
        if not self.ended and not self.cancelled:
            self.start(call)

    def start(self, call: Call) -> None:
        """Hand a call to its lane, or wait for the same one if it is running already."""
        self.state[call.index] = QUEUED
        running = self.engine.in_flight.get(call.key)
        if running is not None:
            running.waiters.append((self, call.index))
            if running.lane is not None and self.priority > running.run.priority:
                running.lane.hasten(running)
            return
        self.engine.in_flight[call.key] = call
        cheap = call.small and call.spec.lane == "cpu" and call.node.context_parameter is None
        if cheap and self.engine.costs.is_cheap(call.spec):
            self.inline.append(call)
            self.wake.set()
            return
        try:
            self.engine.dispatch(call)
        except BaseException:
            del self.engine.in_flight[call.key]
            raise

    def _run_inline(self) -> None:
        """Cheap nodes run here, one after another, until the slice is over: a hop to a thread would cost more than they do."""
        end = time.perf_counter() + _SLICE_SECONDS
        self.advance()
        while self.inline and not self.cancelled:
            call = self.inline.popleft()
            if self.listener is not None:
                self.on_started(call)
            self.engine.settle(call, perform(call, _NO_CONTEXT))
            self.advance()
            if time.perf_counter() > end:
                return

    def on_started(self, call: Call) -> None:
        if call.index not in self.left:
            self.emit(ev.NodeStarted, self.nodes[call.index].id, call.spec.id)

    def on_progress(self, call: Call, done: float, total: float) -> None:
        self.emit(ev.NodeProgress, self.nodes[call.index].id, done, total)

    def on_preview(self, call: Call, preview: Preview) -> None:
        self.emit(ev.NodePreview, self.nodes[call.index].id, preview)

    def on_timed(self, call: Call, seconds: float, peak_bytes: int | None) -> None:
        """The device has done a call whose result was handed on already: now its time is known."""
        i = call.index
        self.untimed.discard(i)
        self.ms[i] = seconds * 1e3
        if self.state[i] == COMPUTED:
            self.tell_finished(i, STATE_NAMES[COMPUTED], self.reason_for(i), peak_bytes)

    def on_device_failure(self, call: Call, error: Exception) -> None:
        """The device failed when the call's result had been handed on already: the run cannot be trusted any more."""
        problem = Problem("device_failed", f"The device failed: {error}".split("\n")[0], self.nodes[call.index].id)
        self.problems.append(problem)
        self.emit(ev.NodeFailed, problem.node, problem, "", call.spec.id)

    # ---- results ----

    def take(self, call: Call, outcome: Outcome) -> None:
        """The engine's answer to a call of this run."""
        i = call.index
        if self.cancelled or self.ended or self.state[i] != QUEUED:
            return
        self.moving[i] = self.moving[i] or call.volatile
        if outcome.result is not None:
            self.alias(i, Alias(call.key), outcome.result.durable)
            self.ms[i] = outcome.seconds * 1e3
            if outcome.pending is not None:
                self.untimed.add(i)
            self.nbytes[i] = outcome.result.nbytes
            if outcome.peak_bytes is not None:
                self.peak[i] = outcome.peak_bytes
            if outcome.batch > 1:
                self.reason[i] = f"{outcome.batch} at once"
            self.finish(i, outcome.result, COMPUTED, "", outcome.peak_bytes)
        elif outcome.problem is not None:
            self._forget_spoilt(i, outcome.spoilt)
            fail(self, i, outcome.problem, trace=outcome.trace)
        else:
            fail(self, i, Problem("node_crashed", f"{call.spec.id} stopped as if it had been cancelled.", call.path))
        self.go_on()

    def go_on(self) -> None:
        """Results came from elsewhere: what they make ready goes to its lane at once, the rest on the run's next turn."""
        self.advance()
        self.wake.set()

    def take_shared(self, i: int, call: Call, outcome: Outcome) -> None:
        """The outcome of a call that another place started: shared, or to be done again when that place gave up."""
        if self.cancelled or self.ended or self.state[i] != QUEUED:
            return
        self.moving[i] = self.moving[i] or call.volatile
        if outcome.result is not None:
            self.alias(i, Alias(call.key), outcome.result.durable)
            self.finish(i, outcome.result, HIT, "computed at the same time")
        elif outcome.problem is not None and (self.options.asker is None or call.run.options.asker is not None):
            problem = outcome.problem
            fail(self, i, Problem(**{**problem.to_json(), "node": self.nodes[i].id}), trace=outcome.trace)  # type: ignore[arg-type]
        else:  # it gave up, or had nobody to ask
            self.state[i] = WAITING
            self.ready.append(i)
        self.go_on()

    def alias(self, i: int, alias: Alias, durable: bool) -> None:
        """Remember where a node's static key has led to, if it will lead there again."""
        if not self.moving[i] and alias.key != self.static[i]:
            self.cache.note(self.static[i], alias, durable)

    def _forget_spoilt(self, i: int, name: str) -> None:
        """A value that a node wrote into is no longer what its key says."""
        for link in self.nodes[i].links:
            source = self.result[link.source]
            if link.input == name and source is not None:
                self.engine.spawn(self.cache.remove(self.cache.forget(picked(source.ref(link.output), link))))

    def finish(self, i: int, result: Result, state: int, reason: str, peak_bytes: int | None = None) -> None:
        if i in self.ms:
            state = COMPUTED  # also when it was let go and found again
        self.state[i], self.result[i], self.keys[i] = state, result, result.key
        if result.nbytes:
            self.nbytes[i] = result.nbytes
        if reason:
            self.reason.setdefault(i, reason)
        if self.listener is not None and i not in self.left and i not in self.untimed:
            self.tell_finished(i, STATE_NAMES[state], self.reason_for(i), peak_bytes)
        if result.hollow:
            self.left.add(i)
        self.outputs.finished(i, self.nodes[i], result)
        self.settle(i)
        waiting, self.dependents[i] = self.dependents[i], None
        if waiting:
            self.notify(waiting)
        if not self.uses[i]:
            self.loose.append(i)  # who was demanded together with it may still come for it

    def tell_finished(self, i: int, state: ev.State, reason: str, peak_bytes: int | None = None) -> None:
        """Tell what became of a node."""
        node, key, nbytes = self.nodes[i], self.keys.get(i, ""), self.nbytes.get(i)
        self.emit(ev.NodeFinished, node.id, state, reason, self.ms.get(i, 0.0), peak_bytes, node.spec.id, key, nbytes)

    def notify(self, marks: Iterable[int]) -> None:
        """One of the sources that these nodes wait for has settled, or its structure is known."""
        for mark in marks:
            i = ~mark if mark < 0 else mark
            self.pending[i] -= 1
            if self.pending[i] == 0 and self.state[i] == WAITING:
                self.ready.append(i)

    def settle(self, i: int) -> None:
        """A node has its result, or is lost: nobody waits for it any more, and it needs nothing."""
        if i in self.open:
            self.open.discard(i)
            self.wake.set()
        future = self.settled.pop(i, None)
        if future is not None and not future.done():
            future.set_result(None)
        drop(self, i)

    # ---- lazy inputs ----

    async def evaluate(self, i: int) -> None:
        """Demand one node and wait until it has settled (for lazy inputs)."""
        if has_value(self, i) or self.state[i] in LOST:
            return
        future = self.settled.setdefault(i, asyncio.get_running_loop().create_future())
        demand(self, [i])
        self.go_on()
        if not future.done():
            await asyncio.shield(future)

    # ---- what is reported ----

    def reason_for(self, i: int) -> str:
        if i in self.reason:
            return self.reason[i]
        if self.state[i] != COMPUTED:
            return ""
        return reason_for_miss(self.nodes, self.static, self.moving, i, self.engine.history.last(self))


_NO_CONTEXT: Any = None

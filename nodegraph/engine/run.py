"""One run of one plan: a state machine on the engine's loop that walks backwards from what is wanted, only past misses.

A node waits for its links' sources, then its key is known: found in the cache, awaited if somebody computes it already, or
handed to its lane. Nodes that become others (composites, maps) append their parts to the run's plan.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from nodegraph.engine import events as ev
from nodegraph.engine.calls import Call, Outcome, failure, perform
from nodegraph.engine.composing import assemble, divide
from nodegraph.engine.expand import Parts
from nodegraph.engine.explain import reason_for_miss
from nodegraph.engine.gather import converted, gather
from nodegraph.engine.lazy import run_lazy
from nodegraph.engine.prepare import Prepared, picked
from nodegraph.engine.states import COMPUTED, FAILED, HIT, LOST, QUEUED, SKIPPED, STATE_NAMES, THERE, UNSEEN, WAITING
from nodegraph.graph.plan import PlanNode
from nodegraph.sdk.context import Preview
from nodegraph.sdk.errors import InvalidWorkflow, NodeError, PackError, Problem
from nodegraph.store import Alias, Result

if TYPE_CHECKING:
    from nodegraph.engine.engine import Engine

_LOG = logging.getLogger(__name__)

_SLICE_SECONDS = 0.005  # cheap nodes run inline this long before the loop gets its turn


class Run:
    """The state of a run, in arrays by node index. Everything here happens on the engine's loop."""

    def __init__(self, engine: Engine, prepared: Prepared, number: int, listener: ev.Listener | None, priority: int) -> None:
        self.engine, self.plan, self.number, self.priority = engine, prepared.plan, number, priority
        self.files, self.listener = prepared.files, listener
        self.nodes: list[PlanNode] = list(self.plan.nodes)
        size = len(self.nodes)
        self.static, self.moving = list(prepared.static), list(prepared.moving)
        self.state = [UNSEEN] * size
        self.result: list[Result | None] = [None] * size
        self.pending = [0] * size
        self.dependents: list[list[int] | None] = [None] * size
        self.parts: dict[int, Parts] = {}
        self.reason: dict[int, str] = {}
        self.ms: dict[int, float] = {}
        self.problems: list[Problem] = []
        self.ready: deque[int] = deque()
        self.inline: deque[Call] = deque()
        self.settled: dict[int, asyncio.Future[None]] = {}
        self.tasks: set[asyncio.Task[None]] = set()
        self.outstanding = 0
        self.ended = False  # nothing more is wanted
        self.closed = False  # nothing more is told
        self.cancelled = False
        self.wake, self.over = asyncio.Event(), asyncio.Event()
        self.status: ev.Status = "cancelled"
        self.seconds = 0.0
        self._seq = 0
        self.started = time.perf_counter()
        self._wanted = {wanted.source for wanted in self.plan.wanted}

    # ---- the run's life ----

    async def execute(self) -> None:
        """Run until everything wanted is there, has failed, or was skipped."""
        self.emit(ev.RunStarted, len(self.nodes))
        self.outstanding = len(self._wanted)
        try:
            self.demand([wanted.source for wanted in reversed(self.plan.wanted)])
            while self.outstanding and not self.cancelled:
                self._run_inline()
                if not self.inline and self.outstanding and not self.cancelled:
                    await self.wake.wait()
                    self.wake.clear()
                else:
                    await asyncio.sleep(0)
        except BaseException:
            self.cancelled = True
            raise
        finally:
            self._end()

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

    # ---- demand ----

    def demand(self, stack: list[int]) -> None:
        state, dependents = self.state, self.dependents
        while stack:
            i = stack.pop()
            if state[i] != UNSEEN:
                continue
            if not self.moving[i]:
                found = self.engine.memory.find(self.static[i])
                if found is not None:
                    self.finish(i, found, HIT, "in memory")
                    continue
            count = 0
            lost: int | None = None
            sources: list[int] = []
            for source in dict.fromkeys(self._eager(self.nodes[i])):
                if state[source] in THERE:
                    continue
                if state[source] in LOST:
                    lost = source
                    break
                waiting = dependents[source]
                if waiting is None:
                    dependents[source] = [i]
                else:
                    waiting.append(i)
                count += 1
                sources.append(source)
            if lost is not None:
                self.skip(i, lost)
                continue
            state[i], self.pending[i] = WAITING, count
            if count == 0:
                self.ready.append(i)
            else:
                stack.extend(reversed(sources))

    def _eager(self, node: PlanNode) -> Iterable[int]:
        """The sources that a node waits for before its key, or its parts, can be known."""
        if node.mapped:
            return [link.source for link in node.links if link.mode == "map"]
        if node.spec.composite:
            return [link.source for link in node.links if link.by_value and not link.lazy]
        return [link.source for link in node.links if not link.lazy]

    # ---- a node whose sources are there ----

    def advance(self) -> None:
        """Take every node whose sources are there one step further. Never recursive: chains may be as long as they like."""
        while self.ready and not self.cancelled:
            self._advance_one(self.ready.popleft())

    def _advance_one(self, i: int) -> None:
        node = self.nodes[i]
        for link in node.links:
            if self.moving[link.source] and not link.lazy:
                self.moving[i] = True
        try:
            if i in self.parts:
                assemble(self, i)
            elif node.mapped or node.spec.composite:
                divide(self, i)
            else:
                self._resolve(i)
        except InvalidWorkflow as error:
            self.fail(i, *error.problems)
        except NodeError as error:
            self.fail(i, error.problem(node.id))
        except PackError as error:
            self.fail(i, Problem("broken_pack", str(error), node.id))
        except Exception as error:
            self.fail_with(i, error)

    def _resolve(self, i: int) -> None:
        node, engine = self.nodes[i], self.engine
        arguments, tokens, volatile, small = gather(self.nodes, self.result, i, self.files)
        lazy = any(link.lazy for link in node.links)
        key = engine.hasher.key(node.spec, tokens)
        if node.spec.cache == "never":
            key = f"{key}!{self.number}.{i}"
        elif not lazy:
            found = engine.memory.find(key)
            if found is not None:
                self.alias(i, Alias(key))
                self.finish(i, found, HIT, "in memory, inputs came out the same")
                return
        function = engine.library.node(node.spec.id)
        files = converted(function, node, arguments, self.files)
        sockets = engine.sockets_of(node.spec)
        call = Call(self, i, key, node.spec, function, arguments, sockets, files, volatile, small)
        if lazy or function.has_lazy:
            task = engine.spawn(run_lazy(self, call))
            self.tasks.add(task)
            task.add_done_callback(self.tasks.discard)
        else:
            self.start(call)

    def start(self, call: Call) -> None:
        """Hand a call to its lane, or wait for the same one if it is running already."""
        self.state[call.index] = QUEUED
        running = self.engine.in_flight.get(call.key)
        if running is not None:
            running.waiters.append((self, call.index))
            return
        self.engine.in_flight[call.key] = call
        if call.small and call.spec.lane == "cpu" and call.node.context_parameter is None and self.engine.is_cheap(call.spec):
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
            outcome = perform(call, _NO_CONTEXT)
            self.engine.learn(call.spec, outcome.seconds)
            self.engine.settle(call, outcome)
            self.advance()
            if time.perf_counter() > end:
                return

    def on_started(self, call: Call) -> None:
        self.emit(ev.NodeStarted, self.nodes[call.index].id)

    def on_progress(self, call: Call, done: float, total: float) -> None:
        self.emit(ev.NodeProgress, self.nodes[call.index].id, done, total)

    def on_preview(self, call: Call, preview: Preview) -> None:
        self.emit(ev.NodePreview, self.nodes[call.index].id, preview)

    # ---- results ----

    def take(self, call: Call, outcome: Outcome) -> None:
        """The engine's answer to a call of this run."""
        i = call.index
        if self.cancelled or self.ended or self.state[i] != QUEUED:
            return
        self.moving[i] = self.moving[i] or call.volatile
        if outcome.values is not None:
            self.alias(i, Alias(call.key))
            self.ms[i] = outcome.seconds * 1e3
            self.finish(i, Result(call.key, outcome.values, None, call.volatile), COMPUTED, "", outcome.peak_bytes)
        elif outcome.problem is not None:
            self._forget_spoilt(i, outcome.spoilt)
            self.fail(i, outcome.problem, trace=outcome.trace)
        else:
            self.fail(i, Problem("node_crashed", f"{call.spec.id} stopped as if it had been cancelled.", call.path))
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
        if outcome.values is not None:
            self.alias(i, Alias(call.key))
            self.finish(i, Result(call.key, outcome.values, None, call.volatile), HIT, "computed at the same time")
        elif outcome.problem is not None:
            problem = outcome.problem
            self.fail(i, Problem(**{**problem.to_json(), "node": self.nodes[i].id}), trace=outcome.trace)  # type: ignore[arg-type]
        else:
            self.state[i] = WAITING
            self.ready.append(i)
        self.go_on()

    def alias(self, i: int, alias: Alias) -> None:
        """Remember where a node's static key has led to, if it will lead there again."""
        if not self.moving[i] and alias.key != self.static[i]:
            self.engine.memory.put(self.static[i], alias)

    def _forget_spoilt(self, i: int, name: str) -> None:
        """A value that a node wrote into is no longer what its key says."""
        for link in self.nodes[i].links:
            source = self.result[link.source]
            if link.input == name and source is not None:
                self.engine.memory.forget(picked(source.ref(link.output), link))

    def finish(self, i: int, result: Result, state: int, reason: str, peak_bytes: int | None = None) -> None:
        self.state[i], self.result[i] = state, result
        if reason:
            self.reason[i] = reason
        if self.listener is not None:
            told = self.reason_for(i)
            self.emit(ev.NodeFinished, self.nodes[i].id, STATE_NAMES[state], told, self.ms.get(i, 0.0), peak_bytes)
        self._settled(i)
        waiting, self.dependents[i] = self.dependents[i], None
        for dependent in waiting or ():
            self.pending[dependent] -= 1
            if self.pending[dependent] == 0 and self.state[dependent] == WAITING:
                self.ready.append(dependent)

    def _settled(self, i: int) -> None:
        if i in self._wanted:
            self.outstanding -= 1
            self.wake.set()
        future = self.settled.pop(i, None)
        if future is not None and not future.done():
            future.set_result(None)

    def fail(self, i: int, *problems: Problem, trace: str = "") -> None:
        self.state[i] = FAILED
        self.reason[i] = str(problems[0])
        self.problems.extend(problems)
        for problem in problems:
            self.emit(ev.NodeFailed, self.nodes[i].id, problem, trace)
            trace = ""
        self._lose(i)

    def fail_with(self, i: int, error: Exception) -> None:
        """Fail a node by an exception that nobody foresaw."""
        node = self.nodes[i]
        outcome = failure(node.id, node.spec.id, error)
        if outcome.problem is not None:
            self.fail(i, outcome.problem, trace=outcome.trace)

    def skip(self, i: int, because: int) -> None:
        self._mark_lost(i, because)
        self._lose(i)

    def _mark_lost(self, i: int, because: int) -> None:
        """A node that needs a lost one is skipped; one that consists of it has failed with it."""
        inner = self.nodes[because].id
        part = i in self.parts and inner.startswith((f"{self.nodes[i].id}/", f"{self.nodes[i].id}["))
        self.state[i] = FAILED if part and self.state[because] == FAILED else SKIPPED
        self.reason[i] = f"{inner} failed" if self.state[because] == FAILED else f"{inner} was skipped"
        self.emit(ev.NodeFinished, self.nodes[i].id, STATE_NAMES[self.state[i]], self.reason[i], 0.0)

    def _lose(self, i: int) -> None:
        """What depends on a lost node is lost too; everything else goes on."""
        stack = [i]
        while stack:
            lost = stack.pop()
            self._settled(lost)
            waiting, self.dependents[lost] = self.dependents[lost], None
            for dependent in waiting or ():
                if self.state[dependent] == WAITING:
                    self._mark_lost(dependent, lost)
                    stack.append(dependent)

    # ---- lazy inputs ----

    async def evaluate(self, i: int) -> None:
        """Demand one node and wait until it has settled (for lazy inputs)."""
        if self.state[i] in (*THERE, *LOST):
            return
        future = self.settled.setdefault(i, asyncio.get_running_loop().create_future())
        self.demand([i])
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

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
from nodegraph.engine.expand import Parts, expand, map_over
from nodegraph.engine.explain import reason_for_miss
from nodegraph.engine.gather import converted, gather, linked
from nodegraph.engine.lazy import run_lazy
from nodegraph.engine.prepare import Prepared, extend_static_keys
from nodegraph.graph.plan import PlanLink, PlanNode
from nodegraph.sdk.context import Preview
from nodegraph.sdk.errors import InvalidWorkflow, NodeError, PackError, Problem
from nodegraph.store import Alias, Result

if TYPE_CHECKING:
    from nodegraph.engine.engine import Engine

_LOG = logging.getLogger(__name__)

UNSEEN, WAITING, QUEUED, COMPUTED, HIT, FAILED, SKIPPED = range(7)
STATE_NAMES: tuple[ev.State, ...] = ("not_needed", "skipped", "skipped", "computed", "hit", "failed", "skipped")
_SLICE_SECONDS = 0.005  # cheap nodes run inline this long before the loop gets its turn


class Run:
    """The state of a run, in arrays by node index. Everything here happens on the engine's loop."""

    def __init__(self, engine: Engine, prepared: Prepared, number: int, listener: ev.Listener | None, priority: int) -> None:
        self.engine, self.plan, self.number, self.priority = engine, prepared.plan, number, priority
        self.files, self.listener = prepared.files, listener
        self.nodes: list[PlanNode] = list(self.plan.nodes)
        size = len(self.nodes)
        self.static, self.volatile = list(prepared.static), list(prepared.volatile)
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
        self.wake = asyncio.Event()
        self.status: ev.Status = "cancelled"
        self.seconds = 0.0
        self._seq = 0
        self.started = time.perf_counter()
        self._wanted = {wanted.source for wanted in self.plan.wanted}

    # ---- the run's life ----

    async def execute(self) -> None:
        """Run until everything wanted is there, has failed, or was skipped."""
        self._emit(ev.RunStarted, len(self.nodes))
        self.outstanding = len(self._wanted)
        self._demand([wanted.source for wanted in reversed(self.plan.wanted)])
        try:
            while self.outstanding and not self.cancelled:
                self._run_inline()
                if not self.inline and self.outstanding and not self.cancelled:
                    await self.wake.wait()
                    self.wake.clear()
                else:
                    await asyncio.sleep(0)
        except asyncio.CancelledError:
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
        self.engine.abandon(self)
        self.status = "cancelled" if self.cancelled else "failed" if self.problems else "succeeded"
        self.seconds = time.perf_counter() - self.started
        self._emit(ev.RunFinished, self.status, self.seconds)
        self.closed = True

    def cancel(self) -> None:
        """Stop: nothing more is started for this run; running nodes are told, unless another run wants their result."""
        if not self.ended:
            self.cancelled = True
            self.wake.set()

    def _emit(self, kind: Any, *fields: Any) -> None:
        if self.listener is not None and not self.closed:
            self._seq += 1
            try:
                self.listener(kind(self._seq, time.perf_counter() - self.started, *fields))
            except Exception:
                _LOG.exception("the listener of a run failed; it hears no more of it")
                self.listener = None

    # ---- demand ----

    def _demand(self, stack: list[int]) -> None:
        state, dependents = self.state, self.dependents
        while stack:
            i = stack.pop()
            if state[i] != UNSEEN:
                continue
            if not self.volatile[i]:
                found = self.engine.memory.find(self.static[i])
                if found is not None:
                    self.finish(i, found, HIT, "in memory")
                    continue
            count = 0
            lost: int | None = None
            sources: list[int] = []
            for source in dict.fromkeys(self._eager(self.nodes[i])):
                if state[source] in (COMPUTED, HIT):
                    continue
                if state[source] in (FAILED, SKIPPED):
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
        if i in self.parts:
            self._assemble(i)
            return
        try:
            if node.mapped:
                lengths = {link: len(self._value(link)) for link in node.links if link.mode == "map"}
                self._become(i, map_over(node, lengths, len(self.nodes)))
            elif node.spec.composite:
                values = dict(node.values)
                for link in node.links:
                    if link.by_value and not link.lazy:
                        values[link.input], _ = linked(self.nodes, self.result, node, link)
                self._become(i, expand(node, values, self.engine.library, len(self.nodes)))
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

    def _value(self, link: PlanLink) -> Any:
        """The list that a mapped link brings."""
        source = self.result[link.source]
        assert source is not None
        value = source.values[link.output]
        return value if link.item is None else value[link.item]

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
                self.alias(i, Alias(key), volatile)
                self.finish(i, found, HIT, "in memory, inputs came out the same")
                return
        function = engine.library.node(node.spec.id)
        files = converted(function, node, arguments, self.files)
        sockets = engine.sockets_of(node.spec)
        call = Call(self, i, key, node.spec, function, arguments, sockets, files, volatile, small)
        if lazy:
            self._task(run_lazy(self, call))
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
        if call.spec.lane == "cpu" and call.small and self.engine.is_cheap(call.spec):
            self.inline.append(call)
            self.wake.set()
        else:
            self.engine.dispatch(call)

    def _run_inline(self) -> None:
        """Cheap nodes run here, one after another, until the slice is over: a hop to a thread would cost more than they do."""
        end = time.perf_counter() + _SLICE_SECONDS
        self.advance()
        while self.inline and not self.cancelled:
            call = self.inline.popleft()
            if self.listener is not None:
                self.on_started(call)
            outcome = perform(call, self.engine.context(call) if call.node.context_parameter else _NO_CONTEXT)
            self.engine.learn(call.spec, outcome.seconds)
            self.engine.settle(call, outcome)
            self.advance()
            if time.perf_counter() > end:
                return

    def on_started(self, call: Call) -> None:
        self._emit(ev.NodeStarted, self.nodes[call.index].id)

    def on_progress(self, call: Call, done: float, total: float) -> None:
        self._emit(ev.NodeProgress, self.nodes[call.index].id, done, total)

    def on_preview(self, call: Call, preview: Preview) -> None:
        self._emit(ev.NodePreview, self.nodes[call.index].id, preview)

    # ---- results ----

    def take(self, call: Call, outcome: Outcome) -> None:
        """The engine's answer to a call of this run."""
        if self.ended or self.state[call.index] != QUEUED:
            return
        if outcome.values is not None:
            result = Result(call.key, outcome.values, None, call.volatile)
            if call.key != self.static[call.index]:
                self.alias(call.index, Alias(call.key), call.volatile)
            self.ms[call.index] = outcome.seconds * 1e3
            self.finish(call.index, result, COMPUTED, "", outcome.peak_bytes)
        elif outcome.problem is not None:
            self.fail(call.index, outcome.problem, trace=outcome.trace)
        else:
            self.fail(call.index, Problem("node_crashed", f"{call.spec.id} stopped as if it had been cancelled.", call.path))
        self.go_on()

    def go_on(self) -> None:
        """Results came from elsewhere: what they make ready goes to its lane at once, the rest on the run's next turn."""
        self.advance()
        self.wake.set()

    def take_shared(self, i: int, call: Call, outcome: Outcome) -> None:
        """The outcome of a call that another place started: shared, or to be done again when that place gave up."""
        if self.ended or self.state[i] != QUEUED:
            return
        if outcome.values is not None:
            self.alias(i, Alias(call.key), call.volatile)
            self.finish(i, Result(call.key, outcome.values, None, call.volatile), HIT, "computed at the same time")
        elif outcome.problem is not None:
            problem = outcome.problem
            self.fail(i, Problem(**{**problem.to_json(), "node": self.nodes[i].id}), trace=outcome.trace)  # type: ignore[arg-type]
        else:
            self.state[i] = WAITING
            self.ready.append(i)
        self.go_on()

    def alias(self, i: int, alias: Alias, volatile: bool) -> None:
        if not volatile and not self.volatile[i] and alias.key != self.static[i]:
            self.engine.memory.put(self.static[i], alias)

    def finish(self, i: int, result: Result, state: int, reason: str, peak_bytes: int | None = None) -> None:
        self.state[i], self.result[i] = state, result
        if reason:
            self.reason[i] = reason
        if self.listener is not None:
            told = self.reason_for(i)
            self._emit(ev.NodeFinished, self.nodes[i].id, STATE_NAMES[state], told, self.ms.get(i, 0.0), peak_bytes)
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
            self._emit(ev.NodeFailed, self.nodes[i].id, problem, trace)
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
        part = i in self.parts and inner.startswith(self.nodes[i].id)
        self.state[i] = FAILED if part and self.state[because] == FAILED else SKIPPED
        self.reason[i] = f"{inner} failed" if self.state[because] == FAILED else f"{inner} was skipped"
        self._emit(ev.NodeFinished, self.nodes[i].id, STATE_NAMES[self.state[i]], self.reason[i], 0.0)

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

    # ---- nodes that become others ----

    def _become(self, i: int, parts: Parts) -> None:
        more = len(parts.nodes)
        self.nodes.extend(parts.nodes)
        self.state.extend([UNSEEN] * more)
        self.result.extend([None] * more)
        self.pending.extend([0] * more)
        self.dependents.extend([None] * more)
        extend_static_keys(self.nodes, self.static, self.volatile, self.engine.hasher, self.files, self.result)
        self.parts[i] = parts
        self._emit(ev.NodeExpanded, self.nodes[i].id, tuple(node.id for node in parts.nodes))
        targets = dict.fromkeys(place[0] for output in parts.outputs.values() for place in _places(output))
        missing: list[int] = []
        for target in targets:
            if self.state[target] in (FAILED, SKIPPED):
                self.skip(i, target)
                return
            if self.state[target] not in (COMPUTED, HIT):
                self.dependents[target] = [*(self.dependents[target] or ()), i]
                missing.append(target)
        self.state[i], self.pending[i] = WAITING, len(missing)
        if missing:
            self._demand(list(reversed(missing)))
        else:
            self.ready.append(i)

    def _assemble(self, i: int) -> None:
        """All parts are there: the node's outputs are theirs."""
        parts = self.parts[i]
        values: dict[str, Any] = {}
        refs: dict[str, Any] = {}
        volatile = False
        for output, places in parts.outputs.items():
            pairs = []
            for index, name in _places(places):
                result = self.result[index]
                assert result is not None
                pairs.append((result.values[name], result.ref(name)))
                volatile = volatile or result.volatile or self.volatile[index]
            if isinstance(places, list):
                values[output], refs[output] = [value for value, _ in pairs], [ref for _, ref in pairs]
            else:
                values[output], refs[output] = pairs[0]
        hit = all(self.state[place[0]] == HIT for output in parts.outputs.values() for place in _places(output))
        state, reason = (HIT, "its parts are in memory") if hit and parts.nodes else (COMPUTED, "")
        self.alias(i, Alias(None, refs), volatile)
        self.finish(i, Result(self.static[i], values, refs, volatile), state, reason)

    # ---- lazy inputs, tasks ----

    async def evaluate(self, i: int) -> None:
        """Demand one node and wait until it has settled (for lazy inputs)."""
        if self.state[i] in (COMPUTED, HIT, FAILED, SKIPPED):
            return
        future = self.settled.setdefault(i, asyncio.get_running_loop().create_future())
        self._demand([i])
        self.go_on()
        if not future.done():
            await asyncio.shield(future)

    def _task(self, work: Any) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)

    # ---- what is reported ----

    def reason_for(self, i: int) -> str:
        if i in self.reason:
            return self.reason[i]
        if self.state[i] != COMPUTED:
            return ""
        return reason_for_miss(self.nodes, self.static, i, self.engine.history.last(self))


def _places(output: Any) -> list[tuple[int, str]]:
    return output if isinstance(output, list) else [output]


_NO_CONTEXT: Any = None

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
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from nodegraph.engine import events as ev
from nodegraph.engine.cache import Fetch
from nodegraph.engine.calls import Call, Outcome, failure, perform
from nodegraph.engine.composing import assemble, divide, followed, length, wait_for_parts
from nodegraph.engine.expand import Parts
from nodegraph.engine.explain import reason_for_miss
from nodegraph.engine.gather import converted, gather, values_of_composite
from nodegraph.engine.lazy import run_lazy
from nodegraph.engine.order import FIRST, Order, rank_outputs
from nodegraph.engine.outputs import Outputs, Receiver
from nodegraph.engine.prepare import Prepared, picked
from nodegraph.engine.states import COMPUTED, FAILED, HIT, LOST, QUEUED, SKIPPED, STATE_NAMES, THERE, UNSEEN, WAITING
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

    `exact` runs never share a batch; `asker` is asked where a node wants a person's decision.
    """

    listener: ev.Listener | None = None
    priority: int = 0
    exact: bool = True
    receiver: Receiver | None = None
    keep: bool = True
    asker: Asker | None = None


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
        self.columns: tuple[list[Any], ...] = (
            *(self.nodes, self.static, self.moving, self.state, self.valued),
            *(self.result, self.pending, self.uses, self.dependents, self.order),
        )
        self.loose: list[int] = []  # results that nobody holds
        self.left: set[int] = set()  # nodes whose values were let go
        self.holds: dict[int, Sequence[int]] = {}
        self.parts: dict[int, Parts] = {}
        self.reason: dict[int, str] = {}
        self.ms: dict[int, float] = {}
        self.peak: dict[int, int] = {}
        self.problems: list[Problem] = []
        self.ready: deque[int] = deque()
        self.inline: deque[Call] = deque()
        self.settled: dict[int, asyncio.Future[None]] = {}
        self.tasks: set[asyncio.Task[None]] = set()
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
        self.outputs = Outputs(self, options.receiver)

    # ---- the run's life ----

    async def execute(self) -> None:
        """Run until everything wanted is there, has failed, or was skipped."""
        self.emit(ev.RunStarted, len(self.nodes))
        try:
            wanted = [wanted.source for wanted in reversed(self.plan.wanted)]
            self.demand([i if self.options.keep or not self.nodes[i].mapped else ~i for i in wanted])
            if len(self.open) > 1:
                self._rank()
            while self.open and not self.cancelled:
                self._run_inline()
                if not self.inline and self.open and not self.cancelled:
                    await self.wake.wait()
                    self.wake.clear()
                else:
                    await asyncio.sleep(0)
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

    # ---- demand ----

    def has_value(self, i: int) -> bool:
        result = self.result[i]
        return result is not None and not result.hollow

    def demand(self, stack: list[int]) -> None:
        """Ask for nodes by index; ~index asks only for what a list consists of."""
        state, dependents = self.state, self.dependents
        while stack:
            i = stack.pop()
            structural = i < 0
            if structural:
                i = ~i
            elif not self.valued[i]:
                self.valued[i] = True
                if state[i] == WAITING and i in self.parts:  # so far only its structure was wanted
                    wait_for_parts(self, i)
                    continue
            if state[i] != UNSEEN:
                if state[i] not in THERE or self.has_value(i) or (structural and i in self.parts):
                    continue
                if i in self.parts:
                    wait_for_parts(self, i)
                    continue
                state[i] = UNSEEN  # it was let go, and somebody came late
            if not self.moving[i] and self._found(i, structural):
                continue
            count = 0
            lost: int | None = None
            sources: list[int] = []
            for source in dict.fromkeys(self._awaited(i)):
                at = ~source if source < 0 else source
                if source >= 0 and self.has_value(at):
                    continue
                if state[at] in LOST:
                    lost = at
                    break
                waiting, mark = dependents[at], ~i if source < 0 else i
                if waiting is None:
                    dependents[at] = [mark]
                else:
                    waiting.append(mark)
                count += 1
                sources.append(source)
            if lost is not None:
                self.skip(i, lost)
                continue
            state[i], self.pending[i] = WAITING, count
            self.hold(i, {*(link.source for link in self.nodes[i].links), *(~source for source in sources if source < 0)})
            if count == 0:
                self.ready.append(i)
            else:
                stack.extend(reversed(sources))

    def _found(self, i: int, structural: bool) -> bool:
        """Look a node up by its static key. Structure alone is found by dividing, part by part."""
        spec = self.nodes[i].spec
        divides = self.nodes[i].mapped or spec.composite
        if structural and divides and i not in self.wanted:
            return False
        found = self.cache.find(self.static[i], divides or not self.engine.costs.is_cheap(spec))
        if isinstance(found, Result):
            self.finish(i, found, HIT, "in memory")
            return True
        if found is None or (structural and divides and len(found.keys) > 1):
            return False
        self._fetch(i, self.static[i], found, "on disk")
        return True

    def _awaited(self, i: int) -> Iterable[int]:
        """The sources that a node waits for before its key, or its parts, can be known; ~source for its structure alone."""
        node = self.nodes[i]
        if node.mapped:
            links = (link for link in node.links if link.mode == "map" and length(self, link) is None)
            return [~followed(self, link).source for link in links]
        if node.spec.composite:
            return [link.source for link in values_of_composite(node)]
        return [link.source for link in node.links if not link.lazy]

    def structure_known(self, i: int) -> None:
        """A node was divided: who waited for its structure alone goes on."""
        waiting = self.dependents[i]
        if waiting and any(mark < 0 for mark in waiting):
            self.dependents[i] = [mark for mark in waiting if mark >= 0]
            self._notify(mark for mark in waiting if mark < 0)

    def _notify(self, marks: Iterable[int]) -> None:
        for mark in marks:
            i = ~mark if mark < 0 else mark
            self.pending[i] -= 1
            if self.pending[i] == 0 and self.state[i] == WAITING:
                self.ready.append(i)

    # ---- what is on disk ----

    def _fetch(self, i: int, key: str, fetch: Fetch, reason: str) -> None:
        self.state[i] = QUEUED
        self.spawn(self._fetched(i, key, fetch, reason))

    async def _fetched(self, i: int, key: str, fetch: Fetch, reason: str) -> None:
        found = self.cache.loaded(key, await self.cache.load(fetch.keys))
        if self.ended or self.cancelled:
            return
        if found is not None:
            if key != self.static[i]:
                self.alias(i, Alias(key), True)
            self.finish(i, found, HIT, reason)
        else:  # it was damaged, or another process has just removed it
            self.state[i] = UNSEEN
            self.drop(i)
            self.demand([i if self.valued[i] else ~i])
        self.go_on()

    # ---- a node whose sources are there ----

    def advance(self) -> None:
        """Take every node whose sources are there one step further. Never recursive: chains may be as long as they like."""
        while self.ready and not self.cancelled:
            self._advance_one(self.ready.popleft())
        while self.loose:
            i = self.loose.pop()
            if not self.uses[i]:
                self._let_go(i)

    def _advance_one(self, i: int) -> None:
        node = self.nodes[i]
        for link in node.links:
            if self.moving[link.source] and not link.lazy:
                self.moving[i] = True
        try:
            if i in self.parts:
                assemble(self, i)
            elif node.mapped and (unknown := list(dict.fromkeys(self._awaited(i)))):
                self._wait_on(i, unknown)
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

    def _wait_on(self, i: int, unknown: list[int]) -> None:
        """A list's structure lies deeper than was known: wait there."""
        lost = next((~source for source in unknown if self.state[~source] in LOST), None)
        if lost is not None:
            self.skip(i, lost)
            return
        self.pending[i] = len(unknown)
        self.hold(i, [~source for source in unknown])
        for source in unknown:
            self.dependents[~source] = [*(self.dependents[~source] or ()), ~i]
        self.demand(list(reversed(unknown)))

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
                self._fetch(i, key, found, "on disk, inputs came out the same")
                return
            if found is not None:
                self.alias(i, Alias(key), found.durable)
                self.finish(i, found, HIT, "in memory, inputs came out the same")
                return
        function = engine.library.node(node.spec.id)
        files = converted(function, node, arguments, self.files)
        sockets = engine.extents.inputs_of(node.spec)
        call = Call(self, i, key, node.spec, function, arguments, sockets, files, volatile, small)
        call.watched = engine.check_inputs
        if lazy or function.has_lazy:
            self.spawn(run_lazy(self, call))
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
        if outcome.result is not None:
            self.alias(i, Alias(call.key), outcome.result.durable)
            self.ms[i] = outcome.seconds * 1e3
            if outcome.peak_bytes is not None:
                self.peak[i] = outcome.peak_bytes
            if outcome.batch > 1:
                self.reason[i] = f"{outcome.batch} at once"
            self.finish(i, outcome.result, COMPUTED, "", outcome.peak_bytes)
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
        if outcome.result is not None:
            self.alias(i, Alias(call.key), outcome.result.durable)
            self.finish(i, outcome.result, HIT, "computed at the same time")
        elif outcome.problem is not None:
            problem = outcome.problem
            self.fail(i, Problem(**{**problem.to_json(), "node": self.nodes[i].id}), trace=outcome.trace)  # type: ignore[arg-type]
        else:
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
        self.state[i], self.result[i] = state, result
        if reason:
            self.reason.setdefault(i, reason)
        if self.listener is not None and i not in self.left:
            told = self.reason_for(i)
            self.emit(ev.NodeFinished, self.nodes[i].id, STATE_NAMES[state], told, self.ms.get(i, 0.0), peak_bytes)
        if result.hollow:
            self.left.add(i)
        self.outputs.finished(i, result)
        self._settled(i)
        waiting, self.dependents[i] = self.dependents[i], None
        if waiting:
            self._notify(waiting)
        if not self.uses[i]:
            self.loose.append(i)  # who was demanded together with it may still come for it

    def _settled(self, i: int) -> None:
        if i in self.open:
            self.open.discard(i)
            self.wake.set()
        future = self.settled.pop(i, None)
        if future is not None and not future.done():
            future.set_result(None)
        self.drop(i)

    # ---- holding on to results ----

    def hold(self, i: int, sources: Iterable[int]) -> None:
        """Node `i` needs these results until it settles."""
        held = tuple(sources)
        for source in held:
            self.uses[source] += 1
        self.holds[i] = (*self.holds.get(i, ()), *held)

    def drop(self, i: int) -> None:
        """Node `i` needs nothing more: results that nobody else waits for let their values go."""
        for source in self.holds.pop(i, ()):
            self.uses[source] -= 1
            if not self.uses[source]:
                self._let_go(source)

    def _let_go(self, i: int) -> None:
        result = self.result[i]
        kept = i in self.wanted and (self.options.keep or i in self.open)
        if result is not None and not kept and not result.volatile and not result.hollow:
            self.result[i] = result.without_values()
            self.left.add(i)

    # ---- what is lost ----

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
        """What depends on a lost node is lost too; everything else goes on, and the other items of a list."""
        stack = [i]
        while stack:
            lost = stack.pop()
            self._settled(lost)
            waiting, self.dependents[lost] = self.dependents[lost], None
            for mark in waiting or ():
                dependent = ~mark if mark < 0 else mark
                if self.state[dependent] != WAITING:
                    continue
                if dependent in self.parts and self.nodes[dependent].mapped:
                    self._notify((dependent,))
                else:
                    self._mark_lost(dependent, lost)
                    stack.append(dependent)

    # ---- lazy inputs ----

    async def evaluate(self, i: int) -> None:
        """Demand one node and wait until it has settled (for lazy inputs)."""
        if self.has_value(i) or self.state[i] in LOST:
            return
        future = self.settled.setdefault(i, asyncio.get_running_loop().create_future())
        self.demand([i])
        self.go_on()
        if not future.done():
            await asyncio.shield(future)

    # ---- what is reported ----

    def state_name(self, i: int) -> ev.State:
        """What is reported of a node; of one that nobody wanted whole, what became of its parts."""
        if self.state[i] == WAITING and i in self.parts and not self.cancelled:
            states = {self.state[link.source] for link in self.parts[i].links()}
            return "computed" if COMPUTED in states else "hit" if HIT in states else "not_needed"
        return STATE_NAMES[self.state[i]]

    def reason_for(self, i: int) -> str:
        if i in self.reason:
            return self.reason[i]
        if self.state[i] != COMPUTED:
            return ""
        return reason_for_miss(self.nodes, self.static, self.moving, i, self.engine.history.last(self))


_NO_CONTEXT: Any = None

"""An event loop whose threads are pretended: jobs run on the loop, each some turns after it was handed in, as a seed says.

What an engine does on it follows from the seed alone, so a failure can be found again and made smaller.
"""

from __future__ import annotations

import asyncio
import sys
import time
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from contextlib import contextmanager
from random import Random
from typing import Any
from unittest.mock import patch


class Clock:
    """Stands for the module `time`: every look at it takes ten microseconds."""

    def __init__(self) -> None:
        self._now = 0.0

    def perf_counter(self) -> float:
        self._now += 1e-5
        return self._now

    def __getattr__(self, name: str) -> Any:
        return getattr(time, name)


class SimulatedLoop(asyncio.SelectorEventLoop):
    """`within` runs a coroutine with everything of the engine's that is imported made to use this loop's clock and threads."""

    def __init__(self, random: Random, most_turns: int = 12) -> None:
        super().__init__()
        self.random, self.most_turns, self.clock = random, most_turns, Clock()
        self.jobs = 0
        self._own = _Threads(self)

    def run_in_executor(self, executor: Any, func: Any, *args: Any) -> Any:
        return super().run_in_executor(executor or self._own, func, *args)

    def threads(self, *_: Any, **__: Any) -> Executor:
        return _Threads(self)

    @contextmanager
    def _installed(self) -> Iterator[None]:
        undo = []
        for name, module in list(sys.modules.items()):
            if name.startswith("nodegraph.engine") and module is not None:
                for attribute, real, ours in (
                    ("time", time, self.clock),
                    ("ThreadPoolExecutor", ThreadPoolExecutor, self.threads),
                ):
                    if getattr(module, attribute, None) is real:
                        undo.append(patch.object(module, attribute, ours))
        for each in undo:
            each.start()
        try:
            yield
        finally:
            for each in undo:
                each.stop()

    def within(self, work: Any, seconds: float = 20) -> Any:
        with self._installed():
            return self.run_until_complete(asyncio.wait_for(work, seconds))


class _Threads(Executor):
    """As many threads as are needed, each in steps of the loop."""

    def __init__(self, loop: SimulatedLoop) -> None:
        self._loop = loop
        self._waiting: deque[tuple[Future[Any], Callable[..., Any], tuple[Any, ...]]] = deque()

    def submit(self, function: Callable[..., Any], /, *arguments: Any, **_: Any) -> Future[Any]:
        job = (Future(), function, arguments)
        self._waiting.append(job)
        self._loop.jobs += 1
        self._turn(job, self._loop.random.randrange(self._loop.most_turns))
        return job[0]

    def _turn(self, job: Any, left: int) -> None:
        if left:
            self._loop.call_soon(self._turn, job, left - 1)
        elif job in self._waiting:
            self._waiting.remove(job)
            self._do(*job)

    def _do(self, future: Future[Any], function: Callable[..., Any], arguments: tuple[Any, ...]) -> None:
        self._loop.jobs -= 1
        if future.set_running_or_notify_cancel():
            try:
                future.set_result(function(*arguments))
            except BaseException as error:
                future.set_exception(error)

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        while self._waiting:
            self._do(*self._waiting.popleft())

"""The live view of a run: a tree of nodes with step progress, hits and milliseconds, and a thumbnail of what is being made."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from types import TracebackType

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.style import Style
from rich.text import Text
from rich.tree import Tree

from nodegraph.cli.show import duration
from nodegraph.engine import (
    Event,
    NodeExpanded,
    NodeFailed,
    NodeFinished,
    NodePreview,
    NodeProgress,
    NodeStarted,
)
from nodegraph.graph import Plan
from nodegraph.sdk.context import Preview

_MARKS = {"waiting": ("·", "dim"), "running": ("▸", "bold yellow"), "computed": ("✓", "green"), "hit": ("●", "blue")}
_BAD = {"failed": ("✗", "bold red"), "skipped": ("–", "red"), "not_needed": ("○", "dim")}
_BAR = 24
_THUMBNAIL = 32  # columns


class LiveView:
    """Shows a run on a terminal while it goes on. `listen` is called on the engine's thread, drawing happens on rich's own."""

    def __init__(self, plan: Plan, console: Console) -> None:
        self._title = plan.document.title or "workflow"
        self._top = [node.id for node in plan.nodes]
        self._types = {node.id: node.spec.id for node in plan.nodes}
        self._state: dict[str, str] = dict.fromkeys(self._top, "waiting")
        self._ms: dict[str, float] = {}
        self._from: dict[str, str] = {}
        self._parts: dict[str, tuple[str, ...]] = {}
        self._progress: dict[str, tuple[float, float]] = {}
        self._preview: Preview | None = None
        self._lock = threading.Lock()
        self._live = Live(get_renderable=self._draw, console=console, refresh_per_second=8, transient=True)

    def __enter__(self) -> LiveView:
        self._live.__enter__()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._preview = None
        self._live.__exit__(kind, error, trace)
        self._live.console.print(self._draw())

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Leave the terminal to somebody else for a while."""
        self._live.stop()
        try:
            yield
        finally:
            self._live.start()

    def listen(self, event: Event) -> None:
        with self._lock:
            match event:
                case NodeExpanded(node=node, into=into):
                    self._parts[node] = into
                    self._state |= dict.fromkeys(into, "waiting")
                    self._state[node] = "running"
                case NodeStarted(node=node):
                    self._state[node] = "running"
                case NodeProgress(node=node, done=done, total=total):
                    self._progress[node] = (done, total)
                case NodePreview(preview=preview):
                    self._preview = preview
                case NodeFinished(node=node, state=state, reason=reason, ms=ms):
                    self._state[node], self._ms[node] = state, ms
                    if state == "hit":
                        self._from[node] = "disk" if reason.startswith("on disk") else "memory"
                case NodeFailed(node=node):
                    self._state[node] = "failed"

    def _draw(self) -> RenderableType:
        with self._lock:
            tree = Tree(Text(self._title, style="bold"), guide_style="dim")
            for name in self._top:
                tree.add(self._line(name))
            preview = self._preview
        return tree if preview is None else Group(tree, thumbnail(preview))

    def _line(self, name: str) -> Text:
        state = self._state[name]
        mark, style = {**_MARKS, **_BAD}[state]
        line = Text(f"{mark} ", style=style).append(name, style="" if state != "waiting" else "dim")
        line.append(f"  {self._types[name]}", style="dim")
        if name in self._parts:
            leaves = self._leaves(name)
            finished = sum(self._state[leaf] in ("computed", "hit") for leaf in leaves)
            hits = Counter(self._from[leaf] for leaf in leaves if self._state[leaf] == "hit")
            line.append("  ").append_text(bar(finished, len(leaves)))
            for tier, count in sorted(hits.items()):
                line.append(f"  {count} {'hits' if count > 1 else 'hit'} ({tier})", style="blue")
        elif state == "running" and name in self._progress:
            line.append("  ").append_text(bar(*self._progress[name]))
        ms = self._spent(name)
        if state in ("computed", "failed") and ms:
            line.append(f"  {duration(ms)}", style="cyan")
        elif state == "hit" and name not in self._parts:
            line.append(f"  hit ({self._from[name]})", style="blue")
        return line

    def _leaves(self, name: str) -> list[str]:
        if name not in self._parts:
            return [name]
        return [leaf for part in self._parts[name] for leaf in self._leaves(part)]

    def _spent(self, name: str) -> float:
        return sum(self._ms.get(leaf, 0.0) for leaf in self._leaves(name))


def bar(done: float, total: float) -> Text:
    """`━━━━━━━━──── 8/12`."""
    share = min(1.0, done / total) if total else 1.0
    full = round(share * _BAR)
    return Text("━" * full, style="green").append("━" * (_BAR - full), style="grey30").append(f" {done:g}/{total:g}", style="")


def thumbnail(preview: Preview) -> Text:
    """A picture in half blocks: two pixels per character, scaled to at most 32 columns by nearest neighbour."""
    columns = min(_THUMBNAIL, max(preview.width, 1))
    rows = max(2, round(preview.height * columns / preview.width)) & ~1
    text = Text()
    for y in range(0, rows, 2):
        for x in range(columns):
            top, bottom = (_pixel(preview, x / columns, line / rows) for line in (y, y + 1))
            text.append("▀", Style(color=top, bgcolor=bottom))
        text.append("\n")
    return text


def _pixel(preview: Preview, x: float, y: float) -> str:
    at = 3 * (int(y * preview.height) * preview.width + int(x * preview.width))
    red, green, blue = preview.rgb[at : at + 3]
    return f"#{red:02x}{green:02x}{blue:02x}"


class Silent:
    """Shows nothing: for pipes, --json and --quiet."""

    listen = None

    def paused(self) -> AbstractContextManager[None]:
        return nullcontext()

    def __enter__(self) -> Silent:
        return self

    def __exit__(self, *rest: object) -> None:
        return None


def view(plan: Plan, console: Console, quiet: bool) -> LiveView | Silent:
    """A live view where somebody can see it."""
    return Silent() if quiet or not console.is_terminal else LiveView(plan, console)

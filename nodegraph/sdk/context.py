"""What a node may ask of whoever runs it: progress, previews, cancellation, resident networks, a device, a log.

A bare `Context()` works without an engine, so that a node stays callable as a plain function.
"""

from __future__ import annotations

import logging
import os
import tempfile
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nodegraph.sdk.errors import Cancelled, NodeError
from nodegraph.sdk.socket import Artifact

_LOG = logging.getLogger("nodegraph.node")


@dataclass(frozen=True, slots=True)
class Preview:
    """A small picture of work in progress: `rgb` holds width * height * 3 bytes, row by row."""

    width: int
    height: int
    rgb: bytes


@dataclass(frozen=True, slots=True)
class Question:
    """What a node wants a person to decide: one of `choices`, by index; each is in words, and a picture where it is one."""

    node: str
    text: str
    choices: tuple[str, ...]
    pictures: tuple[Artifact | None, ...]


Asker = Callable[[Question], Awaitable[int]]
"""Asks a person, for as long as that takes; gives the index of the choice."""


def _load_directly(recipe: Any) -> Any:
    raise LookupError(f"This context loads no models: pass Context(load=...) to run on {type(recipe).__name__}.")


def _no_picture(value: Any) -> Artifact | None:
    return None


@dataclass(slots=True)
class Context:
    """Given to every parameter annotated `Context`. All calls are cheap and safe from the node's own thread."""

    node: str = ""
    device: Any = "cpu"
    on_progress: Callable[[float, float], None] | None = None
    on_preview: Callable[[Preview], None] | None = None
    is_cancelled: Callable[[], bool] | None = None
    load: Callable[[Any], Any] = _load_directly
    scratch_root: Path | None = None
    models_root: Path | None = None
    asker: Asker | None = None
    picture_of: Callable[[Any], Artifact | None] = _no_picture
    log: logging.Logger = _LOG

    def progress(self, done: float, total: float) -> None:
        """Say how far the node is: `done` of `total`, in any unit."""
        if self.on_progress:
            self.on_progress(done, total)

    def preview(self, picture: Callable[[], Preview]) -> None:
        """Show work in progress. `picture` is called only when somebody is looking."""
        if self.on_preview:
            self.on_preview(picture())

    def check_cancelled(self) -> None:
        """Raise Cancelled if nobody wants this result any more; call it now and then in long work."""
        if self.is_cancelled and self.is_cancelled():
            raise Cancelled(self.node)

    async def ask(self, text: str, options: Sequence[Any]) -> int:
        """Let a person choose; the node waits and keeps no lane busy. The index of the option.

        Raises NodeError where there is nobody to ask.
        """
        if self.asker is None:
            hint = f"Answer beforehand: --answer {self.node.partition('/')[0]}=N, from 0 to {len(options) - 1}."
            raise NodeError("A person has to decide here, and this run can ask nobody.", hint=hint)
        pictures = tuple(self.picture_of(option) for option in options)
        plain = (str, int, float)
        choices = tuple(str(option) if isinstance(option, plain) else f"number {i}" for i, option in enumerate(options))
        chosen = await self.asker(Question(self.node, text, choices, pictures))
        if not 0 <= chosen < len(options):
            raise NodeError("There is no such choice.", expected=f"0 to {len(options) - 1}", got=str(chosen))
        return chosen

    def resident(self, recipe: Any) -> Any:
        """The network that a recipe describes, loaded on this node's device."""
        return self.load(recipe)

    @property
    def scratch(self) -> Path:
        """A folder that stays with this node's key: for work that is to be resumed after a crash."""
        if self.scratch_root is None:
            self.scratch_root = Path(tempfile.mkdtemp(prefix="nodegraph-"))
        self.scratch_root.mkdir(parents=True, exist_ok=True)
        os.utime(self.scratch_root)  # work that is gone on with is not forgotten, even before it writes anything
        return self.scratch_root

    @property
    def models(self) -> Path:
        """The folder for models that nodes make; names are looked up there first. Write them whole, replace none unasked."""
        if self.models_root is None:
            self.models_root = Path(tempfile.mkdtemp(prefix="nodegraph-models-"))
        self.models_root.mkdir(parents=True, exist_ok=True)
        return self.models_root

"""The context that a call runs with: where its reports go, where its unfinished work lies, whom it may ask."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nodegraph.engine.calls import Call
from nodegraph.sdk.context import Context, Preview
from nodegraph.sdk.socket import Artifact

if TYPE_CHECKING:
    from nodegraph.engine.engine import Engine


def context_of(engine: Engine, call: Call) -> Context:
    """The context of a call. Its reports hop to the loop; previews are made when somebody listens, or keeps thumbnails."""
    run, journal = call.run, engine.history.journal
    context = Context(node=call.path, is_cancelled=lambda: call.abandoned, asker=run.options.asker)
    context.picture_of = partial(_picture, engine, call)
    context.scratch_root = scratch_of(engine, call)
    context.models_root = engine.models
    if run.options.log is not None:
        context.log = run.options.log(call.path)
    if run.listener is not None:
        context.on_progress = lambda done, total: _post(engine, run.on_progress, call, done, total)
    if run.listener is not None or journal is not None:
        static = "" if run.moving[call.index] else run.static[call.index]

        def on_preview(preview: Preview) -> None:
            if journal is not None:
                journal.add_thumbnail(call.key, preview, static)
            if run.listener is not None:
                _post(engine, run.on_preview, call, preview)

        context.on_preview = on_preview
    return context


def scratch_of(engine: Engine, call: Call) -> Path | None:
    """Where a call keeps unfinished work: the same folder whenever its key is the same."""
    return None if engine.scratch is None else engine.scratch / call.key.partition("!")[0]


def _picture(engine: Engine, call: Call, value: Any) -> Artifact | None:
    """A linked value as a picture, where the socket type that it came from knows how."""
    nodes = call.run.nodes
    for link in nodes[call.index].links:
        socket = engine.extents.socket(nodes[link.source].spec.output_by_name[link.output].type)
        if socket is not None and socket.artifact is not None:
            return socket.artifact(value)
    return None


def _post(engine: Engine, call: Callable[..., None], *arguments: Any) -> None:
    """Call something on the loop; a loop that is closed already has nobody to tell."""
    try:
        engine.loop.call_soon_threadsafe(partial(call, *arguments))
    except RuntimeError:
        return

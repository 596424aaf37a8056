"""One of several processes that train together; torchrun starts it: `python -m nodegraph_nodes.training.loop.worker FOLDER`.

It leaves what the training gave in the folder, and why it ended where that is the user's to know.
"""

from __future__ import annotations

import contextlib
import datetime
import functools
import gc
import importlib
import logging
import os
import signal
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

import torch

from nodegraph import Cancelled, Context, NodeError, Preview
from nodegraph.sdk.pack import Loader, installed_packs, load_pack
from nodegraph_nodes.diffusion.families import place

from . import job
from .sharing import Share

_TIMEOUT = datetime.timedelta(hours=2)
"""How long processes wait for one another: a look, or latents that are made first, may take one of them long."""


def main(folder: Path) -> int:
    rank, count = int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])
    say = _take_over_output(folder, rank)
    stopping: list[int] = []
    signal.signal(signal.SIGTERM, lambda number, _: stopping.append(number))
    device = torch.device("cuda", int(os.environ["LOCAL_RANK"])) if torch.cuda.is_available() else torch.device("cpu")
    if device.type == "cuda":
        torch.cuda.set_device(device)
    backend = "cpu:gloo,cuda:nccl" if device.type == "cuda" else "gloo"
    torch.distributed.init_process_group(backend, timeout=_TIMEOUT)
    try:
        _train(folder, device, rank, count, say, stopping)
    except Cancelled:
        return 1
    except NodeError as error:
        job.write_error(folder, rank, error)
        return 1
    torch.distributed.barrier()
    gc.collect()  # wrappers of networks go first: a group that is destroyed before them may abort
    torch.distributed.destroy_process_group()
    return 0


def _train(folder: Path, device: torch.device, rank: int, count: int, say: _Say, stopping: list[int]) -> None:
    given = job.read_value(folder, job.INPUTS)
    share = Share(rank, count, given["inputs"]["plan"].spread)
    context = _context(given, device, share, say, lambda: bool(stopping) or say.is_broken or (folder / job.STOP).exists())
    module, _, name = given["training"].partition(":")
    training = getattr(importlib.import_module(module), name)
    inputs = dict(given["inputs"])
    value = training(context, share, inputs.pop("plan"), **inputs)
    if share.is_first:
        job.write_value(folder, job.RESULT, value)


class _Say:
    """Sends lines to the node, from the first process only. is_broken: nobody reads them any more."""

    def __init__(self, output: BinaryIO | None) -> None:
        self._output, self.is_broken = output, False

    def __call__(self, kind: str, **data: Any) -> None:
        if self._output is None:
            return
        try:
            self._output.write(job.line_of(kind, **data))
            self._output.flush()
        except OSError:
            self.is_broken = True


def _take_over_output(folder: Path, rank: int) -> _Say:
    """stdout is for lines to the node alone; whatever else is printed goes to this process's log."""
    output = os.fdopen(os.dup(1), "wb") if rank == 0 else None
    log = os.open(job.log_file(folder, rank), os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(log, 1)
    os.dup2(log, 2)
    return _Say(output)


class _Handler(logging.Handler):
    """Log lines go to the node's log."""

    def __init__(self, say: _Say) -> None:
        super().__init__()
        self._say = say

    def emit(self, record: logging.LogRecord) -> None:
        self._say("log", level=record.levelno, text=record.getMessage())


def _context(given: Any, device: torch.device, share: Share, say: _Say, cancelled: Callable[[], bool]) -> Context:
    log = logging.getLogger("nodegraph.training")
    log.setLevel(logging.INFO)
    log.propagate = not share.is_first
    if share.is_first:
        log.addHandler(_Handler(say))

    def show(preview: Preview) -> None:
        say("preview", **job.preview_to_json(preview))

    return Context(
        node=given["node"],
        device=device,
        on_progress=lambda done, total: say("progress", done=done, total=total),
        on_preview=show if share.is_first and given["shown"] else None,
        is_cancelled=cancelled,
        load=functools.cache(functools.partial(_load, device)),
        scratch_root=Path(given["scratch"]),
        models_root=Path(given["models"]),
        log=log,
    )


def _load(device: torch.device, recipe: Any) -> Any:
    """A recipe's network on the device, as the engine would load it; recipes that differ in patches do not share one here."""
    found = _loaders()[type(recipe)]
    network = found.load(recipe if found.base is None else found.base(recipe), device)
    if found.adapt is not None:
        found.adapt(network, recipe)
    place(network, device, None)
    return network


@functools.cache
def _loaders() -> dict[type, Loader]:
    loaders: dict[type, Loader] = {}
    for point in installed_packs().values():
        with contextlib.suppress(ImportError):
            loaders |= load_pack(point).loaders
    return loaders


def _guarded(folder: Path) -> int:
    """The exit code. What goes wrong is written down before the others notice: they fail then, too, each in its own way."""
    try:
        return main(folder)
    except BaseException:
        job.mistake_file(folder, int(os.environ["RANK"])).touch()
        traceback.print_exc()
        return 1


if __name__ == "__main__":
    code = _guarded(Path(sys.argv[1]))
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)  # what is still joined to the group at the interpreter's end may abort it

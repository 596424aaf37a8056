"""A training by several processes: they are started by torchrun, one for each device, and their first one reports here."""

from __future__ import annotations

import logging
import os
import queue
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch

from nodegraph import Cancelled, Context, NodeError
from nodegraph_nodes.types import TrainingPlan

from . import job
from .sharing import Share

_FOLDER = "processes"
_GRACE = 120.0  # seconds for a step and its checkpoint, when a training is cancelled
_TAIL = 1200  # characters of a process's last words

_LISTED = re.compile(r"^\s*rank\s*:\s*(\d+).*?^\s*exitcode\s*:\s*(-?\d+)", re.MULTILINE | re.DOTALL)
"""A process that has ended, in torchrun's report."""

Training = Callable[..., Any]
"""`(context, share, plan, **inputs) -> value`: a function of a module, whose inputs and value `types.CODEC` can write."""


def run_training(
    training: Training, context: Context, plan: TrainingPlan, inputs: Mapping[str, Any], *, spreads: bool = False
) -> Any:
    """What a training gives: here where the plan has one process, else in several, of which the first one's value counts.

    spreads: whether the training can do with a part of its networks in each process. Raises what the training raises of
    Cancelled and NodeError; NodeError where a process ends otherwise, and for a plan that cannot be followed.
    """
    _check_spread(plan, spreads)
    if plan.processes == 1:
        return training(context, Share(), plan, **inputs)
    if torch.cuda.is_available() and torch.cuda.device_count() < plan.processes:
        raise NodeError(
            "Each process of a training needs a GPU of its own.",
            socket="plan",
            expected=f"at most {torch.cuda.device_count()} processes",
            got=str(plan.processes),
        )
    folder = context.scratch / _FOLDER
    try:
        job.clear(folder)
        name = f"{training.__module__}:{training.__qualname__}"
        given = {"plan": plan, **inputs}
        settings = {"training": name, "node": context.node, "scratch": str(context.scratch), "models": str(context.models)}
        job.write_value(folder, job.INPUTS, {**settings, "shown": context.on_preview is not None, "inputs": given})
    except OSError as error:
        raise NodeError(f"The training cannot be handed to its processes: {error}.", hint="Free some disk space.") from None
    _follow(folder, plan, context)
    value = job.read_value(folder, job.RESULT)
    job.clear(folder)
    return value


def _check_spread(plan: TrainingPlan, spreads: bool) -> None:
    if not plan.spread:
        return
    if not spreads:
        raise NodeError(
            "Only a denoiser's training can be spread over processes.",
            socket="plan",
            expected="a plan without spread: each process has a copy of the networks",
            hint="Switch spread off in the plan; gradient_checkpointing and a smaller batch need less memory too.",
        )
    if plan.processes == 1:
        raise NodeError(
            "There is one process only, and nothing to spread a training over.",
            socket="plan",
            expected="processes of 2 or more with spread",
            hint="Give the plan as many processes as there are GPUs, or switch spread off.",
        )


def _follow(folder: Path, plan: TrainingPlan, context: Context) -> None:
    """Run the processes to their end, passing on what the first one says."""
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(plan.processes)]
    threads = 1 if torch.cuda.is_available() else max(1, torch.get_num_threads() // plan.processes)
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
        "OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS") or str(threads),
    }
    with (folder / "torchrun.log").open("wb") as words:
        process = subprocess.Popen(
            [*command, "-m", f"{__package__}.worker", str(folder)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=words,
            env=environment,
            start_new_session=True,  # a Ctrl-C here is no signal there: they are told to stop, and save first
        )
    try:
        cancelled = _listen(process, folder, context)
    finally:
        _end(process)
    if cancelled:
        raise Cancelled(context.node)
    if process.returncode != 0 or not (folder / f"{job.RESULT}.json").exists():
        raise job.read_error(folder) or _crash(folder)


def _listen(process: subprocess.Popen[bytes], folder: Path, context: Context) -> bool:
    """Pass on progress, previews and log lines until the first process has ended; whether the training was cancelled."""
    lines: queue.Queue[bytes | None] = queue.Queue(64)
    reader = threading.Thread(target=_read, args=(process, lines), daemon=True)
    reader.start()
    until: float | None = None
    while True:
        if until is None and context.is_cancelled is not None and context.is_cancelled():
            (folder / job.STOP).touch()
            until = time.monotonic() + _GRACE
        if until is not None and time.monotonic() > until:
            return True
        try:
            line = lines.get(timeout=0.2)
        except queue.Empty:
            continue
        if line is None:
            process.wait()
            return until is not None
        job.pass_on(line, context)


def _read(process: subprocess.Popen[bytes], lines: queue.Queue[bytes | None]) -> None:
    assert process.stdout is not None
    for line in process.stdout:
        lines.put(line)
    lines.put(None)


def _end(process: subprocess.Popen[bytes]) -> None:
    """Nothing is left running. torchrun passes a SIGTERM on, and after half a minute kills what is still there."""
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(timeout=40)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _crash(folder: Path) -> NodeError:
    """Why a process ended, as far as torchrun knows, and its last words."""
    report = (folder / "torchrun.log").read_text("utf-8", "replace")
    rank, number = _first_to_end(folder, report)
    log = folder / "torchrun.log" if rank is None else job.log_file(folder, rank)
    words = log.read_text("utf-8", "replace").strip()[-_TAIL:] if log.exists() else ""
    logging.getLogger(__name__).error("torchrun: %s", report[-4 * _TAIL :])
    how = "" if number is None else f" with signal {-number}" if number < 0 else f" with code {number}"
    hint = "The last checkpoint is kept: run it again and it goes on from there."
    if number == -signal.SIGKILL:
        hint = f"Perhaps the system has run out of memory. {hint}"
    return NodeError(
        f"A process of the training (number {'?' if rank is None else rank}) has ended{how}.",
        socket="plan",
        got=words or None,
        hint=hint,
    )


def _first_to_end(folder: Path, report: str) -> tuple[int | None, int | None]:
    """Which process ended first, and with what exit code. torchrun's own guess is the last that it lists.

    When one has ended, the others lose touch with it and end within moments, by an exception or SIGABRT.
    """
    found = [(int(rank), int(code)) for rank, code in _LISTED.findall(report)]
    killed = [each for each in found if each[1] == -signal.SIGKILL]
    mistaken = job.first_mistake(folder)
    if not killed and mistaken is not None:
        return mistaken, 1
    return (killed or found)[-1] if found else (None, None)

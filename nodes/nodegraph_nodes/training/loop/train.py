"""The one training loop. What it is given to train says what a step is (`task.py`); here is what all trainings share.

A step's randomness and examples depend on its number alone, so a training that goes on from a checkpoint walks the same path
as one that was never interrupted.
"""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import AdamW, Optimizer

from nodegraph import Cancelled, Context, NodeError
from nodegraph_nodes.diffusion.families import has_amx
from nodegraph_nodes.pictures import to_preview
from nodegraph_nodes.types import History, TrainingPlan

from . import checkpoint
from .averaging import Averages
from .board import draw_board
from .checkpoint import Progressed
from .rates import rate_at
from .sharing import Share
from .spreading import whole, wholes
from .stream import batches
from .task import Moment, Networks, Part, Run, Task

_BAD_STEPS = 20
"""How many steps in a row may give numbers that are not finite, before a training is given up."""


class Trained:
    """What a training has come to. networks: by name, averages where the task wants them; figures: (step, value) by name.

    Where several processes share it, a network may be spread over them: then all are to call it, and to ask for its weights.
    """

    def __init__(self, networks: Networks, progressed: Progressed, plan: TrainingPlan, share: Share) -> None:
        self.networks, self._plan, self._share = networks, plan, share
        self.figures = progressed.figures
        self.seconds = progressed.seconds

    @property
    def history(self) -> History:
        return History({name: tuple(rows) for name, rows in self.figures.items()})

    def weights(self, name: str) -> dict[str, Tensor]:
        """A network's whole state, in the host's memory; of several processes that share it the first has it."""
        state = wholes(self.networks[name].state_dict(), kept=self._share.is_first)
        return {key: tensor.detach().cpu().contiguous() for key, tensor in state.items()}

    def facts(self, name: str, pictures: int) -> dict[str, Any]:
        """What is told of every training; name: of the network, pictures: of the data set."""
        plan = self._plan
        return {
            "steps": plan.steps,
            "pictures_seen": plan.steps * plan.batch * plan.accumulate * plan.processes,
            "pictures": pictures,
            "seconds": round(self.seconds),
            "parameters": sum(parameter.numel() for parameter in self.networks[name].parameters()),
        }


def train(task: Task, plan: TrainingPlan, context: Context, device: torch.device, share: Share | None = None) -> Trained:
    """Train to the plan's end, going on from the checkpoint in `context.scratch` where there is one.

    share: this process's part where several train together. Raises Cancelled, after a checkpoint; NodeError for a training that
    has gone wrong for good. A checkpoint that cannot be written (a full disk) is tried again at the next; nothing else is lost.
    """
    share = share or Share()
    with torch.enable_grad():
        return _Training(task, plan, context, device, share).run()


class _Training:
    """A training under way."""

    def __init__(self, task: Task, plan: TrainingPlan, context: Context, device: torch.device, share: Share) -> None:
        self._task, self._plan, self._context, self._device, self._share = task, plan, context, device, share
        for network in task.networks.values():
            network.train()
        self._averages = Averages(task.networks, task.averaged, plan.average)
        self._share.placed([*task.networks.values(), *self._averages.networks.values()], device)
        self._optimizers: dict[str, Optimizer] = {
            name: AdamW(
                [parameter for parameter in network.parameters() if parameter.requires_grad],
                lr=plan.learning_rate,
                betas=task.betas.get(name, (plan.beta1, plan.beta2)),
                weight_decay=plan.weight_decay,
                fused=device.type == "cuda",
            )
            for name, network in task.networks.items()
        }
        self._figures: dict[str, list[tuple[int, float]]] = {}
        self._recent: dict[str, list[Tensor]] = {}
        self._every = max(1, math.ceil(plan.steps / 2000))  # a curve has 2,000 points at most
        self._bad, self._before, self._begun = 0, 0.0, 0.0

    def run(self) -> Trained:
        plan, task = self._plan, self._task
        first = self._go_back()
        self._begun = time.monotonic()
        run = self._share.wrapped(task.networks, self._device, plan.compiled)
        step = first
        self._context.progress(step, plan.steps)
        stream = batches(task, plan, first, self._share, self._device)
        try:
            with contextlib.closing(stream):
                for step in range(first, plan.steps):
                    self._check_cancelled()
                    self._step(run, stream, step)
                    if (step + 1) % plan.show_every == 0 or step + 1 == plan.steps:
                        self._look(step + 1)
                    if (step + 1) % plan.save_every == 0 or step + 1 == plan.steps:
                        self._save(step + 1)
                    self._context.progress(step + 1, plan.steps)
        except Cancelled:
            self._save(step)
            raise
        return Trained(self._averages.best(), self._progressed(plan.steps), plan, self._share)

    def _check_cancelled(self) -> None:
        """All processes end at the same step, or some would wait for ever for the others."""
        cancelled = self._context.is_cancelled
        if self._share.any(cancelled is not None and cancelled()):
            raise Cancelled(self._context.node)

    def _go_back(self) -> int:
        """To the last checkpoint: the steps that are done."""
        try:
            found = checkpoint.load(self._context.scratch, self._task.networks, self._averages.networks, self._optimizers)
        except checkpoint.Damaged as error:
            self._context.log.warning("The checkpoint cannot be read (%s): the training begins anew.", error)
            return 0
        if found is None:
            return 0
        self._figures, self._before = found.figures, found.seconds
        self._recent = {name: [torch.tensor(v, device=self._device) for v in values] for name, values in found.pending.items()}
        self._context.log.info("Goes on at step %d.", found.step)
        return found.step

    def _progressed(self, step: int) -> Progressed:
        pending = {name: [value.item() for value in values] for name, values in self._recent.items()}
        return Progressed(step, self._figures, self._before + time.monotonic() - self._begun, pending)

    def _step(self, run: Run, stream: Iterator[Mapping[str, Tensor]], step: int) -> None:
        """One step of all optimisers, over `accumulate` batches."""
        plan, task = self._plan, self._task
        rate = rate_at(plan, step)
        for optimizer in self._optimizers.values():
            optimizer.zero_grad(set_to_none=True)
            for group in optimizer.param_groups:
                group["lr"] = rate
        figures: dict[str, Tensor] = {}
        touched: set[str] = set()
        for number in range(plan.accumulate):
            moment = Moment(step, plan.steps, self._random(step, number))
            last = number + 1 == plan.accumulate
            with self._share.gathering(run, last):
                for part in self._parts(task.losses(run, next(stream), moment)):
                    (part.loss / plan.accumulate).backward()  # type: ignore[no-untyped-call]
                    touched.add(part.network)
                    for name, value in part.figures.items():
                        figures[name] = figures.get(name, 0) + value.detach() / plan.accumulate
        if self._finite(touched, step):
            for name in self._optimizers:
                if name in touched:
                    self._optimizers[name].step()
            task.after_step(Moment(step, plan.steps, self._random(step, plan.accumulate)))
            self._averages.update(step)
            self._note(step, figures)

    def _parts(self, parts: Iterator[Part]) -> Iterator[Part]:
        """A batch's losses, each computed in the training's precision. Going back happens outside of that."""
        while True:
            with self._autocast():
                part = next(parts, None)
            if part is None:
                return
            yield part

    def _finite(self, touched: set[str], step: int) -> bool:
        """Limit the gradients' norms; whether all of them are numbers. A step with others is left out."""
        norms = [
            whole(nn.utils.clip_grad_norm_(self._task.networks[name].parameters(), self._plan.clip or math.inf))
            for name in touched
        ]
        if all(bool(norm.isfinite()) for norm in norms):
            self._bad = 0
            return True
        self._bad += 1
        self._context.log.warning("Step %d gave gradients that are not numbers; it is left out.", step)
        if self._bad >= _BAD_STEPS:
            raise NodeError(
                f"The training has come apart: {_BAD_STEPS} steps in a row, up to step {step}, gave no numbers.",
                socket="plan",
                got=f"a learning rate of {self._plan.learning_rate:g}, {self._plan.precision} precision",
                hint="Use a lower learning_rate, a longer warmup, a smaller clip, or float32.",
            )
        return False

    def _note(self, step: int, figures: Mapping[str, Tensor]) -> None:
        """Remember a step's figures; each point of a curve is the mean since the one before."""
        for name, value in figures.items():
            self._recent.setdefault(name, []).append(value)
        if (step + 1) % self._every == 0:
            for name, values in self._recent.items():
                self._figures.setdefault(name, []).append((step + 1, self._share.mean(torch.stack(values)).item()))
            self._recent = {}

    @torch.no_grad()
    def _look(self, step: int) -> None:
        """Measure what there is on pictures that it never saw, and show it."""
        if not self._share.looks:
            self._share.wait()
            return
        best = self._averages.best()
        with _evaluating(best), self._autocast():
            measured = self._task.validate(best)
            picture = self._task.picture(best)
        for name, value in measured.items():
            self._figures.setdefault(name, []).append((step, float(value)))
        self._context.preview(lambda: to_preview(draw_board(self._figures, picture)))
        self._context.log.info(
            "step %d: %s", step, ", ".join(f"{name} {rows[-1][1]:.4g}" for name, rows in self._figures.items())
        )
        self._share.wait()

    def _save(self, step: int) -> None:
        networks, averages = self._task.networks, self._averages.networks
        tensors = wholes(checkpoint.tensors_of(networks, averages, self._optimizers), kept=self._share.is_first)
        if self._share.is_first:
            try:
                checkpoint.save(self._context.scratch, self._progressed(step), tensors)
            except OSError as error:
                self._context.log.warning(
                    "The checkpoint of step %d cannot be written (%s); the training goes on.", step, error
                )
        self._share.wait()

    def _random(self, step: int, number: int) -> torch.Generator:
        """The source of randomness of a batch in a step: another for each process."""
        seed = (self._plan.seed * 1_000_003 + step) * 4096 + number * 64 + self._share.rank
        return torch.Generator(self._device).manual_seed(seed % 2**63)

    def _autocast(self) -> contextlib.AbstractContextManager[Any]:
        if not computes_in_bfloat16(self._plan, self._device):
            return contextlib.nullcontext()
        return torch.autocast(self._device.type, dtype=torch.bfloat16)


def computes_in_bfloat16(plan: TrainingPlan, device: torch.device) -> bool:
    """auto: on GPUs, and on CPUs with AMX; without it bfloat16 halves a CPU's pace (AVX-512, measured)."""
    return plan.precision == "bfloat16" or (plan.precision == "auto" and (device.type == "cuda" or has_amx()))


@contextlib.contextmanager
def _evaluating(networks: Networks) -> Iterator[None]:
    """For a look: no dropout and the like, then back."""
    were = {name: network.training for name, network in networks.items()}
    for network in networks.values():
        network.eval()
    try:
        yield
    finally:
        for name, network in networks.items():
            network.train(were[name])

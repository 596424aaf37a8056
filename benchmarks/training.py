"""Training on this machine: pictures per second of both phases through our loop, beside a bare PyTorch loop of the same model.

Ours: the tasks and the loop that the nodes run, with pictures read and varied from a zip. Checkpoints and looks are left out
of the times, and so is the first epoch, in which pictures are decoded; in each they are varied anew. Bare: the same network,
loss, batch, AdamW and gradient clipping in a dozen lines, on tensors in memory; once as that, once with a moving average of
the weights, which ours keeps. The loops take turns at being first; a row is the median of the rounds.

    python benchmarks/training.py [--rounds 9] [--steps 12] [--threads N] [--quick] [--json]
"""

from __future__ import annotations

import argparse
import copy
import io
import json
import statistics
import tempfile
import time
import zipfile
from collections import deque
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from nodegraph import Context
from nodegraph_nodes.training import augment_backgrounds, load_pictures, resize_pictures
from nodegraph_nodes.training.loop import train
from nodegraph_nodes.training.losses import gradient_distance
from nodegraph_nodes.training.tasks.autoencoder import AutoencoderLosses, AutoencoderTask
from nodegraph_nodes.training.tasks.autoencoder_networks import Passing, Shape, new_autoencoder
from nodegraph_nodes.training.tasks.denoiser_networks import Told, UNetShape, new_unet, prepare
from nodegraph_nodes.types import Dataset, TrainingPlan

SIZE, STATES, TOKENS, LATENT = 64, 384, 24, (4, 16, 16)
WARM = 3  # steps that are not counted: an epoch

Loops = dict[str, Callable[[], float]]
"""By name: runs once, and gives the pictures per second."""


class Timed(Context):
    """A context that notes when each step was done."""

    def __init__(self, folder: Path) -> None:
        super().__init__(scratch_root=folder)
        self.times: list[float] = []
        self.on_progress = lambda done, total: self.times.append(time.perf_counter())

    def rate(self, batch: int) -> float:
        """Pictures per second after the warm-up. The last step also saves and looks, so it is left out."""
        counted = self.times[WARM:-1]
        return (len(counted) - 1) * batch / (counted[-1] - counted[0])


def our_loop(task: Any, plan: TrainingPlan, device: torch.device) -> float:
    """Pictures per second after the warm-up, in the loop of the nodes."""
    with tempfile.TemporaryDirectory() as scratch:
        context = Timed(Path(scratch))
        train(task, plan, context, device)
    return context.rate(plan.batch)


def pictures(folder: Path, count: int) -> Dataset:
    """Discs of random colours as RGBA pictures in a zip, like the starter's."""
    random = np.random.default_rng(0)
    y, x = np.mgrid[:128, :128] - 63.5
    rows = []
    with zipfile.ZipFile(folder / "pictures.zip", "w") as file:
        for number in range(count):
            pixels = np.zeros((128, 128, 4), np.uint8)
            pixels[..., :3] = random.integers(0, 255, 3)
            pixels[..., 3] = 255 * (x * x + y * y < random.integers(20, 60) ** 2)
            buffer = io.BytesIO()
            Image.fromarray(pixels).save(buffer, "webp")
            file.writestr(f"{number}.webp", buffer.getvalue())
            rows.append({"file": f"{number}.webp", "subject": f"disc {number}"})
    (folder / "captions.jsonl").write_text("\n".join(map(json.dumps, rows)))
    data = load_pictures(Context(), folder / "pictures.zip", folder / "captions.jsonl", check=False)
    return augment_backgrounds(resize_pictures(data, SIZE, SIZE), 0.5)


def bare_loop(network: nn.Module, loss_of: Callable[[int], Tensor], plan: TrainingPlan, averaged: bool) -> float:
    """Pictures per second after the warm-up, in a plain training loop."""
    optimizer = torch.optim.AdamW(network.parameters(), lr=plan.learning_rate, betas=(plan.beta1, plan.beta2))
    average = copy.deepcopy(network).requires_grad_(False) if averaged else None
    begun = time.perf_counter()
    for step in range(plan.steps):
        if step == WARM:
            begun = time.perf_counter()
        loss = loss_of(step)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(network.parameters(), plan.clip)
        optimizer.step()
        if average is not None:
            with torch.no_grad():
                torch._foreach_lerp_(list(average.parameters()), list(network.parameters()), 1 - plan.average)
        loss.item()
    return (plan.steps - WARM) * plan.batch / (time.perf_counter() - begun)


# ---- phase 1 ----


def autoencoder_loops(folder: Path, plan: TrainingPlan, device: torch.device) -> Loops:
    shape = Shape("kl", 4, 4, (16, 48, 128), 1, 0, True)
    data = pictures(folder, WARM * plan.batch)
    torch.manual_seed(0)
    start = new_autoencoder(shape, SIZE).state_dict()
    losses = AutoencoderLosses(adversarial=0.0)

    def new_task() -> AutoencoderTask:
        network = new_autoencoder(shape, SIZE)
        network.load_state_dict(start)
        return AutoencoderTask(network, data, None, losses, None, batch=plan.batch, seed=0, device=device)

    reader = new_task()
    batches = [reader.collate([reader.read(pick) for pick in reader.picks(number)])["pictures"] for number in range(8)]
    batches = [batch.to(device, memory_format=torch.channels_last) for batch in batches]

    def bare(averaged: bool) -> float:
        network = new_autoencoder(shape, SIZE)
        network.load_state_dict(start)
        passing = Passing(network.to(device, memory_format=torch.channels_last))
        random = torch.Generator(device).manual_seed(0)

        def loss_of(step: int) -> Tensor:
            wanted = batches[step % len(batches)]
            noise = torch.randn((len(wanted), *LATENT), generator=random, device=device)
            made, regular, _ = passing(wanted, noise)
            difference = made - wanted
            distance = difference.square().mean() + difference.abs().mean()
            total: Tensor = distance + losses.gradients * gradient_distance(made, wanted) + losses.regular * regular
            return total

        return bare_loop(passing, loss_of, plan, averaged)

    return {
        "ours": lambda: our_loop(new_task(), plan, device),
        "bare": partial(bare, averaged=False),
        "bare with average": partial(bare, averaged=True),
    }


# ---- phase 2 ----


class LatentTask:
    """The denoiser's step on latents and states that are in memory, as a training keeps them."""

    averaged = ("denoiser",)
    betas: ClassVar[dict[str, tuple[float, float]]] = {}

    def __init__(self, unet: Any, device: torch.device, batch: int) -> None:
        from nodegraph_nodes.training.tasks.noising import Emphasis, Noising
        from nodegraph_nodes.types import NoiseProcess

        self.networks = {"denoiser": unet.to(memory_format=torch.channels_last)}
        random = torch.Generator().manual_seed(0)
        self.latents = torch.randn((512, *LATENT), generator=random).to(device)
        self.states = torch.randn((512, TOKENS, STATES), generator=random).to(device)
        self.pooled = torch.randn((512, STATES), generator=random).to(device)
        self._noising = Noising(NoiseProcess("rectified_flow"), "flow", Emphasis("logit_normal"), device)
        self._batch = batch

    def picks(self, number: int) -> list[int]:
        return [(number * self._batch + place) % 512 for place in range(self._batch)]

    def read(self, pick: int) -> int:
        return pick

    def collate(self, picks: Any) -> dict[str, Tensor]:
        return {"places": torch.tensor(picks)}

    def losses(self, run: Any, batch: Any, moment: Any) -> Iterator[Any]:
        from nodegraph_nodes.training.loop import Part
        from nodegraph_nodes.training.tasks.denoiser import call
        from nodegraph_nodes.training.tasks.telling import Heard

        places, random = batch["places"], moment.random
        clean = self.latents[places]
        levels, noise = self._noising.draw(len(clean), random), self._noising.noise(clean, random)
        heard = Heard(self.states[places], self.pooled[places])
        output = call(run["denoiser"], self._noising.add(clean, noise, levels), levels.timestep, heard)
        loss = (output - self._noising.target(clean, noise, levels)).square().mean()
        yield Part("denoiser", loss, {"loss": loss})

    def after_step(self, moment: Any) -> None: ...

    def validate(self, networks: Any) -> dict[str, float]:
        return {}

    def picture(self, networks: Any) -> None:
        return None


def denoiser_loops(folder: Path, plan: TrainingPlan, device: torch.device) -> Loops:
    shape, told = UNetShape((64, 96, 128), 1, (1, 2), 4), Told(STATES, STATES)
    torch.manual_seed(0)
    start = new_unet(shape, told, LATENT[0], LATENT[1]).state_dict()

    def new_task() -> LatentTask:
        unet = new_unet(shape, told, LATENT[0], LATENT[1])
        unet.load_state_dict(start)
        prepare(unet, device.type == "cpu")
        return LatentTask(unet, device, plan.batch)

    def bare(averaged: bool) -> float:
        task = new_task()
        unet = task.networks["denoiser"].to(device)

        def loss_of(step: int) -> Tensor:
            places = torch.tensor(task.picks(step))
            clean = task.latents[places]
            noise, t = torch.randn_like(clean), torch.sigmoid(torch.randn(len(clean), device=device))
            noisy = torch.lerp(clean, noise, t.view(-1, 1, 1, 1)).contiguous(memory_format=torch.channels_last)
            said = unet(noisy, 1000 * t, task.states[places], class_labels=task.pooled[places], return_dict=False)[0]
            loss: Tensor = (said - (noise - clean)).square().mean()
            return loss

        return bare_loop(unet, loss_of, plan, averaged)

    return {
        "ours": lambda: our_loop(new_task(), plan, device),
        "bare": partial(bare, averaged=False),
        "bare with average": partial(bare, averaged=True),
    }


PHASES = {"autoencoder": (autoencoder_loops, 16), "denoiser": (denoiser_loops, 64)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--steps", type=int, default=12, help="of each loop in a round, the warm-up included")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--quick", action="store_true", help="one short round, to see that it runs")
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    rounds, steps = (1, WARM + 3) if given.quick else (given.rounds, max(given.steps, WARM + 3))
    torch.set_num_threads(given.threads)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    result: dict[str, Any] = {"device": str(device), "threads": given.threads, "rounds": rounds, "steps": steps, "phases": {}}
    for phase, (loops_of, batch) in PHASES.items():
        plan = TrainingPlan(
            steps=steps, batch=4 if given.quick else batch, warmup=2, precision="float32", save_every=10**6, show_every=10**6
        )
        found: dict[str, list[float]] = {}
        with tempfile.TemporaryDirectory() as folder:
            loops = loops_of(Path(folder), plan, device)
            for turn in range(rounds):
                names = deque(loops)
                names.rotate(turn)
                for name in names:
                    found.setdefault(name, []).append(loops[name]())
        ratios = {
            name: [a / b for a, b in zip(found["ours"], rates, strict=True)] for name, rates in found.items() if name != "ours"
        }
        result["phases"][phase] = {
            "batch": plan.batch,
            "pictures_per_second": {name: round(statistics.median(found[name]), 2) for name in loops},
            "ours_over": {name: round(statistics.median(each), 4) for name, each in ratios.items()},
        }
    if given.json:
        print(json.dumps(result, indent=2))
        return
    print(f"{device}, {given.threads} threads, float32, median of {rounds} rounds of {steps} steps\n")
    print(f"{'phase':<14}{'loop':<22}{'pictures/s':>12}{'ours over it':>14}")
    for phase, row in result["phases"].items():
        for name, rate in row["pictures_per_second"].items():
            over = row["ours_over"].get(name)
            print(f"{phase:<14}{name:<22}{rate:>12.1f}{'' if over is None else f'{over:.3f}':>14}")


if __name__ == "__main__":
    main()

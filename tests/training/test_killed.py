"""Trainings of both phases that are killed (SIGKILL) come to the parameters that they would have come to."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from nodegraph import Context
from nodegraph_nodes.training import train_autoencoder, train_denoiser
from nodegraph_nodes.types import TrainingPlan
from training.discs import discs
from training.tiny import AUTOENCODER, TEXT_ENCODER
from training.tiny import context as tiny_context

PLAN = TrainingPlan(
    steps=12, batch=4, learning_rate=2e-3, warmup=2, average=0.5, save_every=5, show_every=6, precision="float32", seed=1
)
SHAPE = {"downscale": 2, "latent_channels": 3, "width": 8, "layers": 1, "attention": False, "codebook": 16}
LOSSES = {"perceptual": "none", "adversarial_weight": 0.1, "adversarial_start": 6}


def trained(folder: Path, kind: str, **more) -> dict[str, torch.Tensor]:
    """The parameters of a toy training: "kl" or "vq" (the first phase), or "denoiser" (the second)."""
    folder.mkdir(exist_ok=True)
    data = discs(folder)
    if kind == "denoiser":
        context, _ = tiny_context(folder / "scratch", **more)
        made = train_denoiser(context, data, PLAN, AUTOENCODER, TEXT_ENCODER, channels=[16, 32], heads=2, prompts=["a boat"])
        return made.denoiser.tensors
    context = Context(scratch_root=folder / "scratch", models_root=folder / "models", **more)
    return train_autoencoder(context, data, PLAN, regularisation=kind, **SHAPE, **LOSSES).autoencoder.tensors


def kill_at(step: int):
    """Ends this process when that step of the training is done."""
    return lambda done, total: (done, total) == (step, PLAN.steps) and os.kill(os.getpid(), signal.SIGKILL)


KILLED = """
import sys
from pathlib import Path
from training.test_killed import kill_at, trained
trained(Path(sys.argv[1]), sys.argv[2], on_progress=kill_at(8))
"""


@pytest.mark.parametrize("kind", ["kl", "vq", "denoiser"])
def test_a_killed_training_comes_to_the_same_parameters(tmp_path, kind):
    straight = trained(tmp_path / "straight", kind)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-c", KILLED, str(tmp_path / "killed"), kind]
    assert subprocess.run(command, env=environment, check=False).returncode == -signal.SIGKILL
    done = []
    again = trained(
        tmp_path / "killed", kind, on_progress=lambda step, total: done.append(step) if total == PLAN.steps else None
    )
    assert done[0] == 5  # the last checkpoint
    assert straight.keys() == again.keys()
    assert all(torch.equal(tensor, again[name]) for name, tensor in straight.items())

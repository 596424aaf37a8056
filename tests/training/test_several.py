"""Training by several processes: what two compute is what one does with their batches together, and what ends them is told."""

import dataclasses
import os
import subprocess
import sys
import threading

import psutil
import pytest
import torch

from nodegraph import Cancelled, Context, NodeError
from nodegraph_nodes.training.loop import run_training
from nodegraph_nodes.training.train_autoencoder import train_autoencoder
from nodegraph_nodes.types import TrainingPlan
from training.discs import discs
from training.lines import line_training
from training.parts import differing

PLAN = TrainingPlan(
    steps=30, batch=8, learning_rate=0.1, warmup=4, average=0.9, save_every=10, show_every=10, precision="float32"
)
TWO = dataclasses.replace(PLAN, batch=4, processes=2)
LONG = dataclasses.replace(TWO, steps=10_000, save_every=10_000, show_every=10_000)


def test_one_process_trains_where_it_is(tmp_path):
    _, figures = run_training(line_training, Context(scratch_root=tmp_path), PLAN, {"noise": 0.0})
    assert len(figures["loss"]) == 30
    assert not (tmp_path / "processes").exists()


@pytest.mark.slow
def test_two_processes_make_the_weights_and_curves_that_one_makes_of_both_batches(tmp_path):
    done, seen = [], []
    context = Context(
        scratch_root=tmp_path / "b", on_progress=lambda step, steps: done.append((step, steps)), on_preview=seen.append
    )
    tensors, figures = run_training(line_training, Context(scratch_root=tmp_path / "a"), PLAN, {"noise": 0.0})
    theirs, their_figures = run_training(line_training, context, TWO, {"noise": 0.0})
    for name, value in tensors.items():
        assert torch.allclose(value, theirs[name], atol=1e-5), name
    for name, rows in figures.items():
        assert [step for step, _ in rows] == [step for step, _ in their_figures[name]]
        assert [value for _, value in rows] == pytest.approx([value for _, value in their_figures[name]], abs=1e-5)
    assert done[-1] == (30, 30)
    assert [(each.width, len(each.rgb)) for each in seen] == [(512, 3 * each.width * each.height) for each in seen]
    assert len(seen) == 3
    noisy, _ = run_training(line_training, Context(scratch_root=tmp_path / "c"), PLAN, {"noise": 0.1})
    assert not torch.allclose(noisy["slope"], theirs["slope"], atol=1e-4)  # the comparison tells them apart


@pytest.mark.slow
def test_a_killed_process_is_told_and_the_training_goes_on_from_its_checkpoint(tmp_path):
    straight, _ = run_training(line_training, Context(scratch_root=tmp_path / "a"), PLAN, {"noise": 0.0})
    killed = {"noise": 0.0, "trouble": "killed", "at": 25}
    with pytest.raises(NodeError) as caught:
        run_training(line_training, Context(scratch_root=tmp_path / "b"), TWO, killed)
    assert "number 1" in str(caught.value)
    assert "signal 9" in str(caught.value)
    assert "checkpoint" in (caught.value.hint or "")
    again, _ = run_training(line_training, Context(scratch_root=tmp_path / "b"), TWO, {"noise": 0.0})
    assert again["first"] == 40  # steps 0 to 19 are done: rank 0 reads batch 2 * 20
    assert torch.allclose(again["slope"], straight["slope"], atol=1e-5)


@pytest.mark.slow
def test_a_users_mistake_is_told_as_if_it_had_happened_here(tmp_path):
    with pytest.raises(NodeError) as caught:
        run_training(line_training, Context(scratch_root=tmp_path), TWO, {"noise": 0.0, "trouble": "wrong", "at": 3})
    error = caught.value
    assert (str(error), error.socket, error.expected) == ("The line is bent.", "dataset", "a line")
    assert (error.got, error.hint) == ("a curve", "Straighten it.")


@pytest.mark.slow
def test_a_mistake_of_the_programs_comes_with_its_last_words(tmp_path):
    with pytest.raises(NodeError) as caught:
        run_training(line_training, Context(scratch_root=tmp_path), TWO, {"noise": 0.0, "trouble": "broken", "at": 3})
    assert "number 1" in str(caught.value)
    assert "RuntimeError: This is a mistake in the program." in (caught.value.got or "")


@pytest.mark.slow
def test_a_cancelled_training_saves_and_goes_on_where_it_was(tmp_path):
    begun = threading.Event()
    context = Context(
        scratch_root=tmp_path, on_progress=lambda step, _: begun.set() if step > 5 else None, is_cancelled=begun.is_set
    )
    with pytest.raises(Cancelled):
        run_training(line_training, context, LONG, {"noise": 0.0, "trouble": "slow"})
    saved = [int(file.stem.partition("-")[2]) for file in tmp_path.glob("checkpoint-*.safetensors")]
    assert len(saved) == 1
    assert 5 < saved[0] < 1000


@pytest.mark.slow
def test_two_processes_train_the_autoencoder_that_one_trains_on_both_batches(tmp_path):
    """VQ, whose training has no noise of its own."""
    data = discs(tmp_path)
    plan = dataclasses.replace(PLAN, steps=6, batch=4, learning_rate=1e-3, warmup=0, save_every=100, show_every=100)
    settings = {"regularisation": "vq", "downscale": 2, "width": 8, "layers": 1, "codebook": 16, "attention": False}
    settings |= {"perceptual": "none", "adversarial_weight": 0.0}
    one = train_autoencoder(Context(scratch_root=tmp_path / "a"), data, plan, **settings)
    two_plan = dataclasses.replace(plan, batch=2, processes=2)
    two = train_autoencoder(Context(scratch_root=tmp_path / "b"), data, two_plan, **settings)
    other = train_autoencoder(Context(scratch_root=tmp_path / "c"), data, dataclasses.replace(plan, batch=2), **settings)
    assert torch.allclose(one.reconstructions, two.reconstructions, atol=1e-3)
    assert not torch.allclose(one.reconstructions, other.reconstructions, atol=1e-2)
    assert differing(one.autoencoder.tensors, two.autoencoder.tensors) == []
    assert len(differing(one.autoencoder.tensors, other.autoencoder.tensors)) > 20
    assert one.psnr == pytest.approx(two.psnr, abs=1e-3)


ORPHANS = """
import sys
from pathlib import Path
from nodegraph import Context
from nodegraph_nodes.training.loop import run_training
from training.lines import line_training
from training.test_several import LONG
told = lambda step, _: print(step, flush=True)
context = Context(scratch_root=Path(sys.argv[1]), on_progress=told)
run_training(line_training, context, LONG, {"noise": 0.0, "trouble": "slow"})
"""


@pytest.mark.slow
def test_processes_whose_node_has_died_save_and_end(tmp_path):
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    node = subprocess.Popen([sys.executable, "-c", ORPHANS, str(tmp_path)], env=environment, stdout=subprocess.PIPE)
    for line in node.stdout:
        if int(line) > 5:
            break
    running = [each for each in psutil.Process(node.pid).children(recursive=True) if each.is_running()]
    assert len(running) >= 3  # torchrun and two processes
    node.kill()
    node.wait()
    _, alive = psutil.wait_procs(running, timeout=30)
    assert not alive
    assert len(list(tmp_path.glob("checkpoint-*.safetensors"))) == 1

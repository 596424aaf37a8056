"""The training loop: what it computes, and what survives a kill, a full disk, numbers that are none, a change of mind."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from nodegraph import Cancelled, Context, NodeError
from nodegraph_nodes.training.loop import train
from nodegraph_nodes.training.loop.rates import rate_at
from nodegraph_nodes.types import TrainingPlan
from training.lines import LineTask, weights

CPU = torch.device("cpu")
PLAN = TrainingPlan(steps=60, batch=8, learning_rate=0.1, warmup=4, average=0.9, save_every=10, show_every=20, weight_decay=0.0)


def context(folder: Path, **more) -> Context:
    return Context(scratch_root=folder, **more)


def same(first, second) -> bool:
    return all(torch.equal(first[name], second[name]) for name in first)


def test_a_line_is_found(tmp_path):
    trained = train(LineTask(noise=0.0), PLAN, context(tmp_path), CPU)
    error = trained.figures["error"]
    assert [step for step, _ in error] == [20, 40, 60]
    assert error[-1][1] < 0.1 < error[0][1]
    losses = [value for _, value in trained.figures["loss"]]
    assert len(losses) == 60
    assert losses[-1] < losses[0] / 50


def test_one_step_is_adamw_by_hand(tmp_path):
    plan = PLAN.__class__(**{**vars_of(PLAN), "steps": 1, "warmup": 0, "average": 0.0, "schedule": "constant", "clip": 0.0})
    task = LineTask(noise=0.0)
    x, y = torch.tensor([(k / 8, 3 * k / 8 - 1) for k in range(-16, -8)]).unbind(1)  # the first batch
    gradient = torch.stack([(-2 * y * x).mean(), (-2 * y).mean()])  # of the mean square, at slope 0 and offset 0
    found = weights(train(task, plan, context(tmp_path), CPU).networks)
    expected = -plan.learning_rate * gradient / (gradient.abs() + 1e-8)  # Adam's first step is the sign
    assert torch.allclose(torch.stack([found["slope"], found["offset"]]), expected, atol=1e-6)


def test_accumulated_batches_are_one_large_batch(tmp_path):
    fields = {**vars_of(PLAN), "steps": 5, "average": 0.0}
    halves = TrainingPlan(**{**fields, "batch": 4, "accumulate": 2})
    whole = train(LineTask(8, noise=0.0), TrainingPlan(**fields), context(tmp_path / "a"), CPU)
    split = train(LineTask(4, noise=0.0), halves, context(tmp_path / "b"), CPU)
    for name, value in weights(whole.networks).items():
        assert torch.allclose(value, weights(split.networks)[name], atol=1e-6), name


def test_the_average_lags_behind(tmp_path):
    fields = {**vars_of(PLAN), "steps": 8, "schedule": "constant"}
    last = weights(train(LineTask(), TrainingPlan(**{**fields, "average": 0.0}), context(tmp_path / "a"), CPU).networks)
    average = weights(train(LineTask(), TrainingPlan(**{**fields, "average": 0.99}), context(tmp_path / "b"), CPU).networks)
    assert 0 < average["slope"] < last["slope"]


def vars_of(plan: TrainingPlan) -> dict:
    return {name: getattr(plan, name) for name in plan.__dataclass_fields__}


@pytest.mark.parametrize("stopped", [1, 9, 10, 11, 37])
def test_a_cancelled_training_goes_on_as_if_nothing_had_been(tmp_path, stopped):
    straight = train(LineTask(), PLAN, context(tmp_path / "straight"), CPU)
    done: list[float] = []
    broken = context(
        tmp_path / "broken", is_cancelled=lambda: len(done) > stopped, on_progress=lambda step, _: done.append(step)
    )
    with pytest.raises(Cancelled):
        train(LineTask(), PLAN, broken, CPU)
    task = LineTask()
    again = train(task, PLAN, context(tmp_path / "broken"), CPU)
    assert task.seen[0] == stopped  # nothing is done twice
    assert same(weights(straight.networks), weights(again.networks))
    assert straight.figures == again.figures


KILLED = """
import os, signal, sys, torch
from pathlib import Path
from nodegraph import Context
from nodegraph_nodes.training.loop import train
from training.lines import LineTask
from training.test_loop import PLAN
torch.set_num_threads(1)
when = int(sys.argv[2])
task = LineTask(on_step=lambda step: os.kill(os.getpid(), signal.SIGKILL) if step == when else None)
train(task, PLAN, Context(scratch_root=Path(sys.argv[1])), torch.device("cpu"))
"""


def test_a_killed_training_goes_on_to_the_same_weights_and_curves(tmp_path):
    straight = train(LineTask(), PLAN, context(tmp_path / "straight"), CPU)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    for when in (25, 48):  # two kills, one after the other
        ended = subprocess.run(
            [sys.executable, "-c", KILLED, str(tmp_path / "killed"), str(when)], env=environment, check=False
        )
        assert ended.returncode == -signal.SIGKILL
    task = LineTask()
    again = train(task, PLAN, context(tmp_path / "killed"), CPU)
    assert task.seen[0] == 40
    assert same(weights(straight.networks), weights(again.networks))
    assert straight.figures == again.figures


def test_a_damaged_checkpoint_is_not_gone_on_from(tmp_path):
    train(LineTask(), TrainingPlan(**{**vars_of(PLAN), "steps": 20}), context(tmp_path), CPU)
    file = tmp_path / json.loads((tmp_path / "state.json").read_text())["file"]
    file.write_bytes(file.read_bytes()[:-10])
    task = LineTask()
    train(task, TrainingPlan(**{**vars_of(PLAN), "steps": 20}), context(tmp_path), CPU)
    assert task.seen[0] == 0


def test_only_the_last_checkpoint_is_kept(tmp_path):
    train(LineTask(), PLAN, context(tmp_path), CPU)
    assert sorted(file.name for file in tmp_path.iterdir()) == ["checkpoint-60.safetensors", "state.json"]


def test_a_step_that_is_not_a_number_is_left_out(tmp_path):
    trained = train(LineTask(spoil=range(30, 33)), PLAN, context(tmp_path), CPU)
    assert all(value.isfinite() for value in weights(trained.networks).values())
    assert trained.figures["error"][-1][1] < trained.figures["error"][0][1] / 2
    assert [step for step, _ in trained.figures["loss"]][29:31] == [30, 34]


def test_a_training_that_comes_apart_says_what_to_do_and_keeps_its_checkpoint(tmp_path):
    with pytest.raises(NodeError) as caught:
        train(LineTask(spoil=range(30, 60)), PLAN, context(tmp_path), CPU)
    assert caught.value.socket == "plan"
    assert "learning_rate" in (caught.value.hint or "")
    assert json.loads((tmp_path / "state.json").read_text())["step"] == 40
    good = train(LineTask(), TrainingPlan(**{**vars_of(PLAN), "steps": 40}), context(tmp_path), CPU)
    assert all(value.isfinite() for value in weights(good.networks).values())


def test_a_full_disk_costs_the_checkpoint_and_not_the_training(tmp_path, monkeypatch, caplog):
    from nodegraph_nodes.training.loop import checkpoint

    straight = train(LineTask(), PLAN, context(tmp_path / "straight"), CPU)
    write = checkpoint.write_tensors

    def full(file: Path, tensors) -> None:
        if file.name in ("checkpoint-20.safetensors", "checkpoint-30.safetensors"):
            raise OSError(28, "No space left on device")
        write(file, tensors)

    monkeypatch.setattr(checkpoint, "write_tensors", full)
    trained = train(LineTask(), PLAN, context(tmp_path / "full"), CPU)
    assert same(weights(straight.networks), weights(trained.networks))
    assert sum("No space left" in message for message in caplog.messages) == 2


def test_a_really_full_disk_leaves_the_checkpoint_before(tmp_path):
    """A file system's limit, by the process's own: what is written beyond it fails with an error as a full disk does."""
    code = """
import resource, signal, sys, torch
from pathlib import Path
from nodegraph_nodes.training.loop.checkpoint import write_tensors
file = Path(sys.argv[1]) / "checkpoint-1.safetensors"
write_tensors(file, {"a": torch.zeros(100)})
before = file.read_bytes()
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))
try:
    write_tensors(file, {"a": torch.zeros(100_000)})
except OSError as error:
    print("OSError", file.read_bytes() == before, [each.name for each in file.parent.iterdir()])
"""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    ended = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)], env=environment, capture_output=True, text=True, check=False
    )
    assert ended.stdout.strip() == "OSError True ['checkpoint-1.safetensors']", ended.stderr


@pytest.mark.parametrize("schedule", ["constant", "linear", "cosine"])
def test_the_rate_rises_and_falls(schedule):
    plan = TrainingPlan(steps=1000, warmup=100, learning_rate=1.0, schedule=schedule, final_rate=0.1)
    assert rate_at(plan, 0) == pytest.approx(0.01)
    assert rate_at(plan, 49) == pytest.approx(0.5)
    assert rate_at(plan, 100) == pytest.approx(1.0)
    assert rate_at(plan, 550) == pytest.approx({"constant": 1.0, "linear": 0.55, "cosine": 0.55}[schedule])
    assert rate_at(plan, 1000) == pytest.approx(1.0 if schedule == "constant" else 0.1)


def test_a_look_shows_curves_above_the_picture(tmp_path):
    seen = []
    train(LineTask(), PLAN, context(tmp_path, on_preview=seen.append), CPU)
    assert len(seen) == 3
    assert seen[0].width == 512
    assert seen[0].height > 200

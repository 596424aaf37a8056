"""A denoiser that is spread over two processes becomes what it would as a copy in each."""

import dataclasses
from pathlib import Path

import pytest
import torch

from nodegraph import Cancelled, Context, NodeError
from nodegraph_nodes.diffusion.families import describe_model
from nodegraph_nodes.training import train_autoencoder, train_denoiser
from nodegraph_nodes.training.loop import run_training
from nodegraph_nodes.types import TrainingPlan
from training.discs import discs
from training.parts import differing, held_parts

STARTER = Path(__file__).parents[2] / "models" / "starter"
COPIED = TrainingPlan(
    steps=6,
    batch=2,
    learning_rate=1e-3,
    warmup=0,
    average=0.5,
    accumulate=2,
    save_every=4,
    show_every=3,
    precision="float32",
    gradient_checkpointing=True,
    processes=2,
)
SPREAD = dataclasses.replace(COPIED, spread=True)


@pytest.fixture(scope="module")
def train(tmp_path_factory):
    recipe = describe_model(STARTER, "starter").autoencoder
    data = discs(tmp_path_factory.mktemp("discs"), 32)

    def train(context, plan):
        settings = {"conditioning": "none", "channels": [16, 32], "heads": 2, "variants": 1}
        return train_denoiser(context, data, plan, recipe, **settings)

    return train


@pytest.fixture(scope="module")
def copied(train, tmp_path_factory):
    return train(Context(scratch_root=tmp_path_factory.mktemp("copied")), COPIED)


def alike(one, other):
    assert differing(one.denoiser.tensors, other.denoiser.tensors) == []
    assert one.denoiser.config == other.denoiser.config
    assert one.loss == pytest.approx(other.loss, abs=1e-4)
    assert torch.allclose(one.samples, other.samples, atol=1e-3)


@pytest.mark.slow
def test_each_process_holds_a_half(tmp_path):
    found = run_training(held_parts, Context(scratch_root=tmp_path), SPREAD, {}, spreads=True)
    assert found["held"].sum() == found["count"]
    assert 0.4 < found["held"][0] / found["count"] < 0.6


@pytest.mark.slow
def test_spread_or_copied_a_denoiser_becomes_the_same(train, copied, tmp_path):
    seen = []
    spread = train(Context(scratch_root=tmp_path, on_preview=seen.append), SPREAD)
    alike(copied, spread)
    assert len(seen) == 2
    assert copied.denoiser.history.columns.keys() == spread.denoiser.history.columns.keys()


def until(folder, step):
    """A context that is cancelled at a step."""
    done = []
    return Context(scratch_root=folder, on_progress=lambda now, _: done.append(now), is_cancelled=lambda: step in done)


@pytest.mark.slow
def test_a_checkpoint_is_whole_and_goes_on_spread_or_copied(train, copied, tmp_path):
    for step in (2, 4):
        with pytest.raises(Cancelled):
            train(until(tmp_path, step), SPREAD)
    alike(copied, train(Context(scratch_root=tmp_path), COPIED))


def test_a_plan_that_cannot_be_spread_is_refused(tmp_path, train):
    with pytest.raises(NodeError) as caught:
        train(Context(scratch_root=tmp_path), dataclasses.replace(SPREAD, processes=1))
    assert (caught.value.socket, caught.value.expected) == ("plan", "processes of 2 or more with spread")
    with pytest.raises(NodeError, match="Only a denoiser's training can be spread") as caught:
        train_autoencoder(Context(scratch_root=tmp_path), discs(tmp_path), SPREAD)
    assert "Switch spread off" in (caught.value.hint or "")

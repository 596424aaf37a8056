"""From training to drawing: what a kept model draws, through the nodes that people link, is what its training drew of it."""

import dataclasses
import json

import pytest
import torch
from diffusers import AutoencoderKL

from nodegraph import NodeError
from nodegraph_nodes.diffusion import (
    begin_denoise,
    class_label,
    decode,
    denoise_step,
    finish_denoise,
    guidance,
    inpaint_guidance,
    layout_guidance,
    noise_schedule,
    sample_noise,
    unconditional,
)
from nodegraph_nodes.training import keep_autoencoder, keep_model, train_denoiser
from nodegraph_nodes.training.data import PLAIN, Pick, Reader, held_out
from nodegraph_nodes.types import History, TrainedAutoencoder, TrainingPlan
from training.discs import discs, ground_and_sky
from training.networks import context

PLAN = TrainingPlan(
    steps=6, batch=4, learning_rate=4e-3, warmup=0, average=0.0, save_every=10, show_every=10, precision="float32"
)


@pytest.fixture(scope="module")
def here(tmp_path_factory):
    return context(tmp_path_factory.mktemp("here"))


@pytest.fixture(scope="module")
def autoencoder(here):
    torch.manual_seed(0)
    blocks = {"down_block_types": ("DownEncoderBlock2D",) * 2, "up_block_types": ("UpDecoderBlock2D",) * 2}
    network = AutoencoderKL(latent_channels=3, block_out_channels=(8, 8), norm_num_groups=4, **blocks)
    config = {**network.config, "_class_name": "AutoencoderKL"}
    config = {name: value for name, value in config.items() if name not in ("_use_default_values", "_name_or_path")}
    made = TrainedAutoencoder(json.dumps(config), network.state_dict(), 3, 2, 0.01, 1.7, History({}))
    return keep_autoencoder(here, made, "coder", "float32")


def trained(folder, autoencoder, data, name, **settings):
    """A model that is kept, and what its training drew first."""
    here = context(folder)
    out = train_denoiser(here, data, PLAN, autoencoder, channels=[16, 32], heads=2, variants=1, guidance_scale=3.0, **settings)
    kept = keep_model(here, out.denoiser, autoencoder, None, name, "float32")
    return here, kept.denoiser, out.samples[:16, :16]


def drawn(here, denoiser, autoencoder, told):
    schedule = noise_schedule(denoiser, "normal", 16)
    state = begin_denoise(sample_noise(denoiser, 0, 16, 16), schedule)
    for _ in range(16):
        state = denoise_step(here, denoiser, state, schedule, told, "dpmpp_2m")
    return decode(here, autoencoder, finish_denoise(state, schedule))


def first_layout(data):
    pick = held_out(data, 64, 0)[0]
    return Reader(data).read(Pick(pick.entry, PLAIN, 0)).layout


def test_a_class(tmp_path, autoencoder):
    data = discs(tmp_path)
    entries = tuple(dataclasses.replace(entry, label=number) for number, entry in enumerate(data.entries))
    data = dataclasses.replace(data, entries=entries, classes=tuple(entry.subject for entry in entries))
    here, denoiser, sample = trained(tmp_path, autoencoder, data, "classes", conditioning="class", prediction="v")
    label = entries[held_out(data, 64, 0)[0].entry].label
    told = guidance(class_label(denoiser, name=data.classes[label]), unconditional(denoiser), 3.0)
    assert torch.allclose(drawn(here, denoiser, autoencoder, told), sample, atol=1e-4)
    other = guidance(class_label(denoiser, (label + 1) % 8), unconditional(denoiser), 3.0)
    assert not torch.allclose(drawn(here, denoiser, autoencoder, other), sample, atol=1e-3)


def test_nothing(tmp_path, autoencoder):
    here, denoiser, sample = trained(tmp_path, autoencoder, discs(tmp_path), "nothing", conditioning="none")
    assert torch.allclose(drawn(here, denoiser, autoencoder, guidance(unconditional(denoiser), None)), sample, atol=1e-4)


@pytest.mark.parametrize("how", [{"conditioning": "layout"}, {"conditioning": "none", "further": "layout"}])
def test_a_layout(tmp_path, autoencoder, how):
    data = ground_and_sky(tmp_path)
    here, denoiser, sample = trained(tmp_path, autoencoder, data, "layouts", **how)
    layout = first_layout(data)
    told = layout_guidance(denoiser, (layout.float() / 255)[..., None].expand(-1, -1, 3), scale=3.0)
    assert torch.allclose(drawn(here, denoiser, autoencoder, told), sample, atol=1e-4)
    masked = layout_guidance(denoiser, masks=[(layout == 0).float(), (layout == 1).float()], scale=3.0)
    assert torch.allclose(drawn(here, denoiser, autoencoder, masked), sample, atol=1e-4)
    other = layout_guidance(denoiser, masks=[(layout == 1).float(), (layout == 0).float()], scale=3.0)
    assert not torch.allclose(drawn(here, denoiser, autoencoder, other), sample, atol=1e-3)
    with pytest.raises(NodeError, match="mask for each region"):
        layout_guidance(denoiser, masks=[torch.ones(16, 16)])
    with pytest.raises(NodeError, match="map or as masks"):
        layout_guidance(denoiser)


def test_a_hole(tmp_path, autoencoder):
    data = discs(tmp_path)
    here, denoiser, sample = trained(tmp_path, autoencoder, data, "holes", conditioning="none", further="inpainting")
    assert denoiser.concat_channels == 4
    nothing = guidance(unconditional(denoiser), None)
    told = inpaint_guidance(here, nothing, autoencoder, torch.rand(16, 16, 3), torch.ones(16, 16))
    assert drawn(here, denoiser, autoencoder, told).shape == sample.shape
    with pytest.raises(NodeError, match="what to paint"):
        drawn(here, denoiser, autoencoder, nothing)


def test_a_model_without_layouts_takes_none(tmp_path, autoencoder):
    _, denoiser, _ = trained(tmp_path, autoencoder, discs(tmp_path), "plain", conditioning="none")
    with pytest.raises(NodeError, match="not trained on layouts"):
        layout_guidance(denoiser, torch.zeros(16, 16, 3))

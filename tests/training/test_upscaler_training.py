"""Training an upscaler: it is what spandrel reads, beats a filter, and enlarges pictures by the nodes that there are."""

import dataclasses
from pathlib import Path

import pytest
import torch
from torch.nn.functional import interpolate

from nodegraph import Context, ModelFile, NodeError
from nodegraph_nodes.training import keep_upscaler, train_upscaler
from nodegraph_nodes.training.tasks.upscaler import ARCHITECTURE, Compact, reduced
from nodegraph_nodes.types import TrainingPlan
from nodegraph_nodes.upscale import load_upscaler, upscale_image
from nodegraph_nodes.upscale.model import upscaler_network
from nodegraph_nodes.upscale.network import load_upscaler_file
from training.discs import discs

PLAN = TrainingPlan(
    steps=200, batch=8, learning_rate=5e-3, warmup=5, average=0.9, save_every=100, show_every=100, precision="float32"
)
SMALL = {"channels": 16, "layers": 2, "crop": 32}


def context(folder: Path, **more) -> Context:
    return Context(scratch_root=folder / "scratch", models_root=folder / "models", **more)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    folder = tmp_path_factory.mktemp("upscaler")
    return train_upscaler(context(folder), discs(folder, 64, 64), PLAN, **SMALL)


def test_it_comes_nearer_to_the_pictures_than_a_bicubic_filter(trained):
    assert trained.psnr > trained.bicubic_psnr + 1
    assert [step for step, _ in trained.upscaler.history.columns["psnr"]] == [100, 200]
    assert trained.samples.shape == (3 * 64, 6 * 64, 3)


def test_the_psnr_is_that_of_the_pictures_by_hand(trained, tmp_path):
    from nodegraph_nodes.training.data import Reader, held_out

    data = discs(tmp_path, 64, 64)
    network = Compact(16, 2, 2)
    network.load_state_dict(trained.upscaler.tensors)
    found = []
    with Reader(data) as reader, torch.no_grad():
        for pick in held_out(data, 8, 0):
            picture = (reader.read(pick).pixels.double() / 255).permute(2, 0, 1)[None]
            for way in ("area", "bicubic"):
                made = network(reduced(picture.float(), 2, way)).clamp(0, 1).double()
                found.append(10 * torch.log10(1 / (made - picture).square().mean()).item())
    assert trained.psnr == pytest.approx(sum(found) / len(found), abs=1e-2)


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_spandrel_reads_it_and_computes_the_same(tmp_path, scale):
    from safetensors.torch import save_file

    torch.manual_seed(0)
    network = Compact(16, 3, scale)
    network.body[-1].weight.data.normal_(std=0.1)
    save_file(network.state_dict(), tmp_path / "compact.safetensors")
    found = load_upscaler_file(tmp_path / "compact.safetensors")
    assert (found.architecture, found.scale) == (ARCHITECTURE, scale)
    pixels = torch.rand(1, 3, 12, 10)
    with torch.no_grad():
        ours = network(pixels).clamp(0, 1)
    assert torch.allclose(found.enlarge(pixels), ours, atol=1e-6)
    nearest = interpolate(pixels, scale_factor=scale, mode="nearest")
    assert not torch.allclose(ours, nearest, atol=1e-3)


def test_kept_it_enlarges_pictures_by_the_nodes_that_there_are(trained, tmp_path):
    here = context(tmp_path, load=lambda recipe: upscaler_network(recipe, torch.device("cpu")))
    kept = keep_upscaler(here, trained.upscaler, "small/discs")
    loaded = load_upscaler(ModelFile("discs", Path(kept.path), kept.digest))
    assert loaded == kept
    image = torch.rand(20, 24, 3, generator=torch.Generator().manual_seed(0))
    larger = upscale_image(here, dataclasses.replace(kept, precision="float32"), image)
    network = Compact(16, 2, 2)
    network.load_state_dict(trained.upscaler.tensors)
    with torch.no_grad():
        ours = network(image.movedim(-1, 0)[None]).clamp(0, 1)[0].movedim(0, -1)
    assert torch.allclose(larger, ours, atol=2e-3)  # its weights are kept in half precision


def test_the_default_network_is_small():
    assert sum(parameter.numel() for parameter in Compact(48, 12, 2).parameters()) * 2 < 700_000


def test_reducing_by_area_is_the_mean_of_each_square():
    pictures = torch.rand(2, 3, 6, 8)
    by_hand = (pictures[..., ::2, ::2] + pictures[..., 1::2, ::2] + pictures[..., ::2, 1::2] + pictures[..., 1::2, 1::2]) / 4
    assert torch.allclose(reduced(pictures, 2, "area"), by_hand, atol=1e-6)


def test_pictures_that_are_too_small_are_told(tmp_path):
    with pytest.raises(NodeError) as caught:
        train_upscaler(context(tmp_path), discs(tmp_path, 16, 16), PLAN, scale=4)
    assert caught.value.socket == "data"


def test_an_interrupted_training_ends_at_the_same_weights(trained, tmp_path):
    done: list[float] = []
    broken = context(tmp_path, is_cancelled=lambda: len(done) > 130, on_progress=lambda step, _: done.append(step))
    from nodegraph import Cancelled

    data = discs(tmp_path, 64, 64)
    with pytest.raises(Cancelled):
        train_upscaler(broken, data, PLAN, **SMALL)
    again = train_upscaler(context(tmp_path), data, PLAN, **SMALL)
    for name, tensor in trained.upscaler.tensors.items():
        assert torch.equal(tensor, again.upscaler.tensors[name]), name

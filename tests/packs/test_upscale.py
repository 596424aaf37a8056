"""Larger pictures: filters, networks of tiny random weights, windows without seams, and files that are none."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from nodegraph import Context, ModelFile, NodeError
from nodegraph_nodes.types import Latent, Upscaler
from nodegraph_nodes.upscale import load_upscaler, scale_image, upscale_image, upscale_latent, upscaler_network
from nodegraph_nodes.upscale.network import _without_torchvision

pytest.importorskip("einops")
with _without_torchvision():
    pytest.importorskip("spandrel", reason="pip install --no-deps spandrel==0.4.2")


def network(architecture: str, **arguments: Any) -> nn.Module:
    """A tiny random network of one of spandrel's architectures."""
    place = {"RRDBNet": "ESRGAN", "SRVGGNetCompact": "Compact"}[architecture]
    with _without_torchvision():
        module = next(
            found
            for name in ("__arch.RRDB", "__arch.SRVGG", "__arch.rrdbnet_arch", "arch.RRDB", "arch.SRVGG")
            if (found := _module(f"spandrel.architectures.{place}.{name}")) is not None
        )
    torch.manual_seed(0)
    made: nn.Module = getattr(module, architecture)(**arguments)
    return made


def _module(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError:
        return None


@pytest.fixture(scope="module")
def esrgan(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("upscalers") / "tiny-esrgan.safetensors"
    save_file(dict(network("RRDBNet", num_filters=8, num_blocks=1, scale=4).state_dict()), file)
    return file


def recipe_of(file: Path) -> Upscaler:
    return load_upscaler(ModelFile(file.stem, file, "digest"))


def context() -> Context:
    return Context(load=lambda recipe: upscaler_network(recipe, torch.device("cpu")))


def picture(height: int = 40, width: int = 48) -> Tensor:
    y, x = torch.meshgrid(torch.linspace(0, 6, height), torch.linspace(0, 6, width), indexing="ij")
    return torch.stack([x.sin(), y.sin(), (x * y / 6).cos()], 2) / 2 + 0.5


def test_a_file_says_which_network_it_is_and_by_how_much_it_enlarges(esrgan: Path) -> None:
    recipe = recipe_of(esrgan)
    assert (recipe.architecture, recipe.scale) == ("ESRGAN", 4)


def test_a_picture_is_enlarged_by_the_network_itself(esrgan: Path) -> None:
    plain = network("RRDBNet", num_filters=8, num_blocks=1, scale=4).eval()
    with torch.no_grad():
        wanted = plain(picture().movedim(-1, 0)[None])[0].clamp(0, 1).movedim(0, -1)
    made = upscale_image(context(), recipe_of(esrgan), picture(), tile=0)
    assert made.shape == (160, 192, 3)
    torch.testing.assert_close(made, wanted, atol=1e-5, rtol=1e-5)


def test_windows_that_overlap_by_what_the_network_sees_leave_no_seam(esrgan: Path) -> None:
    whole = upscale_image(context(), recipe_of(esrgan), picture(), tile=0)
    errors = [
        (upscale_image(context(), recipe_of(esrgan), picture(), tile=24, overlap=overlap) - whole).abs().max().item()
        for overlap in (0, 20)
    ]
    assert errors[1] < errors[0] / 2
    assert errors[1] < 0.01


def test_another_factor_is_reached_by_a_filter_and_transparency_comes_along(esrgan: Path) -> None:
    image = torch.cat([picture(), torch.full((40, 48, 1), 0.5)], 2)
    made = upscale_image(context(), recipe_of(esrgan), image, factor=2)
    assert made.shape == (80, 96, 4)
    torch.testing.assert_close(made[..., 3], torch.full((80, 96), 0.5))


def test_progress_is_told_and_cancelling_takes_effect_between_windows(esrgan: Path) -> None:
    told: list[tuple[float, float]] = []
    asked = context()
    asked.on_progress = lambda done, total: told.append((done, total))
    upscale_image(asked, recipe_of(esrgan), picture(), tile=24, overlap=8)
    assert told[-1] == (len(told), len(told))
    assert len(told) > 3


@pytest.mark.parametrize("scale", [2, 3])
def test_compact_networks_are_known_too(tmp_path: Path, scale: int) -> None:
    file = tmp_path / "compact.safetensors"
    save_file(dict(network("SRVGGNetCompact", num_feat=8, num_conv=2, upscale=scale).state_dict()), file)
    recipe = recipe_of(file)
    assert recipe.scale == scale
    assert upscale_image(context(), recipe, picture(8, 8)).shape == (8 * scale, 8 * scale, 3)


def test_a_file_that_is_no_upscaler_says_so(tmp_path: Path) -> None:
    save_file({"lora_unet_x.lora_up.weight": torch.zeros(4, 4)}, tmp_path / "lora.safetensors")
    with pytest.raises(NodeError, match="it is a LoRA"):
        recipe_of(tmp_path / "lora.safetensors")
    (tmp_path / "old.pth").write_bytes(b"\x80\x02pickle")
    with pytest.raises(NodeError, match="pickle could run code"):
        recipe_of(tmp_path / "old.pth")
    (tmp_path / "cut.safetensors").write_bytes(b"\x10")
    with pytest.raises(NodeError, match="not a safetensors file"):
        recipe_of(tmp_path / "cut.safetensors")


def test_spandrel_leaves_no_stand_in_behind() -> None:
    import sys

    with _without_torchvision():
        pass
    assert not [name for name in sys.modules if name.startswith("torchvision")]


def test_an_upscaled_latent_has_the_sizes_asked_for() -> None:
    latent = Latent(torch.rand(4, 6, 10), "sd1", torch.rand(6, 10))
    assert upscale_latent(latent, 1.5).samples.shape == (4, 9, 15)
    larger = upscale_latent(latent, 1.3, multiple=8)
    assert larger.samples.shape == (4, 8, 16)
    assert larger.mask is not None
    assert larger.mask.shape == (8, 16)
    near = upscale_latent(latent, 2, method="nearest")
    assert torch.equal(near.samples[:, ::2, ::2], latent.samples)


def test_a_filter_brings_an_image_to_a_factor_and_a_multiple() -> None:
    assert scale_image(picture(), 2).shape == (80, 96, 3)
    assert scale_image(picture(), 1.3, multiple=8).shape == (48, 64, 3)
    assert torch.equal(scale_image(picture(), 2, "nearest")[::2, ::2], picture())
    with pytest.raises(NodeError, match="too large"):
        scale_image(torch.zeros(4000, 10, 3), 10)

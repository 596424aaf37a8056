"""Autoencoders in files and folders of their own: the same pictures as the one inside the model."""

import json
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from tiny_models.ldm import vae_to_ldm
from tiny_models.stored import Stored

from nodegraph_nodes.diffusion.families import (
    BrokenModel,
    UndecidedFamily,
    UnknownModel,
    describe_autoencoder,
    describe_model,
    load_autoencoder,
)


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> Stored:
    return Stored(tmp_path_factory.mktemp("autoencoders"))


@pytest.fixture(scope="module")
def places(stored: Stored, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """SDXL's tiny autoencoder in every layout."""
    root, vae = tmp_path_factory.mktemp("vae"), stored.pipeline("sdxl").vae
    found = {"diffusers folder": stored.path("sdxl") / "vae", "whole model": stored.path("sdxl", "single file")}
    for name, tensors in (
        ("bare", vae_to_ldm(vae, "")),
        ("first_stage_model", vae_to_ldm(vae)),
        ("diffusers names", vae.state_dict()),
    ):
        path = found[name] = root / f"{name.replace(' ', '_')}.safetensors"
        save_file({key: tensor.detach().clone().contiguous() for key, tensor in tensors.items()}, path)
        path.with_suffix(".config").mkdir()
        shutil.copy(stored.path("sdxl") / "vae/config.json", path.with_suffix(".config") / "config.json")
    return found


LAYOUTS = ["diffusers folder", "bare", "first_stage_model", "diffusers names", "whole model"]


@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_layout_gives_the_pictures_of_the_models_own(stored, places, layout):
    own = load_autoencoder(describe_model(stored.path("sdxl"), "").autoencoder, "cpu")
    recipe = describe_autoencoder(places[layout], "digest")
    assert (recipe.family, recipe.scale, recipe.latent_channels, recipe.downscale) == ("sdxl", 0.13025, 4, 8)
    network = load_autoencoder(recipe, "cpu")
    samples = torch.randn(1, 4, 8, 8, generator=torch.Generator().manual_seed(0))
    assert torch.equal(network.decode(samples), own.decode(samples))


def test_a_bare_file_asks_for_its_family_and_takes_its_scale_from_it(places, tmp_path):
    path = Path(shutil.copy(places["bare"], tmp_path))
    with pytest.raises(UndecidedFamily, match="does not tell which family") as caught:
        describe_autoencoder(path, "")
    assert "sdxl for Stable Diffusion XL" in caught.value.hint
    assert describe_autoencoder(path, "", "sdxl").scale == 0.13025
    assert describe_autoencoder(path, "", "sd1").scale == 0.18215


def test_other_numbers_of_latent_channels_and_other_files_are_refused(places, tmp_path):
    tensors = load_file(places["bare"])
    save_file(tensors | {"decoder.conv_in.weight": torch.zeros(64, 16, 3, 3)}, tmp_path / "sixteen.safetensors")
    with pytest.raises(BrokenModel, match="have 16 channels where 4 are expected"):
        describe_autoencoder(tmp_path / "sixteen.safetensors", "", "sdxl")
    save_file({"x": torch.zeros(1)}, tmp_path / "x.safetensors")
    (tmp_path / "unet").mkdir()
    (tmp_path / "unet/config.json").write_text(json.dumps({"_class_name": "UNet2DConditionModel"}))
    for name in ("x.safetensors", "unet", "nothing"):
        with pytest.raises(UnknownModel, match="an autoencoder"):
            describe_autoencoder(tmp_path / name, "")
    (tmp_path / "cut.safetensors").write_bytes(places["bare"].read_bytes()[:-9])
    with pytest.raises(BrokenModel, match="not copied completely"):
        describe_autoencoder(tmp_path / "cut.safetensors", "", "sdxl")

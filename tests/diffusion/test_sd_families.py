"""Stable Diffusion 1, 2, XL, its refiner and inpainting models: whole pictures equal those of diffusers' pipelines."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import (
    AutoencoderKL,
    StableDiffusionImg2ImgPipeline,
    StableDiffusionXLImg2ImgPipeline,
    UNet2DConditionModel,
)
from diffusers.loaders.single_file_utils import convert_ldm_unet_checkpoint, convert_ldm_vae_checkpoint
from tiny_models import save_single_file
from tiny_models.pictures import HALF, STEPS, TOLERANCE, difference, ours, theirs
from tiny_models.stored import TINY, Stored
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection

from nodegraph_nodes.diffusion import families
from nodegraph_nodes.diffusion.families import BrokenModel, describe_model, ldm_names
from nodegraph_nodes.diffusion.families.assemble import skeleton

PLAIN = ["sd1", "sd2", "sdxl"]
INPAINTING = [name for name in TINY if name.endswith("inpainting")]


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> Stored:
    return Stored(tmp_path_factory.mktemp("families"))


@pytest.mark.parametrize("layout", ["folder", "single file"])
@pytest.mark.parametrize("name", PLAIN)
def test_a_picture_from_text_equals_the_one_of_diffusers(stored, name, layout):
    expected = theirs(stored.pipeline(name))
    assert difference(ours(stored.path(name, layout)), expected) <= TOLERANCE
    assert difference(ours(stored.path(name, layout), prompt="a dog"), expected) > 10 * TOLERANCE


@pytest.mark.parametrize("layout", ["folder", "single file"])
@pytest.mark.parametrize("name", [*PLAIN, "sdxl_refiner"])
def test_a_picture_from_a_picture_equals_the_one_of_diffusers(stored, name, layout):
    kind = StableDiffusionXLImg2ImgPipeline if name.startswith("sdxl") else StableDiffusionImg2ImgPipeline
    components = stored.pipeline(name).components
    pipeline = kind(**components, **({} if kind is StableDiffusionXLImg2ImgPipeline else {"requires_safety_checker": False}))
    if name == "sdxl_refiner":
        pipeline.register_to_config(requires_aesthetics_score=True)
    pipeline.set_progress_bar_config(disable=True)
    start = torch.randn(1, 4, 8, 8, generator=torch.Generator().manual_seed(5))
    generator = torch.Generator().manual_seed(3)
    expected = theirs(pipeline, image=start, strength=HALF / STEPS, generator=generator, latents=None)
    assert difference(ours(stored.path(name, layout), start=start[0]), expected) <= TOLERANCE


@pytest.mark.parametrize("layout", ["folder", "single file"])
@pytest.mark.parametrize("name", INPAINTING)
def test_an_inpainted_picture_equals_the_one_of_diffusers(stored, name, layout):
    mask = torch.zeros(1, 1, 64, 64)
    mask[..., 16:40, 24:56] = 1
    masked = torch.randn(1, 4, 8, 8, generator=torch.Generator().manual_seed(7))
    expected = theirs(
        stored.pipeline(name), image=torch.rand(1, 3, 64, 64), mask_image=mask, masked_image_latents=masked, strength=1.0,
        height=64, width=64,
    )  # fmt: skip
    concat = torch.cat([mask[0, :, ::8, ::8], masked[0]])
    assert describe_model(stored.path(name, layout), "digest").denoiser.concat_channels == 5
    assert difference(ours(stored.path(name, layout), concat=concat), expected) <= TOLERANCE
    assert difference(ours(stored.path(name, layout), concat=0 * concat), expected) > 2 * TOLERANCE


@pytest.mark.parametrize("name", ["sd1", "sd2"])
def test_diffusers_reads_the_single_files_too(stored, name):
    """So the layouts that our loaders are tested with are the real ones."""
    folder = stored.pipeline(name)
    single = type(folder).from_single_file(
        str(stored.path(name, "single file")), config=str(stored.path(name)), local_files_only=True, safety_checker=None
    )
    assert_same_networks(single, folder, "unet", "vae", "text_encoder")


def test_diffusers_reads_the_single_file_of_sdxl_too(stored):
    folder, file = stored.pipeline("sdxl"), stored.path("sdxl", "single file")
    single = type(folder).from_single_file(str(file), config=str(stored.path("sdxl")), local_files_only=True)
    assert_same_networks(single, folder, "unet", "vae", "text_encoder", "text_encoder_2")


def assert_same_networks(one: Any, other: Any, *names: str) -> None:
    for name in names:
        state, stored = getattr(one, name).state_dict(), getattr(other, name).state_dict()
        assert state.keys() == stored.keys()
        assert all(torch.equal(tensor, stored[key]) for key, tensor in state.items()), name


# ---- half precision, shards, sizes of shipped configs ----


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_files_in_half_precision_load(stored, dtype, tmp_path):
    path = save_single_file(stored.pipeline("sdxl"), tmp_path / "half.safetensors", dtype=dtype)
    assert difference(ours(path), ours(stored.path("sdxl", "single file"))) < 16 / 255


def test_a_folder_in_shards_loads(stored, tmp_path):
    stored.pipeline("sdxl").save_pretrained(tmp_path / "sharded")
    shutil.rmtree(tmp_path / "sharded/unet")
    stored.pipeline("sdxl").unet.save_pretrained(tmp_path / "sharded/unet", max_shard_size="1MB")
    assert len(list((tmp_path / "sharded/unet").glob("*.safetensors"))) > 1
    assert torch.equal(ours(tmp_path / "sharded"), ours(stored.path("sdxl")))
    next((tmp_path / "sharded/unet").glob("*.safetensors")).unlink()
    with pytest.raises(BrokenModel, match=r"there is no unet/.*index\.json lists"):
        describe_model(tmp_path / "sharded", "digest")


COUNTS = {
    "sd1": (859_520_964, 83_653_863, 123_060_480),
    "sd2": (865_910_724, 83_653_863, 340_387_840),
    "sdxl": (2_567_463_684, 83_653_863, 123_060_480, 694_659_840),
    "sdxl_refiner": (2_259_526_660, 83_653_863, 694_659_840),
}


@pytest.mark.parametrize("name", COUNTS)
def test_shipped_configs_have_as_many_weights_as_the_published_models(name):
    shipped = Path(families.__file__).with_name(f"{name}_config")
    unet, vae = (json.loads((shipped / part / "config.json").read_text()) for part in ("unet", "vae"))
    networks = [skeleton(lambda: UNet2DConditionModel.from_config(unet)), skeleton(lambda: AutoencoderKL.from_config(vae))]
    for part, kind in (("text_encoder", CLIPTextModel), ("text_encoder_2", CLIPTextModelWithProjection)):
        if (file := shipped / part / "config.json").is_file():
            config = CLIPTextConfig(**json.loads(file.read_text()))
            networks.append(skeleton(lambda kind=kind, config=config: kind(config)))
    assert tuple(sum(p.numel() for p in network.parameters()) for network in networks) == COUNTS[name]
    assert vae["scaling_factor"] == (0.13025 if name.startswith("sdxl") else 0.18215)


@pytest.mark.parametrize("name", COUNTS)
def test_names_in_single_files_of_full_size_are_those_that_diffusers_reads(name):
    shipped = Path(families.__file__).with_name(f"{name}_config")
    unet, vae = (json.loads((shipped / part / "config.json").read_text()) for part in ("unet", "vae"))
    network = skeleton(lambda: UNet2DConditionModel.from_config(unet))
    state = network.state_dict()
    stored = {ldm_names.unet_name(key, unet): tensor for key, tensor in state.items()}
    read = convert_ldm_unet_checkpoint(stored, {**network.config, "class_embed_type": None})
    assert {key: tensor.shape for key, tensor in read.items()} == {key: tensor.shape for key, tensor in state.items()}
    network = skeleton(lambda: AutoencoderKL.from_config(vae))
    state = network.state_dict()
    stored = {ldm_names.vae_name(key, vae): tensor for key, tensor in state.items()}
    assert convert_ldm_vae_checkpoint(stored, dict(network.config)).keys() == state.keys()

"""What is wrong with a model is said in words, and before anything is computed with it."""

import json
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from tiny_models import save_single_file, tiny_sd1

from nodegraph_nodes.diffusion.families import (
    FAMILIES,
    BrokenModel,
    MissingTensors,
    ModelError,
    UnknownModel,
    describe_model,
    load_autoencoder,
    load_denoiser,
    load_text_encoder,
)


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("models")
    pipeline = tiny_sd1()
    pipeline.save_pretrained(root / "folder")
    save_single_file(pipeline, root / "single.safetensors")
    return root


@pytest.fixture
def folder(stored: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(stored / "folder", tmp_path / "folder"))


@pytest.fixture
def single(stored: Path, tmp_path: Path) -> Path:
    shutil.copytree(stored / "single.config", tmp_path / "single.config")
    return Path(shutil.copy(stored / "single.safetensors", tmp_path / "single.safetensors"))


def drop(path: Path, part: str) -> None:
    save_file({name: t for name, t in load_file(path).items() if part not in name}, path)


def edit(path: Path, **values: object) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | values))


def test_a_path_that_does_not_exist(tmp_path):
    with pytest.raises(ModelError, match="no such file"):
        describe_model(tmp_path / "nothing.safetensors", "digest")


def test_an_unknown_layout_says_what_was_looked_for(tmp_path):
    save_file({"layer.weight": torch.zeros(3)}, tmp_path / "other.safetensors")
    (tmp_path / "empty").mkdir()
    for name in ("other.safetensors", "empty"):
        with pytest.raises(UnknownModel, match=r"starter\.json.*Stable Diffusion 1\.x.*cond_stage_model") as caught:
            describe_model(tmp_path / name, "digest")
        assert len(caught.value.sought) == len(FAMILIES)
        assert caught.value.path == str(tmp_path / name)


def test_stable_diffusion_2_is_not_taken_for_1(folder):
    edit(folder / "text_encoder/config.json", hidden_act="gelu")
    assert describe_model(folder, "digest").denoiser.family == "sd2"


@pytest.mark.parametrize("keep", [4, 100, 2_000_000])
def test_a_truncated_file(single, keep):
    single.write_bytes(single.read_bytes()[:keep])
    with pytest.raises(BrokenModel, match=r"not a safetensors file|not copied completely"):
        describe_model(single, "digest")


def test_a_truncated_file_in_a_folder(folder):
    weights = folder / "unet/diffusion_pytorch_model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-10])
    with pytest.raises(BrokenModel, match="not copied completely"):
        describe_model(folder, "digest")


@pytest.mark.parametrize("content", [b"", b"hello, this is text", b"\x08\0\0\0\0\0\0\0not json", b"\2\0\0\0\0\0\0\0[]"])
def test_a_file_that_is_something_else(tmp_path, content):
    path = tmp_path / "x.safetensors"
    path.write_bytes(content)
    with pytest.raises(BrokenModel, match="not a safetensors file"):
        describe_model(path, "digest")


def test_pickles_are_never_opened(tmp_path, folder):
    (tmp_path / "model.ckpt").write_bytes(b"\x80\x04.")
    with pytest.raises(BrokenModel, match="pickle"):
        describe_model(tmp_path / "model.ckpt", "digest")
    (folder / "unet/diffusion_pytorch_model.safetensors").rename(folder / "unet/diffusion_pytorch_model.bin")
    with pytest.raises(BrokenModel, match=r"unet/diffusion_pytorch_model\.bin is a pickle"):
        describe_model(folder, "digest")


def test_a_missing_config_or_weight_file(folder):
    (folder / "vae/diffusion_pytorch_model.safetensors").unlink()
    with pytest.raises(BrokenModel, match="no vae/diffusion_pytorch_model"):
        describe_model(folder, "digest")
    (folder / "unet/config.json").unlink()
    with pytest.raises(BrokenModel, match=r"unet/config\.json: this file is missing"):
        describe_model(folder, "digest")


@pytest.mark.parametrize(
    ("part", "kind", "network", "named"),
    [
        ("middle_block.1.proj_in", "denoiser", "U-Net", "model.diffusion_model.middle_block.1.proj_in.weight"),
        ("decoder.conv_in", "autoencoder", "autoencoder", "first_stage_model.decoder.conv_in.bias"),
        ("final_layer_norm", "text_encoder", "text encoder", "cond_stage_model.transformer.text_model.final_layer_norm"),
    ],
)
def test_tensors_missing_from_a_single_file_are_named_as_in_the_file(single, part, kind, network, named):
    drop(single, part)
    recipe = getattr(describe_model(single, "digest"), kind)
    load = {"denoiser": load_denoiser, "autoencoder": load_autoencoder, "text_encoder": load_text_encoder}[kind]
    with pytest.raises(MissingTensors, match=network) as caught:
        load(recipe, "cpu")
    assert any(named in name for name in caught.value.names)


def test_tensors_missing_from_a_folder_are_named(folder):
    drop(folder / "unet/diffusion_pytorch_model.safetensors", "time_embedding.linear_1")
    with pytest.raises(MissingTensors, match=r"lacks 2 tensors: time_embedding\.linear_1"):
        load_denoiser(describe_model(folder, "digest").denoiser, "cpu")


def test_a_single_file_of_unusual_shape_asks_for_its_configs(single):
    shutil.rmtree(single.with_suffix(".config"))
    with pytest.raises(BrokenModel, match=r"\(32, 4, 3, 3\) where \(320, 4, 3, 3\) .*single\.config/ beside the file"):
        describe_model(single, "digest")


def test_weights_that_their_config_does_not_describe(folder):
    edit(folder / "vae/config.json", block_out_channels=[32, 32, 64, 96])
    with pytest.raises(BrokenModel, match=r"does not describe these weights|lacks"):
        load_autoencoder(describe_model(folder, "digest").autoencoder, "cpu")


def test_unknown_predictions_and_numbers_of_channels_are_refused_by_name(folder):
    edit(folder / "scheduler/scheduler_config.json", prediction_type="sample")
    with pytest.raises(BrokenModel, match="prediction_type 'sample'"):
        describe_model(folder, "digest")
    edit(folder / "unet/config.json", in_channels=8)
    with pytest.raises(BrokenModel, match=r"takes 8 channels, as an InstructPix2Pix model does.*for inpainting, 9"):
        describe_model(folder, "digest")


def test_a_starter_card_without_latent_statistics(tmp_path):
    starter = Path(__file__).parents[2] / "models/starter"
    copy = Path(shutil.copytree(starter, tmp_path / "m", copy_function=lambda a, b: Path(b).symlink_to(a)))
    (copy / "starter.json").unlink()
    (copy / "starter.json").write_text("{}")
    with pytest.raises(BrokenModel, match="latent statistics"):
        describe_model(copy, "digest")


def test_a_lora_that_is_gone_is_told(single):
    from dataclasses import replace

    from nodegraph_nodes.types import Lora

    recipe = replace(describe_model(single, "digest").denoiser, patches=(Lora("lora", "/lora.safetensors", "d"),))
    with pytest.raises(ModelError, match=r"lora\.safetensors: cannot be opened"):
        load_denoiser(recipe, "cpu")

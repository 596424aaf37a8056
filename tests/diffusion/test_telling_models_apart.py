"""What a file is, from its names, shapes and marks: which family, what it predicts, and what it is if no checkpoint."""

import json
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from tiny_models.stored import Stored

from nodegraph_nodes.diffusion import families
from nodegraph_nodes.diffusion.families import BrokenModel, MissingTensors, UnknownModel, describe_model, load_text_encoder
from nodegraph_nodes.diffusion.families.sd2 import guess_prediction
from nodegraph_nodes.diffusion.families.source import ModelSource
from nodegraph_nodes.diffusion.families.unet_configs import read_configs

UNET = "model.diffusion_model."
TELLTALE = UNET + "output_blocks.11.1.transformer_blocks.0.norm1.bias"


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> Stored:
    return Stored(tmp_path_factory.mktemp("apart"))


def copied(stored: Stored, name: str, place: Path, *, drop: str = "", keep: str = "", **added: torch.Tensor) -> Path:
    """A single file with its sidecar; drop, keep: parts of names; added: further tensors, with __ for dots."""
    source, path = stored.path(name, "single file"), place / "model.safetensors"
    shutil.copytree(source.with_suffix(".config"), path.with_suffix(".config"))
    tensors = {n: t for n, t in load_file(source).items() if keep in n and not (drop and drop in n)}
    save_file(tensors | {n.replace("__", "."): t for n, t in added.items()}, path)
    return path


@pytest.mark.parametrize("layout", ["folder", "single file"])
@pytest.mark.parametrize("name", ["sd1", "sd2", "sdxl", "sdxl_refiner", "sd1 inpainting", "sdxl inpainting"])
def test_each_family_is_told_from_the_others(stored, name, layout):
    denoiser, text_encoder, autoencoder = describe_model(stored.path(name, layout), "digest")
    assert denoiser.family == text_encoder.family == autoencoder.family == name.split()[0]
    assert denoiser.concat_channels == (5 if "inpainting" in name else 0)
    assert autoencoder.scale == (0.13025 if name.startswith("sdxl") else 0.18215)
    assert denoiser.prediction == ("v" if name == "sd2" else "epsilon")


# ---- what it predicts ----


def without_scheduler(path: Path) -> Path:
    shutil.rmtree(path.with_suffix(".config") / "scheduler")
    return path


@pytest.mark.parametrize(("spread", "prediction", "size"), [(0.02, "epsilon", 512), (0.2, "v_prediction", 768)])
def test_single_files_of_sd2_are_told_apart_by_one_late_bias(stored, tmp_path, spread, prediction, size):
    bias = torch.randn(320, generator=torch.Generator().manual_seed(0)) * spread
    path = without_scheduler(copied(stored, "sd2", tmp_path, **{TELLTALE: bias}))
    assert describe_model(path, "").denoiser.prediction == {"epsilon": "epsilon", "v_prediction": "v"}[prediction]
    assert describe_model(path, "").denoiser.native_size == (64, 64)  # its own config says so
    shutil.rmtree(path.with_suffix(".config"))
    source = ModelSource(path, "")
    shipped = Path(families.__file__).with_name("sd2_config")
    configs = guess_prediction(source, read_configs(source, shipped, ["text_encoder"]))
    assert (configs.scheduler["prediction_type"], configs.unet["sample_size"] * 8) == (prediction, size)


def test_a_scheduler_config_beside_the_file_comes_first(stored, tmp_path):
    path = copied(stored, "sd2", tmp_path, **{TELLTALE: torch.linspace(-1, 1, 320)})
    (path.with_suffix(".config") / "scheduler/scheduler_config.json").write_text('{"prediction_type": "epsilon"}')
    assert describe_model(path, "").denoiser.prediction == "epsilon"


@pytest.mark.parametrize("name", ["sd1", "sdxl"])
def test_marker_tensors_say_v_prediction_and_zero_terminal_snr(stored, tmp_path, name):
    marked = without_scheduler(copied(stored, name, tmp_path, v_pred=torch.zeros(0), ztsnr=torch.zeros(0)))
    denoiser = describe_model(marked, "").denoiser
    assert (denoiser.prediction, denoiser.process.zero_terminal_snr) == ("v", True)


def test_metadata_say_v_prediction(stored, tmp_path):
    path = without_scheduler(copied(stored, "sdxl", tmp_path))
    save_file(load_file(path), path, metadata={"modelspec.prediction_type": "v"})
    assert describe_model(path, "").denoiser.prediction == "v"


def test_a_model_of_another_noise_process_is_refused_by_name(stored, tmp_path):
    path = without_scheduler(copied(stored, "sdxl", tmp_path, edm_mean=torch.zeros(4)))
    with pytest.raises(BrokenModel, match=r"EDM model \(Playground"):
        describe_model(path, "")


# ---- what is no checkpoint ----


def some(*names: str, width: int = 4) -> dict[str, torch.Tensor]:
    return {name: torch.zeros(width, width) for name in names}


OTHERS = {
    "a VAE": (some("encoder.conv_in.weight", "decoder.mid.block_1.conv1.weight"), "autoencoder (VAE) alone: load it with"),
    "a LoRA": (some("lora_unet_x_attn2_to_k.lora_down.weight", "lora_unet_x.alpha"), "LoRA or the like"),
    "a ControlNet": (some("control_model.input_blocks.0.0.weight"), "It is a ControlNet"),
    "an IP-Adapter": (some("image_proj.proj.weight", "ip_adapter.1.to_k_ip.weight"), "It is an IP-Adapter"),
    "an embedding": (some("emb_params"), "learned word"),
    "a text encoder": (some("text_model.encoder.layers.0.mlp.fc1.weight"), "text encoder alone"),
    "a U-Net": (some("input_blocks.0.0.weight", "time_embed.0.weight"), "U-Net alone"),
}


@pytest.mark.parametrize("kind", OTHERS)
def test_other_files_are_named_as_what_they_are(tmp_path, kind):
    tensors, said = OTHERS[kind]
    save_file(tensors, tmp_path / "other.safetensors")
    with pytest.raises(UnknownModel) as caught:
        describe_model(tmp_path / "other.safetensors", "")
    assert said in str(caught.value)


@pytest.mark.parametrize(
    ("name", "drop", "said"),
    [
        ("sd1", "cond_stage_model", "no text encoder that is known"),
        (
            "sdxl",
            "conditioner.embedders.0",
            r"almost Stable Diffusion XL: .* lacks .* conditioner\.embedders\.0\.transformer\.\*",
        ),
        ("sdxl", "conditioner.embedders.1", r"almost Stable Diffusion XL: .* lacks .* conditioner\.embedders\.1\.model\.\*"),
        ("sdxl", "label_emb", r"almost Stable Diffusion XL, but for the sizes that it lacks"),
    ],
)
def test_what_a_checkpoint_nearly_is_and_what_it_lacks(stored, tmp_path, name, drop, said):
    with pytest.raises((UnknownModel, BrokenModel), match=said):
        describe_model(copied(stored, name, tmp_path, drop=drop), "")


def test_an_unclip_model_is_not_taken_for_stable_diffusion_2(stored, tmp_path):
    path = copied(stored, "sd2", tmp_path, **{f"{UNET}label_emb__0__0__weight": torch.zeros(128, 2048)})
    with pytest.raises(UnknownModel, match=r"almost Stable Diffusion 2, but for a label .* unCLIP"):
        describe_model(path, "")


def test_sd_turbos_names_of_its_text_encoder_are_understood(stored, tmp_path):
    path = copied(stored, "sd2", tmp_path)
    renamed = {name.replace("cond_stage_model.", "conditioner.embedders.0."): t for name, t in load_file(path).items()}
    save_file(renamed, path)
    states = [
        load_text_encoder(describe_model(model, "").text_encoder, "cpu").encode(["a"])[0].states
        for model in (path, stored.path("sd2"))
    ]
    assert torch.equal(*states)


def test_folders_of_parts_and_of_other_pipelines_are_named(stored, tmp_path):
    model = stored.path("sd1")
    for part, said in (("vae", "load it with diffusion/load_autoencoder"), ("unet", "choose the folder above it")):
        with pytest.raises(UnknownModel, match=said):
            describe_model(model / part, "")
    (tmp_path / "model_index.json").write_text(json.dumps({"_class_name": "PixArtSigmaPipeline"}))
    with pytest.raises(UnknownModel, match="the pipeline PixArtSigmaPipeline, which no family"):
        describe_model(tmp_path, "")


@pytest.mark.parametrize(
    ("drop", "named"),
    [
        ("embedders.1.model.text_projection", "conditioner.embedders.1.model.text_projection"),
        ("resblocks.1.attn.in_proj_weight", "conditioner.embedders.1.model.transformer.resblocks.1.attn.in_proj_weight"),
        ("layers.1.mlp.fc1", "conditioner.embedders.0.transformer.text_model.encoder.layers.1.mlp.fc1.weight"),
    ],
)
def test_tensors_missing_from_sdxls_encoders_are_named_once_and_as_in_the_file(stored, tmp_path, drop, named):
    recipe = describe_model(copied(stored, "sdxl", tmp_path, drop=drop), "").text_encoder
    with pytest.raises(MissingTensors, match="text encoder") as caught:
        load_text_encoder(recipe, "cpu")
    assert named in caught.value.names
    assert len(set(caught.value.names)) == len(caught.value.names)


def test_pickles_in_sdxls_folder_are_refused(stored, tmp_path):
    copy = Path(shutil.copytree(stored.path("sdxl"), tmp_path / "copy"))
    (copy / "text_encoder_2/model.safetensors").rename(copy / "text_encoder_2/pytorch_model.bin")
    with pytest.raises(BrokenModel, match=r"text_encoder_2/pytorch_model\.bin is a pickle"):
        describe_model(copy, "")


def test_a_label_of_another_width_asks_for_the_files_configs(stored, tmp_path):
    path = copied(stored, "sdxl", tmp_path, **{f"{UNET}label_emb__0__0__weight": torch.zeros(128, 7)})
    with pytest.raises(BrokenModel, match=r"label_emb.* is \(128, 7\) where \(128, 88\) is expected"):
        describe_model(path, "")

"""Training a LoRA: the base stays as it is, what is trained is what the file does, here and in diffusers."""

import copy
import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import StableDiffusionPipeline, StableDiffusionXLPipeline
from safetensors import safe_open
from safetensors.torch import save_file
from tiny_models import tiny_sd1, tiny_sd2
from tiny_models.xl import tiny_sdxl

from nodegraph import ModelFile, NodeError
from nodegraph_nodes.diffusion.families import Prompts, base_of, describe_model
from nodegraph_nodes.diffusion.lora import apply_lora
from nodegraph_nodes.training import apply_trained_lora, keep_lora, train_lora
from nodegraph_nodes.training.tasks.low_rank import LowRankUNet, layers_of
from nodegraph_nodes.types import TrainingPlan
from training.discs import discs
from training.networks import context, load

PLAN = TrainingPlan(
    steps=6,
    batch=2,
    learning_rate=3e-3,
    warmup=0,
    average=0.5,
    save_every=3,
    show_every=3,
    schedule="constant",
    precision="float32",
)
BUILD = {"sd1": tiny_sd1, "sd2": tiny_sd2, "sdxl": tiny_sdxl}
PIPELINES = {"sd1": StableDiffusionPipeline, "sd2": StableDiffusionPipeline, "sdxl": StableDiffusionXLPipeline}


def model(family: str, folder: Path) -> Any:
    BUILD[family]().save_pretrained(folder / family)
    return describe_model(folder / family, family)


def said(network: Any, prompts: Prompts, x: torch.Tensor) -> torch.Tensor:
    return network.predict(x, [300.0, 700.0], prompts)


def prompts_of(encoder: Any) -> Prompts:
    told = encoder.encode(["an apple", "a cat"])
    pooled = None if told[0].pooled is None else torch.stack([each.pooled for each in told])
    return Prompts(torch.stack([each.states for each in told]), pooled)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("family", "targets"),
    [("sd1", "attention"), ("sd2", "attention and feed-forward"), ("sdxl", "all linear and convolutions")],
)
def test_the_kept_lora_does_what_was_trained_here_and_in_diffusers(tmp_path, family, targets):
    denoiser, encoder, autoencoder = model(family, tmp_path)
    base = load(dataclasses.replace(denoiser, precision="float32"))
    before = {name: value.clone() for name, value in base.module.state_dict().items()}
    prompts, x = prompts_of(load(encoder)), torch.randn(2, 4, 8, 8, generator=torch.Generator().manual_seed(3))
    plain = said(base, prompts, x)
    data = discs(tmp_path, 64, 64)
    here = context(tmp_path)
    made = train_lora(here, data, PLAN, denoiser, encoder, autoencoder, rank=3, alpha=1.5, targets=targets, min_snr=5.0)
    assert all(torch.equal(value, before[name]) for name, value in base.module.state_dict().items())
    assert torch.equal(said(base, prompts, x), plain)  # and nothing is left on it
    assert not any(parameter.requires_grad for parameter in base.module.parameters())

    # the trained changes on the base, as the training computes
    network = LowRankUNet(base, denoiser.downscale, targets, 3, 1.5)
    for key, change in network.changes.items():
        change.down.data = made.lora.tensors[f"lora_unet_{key}.lora_down.weight"]
        change.up.data = made.lora.tensors[f"lora_unet_{key}.lora_up.weight"]
    assert len(network.changes) * 3 == len(made.lora.tensors)
    with network.worn(False, True), torch.no_grad():
        (trained,) = network(x, torch.tensor([300.0, 700.0]), prompts.states, prompts.pooled)
    assert (trained - plain).abs().max() > 1e-3  # it has learned something that shows

    kept = keep_lora(here, made.lora, "loras/mine", precision="float32")
    told = apply_trained_lora(denoiser, kept)
    merged = said(load(dataclasses.replace(told, precision="float32")), prompts, x)
    close = 1e-5 * max(1.0, trained.abs().max().item())
    assert torch.allclose(merged, trained, atol=close)

    pipeline = PIPELINES[family].from_pretrained(tmp_path / family, local_files_only=True)
    pipeline.load_lora_weights(kept.path)
    theirs = pipeline.unet(
        x,
        torch.tensor([300.0, 700.0]),
        prompts.states,
        added_cond_kwargs={"text_embeds": prompts.pooled, "time_ids": torch.tensor([[64.0, 64, 0, 0, 64, 64]] * 2)}
        if family == "sdxl"
        else None,
        return_dict=False,
    )[0]
    assert torch.allclose(theirs, trained, atol=close)


def test_targets_are_what_other_programs_know_of_a_unets_blocks():
    unet = tiny_sd1().unet
    few, more, every = (layers_of(unet, t) for t in ("attention", "attention and feed-forward", "all linear and convolutions"))
    assert set(few) < set(more) < set(every)
    assert {name.rpartition("attn")[2] for name in few} == {
        f"{number}.{part}" for number in (1, 2) for part in ("to_q", "to_k", "to_v", "to_out.0")
    }
    assert not any(name.startswith(("conv_in", "conv_out", "time_embedding")) for name in every)


@pytest.fixture(scope="module")
def sd1(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sd1")
    return model("sd1", folder)


@pytest.fixture(scope="module")
def trained(sd1, tmp_path_factory):
    """A LoRA, and the folder that it was trained in."""
    folder = tmp_path_factory.mktemp("trained")
    made = train_lora(
        context(folder), discs(folder, 64, 64), dataclasses.replace(PLAN, steps=24, save_every=24, show_every=24), *sd1, rank=4
    )
    return made, folder


def test_it_learns_the_pictures_and_checkpoints_hold_the_changes_alone(sd1, trained):
    made, folder = trained
    errors = [value for _, value in made.lora.history.columns["error"]]
    facts = json.loads(made.lora.facts)
    assert errors[-1] < facts["error_before"]
    assert made.loss == errors[-1]
    (file,) = (folder / "scratch").glob("checkpoint-*.safetensors")
    with safe_open(file, "pt") as opened:
        names = set(opened.keys())
    assert all(".changes." in name or name.startswith("optimizer.") for name in names)
    assert file.stat().st_size < facts["parameters"] * 4 * 4 + 60_000  # weights, averages, and Adam's two moments
    assert made.samples.shape[2] == 3


def test_the_average_shares_the_frozen_network(sd1):
    base = load(dataclasses.replace(sd1[0], precision="float32"))
    network = LowRankUNet(base, 8, "attention", 2, 2.0)
    again = copy.deepcopy(network)
    assert again._base is network._base
    name = next(iter(network.changes))
    assert again.changes[name].down is not network.changes[name].down
    again.changes[name].up.data += 1
    x, states = torch.randn(1, 4, 8, 8), torch.randn(1, 7, base.module.config.cross_attention_dim)
    with network.worn(False, True), torch.no_grad():
        first, second, third = (each(x, torch.tensor([5.0]), states)[0] for each in (network, again, network))
    assert torch.equal(first, third)
    assert not torch.equal(first, second)


def test_gradient_checkpointing_gives_the_same_gradients(sd1):
    base = load(dataclasses.replace(sd1[0], precision="float32"))
    torch.manual_seed(0)
    network = LowRankUNet(base, 8, "all linear and convolutions", 2, 2.0)
    for change in network.changes.values():
        change.up.data.normal_(std=0.1)
    x, states = torch.randn(1, 4, 8, 8), torch.randn(1, 7, base.module.config.cross_attention_dim)
    found = []
    for checkpointing in (False, True):
        with network.worn(checkpointing, True), torch.enable_grad():
            network.zero_grad()
            network(x, torch.tensor([5.0]), states)[0].square().mean().backward()
            found.append([parameter.grad.clone() for parameter in network.parameters()])
    assert all(torch.allclose(a, b, atol=1e-6) for a, b in zip(*found, strict=True))
    assert all(grad.abs().max() > 0 for grad in found[0])
    assert not base.module.is_gradient_checkpointing


def test_a_file_is_not_replaced_unasked(trained, tmp_path):
    made, _ = trained
    here = context(tmp_path)
    first = keep_lora(here, made.lora, "mine")
    before = Path(first.path).read_bytes()
    assert keep_lora(here, made.lora, "mine").path == first.path  # the same again
    with pytest.raises(NodeError) as caught:
        keep_lora(here, made.lora, "mine", precision="float32")
    assert caught.value.socket == "name"
    assert Path(first.path).read_bytes() == before
    assert [file.name for file in Path(first.path).parent.iterdir()] == ["mine.safetensors"]
    assert keep_lora(here, made.lora, "mine", precision="float32", replace=True).digest != first.digest
    for name in ("../mine", "/etc/mine", "a//b", ".hidden", ""):
        with pytest.raises(NodeError):
            keep_lora(here, made.lora, name)


def test_nothing_that_was_not_made_here_is_replaced(trained, tmp_path):
    made, _ = trained
    here = context(tmp_path)
    foreign, model = here.models / "foreign.safetensors", here.models / "model"
    save_file({"weight": torch.ones(2)}, foreign, {"format": "pt"})
    (model / "unet").mkdir(parents=True)
    for card in ("starter.json", "model_index.json"):
        (model / card).write_text("{}")
        with pytest.raises(NodeError, match="the folder of a model"):
            keep_lora(here, made.lora, "model/unet/new", replace=True)
        (model / card).unlink()
    before = foreign.read_bytes()
    with pytest.raises(NodeError, match="not made here"):
        keep_lora(here, made.lora, "foreign", replace=True)
    assert foreign.read_bytes() == before
    for link, target in (("away", tmp_path), ("inside", model / "unet"), ("gone.safetensors", tmp_path / "no.safetensors")):
        (here.models / link).symlink_to(target)
    (model / "model_index.json").write_text("{}")
    for name in ("away/new", "inside/new", "gone"):
        with pytest.raises(NodeError, match=r"A link leads|the folder of a model") as caught:
            keep_lora(here, made.lora, name, replace=True)
        assert caught.value.socket == "name"
    assert not list(tmp_path.glob("*.safetensors"))
    assert not list(model.rglob("*.safetensors"))
    assert Path(keep_lora(here, made.lora, "folder/new").path) == here.models / "folder" / "new.safetensors"


def test_apply_lora_finds_it_by_its_name(sd1, trained, tmp_path):
    made, _ = trained
    kept = keep_lora(context(tmp_path), made.lora, "mine")
    denoiser, encoder = apply_lora(context(tmp_path), sd1[0], sd1[1], ModelFile("mine", Path(kept.path), kept.digest))
    assert denoiser.patches[0].digest == kept.digest
    assert encoder == sd1[1]
    assert base_of(denoiser) == base_of(sd1[0])


def test_a_lora_of_another_model_is_told(trained, tmp_path):
    made, _ = trained
    kept = keep_lora(context(tmp_path), made.lora, "mine")
    denoiser, _, _ = model("sd2", tmp_path)
    with pytest.raises(NodeError) as caught:
        apply_trained_lora(denoiser, kept)
    assert caught.value.socket == "lora"


def test_parts_of_different_models_are_told_before_anything_is_loaded(sd1, tmp_path):
    data = discs(tmp_path, 64, 64)
    other = dataclasses.replace(sd1[1], family="sdxl")
    with pytest.raises(NodeError) as caught:
        train_lora(context(tmp_path), data, PLAN, sd1[0], other, sd1[2])
    assert caught.value.socket == "text_encoder"
    inpainting = dataclasses.replace(sd1[0], concat_channels=5)
    with pytest.raises(NodeError) as caught:
        train_lora(context(tmp_path), data, PLAN, inpainting, sd1[1], sd1[2])
    assert caught.value.socket == "denoiser"


@pytest.mark.slow
def test_two_processes_train_a_lora_and_load_the_models_themselves(sd1, tmp_path):
    two = dataclasses.replace(PLAN, batch=1, processes=2, steps=4)
    made = train_lora(context(tmp_path), discs(tmp_path, 64, 64), two, *sd1, rank=2)
    assert all(tensor.isfinite().all() for tensor in made.lora.tensors.values())
    assert any(tensor.abs().max() > 0 for name, tensor in made.lora.tensors.items() if "lora_up" in name)
    assert json.loads(made.lora.facts)["pictures_seen"] == 8

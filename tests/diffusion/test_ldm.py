"""The first latent-diffusion models and DiT against diffusers: the same weights and noise must give the same picture."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import DiTPipeline, LDMTextToImagePipeline
from diffusers.pipelines.deprecated.latent_diffusion_uncond.pipeline_latent_diffusion_uncond import LDMPipeline
from safetensors.torch import load_file, save_file
from tiny_ldm import CLASSES, NAMES, save_imagenet, scheduler, tiny_dit, tiny_labelled, tiny_text, tiny_unconditional
from torch import Tensor

from nodegraph_nodes.diffusion.families import (
    NotPrompted,
    describe_model,
    load_autoencoder,
    load_denoiser,
    load_text_encoder,
    told_class,
    told_nothing,
)
from nodegraph_nodes.diffusion.families.assemble import skeleton
from nodegraph_nodes.diffusion.families.ldm import _UNET
from nodegraph_nodes.diffusion.predict import guided_denoised
from nodegraph_nodes.diffusion.samplers import SAMPLERS, begin, finish, initial_noise, run_step
from nodegraph_nodes.diffusion.schedules import make_process, make_schedule
from nodegraph_nodes.types import Conditioning, Guidance

SEED, STEPS, SCALE = 3, 8, 4.0
PROMPT = "a red apple"
CLOSE = 0.5 / 255
TELLING = 10 * CLOSE


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("ldm")
    tiny_unconditional().save_pretrained(root / "nothing")
    tiny_labelled().save_pretrained(root / "labelled")
    tiny_text().save_pretrained(root / "text")
    tiny_dit().save_pretrained(root / "dit")
    index = root / "dit/model_index.json"
    index.write_text(json.dumps(json.loads(index.read_text()) | {"id2label": NAMES}))
    save_imagenet(root / "imagenet.safetensors")
    return root


def picture(
    model: Path, positive: Conditioning, negative: Conditioning | None = None, size: int = 8, sampler: str = "ddim"
) -> Tensor:
    """Ours, from disk to pixels [H, W, 3]. size: latent positions a side."""
    recipes = describe_model(model, "digest")
    denoiser = load_denoiser(recipes.denoiser, "cpu")
    schedule = make_schedule("simple", make_process(recipes.denoiser.process), STEPS, recipes.denoiser.family)
    combined = Guidance(positive, negative, SCALE if negative else 1.0)
    state = begin(initial_noise(SEED, (recipes.denoiser.latent_channels, size, size)), schedule, SEED)
    for index in range(STEPS):
        state = run_step(
            SAMPLERS[sampler],
            state,
            schedule,
            lambda x, point, progress=index / STEPS: guided_denoised(denoiser, x, point, combined, progress),
        )
    return load_autoencoder(recipes.autoencoder, "cpu").decode(finish(state, schedule)[None])[0]


def difference(one: Tensor, other: Tensor) -> float:
    assert one.shape == other.shape
    return (one - other).abs().max().item()


def encoded(model: Path, *texts: str) -> list[Conditioning]:
    return load_text_encoder(describe_model(model, "digest").text_encoder, "cpu").encode(texts)


def run(pipeline: Any, *inputs: Any, **options: Any) -> Tensor:
    """A pipeline's picture [H, W, 3] from our noise."""
    pipeline.set_progress_bar_config(disable=True)
    generator = torch.Generator().manual_seed(SEED)
    result = pipeline(*inputs, generator=generator, num_inference_steps=STEPS, output_type="np", **options)
    return torch.from_numpy(result.images[0])


def test_a_picture_from_a_prompt_equals_that_of_diffusers(models):
    pipeline = LDMTextToImagePipeline.from_pretrained(models / "text", local_files_only=True)
    expected = run(pipeline, PROMPT, guidance_scale=SCALE)
    assert difference(picture(models / "text", *encoded(models / "text", PROMPT, "")), expected) <= CLOSE
    assert difference(picture(models / "text", *encoded(models / "text", "a dog", "")), expected) > TELLING


def test_a_picture_from_nothing_equals_that_of_diffusers(models):
    expected = run(LDMPipeline.from_pretrained(models / "nothing", local_files_only=True))
    ours = picture(models / "nothing", told_nothing("ldm"))
    assert ours.shape == (32, 32, 3)
    assert difference(ours, expected) <= CLOSE
    assert difference(picture(models / "nothing", told_nothing("ldm"), sampler="dpmpp_2m"), expected) > TELLING


def test_a_picture_of_a_class_by_dit_equals_that_of_diffusers(models):
    pipeline = DiTPipeline.from_pretrained(models / "dit", local_files_only=True)
    expected = run(pipeline, [7], guidance_scale=SCALE)
    nothing = told_class("dit", 1000)
    assert difference(picture(models / "dit", told_class("dit", 7), nothing), expected) <= CLOSE
    assert difference(picture(models / "dit", told_class("dit", 8), nothing), expected) > TELLING
    assert difference(picture(models / "dit", told_class("dit", 7), told_class("dit", 999)), expected) > TELLING


@pytest.mark.parametrize("kind", ["labelled", "imagenet"])
def test_a_picture_of_a_class_equals_a_loop_written_out(models, kind, tmp_path):
    """diffusers has no pipeline for these; the loop is LDMPipeline's with a label, or with an embedding attended to."""
    if kind == "labelled":
        pipeline = LDMPipeline.from_pretrained(models / "labelled", local_files_only=True)
        unet, vae, told, path = pipeline.unet, pipeline.vqvae, (2, CLASSES), models / "labelled"
    else:
        unet, vae, table = save_imagenet(tmp_path / "model.safetensors")
        told, path = (207, 1000), tmp_path / "model.safetensors"
    ddim = scheduler()
    ddim.set_timesteps(STEPS)
    x = initial_noise(SEED, (1, 3, 8, 8))
    with torch.no_grad():
        for t in ddim.timesteps:
            if kind == "labelled":
                yes, no = (unet(x, t, class_labels=torch.tensor([label])).sample for label in told)
            else:
                yes, no = (unet(x, t, encoder_hidden_states=table[label][None, None]).sample for label in told)
            x = ddim.step(no + SCALE * (yes - no), t, x).prev_sample
        expected = (vae.decode(x / 0.7).sample / 2 + 0.5).clamp(0, 1)[0].permute(1, 2, 0)
    ours = picture(path, *(told_class("ldm", label) for label in told))
    assert difference(ours, expected) <= CLOSE
    assert difference(picture(path, told_class("ldm", 3), told_class("ldm", told[1])), expected) > TELLING


def test_a_folder_may_bring_the_table_that_the_unet_attends_to(models, tmp_path):
    unet, vae, table = save_imagenet(tmp_path / "model.safetensors")
    LDMPipeline(vqvae=vae, unet=unet, scheduler=scheduler()).save_pretrained(tmp_path / "folder")
    (tmp_path / "folder/class_embedder").mkdir()
    save_file({"embedding.weight": table}, tmp_path / "folder/class_embedder/model.safetensors")
    pair = told_class("ldm", 5), told_class("ldm", 1000)
    assert difference(picture(tmp_path / "folder", *pair), picture(tmp_path / "model.safetensors", *pair)) <= 1e-6


def test_dit_makes_larger_squares_too(models):
    assert picture(models / "dit", told_class("dit", 7), size=12).shape == (96, 96, 3)


def test_each_kind_says_what_it_is_told(models):
    kinds = {name: describe_model(models / name, "digest").denoiser for name in ("nothing", "labelled", "text", "dit")}
    kinds["imagenet"] = describe_model(models / "imagenet.safetensors", "digest").denoiser
    told = {name: recipe.conditioning for name, recipe in kinds.items()}
    assert told == {"nothing": "none", "labelled": "class", "text": "prompt", "dit": "class", "imagenet": "class"}
    assert {name for name, recipe in kinds.items() if recipe.square} == {"dit"}
    assert (kinds["nothing"].downscale, kinds["nothing"].size_multiple, kinds["nothing"].native_size) == (4, 8, (32, 32))
    assert (kinds["text"].downscale, kinds["text"].size_multiple, kinds["text"].native_size) == (8, 8, (64, 64))
    assert (kinds["imagenet"].downscale, kinds["imagenet"].size_multiple) == (4, 4)


def test_a_text_encoder_that_does_not_exist_says_which_node_to_use(models):
    for name, node in (
        ("nothing", "diffusion/unconditional"),
        ("labelled", "diffusion/class_label"),
        ("dit", "diffusion/class_label"),
    ):
        with pytest.raises(NotPrompted, match="reads no prompts") as caught:
            load_text_encoder(describe_model(models / name, "digest").text_encoder, "cpu")
        assert caught.value.node == node


def test_pictures_pass_through_the_codebook_as_in_diffusers(models):
    autoencoder = load_autoencoder(describe_model(models / "nothing", "digest").autoencoder, "cpu")
    vae = LDMPipeline.from_pretrained(models / "nothing", local_files_only=True).vqvae
    pixels = torch.rand(2, 32, 24, 3, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        latents = vae.encode(pixels.permute(0, 3, 1, 2) * 2 - 1).latents
        decoded = (vae.decode(latents).sample / 2 + 0.5).clamp(0, 1).permute(0, 2, 3, 1)
        without = (vae.decode(latents, force_not_quantize=True).sample / 2 + 0.5).clamp(0, 1).permute(0, 2, 3, 1)
    samples = autoencoder.encode(pixels)
    torch.testing.assert_close(samples, latents * 0.7)
    torch.testing.assert_close(autoencoder.decode(samples), decoded, atol=1e-4, rtol=1e-4)
    assert difference(decoded, without) > TELLING
    with pytest.raises(ValueError, match="multiples of 4, but got 30 x 32"):
        autoencoder.encode(pixels.new_zeros(1, 32, 30, 3))


def test_older_names_of_attention_are_understood(models, tmp_path):
    old = Path(shutil.copytree(models / "nothing", tmp_path / "old"))
    for part in ("unet", "vqvae"):
        path = old / part / "diffusion_pytorch_model.safetensors"
        tensors = load_file(path)
        for new, name in ((".to_q.", ".query."), (".to_k.", ".key."), (".to_v.", ".value."), (".to_out.0.", ".proj_attn.")):
            tensors = {key.replace(new, name): tensor for key, tensor in tensors.items()}
        assert any(".query." in name for name in tensors)
        save_file(tensors, path)
    assert difference(picture(old, told_nothing("ldm")), picture(models / "nothing", told_nothing("ldm"))) == 0


def test_the_config_for_the_papers_imagenet_model_is_of_its_size():
    from diffusers import UNet2DConditionModel

    unet = skeleton(lambda: UNet2DConditionModel.from_config(_UNET))
    millions = sum(parameter.numel() for parameter in unet.parameters()) / 1e6
    assert round(millions, 2) == 400.92  # "DiffusionWrapper has 400.92 M params.", says the paper's code on loading it

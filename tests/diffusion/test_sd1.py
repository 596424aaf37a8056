"""Stable Diffusion 1 against diffusers' pipeline: the same weights in both layouts must give the same picture."""

import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import (
    DDIMScheduler,
    DPMSolverMultistepScheduler,
    EulerDiscreteScheduler,
    StableDiffusionPipeline,
)
from safetensors.torch import load_file, save_file
from tiny_models import BETAS, save_single_file, tiny_sd1
from torch import Tensor

from nodegraph_nodes.diffusion.families import (
    Prompts,
    describe_model,
    load_autoencoder,
    load_denoiser,
    load_text_encoder,
    recognise,
)
from nodegraph_nodes.diffusion.families.clip_tokenizer import clip_tokenizer
from nodegraph_nodes.diffusion.predict import guided_denoised
from nodegraph_nodes.diffusion.samplers import SAMPLERS, begin, finish, initial_noise, run_step
from nodegraph_nodes.diffusion.schedules import make_process, make_schedule
from nodegraph_nodes.types import Guidance

SEED, STEPS, SCALE = 3, 10, 7.0
PROMPT, NEGATIVE = "a red apple", "blurry"
TOLERANCE = 2 / 255
SCHEDULERS: dict[str, tuple[str, Any]] = {
    "euler": ("normal", EulerDiscreteScheduler(**BETAS, timestep_spacing="linspace")),
    "dpmpp_2m": ("simple", DPMSolverMultistepScheduler(**BETAS, timestep_spacing="trailing")),
    "ddim": (
        "ddim_uniform",
        DDIMScheduler(**BETAS, clip_sample=False, set_alpha_to_one=False, steps_offset=1),
    ),
}


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """One pipeline in the three ways it can lie on disk."""
    root = tmp_path_factory.mktemp("sd1")
    pipeline = tiny_sd1()
    pipeline.save_pretrained(root / "folder")
    save_single_file(pipeline, root / "single.safetensors")
    return {"folder": root / "folder", "single file": root / "single.safetensors"}


def picture(
    model: Path, sampler: str, schedule_name: str, prompt: str = PROMPT, size: tuple[int, int] = (64, 64), **guidance: Any
) -> Tensor:
    """Ours, from disk to pixels [H, W, 3]. size: width, height."""
    recipes = describe_model(model, "digest")
    denoiser = load_denoiser(recipes.denoiser, "cpu")
    positive, negative = load_text_encoder(recipes.text_encoder, "cpu").encode([prompt, NEGATIVE])
    schedule = make_schedule(schedule_name, make_process(recipes.denoiser.process), STEPS, "sd1")
    combined = Guidance(positive, negative, **{"scale": SCALE, **guidance})
    state = begin(initial_noise(SEED, (4, size[1] // 8, size[0] // 8)), schedule, SEED)
    for index in range(STEPS):
        state = run_step(
            SAMPLERS[sampler],
            state,
            schedule,
            lambda x, point, progress=index / STEPS: guided_denoised(denoiser, x, point, combined, progress),
        )
    return load_autoencoder(recipes.autoencoder, "cpu").decode(finish(state, schedule)[None])[0]


def diffusers_picture(model: Path, scheduler: Any, size: tuple[int, int] = (64, 64), **options: Any) -> Tensor:
    """StableDiffusionPipeline's, from the folder, with the same initial noise."""
    pipeline = StableDiffusionPipeline.from_pretrained(model, local_files_only=True, safety_checker=None)
    pipeline.set_progress_bar_config(disable=True)
    pipeline.scheduler = scheduler
    scheduler.set_timesteps(STEPS)
    noise = initial_noise(SEED, (4, size[1] // 8, size[0] // 8))[None]
    if isinstance(scheduler, EulerDiscreteScheduler):
        # Its start leaves out the picture's own share: sigma_hat instead of sqrt(1 + sigma_hat^2), 0.2 per cent less noise.
        largest = scheduler.sigmas.max()
        noise = noise * (1 + largest**2).sqrt() / largest
    result = pipeline(
        PROMPT,
        negative_prompt=NEGATIVE,
        latents=noise,
        num_inference_steps=STEPS,
        width=size[0],
        height=size[1],
        output_type="np",
        **{"guidance_scale": SCALE, **options},
    )
    return torch.from_numpy(result.images[0])


@pytest.mark.parametrize("layout", ["folder", "single file"])
@pytest.mark.parametrize("sampler", SCHEDULERS)
def test_a_picture_equals_the_one_of_diffusers(models, sampler, layout):
    schedule, scheduler = SCHEDULERS[sampler]
    expected = diffusers_picture(models["folder"], scheduler)
    assert (picture(models[layout], sampler, schedule) - expected).abs().max() <= TOLERANCE


def test_the_comparison_would_notice_another_prompt_scale_or_sampler(models):
    reference = picture(models["folder"], "euler", "normal")
    for other in (
        picture(models["folder"], "euler", "normal", prompt="a dog on the moon"),
        picture(models["folder"], "euler", "normal", scale=1.0),
        picture(models["folder"], "euler_ancestral", "normal"),
        picture(models["folder"], "dpmpp_2m", "normal"),
        picture(models["folder"], "euler", "karras"),
    ):
        assert (other - reference).abs().max() > 10 * TOLERANCE


def test_sizes_need_be_no_more_than_multiples_of_eight_and_guidance_rescale_agrees(models):
    schedule, scheduler = SCHEDULERS["ddim"]
    expected = diffusers_picture(models["folder"], scheduler, size=(72, 88), guidance_rescale=0.7)
    ours = picture(models["folder"], "ddim", schedule, size=(72, 88), rescale=0.7)
    assert ours.shape == expected.shape == (88, 72, 3)
    assert (ours - expected).abs().max() <= TOLERANCE


def test_diffusers_reads_the_single_file_too(models):
    """So the layout that our loader is tested with is the real one."""
    path = models["single file"]
    pipeline = StableDiffusionPipeline.from_single_file(
        str(path),
        config=str(models["folder"]),
        local_files_only=True,
        safety_checker=None,
    )
    folder = StableDiffusionPipeline.from_pretrained(models["folder"], local_files_only=True, safety_checker=None)
    for name in ("unet", "vae", "text_encoder"):
        stored = getattr(folder, name).state_dict()
        assert stored.keys() == getattr(pipeline, name).state_dict().keys()
        assert all(torch.equal(t, stored[key]) for key, t in getattr(pipeline, name).state_dict().items())


def test_a_v_prediction_model_says_so_in_its_scheduler_config(tmp_path):
    pipeline = tiny_sd1(prediction="v_prediction")
    pipeline.save_pretrained(tmp_path / "folder")
    save_single_file(pipeline, tmp_path / "single.safetensors")
    for model in ("folder", "single.safetensors"):
        assert describe_model(tmp_path / model, "digest").denoiser.prediction == "v"


def test_older_diffusers_names_of_attention_and_text_weights_are_understood(models, tmp_path):
    old = tmp_path / "old"
    shutil.copytree(models["folder"], old)
    vae = load_file(old / "vae/diffusion_pytorch_model.safetensors")
    renames = ((".to_q.", ".query."), (".to_k.", ".key."), (".to_v.", ".value."), (".to_out.0.", ".proj_attn."))
    for new, name in renames:
        vae = {key.replace(new, name): tensor for key, tensor in vae.items()}
    save_file(vae, old / "vae/diffusion_pytorch_model.safetensors")
    text = load_file(old / "text_encoder/model.safetensors")
    flipped = {
        key.removeprefix("text_model.") if key.startswith("text_model.") else f"text_model.{key}": tensor
        for key, tensor in text.items()
    }
    save_file(flipped, old / "text_encoder/model.safetensors")
    torch.testing.assert_close(picture(old, "euler", "normal"), picture(models["folder"], "euler", "normal"))


def test_single_files_whose_text_encoder_was_saved_flat_are_understood(models, tmp_path):
    shutil.copytree(models["single file"].with_suffix(".config"), tmp_path / "flat.config")
    inner = "cond_stage_model.transformer.text_model."
    tensors = {
        name.replace(inner, inner.removesuffix("text_model.")): tensor
        for name, tensor in load_file(models["single file"]).items()
    }
    save_file(tensors, tmp_path / "flat.safetensors")
    recipes = [describe_model(path, "").text_encoder for path in (tmp_path / "flat.safetensors", models["folder"])]
    flat, folder = (load_text_encoder(recipe, "cpu").encode([PROMPT])[0].states for recipe in recipes)
    assert torch.equal(flat, folder)


@pytest.mark.parametrize("precision", ["bfloat16", "float16"])
def test_half_precision_takes_half_the_memory_and_stays_close(models, precision):
    outputs = []
    for wanted in ("float32", precision):
        recipes = describe_model(models["folder"], "digest", wanted)
        prompt = load_text_encoder(recipes.text_encoder, "cpu").encode([PROMPT])[0]
        denoiser = load_denoiser(recipes.denoiser, "cpu")
        x = initial_noise(SEED, (4, 8, 8))[None]
        outputs.append((denoiser.nbytes, denoiser.predict(x, [500.0], Prompts(prompt.states[None]))))
    (full_bytes, full), (half_bytes, half) = outputs
    assert half_bytes * 2 == full_bytes
    assert half.dtype == torch.float32
    assert 0 < (half - full).norm() / full.norm() < 0.05


def test_pictures_pass_through_the_autoencoder_as_in_diffusers(models):
    recipe = describe_model(models["folder"], "digest").autoencoder
    autoencoder = load_autoencoder(recipe, "cpu")
    vae = StableDiffusionPipeline.from_pretrained(models["folder"], safety_checker=None).vae
    pixels = torch.rand(2, 64, 48, 3, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        posterior = vae.encode(pixels.permute(0, 3, 1, 2) * 2 - 1).latent_dist
    samples = autoencoder.encode(pixels)
    torch.testing.assert_close(samples, posterior.mean * 0.18215)
    noise = initial_noise(0, samples.shape)
    drawn = (posterior.mean + posterior.std * noise) * 0.18215
    torch.testing.assert_close(autoencoder.encode(pixels, noise), drawn)
    assert autoencoder.decode(samples).shape == pixels.shape
    with pytest.raises(ValueError, match="multiples of 8, but got 63 x 64"):
        autoencoder.encode(pixels.new_zeros(1, 64, 63, 3))


def test_the_shipped_vocabulary_gives_clips_own_token_ids():
    tokenizer = clip_tokenizer()
    ids = tokenizer("a photograph of an astronaut riding a horse")["input_ids"]
    assert ids == [49406, 320, 8853, 539, 550, 18376, 6765, 320, 4558, 49407]
    padded = tokenizer("x", padding="max_length", truncation=True)["input_ids"]
    assert (len(padded), padded[-1]) == (77, 49407)


def test_a_long_prompt_can_be_seen_to_be_cut(models):
    encoder = load_text_encoder(describe_model(models["folder"], "digest").text_encoder, "cpu")
    assert encoder.max_tokens == 75
    assert encoder.count_tokens("a " * 10) == 10
    assert encoder.count_tokens("a " * 100) == 100
    cut, longer, shorter = encoder.encode(["a " * 75, "a " * 100, "a " * 74])
    assert torch.equal(cut.states, longer.states)
    assert not torch.equal(cut.states, shorter.states)


def test_describing_a_model_tells_its_geometry(models):
    assert recognise(models["single file"], "digest").name == "sd1"
    denoiser, text_encoder, autoencoder = describe_model(models["single file"], "digest", "float16")
    assert (denoiser.downscale, denoiser.size_multiple, denoiser.native_size) == (8, 8, (64, 64))
    assert {denoiser.precision, text_encoder.precision, autoencoder.precision} == {"float16"}
    assert len({denoiser, text_encoder, autoencoder}) == 3

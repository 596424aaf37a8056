"""SD 3 and FLUX.1 against diffusers' pipelines: the same weights, noise and noise levels must give the same picture."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from diffusers import (
    FluxImg2ImgPipeline,
    FluxPipeline,
    FluxTransformer2DModel,
    SD3Transformer2DModel,
    StableDiffusion3Img2ImgPipeline,
    StableDiffusion3Pipeline,
)
from diffusers.loaders import single_file_utils
from safetensors.torch import load_file, save_file
from tiny_transformers import flux_to_original, save_original, sd3_to_original, tiny_flux, tiny_sd3
from torch import Tensor

from nodegraph_nodes.diffusion.families import (
    BrokenModel,
    Hints,
    Prompts,
    describe_model,
    flux_names,
    load_autoencoder,
    load_denoiser,
    load_text_encoder,
    sd3_names,
)
from nodegraph_nodes.diffusion.families import flux as flux_family
from nodegraph_nodes.diffusion.families.assemble import skeleton
from nodegraph_nodes.diffusion.families.source import TensorInfo
from nodegraph_nodes.diffusion.predict import guided_denoised
from nodegraph_nodes.diffusion.samplers import SAMPLERS, begin, finish, initial_noise, run_step
from nodegraph_nodes.diffusion.schedules import make_process, make_schedule
from nodegraph_nodes.types import Denoiser, Guidance, Schedule

SEED, STEPS, SCALE = 3, 6, 5.0
PROMPT, NEGATIVE = "a red apple", "blurry"
CLOSE = 0.5 / 255
TELLING = 5 * CLOSE


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Each pipeline as a folder and as a single file."""
    root = tmp_path_factory.mktemp("transformers")
    made = {"sd3": tiny_sd3(), "sd35": tiny_sd3(newer=True), "dev": tiny_flux(), "schnell": tiny_flux(dev=False)}
    for name, pipeline in made.items():
        pipeline.save_pretrained(root / name)
        save_original(pipeline, root / f"{name}.safetensors", vae="vae." if name == "dev" else "first_stage_model.")
    return {f.name: f for f in root.iterdir() if f.suffix != ".config"}


def schedule_of(denoiser: Denoiser, size: tuple[int, int] | None, steps: int = STEPS) -> Schedule:
    return make_schedule("simple", make_process(denoiser.process, size), steps, denoiser.family)


def picture(
    model: Path,
    prompt: str = PROMPT,
    size: tuple[int, int] = (64, 64),
    start: Tensor | None = None,
    first: int = 0,
    schedule: Schedule | None = None,
    **guidance: Any,
) -> Tensor:
    """Ours, from disk to pixels [H, W, 3]. size: width, height; start: a picture to begin with, first: steps left out."""
    recipes = describe_model(model, "digest")
    denoiser, autoencoder = load_denoiser(recipes.denoiser, "cpu"), load_autoencoder(recipes.autoencoder, "cpu")
    positive, negative = load_text_encoder(recipes.text_encoder, "cpu").encode([prompt, NEGATIVE])
    height, width = size[1] // 8, size[0] // 8
    schedule = schedule or schedule_of(recipes.denoiser, (height, width))
    combined = Guidance(positive, negative, **{"scale": SCALE, **guidance})
    latent = None if start is None else autoencoder.encode(start[None])[0]
    state = begin(initial_noise(SEED, (16, height, width)), schedule, SEED, index=first, latent=latent)
    for index in range(first, schedule.steps):
        state = run_step(
            SAMPLERS["euler"],
            state,
            schedule,
            lambda x, point, progress=index / schedule.steps: guided_denoised(denoiser, x, point, combined, progress),
        )
    return autoencoder.decode(finish(state, schedule)[None])[0]


def levels() -> list[float]:
    """Equal steps of t, as FluxPipeline takes them by itself."""
    return np.linspace(1, 1 / STEPS, STEPS).tolist()


def sd3_picture(model: Path, size: tuple[int, int] = (64, 64), parts: dict[str, Any] | None = None) -> Tensor:
    """parts: in place of the model's."""
    pipeline = StableDiffusion3Pipeline.from_pretrained(model, local_files_only=True, **(parts or {}))
    pipeline.set_progress_bar_config(disable=True)
    result = pipeline(
        PROMPT,
        negative_prompt=NEGATIVE,
        latents=initial_noise(SEED, (16, size[1] // 8, size[0] // 8))[None],
        num_inference_steps=STEPS,
        width=size[0],
        height=size[1],
        guidance_scale=SCALE,
        sigmas=levels(),
        output_type="np",
    )
    return torch.from_numpy(result.images[0])


def flux_picture(model: Path, size: tuple[int, int] = (64, 64), **options: Any) -> Tensor:
    pipeline = FluxPipeline.from_pretrained(model, local_files_only=True)
    pipeline.set_progress_bar_config(disable=True)
    noise = initial_noise(SEED, (16, size[1] // 8, size[0] // 8))[None]
    result = pipeline(
        PROMPT,
        negative_prompt=NEGATIVE,
        latents=FluxPipeline._pack_latents(noise, 1, 16, size[1] // 8, size[0] // 8),
        num_inference_steps=STEPS,
        width=size[0],
        height=size[1],
        output_type="np",
        **({"true_cfg_scale": SCALE, "guidance_scale": 3.5} | options),
    )
    return torch.from_numpy(result.images[0])


def difference(one: Tensor, other: Tensor) -> float:
    assert one.shape == other.shape
    return (one - other).abs().max().item()


@pytest.mark.parametrize("model", ["sd3", "sd35"])
@pytest.mark.parametrize("layout", ["", ".safetensors"])
def test_a_picture_of_stable_diffusion_3_equals_that_of_diffusers(models, model, layout):
    expected = sd3_picture(models[model], size=(48, 64))
    assert difference(picture(models[model + layout], size=(48, 64)), expected) <= CLOSE


@pytest.mark.parametrize("model", ["dev", "schnell"])
@pytest.mark.parametrize("layout", ["", ".safetensors"])
def test_a_picture_of_flux_equals_that_of_diffusers(models, model, layout):
    options = {} if model == "dev" else {"max_sequence_length": 256}
    expected = flux_picture(models[model], size=(48, 80), **options)
    assert difference(picture(models[model + layout], size=(48, 80)), expected) <= CLOSE


def test_flux_without_a_negative_prompt_is_told_the_scale_it_was_distilled_with(models):
    expected = flux_picture(models["dev"], true_cfg_scale=1.0, guidance_scale=7.0)
    assert difference(picture(models["dev"], scale=1.0, distilled=7.0), expected) <= CLOSE
    assert difference(picture(models["dev"], scale=1.0, distilled=1.0), expected) > TELLING


def test_the_comparison_would_notice_another_prompt_shift_or_size_of_the_shift(models):
    for model in ("sd3", "dev"):
        recipe = describe_model(models[model], "digest").denoiser
        right = picture(models[model])
        unshifted = make_schedule("simple", make_process(type(recipe.process)("rectified_flow")), STEPS, recipe.family)
        assert difference(picture(models[model], prompt="a dog on the moon"), right) > TELLING
        assert difference(picture(models[model], schedule=unshifted), right) > TELLING
    native = schedule_of(describe_model(models["dev"], "digest").denoiser, None)
    assert difference(picture(models["dev"], schedule=native), picture(models["dev"])) > TELLING


def test_the_noise_levels_are_those_of_the_flow_matching_scheduler(models):
    for model, size in (("sd3", None), ("schnell", None), ("dev", (8, 10)), ("dev", (128, 128)), ("dev", (96, 170))):
        pipeline = (StableDiffusion3Pipeline if model == "sd3" else FluxPipeline).from_pretrained(models[model])
        theirs = pipeline.scheduler
        mu = None
        if size is not None:
            from diffusers.pipelines.flux.pipeline_flux import calculate_shift

            mu = calculate_shift((size[0] // 2) * (size[1] // 2))
        theirs.set_timesteps(sigmas=levels(), mu=mu)
        ours = schedule_of(describe_model(models[model], "digest").denoiser, size)
        np.testing.assert_allclose(ours.sigma.numpy(), theirs.sigmas.numpy(), rtol=1e-5)
        np.testing.assert_allclose(ours.timestep[:-1].numpy(), theirs.timesteps.numpy(), rtol=1e-5)


def test_without_a_size_the_shift_is_that_of_the_native_one(models):
    recipe = describe_model(models["dev"], "digest").denoiser
    assert torch.equal(schedule_of(recipe, None).sigma, schedule_of(recipe, (128, 128)).sigma)
    assert recipe.process.shift == pytest.approx(np.exp(1.15))


@pytest.mark.parametrize("model", ["sd3", "dev"])
def test_image_to_image_equals_that_of_diffusers(models, model):
    kind = StableDiffusion3Img2ImgPipeline if model == "sd3" else FluxImg2ImgPipeline
    pipeline = kind.from_pretrained(models[model], local_files_only=True)
    pipeline.set_progress_bar_config(disable=True)
    pixels = torch.rand(64, 64, 3, generator=torch.Generator().manual_seed(0))
    # The pipelines draw the encoder's posterior before the noise; ours takes its mean, so theirs is given it.
    posterior = pipeline.vae.encode(pixels.permute(2, 0, 1)[None] * 2 - 1).latent_dist
    latents = (posterior.mean - pipeline.vae.config.shift_factor) * pipeline.vae.config.scaling_factor
    options: dict[str, Any] = {"image": latents, "strength": 0.5, "num_inference_steps": STEPS, "sigmas": levels()}
    if model == "dev":
        del options["image"]
        noise = initial_noise(SEED, (1, 16, 8, 8))
        sigma = schedule_of(describe_model(models[model], "digest").denoiser, (8, 8)).sigma[3].float()
        mixed = sigma * noise + (1 - sigma) * latents
        options |= {"image": pixels.permute(2, 0, 1)[None], "latents": FluxPipeline._pack_latents(mixed, 1, 16, 8, 8)}
        options |= {"height": 64, "width": 64, "true_cfg_scale": SCALE, "guidance_scale": 3.5}
    else:
        options |= {"height": 64, "width": 64, "guidance_scale": SCALE, "generator": torch.Generator().manual_seed(SEED)}
    result = pipeline(PROMPT, negative_prompt=NEGATIVE, output_type="np", **options)
    ours = picture(models[model], start=pixels, first=3)
    assert difference(ours, torch.from_numpy(result.images[0])) <= CLOSE
    assert difference(ours, picture(models[model], start=pixels, first=2)) > TELLING


@pytest.mark.parametrize("layout", ["", ".safetensors"])
def test_stable_diffusion_3_without_t5_reads_zeros_in_its_place(models, tmp_path, layout):
    pipeline = tiny_sd3()
    pipeline.text_encoder_3 = pipeline.tokenizer_3 = None
    pipeline.save_pretrained(tmp_path / "model")
    save_original(pipeline, tmp_path / "model.safetensors")
    expected = sd3_picture(tmp_path / "model", parts={"text_encoder_3": None, "tokenizer_3": None})
    ours = picture(tmp_path / f"model{layout}")
    assert difference(ours, expected) <= CLOSE
    assert difference(ours, picture(models["sd3"])) > TELLING


@pytest.mark.parametrize("newer", [False, True])
def test_diffusers_reads_our_layout_of_stable_diffusion_3_as_the_same_weights(newer):
    pipeline = tiny_sd3(newer=newer)
    converted = single_file_utils.convert_sd3_transformer_checkpoint_to_diffusers(sd3_to_original(pipeline))
    _same(converted, pipeline.transformer.state_dict())


def test_diffusers_reads_our_layout_of_flux_as_the_same_weights():
    """Its converter knows one width only, so it is compiled anew for ours."""
    import inspect

    source = inspect.getsource(single_file_utils.convert_flux_transformer_checkpoint_to_diffusers)
    assert "inner_dim = 3072" in source
    place = dict(vars(single_file_utils))
    exec(source.replace("inner_dim = 3072", "inner_dim = 32"), place)
    pipeline = tiny_flux()
    _same(
        place["convert_flux_transformer_checkpoint_to_diffusers"](flux_to_original(pipeline)), pipeline.transformer.state_dict()
    )


def _same(converted: dict[str, Tensor], wanted: dict[str, Tensor]) -> None:
    assert converted.keys() == wanted.keys()
    assert all(torch.equal(tensor, wanted[name]) for name, tensor in converted.items())


SD3_MEDIUM = {
    "sample_size": 128,
    "patch_size": 2,
    "in_channels": 16,
    "num_layers": 24,
    "attention_head_dim": 64,
    "num_attention_heads": 24,
    "joint_attention_dim": 4096,
    "caption_projection_dim": 1536,
    "pooled_projection_dim": 2048,
    "out_channels": 16,
    "pos_embed_max_size": 24,  # published: 192, which takes seconds to compute
}
SD35_MEDIUM = SD3_MEDIUM | {
    "dual_attention_layers": list(range(13)),
    "qk_norm": "rms_norm",
}
FLUX_DEV = {"guidance_embeds": True}


@pytest.mark.parametrize("config", [SD3_MEDIUM, SD35_MEDIUM])
def test_the_published_configs_of_stable_diffusion_3_are_read_off_the_shapes(config):
    model = skeleton(lambda: SD3Transformer2DModel(**config))
    read = sd3_names.config_from(_shapes(model, sd3_names), "")
    assert {name: _plain(model.config[name]) for name in read} == read


def test_the_published_config_of_flux_is_read_off_the_shapes():
    model = skeleton(lambda: FluxTransformer2DModel(**FLUX_DEV))
    read = flux_names.config_from(_shapes(model, flux_names), "")
    wanted = {name: _plain(model.config[name]) for name in read} | {"out_channels": 64}
    assert wanted == read


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value


def _shapes(model: Any, names: Any) -> dict[str, TensorInfo]:
    """A header of the original layout, as far as shapes of whole tensors go."""
    return {names.piece(n, model.config, "").name: TensorInfo("F32", tuple(t.shape)) for n, t in model.state_dict().items()}


def test_weights_in_eight_bit_floats_count_as_what_they_stand_for(models, tmp_path):
    tensors, scaled = load_file(models["schnell.safetensors"]), "model.diffusion_model.img_in.weight"
    small, wide = dict(tensors), dict(tensors)
    for name, tensor in tensors.items():
        if tensor.ndim == 2 and name.startswith("model.diffusion_model."):
            scale = 64 if name == scaled else 1
            small[name] = (tensor * scale).to(torch.float8_e4m3fn)
            wide[name] = small[name].float() / scale
    small[scaled.replace("weight", "scale_weight")] = torch.tensor(1 / 64)
    outputs = []
    for name, stored in (("small", small), ("wide", wide)):
        shutil.copytree(models["schnell.safetensors"].with_suffix(".config"), tmp_path / f"{name}.config")
        save_file(stored, tmp_path / f"{name}.safetensors")
        denoiser = load_denoiser(describe_model(tmp_path / f"{name}.safetensors", "").denoiser, "cpu")
        prompts = Prompts(initial_noise(0, (1, 5, 40)), initial_noise(1, (1, 32)))
        outputs.append(denoiser.predict(initial_noise(SEED, (1, 16, 8, 8)), [500.0], prompts))
    torch.testing.assert_close(outputs[0], outputs[1], rtol=1e-4, atol=1e-4)


def test_weights_in_several_files_are_read_together(models, tmp_path):
    sharded = tmp_path / "sharded"
    shutil.copytree(models["schnell"], sharded)
    (sharded / "transformer/diffusion_pytorch_model.safetensors").unlink()
    pipeline = FluxPipeline.from_pretrained(models["schnell"])
    pipeline.transformer.save_pretrained(sharded / "transformer", max_shard_size="100KB")
    assert len(list((sharded / "transformer").glob("*.safetensors"))) > 1
    assert difference(picture(sharded), picture(models["schnell"])) == 0
    next((sharded / "transformer").glob("*00002*.safetensors")).unlink()
    with pytest.raises(BrokenModel, match="00002"):
        describe_model(sharded, "digest")


def test_a_transformer_alone_works_with_what_lies_beside_it(models, tmp_path):
    alone = {n.removeprefix("model.diffusion_model."): t for n, t in load_file(models["dev.safetensors"]).items()}
    save_file({n: t for n, t in alone.items() if not n.startswith(("vae.", "text_encoders."))}, tmp_path / "alone.safetensors")
    sidecar = tmp_path / "alone.config"
    shutil.copytree(models["dev"], sidecar)
    shutil.rmtree(sidecar / "transformer")
    shutil.copytree(models["dev.safetensors"].with_suffix(".config") / "transformer", sidecar / "transformer")
    assert difference(picture(tmp_path / "alone.safetensors"), picture(models["dev"])) == 0


def test_what_a_single_file_lacks_is_named_with_the_place_for_it(models, tmp_path):
    save_original(tiny_flux(), tmp_path / "bare.safetensors", text=False, t5=False)
    save_original(tiny_flux(), tmp_path / "no_t5.safetensors", t5=False)
    shutil.copy(models["dev.safetensors"], tmp_path / "words.safetensors")
    shutil.copytree(models["dev.safetensors"].with_suffix(".config"), tmp_path / "words.config")
    shutil.rmtree(tmp_path / "words.config/tokenizer_2")
    for name, says in (
        ("bare", r"no CLIP text encoder\. Put text_encoder/ .* into the folder bare\.config beside the file"),
        ("no_t5", r"no T5 text encoder\. Put text_encoder_2/ and tokenizer_2/ .* no_t5\.config"),
        ("words", r"no vocabulary for its T5 text encoder\. Put tokenizer_2/ .* words\.config"),
    ):
        recipe = describe_model(tmp_path / f"{name}.safetensors", "digest").text_encoder
        with pytest.raises(BrokenModel, match=says):
            load_text_encoder(recipe, "cpu")


def test_variants_with_further_input_channels_are_refused_in_words(models, tmp_path):
    shutil.copytree(models["dev"], tmp_path / "fill")
    config = tmp_path / "fill/transformer/config.json"
    config.write_text(json.dumps(json.loads(config.read_text()) | {"in_channels": 384}))
    with pytest.raises(BrokenModel, match="384 channels where 64 are expected; the Fill and Control variants"):
        describe_model(tmp_path / "fill", "digest")


def test_an_autoencoder_of_other_latents_is_refused_in_words(models, tmp_path):
    shutil.copytree(models["sd3"], tmp_path / "mixed")
    config = tmp_path / "mixed/vae/config.json"
    config.write_text(json.dumps(json.loads(config.read_text()) | {"latent_channels": 4}))
    with pytest.raises(BrokenModel, match=r"autoencoder makes latents of 4 channels, and the rest reads 16\."):
        describe_model(tmp_path / "mixed", "digest")


@pytest.mark.parametrize("model", ["sd3", "dev"])
def test_files_with_parts_missing_are_refused_in_words(models, tmp_path, model):
    tensors, path = load_file(models[f"{model}.safetensors"]), tmp_path / "cut.safetensors"
    patches = {"sd3": "x_embedder.proj.weight", "dev": "img_in.weight"}[model]
    save_file({name: tensor for name, tensor in tensors.items() if not name.endswith(patches)}, path)
    with pytest.raises(BrokenModel, match="not what its kind of model has"):  # no config beside it
        describe_model(path, "digest")
    sidecar = Path(shutil.copytree(models[f"{model}.safetensors"].with_suffix(".config"), path.with_suffix(".config")))
    with pytest.raises(BrokenModel, match=rf"transformer lacks 1 tensors: model\.diffusion_model\.{patches}"):
        load_denoiser(describe_model(path, "digest").denoiser, "cpu")
    (sidecar / "transformer/config.json").write_text("{}")
    with pytest.raises(BrokenModel, match="not what its kind of model has"):
        describe_model(path, "digest")


def test_describing_tells_the_geometry(models):
    for name, native, multiple in (("sd3", 64, 16), ("dev", 1024, 16)):
        denoiser, _, autoencoder = describe_model(models[f"{name}.safetensors"], "digest")
        assert (denoiser.latent_channels, denoiser.downscale, denoiser.size_multiple) == (16, 8, multiple)
        assert denoiser.native_size == (native, native)
        assert denoiser.largest_side == (128 if name == "sd3" else 0)
        assert (denoiser.prediction, denoiser.conditioning) == ("flow", "prompt")
        assert (autoencoder.shift, autoencoder.scale) == ((0.0609, 1.5305) if name == "sd3" else (0.1159, 0.3611))


def test_packing_is_undone_and_equals_that_of_diffusers():
    x = torch.randn(2, 16, 6, 8)
    packed = flux_family.packed(x)
    assert torch.equal(packed, FluxPipeline._pack_latents(x, 2, 16, 6, 8))
    assert torch.equal(flux_family.unpacked(packed, 6, 8), x)
    assert torch.equal(flux_family.positions(3, 4), FluxPipeline._prepare_latent_image_ids(1, 3, 4, "cpu", torch.float32))
    with pytest.raises(ValueError, match="even sides, but got 7 x 6"):
        flux_family.packed(x[..., :7])


@pytest.mark.parametrize("model", ["sd3", "schnell"])
@pytest.mark.parametrize("precision", ["bfloat16", "float16"])
def test_half_precision_stays_close(models, model, precision):
    outputs = []
    for wanted in ("float32", precision):
        recipes = describe_model(models[model], "digest", wanted)
        prompt = load_text_encoder(recipes.text_encoder, "cpu").encode([PROMPT])[0]
        denoiser = load_denoiser(recipes.denoiser, "cpu")
        outputs.append(
            denoiser.predict(initial_noise(SEED, (1, 16, 8, 8)), [500.0], Prompts(prompt.states[None], prompt.pooled[None]))
        )
    full, half = outputs
    assert half.dtype == torch.float32
    assert 0 < (half - full).norm() / full.norm() < 0.1


def test_items_of_a_batch_are_told_their_own_scale_and_noise_level(models):
    recipes = describe_model(models["dev"], "digest")
    denoiser = load_denoiser(recipes.denoiser, "cpu")
    prompts = load_text_encoder(recipes.text_encoder, "cpu").encode([PROMPT, NEGATIVE])
    x, times, scales = initial_noise(SEED, (2, 16, 8, 8)), [900.0, 300.0], (1.0, 7.0)

    def predicted(rows: slice) -> Tensor:
        some = prompts[rows]
        states, pooled = (torch.stack([getattr(c, name) for c in some]) for name in ("states", "pooled"))
        hints = Hints((0.0,) * len(some), scales[rows])
        return denoiser.predict(x[rows], times[rows], Prompts(states, pooled), hints)

    together = predicted(slice(0, 2))
    for row in range(2):
        torch.testing.assert_close(predicted(slice(row, row + 1))[0], together[row], rtol=1e-4, atol=1e-4)

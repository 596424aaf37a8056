"""Stable Diffusion 1, 2, XL, its refiner and inpainting models: whole pictures equal those of diffusers' pipelines."""

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
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
from tiny_models import save_single_file, tiny_scheduler, tiny_sd1, tiny_sd2
from tiny_models.xl import tiny_refiner, tiny_sdxl
from torch import Tensor
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection

from nodegraph import NodeError
from nodegraph_nodes.diffusion import families, size_conditioning
from nodegraph_nodes.diffusion.families import (
    BrokenModel,
    Hints,
    ModelError,
    Prompts,
    adapt,
    describe_model,
    load_autoencoder,
    load_denoiser,
    load_text_encoder,
)
from nodegraph_nodes.diffusion.families.assemble import skeleton
from nodegraph_nodes.diffusion.families.clip import ClipTextEncoder
from nodegraph_nodes.diffusion.families.clip_tokenizer import clip_tokenizer
from nodegraph_nodes.diffusion.predict import guided_denoised
from nodegraph_nodes.diffusion.samplers import SAMPLERS, begin, finish, run_step
from nodegraph_nodes.diffusion.schedules import make_process, make_schedule
from nodegraph_nodes.types import Conditioning, Guidance

STEPS, SCALE, HALF = 4, 6.0, 2
PROMPT, NEGATIVE = "a red apple", "blurry"
TOLERANCE = 0.5 / 255
TINY: dict[str, Callable[[], Any]] = {
    "sd1": tiny_sd1,
    "sd2": tiny_sd2,
    "sdxl": tiny_sdxl,
    "sdxl_refiner": tiny_refiner,
    "sd1 inpainting": lambda: tiny_sd1(channels=9),
    "sd2 inpainting": lambda: tiny_sd2(channels=9, prediction="epsilon"),
    "sdxl inpainting": lambda: tiny_sdxl(channels=9),
}
PLAIN = ["sd1", "sd2", "sdxl"]
INPAINTING = [name for name in TINY if name.endswith("inpainting")]


@pytest.fixture(scope="module")
def pipelines() -> dict[str, Any]:
    return {name: build() for name, build in TINY.items()}


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory, pipelines: dict[str, Any]) -> dict[str, dict[str, Path]]:
    root = tmp_path_factory.mktemp("families")
    found = {}
    for name, pipeline in pipelines.items():
        folder, single = root / name / "folder", root / name / "single.safetensors"
        pipeline.save_pretrained(folder)
        found[name] = {"folder": folder, "single file": save_single_file(pipeline, single)}
    return found


def noise(width: int = 64, height: int = 64) -> Tensor:
    return torch.randn(1, 4, height // 8, width // 8, generator=torch.Generator().manual_seed(3))


def ours(
    model: Path,
    *,
    prompt: str = PROMPT,
    negative: str = NEGATIVE,
    start: Tensor | None = None,
    size: tuple[int, int] = (64, 64),
    concat: Tensor | None = None,
    change: Callable[[Conditioning], Conditioning] = lambda conditioning: conditioning,
    **options: Any,
) -> Tensor:
    """From disk to pixels [H, W, 3]. start: a normalised latent [4, h, w], of which the last half of the steps is done."""
    recipes = describe_model(model, "digest", **options)
    denoiser = load_denoiser(recipes.denoiser, "cpu")
    positive, away = map(change, load_text_encoder(recipes.text_encoder, "cpu").encode([prompt, negative]))
    schedule = make_schedule("ddim_uniform", make_process(recipes.denoiser.process), STEPS, recipes.denoiser.family)
    guidance = Guidance(positive, away, SCALE, concat=concat)
    state = begin(noise(*size)[0], schedule, 0, index=0 if start is None else HALF, latent=start)
    for index in range(state.index, STEPS):
        progress = index / STEPS
        state = run_step(
            SAMPLERS["ddim"],
            state,
            schedule,
            lambda x, point, progress=progress: guided_denoised(denoiser, x, point, guidance, progress),
        )
    return load_autoencoder(recipes.autoencoder, "cpu").decode(finish(state, schedule)[None])[0]


def theirs(pipeline: Any, **options: Any) -> Tensor:
    """The pipeline's, from the same noise."""
    pipeline.scheduler = tiny_scheduler(pipeline.scheduler.config.prediction_type)
    settings = {"negative_prompt": NEGATIVE, "guidance_scale": SCALE, "num_inference_steps": STEPS, "latents": noise()}
    result = pipeline(PROMPT, output_type="np", **{**settings, **options})
    return torch.from_numpy(result.images[0])


def difference(one: Tensor, other: Tensor) -> float:
    return (one - other).abs().max().item()


@pytest.mark.parametrize("layout", ["folder", "single file"])
@pytest.mark.parametrize("name", PLAIN)
def test_a_picture_from_text_equals_the_one_of_diffusers(models, pipelines, name, layout):
    expected = theirs(pipelines[name])
    assert difference(ours(models[name][layout]), expected) <= TOLERANCE
    assert difference(ours(models[name][layout], prompt="a dog"), expected) > 10 * TOLERANCE


@pytest.mark.parametrize("layout", ["folder", "single file"])
@pytest.mark.parametrize("name", [*PLAIN, "sdxl_refiner"])
def test_a_picture_from_a_picture_equals_the_one_of_diffusers(models, pipelines, name, layout):
    kind = StableDiffusionXLImg2ImgPipeline if name.startswith("sdxl") else StableDiffusionImg2ImgPipeline
    components = pipelines[name].components
    pipeline = kind(**components, **({} if kind is StableDiffusionXLImg2ImgPipeline else {"requires_safety_checker": False}))
    if name == "sdxl_refiner":
        pipeline.register_to_config(requires_aesthetics_score=True)
    pipeline.set_progress_bar_config(disable=True)
    start = torch.randn(1, 4, 8, 8, generator=torch.Generator().manual_seed(5))
    generator = torch.Generator().manual_seed(3)
    expected = theirs(pipeline, image=start, strength=HALF / STEPS, generator=generator, latents=None)
    assert difference(ours(models[name][layout], start=start[0]), expected) <= TOLERANCE


@pytest.mark.parametrize("layout", ["folder", "single file"])
@pytest.mark.parametrize("name", INPAINTING)
def test_an_inpainted_picture_equals_the_one_of_diffusers(models, pipelines, name, layout):
    mask = torch.zeros(1, 1, 64, 64)
    mask[..., 16:40, 24:56] = 1
    masked = torch.randn(1, 4, 8, 8, generator=torch.Generator().manual_seed(7))
    expected = theirs(
        pipelines[name], image=torch.rand(1, 3, 64, 64), mask_image=mask, masked_image_latents=masked, strength=1.0,
        height=64, width=64,
    )  # fmt: skip
    concat = torch.cat([mask[0, :, ::8, ::8], masked[0]])
    assert describe_model(models[name][layout], "digest").denoiser.concat_channels == 5
    assert difference(ours(models[name][layout], concat=concat), expected) <= TOLERANCE
    assert difference(ours(models[name][layout], concat=0 * concat), expected) > 2 * TOLERANCE


@pytest.mark.parametrize("name", ["sd1", "sd2"])
def test_diffusers_reads_the_single_files_too(models, pipelines, name):
    """So the layouts that our loaders are tested with are the real ones."""
    folder = pipelines[name]
    single = type(folder).from_single_file(
        str(models[name]["single file"]), config=str(models[name]["folder"]), local_files_only=True, safety_checker=None
    )
    assert_same_networks(single, folder, "unet", "vae", "text_encoder")


def test_diffusers_reads_the_single_file_of_sdxl_too(models, pipelines):
    folder, place = pipelines["sdxl"], models["sdxl"]
    single = type(folder).from_single_file(str(place["single file"]), config=str(place["folder"]), local_files_only=True)
    assert_same_networks(single, folder, "unet", "vae", "text_encoder", "text_encoder_2")


def assert_same_networks(one: Any, other: Any, *names: str) -> None:
    for name in names:
        state, stored = getattr(one, name).state_dict(), getattr(other, name).state_dict()
        assert state.keys() == stored.keys()
        assert all(torch.equal(tensor, stored[key]) for key, tensor in state.items()), name


# ---- prompts ----


@pytest.mark.parametrize("skip", [0, 1])
def test_clip_skip_of_sdxl_means_what_it_means_in_diffusers(models, pipelines, skip):
    recipe = replace(describe_model(models["sdxl"]["single file"], "digest").text_encoder, skip=skip)
    found = load_text_encoder(recipe, "cpu").encode([PROMPT])[0]
    states, _, pooled, _ = pipelines["sdxl"].encode_prompt(PROMPT, clip_skip=skip, do_classifier_free_guidance=False)
    torch.testing.assert_close(found.states, states[0])
    assert found.states.shape == (77, 32 + 48)
    torch.testing.assert_close(found.pooled, pooled[0])


@pytest.mark.parametrize("name", ["sd1", "sd2"])
def test_clip_skip_leaves_out_last_layers_and_keeps_the_final_norm(models, pipelines, name):
    """As StableDiffusionPipeline.encode_prompt, written out: its own line wants a `text_model` that transformers 5 lacks."""
    recipe = replace(describe_model(models[name]["folder"], "digest").text_encoder, skip=1)
    found = load_text_encoder(recipe, "cpu").encode([PROMPT])[0].states
    encoder, tokenizer = pipelines[name].text_encoder, pipelines[name].tokenizer
    ids = tokenizer(PROMPT, padding="max_length", max_length=77, return_tensors="pt").input_ids
    hidden = encoder(ids, output_hidden_states=True).hidden_states
    torch.testing.assert_close(found, encoder.final_layer_norm(hidden[-2])[0])
    assert not torch.allclose(found, encoder.final_layer_norm(hidden[-1])[0], atol=1e-3)


def test_a_loaded_encoder_takes_on_another_clip_skip_and_refuses_one_that_leaves_nothing(models):
    recipe = describe_model(models["sd1"]["folder"], "digest").text_encoder
    encoder = load_text_encoder(recipe, "cpu")
    before = encoder.encode([PROMPT])[0].states
    adapt(encoder, replace(recipe, skip=1))
    assert not torch.equal(encoder.encode([PROMPT])[0].states, before)
    adapt(encoder, recipe)
    assert torch.equal(encoder.encode([PROMPT])[0].states, before)
    with pytest.raises(ModelError, match="uses 2; leave out at most 1"):
        adapt(encoder, replace(recipe, skip=2))


def test_an_empty_negative_prompt_of_sdxl_is_zeros_as_in_diffusers_and_a_space_is_encoded(models, pipelines):
    model = models["sdxl"]["single file"]
    none, empty = theirs(pipelines["sdxl"], negative_prompt=None), theirs(pipelines["sdxl"], negative_prompt="")
    assert difference(ours(model, negative=""), none) <= TOLERANCE
    assert difference(ours(model, negative=" "), empty) <= TOLERANCE
    assert difference(none, empty) > 4 * TOLERANCE


def test_the_refiner_and_others_encode_an_empty_prompt(models):
    for name in ("sdxl_refiner", "sd1", "sd2"):
        encoder = load_text_encoder(describe_model(models[name]["folder"], "digest").text_encoder, "cpu")
        assert encoder.encode([""])[0].states.abs().sum() > 0


def test_second_tokenizers_pad_with_the_first_token_also_where_the_model_brings_none(models, tmp_path):
    assert [tower.pad for tower in encoder_of(models["sdxl"]["folder"]).towers] == [513, 0]
    assert [tower.pad for tower in encoder_of(models["sd2"]["single file"]).towers] == [0]
    assert clip_tokenizer(77, "!")("x", padding="max_length")["input_ids"][-1] == 0


def encoder_of(model: Path) -> ClipTextEncoder:
    encoder = load_text_encoder(describe_model(model, "digest").text_encoder, "cpu")
    assert isinstance(encoder, ClipTextEncoder)
    return encoder


def test_a_learned_word_is_a_vector_in_place_of_a_tokens_own(models):
    encoder = encoder_of(models["sdxl"]["folder"])
    ids = [torch.tensor([tower.padded(tower.token_ids("a b"))]) for tower in encoder.towers]
    own = [tower.embed(each) for tower, each in zip(encoder.towers, ids, strict=True)]
    plain = encoder.encode(["a b"])[0]
    same = encoder.encode_ids(ids, own)
    assert torch.equal(same.states[0], plain.states)
    assert torch.equal(same.pooled[0], plain.pooled)
    changed = [vectors.clone().index_fill_(1, torch.tensor([2]), 0.5) for vectors in own]
    learned = encoder.encode_ids(ids, changed)
    assert torch.equal(learned.states[0, :2], plain.states[:2])  # what stands before it does not see it
    assert not torch.allclose(learned.states[0, 2:], plain.states[2:])


# ---- sizes ----


def test_a_picture_that_is_not_square_tells_sdxl_its_height_first(models, pipelines):
    expected = theirs(pipelines["sdxl"], width=96, height=48, latents=noise(96, 48))
    assert difference(ours(models["sdxl"]["folder"], size=(96, 48)), expected) <= TOLERANCE


def test_size_conditioning_is_that_of_diffusers(models, pipelines):
    told = {"original_size": (512, 768), "crops_coords_top_left": (16, 32), "target_size": (640, 896)}
    away = {f"negative_{name}": value for name, value in told.items()}
    expected = theirs(pipelines["sdxl"], **told, **away)

    def change(conditioning: Conditioning) -> Conditioning:
        return size_conditioning.function(conditioning, 768, 512, 16, 32, 896, 640)

    assert difference(ours(models["sdxl"]["folder"], change=change), expected) <= TOLERANCE
    assert difference(ours(models["sdxl"]["folder"]), expected) > 2 * TOLERANCE


def test_the_refiner_is_told_a_lower_score_of_its_negative_prompt(models):
    recipe = describe_model(models["sdxl_refiner"]["folder"], "digest")
    denoiser, encoder = load_denoiser(recipe.denoiser, "cpu"), encoder_of(models["sdxl_refiner"]["folder"])
    prompt = encoder.encode([PROMPT])[0]
    prompts = Prompts(prompt.states.repeat(2, 1, 1), prompt.pooled.repeat(2, 1))
    x = noise().repeat(2, 1, 1, 1)
    told = denoiser.predict(x, [500.0] * 2, prompts, Hints((0.0,) * 2, (1.0,) * 2, negative=(False, True)))
    scores = []
    for score in (6.0, 2.5):
        conditioning = size_conditioning.function(prompt, 64, 64, aesthetic_score=score)
        sizes = {"time_ids": conditioning.extra["time_ids"][None].repeat(2, 1)}
        scores.append(denoiser.predict(x, [500.0] * 2, prompts._replace(extra=sizes)))
    torch.testing.assert_close(told[0], scores[0][0])
    torch.testing.assert_close(told[1], scores[1][1])
    assert not torch.allclose(told[0], told[1], atol=1e-4)
    with pytest.raises(ValueError, match="6 numbers where this model takes 5"):
        denoiser.predict(x, [500.0] * 2, prompts._replace(extra={"time_ids": torch.zeros(2, 6)}))


def test_only_sdxl_is_told_sizes(models):
    prompt = encoder_of(models["sd1"]["folder"]).encode([PROMPT])[0]
    with pytest.raises(NodeError, match="Only SDXL") as caught:
        size_conditioning.function(prompt)
    assert caught.value.socket == "conditioning"


# ---- half precision, shards, sizes of shipped configs ----


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_files_in_half_precision_load(models, pipelines, dtype, tmp_path):
    path = save_single_file(pipelines["sdxl"], tmp_path / "half.safetensors", dtype=dtype)
    assert difference(ours(path), ours(models["sdxl"]["single file"])) < 16 / 255


def test_a_folder_in_shards_loads(models, pipelines, tmp_path):
    pipelines["sdxl"].save_pretrained(tmp_path / "sharded")
    shutil.rmtree(tmp_path / "sharded/unet")
    pipelines["sdxl"].unet.save_pretrained(tmp_path / "sharded/unet", max_shard_size="1MB")
    assert len(list((tmp_path / "sharded/unet").glob("*.safetensors"))) > 1
    assert torch.equal(ours(tmp_path / "sharded"), ours(models["sdxl"]["folder"]))
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

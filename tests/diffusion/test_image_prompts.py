"""IP-Adapters against diffusers' pipeline with the same random adapter and image encoder, and what is refused."""

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from diffusers import DDIMScheduler, StableDiffusionPipeline, UNet2DConditionModel
from diffusers.image_processor import IPAdapterMaskProcessor
from PIL import Image as Pillow
from safetensors.torch import save_file
from tiny_models import BETAS, LATENT_SHAPE, tiny_sd1
from torch import Tensor
from transformers import CLIPVisionConfig, CLIPVisionModelWithProjection
from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil

from nodegraph import Context, ModelFile, NodeError
from nodegraph_nodes.diffusion import (
    apply_ip_adapter,
    denoise_step,
    encode_image_prompt,
    image_adapter_network,
    image_encoder_network,
    load_ip_adapter,
)
from nodegraph_nodes.diffusion import load_image_encoder as load_image_encoder_node
from nodegraph_nodes.diffusion.families import ModelError, describe_model, load_autoencoder, load_denoiser, load_text_encoder
from nodegraph_nodes.diffusion.families.attention import cross_attentions, misfit, steered
from nodegraph_nodes.diffusion.families.image_encoder import clip_pixels, describe_image_encoder, load_image_encoder
from nodegraph_nodes.diffusion.families.ip_adapter import IPAdapter, describe_image_adapter, load_image_adapter
from nodegraph_nodes.diffusion.families.loaded import Hints, Reading
from nodegraph_nodes.diffusion.predict import Evaluation, guided_denoised, guided_denoised_many
from nodegraph_nodes.diffusion.samplers import SAMPLERS, begin, finish, initial_noise, run_step
from nodegraph_nodes.diffusion.schedules import make_process, make_schedule
from nodegraph_nodes.types import Guidance, ImageAdapter, ImageEmbedding, ImageEncoder, Point

SEED, STEPS, SCALE, SIZE = 3, 4, 5.0, 32  # SIZE: pixels of the tiny image encoder
TOLERANCE = 2 / 255
TEXT, PICTURE, HIDDEN = 32, 24, 48  # widths: of prompts, of a picture as a whole, of its patches
HALVES = ("image_proj", "ip_adapter")  # of an adapter's file
POINT = Point(alpha=0.8, sigma=0.6, timestep=400.0)


def random_adapter(unet: Any, kind: str, seed: int) -> dict[str, Tensor]:
    """The tensors of an adapter in the original layout, strong enough to be seen."""
    generator = torch.Generator().manual_seed(seed)

    def rand(*shape: int, scale: float = 1.0) -> Tensor:
        return torch.randn(shape, generator=generator) * scale / shape[-1] ** 0.5

    def norm(name: str, width: int) -> dict[str, Tensor]:
        return {f"{name}.weight": 1 + rand(width), f"{name}.bias": rand(width)}

    tensors: dict[str, Tensor] = {}
    if kind == "plain":
        tensors = {"proj.weight": rand(4 * TEXT, PICTURE), "proj.bias": rand(4 * TEXT), **norm("norm", TEXT)}
    elif kind == "full face":
        tensors = {"proj.0.weight": rand(HIDDEN, HIDDEN), "proj.0.bias": rand(HIDDEN), **norm("proj.3", TEXT)}
        tensors |= {"proj.2.weight": rand(TEXT, HIDDEN), "proj.2.bias": rand(TEXT)}
    else:
        inner = 64
        tensors = {"latents": rand(1, 6, inner, scale=8), "proj_in.weight": rand(inner, HIDDEN), "proj_in.bias": rand(inner)}
        tensors |= {"proj_out.weight": rand(TEXT, inner), "proj_out.bias": rand(TEXT), **norm("norm_out", TEXT)}
        for i in range(4):
            tensors |= norm(f"layers.{i}.0.norm1", inner) | norm(f"layers.{i}.0.norm2", inner) | norm(f"layers.{i}.1.0", inner)
            tensors[f"layers.{i}.0.to_q.weight"] = rand(128, inner)
            tensors[f"layers.{i}.0.to_kv.weight"] = rand(256, inner)
            tensors[f"layers.{i}.0.to_out.weight"] = rand(inner, 128)
            tensors[f"layers.{i}.1.1.weight"] = rand(4 * inner, inner)
            tensors[f"layers.{i}.1.3.weight"] = rand(inner, 4 * inner)
    named = {f"image_proj.{name}": tensor for name, tensor in tensors.items()}
    for i, layer in enumerate(cross_attentions(unet)):
        for side in "kv":
            named[f"ip_adapter.{2 * i + 1}.to_{side}_ip.weight"] = rand(layer.inner_kv_dim, TEXT, scale=3)
    return named


class Models(NamedTuple):
    """A pipeline, an image encoder and four adapters on disk."""

    folder: Path
    encoder: Path
    adapters: dict[str, Path]


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Models:
    root = tmp_path_factory.mktemp("ip")
    pipeline = tiny_sd1()
    pipeline.save_pretrained(root / "model")
    torch.manual_seed(1)
    config = CLIPVisionConfig(
        hidden_size=HIDDEN,
        intermediate_size=64,
        projection_dim=PICTURE,
        num_hidden_layers=3,
        num_attention_heads=4,
        image_size=SIZE,
        patch_size=8,
    )
    CLIPVisionModelWithProjection(config).save_pretrained(root / "encoder")
    adapters = {}
    for seed, (name, kind) in enumerate({"plain": "plain", "other": "plain", "plus": "plus", "full face": "full face"}.items()):
        adapters[name] = root / f"{name}.safetensors"
        save_file(random_adapter(pipeline.unet, kind, seed), adapters[name])
    return Models(root / "model", root / "encoder", adapters)


def photo(seed: int, width: int = SIZE, height: int = SIZE) -> Tensor:
    """A smooth colourful picture [H, W, 3] of whole 8-bit steps, of the encoder's size so that nothing resizes it."""
    generator = torch.Generator().manual_seed(seed)
    small = torch.rand(1, 3, 4, 4, generator=generator)
    smooth = torch.nn.functional.interpolate(small, (height, width), mode="bicubic").clamp(0, 1)[0].permute(1, 2, 0)
    return (smooth * 255).round() / 255


def pillow(picture: Tensor) -> Pillow.Image:
    return Pillow.fromarray((picture * 255).round().byte().numpy())


@pytest.fixture(scope="module")
def resident(models: Models) -> Any:
    """A loader that keeps what it loaded."""
    loaded: dict[Any, Any] = {}
    loaders: dict[type, Any] = {
        ImageAdapter: lambda recipe: load_image_adapter(recipe, "cpu", torch.float32),
        ImageEncoder: lambda recipe: load_image_encoder(recipe, "cpu", torch.float32),
    }

    def load(recipe: Any) -> Any:
        if recipe not in loaded:
            loaded[recipe] = loaders.get(type(recipe), lambda r: load_denoiser(r, "cpu"))(recipe)
        return loaded[recipe]

    return load


@pytest.fixture(scope="module")
def embedding(models: Models, resident: Any) -> Any:
    def embed(seed: int) -> ImageEmbedding:
        return encode_image_prompt(Context(load=resident), describe_image_encoder(models.encoder, "e"), photo(seed))

    return embed


def adapter(models: Models, name: str) -> ImageAdapter:
    return describe_image_adapter(models.adapters[name], name)


def plain_guidance(models: Models) -> Guidance:
    positive, negative = load_text_encoder(describe_model(models.folder, "m").text_encoder, "cpu").encode(["a cat", "blurry"])
    return Guidance(positive, negative, SCALE)


def picture(models: Models, guidance: Guidance, resident: Any) -> Tensor:
    recipes = describe_model(models.folder, "m")
    network = resident(recipes.denoiser)
    schedule = make_schedule("ddim_uniform", make_process(recipes.denoiser.process), STEPS, "sd1")
    state = begin(initial_noise(SEED, LATENT_SHAPE), schedule, SEED)
    for index in range(STEPS):
        state = run_step(
            SAMPLERS["ddim"],
            state,
            schedule,
            lambda x, point, progress=index / STEPS: guided_denoised(network, x, point, guidance, progress, resident),
        )
    return load_autoencoder(recipes.autoencoder, "cpu").decode(finish(state, schedule)[None])[0]


def diffusers_picture(
    models: Models, adapters: list[str], photos: list[Any], scales: list[float], masks: list[Tensor] | None = None
) -> Tensor:
    """StableDiffusionPipeline's, with adapters of the same files."""
    encoder = CLIPVisionModelWithProjection.from_pretrained(models.encoder, local_files_only=True)
    pipeline = StableDiffusionPipeline.from_pretrained(
        models.folder,
        local_files_only=True,
        safety_checker=None,
        image_encoder=encoder,
        feature_extractor=CLIPImageProcessorPil(size={"shortest_edge": SIZE}, crop_size=SIZE),
    )
    pipeline.set_progress_bar_config(disable=True)
    pipeline.scheduler = DDIMScheduler(**BETAS, clip_sample=False, set_alpha_to_one=False, steps_offset=1)
    paths = [models.adapters[name] for name in adapters]
    pipeline.load_ip_adapter(
        [str(path.parent) for path in paths],
        subfolder=[""] * len(paths),
        weight_name=[path.name for path in paths],
        image_encoder_folder=None,
        local_files_only=True,
    )
    pipeline.set_ip_adapter_scale(scales)
    options: dict[str, Any] = {}
    if masks is not None:
        prepared = IPAdapterMaskProcessor().preprocess([Pillow.fromarray((m * 255).byte().numpy()) for m in masks])
        options["cross_attention_kwargs"] = {"ip_adapter_masks": [mask[None] for mask in prepared]}
    result = pipeline(
        "a cat",
        negative_prompt="blurry",
        ip_adapter_image=photos,
        latents=initial_noise(SEED, LATENT_SHAPE)[None],
        num_inference_steps=STEPS,
        guidance_scale=SCALE,
        width=64,
        height=64,
        output_type="np",
        **options,
    )
    return torch.from_numpy(result.images[0])


@pytest.mark.parametrize("name", ["plain", "plus", "full face"])
def test_a_picture_with_an_image_prompt_equals_the_one_of_diffusers(models, resident, embedding, name):
    ours = picture(models, apply_ip_adapter(plain_guidance(models), adapter(models, name), embedding(1), weight=0.7), resident)
    expected = diffusers_picture(models, [name], [pillow(photo(1))], [0.7])
    assert (ours - expected).abs().max() <= TOLERANCE
    for other in (
        plain_guidance(models),
        apply_ip_adapter(plain_guidance(models), adapter(models, name), embedding(2), weight=0.7),
        apply_ip_adapter(plain_guidance(models), adapter(models, name), embedding(1), weight=0.4),
    ):
        assert (picture(models, other, resident) - expected).abs().max() > 3 * TOLERANCE


def test_two_adapters_and_several_pictures_for_one_equal_those_of_diffusers(models, resident, embedding):
    guidance = apply_ip_adapter(plain_guidance(models), adapter(models, "plain"), embedding(1), embedding(2), weight=0.5)
    ours = picture(models, apply_ip_adapter(guidance, adapter(models, "plus"), embedding(3), weight=0.8), resident)
    pictures = [[pillow(photo(1)), pillow(photo(2))], [pillow(photo(3))]]
    expected = diffusers_picture(models, ["plain", "plus"], pictures, [0.5, 0.8])
    assert (ours - expected).abs().max() <= TOLERANCE


def test_masks_place_pictures_as_those_of_diffusers_do(models, resident, embedding):
    left = torch.zeros(64, 64)
    left[:, :32] = 1
    guidance = plain_guidance(models)
    for name, seed, mask in (("plain", 1, left), ("other", 2, 1 - left)):
        guidance = apply_ip_adapter(guidance, adapter(models, name), embedding(seed), weight=0.9, mask=mask)
    expected = diffusers_picture(models, ["plain", "other"], [pillow(photo(1)), pillow(photo(2))], [0.9, 0.9], [left, 1 - left])
    ours = picture(models, guidance, resident)
    assert (ours - expected).abs().max() <= TOLERANCE
    exchanged = diffusers_picture(
        models, ["plain", "other"], [pillow(photo(1)), pillow(photo(2))], [0.9, 0.9], [1 - left, left]
    )
    assert (ours - exchanged).abs().max() > 3 * TOLERANCE


def test_layers_are_numbered_as_in_the_files_of_larger_networks():
    """SDXL's shape: several cross-attentions a block, at two levels and in the middle, all of different numbers."""
    torch.manual_seed(5)
    unet = UNet2DConditionModel(
        block_out_channels=(32, 64),
        layers_per_block=1,
        cross_attention_dim=TEXT,
        attention_head_dim=4,
        norm_num_groups=32,
        down_block_types=("CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "CrossAttnUpBlock2D"),
        transformer_layers_per_block=(1, 2),
    ).eval()
    tensors = random_adapter(unet, "plain", 6)
    layers = cross_attentions(unet)
    embeds, x, states = torch.randn(2, PICTURE), torch.randn(2, 4, 8, 8), torch.randn(2, 7, TEXT)
    assert [layer.inner_kv_dim for layer in layers] == [32, *6 * [64], 32, 32, 64, 64]
    with torch.no_grad():
        tokens = unet_tokens(tensors, embeds)
        theirs = UNet2DConditionModel.from_config(unet.config).eval()
        theirs.load_state_dict(unet.state_dict())
        halves = {
            half: {n.removeprefix(f"{half}."): t for n, t in tensors.items() if n.startswith(f"{half}.")} for half in HALVES
        }
        theirs._load_ip_adapter_weights([halves], low_cpu_mem_usage=False)
        expected = theirs(x, 10, states, added_cond_kwargs={"image_embeds": [embeds[:, None]]}, return_dict=False)[0]
        numbers = sorted({int(name.split(".")[1]) for name in tensors if name.startswith("ip_adapter.")})
        sides = [[tensors[f"ip_adapter.{number}.to_{side}_ip.weight"] for number in numbers] for side in "kv"]
        read = IPAdapter("", torch.nn.Identity(), *sides)
        hints = Hints((0.5, 0.5), (1.0, 1.0), readings=tuple((Reading(t, adapter=read),) for t in tokens))
        with steered(layers, hints, states, x):
            ours = unet(x, 10, states, return_dict=False)[0]
        plain = unet(x, 10, states, return_dict=False)[0]
    torch.testing.assert_close(ours, expected, rtol=1e-4, atol=1e-4)
    assert (plain - expected).abs().mean() > 1e-3


def unet_tokens(tensors: dict[str, Tensor], embeds: Tensor) -> Tensor:
    """The plain projection, written out: [B, D] -> [B, 4, W]."""
    flat = embeds @ tensors["image_proj.proj.weight"].T + tensors["image_proj.proj.bias"]
    norm = (tensors["image_proj.norm.weight"], tensors["image_proj.norm.bias"])
    return torch.nn.functional.layer_norm(flat.view(len(embeds), 4, TEXT), (TEXT,), *norm)


def test_a_weight_of_nothing_is_no_image_prompt_to_the_bit(models, resident, embedding):
    guidance = plain_guidance(models)
    nothing = apply_ip_adapter(guidance, adapter(models, "plain"), embedding(1), weight=0.0)
    assert torch.equal(picture(models, nothing, resident), picture(models, guidance, resident))


def test_image_prompts_count_during_their_share_of_the_steps_and_rows_keep_their_values_in_a_mixed_batch(
    models, resident, embedding
):
    network = resident(describe_model(models.folder, "m").denoiser)
    plain, plus = adapter(models, "plain"), adapter(models, "plus")
    guidance = plain_guidance(models)
    early = apply_ip_adapter(guidance, plain, embedding(1), end=0.5)
    mask = torch.rand(16, 16, generator=torch.Generator().manual_seed(0))
    guidances = [
        guidance,
        early,
        apply_ip_adapter(guidance, plain, embedding(2), embedding(3), weight=-0.3, mask=mask),
        apply_ip_adapter(apply_ip_adapter(guidance, plus, embedding(2)), plain, embedding(1), weight=0.2),
    ]
    evaluations = [Evaluation(initial_noise(i, LATENT_SHAPE), POINT, each, 0.2) for i, each in enumerate(guidances)]
    together = guided_denoised_many(network, evaluations, resident)
    for ours, evaluation in zip(together, evaluations, strict=True):
        torch.testing.assert_close(ours, guided_denoised(network, *evaluation, resident), rtol=1e-4, atol=1e-4)
    late = [Evaluation(initial_noise(0, LATENT_SHAPE), POINT, each, 0.5) for each in (guidance, early)]
    assert torch.equal(*guided_denoised_many(network, late, resident))
    assert not torch.equal(guided_denoised(network, *late[0]._replace(progress=0.4)), together[1])


@pytest.mark.parametrize("size", [(48, 40), (300, 200), (31, 90), (32, 32)])
@pytest.mark.parametrize("crop", [True, False])
def test_pictures_are_shown_to_clip_as_transformers_does(size, crop):
    """Pillow rounds to 8 bits after each axis and we never do: 2 steps of 255 may differ, here over a deviation of 0.26."""
    picture = photo(4, *size)
    shape = {"shortest_edge": 32} if crop else {"height": 32, "width": 32}
    processor = CLIPImageProcessorPil(size=shape, crop_size=32)
    expected = torch.as_tensor(np.asarray(processor(pillow(picture), return_tensors="np")["pixel_values"][0]))
    ours = clip_pixels(picture, 32, crop)
    assert (ours - expected).abs().max() <= 2 / 255 / 0.26
    assert size[0] == size[1] or (clip_pixels(picture, 32, not crop) - expected).abs().max() > 0.1


def test_what_is_hidden_in_transparent_places_is_not_looked_at():
    hidden = torch.cat([photo(1, 48, 40), torch.zeros(40, 48, 1)], -1)
    assert torch.allclose(clip_pixels(hidden, 32, True), clip_pixels(torch.ones(40, 48, 3), 32, True))


def test_a_single_file_of_a_known_depth_needs_no_config(models, tmp_path):
    torch.manual_seed(2)
    config = CLIPVisionConfig(
        hidden_size=48, intermediate_size=64, projection_dim=PICTURE, num_hidden_layers=12, image_size=SIZE, patch_size=8
    )
    network = CLIPVisionModelWithProjection(config).eval()
    network.save_pretrained(tmp_path / "folder")
    file = (tmp_path / "folder" / "model.safetensors").rename(tmp_path / "encoder.safetensors")
    loaded = load_image_encoder(describe_image_encoder(file, "e"), "cpu", torch.float32)
    with torch.no_grad():
        expected = network(clip_pixels(photo(1), SIZE, True)[None]).image_embeds[0]
    torch.testing.assert_close(loaded.encode(photo(1)).pooled, expected)


def test_a_single_file_of_another_depth_is_described_by_a_config_beside_it(models, tmp_path):
    file = tmp_path / "encoder.safetensors"
    file.write_bytes((models.encoder / "model.safetensors").read_bytes())
    with pytest.raises(ModelError, match="3 layers"):
        describe_image_encoder(file, "e")
    (tmp_path / "encoder.config").mkdir()
    (tmp_path / "encoder.config" / "config.json").write_text((models.encoder / "config.json").read_text())
    assert load_image_encoder(describe_image_encoder(file, "e"), "cpu", torch.float32).size == SIZE


# ---- what does not fit ----


def test_an_adapter_says_what_it_is(models):
    assert (adapter(models, "plain").fine, adapter(models, "plain").text_width, adapter(models, "plain").image_width) == (
        False,
        TEXT,
        PICTURE,
    )
    assert (adapter(models, "plus").fine, adapter(models, "plus").image_width) == (True, HIDDEN)


@pytest.mark.parametrize(
    ("tensors", "words"),
    [
        ({"lora_up.weight": torch.ones(2, 2)}, "not an IP-Adapter"),
        ({"ip_adapter.1.to_k_ip.weight": torch.ones(2, 2)}, "does not know"),
        (
            {"image_proj.proj.0.weight": torch.ones(2, 2), "image_proj.proj.2.weight": torch.ones(2, 2)}
            | {"image_proj.norm.weight": torch.ones(2), "ip_adapter.1.to_k_ip.weight": torch.ones(2, 2)},
            "FaceID",
        ),
        (
            {"ip_adapter.0.to_q_lora.down.weight": torch.ones(2, 2), "image_proj.proj.weight": torch.ones(8, 2)}
            | {"ip_adapter.1.to_k_ip.weight": torch.ones(2, 2)},
            "FaceID",
        ),
    ],
)
def test_other_files_are_refused_clearly(tmp_path, tensors, words):
    save_file(tensors, tmp_path / "a.safetensors")
    with pytest.raises(ModelError, match=words):
        describe_image_adapter(tmp_path / "a.safetensors", "a")
    with pytest.raises(ModelError, match="not a CLIP image encoder"):
        describe_image_encoder(tmp_path / "a.safetensors", "a")


def test_nodes_say_which_model_cannot_be_used_and_load_those_that_can(models, tmp_path):
    save_file({"a": torch.ones(1)}, tmp_path / "a.safetensors")
    other = ModelFile("a.safetensors", tmp_path / "a.safetensors", "a")
    for load in (load_ip_adapter, load_image_encoder_node):
        with pytest.raises(NodeError, match=r"'a\.safetensors' cannot be used: not a") as caught:
            load(other)
        assert caught.value.socket == "model"
    assert load_ip_adapter(ModelFile("plus", models.adapters["plus"], "plus")) == adapter(models, "plus")
    assert image_adapter_network(adapter(models, "plus"), torch.device("cpu")).nbytes > 100_000
    recipe = load_image_encoder_node(ModelFile("encoder", models.encoder, "e"))
    assert image_encoder_network(recipe, torch.device("cpu")).size == SIZE


@pytest.mark.parametrize(
    "missing", ["image_proj.layers.0.0.to_q.weight", "ip_adapter.3.to_v_ip.weight", "image_proj.norm_out.bias"]
)
def test_an_incomplete_adapter_is_refused_clearly(models, tmp_path, missing):
    tensors = random_adapter(tiny_sd1().unet, "plus", 0)
    del tensors[missing]
    save_file(tensors, tmp_path / "a.safetensors")
    with pytest.raises(ModelError, match=missing.removeprefix("image_proj.")):
        load_image_adapter(describe_image_adapter(tmp_path / "a.safetensors", "a"), "cpu", torch.float32)


def test_what_does_not_fit_together_is_refused_before_it_runs(models, embedding):
    guidance, plain = plain_guidance(models), adapter(models, "plain")
    wide = ImageEmbedding(torch.zeros(99), torch.zeros(5, 99), torch.zeros(5, 99))
    sdxl = ImageAdapter("sdxl", "/x", "x", text_width=2048, image_width=PICTURE)
    for call, socket, words in (
        (lambda: apply_ip_adapter(guidance, plain), "images", "no picture"),
        (lambda: apply_ip_adapter(guidance, sdxl, embedding(1)), "adapter", "another kind of model"),
        (lambda: apply_ip_adapter(guidance, plain, wide), "images", "another image encoder"),
        (lambda: apply_ip_adapter(guidance, plain, embedding(1), mask=torch.zeros(8, 8)), "mask", "empty"),
    ):
        with pytest.raises(NodeError, match=words) as caught:
            call()
        assert caught.value.socket == socket


def test_an_adapter_of_other_layers_is_refused_at_the_step(models, resident, embedding, tmp_path):
    tensors = random_adapter(tiny_sd1().unet, "plain", 0)
    fewer = {name: tensor for name, tensor in tensors.items() if not name.startswith("ip_adapter.3.")}
    save_file(fewer, tmp_path / "fewer.safetensors")
    recipe = describe_model(models.folder, "m").denoiser
    guidance = apply_ip_adapter(
        plain_guidance(models), describe_image_adapter(tmp_path / "fewer.safetensors", "f"), embedding(1)
    )
    schedule = make_schedule("normal", make_process(recipe.process), 4, "sd1")
    state = begin(initial_noise(0, LATENT_SHAPE), schedule, 0)
    with pytest.raises(NodeError, match="does not fit the model: the adapter is for"):
        denoise_step(Context(load=resident), recipe, state, schedule, guidance)
    tensors["ip_adapter.3.to_k_ip.weight"] = torch.ones(8, TEXT)
    save_file(tensors, tmp_path / "narrow.safetensors")
    narrow = load_image_adapter(describe_image_adapter(tmp_path / "narrow.safetensors", "n"), "cpu", torch.float32)
    assert "cross-attention 2 is 32 x 8" in (misfit(resident(recipe).cross_attentions, narrow) or "")

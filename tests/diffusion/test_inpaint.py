"""Inpainting models against diffusers' pipeline, and what a run with a mask begins with, gives and leaves alone."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import EulerDiscreteScheduler, StableDiffusionInpaintPipeline, UNet2DConditionModel
from tiny_models import BETAS, tiny_sd1
from torch import Tensor

import nodegraph
from nodegraph import Context, NodeError
from nodegraph.api.paths import shipped
from nodegraph_nodes.diffusion import (
    begin_denoise,
    decode,
    denoise_step,
    encode,
    encode_prompt,
    finish_denoise,
    guidance,
    inpaint_guidance,
    masked_content,
    masked_latent,
    noise_schedule,
    unmasked_latent,
)
from nodegraph_nodes.diffusion.families import Recipes, describe_model, load_autoencoder, load_text_encoder
from nodegraph_nodes.diffusion.families.networks import UNetDenoiser
from nodegraph_nodes.diffusion.samplers import initial_noise
from nodegraph_nodes.mask import ellipse_mask
from nodegraph_nodes.types import Conditioning, Guidance, Latent, Tiles

STEPS, SEED = 6, 3
TOLERANCE = 2 / 255
PICTURE = torch.rand(64, 64, 3, generator=torch.Generator().manual_seed(1))
MASK = ellipse_mask(64, 64, 0.6, 0.4, 0.3, 0.25)
NOISE = initial_noise(SEED, (4, 8, 8))


class Model:
    """A tiny inpainting model: ours and diffusers', with the same weights."""

    def __init__(self, folder: Path) -> None:
        pipeline = tiny_sd1()
        pipeline.save_pretrained(folder)
        recipes = describe_model(folder, "digest")
        self.recipes = Recipes(replace(recipes.denoiser, concat_channels=5), recipes.text_encoder, recipes.autoencoder)
        torch.manual_seed(5)
        config = {name: value for name, value in pipeline.unet.config.items() if not name.startswith("_")}
        self.unet = UNet2DConditionModel(**{**config, "in_channels": 9}).eval().requires_grad_(False)
        self.unet.conv_out.weight.mul_(3)
        self.networks = {
            self.recipes.denoiser: UNetDenoiser(self.recipes.denoiser, self.unet),
            self.recipes.text_encoder: load_text_encoder(recipes.text_encoder, "cpu"),
            self.recipes.autoencoder: load_autoencoder(recipes.autoencoder, "cpu"),
        }
        self.context = Context(load=self.networks.__getitem__)
        self.pipeline = StableDiffusionInpaintPipeline(
            vae=pipeline.vae,
            text_encoder=pipeline.text_encoder,
            tokenizer=pipeline.tokenizer,
            unet=self.unet,
            scheduler=EulerDiscreteScheduler(**BETAS, timestep_spacing="linspace"),
            safety_checker=None,
            feature_extractor=None,
            requires_safety_checker=False,
        )
        self.pipeline.set_progress_bar_config(disable=True)
        self.pipeline._encode_vae_image = lambda image, generator: (  # ours takes the mean of the posterior
            pipeline.vae.encode(image).latent_dist.mode() * pipeline.vae.config.scaling_factor
        )

    def guidance(self, image: Tensor = PICTURE, mask: Tensor = MASK) -> Guidance:
        prompts = [encode_prompt(self.context, self.recipes.text_encoder, text) for text in ("a red apple", "blurry")]
        return inpaint_guidance(self.context, guidance(*prompts, scale=7.0), self.recipes.autoencoder, image, mask)

    def picture(self, combined: Guidance) -> Tensor:
        schedule = noise_schedule(self.recipes.denoiser, "normal", STEPS)
        state = begin_denoise(Latent(NOISE, "sd1"), schedule)
        for _ in range(STEPS):
            state = denoise_step(self.context, self.recipes.denoiser, state, schedule, combined, "euler")
        image: Tensor = decode(self.context, self.recipes.autoencoder, finish_denoise(state, schedule))
        return image


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Model:
    return Model(tmp_path_factory.mktemp("sd1"))


def diffusers_channels(model: Model, image: Tensor, mask: Tensor) -> Tensor:
    """What diffusers' pipeline puts beside the latent: [5, h, w]."""
    pipeline, (height, width) = model.pipeline, mask.shape
    init = pipeline.image_processor.preprocess(image.movedim(-1, 0)[None], height=height, width=width)
    condition = pipeline.mask_processor.preprocess(mask[None, None], height=height, width=width)
    masked = init * (condition < 0.5)
    parts = pipeline.prepare_mask_latents(condition, masked, 1, height, width, torch.float32, "cpu", None, False)
    return torch.cat(parts, 1)[0]


@pytest.mark.parametrize("size", [(64, 64), (48, 80)])
def test_the_further_channels_are_those_of_diffusers_pipeline(model: Model, size: tuple[int, int]) -> None:
    generator = torch.Generator().manual_seed(2)
    image, mask = torch.rand(*size, 3, generator=generator), torch.rand(size, generator=generator)
    combined = model.guidance(image, mask)
    assert combined.concat is not None
    expected = diffusers_channels(model, image, mask)
    torch.testing.assert_close(combined.concat, expected, atol=1e-5, rtol=1e-5)
    assert set(combined.concat[0].unique().tolist()) == {0.0, 1.0}
    assert (diffusers_channels(model, image, 1 - mask) - expected).abs().max() > 0.1  # the oracle can tell masks apart
    hidden = torch.where(mask[..., None] >= 0.5, torch.zeros(3), image)
    assert not torch.equal(model.guidance(hidden, mask).concat[1:], model.guidance(hidden, mask * 0).concat[1:])  # type: ignore[index]
    torch.testing.assert_close(model.guidance(hidden, mask).concat, expected, atol=1e-5, rtol=1e-5)  # what is hidden has no say


def test_a_picture_of_an_inpainting_model_is_diffusers(model: Model) -> None:
    options: dict[str, Any] = {"guidance_scale": 7.0, "num_inference_steps": STEPS, "strength": 1.0, "output_type": "pt"}
    with torch.no_grad():
        wanted = (
            model.pipeline(
                "a red apple",
                image=PICTURE.movedim(-1, 0)[None],
                mask_image=MASK[None, None],
                negative_prompt="blurry",
                latents=NOISE[None],
                height=64,
                width=64,
                **options,
            )
            .images[0]
            .movedim(0, -1)
        )
    combined = model.guidance()
    assert (model.picture(combined) - wanted).abs().max() < TOLERANCE
    assert combined.concat is not None
    swapped = replace(combined, concat=torch.cat([combined.concat[1:], combined.concat[:1]]))
    assert (model.picture(swapped) - wanted).abs().max() > 5 * TOLERANCE  # the latent before the mask would show


def test_what_an_inpainting_model_is_not_told_and_what_others_cannot_be_told_is_said(model: Model) -> None:
    schedule = noise_schedule(model.recipes.denoiser, "normal", STEPS)
    combined, state = model.guidance(), begin_denoise(Latent(NOISE, "sd1"), schedule)

    def refused(guidance: Guidance, channels: int = 5, state: Any = state) -> NodeError:
        with pytest.raises(NodeError) as caught:
            denoise_step(model.context, replace(model.recipes.denoiser, concat_channels=channels), state, schedule, guidance)
        assert caught.value.socket == "guidance"
        return caught.value

    assert "inpaint_guidance" in str(refused(replace(combined, concat=None)).hint)
    assert "masked_latent" in str(refused(combined, 0).hint)
    larger = begin_denoise(Latent(initial_noise(0, (4, 8, 10)), "sd1"), schedule)
    assert (refused(combined, 5, larger).expected, refused(combined, 5, larger).got) == (
        "5 channels, 10 x 8",
        "5 channels, 8 x 8",
    )


@pytest.mark.parametrize(
    ("image", "mask", "socket", "hint"),
    [
        (PICTURE[:, :60], MASK[:, :60], "image", "image/fit_to_multiple"),
        (PICTURE, MASK[:32], "mask", "mask/resize_mask"),
        (torch.cat([PICTURE, MASK[..., None]], -1), MASK, "image", "image/flatten"),
    ],
)
def test_a_picture_or_mask_that_does_not_fit_is_said_with_what_to_do(
    model: Model, image: Tensor, mask: Tensor, socket: str, hint: str
) -> None:
    with pytest.raises(NodeError) as caught:
        model.guidance(image, mask)
    assert caught.value.socket == socket
    assert hint in str(caught.value.hint)


def test_a_prompt_of_another_family_is_refused(model: Model) -> None:
    other = Guidance(Conditioning(torch.zeros(1, 2), "other"), None, 1.0)
    with pytest.raises(NodeError, match="another kind of model"):
        inpaint_guidance(model.context, other, model.recipes.autoencoder, PICTURE, MASK)


def test_opaque_pictures_with_an_alpha_channel_are_encoded_and_transparent_ones_are_not(model: Model) -> None:
    opaque = torch.cat([PICTURE, torch.ones(64, 64, 1)], -1)
    plain = encode(model.context, model.recipes.autoencoder, PICTURE)
    assert torch.equal(encode(model.context, model.recipes.autoencoder, opaque).samples, plain.samples)
    with pytest.raises(NodeError, match="transparent") as caught:
        encode(model.context, model.recipes.autoencoder, opaque * 0.9)
    assert "image/flatten" in str(caught.value.hint)
    with pytest.raises(NodeError, match="does not fit") as caught:
        encode(model.context, model.recipes.autoencoder, PICTURE[:, :63])
    assert "image/fit_to_multiple" in str(caught.value.hint)


def test_the_masked_picture_is_encoded_in_tiles_where_the_autoencoder_says_so(model: Model) -> None:
    whole = model.guidance().concat
    tiled = replace(model.recipes.autoencoder, tiles=Tiles(32, 32, 16))
    context = Context(load={**model.networks, tiled: model.networks[model.recipes.autoencoder]}.__getitem__)
    found = inpaint_guidance(context, model.guidance(), tiled, PICTURE, MASK).concat
    assert found is not None
    assert whole is not None
    assert torch.equal(found[0], whole[0])
    assert (found - whole).abs().max() > 0  # this tiny encoder sees further than a tile
    wanted = encode(context, tiled, torch.where(MASK[..., None] >= 0.5, 0.5, PICTURE)).samples
    assert torch.equal(found[1:], wanted)


# ---- what a masked run begins with, and gives ----


def masked() -> Latent:
    mask = MASK.clone()
    mask[:, 56:] = 0.5
    return masked_latent(Latent(initial_noise(9, (4, 8, 8)), "sd1"), mask)


def test_the_masked_part_begins_with_what_was_asked_for_by_the_masks_value() -> None:
    latent = masked()
    assert latent.mask is not None
    assert masked_content(latent, "original") is latent
    assert torch.allclose(masked_content(latent, "nothing").samples, latent.samples * (1 - latent.mask))
    noisy = masked_content(latent, "noise", 4)
    assert torch.allclose(noisy.samples, torch.lerp(latent.samples, initial_noise(4, (4, 8, 8)), latent.mask), atol=1e-6)
    for changed in (noisy, masked_content(latent, "nothing")):
        assert torch.equal(changed.samples[:, latent.mask == 0], latent.samples[:, latent.mask == 0])
        assert changed.mask is latent.mask
    assert not torch.equal(noisy.samples, masked_content(latent, "noise", 5).samples)
    with pytest.raises(NodeError, match="no mask"):
        masked_content(unmasked_latent(latent))


def test_the_latent_of_a_masked_run_keeps_its_mask_so_that_a_second_pass_goes_on_with_it(model: Model) -> None:
    schedule = noise_schedule(model.recipes.denoiser, "normal", STEPS)
    latent, combined = masked(), model.guidance()
    for taken in (0, 2, STEPS):
        state = begin_denoise(Latent(NOISE, "sd1"), schedule, latent)
        for _ in range(taken):
            state = denoise_step(model.context, model.recipes.denoiser, state, schedule, combined, "euler")
        result = finish_denoise(state, schedule)
        assert result.mask is not None
        assert torch.equal(result.mask, latent.mask)  # type: ignore[arg-type]
    again = begin_denoise(Latent(NOISE, "sd1"), schedule, result, first_step=3)
    assert again.repaint is not None
    assert begin_denoise(Latent(NOISE, "sd1"), schedule, unmasked_latent(result)).repaint is None
    assert finish_denoise(begin_denoise(Latent(NOISE, "sd1"), schedule), schedule).mask is None


# ---- the shipped workflows ----

KEPT = {
    "inpaint": ("sized.image", "composite.image", "feather.mask"),
    "inpaint_crop": ("picture.image", "stitch.image", "feather.mask"),
    "outpaint": ("fit.image", "composite.image", "fit.mask"),
    "remove_object": ("picture.image", "stitch.image", "feather.mask"),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", KEPT)
def test_outside_of_the_mask_a_shipped_workflow_keeps_every_pixel_to_the_bit(name: str) -> None:
    before, after, mask = KEPT[name]
    with nodegraph.Session() as session:
        workflow = nodegraph.load(shipped("workflows") / f"{name}.json", session)
        result = workflow.run(wanted=[before, after, mask], steps=4)
    outside = result[mask] == 0
    assert 0.2 < outside.float().mean() < 0.95
    assert torch.equal(result[after][outside], result[before][outside])
    inside = result[mask] > 0.9
    assert (result[after][inside] - result[before][inside]).abs().mean() > 0.02

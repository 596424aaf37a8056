"""ControlNets and T2I-Adapters against diffusers' pipelines: the same weights and picture must give the same result."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import (
    DDIMScheduler,
    MultiControlNetModel,
    StableDiffusionAdapterPipeline,
    StableDiffusionControlNetImg2ImgPipeline,
    StableDiffusionControlNetPipeline,
    StableDiffusionPipeline,
)
from tiny_controls import tiny_adapter, tiny_controlnet
from tiny_models import BETAS, tiny_sd1
from torch import Tensor

from nodegraph_nodes.diffusion.families import (
    describe_control,
    describe_model,
    load_autoencoder,
    load_control,
    load_denoiser,
    load_text_encoder,
)
from nodegraph_nodes.diffusion.predict import Evaluation, guided_denoised, guided_denoised_many
from nodegraph_nodes.diffusion.samplers import SAMPLERS, begin, finish, initial_noise, run_step
from nodegraph_nodes.diffusion.schedules import make_process, make_schedule
from nodegraph_nodes.diffusion.tiling import estimates
from nodegraph_nodes.types import Control, ControlNet, Denoiser, Guidance, Tiles

SEED, STEPS, SCALE = 3, 5, 5.0
PROMPT, NEGATIVE = "a red apple", "blurry"
TOLERANCE = 2 / 255


class Stage:
    """A tiny model, loaded once, and its control networks by name, on disk and as diffusers' own."""

    def __init__(self, root: Path) -> None:
        tiny_sd1().save_pretrained(root / "model")
        self.pipeline = StableDiffusionPipeline.from_pretrained(root / "model", local_files_only=True, safety_checker=None)
        self.networks: dict[str, Any] = {
            "one": tiny_controlnet(self.pipeline.unet),
            "two": tiny_controlnet(self.pipeline.unet, seed=5),
            "pooled": tiny_controlnet(self.pipeline.unet, seed=7, global_pool_conditions=True),
            "adapter": tiny_adapter(),
            "light": tiny_adapter("light_adapter"),
        }
        for name, network in self.networks.items():
            network.save_pretrained(root / name)
        recipes = describe_model(root / "model", "digest")
        self.recipe = recipes.denoiser
        self.denoiser = load_denoiser(recipes.denoiser, "cpu")
        self.autoencoder = load_autoencoder(recipes.autoencoder, "cpu")
        self.positive, self.negative = load_text_encoder(recipes.text_encoder, "cpu").encode([PROMPT, NEGATIVE])
        self.process = make_process(recipes.denoiser.process)
        self.recipes = {name: describe_control(root / name, name) for name in self.networks}
        self._resident: dict[ControlNet, Any] = {}
        self.loads: list[str] = []

    def resident(self, recipe: ControlNet) -> Any:
        self.loads.append(recipe.digest)
        if recipe not in self._resident:
            self._resident[recipe] = load_control(recipe, "cpu")
        return self._resident[recipe]

    def control(self, name: str = "one", seed: int = 0, **settings: Any) -> Control:
        return Control(self.recipes[name], control_picture(seed), **settings)

    def guidance(self, *controls: Control, **settings: Any) -> Guidance:
        return Guidance(self.positive, self.negative, **{"scale": SCALE, **settings}, controls=controls)

    def picture(
        self, *controls: Control, start: Tensor | None = None, first: int = 0, size=(64, 64), **settings: Any
    ) -> Tensor:
        """Ours, [H, W, 3]. start: a latent [C, h, w] to go on from at the step `first`. size: width, height."""
        schedule = make_schedule("ddim_uniform", self.process, STEPS, "sd1")
        guidance = self.guidance(*controls, **settings)
        noise = initial_noise(SEED, (4, size[1] // 8, size[0] // 8))
        state = begin(noise, schedule, SEED, index=first, latent=start)
        for index in range(first, STEPS):
            state = run_step(
                SAMPLERS["ddim"],
                state,
                schedule,
                lambda x, point, progress=index / STEPS: guided_denoised(
                    self.denoiser, x, point, guidance, progress, self.resident
                ),
            )
        return self.autoencoder.decode(finish(state, schedule)[None])[0]

    def diffusers(self, kind: Any, *, size=(64, 64), **options: Any) -> Tensor:
        """Theirs, with the network that `kind` makes a pipeline of."""
        parts = {name: getattr(self.pipeline, name) for name in ("vae", "text_encoder", "tokenizer", "unet")}
        scheduler = DDIMScheduler(**BETAS, clip_sample=False, set_alpha_to_one=False, steps_offset=1)
        network = {key: options.pop(key) for key in ("controlnet", "adapter") if key in options}
        pipeline = kind(
            **parts, **network, scheduler=scheduler, safety_checker=None, feature_extractor=None, requires_safety_checker=False
        )
        pipeline.set_progress_bar_config(disable=True)
        options = {"guidance_scale": SCALE, "num_inference_steps": STEPS, "output_type": "np", **options}
        if kind is not StableDiffusionControlNetImg2ImgPipeline:
            options |= {"width": size[0], "height": size[1]}
            options["latents"] = initial_noise(SEED, (4, size[1] // 8, size[0] // 8))[None]
        return torch.from_numpy(pipeline(PROMPT, negative_prompt=NEGATIVE, **options).images[0])


def control_picture(seed: int = 0, height: int = 64, width: int = 64) -> Tensor:
    """[H, W, 3]: coarse random colours."""
    colours = torch.rand((1, 3, 4, 4), generator=torch.Generator().manual_seed(seed))
    return torch.nn.functional.interpolate(colours, (height, width), mode="bilinear")[0].movedim(0, -1).contiguous()


def theirs(picture: Tensor) -> Tensor:
    return picture.movedim(-1, 0)[None]


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Stage:
    return Stage(tmp_path_factory.mktemp("control"))


def far(one: Tensor, other: Tensor) -> float:
    return (one - other).abs().max().item()


# ---- the same picture as diffusers' ----


@pytest.mark.parametrize("options", [{}, {"control_guidance_start": 0.2, "control_guidance_end": 0.6}], ids=["whole", "part"])
@pytest.mark.parametrize("strength", [1.0, 0.4])
def test_a_controlnet_gives_the_picture_of_diffusers(stage, strength, options):
    expected = stage.diffusers(
        StableDiffusionControlNetPipeline,
        controlnet=stage.networks["one"],
        image=theirs(control_picture()),
        controlnet_conditioning_scale=strength,
        **options,
    )
    span = {name.removeprefix("control_guidance_"): value for name, value in options.items()}
    assert far(stage.picture(stage.control(strength=strength, **span)), expected) <= TOLERANCE


def test_the_comparison_would_notice_no_control_or_another_picture_strength_range_or_network(stage):
    reference = stage.picture(stage.control())
    for others in (
        (),
        (stage.control(seed=1),),
        (stage.control(strength=0.4),),
        (stage.control(start=0.2),),
        (stage.control(end=0.6),),
        (stage.control("two"),),
        (stage.control(balance="prompt"),),
        (stage.control(balance="control"),),
        (stage.control("adapter"),),
    ):
        assert far(stage.picture(*others), reference) > 5 * TOLERANCE


def test_several_controlnets_add_up_as_in_diffusers(stage):
    expected = stage.diffusers(
        StableDiffusionControlNetPipeline,
        controlnet=MultiControlNetModel([stage.networks["one"], stage.networks["two"]]),
        image=[theirs(control_picture()), theirs(control_picture(1))],
        controlnet_conditioning_scale=[0.7, 0.5],
        control_guidance_start=[0.0, 0.4],
        control_guidance_end=[0.8, 1.0],
    )
    ours = stage.picture(stage.control(strength=0.7, end=0.8), stage.control("two", seed=1, strength=0.5, start=0.4))
    assert far(ours, expected) <= TOLERANCE


def test_one_network_may_read_two_pictures(stage):
    expected = stage.diffusers(
        StableDiffusionControlNetPipeline,
        controlnet=MultiControlNetModel([stage.networks["one"], stage.networks["one"]]),
        image=[theirs(control_picture()), theirs(control_picture(1))],
        controlnet_conditioning_scale=[0.7, 0.5],
    )
    assert far(stage.picture(stage.control(strength=0.7), stage.control(seed=1, strength=0.5)), expected) <= TOLERANCE


def test_sizes_need_be_no_more_than_multiples_of_eight(stage):
    picture = control_picture(height=72, width=88)
    expected = stage.diffusers(
        StableDiffusionControlNetPipeline, controlnet=stage.networks["one"], image=theirs(picture), size=(88, 72)
    )
    ours = stage.picture(replace(stage.control(), image=picture), size=(88, 72))
    assert far(ours, expected) <= TOLERANCE


def test_a_controlnet_that_pools_steers_only_the_positive_prompt_as_in_diffusers(stage):
    expected = stage.diffusers(
        StableDiffusionControlNetPipeline, controlnet=stage.networks["pooled"], image=theirs(control_picture())
    )
    assert far(stage.picture(stage.control("pooled")), expected) <= TOLERANCE


def test_without_guidance_the_positive_prompt_alone_is_steered(stage):
    expected = stage.diffusers(
        StableDiffusionControlNetPipeline,
        controlnet=stage.networks["one"],
        image=theirs(control_picture()),
        guidance_scale=1.0,
    )
    assert far(stage.picture(stage.control(), scale=1.0), expected) <= TOLERANCE


def test_a_run_that_starts_from_a_picture_is_steered_as_in_diffusers(stage):
    latent = initial_noise(8, (4, 8, 8)) * 0.5
    expected = stage.diffusers(
        StableDiffusionControlNetImg2ImgPipeline,
        controlnet=stage.networks["one"],
        image=latent[None],
        control_image=theirs(control_picture()),
        strength=0.6,
        controlnet_conditioning_scale=1.0,
        generator=torch.Generator().manual_seed(SEED),
    )
    ours = stage.picture(stage.control(), start=latent, first=2)
    assert far(ours, expected) <= TOLERANCE
    assert far(stage.picture(start=latent, first=2), expected) > 5 * TOLERANCE


@pytest.mark.parametrize("name", ["adapter", "light"])
def test_a_t2i_adapter_gives_the_picture_of_diffusers(stage, name):
    expected = stage.diffusers(
        StableDiffusionAdapterPipeline,
        adapter=stage.networks[name],
        image=theirs(control_picture()),
        adapter_conditioning_scale=0.8,
    )
    assert far(stage.picture(stage.control(name, strength=0.8)), expected) <= TOLERANCE
    assert far(stage.picture(), expected) > 5 * TOLERANCE


# ---- one control ----


def test_strength_zero_is_no_control_bit_for_bit_and_runs_no_network(stage):
    stage.loads.clear()
    assert torch.equal(stage.picture(stage.control(strength=0.0)), stage.picture())
    assert not stage.loads


def test_a_control_runs_only_in_the_steps_of_its_range(stage):
    stage.loads.clear()
    stage.picture(stage.control(start=0.2, end=0.6))
    assert len(stage.loads) == 2


@pytest.mark.parametrize("name", ["one", "adapter"])
def test_a_mask_of_ones_is_no_mask_and_one_of_zeros_is_no_control(stage, name):
    control = stage.control(name)
    assert torch.equal(stage.picture(replace(control, mask=torch.ones(20, 30))), stage.picture(control))
    assert torch.equal(stage.picture(replace(control, mask=torch.zeros(20, 30))), stage.picture())


def test_a_mask_steers_its_side_more_than_the_other(stage):
    mask = torch.zeros(64, 128)
    mask[:, :64] = 1
    free, steered = stage.picture(size=(128, 64)), stage.picture(stage.control(mask=mask), size=(128, 64))
    change = (steered - free).abs().mean((0, 2))  # of each column
    assert change[:48].mean() > 1.5 * change[80:].mean()


def test_a_control_picture_of_another_size_is_brought_to_the_size_of_the_picture(stage):
    wide = control_picture(height=32, width=64)
    square, pillars = wide[:, 16:48], torch.zeros(64, 64, 3)
    pillars[16:48] = wide
    pictures = {fit: stage.picture(replace(stage.control(fit=fit), image=wide)) for fit in ("cover", "contain", "stretch")}
    assert far(pictures["contain"], stage.picture(replace(stage.control(), image=pillars))) <= TOLERANCE
    assert far(pictures["cover"], stage.picture(replace(stage.control(fit="stretch"), image=square))) <= TOLERANCE
    assert far(pictures["cover"], pictures["contain"]) > TOLERANCE < far(pictures["cover"], pictures["stretch"])


def test_balance_weakens_the_finer_layers_and_control_spares_the_negative_prompt(stage):
    """Written out over the network's own residuals, as A1111's extension has it: 0.825^(12 - i) for 13 of them."""
    from nodegraph_nodes.diffusion.families import Prompts
    from nodegraph_nodes.diffusion.steering import Steered, residuals_of

    x = initial_noise(1, (4, 8, 8)).expand(2, -1, -1, -1)
    prompts = Prompts(torch.stack([stage.negative.states, stage.positive.states]))
    found = {}
    for balance in ("balanced", "prompt", "control"):
        controls = (stage.control(balance=balance, strength=0.5),)
        rows = [Steered(controls, 0.0, negative=True), Steered(controls, 0.0, negative=False)]
        found[balance] = residuals_of(rows, x, [500.0, 500.0], prompts, "sd1", stage.resident)
    layers = len(found["balanced"].down)
    for i, (balanced, prompt, control) in enumerate(zip(*(found[b].down for b in found), strict=True)):
        assert torch.allclose(prompt, balanced * 0.825 ** (layers - i), atol=1e-6)
        assert torch.allclose(control[1], prompt[1], atol=1e-4)
        assert not control[0].any()
    assert torch.equal(found["balanced"].mid, found["prompt"].mid)
    assert not found["control"].mid[0].any()


# ---- many runs in one batch ----


def test_rows_with_different_pictures_strengths_ranges_masks_and_networks_equal_single_runs(stage):
    half = torch.zeros(8, 8)
    half[:4] = 1
    cases = [
        stage.guidance(stage.control()),
        stage.guidance(stage.control(seed=1, strength=0.3), scale=3.0),
        stage.guidance(),
        stage.guidance(stage.control(start=0.5)),  # not yet
        stage.guidance(stage.control("two", mask=half), stage.control(seed=2, balance="control")),
        stage.guidance(stage.control("adapter", seed=3, strength=0.6)),
        stage.guidance(stage.control("pooled"), stage.control("adapter", seed=4), scale=1.0),
    ]
    schedule = make_schedule("normal", stage.process, STEPS, "sd1")
    evaluations = [
        Evaluation(initial_noise(seed, (4, 8, 8)), schedule.point(seed % STEPS), guidance, 0.2)
        for seed, guidance in enumerate(cases)
    ]
    together = guided_denoised_many(stage.denoiser, evaluations, stage.resident)
    free = guided_denoised_many(stage.denoiser, [e._replace(guidance=replace(e.guidance, controls=())) for e in evaluations])
    for number, (evaluation, mine, without) in enumerate(zip(evaluations, together, free, strict=True)):
        (alone,) = guided_denoised_many(stage.denoiser, [evaluation], stage.resident)
        assert far(mine, alone) < 1e-4 * alone.abs().max()
        assert (far(mine, without) > 1e-2) == (number not in (2, 3))


def test_each_window_of_a_tiled_run_sees_its_part_of_the_control_picture(stage):
    """Written out for two windows of 8 x 8 positions side by side, with a picture that has to be cut to size first."""
    picture = control_picture(height=100, width=128)
    guidance = stage.guidance(replace(stage.control(), image=picture))
    whole = Evaluation(
        initial_noise(1, (4, 8, 16)), make_schedule("normal", stage.process, STEPS, "sd1").point(1), guidance, 0.2
    )
    tiled = replace(stage.recipe, tiles=Tiles(64, 64, 0))
    (ours,) = estimates(stage.denoiser, tiled, [whole], stage.resident)
    halves = []
    for left in (0, 8):
        part = picture[18:82, 8 * left : 8 * left + 64]
        seen = replace(guidance, controls=(replace(stage.control(), image=part),))
        halves += guided_denoised_many(
            stage.denoiser, [whole._replace(x=whole.x[:, :, left : left + 8], guidance=seen)], stage.resident
        )
    assert far(ours, torch.cat(halves, 2)) < 1e-3 * ours.abs().max()


@pytest.mark.parametrize("name", ["one", "adapter"])
def test_where_a_picture_wraps_its_controls_see_across_the_border(stage, name):
    """Moved round by half a picture, everything gives the same, moved round."""
    recipe, control = replace(stage.recipe, wrap="x"), stage.control(name)
    seamless = load_denoiser(recipe, "cpu")
    point = make_schedule("normal", stage.process, STEPS, "sd1").point(1)

    def estimate(x: Tensor, image: Tensor, of: Denoiser) -> Tensor:
        guidance = stage.guidance(replace(control, image=image))
        return estimates(seamless, of, [Evaluation(x, point, guidance, 0.2)], stage.resident)[0]

    x, moved = initial_noise(1, (4, 8, 8)), control.image.roll(32, 1)
    straight = estimate(x, control.image, recipe)
    assert far(estimate(x.roll(4, 2), moved, recipe).roll(-4, 2), straight) < 1e-3 * straight.abs().max()
    bordered = estimate(x, control.image, stage.recipe)  # the denoiser alone wraps
    assert far(estimate(x.roll(4, 2), moved, stage.recipe).roll(-4, 2), bordered) > 1e-2 * straight.abs().max()


def test_a_control_of_another_family_is_refused(stage):
    control = stage.control()
    with pytest.raises(ValueError, match=r"for 'sdxl' but the model is 'sd1'"):
        stage.picture(replace(control, network=replace(control.network, family="sdxl")))


def test_the_denoiser_alone_is_as_it_was(stage):
    """Controls are added to what goes in, never to the network."""
    before = stage.picture()
    stage.picture(stage.control(), stage.control("adapter"))
    assert torch.equal(stage.picture(), before)

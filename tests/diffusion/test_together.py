"""Features that were built apart, together: regions, controls, image prompts, LoRAs with curves, inpainting, tiles, masks."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from test_image_prompts import PICTURE, random_adapter
from tiny_controls import tiny_adapter, tiny_controlnet
from tiny_models import tiny_sd1
from tiny_transformers import tiny_flux, tiny_sd3
from torch import Tensor

from nodegraph import NodeError
from nodegraph.api.paths import shipped
from nodegraph.store.record import Record, pack, unpack
from nodegraph_nodes.diffusion.denoise import denoise_step, denoise_steps
from nodegraph_nodes.diffusion.families import (
    adapt,
    adapting,
    base_of,
    describe_control,
    describe_model,
    load_control,
    load_denoiser,
    load_text_encoder,
)
from nodegraph_nodes.diffusion.families.ip_adapter import describe_image_adapter, load_image_adapter
from nodegraph_nodes.diffusion.predict import Evaluation, guided_denoised, preview_image
from nodegraph_nodes.diffusion.samplers import SAMPLERS, begin, finish, run_step
from nodegraph_nodes.diffusion.schedules import SCHEDULES, make_process, make_schedule
from nodegraph_nodes.diffusion.tiling import estimates
from nodegraph_nodes.types import (
    CODEC,
    Conditioning,
    Control,
    ControlNet,
    Denoiser,
    Guidance,
    ImagePrompt,
    Lora,
    NoiseProcess,
    Point,
    Schedule,
    Tiles,
)

PROMPTS = ("a red apple", "blurry", "", "a blue cat", "snow")
CURVE = ((0.0, 2.0), (1.0, 0.0))


def noise(seed: int, *shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def half(side: str, size: int = 64) -> Tensor:
    mask = torch.zeros(size, size)
    mask[:, slice(0, size // 2) if side == "left" else slice(size // 2, size)] = 1
    return mask


def write_lora(path: Path, unet: Any, seed: int) -> Path:
    """A LoRA on all attentions, some convolutions and the way in of the time, in kohya's names."""
    generator, tensors = torch.Generator().manual_seed(seed), {}
    for name, layer in unet.named_modules():
        if not name.endswith(("to_q", "to_k", "to_v", "conv1", "linear_1", "time_emb_proj", "proj_in")):
            continue
        shape = layer.weight.shape
        stem = "lora_unet_" + name.replace(".", "_")
        tensors[f"{stem}.lora_down.weight"] = torch.randn((2, *shape[1:]), generator=generator) * 0.2
        tensors[f"{stem}.lora_up.weight"] = torch.randn((shape[0], 2, *[1] * (len(shape) - 2)), generator=generator) * 0.2
    save_file(tensors, path)
    return path


class Stage:
    """A tiny model with and without inpainting channels, and everything that steers it."""

    def __init__(self, root: Path) -> None:
        pipeline = tiny_sd1()
        pipeline.save_pretrained(root / "model")
        tiny_sd1(channels=9).save_pretrained(root / "inpaint")
        tiny_controlnet(pipeline.unet).save_pretrained(root / "control")
        tiny_adapter().save_pretrained(root / "t2i")
        for seed, name in enumerate(("ip", "ip_2")):
            save_file(random_adapter(pipeline.unet, "plain", seed), root / f"{name}.safetensors")
        recipes = describe_model(root / "model", "digest", "float32")
        self.recipe, self.text = recipes.denoiser, recipes.text_encoder
        self.inpaint = describe_model(root / "inpaint", "inpaint", "float32").denoiser
        self.prompts = load_text_encoder(recipes.text_encoder, "cpu").encode(PROMPTS)
        self.control = describe_control(root / "control", "control")
        self.t2i = describe_control(root / "t2i", "t2i")
        self.ip = [describe_image_adapter(root / f"{name}.safetensors", name, "float32") for name in ("ip", "ip_2")]
        self.loras = [
            Lora(name, str(write_lora(root / f"{name}.safetensors", pipeline.unet, seed)), name)
            for seed, name in enumerate(("first", "second"))
        ]
        self._networks: dict[Any, tuple[Any, Any]] = {}

    def resident(self, recipe: Any) -> Any:
        """As the engine does it: one network for all recipes of a base, adapted when another of them is asked for."""
        if isinstance(recipe, Denoiser):
            base = base_of(recipe)
            network, now = self._networks.get(base) or (load_denoiser(base, "cpu"), base)
            if now != recipe:
                adapt(network, recipe)
            self._networks[base] = (network, recipe)
            return network
        if recipe not in self._networks:
            if isinstance(recipe, ControlNet):
                self._networks[recipe] = (load_control(recipe, "cpu"), recipe)
            else:
                self._networks[recipe] = (load_image_adapter(recipe, "cpu", torch.float32), recipe)
        return self._networks[recipe][0]

    def forget(self) -> None:
        self._networks.clear()

    def guidances(self, channels: int = 4, size: int = 64) -> dict[str, Guidance]:
        """Each kind of steering alone, and all together."""
        apple, blurry, nothing, cat, snow = self.prompts
        attending = replace(
            apple, mask=half("left"), attend=True, others=(replace(cat, mask=half("right"), attend=True, weight=2.0),)
        )
        mixed = replace(attending, others=(*attending.others, replace(snow, weight=0.3)))
        combined = replace(apple, others=(replace(cat, weight=0.7), replace(snow, weight=-0.5, start=0.2)))
        picture = noise(5, size, size, 3).sigmoid()
        control = Control(self.control, picture, 0.8, mask=half("left"))
        other = Control(self.t2i, picture.flip(0), 0.5, start=0.3, balance="control")
        shown = ImagePrompt(self.ip[0], noise(6, 1, 1, PICTURE), torch.zeros(1, 1, PICTURE), mask=half("right"))
        also = ImagePrompt(self.ip[1], noise(7, 2, 1, PICTURE), torch.zeros(2, 1, PICTURE), weight=0.6, end=0.5)
        concat = None if channels == 4 else noise(8, channels - 4, size // 8, size // 8)
        found = {
            "plain": Guidance(apple, blurry, 5.0),
            "alone": Guidance(apple, None, 1.0),
            "regions": Guidance(mixed, blurry, 5.0),
            "attending": Guidance(attending, blurry, 4.0),
            "combined": Guidance(combined, blurry, 4.0),
            "controls": Guidance(cat, blurry, 5.0, controls=(control, other)),
            "pictures": Guidance(cat, blurry, 5.0, image_prompts=(shown, also)),
            "perpendicular": Guidance(cat, blurry, 5.0, method="perpendicular", empty=nothing),
            "orthogonal": Guidance(
                cat, blurry, 5.0, method="orthogonal", threshold=0.95, rescale=0.5, curve=((0, 1.0), (1, 0.1))
            ),
            "all": Guidance(
                mixed,
                replace(blurry, mask=half("left"), attend=True, others=(replace(nothing, attend=True),)),
                5.0,
                method="perpendicular",
                empty=nothing,
                controls=(control, other),
                image_prompts=(shown, also),
            ),
        }
        return {name: replace(guidance, concat=concat) for name, guidance in found.items()}


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Stage:
    return Stage(tmp_path_factory.mktemp("together"))


def evaluations(guidances: Sequence[Guidance], size: int = 8) -> list[Evaluation]:
    """A different place in its run for each."""
    levels = [Point(a := 0.4 + 0.05 * i, (1 - a**2) ** 0.5, 900.0 - 80 * i) for i in range(len(guidances))]
    return [
        Evaluation(noise(i, 4, size, size), level, guidance, i / len(guidances))
        for i, (guidance, level) in enumerate(zip(guidances, levels, strict=True))
    ]


def together_and_alone(stage: Stage, recipe: Denoiser, wanted: Sequence[Evaluation]) -> tuple[list[Tensor], list[Tensor]]:
    network = stage.resident(recipe)
    together = estimates(network, recipe, wanted, stage.resident)
    return together, [estimates(network, recipe, [each], stage.resident)[0] for each in wanted]


@pytest.mark.parametrize("tiles", [None, Tiles(64, 64, 16)])
@pytest.mark.parametrize("lora", ["none", "merged", "curve"])
@pytest.mark.parametrize("channels", [4, 9])
def test_a_mixed_batch_gives_each_run_what_it_gets_alone(stage: Stage, channels: int, lora: str, tiles: Tiles | None) -> None:
    recipe = stage.recipe if channels == 4 else stage.inpaint
    if lora != "none":
        recipe = replace(recipe, patches=(replace(stage.loras[0], curve=CURVE if lora == "curve" else ()),))
    size = 8 if tiles is None else 12
    wanted = evaluations(list(stage.guidances(channels, 8 * size).values()), size)
    together, alone = together_and_alone(stage, replace(recipe, tiles=tiles), wanted)
    for name, one, other in zip(stage.guidances(), together, alone, strict=True):
        torch.testing.assert_close(one, other, atol=1e-3, rtol=1e-3, msg=lambda text, name=name: f"{name}: {text}")


def test_one_tile_as_large_as_the_picture_changes_nothing(stage: Stage) -> None:
    for each in evaluations(list(stage.guidances(9, 96).values()), 12):
        whole = estimates(stage.resident(stage.inpaint), stage.inpaint, [each], stage.resident)[0]
        tiled = replace(stage.inpaint, tiles=Tiles(96, 96, 32))
        torch.testing.assert_close(
            estimates(stage.resident(tiled), tiled, [each], stage.resident)[0], whole, atol=1e-4, rtol=1e-4
        )


def test_a_window_sees_the_part_of_masks_control_pictures_and_channels_that_lies_under_it(stage: Stage) -> None:
    """Two windows without an overlap: each estimate is that of a run of the part alone, with everything cut by hand."""
    guidance = stage.guidances(9, 128)["all"]
    (whole,) = evaluations([guidance], 16)
    recipe = replace(stage.inpaint, tiles=Tiles(64, 128, 0))
    made = estimates(stage.resident(recipe), recipe, [whole], stage.resident)[0]

    def part(value: Any, left: int) -> Any:
        """The half of whatever has a place; masks and pictures lie at 64 and 128 pixels, latents at 16."""
        if isinstance(value, Conditioning):
            return replace(value, mask=part(value.mask, left), others=tuple(part(each, left) for each in value.others))
        if value is None:
            return None
        half_width = value.shape[-1] // 2
        return value[..., left * half_width : (left + 1) * half_width]

    for left in (0, 1):
        cut = replace(
            guidance,
            positive=part(guidance.positive, left),
            negative=part(guidance.negative, left),
            concat=part(guidance.concat, left),
            controls=tuple(
                replace(c, image=part(c.image.movedim(-1, 0), left).movedim(0, -1), mask=part(c.mask, left))
                for c in guidance.controls
            ),
            image_prompts=tuple(replace(p, mask=part(p.mask, left)) for p in guidance.image_prompts),
        )
        alone = whole._replace(x=part(whole.x, left), guidance=cut)
        expected = estimates(stage.resident(stage.inpaint), stage.inpaint, [alone], stage.resident)[0]
        torch.testing.assert_close(part(made, left), expected, atol=1e-3, rtol=1e-3)
        uncut = alone._replace(guidance=replace(cut, controls=guidance.controls))
        other = estimates(stage.resident(stage.inpaint), stage.inpaint, [uncut], stage.resident)[0]
        assert (part(made, left) - other).abs().max() > 0.1, "the control picture that is cut is seen"


def test_branches_that_take_turns_on_one_network_each_get_what_they_get_alone(stage: Stage) -> None:
    """LoRAs, curves, wrapping and tiles come on and go off in a random order; every estimate is bit for bit its own."""
    first, second = stage.loras
    varied = replace(first, curve=CURVE)
    changes: list[dict[str, Any]] = [
        {},
        {"patches": (first,)},
        {"patches": (second, replace(first, weight=0.5))},
        {"patches": (varied, second)},
        {"wrap": "x", "patches": (varied,)},
        {"wrap": "both", "tiles": Tiles(64, 64, 16), "patches": (first,)},
        {"attention": "math"},
    ]
    recipes = [replace(stage.recipe, **change) for change in changes]
    each = evaluations([stage.guidances(4, 96)["all"]], 12)[0]._replace(progress=0.6)

    def estimate(recipe: Denoiser) -> Tensor:
        return estimates(stage.resident(recipe), recipe, [each], stage.resident)[0]

    def fresh(recipe: Denoiser) -> Tensor:
        stage.forget()
        return estimate(recipe)

    alone = [fresh(recipe) for recipe in recipes]
    assert all((a - b).abs().max() > 0.1 for a, b in itertools.combinations(alone[:-1], 2))
    for number in torch.randint(len(recipes), (12,), generator=torch.Generator().manual_seed(1)).tolist():
        assert torch.equal(estimate(recipes[number]), alone[number]), changes[number]


def test_only_what_can_be_put_on_and_taken_off_is_left_out_of_a_base(stage: Stage) -> None:
    put_on: dict[str, Any] = {"patches": tuple(stage.loras), "wrap": "x", "tiles": Tiles(64, 64, 0), "compiled": "default"}
    assert base_of(replace(stage.recipe, **put_on, attention="math")) == stage.recipe
    kept: list[dict[str, Any]] = [{"storage": "int8"}, {"precision": "bfloat16"}, {"prediction": "v"}, {"digest": "other"}]
    for change in kept:
        assert base_of(replace(stage.recipe, **change)) == replace(stage.recipe, **change)


def test_text_encoders_that_differ_in_layers_left_out_and_loras_take_turns_on_one_network(stage: Stage, tmp_path: Path) -> None:
    tensors = {}
    for layer in (0, 1):
        name = f"lora_te_text_model_encoder_layers_{layer}_self_attn_q_proj"
        tensors |= {f"{name}.lora_down.weight": noise(layer, 2, 32), f"{name}.lora_up.weight": noise(layer + 2, 32, 2)}
    save_file(tensors, tmp_path / "text.safetensors")
    patch = Lora("text", str(tmp_path / "text.safetensors"), "text")
    plain = stage.text
    recipes = [plain, replace(plain, skip=1), replace(plain, patches=(patch,)), replace(plain, patches=(patch,), skip=1)]
    alone = [load_text_encoder(recipe, "cpu").encode(["a cat"])[0].states for recipe in recipes]
    network = load_text_encoder(plain, "cpu")
    for number in (1, 0, 2, 3, 0, 3, 1, 2, 0):
        adapt(network, recipes[number])
        assert torch.equal(network.encode(["a cat"])[0].states, alone[number])
    assert not torch.equal(alone[0], alone[2])


@pytest.mark.slow
def test_a_compiled_network_notices_wrapping_loras_and_image_prompts(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """torch does not look at hooks unless it is told to; those are how a LoRA adds to a layer whose weights are packed."""
    torch._dynamo.reset()
    monkeypatch.setattr(adapting, "set_compiled", partial(adapting.set_compiled, backend="eager"))
    packed = replace(stage.recipe, storage="int8")
    first = stage.loras[0]
    changes: list[dict[str, Any]] = [{}, {"patches": (first,)}, {"patches": (replace(first, curve=CURVE),)}, {"wrap": "x"}]
    for change in [*changes, changes[0], changes[1]]:
        recipe, each = replace(packed, **change), evaluations([stage.guidances()["plain"]])[0]._replace(progress=0.7)
        plain = estimates(stage.resident(recipe), recipe, [each], stage.resident)[0]
        compiled = replace(recipe, compiled="default")
        made = estimates(stage.resident(compiled), compiled, [each], stage.resident)[0]
        torch.testing.assert_close(made, plain, atol=1e-4, rtol=1e-4, msg=lambda text, change=change: f"{change}: {text}")
    stage.forget()


# ---- samplers, schedules, masks ----


def toy(x: Tensor, point: Point) -> Tensor:
    """E[x0 | x] for data N(0.7, 0.4^2)."""
    gain = point.alpha * 0.16 / (point.alpha**2 * 0.16 + point.sigma**2)
    return 0.7 + gain * (x - point.alpha * 0.7)


@pytest.mark.parametrize("kind", ["variance_preserving", "rectified_flow"])
@pytest.mark.parametrize("sampler", SAMPLERS)
def test_a_run_stored_after_any_step_of_any_schedule_goes_on_as_if_nothing_had_happened(sampler: str, kind: Any) -> None:
    mask = torch.linspace(0, 1, 16).view(4, 4)
    for name in SCHEDULES:
        schedule = make_schedule(name, make_process(NoiseProcess(kind)), 5, "test")
        states = [begin(noise(1, 4, 4, 4), schedule, 3, latent=noise(2, 4, 4, 4), mask=mask)]
        while states[-1].index < schedule.steps:
            states.append(run_step(SAMPLERS[sampler], states[-1], schedule, toy))
        assert torch.isfinite(states[-1].x).all(), name
        torch.testing.assert_close(finish(states[-1], schedule)[:, 0, 0], states[0].repaint.original[:, 0, 0])  # its mask is 0
        stored = CODEC.decode(*CODEC.encode(schedule))
        for state in states[:-1]:
            again = CODEC.decode(*CODEC.encode(state))
            while again.index < schedule.steps:
                again = run_step(SAMPLERS[sampler], again, stored, toy)
            assert torch.equal(again.x, states[-1].x), (name, state.index)


@pytest.mark.slow
@pytest.mark.parametrize("sampler", SAMPLERS)
def test_every_sampler_paints_the_same_subject_from_pure_noise_on_every_schedule(sampler: str, starter: Any) -> None:
    """A rectified flow begins at alpha = 0. Three steps are finite anywhere; twenty look like those of another solver."""
    predict, process, reference = starter
    far = 5 * reference.abs().max()  # of what was sampled well
    for name, steps in [*((name, 3) for name in SCHEDULES), ("normal", 20)]:
        schedule = make_schedule(name, process, steps, "starter")
        state = begin(noise(1, *reference.shape), schedule, 7)
        while state.index < steps:
            state = run_step(SAMPLERS[sampler], state, schedule, predict)
        made = finish(state, schedule)
        assert torch.isfinite(made).all(), name
        assert made.abs().max() < far, name
        assert steps == 3 or (made - reference).norm() / reference.norm() < 0.9, name


@pytest.fixture(scope="module")
def starter() -> Any:
    recipes = describe_model(shipped("models") / "starter", "digest", "float32")
    network, process = load_denoiser(recipes.denoiser, "cpu"), make_process(recipes.denoiser.process)
    positive, negative = load_text_encoder(recipes.text_encoder, "cpu").encode(["a red apple", ""])
    guidance = Guidance(positive, negative, 4.0)

    def predict(x: Tensor, point: Point) -> Tensor:
        return guided_denoised(network, x, point, guidance, 0.0)

    schedule = make_schedule("normal", process, 20, "starter")
    state = begin(noise(1, 4, 16, 16), schedule, 7)
    while state.index < 20:
        state = run_step(SAMPLERS["dpmpp_2m"], state, schedule, predict)
    return predict, process, finish(state, schedule)


# ---- values on disk ----


def test_a_guidance_of_everything_comes_back_from_disk_and_gives_the_same_bits(stage: Stage) -> None:
    for name, guidance in stage.guidances(9).items():
        record = unpack(pack(Record("0" * 40, "result", *CODEC.encode(guidance))), "0" * 40)
        stored = CODEC.decode(record.data, record.buffers)
        before, after = (
            estimates(stage.resident(stage.inpaint), stage.inpaint, evaluations([each]), stage.resident)[0]
            for each in (guidance, stored)
        )
        assert torch.equal(before, after), name
        assert stored.controls[:1] == () or stored.controls[0].network == guidance.controls[0].network


# ---- what cannot go together is refused in words ----


def refused(stage: Stage, recipe: Denoiser, guidance: Guidance, schedule: Schedule | None = None, size: int = 8) -> NodeError:
    schedule = schedule or make_schedule("normal", make_process(recipe.process), 4, recipe.family)
    state = begin(noise(1, recipe.latent_channels, size, size), schedule, 0)
    state = replace(state, family=recipe.family)
    context: Any = SimpleNamespace(resident=stage.resident, preview=lambda make: None)
    with pytest.raises(NodeError) as caught:
        denoise_step(context, recipe, state, schedule, guidance)
    calls: Any = [SimpleNamespace(context=context, denoiser=recipe, state=state, schedule=schedule, guidance=guidance)]
    calls[0].sampler, calls[0].eta = "euler", None
    (again,) = denoise_steps(calls) if recipe.attention == "auto" else [caught.value]
    assert str(again) == str(caught.value)
    return caught.value


@pytest.mark.parametrize("place", ["negative", "empty", "a part"])
def test_a_prompt_of_another_family_is_refused_wherever_it_is(stage: Stage, place: str) -> None:
    guidance = stage.guidances()["perpendicular"]
    stranger = replace(stage.prompts[0], family="sdxl")
    if place == "a part":
        guidance = replace(guidance, positive=replace(guidance.positive, others=(stranger,)))
    else:
        guidance = replace(guidance, **{place: stranger})
    error = refused(stage, stage.recipe, guidance)
    assert (error.socket, error.got) == ("guidance", "sdxl")


def test_a_schedule_of_another_kind_of_model_is_refused(stage: Stage) -> None:
    flow = make_schedule("normal", make_process(NoiseProcess("rectified_flow")), 4, "flux")
    error = refused(stage, stage.recipe, stage.guidances()["plain"], flow)
    assert (error.socket, error.expected, error.got) == ("schedule", "sd1", "flux")


@pytest.mark.skipif(torch.cuda.is_available(), reason="a GPU has this kernel")
def test_a_kernel_that_the_device_does_not_have_is_refused_in_words(stage: Stage) -> None:
    error = refused(stage, replace(stage.recipe, attention="cudnn"), stage.guidances()["plain"])
    assert error.socket == "denoiser"
    assert "attention to auto" in (error.hint or "")


def test_a_negative_weight_does_not_count_where_there_is_nothing_to_lead_away_from(stage: Stage) -> None:
    apple, blurry, _, cat, _ = stage.prompts
    both = replace(apple, others=(replace(cat, weight=-1.0),))
    wanted = evaluations(
        [Guidance(both, None, 1.0), Guidance(apple, None, 1.0), Guidance(both, blurry, 4.0), Guidance(apple, blurry, 4.0)]
    )
    wanted = [each._replace(x=wanted[0].x, point=wanted[0].point) for each in wanted]
    alone, apple_alone, guided, apple_guided = estimates(stage.resident(stage.recipe), stage.recipe, wanted, stage.resident)
    torch.testing.assert_close(alone, apple_alone, atol=1e-4, rtol=1e-4)
    assert (guided - apple_guided).abs().max() > 0.1


# ---- previews ----


@pytest.mark.parametrize("make", [tiny_sd3, tiny_flux])
def test_latents_of_sixteen_channels_have_previews_also_where_the_network_packs_them(make: Any, tmp_path: Path) -> None:
    make().save_pretrained(tmp_path / "model")
    denoiser = describe_model(tmp_path / "model", "digest").denoiser
    picture = preview_image(noise(1, denoiser.latent_channels, 8, 12), denoiser)
    assert picture.shape == (8, 12, 3)
    assert picture.std() > 0.01


def test_a_latent_that_a_transformer_cannot_cut_into_patches_is_refused(stage: Stage, tmp_path: Path) -> None:
    tiny_flux().save_pretrained(tmp_path / "model")
    recipes = describe_model(tmp_path / "model", "flux", "float32")
    words = load_text_encoder(recipes.text_encoder, "cpu").encode(["a cat"])[0]
    error = refused(stage, recipes.denoiser, Guidance(words, None, 1.0), size=7)
    assert (error.socket, error.got) == ("state", "56 x 56")

"""LoRA against diffusers with PEFT: the same files must give the same pictures, and leave no trace when they are taken off."""

import random
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import DDIMScheduler, StableDiffusionPipeline
from peft import LoHaConfig, LoKrConfig, LoraConfig, get_peft_model
from peft.utils import get_peft_model_state_dict
from safetensors.torch import load_file, save_file
from tiny_models import BETAS, save_single_file, tiny_sd1
from torch import Tensor, nn

from nodegraph_nodes.diffusion.families import ModelError, adapt, describe_model, ldm_names, load_denoiser, load_text_encoder
from nodegraph_nodes.diffusion.families.loaded import Hints, Prompts
from nodegraph_nodes.diffusion.families.lora import read_lora
from nodegraph_nodes.diffusion.families.lora.changes import change_of
from nodegraph_nodes.diffusion.families.placing import stream
from nodegraph_nodes.diffusion.predict import Evaluation, guided_denoised, guided_denoised_many
from nodegraph_nodes.diffusion.samplers import SAMPLERS, begin, finish, initial_noise, run_step
from nodegraph_nodes.diffusion.schedules import make_process, make_schedule
from nodegraph_nodes.types import Denoiser, Guidance, Lora, TextEncoder

TOLERANCE = 2 / 255
ATTENTION = ["to_q", "to_k", "to_v", "to_out.0"]
CONVOLUTIONS = ["conv1", "proj_in", "conv_in", "downsamplers.0.conv"]
STEPS = 4


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("lora")
    pipeline = tiny_sd1()
    pipeline.save_pretrained(folder / "model")
    save_single_file(pipeline, folder / "single.safetensors")
    return folder


def pipeline_of(folder: Path) -> StableDiffusionPipeline:
    pipeline = StableDiffusionPipeline.from_pretrained(folder / "model", local_files_only=True, safety_checker=None)
    pipeline.set_progress_bar_config(disable=True)
    pipeline.scheduler = DDIMScheduler(**BETAS, clip_sample=False, set_alpha_to_one=False, steps_offset=1)
    return pipeline


def randomise(module: nn.Module, seed: int) -> None:
    """Give every adapter weight a size that shows in the picture."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, parameter in module.named_parameters():
            if any(mark in name for mark in ("lora_", "hada_", "lokr_")) and "magnitude" not in name:
                parameter.copy_(torch.randn(parameter.shape, generator=generator) * 0.2)
            elif "magnitude" in name:
                parameter.mul_(torch.rand(parameter.shape, generator=generator) + 0.5)


def make_files(folder: Path, name: str, seed: int, text: bool = True, dora: bool = False) -> dict[str, Path]:
    """A random LoRA as diffusers writes it with PEFT's metadata, and as kohya's programs do, under both U-Net namings."""
    pipeline = pipeline_of(folder)
    unet, encoder = pipeline.unet, pipeline.text_encoder
    unet.add_adapter(LoraConfig(r=4, lora_alpha=2, target_modules=[*ATTENTION, *CONVOLUTIONS], use_dora=dora))
    randomise(unet, seed)
    layers = {"unet": get_peft_model_state_dict(unet)}
    if text:
        encoder.add_adapter(LoraConfig(r=4, lora_alpha=8, target_modules=["q_proj", "k_proj", "v_proj", "out_proj", "fc1"]))
        randomise(encoder, seed + 1)
        layers["text_encoder"] = get_peft_model_state_dict(encoder)
    files = {"diffusers": folder / f"{name}.safetensors"}
    StableDiffusionPipeline.save_lora_weights(
        folder,
        unet_lora_layers=layers["unet"],
        text_encoder_lora_layers=layers.get("text_encoder"),
        weight_name=files["diffusers"].name,
        unet_lora_adapter_metadata=unet.peft_config["default"].to_dict(),
        text_encoder_lora_adapter_metadata=encoder.peft_config["default"].to_dict() if text else None,
    )
    for layout in ("kohya", "kohya_ldm"):
        tensors = dict(kohya_names(layers, pipeline.unet.config, layout == "kohya_ldm"))
        files[layout] = folder / f"{name}.{layout}.safetensors"
        save_file(tensors, files[layout])
    return files


def kohya_names(layers: dict[str, dict[str, Tensor]], config: Any, ldm: bool) -> Any:
    for component, tensors in layers.items():
        for name, tensor in tensors.items():
            stem, part = name.split(".lora_") if ".lora_" in name else (name, "")
            if ldm and component == "unet":
                stem = ldm_names.unet_name(f"{stem}.weight", config).removeprefix(ldm_names.UNET).removesuffix(".weight")
            if component == "text_encoder":
                stem = "text_model." + stem.removeprefix("text_model.")
            flat = {"unet": "lora_unet_", "text_encoder": "lora_te_"}[component] + stem.replace(".", "_")
            if part.startswith("magnitude"):
                yield (
                    f"{flat}.dora_scale",
                    tensor.reshape(-1, *[1] * (tensors[f"{name.split('.lora_')[0]}.lora_B.weight"].ndim - 1)).clone(),
                )
                continue
            yield f"{flat}.{ {'A': 'lora_down', 'B': 'lora_up'}[part[0]] }.weight".replace(" ", ""), tensor.clone()
            yield f"{flat}.alpha", torch.tensor(2.0 if component == "unet" else 8.0)


@pytest.fixture(scope="module")
def files(folder: Path) -> dict[str, Path]:
    return make_files(folder, "first", seed=1)


@pytest.fixture(scope="module")
def other_files(folder: Path) -> dict[str, Path]:
    return make_files(folder, "second", seed=5, text=False)


def lora(path: Path, weight: float = 1.0, curve: tuple[tuple[float, float], ...] = ()) -> Lora:
    return Lora(path.name, str(path), str(path), weight, curve)


def picture(
    folder: Path, *patches: Lora, text: tuple[Lora, ...] | None = None, model: str = "model", storage: Any = "as_stored"
) -> Tensor:
    """Ours: the final latent's decoding is left to diffusers, so that only what LoRA changes is compared. [4, 8, 8]"""
    recipes = describe_model(folder / model, "digest", storage=storage)
    told = patches if text is None else text
    denoiser = load_denoiser(replace(recipes.denoiser, patches=patches), "cpu")
    encoder = load_text_encoder(replace(recipes.text_encoder, patches=told), "cpu")
    return sampled(denoiser, encoder.encode(["a red apple", ""]), recipes.denoiser)


def sampled(denoiser: Any, prompts: Any, recipe: Denoiser) -> Tensor:
    schedule = make_schedule("ddim_uniform", make_process(recipe.process), STEPS, "sd1")
    guidance = Guidance(*prompts, 5.0)
    state = begin(initial_noise(3, (4, 8, 8)), schedule, 3)
    for index in range(STEPS):
        state = run_step(
            SAMPLERS["ddim"],
            state,
            schedule,
            lambda x, point, progress=index / STEPS: guided_denoised(denoiser, x, point, guidance, progress),
        )
    return decoded(finish(state, schedule), folder_vae(Path(recipe.path)))


_VAES: dict[Path, Any] = {}


def folder_vae(path: Path) -> Any:
    from diffusers import AutoencoderKL

    home = path.parent / "model"
    if home not in _VAES:
        _VAES[home] = AutoencoderKL.from_pretrained(home / "vae", local_files_only=True)
    return _VAES[home]


@torch.no_grad()
def decoded(latent: Tensor, vae: Any) -> Tensor:
    return (vae.decode(latent[None] / 0.18215).sample[0] / 2 + 0.5).clamp(0, 1)


def diffusers_picture(folder: Path, loras: dict[str, float], fuse: bool = False, convert: Callable[..., Any] = str) -> Tensor:
    pipeline = pipeline_of(folder)
    for number, path in enumerate(loras):
        pipeline.load_lora_weights(folder, weight_name=Path(path).name, adapter_name=f"a{number}")
    if loras:
        pipeline.set_adapters([f"a{number}" for number in range(len(loras))], list(loras.values()))
    if fuse:
        pipeline.fuse_lora(adapter_names=[f"a{number}" for number in range(len(loras))])
    result = pipeline(
        "a red apple",
        latents=initial_noise(3, (4, 8, 8))[None],
        num_inference_steps=STEPS,
        guidance_scale=5.0,
        width=64,
        height=64,
        output_type="np",
    )
    return torch.from_numpy(result.images[0]).permute(2, 0, 1)


def differs(a: Tensor, b: Tensor) -> float:
    return (a - b).abs().max().item()


@pytest.mark.parametrize("layout", ["diffusers", "kohya", "kohya_ldm"])
def test_a_picture_with_a_lora_equals_the_one_of_diffusers(folder, files, layout):
    expected = diffusers_picture(folder, {str(files["kohya" if layout == "kohya_ldm" else layout]): 0.8})
    assert differs(picture(folder, lora(files[layout], 0.8)), expected) <= TOLERANCE


@pytest.mark.slow
def test_several_loras_equal_the_ones_that_diffusers_fuses(folder, files, other_files):
    expected = diffusers_picture(folder, {str(files["diffusers"]): 0.7, str(other_files["diffusers"]): -0.5}, fuse=True)
    ours = picture(folder, lora(files["kohya"], 0.7), lora(other_files["diffusers"], -0.5), text=(lora(files["kohya"], 0.7),))
    assert differs(ours, expected) <= TOLERANCE


@pytest.mark.slow
def test_the_comparison_would_notice_another_weight_alpha_or_text_encoder(folder, files, tmp_path):
    reference = picture(folder, lora(files["kohya"], 0.8))
    halved = tmp_path / "halved.safetensors"
    save_file({n: t / 2 if n.endswith("alpha") else t for n, t in load_file(files["kohya"]).items()}, halved)
    for other in (
        picture(folder),
        picture(folder, lora(files["kohya"], 0.7)),
        picture(folder, lora(halved, 0.8)),
        picture(folder, lora(files["kohya"], 0.8), text=()),
        picture(folder, text=(lora(files["kohya"], 0.8),)),
    ):
        assert differs(other, reference) > 3 * TOLERANCE


@pytest.mark.slow
def test_it_fits_a_model_in_the_original_layout_as_well(folder, files):
    for layout in ("diffusers", "kohya_ldm"):
        assert (
            differs(picture(folder, lora(files[layout]), model="single.safetensors"), picture(folder, lora(files["kohya"])))
            <= TOLERANCE
        )


def test_a_weight_of_nothing_is_no_lora(folder, files):
    assert torch.equal(picture(folder, lora(files["kohya"], 0.0)), picture(folder))


@pytest.mark.slow
def test_dora_equals_the_one_of_diffusers(folder):
    files = make_files(folder, "dora", seed=9, text=False, dora=True)
    expected = diffusers_picture(folder, {str(files["diffusers"]): 1.0})
    ours = picture(folder, lora(files["diffusers"]), text=())
    assert differs(ours, expected) <= TOLERANCE
    assert torch.equal(ours, picture(folder, lora(files["kohya"]), text=()))
    assert differs(ours, picture(folder)) > 3 * TOLERANCE


@pytest.mark.parametrize("config", [LoHaConfig, LoKrConfig])
@pytest.mark.parametrize("tucker", [False, True])
def test_loha_and_lokr_change_weights_as_peft_does(folder, tmp_path, config, tucker):
    options = {"use_effective_conv2d": tucker, "target_modules": [*ATTENTION, "conv1", "ff.net.2"], "r": 2, "alpha": 3}
    unet = pipeline_of(folder).unet
    plain = {name: tensor.clone() for name, tensor in unet.state_dict().items()}
    adapted = get_peft_model(unet, config(**options, **({"decompose_factor": 4} if config is LoKrConfig else {})))
    randomise(adapted, 3)
    tensors = {}
    for name, tensor in get_peft_model_state_dict(adapted).items():
        stem, part = name.removeprefix("base_model.model.").rsplit(".", 1)
        flat = "lora_unet_" + stem.replace(".", "_")
        tensors[f"{flat}.{part}"] = tensor.clone()
        tensors[f"{flat}.alpha"] = torch.tensor(3.0)
    save_file(tensors, tmp_path / "x.safetensors")
    merged = adapted.merge_and_unload().state_dict()
    recipe = describe_model(folder / "model", "digest").denoiser
    ours = load_denoiser(replace(recipe, patches=(lora(tmp_path / "x.safetensors"),)), "cpu").module.state_dict()
    assert max(differs(ours[name], merged[name]) for name in plain) < 1e-5
    assert max(differs(plain[name], merged[name]) for name in plain) > 0.01


def test_a_tucker_core_lies_between_down_and_up(tmp_path):
    generator = torch.Generator().manual_seed(0)
    down, core, up = (torch.randn(s, generator=generator) for s in ((2, 6, 1, 1), (2, 2, 3, 3), (5, 2, 1, 1)))
    stem = "lora_unet_x"
    save_file(
        {f"{stem}.lora_{n}.weight": t for n, t in (("down", down), ("mid", core), ("up", up))}, tmp_path / "x.safetensors"
    )
    file = read_lora(tmp_path / "x.safetensors")
    x = torch.randn(1, 6, 7, 7, generator=generator)
    expected = torch.conv2d(torch.conv2d(torch.conv2d(x, down), core, padding=1), up)
    change = change_of(file, file.layers[0])
    assert differs(torch.conv2d(x, change.matrix((5, 6, 3, 3)), padding=1), expected) < 1e-4


# ---- taking off ----


def snapshot(network: Any) -> dict[str, Tensor]:
    return {
        name: tensor.clone()
        for name, tensor in (network.module if hasattr(network, "place") else network.model).state_dict().items()
    }


def same(a: dict[str, Tensor], b: dict[str, Tensor]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


@pytest.mark.slow
@pytest.mark.parametrize("model", ["model", "single.safetensors"])
def test_what_was_put_on_comes_off_without_a_trace(folder, files, other_files, model):
    recipes = describe_model(folder / model, "digest")
    choices = [
        (),
        (lora(files["kohya"]),),
        (lora(files["kohya"], 0.3), lora(other_files["diffusers"], -1.0)),
        (lora(other_files["kohya_ldm"], 1.5),),
        (lora(files["diffusers"], 1.0, ((0.0, 1.0), (1.0, 0.0))), lora(other_files["kohya"])),
    ]
    for recipe, load in ((recipes.denoiser, load_denoiser), (recipes.text_encoder, load_text_encoder)):
        fresh = snapshot(load(recipe, "cpu"))
        network = load(recipe, "cpu")
        strides = {name: t.stride() for name, t in network.module.named_parameters()} if recipe is recipes.denoiser else {}
        order = random.Random(4)
        for _ in range(12):
            patches = order.choice(choices)
            if isinstance(recipe, TextEncoder):
                patches = tuple(p for p in patches if "first" in p.name)
            adapt(network, replace(recipe, patches=patches))
            assert same(snapshot(network), snapshot(load(replace(recipe, patches=patches), "cpu")))
        adapt(network, recipe)
        assert same(snapshot(network), fresh)
        assert not strides or strides == {name: t.stride() for name, t in network.module.named_parameters()}


def test_subtracting_instead_would_leave_a_trace(folder, files):
    """So the test above can fail."""
    network = load_denoiser(describe_model(folder / "model", "digest").denoiser, "cpu")
    file = read_lora(files["kohya"])
    layer = next(layer for layer in file.layers if layer.component == "denoiser" and layer.layer.endswith("attn2_to_k"))
    weight = network.module.down_blocks[0].attentions[0].transformer_blocks[0].attn2.to_k.weight
    matrix = change_of(file, layer).matrix(tuple(weight.shape))
    assert not torch.equal(weight + matrix - matrix, weight)


def test_changing_one_weight_touches_only_what_it_changes(folder, files, other_files, monkeypatch):
    recipe = describe_model(folder / "model", "digest").denoiser
    both = (lora(files["kohya"]), lora(other_files["kohya"]))
    network = load_denoiser(replace(recipe, patches=both), "cpu")
    from nodegraph_nodes.diffusion.families.lora import wearing

    touched: list[str] = []
    original = wearing._original
    monkeypatch.setattr(wearing, "_original", lambda target: touched.append(target.layer) or original(target))
    monkeypatch.setattr(wearing, "read_lora", lambda path: pytest.fail("a file that was read is read again"))
    adapt(network, replace(recipe, patches=both))
    assert touched == []
    adapt(network, replace(recipe, patches=(both[0], lora(other_files["kohya"], 0.5))))
    assert len(touched) == len(read_lora(other_files["kohya"]).layers)


# ---- weights that vary ----

FALLING = ((0.0, 1.0), (1.0, 0.0))


def evaluation(prompts: Any, progress: float, seed: int, schedule: Any) -> Evaluation:
    return Evaluation(initial_noise(seed, (4, 8, 8)), schedule.point(1), Guidance(*prompts, 5.0), progress)


def test_rows_of_one_batch_have_each_the_weight_of_their_own_progress(folder, files):
    recipes = describe_model(folder / "model", "digest")
    prompts = load_text_encoder(recipes.text_encoder, "cpu").encode(["a red apple", ""])
    schedule = make_schedule("ddim_uniform", make_process(recipes.denoiser.process), STEPS, "sd1")
    varying = load_denoiser(replace(recipes.denoiser, patches=(lora(files["kohya"], 2.0, FALLING),)), "cpu")
    wanted = [evaluation(prompts, progress, seed, schedule) for seed, progress in enumerate((0.0, 0.25, 0.9, 0.25))]
    together = guided_denoised_many(varying, wanted)
    alone = []
    for each in wanted:
        merged = load_denoiser(replace(recipes.denoiser, patches=(lora(files["kohya"], 2.0 * (1 - each.progress)),)), "cpu")
        alone += guided_denoised_many(merged, [each])
    for ours, expected in zip(together, alone, strict=True):
        assert differs(ours, expected) < 1e-3 * expected.abs().max()
    shuffled = guided_denoised_many(varying, [each._replace(progress=0.0) for each in wanted])
    assert differs(shuffled[2], alone[2]) > 0.01 * alone[2].abs().max()


def test_a_level_curve_is_a_constant_weight(folder, files):
    level = picture(folder, lora(files["kohya"], 0.8, ((0.0, 1.0), (1.0, 1.0))), text=())
    assert differs(level, picture(folder, lora(files["kohya"], 0.8), text=())) <= TOLERANCE


def test_a_network_with_a_varying_weight_leaves_memory_when_it_is_let_go(folder, files):
    import gc
    import weakref

    recipe = describe_model(folder / "model", "digest").denoiser
    network = load_denoiser(replace(recipe, patches=(lora(files["kohya"], 1.0, FALLING),)), "cpu")
    watched = weakref.ref(network)
    gc.disable()
    try:
        del network
        assert watched() is None
    finally:
        gc.enable()


# ---- what cannot be ----


def test_a_file_of_another_kind_of_method_is_named(tmp_path):
    save_file({"lora_unet_x.oft_blocks": torch.zeros(2, 2)}, tmp_path / "x.safetensors")
    with pytest.raises(ModelError, match="OFT"):
        read_lora(tmp_path / "x.safetensors")
    save_file({"weight": torch.zeros(2, 2)}, tmp_path / "y.safetensors")
    with pytest.raises(ModelError, match="no LoRA"):
        read_lora(tmp_path / "y.safetensors")


def test_a_lora_of_which_nothing_fits_is_refused_before_anything_is_changed(folder, tmp_path):
    stem = "lora_unet_down_blocks_9_attn"
    save_file(
        {f"{stem}.lora_down.weight": torch.zeros(2, 2), f"{stem}.lora_up.weight": torch.zeros(2, 2)}, tmp_path / "x.safetensors"
    )
    recipe = describe_model(folder / "model", "digest").denoiser
    network = load_denoiser(recipe, "cpu")
    with pytest.raises(ModelError, match="nothing in this LoRA fits"):
        adapt(network, replace(recipe, patches=(lora(tmp_path / "x.safetensors"),)))


def predicted(network: Any) -> Tensor:
    seeded = torch.Generator().manual_seed(0)
    x, states = torch.randn(2, 4, 8, 8, generator=seeded), torch.randn(2, 77, 32, generator=seeded)
    made: Tensor = network.predict(x, [500.0, 500.0], Prompts(states), Hints((0.25, 0.25), (0.0, 0.0)))
    return made


def test_a_network_that_is_streamed_through_its_device_can_be_changed_and_is_streamed_on(folder, files):
    """Streaming holds weights of its own, which a change would not reach."""
    recipe = describe_model(folder / "model", "digest").denoiser
    network, plain = load_denoiser(recipe, "cpu"), load_denoiser(recipe, "cpu")
    stream(network.module, torch.device("cpu"), network.nbytes // 3)
    without = predicted(network)
    assert torch.equal(without, predicted(plain))
    for changes in (
        {"patches": (lora(files["kohya"]),)},
        {"patches": (lora(files["kohya"], 0.5, FALLING),)},
        {"wrap": "both"},
        {"patches": (lora(files["diffusers"], 0.7),), "wrap": "x"},
    ):
        changed = replace(recipe, **changes)
        adapt(network, changed)
        adapt(plain, changed)
        assert network.module.__dict__["_nodegraph_streamed"].blocks
        assert torch.equal(predicted(network), predicted(plain))
        assert not torch.equal(predicted(network), without)
    adapt(network, recipe)
    assert torch.equal(predicted(network), without)


def test_a_streamed_network_stays_as_it_is_where_a_recipe_changes_no_layer_and_streams_on_after_a_refusal(
    folder, files, tmp_path
):
    recipe = describe_model(folder / "model", "digest").denoiser
    network = load_denoiser(recipe, "cpu")
    stream(network.module, torch.device("cpu"), network.nbytes // 3)
    before, expected = network.module.__dict__["_nodegraph_streamed"], predicted(network)
    adapt(network, replace(recipe, attention="math"))
    assert network.module.__dict__["_nodegraph_streamed"] is before
    with pytest.raises(ModelError):
        adapt(network, replace(recipe, patches=(lora(tmp_path / "missing.safetensors"),)))
    assert network.module.__dict__["_nodegraph_streamed"].blocks
    assert torch.equal(predicted(network), expected)


def test_a_network_is_compiled_with_a_lora_of_one_weight_and_not_with_one_that_varies(folder, files):
    """What varies would be compiled anew at each step. That the numbers are right is tested in test_together."""
    recipe = replace(describe_model(folder / "model", "digest").denoiser, compiled="default")
    network = load_denoiser(recipe, "cpu")
    for curve, is_compiled in ((None, True), (FALLING, False), (None, True)):
        patch = lora(files["kohya"], 0.5) if curve is None else lora(files["kohya"], 0.5, curve)
        adapt(network, replace(recipe, patches=(patch,)))
        assert (network.module._compiled_call_impl is not None) == is_compiled

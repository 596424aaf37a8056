"""What hangs on models and prompts in ComfyUI: LoRA, autoencoders, upscalers, tiles, regions, guidance, schedules."""

from __future__ import annotations

import math
from typing import Any

import pytest

from importing.comfy import API, catalog, imported, node, picture, row, ui
from nodegraph.graph import validate
from nodegraph.importing import Imported
from nodegraph_nodes.diffusion.schedules import make_process, make_schedule
from nodegraph_nodes.types import NoiseProcess


def linked(links: dict[str, tuple[int, int]], *more: dict[str, Any], sampler: int = 3) -> Imported:
    """The default workflow whose sampler reads other nodes, imported."""
    nodes = picture()
    for slot in next(entry for entry in nodes if entry["id"] == sampler)["inputs"]:
        slot["link"] = links.get(slot["name"], slot["link"])
    return imported(ui(*nodes, *more))


def whole(found: Imported) -> dict[str, Any]:
    assert not found.report.placeholders
    assert validate(found.document, catalog()) == []
    return found.document.nodes


def custom(sigmas: dict[str, Any], guider: dict[str, Any] | None = None, *more: dict[str, Any]) -> Imported:
    """A picture by SamplerCustomAdvanced: `sigmas` is node 33, `guider` node 32."""
    usual = node(32, "CFGGuider", [5.0], {"model": (4, 0), "positive": (6, 0), "negative": (7, 0)})
    links = {"noise": (30, 0), "guider": (32, 0), "sampler": (31, 0), "sigmas": (33, 0), "latent_image": (5, 0)}
    nodes = [entry for entry in picture() if entry["id"] != 3]
    for entry in nodes:
        for slot in entry["inputs"]:
            slot["link"] = (34, 0) if slot["link"] == (3, 0) else slot["link"]
    parts = [
        node(30, "RandomNoise", [7, "fixed"]),
        node(31, "KSamplerSelect", ["euler"]),
        guider or usual,
        sigmas,
        node(34, "SamplerCustomAdvanced", None, links),
    ]
    return imported(ui(*nodes, *parts, *more))


# ---- models ----


def test_a_lora_goes_on_the_model_and_its_text_encoder_with_a_weight_for_each() -> None:
    nodes = picture()
    nodes[4]["inputs"][0]["link"] = (11, 0)
    nodes[1]["inputs"][0]["link"] = (11, 1)
    first = node(10, "LoraLoader", ["a\\b.safetensors", 0.8, 0.5], {"model": (4, 0), "clip": (4, 1)})
    second = node(11, "LoraLoader", ["c.safetensors", -1, 0], {"model": (10, 0), "clip": (10, 1)})
    found = imported(ui(*nodes, first, second))
    ours = whole(found)
    assert ours["lora"].inputs == {"lora": "a/b.safetensors", "weight": 0.8, "text_weight": 0.5}
    assert ours["lora_2"].links == {"denoiser": "lora.denoiser", "text_encoder": "lora.text_encoder"}
    assert ours["denoise"].links["denoiser"] == "lora_2.denoiser"
    assert ours["positive"].links["encoder"] == "lora_2.text_encoder"
    assert ours["negative"].links["encoder"] == "model.text_encoder"
    assert found.document.interface.inputs["lora_weight"].to == ["lora.weight"]


def test_a_lora_for_the_model_only_leaves_the_text_encoder_as_it_is() -> None:
    found = linked({"model": (10, 0)}, node(10, "LoraLoaderModelOnly", ["a.safetensors", 0.7], {"model": (4, 0)}))
    ours = whole(found)
    assert ours["lora"].inputs == {"lora": "a.safetensors", "weight": 0.7, "text_weight": 0.0}
    assert ours["lora"].links == {"denoiser": "model.denoiser", "text_encoder": "model.text_encoder"}
    assert ours["positive"].links["encoder"] == "model.text_encoder"


def test_of_a_model_in_parts_it_reads_the_only_text_encoder_and_of_two_none() -> None:
    parts = [
        node(1, "UNETLoader", ["m.safetensors", "default"]),
        node(2, "CLIPLoader", ["t.safetensors", "sd3", "default"]),
        node(3, "LoraLoaderModelOnly", ["a.safetensors", 1], {"model": (1, 0)}),
    ]
    found = imported(ui(*parts))
    assert found.document.nodes["lora"].links["text_encoder"] == "clip_loader.CLIP"
    two = imported(ui(*parts, node(4, "CLIPLoader", ["u.safetensors", "sd3", "default"])))
    assert "which one that is cannot be said" in row(two, 3).reason


@pytest.mark.parametrize(
    ("name", "family"),
    [("vae-ft-mse-840000-ema-pruned.safetensors", "sd1"), ("sub\\sdxl_vae.safetensors", "sdxl"), ("my.safetensors", None)],
)
def test_an_autoencoder_has_the_family_that_its_name_says(name: str, family: str | None) -> None:
    nodes = picture()
    nodes[5]["inputs"][1]["link"] = (10, 0)
    ours = whole(imported(ui(*nodes, node(10, "VAELoader", [name]))))
    assert ours["autoencoder"].inputs.get("family") == family
    assert ours["decode"].links["autoencoder"] == "autoencoder.autoencoder"


@pytest.mark.parametrize(
    "name", ["ae.safetensors", "wan_2.1_vae.safetensors", "taesd", "pixel_space", "qwen_image_vae.safetensors"]
)
def test_another_familys_autoencoder_stays_as_it_was(name: str) -> None:
    assert row(imported(ui(*picture(), node(10, "VAELoader", [name]))), 10).fate == "placeholder"


def test_an_autoencoder_without_a_sign_stays_as_it_was() -> None:
    alone = imported(ui(node(10, "VAELoader", ["my.safetensors"]), node(1, "UNETLoader", ["m.safetensors", "default"])))
    assert "nothing says" in row(alone, 10).reason


def test_what_a_model_predicts_is_said_as_there() -> None:
    def found(*values: Any) -> Imported:
        return linked({"model": (10, 0)}, node(10, "ModelSamplingDiscrete", list(values), {"model": (4, 0)}))

    ours = whole(found("v_prediction", True))
    assert ours["predicts"].inputs == {"prediction": "v", "zero_terminal_snr": True}
    assert ours["denoise"].links["denoiser"] == ours["schedule"].links["denoiser"] == "predicts.denoiser"
    assert "'lcm'" in row(found("lcm", False), 10).reason


def test_differential_diffusion_changes_nothing_and_what_reads_it_reads_the_model() -> None:
    found = linked({"model": (10, 0)}, node(10, "DifferentialDiffusion", [1.0], {"model": (4, 0)}))
    assert whole(found)["denoise"].links["denoiser"] == "model.denoiser"
    assert (row(found, 10).fate, row(found, 10).became) == ("resolved", ())
    assert "differential diffusion" in row(found, 10).notes[0]


@pytest.mark.parametrize(
    ("type", "values", "file", "fate"),
    [
        ("ModelSamplingSD3", [3.0], "sd3.5_medium.safetensors", "resolved"),
        ("ModelSamplingSD3", [5.0], "sd3.5_medium.safetensors", "placeholder"),
        ("ModelSamplingSD3", [3.0], "other.safetensors", "placeholder"),
        ("ModelSamplingFlux", [1.15, 0.5, 1024, 1024], "flux1-dev.safetensors", "resolved"),
        ("ModelSamplingFlux", [1.2, 0.5, 1024, 1024], "flux1-dev.safetensors", "placeholder"),
    ],
)
def test_a_shift_goes_only_where_it_is_the_models_own(type: str, values: list[Any], file: str, fate: str) -> None:
    nodes = picture(model=file)
    nodes[4]["inputs"][0]["link"] = (10, 0)
    found = imported(ui(*nodes, node(10, type, values, {"model": (4, 0)})))
    assert row(found, 10).fate == fate
    assert (found.document.nodes["denoise"].links["denoiser"] == "model.denoiser") == (fate == "resolved")


# ---- pictures and latents ----


def test_a_network_enlarges_a_picture() -> None:
    nodes = picture()
    nodes[6]["inputs"][0]["link"] = (11, 0)
    load = node(10, "UpscaleModelLoader", ["x4.pth"])
    found = imported(ui(*nodes, load, node(11, "ImageUpscaleWithModel", None, {"upscale_model": (10, 0), "image": (8, 0)})))
    ours = whole(found)
    assert ours["upscale"].links == {"upscaler": "upscaler.upscaler", "image": "decode.image"}
    assert "pickle" in row(found, 10).notes[0]


@pytest.mark.parametrize(
    ("values", "overlap"), [([256, 64, 64, 8], 64), ([256, 128, 64, 8], 64), ([512], 64), ([64, 32], 16)], ids=str
)
def test_tiles_are_on_the_autoencoder_with_comfyuis_overlap(values: list[int], overlap: int) -> None:
    nodes = picture()
    nodes[5] = node(8, "VAEDecodeTiled", values, {"samples": (3, 0), "vae": (4, 2)})
    ours = whole(imported(ui(*nodes)))
    assert ours["tiles"].inputs == {"width": values[0], "height": values[0], "overlap": overlap}
    assert ours["decode"].links == {"autoencoder": "tiles.autoencoder", "latent": "denoise.latent"}


def second_pass(between: dict[str, Any]) -> Imported:
    links = {"model": (4, 0), "positive": (6, 0), "negative": (7, 0), "latent_image": (15, 0)}
    nodes = picture()
    nodes[5]["inputs"][0]["link"] = (16, 0)
    return imported(ui(*nodes, between, node(16, "KSampler", [9, "fixed", 10, 8, "euler", "normal", 0.5], links)))


@pytest.mark.parametrize(
    ("between", "inputs"),
    [
        (node(15, "LatentUpscaleBy", ["bicubic", 1.5], {"samples": (3, 0)}), {"factor": 1.5, "method": "bicubic"}),
        (
            node(15, "LatentUpscale", ["nearest-exact", 128, 96, "center"], {"samples": (3, 0)}),
            {"factor": 2.0, "method": "nearest"},
        ),
        (
            node(15, "LatentUpscale", ["bilinear", 0, 72, "disabled"], {"samples": (3, 0)}),
            {"factor": 1.5, "method": "bilinear"},
        ),
    ],
)
def test_a_latent_grows_by_a_factor(between: dict[str, Any], inputs: dict[str, Any]) -> None:
    ours = second_pass(between).document.nodes
    assert ours["larger"].inputs == inputs
    assert ours["larger"].links == {"latent": "denoise.latent"}
    assert ours["larger"].type == "upscale/upscale_latent"


@pytest.mark.parametrize(
    ("between", "reason"),
    [
        (node(15, "LatentUpscale", ["bicubic", 128, 48, "disabled"], {"samples": (3, 0)}), "different factors"),
        (node(15, "LatentUpscaleBy", ["area", 2], {"samples": (3, 0)}), "'area'"),
        (node(15, "LatentUpscale", ["bicubic", 128, 96, "disabled"], {"samples": (40, 0)}), "not known"),
    ],
)
def test_a_latent_that_grows_otherwise_stays_as_it_was(between: dict[str, Any], reason: str) -> None:
    assert reason in row(second_pass(between), 15).reason


def test_a_picture_is_brought_to_a_number_of_pixels() -> None:
    nodes = [
        node(1, "LoadImage", ["a.png", "image"]),
        node(2, "ImageScaleToTotalPixels", ["area", 0.5, 16], {"image": (1, 0)}),
        node(3, "ImageInvert", None, {"image": (2, 0)}),
        node(4, "SaveImage", ["x"], {"images": (3, 0)}),
    ]
    ours = whole(imported(ui(*nodes)))
    assert ours["wanted"].inputs == {"a": 0.5, "operation": "multiply", "b": 1048576.0}
    assert ours["ratio"].links == {"a": "pixels.value", "b": "area.value"}
    assert ours["factor"].inputs == {"operation": "power", "b": 0.5}
    assert ours["scale"].inputs == {"multiple": 16, "method": "area"}
    assert ours["scale"].links == {"image": "image.image", "factor": "factor.value"}
    assert ours["inverted"].inputs == {"curve": [[0.0, 1.0], [1.0, 0.0]]}


# ---- prompts ----


def regional(entry: dict[str, Any], *more: dict[str, Any]) -> Imported:
    both = node(21, "ConditioningCombine", None, {"conditioning_1": (20, 0), "conditioning_2": (6, 0)})
    return linked({"positive": (21, 0)}, entry, both, *more)


def test_a_masked_prompt_is_a_region() -> None:
    load = node(40, "LoadImageMask", ["m.png", "red", "image"])
    masked = node(20, "ConditioningSetMask", [0.6, "default"], {"conditioning": (7, 0), "mask": (40, 0)})
    ours = whole(regional(masked, load))
    assert ours["region"].inputs == {"weight": 0.6}
    assert ours["region"].links == {"conditioning": "negative.conditioning", "mask": "mask.mask"}
    assert "region.conditioning" in ours["combine"].links["prompts"]
    bounds = node(20, "ConditioningSetMask", [0.6, "mask bounds"], {"conditioning": (7, 0), "mask": (40, 0)})
    assert "bounds" in row(regional(bounds, load), 20).reason


def test_an_area_is_a_rectangle_in_pixels_of_the_run_or_in_shares() -> None:
    area = node(20, "ConditioningSetArea", [32, 16, 8, 24, 0.9], {"conditioning": (7, 0)})
    found = regional(area)
    edges = {"left": 8.0, "top": 24.0, "right": 40.0, "bottom": 40.0}
    assert whole(found)["area"].inputs == {"width": 64, "height": 48, **edges, "unit": "pixels"}
    assert "the area alone" in " ".join(row(found, 20).notes)
    shares = node(20, "ConditioningSetAreaPercentage", [0.5, 0.25, 0.1, 0.2, 1.0], {"conditioning": (7, 0)})
    edges = {"left": 0.1, "top": 0.2, "right": 0.6, "bottom": 0.45}
    inputs = whole(regional(shares))["area"].inputs
    assert {name: inputs[name] for name in edges} == edges
    assert inputs["unit"] == "share"


def test_flux_guidance_is_told_by_the_guidance() -> None:
    flux = node(20, "FluxGuidance", [4.5], {"conditioning": (6, 0)})
    found = linked({"positive": (20, 0)}, flux)
    ours = whole(found)
    assert ours["guidance"].inputs == {"distilled": 4.5, "scale": 8.0}
    assert ours["guidance"].links["positive"] == "positive.conditioning"
    assert row(found, 20).reason == "part of denoise"
    assert found.document.interface.inputs["distilled"].to == ["guidance.distilled"]


def test_of_two_flux_guidances_the_last_counts_and_one_of_the_other_prompt_is_said() -> None:
    first = node(20, "FluxGuidance", [4.5], {"conditioning": (6, 0)})
    second = node(21, "FluxGuidance", [2.5], {"conditioning": (20, 0)})
    other = node(22, "FluxGuidance", [1.0], {"conditioning": (7, 0)})
    found = linked({"positive": (21, 0), "negative": (22, 0)}, first, second, other)
    assert whole(found)["guidance"].inputs["distilled"] == 2.5
    assert "one scale" in " ".join(row(found, 3).notes)


def test_flux_guidance_that_something_else_reads_stays() -> None:
    flux = node(20, "FluxGuidance", [4.5], {"conditioning": (6, 0)})
    found = linked({"positive": (20, 0)}, flux, node(21, "Mystery", [], {"c": (20, 0)}))
    assert row(found, 20).fate == "placeholder"
    assert found.document.nodes["mystery"].links["c"] == "flux_guidance.CONDITIONING"


def test_rescaled_guidance_is_a_number_of_the_guidance() -> None:
    found = linked({"model": (20, 0)}, node(20, "RescaleCFG", [0.7], {"model": (4, 0)}))
    ours = whole(found)
    assert ours["guidance"].inputs["rescale"] == 0.7
    assert {ours[name].links["denoiser"] for name in ("noise", "schedule", "denoise")} == {"model.denoiser"}
    assert "works on v" in " ".join(row(found, 3).notes)


def test_the_api_format_gives_the_same() -> None:
    data = {name: dict(entry, inputs=dict(entry["inputs"])) for name, entry in API.items()}
    data |= {
        "20": {"class_type": "RescaleCFG", "inputs": {"model": ["21", 0], "multiplier": 0.7}},
        "21": {"class_type": "LoraLoader", "inputs": {"model": ["4", 0], "clip": ["4", 1], "lora_name": "a.safetensors",
                                                     "strength_model": 0.8, "strength_clip": 0.5}},
        "22": {"class_type": "FluxGuidance", "inputs": {"conditioning": ["6", 0], "guidance": 4.5}},
    }  # fmt: skip
    data["3"]["inputs"] |= {"model": ["20", 0], "positive": ["22", 0]}
    data["6"]["inputs"]["clip"] = ["21", 1]
    ours = whole(imported(data))
    assert ours["guidance"].inputs == {"distilled": 4.5, "rescale": 0.7, "scale": 8.0}
    assert ours["denoise"].links["denoiser"] == "lora.denoiser"
    assert ours["positive"].links["encoder"] == "lora.text_encoder"


# ---- schedules and guiders ----


@pytest.mark.parametrize(
    ("type", "values", "inputs"),
    [
        ("KarrasScheduler", [8, 14.6, 0.03, 6.5], {"schedule": "karras", "sigma_max": 14.6, "sigma_min": 0.03, "rho": 6.5}),
        ("ExponentialScheduler", [8, 14.6, 0.03], {"schedule": "exponential", "sigma_max": 14.6, "sigma_min": 0.03}),
        (
            "PolyexponentialScheduler",
            [8, 9.0, 0.1, 2.0],
            {"schedule": "polyexponential", "sigma_max": 9.0, "sigma_min": 0.1, "rho": 2.0},
        ),
    ],
)
def test_a_schedule_between_two_levels_keeps_them(type: str, values: list[Any], inputs: dict[str, Any]) -> None:
    ours = whole(custom(node(33, type, values)))
    assert ours["schedule"].inputs == {**inputs, "steps": 8}
    assert ours["schedule"].links == {"denoiser": "model.denoiser"}
    assert ours["denoise"].inputs["steps"] == 8


def test_beta_sampling_is_ours_with_its_usual_shape_only() -> None:
    links = {"model": (4, 0)}
    assert whole(custom(node(33, "BetaSamplingScheduler", [8, 0.6, 0.6], links)))["schedule"].inputs["schedule"] == "beta"
    assert "0.4" in row(custom(node(33, "BetaSamplingScheduler", [8, 0.4, 0.6], links)), 34).reason


def test_typed_levels_are_a_schedule_of_their_own() -> None:
    ours = whole(custom(node(33, "ManualSigmas", ["14.6, 3.2, .5, 0.0"])))
    assert ours["schedule"].type == "diffusion/custom_schedule"
    assert ours["schedule"].inputs == {"sigmas": [14.6, 3.2, 0.5, 0.0]}
    assert ours["denoise"].inputs["steps"] == 3
    assert "do not fall to 0" in row(custom(node(33, "ManualSigmas", ["14.6, 3.2, 0.5"])), 34).reason


@pytest.mark.parametrize(
    ("steps", "denoise", "first", "taken"), [(1, 1.0, 0, 1), (4, 1.0, 0, 4), (4, 0.5, 5, 4), (9, 0.5, 5, 5)]
)
def test_turbo_takes_steps_of_ten(steps: int, denoise: float, first: int, taken: int) -> None:
    ours = whole(custom(node(33, "SDTurboScheduler", [steps, denoise], {"model": (4, 0)})))
    assert ours["schedule"].inputs == {"schedule": "simple", "steps": 10}
    assert (ours["begin"].inputs["first_step"], ours["denoise"].inputs["steps"]) == (first, taken)


def test_turbos_levels_are_those_of_ten_simple_steps() -> None:
    """ComfyUI: the levels of the timesteps 999, 899 ... 99, from 10 - int(10 denoise) on, then 0."""
    parameters = NoiseProcess("variance_preserving", 1000, beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear")
    betas = [(0.00085**0.5 + (0.012**0.5 - 0.00085**0.5) * i / 999) ** 2 for i in range(1000)]
    kept, sigmas = 1.0, []
    for beta in betas:
        kept *= 1 - beta
        sigmas.append(math.sqrt((1 - kept) / kept))
    theirs = [sigmas[100 * i - 1] for i in range(10, 0, -1)]

    def ours(name: str) -> list[float]:
        schedule = make_schedule(name, make_process(parameters), 10, "sd1")
        assert schedule.sigma[-1] == 0
        return (schedule.sigma / schedule.alpha)[:-1].tolist()

    assert ours("simple") == pytest.approx(theirs, rel=1e-5)  # in float32
    assert ours("normal") != pytest.approx(theirs, rel=1e-2)


def test_perpendicular_guidance_has_its_empty_prompt_and_its_scale() -> None:
    links = {"model": (4, 0), "positive": (6, 0), "negative": (7, 0), "empty_conditioning": (8, 0)}

    def found(cfg: float) -> Imported:
        nodes = node(32, "PerpNegGuider", [cfg, 1.5], links | {"empty_conditioning": (60, 0)})
        sigmas = node(33, "BasicScheduler", ["normal", 8, 1.0], {"model": (4, 0)})
        return custom(sigmas, nodes, node(60, "CLIPTextEncode", [""], {"clip": (4, 1)}))

    ours = whole(found(6.0))
    assert ours["guidance"].inputs == {"scale": 6.0, "method": "perpendicular", "negative_scale": 1.5}
    assert ours["guidance"].links["empty"] == "prompt.conditioning"
    assert "no guidance here" in row(found(1.0), 34).reason

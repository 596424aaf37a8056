"""What ComfyUI's nodes become: the stages of a run, their values, and what is said where something differs."""

from __future__ import annotations

from typing import Any

import pytest

from importing.comfy import API, catalog, document, imported, node, picture, row, ui
from nodegraph.graph import validate
from nodegraph.graph.document import to_json
from nodegraph.importing.comfyui.sampling import SAMPLERS
from nodegraph.importing.comfyui.spacing import SCHEDULES


def changed(values: dict[int, list[Any]], *more: dict[str, Any]) -> list[dict[str, Any]]:
    nodes = [entry | {"widgets_values": values.get(entry["id"], entry["widgets_values"])} for entry in picture()]
    return [*nodes, *more]


def sampler(*values: Any) -> dict[str, Any]:
    return ui(*picture(sampler=values))


def test_the_default_workflow_becomes_one_that_runs_as_it_is() -> None:
    found = imported(ui(*picture()))
    assert not found.report.placeholders
    assert validate(found.document, catalog()) == []
    nodes = found.document.nodes
    assert nodes["positive"].inputs["text"] == "a red apple"
    assert nodes["negative"].inputs["text"] == "text, watermark"
    assert nodes["noise"].inputs == {"width": 64, "height": 48, "seed": 7}
    assert nodes["guidance"].inputs["scale"] == 8.0
    assert nodes["denoise"].inputs == {"sampler": "euler", "steps": 20}
    assert nodes["schedule"].inputs == {"schedule": "normal", "steps": 20}
    assert nodes["decode"].links == {"latent": "denoise.latent", "autoencoder": "model.autoencoder"}


def test_both_formats_and_both_kinds_of_links_give_the_same_nodes() -> None:
    def bare(data: Any) -> Any:
        nodes = to_json(imported(data).document)["nodes"]
        return {name: {k: v for k, v in entry.items() if k not in ("comfyui", "title")} for name, entry in nodes.items()}

    assert bare(ui(*picture())) == bare(API) == bare(ui(*picture(), objects=True)) == bare({"prompt": API})


def test_its_interface_is_what_people_set() -> None:
    interface = imported(ui(*picture())).document.interface
    wanted = "prompt negative_prompt seed width height steps guidance_scale sampler schedule model"
    assert list(interface.inputs) == wanted.split()
    assert interface.inputs["seed"].to == ["noise.seed", "begin.seed"]
    assert interface.inputs["steps"].to == ["schedule.steps", "denoise.steps"]
    assert interface.outputs == {"image": "save.file"}


def test_positions_titles_groups_and_notes_are_kept() -> None:
    nodes = picture()
    nodes[1]["title"] = "What I want"
    group = {"title": "Prompts", "bounding": [1, 2, 3, 4], "color": "#335"}
    found = document(*nodes, node(20, "Note", ["Careful."], title="Read me"), groups=[group])
    assert found.layout["nodes"]["positive"] == [600.0, 50.0]
    assert found.layout["frames"] == [{"title": "Prompts", "at": [1.0, 2.0], "size": [3.0, 4.0], "color": "#335"}]
    assert found.layout["notes"][0]["text"] == "Careful."
    assert found.nodes["positive"].model_extra["title"] == "What I want"  # type: ignore[index]


def test_a_seed_that_is_too_large_is_reduced_and_said() -> None:
    found = imported(sampler(2**32 + 5, "fixed", 20, 8, "euler", "normal", 1))
    assert found.document.nodes["noise"].inputs["seed"] == 5
    assert "4294967301" in row(found, 3).notes[0]


@pytest.mark.parametrize("name", ["dpmpp_3m_sde", "res_multistep", "dpm_2_ancestral", "euler_cfg_pp", "no_such"])
def test_a_sampler_that_we_lack_keeps_the_node_as_it_was(name: str) -> None:
    found = imported(sampler(7, "fixed", 20, 8, name, "normal", 1))
    kept = found.document.nodes["ksampler"]
    assert kept.type == "comfyui/KSampler"
    assert kept.inputs["sampler_name"] == name
    assert kept.inputs["control_after_generate"] == "fixed"
    assert kept.links["model"] == "model.denoiser"
    assert found.document.nodes["decode"].links["latent"] == "ksampler.LATENT"
    assert repr(name) in row(found, 3).reason


@pytest.mark.parametrize(
    ("theirs", "ours", "said"),
    [
        ("dpm_2", "dpm2", ""),
        ("dpmpp_2s_ancestral", "dpmpp_2s_ancestral", "drawn otherwise"),
        ("dpmpp_sde", "dpmpp_sde", "drawn otherwise"),
        ("dpmpp_2m_sde_gpu", "dpmpp_2m_sde", "drawn otherwise"),
        ("ddpm", "ddpm", "drawn otherwise"),
        ("lcm", "lcm", "drawn otherwise"),
        ("lms", "lms", ""),
        ("uni_pc", "uni_pc", "sigma of 0.001"),
        ("uni_pc_bh2", "uni_pc_bh2", "sigma of 0.001"),
    ],
)
def test_a_sampler_has_our_name_and_what_differs_is_said(theirs: str, ours: str, said: str) -> None:
    found = imported(sampler(7, "fixed", 20, 8, theirs, "normal", 1))
    assert found.document.nodes["denoise"].inputs["sampler"] == ours
    assert validate(found.document, catalog()) == []
    notes = " ".join(row(found, 3).notes)
    assert said in notes
    assert bool(said) == bool(notes)


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [("sgm_uniform", "sgm_uniform"), ("exponential", "exponential"), ("beta", "beta"), ("kl_optimal", "kl_optimal")],
)
def test_a_scheduler_has_our_name(theirs: str, ours: str) -> None:
    found = imported(sampler(7, "fixed", 20, 8, "euler", theirs, 1))
    assert found.document.nodes["schedule"].inputs["schedule"] == ours
    assert validate(found.document, catalog()) == []


def test_each_of_our_samplers_and_schedules_is_one_that_the_nodes_take() -> None:
    for table, node_type, name in (
        (SAMPLERS, "diffusion/denoise", "sampler"),
        (SCHEDULES, "diffusion/noise_schedule", "schedule"),
    ):
        known = (catalog().nodes[node_type].input_by_name[name].schema or {})["enum"]
        assert set(table.values()) <= set(known)


@pytest.mark.parametrize("name", ["linear_quadratic", "no_such"])
def test_so_does_a_scheduler(name: str) -> None:
    assert row(imported(sampler(7, "fixed", 20, 8, "euler", name, 1)), 3).fate == "placeholder"


@pytest.mark.parametrize(("steps", "denoise"), [(20, 0.75), (20, 0.4), (7, 0.33), (30, 0.9), (1, 0.5)])
def test_image_to_image_runs_the_last_steps_of_a_longer_schedule(steps: int, denoise: float) -> None:
    nodes = [n for n in changed({3: [7, "fixed", steps, 8, "euler", "normal", denoise]}) if n["id"] != 5]
    nodes[3]["inputs"][3]["link"] = (11, 0)
    load = node(10, "LoadImage", ["apple.png", "image"])
    found = document(*nodes, load, node(11, "VAEEncode", None, {"pixels": (10, 0), "vae": (4, 2)}))
    assert validate(found, catalog()) == []
    assert found.nodes["begin"].links["latent"] == "encode.latent"
    assert found.nodes["begin"].links["first_step"] == "first_step.value"
    assert found.nodes["schedule"].links["steps"] == "all_steps.value"
    assert found.nodes["noise"].links["width"] == "size.width"
    assert (found.nodes["steps_by_strength"].inputs["a"], found.nodes["steps_by_strength"].inputs["b"]) == (steps, denoise)
    assert found.interface.inputs["steps"].to == ["denoise.steps", "steps_by_strength.a", "first_step.b"]
    assert found.interface.inputs["strength"].to == ["steps_by_strength.b"]


def test_a_batch_becomes_a_list_of_seeds() -> None:
    found = imported(ui(*changed({5: [64, 64, 4]})))
    nodes = found.document.nodes
    assert nodes["seeds"].inputs == {"seed": 7, "count": 4}
    assert nodes["noise"].links["seed"] == nodes["begin"].links["seed"] == "seeds.seeds"
    assert validate(found.document, catalog()) == []
    assert any("seed of its own" in note for note in row(found, 3).notes)


def test_a_negative_prompt_of_nothing_is_left_out_only_without_guidance() -> None:
    zero = node(12, "ConditioningZeroOut", None, {"conditioning": (6, 0)})
    for cfg, fate in ((1.0, "mapped"), (3.0, "placeholder")):
        nodes = [n for n in changed({3: [7, "fixed", 20, cfg, "euler", "normal", 1]}, zero) if n["id"] != 7]
        nodes[3]["inputs"][2]["link"] = (12, 0)
        found = imported(ui(*nodes))
        assert row(found, 12).fate == fate
        assert ("negative" in found.document.nodes["guidance"].links) == (fate == "placeholder")


def test_prompts_keep_comfyuis_weights_and_load_their_embeddings() -> None:
    found = imported(ui(*changed({6: ["a (red:1.3) apple, (embedding:easy:1.1) embedding:other.safetensors"]})))
    nodes = found.document.nodes
    assert nodes["positive"].inputs["weights"] == "comfy"
    assert nodes["positive"].links["encoder"] == "embedding.text_encoder"
    assert nodes["embedding"].inputs == {"embedding": "other.safetensors", "word": "other"}
    assert nodes["embedding"].links["encoder"] == "embedding_2.text_encoder"
    assert nodes["embedding_2"].inputs == {"embedding": "easy.safetensors", "word": "easy"}
    assert nodes["embedding_2"].links["encoder"] == "model.text_encoder"
    assert validate(found.document, catalog()) == []

    def notes(text: str) -> str:
        return " ".join(row(imported(ui(*changed({6: [text]}))), 6).notes)

    assert "do not close" in notes("a :) smile")
    assert notes("a (red:1.3) \\) apple, on white " + "word " * 100) == ""


def test_mixed_prompts_keep_how_they_were_mixed() -> None:
    nodes = [
        *picture(),
        node(20, "ConditioningAverage", [0.3], {"conditioning_to": (6, 0), "conditioning_from": (7, 0)}),
        node(21, "ConditioningConcat", None, {"conditioning_to": (20, 0), "conditioning_from": (7, 0)}),
        node(22, "ConditioningSetTimestepRange", [0.2, 0.8], {"conditioning": (21, 0)}),
        node(23, "ConditioningCombine", None, {"conditioning_1": (22, 0), "conditioning_2": (6, 0)}),
    ]
    sampler_node = next(n for n in nodes if n["type"] == "KSampler")
    next(slot for slot in sampler_node["inputs"] if slot["name"] == "positive")["link"] = (23, 0)
    found = imported(ui(*nodes))
    assert not found.report.placeholders
    ours = found.document.nodes
    assert ours["blend"].inputs == {"weight": 0.3}
    assert ours["blend"].links == {"a": "negative.conditioning", "b": "positive.conditioning"}
    assert ours["concat"].links == {"a": "blend.conditioning", "b": "negative.conditioning"}
    assert ours["time"].inputs == {"start": 0.2, "end": 0.8}
    assert ours["combine"].links == {"prompts": ["time.conditioning", "positive.conditioning"]}
    assert ours["combine"].inputs == {"how": "mean"}
    assert ours["guidance"].links["positive"] == "combine.conditioning"
    assert validate(found.document, catalog()) == []


@pytest.mark.parametrize(("layer", "skip"), [(-1, 0), (-2, 1), (-12, 11)])
def test_the_last_layer_becomes_clip_skip(layer: int, skip: int) -> None:
    nodes = [*picture(), node(20, "CLIPSetLastLayer", [layer], {"clip": (4, 1)})]
    encode = next(n for n in nodes if n["id"] == 6)
    next(slot for slot in encode["inputs"] if slot["name"] == "clip")["link"] = (20, 0)
    found = imported(ui(*nodes)).document
    assert found.nodes["clip_skip"].inputs == {"skip": skip}
    assert found.nodes["positive"].links["encoder"] == "clip_skip.text_encoder"


def advanced(id: int, values: list[Any], latent: tuple[int, int]) -> dict[str, Any]:
    links = {"model": (4, 0), "positive": (6, 0), "negative": (7, 0), "latent_image": latent}
    return node(id, "KSamplerAdvanced", values, links)


def two_stages(**change: Any) -> list[dict[str, Any]]:
    first = ["enable", 7, "fixed", 20, 8, "euler", "normal", 0, 12, "enable"]
    second = ["disable", 0, "fixed", 20, 8, "euler", "normal", 12, 10000, "disable"]
    for name, value in change.items():
        second[{"steps": 3, "scheduler": 6, "start": 7}[name]] = value
    nodes = [n for n in picture() if n["id"] != 3]
    nodes[4]["inputs"][0]["link"] = (14, 0)
    return [*nodes, advanced(13, first, (5, 0)), advanced(14, second, (13, 0))]


def test_a_sampler_goes_on_from_the_state_of_another() -> None:
    found = document(*two_stages())
    assert validate(found, catalog()) == []
    assert found.nodes["denoise"].inputs["steps"] == 12
    assert found.nodes["denoise_2"].inputs["steps"] == 8
    assert found.nodes["denoise_2"].links["state"] == "denoise.state"
    assert found.nodes["decode"].links["latent"] == "denoise_2.latent"


@pytest.mark.parametrize("change", [{"steps": 30}, {"scheduler": "karras"}, {"start": 11}])
def test_one_that_does_not_fit_what_was_left_stays_a_placeholder(change: dict[str, Any]) -> None:
    found = imported(ui(*two_stages(**change)))
    assert row(found, 13).fate == "mapped"
    assert row(found, 14).fate == "placeholder"
    assert found.document.nodes["ksampler_advanced"].links["latent_image"] == "denoise.state"


def test_leftover_noise_never_goes_into_a_decoder() -> None:
    nodes = two_stages()
    nodes[4]["inputs"][0]["link"] = (13, 0)
    assert row(imported(ui(*nodes)), 13).fate == "placeholder"


def test_the_parts_of_a_custom_sampler_become_one_run() -> None:
    nodes = [n for n in picture() if n["id"] not in (3, 5)]
    nodes[3]["inputs"][0]["link"] = (20, 0)
    parts = [
        node(20, "SamplerCustomAdvanced", None, {"noise": (21, 0), "guider": (22, 0), "sampler": (23, 0), "sigmas": (24, 0),
                                                 "latent_image": (5, 0)}),
        node(21, "RandomNoise", [11, "fixed"]),
        node(22, "CFGGuider", [3.5], {"model": (4, 0), "positive": (6, 0), "negative": (7, 0)}),
        node(23, "KSamplerSelect", ["heun"]),
        node(24, "BasicScheduler", ["karras", 12, 1.0], {"model": (4, 0)}),
        node(5, "EmptyLatentImage", [64, 64, 1]),
    ]  # fmt: skip
    found = imported(ui(*nodes, *parts))
    assert not found.report.placeholders
    assert validate(found.document, catalog()) == []
    assert found.document.nodes["denoise"].inputs == {"sampler": "heun", "steps": 12}
    assert found.document.nodes["schedule"].inputs == {"schedule": "karras", "steps": 12}
    assert found.document.nodes["noise"].inputs["seed"] == 11
    parts[3] = node(23, "KSamplerSelect", ["er_sde"])
    kept = imported(ui(*nodes, *parts))
    assert {row.type for row in kept.report.placeholders} == {
        *("SamplerCustomAdvanced", "RandomNoise", "CFGGuider", "KSamplerSelect", "BasicScheduler", "EmptyLatentImage")
    }


def test_a_part_that_something_else_reads_stays_beside_the_run() -> None:
    found = imported(ui(*picture(), node(30, "Mystery", [1], {"latent": (5, 0)})))
    assert row(found, 3).fate == "mapped"
    assert row(found, 5).fate == "placeholder"
    assert found.document.nodes["mystery"].links["latent"] == "empty_latent_image.LATENT"
    assert found.document.nodes["noise"].inputs["width"] == 64


@pytest.mark.parametrize(
    ("between", "size"),
    [
        (node(15, "LatentUpscale", ["bislerp", 96, 80, "disabled"], {"samples": (3, 0)}), (96, 80)),
        (node(15, "LatentUpscaleBy", ["bislerp", 1.5], {"samples": (3, 0)}), (96, 72)),
    ],
)
def test_a_second_pass_has_noise_of_the_latent_that_it_reads(between: dict[str, Any], size: tuple[int, int]) -> None:
    links = {"model": (4, 0), "positive": (6, 0), "negative": (7, 0), "latent_image": (15, 0)}
    again = node(16, "KSampler", [9, "fixed", 10, 8, "euler", "normal", 0.5], links)
    found = document(*picture(), between, again)
    assert (found.nodes["noise_2"].inputs["width"], found.nodes["noise_2"].inputs["height"]) == size
    assert found.nodes["begin_2"].links["latent"] == ("latent_upscale.LATENT" if size[1] == 80 else "latent_upscale_by.LATENT")


def test_pictures_are_scaled_as_asked() -> None:
    nodes = [
        node(1, "LoadImage", ["sub\\a.png [input]", "image"]),
        node(2, "ImageScale", ["nearest-exact", 32, 0, "center"], {"image": (1, 0)}),
        node(3, "ImageScaleBy", ["lanczos", 1.5], {"image": (2, 0)}),
        node(4, "SaveImage", ["a{b}"], {"images": (3, 0)}),
    ]
    found = imported(ui(*nodes))
    assert validate(found.document, catalog()) == []
    assert found.document.nodes["image"].inputs["path"] == "sub/a.png"
    assert found.document.nodes["resize"].inputs == {"width": 32, "height": 0, "method": "nearest", "fit": "cover"}
    assert found.document.nodes["scale"].inputs == {"factor": 1.5, "method": "lanczos"}
    assert found.document.nodes["save"].inputs["name"] == "a{{b}}-{digest}"


def test_a_value_that_ours_does_not_take_is_no_value_of_ours() -> None:
    found = row(imported(sampler(7, "fixed", 20, 150, "euler", "normal", 1)), 3)
    assert found.fate == "placeholder"
    assert "150" in found.reason


def test_numbers_are_read_as_comfyui_reads_them() -> None:
    nodes = imported(sampler("7", "fixed", 20.0, "8", "euler", "normal", 1)).document.nodes
    assert (nodes["noise"].inputs["seed"], nodes["denoise"].inputs["steps"], nodes["guidance"].inputs["scale"]) == (7, 20, 8.0)


def test_a_placeholder_keeps_everything_under_its_names() -> None:
    properties = {"cnr_id": "some-pack", "ver": "1.2", "models": [{"url": "https://example.org"}]}
    names = {"lora_name": "style.safetensors", "strength_model": 0.8, "strength_clip": 1.0}
    lora = node(10, "LoraLoaderBypass", names, {"model": (4, 0), "clip": (4, 1)}, properties=properties)
    strange = node(11, "Pack|Strange Node!", [1, [2, 3], {"a": None}], {"any": (10, 1)}, color="#123", title="Mine")
    found = imported(ui(picture()[0], lora, strange))
    kept = to_json(found.document)["nodes"]["lora_loader_bypass"]
    assert kept["type"] == "comfyui/LoraLoaderBypass"
    assert kept["inputs"] == {"lora_name": "style.safetensors", "strength_model": 0.8, "strength_clip": 1.0}
    assert kept["links"] == {"model": "model.denoiser", "clip": "model.text_encoder"}
    assert (kept["comfyui"]["pack"], kept["comfyui"]["version"]) == ("some-pack", "1.2")
    assert kept["comfyui"]["properties"] == properties
    other = to_json(found.document)["nodes"]["mine"]
    assert other["type"] == "comfyui/Pack_Strange_Node"
    assert other["inputs"] == {"widget_0": 1, "widget_1": [2, 3], "widget_2": {"a": None}}
    assert other["links"] == {"any": "lora_loader_bypass.CLIP"}
    assert (other["comfyui"]["color"], other["title"]) == ("#123", "Mine")
    assert row(found, 10).pack == "some-pack"
    assert "LoraLoaderBypass" in found.report.closing


def test_old_and_new_ways_to_write_values_give_the_same() -> None:
    ways = (
        {"widgets_values": [7, True, 20, 8, "euler", "normal", 1]},
        {"widgets_values": [7, 20, 8, "euler", "normal", 1]},
        {"widgets_values": {"seed": 7, "steps": 20, "cfg": 8, "sampler_name": "euler", "scheduler": "normal", "denoise": 1}},
    )
    for way in ways:
        nodes = picture()
        nodes[4] |= way
        assert document(*nodes).nodes["denoise"].inputs == {"sampler": "euler", "steps": 20}


def test_values_of_unknown_nodes_are_named_where_the_file_names_them() -> None:
    seeded = node(1, "Mystery", [5, "randomize", 3], {"seed": None, "count": None}, widgets=("seed", "count"))
    named = node(2, "Mystery", [5, 3], widgets_values_named={"a": 5, "b": 3})
    nodes = document(seeded, named).nodes
    assert nodes["mystery"].inputs == {"seed": 5, "control_after_generate": "randomize", "count": 3}
    assert nodes["mystery_2"].inputs == {"a": 5, "b": 3}

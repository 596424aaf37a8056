"""The web UI's parameters text: what it says comes out typed, and what cannot be read or mapped is said."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nodegraph.api.paths import data_folder as default_data
from nodegraph.graph import Catalog, installed_catalog, used_inputs, validate
from nodegraph.importing.parameters import Parameters, parse_parameters
from nodegraph.importing.text_to_image import SAMPLERS, SCHEDULES, from_parameters

LAST = "Steps: 20, Sampler: Euler a, CFG scale: 7, Seed: 5, Size: 512x768, Model: dream"


def parsed(text: str) -> Parameters:
    found = parse_parameters(text)
    assert found is not None
    return found


def test_every_field_comes_out_typed() -> None:
    text = (
        "a cat\nNegative prompt: bad\nSteps: 28, Sampler: DPM++ 2M, Schedule type: Karras, CFG scale: 7.5, Seed: 4294967294, "
        "Size: 512x768, Model hash: 6ce0161689, Model: v1-5, Denoising strength: 0.4, Clip skip: 2, ENSD: 31337, "
        'Hires upscale: 2, Hires steps: 10, Hires upscaler: Latent, Lora hashes: "foo: 123, bar baz: 456", Version: v1.9.3'
    )
    assert parsed(text) == Parameters(
        prompt="a cat",
        negative_prompt="bad",
        steps=28,
        sampler="DPM++ 2M",
        schedule="Karras",
        guidance_scale=7.5,
        seed=4294967294,
        width=512,
        height=768,
        model="v1-5",
        model_hash="6ce0161689",
        denoising_strength=0.4,
        clip_skip=2,
        ensd=31337,
        hires={"upscale": "2", "steps": "10", "upscaler": "Latent"},
        lora_hashes={"foo": "123", "bar baz": "456"},
        extra={"Version": "v1.9.3"},
    )


@pytest.mark.parametrize(
    ("head", "prompt", "negative"),
    [
        ("a cat\n", "a cat", ""),
        ("", "", ""),
        ("a cat\nNegative prompt: bad\n", "a cat", "bad"),
        ("Negative prompt: bad\n", "", "bad"),
        ("a cat\nNegative prompt:\n", "a cat", ""),
        ("one\n\ntwo: three, four\nNegative prompt: bad,\nugly: x\n", "one\n\ntwo: three, four", "bad,\nugly: x"),
        ("Steps: up, to: the, sky\n", "Steps: up, to: the, sky", ""),
        ("Steps: 3 of them\n", "Steps: 3 of them", ""),
        ("Steps: 1, a: b, c: d\nmore\n", "Steps: 1, a: b, c: d\nmore", ""),
        ("a\nNegative prompt: b\nSteps: 9, Sampler: x, CFG scale: 1\n", "a", "b\nSteps: 9, Sampler: x, CFG scale: 1"),
        ("a\r\nb\r\nNegative prompt: c\r\n", "a\nb", "c"),
        ("what a Negative prompt: is\n", "what a Negative prompt: is", ""),
        ("日本 🍎\n", "日本 🍎", ""),
    ],
    ids=repr,
)
def test_prompts_may_hold_what_looks_like_the_rest(head: str, prompt: str, negative: str) -> None:
    found = parsed(head + LAST)
    assert (found.prompt, found.negative_prompt, found.steps, found.seed) == (prompt, negative, 20, 5)


@pytest.mark.parametrize(
    ("field", "name", "value"),
    [
        ('Template: "a, b: c \\"d\\" \\n e"', "Template", 'a, b: c "d" \n e'),
        ('Hashes: {"model": "abc", "lora:x": [1, 2]}', "Hashes", '{"model": "abc", "lora:x": [1, 2]}'),
        (
            'Civitai resources: [{"type":"checkpoint","weight":0.8}]',
            "Civitai resources",
            '[{"type":"checkpoint","weight":0.8}]',
        ),
        ("Style: red, blue", "Style", "red, blue"),
        ('Name: "not closed', "Name", '"not closed'),
        ('Name: "closed" and more', "Name", '"closed" and more'),
        ("Time: 12:30", "Time", "12:30"),
        ("Empty: ", "Empty", ""),
        ("ADetailer model 2nd: face.pt", "ADetailer model 2nd", "face.pt"),
    ],
)
def test_values_of_every_kind_are_read_whole(field: str, name: str, value: str) -> None:
    for text in (f"a\n{LAST}, {field}", f"a\n{LAST}, {field}, Last: 1"):
        found = parsed(text)
        assert found.extra[name] == value
        assert ("Last" in found.extra) == ("Last" in text)
        assert found.model == "dream"
        assert found.unread == ()


@pytest.mark.parametrize(
    ("line", "says"),
    [
        (f"{LAST}, Clip skip: two", "Clip skip is no number: 'two'"),
        (LAST.replace("Seed: 5", "Seed: " + "9" * 5000), "Seed is no number"),
        (LAST.replace("512x768", "512"), "Size is no number: '512'"),
        (LAST.replace("scale: 7", "scale: nan"), "CFG scale is no number"),
        (f"{LAST}, Seed: 6", "Seed is said twice; the second time '6'"),
        (f"{LAST}, Lora hashes: foo", "'foo', which is no name with a hash"),
        (f"{LAST}\nand then some", "After the parameters stands: 'and then some'"),
        ('Steps: 20, Sampler: "x", {1}, Seed: 5, a: b', "This is no field: '{1}'"),
        (f"{LAST}, " + ", ".join(f"f{i}: 1" for i in range(1200)), "more than 1,000 fields"),
    ],
    ids=["words", "too long", "size", "nan", "twice", "LoRA", "after", "no name", "too many"],
)
def test_what_cannot_be_read_is_said(line: str, says: str) -> None:
    assert any(says in note for note in parsed(f"a\n{line}").unread), parsed(f"a\n{line}").unread


@pytest.mark.parametrize(
    "text", ["", "a cat", "prompt: a\nsteps: 20", "Steps: 20", '{"Steps": 20}', LAST + " " * 1_000_000, "Steps: x, a: b, c: d"]
)
def test_what_is_no_parameters_text_is_none(text: str) -> None:
    assert parse_parameters(text) is None


@given(st.text(st.characters(codec="utf-8")), st.text(st.characters(codec="utf-8")))
def test_any_prompt_is_read_and_nothing_of_it_is_lost(prompt: str, field: str) -> None:
    found = parse_parameters(f"{prompt}\n{LAST}, X: {json.dumps(field)}")
    assert found is not None
    assert found.seed == 5
    assert found.extra == {"X": field}
    if "Negative prompt:" not in prompt:
        assert found.prompt == prompt.replace("\r\n", "\n").strip()


@given(st.text())
def test_any_line_of_parameters_is_read_or_said(tail: str) -> None:
    found = parse_parameters(f"a\n{LAST}, {tail}")
    if found is not None and "\n" not in tail:
        told = json.dumps([found.to_json(), *found.unread], ensure_ascii=False)
        words = [word for word in tail.split() if len(word) < 20 and word.isalnum()]
        assert all(json.dumps(word, ensure_ascii=False)[1:-1] in told for word in words), told


@pytest.mark.parametrize(
    "piece",
    [
        'a: "x, ',
        "a: [1, ",
        "a: b, ",
        ", ",
        "(a:1",
        "[[[[",
        "<lora:",
        ": : ",
        "1",
        " ",
        '"',
        "{}",
        "a: {}, ",
        "(a:11111111",
        "[a:",
    ],
)
def test_a_text_made_to_waste_time_does_not(piece: str, catalog: Catalog) -> None:
    long = piece * (900_000 // len(piece))
    begun = time.monotonic()
    parse_parameters(f"{long}\n{LAST}")
    found = parse_parameters(f"a\n{LAST}, {long}")
    from_parameters(Parameters(prompt=long, negative_prompt=long), catalog)
    assert time.monotonic() - begun < 10
    assert found is not None


# ---- as a document ----


@pytest.fixture(scope="module")
def catalog() -> Catalog:
    return installed_catalog(default_data(None) / "catalog")


def made(catalog: Catalog, **changes: Any) -> tuple[dict[str, Any], str]:
    """The inputs of the document made of parameters, and the notes as one text."""
    base: dict[str, Any] = {
        "prompt": "a cat",
        "negative_prompt": "bad",
        "steps": 25,
        "sampler": "Euler a",
        "schedule": "Karras",
    }
    base |= {"guidance_scale": 6.5, "seed": 77, "width": 512, "height": 768, "model": "dream"}
    document, notes = from_parameters(Parameters(**(base | changes)), catalog)
    return used_inputs(document, catalog), "\n".join(notes)


def test_a_plain_picture_becomes_a_valid_workflow_with_all_its_values(catalog: Catalog) -> None:
    inputs, notes = made(catalog)
    assert inputs == {
        "prompt": "a cat",
        "negative_prompt": "bad",
        "seed": 77,
        "steps": 25,
        "guidance_scale": 6.5,
        "sampler": "euler_ancestral",
        "schedule": "karras",
        "width": 512,
        "height": 768,
        "model": "dream",
    }
    assert notes.count("\n") == 0
    assert "not the same picture" in notes
    document, _ = from_parameters(parsed(LAST), catalog)
    assert validate(document, catalog) == []
    assert document.nodes["begin"].inputs["seed"] == document.nodes["noise"].inputs["seed"] == 5
    assert document.nodes["denoise"].inputs["steps"] == document.nodes["schedule"].inputs["steps"] == 20


@pytest.mark.parametrize(
    ("said", "spaced", "sampler", "schedule", "notes"),
    [
        ("Euler", None, "euler", "normal", []),
        ("DPM++ 2M Karras", None, "dpmpp_2m", "karras", []),
        ("DPM++ 2M", "Karras", "dpmpp_2m", "karras", []),
        ("DPM++ 2M", "Automatic", "dpmpp_2m", "karras", ["Automatic: karras"]),
        ("Euler", "Automatic", "euler", "normal", []),
        ("DDIM", None, "ddim", "ddim_uniform", []),
        ("Heun", "Uniform", "heun", "normal", []),
        ("Euler", "Simple", "euler", "simple", []),
        ("euler A", "karras", "euler_ancestral", "karras", []),
        ("Wonderful Solver", "Karras", "euler", "karras", ["Sampler 'Wonderful Solver' is not known here: euler is used."]),
        ("Euler", "Wonderful", "euler", "normal", ["Schedule type 'Wonderful' is not known here"]),
    ],
)
def test_samplers_and_schedules_have_our_names(
    catalog: Catalog, said: str, spaced: str | None, sampler: str, schedule: str, notes: list[str]
) -> None:
    inputs, told = made(catalog, sampler=said, schedule=spaced)
    assert (inputs["sampler"], inputs["schedule"]) == (sampler, schedule)
    assert all(note in told for note in notes)
    assert ("Sampler" in told or "Schedule" in told) == bool(notes)


@pytest.mark.parametrize("name", [*SAMPLERS, "Restart Karras", "LMS Karras", "DPM++ 2M SDE Exponential"])
def test_every_sampler_of_the_web_ui_has_an_equal_or_a_named_nearest(catalog: Catalog, name: str) -> None:
    inputs, notes = made(catalog, sampler=name, schedule=None)
    spec = catalog.nodes["diffusion/denoise"].input_by_name["sampler"]
    assert inputs["sampler"] in (spec.schema or {})["enum"]
    plain = name.removesuffix(" Karras").removesuffix(" Exponential").lower()
    exact = SAMPLERS[plain][0] == inputs["sampler"]
    assert exact or f"{inputs['sampler']} is the nearest" in notes


@pytest.mark.parametrize("name", SCHEDULES)
def test_every_schedule_of_the_web_ui_has_an_equal_or_a_named_nearest(catalog: Catalog, name: str) -> None:
    inputs, notes = made(catalog, schedule=name)
    assert SCHEDULES[name][0] == inputs["schedule"] or f"{inputs['schedule']} is the nearest" in notes


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"seed": -1}, "Seed is -1"),
        ({"seed": 2**40}, "Seed is 1099511627776"),
        ({"seed": None}, "Seed is not said"),
        ({"steps": 0}, "Steps is 0"),
        ({"guidance_scale": 1000.0}, "CFG scale is 1000.0"),
        ({"width": 100_000}, "The width is 100000"),
        ({"model": None}, "The model is not named"),
        ({"model_hash": "abc"}, "was abc"),
        ({"sampler": None}, "Sampler is not said"),
        ({"denoising_strength": 0.5}, "made from another one"),
        ({"denoising_strength": 0.5, "hires": {"upscale": "2"}}, "Hires upscale: 2"),
        ({"clip_skip": 40}, "Clip skip 40 is left out"),
        ({"ensd": 31337}, "ENSD 31337"),
        ({"lora_hashes": {"foo": "12"}}, "The LoRA foo (hash 12)"),
        ({"prompt": "a <hypernet:foo bar:0.8> cat"}, "'foo bar' in angle brackets"),
        ({"prompt": "a <lora:foo bar:lots> cat"}, "'foo bar' in angle brackets"),
        ({"prompt": "a <lora:foo bar:0.8:0.5:lbw=IN01> cat"}, "'foo bar' in angle brackets"),
        ({"negative_prompt": "a <lora:foo bar:0.8> cat"}, "'foo bar' in angle brackets"),
        ({"extra": {"Variation seed": "3"}}, "Variation seed is left out: 3"),
        ({"unread": ("Seed is no number: 'x'",)}, "Seed is no number: 'x'"),
    ],
    ids=str,
)
def test_whatever_is_left_out_is_said(catalog: Catalog, changes: dict[str, Any], says: str) -> None:
    before, _ = made(catalog)
    inputs, notes = made(catalog, **changes)
    assert says in notes
    assert inputs.keys() == before.keys()


@given(
    seed=st.integers() | st.none(),
    steps=st.integers() | st.none(),
    scale=st.floats(allow_nan=False) | st.none(),
    size=st.integers(-5, 10**7) | st.none(),
    words=st.text(),
)
def test_whatever_the_numbers_the_document_takes_them_or_they_are_said(
    catalog: Catalog, seed: int | None, steps: int | None, scale: float | None, size: int | None, words: str
) -> None:
    found = Parameters(words, words, steps, words, words, scale, seed, size, size, "dream", extra={words: words})
    document, _ = from_parameters(found, catalog)
    assert validate(document, catalog) == []


def test_a_lora_in_the_prompt_is_loaded_by_a_node_with_its_weights(catalog: Catalog) -> None:
    prompt = "a <lora:foo bar:0.8> cat <lyco:old:0.5:1.5><lora:plain><lora:named:te=0.25:unet=-1>"
    document, notes = from_parameters(
        Parameters(prompt, steps=20, model="dream", clip_skip=2, lora_hashes={"old": "ab", "far": "cd"}), catalog
    )
    assert validate(document, catalog) == []
    nodes = document.nodes
    assert nodes["prompt"].inputs["text"] == "a  cat "
    assert nodes["lora"].inputs == {"lora": "foo bar", "weight": 0.8}
    assert nodes["lora_2"].inputs == {"lora": "old", "weight": 1.5, "text_weight": 0.5}
    assert nodes["lora_3"].inputs == {"lora": "plain", "weight": 1.0}
    assert nodes["lora_4"].inputs == {"lora": "named", "weight": -1.0, "text_weight": 0.25}
    assert nodes["lora"].links == {"denoiser": "model.denoiser", "text_encoder": "model.text_encoder"}
    assert nodes["lora_4"].links == {"denoiser": "lora_3.denoiser", "text_encoder": "lora_3.text_encoder"}
    for name in ("noise", "schedule", "denoise"):
        assert nodes[name].links["denoiser"] == "lora_4.denoiser"
    assert nodes["clip_skip"].links == {"encoder": "lora_4.text_encoder"}
    assert nodes["clip_skip"].inputs == {"skip": 1}
    assert nodes["prompt"].links["encoder"] == nodes["negative"].links["encoder"] == "clip_skip.text_encoder"
    assert "The LoRA far (hash cd) is left out." in notes
    assert any("hash of the LoRA old was ab" in note for note in notes)


HIRES = {"upscale": "1.5", "upscaler": "Latent", "steps": "9"}


def test_a_second_pass_over_the_latent_is_made_of_nodes(catalog: Catalog) -> None:
    text = LAST.replace("Model: dream", "Model: dream, Denoising strength: 0.7, Hires upscale: 1.5, Hires upscaler: Latent")
    document, notes = from_parameters(parsed(text + ", Hires steps: 9"), catalog)
    assert validate(document, catalog) == []
    nodes = document.nodes
    assert nodes["larger"].inputs == {"factor": 1.5, "method": "bilinear"}
    assert nodes["noise_2"].inputs == {"seed": 5}
    assert nodes["schedule_2"].inputs["steps"] == 12  # 9 / 0.7, rounded down
    assert nodes["begin_2"].inputs == {"first_step": 3, "seed": 5}
    assert nodes["denoise_2"].inputs == {"sampler": "euler_ancestral", "steps": 9}
    assert nodes["decode"].links["latent"] == "denoise_2.latent"
    assert document.interface.inputs["seed"].to == ["noise.seed", "begin.seed", "noise_2.seed", "begin_2.seed"]
    assert "is left out" not in " ".join(notes)
    again, _ = from_parameters(parsed(LAST), catalog)
    assert len(again.nodes) == 10  # the plain workflow has not been written into
    assert again.interface.inputs["seed"].to == ["noise.seed", "begin.seed"]


@pytest.mark.parametrize(
    ("hires", "strength"),
    [
        (HIRES | {"upscaler": "R-ESRGAN 4x+"}, 0.5),
        (HIRES | {"upscaler": "Latent (bicubic antialiased)"}, 0.5),
        (HIRES | {"prompt": "other words"}, 0.5),
        (HIRES | {"upscale": "much"}, 0.5),
        (HIRES | {"upscale": "nan"}, 0.5),
        (HIRES | {"upscale": "0.5"}, 0.5),
        (HIRES, 0.001),
        (HIRES, 0.0),
        (HIRES, None),
    ],
    ids=str,
)
def test_another_second_pass_is_left_out_and_said(catalog: Catalog, hires: dict[str, str], strength: float | None) -> None:
    document, notes = from_parameters(Parameters("a", steps=20, hires=hires, denoising_strength=strength), catalog)
    assert len(document.nodes) == 10
    assert any("second pass at a larger size, which is left out" in note for note in notes)

"""CLIP text encoders of all families: clip skip, empty prompts, padding, learned words. Oracle: diffusers' encode_prompt."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from tiny_models.pictures import PROMPT, TOLERANCE, difference, ours, theirs
from tiny_models.stored import Stored

from nodegraph_nodes.diffusion.families import ModelError, adapt, describe_model, load_text_encoder
from nodegraph_nodes.diffusion.families.clip import ClipTextEncoder
from nodegraph_nodes.diffusion.families.clip_tokenizer import clip_tokenizer


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> Stored:
    return Stored(tmp_path_factory.mktemp("clip"))


@pytest.mark.parametrize("skip", [0, 1])
def test_clip_skip_of_sdxl_means_what_it_means_in_diffusers(stored, skip):
    recipe = replace(describe_model(stored.path("sdxl", "single file"), "digest").text_encoder, skip=skip)
    found = load_text_encoder(recipe, "cpu").encode([PROMPT])[0]
    states, _, pooled, _ = stored.pipeline("sdxl").encode_prompt(PROMPT, clip_skip=skip, do_classifier_free_guidance=False)
    torch.testing.assert_close(found.states, states[0])
    assert found.states.shape == (77, 32 + 48)
    torch.testing.assert_close(found.pooled, pooled[0])


@pytest.mark.parametrize("name", ["sd1", "sd2"])
def test_clip_skip_leaves_out_last_layers_and_keeps_the_final_norm(stored, name):
    """As StableDiffusionPipeline.encode_prompt, written out: its own line wants a `text_model` that transformers 5 lacks."""
    recipe = replace(describe_model(stored.path(name), "digest").text_encoder, skip=1)
    found = load_text_encoder(recipe, "cpu").encode([PROMPT])[0].states
    encoder, tokenizer = stored.pipeline(name).text_encoder, stored.pipeline(name).tokenizer
    ids = tokenizer(PROMPT, padding="max_length", max_length=77, return_tensors="pt").input_ids
    hidden = encoder(ids, output_hidden_states=True).hidden_states
    torch.testing.assert_close(found, encoder.final_layer_norm(hidden[-2])[0])
    assert not torch.allclose(found, encoder.final_layer_norm(hidden[-1])[0], atol=1e-3)


def test_a_loaded_encoder_takes_on_another_clip_skip_and_refuses_one_that_leaves_nothing(stored):
    recipe = describe_model(stored.path("sd1"), "digest").text_encoder
    encoder = load_text_encoder(recipe, "cpu")
    before = encoder.encode([PROMPT])[0].states
    adapt(encoder, replace(recipe, skip=1))
    assert not torch.equal(encoder.encode([PROMPT])[0].states, before)
    adapt(encoder, recipe)
    assert torch.equal(encoder.encode([PROMPT])[0].states, before)
    with pytest.raises(ModelError, match="uses 2; leave out at most 1"):
        adapt(encoder, replace(recipe, skip=2))


def test_an_empty_negative_prompt_of_sdxl_is_zeros_as_in_diffusers_and_a_space_is_encoded(stored):
    model = stored.path("sdxl", "single file")
    none, empty = theirs(stored.pipeline("sdxl"), negative_prompt=None), theirs(stored.pipeline("sdxl"), negative_prompt="")
    assert difference(ours(model, negative=""), none) <= TOLERANCE
    assert difference(ours(model, negative=" "), empty) <= TOLERANCE
    assert difference(none, empty) > 4 * TOLERANCE


def test_the_refiner_and_others_encode_an_empty_prompt(stored):
    for name in ("sdxl_refiner", "sd1", "sd2"):
        encoder = load_text_encoder(describe_model(stored.path(name), "digest").text_encoder, "cpu")
        assert encoder.encode([""])[0].states.abs().sum() > 0


def test_second_tokenizers_pad_with_the_first_token_also_where_the_model_brings_none(stored, tmp_path):
    assert [tower.pad for tower in encoder_of(stored.path("sdxl")).towers] == [513, 0]
    assert [tower.pad for tower in encoder_of(stored.path("sd2", "single file")).towers] == [0]
    assert clip_tokenizer(77, "!")("x", padding="max_length")["input_ids"][-1] == 0


def encoder_of(model: Path) -> ClipTextEncoder:
    encoder = load_text_encoder(describe_model(model, "digest").text_encoder, "cpu")
    assert isinstance(encoder, ClipTextEncoder)
    return encoder


def test_a_learned_word_is_a_vector_in_place_of_a_tokens_own(stored):
    encoder = encoder_of(stored.path("sdxl"))
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

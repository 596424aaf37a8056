"""Weights, long prompts and learned words on tiny text encoders, against written-out arithmetic and against diffusers."""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from tiny_models import byte_tokenizer, tiny_sd1
from torch import Tensor
from transformers import CLIPTextConfig, CLIPTextModel

from nodegraph import ModelFile, NodeError
from nodegraph.api.paths import shipped
from nodegraph.sdk.batching import Inputs
from nodegraph.sdk.migration import OldNode
from nodegraph_nodes.diffusion import clip_skip, encode_prompt, encode_prompt_2, load_embedding
from nodegraph_nodes.diffusion.families import ModelError, adapt, base_of, describe_model, load_text_encoder
from nodegraph_nodes.diffusion.families.clip import ClipTextEncoder, ClipTower
from nodegraph_nodes.diffusion.prompts import Span, parse, stretches
from nodegraph_nodes.diffusion.prompts.chunks import Token
from nodegraph_nodes.diffusion.prompts.encoding import encode_spans
from nodegraph_nodes.types import Conditioning, Embedding, TextEncoder

RECIPE = TextEncoder("sd1", "tiny", "digest")


@pytest.fixture(scope="module")
def pipeline() -> Any:
    return tiny_sd1()


@pytest.fixture
def encoder(pipeline: Any) -> ClipTextEncoder:
    return ClipTextEncoder("sd1", [ClipTower(pipeline.text_encoder, pipeline.tokenizer)])


@pytest.fixture
def two_towers() -> ClipTextEncoder:
    """Two towers of different widths, as SDXL has them; the second one pools."""

    def tower(width: int, pools: bool) -> ClipTower:
        torch.manual_seed(width)
        config = CLIPTextConfig(
            vocab_size=514,
            hidden_size=width,
            intermediate_size=2 * width,
            num_hidden_layers=3,
            num_attention_heads=4,
            bos_token_id=512,
            eos_token_id=513,
            pad_token_id=513,
        )
        projection = torch.nn.Linear(width, width, bias=False) if pools else None
        return ClipTower(CLIPTextModel(config), byte_tokenizer(), projection, omitted=1, normed=False, pools=pools)

    return ClipTextEncoder("sdxl", [tower(32, False), tower(48, True)], zeros_for_empty=True)


@pytest.fixture(scope="module")
def starter() -> Any:
    recipe = describe_model(shipped("models") / "starter", "digest").text_encoder
    return load_text_encoder(recipe, "cpu")


def encoded(network: Any, text: str, syntax: Any = "a1111") -> Conditioning:
    (part,) = stretches(parse(text, syntax))
    (found,) = encode_spans(network, [part.spans], syntax)
    assert isinstance(found, Conditioning), found
    return found


def states_of(pipeline: Any, ids: list[int]) -> Tensor:
    """transformers' own states [77, D] of tokens between marks."""
    row = [512, *ids, 513] + [513] * (75 - len(ids))
    with torch.no_grad():
        return pipeline.text_encoder(torch.tensor([row])).last_hidden_state[0]


def token_ids(pipeline: Any, text: str) -> list[int]:
    return list(pipeline.tokenizer(text, add_special_tokens=False)["input_ids"])


# ---- plain text ----


@pytest.mark.parametrize("syntax", ["plain", "comfy", "a1111"])
@pytest.mark.parametrize("text", ["", "a red apple", "  a  red, apple ", "x" * 75])
def test_plain_text_gives_the_bits_that_diffusers_gives(pipeline: Any, encoder: Any, syntax: str, text: str) -> None:
    theirs = pipeline.encode_prompt(text, "cpu", 1, False)[0][0]
    assert torch.equal(encoded(encoder, text, syntax).states, theirs)


def test_the_empty_prompt_of_sdxl_stays_zero(two_towers: Any) -> None:
    for syntax in ("plain", "comfy", "a1111"):
        assert not encoded(two_towers, "", syntax).states.any()


# ---- weights ----


def test_a1111_multiplies_states_and_keeps_their_mean(pipeline: Any, encoder: Any) -> None:
    ids = token_ids(pipeline, "a (red:1.5) [car]".translate(str.maketrans("", "", "()[]:15.")))
    plain = states_of(pipeline, ids)
    factors = torch.ones(77)
    factors[2:5], factors[5:8] = 1.5, 1 / 1.1  # a token a letter: start, a, r e d, c a r
    wanted = plain * factors[:, None]
    wanted = wanted * (plain.mean() / wanted.mean())
    found = encoded(encoder, "a (red:1.5) [car]").states
    assert torch.allclose(found, wanted, atol=1e-5)
    assert (found - plain).abs().max() > 0.1
    assert not torch.allclose(found, encoded(encoder, "a (red:1.5) (car:0.909090909)", "comfy").states, atol=1e-2)


def test_comfy_goes_from_the_empty_prompts_states(pipeline: Any, encoder: Any) -> None:
    plain, empty = states_of(pipeline, token_ids(pipeline, "a red car")), states_of(pipeline, [])
    wanted = plain.clone()
    for place in (2, 3, 4):
        wanted[place] = empty[place] + 1.5 * (plain[place] - empty[place])
    found = encoded(encoder, "a (red:1.5) car", "comfy").states
    assert torch.allclose(found, wanted, atol=1e-5)
    assert (found - plain).abs().max() > 0.1


@pytest.mark.parametrize("syntax", ["comfy", "a1111"])
def test_each_tower_weighs_its_own_states_and_pooled_is_left_alone(two_towers: Any, syntax: Any) -> None:
    plain, found = encoded(two_towers, "a red car"), encoded(two_towers, "a (red:1.5) car", syntax)
    singles = [ClipTextEncoder("sdxl", [tower]) for tower in two_towers.towers]
    apart = torch.cat([encoded(single, "a (red:1.5) car", syntax).states for single in singles], -1)
    assert torch.equal(found.states, apart)
    assert plain.pooled is not None
    assert found.pooled is not None
    assert torch.allclose(found.pooled, plain.pooled, atol=1e-6)


def test_a_prompt_says_the_same_alone_and_among_others(encoder: Any) -> None:
    texts = ["a (red:1.5) car", "[a] car", "x " * 100]
    spans = [stretches(parse(text, "a1111"))[0].spans for text in texts]
    together = encode_spans(encoder, spans, "a1111")
    for text, found in zip(texts, together, strict=True):
        assert isinstance(found, Conditioning)
        assert torch.equal(found.states, encoded(encoder, text).states)


@pytest.mark.parametrize("syntax", ["comfy", "a1111"])
def test_the_starter_model_weighs_states_too(starter: Any, syntax: Any) -> None:
    plain, empty = encoded(starter, "a red apple"), encoded(starter, "")
    found = encoded(starter, "a (red:1.5) apple", syntax)
    wanted = plain.states.clone()  # start, a, red, apple, end
    base = empty.states[2] if syntax == "comfy" else torch.zeros(384)
    wanted[2] = base + 1.5 * (plain.states[2] - base)
    assert torch.allclose(found.states, wanted, atol=1e-4)
    pooled = torch.nn.functional.normalize(wanted[:5].mean(0), dim=0) * 384**0.5
    assert torch.allclose(found.pooled, pooled, atol=1e-4)
    assert (found.pooled - plain.pooled).abs().max() > 0.01


def test_the_starter_model_reads_tokens_with_weight_one_as_it_reads_text(starter: Any) -> None:
    text = "a red apple on a green background " * 5
    (part,) = stretches(parse(text, "a1111"))
    assert part.spans == ((Span(text, 1.0),),)
    ours = starter.encode_tokens([Token(id, 1.0) for id in starter.token_ids(text)], "a1111")
    theirs = starter.encode([text])[0]
    assert torch.allclose(ours.states, theirs.states, atol=1e-5)
    assert torch.allclose(ours.pooled, theirs.pooled, atol=1e-5)


# ---- long prompts ----


def test_long_prompts_are_read_in_chunks_of_75(pipeline: Any, encoder: Any) -> None:
    ids = token_ids(pipeline, "b" * 100)
    found = encoded(encoder, "b" * 100).states
    assert found.shape == (154, 32)
    assert torch.allclose(found, torch.cat([states_of(pipeline, ids[:75]), states_of(pipeline, ids[75:])]), atol=1e-5)
    assert encoded(encoder, "b" * 100, "plain").states.shape == (77, 32)


def test_break_makes_chunks_of_its_own(pipeline: Any, encoder: Any) -> None:
    wanted = torch.cat([states_of(pipeline, token_ids(pipeline, text)) for text in ("red", "car")])
    assert torch.allclose(encoded(encoder, "red BREAK car").states, wanted, atol=1e-5)


def test_towers_that_need_fewer_chunks_are_filled_up(two_towers: Any) -> None:
    two_towers.words = {"wide": (torch.randn(60, 32), torch.randn(60, 48))}
    assert encoded(two_towers, "embedding:wide " + "c" * 40).states.shape == (154, 80)


# ---- learned words ----


@pytest.fixture
def embedding(tmp_path: Path) -> Path:
    torch.manual_seed(5)
    save_file({"emb_params": torch.randn(3, 32)}, tmp_path / "easy.safetensors")
    return tmp_path / "easy.safetensors"


def with_word(path: Path, name: str = "easy") -> TextEncoder:
    return replace(RECIPE, embeddings=(Embedding(name, str(path), "digest"),))


@pytest.mark.parametrize("called", ["embedding:easy", "<easy>", "EASY"])
def test_a_learned_word_gives_what_diffusers_textual_inversion_gives(embedding: Path, called: str) -> None:
    pipeline = tiny_sd1(seed=1)
    encoder = ClipTextEncoder("sd1", [ClipTower(pipeline.text_encoder, pipeline.tokenizer)])
    before = pipeline.text_encoder.get_input_embeddings().weight.clone()
    adapt(encoder, with_word(embedding))
    ours = encoded(encoder, f"a {called} car").states
    assert torch.equal(pipeline.text_encoder.get_input_embeddings().weight, before)
    pipeline.load_textual_inversion(str(embedding), token="<learned>", local_files_only=True)
    theirs = pipeline.encode_prompt("a <learned> car", "cpu", 1, False)[0][0]
    assert torch.equal(ours, theirs)
    adapt(encoder, RECIPE)
    assert not encoder.words


def test_a_learned_word_can_be_weighed(encoder: Any, embedding: Path) -> None:
    adapt(encoder, with_word(embedding))
    plain, empty = encoded(encoder, "embedding:easy", "comfy").states, encoded(encoder, "", "comfy").states
    found = encoded(encoder, "(embedding:easy:1.4)", "comfy").states
    wanted = plain.clone()
    wanted[1:4] = empty[1:4] + 1.4 * (plain[1:4] - empty[1:4])
    assert torch.allclose(found, wanted, atol=1e-5)


def test_all_layouts_hold_the_same_word(two_towers: Any, encoder: Any, embedding: Path, tmp_path: Path) -> None:
    vectors = load_file(embedding)["emb_params"]
    save_file({"<any>": vectors}, tmp_path / "diffusers.safetensors")
    save_file({"<any>": vectors[0].clone()}, tmp_path / "one.safetensors")
    adapt(encoder, with_word(embedding))
    wanted = encoder.words["easy"][0]
    adapt(encoder, with_word(tmp_path / "diffusers.safetensors"))
    assert torch.equal(encoder.words["easy"][0], wanted)
    adapt(encoder, with_word(tmp_path / "one.safetensors"))
    assert encoder.words["easy"][0].shape == (1, 32)
    save_file({"clip_l": torch.randn(2, 32), "clip_g": torch.randn(2, 48)}, tmp_path / "two.safetensors")
    adapt(two_towers, with_word(tmp_path / "two.safetensors"))
    assert [each.shape for each in two_towers.words["easy"]] == [(2, 32), (2, 48)]
    assert encoded(two_towers, "a <easy> car").states.shape == (77, 80)


def test_a_word_of_another_model_is_refused_by_its_width(encoder: Any, two_towers: Any, tmp_path: Path) -> None:
    save_file({"clip_l": torch.randn(2, 768), "clip_g": torch.randn(2, 1280)}, tmp_path / "xl.safetensors")
    with pytest.raises(ModelError, match=r"was made for SDXL \(vectors of 768 and 1280 numbers\).*vectors of 32 numbers"):
        adapt(encoder, with_word(tmp_path / "xl.safetensors"))
    save_file({"emb_params": torch.randn(2, 32)}, tmp_path / "small.safetensors")
    with pytest.raises(ModelError, match="vectors of 32 and 48 numbers"):
        adapt(two_towers, with_word(tmp_path / "small.safetensors"))
    save_file({"a": torch.randn(2, 32), "b": torch.randn(2, 32)}, tmp_path / "none.safetensors")
    with pytest.raises(ModelError, match="no learned word"):
        adapt(encoder, with_word(tmp_path / "none.safetensors"))


def test_words_are_the_recipes_own_and_share_the_network(embedding: Path) -> None:
    recipe = load_embedding(RECIPE, ModelFile("easy.safetensors", embedding, "digest"))
    assert [word.name for word in recipe.embeddings] == ["easy"]
    again = load_embedding(recipe, ModelFile("easy.safetensors", embedding, "digest"), "other")
    assert [word.name for word in again.embeddings] == ["easy", "other"]
    assert base_of(clip_skip(again, 2)) == base_of(RECIPE)
    with pytest.raises(NodeError, match="by this name"):
        load_embedding(RECIPE, ModelFile("easy.safetensors", embedding, "digest"), "two words")


# ---- the node ----


def context(network: Any, records: list[str] | None = None) -> Any:
    log = logging.getLogger("test")
    warn = (lambda message, *values: records.append(message % values)) if records is not None else log.warning
    return SimpleNamespace(resident=lambda recipe: network, node="prompt", log=SimpleNamespace(warning=warn))


def node(network: Any, text: str, weights: str = "a1111", steps: int | None = None, records: list[str] | None = None) -> Any:
    call = Inputs(encoder=RECIPE, text=text, weights=weights, steps=steps, context=context(network, records))
    assert encode_prompt.batch is not None
    (found,) = encode_prompt.batch.run([call])
    if isinstance(found, NodeError):
        raise found
    return found


def test_switches_and_and_become_parts(encoder: Any) -> None:
    found = node(encoder, "[a:b:0.5] AND c:0.3")
    assert [(part.start, part.end, part.weight) for part in found.parts] == [(0, 0.5, 1), (0.5, 1, 1), (0, 1, 0.3)]
    assert torch.equal(found.parts[1].states, node(encoder, "b").states)
    assert len(node(encoder, "[a|b]", steps=4).parts) == 4


def test_an_unknown_word_fails_its_call_alone_and_names_what_is_near(encoder: Any, embedding: Path) -> None:
    adapt(encoder, with_word(embedding))
    calls = [
        Inputs(encoder=RECIPE, text=text, weights="a1111", steps=None, context=context(encoder))
        for text in ("a car", "embedding:esay", "(a")
    ]
    assert encode_prompt.batch is not None
    good, unknown, broken = encode_prompt.batch.run(calls)
    assert isinstance(good, Conditioning)
    assert isinstance(unknown, NodeError)
    assert unknown.hint == "Did you mean easy?"
    assert isinstance(broken, NodeError)
    assert broken.got == ">>>(a"


def test_what_does_not_count_is_said_in_the_log(encoder: Any, starter: Any) -> None:
    records: list[str] = []
    node(encoder, "<lora:some:0.8> a car", records=records)
    node(encoder, "b" * 100, "plain", records=records)
    node(starter, "apple " * 30, records=records)
    node(encoder, "b" * 100, records=records)
    assert len(records) == 3
    assert "'some'" in records[0]
    assert "100 tokens" in records[1]
    assert "first 22" in records[2]


@pytest.mark.parametrize(
    ("values", "wrong"),
    [
        ({"text": "(a", "weights": "a1111", "steps": None}, True),
        ({"text": "(a", "weights": "plain", "steps": None}, False),
        ({"text": "[a:b:4]", "weights": "a1111", "steps": None}, True),
        ({"text": "[a:b:4]", "weights": "a1111"}, False),  # steps come over a link
        ({"text": "[a:b:4]", "weights": "a1111", "steps": 20}, False),
        ({"weights": "a1111", "steps": None}, False),
        ({"text": "(a", "steps": None}, False),
    ],
)
def test_prompts_are_checked_before_the_run(values: dict[str, object], wrong: bool) -> None:
    assert encode_prompt.check is not None
    found = list(encode_prompt.check(values))
    assert bool(found) == wrong
    assert all(problem.socket == "text" for problem in found)


@pytest.mark.parametrize(
    ("text", "linked", "weights", "notes"),
    [
        ("a red apple", False, None, 0),
        ("", False, None, 0),
        ("a (red) apple", False, "plain", 1),
        ("a red apple", True, "plain", 0),
        ("word " * 20, False, "plain", 0),
    ],
)
def test_saved_prompts_keep_their_meaning(text: str, linked: bool, weights: str | None, notes: int) -> None:
    old = OldNode("diffusion/encode_prompt", 1, {"text": text}, {"text": "other.text"} if linked else {})
    encode_prompt_2(old)
    assert (old.inputs.get("weights"), len(old.notes)) == (weights, notes)

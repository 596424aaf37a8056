"""What SDXL is told beside the prompt: sizes, crops, the refiner's aesthetic score."""

import pytest
import torch
from tiny_models.pictures import PROMPT, TOLERANCE, difference, noise, ours, theirs
from tiny_models.stored import Stored

from nodegraph import NodeError
from nodegraph_nodes.diffusion import size_conditioning
from nodegraph_nodes.diffusion.families import Hints, Prompts, describe_model, load_denoiser, load_text_encoder
from nodegraph_nodes.types import Conditioning


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> Stored:
    return Stored(tmp_path_factory.mktemp("sizes"))


def test_a_picture_that_is_not_square_tells_sdxl_its_height_first(stored):
    expected = theirs(stored.pipeline("sdxl"), width=96, height=48, latents=noise(96, 48))
    assert difference(ours(stored.path("sdxl"), size=(96, 48)), expected) <= TOLERANCE


def test_size_conditioning_is_that_of_diffusers(stored):
    told = {"original_size": (512, 768), "crops_coords_top_left": (16, 32), "target_size": (640, 896)}
    away = {f"negative_{name}": value for name, value in told.items()}
    expected = theirs(stored.pipeline("sdxl"), **told, **away)

    def change(conditioning: Conditioning) -> Conditioning:
        return size_conditioning(conditioning, 768, 512, 16, 32, 896, 640)

    assert difference(ours(stored.path("sdxl"), change=change), expected) <= TOLERANCE
    assert difference(ours(stored.path("sdxl")), expected) > 2 * TOLERANCE


def test_the_refiner_is_told_a_lower_score_of_its_negative_prompt(stored):
    recipe = describe_model(stored.path("sdxl_refiner"), "digest")
    denoiser, encoder = load_denoiser(recipe.denoiser, "cpu"), load_text_encoder(recipe.text_encoder, "cpu")
    prompt = encoder.encode([PROMPT])[0]
    prompts = Prompts(prompt.states.repeat(2, 1, 1), prompt.pooled.repeat(2, 1))
    x = noise().repeat(2, 1, 1, 1)
    told = denoiser.predict(x, [500.0] * 2, prompts, Hints((0.0,) * 2, (1.0,) * 2, negative=(False, True)))
    scores = []
    for score in (6.0, 2.5):
        conditioning = size_conditioning(prompt, 64, 64, aesthetic_score=score)
        sizes = {"time_ids": conditioning.extra["time_ids"][None].repeat(2, 1)}
        scores.append(denoiser.predict(x, [500.0] * 2, prompts._replace(extra=sizes)))
    torch.testing.assert_close(told[0], scores[0][0])
    torch.testing.assert_close(told[1], scores[1][1])
    assert not torch.allclose(told[0], told[1], atol=1e-4)
    with pytest.raises(ValueError, match="6 numbers where this model takes 5"):
        denoiser.predict(x, [500.0] * 2, prompts._replace(extra={"time_ids": torch.zeros(2, 6)}))


def test_only_sdxl_is_told_sizes(stored):
    prompt = load_text_encoder(describe_model(stored.path("sd1"), "").text_encoder, "cpu").encode([PROMPT])[0]
    with pytest.raises(NodeError, match="Only SDXL") as caught:
        size_conditioning(prompt)
    assert caught.value.socket == "conditioning"

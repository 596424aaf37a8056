"""Windows and seams: what is cut and blended is the whole again, and a picture that wraps has no border."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tiny_models import tiny_sd1
from torch import Tensor

from nodegraph import NodeError
from nodegraph.api.paths import shipped
from nodegraph_nodes.diffusion.families import Hints, Prompts, describe_model, load_autoencoder, load_denoiser
from nodegraph_nodes.diffusion.families.networks import KLAutoencoder
from nodegraph_nodes.diffusion.families.wrapping import set_wrap
from nodegraph_nodes.diffusion.layout import tile_autoencoder, tile_denoiser
from nodegraph_nodes.diffusion.predict import Evaluation, guided_denoised
from nodegraph_nodes.diffusion.tiling import Window, blend, cut, decoded, encoded, estimates, windows
from nodegraph_nodes.types import Autoencoder, Conditioning, Denoiser, Guidance, Point, Prediction, Tiles, Wrap

POINT = Point(0.8, 0.6, 400.0)
STARTER = describe_model(shipped("models") / "starter", "digest")
WRAPS: tuple[Wrap, ...] = ("none", "x", "y", "both")


def noise(seed: int, *shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def autoencoder() -> KLAutoencoder:
    recipe = Autoencoder("sd1", "", "", 4, 8, 0.0, 0.18215)
    return KLAutoencoder(recipe, tiny_sd1().vae)


@given(
    height=st.integers(1, 40),
    width=st.integers(1, 40),
    tile=st.tuples(st.integers(1, 20), st.integers(1, 20)),
    overlap=st.integers(0, 19),
    wrap=st.sampled_from(WRAPS),
)
def test_windows_cover_a_picture_and_what_they_show_makes_the_whole_again(height, width, tile, overlap, wrap):
    picture = noise(0, 3, height, width)
    places = windows(height, width, tile, overlap, wrap)
    assert all(window.height <= tile[0] and window.width <= tile[1] for window in places)
    whole = blend([cut(picture, window) for window in places], places, height, width, overlap)
    torch.testing.assert_close(whole, picture)


@given(length=st.integers(9, 60), tile=st.integers(8, 30), overlap=st.integers(0, 7))
def test_neighbouring_windows_share_what_was_asked_for(length, tile, overlap):
    starts = [window.left for window in windows(1, length, (1, tile), overlap)]
    assert starts[0] == 0
    assert starts[-1] + min(tile, length) == length
    assert all(b - a <= tile - overlap for a, b in itertools.pairwise(starts))


def test_the_border_of_a_picture_that_wraps_lies_inside_a_window():
    for window_of in ((8, 8), (8, 32)):
        places = windows(8, 24, window_of, 2, "x")
        assert any(window.left < 24 < window.left + window.width for window in places)


class Pointwise:
    """A network that looks at each place alone, so tiles must not change anything."""

    family = "toy"
    prediction: Prediction = "epsilon"
    nbytes = 0
    module = torch.nn.Identity()

    def __init__(self) -> None:
        self.sizes: list[tuple[int, ...]] = []

    def to(self, device: torch.device | str) -> Pointwise:
        return self

    def predict(self, x: Tensor, timesteps: Sequence[float], prompts: Prompts, hints: Hints | None = None) -> Tensor:
        self.sizes.append(tuple(x.shape))
        extra = 0 if hints is None or hints.concat is None else hints.concat.mean(1, keepdim=True)
        return torch.sin(x) * prompts.states.mean((1, 2))[:, None, None, None] + extra


def recipe(**changes: Any) -> Denoiser:
    return replace(STARTER.denoiser, family="toy", downscale=8, **changes)


@pytest.mark.parametrize("wrap", WRAPS)
def test_what_has_a_place_in_the_picture_is_cut_with_it(wrap):
    mask = torch.linspace(0, 1, 24)[None].expand(16, 24)
    other = Conditioning(noise(3, 5, 3), "toy")
    positive = Conditioning(noise(1, 5, 3), "toy", mask=mask, others=(replace(other, mask=1 - mask),))
    guidance = Guidance(positive, Conditioning(noise(2, 5, 3), "toy"), 5.0, concat=noise(4, 5, 16, 24))
    evaluations = [Evaluation(noise(seed, 4, 16, 24), POINT, guidance, 0.5) for seed in (5, 6)]
    network = Pointwise()
    tiled = estimates(network, recipe(tiles=Tiles(64, 64, 24), wrap=wrap), evaluations)
    assert max(size[2:] for size in network.sizes) == (8, 8)
    for evaluation, estimate in zip(evaluations, tiled, strict=True):
        torch.testing.assert_close(estimate, guided_denoised(Pointwise(), *evaluation))


def test_one_tile_is_the_picture_itself():
    network = load_denoiser(STARTER.denoiser, "cpu")
    states = noise(1, 24, 384)
    guidance = Guidance(Conditioning(states, "starter", noise(2, 384)), None, 1.0)
    wanted = [Evaluation(noise(3, 4, 16, 16), Point(0.5, 0.5, 500.0), guidance, 0.5)]
    tiled = estimates(network, replace(STARTER.denoiser, tiles=Tiles(256, 256, 32)), wanted)
    assert torch.equal(tiled[0], estimates(network, STARTER.denoiser, wanted)[0])


@pytest.mark.parametrize("wrap", ["x", "y", "both"])
def test_a_network_that_wraps_does_not_know_where_the_picture_begins(wrap: Wrap):
    """Moving the latent around moves the output around: to the bit of the coarsest level's positions."""
    network = load_denoiser(replace(STARTER.denoiser, wrap=wrap), "cpu")
    prompts = Prompts(noise(1, 1, 24, 384), noise(2, 1, 384))
    x = noise(3, 1, 4, 16, 16)
    for axis, name in ((3, "x"), (2, "y")):
        moved = network.predict(x.roll(8, axis), [500.0], prompts).roll(-8, axis)
        distance = (moved - network.predict(x, [500.0], prompts)).abs().max()
        assert (distance < 1e-4) == (wrap in (name, "both")), (axis, distance)


def test_wrapping_is_put_on_and_taken_off_without_a_trace():
    network = autoencoder()
    latent, pixels = noise(1, 1, 4, 8, 8), noise(2, 1, 64, 64, 3).sigmoid()
    before = network.decode(latent), network.encode(pixels)
    for wrap in ("x", "both", "none"):
        set_wrap(network.module, wrap)
    assert torch.equal(network.decode(latent), before[0])
    assert torch.equal(network.encode(pixels), before[1])


def test_the_encoder_wraps_as_well():
    network = autoencoder()
    set_wrap(network.module, "both")
    pixels = noise(2, 1, 64, 64, 3).sigmoid()
    moved = network.encode(pixels.roll(32, 2)).roll(-4, 3)
    torch.testing.assert_close(moved, network.encode(pixels), atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("wrap", ["none", "both"])
def test_the_seam_of_a_decoded_texture_is_as_smooth_as_its_inside(wrap: Wrap):
    """The step across the border against the steps inside, on a smooth latent that itself goes on at its other side."""
    network = load_autoencoder(replace(STARTER.autoencoder, wrap=wrap), "cpu")
    around = torch.arange(16) / 16 * 2 * torch.pi
    latent = torch.stack([torch.sin(around + i)[:, None] * torch.cos(around + 2 * i)[None] for i in range(4)])[None]
    image = network.decode(latent)[0]
    across = (image - image.roll(1, 1)).abs().mean((0, 2))  # [W]: 0 is the step over the border
    assert (across[0] <= across[1:].max()) == (wrap == "both")


@pytest.mark.parametrize("wrap", WRAPS)
def test_a_tiled_decoding_is_close_to_the_whole_and_closer_with_more_overlap(wrap: Wrap):
    network = load_autoencoder(STARTER.autoencoder, "cpu")
    around = torch.arange(32) / 32 * 2 * torch.pi
    latent = torch.stack([torch.sin(around + i)[:, None] * torch.cos(around + 2 * i)[None] for i in range(4)])[None]
    set_wrap(network.module, wrap)
    whole = network.decode(latent)
    set_wrap(network.module, "none")
    errors = []
    for overlap in (0, 48):
        tiled = decoded(network, latent, 4, Tiles(96, 96, overlap), wrap)
        assert tiled.shape == whole.shape
        errors.append((tiled - whole).abs().mean().item())
    assert errors[1] < errors[0]
    assert errors[1] < 0.02


def test_a_tiled_encoding_is_close_to_the_whole():
    network = load_autoencoder(STARTER.autoencoder, "cpu")
    pixels = torch.nn.functional.interpolate(noise(1, 1, 3, 8, 8).sigmoid(), 128, mode="bilinear").movedim(1, -1)
    whole = network.encode(pixels)
    tiled = encoded(network, pixels, 4, Tiles(96, 96, 64), "none")
    assert tiled.shape == whole.shape
    assert (tiled - whole).norm() / whole.norm() < 0.1


def test_a_window_over_the_border_sees_the_other_side():
    picture = torch.arange(5.0)[None]
    assert cut(picture, Window(0, 3, 1, 4)).tolist() == [[3, 4, 0, 1]]


def test_tiles_that_do_not_fit_the_model_are_refused_with_a_size_that_does():
    with pytest.raises(NodeError, match="does not fit the model") as error:
        tile_denoiser(STARTER.denoiser, width=100, height=128, overlap=32)
    assert error.value.hint == "Try 96."
    with pytest.raises(NodeError, match="does not fit the model"):
        tile_autoencoder(STARTER.autoencoder, width=102, height=128, overlap=32)

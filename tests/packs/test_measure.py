"""Measures of pictures against written-out arithmetic; sheets with words."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image as Pillow
from PIL import PngImagePlugin
from torch import Tensor

from nodegraph import Context, ModelFile, NodeError
from nodegraph.api.paths import shipped
from nodegraph_nodes.diffusion import autoencoder_network, load_model, perceptual_distance
from nodegraph_nodes.image import (
    compare_metadata,
    contact_sheet,
    image_difference,
    image_histogram,
    labelled_grid,
    measure_images,
    repeat_image,
    roll_image,
)
from nodegraph_nodes.image.measure import structural_similarity

RANDOM = np.random.default_rng(0)


def random(height: int = 20, width: int = 24) -> Tensor:
    return torch.from_numpy(RANDOM.random((height, width, 3), np.float32))


def ssim_written_out(first: Tensor, second: Tensor) -> float:
    """Equation 13 of Wang et al. 2004, a window at a time."""
    x, y = ((image.double().numpy() @ [0.2126, 0.7152, 0.0722]) for image in (first, second))
    offsets = np.arange(11) - 5
    weights = np.exp(-(offsets[:, None] ** 2 + offsets[None] ** 2) / (2 * 1.5**2))
    weights /= weights.sum()
    values = []
    for top in range(x.shape[0] - 10):
        for left in range(x.shape[1] - 10):
            a, b = x[top : top + 11, left : left + 11], y[top : top + 11, left : left + 11]
            mean_a, mean_b = (weights * a).sum(), (weights * b).sum()
            variance_a, variance_b = (weights * (a - mean_a) ** 2).sum(), (weights * (b - mean_b) ** 2).sum()
            covariance = (weights * (a - mean_a) * (b - mean_b)).sum()
            above = (2 * mean_a * mean_b + 0.01**2) * (2 * covariance + 0.03**2)
            values.append(above / ((mean_a**2 + mean_b**2 + 0.01**2) * (variance_a + variance_b + 0.03**2)))
    return float(np.mean(values))


def test_structural_similarity_is_the_papers() -> None:
    first = random()
    second = (first + 0.3 * random() - 0.15).clamp(0, 1)
    assert structural_similarity(first, second) == pytest.approx(ssim_written_out(first, second), abs=1e-9)
    assert structural_similarity(first, first) == pytest.approx(1)
    assert structural_similarity(first, 1 - first) < 0
    assert math.isfinite(structural_similarity(first[:5, :7], second[:5, :7]))


def test_measures_of_a_known_difference() -> None:
    image = torch.full((12, 12, 3), 0.5)
    found = measure_images(image, image + 0.1)
    assert found.psnr == pytest.approx(20, abs=1e-4)
    assert found.mean_error == pytest.approx(25.5, abs=1e-3)
    assert found.largest_error == pytest.approx(25.5, abs=1e-3)
    assert measure_images(image, image).psnr == 100
    assert found.table.columns == ["measure", "value"]


def test_pictures_of_different_sizes_are_not_compared() -> None:
    with pytest.raises(NodeError, match="different sizes") as error:
        measure_images(random(4, 4), random(4, 5))
    assert (error.value.expected, error.value.got) == ("4 x 4", "5 x 4")


def test_a_difference_shows_what_differs_and_nothing_else() -> None:
    first = torch.full((4, 4, 3), 0.5)
    second = first.clone()
    second[1, 2, 0] = 0.75
    shown = image_difference(first, second, gain=2)
    assert shown[1, 2].tolist() == [0.5, 0, 0]
    assert shown.sum() == 0.5
    signed = image_difference(second, first, gain=2, mode="signed")
    assert signed[1, 2].tolist() == [0.25, 0.5, 0.5]
    hot = image_difference(first, second, gain=4, mode="heat")
    assert hot[1, 2].tolist() == [1, 0, 0]
    assert hot.sum() == 1


def test_a_histogram_counts_every_pixel_once_per_channel() -> None:
    image = random()
    plot = image_histogram(image, bins=16)
    for channel, series in enumerate(plot.series):
        counts, _ = np.histogram(image[..., channel].numpy(), 16, (0, 1))
        assert series.y == counts.tolist()


def test_metadata_of_two_pictures_is_laid_side_by_side(tmp_path: Path) -> None:
    for name, seed in (("a.png", 1), ("b.png", 2)):
        info = PngImagePlugin.PngInfo()
        document = {"nodes": {"noise": {"inputs": {"seed": seed}}}, "layout": {"nodes": {"noise": [seed, 0]}}}
        info.add_text("nodegraph", json.dumps(document))
        info.add_text("Comment", "the same")
        Pillow.new("RGB", (4, 4)).save(tmp_path / name, pnginfo=info)
    table = compare_metadata(tmp_path / "a.png", tmp_path / "b.png")
    assert table.columns == ["what", "a.png", "b.png"]
    assert table.rows == [["nodegraph.nodes.noise.inputs.seed", "1", "2"]]
    everything = compare_metadata(tmp_path / "a.png", tmp_path / "b.png", only_different=False)
    assert ["Comment", "the same", "the same"] in everything.rows
    (tmp_path / "c.png").write_bytes(b"no picture")
    with pytest.raises(NodeError, match=r"c\.png is not a picture"):
        compare_metadata(tmp_path / "a.png", tmp_path / "c.png")


def test_an_encoder_finds_noise_nearer_than_another_picture() -> None:
    model = shipped("models") / "starter"
    autoencoder = load_model(ModelFile("starter", model, "digest")).autoencoder
    context = Context(load=lambda recipe: autoencoder_network(recipe, torch.device("cpu")))
    y, x = torch.meshgrid(torch.linspace(0, 9, 64), torch.linspace(0, 9, 64), indexing="ij")
    picture = torch.stack([x.sin(), y.sin(), (x + y).cos()], 2) / 2 + 0.5
    noisy = (picture + 0.02 * torch.randn(picture.shape, generator=torch.Generator().manual_seed(0))).clamp(0, 1)
    near, far = (perceptual_distance(context, autoencoder, picture, other) for other in (noisy, picture.flip(0)))
    assert perceptual_distance(context, autoencoder, picture, picture) == 0
    assert 0 < near < far


def test_a_grid_has_its_pictures_in_order_and_words_around_them() -> None:
    reds = [torch.tensor([i / 6, 0, 0]).expand(20, 30, 3) for i in range(1, 7)]
    sheet = labelled_grid(reds, ["one", "two", "three"], ["first", "second"], title="Title", gap=4)
    bare = labelled_grid(reds, ["", "", ""], ["", ""], gap=4)
    for index, image in enumerate(reds):
        found = (sheet - image[0, 0]).abs().amax(2) < 1 / 255
        rows, columns = found.nonzero().unbind(1)
        assert len(rows) == 600, index
        assert (rows.max() - rows.min(), columns.max() - columns.min()) == (19, 29)
    assert sheet.shape[0] > bare.shape[0]
    assert (sheet < 0.3).all(2).any(), "there are words"
    with pytest.raises(NodeError, match="as many images") as error:
        labelled_grid(reds[:5], ["a", "b", "c"], ["x", "y"])
    assert error.value.expected == "3 x 2 images"


def test_long_words_stay_beside_their_picture() -> None:
    image = torch.zeros(40, 40, 3)
    narrow = labelled_grid([image], ["prompt: " + "a very long description of something " * 5])
    assert narrow.shape[1] == 40 + 2 * 4


def test_a_contact_sheet_shrinks_what_is_large_and_captions_everything() -> None:
    images = [torch.full((300, 150, 3), 0.5), torch.full((10, 20, 4), 0.25)]
    sheet = contact_sheet(images, ["large", "small"], cell=100)
    assert sheet.shape[1] == 8 + 2 * (50 + 8)
    with pytest.raises(NodeError, match="one caption"):
        contact_sheet(images, ["one"])


def test_a_texture_is_laid_beside_itself_and_moved_around() -> None:
    image = random(4, 6)
    laid = repeat_image(image, columns=3, rows=2)
    assert laid.shape == (8, 18, 3)
    assert torch.equal(laid[4:, 12:], image)
    rolled = roll_image(image, 0.5, 0.5)
    assert torch.equal(rolled[2, 3], image[0, 0])
    assert torch.equal(roll_image(rolled, -0.5, -0.5), image)

"""The mask pack, with pillow and plain sums as oracles."""

from __future__ import annotations

import io
import math
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image as Pillow
from torch import Tensor

from nodegraph import NodeError
from nodegraph.graph import Catalog
from nodegraph.sdk.pack import installed_packs, load_pack
from nodegraph_nodes.image import resize_image
from nodegraph_nodes.mask import (
    combine_masks,
    composite,
    feather_mask,
    grow_mask,
    invert_mask,
    load_mask,
    mask_from_alpha,
    mask_from_color,
    mask_to_image,
    resize_mask,
    threshold_mask,
)
from nodegraph_nodes.pictures import mask_artifact
from nodegraph_nodes.types import Mask

RANDOM = np.random.default_rng(0)


def rand(*shape: int) -> Tensor:
    return torch.from_numpy(RANDOM.random(shape, np.float32))


def saved(path: Path, pixels: np.ndarray[Any, Any]) -> Path:
    Pillow.fromarray(pixels).save(path)
    return path


# ---- files ----


@pytest.mark.parametrize(("dtype", "white"), [(np.uint8, 255), (np.uint16, 65535)])
def test_every_level_of_a_grey_file_comes_in_exactly(tmp_path: Path, dtype: Any, white: int) -> None:
    levels = np.arange(white + 1, dtype=dtype).reshape(-1, 256 if white > 255 else 16)
    mask = load_mask(saved(tmp_path / "x.png", levels))
    assert mask.dtype == torch.float32
    assert np.array_equal(mask.numpy(), levels.astype(np.float32) / white)


def test_a_mask_that_is_saved_and_loaded_is_off_by_less_than_one_65535th(tmp_path: Path) -> None:
    mask = torch.cat([rand(30, 40), torch.tensor([0.0, 1.0]).repeat(20)[None]])
    file = tmp_path / "x.png"
    file.write_bytes(mask_artifact(mask).data)
    assert (load_mask(file) - mask).abs().max() < 0.5001 / 65535
    file.write_bytes(mask_artifact(load_mask(file)).data)
    assert torch.equal(load_mask(file)[-1], mask[-1])


def test_what_a_mask_outputs_as_a_file_has_sixteen_bits() -> None:
    socket = get_args(Mask)[1]
    with Pillow.open(io.BytesIO(socket.artifact(rand(3, 5)).data)) as picture:
        assert (picture.format, picture.mode, picture.size) == ("PNG", "I;16", (5, 3))


@pytest.mark.parametrize(("channel", "index"), [("red", 0), ("green", 1), ("blue", 2), ("alpha", 3)])
def test_a_channel_of_a_picture_is_the_mask(tmp_path: Path, channel: Any, index: int) -> None:
    pixels = RANDOM.integers(0, 256, (4, 6, 4), np.uint8)
    mask = load_mask(saved(tmp_path / "x.png", pixels), channel)
    assert np.array_equal(mask.numpy(), pixels[..., index].astype(np.float32) / 255)


def test_brightness_is_pillows_but_not_rounded(tmp_path: Path) -> None:
    pixels = RANDOM.integers(0, 256, (9, 9, 3), np.uint8)
    mask = load_mask(saved(tmp_path / "x.png", pixels))
    assert np.abs(mask.numpy() * 255 - np.asarray(Pillow.fromarray(pixels).convert("L"))).max() < 0.51
    assert (mask * 255 % 1 > 1e-3).any()


def test_a_picture_without_opacity_is_opaque(tmp_path: Path) -> None:
    assert torch.equal(load_mask(saved(tmp_path / "x.png", np.zeros((2, 3), np.uint8)), "alpha"), torch.ones(2, 3))


def test_a_file_that_is_no_picture_is_named(tmp_path: Path) -> None:
    (tmp_path / "x.png").write_text("no")
    with pytest.raises(NodeError, match=r"x\.png is not a picture"):
        load_mask(tmp_path / "x.png")


def test_the_editor_is_told_that_the_file_is_a_mask() -> None:
    catalog = Catalog.of([load_pack(installed_packs()["mask"])])
    assert catalog.nodes["mask/load_mask"].inputs[0].schema == {"type": "string", "format": "mask"}


# ---- from pictures ----


def test_a_colour_map_gives_the_mask_of_a_label() -> None:
    labels = np.array([["#ff0000", "#ff8040"], ["#fe0000", "#000000"]])
    image = torch.tensor([[[int(c[i : i + 2], 16) / 255 for i in (1, 3, 5)] for c in row] for row in labels])
    for color in labels.flat:
        assert torch.equal(mask_from_color(image, color), torch.from_numpy(labels == color).float())
    assert torch.equal(mask_from_color(image, "#FF0000", 1 / 255), torch.tensor([[1.0, 0.0], [1.0, 0.0]]))
    assert torch.equal(mask_from_color(image, "#123456", 1.0), torch.ones(2, 2))


def test_opacity_is_a_mask_and_a_mask_a_grey_picture() -> None:
    image = rand(3, 4, 4)
    assert torch.equal(mask_from_alpha(image), image[..., 3])
    assert torch.equal(mask_from_alpha(image[..., :3]), torch.ones(3, 4))
    assert torch.equal(mask_to_image(image[..., 3]), image[..., 3:].expand(3, 4, 3))


# ---- sets ----


@given(st.floats(0, 1, width=32), st.floats(0, 1, width=32))
def test_masks_combine_as_fuzzy_sets(a: float, b: float) -> None:
    x, y = torch.full((1, 1), a), torch.full((1, 1), b)

    def of(operation: Any) -> float:
        return combine_masks(x, y, operation).item()

    assert of("union") == max(a, b)
    assert of("intersection") == min(a, b)
    assert of("multiply") == pytest.approx(a * b)
    assert of("difference") == pytest.approx(min(a, 1 - b), abs=1e-6)
    assert invert_mask(invert_mask(x)).item() == pytest.approx(a, abs=1e-7)
    both = combine_masks(invert_mask(x), invert_mask(y), "intersection")
    assert torch.equal(invert_mask(combine_masks(x, y, "union")), both)  # De Morgan


# ---- edges ----


@pytest.mark.parametrize("pixels", [0, 1, 2, 5, 9, 40])
def test_growing_is_the_maximum_over_a_disc_and_shrinking_the_minimum(pixels: int) -> None:
    mask = rand(11, 17)
    rows, columns = torch.meshgrid(torch.arange(11), torch.arange(17), indexing="ij")
    near = (rows[..., None, None] - rows) ** 2 + (columns[..., None, None] - columns) ** 2 <= pixels**2
    assert torch.equal(grow_mask(mask, pixels), torch.where(near, mask, -math.inf).amax((2, 3)))
    assert torch.equal(grow_mask(mask, -pixels), torch.where(near, mask, math.inf).amin((2, 3)))


@pytest.mark.parametrize("radius", [0.3, 1.0, 2.5])
def test_feathering_is_a_gaussian_and_rounds_nothing(radius: float) -> None:
    point = torch.zeros(41, 41)
    point[20, 20] = 1
    distance = torch.arange(-20.0, 21.0, dtype=torch.float64)
    bell = torch.exp(-(distance**2) / (2 * radius**2))
    expected = (bell[:, None] * bell / bell.sum() ** 2).float()
    assert (feather_mask(point, radius) - expected).abs().max() < 1e-4
    assert len(feather_mask(point, radius).unique()) > 5
    assert feather_mask(point, radius).sum().item() == pytest.approx(1, abs=1e-5)


def test_feathering_by_nothing_changes_nothing_and_full_masks_stay_full() -> None:
    mask = rand(5, 7)
    assert torch.equal(feather_mask(mask, 0.0), mask)
    assert torch.allclose(feather_mask(torch.ones(3, 4), 20.0), torch.ones(3, 4))
    assert feather_mask(torch.ones(3, 4), 20.0).max() <= 1


def test_a_threshold_makes_a_mask_hard() -> None:
    assert threshold_mask(torch.tensor([[0.0, 0.4999, 0.5, 1.0]])).tolist() == [[0.0, 0.0, 1.0, 1.0]]


@pytest.mark.parametrize("size", [(7, 5), (40, 23), (30, 4)])
def test_a_mask_is_resized_as_pillow_does_it(size: tuple[int, int]) -> None:
    mask = rand(16, 24)
    expected = np.asarray(Pillow.fromarray(mask.numpy()).resize(size, Pillow.Resampling.BILINEAR))
    assert np.abs(resize_mask(mask, *size).numpy() - expected).max() < 1e-5


@pytest.mark.parametrize("fit", ["stretch", "contain", "cover"])
def test_a_mask_stays_over_its_picture(fit: Any) -> None:
    mask = rand(12, 20)
    picture = resize_image(mask_to_image(mask), 8, 8, "bilinear", fit)
    assert torch.equal(resize_mask(mask, 8, 8, fit), picture[..., 0])
    assert torch.equal(resize_mask(mask, 20, 12, fit), mask)


# ---- composites ----


@pytest.mark.parametrize("channels", [(3, 3), (4, 4), (3, 4), (4, 3)])
def test_a_composite_keeps_both_pictures_to_the_bit_where_the_mask_is_0_or_1(channels: tuple[int, int]) -> None:
    image, over = rand(8, 8, channels[0]), rand(8, 8, channels[1])
    mask = torch.cat([torch.zeros(8, 3), rand(8, 2), torch.ones(8, 3)], 1)
    mixed = composite(image, over, mask)
    assert mixed.shape[-1] == max(channels)
    assert torch.equal(mixed[:, :3, : channels[0]], image[:, :3])
    assert torch.equal(mixed[:, 5:, : channels[1]], over[:, 5:])
    if channels == (3, 3):
        share = mask[..., None]
        assert torch.allclose(mixed, image * (1 - share) + over * share, atol=1e-6)


def test_colours_that_are_transparent_do_not_mix_in() -> None:
    hidden = torch.tensor([[[0.0, 1.0, 0.0, 0.0]]])
    mixed = composite(torch.tensor([[[1.0, 0.0, 0.0]]]), hidden, torch.full((1, 1), 0.5))
    assert torch.allclose(mixed, torch.tensor([[[1.0, 0.0, 0.0, 0.5]]]))


@pytest.mark.parametrize(
    ("call", "socket", "hint"),
    [
        (lambda: combine_masks(rand(2, 3), rand(2, 4)), "b", "mask/resize_mask"),
        (lambda: composite(rand(2, 3, 3), rand(2, 3, 3), rand(2, 4)), "mask", "mask/resize_mask"),
        (lambda: composite(rand(2, 3, 3), rand(2, 4, 3), rand(2, 3)), "over", "image/resize_image"),
    ],
)
def test_another_size_is_a_problem_that_names_both_sizes_and_what_to_do(call: Any, socket: str, hint: str) -> None:
    with pytest.raises(NodeError) as caught:
        call()
    error = caught.value
    assert (error.socket, error.expected, error.got, error.hint) == (socket, "3 x 2", "4 x 2", f"Link {hint} before it.")


def test_no_mask_node_writes_into_its_input() -> None:
    mask, image = rand(6, 6), rand(6, 6, 3)
    before = mask.clone()
    for result in (grow_mask(mask, 2), grow_mask(mask, -2), feather_mask(mask, 1.0), threshold_mask(mask), invert_mask(mask)):
        assert result.shape == mask.shape
    composite(image, image, mask)
    combine_masks(mask, mask, "difference")
    assert torch.equal(mask, before)
    assert mask._version == 0

"""Cutting the masked part out and putting it back: where it lies, how large it is, and that nothing else changes by a bit."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from nodegraph import NodeError
from nodegraph_nodes.mask import composite, crop_to_mask, feather_mask, stitch
from nodegraph_nodes.mask.crop import CODEC, Crop

RANDOM = torch.Generator().manual_seed(0)


def rand(*shape: int) -> Tensor:
    return torch.rand(*shape, generator=RANDOM)


def box_mask(height: int, width: int, left: int, top: int, right: int, bottom: int) -> Tensor:
    mask = torch.zeros(height, width)
    mask[top:bottom, left:right] = rand(bottom - top, right - left) * 0.5 + 0.5
    return mask


def place(crop: Crop) -> tuple[slice, slice]:
    return slice(crop.top, crop.top + crop.height), slice(crop.left, crop.left + crop.width)


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_a_cut_out_holds_the_mask_lies_in_the_picture_and_has_a_size_that_fits(data: st.DataObject) -> None:
    draw = data.draw
    height, width = draw(st.integers(3, 70)), draw(st.integers(3, 70))
    left, top = draw(st.integers(0, width - 1)), draw(st.integers(0, height - 1))
    right, bottom = draw(st.integers(left + 1, width)), draw(st.integers(top + 1, height))
    target = draw(st.sampled_from([{}, {"width": 32}, {"height": 48}, {"width": 64, "height": 32}, {"megapixels": 0.004}]))
    multiple, padding = draw(st.sampled_from([1, 8, 16])), draw(st.integers(0, 20))
    image, mask = rand(height, width, draw(st.sampled_from([3, 4]))), box_mask(height, width, left, top, right, bottom)
    found = crop_to_mask(
        image, mask, padding, draw(st.floats(1, 3)), draw(st.sampled_from([0, 40])), multiple=multiple, **target
    )
    crop = found.crop
    assert 0 <= crop.left <= left
    assert right <= crop.left + crop.width <= width
    assert 0 <= crop.top <= top
    assert bottom <= crop.top + crop.height <= height
    assert found.image.shape[:2] == found.mask.shape
    assert found.image.shape[0] % multiple == found.image.shape[1] % multiple == 0
    painted = rand(*found.image.shape[:2], 3)
    result = stitch(image, painted, crop, mask)
    assert torch.equal(result[mask == 0], image[mask == 0])
    if found.image.shape[:2] == (crop.height, crop.width):
        assert torch.equal(found.image, image[place(crop)])
        assert torch.equal(found.mask, mask[place(crop)])
        if image.shape[-1] == 3:
            assert torch.equal(stitch(image, found.image, crop, mask), image)


def test_surroundings_are_as_asked_for_and_moved_at_a_border() -> None:
    image, mask = rand(100, 120, 3), box_mask(100, 120, 40, 30, 60, 50)
    assert crop_to_mask(image, mask, 7, 1.0, multiple=1).crop == Crop(33, 23, 34, 34, 120, 100)
    assert crop_to_mask(image, mask, 0, 3.0, multiple=1).crop == Crop(20, 10, 60, 60, 120, 100)
    assert crop_to_mask(image, mask, 0, 1.0, 50, multiple=1).crop == Crop(25, 15, 50, 50, 120, 100)
    assert crop_to_mask(image, mask, 0, 1.0, multiple=16).crop == Crop(34, 24, 32, 32, 120, 100)
    corner = box_mask(100, 120, 0, 90, 10, 100)
    assert crop_to_mask(image, corner, 8, 1.0, multiple=1).crop == Crop(0, 74, 26, 26, 120, 100)


def test_the_place_takes_the_shape_of_the_size_asked_for() -> None:
    image, mask = rand(100, 120, 3), box_mask(100, 120, 40, 30, 60, 50)
    found = crop_to_mask(image, mask, 0, 1.0, width=128, height=64)
    assert found.crop == Crop(30, 30, 40, 20, 120, 100)
    assert found.image.shape == (64, 128, 3)
    assert crop_to_mask(image, mask, 0, 1.0, width=64).image.shape == (64, 64, 3)
    about = crop_to_mask(image, mask, 0, 1.0, megapixels=0.25, multiple=8).image
    assert about.shape[0] * about.shape[1] == pytest.approx(250_000, rel=0.05)


@pytest.mark.parametrize("size", [(65, 47), (10, 9), (64, 64)])
def test_a_mask_over_all_of_a_picture_of_any_size_works(size: tuple[int, int]) -> None:
    image, mask = rand(*size, 3), torch.ones(size)
    found = crop_to_mask(image, mask)
    assert (found.crop.width, found.crop.height) == (size[1], size[0])
    assert found.image.shape[0] % 16 == found.image.shape[1] % 16 == 0
    assert stitch(image, torch.zeros_like(found.image), found.crop, mask).abs().max() < 1e-6


def test_a_mask_is_never_rounded_on_its_way() -> None:
    image, mask = rand(64, 64, 3), torch.zeros(64, 64)
    mask[16:48, 16:48] = 0.001 * rand(32, 32) + 0.3
    found = crop_to_mask(image, mask, 0, 1.0)
    assert torch.equal(found.mask, mask[16:48, 16:48])
    scaled = crop_to_mask(image, mask, 0, 1.0, width=64, height=64)
    assert (scaled.mask > 0.29).any()
    assert scaled.mask.unique().numel() > 1000


def test_a_softened_mask_is_that_of_the_whole_picture() -> None:
    image, mask = rand(64, 64, 3), box_mask(64, 64, 24, 24, 40, 40)
    found = crop_to_mask(image, mask, 16, 1.0)
    painted = rand(*found.image.shape)
    over = image.clone()
    over[place(found.crop)] = painted
    soft = feather_mask(mask, 2.0)
    result = stitch(image, painted, found.crop, mask, 2.0)
    assert torch.equal(result, composite(image, over, soft))
    assert torch.equal(result[soft == 0], image[soft == 0])
    assert not torch.equal(result, stitch(image, painted, found.crop, mask))


def test_without_a_mask_all_of_the_cut_out_shows_and_fades_within_the_picture_only() -> None:
    image, crop = torch.zeros(40, 40, 3), Crop(0, 10, 20, 20, 40, 40)
    hard = stitch(image, torch.ones(20, 20, 3), crop)
    assert (hard[10:30, :20] == 1).all()
    assert hard.sum() == 20 * 20 * 3
    soft = stitch(image, torch.ones(20, 20, 3), crop, feather=2.0)[..., 0]
    assert soft[20, 0] == 1  # the picture's own border
    assert soft[10, 5].item() == pytest.approx(0.5 / 6)
    assert soft[20, 19].item() == pytest.approx(0.5 / 6)
    assert soft[:10].max() == 0


def test_transparent_pictures_stay_so_outside_and_are_opaque_where_painted() -> None:
    image, mask = rand(32, 32, 4) * 0.9, box_mask(32, 32, 8, 8, 24, 24)
    mask[8:24, 8:24] = 1
    found = crop_to_mask(image, mask, 0, 1.0)
    assert found.image.shape[-1] == 4
    result = stitch(image, rand(16, 16, 3), found.crop, mask)
    assert torch.equal(result[mask == 0], image[mask == 0])
    assert result[8:24, 8:24, 3].min() == 1
    onto_opaque = stitch(image[..., :3], found.image, found.crop, mask)
    assert onto_opaque.shape[-1] == 4
    assert torch.equal(onto_opaque[mask == 0][:, :3], image[mask == 0][:, :3])


@pytest.mark.parametrize(
    ("call", "socket", "says"),
    [
        (lambda: crop_to_mask(rand(8, 8, 3), torch.zeros(8, 8)), "mask", "empty"),
        (lambda: crop_to_mask(rand(8, 8, 3), torch.ones(8, 9)), "mask", "another size"),
        (lambda: stitch(rand(8, 8, 3), rand(4, 4, 3), Crop(0, 0, 4, 4, 9, 8)), "image", "another size"),
        (lambda: stitch(rand(8, 8, 3), rand(4, 4, 3), Crop(0, 0, 4, 4, 8, 8), torch.ones(8, 9)), "mask", "another size"),
    ],
)
def test_what_does_not_fit_is_said(call: Any, socket: str, says: str) -> None:
    with pytest.raises(NodeError, match=says) as caught:
        call()
    assert caught.value.socket == socket


def test_a_size_that_is_said_twice_is_refused_before_the_run() -> None:
    assert crop_to_mask.check is not None
    (problem,) = crop_to_mask.check({"width": 64, "megapixels": 1.0})
    assert problem.socket == "megapixels"
    assert crop_to_mask.check({"width": 64, "megapixels": 0.0}) == []


def test_a_place_comes_back_from_the_disk_as_it_was() -> None:
    crop = Crop(1, 2, 3, 4, 5, 6)
    assert CODEC.decode(*CODEC.encode(crop)) == crop


def test_no_input_is_written_into() -> None:
    image, mask, painted = rand(32, 32, 3), box_mask(32, 32, 4, 4, 20, 20), rand(16, 16, 3)
    found = crop_to_mask(image, mask, 0, 1.0)
    given = (image, mask, painted, found.image, found.mask)
    before = [tensor._version for tensor in given]
    stitch(image, painted, found.crop, mask, 1.0)
    crop_to_mask(image, mask, width=64)
    assert [tensor._version for tensor in given] == before

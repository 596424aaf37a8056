"""Pictures are cut, mirrored and relit as they are read, their layouts alike; buckets keep shapes."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from nodegraph import Context, NodeError
from nodegraph_nodes.training import (
    augment_backgrounds,
    augment_colours,
    augment_crops,
    augment_halves,
    augment_light,
    augment_mirrored,
    augment_pairs,
    augment_styles,
    bucket_pictures,
    load_pictures,
    resize_pictures,
)
from nodegraph_nodes.training.data import PLAIN, BatchPlan, Pick, Reader, bucket_of
from nodegraph_nodes.training.data.bucketing import bucket_sizes
from nodegraph_nodes.training.data.captions import coloured, in_style, shortened, with_article
from nodegraph_nodes.training.data.colours import HUES, recoloured, relit
from nodegraph_nodes.training.data.drawing import box_within, covering
from nodegraph_nodes.types import Dataset, Entry, PictureSource
from training.pictures import encoded, put, saved


@pytest.fixture
def mapped(tmp_path: Path) -> Dataset:
    """One picture of 64 x 48 whose red is its layout's number times 20, in blocks of 8."""
    regions = (np.arange(64)[None] // 8 + np.zeros((48, 1), int)).astype(np.uint8)
    regions[24:] += 1
    pixels = np.zeros((48, 64, 3), np.uint8)
    pixels[..., 0] = regions * 20
    saved(pixels, tmp_path / "set/one.png")
    saved(regions, tmp_path / "set/layouts/one.png")
    return load_pictures(Context(), tmp_path / "set", captions_from="none")


@pytest.mark.parametrize("how", ["plain", "crop", "small crop", "flip", "both"])
def test_layouts_stay_under_their_pictures(mapped: Dataset, how: str) -> None:
    data = resize_pictures(mapped, 32, 32)
    if how in ("crop", "both"):
        data = augment_crops(data, 1, 1)
    if how == "small crop":
        data = augment_crops(data, 1, 0.5)
    if how in ("flip", "both"):
        data = augment_mirrored(data, 1)
    with Reader(data) as reader:
        seen = [reader.read(Pick(0, PLAIN if how == "plain" else draw, 0)) for draw in range(10)]
    for example in seen:
        assert example.layout is not None
        assert (example.pixels.shape, example.layout.shape) == ((32, 32, 3), (32, 32))
        drawn = (example.pixels[..., 0].float() / 20).round()
        assert (drawn == example.layout).float().mean() > 0.8  # edges of blocks are smooth in one, hard in the other
        rising = example.layout[0].float().diff().sum() > 0
        assert rising == (how not in ("flip", "both"))
    shows = {tuple(example.layout[0].tolist()) for example in seen if example.layout is not None}
    assert (len(shows) > 1) == ("crop" in how or how == "both")


def test_a_mirrored_picture_is_the_mirror_of_the_plain_one(mapped: Dataset) -> None:
    data = resize_pictures(mapped, 32, 24)
    with Reader(data) as plain, Reader(augment_mirrored(data, 1)) as turned:
        assert torch.equal(turned.read(Pick(0, 0, 0)).pixels, plain.read(Pick(0, PLAIN, 0)).pixels.flip(1))


@pytest.mark.parametrize(("fit", "outside"), [("cover", 0), ("contain", 255), ("stretch", 0)])
def test_pictures_of_another_shape_are_cut_padded_or_stretched(mapped: Dataset, fit: str, outside: int) -> None:
    with Reader(resize_pictures(mapped, 32, 32, fit)) as reader:  # type: ignore[arg-type]
        example = reader.read(Pick(0, PLAIN, 0))
    assert example.pixels[0, 16, 2] == outside
    assert example.layout is not None
    last = 8 if fit != "cover" else 7
    assert int(example.layout[20, -1]) == last


@given(st.integers(8, 300), st.integers(8, 300), st.integers(8, 64), st.integers(8, 64), st.floats(0.1, 1), st.floats(0, 1))
def test_boxes_lie_in_the_picture_and_have_the_wanted_shape(
    wide: int, high: int, width: int, height: int, share: float, place: float
) -> None:
    size = covering((wide, high), width, height, 1 / share)
    assert size[0] >= width
    assert size[1] >= height
    left, top, right, bottom = box_within(size, width, height, share, place, 1 - place)
    assert 0 <= left < right <= size[0] + 1e-6
    assert 0 <= top < bottom <= size[1] + 1e-6
    assert math.isclose((right - left) * height, (bottom - top) * width, rel_tol=0.1)


def test_light_varies_within_bounds_and_one_changes_nothing(mapped: Dataset) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    assert np.abs(relit(pixels, 1, 1, 1).astype(int) - pixels).max() <= 1
    assert relit(pixels, 0.5, 1, 1).mean() == pytest.approx(pixels.mean() / 2, abs=1)
    assert np.ptp(relit(pixels, 1, 1, 0).astype(int), axis=-1).max() == 0
    with Reader(augment_light(resize_pictures(mapped, 16, 16), 1, 0.5)) as reader:
        means = [reader.read(Pick(0, draw, 0)).pixels.float().mean().item() for draw in range(10)]
        plain = reader.read(Pick(0, PLAIN, 0)).pixels.float().mean().item()
    assert max(means) > 1.1 * plain > plain > 0.9 * plain > min(means)


@pytest.mark.parametrize("name", HUES)
def test_recolouring_gives_the_named_hue_to_coloured_and_to_grey_things(name: str) -> None:
    for start in ((200, 60, 40), (60, 90, 200), (150, 150, 150)):
        pixels = np.zeros((8, 8, 4), np.uint8)
        pixels[2:6, 2:6] = (*start, 255)
        out = recoloured(pixels, name)
        hue = np.asarray(Image.fromarray(out[2:6, 2:6, :3]).convert("HSV"))[..., 0].astype(float) * 360 / 255
        assert np.abs((hue - HUES[name] + 180) % 360 - 180).max() < 8
        assert np.array_equal(out[..., 3], pixels[..., 3])


@pytest.mark.parametrize("side", [64, 512, 1024])
def test_buckets_have_about_one_area_in_both_directions(side: int) -> None:
    step = side // 8
    found = bucket_sizes(side, step // 2, 2)
    assert found[0] == (side, side)
    assert set(found) == {(height, width) for width, height in found}
    for width, height in found:
        assert width * height <= side * side
        assert width * height > 0.8 * side * side
        assert max(width / height, height / width) <= 2
        assert width % (step // 2) == height % (step // 2) == 0


def test_buckets_of_sdxl_are_those_of_its_paper() -> None:
    paper = {
        (1024, 1024),
        (1152, 896),
        (896, 1152),
        (1216, 832),
        (832, 1216),
        (1344, 768),
        (768, 1344),
        (1536, 640),
        (640, 1536),
    }
    close = bucket_sizes(1024, 64, 4)
    assert all(any(abs(w - u) <= 64 and abs(h - v) <= 64 for u, v in close) for w, h in paper)


def test_each_picture_goes_to_the_bucket_nearest_its_shape_and_batches_have_one_size() -> None:
    shapes = [(100, 100), (160, 100), (100, 160), (300, 200), (90, 100), (400, 100)]
    data = bucket_pictures(pretended(shapes * 5), 64, 8)
    best = [
        min(range(len(data.buckets)), key=lambda b: abs(math.log(w / h) - math.log(data.buckets[b][0] / data.buckets[b][1])))
        for w, h in shapes * 5
    ]
    assert bucket_of(data).tolist() == best
    plan = BatchPlan(data, 4, 0)
    seen = set()
    for step in range(plan.steps_per_epoch):
        assert len({pick.bucket for pick in plan[step]}) == 1
        seen |= {pick.entry for pick in plan[step]}
    assert seen == set(range(30))


def test_small_buckets_are_left_out_where_asked() -> None:
    data = bucket_pictures(pretended([(100, 100)] * 9 + [(160, 100)]), 64, 8, fewest=2)
    assert data.buckets == ((64, 64),)


def pretended(shapes: list[tuple[int, int]]) -> Dataset:
    source = PictureSource("nowhere", "", "folder")
    return Dataset((source,), tuple(Entry(0, f"{place}.png", *shape) for place, shape in enumerate(shapes)))


def test_halves_are_those_of_both_pictures_and_shares_beyond_one_are_refused(tmp_path: Path) -> None:
    for name, colour in (("cat", (200, 0, 0)), ("dog", (0, 0, 200))):
        put(tmp_path / f"set/{name}/1.png", encoded(32, 32, colour))
    data = augment_halves(resize_pictures(load_pictures(Context(), tmp_path / "set"), 32, 32), 1)
    with Reader(data) as reader:
        example = next(one for one in (reader.read(Pick(0, draw, 0)) for draw in range(9)) if "half" in one.caption)
    assert example.caption == "half cat half dog"
    assert example.pixels[5, 3].tolist() == [200, 0, 0]
    assert example.pixels[5, 28].tolist() == [0, 0, 200]
    with pytest.raises(NodeError, match="put together"):
        augment_pairs(data, 0.5)


@pytest.mark.parametrize("put_together", [augment_pairs, augment_halves])
def test_what_is_kept_apart_is_never_put_together(tmp_path: Path, put_together: Callable[..., Dataset]) -> None:
    data = resize_pictures(three_things(tmp_path), 16, 16)
    with Reader(put_together(data, 1, "cat + pizza")) as reader:
        captions = {reader.read(Pick(index, draw, 0)).caption for index in range(3) for draw in range(40)}
    assert not any("cat" in caption and "pizza" in caption for caption in captions)
    assert any("cat" in caption and "boat" in caption for caption in captions)
    assert any("pizza" in caption and "boat" in caption for caption in captions)


def test_a_colour_that_is_kept_apart_is_never_given(tmp_path: Path) -> None:
    data = resize_pictures(three_things(tmp_path), 16, 16)
    with Reader(augment_colours(data, 1, "red, blue", "blue + cat")) as reader:
        captions = {reader.read(Pick(index, draw, 0)).caption for index in range(3) for draw in range(40)}
    assert captions == {f"a {colour} {name}" for colour in ("red", "blue") for name in ("cat", "pizza", "boat")} - {
        "a blue cat"
    }
    with Reader(augment_colours(data, 1, "blue", "blue + cat")) as reader:
        captions = {reader.read(Pick(index, 1, 0)).caption for index in range(3)}
    assert captions == {"a cat", "a blue pizza", "a blue boat"}


def test_lines_that_keep_nothing_apart_are_refused(tmp_path: Path) -> None:
    data = three_things(tmp_path)
    with pytest.raises(NodeError, match="does not name two things"):
        augment_pairs(data, 0.1, "cat pizza")
    with pytest.raises(NodeError, match="There is no 'piza'") as caught:
        augment_halves(data, 0.1, "cat + boat\ncat + piza")
    assert "Did you mean pizza?" in str(caught.value.hint)
    with pytest.raises(NodeError, match="There is no 'cat'"):
        augment_colours(data, 0.1, apart="cat + blue")


def three_things(folder: Path) -> Dataset:
    """A cat, a pizza and a boat, as one drew them."""
    for name in ("cat", "pizza", "boat"):
        saved(np.full((16, 16, 3), (200, 90, 40), np.uint8), folder / f"set/{name}.png")
    lines = (json.dumps({"file": f"{name}.png", "subject": name}) for name in ("cat", "pizza", "boat"))
    (folder / "set/captions.jsonl").write_text("\n".join(lines))
    return load_pictures(Context(), folder / "set", folder / "set/captions.jsonl")


def test_a_colour_that_is_not_known_and_a_phrase_without_its_subject_are_refused(mapped: Dataset) -> None:
    with pytest.raises(NodeError, match="no colour 'mauve'"):
        augment_backgrounds(mapped, 1, "mauve")
    with pytest.raises(NodeError, match="lacks"):
        augment_styles(mapped, 1, "in {style}")


def test_captions_read_like_english() -> None:
    assert [with_article(noun) for noun in ("apple", "cat", "books", "bus", "glass")] == [
        "an apple",
        "a cat",
        "books",
        "a bus",
        "a glass",
    ]
    assert coloured("red apple", "blue") == "blue apple"
    assert coloured("apple", "blue") == "blue apple"
    assert in_style("a cat", "oil", "{a style} icon of {what}") == "an oil icon of a cat"
    assert (shortened("cat face", (" face",)), shortened("face", ("face",))) == ("cat", "face")

"""Reading examples: the same pick gives the same example, and a plan deals every picture out once an epoch."""

from __future__ import annotations

import io
import json
import pickle
import zipfile
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from nodegraph import Context
from nodegraph_nodes.training import augment_backgrounds, augment_colours, augment_pairs, load_pictures, resize_pictures
from nodegraph_nodes.training.data import PLAIN, BatchPlan, Pick, Reader, UnreadablePicture, held_out
from nodegraph_nodes.types import Dataset

NAMES = ("apple", "boat", "cat", "dog", "elk")


@pytest.fixture
def archive(tmp_path: Path) -> tuple[Path, Path]:
    """Five discs on nothing, each of another grey-red, and what they show."""
    rows = []
    with zipfile.ZipFile(tmp_path / "pictures.zip", "w") as file:
        for number, name in enumerate(NAMES):
            y, x = np.mgrid[:32, :32] - 15.5
            pixels = np.zeros((32, 32, 4), np.uint8)
            pixels[..., 0], pixels[..., 3] = 120 + 20 * number, 255 * (x * x + y * y < 120)
            buffer = io.BytesIO()
            Image.fromarray(pixels).save(buffer, "webp", lossless=True, exact=True)
            file.writestr(f"set/{name}.webp", buffer.getvalue())
            rows.append({"file": f"set/{name}.webp", "subject": name, "style": "flat"})
    (tmp_path / "captions.jsonl").write_text("\n".join(map(json.dumps, rows)))
    return tmp_path / "pictures.zip", tmp_path / "captions.jsonl"


@pytest.fixture
def data(archive: tuple[Path, Path]) -> Dataset:
    return resize_pictures(load_pictures(Context(), *archive), 16, 16)


def test_a_plain_reading_lies_on_white_and_says_what_it_shows(data: Dataset) -> None:
    with Reader(data) as reader:
        example = reader.read(Pick(0, PLAIN, 0))
    assert (example.pixels.shape, example.pixels.dtype) == ((16, 16, 3), torch.uint8)
    assert example.caption == "an apple"
    assert example.pixels[0, 0].tolist() == [255, 255, 255]
    assert example.pixels[8, 8].tolist() == [120, 0, 0]


def test_a_pick_gives_the_same_example_in_any_reader_and_another_draw_another(data: Dataset) -> None:
    varied = augment_pairs(augment_colours(augment_backgrounds(data, 0.5), 0.5), 0.3)
    picks = [Pick(entry, draw, 0) for draw in range(8) for entry in range(5)]
    with Reader(varied, seed=3) as reader, pickle.loads(pickle.dumps(reader)) as again:
        first = [reader.read(pick) for pick in picks]
        second = [again.read(pick) for pick in reversed(picks)][::-1]
    assert [one.caption for one in first] == [two.caption for two in second]
    assert all(torch.equal(one.pixels, two.pixels) for one, two in zip(first, second, strict=True))
    assert len({one.caption for one in first}) > 20
    with Reader(varied, seed=4) as other:
        assert [other.read(pick).caption for pick in picks] != [one.caption for one in first]


def test_captions_say_which_colour_and_which_ground(data: Dataset) -> None:
    varied = augment_backgrounds(augment_colours(data, 1, "green"), 1, "blue", spread=0)
    with Reader(varied) as reader:
        example = reader.read(Pick(2, 0, 0))
    assert example.caption == "a green cat on a blue background"
    assert example.pixels[0, 0].tolist() == [45, 100, 220]
    red, green, blue = example.pixels[8, 8].tolist()
    assert green > 2 * red
    assert green > 2 * blue


def test_pairs_show_both_and_name_both(data: Dataset) -> None:
    with Reader(augment_pairs(data, 1)) as reader:
        examples = [reader.read(Pick(0, draw, 0)) for draw in range(6)]
    for example in examples:
        first, second = example.caption.split(" and ")
        assert first == "an apple"
        name = second.split(" ")[-1]
        assert example.pixels[8, 4].tolist() == [120, 0, 0]
        assert example.pixels[8, 12].tolist() == [120 + 20 * NAMES.index(name), 0, 0]


def test_every_picture_comes_once_an_epoch_in_a_new_order_with_new_draws(data: Dataset) -> None:
    plan = BatchPlan(data, 5, seed=1)
    epochs = [plan[step] for step in range(3)]
    assert all(sorted(pick.entry for pick in epoch) == [0, 1, 2, 3, 4] for epoch in epochs)
    assert len({tuple(pick.entry for pick in epoch) for epoch in epochs}) > 1
    assert [{pick.draw for pick in epoch} for epoch in epochs] == [{0}, {1}, {2}]


def test_a_plan_that_is_made_anew_goes_on_where_the_first_was(data: Dataset) -> None:
    first = [BatchPlan(data, 3, seed=1)[step] for step in range(20)]
    late = BatchPlan(data, 3, seed=1)
    assert [late[step] for step in reversed(range(20))][::-1] == first
    assert [BatchPlan(data, 3, seed=2)[step] for step in range(20)] != first
    counts = Counter(pick.entry for batch in first for pick in batch)
    assert set(counts.values()) == {12}


def test_held_out_pictures_are_different_and_plain(data: Dataset) -> None:
    picks = held_out(data, 3, seed=0)
    assert len({pick.entry for pick in picks}) == 3
    assert {pick.draw for pick in picks} == {PLAIN}
    assert len(held_out(data, 99, seed=0)) == 5


def test_a_picture_that_broke_since_says_so(archive: tuple[Path, Path], data: Dataset) -> None:
    with zipfile.ZipFile(archive[0], "w") as file:
        file.writestr("set/apple.webp", b"RIFF")
    with Reader(data) as reader:
        with pytest.raises(UnreadablePicture, match=r"set/apple.webp: this is no picture"):
            reader.read(Pick(0, PLAIN, 0))
        with pytest.raises(UnreadablePicture, match=r"not in the \.zip"):
            reader.read(Pick(1, PLAIN, 0))

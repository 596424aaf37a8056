"""The shipped workflows with regions, run for real: each place shows what its own prompt says."""

from __future__ import annotations

import io
from collections.abc import Iterator

import pytest
import torch
from PIL import Image as Pillow
from torch import Tensor

import nodegraph
from nodegraph.api.paths import shipped

WORKFLOWS = shipped("workflows")


@pytest.fixture(scope="module")
def session() -> Iterator[nodegraph.Session]:
    with nodegraph.Session() as opened:
        yield opened


def sheet(session: nodegraph.Session, name: str, **inputs: object) -> Tensor:
    """The picture that a workflow saves: [H, W, 3], 0..255."""
    artifact = nodegraph.load(WORKFLOWS / f"{name}.json", session).run(**inputs)["sheet"]
    with Pillow.open(io.BytesIO(artifact.data)) as picture:
        return torch.tensor(list(picture.convert("RGB").tobytes()), dtype=torch.float).view(picture.height, picture.width, 3)


@pytest.mark.slow
def test_both_modes_draw_the_first_prompt_left_and_the_second_right(session: nodegraph.Session) -> None:
    whole = sheet(session, "regions", steps=10)
    for top in (0, 68):  # two pictures of 64 rows, four apart
        left, right = (whole[top + 24 : top + 44, x : x + 20].mean((0, 1)) for x in (22, 86))
        assert left[0] > 150 > 90 > max(left[1], left[2])
        assert right[1] > 100 > right[2]
        assert right[1] > right[0]


@pytest.mark.slow
def test_each_colour_of_a_sketch_becomes_what_its_prompt_says(session: nodegraph.Session) -> None:
    drawn = sheet(session, "sketch_regions")[:, 132:]  # the sketch is on the left
    bug, car, corner = drawn[24:44, 22:42].mean((0, 1)), drawn[98:108, 50:80].mean((0, 1)), drawn[-6:, :6].mean((0, 1))
    assert bug[0] > max(bug[1], bug[2]) + 30
    assert car[2] > max(car[0], car[1]) + 40
    assert corner.min() > 200

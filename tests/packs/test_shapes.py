"""Masks that are drawn, measured and taken from colours, with pillow's ImageDraw and plain loops as oracles."""

from __future__ import annotations

import io
import math
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image as Pillow
from PIL import ImageDraw
from torch import Tensor

from nodegraph import NodeError
from nodegraph_nodes.image import flatten
from nodegraph_nodes.mask import (
    blend_masks,
    bounding_box,
    ellipse_mask,
    fill_holes,
    find_colors,
    gradient_mask,
    grow_mask,
    mask_from_channel,
    mask_from_range,
    noise_mask,
    outline,
    polygon_mask,
    rectangle_mask,
    regions_from_sketch,
    show_mask,
)

FINE = 16  # how much larger pillow draws before its picture is averaged
TOLERANCE = 0.06  # of a pixel: pillow's shapes include their outlines' pixels, one 16th on each side
RANDOM = torch.Generator().manual_seed(0)


def drawn(width: int, height: int, kind: str, corners: Any) -> Tensor:
    """A shape as pillow draws it at 16 times the size, averaged."""
    picture = Pillow.new("L", (width * FINE, height * FINE))
    fine = [coordinate * FINE - 0.5 for coordinate in corners]  # pillow's coordinates are of pixels' centres
    if kind == "ellipse":
        fine = [fine[0] + 0.5, fine[1] + 0.5, fine[2] - 0.5, fine[3] - 0.5]
    getattr(ImageDraw.Draw(picture), kind)(fine, fill=255)
    pixels = np.asarray(picture, dtype=np.float32).reshape(height, FINE, width, FINE).mean((1, 3)) / 255
    return torch.from_numpy(pixels)


POLYGONS: list[list[list[float]]] = [
    [[3, 2], [25, 8], [10, 17]],
    [[2.5, 2.5], [20, 3], [20, 15], [12, 6], [3, 16]],
    [[-5, 4], [40, 9], [15, 30]],
]


def test_a_rectangle_covers_exactly_what_lies_in_it() -> None:
    mask = rectangle_mask(8, 6, 1.25, 2.5, 6.0, 4.75, unit="pixels")
    assert mask[0].max() == 0
    assert mask[3].tolist() == [0, 0.75, 1, 1, 1, 1, 0, 0]
    assert mask[:, 3].tolist() == [0, 0, 0.5, 1, 0.75, 0]
    assert mask[2, 1] == 0.375
    assert torch.equal(rectangle_mask(8, 6, 0.25, 0.5, 0.75, 1.0), rectangle_mask(8, 6, 2, 3, 6, 6, unit="pixels"))
    assert rectangle_mask(8, 6, 5, 5, 2, 2, unit="pixels").max() == 0


@pytest.mark.parametrize("shape", [(13.0, 9.0, 7.0, 5.0), (5.5, 15.25, 10.0, 3.5), (20.0, 10.0, 30.0, 4.0)])
def test_an_ellipse_is_pillows_to_a_share_of_a_pixel(shape: tuple[float, float, float, float]) -> None:
    x, y, across, down = shape
    mask = ellipse_mask(27, 20, x, y, across, down, unit="pixels")
    assert (mask - drawn(27, 20, "ellipse", (x - across, y - down, x + across, y + down))).abs().max() < TOLERANCE
    other = ellipse_mask(27, 20, x, y + 1, across, down, unit="pixels")
    assert (other - mask).abs().max() > 3 * TOLERANCE  # a pixel beside would show


def test_a_circles_area_is_pi_r_squared() -> None:
    assert ellipse_mask(64, 64, 0.5, 0.5, 0.4, 0.4).sum().item() == pytest.approx(math.pi * 25.6**2, rel=1e-3)


@pytest.mark.parametrize("points", POLYGONS)
def test_a_polygon_is_pillows_to_a_share_of_a_pixel(points: list[list[float]]) -> None:
    mask = polygon_mask(27, 20, points, unit="pixels")
    expected = drawn(27, 20, "polygon", [coordinate for point in points for coordinate in point])
    assert (mask - expected).abs().mean() < 0.01
    assert (mask - expected).abs().max() < 2.5 * TOLERANCE
    shares = [[x / 27, y / 20] for x, y in points]
    assert torch.allclose(polygon_mask(27, 20, shares), mask, atol=1e-5)


def test_a_polygons_area_is_the_shoelace_formulas() -> None:
    points = POLYGONS[1]
    pairs = zip(points, points[1:] + points[:1], strict=True)
    area = abs(sum(a[0] * b[1] - b[0] * a[1] for a, b in pairs)) / 2
    assert polygon_mask(27, 20, points, unit="pixels").sum().item() == pytest.approx(area, rel=5e-3)


def test_what_a_polygon_encloses_twice_lies_outside() -> None:
    star = [[0.5 + 0.45 * math.sin(0.8 * math.pi * i), 0.5 - 0.45 * math.cos(0.8 * math.pi * i)] for i in range(5)]
    mask = polygon_mask(40, 40, star)
    assert mask[20, 20] == 0
    assert mask[8, 20] == 1


@pytest.mark.parametrize("points", [[], [[0, 0], [1, 1]], [[0, 0], [1, 1], [1, 0, 3]], [[0, 0], [1, math.nan], [1, 0]]])
def test_what_is_no_polygon_is_refused_before_the_run_and_by_the_node(points: Any) -> None:
    assert polygon_mask.check is not None
    (problem,) = polygon_mask.check({"points": points})
    assert problem.socket == "points"
    with pytest.raises(NodeError, match="no polygon"):
        polygon_mask(8, 8, points)


def test_a_gradient_grows_evenly_along_its_direction() -> None:
    across = gradient_mask(10, 4)
    assert torch.allclose(across[2], (torch.arange(10) + 0.5) / 10)
    assert torch.allclose(gradient_mask(4, 10, angle=90), across.T, atol=1e-6)
    assert torch.allclose(gradient_mask(10, 4, angle=180), 1 - across, atol=1e-6)
    assert gradient_mask(10, 4, start=0.5, end=0.5)[0].tolist() == [0] * 5 + [1] * 5
    slanted = gradient_mask(10, 10, angle=45)
    assert slanted[0, 0] == pytest.approx(0.05)
    assert slanted[9, 9] == pytest.approx(0.95)
    assert slanted[0, 9] == pytest.approx(0.5)


def test_a_radial_gradient_grows_from_its_centre_to_the_farthest_corner() -> None:
    mask = gradient_mask(9, 9, "radial")
    assert mask[4, 4] == 0
    assert mask[4, 6].item() == pytest.approx(2 / math.hypot(4.5, 4.5))
    off = gradient_mask(9, 9, "radial", center_x=0.0, center_y=0.0)
    assert off[8, 8].item() == pytest.approx(8.5 / 9)


def test_noise_is_the_same_for_a_seed_and_smoother_at_a_larger_scale() -> None:
    fine, coarse = noise_mask(64, 48, 1, seed=3), noise_mask(64, 48, 16, seed=3)
    assert torch.equal(fine, noise_mask(64, 48, 1, seed=3))
    assert not torch.equal(fine, noise_mask(64, 48, 1, seed=4))
    assert fine.mean().item() == pytest.approx(0.5, abs=0.02)
    assert coarse.diff(dim=1).abs().mean() < fine.diff(dim=1).abs().mean() / 4
    assert set(noise_mask(32, 32, 8, 0.5, 0.5).unique().tolist()) == {0.0, 1.0}


# ---- measures and edges ----


def test_a_bounding_box_holds_all_that_is_above_the_level() -> None:
    mask = torch.zeros(9, 12)
    mask[2:5, 3:11] = 0.4
    mask[3, 6:8] = 1
    assert bounding_box(mask) == (3, 2, 8, 3)
    assert bounding_box(mask, 0.5) == (6, 3, 2, 1)
    with pytest.raises(NodeError, match="empty") as caught:
        bounding_box(mask * 0)
    assert caught.value.socket == "mask"


def reconstructed(mask: Tensor) -> Tensor:
    """Filled holes by the definition: at each place the least, over all paths to the border, of their highest points."""
    height, width = mask.shape
    level = torch.full((height, width), math.inf)
    todo = []
    for y in range(height):
        for x in range(width):
            if y in (0, height - 1) or x in (0, width - 1):
                level[y, x] = mask[y, x]
                todo.append((y, x))
    while todo:
        y, x = todo.pop()
        for v, u in ((y - 1, x), (y + 1, x), (y, x - 1), (y, x + 1)):
            if 0 <= v < height and 0 <= u < width and (new := max(level[y, x].item(), mask[v, u].item())) < level[v, u]:
                level[v, u] = new
                todo.append((v, u))
    return level


def test_holes_are_filled_as_lakes_are() -> None:
    ring = ellipse_mask(30, 24, radius_x=0.4, radius_y=0.4) - ellipse_mask(30, 24, radius_x=0.2, radius_y=0.2)
    assert fill_holes(ring)[12, 15] == 1
    soft = torch.rand(14, 17, generator=RANDOM)
    assert torch.equal(fill_holes(soft), reconstructed(soft))
    spiral = torch.ones(11, 11)
    for y, x0, x1 in ((1, 1, 9), (9, 1, 9), (3, 1, 7), (7, 3, 9)):
        spiral[y, x0 : x1 + 1] = 0
    spiral[1:10, 9] = spiral[3:10, 1] = spiral[3:8, 7] = 0
    assert torch.equal(fill_holes(spiral), reconstructed(spiral))
    spiral[1, 0] = 0  # a way out
    assert torch.equal(fill_holes(spiral), reconstructed(spiral))
    assert torch.equal(fill_holes(soft[:2]), soft[:2])


def test_an_outline_lies_on_the_side_asked_for() -> None:
    mask = rectangle_mask(20, 20)
    assert torch.equal(outline(mask, 2, "outside"), grow_mask(mask, 2) - mask)
    assert torch.equal(outline(mask, 2, "inside"), mask - grow_mask(mask, -2))
    assert torch.equal(outline(mask, 2, "both"), grow_mask(mask, 1) - grow_mask(mask, -1))


def test_a_blend_lies_between_two_masks() -> None:
    a, b = torch.rand(2, 4, 5, generator=RANDOM)
    assert torch.equal(blend_masks(a, b, 0.0), a)
    assert torch.equal(blend_masks(a, b, 1.0), b)
    assert torch.allclose(blend_masks(a, b, 0.25), 0.75 * a + 0.25 * b)
    with pytest.raises(NodeError, match="another size"):
        blend_masks(a, b.T)


def test_a_channel_between_two_values_is_a_mask() -> None:
    image = torch.linspace(0, 1, 11)[None, :, None].expand(2, -1, 4) * torch.tensor([1.0, 0.5, 0, 1])
    assert torch.equal(mask_from_channel(image, "green"), image[..., 1])
    assert torch.equal(mask_from_channel(image, "alpha"), image[..., 3])
    assert torch.equal(mask_from_channel(image[..., :1].expand(-1, -1, 3)), image[..., 0])
    assert mask_from_range(image, "red", 0.3, 0.6)[0].tolist() == [0, 0, 0, 1, 1, 1, 1, 0, 0, 0, 0]
    assert mask_from_range(image, "green", 0.45)[0].tolist() == [0] * 9 + [1, 1]
    assert torch.equal(mask_from_range(image, "alpha", 0.5), (image[..., 3] >= 0.5).float())
    soft = mask_from_range(image, "red", 0.5, 1.0, softness=0.2)[0]
    assert soft.tolist() == pytest.approx([0, 0, 0, 0, 0.5, 1, 1, 1, 1, 1, 1], abs=1e-5)


# ---- colours ----


def sketch() -> Tensor:
    image = torch.ones(10, 10, 3)
    image[:4] = torch.tensor([0.2, 0.4, 0.8])
    image[6:, :5] = torch.tensor([0.0, 0.6, 0.0])
    image[6, 0] += torch.tensor([0.02, 0.01, 0.02])  # as a lossy file has it
    return image


def test_the_colours_of_a_sketch_are_found_by_area() -> None:
    found = find_colors(sketch())
    assert found.colors == ["#3366cc", "#ffffff", "#009900"]
    assert found.table.rows == [["#3366cc", 40, 0.4], ["#ffffff", 40, 0.4], ["#009900", 20, 0.2]]
    assert find_colors(sketch(), most=1).colors == ["#3366cc"]
    assert find_colors(sketch(), smallest=0.3).colors == ["#3366cc", "#ffffff"]
    assert len(find_colors(sketch(), tolerance=0, smallest=0).colors) == 4


def test_each_pixel_of_a_sketch_is_in_the_region_of_its_nearest_colour() -> None:
    image = sketch()
    regions = regions_from_sketch(image, find_colors(image).colors)
    assert [int(region.sum()) for region in regions] == [40, 40, 20]
    assert torch.equal(torch.stack(regions).sum(0), torch.ones(10, 10))
    assert regions[0][:4].min() == 1
    exact = regions_from_sketch(image, ["#009900"], tolerance=0.0)[0]
    assert int(exact.sum()) == 19  # not the one that is off
    between = torch.full((1, 1, 3), 0.4)
    (dark, light) = regions_from_sketch(between, ["#000000", "#ffffff"], tolerance=1.0)
    assert (dark.item(), light.item()) == (1, 0)
    with pytest.raises(NodeError, match="no colours"):
        regions_from_sketch(image, [])


def test_a_mask_is_shown_in_a_colour_over_its_picture() -> None:
    image, mask = torch.full((4, 6, 3), 0.2), torch.zeros(4, 6)
    mask[:, 3:] = 1
    with Pillow.open(io.BytesIO(show_mask(mask, image, opacity=0.5).data)) as picture:
        assert picture.getpixel((0, 0)) == (51, 51, 51)
        assert picture.getpixel((5, 0)) == (153, 26, 26)
    with Pillow.open(io.BytesIO(show_mask(mask).data)) as picture:
        assert (picture.getpixel((0, 0)), picture.getpixel((5, 0))) == ((0, 0, 0), (255, 0, 0))
    with pytest.raises(NodeError, match="another size"):
        show_mask(mask.T, image)


def test_flattening_lays_a_picture_over_a_colour() -> None:
    image = torch.rand(3, 4, 4, generator=RANDOM)
    expected = image[..., :3] * image[..., 3:] + torch.tensor([1.0, 0, 0]) * (1 - image[..., 3:])
    assert torch.allclose(flatten(image, "#ff0000"), expected, atol=1e-6)
    assert torch.equal(flatten(image[..., :3]), image[..., :3])

"""What control networks read of a picture, against shapes whose edges are known, pillow, and plain loops."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image as Pillow
from torch import Tensor

from nodegraph import NodeError
from nodegraph_nodes.image import (
    canny,
    color_regions,
    lineart,
    luminance,
    normal_from_depth,
    recolor,
    scribble,
    shuffle_content,
    soft_edge,
    tile_resample,
)
from nodegraph_nodes.image.filters import blurred, luma, regions, slopes, sobel, thickened
from nodegraph_nodes.image.tones import from_lab, to_lab

RANDOM = torch.rand((24, 36, 3), generator=torch.Generator().manual_seed(0))
ALL: dict[str, Callable[[Tensor], Tensor]] = {
    "canny": canny,
    "color_regions": color_regions,
    "lineart": lineart,
    "luminance": luminance,
    "normal_from_depth": normal_from_depth,
    "recolor": lambda image: recolor(image, image),
    "scribble": scribble,
    "shuffle_content": shuffle_content,
    "soft_edge": soft_edge,
    "tile_resample": tile_resample,
}


def disc(radius: float = 12, size: int = 41, width: float = 1.0) -> Tensor:
    """A white disc on black, its rim as soft as a pixel is wide."""
    y, x = torch.meshgrid(*[torch.arange(size) - size // 2] * 2, indexing="ij")
    inside = ((radius - torch.hypot(y.float(), x.float())) / width + 0.5).clamp(0, 1)
    return inside[..., None].repeat(1, 1, 3)


def half(size: int = 32, step: float = 1.0) -> Tensor:
    """Black on the left, brighter from the middle on."""
    image = torch.zeros(size, size, 3)
    image[:, size // 2 :] = step
    return image


def pixels(image: Tensor) -> Pillow.Image:
    return Pillow.fromarray((image * 255).round().byte().numpy())


# ---- of all ----


@pytest.mark.parametrize("name", ALL)
def test_each_gives_a_picture_of_the_same_size_and_leaves_its_own_as_it_was(name: str) -> None:
    before = RANDOM.clone()
    made = ALL[name](RANDOM)
    assert made.shape == RANDOM.shape
    assert made.dtype == torch.float32
    assert made.is_contiguous()
    assert 0 <= made.min() <= made.max() <= 1
    assert torch.equal(RANDOM, before)
    assert made.data_ptr() != RANDOM.data_ptr()


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("size", [(1, 1), (1, 9), (9, 2)])
def test_each_takes_the_smallest_pictures_and_transparent_ones(name: str, size: tuple[int, int]) -> None:
    made = ALL[name](torch.rand((*size, 4), generator=torch.Generator().manual_seed(1)))
    assert made.shape == (*size, 3)
    assert made.isfinite().all()


@pytest.mark.parametrize("name", ["canny", "lineart", "scribble", "soft_edge"])
def test_a_picture_of_one_colour_has_no_edges(name: str) -> None:
    assert ALL[name](torch.full((16, 16, 3), 0.3)).max() < 1e-6


# ---- filters ----


def test_a_blur_equals_a_sum_written_out() -> None:
    plane, sigma = RANDOM[..., 0], 1.2
    reach = math.ceil(4 * sigma)
    weight = {d: math.exp(-0.5 * (d / sigma) ** 2) for d in range(-reach, reach + 1)}
    total = sum(weight.values()) ** 2
    y, x = 5, 2  # near the left border, which goes on
    expected = sum(
        weight[dy] * weight[dx] * plane[min(max(y + dy, 0), 23), min(max(x + dx, 0), 35)].item() / total
        for dy in weight
        for dx in weight
    )
    assert blurred(plane, sigma)[y, x].item() == pytest.approx(expected, abs=1e-6)


def test_slopes_of_a_ramp_are_its_slope_and_sobel_has_eight_times_that() -> None:
    y, x = torch.meshgrid(torch.arange(30.0), torch.arange(30.0), indexing="ij")
    right, down = slopes(0.02 * x - 0.01 * y, 1.5)
    assert torch.allclose(right[8:-8, 8:-8], torch.tensor(0.02), atol=1e-6)
    assert torch.allclose(down[8:-8, 8:-8], torch.tensor(-0.01), atol=1e-6)
    assert sobel(0.02 * x - 0.01 * y)[0][5, 5].item() == pytest.approx(0.16, abs=1e-6)


def test_grey_is_that_of_pillow() -> None:
    grey = np.asarray(pixels(RANDOM).convert("L"))
    assert np.abs(luma(RANDOM.movedim(-1, 0)).numpy() * 255 - grey).max() <= 1.01


@given(st.integers(0, 6), st.integers(0, 2**32 - 1))
@settings(max_examples=15)
def test_thickening_is_the_maximum_over_a_disc(radius: int, seed: int) -> None:
    plane = torch.rand((9, 11), generator=torch.Generator().manual_seed(seed))
    thick = thickened(plane, radius)
    for y, x in ((0, 0), (4, 5), (8, 10), (2, 9)):
        near = [plane[v, u] for v in range(9) for u in range(11) if (v - y) ** 2 + (u - x) ** 2 <= radius**2]
        assert thick[y, x] == max(near)


# ---- connected regions: canny's hysteresis ----


def flooded(inside: list[list[bool]], seeds: set[tuple[int, int]]) -> set[tuple[int, int]]:
    """All pixels that hang together with a seed, by a flood fill."""
    found, edge = set(), [seed for seed in seeds if inside[seed[0]][seed[1]]]
    while edge:
        y, x = edge.pop()
        if (y, x) in found:
            continue
        found.add((y, x))
        for v in range(max(y - 1, 0), min(y + 2, len(inside))):
            edge += [(v, u) for u in range(max(x - 1, 0), min(x + 2, len(inside[0]))) if inside[v][u]]
    return found


@given(
    st.integers(1, 12).flatmap(
        lambda width: st.lists(st.lists(st.booleans(), min_size=width, max_size=width), min_size=1, max_size=12)
    )
)
@settings(max_examples=150)
def test_regions_are_what_a_flood_fill_reaches(inside: list[list[bool]]) -> None:
    numbers = regions(torch.tensor(inside))
    for y, row in enumerate(inside):
        for x, here in enumerate(row):
            reached = flooded(inside, {(y, x)}) if here else set()
            same = {(int(v), int(u)) for v, u in (numbers == numbers[y, x]).nonzero()} if here else set()
            assert (numbers[y, x] >= 0) == here
            assert same == reached


def test_a_long_spiral_is_one_region() -> None:
    size = 41
    inside = torch.zeros(size, size, dtype=torch.bool)
    y, x, dy, dx, run = 0, -1, 0, 1, size
    lengths = [size] + [n for k in range(size - 1, 0, -2) for n in (k, k)]
    for run in lengths:
        for _ in range(run):
            y, x = y + dy, x + dx
            if 0 <= y < size and 0 <= x < size:
                inside[y, x] = True
        dy, dx = dx, -dy
    assert inside.sum() > 500
    assert len(torch.unique(regions(inside))) == 2  # it and what is outside


# ---- canny ----


def test_a_step_has_one_edge_along_the_pixels_before_it() -> None:
    for image, expected in ((half(), half()), (half().movedim(0, 1), None)):
        edge = canny(image)[..., 0]
        if expected is None:
            edge = edge.T
        assert torch.equal(edge[:, 15], torch.ones(32))
        assert edge.sum() == 32


def test_the_edge_of_a_disc_is_a_closed_ring_at_its_radius() -> None:
    edge = canny(disc())[..., 0]
    y, x = (edge > 0).nonzero().T
    distance = torch.hypot(y - 20.0, x - 20.0)
    assert (distance - 12).abs().max() < 1.3
    assert len(torch.unique(regions(edge > 0))) == 2
    sectors = torch.unique(((torch.atan2(y - 20.0, x - 20.0) / math.tau + 0.5) * 48).long().clamp(0, 47))
    assert len(sectors) == 48  # all the way round


def test_weak_edges_stay_only_where_they_hang_on_a_strong_one() -> None:
    """A step that fades from top to bottom, and a weak one alone."""
    fading = torch.linspace(0.6, 0.12, 32)[:, None, None].expand(32, 16, 3)
    image = torch.zeros(32, 80, 3)
    image[:, 16:32] = fading
    image[:, 60:] = 0.15
    kept = canny(image, low=0.2, high=1.0, sigma=0.0)[..., 0]
    assert (kept[:, 15:17].sum(1) == 1).all()
    assert not kept[:, 50:].any()
    assert canny(image, low=0.2, high=0.3, sigma=0.0)[:, 59, 0].all()


def test_hysteresis_in_whole_equals_a_flood_fill() -> None:
    image = blurred(RANDOM.movedim(-1, 0), 1.0).movedim(0, -1)
    low, high = 0.25, 0.45
    weak = (canny(image, low=low, high=low, sigma=0.5)[..., 0] > 0).tolist()
    strong = canny(image, low=high, high=high, sigma=0.5)[..., 0] > 0
    seeds = {(int(y), int(x)) for y, x in strong.nonzero()}
    kept = {(int(y), int(x)) for y, x in (canny(image, low=low, high=high, sigma=0.5)[..., 0] > 0).nonzero()}
    assert kept == flooded(weak, seeds)
    assert 0 < len(seeds) < len(kept) < sum(map(sum, weak))


# ---- other edges ----


@pytest.mark.parametrize("step", [0.3, 0.8])
def test_a_soft_edge_is_as_strong_as_its_step_and_falls_off(step: float) -> None:
    edge = soft_edge(half(step=step), strength=1.0)[16, :, 0]
    assert edge[15].item() == pytest.approx(step, rel=0.05)
    assert edge[16].item() == pytest.approx(step, rel=0.05)
    assert (edge[:15].diff() >= 0).all()
    assert edge[0] < 0.01


@pytest.mark.parametrize("name", ["lineart", "soft_edge", "scribble"])
def test_edges_turn_with_the_picture(name: str) -> None:
    found = ALL[name](disc())
    for turns in (1, 2, 3):
        assert torch.allclose(ALL[name](disc().rot90(turns)), found.rot90(turns), atol=1e-5)


def test_lines_are_as_strong_in_every_direction() -> None:
    """A difference of Gaussians knows no direction: around a disc its value hardly changes."""
    found = lineart(disc(radius=13, width=3), sigma=2.0, sharpness=4.0, threshold=1.0, softness=1.0)[..., 0]
    ring = []
    for angle in np.linspace(0, 2 * np.pi, 40):
        y, x = 20 + 15 * np.sin(angle), 20 + 15 * np.cos(angle)
        v, u = int(y), int(x)
        fy, fx = y - v, x - u
        ring.append(
            (1 - fy) * (1 - fx) * found[v, u]
            + (1 - fy) * fx * found[v, u + 1]
            + fy * (1 - fx) * found[v + 1, u]
            + fy * fx * found[v + 1, u + 1]
        )
    assert min(ring) > 0.1
    assert max(ring) - min(ring) < 0.06 * max(ring)


def test_lineart_is_the_papers_equation_written_out() -> None:
    grey = luma(RANDOM.movedim(-1, 0)).double()
    sharpened = blurred(grey, 0.7) + 5 * (blurred(grey, 0.7) - blurred(grey, 1.6 * 0.7))
    expected = torch.where(sharpened >= 0.5, 1.0, 1 + torch.tanh((sharpened - 0.5) / 0.2))
    drawn = lineart(RANDOM, sigma=0.7, sharpness=5.0, threshold=0.5, softness=0.2, tones=1.0)[..., 0]
    assert (1 - drawn - expected.clamp(0, 1)).abs().max() < 1e-5


def test_lineart_draws_a_dark_line_and_not_a_bright_one() -> None:
    image = torch.full((32, 64, 3), 0.5)
    image[:, 16], image[:, 48] = 0.1, 0.9
    drawn = lineart(image)[16, :, 0]
    assert drawn[16] > 0.9
    assert drawn[46:51].max() < drawn[16]
    assert drawn[48] == 0
    assert lineart(image, softness=0.0).unique().tolist() == [0.0, 1.0]


def test_a_scribble_is_hard_and_as_thick_as_asked() -> None:
    thin, thick = scribble(half(), thickness=0), scribble(half(), thickness=5)
    assert thin.unique().tolist() == thick.unique().tolist() == [0.0, 1.0]
    assert thick[16, :, 0].sum() == thin[16, :, 0].sum() + 10
    assert not scribble(half(step=0.1)).any()


# ---- tones ----


def test_value_and_luma_are_pillows() -> None:
    value = np.asarray(pixels(RANDOM).convert("HSV"))[..., 2]
    assert np.abs(luminance(RANDOM, measure="value")[..., 0].numpy() * 255 - value).max() <= 1
    grey = np.asarray(pixels(RANDOM).convert("L"))
    assert np.abs(luminance(RANDOM, measure="luma")[..., 1].numpy() * 255 - grey).max() <= 1.01


def test_lightness_of_known_colours() -> None:
    """CIE L*a*b* of sRGB's primaries (D65), from Lindbloom's calculator."""
    colours = torch.tensor([[1.0, 1, 1], [1, 0, 0], [0, 1, 0], [0, 0, 1], [0.5, 0.5, 0.5]]).T[:, None]
    expected = torch.tensor(
        [[100, 0, 0], [53.24, 80.09, 67.20], [87.73, -86.18, 83.18], [32.30, 79.19, -107.86], [53.39, 0, 0]]
    ).T[:, None]
    assert (to_lab(colours) - expected).abs().max() < 0.05


def test_lab_goes_there_and_back() -> None:
    assert torch.allclose(from_lab(to_lab(RANDOM.movedim(-1, 0))), RANDOM.movedim(-1, 0), atol=1e-4)


def test_gamma_darkens_middle_tones_and_leaves_black_and_white() -> None:
    image = torch.tensor([0.0, 0.5, 1.0])[None, :, None].repeat(1, 1, 3)
    assert luminance(image, measure="luma", gamma=2.0)[0, :, 0].tolist() == pytest.approx([0, 0.25, 1], abs=1e-5)


def test_recoloring_takes_the_colours_and_leaves_the_brightness() -> None:
    grey = torch.full((4, 4, 3), 0.5)
    tinted = recolor(grey, torch.tensor([0.6, 0.4, 0.4]).expand(4, 4, 3))
    lab, wanted = to_lab(tinted.movedim(-1, 0)), to_lab(torch.tensor([0.6, 0.4, 0.4])[:, None, None])
    assert lab[0, 0, 0].item() == pytest.approx(53.39, abs=0.05)
    assert torch.allclose(lab[1:, 0, 0], wanted[1:, 0, 0], atol=0.05)
    assert torch.allclose(recolor(RANDOM, RANDOM), RANDOM, atol=1e-4)


def test_recoloring_needs_pictures_of_one_size() -> None:
    with pytest.raises(NodeError) as caught:
        recolor(RANDOM, RANDOM[:20])
    assert (caught.value.socket, caught.value.expected, caught.value.got) == ("colors", "36 x 24", "36 x 20")


# ---- surfaces and layout ----


def test_a_plane_has_one_normal_and_a_flat_one_looks_at_us() -> None:
    y, x = torch.meshgrid(torch.arange(40.0), torch.arange(40.0), indexing="ij")
    depth = (0.002 * x + 0.001 * y)[..., None].repeat(1, 1, 3)  # nearer to the right and downwards
    normal = torch.tensor([-0.2, 0.1, 1.0])
    expected = normal / normal.norm() / 2 + 0.5
    assert torch.allclose(normal_from_depth(depth, relief=100)[20, 20], expected, atol=1e-5)
    down = normal_from_depth(depth, relief=100, green="down")[20, 20]
    assert torch.allclose(down, expected * torch.tensor([1, -1, 1]) + torch.tensor([0, 1, 0]), atol=1e-5)
    assert torch.allclose(normal_from_depth(torch.ones(8, 8, 3))[4, 4], torch.tensor([0.5, 0.5, 1.0]))


def test_a_ball_looks_outwards_everywhere() -> None:
    """Its normals are known: the place itself, over the radius."""
    radius = 40.0
    y, x = torch.meshgrid(torch.arange(-50.0, 51), torch.arange(-50.0, 51), indexing="ij")
    inside = torch.hypot(x, y) < 0.7 * radius
    z = (radius**2 - x**2 - y**2).clamp_min(0).sqrt()
    normal = normal_from_depth((z / radius)[..., None].repeat(1, 1, 3), relief=radius) * 2 - 1
    expected = torch.stack([x, -y, z], 2) / radius
    assert (normal - expected)[inside].abs().max() < 0.01


def test_a_tile_keeps_the_means_of_its_blocks_and_equals_pillow() -> None:
    image = torch.rand((32, 48, 3), generator=torch.Generator().manual_seed(3)) * 0.5 + 0.25
    small = pixels(image).resize((12, 8), Pillow.Resampling.BOX)
    blocks = image.view(8, 4, 12, 4, 3).mean((1, 3))
    assert np.abs(np.asarray(small) - blocks.numpy() * 255).max() <= 1.2
    # pillow's bicubic has a = -0.5, torch's -0.75: between smooth values both say nearly the same
    assert (
        np.abs(np.asarray(small.resize((48, 32), Pillow.Resampling.BICUBIC)) - tile_resample(image).numpy() * 255).mean() < 1.5
    )
    assert torch.allclose(tile_resample(image, factor=1.0), image, atol=1e-6)
    assert tile_resample(image).var() < image.var() / 4


def test_shuffling_keeps_the_colours_and_follows_the_seed() -> None:
    image = disc(size=64, radius=20)
    moved = shuffle_content(image, seed=1, scale=32)
    assert torch.equal(moved, shuffle_content(image, seed=1, scale=32))
    assert (moved - shuffle_content(image, seed=2, scale=32)).abs().max() > 0.5
    assert (moved - image).abs().mean() > 0.1
    assert torch.allclose(shuffle_content(torch.full((8, 8, 3), 0.3)), torch.full((8, 8, 3), 0.3))


def test_shuffling_takes_each_pixel_from_one_place_that_moves_smoothly() -> None:
    """The picture's own coordinates, shuffled, are the places themselves."""
    y, x = torch.meshgrid(torch.linspace(0, 1, 64), torch.linspace(0, 1, 64), indexing="ij")
    places = shuffle_content(torch.stack([x, y, 0 * x], 2), seed=4, scale=32)
    assert places[..., :2].amin((0, 1)).tolist() == pytest.approx([0, 0], abs=0.01)
    assert places[..., :2].amax((0, 1)).tolist() == pytest.approx([1, 1], abs=0.01)
    assert places.diff(dim=0).abs().max() < 0.12 > places.diff(dim=1).abs().max()
    picked = RANDOM.new_zeros(64, 64, 3)
    image = disc(size=64, radius=20, width=12)
    for v in range(64):
        for u in range(64):
            picked[v, u] = image[round(places[v, u, 1].item() * 63), round(places[v, u, 0].item() * 63)]
    assert (picked - shuffle_content(image, seed=4, scale=32)).abs().mean() < 0.03


def test_a_picture_of_few_colours_keeps_them() -> None:
    colours = torch.tensor([[0.1, 0.2, 0.3], [0.9, 0.1, 0.1], [0.2, 0.8, 0.2]])
    image = colours[torch.randint(3, (20, 30), generator=torch.Generator().manual_seed(0))]
    assert torch.allclose(color_regions(image, count=3, sigma=0.0), image, atol=1e-6)
    assert torch.allclose(color_regions(image, count=9, sigma=0.0), image, atol=1e-6)


def test_each_pixel_has_the_nearest_colour_and_each_colour_is_the_mean_of_its_pixels() -> None:
    painted = color_regions(RANDOM, count=5, sigma=0.0, seed=3)
    colours, owner = torch.unique(painted.view(-1, 3), dim=0, return_inverse=True)
    assert len(colours) == 5
    points = RANDOM.view(-1, 3)
    assert torch.equal(((points[:, None] - colours) ** 2).sum(2).argmin(1), owner)
    means = torch.stack([points[owner == number].mean(0) for number in range(5)])
    assert torch.allclose(means, colours, atol=0.02)
    assert torch.equal(painted, color_regions(RANDOM, count=5, sigma=0.0, seed=3))
    assert torch.allclose(color_regions(RANDOM, count=1, sigma=0.0)[0, 0], points.mean(0), atol=1e-4)

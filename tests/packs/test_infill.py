"""Filling holes, larger canvases and sizes that fit, with exhaustive searches and numpy's own solver and padding as oracles."""

from __future__ import annotations

from typing import Any, get_args

import numpy as np
import pytest
import torch
from torch import Tensor

from nodegraph import NodeError
from nodegraph_nodes.image import fit_to_multiple, pad_image
from nodegraph_nodes.image.infill import Infill, filled
from nodegraph_nodes.image.infill.nearest import nearest_known
from nodegraph_nodes.mask import ellipse_mask, feather_mask, infill

RANDOM = torch.Generator().manual_seed(0)
METHODS = get_args(Infill)


def rand(*shape: int) -> Tensor:
    return torch.rand(*shape, generator=RANDOM)


def round_hole(height: int = 24, width: int = 30) -> Tensor:
    return ellipse_mask(width, height, 0.5, 0.45, 0.2, 0.25) > 0


@pytest.mark.parametrize("channels", [3, 4])
@pytest.mark.parametrize("method", METHODS)
def test_all_that_is_no_hole_stays_to_the_bit_and_the_hole_depends_on_nothing_in_it(method: Any, channels: int) -> None:
    image, hole = rand(24, 30, channels), round_hole()
    result = filled(image, hole, method, torch.full((channels,), 0.25), seed=3)
    assert torch.equal(result[~hole], image[~hole])
    other = torch.where(hole[..., None], rand(24, 30, channels), image)
    assert torch.equal(filled(other, hole, method, torch.full((channels,), 0.25), seed=3), result)
    assert result.min() >= 0
    assert result.max() <= 1
    assert torch.equal(filled(image, hole & False, method), image)


@pytest.mark.parametrize("share", [0.1, 0.6, 0.95])
def test_the_nearest_pixel_outside_is_the_one_an_exhaustive_search_finds(share: float) -> None:
    hole = rand(23, 31) < share
    rows, columns = nearest_known(hole)
    assert not hole[rows, columns].any()
    places = torch.stack(torch.meshgrid(torch.arange(23), torch.arange(31), indexing="ij"), -1).reshape(-1, 2).float()
    best = torch.cdist(places, (~hole).nonzero().float()).amin(1)
    found = (places - torch.stack([rows, columns], -1).reshape(-1, 2)).norm(dim=1)
    assert (found - best).max() < 1e-3


def test_smooth_solves_laplaces_equation() -> None:
    """Against a dense float64 solve; and a slope goes on through the hole."""
    image, hole = rand(12, 14, 1), round_hole(12, 14)
    hole[0, :5] = True  # also at the border, across which the solution is level
    matrix, right = np.eye(12 * 14), image.reshape(-1).double().numpy().copy()
    for y, x in hole.nonzero().tolist():
        matrix[y * 14 + x, y * 14 + x], right[y * 14 + x] = 0, 0
        for v, u in ((y - 1, x), (y + 1, x), (y, x - 1), (y, x + 1)):
            if 0 <= v < 12 and 0 <= u < 14:
                matrix[y * 14 + x, y * 14 + x] += 1
                matrix[y * 14 + x, v * 14 + u] -= 1
    expected = torch.from_numpy(np.linalg.solve(matrix, right)).view(12, 14, 1).float()
    assert (filled(image, hole, "smooth") - expected).abs().max() < 2e-4
    assert (filled(image, hole, "edge") - expected).abs().max() > 0.05  # the oracle can tell fills apart
    slope = torch.linspace(0, 1, 200)[None, :, None].expand(150, -1, 3).contiguous()
    big = ellipse_mask(200, 150, 0.5, 0.5, 0.35, 0.3) > 0
    assert (filled(slope, big, "smooth") - slope).abs().max() < 0.01


def test_patches_go_on_with_a_texture_where_smoothing_cannot() -> None:
    rows, columns = torch.arange(64)[:, None], torch.arange(64)
    stripes = ((rows + columns) // 4 % 2).float()[..., None].expand(-1, -1, 3).contiguous()
    hole = ellipse_mask(64, 64, 0.5, 0.5, 0.15, 0.15) > 0

    def error(method: Any) -> float:
        return (filled(stripes, hole, method, seed=1) - stripes)[hole].abs().mean().item()

    assert error("patches") < 0.1
    assert error("smooth") > 0.3
    assert torch.equal(filled(stripes, hole, "patches", seed=1), filled(stripes, hole, "patches", seed=1))


def test_patches_without_room_for_one_are_smooth() -> None:
    image, hole = rand(8, 9, 3), torch.ones(8, 9, dtype=torch.bool)
    hole[0] = False
    assert torch.equal(filled(image, hole, "patches"), filled(image, hole, "smooth"))


def test_noise_has_the_colours_spread_and_is_the_same_for_a_seed() -> None:
    image = 0.5 + 0.1 * torch.randn(64, 64, 3, generator=RANDOM)
    hole = torch.zeros(64, 64, dtype=torch.bool)
    hole[:, 32:] = True
    made = filled(image, hole, "noise", seed=5)[hole]
    assert made.mean().item() == pytest.approx(0.5, abs=0.01)
    assert made.std().item() == pytest.approx(0.1, abs=0.01)
    assert not torch.equal(made, filled(image, hole, "noise", seed=6)[hole])


# ---- the node ----


def test_a_soft_mask_lets_the_picture_shine_through() -> None:
    image, mask = rand(24, 30, 3), feather_mask(round_hole().float(), 1.0)
    result = infill(image, mask, "color", "#102030")
    expected = image * (1 - mask[..., None]) + torch.tensor([16, 32, 48]) / 255 * mask[..., None]
    assert torch.allclose(result, expected, atol=1e-6)
    assert torch.equal(result[mask == 0], image[mask == 0])


def test_a_mask_over_all_leaves_nothing_to_fill_from() -> None:
    image, mask = rand(6, 8, 3), torch.full((6, 8), 0.5)
    with pytest.raises(NodeError, match="covers the whole image") as caught:
        infill(image, mask)
    assert caught.value.socket == "mask"
    assert "grow_mask" in str(caught.value.hint)
    assert infill(image, mask, "noise").shape == image.shape
    assert torch.equal(infill(image, mask * 0, "patches"), image)
    with pytest.raises(NodeError, match="another size"):
        infill(image, mask.T)


# ---- canvases ----


@pytest.mark.parametrize("borders", [(3, 2, 5, 4), (0, 0, 7, 0), (9, 30, 0, 1)])
def test_an_edge_infill_repeats_the_edges_as_numpys_padding_does(borders: tuple[int, int, int, int]) -> None:
    left, top, right, bottom = borders
    image = rand(7, 10, 3)
    padded = pad_image(image, left, top, right, bottom, "edge", feather=0)
    expected = np.pad(image.numpy(), ((top, bottom), (left, right), (0, 0)), mode="edge")
    assert np.array_equal(padded.image.numpy(), expected)
    inside = np.pad(np.zeros((7, 10)), ((top, bottom), (left, right)), constant_values=1)
    assert np.array_equal(padded.mask.numpy(), inside)


def test_a_mirror_infill_reflects_as_numpys_padding_does() -> None:
    image = rand(7, 10, 3)
    expected = np.pad(image.numpy(), ((4, 6), (3, 9), (0, 0)), mode="reflect")
    assert np.array_equal(pad_image(image, 3, 4, 9, 6, "mirror").image.numpy(), expected)


def comfyui_seam(height: int, width: int, borders: tuple[int, int, int, int], feather: int) -> Tensor:
    """Transcribed from ComfyUI's ImagePadForOutpaint (the loop over the picture's pixels)."""
    left, top, right, bottom = borders
    seam = torch.zeros(height, width)
    for i in range(height):
        for j in range(width):
            dt, db = i if top != 0 else height, height - i if bottom != 0 else height
            dl, dr = j if left != 0 else width, width - j if right != 0 else width
            d = min(dt, db, dl, dr)
            if d < feather:
                v = (feather - d) / feather
                seam[i, j] = v * v
    return seam


@pytest.mark.parametrize("borders", [(3, 2, 5, 4), (0, 0, 7, 0), (0, 6, 0, 1)])
def test_the_seam_fades_as_comfyuis_does(borders: tuple[int, int, int, int]) -> None:
    left, top, _, _ = borders
    padded = pad_image(rand(20, 24, 3), *borders, feather=6)
    assert torch.allclose(padded.mask[top : top + 20, left : left + 24], comfyui_seam(20, 24, borders, 6), atol=1e-6)


@pytest.mark.parametrize("method", METHODS)
def test_the_picture_on_its_canvas_stays_to_the_bit(method: Any) -> None:
    image = rand(16, 18, 3)
    padded = pad_image(image, 5, 6, 7, 8, method)
    assert padded.image.shape == (30, 30, 3)
    assert torch.equal(padded.image[6:22, 5:23], image)
    still = pad_image(image, infill=method)
    assert torch.equal(still.image, image)
    assert still.mask.max() == 0


def test_a_canvas_that_is_too_large_is_refused() -> None:
    with pytest.raises(NodeError, match="too large"):
        pad_image(torch.zeros(1, 9000, 3), left=8192)


# ---- multiples ----


@pytest.mark.parametrize("size", [(33, 50), (64, 48), (31, 17)])
@pytest.mark.parametrize("how", ["crop", "pad", "resize"])
def test_a_picture_and_its_mask_come_to_a_multiple_together(size: tuple[int, int], how: Any) -> None:
    image = rand(*size, 3)
    fitted = fit_to_multiple(image, image[..., 0].contiguous(), 16, how)
    height, width = fitted.image.shape[:2]
    assert height % 16 == width % 16 == 0
    assert fitted.mask.shape == (height, width)
    if how == "crop":
        top, left = (size[0] - height) // 2, (size[1] - width) // 2
        assert torch.equal(fitted.image, image[top : top + height, left : left + width])
        assert torch.equal(fitted.mask, fitted.image[..., 0])
    if how == "pad":
        top, left = (height - size[0]) // 2, (width - size[1]) // 2
        assert torch.equal(fitted.image[top : top + size[0], left : left + size[1]], image)
        lies = fit_to_multiple(image, None, 16, how).mask
        assert int(lies.sum()) == size[0] * size[1]
        assert torch.equal(lies * fitted.image[..., 0], fitted.mask)


def test_what_fits_already_stays_and_what_is_too_small_is_said() -> None:
    image = rand(32, 48, 4)
    for how in ("crop", "pad", "resize"):
        assert torch.equal(fit_to_multiple(image, None, 16, how).image, image)
    with pytest.raises(NodeError, match="smaller than the multiple") as caught:
        fit_to_multiple(image, None, 64)
    assert "resize" in str(caught.value.hint)
    with pytest.raises(NodeError, match="another size"):
        fit_to_multiple(image, torch.zeros(48, 32))

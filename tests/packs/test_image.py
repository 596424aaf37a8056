"""The image pack, with pillow as the oracle."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image as Pillow
from torch import Tensor

from nodegraph import NodeError
from nodegraph_nodes.image import image_grid, image_size, load_image, resize_image, save_image

RANDOM = np.random.default_rng(0)
PIXELS = RANDOM.integers(0, 256, (7, 10, 4), np.uint8)


def smooth(height: int, width: int, channels: int = 3) -> Tensor:
    """A picture in which a wrong position shows, without hard edges that would ring."""
    y, x = torch.meshgrid(torch.linspace(0, 3, height), torch.linspace(0, 3, width), indexing="ij")
    return torch.stack([0.5 + 0.4 * torch.sin(x * (i + 1) + y + i) for i in range(channels)], 2)


def solid(height: int, width: int, *color: float) -> Tensor:
    return torch.tensor(color).expand(height, width, len(color)).contiguous()


def stored(folder: Path, name: str, picture: Pillow.Image, **options: Any) -> Path:
    picture.save(folder / name, **options)
    return folder / name


def decoded(data: bytes) -> np.ndarray[Any, Any]:
    return np.asarray(Pillow.open(io.BytesIO(data)))


# ---- size ----


def test_image_size_is_width_and_height() -> None:
    assert image_size(torch.zeros(3, 5, 3)) == (5, 3)


RESAMPLING = {
    "lanczos": Pillow.Resampling.LANCZOS,
    "bicubic": Pillow.Resampling.BICUBIC,
    "bilinear": Pillow.Resampling.BILINEAR,
    "nearest": Pillow.Resampling.NEAREST,
    "area": Pillow.Resampling.BOX,
}


def by_pillow(image: Tensor, width: int, height: int, method: str) -> Tensor:
    planes = [Pillow.fromarray(plane.numpy()) for plane in image.unbind(2)]  # mode F: no rounding
    return torch.stack([torch.from_numpy(np.array(p.resize((width, height), RESAMPLING[method]))) for p in planes], 2).clamp(
        0, 1
    )


@pytest.mark.parametrize("size", [(5, 4), (20, 14), (20, 4), (5, 21), (10, 30), (10, 7)], ids=str)
@pytest.mark.parametrize("method", ["lanczos", "bicubic", "bilinear", "nearest"])
def test_resizing_gives_what_pillow_gives(method: Any, size: tuple[int, int]) -> None:
    image = torch.from_numpy(PIXELS[..., :3].astype(np.float32) / 255)
    resized = resize_image(image, *size, method=method)
    assert torch.allclose(resized, by_pillow(image, *size, method), atol=1e-4)


@pytest.mark.parametrize("size", [(5, 7), (10, 7), (5, 1), (2, 7)], ids=str)
def test_area_is_the_mean_of_what_a_pixel_covers(size: tuple[int, int]) -> None:
    image = torch.from_numpy(PIXELS[..., :3].astype(np.float32) / 255)
    assert torch.allclose(resize_image(image, *size, method="area"), by_pillow(image, *size, "area"), atol=1e-5)


@given(st.integers(1, 12), st.integers(1, 12), st.integers(1, 20), st.integers(1, 20), st.sampled_from(sorted(RESAMPLING)))
def test_a_plain_colour_stays_that_colour(height: int, width: int, new_height: int, new_width: int, method: Any) -> None:
    resized = resize_image(solid(height, width, 0.2, 0.5, 0.9), new_width, new_height, method)
    assert torch.allclose(resized, solid(new_height, new_width, 0.2, 0.5, 0.9), atol=1e-5)


@pytest.mark.parametrize("method", sorted(RESAMPLING))
def test_hidden_colours_do_not_bleed_through_transparency(method: Any) -> None:
    image = solid(8, 8, 1.0, 0.0, 0.0, 1.0)
    image[:, 4:] = torch.tensor([0.0, 1.0, 0.0, 0.0])  # green, but fully transparent
    resized = resize_image(image, 3, 3, method)
    seen = resized[..., 3] > 0.01
    assert seen.any()
    assert resized[..., 0][seen].min() > 0.99
    assert resized[..., 1][seen].max() < 0.01


def test_values_stay_between_0_and_1_where_lanczos_rings() -> None:
    edge = torch.cat([torch.zeros(8, 4, 3), torch.ones(8, 4, 3)], 1)
    resized = resize_image(edge, 31, 31, "lanczos")
    assert (resized.min(), resized.max()) == (0, 1)


def test_the_size_it_has_already_changes_nothing() -> None:
    image = smooth(5, 6)
    assert torch.equal(resize_image(image, 6, 5), image)


@pytest.mark.parametrize(
    ("options", "size"),
    [
        ({"width": 5}, (5, 3)),
        ({"height": 3}, (5, 3)),
        ({"width": 4, "height": 4}, (4, 4)),
        ({"width": 4, "height": 4, "fit": "contain"}, (4, 2)),
        ({"width": 20, "height": 4, "fit": "contain"}, (7, 4)),
        ({"width": 4, "height": 4, "fit": "cover"}, (4, 4)),
        ({"width": 3, "height": 40, "fit": "cover"}, (3, 40)),
        ({"width": 1, "height": 1, "fit": "contain"}, (1, 1)),
    ],
    ids=str,
)
def test_the_size_comes_out_as_asked(options: Any, size: tuple[int, int]) -> None:
    assert image_size(resize_image(smooth(6, 10), **options)) == size


def test_cover_cuts_at_the_centre() -> None:
    image = torch.cat([solid(4, 4, 1.0, 0.0, 0.0), solid(4, 4, 0.0, 1.0, 0.0), solid(4, 4, 0.0, 0.0, 1.0)], 1)
    assert torch.equal(resize_image(image, 4, 4, "nearest", "cover"), solid(4, 4, 0.0, 1.0, 0.0))


def test_no_size_at_all_is_refused() -> None:
    with pytest.raises(NodeError, match="how wide or how high"):
        resize_image(smooth(2, 2))


# ---- files ----


@pytest.mark.parametrize("mode", ["RGB", "L", "1", "P", "CMYK"])
def test_a_loaded_picture_is_rgb_and_opaque(tmp_path: Path, mode: str) -> None:
    picture = Pillow.fromarray(PIXELS[..., :3]).convert(mode)
    image, mask = load_image(stored(tmp_path, "x.tiff" if mode == "CMYK" else "x.png", picture))
    assert torch.equal((image * 255).round().byte(), torch.from_numpy(np.array(picture.convert("RGB"))))
    assert torch.equal(mask, torch.ones(7, 10))


@pytest.mark.parametrize("mode", ["RGBA", "LA"])
def test_transparency_becomes_the_mask(tmp_path: Path, mode: str) -> None:
    picture = Pillow.fromarray(PIXELS).convert(mode)
    image, mask = load_image(stored(tmp_path, "x.png", picture))
    expected = torch.from_numpy(np.array(picture.convert("RGBA")))
    assert torch.equal((image * 255).round().byte(), expected[..., :3])
    assert torch.equal((mask * 255).round().byte(), expected[..., 3])


def test_a_transparent_palette_colour_becomes_the_mask(tmp_path: Path) -> None:
    picture = Pillow.new("P", (2, 1))
    picture.putpalette([255, 0, 0, 0, 255, 0])
    picture.putdata([0, 1])
    _, mask = load_image(stored(tmp_path, "x.png", picture, transparency=1))
    assert mask.tolist() == [[1.0, 0.0]]


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_picture_is_turned_upright(tmp_path: Path, orientation: int) -> None:
    upright = Pillow.fromarray(PIXELS[..., :3])
    turn = {
        2: Pillow.Transpose.FLIP_LEFT_RIGHT,
        3: Pillow.Transpose.ROTATE_180,
        4: Pillow.Transpose.FLIP_TOP_BOTTOM,
        5: Pillow.Transpose.TRANSPOSE,
        6: Pillow.Transpose.ROTATE_90,  # stored turned left: to be turned right
        7: Pillow.Transpose.TRANSVERSE,
        8: Pillow.Transpose.ROTATE_270,
    }
    held = upright.transpose(turn[orientation]) if orientation in turn else upright
    exif = Pillow.Exif()
    exif[0x0112] = orientation
    image, _ = load_image(stored(tmp_path, "x.png", held, exif=exif))
    assert torch.equal((image * 255).round().byte(), torch.from_numpy(PIXELS[..., :3].copy()))


def test_sixteen_bits_keep_their_depth(tmp_path: Path) -> None:
    deep = np.array([[0, 1, 256, 32768, 65535]], np.uint16)
    image, _ = load_image(stored(tmp_path, "x.png", Pillow.fromarray(deep)))
    assert image.shape == (1, 5, 3)
    assert torch.equal((image[..., 0].double() * 65535).round().int(), torch.from_numpy(deep.astype(np.int32)))


def test_a_float_picture_is_taken_as_it_is(tmp_path: Path) -> None:
    picture = Pillow.fromarray(np.array([[0.0, 0.25, 1.0, 1.5]], np.float32))
    image, _ = load_image(stored(tmp_path, "x.tiff", picture))
    assert image[0, :, 0].tolist() == [0.0, 0.25, 1.0, 1.0]


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "x.png is not a picture"),
        (b"I am text", "x.png is not a picture"),
        (None, "The picture x.png cannot be read: .*truncated"),
    ],
    ids=["empty", "text", "cut short"],
)
def test_a_file_that_is_no_whole_picture_is_named_without_its_folder(tmp_path: Path, content: bytes | None, says: str) -> None:
    path = stored(tmp_path, "x.png", Pillow.fromarray(RANDOM.integers(0, 256, (64, 64, 3), np.uint8)))
    path.write_bytes(path.read_bytes()[:3000] if content is None else content)
    with pytest.raises(NodeError, match=says) as caught:
        load_image(path)
    assert str(tmp_path) not in str(caught.value)


@pytest.mark.parametrize(("format", "media_type"), [("png", "image/png"), ("jpeg", "image/jpeg"), ("webp", "image/webp")])
def test_a_saved_picture_has_its_format_and_size(format: Any, media_type: str) -> None:
    artifact = save_image(smooth(6, 9), "name", format, embed="none")
    assert (artifact.media_type, artifact.name, artifact.embed) == (media_type, "name", "none")
    picture = Pillow.open(io.BytesIO(artifact.data))
    assert (picture.format, picture.size) == (format.upper(), (9, 6))


@pytest.mark.parametrize("channels", [3, 4])
@pytest.mark.parametrize(("format", "quality"), [("png", 92), ("webp", 100)])
def test_lossless_files_keep_every_pixel(channels: int, format: Any, quality: int) -> None:
    pixels = PIXELS[..., :channels]
    artifact = save_image(torch.from_numpy(pixels.astype(np.float32) / 255), format=format, quality=quality)
    assert np.array_equal(decoded(artifact.data), pixels)


def test_saving_and_loading_gives_the_picture_back(tmp_path: Path) -> None:
    image = torch.from_numpy(PIXELS[..., :3].astype(np.float32) / 255)
    (tmp_path / "x.png").write_bytes(save_image(image).data)
    assert torch.equal(load_image(tmp_path / "x.png").image, image)


def test_values_are_rounded_to_the_nearest_and_clamped() -> None:
    image = torch.tensor([[[0.0, 0.499 / 255, 0.501 / 255], [1.0, 1.7, -0.3]]])
    assert decoded(save_image(image).data).tolist() == [[[0, 0, 1], [255, 255, 0]]]


def test_jpeg_lays_transparency_over_white() -> None:
    image = solid(8, 8, 1.0, 0.0, 0.0, 0.0)
    assert decoded(save_image(image, format="jpeg").data).min() >= 254


@pytest.mark.parametrize("format", ["jpeg", "webp"])
def test_quality_counts(format: Any) -> None:
    noise = torch.from_numpy(RANDOM.random((64, 64, 3), np.float32))
    sizes = [len(save_image(noise, format=format, quality=quality).data) for quality in (1, 50, 99)]
    assert sizes == sorted(sizes)


# ---- sheets ----

RED, GREEN, BLUE = (1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0)


@pytest.mark.parametrize(
    ("count", "columns", "size"),
    [
        (1, 0, (5, 3)),
        (2, 0, (11, 3)),
        (3, 0, (11, 7)),
        (4, 0, (11, 7)),
        (5, 0, (17, 7)),
        (3, 1, (5, 11)),
        (3, 3, (17, 3)),
        (2, 9, (11, 3)),
    ],
)
def test_a_sheet_is_as_large_as_its_rows_and_columns(count: int, columns: int, size: tuple[int, int]) -> None:
    assert image_size(image_grid([solid(3, 5, *RED)] * count, columns, gap=1)) == size


def test_images_lie_in_rows_with_the_background_between() -> None:
    sheet = image_grid([solid(1, 1, *RED), solid(1, 1, *GREEN), solid(1, 1, *BLUE)], 2, 1, "#808080")
    grey = [128 / 255] * 3
    expected = [[RED, grey, GREEN], [grey, grey, grey], [BLUE, grey, grey]]
    assert torch.allclose(sheet, torch.tensor([[list(color) for color in row] for row in expected]))


def test_smaller_images_sit_in_the_middle_of_their_cell() -> None:
    sheet = image_grid([solid(3, 3, *RED), solid(1, 1, *GREEN)], 2, 0, "#000000")
    assert (sheet[1, 4] == torch.tensor(GREEN)).all()
    assert sheet[:, 3:].sum() == 1


def test_transparent_images_show_the_background() -> None:
    sheet = image_grid([solid(2, 2, 1.0, 0.0, 0.0, 0.5)], 1, 0, "#0000ff")
    assert torch.allclose(sheet, solid(2, 2, 0.5, 0.0, 0.5))


def test_a_transparent_background_keeps_the_transparency_of_the_images() -> None:
    image = solid(2, 2, 1.0, 0.0, 0.0, 0.5)
    assert torch.allclose(image_grid([image], 1, 0, "#00ff0000"), image)


def test_a_sheet_of_nothing_is_refused() -> None:
    with pytest.raises(NodeError, match="no images"):
        image_grid([])


def test_no_node_writes_into_its_input() -> None:
    image = smooth(4, 4, 4)
    before = image.clone()
    image_grid([image, image])
    resize_image(image, 2, 2)
    save_image(image, format="jpeg")
    assert torch.equal(image, before)
    assert image._version == 0

"""A small data set: discs of different colours, in a zip with captions."""

import io
import json
import zipfile
from pathlib import Path

import numpy as np
from PIL import Image

from nodegraph import Context
from nodegraph_nodes.training import load_pictures, resize_pictures
from nodegraph_nodes.types import Dataset, Entry, PictureSource

NAMES = ("apple", "boat", "cat", "dog", "elk", "fan", "gem", "hat")


def discs(folder: Path, size: int = 16, picture: int = 32) -> Dataset:
    """Eight pictures of a disc each, brought to size x size pixels."""
    rows = []
    with zipfile.ZipFile(folder / "discs.zip", "w") as file:
        for number, name in enumerate(NAMES):
            y, x = np.mgrid[:picture, :picture] - (picture - 1) / 2
            pixels = np.zeros((picture, picture, 4), np.uint8)
            pixels[..., 0], pixels[..., 1] = 120 + 16 * number, 8 * (x + number) % 256
            pixels[..., 3] = 255 * (x * x + y * y < (picture / 3) ** 2)
            buffer = io.BytesIO()
            Image.fromarray(pixels).save(buffer, "png")
            file.writestr(f"{name}.png", buffer.getvalue())
            rows.append({"file": f"{name}.png", "subject": name, "style": "flat"})
    (folder / "discs.jsonl").write_text("\n".join(map(json.dumps, rows)))
    return resize_pictures(load_pictures(Context(), folder / "discs.zip", folder / "discs.jsonl"), size, size)


def ground_and_sky(folder: Path) -> Dataset:
    """Four pictures of 16 x 16 pixels whose left part is black ground (0) and whose right one white sky (1), with maps."""
    rows = []
    with zipfile.ZipFile(folder / "maps.zip", "w") as file:
        for number in range(4):
            numbers = np.zeros((16, 16), np.uint8)
            numbers[:, 4 * number :] = 1
            for name, pixels in ((f"{number}.png", np.stack([255 * numbers] * 3, 2)), (f"map-{number}.png", numbers)):
                buffer = io.BytesIO()
                Image.fromarray(pixels).save(buffer, "png")
                file.writestr(name, buffer.getvalue())
            rows.append(Entry(0, f"{number}.png", 16, 16, ("ground and sky",), layout=f"map-{number}.png"))
    source = PictureSource(str(folder / "maps.zip"), "d", "zip")
    return Dataset((source,), tuple(rows), regions=("ground", "sky"), buckets=((16, 16),))

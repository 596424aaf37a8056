"""Small picture files, and files that only look like some."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
from PIL import Image


def encoded(width: int = 24, height: int = 16, colour: tuple[int, ...] = (200, 30, 30), kind: str = "png") -> bytes:
    """A picture of one colour."""
    buffer = io.BytesIO()
    Image.new("RGB" if len(colour) == 3 else "RGBA", (width, height), colour).save(buffer, kind)
    return buffer.getvalue()


def saved(pixels: np.ndarray, path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)
    return path


def put(path: Path, data: bytes | str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data.encode() if isinstance(data, str) else data)
    return path

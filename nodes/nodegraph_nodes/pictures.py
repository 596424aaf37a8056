"""Between image tensors and picture files or bytes, with pillow. Rounding happens here and nowhere else."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import torch
from PIL import Image as Pillow
from torch import Tensor

from nodegraph import Artifact, Preview

MEDIA_TYPES = {"png": "image/png", "jpeg": "image/jpeg", "webp": "image/webp", "avif": "image/avif"}


def to_pillow(image: Tensor) -> Pillow.Image:
    """An image [H, W, C] or a mask [H, W], 0..1, as an 8-bit pillow image."""
    pixels = (image.detach().float().clamp(0, 1) * 255).round().to(torch.uint8).cpu().numpy()
    return Pillow.fromarray(np.ascontiguousarray(pixels))


def from_pillow(picture: Pillow.Image) -> Tensor:
    """A pillow image as [H, W, 3] float32, or [H, W, 4] where it has transparency."""
    transparent = picture.mode in ("RGBA", "LA", "PA") or "transparency" in picture.info
    if picture.mode.startswith("I;16") or picture.mode in ("I", "F"):
        deep = torch.from_numpy(np.array(picture, dtype=np.float32))
        return (deep if picture.mode == "F" else deep / 65535).clamp(0, 1)[..., None].expand(-1, -1, 3).contiguous()
    pixels = np.array(picture.convert("RGBA" if transparent else "RGB"), dtype=np.float32)
    return torch.from_numpy(pixels).div_(255)


def encode(image: Tensor, kind: str = "png", quality: int = 90, lossless: bool = False) -> bytes:
    """An image as a picture file. JPEG knows no transparency: it is laid over white."""
    picture = to_pillow(image)
    buffer = io.BytesIO()
    options: dict[str, Any] = {}
    if kind == "jpeg":
        if picture.mode == "RGBA":
            ground = Pillow.new("RGB", picture.size, "white")
            ground.paste(picture, mask=picture.getchannel("A"))
            picture = ground
        options = {"quality": quality, "subsampling": 0 if quality >= 90 else 2, "optimize": True}
    elif kind == "webp":
        options = {"quality": quality, "lossless": lossless, "method": 4, "exact": lossless}
    elif kind == "avif":
        options = {"quality": quality, "subsampling": "4:4:4" if quality >= 90 else "4:2:0"}
    picture.save(buffer, kind, **options)
    return buffer.getvalue()


def png_artifact(image: Tensor) -> Artifact:
    """What an image becomes when a run gives it and no node says how to save it."""
    return Artifact(encode(image), MEDIA_TYPES["png"])


def mask_artifact(mask: Tensor) -> Artifact:
    """A mask as a greyscale PNG of 16 bits: what is read back differs by less than 1/65535."""
    levels = (mask.detach().double().clamp(0, 1) * 65535).round().to(torch.uint16).cpu().numpy()
    buffer = io.BytesIO()
    Pillow.fromarray(np.ascontiguousarray(levels)).save(buffer, "png")
    return Artifact(buffer.getvalue(), MEDIA_TYPES["png"])


def to_preview(image: Tensor) -> Preview:
    """An image [H, W, 3] as a preview."""
    pixels = (image.detach().float().clamp(0, 1) * 255).round().to(torch.uint8).cpu().contiguous()
    return Preview(image.shape[1], image.shape[0], pixels.numpy().tobytes())

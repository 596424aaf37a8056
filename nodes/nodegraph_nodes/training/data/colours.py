"""Named colours: grounds to lay pictures on, hues to shift them to.

Recolouring turns the dominant hue of a picture (the mean angle, weighted by saturation, brightness and opacity) to a named one
and keeps the shading; pictures without a hue are tinted.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image as Pillow

from .decoding import Pixels

GROUNDS: dict[str, tuple[int, int, int]] = {
    "white": (255, 255, 255),
    "black": (20, 20, 20),
    "gray": (140, 140, 140),
    "red": (214, 40, 40),
    "orange": (245, 130, 30),
    "yellow": (250, 215, 60),
    "green": (50, 160, 70),
    "blue": (45, 100, 220),
    "light blue": (150, 205, 245),
    "purple": (130, 60, 180),
    "pink": (245, 150, 190),
    "brown": (120, 75, 45),
}
"""Colours of backgrounds, sRGB."""

HUES: dict[str, float] = {
    "red": 0,
    "orange": 28,
    "yellow": 52,
    "green": 125,
    "blue": 222,
    "purple": 275,
    "pink": 325,
    "cyan": 185,
}
"""Hues in degrees."""

NEUTRALS = ("black", "white", "gray")
_DARK = {"black": (0.0, 0.35), "white": (0.62, 0.38), "gray": (0.2, 0.55)}  # offset and slope of the lightness
_LUMA = np.array([0.299, 0.587, 0.114], np.float32)


def lay_over(rgba: Pixels, colour: tuple[float, float, float]) -> Pixels:
    """A picture [H, W, 4] on a colour: [H, W, 3]."""
    opacity = rgba[..., 3:].astype(np.float32) * np.float32(1 / 255)
    ground = np.asarray(colour, np.float32)
    laid = ground + (rgba[..., :3].astype(np.float32) - ground) * opacity
    return _rounded(laid)


def recoloured(rgba: Pixels, name: str) -> Pixels:
    """A picture [H, W, 3 or 4] in a colour of HUES or NEUTRALS; transparency stays."""
    out = rgba.copy()
    if name in NEUTRALS:
        offset, slope = _DARK[name]
        light = offset + slope * (rgba[..., :3].astype(np.float32) @ _LUMA) / 255
        out[..., :3] = np.clip(light * 255, 0, 255)[..., None]
        return out
    hsv = np.asarray(Pillow.fromarray(np.ascontiguousarray(rgba[..., :3])).convert("HSV")).astype(np.float32)
    hue, saturation, value = hsv[..., 0] * np.float32(360 / 255), hsv[..., 1] / 255, hsv[..., 2] / 255
    opacity = rgba[..., 3] / np.float32(255) if rgba.shape[-1] == 4 else np.float32(1)
    weight = opacity * saturation * value
    if weight.sum() < 0.12 * np.sum(np.broadcast_to(opacity, hue.shape)):  # hardly a hue of its own
        shifted = np.full_like(hue, HUES[name])
        saturation = np.clip(0.25 + 0.6 * (1 - np.abs(value - 0.6)), 0, 0.85) * (value > 0.12)
    else:
        shifted = HUES[name] + np.clip((hue - _dominant(hue, weight) + 180) % 360 - 180, -70, 70) * np.float32(0.35)
        saturation = np.where(saturation > 0.15, np.clip(saturation * 1.15, 0.45, 1), saturation)
    if name in ("yellow", "orange"):  # dark yellow is brown
        value = np.clip(0.25 + value * 0.8, 0, 1)
    if name == "pink":  # a pale red
        saturation, value = saturation * 0.55, np.clip(0.4 + value * 0.65, 0, 1)
    hsv[..., 0], hsv[..., 1], hsv[..., 2] = (shifted % 360) * (255 / 360), saturation * 255, value * 255
    bands = [Pillow.fromarray(band) for band in np.moveaxis(np.clip(hsv, 0, 255).astype(np.uint8), -1, 0)]
    out[..., :3] = np.asarray(Pillow.merge("HSV", bands).convert("RGB"))
    return out


def relit(pixels: Pixels, brightness: float, contrast: float, saturation: float) -> Pixels:
    """A picture [H, W, 3] with its light, its contrast around the mean and its colours multiplied; 1 changes nothing."""
    shown = pixels.astype(np.float32) * brightness
    grey = (shown @ _LUMA)[..., None]
    shown = grey + (shown - grey) * saturation
    mean = grey.mean()
    return _rounded(mean + (shown - mean) * contrast)


def _rounded(levels: npt.NDArray[Any]) -> Pixels:
    pixels: Pixels = np.clip(levels + 0.5, 0, 255).astype(np.uint8)
    return pixels


def _dominant(hue: npt.NDArray[Any], weight: npt.NDArray[Any]) -> float:
    """The mean hue in degrees."""
    angle = np.deg2rad(hue)
    return float(np.rad2deg(np.arctan2((weight * np.sin(angle)).sum(), (weight * np.cos(angle)).sum())))

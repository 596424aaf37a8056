"""Tiny models of every family with a U-Net on disk, in both layouts, made when they are first asked for."""

from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any, Literal

from tiny_models import save_single_file, tiny_sd1, tiny_sd2
from tiny_models.xl import tiny_refiner, tiny_sdxl

TINY: dict[str, Callable[[], Any]] = {
    "sd1": tiny_sd1,
    "sd2": tiny_sd2,
    "sdxl": tiny_sdxl,
    "sdxl_refiner": tiny_refiner,
    "sd1 inpainting": lambda: tiny_sd1(channels=9),
    "sd2 inpainting": lambda: tiny_sd2(channels=9, prediction="epsilon"),
    "sdxl inpainting": lambda: tiny_sdxl(channels=9),
}
Layout = Literal["folder", "single file"]


class Stored:
    """The models below a folder."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.pipeline = cache(lambda name: TINY[name]())
        self.path = cache(self._saved)

    def _saved(self, name: str, layout: Layout = "folder") -> Path:
        place = self.root / name.replace(" ", "_")
        if layout == "single file":
            place.mkdir(exist_ok=True)
            return save_single_file(self.pipeline(name), place / "single.safetensors")
        self.pipeline(name).save_pretrained(place / "folder")
        return place / "folder"

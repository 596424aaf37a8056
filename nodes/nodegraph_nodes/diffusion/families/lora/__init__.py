"""LoRA and its relatives: small files that change a network's weights.

`reading` takes a file apart, `targets` finds the layers that it means, `changes` are the formulas, `wearing` puts changes on a
network and takes them off again.
"""

from .describing import Fit, fit, lora_family, told_family
from .reading import LoraFile, LoraLayer, UnsupportedLora, read_lora, read_names
from .targets import denoiser_index, filled_modules, text_index
from .wearing import given, wear

__all__ = [
    "Fit",
    "LoraFile",
    "LoraLayer",
    "UnsupportedLora",
    "denoiser_index",
    "filled_modules",
    "fit",
    "given",
    "lora_family",
    "read_lora",
    "read_names",
    "text_index",
    "told_family",
    "wear",
]

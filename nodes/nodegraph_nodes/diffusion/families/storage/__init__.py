"""How weights lie in memory: as they are, or packed (int8, float8, nf4, GGUF's blocks) and unpacked where they are used.

`Packed` is a tensor that is stored small and computes as float32; `pack` makes one; `layers` keeps one inside a network.
"""

from .codings import FLOAT8_DTYPES, float8, int8, nf4, pack
from .gguf import read_gguf_tensors
from .layers import is_packable, is_stored, store
from .packed import Packed, dense

__all__ = [
    "FLOAT8_DTYPES",
    "Packed",
    "dense",
    "float8",
    "int8",
    "is_packable",
    "is_stored",
    "nf4",
    "pack",
    "read_gguf_tensors",
    "store",
]

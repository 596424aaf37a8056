"""Where results and files live: the memory and disk tiers, digests of files, and the roots that documents may read."""

from nodegraph.store.behind import WriteBehind
from nodegraph.store.disk import DiskInfo, DiskTier, TypeUse
from nodegraph.store.files import Digests, Roots, check_model, signature
from nodegraph.store.memory import Alias, MemoryTier, Place, Result, Trace
from nodegraph.store.record import Record
from nodegraph.store.upkeep import GcReport

__all__ = [
    "Alias",
    "Digests",
    "DiskInfo",
    "DiskTier",
    "GcReport",
    "MemoryTier",
    "Place",
    "Record",
    "Result",
    "Roots",
    "Trace",
    "TypeUse",
    "WriteBehind",
    "check_model",
    "signature",
]

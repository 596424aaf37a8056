"""Where results and files live: the memory tier, digests of files, and the roots that documents may read."""

from nodegraph.store.files import Digests, Roots, check_model, signature
from nodegraph.store.memory import Alias, MemoryTier, Place, Result, Trace

__all__ = ["Alias", "Digests", "MemoryTier", "Place", "Result", "Roots", "Trace", "check_model", "signature"]

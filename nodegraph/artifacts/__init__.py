"""Files that runs make: the workflow inside them, and their place in a folder.

Pure bytes: no tensor, no re-encoding.
"""

from nodegraph.artifacts.embed import embed, extract
from nodegraph.artifacts.place import Placed, check_writable, place

__all__ = ["Placed", "check_writable", "embed", "extract", "place"]

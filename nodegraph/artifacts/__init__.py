"""Files that runs make: the workflow inside them, and their place in a folder; and what other programs left in theirs.

Pure bytes: no tensor, no re-encoding.
"""

from nodegraph.artifacts.embed import embed, extract
from nodegraph.artifacts.place import Placed, check_writable, place
from nodegraph.artifacts.reading import Metadata, read_metadata
from nodegraph.artifacts.sharing import Machine, for_sharing, share

__all__ = [
    "Machine",
    "Metadata",
    "Placed",
    "check_writable",
    "embed",
    "extract",
    "for_sharing",
    "place",
    "read_metadata",
    "share",
]

"""Names that a document takes, from whatever another program calls a thing."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Container

from nodegraph.sdk.builder import NODE_ID

_LONGEST = 40


def slug(text: str, otherwise: str) -> str:
    """`KSampler (Base)` -> `ksampler_base`: a readable id, or `otherwise` where nothing readable is left."""
    plain = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode()
    name = re.sub(r"[^a-z0-9]+", "_", plain.lower()).strip("_")[:_LONGEST].strip("_")
    if name[:1].isdigit():
        name = f"_{name}"
    return name if NODE_ID.match(name) else otherwise


def free_name(wanted: str, *taken: Container[str], reached: dict[str, int] | None = None) -> str:
    """The name itself, numbered where it is taken. `reached` remembers how far the numbers went, where there are many."""
    if not any(wanted in names for names in taken):
        return wanted
    number = reached.get(wanted, 2) if reached is not None else 2
    while any(f"{wanted}_{number}" in names for names in taken):
        number += 1
    if reached is not None:
        reached[wanted] = number
    return f"{wanted}_{number}"


def type_part(text: str) -> str:
    """A class as the second half of a node type: letters, digits and `_`."""
    return re.sub(r"[^A-Za-z0-9_]+", "_", text).strip("_") or "unnamed"


def words(name: str) -> str:
    """A class name as words: `CLIPTextEncode` -> `CLIP Text Encode`."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", " ", name.replace("KSampler", "Ksampler"))

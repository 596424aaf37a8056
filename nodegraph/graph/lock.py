"""A document's lock: what its results depend on besides itself, as data.

It says which nodes it was made for (a digest of each), never a value, and never where a file lies on a machine.
"""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import blake2b
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from nodegraph.graph.canonical import compact
from nodegraph.graph.document import SUBGRAPHS, Document, Interface, NodeEntry, Subgraph
from nodegraph.sdk.errors import InvalidWorkflow, Problem

LOCK_FORMAT = 1
OUTPUTS = "interface.outputs"
"""How a lock calls the document's outputs; no node can have this id."""

RELOCK = "Lock it again: nodegraph run FILE --lock."
_LOCK_FIRST = "Run it once with a lock: nodegraph run FILE --lock."


class _Part(BaseModel):
    model_config = ConfigDict(extra="allow", strict=True)


class LockedPack(_Part):
    """A pack: the digest of its source, and the distribution that it came with."""

    source: str
    distribution: str = ""
    version: str = ""


class LockedFile(_Part):
    """A model or an input file by its content. `origin` says where it can be got, where that is known."""

    sha256: str = Field(pattern="^[0-9a-f]{64}$")
    bytes: int = Field(default=0, ge=0)
    origin: str = ""


class LockedDevice(_Part):
    """A device: `dtype` is what "auto" means there, `libraries` compute there, `about` is good to know."""

    kind: str
    dtype: str
    libraries: dict[str, str] = Field(default_factory=dict)
    about: dict[str, str] = Field(default_factory=dict)


class Runtime(_Part):
    """What ran it. Without a `device` nothing computed on one."""

    device: LockedDevice | None = None
    libraries: dict[str, str] = Field(default_factory=dict)
    nodegraph: str = ""
    python: str = ""
    platform: str = ""


class Lock(_Part):
    """A lock, format 1. `document` has a digest per node, so that an edited document is noticed; no value is in it."""

    format: Literal[1] = 1
    document: dict[str, str]
    packs: dict[str, LockedPack]
    models: dict[str, LockedFile] = Field(default_factory=dict)
    inputs: dict[str, LockedFile] = Field(default_factory=dict)
    runtime: Runtime

    def to_json(self) -> dict[str, Any]:
        """The lock as a document holds it; empty parts are left out."""
        data = self.model_dump()
        return {"format": LOCK_FORMAT, "document": {}, "packs": {}, "runtime": {}, **_filled(data)}


def _filled(part: dict[str, Any]) -> dict[str, Any]:
    inner = {name: _filled(value) if isinstance(value, dict) else value for name, value in part.items()}
    return {name: value for name, value in inner.items() if value not in ({}, "", None)}


# ---- in documents ----


def read_lock(document: Document) -> Lock:
    """A document's lock. Raises InvalidWorkflow when it has none, and with everything that is misshapen in it."""
    data = document.lock
    if not data:
        raise InvalidWorkflow([Problem("no_lock", "This workflow is not locked.", hint=_LOCK_FIRST)])
    version = data.get("format", LOCK_FORMAT)
    if isinstance(version, int) and version > LOCK_FORMAT:
        hint = "It was locked by a newer nodegraph. Update, or lock it again here: nodegraph run FILE --lock."
        raise InvalidWorkflow(
            [Problem("bad_lock", "The lock's format is unknown.", "lock.format", None, "1", str(version), hint)]
        )
    try:
        return Lock.model_validate(data)
    except ValidationError as error:
        raise InvalidWorkflow([_misshapen(item) for item in error.errors()]) from None


def _misshapen(item: Any) -> Problem:
    place = ".".join(["lock", *map(str, item["loc"])])
    hint = f"A lock is not made to be edited. {RELOCK}"
    if item["type"] == "missing":
        return Problem("bad_lock", "This part of the lock is missing.", place, hint=hint)
    expected = _SHAPES.get(item["type"], item["msg"])
    return Problem(
        "bad_lock", "This part of the lock has the wrong form.", place, None, expected, _shortened(item["input"]), hint
    )


_SHAPES = {
    "dict_type": "an object",
    "model_type": "an object",
    "string_type": "text",
    "int_type": "a whole number",
    "greater_than_equal": "zero or more",
    "string_pattern_mismatch": "a sha256 digest: 64 hexadecimal digits",
    "literal_error": "1",
}


def _shortened(value: Any) -> str:
    text = repr(value)
    return text if len(text) < 60 else text[:57] + "..."


def with_lock(document: Document, lock: Lock) -> Document:
    """The document with this lock. Where a file is still the same, what the old lock says of it besides (`origin`) stays."""
    data = lock.to_json()
    for section in ("models", "inputs"):
        before = document.lock.get(section)
        for name, entry in data.get(section, {}).items():
            old = before.get(name) if isinstance(before, dict) else None
            if isinstance(old, dict) and old.get("sha256") == entry["sha256"]:
                data[section][name] = {**old, **entry}
    return document.model_copy(update={"lock": data})


def content_digests(document: Document) -> dict[str, str]:
    """A short digest of every node and interface, also in subgraphs; titles, layout and unknown fields do not count.

    Subgraphs that lie in other files have to be inside already (see `linking.py`).
    """
    found = _nodes(document.nodes, "")
    found[OUTPUTS] = _digest(document.interface.outputs)
    for name, subgraph in document.subgraphs.items():
        place = f"{SUBGRAPHS}.{name}"
        found |= {place: _digest(_face(subgraph)), **_nodes(subgraph.nodes, f"{place}/")}
    return found


def _nodes(nodes: Mapping[str, NodeEntry], place: str) -> dict[str, str]:
    return {
        f"{place}{name}": _digest([node.type, node.version, node.inputs, node.links, node.disabled])
        for name, node in nodes.items()
    }


def _face(subgraph: Subgraph) -> list[Any]:
    """What decides how a subgraph is used, beside its nodes."""
    interface: Interface = subgraph.interface
    return [{name: [item.to, item.default] for name, item in interface.inputs.items()}, interface.outputs]


def _digest(content: Any) -> str:
    return blake2b(compact(content).encode("utf-8", "surrogatepass"), digest_size=6).hexdigest()

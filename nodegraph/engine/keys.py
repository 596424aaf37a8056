"""Keys: the content address of a result, one hash per node.

key(node) = blake2b(type, revision, numerics profile, a token per input). A typed value, or a small JSON value that came over
a link, enters as itself; a file by its content's digest; anything else by the place where it lies.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from hashlib import blake2b
from typing import Any

from nodegraph.graph.canonical import compact
from nodegraph.sdk.spec import NodeSpec
from nodegraph.store import Place

SMALL_BYTES = 4096
"""A linked JSON value up to this size enters keys by its value."""

_quote = json.encoder.encode_basestring

Token = str


class Hasher:
    """Makes keys. `profile` gives the numerics profile that guards nodes of the gpu lane; asked for only when one appears.

    With `exact`, nodes that can run in batches get other keys than without: exact results never come from a batch. What a
    composite becomes depends on every pack, so its keys hold `packs`, the digest of all revisions.
    """

    def __init__(self, profile: Callable[[], str], exact: bool = True, packs: Callable[[], str] = str) -> None:
        self._profile, self.exact, self._packs = profile, exact, packs
        self._heads: dict[int, tuple[NodeSpec, str, tuple[str, ...]]] = {}

    def key(self, spec: NodeSpec, tokens: Mapping[str, Token]) -> str:
        """The key of a node of this type with these tokens: 40 hex digits."""
        _, head, names = self._heads.get(id(spec)) or self._head(spec)
        parts = [head]
        for name in names:
            token = tokens.get(name)
            if token is not None:
                parts.append(name)
                parts.append(token)
        return digest("\0".join(parts))

    def _head(self, spec: NodeSpec) -> tuple[NodeSpec, str, tuple[str, ...]]:
        profile = self._profile() if spec.lane == "gpu" or spec.composite else ""
        if spec.batched or spec.composite:
            profile += " exact" if self.exact else " batched"
        if spec.composite:
            profile += f" {self._packs()}"
        made = (spec, f"{spec.id}\0{spec.revision}\0{profile}", tuple(item.name for item in spec.inputs))
        if not spec.iterates:  # a loop's type is made for one workflow and would stay here for ever
            self._heads[id(spec)] = made
        return made


def digest(text: str) -> str:
    return blake2b(text.encode("utf-8", "surrogatepass"), digest_size=20).hexdigest()


def value_token(value: Any) -> Token:
    """The token of a JSON value: the same typed or linked. Control characters are escaped, so tokens never hold a separator."""
    kind = type(value)
    if kind is int:
        return f"v{value}"
    if kind is str:
        return f"v{_quote(value)}"
    return f"v{compact(value)}"


def linked_token(value: Any) -> Token | None:
    """The token of a JSON value that came over a link, or None when it is too large or not JSON after all."""
    try:
        token = value_token(value)
    except (TypeError, ValueError):
        return None
    return token if len(token) <= SMALL_BYTES else None


def file_token(sha256: str) -> Token:
    return f"f{sha256}"


def ref_token(ref: Any) -> Token:
    """The token of where a value lies: a Place, or a list of places."""
    if isinstance(ref, Place):
        return place_token(ref.key, ref.output, ref.item)
    return list_token([ref_token(item) for item in ref])


def place_token(key: str, output: str, item: tuple[int, ...]) -> Token:
    """The token of one output of the node with this key, or of an item of it."""
    return f"k{key}.{output}{''.join(f'[{i}]' for i in item)}" if item else f"k{key}.{output}"


def list_token(tokens: Sequence[Token]) -> Token:
    text = ",".join(tokens)
    return f"[{text}]" if len(text) < SMALL_BYTES else f"[#{digest(text)}]"

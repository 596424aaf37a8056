"""Packs: Python packages that offer nodes through the entry-point group `nodegraph.packs`.

A pack offers what its module exports: nodes, composites, socket types, loaders and migrations. There is no global registry;
loading a pack returns it.
"""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from types import ModuleType
from typing import Any, TypeVar

from nodegraph.sdk.errors import PackError
from nodegraph.sdk.migration import MIGRATES, Migration
from nodegraph.sdk.node import Node
from nodegraph.sdk.socket import SocketType

F = TypeVar("F", bound=Callable[..., Any])

GROUP = "nodegraph.packs"
RESERVED = frozenset({"subgraph", "nodegraph", "comfyui"})
"""What packs cannot be called: subgraphs as node types, the engine's own nodes, what an import could not translate."""
LOADS = "__nodegraph_loads__"


@dataclass(frozen=True)
class Loader:
    """How recipes of a class become networks.

    load: (recipe, device) -> network. Where `base` is given, recipes with the same base share one network in memory, which is
    loaded from the base and then told by `adapt` (network, recipe) what it is to be: patches come and go without reloading.
    """

    load: Callable[[Any, Any], Any]
    base: Callable[[Any], Any] | None = None
    adapt: Callable[[Any, Any], None] | None = None


def loader(
    recipe: type, *, base: Callable[[Any], Any] | None = None, adapt: Callable[[Any, Any], None] | None = None
) -> Callable[[F], F]:
    """Decorator: the function `(recipe, device) -> network` brings recipes of this class into memory.

    It may leave the network in the host's memory: one that has `to` is brought onto the device, and off it again where room is
    needed. The network may have `nbytes`; the arbiter budgets with it. base, adapt: both or neither, see `Loader`. A network
    whose `adapt` raised is thrown away.
    """
    if (base is None) != (adapt is None):
        raise PackError(f"The loader of {recipe.__name__} has a base or an adapt, but not both.")

    def decorate(function: F) -> F:
        setattr(function, LOADS, (recipe, Loader(function, base, adapt)))
        return function

    return decorate


@dataclass(frozen=True)
class Pack:
    """A loaded pack. `digest` stands for its source and guards cached results."""

    name: str
    digest: str
    nodes: Mapping[str, Node]
    loaders: Mapping[type, Loader] = field(default_factory=dict)
    migrations: Mapping[tuple[str, int], Migration] = field(default_factory=dict)

    @staticmethod
    def of(name: str, members: Iterable[Any], digest: str = "0") -> Pack:
        """A pack from its members: what is a node, a loader or a migration counts, anything else does not."""
        nodes: dict[str, Node] = {}
        loaders: dict[type, Loader] = {}
        migrations: dict[tuple[str, int], Migration] = {}
        for member in members:
            if isinstance(member, Node):
                if nodes.setdefault(member.name, member) is not member:
                    raise PackError(f"Pack {name!r} declares the node {member.name!r} twice.")
            elif callable(member) and hasattr(member, LOADS):
                recipe, found = getattr(member, LOADS)
                loaders[recipe] = found
            elif callable(member) and isinstance(getattr(member, MIGRATES, None), tuple):
                for step in getattr(member, MIGRATES):
                    if migrations.setdefault(step, member) is not member:
                        raise PackError(f"Pack {name!r} declares two migrations of {step[0]} from version {step[1]}.")
        return Pack(name, digest, nodes, loaders, migrations)

    @property
    def sockets(self) -> dict[str, SocketType]:
        return {found.name: found for node in self.nodes.values() for found in node.sockets}


def installed_packs() -> dict[str, EntryPoint]:
    """Every installed pack by name, none imported. Two that claim one name raise PackError."""
    found: dict[str, EntryPoint] = {}
    for point in entry_points(group=GROUP):
        if point.name in RESERVED:
            raise PackError(f"No pack may be called {point.name!r} ({point.value}); the name has a meaning of its own.")
        other = found.setdefault(point.name, point)
        if other.value != point.value:
            raise PackError(f"Two packs are called {point.name!r}: {other.value} and {point.value}. Uninstall one.")
    return dict(sorted(found.items()))


def load_pack(point: EntryPoint) -> Pack:
    """Import a pack. Raises whatever its import raises: the caller decides who else goes on."""
    module: ModuleType = importlib.import_module(point.module)
    return Pack.of(point.name, vars(module).values(), source_digest(point))


def source_digest(point: EntryPoint) -> str:
    """The digest of the Python source of the pack's top-level package, without importing the pack itself."""
    top = importlib.util.find_spec(point.module.split(".", 1)[0])
    if top is None:
        raise PackError(f"Pack {point.name!r} names the module {point.module!r}, which is not installed.")
    digest = hashlib.blake2b(digest_size=12)
    for root in map(Path, top.submodule_search_locations or [str(top.origin)]):
        files = [root] if root.is_file() else sorted(root.rglob("*.py"))
        for file in files:
            digest.update(str(file.relative_to(root.parent)).encode() + b"\0" + file.read_bytes() + b"\0")
    return digest.hexdigest()

"""The library: code behind the catalog. A pack is imported when a node of it runs for the first time, not before."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from importlib.metadata import EntryPoint
from typing import Any

from nodegraph.graph import Catalog
from nodegraph.graph.builtin import BUILTIN
from nodegraph.sdk.errors import PackError
from nodegraph.sdk.migration import Migration
from nodegraph.sdk.node import Node
from nodegraph.sdk.pack import Loader, Pack, installed_packs, load_pack
from nodegraph.sdk.socket import SocketType


class Library:
    """Node functions, loaders and socket types by what the catalog calls them."""

    def __init__(self, catalog: Catalog, packs: Iterable[Pack] = (), points: Mapping[str, EntryPoint] | None = None) -> None:
        self.catalog = catalog
        self._points = dict(points or {})
        self._packs: dict[str, Pack] = {}
        self._ids: dict[Node, str] = {}
        self.sockets: dict[str, SocketType] = {}
        self._loaders: dict[type, Loader] = {}
        for pack in (BUILTIN, *packs):
            self._take(pack)

    @staticmethod
    def of(packs: Iterable[Pack]) -> Library:
        """A library of packs that are loaded already (tests, scripts)."""
        packs = list(packs)
        return Library(Catalog.of(packs), packs)

    @staticmethod
    def installed(catalog: Catalog) -> Library:
        """A library of the installed packs, each loaded on first use."""
        return Library(catalog, points=installed_packs())

    def _take(self, pack: Pack) -> Pack:
        self._packs[pack.name] = pack
        self._ids |= {node: f"{pack.name}/{node.name}" for node in pack.nodes.values()}
        self.sockets |= pack.sockets
        self._loaders |= pack.loaders
        return pack

    def _pack(self, name: str) -> Pack:
        if name in self._packs:
            return self._packs[name]
        if name not in self._points:
            raise PackError(f"The pack {name!r} is not installed.")
        return self._take(load_pack(self._points[name]))

    def node(self, type_id: str) -> Node:
        """The function behind a node type. Raises PackError when the pack or the node is gone."""
        pack, _, name = type_id.partition("/")
        found = self._pack(pack).nodes.get(name)
        if found is None:
            raise PackError(f"The pack {pack!r} no longer has a node {name!r}.")
        return found

    def migration(self, type_id: str, version: int) -> Migration:
        """What leads a node of this type and version to the next one. Raises PackError, or what the pack's import raises."""
        pack = self.catalog.migrations[type_id, version]
        found = self._pack(pack).migrations.get((type_id, version))
        if found is None:
            raise PackError(f"The pack {pack!r} no longer has a migration of {type_id} from version {version}.")
        return found

    def id_of(self, node: Node) -> str:
        """The type id of a node function, as composites and builders hold it."""
        likely = [name for name, point in self._points.items() if f"{node.__module__}.".startswith(f"{point.module}.")]
        for name in (*likely, *self._points):  # a pack of nothing but numbers need not wait for one that brings torch
            if node in self._ids:
                break
            self._pack(name)
        if node not in self._ids:
            raise PackError(f"The node {node.name!r} belongs to no installed pack.")
        return self._ids[node]

    def loader_of(self, recipe: Any) -> Loader:
        """How a recipe's network comes into memory, as its pack registered it. Raises PackError."""
        for kind in type(recipe).__mro__:
            if kind in self._loaders:
                return self._loaders[kind]
        raise PackError(f"No loaded pack knows how to load a {type(recipe).__name__}.")

"""The catalog: every node type as data. Validation, the editor and the API need nothing else; no pack is imported for it.

Descriptions are cached per pack source digest; missing ones are built in a subprocess, so that `validate` stays light.
"""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
from collections.abc import Collection, Iterable, Mapping
from dataclasses import asdict, dataclass, field
from functools import cached_property
from importlib.metadata import version as installed_version
from pathlib import Path
from typing import Any, NamedTuple

from nodegraph.sdk.documentation import documented_nodes
from nodegraph.sdk.errors import PackError
from nodegraph.sdk.pack import Pack, installed_packs, source_digest
from nodegraph.sdk.spec import NodeSpec, SocketSpec
from nodegraph.sdk.writing import write_atomically

CATALOG_FORMAT = 3


class PackOrigin(NamedTuple):
    """The distribution that a pack was installed with, and its version."""

    distribution: str
    version: str


@dataclass(frozen=True)
class Catalog:
    """Node types by id, socket types by name, and the packs that could not be read with the trace of why.

    `migrations` says which pack can lead a node of a type and version to the next one; `origins` where packs come from.
    """

    nodes: Mapping[str, NodeSpec]
    sockets: Mapping[str, SocketSpec] = field(default_factory=dict)
    broken: Mapping[str, str] = field(default_factory=dict)
    migrations: Mapping[tuple[str, int], str] = field(default_factory=dict)
    origins: Mapping[str, PackOrigin] = field(default_factory=dict)

    @cached_property
    def packs(self) -> frozenset[str]:
        """The packs that have nodes here."""
        return frozenset(spec.pack for spec in self.nodes.values())

    @staticmethod
    def of(packs: Iterable[Pack]) -> Catalog:
        """The catalog of loaded packs. Raises PackError when two of them claim one socket type's name."""
        return _merge([describe(pack) for pack in packs], {})

    def to_json(self) -> dict[str, Any]:
        return {
            "nodes": {name: self.nodes[name].to_json() for name in sorted(self.nodes)},
            "sockets": {name: asdict(self.sockets[name]) for name in sorted(self.sockets)},
            "broken": dict(self.broken),
        }


def describe(pack: Pack) -> dict[str, Any]:
    """A pack's part of the catalog as JSON."""
    specs = [node.spec(pack.name, pack.digest) for node in pack.nodes.values()]
    sockets = [
        asdict(SocketSpec(found.name, found.color, found.description, found.artifact is not None))
        for found in pack.sockets.values()
    ]
    migrations = [list(step) for step in sorted(pack.migrations)]
    return {"pack": pack.name, "nodes": [spec.to_json() for spec in specs], "sockets": sockets, "migrations": migrations}


def _merge(
    parts: Iterable[dict[str, Any]], broken: Mapping[str, str], origins: Mapping[str, PackOrigin] | None = None
) -> Catalog:
    nodes: dict[str, NodeSpec] = {}
    migrations: dict[tuple[str, int], str] = {}
    sockets: dict[str, tuple[str, SocketSpec]] = {}
    for part in parts:
        for item in part["nodes"]:
            spec = NodeSpec.from_json(item)
            nodes[spec.id] = spec
        for item in part["sockets"]:
            found = SocketSpec(**item)
            pack, other = sockets.setdefault(found.name, (part["pack"], found))
            if other != found:
                raise PackError(f"The packs {pack!r} and {part['pack']!r} both declare a socket type {found.name!r}.")
        for type_id, version in part["migrations"]:
            other_pack = migrations.setdefault((type_id, version), part["pack"])
            if other_pack != part["pack"]:
                both = f"{other_pack!r} and {part['pack']!r}"
                raise PackError(f"The packs {both} both declare a migration of {type_id} from version {version}.")
    return Catalog(nodes, {name: found for name, (_, found) in sockets.items()}, broken, migrations, origins or {})


def installed_catalog(cache: Path) -> Catalog:
    """The catalog of all installed packs, from the cache folder where a description of the same source lies there.

    A pack that cannot be imported is listed in `broken` and leaves the others usable.
    """
    points, files, broken = installed_packs(), dict[str, Path](), dict[str, str]()
    for name, point in points.items():
        try:
            files[name] = cache / f"{name}-{source_digest(point)}-{CATALOG_FORMAT}-{installed_version('nodegraph')}.json"
        except PackError as error:
            broken[name] = str(error)
    parts = {name: part for name, file in files.items() if (part := _read(file)) is not None}
    unread = [name for name in files if name not in parts]
    together = _described(unread) if len(unread) > 1 else {}
    for name in unread:
        try:
            parts[name] = _sound(together.get(name) or _described_alone(name))
            _keep(files[name], name, parts[name])
        except PackError as error:
            broken[name] = str(error)
    origins = {name: PackOrigin(point.dist.name, point.dist.version) for name, point in points.items() if point.dist}
    return _merge([_with_docs(parts[name], documented_nodes(points[name])) for name in sorted(parts)], broken, origins)


def _with_docs(part: dict[str, Any], documented: Collection[str]) -> dict[str, Any]:
    """A description whose nodes say whether there is documentation: that may come and go without the source changing."""
    nodes = [{**item, "docs": item["id"].partition("/")[2] in documented} for item in part["nodes"]]
    return {**part, "nodes": nodes}


def _read(file: Path) -> dict[str, Any] | None:
    try:
        found: dict[str, Any] = json.loads(file.read_text("utf-8"))
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) and {"pack", "nodes", "sockets", "migrations"} <= set(found) else None


def _described(names: Collection[str]) -> dict[str, dict[str, Any]]:
    """Packs' descriptions by name, or why there is none, from one process that imports them all: as far as it comes."""
    found = dict[str, dict[str, Any]]()
    with contextlib.suppress(ValueError):  # a process that ended within a line
        for line in _describe(names).stdout.splitlines():
            part: dict[str, Any] = json.loads(line)
            found[part["pack"]] = part
    return found


def _described_alone(name: str) -> dict[str, Any]:
    """A pack's description, from a process of its own, or why there is none. Raises PackError where that process was ended."""
    done = _describe([name])
    if done.returncode != 0:
        raise PackError(done.stderr.strip() or f"describing pack {name!r} ended with exit code {done.returncode}")
    part: dict[str, Any] = json.loads(done.stdout)
    return part


def _sound(part: dict[str, Any]) -> dict[str, Any]:
    """A description. Raises PackError with the trace of why there is none."""
    if "error" in part:
        raise PackError(part["error"])
    return part


def _describe(names: Collection[str]) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "nodegraph.graph.describe", *names]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def _keep(file: Path, name: str, part: dict[str, Any]) -> None:
    with contextlib.suppress(OSError):  # where nothing can be written, the pack is described again next time
        file.parent.mkdir(parents=True, exist_ok=True)
        for old in file.parent.glob(f"{name}-*.json"):
            old.unlink(missing_ok=True)
        write_atomically(file, json.dumps(part).encode())

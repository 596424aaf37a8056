"""What a workflow's results depend on, as a lock has it: what a plan uses, and what of that is here.

Nothing is imported but what composites need to be looked through, and the device adapter where a device is asked for.
"""

from __future__ import annotations

import contextlib
import platform
import re
from collections.abc import Iterable
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path
from typing import TYPE_CHECKING

from nodegraph.api.paths import shipped
from nodegraph.engine.device import installed_adapter
from nodegraph.engine.library import Library
from nodegraph.graph import Plan, with_bodies
from nodegraph.graph.builtin import BUILTIN
from nodegraph.graph.lock import LockedDevice, LockedFile, LockedPack, Runtime
from nodegraph.graph.subgraphs import CALLED
from nodegraph.sdk.errors import PackError
from nodegraph.sdk.node import Node
from nodegraph.sdk.pack import installed_packs, source_digest
from nodegraph.sdk.spec import NodeSpec
from nodegraph.store import Digests
from nodegraph.store.files import parts_of

if TYPE_CHECKING:
    from nodegraph.api.session import Session

_NO_PACKS = frozenset({BUILTIN.name, CALLED.rstrip("/")})
_SYSTEM = frozenset(
    {"nodegraph", "fastjsonschema", "networkx", "platformdirs", "pydantic", "rich", "typer"}
    | {"aiohttp", "keyring", "msgpack", "prometheus-client", "psutil"}
)
"""What computes no pixels: the system itself, and what it is built on."""


# ---- what a plan uses ----


def section_of(kind: str) -> str:
    """Where a lock has files of this kind."""
    return "models" if kind.startswith("model") else "inputs"


def named_files(plan: Plan) -> set[tuple[str, str]]:
    """The files that a plan names, by kind and name."""
    return {
        (spec.file, node.values[spec.name])
        for _, node in with_bodies(plan.nodes)
        for spec in node.spec.file_inputs
        if node.values.get(spec.name) is not None
    }


def names_come_over_links(plan: Plan) -> bool:
    """Whether some names of files are known only while the plan runs."""
    return any(
        link.input in node.spec.input_by_name and node.spec.input_by_name[link.input].file
        for _, node in with_bodies(plan.nodes)
        if node.spec.file_inputs
        for link in node.links
    )


def packs_of(plan: Plan) -> set[str]:
    """The packs of a plan's nodes, also inside subgraphs."""
    return {node.spec.pack for _, node in with_bodies(plan.nodes)} - _NO_PACKS


def packs_behind(plan: Plan, library: Library) -> set[str]:
    """The packs of the nodes that composites may become: those that the composites' modules know."""
    waiting = [node.spec.id for _, node in with_bodies(plan.nodes) if _is_composite(node.spec)]
    seen: set[str] = set(waiting)
    while waiting:
        for found in _nodes_around(waiting.pop(), library) - seen:
            seen.add(found)
            if library.catalog.nodes[found].composite:
                waiting.append(found)
    return {type_id.partition("/")[0] for type_id in seen}


def _nodes_around(type_id: str, library: Library) -> set[str]:
    """The types of the nodes that a composite's function can name."""
    found: set[str] = set()
    with contextlib.suppress(Exception):  # what cannot be imported cannot run either, and the run says so
        function = library.node(type_id).function
        for value in (*function.__globals__.values(), *(cell.cell_contents for cell in function.__closure__ or ())):
            with contextlib.suppress(PackError):
                found |= {library.id_of(value)} if isinstance(value, Node) else set()
    return found & library.catalog.nodes.keys()


def _is_composite(spec: NodeSpec) -> bool:
    return spec.composite and not spec.iterates


def computes_on_device(plan: Plan) -> bool:
    """Whether something computes on a device; parts of a composite may."""
    return any(node.spec.lane == "gpu" or _is_composite(node.spec) for _, node in with_bodies(plan.nodes))


# ---- what is here ----


def pack_here(session: Session, name: str) -> LockedPack | None:
    """A pack as it is here, or None."""
    if session._packs is not None:
        return next((LockedPack(source=pack.digest) for pack in session._packs if pack.name == name), None)
    point = installed_packs().get(name)
    if point is None:
        return None
    try:
        source = source_digest(point)
    except PackError:
        return None
    return LockedPack(
        source=source,
        distribution=point.dist.name if point.dist else "",
        version=point.dist.version if point.dist else "",
    )


def locked_file(path: Path, digest: str, *, data: bool = False) -> LockedFile:
    """A file by its content; models that ship with nodegraph say so."""
    origin = ""
    with contextlib.suppress(PackError):
        if path.is_relative_to(shipped("models").resolve()):
            origin = "nodegraph itself"
    return LockedFile(sha256=digest, bytes=size_of(path, data=data), origin=origin)


def size_of(path: Path, *, data: bool = False) -> int:
    return sum(part.stat().st_size for part in parts_of(path, data=data))


def device_here(session: Session) -> LockedDevice:
    """The device, by its adapter. Raises what loading the adapter raises."""
    adapter = installed_adapter() if session._engine is None else session._engine.adapter
    return LockedDevice.model_validate(adapter.facts())


def digests_of(session: Session) -> Digests:
    """The session's remembered digests, without starting its engine."""
    return Digests(session.data / "digests.json") if session._engine is None else session._engine.digests


def runtime_here(device: LockedDevice | None, libraries: Iterable[str]) -> Runtime:
    """What runs workflows here: versions of these libraries, of Python and of nodegraph."""
    return Runtime(
        device=device,
        libraries={name: known for name in libraries if (known := _version(name))},
        nodegraph=_version("nodegraph"),
        python=platform.python_version(),
        platform=f"{platform.system()} {platform.machine()}",
    )


def requirements_of(packs: Iterable[LockedPack]) -> list[str]:
    """The libraries that packs' distributions ask for by name, extras and the system's own left out."""
    found: set[str] = set()
    for name in {pack.distribution for pack in packs if pack.distribution}:
        for text in requires(name) or ():
            requirement = re.match(r"[A-Za-z0-9._-]+", text)
            if requirement and "extra" not in text.partition(";")[2]:
                found.add(re.sub(r"[-_.]+", "-", requirement[0]).lower())  # as PEP 503 has names
    return sorted(found - _SYSTEM)


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return ""

"""Stubs for the installed packs: `.pyi` files from which editors and type checkers know each node as something to call.

The signatures come from the packs' own annotations, so each pack is imported, in a process of its own.
"""

from __future__ import annotations

import ast
import importlib.util
import json
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

from nodegraph.scripting.annotations import SOCKETS
from nodegraph.scripting.node_stub import docstring
from nodegraph.scripting.pack_stub import MARK
from nodegraph.sdk.errors import PackError
from nodegraph.sdk.pack import installed_packs
from nodegraph.sdk.writing import write_atomically


@dataclass(frozen=True, slots=True)
class Stubs:
    """Stub files by their path in the folder, how many nodes are in them, and why packs could not be read."""

    files: Mapping[str, str]
    nodes: int
    broken: Mapping[str, str]


def make_stubs() -> Stubs:
    """The stubs of all installed packs. One that cannot be imported is listed in `broken` and leaves out nothing but itself."""
    files: dict[str, str] = {}
    parents: dict[str, str] = {}
    sockets: dict[str, dict[str, Any]] = {}
    broken: dict[str, str] = {}
    nodes = 0
    for name, point in installed_packs().items():
        try:
            found = _described(name)
            place, around = _places(point)
        except PackError as error:
            broken[name] = str(error)
            continue
        files[place] = found["text"]
        parents |= around
        sockets |= found["sockets"]
        nodes += found["nodes"]
    files = {**parents, **files}
    if sockets:
        files[f"{SOCKETS}/__init__.pyi"] = _sockets_stub(sockets)
    return Stubs({place: files[place] for place in sorted(files)}, nodes, broken)


def write_stubs(stubs: Stubs, folder: Path) -> None:
    """Write the files below a folder, and take away those of packs that are gone. Files of others stay. Raises OSError."""
    for old in sorted(folder.rglob("*.pyi")) if folder.is_dir() else []:
        if str(old.relative_to(folder).as_posix()) not in stubs.files and old.read_text("utf-8", "replace").startswith(MARK):
            old.unlink()
    for place, text in stubs.files.items():
        path = folder / place
        path.parent.mkdir(parents=True, exist_ok=True)
        if not path.is_file() or path.read_text("utf-8", "replace") != text:
            write_atomically(path, text.encode())


def _described(name: str) -> dict[str, Any]:
    command = [sys.executable, "-m", "nodegraph.scripting.describe", name]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise PackError(done.stderr.strip() or f"describing pack {name!r} ended with exit code {done.returncode}")
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def _places(point: EntryPoint) -> tuple[str, dict[str, str]]:
    """Where a module's stub belongs, and stubs for the packages around it. Imports none of them."""
    *outer, last = point.module.split(".")
    spec = importlib.util.find_spec((outer or [last])[0])
    locations = list(spec.submodule_search_locations or []) if spec is not None else []
    parents: dict[str, str] = {}
    for i, part in enumerate(outer):
        if i:
            locations = [str(Path(folder) / part) for folder in locations]
        parents["/".join([*outer[: i + 1], "__init__.pyi"])] = _package_stub(locations)
    folders = [Path(folder) / last for folder in locations] if outer else []
    package = any(folder.is_dir() for folder in folders) if outer else bool(locations)
    return "/".join([*outer, last, "__init__.pyi"] if package else [*outer, f"{last}.pyi"]), parents


def _package_stub(locations: list[str]) -> str:
    """A stub for a package around a pack: empty where the package is, else one that knows nothing."""
    found = [path for folder in locations if (path := Path(folder) / "__init__.py").is_file()]
    body = ast.parse(found[0].read_bytes()).body if found else []
    if all(isinstance(item, ast.Expr) and isinstance(item.value, ast.Constant) for item in body):
        return f"{MARK}\n"
    return f"{MARK}\nfrom typing import Any\n\ndef __getattr__(name: str) -> Any: ...\n"


def _sockets_stub(sockets: Mapping[str, dict[str, Any]]) -> str:
    """The classes that stand for socket types which are declared in annotations; at run time there are none."""
    imports, classes = set(), []
    for name in sorted(sockets):
        base = sockets[name]["base"]
        text = ""
        if base is not None:
            module, cls = base
            imports.add(f"import {module}")
            text = f"({module}.{cls})"
        doc = docstring(sockets[name]["description"], 4)
        classes.append(f"class {name}{text}:\n{doc}    ...")
    return "\n\n".join(["\n".join([MARK, *sorted(imports)]), *classes]) + "\n"

"""Adds new files, node type versions and optional inputs to the corpus' records; what is recorded is never changed."""

from __future__ import annotations

import hashlib
import json
import sys
from pathlib import Path
from typing import Any

from nodegraph.graph import Catalog
from nodegraph.sdk.pack import installed_packs, load_pack

HERE = Path(__file__).parent
OURS = ("core", "diffusion", "image", "mask", "training", "upscale")


def files() -> dict[str, Path]:
    """Every saved file by its name in the index."""
    return {path.relative_to(HERE).as_posix(): path for path in sorted(HERE.glob("*/*.json"))}


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def read(name: str) -> dict[str, Any]:
    path = HERE / name
    found: dict[str, Any] = json.loads(path.read_text()) if path.exists() else {}
    return found


def node_types() -> dict[str, dict[str, Any]]:
    """What documents rely on of each shipped node type: its sockets by name, under `pack/name version`."""
    catalog = Catalog.of(load_pack(installed_packs()[name]) for name in OURS)
    return {
        f"{spec.id} {spec.version}": {
            "inputs": {
                item.name: f"{item.type}{' ...' if item.many else ''}{'' if item.required else ' ='}" for item in spec.inputs
            },
            "outputs": {item.name: str(item.type) for item in spec.outputs},
        }
        for spec in sorted(catalog.nodes.values(), key=lambda spec: spec.id)
    }


def opens_as_before(recorded: dict[str, Any], now: dict[str, Any]) -> bool:
    """Whether documents of this version mean what they meant: every socket is as it was, and what was added may be left out."""
    added = [text for name, text in now["inputs"].items() if name not in recorded["inputs"]]
    same = all(now[side].get(name) == text for side in ("inputs", "outputs") for name, text in recorded[side].items())
    return same and all(text.endswith((" =", " ...")) for text in added)


def main() -> int:
    index, types = read("index.json"), read("node_types.json")
    changed = [name for name, path in files().items() if name in index and index[name]["sha256"] != digest(path)]
    now = node_types()
    changed += [name for name, sockets in now.items() if name in types and not opens_as_before(types[name], sockets)]
    if changed:
        sys.stderr.write("These are recorded and must not change: " + ", ".join(changed) + "\n")
        return 1
    from corpus.test_corpus import said

    index |= {name: {"sha256": digest(path), "says": said(path)} for name, path in files().items() if name not in index}
    (HERE / "index.json").write_text(json.dumps(index, indent=2) + "\n")
    (HERE / "node_types.json").write_text(json.dumps({**types, **now}, indent=1, sort_keys=True) + "\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())

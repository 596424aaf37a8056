"""How much of ComfyUI's own templates imports: the numbers of docs/comfyui.md.

`python benchmarks/comfyui_templates.py [--json FILE]` needs `pip install comfyui-workflow-templates-json`; prints Markdown.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections import Counter
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

from nodegraph.api.paths import data_folder
from nodegraph.graph import installed_catalog, validate
from nodegraph.importing import Report, Row, from_comfyui, read_foreign_json
from nodegraph.importing.comfyui.rules import PARTS, RULES
from nodegraph.importing.comfyui.wiring import NOTES

_COMMON = 60
_SUBGRAPH = "(subgraph)"


class Opened(NamedTuple):
    """A template: what became of its nodes, and whether its document is valid as it is.

    `core`: all nodes come with ComfyUI itself; `checkpoint`: the model comes from one file, as for Stable Diffusion.
    """

    name: str
    media: str
    core: bool
    checkpoint: bool
    report: Report
    valid: bool


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path, help="also write the numbers there")
    options = parser.parse_args()
    try:
        import comfyui_workflow_templates_json as package
    except ImportError:
        sys.exit("Install ComfyUI's templates first: pip install comfyui-workflow-templates-json")
    folder = Path(package.__file__ or "").parent / "templates"
    media = _media(folder)
    catalog = installed_catalog(data_folder(None) / "catalog")
    opened, failed = [], []
    begun = time.perf_counter()
    for file in sorted(folder.glob("*.json")):
        data = read_foreign_json(file.read_text("utf-8"))
        if file.name.startswith(("index", "fuse_options")):
            continue
        try:
            found = from_comfyui(data, catalog, file.stem)
            valid = not validate(found.document, catalog)
            opened.append(Opened(file.stem, media.get(file.stem, "other"), *_kind(data), found.report, valid))
        except Exception as error:  # the point of the exercise: there must be none
            failed.append(f"{file.name}: {error!r}")
    seconds = time.perf_counter() - begun
    _print(opened, failed, seconds)
    if options.json:
        options.json.write_text(json.dumps(_numbers(opened, failed, seconds), indent=2) + "\n")


def _media(folder: Path) -> dict[str, str]:
    """What each template makes, as the package's index says."""
    index = json.loads((folder / "index.json").read_text("utf-8"))
    return {item["name"]: group["type"] for group in index for item in group["templates"]}


def _kind(data: Any) -> tuple[bool, bool]:
    """Whether all nodes come with ComfyUI itself, and whether the model comes from one file."""
    graphs = [data, *(data.get("definitions") or {}).get("subgraphs", [])]
    nodes = [node for graph in graphs for node in graph["nodes"]]
    packs = {node["properties"].get("cnr_id") or node["properties"].get("aux_id") or "comfy-core" for node in nodes}
    types = {node["type"] for node in nodes}
    return packs == {"comfy-core"}, "CheckpointLoaderSimple" in types and not types & {"UNETLoader", "VAELoader"}


def _share(reports: list[Report]) -> tuple[int, int]:
    """How many nodes are mapped, of how many: notes do not count."""
    rows = [row for report in reports for row in report.rows if row.type not in NOTES]
    return sum(row.fate != "placeholder" for row in rows), len(rows)


def _class(row: Row) -> str:
    return _SUBGRAPH if any("(subgraph/" in place for place in row.became) else row.type


def _groups(opened: list[Opened]) -> dict[str, list[Opened]]:
    local = [item for item in opened if not item.name.startswith("api_")]
    image = [item for item in local if item.media == "image"]
    groups = {"all": opened, "without paid services": local}
    for media in sorted({item.media for item in local}):
        groups[f"... that make: {media}"] = [item for item in local if item.media == media]
    core = [item for item in image if item.core]
    groups["image, only nodes of ComfyUI itself"] = core
    groups["... and one checkpoint file"] = [item for item in core if item.checkpoint]
    return groups


def _numbers(opened: list[Opened], failed: list[str], seconds: float) -> dict[str, Any]:
    groups = {}
    for name, items in _groups(opened).items():
        mapped, total = _share([item.report for item in items])
        groups[name] = {
            "templates": len(items),
            "nodes": total,
            "mapped": mapped,
            "whole": sum(not item.report.placeholders for item in items),
            "valid": sum(item.valid for item in items),
        }
    rows = [row for item in opened for row in item.report.rows]
    classes = Counter(map(_class, rows))
    kept = Counter(_class(row) for row in rows if row.fate == "placeholder")
    return {
        "version": version("comfyui-workflow-templates-json"),
        "opened": len(opened),
        "failed": failed,
        "seconds": round(seconds, 2),
        "groups": groups,
        "classes": {name: {"nodes": count, "placeholders": kept[name]} for name, count in classes.most_common()},
    }


def _print(opened: list[Opened], failed: list[str], seconds: float) -> None:
    numbers = _numbers(opened, failed, seconds)
    print(f"comfyui-workflow-templates-json {numbers['version']}:")
    print(f"{len(opened)} templates opened, {len(failed)} failed, in {seconds:.1f} s.")
    for line in failed:
        print(f"- {line}")
    print("\n| templates | number | nodes | mapped | without placeholders | valid as they are |\n|---|---|---|---|---|---|")
    for name, row in numbers["groups"].items():
        share = f"{row['mapped']} ({row['mapped'] / max(1, row['nodes']):.0%})"
        print(f"| {name} | {row['templates']} | {row['nodes']} | {share} | {row['whole']} | {row['valid']} |")
    print("\n| class | nodes | mapped | becomes |\n|---|---|---|---|")
    became = _became(opened)
    for name, row in list(numbers["classes"].items())[:_COMMON]:
        print(f"| {name} | {row['nodes']} | {row['nodes'] - row['placeholders']} | {became.get(name, 'placeholder')} |")
    known = [name for name in numbers["classes"] if name in RULES or name in PARTS]
    print(f"\n{len(numbers['classes'])} classes, of which {len(known)} have a rule.")


def _became(opened: list[Opened]) -> dict[str, str]:
    """What a class mostly becomes, in our node types."""
    seen: dict[str, Counter[str]] = {}
    for row in (row for item in opened for row in item.report.rows if row.fate != "placeholder"):
        types = list(dict.fromkeys(place.split(" ")[1].strip("()") for place in row.became))
        if types and types[0].startswith("subgraph/"):
            types = ["subgraph/NAME"]
        said = ", ".join(types) or ("part of its sampler" if row.fate == "mapped" else row.reason)
        seen.setdefault(_class(row), Counter())[said] += 1
    return {name: counts.most_common(1)[0][0] for name, counts in seen.items()}


if __name__ == "__main__":
    main()

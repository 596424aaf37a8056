"""`nodegraph nodes`."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path

from rich.table import Table
from rich.text import Text

from nodegraph.api.paths import data_folder
from nodegraph.cli.show import DONE, FAILED, WRONG_INPUT, print_json, print_problems, refuse, stdout
from nodegraph.graph import Catalog, installed_catalog
from nodegraph.graph.values import describe_schema, shown
from nodegraph.sdk.errors import PackError, Problem, nearest
from nodegraph.sdk.spec import InputSpec, NodeSpec


def nodes_command(name: str | None, as_json: bool, data: Path | None) -> int:
    try:
        catalog = installed_catalog(data_folder(data) / "catalog")
    except PackError as error:
        return refuse([Problem("broken_pack", str(error))], as_json)
    if name is not None and not any(name in known for known in catalog.nodes):
        hint = nearest(name, catalog.nodes, "There are")
        return refuse([Problem("unknown_type", f"There is no node type with {name!r} in its name.", hint=hint)], as_json)
    picked = {key: spec for key, spec in catalog.nodes.items() if name is None or name in key}
    if as_json:
        print_json(Catalog(picked, catalog.sockets, catalog.broken).to_json())
    elif name in picked or len(picked) == 1:
        _show_one(picked[name] if name in picked else next(iter(picked.values())))
    else:
        _show_all(picked)
    for pack, trace in catalog.broken.items():
        last = trace.strip().splitlines()[-1]
        print_problems([Problem("broken_pack", last, pack)], "A pack could not be loaded; its nodes are missing.")
    return FAILED if catalog.broken and not picked else DONE if picked else WRONG_INPUT


def _show_all(specs: dict[str, NodeSpec]) -> None:
    console = stdout()
    by_category: dict[str, list[NodeSpec]] = defaultdict(list)
    for spec in specs.values():
        by_category[spec.category].append(spec)
    for category in sorted(by_category):
        console.print(Text(category, style="bold"))
        table = Table(box=None, show_header=False, pad_edge=False, padding=(0, 2, 0, 2))
        for spec in sorted(by_category[category], key=lambda item: item.id):
            table.add_row(Text(spec.id, style="cyan"), spec.description.split("\n")[0])
        console.print(table)


def _show_one(spec: NodeSpec) -> None:
    console = stdout()
    console.print(Text(f"{spec.id}  ", style="bold cyan").append(f"version {spec.version}, {spec.lane} lane", style="dim"))
    console.print(spec.description)
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 2))
    for title in ("input", "type", "takes", "default", ""):
        table.add_column(title)
    for item in spec.inputs:
        default = "required" if item.required else "-" if item.many else shown(item.default)
        table.add_row(
            item.name, _type(item), describe_schema(item.schema) if item.schema else "a link", default, item.description
        )
    console.print(table)
    for output in spec.outputs:
        console.print(f"  -> {output.name}: {output.type}")


def _type(item: InputSpec) -> str:
    return f"{item.type}{' ...' if item.many else ''}{' (lazy)' if item.lazy else ''}"

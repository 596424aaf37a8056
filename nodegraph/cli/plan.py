"""`nodegraph run --plan`: a forecast as a table, or as one JSON object."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext

from rich.console import Console
from rich.text import Text

from nodegraph.cli.show import DONE, duration, print_json, size, stdout, table
from nodegraph.engine.forecast import Forecast, NodeForecast


def looking(console: Console) -> AbstractContextManager[object]:
    """Says that something goes on where somebody can see it: a device's profile may take seconds to import."""
    return console.status("looking") if console.is_terminal else nullcontext()


def show_plan(found: Forecast, as_json: bool) -> int:
    if as_json:
        print_json(found.to_json())
        return DONE
    rows = table("node", "type", "lane", "estimate", "why", right=["estimate"])
    for row in found.nodes:
        rows.add_row(row.node, row.type, row.lane, _estimate(row), state(row))
    console = stdout()
    console.print(rows)
    console.print(summary(found), soft_wrap=True)
    return DONE


def state(row: NodeForecast, miss: str = "would run") -> Text:
    """`would run: steps changed from 20 to 30`."""
    name, style = {
        "hit": ("in cache", "blue"),
        "would_run": (miss, "green"),
        "unknown": ("unknown", "yellow"),
        "not_needed": ("not needed", "dim"),
    }[row.outlook]
    return Text(name, style=style).append(f": {row.why}" if row.why else "", style="default")


def _estimate(row: NodeForecast) -> str:
    return duration(row.ms) if row.ms is not None and row.outlook in ("would_run", "unknown") else ""


def summary(found: Forecast) -> str:
    """`would run 21 of 27 nodes, about 0.6 s (estimate covers 20 of 21), peak 540 MB`."""
    count = len(found.would_run)
    parts = [f"would run {count} of {len(found.single)} nodes"]
    if count and found.seconds is None:
        parts.append("no estimate yet")
    elif count and found.seconds is not None:
        covers = "" if found.covered == count else f" (estimate covers {found.covered} of {count})"
        parts.append(f"about {duration(found.seconds * 1e3)}{covers}")
    if found.peak_bytes:
        parts.append(f"peak {size(found.peak_bytes)}")
    if found.nbytes:
        parts.append(f"results {size(found.nbytes)}")
    if found.unknown:
        parts.append(f"{found.unknown} more unknown until something before them has run")
    return ", ".join(parts)

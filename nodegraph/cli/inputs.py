"""`nodegraph run FILE --help`: a workflow's inputs by group, and what it gives."""

from __future__ import annotations

from pathlib import Path

from rich.table import Table
from rich.text import Text

from nodegraph.api.session import Session
from nodegraph.api.workflow import load
from nodegraph.cli.flags import OWN_OPTIONS, flag
from nodegraph.cli.show import DONE, refuse, stdout
from nodegraph.graph import Catalog, Document, PublicInput, public_inputs
from nodegraph.graph.compiling import outputs_of
from nodegraph.graph.interface import grouped
from nodegraph.graph.values import shown
from nodegraph.sdk.annotations import title_of
from nodegraph.sdk.errors import InvalidWorkflow, PackError, Problem


def show_inputs(file: Path, data: Path | None) -> int:
    """Print the workflow's own options and its outputs; the exit code says whether it could be read."""
    try:
        with Session(data) as session:
            document, catalog = load(file, session).linked, session.catalog
            inputs, outputs = public_inputs(document, catalog), _outputs(document, catalog)
    except InvalidWorkflow as error:
        return refuse(error.problems, False)
    except PackError as error:
        return refuse([Problem("broken_pack", str(error))], False)
    console, name = stdout(), document.title or file
    if inputs:
        console.print(f"Inputs of {name}:")
        console.print(_input_table(inputs))
    else:
        console.print(f"{file} has no inputs of its own.")
    if outputs:
        console.print(f"\nOutputs of {name}:")
        table = _table()
        for key, words in outputs.items():
            table.add_row(key, words)
        console.print(table)
    return DONE


def _input_table(inputs: dict[str, PublicInput]) -> Table:
    table = _table()
    for i, (group, items) in enumerate(grouped(inputs.values()).items()):
        if i:
            table.add_row()
        if group:
            table.add_row(Text(group, style="bold"))
        for item in items:
            table.add_row(_option(item), f"{_about(item)} ({_state(item)})")
    return table


def _table() -> Table:
    return Table(box=None, show_header=False, pad_edge=False, padding=(0, 2, 0, 2))


def _option(item: PublicInput) -> str:
    option = flag(item.name)
    return f"--set {item.to[0]}=" if option.removeprefix("--") in OWN_OPTIONS else option


def _about(item: PublicInput) -> str:
    """Title and description; a title that only repeats the option's name is left out where there are other words."""
    title = "" if item.title == title_of(item.name) and item.description else item.title
    return ". ".join(filter(None, (title, item.description)))


def _state(item: PublicInput) -> str:
    """What it takes, its present value, and where a form would go back to."""
    takes = item.takes + (", or random" if item.spec.type.name == "seed" else "")
    if item.missing:
        return f"{takes}; required"
    if item.linked:
        return f"{takes}; linked to {item.linked}"
    before = "" if item.value == item.spec.default else f", default {shown(item.spec.default)}"
    return f"{takes}; now {shown(item.value)}{before}"


def _outputs(document: Document, catalog: Catalog) -> dict[str, str]:
    """The interface's outputs with their types, as far as they can be known."""
    types = outputs_of(document, catalog).types
    places = {name: text.partition(".") for name, text in document.interface.outputs.items()}
    return {name: str(types.get((node, output), "unknown")) for name, (node, _, output) in places.items()}

"""Showing values: text, tables and plots, on the node and among the results of a run."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from nodegraph import Axis, NodeError, Plot, Series, Table, node
from nodegraph_nodes.core.text import Multiline

Scale = Literal["linear", "log"]


@node(category="core/show", output=True, view="text", output_name="text")
def show_text(text: Multiline) -> str:
    """Show a text."""
    return text


@node(category="core/show", output_name="table")
def make_table(
    *columns: list,  # type: ignore[type-arg]
    names: Annotated[
        list[str] | None, Field(description="The columns' names, in the order of the links; without, they are numbered.")
    ] = None,
) -> Table:
    """Put lists side by side as the columns of a table. They are equally long: a prompt, its seed and its time make a row."""
    lengths = [len(column) for column in columns]
    if not columns:
        raise NodeError("The table has no columns.", socket="columns", expected="at least one list", got="none")
    if len(set(lengths)) > 1:
        raise NodeError("The columns are not equally long.", socket="columns", got=", ".join(map(str, lengths)))
    if names and len(names) != len(columns):
        raise NodeError(
            "There is not a name for each column.", socket="names", expected=f"{len(columns)} names", got=str(len(names))
        )
    for number, column in enumerate(columns, 1):
        strange = next((cell for cell in column if isinstance(cell, (list, dict))), None)
        if strange is not None:
            raise NodeError(
                f"Column {number} has a cell that is no single value.",
                socket="columns",
                expected="text, a number, true, false or null",
                got=str(strange)[:60],
            )
    rows = [list(row) for row in zip(*columns, strict=True)]
    return Table(columns=names or [f"Column {i}" for i in range(1, len(columns) + 1)], rows=rows)


@node(category="core/show", output=True, view="table", output_name="table")
def show_table(table: Table) -> Table:
    """Show a table."""
    return table


@node(category="core/show", output=True, view="plot", output_name="plot")
def show_plot(plot: Plot) -> Plot:
    """Show a plot."""
    return plot


@node(category="core/show", output=True, view="plot", output_name="plot")
def plot_numbers(
    numbers: list[float],
    x: Annotated[list[float] | None, Field(description="Where each number stands; without, they are counted from 0.")] = None,
    title: str = "",
    name: Annotated[str, Field(description="What the numbers are: the label of the y axis.")] = "",
    x_name: Annotated[str, Field(description="The label of the x axis.")] = "",
    kind: Literal["line", "points", "bars"] = "line",
    y_scale: Annotated[Scale, Field(description="log: equal distances are equal ratios; for numbers above 0.")] = "linear",
) -> Plot:
    """Draw a list of numbers."""
    if x and len(x) != len(numbers):
        raise NodeError("There is not an x for each number.", socket="x", expected=f"{len(numbers)} numbers", got=str(len(x)))
    if y_scale == "log" and any(number <= 0 for number in numbers):
        raise NodeError(
            "A logarithmic axis has no place for 0 and less.",
            socket="numbers",
            expected="numbers above 0",
            got=str(min(numbers)),
        )
    series = Series(name=name, x=x or [float(i) for i in range(len(numbers))], y=list(numbers), kind=kind)
    return Plot(title=title, x=Axis(label=x_name), y=Axis(label=name, scale=y_scale), series=[series])

"""Output views: how a node's result is shown, declared as data, so that a pack ships no script for it.

`Table` and `Plot` are values like any other JSON; their types say that they can be drawn, their models refuse what cannot be.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any, Literal, Self, get_args

from pydantic import BaseModel, ConfigDict, Field, FiniteFloat, ValidationError, model_validator

from nodegraph.sdk.spec import OutputSpec, View
from nodegraph.sdk.typeexpr import TypeExpr

Cell = bool | int | FiniteFloat | str | None


class _Data(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Table(_Data):
    """Rows under named columns. A cell is text, a number, a truth, or nothing; every row has a cell for each column."""

    columns: list[str] = Field(min_length=1)
    rows: list[list[Cell]] = []

    @model_validator(mode="after")
    def _rows_are_full(self) -> Self:
        for number, row in enumerate(self.rows, 1):
            if len(row) != len(self.columns):
                raise ValueError(f"row {number} has {len(row)} cells, there are {len(self.columns)} columns")
        return self


class Axis(_Data):
    """An axis of a plot: its words, and whether equal distances are equal differences (linear) or equal ratios (log)."""

    label: str = ""
    scale: Literal["linear", "log"] = "linear"


class Series(_Data):
    """Points of a plot: as many y as x. None as y leaves a gap."""

    name: str = ""
    x: list[FiniteFloat]
    y: list[FiniteFloat | None]
    kind: Literal["line", "points", "bars"] = "line"

    @model_validator(mode="after")
    def _is_paired(self) -> Self:
        if len(self.x) != len(self.y):
            raise ValueError(f"the series {self.name!r} has {len(self.x)} x and {len(self.y)} y")
        return self


class Plot(_Data):
    """Series over one pair of axes."""

    title: str = ""
    x: Axis = Axis()
    y: Axis = Axis()
    series: list[Series] = Field(min_length=1)

    @model_validator(mode="after")
    def _logarithms_exist(self) -> Self:
        for name, axis in (("x", self.x), ("y", self.y)):
            for series in self.series if axis.scale == "log" else ():
                numbers: Sequence[float | None] = getattr(series, name)
                if any(number is not None and number <= 0 for number in numbers):
                    raise ValueError(
                        f"the series {series.name!r} has {name} that are 0 or less, the {name} axis is logarithmic"
                    )
        return self


VALUES: Mapping[str, type[BaseModel]] = {"table": Table, "plot": Plot}
"""Value types that are models, by their names in the catalog; any other model is `json`."""

_MODELLED = frozenset({"json", *VALUES})


def as_json(value: Any, expr: TypeExpr) -> Any:
    """What a node gave for an output of this type, with models as their data.

    Raises TypeError for what is no table or plot where the node's author promised one.
    """
    if value is None or expr.kind == "socket":
        return value
    if expr.kind == "optional":
        return as_json(value, expr.item)
    if expr.kind == "list" and _innermost(expr).name in _MODELLED and isinstance(value, list):
        return [as_json(item, expr.item) for item in value]
    if expr.kind == "value" and expr.name in VALUES:
        try:
            value = VALUES[expr.name].model_validate(value)
        except ValidationError as error:
            raise TypeError(f"this is no {expr.name}: {what_is_wrong(error)}") from None
    return value.model_dump(mode="json") if isinstance(value, BaseModel) else value


def what_is_wrong(error: ValidationError) -> str:
    """The first thing that a model says of a value, in a line: `rows.2: Input should be a valid list`."""
    first = error.errors(include_url=False, include_context=False, include_input=False)[0]
    place = ".".join(map(str, first["loc"]))
    text = first["msg"].removeprefix("Value error, ")
    return f"{place}: {text}" if place else text


def _innermost(expr: TypeExpr) -> TypeExpr:
    return _innermost(expr.item) if expr.kind in ("list", "optional") else expr


# ---- which outputs a view can show ----

VIEWS: tuple[str, ...] = tuple(name for name in get_args(View) if name)

_SHOWS: Mapping[str, str] = {
    "image": "one output that can be a file (an Artifact, an Image)",
    "images": "one output that is a list of what can be files (list[Artifact], list[Image])",
    "text": "one output of the type str",
    "table": "one output of the type Table",
    "plot": "one output of the type Plot",
    "video": "one output that can be a file (an Artifact with frames)",
    "compare": "two outputs that can be files (a NamedTuple of two Artifacts: before, after)",
}


def needed_outputs(view: View, outputs: Sequence[OutputSpec], files: Collection[str]) -> str | None:
    """What a view needs, in words, where these are not the outputs for it. files: the socket types that can become files."""

    def is_file(expr: TypeExpr) -> bool:
        return expr.kind == "socket" and expr.name in files

    match view, [output.type for output in outputs]:
        case "", _:
            return None
        case "image" | "video", [one] if is_file(one):
            return None
        case "images", [TypeExpr(kind="list") as many] if is_file(many.item):
            return None
        case "text", [TypeExpr(kind="value", name="str" | "enum")]:
            return None
        case "table" | "plot", [TypeExpr(kind="value", name=name)] if name == view:
            return None
        case "compare", [before, after] if is_file(before) and is_file(after):
            return None
    return _SHOWS[view]

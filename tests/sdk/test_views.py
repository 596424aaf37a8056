"""Output views: what a node may declare, and the shapes that tables and plots refuse."""

from __future__ import annotations

import json
from typing import Any, NamedTuple

import jsonschema
import pytest
from pydantic import ValidationError

from nodegraph import Artifact, Axis, NodeError, Plot, Series, SocketType, Table, socket
from nodegraph.sdk import typeexpr as te
from nodegraph.sdk.node import Node, node
from nodegraph.sdk.spec import NodeSpec
from nodegraph.sdk.views import VIEWS, as_json


@socket(artifact=lambda drawing: Artifact(b"", "image/png"))
class Drawing:
    """Can be a file."""


@socket()
class Idea:
    """Cannot be a file."""


class Two(NamedTuple):
    before: Artifact
    after: Drawing


class Other(NamedTuple):
    before: Artifact
    after: int


def giving(annotation: Any, view: Any) -> Node:
    """A node with this view that gives this."""

    def function() -> Any: ...

    function.__annotations__["return"] = annotation
    return Node(function, output=True, view=view)


@pytest.mark.parametrize(
    ("view", "annotation"),
    [
        ("", Idea),
        ("image", Artifact),
        ("image", Drawing),
        ("images", list[Artifact]),
        ("images", list[Drawing]),
        ("text", str),
        ("table", Table),
        ("plot", Plot),
        ("video", Artifact),
        ("compare", Two),
    ],
)
def test_a_view_is_declared_with_the_outputs_that_it_shows(view: Any, annotation: Any) -> None:
    spec = giving(annotation, view).spec("pack", "1")
    assert spec.view == view
    assert NodeSpec.from_json(json.loads(json.dumps(spec.to_json()))) == spec


@pytest.mark.parametrize(
    ("view", "annotation", "says"),
    [
        ("image", int, "one output that can be a file"),
        ("image", Idea, "one output that can be a file"),
        ("image", list[Artifact], "one output that can be a file"),
        ("image", Two, "one output that can be a file"),
        ("images", Artifact, "a list of what can be files"),
        ("images", list[Idea], "a list of what can be files"),
        ("text", int, "of the type str"),
        ("table", dict, "of the type Table"),
        ("table", Plot, "of the type Table"),
        ("plot", list[float], "of the type Plot"),
        ("video", str, "an Artifact with frames"),
        ("compare", Artifact, "two outputs"),
        ("compare", Other, "two outputs"),
        ("text", None, "of the type str"),
    ],
)
def test_a_view_of_other_outputs_is_refused_with_what_it_needs(view: Any, annotation: Any, says: str) -> None:
    with pytest.raises(TypeError, match=f"function: the view {view!r} shows .*{says}"):
        giving(annotation, view).spec("pack", "1")


def test_a_view_that_does_not_exist_is_refused_with_those_that_do() -> None:
    with pytest.raises(TypeError, match=f"no view 'chart'; there are {', '.join(VIEWS)}"):
        giving(str, "chart")


def test_a_view_of_what_nobody_runs_is_refused() -> None:
    with pytest.raises(TypeError, match="add output=True"):

        @node(view="text")
        def f() -> str:
            return ""


POINTS: dict[str, Any] = {"x": [1.0, 2.0], "y": [1.0, 2.0]}


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: Table(columns=["a", "b"], rows=[[1, 2], [3]]), "row 2 has 1 cells, there are 2 columns"),
        (lambda: Table(columns=[], rows=[]), "at least 1 item"),
        (lambda: Table(columns=["a"], rows=[[float("nan")]]), "finite"),
        (lambda: Table(columns=["a"], rows=[[["nested"]]]), "rows.0.0"),  # type: ignore[list-item]
        (lambda: Table(columns=["a"], cells=[]), "cells"),  # type: ignore[call-arg]
        (lambda: Series(x=[1.0], y=[1.0, 2.0]), "has 1 x and 2 y"),
        (lambda: Series(x=[float("inf")], y=[1.0]), "finite"),
        (lambda: Series(**POINTS, kind="pie"), "'line', 'points' or 'bars'"),
        (lambda: Plot(series=[]), "at least 1 item"),
        (lambda: Plot(series=[Series(x=[1.0], y=[0.0])], y=Axis(scale="log")), "the y axis is logarithmic"),
    ],
)
def test_a_wrong_shape_is_refused_where_it_is_made(make: Any, says: str) -> None:
    with pytest.raises(ValidationError) as caught:
        make()
    assert says in str(caught.value)


TABLE = Table(columns=["prompt", "seed", "good", "note"], rows=[["a", 1, True, None], ["b", 2.5, False, "x"]])
PLOT = Plot(title="t", x=Axis(label="step"), y=Axis(scale="log"), series=[Series(name="s", x=[0.0, 1.0], y=[1.0, None])])


def test_tables_and_plots_have_the_json_that_the_documentation_says() -> None:
    assert as_json(TABLE, te.value("table")) == {
        "columns": ["prompt", "seed", "good", "note"],
        "rows": [["a", 1, True, None], ["b", 2.5, False, "x"]],
    }
    assert as_json(PLOT, te.value("plot")) == {
        "title": "t",
        "x": {"label": "step", "scale": "linear"},
        "y": {"label": "", "scale": "log"},
        "series": [{"name": "s", "x": [0.0, 1.0], "y": [1.0, None], "kind": "line"}],
    }


@pytest.mark.parametrize("value", [TABLE, PLOT], ids=["table", "plot"])
def test_the_json_of_a_value_fits_the_schema_in_the_catalog(value: Any) -> None:
    @node()
    def f(x: Any) -> None: ...

    f.function.__annotations__["x"] = type(value)
    (spec,) = Node(f.function).inputs
    assert spec.schema is not None
    jsonschema.Draft202012Validator.check_schema(spec.schema)
    jsonschema.validate(as_json(value, spec.type), spec.schema)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({"columns": 3}, spec.schema)


def test_data_in_the_shape_of_a_table_is_one_and_other_data_is_refused() -> None:
    data = {"columns": ["a"], "rows": [[1]]}
    assert as_json(data, te.value("table")) == data
    assert as_json([data, TABLE], te.list_of(te.value("table"))) == [data, TABLE.model_dump()]
    assert as_json(None, te.optional(te.value("table"))) is None
    with pytest.raises(TypeError, match="this is no table: row 1 has 2 cells, there are 1 columns"):
        as_json({"columns": ["a"], "rows": [[1, 2]]}, te.value("table"))


def test_other_values_pass_as_the_same_objects() -> None:
    numbers, drawing = [1.0, 2.0], Drawing()
    assert as_json(numbers, te.list_of(te.value("float"))) is numbers
    assert as_json(drawing, te.socket_type("Drawing")) is drawing


def test_a_value_that_its_model_refuses_is_the_users_to_mend() -> None:
    @node()
    def f(table: Table) -> None: ...

    with pytest.raises(NodeError, match="row 1 has 2 cells") as caught:
        f.converters["table"]({"columns": ["a"], "rows": [[1, 2]]})
    assert caught.value.socket == "table"
    assert f.converters["table"]({"columns": ["a"], "rows": [[1]]}) == Table(columns=["a"], rows=[[1]])


def test_a_socket_type_in_an_annotation_can_be_a_file() -> None:
    from typing import Annotated

    picture = Annotated[bytes, SocketType("Bits", artifact=lambda data: Artifact(data, "image/png"))]
    assert giving(picture, "image").spec("pack", "1").view == "image"

"""From a signature to a node's sockets: one case per kind of annotation."""

from __future__ import annotations

import enum
import json
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple, TypeVar

import pytest
from pydantic import BaseModel, Field

from nodegraph import (
    Artifact,
    Color,
    Context,
    Curve,
    FilePath,
    GraphBuilder,
    Lazy,
    ModelFile,
    Secret,
    Seed,
    SocketType,
    Table,
    composite,
    node,
    socket,
)
from nodegraph.sdk.errors import nearest
from nodegraph.sdk.node import Node
from nodegraph.sdk.spec import NodeSpec

T = TypeVar("T")


class Mode(enum.Enum):
    FAST = "fast"
    SLOW = "slow"


class Spot(BaseModel):
    x: float = 0.0
    name: str


@socket(color="#112233")
class Picture:
    """A picture. With more to say."""


Sound = Annotated[list[float], SocketType("Sound", "#445566", "Samples.")]


class Parts(NamedTuple):
    picture: Annotated[Picture, Field(description="The same picture.")]
    size: int


def spec_of(annotation: Any, default: Any = ...) -> Any:
    """The spec of an input with this annotation."""

    def function(x: Any) -> None: ...

    function.__annotations__["x"] = annotation
    if default is not ...:
        function.__defaults__ = (default,)
    return Node(function).inputs[0]


INTEGER, TEXT = {"type": "integer"}, {"type": "string"}
SEED = {"type": "integer", "minimum": 0, "maximum": 2**32 - 1}
MODE = {"type": "string", "enum": ["fast", "slow"]}


@pytest.mark.parametrize(
    ("annotation", "type_json", "schema"),
    [
        (int, {"value": "int"}, INTEGER),
        (float, {"value": "float"}, {"type": "number"}),
        (str, {"value": "str"}, TEXT),
        (bool, {"value": "bool"}, {"type": "boolean"}),
        (Annotated[int, Field(ge=1, le=9)], {"value": "int"}, {"type": "integer", "minimum": 1, "maximum": 9}),
        (Literal["a", "b"], {"value": "enum"}, {"type": "string", "enum": ["a", "b"]}),
        (Literal["a"], {"value": "enum"}, {"type": "string", "const": "a"}),
        (Mode, {"value": "enum"}, MODE),
        (Seed, {"value": "seed"}, SEED),
        (FilePath, {"value": "file"}, TEXT),
        (ModelFile[Literal["lora"]], {"value": "model:lora"}, TEXT),
        (ModelFile[Literal["vae", "checkpoint"]], {"value": "model:vae"}, {**TEXT, "x-models": ["vae", "checkpoint"]}),
        (Secret, {"value": "secret"}, TEXT),
        (dict, {"value": "json"}, {"type": "object", "additionalProperties": True}),
        (dict[str, int], {"value": "json"}, {"type": "object", "additionalProperties": INTEGER}),
        (list, {"value": "json"}, {"type": "array", "items": {}}),
        (list[int], {"list": {"value": "int"}}, {"type": "array", "items": INTEGER}),
        (list[Seed], {"list": {"value": "seed"}}, {"type": "array", "items": SEED}),
        (int | None, {"optional": {"value": "int"}}, {"anyOf": [INTEGER, {"type": "null"}]}),
        (int | str, {"union": [{"value": "int"}, {"value": "str"}]}, {"anyOf": [INTEGER, TEXT]}),
        (Picture, {"socket": "Picture"}, None),
        (Sound, {"socket": "Sound"}, None),
        (Artifact, {"socket": "Artifact"}, None),
        (Picture | None, {"optional": {"socket": "Picture"}}, None),
        (list[Picture], {"list": {"socket": "Picture"}}, None),
        (list[list[Picture]], {"list": {"list": {"socket": "Picture"}}}, None),
        (Picture | Sound, {"union": [{"socket": "Picture"}, {"socket": "Sound"}]}, None),
        (int | Picture, {"union": [{"value": "int"}, {"socket": "Picture"}]}, None),
        (T, {"var": "T"}, None),
        (list[T], {"list": {"var": "T"}}, None),
    ],
    ids=str,
)
def test_an_annotation_becomes_a_type_and_a_schema(annotation: Any, type_json: Any, schema: Any) -> None:
    spec = spec_of(annotation)
    assert (spec.type.to_json(), spec.schema) == (type_json, schema)


def test_a_color_is_a_widget_of_its_own() -> None:
    spec = spec_of(Color)
    assert spec.type.to_json() == {"value": "color"}
    assert spec.schema["format"] == "color"


HINTS: dict[str, Any] = {"format": "mask", "x-step": 8, "x-slider": True, "x-unit": "px"}


@pytest.mark.parametrize(
    "annotation",
    [
        *(int, float, str, bool, Literal["a", "b"], Mode, Spot, Table, dict, list[int]),
        *(Seed, Color, Curve, FilePath, ModelFile[Literal["lora"]], Secret, int | None, FilePath | None),
    ],
    ids=str,
)
def test_what_an_author_says_of_the_widget_is_in_the_schema(annotation: Any) -> None:
    schema = spec_of(Annotated[annotation, Field(description="Words.", json_schema_extra=HINTS)]).schema
    assert HINTS.items() <= schema.items()
    plain = spec_of(annotation).schema
    assert {name: part for name, part in schema.items() if name not in HINTS} == {
        name: part for name, part in plain.items() if name != "format"
    }


@pytest.mark.parametrize("annotation", [Mode | None, list[Mode], Spot, list[Spot], Spot | None], ids=str)
def test_a_schema_stands_alone(annotation: Any) -> None:
    assert "$ref" not in json.dumps(spec_of(annotation).schema)


@pytest.mark.parametrize(
    ("annotation", "file"), [(FilePath, "file"), (FilePath | None, "file"), (ModelFile[Literal["vae"]], "model:vae"), (str, "")]
)
def test_files_are_marked_so_that_keys_hold_their_content(annotation: Any, file: str) -> None:
    assert spec_of(annotation).file == file


@pytest.mark.parametrize("annotation", [list[FilePath], FilePath | str, list[ModelFile[Literal["lora"]]]], ids=str)
def test_files_inside_other_types_are_refused_because_nobody_would_check_them(annotation: Any) -> None:
    with pytest.raises(TypeError, match="file"):
        spec_of(annotation)


@pytest.mark.parametrize("annotation", [bytes, object, Any, set[int], complex], ids=str)
def test_what_is_neither_json_nor_a_socket_is_refused_by_name(annotation: Any) -> None:
    with pytest.raises(TypeError, match=r"parameter 'x'.*@socket"):
        spec_of(annotation)


@pytest.mark.parametrize(
    ("annotation", "default", "written"),
    [
        (int, 3, 3),
        (Mode, Mode.SLOW, "slow"),
        (Spot, Spot(name="s"), {"x": 0.0, "name": "s"}),
        (Secret, Secret("key"), "key"),
        (FilePath, Path("a/b.png"), "a/b.png"),
        (list[Mode], [Mode.FAST], ["fast"]),
        (Picture | None, None, None),
    ],
    ids=str,
)
def test_a_default_is_written_as_json(annotation: Any, default: Any, written: Any) -> None:
    spec = spec_of(annotation, default)
    assert (spec.default, spec.required) == (written, False)


def test_text_beside_an_input_comes_from_its_field() -> None:
    spec = spec_of(Annotated[int, Field(description="How many.", title="Number")])
    assert (spec.title, spec.description, "title" in spec.schema) == ("Number", "How many.", False)


def test_an_input_is_titled_after_its_name() -> None:
    @node()
    def f(guidance_scale: float) -> None: ...

    assert f.inputs[0].title == "Guidance scale"


@node(category="test", version=3, permissions={"network"}, deprecated="use g")
def many_things(
    context: Context, first: Picture, count: Annotated[int, Field(ge=0)] = 2, late: Lazy[T] | None = None, *rest: Picture
) -> Parts: ...


@node()
def everything(
    context: Context, first: Picture, late: Lazy[T], spot: Spot | None = None, mode: Mode = Mode.FAST, *rest: Picture
) -> Parts:
    """All kinds at once."""


def test_the_context_is_no_input() -> None:
    assert [spec.name for spec in everything.inputs] == ["first", "late", "spot", "mode", "rest"]


def test_lazy_and_variadic_inputs_are_marked() -> None:
    assert [(spec.name, spec.lazy, spec.many, spec.required) for spec in everything.inputs] == [
        ("first", False, False, True),
        ("late", True, False, True),
        ("spot", False, False, False),
        ("mode", False, False, False),
        ("rest", False, True, False),
    ]


def test_the_builder_of_a_composite_is_no_input() -> None:
    @composite()
    def twice(graph: GraphBuilder, picture: Picture) -> Picture: ...

    assert [spec.name for spec in twice.inputs] == ["picture"]


def test_the_fields_of_a_named_tuple_are_outputs() -> None:
    assert [(spec.name, str(spec.type), spec.description) for spec in everything.outputs] == [
        ("picture", "Picture", "The same picture."),
        ("size", "int", ""),
    ]


@pytest.mark.parametrize(
    ("annotation", "name"),
    [
        (Picture, "picture"),
        (list[Picture], "pictures"),
        (int, "value"),
        (list[int], "value"),
        (T, "value"),
        (Artifact, "artifact"),
    ],
    ids=str,
)
def test_one_output_is_named_after_its_type(annotation: Any, name: str) -> None:
    def function() -> Any: ...

    function.__annotations__["return"] = annotation
    assert [spec.name for spec in Node(function).outputs] == [name]


def test_a_node_may_return_nothing() -> None:
    @node()
    def sink(x: int) -> None: ...

    assert sink.outputs == ()


def test_a_spec_survives_its_json_form() -> None:
    spec = everything.spec("pack", "revision")
    assert NodeSpec.from_json(json.loads(json.dumps(spec.to_json()))) == spec


def test_the_authors_revision_counts_before_the_packs() -> None:
    @node(revision=7)
    def f() -> None: ...

    assert (f.spec("p", "digest").revision, everything.spec("p", "digest").revision) == ("7", "digest")


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: node()(lambda x: x).inputs, "'x' needs a type annotation"),
        (lambda: node()(eval("lambda: 0")).outputs, "return type needs an annotation"),
        (lambda: many_things.inputs, "'late'"),
        (lambda: everything_async("gpu"), "async node runs on the io lane, not gpu"),
    ],
    ids=["no annotation", "no return annotation", "a lazy union", "async on the gpu"],
)
def test_a_bad_signature_is_said_by_name(make: Any, says: str) -> None:
    with pytest.raises(TypeError, match=says):
        make()


def everything_async(lane: Any) -> Node:
    async def wait() -> None: ...

    return node(lane=lane)(wait)


def test_two_nodes_of_one_name_in_a_pack_are_an_error() -> None:
    from nodegraph import Pack, PackError

    def make() -> Node:
        @node()
        def twin() -> None: ...

        return twin

    with pytest.raises(PackError, match="declares the node 'twin' twice"):
        Pack.of("p", [make(), make()])


@pytest.mark.parametrize(
    ("name", "names", "hint"),
    [
        ("integr", ["integer", "number", "other"], "Did you mean integer?"),
        ("imag", ["image", "images"], "Did you mean image or images?"),
        ("zzz", ["b", "a"], "There are: a, b."),
        ("zzz", [], ""),
        ("zzz", [f"name_{i}" for i in range(21)], ""),
    ],
)
def test_a_hint_names_what_was_meant_or_what_there_is(name: str, names: list[str], hint: str) -> None:
    assert nearest(name, names, "There are") == hint

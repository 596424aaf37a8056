"""Typed values against JSON Schema: what we accept is what the jsonschema library accepts."""

from __future__ import annotations

import copy
import enum
import json
from typing import Annotated, Any, Literal

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, Field

from nodegraph import Color, Curve, Seed
from nodegraph.graph.values import BadValue, accept, describe_schema, shown
from nodegraph.sdk import typeexpr as te
from nodegraph.sdk.annotations import json_schema
from nodegraph.sdk.spec import InputSpec


class Mode(enum.Enum):
    FAST = "fast"
    SLOW = "slow"


class Level(enum.IntEnum):
    LOW = 1
    HIGH = 2


class Spot(BaseModel):
    x: float = 0.0
    tags: list[str] = []


class Shape(BaseModel):
    corners: Annotated[list[Spot], Field(min_length=1)]
    kind: Mode = Mode.FAST


KINDS: dict[str, Any] = {
    "int": int,
    "int in a range": Annotated[int, Field(ge=-2, lt=5)],
    "multiple": Annotated[int, Field(multiple_of=3)],
    "float": float,
    "float in a range": Annotated[float, Field(gt=0, le=1.5)],
    "str": str,
    "short str": Annotated[str, Field(max_length=2)],
    "remarked str": Annotated[str, Field(json_schema_extra={"format": "multiline"})],
    "bool": bool,
    "text choice": Literal["a", "b"],
    "one choice": Literal["a"],
    "number choice": Literal[0, 1],
    "mixed choice": Literal["a", 1, True],
    "enum": Mode,
    "number enum": Level,
    "optional int": int | None,
    "optional range": Annotated[int, Field(ge=1)] | None,
    "optional enum": Mode | None,
    "list": list[int],
    "list of choices": list[Mode],
    "short list": Annotated[list[float], Field(max_length=2)],
    "union": int | str,
    "pair": tuple[int, str],
    "dict": dict[str, int],
    "any dict": dict,
    "model": Spot,
    "nested model": Shape,
    "optional model": Spot | None,
    "pairs": list[tuple[int, Mode]],
    "colors": list[Color],
    "seed": Seed,
    "color": Color,
    "curve": Curve,
    "float with a slider": Annotated[float, Field(json_schema_extra={"x-step": 0.5, "x-slider": True, "x-unit": "px"})],
}


def spec_of(annotation: Any) -> InputSpec:
    return InputSpec("x", te.value("json"), True, schema=json_schema(annotation))


SPECS = {name: spec_of(annotation) for name, annotation in KINDS.items()}

scalars = (
    st.none()
    | st.booleans()
    | st.integers(-5, 10)
    | st.sampled_from([2**32 - 1, 2**32, 10**400, -(10**400), 1e300, 2.0, 1.0, 0.0, -0.0])
    | st.floats(-3, 3)
    | st.sampled_from(["", "a", "b", "fast", "slow", "long text", "#ffffff", "#12345678", "#ff", "1"])
)
values = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["x", "tags", "corners", "kind", "other"]), inner, max_size=3)
    ),
    max_leaves=5,
)


@pytest.mark.parametrize("name", KINDS)
@given(value=values)
def test_a_value_is_accepted_exactly_when_jsonschema_accepts_it(name: str, value: Any) -> None:
    spec = SPECS[name]
    fits = jsonschema.Draft202012Validator(spec.schema).is_valid(value)
    try:
        accept(spec, value)
    except BadValue:
        accepted = False
    else:
        accepted = True
    too_large = name.startswith("float") or name == "short list"
    if too_large and "0" * 400 in json.dumps(value):
        fits = False  # a whole number that no float holds
    assert accepted == fits


@pytest.mark.parametrize("name", KINDS)
@given(value=values)
def test_accepting_changes_neither_the_value_nor_its_meaning(name: str, value: Any) -> None:
    before = copy.deepcopy(value)
    try:
        accepted = accept(SPECS[name], value)
    except BadValue:
        accepted = value
    assert value == before
    if not isinstance(value, (dict, list)):
        assert accepted == value


@pytest.mark.parametrize(
    ("name", "value", "spelling"),
    [
        ("float", 1, "1.0"),
        ("float with a slider", 1, "1.0"),
        ("short list", [1, 2.0], "[1.0, 2.0]"),
        ("int", 2.0, "2"),
        ("number choice", 1.0, "1"),
        ("optional int", 3.0, "3"),
        ("float", 1e3, "1000.0"),
    ],
)
def test_equal_numbers_get_one_spelling(name: str, value: Any, spelling: str) -> None:
    assert json.dumps(accept(SPECS[name], value)) == spelling


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
@pytest.mark.parametrize("name", ["float", "int", "optional int", "enum"])
def test_what_is_no_json_number_is_refused(name: str, value: float) -> None:
    with pytest.raises(BadValue):
        accept(SPECS[name], value)


@pytest.mark.parametrize(
    ("annotation", "words"),
    [
        (int, "a whole number"),
        (Annotated[int, Field(ge=1, le=100)], "a whole number from 1 to 100"),
        (Annotated[float, Field(gt=0)], "a number above 0"),
        (Annotated[int, Field(ge=8, multiple_of=8)], "a whole number of at least 8, a multiple of 8"),
        (Seed, "a whole number from 0 to 4294967295"),
        (bool, "true or false"),
        (str, "text"),
        (Annotated[str, Field(min_length=1)], "text of at least 1 character"),
        (Annotated[str, Field(max_length=20)], "text of at most 20 characters"),
        (Literal["a", "b"], 'one of "a", "b"'),
        (Mode, 'one of "fast", "slow"'),
        (Mode | None, 'one of "fast", "slow" or null'),
        (int | str, "a whole number or text"),
        (list[int], "a list, each item a whole number"),
        (list, "a list"),
        (Color, "a colour such as #ff8800"),
        (Curve, "a curve such as [[0, 0], [0.5, 0.7], [1, 1]]"),
        (Spot, "an object with x, tags"),
        (dict, "an object"),
    ],
    ids=str,
)
def test_a_schema_is_described_in_words(annotation: Any, words: str) -> None:
    assert describe_schema(json_schema(annotation)) == words


def test_a_long_value_is_shown_shortened() -> None:
    assert len(shown("x" * 1000)) == 60


@pytest.mark.parametrize(
    ("annotation", "value", "expected", "got"),
    [
        (Annotated[int, Field(ge=1)] | None, 0, "a whole number of at least 1, or null", "0"),
        (Color, "red", "a colour such as #ff8800", '"red"'),
        (list[int], [1, "x"], "a list, each item a whole number", '"x" as item 2'),
        (list[list[int]], [[1], [2, 3.5]], "a list, each item a list, each item a whole number", "3.5 as item 2 as item 2"),
        (Annotated[list[int], Field(max_length=1)], [1, 2], "a list of at most 1, each item a whole number", "[1, 2]"),
        (tuple[int, str], [1, 2], "a list of a whole number, text ([1] must be string)", "[1, 2]"),
        (Spot, {"x": "y"}, "an object with x, tags (x must be number)", '{"x": "y"}'),
    ],
    ids=str,
)
def test_a_refusal_says_what_was_expected_and_what_came(annotation: Any, value: Any, expected: str, got: str) -> None:
    with pytest.raises(BadValue) as caught:
        accept(spec_of(annotation), value)
    assert (caught.value.expected, caught.value.got) == (expected, got)

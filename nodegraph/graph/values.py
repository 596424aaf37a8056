"""Checking typed values against an input's JSON Schema, and bringing them to one spelling (an int meant as a float is a float).

Plain numbers, text and choices are checked by closures made once per input, everything else by fastjsonschema.
"""

from __future__ import annotations

import copy
import json
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from nodegraph.sdk.spec import InputSpec

Accept = Callable[[Any], Any]

_PLAIN = frozenset({"type", "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "enum", "const"})
_LIST = frozenset({"type", "items", "minItems", "maxItems"})
REMARKS = frozenset({"title", "description", "default", "examples", "format", "x-step", "x-slider", "x-unit", "x-models"})
"""What a schema says that no value is measured by."""


@dataclass(eq=False)
class BadValue(Exception):
    """A value that an input does not take, in words: what was expected and what came."""

    expected: str
    got: str


def accept(spec: InputSpec, value: Any) -> Any:
    """`value` in the input's one spelling. Raises BadValue."""
    return _acceptor(spec)(value)


def _acceptor(spec: InputSpec) -> Accept:
    """The input's checker, made on first use and kept with the spec."""
    found: Accept | None = spec.__dict__.get("_accept")
    if found is None:
        found = _make(spec.schema) if spec.schema is not None else _anything
        spec.__dict__["_accept"] = found
    return found


def _anything(value: Any) -> Any:
    return value


def _make(schema: dict[str, Any]) -> Accept:
    rules = {name for name in schema if name not in REMARKS}
    if rules <= _PLAIN:
        kind = schema.get("type")
        if "enum" in schema or "const" in schema:
            return _one_of(schema)
        if kind in ("integer", "number"):
            return _number(schema, kind == "integer")
        if kind == "boolean":
            return _exactly(bool, schema)
        if kind == "string":
            return _exactly(str, schema)
    if schema.get("type") == "array" and rules <= _LIST:
        return _list(schema)
    if rules == {"anyOf"} and schema["anyOf"][-1] == {"type": "null"}:
        return _or_null(schema)
    return _by_schema(schema)


def _number(schema: dict[str, Any], whole: bool) -> Accept:
    low, high = schema.get("minimum", -math.inf), schema.get("maximum", math.inf)
    above, below = schema.get("exclusiveMinimum", -math.inf), schema.get("exclusiveMaximum", math.inf)

    def check(value: Any) -> Any:
        kind = type(value)
        if whole:
            if kind is float and value.is_integer():
                value = int(value)
            elif kind is not int:
                raise BadValue(describe_schema(schema), shown(value))
        elif kind is int:
            try:
                value = float(value)
            except OverflowError:
                raise BadValue(describe_schema(schema), shown(value)) from None
        elif kind is not float or not math.isfinite(value):
            raise BadValue(describe_schema(schema), shown(value))
        if low <= value <= high and above <= value <= below and value != above and value != below:
            return value
        raise BadValue(describe_schema(schema), shown(value))

    return check


def _exactly(kind: type, schema: dict[str, Any]) -> Accept:
    def check(value: Any) -> Any:
        if type(value) is kind:
            return value
        raise BadValue(describe_schema(schema), shown(value))

    return check


def _list(schema: dict[str, Any]) -> Accept:
    inner = _make(schema["items"]) if schema.get("items") else _anything
    low, high = schema.get("minItems", 0), schema.get("maxItems", math.inf)

    def check(value: Any) -> Any:
        if not isinstance(value, (list, tuple)) or not low <= len(value) <= high:
            raise BadValue(describe_schema(schema), shown(value))
        accepted = []
        for number, item in enumerate(value, 1):
            try:
                accepted.append(inner(item))
            except BadValue as bad:
                raise BadValue(describe_schema(schema), f"{bad.got} as item {number}") from None
        return accepted

    return check


def _one_of(schema: dict[str, Any]) -> Accept:
    choices = schema["enum"] if "enum" in schema else [schema["const"]]

    def check(value: Any) -> Any:
        kind = type(value)
        for choice in choices:
            if value == choice and (kind is bool) == (type(choice) is bool):  # in JSON 1 is 1.0, but not true
                return choice
        raise BadValue(describe_schema(schema), shown(value))

    return check


def _or_null(schema: dict[str, Any]) -> Accept:
    members = schema["anyOf"][:-1]
    inner = _make(members[0] if len(members) == 1 else {"anyOf": members})

    def check(value: Any) -> Any:
        if value is None:
            return None
        try:
            return inner(value)
        except BadValue as bad:
            raise BadValue(f"{bad.expected}, or null", bad.got) from None

    return check


def _by_schema(schema: dict[str, Any]) -> Accept:
    import fastjsonschema  # here, because most inputs never need it

    validate = fastjsonschema.compile(_draft7(schema))

    def check(value: Any) -> Any:
        try:
            return validate(copy.deepcopy(value))  # a copy, because defaults are put into objects
        except fastjsonschema.JsonSchemaException as error:
            expected = describe_schema(schema)
            if isinstance(value, (dict, list)):  # say which part of it
                place = str(error.name).removeprefix("data").removeprefix(".")
                expected += f" ({place or 'it'}{str(error.message).removeprefix(str(error.name))})"
            raise BadValue(expected, shown(value)) from None

    return check


def _draft7(schema: Any) -> Any:
    """pydantic writes the items of a tuple as JSON Schema 2020-12 does, fastjsonschema reads them as draft 7 does."""
    if isinstance(schema, list):
        return [_draft7(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    return {"items" if name == "prefixItems" else name: _draft7(part) for name, part in schema.items()}


def shown(value: Any) -> str:
    """A value as a person would write it, shortened."""
    try:
        text = json.dumps(value, ensure_ascii=False)
    except (TypeError, ValueError):
        text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."


def describe_schema(schema: dict[str, Any]) -> str:
    """A JSON Schema in words: `a whole number from 1 to 100`, `one of "euler", "heun"`."""
    if "enum" in schema:
        return "one of " + ", ".join(map(shown, schema["enum"]))
    if "const" in schema:
        return shown(schema["const"])
    if "anyOf" in schema:
        return " or ".join(describe_schema(member) for member in schema["anyOf"])
    if "allOf" in schema:
        return " that is also ".join(describe_schema(member) for member in schema["allOf"])
    match schema.get("type"):
        case "integer" | "number" as kind:
            return ("a whole number" if kind == "integer" else "a number") + _range(schema)
        case "string":
            return _text(schema)
        case "boolean":
            return "true or false"
        case "null":
            return "null"
        case "array" if schema.get("format") == "curve":
            return "a curve such as [[0, 0], [0.5, 0.7], [1, 1]]"
        case "array":
            if "prefixItems" in schema:
                return "a list of " + ", ".join(map(describe_schema, schema["prefixItems"]))
            return (
                "a list" + _count(schema) + (f", each item {describe_schema(schema['items'])}" if schema.get("items") else "")
            )
        case "object":
            return "an object with " + ", ".join(schema["properties"]) if "properties" in schema else "an object"
        case _:
            return "a JSON value"


def _text(schema: dict[str, Any]) -> str:
    if schema.get("format") == "color":
        return "a colour such as #ff8800"
    low, high = schema.get("minLength", 0), schema.get("maxLength")
    parts = [f" matching {schema['pattern']}"] if "pattern" in schema else []
    parts += [f" of at least {low} character{'s' if low != 1 else ''}"] if low else []
    parts += [f" of at most {high} character{'s' if high != 1 else ''}"] if high is not None else []
    return "text" + ",".join(parts)


def _count(schema: dict[str, Any]) -> str:
    low, high = schema.get("minItems", 0), schema.get("maxItems")
    parts = [f"at least {low}"] if low else []
    parts += [f"at most {high}"] if high is not None else []
    return f" of {' and '.join(parts)}" if parts else ""


def _range(schema: dict[str, Any]) -> str:
    low, high = schema.get("minimum"), schema.get("maximum")
    parts = []
    if low is not None and high is not None:
        parts.append(f" from {_limit(low)} to {_limit(high)}")
    elif low is not None:
        parts.append(f" of at least {_limit(low)}")
    elif high is not None:
        parts.append(f" of at most {_limit(high)}")
    if "exclusiveMinimum" in schema:
        parts.append(f" above {_limit(schema['exclusiveMinimum'])}")
    if "exclusiveMaximum" in schema:
        parts.append(f" below {_limit(schema['exclusiveMaximum'])}")
    if "multipleOf" in schema:
        parts.append(f", a multiple of {_limit(schema['multipleOf'])}")
    return "".join(parts)


def _limit(number: float) -> str:
    """A number as it is meant: 1 for 1.0, and all of its digits."""
    return str(int(number)) if abs(number) < 10**15 and number == int(number) else str(number)

"""JSON Schemas that meet: the schema of what several inputs all take.

Plain kinds (numbers, text, choices, lists, null) are joined into one plain schema, which can be said in words; where that
cannot be done, the result says `allOf`, which is always right.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

from nodegraph.graph.values import REMARKS, BadValue, accept
from nodegraph.sdk import typeexpr as te
from nodegraph.sdk.spec import InputSpec

Schema = dict[str, Any]

_NUMBER = frozenset({"type", "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"})
_TEXT = frozenset({"type", "minLength", "maxLength", "pattern"})
_LIST = frozenset({"type", "items", "minItems", "maxItems"})
NULL: Schema = {"type": "null"}


def intersection(first: Schema, second: Schema) -> Schema | None:
    """The schema of what both take, or None where that is nothing (or no list but the empty one).

    Remarks, such as `format`, are those of the first schema that has them.
    """
    a, b = _rules(first), _rules(second)
    if not b or _same(a, b):
        return first
    if not a:
        return second
    if {"$ref", "$defs", "allOf"} & (a.keys() | b.keys()):
        return _all_of(first, second)
    if a.keys() == {"anyOf"} or b.keys() == {"anyOf"}:
        return _any_of(first, second)
    if {"enum", "const"} & (a.keys() | b.keys()):
        return _choices(first, second)
    kinds = [schema["type"] if isinstance(schema.get("type"), str) else "" for schema in (a, b)]
    match ["number" if kind == "integer" else kind for kind in kinds]:
        case ["number", "number"] if a.keys() | b.keys() <= _NUMBER:
            return _numbers(first, second)
        case ["string", "string"] if a.keys() | b.keys() <= _TEXT:
            return _texts(first, second)
        case ["array", "array"] if a.keys() | b.keys() <= _LIST:
            return _lists(first, second)
        case [one, other] if one and other and one != other:
            return None
    return _all_of(first, second)


def _all_of(first: Schema, second: Schema) -> Schema:
    return {"allOf": [rebased(first, "#/allOf/0"), rebased(second, "#/allOf/1")]}


def fits(schema: Schema, value: Any) -> bool:
    """Whether a schema takes a value."""
    try:
        accepted(schema, value)
    except BadValue:
        return False
    return True


def accepted(schema: Schema, value: Any) -> Any:
    """A value in a schema's one spelling. Raises BadValue."""
    return accept(InputSpec("", te.value("json"), True, schema=schema), value)


def rebased(schema: Any, place: str) -> Any:
    """A schema to be put at `place` (`#/properties/x`) of another: what it says of its own parts leads there."""
    if isinstance(schema, list):
        return [rebased(part, place) for part in schema]
    if not isinstance(schema, dict):
        return schema
    found = {name: rebased(part, place) for name, part in schema.items()}
    target = found.get("$ref")
    return found | {"$ref": place + target[1:]} if isinstance(target, str) and target.startswith("#") else found


def _rules(schema: Mapping[str, Any]) -> Schema:
    return {name: part for name, part in schema.items() if name not in REMARKS}


def _same(one: Schema, other: Schema) -> bool:
    """Whether two schemas are equal; in Python 1 equals true."""
    return one == other and json.dumps(one, sort_keys=True) == json.dumps(other, sort_keys=True)


def _remarks(schema: Mapping[str, Any]) -> Schema:
    return {name: part for name, part in schema.items() if name in REMARKS}


def _any_of(first: Schema, second: Schema) -> Schema | None:
    found: list[Schema] = []
    for one in first.get("anyOf", [first]):
        for other in second.get("anyOf", [second]):
            both = intersection(one, other)
            if both is not None and not any(_same(both, known) for known in found):
                found.append(both)
    return any_of(found)


def any_of(members: list[Schema]) -> Schema | None:
    """One schema of several, null last; None for none."""
    members = sorted(members, key=lambda member: member == NULL)
    return ({"anyOf": members} if len(members) > 1 else members[0]) if members else None


def _choices(first: Schema, second: Schema) -> Schema | None:
    """Choices that the other side takes, in the order in which the one that has them names them."""
    chosen, other = (first, second) if {"enum", "const"} & first.keys() else (second, first)
    values = [value for value in chosen.get("enum", [chosen.get("const")]) if fits(other, value)]
    kept = {name: part for name, part in chosen.items() if name in REMARKS or name == "type"}
    return {"enum": values, **kept} if values else None


def _numbers(a: Schema, b: Schema) -> Schema | None:
    whole = "integer" in (a["type"], b["type"])
    low = max((found for schema in (a, b) if (found := lower(schema)) is not None), default=None)
    high = min((found for schema in (a, b) if (found := upper(schema)) is not None), default=None)
    made: Schema = {"type": "integer" if whole else "number"}
    if low is not None:
        made["exclusiveMinimum" if low[1] else "minimum"] = low[0]
    if high is not None:
        made["maximum" if high[1] else "exclusiveMaximum"] = high[0]
    steps = [schema["multipleOf"] for schema in (a, b) if "multipleOf" in schema]
    if steps:
        coarse, fine = max(steps), min(steps)
        if coarse % fine and not all(isinstance(step, int) for step in steps):
            return _all_of(a, b)
        made["multipleOf"] = math.lcm(coarse, fine) if coarse % fine else coarse
    return None if _empty(made) else made | _remarks(b) | _remarks(a)


def lower(schema: Mapping[str, Any]) -> tuple[float, bool] | None:
    """The lower end of a range, and whether it lies outside; the larger pair is the narrower one."""
    ends = [(schema["minimum"], False)] if "minimum" in schema else []
    ends += [(schema["exclusiveMinimum"], True)] if "exclusiveMinimum" in schema else []
    return max(ends, default=None)


def upper(schema: Mapping[str, Any]) -> tuple[float, bool] | None:
    """The upper end of a range, and whether it lies inside; the smaller pair is the narrower one."""
    ends = [(schema["maximum"], True)] if "maximum" in schema else []
    ends += [(schema["exclusiveMaximum"], False)] if "exclusiveMaximum" in schema else []
    return min(ends, default=None)


def _empty(schema: Schema) -> bool:
    """Whether no number lies in a range."""
    low, high = lower(schema), upper(schema)
    if low is None or high is None:
        return False
    if schema["type"] == "number":
        return low[0] > high[0] or (low[0] == high[0] and (low[1] or not high[1]))
    step = schema.get("multipleOf", 1)
    first, last = math.ceil(low[0]) + (low[1] and low[0] == math.ceil(low[0])), math.floor(high[0])
    last -= not high[1] and high[0] == last
    return last // step * step < first if isinstance(step, int) else first > last


def _texts(a: Schema, b: Schema) -> Schema | None:
    if "pattern" in a and "pattern" in b and a["pattern"] != b["pattern"]:
        return _all_of(a, b)
    made = {**b, **a}
    for name, narrower in (("minLength", max), ("maxLength", min)):
        if name in made:
            made[name] = narrower(schema[name] for schema in (a, b) if name in schema)
    return None if made.get("minLength", 0) > made.get("maxLength", math.inf) else made


def _lists(a: Schema, b: Schema) -> Schema | None:
    items = intersection(a.get("items") or {}, b.get("items") or {})
    made = {**b, **a} | ({"items": items} if items else {})
    for name, narrower in (("minItems", max), ("maxItems", min)):
        if name in made:
            made[name] = narrower(schema[name] for schema in (a, b) if name in schema)
    return None if items is None or made.get("minItems", 0) > made.get("maxItems", math.inf) else made

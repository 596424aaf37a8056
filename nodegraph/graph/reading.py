"""Strict JSON: what a document's text may be, and where it is broken when it is not JSON."""

from __future__ import annotations

import json
import re
import sys
from typing import Any, NoReturn

from nodegraph.sdk.errors import InvalidWorkflow, Problem

DEEPEST = 100
"""How far a document's lists and objects may nest: everything that walks through it may recurse."""

MOST_PARTS = 10_000_000
"""How many lists and objects a document may have: each takes 64 bytes of memory and more, whatever little it holds."""


def read_json(text: str) -> Any:
    """The JSON value that a text holds. Raises InvalidWorkflow with line and column."""
    brackets = text.count("[") + text.count("{")
    if brackets > MOST_PARTS:
        message = f"The JSON has {brackets:,} lists and objects; a workflow may have {MOST_PARTS:,}."
        raise InvalidWorkflow([Problem("too_large", message, hint="Put tables into files of their own, and name these in it.")])
    try:
        data = json.loads(text, object_pairs_hook=_object, parse_constant=_no_constant, parse_float=_finite)
        if _SURROGATE.search(text):
            json.dumps(data, ensure_ascii=False).encode()
    except json.JSONDecodeError as error:
        hint = "The file is empty." if not text.strip() else "Check for a missing or extra comma, quote or bracket there."
        problem = Problem("bad_json", f"This is not JSON: {error.msg}.", line=error.lineno, column=error.colno, hint=hint)
        raise InvalidWorkflow([problem]) from None
    except UnicodeEncodeError:
        message = "A text holds half a character (a lone \\ud800 to \\udfff escape)."
        raise InvalidWorkflow([Problem("bad_json", message)]) from None
    except _Refused as error:
        raise InvalidWorkflow([Problem("bad_json", str(error))]) from None
    except ValueError:  # Python's own limit
        digits = sys.get_int_max_str_digits()
        raise InvalidWorkflow([Problem("bad_json", f"A whole number has more than {digits} digits.")]) from None
    except RecursionError:
        raise InvalidWorkflow([_TOO_DEEP]) from None
    if brackets > DEEPEST and _deeper_than(data, DEEPEST):
        raise InvalidWorkflow([_TOO_DEEP])
    return data


class _Refused(Exception):
    """What JSON allows, or Python's reader lets pass, but a document may not have."""


_SURROGATE = re.compile("[\ud800-\udfff]|\\\\u[dD][89a-fA-F]")
_TOO_DEEP = Problem("bad_json", f"The JSON is nested too deeply to be a workflow: more than {DEEPEST} levels.")


def _deeper_than(data: Any, levels: int) -> bool:
    """Whether lists and objects nest deeper than so many levels; never recursive itself."""
    level = [data]
    for _ in range(levels + 1):
        level = [
            child
            for item in level
            for child in (item.values() if isinstance(item, dict) else item)
            if isinstance(child, (dict, list))
        ]
    return bool(level)


def _finite(text: str) -> float:
    number = float(text)
    if number in (float("inf"), float("-inf")):
        raise _Refused(f"{_shortened(text)} is too large for a number.")
    return number


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        seen: set[str] = set()
        twice = next(key for key, _ in pairs if key in seen or seen.add(key))  # type: ignore[func-returns-value]
        raise _Refused(f"The name {_shortened(repr(twice))} stands twice in one JSON object; one of the two would be lost.")
    return found


def _no_constant(name: str) -> NoReturn:
    raise _Refused(f"{name} is not a JSON number.")


def _shortened(text: str) -> str:
    return text if len(text) < 60 else text[:57] + "..."

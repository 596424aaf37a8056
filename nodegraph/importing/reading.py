"""Text of other programs' files as JSON that a document can hold: forgiving where our own reading is strict.

Their files hold NaN (ComfyUI's `is_changed`), numbers beyond all bounds, and halves of characters.
"""

from __future__ import annotations

import json
import math
from typing import Any

from nodegraph.graph.reading import DEEPEST
from nodegraph.sdk.errors import InvalidWorkflow, Problem

DEEPEST_SOURCE = DEEPEST - 20
"""How far a source may nest: what is kept of it lies some levels deeper in the document."""


def read_foreign_json(text: str) -> Any:
    """The JSON value in a text, made clean. Raises InvalidWorkflow, with line and column where it is not JSON."""
    try:
        return clean(json.loads(text))
    except json.JSONDecodeError as error:
        problem = Problem("bad_json", f"This is not JSON: {error.msg}.", line=error.lineno, column=error.colno)
    except RecursionError:
        problem = _too_deep()
    except ValueError:
        problem = Problem("bad_json", "This JSON holds a number of more digits than can be read.")
    raise InvalidWorkflow([problem])


def clean(data: Any) -> Any:
    """A copy that JSON can hold: what is no finite number becomes null, half a character a question mark.

    Raises InvalidWorkflow where it nests too deeply.
    """
    return _clean(data, DEEPEST_SOURCE)


def _clean(value: Any, levels: int) -> Any:
    match value:
        case None | bool():
            return value
        case int():
            return value if abs(value) < 1 << 1024 else None
        case float():
            return value if math.isfinite(value) else None
        case str():
            return value.encode("utf-8", "replace").decode("utf-8")
    if not levels:
        raise InvalidWorkflow([_too_deep()])
    match value:
        case dict():
            return {_clean(str(key), 1): _clean(item, levels - 1) for key, item in value.items()}
        case list() | tuple():
            return [_clean(item, levels - 1) for item in value]
    return str(value)


def _too_deep() -> Problem:
    return Problem("bad_json", f"The JSON is nested too deeply to be a workflow: more than {DEEPEST_SOURCE} levels.")

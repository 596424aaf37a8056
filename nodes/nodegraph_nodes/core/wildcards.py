"""Wildcards: texts whose choices are made by a seed, from lists in files and from variants in the text itself."""

from __future__ import annotations

import json
from typing import Annotated, Any

from pydantic import Field

from nodegraph import FilePath, NodeError, Seed, node
from nodegraph.sdk.errors import nearest
from nodegraph_nodes.core.choosing import BadChoice, choose, lists_in

_ROUND = 40  # letters that an error shows on each side
_LARGEST_BYTES = 20_000_000


@node(category="core/text", output_name="lists")
def load_wildcards(
    file: Annotated[FilePath, Field(description="A .txt file with a line for each choice, or a .json file of several lists.")],
    name: Annotated[
        str,
        Field(max_length=200, description="What __name__ calls the list; empty: the file's name. Begins the names of a .json."),
    ] = "",
) -> dict[str, list[str]]:
    """Lists for `wildcards`. Lines that begin with # are left out; `2::line` is chosen twice as often."""
    if file.stat().st_size > _LARGEST_BYTES:
        raise NodeError(f"{file.name} is too large for a list.", socket="file", expected=f"at most {_LARGEST_BYTES:,} bytes")
    try:
        content = file.read_text("utf-8-sig")
    except UnicodeDecodeError:
        raise NodeError(f"{file.name} is no text.", socket="file", expected="UTF-8 text", hint="Save it as UTF-8.") from None
    if file.suffix.lower() != ".json":
        return lists_in(name or file.stem, content)
    try:
        data = json.loads(content)
    except (ValueError, RecursionError):
        raise NodeError(f"{file.name} is no JSON.", socket="file", hint="Other endings are read line by line.") from None
    found = dict(_flat(data, name))
    if not found:
        raise NodeError(
            f"{file.name} holds no lists.", socket="file", expected='{"animal": ["cat", "dog"]}', got=content[:60] or "nothing"
        )
    return found


def _flat(data: Any, name: str, depth: int = 0) -> list[tuple[str, list[str]]]:
    """Lists by their path in nested objects: {"a": {"b": [...]}} is a/b."""
    if isinstance(data, list):
        return [(name, [str(line) for line in data if isinstance(line, (str, int, float))])] if name else []
    if not isinstance(data, dict) or depth > 20:
        return []
    return [row for key, value in data.items() for row in _flat(value, f"{name}/{key}" if name else key, depth + 1)]


@node(category="core/text", output_name="text")
def wildcards(
    text: Annotated[
        str,
        Field(
            description="{a|b}: one of them; {2::a|b}: a twice as often; {2$$a|b|c}: two of them; __name__: a line of a list.",
            json_schema_extra={"format": "prompt"},
        ),
    ],
    *lists: dict[str, list[str]],
    seed: Annotated[Seed, Field(description="Another seed, other choices.")] = 0,
) -> str:
    """Make the choices in a text. Link the result to a prompt, and a list of seeds for a list of texts."""
    known: dict[str, list[str]] = {}
    for some in lists:
        known |= some
    try:
        return choose(text, seed, known)
    except BadChoice as error:
        source, at = error.source, error.place
        hint = "Write \\{ for a brace that is only text."
        if error.missing:
            hint = nearest(error.missing, known, "There are") or "Link load_wildcards with its file."
        where = f"column {at + 1}" if source == text else f"column {at + 1} of a line that was chosen"
        before, after = source[max(0, at - _ROUND) : at], source[at : at + _ROUND]
        raise NodeError(f"{error} ({where})", socket="text", got=f"{before}>>>{after}", hint=hint) from None

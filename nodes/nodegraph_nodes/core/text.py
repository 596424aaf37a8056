"""Text: prompts that are shared, joined, filled in and split into lists."""

from __future__ import annotations

from string import Formatter
from typing import Annotated

from pydantic import Field

from nodegraph import NodeError, node

Multiline = Annotated[str, Field(json_schema_extra={"format": "multiline"})]


@node(category="core/text", output_name="text")
def text(value: Multiline = "") -> str:
    """Text, for several nodes to share."""
    return value


@node(category="core/text", output_name="text")
def join_text(texts: list[str], separator: str = ", ", skip_empty: bool = True) -> str:
    """Join a list of texts into one."""
    return separator.join(item for item in texts if item or not skip_empty)


@node(category="core/text", output_name="text")
def format_text(
    template: Annotated[Multiline, Field(description="Text with {a}, {b}, {c} where the values go; {{ and }} are braces.")],
    a: str = "",
    b: str = "",
    c: str = "",
) -> str:
    """Fill values into a text: "a {a} on a {b} background"."""
    known = {"a": a, "b": b, "c": c}
    try:
        pieces = list(Formatter().parse(template))
    except ValueError as error:
        raise NodeError(f"This is no template: {error}.", socket="template", hint="Write {{ for a brace.") from None
    for _, name, spec, conversion in pieces:
        if name is not None and (name not in known or spec or conversion):
            raise NodeError(
                "The template has an unknown field.",
                socket="template",
                expected="{a}, {b} or {c}",
                got=f"{{{name}{f'!{conversion}' if conversion else ''}{f':{spec}' if spec else ''}}}",
                hint="Write {{ and }} for braces.",
            )
    return "".join(before + (known[name] if name is not None else "") for before, name, _, _ in pieces)


@node(category="core/text", output_name="text")
def replace_text(value: str, find: str, replacement: str = "") -> str:
    """Replace every occurrence of a text by another."""
    return value.replace(find, replacement) if find else value


@node(category="core/text", output_name="texts")
def split_lines(value: Multiline) -> list[str]:
    """The lines of a text as a list, without empty ones. Linked to a prompt, it makes a picture per line."""
    return [line.strip() for line in value.splitlines() if line.strip()]

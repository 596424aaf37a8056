"""Python expressions laid out as ruff lays them out: on one line while they fit, else broken at the outermost bracket."""

from __future__ import annotations

import keyword
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

WIDTH = 88
"""Columns of a line, as ruff and black have it where nobody says otherwise."""


@dataclass(frozen=True, slots=True)
class Bracketed:
    """An expression in brackets: `opening` is what stands before the items (`f(`, `[`, `{`), each item a prefix and a value."""

    opening: str
    items: tuple[tuple[str, Expression], ...]
    closing: str


Expression = str | Bracketed


def call(function: str, /, *positional: Expression, **named: Expression) -> Bracketed:
    """A call. Names that are no identifiers go into `**{...}`."""
    items: list[tuple[str, Expression]] = [("", item) for item in positional]
    items += [(f"{name}=", item) for name, item in named.items() if is_name(name)]
    others = tuple((f"{literal(name)}: ", item) for name, item in named.items() if not is_name(name))
    if others:
        items.append(("**", Bracketed("{", others, "}")))
    return Bracketed(f"{function}(", tuple(items), ")")


def listed(items: Iterable[Expression]) -> Bracketed:
    return Bracketed("[", tuple(("", item) for item in items), "]")


def value(data: Any) -> Expression:
    """A JSON value as an expression."""
    if isinstance(data, dict):
        return Bracketed("{", tuple((f"{literal(name)}: ", value(item)) for name, item in data.items()), "}")
    if isinstance(data, list):
        return listed(value(item) for item in data)
    return literal(data)


def literal(data: str | float | bool | None) -> str:
    """A plain value: text in the quotes that need fewer escapes, double ones where both do."""
    if not isinstance(data, str):
        return repr(data).replace("e+", "e")
    quote = "'" if data.count('"') > data.count("'") else '"'
    return quote + "".join(_escaped(character, quote) for character in data) + quote


def _escaped(character: str, quote: str) -> str:
    if character in (quote, "\\"):
        return "\\" + character
    return character if character.isprintable() else repr(character)[1:-1]


def is_name(text: str) -> bool:
    """Whether a text can stand as a name in a program."""
    return text.isidentifier() and text.isascii() and not keyword.iskeyword(text)


def laid_out(expression: Expression, before: str = "", indent: int = 0, after: int = 0) -> str:
    """`before` and the expression, at this depth of indentation; `after` columns follow the closing bracket.

    Arguments of a call that fit on one line of their own stay together, and everything else goes one a line.
    """
    line = before + flat(expression)
    if isinstance(expression, str) or not expression.items or indent + width(line) + after <= WIDTH:
        return line
    inner = indent + 4
    body = _joined(expression)
    if expression.opening.endswith("(") and inner + width(body) <= WIDTH:
        rows = [body]
    else:
        rows = [laid_out(item, prefix, inner, 1) + "," for prefix, item in expression.items]
    pad = " " * inner
    return f"{before}{expression.opening}\n" + "".join(f"{pad}{row}\n" for row in rows) + " " * indent + expression.closing


def flat(expression: Expression) -> str:
    """The expression on one line."""
    if isinstance(expression, str):
        return expression
    return expression.opening + _joined(expression) + expression.closing


def _joined(expression: Bracketed) -> str:
    return ", ".join(prefix + flat(item) for prefix, item in expression.items)


def width(text: str) -> int:
    """The columns that a text takes: wide characters take two, those that combine none."""
    if text.isascii():
        return len(text)
    return sum(_columns(character) for character in text)


def _columns(character: str) -> int:
    if unicodedata.combining(character):
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1


def block(lines: Sequence[str], indent: int) -> str:
    """Statements below one another, indented; empty ones are empty lines."""
    pad = " " * indent
    return "".join(f"{pad}{line}\n" if line else "\n" for line in lines)

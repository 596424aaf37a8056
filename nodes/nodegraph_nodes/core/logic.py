"""Choices: what is not chosen is never computed."""

from __future__ import annotations

import operator
from typing import Literal, TypeVar

from nodegraph import Lazy, node

T = TypeVar("T")

_COMPARE = {
    "equal": operator.eq,
    "not equal": operator.ne,
    "less": operator.lt,
    "less or equal": operator.le,
    "greater": operator.gt,
    "greater or equal": operator.ge,
}


@node(category="core/logic")
async def switch(condition: bool, yes: Lazy[T], no: Lazy[T]) -> T:
    """Give `yes` or `no`, and compute only that one."""
    return await (yes if condition else no)


@node(category="core/logic")
def compare(
    a: float,
    how: Literal["equal", "not equal", "less", "less or equal", "greater", "greater or equal"] = "equal",
    b: float = 0.0,
) -> bool:
    """Compare two numbers."""
    return bool(_COMPARE[how](a, b))


@node(category="core/logic")
def logic(a: bool, how: Literal["and", "or", "xor", "not a"] = "and", b: bool = False) -> bool:
    """Combine two truths."""
    return {"and": a and b, "or": a or b, "xor": a != b, "not a": not a}[how]

"""Numbers: values that several nodes share, and arithmetic on them."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Mapping
from typing import Annotated, Literal

from pydantic import Field

from nodegraph import NodeError, node

Operation = Literal["add", "subtract", "multiply", "divide", "remainder", "power", "minimum", "maximum"]
WholeOperation = Literal["add", "subtract", "multiply", "divide", "remainder", "minimum", "maximum"]

_REAL: Mapping[str, Callable[[float, float], float]] = {
    "add": operator.add,
    "subtract": operator.sub,
    "multiply": operator.mul,
    "divide": operator.truediv,
    "remainder": operator.mod,
    "power": math.pow,
    "minimum": min,
    "maximum": max,
}
_WHOLE: Mapping[str, Callable[[int, int], int]] = {
    "add": operator.add,
    "subtract": operator.sub,
    "multiply": operator.mul,
    "divide": operator.floordiv,
    "remainder": operator.mod,
    "minimum": min,
    "maximum": max,
}


@node(category="core/number")
def integer(value: int = 0) -> int:
    """A whole number, for several nodes to share."""
    return value


@node(category="core/number")
def number(value: float = 0.0) -> float:
    """A number, for several nodes to share."""
    return value


@node(category="core/number")
def boolean(value: bool = False) -> bool:
    """True or false, for several nodes to share."""
    return value


@node(category="core/number")
def calculate(a: float = 0.0, operation: Operation = "add", b: float = 0.0) -> float:
    """Arithmetic on two numbers."""
    try:
        result = _REAL[operation](a, b)
    except (ZeroDivisionError, OverflowError, ValueError) as error:
        raise NodeError(f"{a:g} {operation} {b:g} has no result: {error}.", socket="b") from None
    if not math.isfinite(result):
        raise NodeError(f"{a:g} {operation} {b:g} is too large for a number.", socket="b")
    return result


@node(category="core/number")
def calculate_whole(a: int = 0, operation: WholeOperation = "add", b: int = 0) -> int:
    """Arithmetic on two whole numbers; division rounds down."""
    if b == 0 and operation in ("divide", "remainder"):
        raise NodeError(f"{a} cannot be divided by 0.", socket="b", expected="a number other than 0", got="0")
    return _WHOLE[operation](a, b)


@node(category="core/number")
def round_number(
    value: float,
    how: Annotated[Literal["nearest", "down", "up"], Field(description="nearest rounds halves up.")] = "nearest",
    multiple_of: Annotated[int, Field(ge=1, description="64 rounds to 0, 64, 128 ...")] = 1,
) -> int:
    """Round to a whole number, or to a multiple of one."""
    steps = value / multiple_of
    rounded = math.floor(steps + 0.5) if how == "nearest" else math.floor(steps) if how == "down" else math.ceil(steps)
    return rounded * multiple_of

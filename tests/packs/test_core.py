"""The core pack: plain functions, called as such."""

from __future__ import annotations

import asyncio
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nodegraph import Lazy, NodeError
from nodegraph_nodes import core

numbers = st.floats(-1e6, 1e6, allow_subnormal=False)


@pytest.mark.parametrize(
    ("operation", "result"),
    [
        ("add", 9.0),
        ("subtract", 5.0),
        ("multiply", 14.0),
        ("divide", 3.5),
        ("remainder", 1.0),
        ("power", 49.0),
        ("minimum", 2.0),
        ("maximum", 7.0),
    ],
)
def test_calculate(operation: Any, result: float) -> None:
    assert core.calculate(7.0, operation, 2.0) == result


@pytest.mark.parametrize(
    ("a", "operation", "b"),
    [
        (1.0, "divide", 0.0),
        (1.0, "remainder", 0.0),
        (0.0, "power", -1.0),
        (-1.0, "power", 0.5),
        (1e300, "power", 2.0),
        (1e308, "multiply", 10.0),
    ],
)
def test_what_has_no_result_is_said(a: float, operation: Any, b: float) -> None:
    with pytest.raises(NodeError) as caught:
        core.calculate(a, operation, b)
    assert caught.value.socket == "b"


@pytest.mark.parametrize(
    ("operation", "result"),
    [("add", -5), ("subtract", -9), ("multiply", -14), ("divide", -4), ("remainder", 1), ("minimum", -7), ("maximum", 2)],
)
def test_calculate_whole_stays_whole_and_rounds_down(operation: Any, result: int) -> None:
    found = core.calculate_whole(-7, operation, 2)
    assert (found, type(found)) == (result, int)


@pytest.mark.parametrize("operation", ["divide", "remainder"])
def test_whole_numbers_are_not_divided_by_zero(operation: Any) -> None:
    with pytest.raises(NodeError, match="cannot be divided by 0"):
        core.calculate_whole(1, operation, 0)


@pytest.mark.parametrize(
    ("value", "how", "multiple", "result"),
    [
        (2.5, "nearest", 1, 3),
        (-2.5, "nearest", 1, -2),
        (2.4, "nearest", 1, 2),
        (2.9, "down", 1, 2),
        (-2.1, "down", 1, -3),
        (2.1, "up", 1, 3),
        (100, "nearest", 64, 128),
        (95, "nearest", 64, 64),
        (65, "up", 64, 128),
        (127, "down", 64, 64),
    ],
)
def test_rounding(value: float, how: Any, multiple: int, result: int) -> None:
    assert core.round_number(value, how, multiple) == result


@given(numbers, st.integers(1, 512))
def test_rounding_is_within_its_step(value: float, multiple: int) -> None:
    down, near, up = (core.round_number(value, how, multiple) for how in ("down", "nearest", "up"))
    assert down <= value <= up
    assert up - down in (0, multiple)
    assert near in (down, up)


@pytest.mark.parametrize(
    ("how", "truth"),
    [
        ("equal", False),
        ("not equal", True),
        ("less", True),
        ("less or equal", True),
        ("greater", False),
        ("greater or equal", False),
    ],
)
def test_compare(how: Any, truth: bool) -> None:
    assert core.compare(1.0, how, 2.0) is truth


@pytest.mark.parametrize("a", [False, True])
@pytest.mark.parametrize("b", [False, True])
def test_logic(a: bool, b: bool) -> None:
    assert [core.logic(a, how, b) for how in ("and", "or", "xor", "not a")] == [a and b, a or b, a ^ b, not a]


@pytest.mark.parametrize(("condition", "chosen"), [(True, "yes"), (False, "no")])
def test_switch_evaluates_only_what_it_gives(condition: bool, chosen: str) -> None:
    evaluated = []

    def branch(name: str) -> Lazy[str]:
        async def evaluate() -> str:
            evaluated.append(name)
            return name

        return Lazy(evaluate)

    assert asyncio.run(core.switch(condition, branch("yes"), branch("no"))) == chosen
    assert evaluated == [chosen]


@pytest.mark.parametrize(
    ("template", "text"),
    [
        ("a {a} on a {b} {c}", "a x on a y "),
        ("{a}{a}", "xx"),
        ("{{a}}", "{a}"),
        ("{{{a}}}", "{x}"),
        ("no field", "no field"),
        ("", ""),
    ],
)
def test_format_text(template: str, text: str) -> None:
    assert core.format_text(template, "x", "y") == text


@pytest.mark.parametrize(
    ("template", "got"),
    [
        ("{d}", "{d}"),
        ("{}", "{}"),
        ("{0}", "{0}"),
        ("{a.real}", "{a.real}"),
        ("{a[0]}", "{a[0]}"),
        ("{a!r}", "{a!r}"),
        ("{a:>9999999999}", "{a:>9999999999}"),
        ("{{{d}}}", "{d}"),
    ],
)
def test_a_template_takes_its_three_fields_only(template: str, got: str) -> None:
    with pytest.raises(NodeError, match="unknown field") as caught:
        core.format_text(template)
    assert (caught.value.socket, caught.value.got) == ("template", got)


@pytest.mark.parametrize("template", ["{", "}", "{a", "a}"])
def test_a_lone_brace_is_explained(template: str) -> None:
    with pytest.raises(NodeError, match="no template") as caught:
        core.format_text(template)
    assert "{{" in str(caught.value.hint)


@given(st.text(), st.text())
def test_values_are_put_in_as_they_are(a: str, b: str) -> None:
    assert core.format_text("{a}|{b}", a, b) == f"{a}|{b}"


@pytest.mark.parametrize(
    ("texts", "options", "joined"),
    [
        (["a", "", "b"], {}, "a, b"),
        (["a", "", "b"], {"skip_empty": False}, "a, , b"),
        (["a", "b"], {"separator": "\n"}, "a\nb"),
        ([], {}, ""),
    ],
)
def test_join_text(texts: list[str], options: Any, joined: str) -> None:
    assert core.join_text(texts, **options) == joined


def test_replace_text() -> None:
    assert core.replace_text("a cat, a dog", "a ", "the ") == "the cat, the dog"
    assert core.replace_text("cat", "", "x") == "cat"


def test_split_lines_leaves_out_empty_ones() -> None:
    assert core.split_lines(" a \r\n\n\tb\n") == ["a", "b"]


def test_lists() -> None:
    assert core.make_list(1, 2) == [1, 2]
    assert core.list_length([1, 2]) == 2
    assert core.number_range(1.0, 0.5, 3) == [1.0, 1.5, 2.0]
    assert core.seed_list(7, 3) == [7, 8, 9]


def test_seeds_do_not_run_over_the_largest() -> None:
    assert core.seed_list(2**32 - 2, 2) == [2**32 - 2, 2**32 - 1]
    with pytest.raises(NodeError) as caught:
        core.seed_list(2**32 - 2, 3)
    assert caught.value.expected == f"at most {2**32 - 3}"


@given(st.lists(st.integers(), min_size=1, max_size=5), st.integers(-7, 7))
def test_list_item_is_pythons_indexing(items: list[int], index: int) -> None:
    if -len(items) <= index < len(items):
        assert core.list_item(items, index) == items[index]
    else:
        with pytest.raises(NodeError, match=f"{len(items)} item"):
            core.list_item(items, index)


def test_an_item_of_an_empty_list_is_said_in_words() -> None:
    with pytest.raises(NodeError) as caught:
        core.list_item([], 0)
    assert caught.value.expected == "a list that is not empty"


def test_values_pass_through() -> None:
    assert (core.integer(3), core.number(0.1), core.boolean(True), core.text("x")) == (3, 0.1, True, "x")
    assert math.copysign(1, core.number(-0.0)) == -1

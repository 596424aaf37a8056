"""Log lines: one per event, readable by programs, without what people wrote, and never the reason of a failure."""

from __future__ import annotations

import io
import json
import logging
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from enum import Enum
from pathlib import PurePosixPath
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nodegraph.logs import NEVER_LOGGED, NOT_LOGGED, Line, Logger, logger, start_logging
from nodegraph.logs.lines import LONGEST


@pytest.fixture(autouse=True)
def undisturbed() -> Iterator[None]:
    """The logging of the test's process as it was, afterwards."""
    root, ours = logging.getLogger(), logging.getLogger("nodegraph")
    before = (list(root.handlers), root.level, ours.level)
    yield
    root.handlers[:], root.level, ours.level = before
    logging.getLogger("aiohttp.access").setLevel(logging.NOTSET)


class Written:
    """A started log, and the lines in it."""

    def __init__(self, *, json_lines: bool = True, level: str = "info") -> None:
        self.stream = io.StringIO()
        start_logging(json_lines=json_lines, level=level, stream=self.stream)
        self.log = logger("server")

    @property
    def text(self) -> str:
        return self.stream.getvalue()

    @property
    def rows(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.text.split("\n")[:-1]]


def test_an_event_is_one_json_object_on_a_line() -> None:
    written = Written()
    written.log.info("job_started", job="j1", worker=0, ms=1.5, exact=False, reason=None)
    (row,) = written.rows
    at = datetime.strptime(row.pop("at"), "%Y-%m-%dT%H:%M:%S.%f%z")
    assert abs((datetime.now(UTC) - at).total_seconds()) < 60
    assert row == {
        "level": "info",
        "logger": "server",
        "event": "job_started",
        "job": "j1",
        "worker": 0,
        "ms": 1.5,
        "exact": False,
        "reason": None,
    }
    assert next(iter(json.loads(written.text))) == "at"
    assert re.search(r'"at":"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z"', written.text)


def test_for_people_an_event_is_words_and_key_equals_value() -> None:
    written = Written(json_lines=False)
    written.log.warning("worker_lost", worker=0, why="no heartbeat", code=-9, nodes=["a", "b"], empty="")
    line = written.text
    assert re.fullmatch(
        r'\S+Z warning server worker_lost worker=0 why="no heartbeat" code=-9 nodes=\["a","b"\] empty=""\n', line
    )


def test_a_logger_can_carry_fields() -> None:
    written = Written()
    written.log.having(job="j1").having(attempt=2).error("job_failed", status=500)
    (row,) = written.rows
    assert (row["job"], row["attempt"], row["status"]) == ("j1", 2, 500)


def test_events_below_the_level_are_not_written() -> None:
    written = Written(level="warning")
    written.log.debug("a")
    written.log.info("b")
    written.log.warning("c")
    assert [row["event"] for row in written.rows] == ["c"]


def test_starting_twice_writes_once() -> None:
    Written()
    written = Written()
    written.log.info("once")
    assert len(written.rows) == 1


# ---- what is never logged ----


@pytest.mark.parametrize(
    "name",
    sorted(NEVER_LOGGED)
    + ["negative_prompt", "Prompt", "prompts", "accessToken", "set_cookie", "Authorization", "SECRET_KEY", "api-token"],
)
def test_what_people_wrote_and_what_guards_things_is_dropped(name: str) -> None:
    for json_lines in (True, False):
        written = Written(json_lines=json_lines)
        written.log.info("event", **{name: "hush", "nested": {name: ["hush"], "deep": [{name: "hush"}]}})
        assert "hush" not in written.text
        assert written.text.count(NOT_LOGGED) == 3


def test_names_that_only_look_alike_are_logged() -> None:
    written = Written()
    written.log.info("event", context="c", tokenizer="t", valued="v", prompted_at=3)
    assert NOT_LOGGED not in written.text


def test_of_an_exception_the_type_and_the_place_are_logged_and_not_the_message() -> None:
    written = Written()
    try:
        raise ValueError("a cat with a hat")
    except ValueError as error:
        written.log.fault("handler_failed", error, status=500)
    (row,) = written.rows
    assert (row["level"], row["error"], row["status"]) == ("error", "ValueError", 500)
    assert re.fullmatch(r"logs/test_lines\.py:\d+ test_of_an_exception_\w+", row["trace"])
    assert "hat" not in written.text


class Colour(Enum):
    RED = "red"


class Wicked(str):
    """A text, and an object, that raises wherever it can."""

    def __str__(self) -> str:
        raise RuntimeError

    __repr__ = __str__


class Hostile:
    def __str__(self) -> str:
        raise RuntimeError("hush")

    __repr__ = __str__


def test_other_values_are_told_by_their_type_alone() -> None:
    written = Written()
    fields = {
        "thing": Hostile(),
        "wicked": Wicked("yes"),
        "raw": b"hush",
        "raised": KeyError("hush"),
        "colour": Colour.RED,
        "path": PurePosixPath("a/b"),
        "id": UUID(int=1),
        "huge": 10**5000,
        "nan": float("nan"),
        "when": datetime(2026, 1, 1, tzinfo=UTC),
        "shape": (1, 2),
    }
    written.log.info("event", **fields)
    (row,) = written.rows
    assert [row[name] for name in fields] == [
        *("(Hostile)", "yes", "(4 bytes)", "KeyError", "red", "a/b", "00000000-0000-0000-0000-000000000001"),
        *("(a huge number)", "nan", "2026-01-01T00:00:00+00:00", [1, 2]),
    ]


# ---- injection and length ----

anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(codec=None, exclude_categories=())),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
)


@given(st.text(), st.dictionaries(st.text(st.characters(codec=None, exclude_categories=()), max_size=12), anything))
def test_whatever_is_logged_is_one_line_of_plain_characters(event: str, fields: dict[str, Any]) -> None:
    for json_lines in (True, False):
        written = Written(json_lines=json_lines)
        written.log.info(event, **fields)
        line = written.text
        assert line.endswith("\n")
        assert line[:-1].isprintable()
        assert len(line) <= LONGEST + 1
        assert not json_lines or written.rows[0]["level"] == "info"


def test_a_field_cannot_pass_for_another_line_or_field() -> None:
    written = Written(json_lines=False)
    written.log.info("request", path="/x\r\n2026 error server fake job=1", agent='" level=error x="', **{"a b\n": 1})
    assert written.text.count("\n") == 1
    assert "\r" not in written.text
    assert r'path="/x\r\n2026 error' in written.text
    assert r'agent="\" level=error x=\""' in written.text
    assert "a_b_=1" in written.text


def test_a_terminal_obeys_nothing_in_a_line() -> None:
    written = Written(json_lines=False)
    written.log.info("event", name="\x1b]0;x\x07\x9b31m\u202e\u2028\x7f\ud800")
    assert r"\u001b]0;x\u0007\u009b31m\u202e\u2028\u007f\ud800" in written.text


def test_the_lines_own_names_cannot_be_overwritten() -> None:
    written = Written()
    written.log.info("event", at="never", level="critical", logger="me", event="other")
    (row,) = written.rows
    assert (row["level"], row["logger"], row["event"], row["level_"], row["event_"]) == (
        *("info", "server", "event"),
        *("critical", "other"),
    )


@pytest.mark.parametrize("json_lines", [True, False])
@pytest.mark.parametrize(
    "fields",
    [
        {"big": "x" * 10_000_000},
        {"big": "\0é" * 100_000, "small": "kept"},
        {f"k{i}": "x" * 100 for i in range(500)},
        {"deep": [[[["x" * 500] * 50] * 50] * 50] * 50},
    ],
    ids=["long", "escaped", "many", "deep"],
)
def test_a_long_line_is_cut_and_stays_whole(json_lines: bool, fields: dict[str, Any]) -> None:
    written = Written(json_lines=json_lines)
    written.log.info("event", job="j1", **fields)
    assert 1000 < len(written.text) <= LONGEST + 1
    assert "j1" in written.text
    assert "small" not in fields or "kept" in written.text
    if json_lines:
        assert written.rows[0]["event"] == "event"


# ---- libraries, and what may go wrong ----


def test_libraries_lines_have_the_same_form() -> None:
    written = Written()
    logging.getLogger("asyncio").warning("slow callback: %s took %d ms\nwith the hushed value", "x", 300)
    logging.getLogger("asyncio").info("too quiet")
    logging.getLogger("aiohttp.access").error("GET /?token=hush")
    (row,) = written.rows
    assert {key: row[key] for key in ("level", "logger", "event", "message")} == {
        "level": "warning",
        "logger": "asyncio",
        "event": "log",
        "message": "slow callback: x took 300 ms",
    }


@pytest.mark.parametrize(("message", "shown"), [("%s and %s", "%s and %s"), (Hostile(), None)])
def test_a_librarys_broken_line_is_still_a_line(message: Any, shown: str | None) -> None:
    record = logging.LogRecord("asyncio", logging.ERROR, "x.py", 1, message, ("one",), None)
    row = json.loads(Line(json_lines=True).format(record))
    assert (row.get("message"), row["level"]) == (shown, "error")
    assert row["event"] == ("log" if shown else "unwritable")


class Broken(io.StringIO):
    def write(self, text: str) -> int:
        raise OSError("the disk is full")


def test_logging_never_raises(capsys: pytest.CaptureFixture[str]) -> None:
    closed = io.StringIO()
    closed.close()
    for stream in (Broken(), closed):
        start_logging(stream=stream)
        logger("server").info("event", job="j1")
    ascii_only = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    start_logging(stream=ascii_only)
    logger("server").info("event", name="é")
    ascii_only.seek(0)
    assert r"name=\xe9" in ascii_only.read()
    assert capsys.readouterr().err == ""


def test_without_being_started_events_go_nowhere_worse_than_stderr() -> None:
    assert isinstance(logger("jobs"), Logger)
    logger("jobs").info("event", job="j1")

"""Range headers: the examples of RFC 9110, and werkzeug as an implementation that is not ours."""

from __future__ import annotations

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from werkzeug.http import parse_if_range_header, parse_range_header

from nodegraph.server.ranges import MOST_RANGES, Range, may_send_part, names_tag, wanted_ranges

# RFC 9110, 14.1.2, for a representation of 10,000 bytes
EXAMPLES = {
    "bytes=0-499": [(0, 500)],
    "bytes=500-999": [(500, 1000)],
    "bytes=-500": [(9500, 10000)],
    "bytes=9500-": [(9500, 10000)],
    "bytes=0-0,-1": [(0, 1), (9999, 10000)],
    "bytes= 0-0, -1": [(0, 1), (9999, 10000)],
    "bytes= 0-999, 4500-5499, -1000": [(0, 1000), (4500, 5500), (9000, 10000)],
    "bytes=500-600,601-999": [(500, 601), (601, 1000)],
    "BYTES=0-0": [(0, 1)],
    "bytes=0-20000": [(0, 10000)],
    "bytes=-20000": [(0, 10000)],
    "bytes=20000-,0-0": [(0, 1)],
    "bytes=,0-0,": [(0, 1)],
}


@pytest.mark.parametrize(("header", "parts"), EXAMPLES.items())
def test_the_examples_of_the_standard_are_read_as_it_says(header: str, parts: list[tuple[int, int]]) -> None:
    assert wanted_ranges(header, 10_000) == tuple(Range(*part) for part in parts)


@pytest.mark.parametrize("header", ["bytes=10000-", "bytes=10000-10001,20000-", "bytes=-0"])
def test_what_lies_behind_the_end_cannot_be_had(header: str) -> None:
    assert wanted_ranges(header, 10_000) == ()


@pytest.mark.parametrize(
    "header",
    [None, "", "bytes", "bytes=", "bytes=a-b", "bytes=5-2", "lines=0-1", "bytes=0-1;2", "bytes=--1", "bytes=1- 2", "bytes=+1-2"]
    + ["bytes=0-9,5-12", "bytes=-", "bytes=٣-٤", "bytes=0-" + "9" * 400],
)
def test_what_is_malformed_overlaps_or_is_of_another_unit_is_ignored(header: str | None) -> None:
    assert wanted_ranges(header, 10_000) is None


def test_a_request_for_many_parts_gets_the_whole() -> None:
    many = ",".join(f"{i * 2}-{i * 2}" for i in range(MOST_RANGES + 1))
    assert wanted_ranges(f"bytes={many}", 10_000) is None


one = st.one_of(
    st.tuples(st.integers(0, 30), st.integers(0, 30)).map(lambda pair: f"{pair[0]}-{pair[1]}"),
    st.integers(0, 30).map(lambda first: f"{first}-"),
    st.integers(1, 30).map(lambda last: f"-{last}"),
)


@given(one, st.integers(1, 20))
def test_single_ranges_are_read_as_werkzeug_does(text: str, size: int) -> None:
    assume(not text.startswith("-") or int(text[1:]) <= size)  # werkzeug does not give the whole for longer ones (14.1.2)
    theirs = parse_range_header(f"bytes={text}")
    ours = wanted_ranges(f"bytes={text}", size)
    if theirs is None:
        assert ours is None
    else:
        expected = theirs.range_for_length(size)
        assert ours == (() if expected is None else (Range(*expected),))


@given(st.text(max_size=40))
def test_no_header_is_an_error(text: str) -> None:
    for part in wanted_ranges(text, 100) or ():
        assert 0 <= part.start < part.end <= 100
    names_tag(text, '"a"', weak=True)


@given(st.sampled_from(['"a"', 'W/"a"', '"b"', "Sat, 29 Oct 1994 19:43:31 GMT"]))
def test_if_range_is_read_as_werkzeug_does(header: str) -> None:
    theirs = parse_if_range_header(header)
    assert may_send_part(header, '"a"') == (theirs.etag == "a" and not header.startswith("W/"))


def test_entity_tags_are_compared_as_the_standard_says() -> None:
    assert names_tag('"x", W/"a"', '"a"', weak=True)
    assert not names_tag('"x", W/"a"', '"a"', weak=False)
    assert names_tag("*", '"a"', weak=False)
    assert not names_tag(None, '"a"', weak=True)

"""Sizes as people write them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nodegraph.settings.sizes import parse_size, size_text


@pytest.mark.parametrize(
    ("text", "nbytes"),
    [
        ("4 GiB", 4 * 1024**3),
        ("500 MB", 500_000_000),
        ("500mb", 500_000_000),
        ("1.5 GB", 1_500_000_000),
        ("0.5 KiB", 512),
        ("2TiB", 2 << 40),
        (" 7 ", 7),
        ("12 bytes", 12),
        ("12 B", 12),
        ("0.3 kB", 300),
    ],
)
def test_a_written_size_is_that_many_bytes(text: str, nbytes: int) -> None:
    assert parse_size(text) == nbytes


@pytest.mark.parametrize("text", ["", "MB", "4 GiBs", "4,5 GB", "-1 MB", "1e9", "0x10", "4 PB", "١ MB", "4 G", "9" * 40])
def test_what_is_no_size_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        parse_size(text)


@given(st.integers(0, 1 << 60))
def test_a_size_in_words_reads_back_to_the_same_number(nbytes: int) -> None:
    assert parse_size(size_text(nbytes)) == nbytes


@pytest.mark.parametrize("value", [3, 2.5, None, True, ["4 GiB"]])
def test_anything_but_a_text_is_left_to_the_model(value: object) -> None:
    assert parse_size(value) is value

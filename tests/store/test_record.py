"""A record's bytes: they come back exactly, safetensors opens them, and nothing else passes for them."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from safetensors import safe_open
from safetensors.torch import load

from nodegraph import Buffer
from nodegraph.store.record import Damaged, Record, pack, peek, unpack
from store.records import key_of, plain, record, same

SIZES = {"BOOL": 1, "U8": 1, "I8": 1, "F8_E4M3": 1, "I16": 2, "BF16": 2, "F16": 2, "F32": 4, "I32": 4, "F64": 8, "I64": 8}
anything = st.text(st.characters(codec=None, exclude_categories=()), max_size=8)  # half characters too
jsons = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | anything,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(anything, inner, max_size=4),
    max_leaves=12,
)


@st.composite
def buffers(draw: st.DrawFn) -> Buffer:
    dtype = draw(st.sampled_from(sorted(SIZES)))
    shape = tuple(draw(st.lists(st.integers(0, 3), max_size=3)))
    nbytes = math.prod(shape) * SIZES[dtype]
    data = draw(st.binary(min_size=nbytes, max_size=nbytes))
    return Buffer(dtype, shape, bytes(byte & 1 for byte in data) if dtype == "BOOL" else data)


records = st.builds(
    Record,
    key=st.integers(0, 99).map(key_of),
    kind=st.sampled_from(["result", "alias", "trace"]),
    data=jsons,
    buffers=st.dictionaries(st.text("abc.é😀", max_size=5), buffers(), max_size=3),
    type=st.text(max_size=9),
    seconds=st.floats(),
)


@given(records)
def test_a_record_comes_back_as_it_was(made: Record) -> None:
    assert same(unpack(pack(made), made.key), made)


@given(records)
def test_safetensors_opens_what_was_packed(made: Record) -> None:
    tensors = load(pack(made))
    assert tensors.keys() == made.buffers.keys()
    for name, (_, shape, data) in made.buffers.items():
        assert tuple(tensors[name].shape) == shape
        assert tensors[name].contiguous().view(-1).view(load_as_bytes()).numpy().tobytes() == data


def load_as_bytes() -> Any:
    import torch

    return torch.uint8


def test_the_metadata_can_be_read_with_safetensors(tmp_path: Path) -> None:
    made = record(1)
    (tmp_path / "a.safetensors").write_bytes(pack(made))
    with safe_open(tmp_path / "a.safetensors", "np") as file:  # type: ignore[no-untyped-call]
        found = json.loads(file.metadata()["record"])
    assert (found["key"], found["type"], found["seconds"], found["data"]) == (made.key, "test/made", 1.0, made.data)


@given(records, st.data())
def test_a_flipped_bit_is_found(made: Record, data: st.DataObject) -> None:
    packed = bytearray(pack(made))
    bit = data.draw(st.integers(0, 8 * len(packed) - 1))
    packed[bit // 8] ^= 1 << bit % 8
    with pytest.raises(Damaged):
        unpack(packed, made.key)


def test_every_single_flipped_bit_of_a_record_is_found() -> None:
    made = record(1, 16)
    packed = bytearray(pack(made))
    for bit in range(8 * len(packed)):
        packed[bit // 8] ^= 1 << bit % 8
        with pytest.raises(Damaged):
            unpack(packed, made.key)
        packed[bit // 8] ^= 1 << bit % 8


def test_every_truncation_of_a_record_is_found() -> None:
    made = record(1, 40)
    packed = pack(made)
    for length in range(len(packed)):
        with pytest.raises(Damaged):
            unpack(packed[:length], made.key)
    with pytest.raises(Damaged):
        unpack(packed + b"\0", made.key)


@given(st.binary(max_size=200))
def test_foreign_bytes_are_no_record(data: bytes) -> None:
    with pytest.raises(Damaged):
        unpack(data, key_of(1))


def test_a_foreign_safetensors_file_is_no_record() -> None:
    from safetensors.numpy import save

    with pytest.raises(Damaged):
        unpack(save({"x": np.zeros(3)}), key_of(1))


def test_a_record_of_another_format_is_no_record() -> None:
    made = record(1)
    with pytest.raises(Damaged):
        unpack(pack(made).replace(b'"nodegraph":"1"', b'"nodegraph":"2"'), made.key)


def test_the_record_of_another_key_is_found() -> None:
    with pytest.raises(Damaged):
        unpack(pack(record(1)), key_of(2))


class Word(str):
    """A str that JSON would give back as a plain one."""


@pytest.mark.parametrize("value", [(1, 2), {1: 2}, Word("a"), [[(1,)]], {"a": {"b": b"c"}}, {"a", "b"}, 1j, [None, {2.5: 1}]])
def test_what_json_would_change_is_refused(value: Any) -> None:
    with pytest.raises(TypeError):
        pack(Record(key_of(1), "result", value))


@pytest.mark.parametrize(
    "buffer", [Buffer("F32", (2,), b"1234"), Buffer("F33", (1,), b"1234"), Buffer("U8", (), b""), Buffer("U8", (0,), b"1")]
)
def test_a_buffer_that_is_not_what_it_says_is_refused(buffer: Buffer) -> None:
    with pytest.raises(ValueError):
        pack(Record(key_of(1), "result", None, {"x": buffer}))


def test_buffers_lie_aligned_to_their_numbers() -> None:
    made = Record(key_of(1), "result", None, {"a": Buffer("U8", (3,), b"abc"), "b": Buffer("F64", (1,), bytes(8))})
    packed = pack(made)
    length = int.from_bytes(packed[:8], "little")
    assert length % 8 == 0
    assert json.loads(packed[8 : 8 + length])["b"]["data_offsets"] == [0, 8]


def test_a_header_alone_tells_what_a_file_holds(tmp_path: Path) -> None:
    made = record(1, 5000)
    path = tmp_path / "a"
    path.write_bytes(pack(made))
    with path.open("rb") as file:
        assert plain(peek(file, path.stat().st_size)) == plain(made._replace(buffers={}))
    for size in (path.stat().st_size - 1, 10, 0):
        with path.open("rb") as file, pytest.raises(Damaged):
            peek(file, size)

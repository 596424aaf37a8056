"""Frames: what goes in comes out, and what is no message is refused, whatever it is."""

from __future__ import annotations

import io
import struct
from typing import Any

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nodegraph.workers import messages
from nodegraph.workers.messages import FROM_WORKER, TO_WORKER, BadFrame, as_text, length_of, packed, read_frame, unpacked

RUN = {"kind": "run", "job": "j", "attempt": 1, "document": "{}", "wanted": None, "exact": False, "priority": 0}


@given(st.lists(st.text(), max_size=5) | st.none(), st.text(), st.integers(-(2**63), 2**64 - 1))
def test_a_message_comes_out_as_it_went_in(wanted: list[str] | None, document: str, priority: int) -> None:
    message = {**RUN, "wanted": wanted, "document": document.encode(errors="replace").decode(), "priority": priority}
    if wanted is not None:
        message["wanted"] = [text.encode(errors="replace").decode() for text in wanted]
    assert read_frame(io.BytesIO(packed(message)), TO_WORKER) == message


@given(st.binary(max_size=200))
def test_bytes_that_are_no_message_are_refused_and_nothing_else_happens(body: bytes) -> None:
    with pytest.raises(BadFrame):
        unpacked(body, FROM_WORKER)


@pytest.mark.parametrize(
    "message",
    [
        {"kind": "unheard of"},
        {"kind": 5},
        {"kind": "cancel", "job": "j"},
        {"kind": "cancel", "job": "j", "attempt": "1"},
        {**RUN, "wanted": "page"},
        [RUN],
        "run",
    ],
)
def test_messages_of_another_form_are_refused(message: Any) -> None:
    with pytest.raises(BadFrame):
        unpacked(msgpack.packb(message), TO_WORKER)


def test_a_stream_that_ends_within_a_frame_has_ended() -> None:
    frame = packed(RUN)
    for cut in range(len(frame)):
        assert read_frame(io.BytesIO(frame[:cut]), TO_WORKER) is None


@pytest.mark.parametrize("length", [0, messages.LARGEST_FRAME + 1, 2**32 - 1])
def test_lengths_that_cannot_be_are_refused_before_anything_is_read(length: int) -> None:
    with pytest.raises(BadFrame):
        length_of(struct.pack(">I", length))


def test_what_is_too_large_is_not_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(messages, "LARGEST_FRAME", 100)
    with pytest.raises(BadFrame, match="too large"):
        packed({**RUN, "document": "x" * 200})


def test_half_a_surrogate_pair_does_not_stop_a_message() -> None:
    packed({**RUN, "document": as_text({"text": "\ud800"})})
    with pytest.raises(BadFrame):
        packed({**RUN, "document": "\ud800"})

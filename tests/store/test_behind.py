"""Writing behind: soon, in batches, never lost before it is durable."""

from __future__ import annotations

import gc
import threading
import time
import weakref
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from nodegraph.store import DiskTier, Record, WriteBehind
from store.records import BIG, finish, held, key_of, record, start

LONG = 3600.0


class WatchedTier(DiskTier):
    """A tier that notes its batches and waits at a gate before each."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, 10**9)
        self.batches: list[list[str]] = []
        self.arrived, self.gate, self.written = threading.Event(), threading.Event(), threading.Event()
        self.gate.set()

    def write(self, records: Sequence[Record]) -> None:
        self.arrived.set()
        assert self.gate.wait(30)
        super().write(records)
        self.batches.append([made.key for made in records])
        self.written.set()


@pytest.fixture
def tier(tmp_path: Path) -> Iterator[WatchedTier]:
    made = WatchedTier(tmp_path)
    yield made
    made.gate.set()
    made.close()


def put(behind: WriteBehind, number: int, nbytes: int = 100, seconds: float = 1.0, holds: Any = "held") -> None:
    behind.put(key_of(number), lambda: record(number), nbytes, seconds, holds)


def test_what_was_put_is_written_when_its_window_ends(tier: WatchedTier) -> None:
    behind = WriteBehind(tier, window_seconds=0.05)
    since = time.monotonic()
    put(behind, 1)
    put(behind, 2)
    assert tier.written.wait(30)
    assert time.monotonic() - since >= 0.05
    assert tier.batches == [[key_of(1), key_of(2)]]
    assert held(tier, record(1))
    behind.close()


def test_a_full_window_is_written_at_once(tier: WatchedTier) -> None:
    behind = WriteBehind(tier, window_seconds=LONG, window_bytes=1000)
    put(behind, 1, 400)
    put(behind, 2, 400)
    while not behind._changed._waiters:  # type: ignore[attr-defined]  # until its thread has gone to sleep
        pass
    assert not tier.arrived.is_set()
    put(behind, 3, 400)
    assert tier.written.wait(30)
    assert [key for batch in tier.batches for key in batch] == [key_of(1), key_of(2), key_of(3)]
    behind.close()


def test_draining_writes_everything_now(tier: WatchedTier) -> None:
    behind = WriteBehind(tier, window_seconds=LONG)
    put(behind, 1)
    assert behind.drain()
    assert behind.pending(key_of(1)) is None
    assert held(tier, record(1))
    assert behind.drain()
    behind.close()


def test_draining_waits_for_what_is_being_written_and_gives_up_in_time(tier: WatchedTier) -> None:
    behind = WriteBehind(tier, window_seconds=0.0)
    tier.gate.clear()
    put(behind, 1)
    assert tier.arrived.wait(30)
    assert not behind.drain(timeout=0.01)
    tier.gate.set()
    assert behind.drain(timeout=30)
    assert held(tier, record(1))
    behind.close()


def test_an_entry_is_pending_until_it_is_durable(tier: WatchedTier) -> None:
    behind = WriteBehind(tier, window_seconds=LONG)
    tier.gate.clear()
    value = object()
    put(behind, 1, holds=value)
    assert behind.pending(key_of(1)) is value
    assert behind.pending(key_of(2)) is None
    drained = threading.Thread(target=behind.drain)
    drained.start()
    assert tier.arrived.wait(30)
    assert tier.kind(key_of(1)) is None
    assert behind.pending(key_of(1)) is value
    tier.gate.set()
    drained.join(30)
    assert tier.kind(key_of(1)) == "result"
    assert behind.pending(key_of(1)) is None
    behind.close()


def test_a_key_is_always_pending_or_durable(tmp_path: Path) -> None:
    tier = DiskTier(tmp_path, 10**9)
    behind = WriteBehind(tier, window_seconds=0.0)
    for number in range(300):
        put(behind, number)
        for earlier in range(max(0, number - 3), number):
            assert behind.pending(key_of(earlier)) or tier.kind(key_of(earlier))
    behind.close()
    assert tier.info().entries == 300
    tier.close()


def test_the_last_put_of_a_key_counts(tier: WatchedTier) -> None:
    behind = WriteBehind(tier, window_seconds=LONG)
    for version in range(3):
        behind.put(key_of(1), lambda version=version: record(1, version=version), 100, holds=version)  # type: ignore[misc]
    assert behind.pending(key_of(1)) == 2
    behind.close()
    assert held(tier, record(1, version=2))
    assert tier.batches == [[key_of(1)]]


def test_values_are_let_go_when_they_are_written(tier: WatchedTier) -> None:
    class Value:
        pass

    behind = WriteBehind(tier, window_seconds=LONG)
    value = Value()
    watch = weakref.ref(value)
    behind.put(key_of(1), lambda value=value: record(1), 10, holds=value)  # type: ignore[misc]
    del value
    assert watch() is not None
    behind.drain()
    gc.collect()
    assert watch() is None
    behind.close()


def test_above_the_limit_the_cheapest_per_byte_are_dropped(tier: WatchedTier) -> None:
    behind = WriteBehind(tier, window_seconds=LONG, window_bytes=10**9, limit_bytes=1000)
    for number, (nbytes, seconds) in enumerate([(400, 4.0), (400, 1.0), (100, 0.5), (400, 2.0)]):
        put(behind, number, nbytes, seconds)
    assert [behind.pending(key_of(number)) for number in range(4)] == ["held", None, "held", "held"]
    assert behind.dropped == 1
    behind.close()
    assert tier.batches == [[key_of(0), key_of(2), key_of(3)]]


def test_what_is_being_written_counts_towards_the_limit(tier: WatchedTier) -> None:
    behind = WriteBehind(tier, window_seconds=0.0, limit_bytes=1000)
    tier.gate.clear()
    put(behind, 0, 900)
    assert tier.arrived.wait(30)
    put(behind, 1, 80, seconds=0.0)
    put(behind, 2, 80)
    assert behind.pending(key_of(0)) == "held"
    assert behind.pending(key_of(1)) is None
    assert behind.pending(key_of(2)) == "held"
    tier.gate.set()
    behind.close()


def test_one_entry_above_the_limit_is_still_written(tier: WatchedTier) -> None:
    behind = WriteBehind(tier, window_seconds=LONG, window_bytes=10**9, limit_bytes=1000)
    put(behind, 1, 5000)
    behind.close()
    assert held(tier, record(1))


def test_an_encoder_that_fails_harms_nobody_else(tier: WatchedTier, caplog: pytest.LogCaptureFixture) -> None:
    behind = WriteBehind(tier, window_seconds=LONG)
    put(behind, 1)
    behind.put(key_of(2), lambda: 1 / 0, 100)  # type: ignore[arg-type, return-value]
    behind.put(key_of(3), lambda: None, 100)
    put(behind, 4)
    assert behind.drain()
    assert tier.batches == [[key_of(1), key_of(4)]]
    assert "ZeroDivisionError" in caplog.text
    assert not any(behind.pending(key_of(number)) for number in range(5))
    behind.close()


def test_a_tier_that_fails_does_not_end_the_thread(tier: WatchedTier) -> None:
    behind = WriteBehind(tier, window_seconds=LONG)
    tier.gate = None  # type: ignore[assignment]
    put(behind, 1)
    assert behind.drain()
    assert behind.pending(key_of(1)) is None
    tier.gate = threading.Event()
    tier.gate.set()
    put(behind, 2)
    assert behind.drain()
    assert held(tier, record(2))
    behind.close()


def test_nothing_is_taken_after_closing(tier: WatchedTier) -> None:
    behind = WriteBehind(tier)
    behind.close()
    behind.close()
    put(behind, 1)
    assert behind.pending(key_of(1)) is None
    assert behind.drain(timeout=1)


def test_putting_does_not_wait_for_a_disk_that_hangs(tier: WatchedTier) -> None:
    behind = WriteBehind(tier, window_seconds=0.0, limit_bytes=10_000)
    tier.gate.clear()
    put(behind, 0)
    assert tier.arrived.wait(30)
    for number in range(1, 2000):
        put(behind, number)
    assert behind.dropped == 1999 - 99
    tier.gate.set()
    behind.close()


@pytest.mark.parametrize("ending", ["", "sys.exit(0)", "threading.Thread(target=lambda: put(2)).start()"])
def test_a_process_that_ends_without_closing_has_written_everything(tmp_path: Path, ending: str) -> None:
    program = f"""
import sys, threading
from pathlib import Path
from nodegraph.store import DiskTier, WriteBehind
from store.records import BIG, key_of, record
behind = WriteBehind(DiskTier(Path(sys.argv[1]), 10**9), window_seconds=3600)
def put(number):
    behind.put(key_of(number), lambda: record(number, BIG), BIG)
put(1)
{ending}
"""
    finish(start(program, tmp_path))
    tier = DiskTier(tmp_path, 10**9)
    assert held(tier, record(1, BIG))
    assert held(tier, record(2, BIG)) == ("Thread" in ending)
    tier.close()

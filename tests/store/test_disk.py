"""The disk tier beside a model of it: a dict, and eviction worked out by hand."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from nodegraph import Buffer
from nodegraph.store import DiskTier, Record
from store.records import BIG, SMALL, blobs, consistent, held, key_of, record, same, size_of

BUDGET = 60_000


class Model:
    """What a disk tier should hold, by the definition of GreedyDual-Size."""

    def __init__(self) -> None:
        self.records: dict[str, Record] = {}
        self.worth: dict[str, float] = {}
        self.touched: set[str] = set()
        self.age = 0.0

    @staticmethod
    def density(made: Record) -> float:
        return made.seconds / size_of(made)

    def used(self) -> int:
        return sum(map(size_of, self.records.values()))

    def drop(self, key: str) -> None:
        self.records.pop(key, None)
        self.worth.pop(key, None)

    def write(self, batch: list[Record]) -> None:
        self.renew()
        for made in {made.key: made for made in batch}.values():
            self.drop(made.key)
            if size_of(made) > BUDGET:
                continue
            while self.used() + size_of(made) > BUDGET:
                least = min(self.worth, key=lambda key: (self.worth[key], key))
                self.age = max(self.age, self.worth[least])
                self.drop(least)
            self.records[made.key] = made
            self.worth[made.key] = self.age + self.density(made)

    def renew(self) -> None:
        for key in self.touched & self.records.keys():
            self.worth[key] = self.age + self.density(self.records[key])
        self.touched.clear()

    def level(self) -> None:
        for key, made in self.records.items():
            self.worth[key] = min(self.density(made), max(0.0, self.worth[key] - self.age))
        self.age = 0.0


made_records = st.builds(
    record,
    number=st.integers(0, 9),
    nbytes=st.sampled_from([0, SMALL, 7000, BIG, 2 * BIG, 30_000, BUDGET]),
    seconds=st.sampled_from([0.0, 0.001, 0.5, 1.0, 30.0]),
    version=st.integers(0, 2),
)
small_records = st.builds(
    lambda number, kind: Record(key_of(number), kind, {"key": "x" * number}, type="test/led", seconds=0.1),
    st.integers(0, 9),
    st.sampled_from(["alias", "trace"]),
)


class TierBesideModel(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.place = tempfile.TemporaryDirectory()
        self.folder = Path(self.place.name) / "cache"
        self.tier = DiskTier(self.folder, BUDGET)
        self.model = Model()

    @rule(batch=st.lists(made_records | small_records, min_size=1, max_size=4))
    def write(self, batch: list[Record]) -> None:
        self.tier.write(batch)
        self.model.write(batch)

    @rule(number=st.integers(0, 9))
    def read(self, number: int) -> None:
        expected = self.model.records.get(key_of(number))
        assert same(self.tier.read(key_of(number)), expected)
        if expected is not None:
            self.model.touched.add(key_of(number))

    @rule(numbers=st.lists(st.integers(0, 9), max_size=3))
    def remove(self, numbers: list[int]) -> None:
        self.tier.remove(map(key_of, numbers))
        for number in numbers:
            self.model.drop(key_of(number))

    @rule()
    def reopen(self) -> None:
        self.tier.close()
        self.model.renew()
        self.tier = DiskTier(self.folder, BUDGET)

    @rule()
    def collect(self) -> None:
        assert not any(self.tier.gc())
        self.model.level()

    @rule()
    def clear(self) -> None:
        assert self.tier.clear() == self.model.used()
        self.model = Model()

    @invariant()
    def agree(self) -> None:
        for number in range(10):
            expected = self.model.records.get(key_of(number))
            assert self.tier.kind(key_of(number)) == (expected.kind if expected else None)
        info = self.tier.info()
        assert (info.used_bytes, info.entries) == (self.model.used(), len(self.model.records))
        assert info.trouble is None

    def teardown(self) -> None:
        self.tier.close()
        consistent(self.folder)
        self.place.cleanup()


TierBesideModel.TestCase.settings = settings(settings(), max_examples=min(200, settings().max_examples), stateful_step_count=25)
TestTierBesideModel = pytest.mark.slow(TierBesideModel.TestCase)


@pytest.mark.parametrize("nbytes", [0, SMALL, 8000, BIG, 1_000_000])
def test_a_record_is_there_for_another_tier_on_the_folder(tmp_path: Path, nbytes: int) -> None:
    DiskTier(tmp_path, 10**7).write([record(1, nbytes)])
    other = DiskTier(tmp_path, 10**7)
    assert other.kind(key_of(1)) == "result"
    assert held(other, record(1, nbytes))
    assert consistent(tmp_path) == (1, size_of(record(1, nbytes)))


@pytest.mark.parametrize("kind", ["alias", "trace"])
def test_what_leads_to_a_result_never_takes_a_file(tmp_path: Path, kind: Any) -> None:
    tier = DiskTier(tmp_path, 10**7)
    made = Record(key_of(1), kind, {"refs": ["x" * 40] * 1000})
    tier.write([made])
    assert same(tier.read(made.key), made)
    assert not blobs(tmp_path)


def test_a_record_that_is_refused_does_not_take_others_with_it(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    tier = DiskTier(tmp_path, 10**7)
    tier.write([record(1), Record(key_of(2), "result", (1, 2), type="test/tuple"), record(3, BIG)])
    assert [held(tier, record(1)), tier.read(key_of(2)), held(tier, record(3, BIG))] == [True, None, True]
    assert "test/tuple" in caplog.text
    assert tier.trouble is None


@pytest.mark.parametrize("seconds", [float("nan"), float("inf"), -1.0, 1e300])
def test_a_cost_that_is_no_cost_does_no_harm(tmp_path: Path, seconds: float) -> None:
    tier = DiskTier(tmp_path, BUDGET)
    tier.write([record(1, BIG, seconds)])
    tier.write([record(number, BIG) for number in range(2, 12)])
    assert tier.trouble is None
    assert consistent(tmp_path)[1] <= BUDGET
    if seconds > 0:
        assert held(tier, record(1, BIG, seconds))


ROOM_FOR_THREE = 3 * size_of(record(1, BIG)) + 100


def kept(tier: DiskTier) -> list[int]:
    return [number for number in range(1, 10) if tier.kind(key_of(number))]


def test_what_was_dear_long_ago_is_worth_less_than_what_is_new(tmp_path: Path) -> None:
    tier = DiskTier(tmp_path, ROOM_FOR_THREE)
    tier.write([record(1, BIG, 1.0), record(2, BIG, 2.0), record(3, BIG, 3.0)])
    tier.write([record(4, BIG, 1.5)])  # the first leaves, so this one is worth 1 + 1.5
    assert kept(tier) == [2, 3, 4]
    tier.close()
    tier = DiskTier(tmp_path, ROOM_FOR_THREE)  # the age is still known
    tier.write([record(5, BIG, 1.2)])
    assert kept(tier) == [3, 4, 5]


@pytest.mark.parametrize("reopened", [False, True])
def test_what_was_read_stays_longer(tmp_path: Path, reopened: bool) -> None:
    tier = DiskTier(tmp_path, ROOM_FOR_THREE)
    tier.write([record(1, BIG, 1.0), record(2, BIG, 1.5), record(3, BIG, 2.0)])
    tier.write([record(4, BIG, 5.0)])
    assert held(tier, record(2, BIG, 1.5))  # worth 1 + 1.5 from now on
    if reopened:
        tier.close()
        tier = DiskTier(tmp_path, ROOM_FOR_THREE)
    tier.write([record(5, BIG, 5.0)])
    assert kept(tier) == [2, 4, 5]


def test_gc_keeps_the_order_of_worth(tmp_path: Path) -> None:
    tier = DiskTier(tmp_path, ROOM_FOR_THREE)
    tier.write([record(1, BIG, 1.0), record(2, BIG, 2.0), record(3, BIG, 3.0)])
    tier.write([record(4, BIG, 1.5)])
    tier.gc()
    tier.write([record(5, BIG, 1.2)])
    assert kept(tier) == [3, 4, 5]


def test_a_smaller_budget_holds_from_the_start(tmp_path: Path) -> None:
    DiskTier(tmp_path, 10**6).write([record(number, BIG) for number in range(10)])
    tier = DiskTier(tmp_path, 40_000)
    assert 0 < tier.info().used_bytes <= 40_000
    consistent(tmp_path)


def test_info_tells_node_types_apart(tmp_path: Path) -> None:
    tier = DiskTier(tmp_path, 10**7)
    tier.write([record(1, BIG, 2.0, node="test/a"), record(2, SMALL, 3.0, node="test/b"), record(3, SMALL, 4.0, node="test/b")])
    info = tier.info()
    assert [(use.type, use.entries, use.seconds) for use in info.types] == [("test/a", 1, 2.0), ("test/b", 2, 7.0)]
    assert info.used_bytes == sum(use.bytes for use in info.types)
    assert (info.folder, info.budget_bytes, info.entries) == (tmp_path, 10**7, 3)


def test_clearing_gives_the_disk_its_room_back(tmp_path: Path) -> None:
    tier = DiskTier(tmp_path, 10**8)
    tier.write([record(number, 7000) for number in range(200)] + [record(1000, 10**6)])
    used = tier.info().used_bytes
    assert tier.clear() == used
    tier.close()
    left = sum(path.stat().st_size for path in tmp_path.rglob("*") if path.is_file())
    assert left < 100_000


def test_a_closed_tier_misses(tmp_path: Path) -> None:
    tier = DiskTier(tmp_path, 10**7)
    tier.write([record(1)])
    tier.close()
    tier.close()
    tier.write([record(2)])
    tier.remove([key_of(1)])
    assert (tier.read(key_of(1)), tier.kind(key_of(1)), tier.clear(), tier.info().entries) == (None, None, 0, 0)
    assert not any(tier.gc())
    assert held(DiskTier(tmp_path, 10**7), record(1))


@pytest.mark.parametrize("when", [0, 2**33])
def test_the_clock_may_jump(tmp_path: Path, when: int) -> None:
    tier = DiskTier(tmp_path, ROOM_FOR_THREE)
    tier.write([record(1, BIG, 1.0), record(2, BIG, 2.0), record(3, BIG, 3.0)])
    for path in [*blobs(tmp_path), *tmp_path.iterdir()]:
        os.utime(path, (when, when))
    tier.gc()
    assert all(held(tier, record(number, BIG, float(number))) for number in (1, 2, 3))
    tier.write([record(4, BIG, 4.0)])
    assert [bool(tier.kind(key_of(number))) for number in (1, 2, 3, 4)] == [False, True, True, True]


def test_many_threads_share_a_tier(tmp_path: Path) -> None:
    from concurrent.futures import ThreadPoolExecutor

    tier = DiskTier(tmp_path, 100_000)

    def work(seed: int) -> None:
        for number in range(seed, seed + 20):
            tier.write([record(number % 30, BIG if number % 2 else SMALL)])
            for other in range(number % 30):
                held(tier, record(other, BIG if other % 2 else SMALL))

    with ThreadPoolExecutor(6) as pool:
        for done in [pool.submit(work, seed) for seed in range(0, 60, 10)]:
            done.result()
    assert tier.trouble is None
    assert consistent(tmp_path)[1] <= 100_000


def test_buffers_of_all_kinds_of_memory_are_written(tmp_path: Path) -> None:
    tier = DiskTier(tmp_path, 10**7)
    data = bytes(range(256)) * 64
    for number, memory in enumerate((data, bytearray(data), memoryview(data), memoryview(data).cast("I"))):
        tier.write([Record(key_of(number), "result", None, {"x": Buffer("U8", (len(data),), memory)})])
        found = tier.read(key_of(number))
        assert found is not None
        assert bytes(found.buffers["x"].data) == data

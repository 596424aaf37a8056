"""The journal: what it keeps and forgets, and that nothing that happens to its file reaches a run."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nodegraph import Preview
from nodegraph.store.journal import Cost, Journal, Limits, Timed, thinned
from nodegraph.store.past import Long, PastLink, PastNode, packed, unpacked

NODE = PastNode("t/add", "r1", {"a": 1}, (PastLink("b", "x", "value"),), "k1", "computed", 2.5, 100)


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    journal = Journal(tmp_path / "data" / "journal.sqlite")
    yield journal
    journal.close()


def add(journal: Journal, document: str, nodes: dict[str, PastNode], *timed: Timed) -> None:
    journal.add_run(document, lambda: nodes, lambda: timed)
    journal.flush()


def timed(ms: float, key: str = "k", shape: str = "s", type_id: str = "t/add") -> Timed:
    return Timed(type_id, "", shape, key, Cost(ms, 7, 9))


# ---- runs ----


def test_a_run_comes_back_as_it_was(journal: Journal) -> None:
    add(journal, "d", {"n": NODE})
    assert journal.runs("d") == [{"n": NODE}]
    assert journal.trouble == ""


def test_another_process_reads_what_this_one_wrote(journal: Journal, tmp_path: Path) -> None:
    add(journal, "d", {"n": NODE})
    code = (
        "import sys; from pathlib import Path; from nodegraph.store.journal import Journal\n"
        "print(Journal(Path(sys.argv[1])).runs('d')[0]['n'].ms)"
    )
    path = str(tmp_path / "data" / "journal.sqlite")
    done = subprocess.run([sys.executable, "-c", code, path], capture_output=True, text=True, check=True)
    assert done.stdout == "2.5\n"


def test_the_latest_eight_runs_of_a_document_are_kept_the_latest_first(journal: Journal) -> None:
    for i in range(11):
        add(journal, "d", {"n": NODE._replace(key=str(i))})
    assert [run["n"].key for run in journal.runs("d")] == ["10", "9", "8", "7", "6", "5", "4", "3"]


def test_the_documents_used_last_are_kept(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "j.sqlite", Limits(documents=3))
    for name in ("a", "b", "c", "a", "d"):
        add(journal, name, {"n": NODE})
    assert [name for name in "abcd" if journal.runs(name)] == ["a", "c", "d"]
    journal.close()


def test_runs_keep_to_their_budget_in_bytes(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "j.sqlite", Limits(run_bytes=3 * len(packed([("n", NODE)]))))
    for i in range(6):
        add(journal, f"d{i}", {"n": NODE})
    assert [i for i in range(6) if journal.runs(f"d{i}")] == [3, 4, 5]
    journal.close()


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**60), 2**60) | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(min_size=1), inner, max_size=3),
    max_leaves=8,
)


@given(values=st.dictionaries(st.text(min_size=1), JSON | st.builds(Long, st.text(), st.text())))
def test_any_values_survive_packing(values: dict[str, Any]) -> None:
    if any("\ud800" <= letter <= "\udfff" for letter in repr(values)):
        return
    node = NODE._replace(values=values)
    assert unpacked(packed([("a/b[0]", node)])) == {"a/b[0]": node}


# ---- costs ----


def test_the_last_time_of_a_key_is_known_exactly(journal: Journal) -> None:
    add(journal, "d", {}, timed(10))
    add(journal, "d", {}, timed(30))
    assert journal.costs(["k", "other"]) == {"k": Cost(30, 7, 9)}


def test_times_of_a_type_are_a_mean_that_follows_the_latest(journal: Journal) -> None:
    for ms in (10, 20, 30):
        add(journal, "d", {}, timed(ms))
    assert journal.timings("t/add", "")["s"] == Cost(20, 7, 9, 3)
    for _ in range(40):
        add(journal, "d", {}, timed(100))
    assert journal.timings("t/add", "")["s"].ms == pytest.approx(100, abs=1)


def test_the_mean_over_all_shapes_counts_every_time(journal: Journal) -> None:
    add(journal, "d", {}, timed(10, "a", "small"), timed(10, "b", "small"), timed(40, "c", "large"))
    assert journal.timings("t/add", "")["*"] == Cost(20, 7, None, 3)
    assert journal.timings("t/add", "cuda") == {}


def test_costs_that_were_used_longest_ago_go_first(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "j.sqlite", Limits(costs=3, timings=2))
    for i in range(5):
        add(journal, "d", {}, timed(i, f"k{i}", f"s{i}"))
    assert set(journal.costs(f"k{i}" for i in range(5))) == {"k2", "k3", "k4"}
    assert set(journal.timings("t/add", "")) == {"s3", "s4", "*"}
    journal.close()


# ---- thumbnails ----


def picture(side: int = 2, shade: int = 0) -> Preview:
    return Preview(side, side, bytes([shade]) * 3 * side * side)


def test_a_thumbnail_comes_back_and_the_latest_counts(journal: Journal) -> None:
    journal.add_thumbnail("k", picture(shade=1))
    journal.add_thumbnail("k", picture(shade=2))
    journal.flush()
    assert journal.thumbnail("k") == picture(shade=2)
    assert journal.thumbnail("other") is None
    assert journal.info().thumbnails == 1


def test_a_thumbnail_is_found_by_the_key_that_is_known_before_a_run_too(journal: Journal) -> None:
    journal.add_thumbnail("k1", picture(shade=1), "static")
    journal.add_thumbnail("k2", picture(shade=2), "static")
    journal.add_thumbnail("k3", picture(shade=3))
    journal.flush()
    assert journal.thumbnail("k1") == picture(shade=1)
    assert journal.thumbnail("static") == picture(shade=2)
    assert journal.pictured(["k1", "static", "k3", "k4", ""]) == {"k1", "static", "k3"}


def test_thumbnails_keep_to_their_budget_and_the_one_used_last_stays(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "j.sqlite", Limits(thumbnail_bytes=3000))
    pictures = {name: Preview(20, 20, os.urandom(1200)) for name in "abc"}
    for name in "ab":
        journal.add_thumbnail(name, pictures[name])
    journal.flush()
    assert journal.thumbnail("a") == pictures["a"]
    journal.add_thumbnail("c", pictures["c"])
    journal.flush()
    assert [name for name in "abc" if journal.thumbnail(name)] == ["a", "c"]
    journal.close()


@given(width=st.integers(1, 40), height=st.integers(1, 40), side=st.integers(1, 16))
def test_thinning_keeps_pixels_whole_and_sides_short(width: int, height: int, side: int) -> None:
    pixels = [bytes((x, y, x ^ y)) for y in range(height) for x in range(width)]
    small = thinned(Preview(width, height, b"".join(pixels)), side)
    assert max(small.width, small.height) <= side or max(width, height) <= side
    assert len(small.rgb) == 3 * small.width * small.height
    for i in range(0, len(small.rgb), 3):
        x, y, mixed = small.rgb[i : i + 3]
        assert mixed == x ^ y


# ---- the file ----


def test_nothing_is_created_by_asking(journal: Journal, tmp_path: Path) -> None:
    assert journal.runs("d") == []
    assert journal.costs(["k"]) == {}
    assert journal.info().nbytes == 0
    assert journal.clear(thumbnails=True, runs=True) == 0
    assert not (tmp_path / "data").exists()


def test_only_the_user_may_read_it(journal: Journal, tmp_path: Path) -> None:
    add(journal, "d", {"n": NODE})
    assert (tmp_path / "data" / "journal.sqlite").stat().st_mode & 0o077 == 0


@pytest.mark.parametrize(
    "damage", [b"this is no database at all, but long enough to look at" * 40, b"SQLite format 3\0" + bytes(2000)]
)
def test_a_damaged_file_is_moved_away_and_a_new_one_begun(tmp_path: Path, damage: bytes) -> None:
    path = tmp_path / "journal.sqlite"
    path.write_bytes(damage)
    journal = Journal(path)
    assert journal.runs("d") == []
    add(journal, "d", {"n": NODE})
    assert journal.runs("d") == [{"n": NODE}]
    assert (tmp_path / "journal.sqlite.damaged").read_bytes() == damage
    journal.close()


def test_damage_in_the_middle_of_the_file_loses_the_past_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "journal.sqlite"
    journal = Journal(path)
    for i in range(30):
        add(journal, f"d{i}", {f"n{j}": NODE._replace(key=os.urandom(20).hex()) for j in range(50)})
    journal.close()
    data = bytearray(path.read_bytes())
    data[4096:] = os.urandom(len(data) - 4096)
    path.write_bytes(data)
    journal = Journal(path)
    journal.runs("d3")
    add(journal, "new", {"n": NODE}, timed(1))
    assert journal.runs("new") == [{"n": NODE}]
    journal.close()


def test_a_file_of_a_newer_version_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "journal.sqlite"
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA user_version = 99")
    connection.close()
    before = path.read_bytes()
    journal = Journal(path)
    add(journal, "d", {"n": NODE})
    assert journal.runs("d") == []
    assert "newer nodegraph" in journal.trouble
    journal.close()
    assert path.read_bytes() == before


def test_a_file_of_an_older_version_begins_anew(tmp_path: Path) -> None:
    path = tmp_path / "journal.sqlite"
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE runs (old TEXT)")
    connection.close()
    journal = Journal(path)
    add(journal, "d", {"n": NODE})
    assert journal.runs("d") == [{"n": NODE}]
    journal.close()


def test_where_nothing_can_be_written_there_is_a_sentence_and_no_exception(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    journal = Journal(tmp_path / "file" / "journal.sqlite")
    add(journal, "d", {"n": NODE})
    journal.add_thumbnail("k", picture())
    journal.flush()
    assert journal.runs("d") == []
    assert "cannot be used" in journal.trouble
    journal.close()


def test_a_full_disk_is_a_sentence_and_the_next_write_succeeds(journal: Journal) -> None:
    add(journal, "d", {"n": NODE})
    connection = journal._database._opened()
    (pages,) = connection.execute("PRAGMA page_count").fetchone()
    connection.execute(f"PRAGMA max_page_count = {pages}")
    journal.add_thumbnail("k", Preview(100, 100, os.urandom(30_000)))
    journal.flush()
    assert "full" in journal.trouble
    connection.execute("PRAGMA max_page_count = 100000")
    add(journal, "d", {"n": NODE._replace(key="k2")})
    assert (journal.trouble, [run["n"].key for run in journal.runs("d")]) == ("", ["k2", "k1"])


def test_a_row_that_cannot_be_written_harms_no_later_one(journal: Journal) -> None:
    def broken() -> dict[str, PastNode]:
        raise ZeroDivisionError("oh")

    journal.add_run("d", broken)
    journal.flush()
    assert "ZeroDivisionError" in journal.trouble
    add(journal, "d", {"n": NODE})
    assert journal.runs("d") == [{"n": NODE}]


def test_several_threads_and_journals_write_at_once(tmp_path: Path) -> None:
    journals = [Journal(tmp_path / "j.sqlite", Limits(runs_per_document=1000)) for _ in range(3)]

    def work(journal: Journal, name: str) -> None:
        for i in range(20):
            journal.add_run(name, lambda i=i: {"n": NODE._replace(key=str(i))}, lambda: [timed(1)])
            journal.add_thumbnail(f"{name}{i}", picture())
            journal.runs(name)

    threads = [threading.Thread(target=work, args=(journal, f"{i}{j}")) for i, journal in enumerate(journals) for j in "ab"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for journal in journals:
        journal.flush()
    assert all(len(journals[0].runs(f"{i}{j}")) == 20 for i in range(3) for j in "ab")
    assert journals[0].info().thumbnails == 120
    assert journals[0].timings("t/add", "")["s"].times == 120
    for journal in journals:
        journal.close()


def test_what_was_added_is_written_when_the_process_ends_without_closing(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from nodegraph.store.journal import Journal\n"
        "journal = Journal(Path(sys.argv[1]))\n"
        "for i in range(50): journal.add_run(f'd{i}', dict)\n"
    )
    path = tmp_path / "j.sqlite"
    subprocess.run([sys.executable, "-c", code, str(path)], check=True)
    assert Journal(path).info().runs == 50


def test_clearing_gives_the_space_back(journal: Journal) -> None:
    for i in range(30):
        journal.add_thumbnail(str(i), Preview(64, 64, os.urandom(64 * 64 * 3)))
    add(journal, "d", {"n": NODE}, timed(1))
    assert journal.clear(thumbnails=True) > 200_000
    assert journal.info()[1:] == (1, 1, 1, 0, 0)
    journal.clear(runs=True)
    assert journal.info()[1:] == (0, 0, 0, 0, 0)
    assert journal.runs("d") == []

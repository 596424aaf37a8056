"""Splits share nothing, parts are what was asked for, and figures and sheets say what is there."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nodegraph import Context, NodeError
from nodegraph.sdk.socket import socket_of
from nodegraph_nodes.training import (
    augment_backgrounds,
    data_figures,
    data_sheet,
    join_data,
    load_pictures,
    repeat_data,
    split_data,
    take_pictures,
)
from nodegraph_nodes.types import Dataset, Entry, PictureSource, Skipped
from training.pictures import encoded, put


def pretended(subjects: list[str], classes: tuple[str, ...] = (), where: str = "x") -> Dataset:
    entries = [
        Entry(
            0,
            f"{place}.png",
            20,
            10 + place,
            (f"picture of {subject}",),
            subject,
            label=place % len(classes) if classes else None,
        )
        for place, subject in enumerate(subjects)
    ]
    return Dataset((PictureSource(where, "", "folder"),), tuple(entries), classes)


NAMES = ["cat", "dog", "elk", "fox", "gnu"] * 4


@given(st.sampled_from(["picture", "subject", "class"]), st.integers(0, 99), st.floats(0.05, 0.6))
def test_a_split_shares_nothing_and_loses_nothing(together: str, seed: int, share: float) -> None:
    data = pretended(NAMES, ("a", "b", "c", "d", "e"))
    train, held = split_data(data, share, together=together, seed=seed)  # type: ignore[arg-type]
    assert {entry.file for entry in train.entries} | {entry.file for entry in held.entries} == {
        entry.file for entry in data.entries
    }
    assert len(train.entries) + len(held.entries) == 20
    assert len(held.entries) >= round(share * 20)
    if together == "picture":
        assert len(held.entries) == round(share * 20)
    else:
        assert not {entry.subject for entry in train.entries} & {entry.subject for entry in held.entries}


def test_the_same_seed_holds_the_same_pictures_out_whatever_their_order() -> None:
    data = pretended(NAMES)
    turned = replace(data, entries=data.entries[::-1])
    assert {entry.file for entry in split_data(data, count=5)[1].entries} == {
        entry.file for entry in split_data(turned, count=5)[1].entries
    }
    assert split_data(data, count=5, seed=1)[1].entries != split_data(data, count=5)[1].entries


def test_holding_everything_out_is_refused() -> None:
    with pytest.raises(NodeError, match="Nothing is left") as caught:
        split_data(pretended(["cat"] * 4), 0.5, together="subject")
    assert caught.value.socket == "share"


def test_pictures_are_taken_by_words_numbers_and_at_random() -> None:
    data = pretended(NAMES)
    assert {entry.subject for entry in take_pictures(data, "cat, dog").entries} == {"cat", "dog"}
    assert {entry.subject for entry in take_pictures(data, without="cat, dog").entries} == {"elk", "fox", "gnu"}
    assert [entry.file for entry in take_pictures(data, first=2, count=2).entries] == ["2.png", "3.png"]
    mixed = [entry.file for entry in take_pictures(data, shuffle=1).entries]
    assert sorted(mixed) == sorted(entry.file for entry in data.entries) != mixed
    with pytest.raises(NodeError, match="None of the pictures"):
        take_pictures(data, "zebra")


def test_joined_data_keeps_its_sources_and_counts_classes_by_name() -> None:
    first, second = pretended(["x", "y"], ("cat", "dog"), "one"), pretended(["x", "y"], ("dog", "elk"), "two")
    data = join_data(first, second)
    assert (data.classes, [source.path for source in data.sources]) == (("cat", "dog", "elk"), ["one", "two"])
    assert [(entry.source, data.classes[entry.label or 0]) for entry in data.entries] == [
        (0, "cat"),
        (0, "dog"),
        (1, "dog"),
        (1, "elk"),
    ]


def test_repeats_lengthen_an_epoch() -> None:
    assert len(repeat_data(repeat_data(pretended(NAMES), 2), 3)) == 120


def test_figures_count_what_is_there() -> None:
    data = pretended(NAMES, ("a", "b")).with_skipped([Skipped("broken.png", "the file is empty")])
    found = data_figures(data)
    figures = dict(map(tuple, found.figures.rows))
    assert (figures["pictures"], figures["skipped"], figures["different subjects"], figures["largest side"]) == (20, 1, 5, 29)
    assert found.classes.rows == [["a", 10], ["b", 10]]
    assert found.skipped.rows == [["broken.png", "the file is empty"]]
    assert sum(count or 0 for count in found.sizes.series[0].y) == 20
    assert data_figures(Dataset((), ())).figures.rows[0] == ["pictures", 0]


def test_a_sheet_shows_pictures_and_goes_around_broken_ones(tmp_path: Path) -> None:
    for name in ("a", "b", "c"):
        put(tmp_path / f"set/{name}.png", encoded(16, 16, (0, 0, 200, 0)))
    data = augment_backgrounds(load_pictures(Context(), tmp_path / "set", captions_from="none"), 1, "red", spread=0)
    (tmp_path / "set/b.png").write_bytes(b"broken since")
    sheet = data_sheet(Context(), data, 4, cell=16)
    assert sheet.shape[-1] == 3
    red = (sheet[..., 0] > 0.8) & (sheet[..., 2] < 0.3)
    assert int(red.sum()) == 4 * 16 * 16
    for name in ("a", "c"):
        (tmp_path / f"set/{name}.png").unlink()
    with pytest.raises(NodeError, match="Not one"):
        data_sheet(Context(), data)


@pytest.mark.parametrize(
    "data", [pretended(NAMES, ("a", "b")), pretended(NAMES[:1]), Dataset((), ())], ids=["many", "one", "none"]
)
def test_data_sets_are_written_down_and_read_again(data: Dataset) -> None:
    data = augment_backgrounds(data, 0.5, "red, blue")
    codec = socket_of(Dataset).codec  # type: ignore[union-attr]
    assert codec is not None
    written, buffers = codec.encode(data)
    assert codec.decode(json.loads(json.dumps(written)), buffers) == data


def test_a_data_set_that_was_tampered_with_makes_nothing_but_entries() -> None:
    codec = socket_of(Dataset).codec  # type: ignore[union-attr]
    assert codec is not None
    written, buffers = codec.encode(pretended(NAMES))
    with pytest.raises(LookupError):
        codec.decode({**written, "class": "Path"}, buffers)

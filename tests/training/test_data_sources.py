"""Pictures are found in folders and archives with what is said of them; broken ones are listed, and nothing outside is read."""

from __future__ import annotations

import io
import json
import struct
import sys
import tarfile
import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from nodegraph import Context, NodeError
from nodegraph_nodes.training import data_figures, load_pictures
from nodegraph_nodes.training.data import PLAIN, BatchPlan, Pick, Reader
from nodegraph_nodes.types import Dataset
from training.pictures import encoded, put, saved


def load(path: Path, captions: Path | None = None, **more: Any) -> Dataset:
    return load_pictures(Context(), path, captions, **more)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    put(tmp_path / "set/a/cat.png", encoded(24, 16))
    put(tmp_path / "set/a/cat.txt", "a cat\na small cat\n")
    put(tmp_path / "set/b/dog.jpg", encoded(10, 20, kind="jpeg"))
    put(tmp_path / "set/b/dog.txt", "a dog")
    put(tmp_path / "set/.hidden.png", encoded())
    put(tmp_path / "set/notes.md", "no picture")
    return tmp_path / "set"


def zipped(folder: Path, target: Path) -> Path:
    with zipfile.ZipFile(target, "w") as archive:
        for path in sorted(folder.rglob("*")):
            if path.is_file():
                archive.write(path, path.relative_to(folder))
    return target


def tarred(folder: Path, target: Path) -> Path:
    with tarfile.open(target, "w") as archive:
        for path in sorted(folder.rglob("*")):
            if path.is_file():
                archive.add(path, path.relative_to(folder).as_posix())
    return target


@pytest.mark.parametrize("kind", ["folder", "zip", "tar"])
def test_a_folder_and_archives_of_it_hold_the_same_pictures(folder: Path, tmp_path: Path, kind: str) -> None:
    path = {
        "folder": lambda: folder,
        "zip": lambda: zipped(folder, tmp_path / "x.zip"),
        "tar": lambda: tarred(folder, tmp_path / "x.tar"),
    }
    data = load(path[kind]())
    found = {entry.file: (entry.width, entry.height, entry.captions) for entry in data.entries}
    assert found == {"a/cat.png": (24, 16, ("a cat", "a small cat")), "b/dog.jpg": (10, 20, ("a dog",))}
    with Reader(data) as reader:
        plan = BatchPlan(data, 1, 0)
        shapes = {tuple(reader.read(plan[step][0]).pixels.shape) for step in range(2)}
    assert shapes == {(16, 24, 3), (20, 10, 3)}


def test_webdataset_members_go_together_by_their_key(tmp_path: Path) -> None:
    put(tmp_path / "w/000.jpg", encoded(kind="jpeg"))
    put(tmp_path / "w/000.json", json.dumps({"caption": "a boat", "tags": ["sea"]}))
    put(tmp_path / "w/000.cls", "3")
    put(tmp_path / "w/001.v2.png", encoded())
    put(tmp_path / "w/001.txt", "a fish")
    put(tmp_path / "w/001.cls", "0")
    first, second = load(tarred(tmp_path / "w", tmp_path / "w.tar")).entries
    assert (first.captions, first.tags, first.label) == (("a boat",), ("sea",), 3)
    assert (second.captions, second.label) == (("a fish",), 0)


def test_folders_are_classes_where_nothing_else_is_said(tmp_path: Path) -> None:
    for name in ("train/red_apple/1.png", "train/red_apple/2.png", "train/boat/1.png"):
        put(tmp_path / "set" / name, encoded())
    data = load(tmp_path / "set")
    assert data.classes == ("boat", "red_apple")
    assert [(entry.file[6:], entry.label, entry.subject) for entry in data.entries] == [
        ("boat/1.png", 0, "boat"),
        ("red_apple/1.png", 1, "red apple"),
        ("red_apple/2.png", 1, "red apple"),
    ]


def test_a_metadata_file_among_the_pictures_is_found(folder: Path) -> None:
    put(folder / "metadata.jsonl", '{"file_name": "a/cat.png", "text": "from the file"}\n')
    assert [(entry.file, entry.captions) for entry in load(folder).entries] == [("a/cat.png", ("from the file",))]


def test_captions_that_name_missing_pictures_are_refused_all_at_once(folder: Path, tmp_path: Path) -> None:
    lines = [{"file": name, "text": "x"} for name in ("a/cat.png", "nowhere.png", "gone.png")]
    captions = put(tmp_path / "c.jsonl", "\n".join(map(json.dumps, lines)))
    with pytest.raises(NodeError, match=r"2 pictures that do not exist: nowhere\.png, gone\.png") as caught:
        load(folder, captions)
    assert (caught.value.socket, "allow_missing" in str(caught.value.hint)) == ("captions", True)
    data = load(folder, captions, allow_missing=True)
    assert [entry.file for entry in data.entries] == ["a/cat.png"]
    assert [item.file for item in data.skipped] == ["nowhere.png", "gone.png"]


def test_missing_captions_are_refused_or_allowed(folder: Path) -> None:
    (folder / "b/dog.txt").unlink()
    with pytest.raises(NodeError, match=r"Nothing is said of 1 picture: b/dog\.jpg") as caught:
        load(folder)
    assert caught.value.socket == "captions"
    assert [entry.captions for entry in load(folder, allow_missing=True).entries] == [("a cat", "a small cat"), ()]
    assert [entry.captions for entry in load(folder, captions_from="none").entries] == [(), ()]


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("{", "Line 2 of c.jsonl is not a JSON object"),
        ("[1]", "Line 2 of c.jsonl is not"),
        ('{"text": "x"}', "names no picture"),
    ],
)
def test_a_broken_line_of_captions_is_named(folder: Path, tmp_path: Path, line: str, said: str) -> None:
    captions = put(tmp_path / "c.jsonl", '{"file": "a/cat.png", "text": "a cat"}\n' + line)
    with pytest.raises(NodeError, match=said):
        load(folder, captions)


def test_an_empty_folder_and_one_without_pictures_say_so(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(NodeError, match="There are no pictures in empty") as caught:
        load(tmp_path / "empty")
    assert (caught.value.socket, caught.value.got) == ("pictures", "nothing at all")
    put(tmp_path / "empty/readme.md", "x")
    with pytest.raises(NodeError, match="There are no pictures") as caught:
        load(tmp_path / "empty")
    assert caught.value.got == "readme.md"


@pytest.mark.parametrize("name", ["x.zip", "x.tar", "x.tar.gz", "x.rar"])
def test_what_is_no_archive_is_refused_in_words(tmp_path: Path, name: str) -> None:
    with pytest.raises(NodeError) as caught:
        load(put(tmp_path / name, b"not an archive, whatever it is called"))
    assert (caught.value.socket, bool(caught.value.expected)) == ("pictures", True)


def bomb() -> bytes:
    """A PNG that claims 60,000 x 60,000 pixels."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", 60_000, 60_000, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(b"\0" * 100)) + chunk(b"IEND", b"")


BROKEN = {
    "empty.png": b"",
    "text.jpg": b"this is a text",
    "cut.png": encoded(64, 64)[:60],
    "cut.jpg": encoded(64, 64, kind="jpeg")[:400],
    "pixel.png": encoded(1, 1),
    "bomb.png": bomb(),
}


@pytest.mark.parametrize("kind", ["folder", "zip", "tar"])
def test_broken_pictures_are_listed_with_a_reason_and_skipped(tmp_path: Path, kind: str) -> None:
    for name, data in BROKEN.items():
        put(tmp_path / "set" / name, data)
    put(tmp_path / "set/good.png", encoded())
    path = tmp_path / "set"
    path = {"folder": path, "zip": zipped(path, tmp_path / "x.zip"), "tar": tarred(path, tmp_path / "x.tar")}[kind]
    data = load(path, captions_from="none")
    assert [entry.file for entry in data.entries] == ["good.png"]
    assert {item.file for item in data.skipped} == set(BROKEN)
    assert all(len(item.why) > 5 for item in data.skipped)
    assert {row[0] for row in data_figures(data).skipped.rows} == set(BROKEN)


def test_links_that_lead_nowhere_are_listed_and_left_out(folder: Path) -> None:
    (folder / "a/gone.png").symlink_to(folder / "nowhere.png")
    data = load(folder, allow_missing=True)
    assert [entry.file for entry in data.entries] == ["a/cat.png", "b/dog.jpg"]
    assert [item.file for item in data.skipped] == ["a/gone.png"]


def test_a_zip_whose_packed_bytes_are_damaged_loses_those_pictures_alone(folder: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "x.zip", "w", zipfile.ZIP_LZMA) as archive:
        for path in sorted(folder.rglob("*.*")):
            archive.write(path, path.relative_to(folder))
        start = archive.getinfo("a/cat.png").header_offset + 30 + len("a/cat.png")
    data = bytearray((tmp_path / "x.zip").read_bytes())
    data[start + 9 : start + 40] = bytes(31)
    put(tmp_path / "x.zip", bytes(data))
    found = load(tmp_path / "x.zip", allow_missing=True)
    assert [entry.file for entry in found.entries] == ["b/dog.jpg"]
    assert [item.file for item in found.skipped] == ["a/cat.png"]


def test_a_caption_may_hold_any_character_that_json_may(folder: Path, tmp_path: Path) -> None:
    text = "a\u2028cat\u0085of\u2029lines"
    rows = [{"file": "a/cat.png", "text": text}, {"file": "b/dog.jpg", "text": "a dog"}]
    captions = tmp_path / "c.jsonl"
    captions.write_bytes("\r\n".join(json.dumps(row, ensure_ascii=False) for row in rows).encode())
    assert [entry.captions for entry in load(folder, captions).entries] == [(" ".join(text.split()),), ("a dog",)]


def test_only_broken_pictures_are_an_error(tmp_path: Path) -> None:
    with pytest.raises(NodeError, match="Not one of the pictures can be read"):
        load(put(tmp_path / "set/a.png", b"").parent, captions_from="none")


def test_odd_but_sound_pictures_are_read(tmp_path: Path) -> None:
    base = tmp_path / "set"
    base.mkdir()
    ramp = np.arange(16 * 8, dtype=np.uint16).reshape(8, 16) * 500
    Image.fromarray(ramp).save(base / "deep.png")
    Image.new("CMYK", (16, 8), (0, 255, 255, 0)).save(base / "print.jpg")
    Image.new("P", (16, 8), 1).save(base / "palette.gif")
    Image.new("LA", (16, 8), (90, 128)).save(base / "pale.png")
    turned = Image.Exif()
    turned[0x0112] = 6
    Image.new("RGB", (16, 8), (9, 9, 9)).save(base / "turned.jpg", exif=turned)
    (base / "wrong.jpg").write_bytes(encoded(16, 8))  # a PNG
    for check in (True, False):
        data = load(base, captions_from="none", check=check)
        assert data.skipped == ()
        assert {(entry.width, entry.height) for entry in data.entries if entry.file != "turned.jpg"} == {(16, 8)}
        assert next((entry.width, entry.height) for entry in data.entries if entry.file == "turned.jpg") == (8, 16)
    places = {entry.file: place for place, entry in enumerate(data.entries)}
    with Reader(data) as reader:
        plan = {pick.entry: pick for pick in (BatchPlan(data, 1, 0)[step][0] for step in range(len(data)))}
        deep, inked = (reader.read(plan[places[name]]._replace(draw=PLAIN)).pixels for name in ("deep.png", "print.jpg"))
    assert torch.equal(deep[..., 0], torch.from_numpy((ramp / 257).round().astype(np.uint8)))
    red, green, blue = inked[4, 8].tolist()
    assert red > 200 > 80 > max(green, blue)


def test_names_and_links_never_lead_out_of_a_source(tmp_path: Path) -> None:
    secret = put(tmp_path / "secret.png", encoded())
    base = tmp_path / "set"
    put(base / "good.png", encoded())
    (base / "link.png").symlink_to(secret)
    (base / "inner.png").symlink_to(base / "good.png")
    assert sorted(entry.file for entry in load(base, captions_from="none").entries) == ["good.png", "inner.png"]
    with tarfile.open(tmp_path / "x.tar", "w") as archive:
        for name, kind in (("soft.png", tarfile.SYMTYPE), ("hard.png", tarfile.LNKTYPE)):
            member = tarfile.TarInfo(name)
            member.type, member.linkname = kind, str(secret)
            archive.addfile(member)
        member = tarfile.TarInfo("../secret.png")
        member.size = 4
        archive.addfile(member, io.BytesIO(b"oops"))
        archive.add(base / "good.png", "good.png")
    data = load(tmp_path / "x.tar", captions_from="none")
    assert [entry.file for entry in data.entries] == ["good.png"]
    for name in ("../secret.png", str(secret)):
        captions = put(tmp_path / "c.jsonl", json.dumps({"file": name, "text": "x"}))
        with pytest.raises(NodeError, match=r"do not exist|does not exist"):
            load(base, captions)


def test_layouts_are_found_and_read_as_numbers(tmp_path: Path) -> None:
    regions = np.zeros((16, 24), np.uint8)
    regions[:, 12:] = 1
    put(tmp_path / "set/cat.jpg", encoded(24, 16, kind="jpeg"))
    saved(regions, tmp_path / "set/layouts/cat.png")
    indexed = Image.fromarray(regions).convert("P")
    indexed.putpalette([250, 0, 0, 0, 250, 0] + [0] * 762)
    put(tmp_path / "set/dog.jpg", encoded(24, 16, kind="jpeg"))
    indexed.save(tmp_path / "set/layouts/dog.png")
    data = load(tmp_path / "set", captions_from="none", regions="sky\nsea")
    assert (len(data.entries), data.regions, data.skipped) == (2, ("sky", "sea"), ())
    with Reader(data) as reader:
        for entry in range(2):
            layout = reader.read(Pick(entry, PLAIN, 0)).layout
            assert layout is not None
            assert torch.equal(layout, torch.from_numpy(regions))


def test_layouts_with_regions_that_have_no_name_are_skipped(tmp_path: Path) -> None:
    for name, region in (("cat", 1), ("dog", 7)):
        put(tmp_path / f"set/{name}.png", encoded())
        saved(np.full((16, 24), region, np.uint8), tmp_path / f"set/layouts/{name}.png")
    data = load(tmp_path / "set", captions_from="none", regions="sky\nsea")
    assert [entry.file for entry in data.entries] == ["cat.png"]
    assert data.skipped[0].why == "it has region 7, and only 2 regions have names"


@pytest.fixture
def parquet(tmp_path: Path) -> Path:
    pyarrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    rows = {
        "image": [{"bytes": encoded(24, 16, (10 * row, 0, 0)), "path": None} for row in range(5)]
        + [{"bytes": None, "path": "x"}],
        "text": [f"picture {row}" for row in range(6)],
        "label": [row % 2 for row in range(6)],
    }
    features = {"info": {"features": {"label": {"names": ["cat", "dog"], "_type": "ClassLabel"}}}}
    table = pyarrow.table(rows).replace_schema_metadata({"huggingface": json.dumps(features)})
    parquet.write_table(table, tmp_path / "x.parquet", row_group_size=2)
    return tmp_path / "x.parquet"


def test_rows_of_a_parquet_file_are_pictures_with_captions_and_classes(parquet: Path) -> None:
    data = load(parquet)
    assert [(entry.file, entry.captions, entry.label) for entry in data.entries[3:]] == [
        ("image/3", ("picture 3",), 1),
        ("image/4", ("picture 4",), 0),
    ]
    assert data.classes == ("cat", "dog")
    assert data.skipped[0].file == "image/5"
    with Reader(data) as reader:
        assert [reader.read(Pick(row, PLAIN, 0)).pixels[0, 0, 0].item() for row in (4, 0, 3)] == [40, 0, 30]


def test_a_parquet_file_without_pictures_says_which_columns_it_has(parquet: Path) -> None:
    with pytest.raises(NodeError, match="no column of pictures") as caught:
        load(parquet, picture_column="photo")
    assert (caught.value.expected, caught.value.got) == ("photo", "image, text, label")


def test_without_pyarrow_the_message_says_how_to_install_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(NodeError, match="needs pyarrow") as caught:
        load(put(tmp_path / "x.parquet", b"PAR1"))
    assert "pip install" in str(caught.value.hint)

"""Files that an input may name: found where the engine finds them, shown safely, nothing from elsewhere."""

from __future__ import annotations

import io
import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from PIL import Image

from server.harness import ServerProcess

pytestmark = pytest.mark.slow


def png(colour: str = "red", size: tuple[int, int] = (64, 32)) -> bytes:
    made = io.BytesIO()
    Image.new("RGB", size, colour).save(made, "PNG")
    return made.getvalue()


def put(path: Path, data: bytes, age: int) -> Path:
    """A file that was written so many seconds ago, by a clock of its own."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    os.utime(path, (2_000_000_000 - age, 2_000_000_000 - age))
    return path


@pytest.fixture
def stocked(new_server: Callable[..., ServerProcess], tmp_path: Path) -> Iterator[ServerProcess]:
    """A server with files in its inputs and in a folder of the user's."""
    mine = tmp_path / "mine"
    put(mine / "fox.png", png("blue"), 10)
    put(mine / "deep" / "Photo of a Fox.JPEG", png(), 20)
    put(mine / "twice.png", png("green"), 5)
    put(mine / ".hidden" / "a.png", png(), 1)
    put(mine / ".key.png", png(), 1)
    put(tmp_path / "outside.png", png(), 1)
    (mine / "away.png").symlink_to(tmp_path / "outside.png")
    (mine / "near.png").symlink_to(mine / "fox.png")
    (mine / "elsewhere").symlink_to(tmp_path)
    made = new_server(env={"NODEGRAPH_FILES": json.dumps([str(mine)])})
    put(made.data / "inputs" / "twice.png", png("white"), 30)
    put(made.data / "inputs" / "page.html", b"<script>alert(1)</script>", 40)
    with made as running:
        yield running


def names(server: ServerProcess, query: str = "") -> list[str]:
    return [row["name"] for row in server.get(f"/api/inputs{query}")["files"]]


def test_files_are_listed_newest_first_by_the_name_that_an_input_takes(stocked: ServerProcess) -> None:
    assert stocked.send("POST", "/api/uploads", png("black"), {"Content-Type": "image/png"})[0] == 201
    files = {row["name"]: row for row in stocked.get("/api/inputs")["files"]}
    mine = [name for name in files if not name.startswith(("uploads/", "examples/"))]
    assert mine == ["fox.png", "near.png", "deep/Photo of a Fox.JPEG", "twice.png", "page.html"]
    assert sum(name.startswith("uploads/") for name in files) == 1
    assert (files["fox.png"]["media_type"], files["fox.png"]["bytes"]) == ("image/png", len(png("blue")))
    assert files["deep/Photo of a Fox.JPEG"]["media_type"] == "image/jpeg"
    assert "thumbnail" not in files["page.html"]
    text = stocked.send("GET", "/api/inputs")[2].decode()
    assert str(stocked.data) not in text


def test_files_are_found_by_part_of_their_name_and_come_in_pages(stocked: ServerProcess) -> None:
    assert names(stocked, "?text=FOX") == ["fox.png", "deep/Photo of a Fox.JPEG"]
    everything, paged, cursor = names(stocked), list[str](), ""
    while True:
        page: dict[str, Any] = stocked.get(f"/api/inputs?limit=2{cursor}")
        paged += [row["name"] for row in page["files"]]
        if page.get("next") is None:
            break
        cursor = f"&cursor={quote(page['next'])}"
    assert paged == everything
    assert stocked.ask("GET", "/api/inputs?cursor=nonsense")[0] == 422


def test_of_two_files_by_one_name_the_one_that_a_run_would_read_is_given(stocked: ServerProcess) -> None:
    assert names(stocked).count("twice.png") == 1
    assert stocked.get("/api/inputs/file?name=twice.png") == png("white")


def test_pictures_are_shown_and_everything_else_is_saved(stocked: ServerProcess) -> None:
    status, headers, data = stocked.send("GET", f"/api/inputs/file?name={quote('deep/Photo of a Fox.JPEG')}")
    assert (status, headers["Content-Type"], data) == (200, "image/png", png())
    assert "Content-Disposition" not in headers
    assert stocked.send("GET", "/api/inputs/file?name=fox.png", headers={"If-None-Match": headers["ETag"]})[0] == 200
    tag = stocked.send("GET", "/api/inputs/file?name=fox.png")[1]["ETag"]
    assert stocked.send("GET", "/api/inputs/file?name=fox.png", headers={"If-None-Match": tag})[0] == 304
    _, headers, data = stocked.send("GET", "/api/inputs/file?name=page.html")
    assert (headers["X-Content-Type-Options"], "sandbox" in headers["Content-Security-Policy"]) == ("nosniff", True)
    assert headers["Content-Type"].startswith(("text/plain", "application/octet-stream"))


def test_a_picture_that_changes_has_another_thumbnail(stocked: ServerProcess, tmp_path: Path) -> None:
    row = next(row for row in stocked.get("/api/inputs?text=fox.png")["files"])

    def small() -> tuple[int, Any]:
        _, headers, data = stocked.send("GET", f"{row['thumbnail']}&size=64")
        assert "no-cache" in headers["Cache-Control"]
        return headers["ETag"], Image.open(io.BytesIO(data)).convert("RGB").getpixel((5, 5))

    tag, before = small()
    put(tmp_path / "mine" / "fox.png", png("yellow"), 2)
    changed, after = small()
    assert tag != changed
    assert before[2] > 200 > after[2]
    assert stocked.ask("GET", "/api/inputs/thumbnail?name=page.html")[0] == 422


@pytest.mark.parametrize(
    "name",
    [
        "../outside.png",
        "away.png",
        "elsewhere/outside.png",
        "/etc/passwd",
        "deep",
        "no such.png",
        "x" * 4000,
        "%00",
        "../token",
        "deep/../../outside.png",
        ".",
    ],
)
def test_what_no_document_may_read_is_not_given(stocked: ServerProcess, name: str) -> None:
    said = name if name == "%00" else quote(name)
    assert stocked.ask("GET", f"/api/inputs/file?name={said}")[0] == 404
    assert stocked.ask("GET", f"/api/inputs/thumbnail?name={said}")[0] == 404

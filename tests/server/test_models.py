"""Models over HTTP: which there are, without where they lie, and whether one is whole."""

from __future__ import annotations

import hashlib
import io
import json
import shutil
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from PIL import Image

from server import bombs
from server.harness import ServerProcess

pytestmark = pytest.mark.slow


@pytest.fixture
def folder(server: ServerProcess) -> Path:
    """The data folder's own models."""
    made = server.data / "models"
    made.mkdir(exist_ok=True)
    return made


def listed(server: ServerProcess) -> dict[str, Any]:
    return {model["name"]: model for model in server.get("/api/models")["models"]}


def verify(server: ServerProcess, name: str) -> tuple[int, Any]:
    return server.ask("POST", f"/api/models/{quote(name, safe='')}/verify", seconds=60)


def test_models_are_listed_by_name_without_their_places(server: ServerProcess, folder: Path) -> None:
    (folder / "sub").mkdir(exist_ok=True)
    (folder / "sub" / "mine.safetensors").write_bytes(bombs.safetensors(100))
    (folder / "cut.safetensors").write_bytes(bombs.safetensors(100)[:-1])
    (folder / "starter").mkdir(exist_ok=True)
    (folder / "starter" / "starter.json").write_text("{}")
    (folder / "away.safetensors").unlink(missing_ok=True)
    (folder / "away.safetensors").symlink_to("/etc/hostname")
    models = listed(server)
    assert models["sub/mine.safetensors"]["bytes"] == len(bombs.safetensors(100))
    assert models["sub/mine.safetensors"]["folder"] == "models"
    assert "cut short" in models["cut.safetensors"]["trouble"]
    assert "link out of its folder" in models["away.safetensors"]["trouble"]
    text = server.send("GET", "/api/models")[2].decode()
    assert "is found first" in text  # the bundled starter, by a second one of its name
    assert str(server.data) not in text
    assert str(Path(__file__).parents[2]) not in text


def test_a_model_is_shown_by_the_picture_beside_it_or_in_its_folder(server: ServerProcess, folder: Path) -> None:
    (folder / "shown").mkdir(exist_ok=True)
    for name, colour in (("a", "red"), ("b.v2", "blue")):
        (folder / "shown" / f"{name}.safetensors").write_bytes(bombs.safetensors(10))
        Image.new("RGB", (300, 200), colour).save(folder / "shown" / f"{name}{'.preview.png' if name == 'a' else '.jpg'}")
    (folder / "shown" / "bare.safetensors").write_bytes(bombs.safetensors(10))
    (folder / "shown" / "led.safetensors").write_bytes(bombs.safetensors(10))
    (folder / "shown" / "led.png").symlink_to("/etc/hostname")
    models = listed(server)
    assert [name for name in ("bare", "led") if "thumbnail" in models[f"shown/{name}.safetensors"]] == []
    for name, red in (("a", True), ("b.v2", False)):
        address = models[f"shown/{name}.safetensors"]["thumbnail"]
        assert address == f"/api/models/shown%2F{name}.safetensors/thumbnail"
        status, headers, data = server.send("GET", f"{address}?size=128")
        assert status == 200
        assert Image.open(io.BytesIO(data)).size == (128, 85)
        assert (Image.open(io.BytesIO(data)).convert("RGB").getpixel((9, 9))[0] > 200) is red
        assert server.send("GET", f"{address}?size=128", headers={"If-None-Match": headers["ETag"]})[0] == 304
    shutil.rmtree(folder / "starter", ignore_errors=True)  # another test's, which is found before the one that ships
    assert Image.open(io.BytesIO(server.get(listed(server)["starter"]["thumbnail"]))).format == "WEBP"


@pytest.mark.parametrize("name", ["../inputs/a", "/etc/hostname", "shown", "no such", "..", "shown%2F..%2F..%2Fx"])
def test_no_picture_but_of_a_model_is_given(server: ServerProcess, name: str) -> None:
    assert server.ask("GET", f"/api/models/{name if '%' in name else quote(name, safe='')}/thumbnail")[0] == 404


def test_a_whole_model_is_verified_and_its_digest_known_from_then_on(server: ServerProcess, folder: Path) -> None:
    data = bombs.safetensors(5000)
    (folder / "whole.safetensors").write_bytes(data)
    assert "digest" not in listed(server)["whole.safetensors"]
    status, answer = verify(server, "whole")
    assert (status, answer["ok"], answer["compared_with"]) == (200, True, [])
    assert answer["model"]["digest"] == f"sha256:{hashlib.sha256(data).hexdigest()}"
    assert listed(server)["whole.safetensors"]["digest"] == answer["model"]["digest"]
    assert verify(server, "whole")[1]["compared_with"] == ["remembered"]


def test_what_is_not_as_the_file_beside_it_says_is_told(server: ServerProcess, folder: Path) -> None:
    (folder / "sub").mkdir(exist_ok=True)
    (folder / "sub" / "changed.safetensors").write_bytes(bombs.safetensors(64))
    (folder / "sub" / "changed.safetensors.sha256").write_text("0" * 64)
    status, answer = verify(server, "sub/changed.safetensors")
    assert (status, answer["ok"], answer["compared_with"]) == (200, False, ["sidecar"])
    assert answer["problems"][0]["code"] == "changed_model"
    assert str(server.data) not in json.dumps(answer)


@pytest.mark.parametrize("name", ["no such", "../../etc/passwd", "/etc/passwd", "\0", "x" * 900, "日本"])
def test_names_that_no_model_has_are_not_found(server: ServerProcess, name: str) -> None:
    assert verify(server, name)[0] == 404


def test_how_far_the_reading_is_is_told(new_server: Callable[..., ServerProcess]) -> None:
    with new_server() as server:
        (server.data / "models").mkdir()
        (server.data / "models" / "large.safetensors").write_bytes(bombs.safetensors(64 << 20))
        with socket.create_connection(("127.0.0.1", int(server.url.rpartition(":")[2]))) as connection:
            head = f"GET /api/events/stream HTTP/1.1\r\nHost: {server.url.removeprefix('http://')}\r\n"
            connection.sendall(f"{head}Authorization: Bearer {server.token}\r\n\r\n".encode())
            connection.settimeout(30)
            with connection.makefile("rb") as lines:
                while not lines.readline().startswith(b": nodegraph"):
                    pass
                assert verify(server, "large")[0] == 200
                told: list[Any] = []
                while not told or told[-1]["type"] != "model_verified":
                    line = lines.readline()
                    if line.startswith(b"data: "):
                        told.append(json.loads(line[6:]))
    steps = [event for event in told if event["type"] == "model_progress"]
    assert steps
    assert steps[0]["job"] is None
    assert all(event["model"] == "large.safetensors" and 0 < event["done"] <= event["total"] for event in steps)
    assert (told[-1]["model"], told[-1]["ok"]) == ("large.safetensors", True)

"""Uploads over HTTP: at once and in pieces, broken off and gone on with, hostile ones, and a job that uses one."""

from __future__ import annotations

import hashlib
import io
import json
import os
import random
import socket
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from server import bombs
from server.harness import ServerProcess, until

pytestmark = pytest.mark.slow

BYTES = {"Content-Type": "application/octet-stream"}
PNG = {"Content-Type": "image/png"}


def put(server: ServerProcess, data: bytes, name: str = "", headers: dict[str, str] = BYTES) -> tuple[int, Any]:
    """Send a file at once: the status and the answer."""
    status, _, content = server.send("POST", f"/api/uploads{'?name=' + name if name else ''}", data, headers)
    return status, json.loads(content)


def announce(server: ServerProcess, data: bytes, **more: Any) -> Any:
    status, answer = server.ask("POST", "/api/uploads", {"name": "file", "bytes": len(data), **more})
    assert status == 201, answer
    return answer


def patch(server: ServerProcess, url: str, offset: int, data: bytes) -> tuple[int, Any, bytes]:
    return server.send("PATCH", url, data, {**BYTES, "Upload-Offset": str(offset)})


def problem(answer: Any) -> str:
    """The code of what was wrong."""
    return str(answer["problems"][0]["code"]) if answer.get("problems") else str(answer["type"])


def left(server: ServerProcess) -> list[str]:
    """What lies in the folder of unfinished uploads."""
    folder = server.data / "uploads"
    return [path.name for path in folder.glob("*.part")] if folder.is_dir() else []


@pytest.mark.parametrize("format_", ["PNG", "JPEG", "WEBP", "AVIF", "GIF"])
def test_a_picture_sent_at_once_becomes_an_input_named_by_its_content(server: ServerProcess, format_: str) -> None:
    data = bombs.picture(format_, (64, 48))
    status, answer = put(server, data, "a%20cat.png", {"Content-Type": f"image/{format_.lower()}"})
    digest = hashlib.sha256(data).hexdigest()
    assert status == 201
    assert answer["file"] == f"uploads/{digest[:16]}.{ {'JPEG': 'jpg'}.get(format_, format_.lower()) }"
    assert (answer["state"], answer["digest"], answer["bytes"]) == ("complete", f"sha256:{digest}", len(data))
    assert (answer["width"], answer["height"], answer["media_type"]) == (64, 48, f"image/{format_.lower()}")
    assert answer["name"] == "a cat.png"
    assert (server.data / "inputs" / answer["file"]).read_bytes() == data
    assert not left(server)


def test_the_same_content_twice_is_the_same_file(server: ServerProcess) -> None:
    first, again = put(server, bombs.picture(size=(9, 9)))[1], put(server, bombs.picture(size=(9, 9)), "other")[1]
    path = server.data / "inputs" / first["file"]
    inode = path.stat().st_ino
    assert first["file"] == again["file"]
    put(server, bombs.picture(size=(9, 9)))
    assert path.stat().st_ino == inode


def test_a_file_that_was_damaged_in_its_place_is_mended(server: ServerProcess) -> None:
    data = bombs.picture(size=(10, 9))
    path = server.data / "inputs" / put(server, data)[1]["file"]
    path.write_bytes(bytes(len(data)))
    put(server, data)
    assert path.read_bytes() == data


def test_a_file_in_pieces_is_put_together_and_told(server: ServerProcess) -> None:
    data = bombs.safetensors(3_000_000)
    seq = server.get("/api/system")["seq"]
    upload = announce(server, data, sha256=hashlib.sha256(data).hexdigest())
    assert (upload["state"], upload["offset"]) == ("arriving", 0)
    for start in range(0, len(data), 1_000_000):
        status, headers, content = patch(server, upload["url"], start, data[start : start + 1_000_000])
        at = min(start + 1_000_000, len(data))
        assert (status, int(headers["Upload-Offset"])) == (204 if at < len(data) else 200, at)
    answer = json.loads(content)
    assert (server.data / "inputs" / answer["file"]).read_bytes() == data
    assert server.get(upload["url"]) == answer
    assert server.send("HEAD", upload["url"])[1]["Upload-Offset"] == str(len(data))
    assert patch(server, upload["url"], len(data), b"")[0] == 200  # a client that missed the answer asks again
    told = [event for event in logged(server, seq) if event["type"] == "upload_finished"]
    assert [(event["file"], event["id"]) for event in told] == [(answer["file"], upload["id"])]


def logged(server: ServerProcess, since: int) -> list[Any]:
    """The events after one, up to now."""
    last, found = server.get("/api/system")["seq"], list[Any]()
    with socket.create_connection(("127.0.0.1", int(server.url.rpartition(":")[2]))) as connection:
        head = f"GET /api/events/stream?since={since} HTTP/1.1\r\nHost: {server.url.removeprefix('http://')}\r\n"
        connection.sendall(f"{head}Authorization: Bearer {server.token}\r\n\r\n".encode())
        connection.settimeout(20)
        with connection.makefile("rb") as lines:
            while not found or found[-1]["seq"] is None or found[-1]["seq"] < last:
                line = lines.readline()
                if line.startswith(b"data: "):
                    found.append(json.loads(line[6:]))
    return found


def test_pieces_at_the_wrong_place_are_refused_and_the_right_one_is_told(server: ServerProcess) -> None:
    upload = announce(server, bytes(100))
    assert patch(server, upload["url"], 0, bytes(10))[0] == 204
    for offset in (0, 5, 11, 100, 10**18):
        status, headers, _ = patch(server, upload["url"], offset, b"x")
        assert (status, headers["Upload-Offset"]) == (409, "10")
    assert patch(server, upload["url"], 10, bytes(91))[0] == 413
    for said in ("", "-1", "1.5", "x", "9" * 5000, "٣"):
        status, _, _ = server.send("PATCH", upload["url"], b"x", {**BYTES, "Upload-Offset": said.encode().decode("latin-1")})
        assert status == 400, said
    assert server.send("PATCH", upload["url"], b"x", BYTES)[0] == 400
    assert server.send("PATCH", upload["url"], b"x", {"Content-Type": "text/html", "Upload-Offset": "10"})[0] == 415
    assert server.get(upload["url"])["offset"] == 10
    assert server.ask("DELETE", upload["url"])[0] == 204
    assert server.ask("GET", upload["url"])[0] == 404
    assert server.ask("DELETE", upload["url"])[0] == 404


def begun(server: ServerProcess, url: str, offset: int, size: int, data: bytes) -> socket.socket:
    """A connection that has sent the head of a PATCH and part of its body."""
    connection = socket.create_connection(("127.0.0.1", int(server.url.rpartition(":")[2])))
    head = f"PATCH {url} HTTP/1.1\r\nHost: {server.url.removeprefix('http://')}\r\nAuthorization: Bearer {server.token}\r\n"
    head += f"Content-Type: application/octet-stream\r\nUpload-Offset: {offset}\r\nContent-Length: {size}\r\n\r\n"
    connection.sendall(head.encode() + data)
    return connection


def test_what_came_before_the_connection_broke_is_kept(server: ServerProcess) -> None:
    data = random.Random(1).randbytes(100_000)
    upload = announce(server, b"{}" + data)
    with begun(server, upload["url"], 0, len(data) + 2, data[:70_000]) as connection:
        until(lambda: server.send("HEAD", upload["url"])[0] == 200)
        connection.shutdown(socket.SHUT_RDWR)
    until(lambda: server.get(upload["url"])["offset"] == 70_000)
    server.ask("DELETE", upload["url"])


def test_a_request_that_hangs_gives_way_to_a_new_one(server: ServerProcess) -> None:
    data = json.dumps(list(range(30_000))).encode()
    upload = announce(server, data)
    with begun(server, upload["url"], 0, len(data), data[:50_000]) as hanging:

        def go_on() -> Any:
            at = server.get(upload["url"])["offset"]
            status, _, content = patch(server, upload["url"], at, data[at:])
            return content if status == 200 else None

        answer = json.loads(until(go_on))
        hanging.settimeout(10)
        assert b" 409 " in hanging.recv(4096)
    assert (server.data / "inputs" / answer["file"]).read_bytes() == data


def test_many_who_write_to_one_upload_at_once_do_not_mix_their_bytes(server: ServerProcess) -> None:
    data = json.dumps(list(range(60_000))).encode()
    upload = announce(server, data, sha256=hashlib.sha256(data).hexdigest())

    def push(_: int) -> None:
        while True:
            state = server.get(upload["url"])
            at = state["offset"]
            if state["state"] == "complete":
                return
            patch(server, upload["url"], at, data[at : at + 40_000])

    with ThreadPoolExecutor(6) as pool:
        list(pool.map(push, range(6)))
    assert (server.data / "inputs" / server.get(upload["url"])["file"]).read_bytes() == data


def test_an_upload_goes_on_after_the_server_was_killed(new_server: Callable[..., ServerProcess]) -> None:
    data = json.dumps(list(range(100_000))).encode()
    first = new_server().start()
    upload = announce(first, data, sha256=f"sha256:{hashlib.sha256(data).hexdigest()}")
    assert patch(first, upload["url"], 0, data[:200_000])[0] == 204
    with begun(first, upload["url"], 200_000, len(data) - 200_000, data[200_000:250_000]):
        first.kill()
    with new_server() as second:
        at = second.get(upload["url"])["offset"]
        assert 200_000 <= at <= 250_000
        status, _, content = patch(second, upload["url"], at, data[at:])
        assert status == 200
        assert (second.data / "inputs" / json.loads(content)["file"]).read_bytes() == data


def test_what_nobody_goes_on_with_is_removed_after_a_day(new_server: Callable[..., ServerProcess]) -> None:
    with new_server() as server:
        old, new = announce(server, bytes(10)), announce(server, bytes(10))
        a_day_ago = time.time() - 25 * 3600
        for path in (server.data / "uploads").glob(f"{old['id']}.*"):
            os.utime(path, (a_day_ago, a_day_ago))
    with new_server() as server:
        until(lambda: server.ask("GET", old["url"])[0] == 404)
        assert server.ask("GET", new["url"])[0] == 200


def test_what_does_not_have_the_announced_digest_is_refused_and_gone(server: ServerProcess) -> None:
    data = bombs.picture()
    upload = announce(server, data, sha256="0" * 64)
    status, _, content = patch(server, upload["url"], 0, data)
    assert (status, problem(json.loads(content))) == (422, "nodegraph:wrong_digest")
    assert server.ask("GET", upload["url"])[0] == 404


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (bombs.pickled(), "pickle"),
        (bombs.torch_archive(), "pickle"),
        (b"\x7fELF" + bytes(100), "executable"),
        (b"<html><script>alert(1)</script>", "markup"),
        (b"<svg onload='alert(1)'/>", "markup"),
        (bombs.png(60_000, 60_000), "too_many_pixels"),
        (bombs.large_webp(), "too_many_pixels"),
        (bombs.large_avif(), "too_many_pixels"),
        (bombs.large_jpeg(), "too_many_pixels"),
        (bombs.large_gif_frame(), "too_many_pixels"),
        (bombs.picture()[:-10], "broken_picture"),
        (bytes(range(256)), "unknown_content"),
    ],
)
def test_hostile_files_are_refused_with_a_reason_and_leave_nothing(server: ServerProcess, data: bytes, code: str) -> None:
    status, answer = put(server, data)
    assert (status, problem(answer)) == (422, code)
    assert not left(server)
    name = hashlib.sha256(data).hexdigest()[:16]
    assert not list((server.data / "inputs" / "uploads").glob(f"{name}*"))


@pytest.mark.parametrize("data", [b"<svg/>", b"{}", b"text", bombs.pickled(), bombs.archive(a="1"), bombs.safetensors()])
def test_where_a_picture_is_promised_nothing_else_is_taken(server: ServerProcess, data: bytes) -> None:
    assert problem(put(server, data, headers=PNG)[1]) == "no_picture"
    assert problem(put(server, data, "photo.JPG")[1]) == "no_picture"
    upload = announce(server, data, name="photo.webp")
    status, _, content = patch(server, upload["url"], 0, data)
    assert (status, problem(json.loads(content))) == (422, "no_picture")


@pytest.mark.parametrize("data", [bombs.text_bomb(), bombs.profile_bomb()], ids=["zTXt", "iCCP"])
def test_what_is_packed_around_the_pixels_is_not_unpacked(server: ServerProcess, data: bytes) -> None:
    peak = lambda: int(Path(f"/proc/{server.process.pid}/status").read_text().partition("VmHWM:")[2].split()[0]) << 10  # noqa: E731
    before = peak()
    assert put(server, data)[0] == 201
    assert peak() - before < 50 << 20


def test_a_picture_that_is_a_page_too_is_handed_out_as_a_picture(server: ServerProcess) -> None:
    data = bombs.picture() + b"<html><script>alert(1)</script>"
    answer = put(server, data)[1]
    status, headers, content = server.send("GET", f"/api/uploads/files/{answer['file'].partition('/')[2]}")
    assert (status, headers["Content-Type"], content) == (200, "image/png", data)
    assert (headers["X-Content-Type-Options"], "sandbox" in headers["Content-Security-Policy"]) == ("nosniff", True)


@pytest.mark.parametrize(
    "name",
    [
        "../../evil.txt",
        "..\\..\\evil.txt",
        "/etc/passwd",
        "a\0b.txt",
        "CON",
        "nul.txt",
        "日本語.txt",
        "x" * 1000,
        "\u202egpj.exe",
    ]
    + ["a\nb", " ", "...", "\ud83d\ude00".encode("utf-16", "surrogatepass").decode("utf-16")],
)
def test_names_never_become_paths(server: ServerProcess, name: str) -> None:
    before = {path for path in server.data.rglob("*") if "evil" in path.name}
    data = b"[1, 2, 3]"
    upload = announce(server, data, name=name)
    assert not set(upload["name"]) & set('/\\\0\n<>:"|?*')
    status, _, content = patch(server, upload["url"], 0, data)
    assert (status, json.loads(content)["file"]) == (200, f"uploads/{hashlib.sha256(data).hexdigest()[:16]}.json")
    assert {path for path in server.data.rglob("*") if "evil" in path.name} == before


@pytest.mark.parametrize(
    "body",
    [
        {"bytes": 0},
        {"bytes": -1},
        {"bytes": 1.5},
        {"name": "x"},
        {"bytes": 1, "name": "x" * 5000},
        {"bytes": 1, "sha256": "x"},
        {"bytes": 1, "path": "/etc/passwd"},
        {"bytes": 2**70},
    ],
)
def test_announcements_that_make_no_sense_are_refused(server: ServerProcess, body: Any) -> None:
    assert server.ask("POST", "/api/uploads", body)[0] == 422


def test_bodies_without_a_type_or_a_length_or_with_another_type_are_refused(server: ServerProcess) -> None:
    assert put(server, b"x", headers={"Content-Type": "text/html"})[0] == 415
    assert put(server, b"")[0] == 422
    assert put(server, b"{}", headers={"Content-Type": "application/json"})[0] == 422


def test_limits_hold_for_one_file_and_for_all_that_are_on_their_way(new_server: Callable[..., ServerProcess]) -> None:
    with new_server(env={"NODEGRAPH_SERVER__MAX_UPLOAD_BYTES": "1000000"}) as server:
        assert server.ask("POST", "/api/uploads", {"bytes": 1_000_001})[0] == 413
        assert put(server, bytes(1_000_001))[0] == 413
        first, second = announce(server, bytes(1_000_000)), announce(server, bytes(1_000_000))
        status, answer = server.ask("POST", "/api/uploads", {"bytes": 1})
        assert (status, answer["type"]) == (507, "nodegraph:too_many_uploads")
        assert [one["id"] for one in server.get("/api/uploads")["uploads"]] == [second["id"], first["id"]]
        server.ask("DELETE", first["url"])
        announce(server, b"1")


def test_files_are_listed_handed_out_and_removed(server: ServerProcess) -> None:
    data = bombs.picture(size=(300, 200))
    file = put(server, data)[1]["file"]
    found = next(one for one in server.get("/api/uploads")["files"] if one["file"] == file)
    assert (found["media_type"], found["bytes"]) == ("image/png", len(data))
    status, headers, content = server.send("GET", found["url"], headers={"Range": "bytes=1-3"})
    assert (status, content) == (206, b"PNG")
    assert server.send("GET", found["url"], headers={"If-None-Match": headers["ETag"]})[0] == 304
    small = server.send("GET", f"{found['url']}/thumbnail?size=64")[2]
    assert Image.open(io.BytesIO(small)).size == (64, 43)
    assert server.ask("DELETE", found["url"])[0] == 204
    assert server.ask("DELETE", found["url"])[0] == 404
    assert server.send("GET", found["url"])[0] == 404
    assert not (server.data / "inputs" / file).exists()


def test_links_among_the_inputs_are_neither_followed_nor_written_through(
    new_server: Callable[..., ServerProcess], tmp_path: Path
) -> None:
    outside = tmp_path / "outside.png"
    outside.write_bytes(b"mine")
    data = bombs.picture()
    name = f"{hashlib.sha256(data).hexdigest()[:16]}.png"
    with new_server() as server:
        folder = server.data / "inputs" / "uploads"
        folder.mkdir(parents=True)
        (folder / name).symlink_to(outside)
        assert server.send("GET", f"/api/uploads/files/{name}")[0] == 404
        assert server.ask("DELETE", f"/api/uploads/files/{name}")[0] == 404
        assert put(server, data)[0] == 201
        assert not (folder / name).is_symlink()
        assert (outside.read_bytes(), (folder / name).read_bytes()) == (b"mine", data)
        folder.rename(tmp_path / "elsewhere")
        folder.symlink_to(tmp_path / "elsewhere")
        assert put(server, bombs.picture(size=(5, 5)))[0] == 507
        assert server.send("GET", f"/api/uploads/files/{name}")[0] == 404
        assert server.get("/api/uploads")["files"] == []
        assert len(list((tmp_path / "elsewhere").iterdir())) == 1


@pytest.mark.parametrize("path", ["..%2F..%2Fjobs.sqlite", "%00", "x" * 3000, f"{'0' * 16}.exe", f"{'0' * 16}.png%0a"])
def test_names_that_no_upload_has_are_not_found(server: ServerProcess, path: str) -> None:
    for method in ("GET", "DELETE"):
        assert server.send(method, f"/api/uploads/files/{path}")[0] == 404
        assert server.send(method, f"/api/uploads/{path}")[0] == 404


def test_a_job_reads_an_uploaded_picture_and_its_pixels_come_back(server: ServerProcess) -> None:
    data = bombs.picture("PNG", (37, 23))
    file = put(server, data, headers=PNG)[1]["file"]
    workflow = {
        "nodegraph": 1,
        "title": "Copy",
        "nodes": {
            "load": {"type": "image/load_image", "version": 1, "inputs": {"path": "none.png"}},
            "save": {
                "type": "image/save_image",
                "version": 1,
                "inputs": {"embed": "none"},
                "links": {"image": "load.image"},
            },
        },
        "interface": {"inputs": {"picture": {"to": ["load.path"]}}, "outputs": {"copy": "save.file"}},
    }
    job = server.wait(server.submit(workflow, inputs={"picture": file}), seconds=120)
    assert job["state"] == "succeeded", job
    row = job["outputs"]["copy"][0]
    status, headers, content = server.send("GET", row["url"])
    assert (status, headers["Content-Type"], len(content)) == (200, "image/png", row["bytes"])
    assert f"sha256:{hashlib.sha256(content).hexdigest()}" == row["digest"]
    assert Image.open(io.BytesIO(content)).tobytes() == Image.open(io.BytesIO(data)).tobytes()
    small = server.send("GET", job["thumbnail"])
    assert (small[0], small[1]["Content-Type"]) == (200, "image/webp")


def test_a_job_whose_file_was_removed_meanwhile_fails_without_saying_where_files_lie(server: ServerProcess) -> None:
    picture = io.BytesIO()
    Image.new("RGB", (3, 2), (1, 2, 3)).save(picture, "PNG")
    _, upload = put(server, picture.getvalue(), headers=PNG)
    nodes = {
        "load": {"type": "image/load_image", "version": 1, "inputs": {"path": upload["file"]}},
        "save": {"type": "image/save_image", "version": 1, "links": {"image": "load.image"}},
    }
    workflow = {"nodegraph": 1, "title": "Copy", "nodes": nodes, "interface": {"outputs": {"copy": "save.file"}}}
    assert server.ask("POST", "/api/queue/pause")[0] == 200
    id_ = server.submit(workflow, accept=[{"kind": "file", "name": upload["file"]}])
    assert server.send("DELETE", f"/api/uploads/files/{Path(upload['file']).name}")[0] == 204
    assert server.ask("POST", "/api/queue/resume")[0] == 200
    job = server.wait(id_)
    assert (job["state"], problem(job["error"])) == ("failed", "bad_file")
    told = json.dumps([job, server.get(f"/api/jobs/{id_}/events")])
    assert "DATA" in told
    assert str(server.data) not in told

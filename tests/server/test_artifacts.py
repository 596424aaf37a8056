"""Artifacts over HTTP: parts, conditions, headers, thumbnails, and what pictures carry."""

from __future__ import annotations

import email.parser
import email.policy
import hashlib
import io
import json
import subprocess
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from PIL import Image

from nodegraph.artifacts import embed
from nodegraph.artifacts.kept import keep
from server import bombs
from server.harness import ServerProcess, chain

pytestmark = pytest.mark.slow

SHOWN = {"image/png", "image/jpeg", "image/webp", "image/avif", "image/gif", "text/plain", "application/json"}


def kept(server: ServerProcess, data: bytes) -> str:
    """The address of an artifact with these bytes."""
    return f"/api/artifacts/{keep(server.data / 'artifacts', data)}"


def test_what_a_job_made_comes_back_byte_by_byte_with_its_type(server: ServerProcess) -> None:
    job = server.wait(server.submit(chain(["kept"])))
    row = job["outputs"]["page"][0]
    status, headers, content = server.send("GET", row["url"])
    assert (status, content) == (200, b"kept")
    assert headers["Content-Type"] == "text/plain; charset=utf-8"
    assert headers["ETag"] == f'"{row["digest"]}"' == f'"sha256:{hashlib.sha256(content).hexdigest()}"'
    assert headers["Cache-Control"] == "private, max-age=31536000, immutable"
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert "sandbox" in headers["Content-Security-Policy"]


def test_a_bare_digest_and_head_work_too(server: ServerProcess) -> None:
    url = kept(server, bombs.picture())
    bare = url.replace("sha256:", "")
    status, headers, content = server.send("HEAD", bare)
    assert (status, content, headers["Content-Type"]) == (200, b"", "image/png")
    assert int(headers["Content-Length"]) == len(bombs.picture())
    assert headers["Accept-Ranges"] == "bytes"


@pytest.mark.parametrize(
    ("wanted", "expected", "said"),
    [
        ("bytes=0-0", b"0", "bytes 0-0/10"),
        ("bytes=2-4", b"234", "bytes 2-4/10"),
        ("bytes=7-", b"789", "bytes 7-9/10"),
        ("bytes=-3", b"789", "bytes 7-9/10"),
        ("bytes=5-500", b"56789", "bytes 5-9/10"),
    ],
)
def test_one_part_comes_as_206(server: ServerProcess, wanted: str, expected: bytes, said: str) -> None:
    url = kept(server, b"0123456789")
    status, headers, content = server.send("GET", url, headers={"Range": wanted})
    assert (status, content, headers["Content-Range"]) == (206, expected, said)


def test_several_parts_come_as_multipart_that_others_read(server: ServerProcess) -> None:
    data = bytes(range(256)) * 400
    url = kept(server, data)
    wanted = [(0, 9), (50_000, 90_000), (len(data) - 5, len(data) - 1)]
    header = "bytes=" + ",".join(f"{first}-{last}" for first, last in wanted)
    status, headers, content = server.send("GET", url, headers={"Range": header})
    assert status == 206
    assert len(content) == int(headers["Content-Length"])
    whole = f"Content-Type: {headers['Content-Type']}\r\n\r\n".encode() + content
    parts = list(email.parser.BytesParser(policy=email.policy.HTTP).parsebytes(whole).iter_parts())
    assert [part["Content-Range"] for part in parts] == [f"bytes {a}-{b}/{len(data)}" for a, b in wanted]
    # the parser takes binary bodies for text, so lengths of line ends may differ: look for the bytes themselves
    for first, last in wanted:
        assert data[first : last + 1] in content


def test_curl_puts_a_file_together_from_parts(server: ServerProcess, tmp_path: Path) -> None:
    data = bytes(range(256)) * 4000
    url = server.url + kept(server, data)
    target = tmp_path / "file"
    target.write_bytes(data[:300_001])
    command = ["curl", "-sS", "-f", "-C", "-", "-H", f"Authorization: Bearer {server.token}", "-o", str(target), url]
    subprocess.run(command, check=True, timeout=30)
    assert target.read_bytes() == data


def test_a_part_that_is_not_there_is_416_and_says_how_long_it_is(server: ServerProcess) -> None:
    status, headers, _ = server.send("GET", kept(server, b"0123456789"), headers={"Range": "bytes=10-"})
    assert (status, headers["Content-Range"]) == (416, "bytes */10")


def test_conditions_are_kept(server: ServerProcess) -> None:
    url = kept(server, b"0123456789")
    tag = f'"{url.rpartition("/")[2]}"'
    part = {"Range": "bytes=0-0"}
    assert server.send("GET", url, headers={"If-None-Match": f'"x", W/{tag}'})[0] == 304
    assert server.send("HEAD", url, headers={"If-None-Match": "*"})[0] == 304
    assert server.send("GET", url, headers={"If-Match": '"x"'})[0] == 412
    assert server.send("GET", url, headers={"If-Match": tag})[0] == 200
    assert server.send("GET", url, headers={**part, "If-Range": tag})[0] == 206
    assert server.send("GET", url, headers={**part, "If-Range": f"W/{tag}"})[0] == 200
    assert server.send("GET", url, headers={**part, "If-Range": "Sat, 29 Oct 2044 19:43:31 GMT"})[0] == 200


@pytest.mark.parametrize("data", [b"", b"<html><script>alert(1)</script>", b"\x7fELF", bombs.pickled(), b"PK\3\4"])
def test_what_no_browser_should_show_is_saved(server: ServerProcess, data: bytes) -> None:
    status, headers, content = server.send("GET", kept(server, data))
    assert (status, content) == (200, data)
    assert headers["Content-Type"] == "application/octet-stream"
    assert headers["Content-Disposition"].startswith("attachment")


@pytest.mark.parametrize("format_", ["PNG", "JPEG", "WEBP", "AVIF", "GIF"])
def test_pictures_that_no_job_made_are_told_by_content(server: ServerProcess, format_: str) -> None:
    status, headers, _ = server.send("GET", kept(server, bombs.picture(format_)))
    assert (status, headers["Content-Type"]) == (200, f"image/{format_.lower()}")
    assert headers["Content-Disposition"] is None


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("a%20cat.png", 'attachment; filename="a cat.png"'),
        ("%C3%A4.png", "attachment; filename=\"a.png\"; filename*=UTF-8''%C3%A4.png"),
        ("..%2F..%2Fx%22%0D%0Ay.png", 'attachment; filename="x_y.png"'),
        ("NUL", 'attachment; filename="_NUL.png"'),
        ("a%00b.exe", 'attachment; filename="a_b.exe.png"'),
    ],
)
def test_a_name_to_save_under_is_made_safe(server: ServerProcess, query: str, said: str) -> None:
    status, headers, _ = server.send("GET", f"{kept(server, bombs.picture())}?name={query}")
    assert (status, headers["Content-Disposition"]) == (200, said)


def test_names_that_are_too_long_and_unknown_questions_are_refused(server: ServerProcess) -> None:
    url = kept(server, bombs.picture())
    assert server.send("GET", f"{url}?name={'x' * 5000}")[0] == 422
    assert server.send("GET", f"{url}?nmae=x")[0] == 422


@pytest.mark.parametrize(
    "digest",
    ["0" * 64, "sha256:" + "0" * 64, "0" * 63, "A" * 64, "md5:" + "0" * 64, "..%2F..%2Fjobs.sqlite", "%00", "x" * 5000]
    + ["sha256:" + "0" * 63 + "%0a", "0" * 64 + "%0a"],
)
def test_what_is_no_digest_of_something_is_not_found(server: ServerProcess, digest: str) -> None:
    for path in (f"/api/artifacts/{digest}", f"/api/artifacts/{digest}/thumbnail", f"/api/artifacts/{digest}/metadata"):
        status, headers, _ = server.send("GET", path)
        assert (status, headers.get_content_type()) == (404, "application/problem+json")


def test_links_are_not_followed(server: ServerProcess, tmp_path: Path) -> None:
    folder = server.data / "artifacts"
    (folder / "aa").mkdir(parents=True, exist_ok=True)
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / ("bb" * 32)).write_bytes(b"secret")
    (folder / "aa" / ("aa" * 32)).symlink_to(tmp_path / "outside" / ("bb" * 32))
    (folder / "bb").symlink_to(tmp_path / "outside")
    (folder / "cc" / ("cc" * 32)).mkdir(parents=True)
    for name in ("aa", "bb", "cc"):
        for more in ("", "/thumbnail", "/metadata"):
            assert server.send("GET", f"/api/artifacts/{name * 32}{more}")[0] == 404


def test_a_folder_of_artifacts_that_is_a_link_itself_is_fine(new_server: Callable[..., ServerProcess], tmp_path: Path) -> None:
    server = new_server()
    (tmp_path / "large disk").mkdir()
    (server.data / "artifacts").symlink_to(tmp_path / "large disk")
    with server:
        assert server.send("GET", kept(server, b"there"))[2] == b"there"


# ---- thumbnails ----


@pytest.mark.parametrize("format_", ["PNG", "JPEG", "WEBP", "AVIF", "GIF"])
def test_thumbnails_are_small_pictures_of_the_same(server: ServerProcess, format_: str) -> None:
    url = kept(server, bombs.picture(format_, (800, 400)))
    status, headers, content = server.send("GET", f"{url}/thumbnail?size=256")
    assert (status, headers["Content-Type"]) == (200, "image/webp")
    made = Image.open(io.BytesIO(content)).convert("L")
    assert made.size == (256, 128)
    assert made.getpixel((128, 2)) < 20 < 230 < made.getpixel((128, 125))
    assert server.send("GET", f"{url}/thumbnail?size=256")[2] == content
    assert server.send("GET", f"{url}/thumbnail?size=200", headers={"If-None-Match": headers["ETag"]})[0] == 304
    assert len(list((server.data / "thumbnails").glob(f"*/{url[-64:]}-256"))) == 1


def test_a_thumbnail_goes_with_its_picture(server: ServerProcess) -> None:
    picture = io.BytesIO()
    Image.new("RGB", (300, 200), (9, 99, 199)).save(picture, "PNG")
    file = json.loads(server.send("POST", "/api/uploads", picture.getvalue(), {"Content-Type": "image/png"})[2])["file"]
    nodes = {
        "load": {"type": "image/load_image", "version": 1, "inputs": {"path": file}},
        "save": {"type": "image/save_image", "version": 1, "links": {"image": "load.image"}},
    }
    workflow = {"nodegraph": 1, "title": "Copy", "nodes": nodes, "interface": {"outputs": {"copy": "save.file"}}}
    id_ = server.submit(workflow, accept=[{"kind": "file", "name": file}])
    url = server.wait(id_)["outputs"]["copy"][0]["url"]
    assert server.send("GET", f"{url}/thumbnail")[0] == 200
    assert server.send("DELETE", f"/api/jobs/{id_}")[0] == 204
    assert server.send("GET", url)[0] == 404
    assert server.send("GET", f"{url}/thumbnail")[0] == 404
    assert not list((server.data / "thumbnails").glob(f"*/{url[-64:]}-*"))


def test_thumbnails_stand_upright_and_keep_what_is_transparent(server: ServerProcess) -> None:
    made, lying = io.BytesIO(), Image.new("RGBA", (60, 20), (255, 0, 0, 0))
    exif = Image.Exif()
    exif[0x0112] = 6  # turned by a quarter
    lying.save(made, "PNG", exif=exif)
    small = Image.open(io.BytesIO(server.send("GET", f"{kept(server, made.getvalue())}/thumbnail")[2]))
    assert small.size == (20, 60)
    assert small.getpixel((5, 5))[3] == 0  # type: ignore[index]


def test_pictures_of_sixteen_bits_are_not_black_or_white(server: ServerProcess) -> None:
    made = io.BytesIO()
    Image.new("I;16", (50, 50), 128 * 257).save(made, "PNG")
    small = Image.open(io.BytesIO(server.send("GET", f"{kept(server, made.getvalue())}/thumbnail")[2]))
    assert 120 < small.convert("L").getpixel((25, 25)) < 136  # type: ignore[operator]


@pytest.mark.parametrize(
    "data",
    [
        b"no picture",
        bombs.picture()[:60],
        bombs.png(60_000, 60_000),
        bombs.text_bomb(),
        bombs.profile_bomb(),
        bombs.large_webp(),
        bombs.large_avif(),
        bombs.large_jpeg(),
        bombs.large_gif_frame(),
        b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n",
    ],
    ids=["text", "cut", "png", "text bomb", "profile bomb", "webp", "avif", "jpeg", "gif", "postscript"],
)
def test_bombs_and_what_is_damaged_have_no_thumbnail_and_cost_little(server: ServerProcess, data: bytes) -> None:
    before = peak_bytes(server)
    status, headers, content = server.send("GET", f"{kept(server, data)}/thumbnail")
    if status == 200:  # of a picture with harmless pixels: what is around them was left out
        assert Image.open(io.BytesIO(content)).size == (1, 1)
    else:
        assert (status, headers.get_content_type()) == (422, "application/problem+json")
    assert peak_bytes(server) - before < 150 << 20


def peak_bytes(server: ServerProcess) -> int:
    """The most memory that the server process ever had."""
    text = Path(f"/proc/{server.process.pid}/status").read_text()
    return next(int(line.split()[1]) << 10 for line in text.splitlines() if line.startswith("VmHWM"))


@pytest.mark.parametrize("size", ["0", "15", "1025", "-1", "x", "1e9", ""])
def test_only_sensible_sizes_are_made(server: ServerProcess, size: str) -> None:
    assert server.send("GET", f"{kept(server, bombs.picture())}/thumbnail?size={size}")[0] == 422


# ---- what pictures carry ----


@pytest.mark.parametrize("format_", ["PNG", "JPEG", "WEBP", "AVIF"])
def test_what_a_picture_carries_is_told(server: ServerProcess, format_: str) -> None:
    data = embed(bombs.picture(format_), f"image/{format_.lower()}", {"workflow": '{"nodegraph": 1, "nodes": {}}'})
    found = server.get(f"{kept(server, data)}/metadata")
    assert found["format"] == format_.lower()
    assert [(one["program"], one["texts"]) for one in found["found"]] == [
        ("nodegraph", {"workflow": '{"nodegraph": 1, "nodes": {}}'})
    ]


def test_bombs_in_metadata_are_noted_and_other_files_carry_nothing(server: ServerProcess) -> None:
    before = peak_bytes(server)
    found = server.get(f"{kept(server, bombs.text_bomb())}/metadata")
    assert (found["format"], found["found"]) == ("png", [])
    assert "too" in found["notes"][0] or "more than" in found["notes"][0]
    assert peak_bytes(server) - before < 300 << 20
    assert server.get(f"{kept(server, b'text')}/metadata") == {"format": "", "found": [], "notes": []}


def test_several_hundred_at_once_are_served(server: ServerProcess) -> None:
    data = bytes(range(256)) * 1000
    url = kept(server, data)
    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(lambda i: server.send("GET", url, headers={"Range": f"bytes={i}-"}), range(200)))
    assert all(content == data[i:] for i, (_, _, content) in enumerate(answers))

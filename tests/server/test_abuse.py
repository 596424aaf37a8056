"""What strangers send, against one real server: refused with the right status, and the server is as well as before."""

from __future__ import annotations

import base64
import contextlib
import gzip
import itertools
import json
import os
import socket
import struct
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from server import bombs
from server.conftest import fresh_data
from server.harness import TOKEN, ServerProcess, until
from server.raw import BEARER, Answer, connect, placed, read_answer, request, send

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != "linux", reason="each case has an address of its own in 127.0.0.0/8"),
]

JSON = "Content-Type: application/json"
LIMIT = 65536
EVIL = "http://evil.example"
UPGRADE = ("Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: " + "A" * 22 + "==")
SECRET_TEXT = "a-prompt-that-no-log-may-hold"

_sources = (f"127.0.{high}.{low}" for high, low in itertools.product(range(1, 5), range(1, 255)))


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, data_folder: Path, site: Path) -> Iterator[ServerProcess]:
    """One server for the whole suite, with a small limit for bodies."""
    env = {"NODEGRAPH_SERVER__MAX_BODY_BYTES": str(LIMIT), "NODEGRAPH_LOG__LEVEL": "debug"}
    with ServerProcess(fresh_data(tmp_path_factory.mktemp("abuse") / "data", data_folder), site=site, env=env) as running:
        yield running


@pytest.fixture(autouse=True)
def still_healthy(server: ServerProcess) -> Iterator[None]:
    """After every case the server answers, soon and well."""
    yield
    assert server.process.poll() is None
    answer = send(server.url, request("GET", "/healthz", auth=False), "127.0.0.1", 5.0)
    assert (answer.status, json.loads(answer.body)["status"]) == (200, "ok")


def attack(server: ServerProcess, data: bytes) -> Answer:
    """Send bytes from an address of their own, so that no case uses up another's rate."""
    return send(server.url, data, next(_sources))


def job(**more: object) -> bytes:
    return json.dumps({"workflow": {"nodegraph": 1, "nodes": {}}, **more}).encode()


def post(path: str = "/api/jobs", *headers: str, body: bytes = b"{}", **more: object) -> bytes:
    return request("POST", path, *(headers or (JSON,)), body=body, **more)  # type: ignore[arg-type]


HOSTS = {
    "the Host of a page that rebinds its name": request(host="evil.example"),
    "a rebinding Host with the right port": request(host="evil.example:8188"),
    "a rebinding Host for a page": request("GET", "/", host="evil.example"),
    "a rebinding Host for a static file": request("GET", "/login.js", host="evil.example"),
    "a rebinding Host for the health check": request("GET", "/healthz", host="evil.example"),
    "a Host that begins like loopback": request(host="127.0.0.1.evil.example"),
    "a Host that ends like localhost": request(host="evil-localhost"),
    "loopback as one number": request(host="2130706433"),
    "loopback in hexadecimal": request(host="0x7f000001"),
    "loopback shortened": request(host="127.1"),
    "the address that means all addresses": request(host="0.0.0.0"),
    "a Host with a user": request(host="127.0.0.1@evil.example"),
    "a Host with two names": request(host="127.0.0.1, evil.example"),
    "an empty Host": request(host=""),
    "a Host of a private network": request(host="192.168.1.1"),
    "a Host with a port that is none": request(host="localhost:80x"),
    "a foreign Host before a wrong token": request("GET", "/api/jobs", "Authorization: Bearer wrong", host="evil", auth=False),
}

ORIGINS = {
    "a null Origin": request("GET", "/api/jobs", "Origin: null"),
    "a null Origin of a sandboxed frame that posts": post("/api/jobs", JSON, "Origin: null"),
    "a foreign Origin that reads": request("GET", "/api/jobs", f"Origin: {EVIL}"),
    "a foreign Origin that posts": post("/api/jobs", JSON, f"Origin: {EVIL}"),
    "a foreign Origin at the health check": request("GET", "/healthz", f"Origin: {EVIL}"),
    "an Origin of another port of this machine": request("GET", "/api/jobs", "Origin: http://127.0.0.1:1"),
    "an Origin without the port": request("GET", "/api/jobs", "Origin: http://127.0.0.1"),
    "an Origin of another scheme": request("GET", "/api/jobs", "Origin: https://HOST"),
    "an Origin that begins like ours": request("GET", "/api/jobs", "Origin: http://HOST.evil.example"),
    "an Origin with a path": request("GET", "/api/jobs", "Origin: http://HOST/"),
    "an Origin with a user": request("GET", "/api/jobs", "Origin: http://HOST@evil.example"),
    "an Origin of a file": request("GET", "/api/jobs", "Origin: file://"),
    "an Origin of an extension": request("GET", "/api/jobs", "Origin: chrome-extension://abcdefghijklmnop"),
    "an empty Origin": request("GET", "/api/jobs", "Origin: "),
    "two Origins": request("GET", "/api/jobs", "Origin: http://HOST", f"Origin: {EVIL}"),
    "an Origin that a proxy header would make ours": request(
        "GET", "/api/jobs", "Origin: https://HOST", "X-Forwarded-Proto: https"
    ),
    "an Origin that a forwarded Host would make ours": request(
        "GET", "/api/jobs", f"Origin: {EVIL}", "X-Forwarded-Host: evil.example", "Forwarded: host=evil.example"
    ),
    "a preflight of a foreign page": request(
        "OPTIONS", "/api/jobs", f"Origin: {EVIL}", "Access-Control-Request-Method: POST", auth=False
    ),
}

SITES = {
    "a foreign page that loads a picture from the API": request("GET", "/api/jobs", "Sec-Fetch-Site: cross-site"),
    "another port of this machine that loads from the API": request("GET", "/api/jobs", "Sec-Fetch-Site: same-site"),
    "a foreign page that loads a script": request("GET", "/login.js", "Sec-Fetch-Site: cross-site", "Sec-Fetch-Dest: script"),
    "a foreign page that leads to the API": request(
        "GET", "/api/jobs", "Sec-Fetch-Site: cross-site", "Sec-Fetch-Mode: navigate", "Sec-Fetch-Dest: document"
    ),
    "a foreign page that frames ours": request(
        "GET", "/", "Sec-Fetch-Site: cross-site", "Sec-Fetch-Mode: navigate", "Sec-Fetch-Dest: iframe"
    ),
    "a foreign page that posts to ours": request(
        "POST", "/", "Sec-Fetch-Site: cross-site", "Sec-Fetch-Mode: navigate", "Sec-Fetch-Dest: document"
    ),
    "a site that no browser knows": request("GET", "/api/jobs", "Sec-Fetch-Site: our-own"),
}

SOCKETS = {
    "a WebSocket of a foreign page": request("GET", "/api/events", *UPGRADE, f"Origin: {EVIL}"),
    "a WebSocket of a page without an origin": request("GET", "/api/events", *UPGRADE, "Origin: null"),
    "a WebSocket of another port of this machine": request("GET", "/api/events", *UPGRADE, "Origin: http://localhost:1"),
    "a WebSocket to a rebound name": request("GET", "/api/events", *UPGRADE, host="evil.example"),
    "a WebSocket that the browser calls foreign": request("GET", "/api/events", *UPGRADE, "Sec-Fetch-Site: cross-site"),
}

FORMS = {
    "a form": post("/api/jobs", "Content-Type: application/x-www-form-urlencoded", body=b"a=1"),
    "a form with files": post("/api/jobs", "Content-Type: multipart/form-data; boundary=x", body=b"--x--"),
    "a form of plain text that reads as JSON": post("/api/jobs", "Content-Type: text/plain", body=job()),
    "JSON without a type": post("/api/jobs", "X-Nothing: 1", body=job()),
    "JSON as a type that only looks like it": post("/api/jobs", "Content-Type: application/jsonp", body=job()),
    "an empty form that pauses the queue": post(
        "/api/queue/pause", "Content-Type: application/x-www-form-urlencoded", "Content-Length: 0", body=b""
    ),
    "plain text that pauses the queue": post("/api/queue/pause", "Content-Type: text/plain", body=b"x"),
    "a body without a type that pauses the queue": post("/api/queue/pause", "X-Nothing: 1", body=b"x"),
    "a compressed bomb": post("/api/jobs", JSON, "Content-Encoding: gzip", body=gzip.compress(b"[" * 10_000_000)),
    "a body in an encoding nobody knows": post("/api/jobs", JSON, "Content-Encoding: br", body=b"x"),
}

TOKENS = {
    "no token": request(auth=False),
    "an empty token": request("GET", "/api/jobs", "Authorization: Bearer ", auth=False),
    "a wrong token": request("GET", "/api/jobs", "Authorization: Bearer " + "x" * len(TOKEN), auth=False),
    "the beginning of the token": request("GET", "/api/jobs", f"Authorization: Bearer {TOKEN[:-1]}", auth=False),
    "more than the token": request("GET", "/api/jobs", f"Authorization: Bearer {TOKEN}x", auth=False),
    "the token in capitals": request("GET", "/api/jobs", f"Authorization: Bearer {TOKEN.upper()}", auth=False),
    "the token as a password": request(
        "GET", "/api/jobs", "Authorization: Basic " + base64.b64encode(f":{TOKEN}".encode()).decode(), auth=False
    ),
    "the token without a scheme": request("GET", "/api/jobs", f"Authorization: {TOKEN}", auth=False),
    "the token in the address": request("GET", f"/api/jobs?token={TOKEN}&access_token={TOKEN}", auth=False),
    "the token as a cookie": request("GET", "/api/jobs", f"Cookie: nodegraph={TOKEN}; token={TOKEN}", auth=False),
    "a token that is no ASCII": request("GET", "/api/jobs", "Authorization: Bearer \xff\xfe", auth=False),
    "a code that was never issued": request("GET", "/?login=" + "x" * 43, auth=False),
    "a wrong token to sign in with": post("/api/session", body=b'{"token": "wrong"}', auth=False),
    "a change without a token": post("/api/queue/pause", "Content-Length: 0", body=b"", auth=False),
    "a WebSocket without a token": request("GET", "/api/events", *UPGRADE, auth=False),
    "the description of the API without a token": request("GET", "/api/openapi.json", auth=False),
    "a path that is not there, without a token": request("GET", "/api/nothing", auth=False),
    "a token for the loopback client that a header claims": request(
        "GET", "/api/jobs", "X-Forwarded-For: 127.0.0.1", "X-Real-IP: 127.0.0.1", auth=False
    ),
}

METHODS = {
    "TRACE": request("TRACE"),
    "OPTIONS": request("OPTIONS"),
    "a WebDAV method": request("PROPFIND"),
    "PURGE": request("PURGE"),
    "a job cancelled by GET": request("GET", "/api/jobs/00000000000000000000000000/cancel"),
    "a queue paused by GET": request("GET", "/api/queue/pause"),
    "a queue paused by HEAD": request("HEAD", "/api/queue/pause"),
    "a queue paused by GET under another name": request("GET", "/api/queue/pause", "X-HTTP-Method-Override: POST"),
    "a session by GET": request("GET", f"/api/session?token={TOKEN}"),
    "a page that is posted to": request("POST", "/", JSON, body=b"{}"),
}

MALFORMED = {
    "a length and chunks": request(
        "POST",
        "/api/jobs",
        JSON,
        "Content-Length: 4",
        "Transfer-Encoding: chunked",
        body=b"0\r\n\r\nGET /smuggled HTTP/1.1\r\n\r\n",
    ),
    "chunks and then a length": request(
        "POST", "/api/jobs", JSON, "Transfer-Encoding: chunked", "Content-Length: 4", body=b"0\r\n\r\n"
    ),
    "two lengths": request("POST", "/api/jobs", JSON, "Content-Length: 2", "Content-Length: 20", body=b"{}"),
    "a negative length": request("POST", "/api/jobs", JSON, "Content-Length: -1", body=b"{}"),
    "a length with a sign": request("POST", "/api/jobs", JSON, "Content-Length: +2", body=b"{}"),
    "a length in hexadecimal": request("POST", "/api/jobs", JSON, "Content-Length: 0x2", body=b"{}"),
    "a transfer encoding that is hidden": request(
        "POST", "/api/jobs", JSON, "Transfer-Encoding: xchunked", "Content-Length: 2", body=b"{}"
    ),
    "a transfer encoding with a space before the colon": request(
        "POST", "/api/jobs", JSON, "Transfer-Encoding : chunked", "Content-Length: 2", body=b"{}"
    ),
    "a header that goes on in the next line": request("GET", "/api/jobs", "X-Long: a\r\n b"),
    "a header without a colon": request("GET", "/api/jobs", "nothing"),
    "a header without a name": request("GET", "/api/jobs", ": value"),
    "a header with a zero byte": request("GET", "/api/jobs", "X-Zero: a\0b"),
    "a header that ends in a bare return": request("GET", "/api/jobs", "X-Return: a\rX-Forged: b"),
    "two Hosts": request("GET", "/api/jobs", "Host: evil.example"),
    "two Hosts, ours last": request("GET", "/api/jobs", "Host: HOST", host="evil.example"),
    "no Host": request(host=None),
    "no Host in HTTP/1.0": f"GET /api/jobs HTTP/1.0\r\n{BEARER}\r\n\r\n".encode(),
    "a version that is none": request().replace(b"HTTP/1.1", b"HTTP/9.9"),
    "a request without a version": b"GET /api/jobs\r\n\r\n",
    "HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "TLS": bytes.fromhex("16030100a5010000a10303") + bytes(150),
    "no words at all": os.urandom(64).replace(b"\n", b"x") + b"\r\n\r\n",
    "a tunnel": request("CONNECT", "evil.example:443"),
    "a whole address of another server": request("GET", "http://evil.example/api/jobs"),
    "a whole address of this server": request("GET", "http://HOST/api/jobs"),
    "an asterisk": request("OPTIONS", "*"),
    "two tokens": request("GET", "/api/jobs", "Authorization: Bearer wrong"),
    "two types": post("/api/jobs", JSON, "Content-Type: text/plain"),
    "a path with a space": request("GET", "/api/jobs /etc/passwd"),
}

NOT_JSON = {
    "JSON that nests a hundred thousand deep": b"[" * 30_000 + b"]" * 30_000,
    "objects that nest deep": b'{"a":' * 10_000 + b"1" + b"}" * 10_000,
    "JSON that nests just too deep": b'{"workflow":' + b"[" * 200 + b"]" * 200 + b"}",
    "a number of thirty thousand digits": b'{"priority": ' + b"9" * 30_000 + b"}",
    "a number that is none": b'{"priority": NaN}',
    "an infinite number": b'{"inputs": {"a": 1e999}}',
    "half a character": b'{"workflow_id": "\\ud800"}',
    "a name that stands twice": b'{"priority": 1, "priority": 2}',
    "bytes that are no UTF-8": b'{"workflow_id": "\xff"}',
    "an empty body": b" ",
    "a body that breaks off": b'{"workflow_id": ',
}

LARGE = {
    "a body that says that it is too large": (request("POST", "/api/jobs", JSON, "Content-Length: 99999999999"), 413),
    "a body that is too large": (post(body=b" " * (LIMIT + 1)), 413),
    "a body in chunks that is too large": (
        request(
            "POST",
            "/api/jobs",
            JSON,
            "Transfer-Encoding: chunked",
            body=b"10000\r\n" + b" " * 65536 + b"\r\n1\r\n \r\n0\r\n\r\n",
        ),
        413,
    ),
    "an address of ten thousand bytes": (request("GET", "/" + "a" * 10_000), 431),
    "a query of ten thousand bytes": (request("GET", "/api/jobs?text=" + "a" * 10_000), 431),
    "a header of ten thousand bytes": (request("GET", "/api/jobs", "X-Long: " + "a" * 10_000), 431),
    "a cookie of ten thousand bytes": (request("GET", "/api/jobs", "Cookie: a=" + "a" * 10_000), 431),
    "a header's name of ten thousand bytes": (request("GET", "/api/jobs", "X" * 10_000 + ": a"), 431),
    "two hundred headers": (request("GET", "/api/jobs", *(f"X-{i}: a" for i in range(200))), 400),
    "a token of a thousand characters to sign in with": (
        post("/api/session", body=b'{"token": "' + b"x" * 1000 + b'"}', auth=False),
        422,
    ),
    "a search for a text of a thousand characters": (request("GET", "/api/jobs?text=" + "a" * 1000), 422),
    "an Idempotency-Key of a thousand characters": (post("/api/jobs", JSON, "Idempotency-Key: " + "k" * 1000, body=job()), 422),
}

PATHS = {
    "a path upwards": "/../../../../etc/passwd",
    "a path upwards, encoded": "/..%2f..%2f..%2fetc%2fpasswd",
    "a path upwards, encoded twice": "/%252e%252e%252fetc%252fpasswd",
    "a path upwards with backslashes": "/..\\..\\etc\\passwd",
    "a path upwards out of the pages": "/login.js/../../pyproject.toml",
    "the token's file": "/token",
    "the token's file beside the artifacts": "/api/artifacts/..%2f..%2ftoken",
    "an artifact that leads upwards": "/api/artifacts/sha256:..%2f..%2f..%2ftoken",
    "an artifact by a path": "/api/artifacts/%2fetc%2fpasswd",
    "an artifact with a zero byte": "/api/artifacts/sha256:" + "0" * 63 + "%00",
    "a job that leads upwards": "/api/jobs/..%2f..%2ftoken",
    "a job with a line feed": "/api/jobs/00000000000000000000000000%0a",
    "an upload by a path": "/api/uploads/files/..%2f..%2f..%2ftoken",
    "a thumbnail by a path": "/api/uploads/files/..%2f..%2ftoken/thumbnail",
    "a workflow that leads upwards": "/api/workflows/..%2ftoken",
    "a revision that leads upwards": "/api/workflows/a/revisions/..%2f..%2ftoken",
    "a draft that leads upwards": "/api/drafts/..%2ftoken",
    "a path upwards out of the page's files": "/app/..%2f..%2fpyproject.toml",
    "a page with a zero byte": "/login.js%00.html",
    "a page behind two slashes": "//login.js",
    "a page's source by name": "/index.html",
    "a hidden file": "/.git/config",
}


def _table(*tables: dict[str, bytes]) -> list[object]:
    return [pytest.param(data, id=name) for table in tables for name, data in table.items()]


@pytest.mark.parametrize("data", _table(HOSTS, ORIGINS, SITES, SOCKETS))
def test_what_is_meant_for_another_server_or_comes_from_another_page_is_forbidden(server: ServerProcess, data: bytes) -> None:
    _refused(attack(server, data), 403)


@pytest.mark.parametrize("data", _table(FORMS))
def test_what_any_page_could_make_a_browser_send_is_of_no_type_that_is_taken(server: ServerProcess, data: bytes) -> None:
    _refused(attack(server, data), 415)


@pytest.mark.parametrize("data", _table(TOKENS))
def test_without_the_token_nothing_is_shown(server: ServerProcess, data: bytes) -> None:
    answer = attack(server, data)
    assert answer.status == 401, answer
    assert TOKEN.encode() not in answer.body


@pytest.mark.parametrize("data", _table(METHODS))
def test_a_method_that_is_not_meant_is_not_allowed(server: ServerProcess, data: bytes) -> None:
    _refused(attack(server, data), 405)


@pytest.mark.parametrize("data", _table(MALFORMED))
def test_what_can_be_read_in_two_ways_is_not_read(server: ServerProcess, data: bytes) -> None:
    _refused(attack(server, data), 400)


@pytest.mark.parametrize("body", _table(NOT_JSON))
def test_json_that_would_cost_or_confuse_is_refused(server: ServerProcess, body: bytes) -> None:
    _refused(attack(server, post(body=body)), 400)


@pytest.mark.parametrize(("data", "status"), [pytest.param(*case, id=name) for name, case in LARGE.items()])
def test_what_is_too_large_is_refused(server: ServerProcess, data: bytes, status: int) -> None:
    _refused(attack(server, data), status)


@pytest.mark.parametrize("path", [pytest.param(path, id=name) for name, path in PATHS.items()])
def test_no_path_leads_to_another_file(server: ServerProcess, path: str) -> None:
    answer = attack(server, request("GET", path))
    _refused(answer, 404)
    assert b"root:" not in answer.body


def _refused(answer: Answer, status: int) -> None:
    """The right status, the headers of every answer, and not a word of what was sent."""
    assert answer.status == status, answer
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["content-security-policy"].startswith("default-src 'none'")
    assert answer.headers["server"] == "nodegraph"
    assert "set-cookie" not in answer.headers
    assert "access-control-allow-origin" not in answer.headers
    for sent in (TOKEN.encode(), b"evil", b"passwd", b"<"):
        assert sent not in answer.body, answer


# ---- workflows ----


@pytest.mark.parametrize("name", ["../token", "..%2ftoken", "/etc/passwd", "a/b", ".hidden", "a\0b", "a" * 200])
def test_a_saved_workflow_is_named_by_an_id_not_a_path(server: ServerProcess, name: str) -> None:
    assert attack(server, post(body=json.dumps({"workflow_id": name}).encode())).status == 422


def test_a_link_among_the_saved_workflows_does_not_lead_out(server: ServerProcess, tmp_path: Path) -> None:
    (tmp_path / "outside.json").write_text('{"nodegraph": 1, "nodes": {}}')
    folder = server.data / "workflows"
    folder.mkdir(exist_ok=True)
    (folder / "link.json").symlink_to(tmp_path / "outside.json")
    assert attack(server, post(body=b'{"workflow_id": "link"}')).status == 404


@pytest.mark.parametrize("path", ["/etc/passwd", "../token", "../../../../etc/passwd"])
def test_a_workflow_reads_no_file_outside_the_roots(server: ServerProcess, path: str) -> None:
    node = {"type": "image/load_image", "version": 1, "inputs": {"file": path}}
    body = json.dumps({"workflow": {"nodegraph": 1, "nodes": {"a": node}}}).encode()
    answer = attack(server, post(body=body))
    assert answer.status in (403, 422), answer
    assert b"root:" not in answer.body


def test_a_webhook_to_this_machine_is_refused(server: ServerProcess) -> None:
    assert attack(server, post(body=job(webhook="http://169.254.169.254/latest/meta-data"))).status == 422


# ---- uploads ----


def _uploaded(data: bytes, kind: str = "image/png", name: str = "a.png") -> bytes:
    return request("POST", f"/api/uploads?name={name}", f"Content-Type: {kind}", body=data)


BOMBS: dict[str, Callable[[], bytes]] = {
    "a PNG of a billion pixels": lambda: bombs.png(1 << 15, 1 << 15),
    "a PNG whose text unpacks to half a gibibyte": bombs.text_bomb,
    "a PNG whose profile unpacks to half a gibibyte": bombs.profile_bomb,
    "a WebP of a quarter of a billion pixels": bombs.large_webp,
    "a JPEG of billions of pixels": bombs.large_jpeg,
    "a GIF with a frame larger than itself": bombs.large_gif_frame,
    "a page that calls itself a picture": lambda: b"<html><script>alert(1)</script></html>",
    "a program that calls itself a picture": lambda: b"\x7fELF" + bytes(1000),
    "a pickle that calls itself a picture": bombs.pickled,
    "a picture that breaks off": lambda: bombs.picture()[:100],
}


@pytest.mark.parametrize("made", [pytest.param(made, id=name) for name, made in BOMBS.items()])
def test_a_picture_that_would_burst_or_is_none_is_refused(server: ServerProcess, made: Callable[[], bytes]) -> None:
    answer = attack(server, _uploaded(made()))
    if answer.status == 201:  # taken as it is: then nothing is ever unpacked of it but its pixels, which are few
        name = json.loads(answer.body)["file"].removeprefix("uploads/")
        answer = attack(server, request("GET", f"/api/uploads/files/{name}/thumbnail"))
        assert answer.status in (200, 422), answer
    else:
        assert answer.status in (413, 415, 422), answer
    assert b"Traceback" not in answer.body


@pytest.mark.parametrize(
    "kind", ["text/html", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "text/plain"]
)
def test_an_upload_is_of_a_declared_type(server: ServerProcess, kind: str) -> None:
    _refused(attack(server, _uploaded(bombs.picture(), kind)), 415)


def test_an_upload_that_says_it_is_too_large_is_refused_before_it_comes(server: ServerProcess) -> None:
    data = request("POST", "/api/uploads", "Content-Type: image/png", f"Content-Length: {1 << 50}")
    assert attack(server, data).status == 413


@pytest.mark.parametrize(
    "name", ["..%2f..%2fconfig.toml", "%2fetc%2fcron.d%2fx", "..%5c..%5cx.png", "a%00.png", "con.png", "-rf.png"]
)
def test_the_name_of_an_upload_places_it_nowhere(server: ServerProcess, name: str) -> None:
    before = {path for path in server.data.parent.rglob("*") if "inputs" not in path.parts}
    assert attack(server, _uploaded(bombs.picture(), name=name)).status in (201, 422)
    after = {path for path in server.data.parent.rglob("*") if "inputs" not in path.parts}
    assert {path for path in after - before if "uploads" not in path.parts and ".sqlite" not in path.name} == set()


def test_a_link_among_the_uploads_does_not_lead_out(server: ServerProcess, tmp_path: Path) -> None:
    (tmp_path / "outside.png").write_bytes(bombs.picture())
    folder = server.data / "inputs" / "uploads"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "0123456789abcdef.png").symlink_to(tmp_path / "outside.png")
    _refused(attack(server, request("GET", "/api/uploads/files/0123456789abcdef.png")), 404)


def test_a_link_among_the_artifacts_does_not_lead_out(server: ServerProcess, tmp_path: Path) -> None:
    digest = "ab" * 32
    folder = server.data / "artifacts" / digest[:2]
    folder.mkdir(parents=True, exist_ok=True)
    (folder / digest).symlink_to(server.data / "jobs.sqlite")
    _refused(attack(server, request("GET", f"/api/artifacts/sha256:{digest}")), 404)


# ---- connections ----


def _opened(server: ServerProcess) -> socket.socket:
    connection = connect(server.url, next(_sources))
    connection.sendall(placed(request("GET", "/api/events", *UPGRADE), server.url))
    assert b"101 Switching" in connection.recv(4096)
    return connection


def _frame(kind: int, payload: bytes, masked: bool = True) -> bytes:
    size = struct.pack(">BBQ", 0x80 | kind, (0x80 if masked else 0) | 127, len(payload))
    return size + (bytes(4) if masked else b"") + payload


@pytest.mark.parametrize(
    "frame",
    [
        pytest.param(_frame(1, b"a" * 100_000), id="a message that is too large"),
        pytest.param(_frame(1, b"\xff\xfe"), id="a text that is none"),
        pytest.param(_frame(9, b"a" * 1000), id="a ping that is too large"),
        pytest.param(_frame(3, b"a"), id="a kind that is none"),
        pytest.param(struct.pack(">BBQ", 0x81, 0xFF, 1 << 62) + bytes(4), id="a message that says it is endless"),
        pytest.param(b"\xf1\x80" + bytes(4), id="bits that mean nothing"),
    ],
)
def test_a_websocket_that_misbehaves_is_closed(server: ServerProcess, frame: bytes) -> None:
    with _opened(server) as connection:
        connection.sendall(frame)
        connection.settimeout(10)
        data = b""
        with contextlib.suppress(ConnectionResetError):
            while part := connection.recv(4096):
                data += part
        assert b"Traceback" not in data


def test_a_websocket_handshake_without_a_key_is_refused(server: ServerProcess) -> None:
    assert attack(server, request("GET", "/api/events", *UPGRADE[:3])).status == 400


def test_a_second_request_behind_an_unread_one_is_no_part_of_it(server: ServerProcess) -> None:
    with connect(server.url, next(_sources)) as connection:
        first = request("POST", "/api/jobs", JSON, body=b"{}" + request("DELETE", "/api/session"))
        connection.sendall(placed(first, server.url))
        assert read_answer(connection).status == 400  # one body that is no JSON, and no second answer
        connection.settimeout(0.3)
        with contextlib.suppress(TimeoutError):
            assert connection.recv(100) == b""


def test_headers_that_never_end_are_timed_out(server: ServerProcess) -> None:
    with connect(server.url, next(_sources), 20.0) as connection:
        connection.sendall(b"GET /api/jobs HTTP/1.1\r\nX-Slow: ")
        assert _drip(connection) == 408


def test_a_body_that_trickles_is_timed_out(server: ServerProcess) -> None:
    with connect(server.url, next(_sources), 20.0) as connection:
        connection.sendall(placed(request("POST", "/api/jobs", JSON, "Content-Length: 1000"), server.url))
        assert _drip(connection) == 408


def _drip(connection: socket.socket) -> int:
    """Send a byte now and then until there is an answer; its status."""
    connection.settimeout(0.5)
    for _ in range(60):
        with contextlib.suppress(TimeoutError):
            if data := connection.recv(4096):
                return int(data.split()[1])
            return 0
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            connection.sendall(b"a")
    return -1


def test_idle_connections_do_not_keep_others_out(new_server: Callable[..., ServerProcess], server: ServerProcess) -> None:
    few = new_server(env={"NODEGRAPH_SERVER__MAX_CONNECTIONS": "20"}).start()
    with contextlib.ExitStack() as stack:
        for _ in range(40):
            stack.enter_context(connect(few.url))
        answers = [send(few.url, request("GET", "/healthz", auth=False)).status for _ in range(3)]
        assert set(answers) <= {503, 0}
    until(lambda: send(few.url, request("GET", "/healthz", auth=False)).status == 200, 5.0)


def test_a_client_that_asks_too_often_is_told_to_wait(new_server: Callable[..., ServerProcess], server: ServerProcess) -> None:
    slow = new_server(env={"NODEGRAPH_SERVER__REQUESTS_PER_SECOND": "2"}).start()
    answers = [send(slow.url, request(), "127.0.0.2") for _ in range(10)]
    assert [answer.status for answer in answers[:4]] == [200] * 4
    refused = answers[-1]
    assert refused.status == 429
    assert int(refused.headers["retry-after"]) >= 1
    assert send(slow.url, request(), "127.0.0.3").status == 200, "another client is not held up"


def test_guessing_a_short_token_gets_slow_and_the_right_one_stays_fast(new_server: Callable[..., ServerProcess]) -> None:
    short = new_server("--token", "short")
    short.own_token = True
    short.start()
    source = next(_sources)
    wrong = request("GET", "/api/jobs", "Authorization: Bearer wrong", auth=False)
    statuses = [send(short.url, wrong, source).status for _ in range(15)]
    assert statuses[:10] == [401] * 10
    assert set(statuses[11:]) == {429}
    right = request("GET", "/api/jobs", "Authorization: Bearer short", auth=False)
    assert send(short.url, right, source).status == 200


def test_a_long_token_cannot_be_guessed_and_mistakes_are_no_nuisance(server: ServerProcess) -> None:
    source = next(_sources)
    wrong = request("GET", "/api/jobs", "Authorization: Bearer wrong", auth=False)
    assert {send(server.url, wrong, source).status for _ in range(50)} == {401}


def test_a_foreign_page_cannot_use_up_the_rate_of_the_user(
    new_server: Callable[..., ServerProcess], server: ServerProcess
) -> None:
    slow = new_server(env={"NODEGRAPH_SERVER__REQUESTS_PER_SECOND": "2"}).start()
    for _ in range(20):
        assert send(slow.url, request("GET", "/api/jobs", f"Origin: {EVIL}")).status == 403
    assert send(slow.url, request()).status == 200


# ---- what is told ----


def test_the_log_holds_nothing_that_was_sent(server: ServerProcess) -> None:
    forged = "%0d%0a2026-01-01T00:00:00.000Z%20info%20server%20forged_line"
    attack(server, request("GET", f"/api/jobs?text={SECRET_TEXT}{forged}"))
    attack(server, request("GET", f"/{SECRET_TEXT}{forged}", "X-Forged: \x1b[31mforged_line"))
    attack(server, request("GET", "/api/jobs", f"Authorization: Bearer {SECRET_TEXT}", auth=False))
    attack(server, request("GET", f"/?login={SECRET_TEXT}", f"Cookie: nodegraph={SECRET_TEXT}", auth=False))
    attack(server, f"GET /{SECRET_TEXT} HTTP/1.1\r\n{SECRET_TEXT}\r\n\r\n".encode())
    attack(server, post(body=json.dumps({"workflow_id": SECRET_TEXT, "priority": SECRET_TEXT}).encode()))
    log = server.log.read_text()
    assert "sign_in_failed" in log
    for sent in (SECRET_TEXT, TOKEN, "forged_line", "evil.example", "\x1b"):
        assert sent not in log, log[-3000:]
    assert "Traceback" not in log
    assert "request_failed" not in log, log[-3000:]


def test_there_are_at_least_sixty_cases() -> None:
    tables = (HOSTS, ORIGINS, SITES, SOCKETS, FORMS, TOKENS, METHODS, MALFORMED, NOT_JSON, LARGE, PATHS)
    assert sum(map(len, tables)) >= 60

"""Signing in: a code that is good once, a cookie that stands for the token, and what a start leaves for programs."""

from __future__ import annotations

import json
import os
import re
import signal
import sqlite3
import stat
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from nodegraph.server.routes import ENDPOINTS
from server.harness import TOKEN, ServerProcess, chain, until
from server.raw import Answer, connect, placed, request, send

pytestmark = pytest.mark.slow

JSON = "Content-Type: application/json"


def _get(server: ServerProcess, path: str, *headers: str, method: str = "GET") -> Answer:
    return send(server.url, request(method, path, *headers, auth=False))


def _sign_in(server: ServerProcess, token: str = TOKEN, *headers: str) -> Answer:
    body = json.dumps({"token": token}).encode()
    return send(server.url, request("POST", "/api/session", JSON, *headers, body=body, auth=False))


def _cookie(answer: Answer) -> str:
    """The Cookie header that a browser sends from now on."""
    return "Cookie: " + answer.headers["set-cookie"].partition(";")[0]


def _code_path(server: ServerProcess) -> str:
    parts = urlsplit(server.first_line.strip())
    return f"{parts.path}?{parts.query}"


def test_the_printed_address_signs_in_once_and_leaves_the_address_bar(new_server: Callable[..., ServerProcess]) -> None:
    server = new_server().start()
    path = _code_path(server)
    assert re.fullmatch(r"/\?login=[\w-]{43}", path)
    assert TOKEN not in server.first_line
    first = _get(server, path)
    assert (first.status, first.headers["location"]) == (303, "/")
    assert first.headers["cache-control"] == "no-store"
    assert first.headers["referrer-policy"] == "no-referrer"
    port = urlsplit(server.url).port
    name, value, *flags = re.split(r"=|; ", first.headers["set-cookie"], maxsplit=2)
    assert name == f"nodegraph-{port}"
    assert len(value) == 43
    assert set(flags[0].split("; ")) >= {"HttpOnly", "SameSite=Strict", "Path=/"}
    assert "Secure" not in flags[0]
    page = _get(server, "/", _cookie(first))
    assert page.status == 200
    assert b"Paste the server's token" not in page.body
    assert _get(server, "/api/jobs", _cookie(first)).status == 200
    assert _get(server, path, _cookie(first)).status == 303, "who is signed in may load the address again"
    again = _get(server, path)
    assert again.status == 401
    assert "set-cookie" not in again.headers
    assert b"Paste the server's token" in again.body


def test_a_code_is_not_used_up_by_a_look_at_it(new_server: Callable[..., ServerProcess]) -> None:
    server = new_server().start()
    path = _code_path(server)
    assert _get(server, path, method="HEAD").status == 401
    assert _get(server, path, "Sec-Purpose: prefetch;prerender").status == 401
    assert _get(server, path, "Sec-Fetch-Site: cross-site", "Sec-Fetch-Mode: no-cors", "Sec-Fetch-Dest: image").status == 403
    assert _get(server, path, "Origin: null").status == 403
    assert _get(server, path).status == 303


def test_without_a_session_the_login_page_is_shown(server: ServerProcess) -> None:
    page = _get(server, "/")
    assert (page.status, page.headers["content-type"]) == (401, "text/html; charset=utf-8")
    assert b'src="/login.js"' in page.body
    from_elsewhere = ("Sec-Fetch-Site: cross-site", "Sec-Fetch-Mode: navigate", "Sec-Fetch-Dest: document")
    assert _get(server, "/", *from_elsewhere).status == 401, "a link may lead here"


def test_the_pages_files_are_public_typed_and_fetched_once(server: ServerProcess) -> None:
    for name, kind in (("login.js", "text/javascript"), ("icon.svg", "image/svg+xml")):
        first = _get(server, f"/{name}")
        assert (first.status, first.headers["content-type"]) == (200, f"{kind}; charset=utf-8")
        again = _get(server, f"/{name}", f"If-None-Match: {first.headers['etag']}")
        assert (again.status, again.body) == (304, b"")


def test_what_the_address_asks_for_is_still_there_after_signing_in(new_server: Callable[..., ServerProcess]) -> None:
    server = new_server().start()
    path = f"{_code_path(server)}&form=text_to_image&next=//evil.example&x=a%26b"
    first = _get(server, path)
    assert (first.status, first.headers["location"]) == (303, "/?form=text_to_image&next=%2F%2Fevil.example&x=a%26b")
    assert _get(server, first.headers["location"], _cookie(first)).status == 200
    again = _get(server, path, _cookie(first))
    assert (again.status, again.headers["location"]) == (303, first.headers["location"])


def test_pages_hold_no_inline_style_and_no_script_but_an_import_map(server: ServerProcess) -> None:
    for page in (_get(server, "/"), send(server.url, request("GET", "/"))):
        text = page.body.decode()
        assert not re.search(r"<script(?![^>]*(?:\bsrc=|type=\"importmap\"))|<style|\son\w+=|\sstyle=|javascript:", text)


def test_the_token_begins_a_session_and_signing_out_ends_it(server: ServerProcess) -> None:
    answer = _sign_in(server)
    assert (answer.status, answer.body) == (204, b"")
    cookie = _cookie(answer)
    assert _get(server, "/api/jobs", cookie).status == 200
    out = send(server.url, request("DELETE", "/api/session", cookie, f"Origin: {server.url}", auth=False))
    assert out.status == 204
    assert "Max-Age=0" in out.headers["set-cookie"]
    assert _get(server, "/api/jobs", cookie).status == 401
    assert send(server.url, request()).status == 200, "the token stays good"


def test_a_wrong_token_begins_no_session(server: ServerProcess) -> None:
    answer = _sign_in(server, "wrong")
    assert answer.status == 401
    assert "set-cookie" not in answer.headers


def test_a_wrong_bearer_is_not_saved_by_a_good_cookie(server: ServerProcess) -> None:
    assert _get(server, "/api/jobs", _cookie(_sign_in(server)), "Authorization: Bearer wrong").status == 401


def test_a_cookie_of_another_page_is_of_no_use(server: ServerProcess) -> None:
    cookie = _cookie(_sign_in(server))
    for header in ("Origin: http://evil.example", "Origin: null", "Sec-Fetch-Site: cross-site", "Sec-Fetch-Site: same-site"):
        answer = send(server.url, request("POST", "/api/queue/pause", cookie, header, auth=False))
        assert answer.status == 403
    assert server.get("/api/queue")["paused"] is False


def test_a_session_outlives_a_restart(new_server: Callable[..., ServerProcess]) -> None:
    server = new_server().start()
    cookie = _cookie(_sign_in(server))
    port = str(urlsplit(server.url).port)
    server.kill()
    again = new_server("--port", port).start()
    assert _get(again, "/api/jobs", cookie).status == 200


def test_another_token_ends_all_sessions(new_server: Callable[..., ServerProcess]) -> None:
    server = new_server().start()
    cookie = _cookie(_sign_in(server))
    port = str(urlsplit(server.url).port)
    server.kill()
    again = new_server("--port", port, "--token", "another-token-of-these-tests").start()
    assert _get(again, "/api/jobs", cookie).status == 401


def test_what_is_kept_of_a_session_does_not_open_anything(server: ServerProcess) -> None:
    session = _cookie(_sign_in(server)).rpartition("=")[2]
    files = [path for path in server.data.rglob("*") if path.is_file() and "jobs.sqlite" in path.name]
    assert files
    assert not any(session.encode() in path.read_bytes() or TOKEN.encode() in path.read_bytes() for path in files)
    connection = sqlite3.connect(f"file:{server.data / 'jobs.sqlite'}?mode=ro", uri=True)
    digests = [row[0] for row in connection.execute("SELECT digest FROM sessions")]
    connection.close()
    assert all(re.fullmatch("[0-9a-f]{64}", digest) for digest in digests)
    assert _get(server, "/api/jobs", f"Cookie: nodegraph-{urlsplit(server.url).port}={digests[0]}").status == 401


@pytest.mark.skipif(os.name == "nt", reason="permissions")
def test_the_first_start_makes_a_token_and_the_next_one_keeps_it(new_server: Callable[..., ServerProcess]) -> None:
    def started() -> ServerProcess:
        server = new_server()
        server.own_token = True
        return server.start()

    server = started()
    file = server.data / "token"
    token = file.read_text().strip()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert len(token) >= 43
    server.token = token
    assert server.get("/api/jobs") == {"jobs": []}
    server.token = TOKEN
    assert server.ask("GET", "/api/jobs")[0] == 401
    server.stop()
    again = started()
    assert file.read_text().strip() == token
    assert token not in again.log.read_text()


@pytest.mark.skipif(os.name == "nt", reason="permissions")
def test_a_running_server_says_where_it_is_and_takes_it_back(new_server: Callable[..., ServerProcess]) -> None:
    server = new_server().start()
    file = server.data / "server.json"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert json.loads(file.read_text()) == {"url": server.url, "pid": server.process.pid, "token": TOKEN}
    server.stop()
    assert not file.exists()
    server.start()
    server.kill()
    assert file.exists()
    server.start()
    assert json.loads(file.read_text())["pid"] == server.process.pid


@pytest.mark.skipif(os.name == "nt", reason="permissions")
def test_what_the_server_writes_is_for_its_user_alone(new_server: Callable[..., ServerProcess]) -> None:
    server = new_server().start()
    server.wait(server.submit(chain(["a"])))
    written = [path for path in server.data.rglob("*") if path.is_file() and "catalog" not in path.parts]
    assert written
    assert [path.name for path in written if path.stat().st_mode & 0o077] == []


def test_without_authentication_host_and_origin_are_still_checked(new_server: Callable[..., ServerProcess]) -> None:
    server = new_server("--no-auth").start()
    assert "login" not in server.first_line
    assert _get(server, "/api/jobs").status == 200
    assert _get(server, "/").status == 200
    assert _get(server, "/api/jobs", "Origin: null").status == 403
    assert send(server.url, request(host="evil.example", auth=False)).status == 403
    assert json.loads((server.data / "server.json").read_text())["token"] is None


def test_behind_a_proxy_with_tls_the_cookie_is_secure_and_the_origin_its_own(new_server: Callable[..., ServerProcess]) -> None:
    server = new_server(env={"NODEGRAPH_SERVER__ALLOWED_HOSTS": "gpu.example"}).start()
    body = json.dumps({"token": TOKEN}).encode()

    def from_proxy(origin: str, proto: str = "https") -> Answer:
        headers = (JSON, f"Origin: {origin}", f"X-Forwarded-Proto: {proto}")
        return send(server.url, request("POST", "/api/session", *headers, body=body, host="gpu.example", auth=False))

    answer = from_proxy("https://gpu.example")
    assert answer.status == 204
    assert "; Secure" in answer.headers["set-cookie"]
    assert from_proxy("http://gpu.example").status == 403
    assert from_proxy("https://gpu.example:8443").status == 403
    assert from_proxy("https://gpu.example", "http").status == 403


def test_a_port_that_is_taken_is_told_in_words(new_server: Callable[..., ServerProcess], server: ServerProcess) -> None:
    other = new_server("--port", str(urlsplit(server.url).port))
    with pytest.raises(AssertionError, match="--port 0"):
        other.start()
    other.process.wait(20)
    assert other.process.returncode == 1
    assert "Traceback" not in other.log.read_text()


def test_an_end_by_a_signal_leaves_no_listener_behind_an_open_page(new_server: Callable[..., ServerProcess]) -> None:
    server = new_server().start()
    upgrade = (
        "Connection: Upgrade",
        "Upgrade: websocket",
        "Sec-WebSocket-Version: 13",
        "Sec-WebSocket-Key: " + "A" * 22 + "==",
    )
    with connect(server.url) as connection:
        connection.sendall(placed(request("GET", "/api/events", *upgrade), server.url))
        assert b"101" in connection.recv(100)
        server.process.send_signal(signal.SIGTERM)
        server.process.wait(30)
    assert server.process.returncode == 0


def test_no_get_changes_anything(server: ServerProcess) -> None:
    server.ask("POST", "/api/queue/pause")
    id_ = server.submit(chain(["a"]))
    until(lambda: server.get("/api/system")["workers"] and all(item["pid"] for item in server.get("/api/system")["workers"]))
    before = until(lambda: (state := _state(server.data)) == _state(server.data) and state)
    for found in ENDPOINTS:
        if found.method == "GET":
            path = found.path.replace("{id}", id_ if "/jobs/" in found.path else "nothing")
            path = re.sub(r"\{digest\}", "sha256:" + "0" * 64, path)
            path = re.sub(r"\{\w+\}", "nothing", path)
            for method in ("GET", "HEAD"):
                assert send(server.url, request(method, path)).status in (101, 200, 304, 400, 404, 405, 409, 422), (
                    method,
                    path,
                )
    assert _state(server.data) == before
    server.ask("POST", "/api/queue/resume")


def test_head_answers_as_get_does_without_a_body(server: ServerProcess) -> None:
    for path in (
        "/",
        "/app/styles/base.css",
        "/healthz",
        "/api/jobs",
        "/api/nodes",
        "/api/openapi.json",
        "/api/events/stream",
        "/metrics",
    ):
        get, head = send(server.url, request("GET", path)), send(server.url, request("HEAD", path))
        assert (head.status, head.headers["content-type"]) == (200, get.headers["content-type"]), path
        assert head.body == b""


def _state(data: Path) -> object:
    """All that a user could lose: rows of jobs and events, and files."""
    connection = sqlite3.connect(f"file:{data / 'jobs.sqlite'}?mode=ro", uri=True)
    names = [
        row[0] for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table' AND sql NOT LIKE '%fts5%'")
    ]
    rows = {name: connection.execute(f"SELECT * FROM {name}").fetchall() for name in names if name != "sessions"}
    connection.close()
    kept = ("workflows", "inputs", "artifacts", "models")
    return rows, sorted(str(path) for name in kept for path in (data / name).rglob("*") if path.is_file())

"""Webhooks: which addresses may be called, what is sent, and that nothing else ever leaves this machine."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import ipaddress
import json
import os
import re
import shutil
import signal
import subprocess
import threading
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nodegraph.jobs import Ended, JobStore, NewJob
from nodegraph.jobs.deliveries import waiting
from nodegraph.server.outbound import is_public
from nodegraph.server.problems import Refused
from nodegraph.server.webhooks import Webhooks, check_webhook, webhook_secret
from nodegraph.settings import Webhooks as WebhookSettings
from server.harness import ServerProcess, until


class Call(NamedTuple):
    """What a receiver got."""

    path: str
    headers: Mapping[str, str]
    body: bytes


class Receiver:
    """An HTTP server that writes down what it gets, and answers with the statuses that it was given, the last for ever."""

    def __init__(self, *statuses: int, answer: bytes = b"", headers: Mapping[str, str] | None = None) -> None:
        self.calls: list[Call] = []
        left = list(statuses or (204,))

        class Handler(BaseHTTPRequestHandler):
            def do_POST(handler) -> None:
                length = int(handler.headers.get("Content-Length", 0))
                self.calls.append(Call(handler.path, dict(handler.headers), handler.rfile.read(length)))
                handler.send_response(left.pop(0) if len(left) > 1 else left[0])
                for name, value in (headers or {}).items():
                    handler.send_header(name, value)
                handler.send_header("Content-Length", str(len(answer)))
                handler.end_headers()
                handler.wfile.write(answer)

            def log_message(self, *arguments: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.host = f"127.0.0.1:{self._server.server_port}"
        self.url = f"http://{self.host}/hook"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def receiver() -> Iterator[Callable[..., Receiver]]:
    made: list[Receiver] = []

    def make(*statuses: int, **more: Any) -> Receiver:
        made.append(Receiver(*statuses, **more))
        return made[-1]

    yield make
    for one in made:
        one.close()


# ---- which addresses ----


@pytest.mark.parametrize(
    "url",
    [
        "https://example.org/hook",
        "http://example.org/hook?a=b",
        "https://EXAMPLE.org:443/",
        "http://example.org:443",
        "https://example.org./hook",
        "http://ported.example:8123/hook",
        "http://[2001:db8::1]/hook",
        "http://127.0.0.1:9000/hook",
    ],
)
def test_an_address_at_a_configured_host_is_taken(url: str) -> None:
    hosts = ["example.org", "ported.example:8123", "2001:db8::1", "127.0.0.1:9000"]
    check_webhook(WebhookSettings(hosts=hosts), url)


@pytest.mark.parametrize(
    "url",
    [
        "https://example.org.evil.net/",
        "https://evil.net/example.org",
        "https://sub.example.org/",
        "https://example.org:8080/",
        "http://ported.example/",
        "http://ported.example:80/",
        "ftp://example.org/",
        "file:///etc/passwd",
        "javascript:alert(1)",
        "https://user@example.org/",
        "https://user:word@example.org/",
        "https://evil.net@example.org/",
        "https://example.org@evil.net/",
        "https://example.org#@evil.net/",
        "https://example.org\\@evil.net/",
        "https://evil.net\\.example.org/",
        "https://example.org/\r\nHost: evil.net",
        "https://example.org/ x",
        "https://examplе.org/",  # the letter is Cyrillic
        "https://127.0.0.1/",
        "https://2130706433/",
        "https://0x7f.1/",
        "https://[::1]/",
        "//example.org/",
        "example.org",
        "https://",
        "",
    ],
)
def test_any_other_address_is_refused(url: str) -> None:
    with pytest.raises(Refused) as refused:
        check_webhook(WebhookSettings(hosts=["example.org", "ported.example:8123"]), url)
    assert (refused.value.status, refused.value.details.type) == (422, "nodegraph:bad_webhook")


def test_without_a_configured_host_every_address_is_refused() -> None:
    with pytest.raises(Refused, match="No webhook host is configured"):
        check_webhook(WebhookSettings(), "https://example.org/")


@pytest.mark.parametrize(
    "address",
    [
        *("127.0.0.1", "10.1.2.3", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1", "0.0.0.0", "224.0.0.1"),
        *("255.255.255.255", "198.18.0.1", "192.88.99.1", "::", "::1", "fe80::1", "fe80::1%eth0", "fc00::1", "fec0::1"),
        *("ff02::1", "::ffff:8.8.8.8", "::ffff:127.0.0.1", "::127.0.0.1", "2002:7f00:1::", "64:ff9b::7f00:1"),
        *("64:ff9b:1::1", "2001:0:1::", "2001:db8::1", "127.1", "localhost", ""),
    ],
)
def test_an_address_inside_is_not_public(address: str) -> None:
    assert not is_public(address)


@pytest.mark.parametrize("address", ["8.8.8.8", "1.1.1.1", "93.184.216.34", "2606:4700:4700::1111", "2a00:1450:4001::200e"])
def test_an_address_of_the_internet_is_public(address: str) -> None:
    assert is_public(address)


@given(st.one_of(st.ip_addresses(v=4), st.ip_addresses(v=6)))
def test_what_counts_as_public_is_global_for_the_standard_library_too(
    address: ipaddress.IPv4Address | ipaddress.IPv6Address,
) -> None:
    if is_public(str(address)):
        assert address.is_global
        assert not any((address.is_multicast, address.is_loopback, address.is_private, address.is_link_local))


# ---- calls ----


@asynccontextmanager
async def hooks(folder: Path, *, retries: int = 5, seconds: float = 5.0, hosts: list[str]) -> AsyncIterator[JobStore]:
    """A store whose ended jobs are told at these hosts, without long pauses."""
    store = JobStore(folder / "jobs.sqlite", lambda events: calls.wake())
    settings = WebhookSettings(hosts=hosts, retries=retries, timeout_seconds=seconds)
    calls = Webhooks(store, settings, folder / "webhook-secret", first_pause=0.01)
    calls.open()
    try:
        yield store
    finally:
        await calls.close()
        await store.close()


async def ended(store: JobStore, url: str | None) -> str:
    """A job that has run."""
    job, _ = await store.add(NewJob("{}", "Sum", {"prompt": "a red apple"}, webhook=url))
    await store.claim("w", 0)
    await store.finish(job.id, 1, Ended("succeeded", {"n": [{"value": 1}]}, {"a": {"state": "computed"}}, None, 0.5))
    return job.id


async def told(store: JobStore, id_: str) -> tuple[str, dict[str, Any]]:
    """How the call of a job ended: the event's type and data."""
    async with asyncio.timeout(20):
        while True:
            for event in await store.events(0):
                data = json.loads(event.text)
                if event.job == id_ and data["type"].startswith("webhook_"):
                    return data["type"], data
            await asyncio.sleep(0.01)  # the events of a store can be read, not awaited


async def test_a_call_is_signed_and_holds_the_job_without_its_nodes(tmp_path: Path, receiver: Callable[..., Receiver]) -> None:
    there = receiver()
    async with hooks(tmp_path, hosts=[there.host]) as store:
        id_ = await ended(store, there.url)
        assert (await told(store, id_))[0] == "webhook_delivered"
    (call,) = there.calls
    told_ = json.loads(call.body)
    assert (told_["id"], told_["state"], told_["outputs"]) == (id_, "succeeded", {"n": [{"value": 1}]})
    assert "nodes" not in told_
    assert told_["delivery"] == call.headers["Nodegraph-Delivery"]
    secret = (tmp_path / "webhook-secret").read_bytes()
    signed = hmac.digest(secret, call.headers["Nodegraph-Timestamp"].encode() + b"." + call.body, "sha256").hex()
    assert call.headers["Nodegraph-Signature"] == f"v1={signed}"
    assert "Cookie" not in call.headers


async def test_a_call_is_repeated_with_the_same_id_until_it_is_answered(
    tmp_path: Path, receiver: Callable[..., Receiver]
) -> None:
    there = receiver(500, 503, 302, 204, headers={"Location": "http://127.0.0.1:1/elsewhere"})
    async with hooks(tmp_path, hosts=[there.host]) as store:
        kind, event = await told(store, await ended(store, there.url))
    assert (kind, event["tries"]) == ("webhook_delivered", 4)
    assert len({call.headers["Nodegraph-Delivery"] for call in there.calls}) == 1
    assert [call.path for call in there.calls] == ["/hook"] * 4  # the redirect was not followed


async def test_a_call_that_is_never_answered_is_given_up(tmp_path: Path, receiver: Callable[..., Receiver]) -> None:
    there = receiver(500)
    async with hooks(tmp_path, hosts=[there.host], retries=2) as store:
        kind, event = await told(store, await ended(store, there.url))
        assert await store.read(lambda connection: waiting(connection, 10)) == []
    assert (kind, event["reason"], len(there.calls)) == ("webhook_failed", "status_500", 3)


async def test_a_call_outlives_the_server(tmp_path: Path, receiver: Callable[..., Receiver]) -> None:
    there = receiver()
    async with hooks(tmp_path, hosts=[]) as store:
        id_ = await ended(store, there.url)
    assert there.calls == []
    async with hooks(tmp_path, hosts=[there.host]) as store:
        assert (await told(store, id_))[0] == "webhook_delivered"
    assert len(there.calls) == 1


async def test_a_host_that_is_no_longer_configured_is_not_called(tmp_path: Path, receiver: Callable[..., Receiver]) -> None:
    there = receiver()
    async with hooks(tmp_path, hosts=["example.org"]) as store:
        assert (await told(store, await ended(store, there.url)))[1]["reason"] == "not_allowed"
    assert there.calls == []


async def test_a_name_that_leads_inside_is_not_called(tmp_path: Path, receiver: Callable[..., Receiver]) -> None:
    there = receiver()
    host = there.host.replace("127.0.0.1", "localhost")
    async with hooks(tmp_path, hosts=[host], retries=0) as store:
        assert (await told(store, await ended(store, f"http://{host}/hook")))[1]["reason"] == "not_public"
    assert there.calls == []


async def test_another_spelling_of_an_address_inside_is_not_called(tmp_path: Path, receiver: Callable[..., Receiver]) -> None:
    there = receiver()
    host = there.host.replace("127.0.0.1", "127.1")
    async with hooks(tmp_path, hosts=[host], retries=0) as store:
        assert (await told(store, await ended(store, f"http://{host}/hook")))[0] == "webhook_failed"
    assert there.calls == []


async def test_a_proxy_of_the_environment_is_not_used(
    tmp_path: Path, receiver: Callable[..., Receiver], monkeypatch: pytest.MonkeyPatch
) -> None:
    there, proxy = receiver(), receiver()
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, f"http://{proxy.host}")
    async with hooks(tmp_path, hosts=[there.host]) as store:
        await told(store, await ended(store, there.url))
    assert (len(there.calls), len(proxy.calls)) == (1, 0)


async def test_an_endless_answer_is_cut_off(tmp_path: Path, receiver: Callable[..., Receiver]) -> None:
    there = receiver(200, answer=b"x" * (8 << 20))
    async with hooks(tmp_path, hosts=[there.host]) as store:
        assert (await told(store, await ended(store, there.url)))[0] == "webhook_delivered"


async def test_a_receiver_that_does_not_answer_times_out(tmp_path: Path) -> None:
    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    server = await asyncio.start_server(silent, "127.0.0.1", 0)
    host = f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
    async with server, hooks(tmp_path, hosts=[host], retries=0, seconds=0.2) as store:
        assert (await told(store, await ended(store, f"http://{host}/")))[1]["reason"] == "timed_out"


async def test_a_job_without_a_webhook_calls_nobody(tmp_path: Path, receiver: Callable[..., Receiver]) -> None:
    there = receiver()
    async with hooks(tmp_path, hosts=[there.host]) as store:
        await ended(store, None)
        await told(store, await ended(store, there.url))
    assert len(there.calls) == 1


def test_the_secret_is_made_once_and_for_its_user_alone(tmp_path: Path) -> None:
    path = tmp_path / "webhook-secret"
    first = webhook_secret(path)
    assert len(first) == 64
    assert path.stat().st_mode & 0o777 == 0o600
    path.chmod(0o644)
    assert webhook_secret(path) == first
    assert path.stat().st_mode & 0o777 == 0o600


def test_the_signature_is_what_the_documentation_checks() -> None:
    from nodegraph.server.webhooks import signature

    expected = hmac.new(b"secret", b"1700000000.{}", hashlib.sha256).hexdigest()
    assert signature(b"secret", "1700000000", b"{}") == f"v1={expected}"


# ---- nothing else leaves this machine ----

_TO = re.compile(
    r"(?:connect|sendto|sendmsg)\(\d+,.*?sa_family=(AF_INET6?),.*?(?:inet_addr\(\"([^\"]+)\"|inet_pton\(AF_INET6, \"([^\"]+)\")"
)
_PORT = re.compile(r"sin6?_port=htons\((\d+)\)")


def connected(trace: str) -> set[str]:
    """`address:port` of everything that a process or its children spoke to by IP."""
    found = set()
    for line in trace.splitlines():
        if (to := _TO.search(line)) and (port := _PORT.search(line)):
            found.add(f"{to[2] or to[3]}:{port[1]}")
    return found


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("strace") is None, reason="strace is not installed")
@pytest.mark.parametrize("with_webhook", [False, True], ids=["none configured", "one configured"])
def test_the_server_and_its_workers_connect_to_nothing_but_the_configured_webhook(
    new_server: Callable[..., ServerProcess], receiver: Callable[..., Receiver], tmp_path: Path, with_webhook: bool
) -> None:
    there, trace = receiver(), tmp_path / "trace"
    env = {"NODEGRAPH_WEBHOOKS__HOSTS": json.dumps([there.host])} if with_webhook else {}
    running = new_server(env=env)
    running.before = ("strace", "-f", "--seccomp-bpf", "-qq", "-e", "trace=connect,sendto,sendmsg", "-o", str(trace))
    try:
        running.start(60)
        more = {"webhook": there.url} if with_webhook else {}
        status, answer = running.ask("POST", "/api/jobs", {"workflow_id": "text_to_image", "inputs": {"seed": 5}, **more})
        assert status == 202, answer
        assert running.wait(answer["id"], seconds=240)["state"] == "succeeded"
        if with_webhook:
            until(lambda: there.calls, 20)
        else:
            status, refused = running.ask("POST", "/api/jobs", {"workflow_id": "text_to_image", "webhook": there.url})
            assert (status, refused["type"]) == (422, "nodegraph:no_webhooks")
    finally:  # strace itself ignores signals
        os.kill(json.loads((running.data / "server.json").read_text())["pid"], signal.SIGTERM)
        running.process.wait(60)
    beyond = {place for place in connected(trace.read_text()) if not place.endswith(":0")}  # port 0: asking for a route
    assert beyond == ({there.host} if with_webhook else set())


@pytest.mark.skipif(shutil.which("strace") is None, reason="strace is not installed")
def test_the_trace_shows_a_connection_where_there_is_one(tmp_path: Path) -> None:
    code = "import socket; socket.socket(socket.AF_INET, socket.SOCK_DGRAM).connect(('127.0.0.7', 9))"
    command = ["strace", "-f", "-qq", "-e", "trace=connect,sendto,sendmsg", "-o", str(tmp_path / "t"), "python3", "-c", code]
    subprocess.run(command, check=True, timeout=60)
    assert connected((tmp_path / "t").read_text()) == {"127.0.0.7:9"}

"""The rules by themselves: names, origins, rates, codes, sessions, tokens."""

from __future__ import annotations

import asyncio
import ipaddress
import json
import os
import stat
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from nodegraph.jobs import JobStore
from nodegraph.jobs.sessions import SESSION_SECONDS, Sessions
from nodegraph.server.problems import Refused
from nodegraph.server.routes import ENDPOINTS
from nodegraph.server.security.codes import CODE_SECONDS, Codes
from nodegraph.server.security.guard import CHANGING
from nodegraph.server.security.origins import Host, check_host, check_origin, read_host
from nodegraph.server.security.rates import Buckets, client_of
from nodegraph.server.security.running import running_file
from nodegraph.server.security.tokens import BadToken, kept_token, same


class Clock:
    """A time that a test sets."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


_NAMES = st.sampled_from(
    ["localhost", "127.0.0.1", "[::1]", "evil.example", "127.0.0.1.evil.example", "127.1", "[::]", "0", ""]
)
_HOSTS = st.one_of(
    st.builds(lambda name, port: f"{name}{port}", _NAMES, st.sampled_from(["", ":1", ":99999", ":", "@b"])), st.text()
)


@given(_HOSTS)
@example("localhost:8188")
@example("LOCALHOST.")
@example("[::ffff:127.0.0.1]:1")
def test_whatever_host_is_let_through_is_this_machine(text: str) -> None:
    try:
        check_host(text, ())
    except Refused:
        return
    name = urlsplit(f"//{text}").hostname or ""  # as clients read it
    address = "127.0.0.1" if name.rstrip(".") == "localhost" else name
    found = ipaddress.ip_address(address)
    assert (getattr(found, "ipv4_mapped", None) or found).is_loopback


@given(st.text(), st.sampled_from(["http", "https"]))
@example("http://localhost:8188", "http")
@example("https://localhost:8188", "http")
@example("http://localhost:8188/", "http")
def test_whatever_origin_is_let_through_is_that_of_the_host(origin: str, scheme: str) -> None:
    try:
        check_origin([origin], scheme, Host("localhost", 8188))
    except Refused:
        return
    assert origin.lower() == f"{scheme}://localhost:8188"


def test_ports_that_are_not_said_are_those_of_the_scheme() -> None:
    check_origin(["https://gpu.example"], "https", Host("gpu.example", 443))
    check_origin(["http://gpu.example:80"], "http", Host("gpu.example", None))
    with pytest.raises(Refused):
        check_origin(["https://gpu.example:80"], "https", Host("gpu.example", None))


def test_an_allowed_name_is_let_through_and_no_other() -> None:
    assert check_host("GPU.example:8443", {"gpu.example"}) == Host("gpu.example", 8443)
    for name in ("a.gpu.example", "gpu.example.evil", "gpu"):
        with pytest.raises(Refused):
            check_host(name, {"gpu.example"})
    assert read_host("[fe80::1%25eth0]") is None


@given(st.lists(st.floats(0, 5), min_size=1, max_size=200))
def test_a_bucket_gives_no_more_than_its_burst_and_its_rate(waits: list[float]) -> None:
    clock = Clock()
    buckets = Buckets(2.0, 4.0, clock)
    given_ = 0
    for wait in waits:
        clock.now += wait
        given_ += buckets.take("a") == 0.0
    assert given_ <= 4 + 2 * sum(waits) + 1e-6


def test_a_bucket_says_when_there_is_one_again() -> None:
    clock = Clock()
    buckets = Buckets(0.5, 1.0, clock)
    assert buckets.take("a") == 0.0
    clock.now += (wait := buckets.take("a"))
    assert wait == pytest.approx(2.0)
    assert buckets.take("a") == 0.0
    assert buckets.take("b") == 0.0


def test_many_addresses_take_little_memory() -> None:
    buckets = Buckets(1.0, 1.0, Clock())
    for number in range(10_000):
        buckets.take(str(number))
    assert len(buckets._levels) <= 4096


@pytest.mark.parametrize(
    ("remote", "client"),
    [
        ("127.0.0.1", "127.0.0.1"),
        ("::ffff:10.0.0.1", "10.0.0.1"),
        ("2001:db8:0:1:aaaa::1", "2001:db8:0:1::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        (None, "unknown"),
    ],
)
def test_a_client_is_an_address_or_a_network_of_its_own(remote: str | None, client: str) -> None:
    assert client_of(remote) == client


def test_a_code_is_good_once_and_for_a_quarter_of_an_hour() -> None:
    clock = Clock()
    codes = Codes(clock)
    code, late = codes.issue(), codes.issue()
    assert not codes.redeem("x" * len(code))
    assert codes.redeem(code)
    assert not codes.redeem(code)
    clock.now += CODE_SECONDS
    assert not codes.redeem(late)


@given(st.text(), st.text())
@example("a", "a")
@example("\ud800", "\ud800")
def test_two_secrets_are_the_same_where_they_are_equal(left: str, right: str) -> None:
    assert same(left, right) == (left == right)
    assert same(left, left)


async def test_a_session_lasts_thirty_days_after_its_last_use(tmp_path: Path) -> None:
    clock = Clock()
    store = JobStore(tmp_path / "jobs.sqlite")
    sessions = Sessions(store._commits, clock)
    await sessions.add("one")
    clock.now += SESSION_SECONDS - 1
    assert await sessions.use("one")
    clock.now += SESSION_SECONDS - 1
    assert await Sessions(store._commits, clock).use("one"), "its use was noted"
    clock.now += SESSION_SECONDS
    assert not await sessions.use("one")
    assert not await Sessions(store._commits, clock).use("one")
    await store.close()


async def test_sessions_that_are_over_are_forgotten(tmp_path: Path) -> None:
    clock = Clock()
    store = JobStore(tmp_path / "jobs.sqlite")
    sessions = Sessions(store._commits, clock)
    await asyncio.gather(*(sessions.add(str(number)) for number in range(1010)))
    assert not await sessions.use("0")
    assert await sessions.use("1009")
    assert len(sessions._noted) <= 1000
    clock.now += SESSION_SECONDS
    await sessions.add("new")
    count = await store._commits.read(lambda connection: connection.execute("SELECT count(*) FROM sessions").fetchone())
    assert count == (1,)
    await store.close()


@pytest.mark.skipif(os.name == "nt", reason="permissions")
def test_a_token_that_others_could_read_is_closed_to_them(tmp_path: Path) -> None:
    token = kept_token(tmp_path)
    (tmp_path / "token").chmod(0o644)
    assert kept_token(tmp_path) == token
    assert stat.S_IMODE((tmp_path / "token").stat().st_mode) == 0o600


@pytest.mark.parametrize("content", [b"short", b"with space in the middle", b"\xff" * 40, b"x" * 600])
def test_a_file_that_holds_no_token_is_told(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "token").write_bytes(content)
    with pytest.raises(BadToken, match="Remove the file"):
        kept_token(tmp_path)


def test_a_server_leaves_the_file_of_a_later_one(tmp_path: Path) -> None:
    with running_file(tmp_path, "http://127.0.0.1:1", "token"):
        (tmp_path / "server.json").write_text(json.dumps({"pid": 1}))
    assert (tmp_path / "server.json").exists()


def _declared(wanted: Callable[[str], bool]) -> list[str]:
    return [f"{found.method} {found.path}" for found in ENDPOINTS if wanted(found.method)]


def test_every_method_is_one_that_the_guard_knows() -> None:
    assert _declared(lambda method: method not in CHANGING and method not in ("GET", "HEAD")) == []


def test_what_changes_something_takes_no_form_and_no_text() -> None:
    for found in ENDPOINTS:
        kinds = getattr(found.body, "media_types", ())
        assert not {"text/plain", "application/x-www-form-urlencoded", "multipart/form-data"} & set(kinds), found.path


def test_only_health_and_signing_in_are_public() -> None:
    assert {found.path for found in ENDPOINTS if found.public} == {"/healthz", "/api/session"}

"""Secrets over HTTP: values go in, and never come out: not in answers, not in events, not in logs."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from server.harness import ServerProcess

pytestmark = pytest.mark.slow

VALUE = "hunter2-and-a-long-tail-of-letters"
NO_KEYRING = {"PYTHON_KEYRING_BACKEND": "keyring.backends.fail.Keyring"}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, data_folder: Path) -> Iterator[ServerProcess]:
    """A server with a secret in its environment, and without a keyring."""
    data = tmp_path_factory.mktemp("secrets") / "data"
    data.mkdir()
    (data / "catalog").symlink_to((data_folder / "catalog").resolve())
    with ServerProcess(data, env={**NO_KEYRING, "NODEGRAPH_SECRET_FROM_OUTSIDE": VALUE}) as running:
        yield running


def names(server: ServerProcess) -> dict[str, Any]:
    return {row["name"]: row["places"] for row in server.get("/api/secrets")["secrets"]}


def test_a_secret_is_kept_listed_replaced_and_removed_and_its_value_never_leaves(server: ServerProcess) -> None:
    assert names(server) == {"FROM_OUTSIDE": ["environment"]}
    status, answer = server.ask("PUT", "/api/secrets/hub_token", {"value": VALUE})
    assert (status, answer) == (200, {"name": "HUB_TOKEN", "places": ["file"]})
    assert names(server)["HUB_TOKEN"] == ["file"]
    kept = server.data / "secrets.json"
    assert json.loads(kept.read_text())["secrets"] == {"HUB_TOKEN": VALUE}
    assert kept.stat().st_mode & 0o077 == 0
    server.ask("PUT", "/api/secrets/HUB_TOKEN", {"value": VALUE * 2})
    assert json.loads(kept.read_text())["secrets"] == {"HUB_TOKEN": VALUE * 2}
    for path in ("/api/secrets", "/api/system", "/api/openapi.json"):
        assert VALUE.encode() not in server.send("GET", path)[2]
    for path in ("/api/secrets/hub_token", "/api/secrets/HUB_TOKEN"):
        assert server.send("GET", path)[0] == 405
    assert server.ask("DELETE", "/api/secrets/Hub_Token")[0] == 204
    assert server.ask("DELETE", "/api/secrets/Hub_Token")[0] == 404
    assert VALUE not in server.log.read_text()
    assert VALUE.encode() not in b"".join(path.read_bytes() for path in server.data.glob("jobs.sqlite*"))


def test_what_the_environment_sets_is_not_removed(server: ServerProcess) -> None:
    status, answer = server.ask("DELETE", "/api/secrets/from_outside")
    assert (status, answer["type"]) == (409, "nodegraph:set_outside")
    assert VALUE not in json.dumps(answer)


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"value": ""},
        {"value": None},
        {"value": [VALUE]},
        {"value": {"a": VALUE}},
        {"value": VALUE * 5000},
        {VALUE: 1},
        {"value": f"{VALUE}\0"},
        [VALUE],
        VALUE,
    ],
)
def test_what_is_no_value_is_refused_without_being_repeated(server: ServerProcess, body: Any) -> None:
    status, _, content = server.send(
        "PUT", "/api/secrets/token", json.dumps(body).encode(), {"Content-Type": "application/json"}
    )
    assert status in (409, 422)
    assert VALUE.encode() not in content
    assert VALUE not in server.log.read_text()
    assert "TOKEN" not in names(server)


@pytest.mark.parametrize("text", ['{"value": "%s', '{"value": %s}', "%s", '{"value": "%s",}', '{"value": "%s", "value": 1}'])
def test_a_body_that_is_no_json_is_not_repeated(server: ServerProcess, text: str) -> None:
    body = (text % VALUE).encode()
    status, _, content = server.send("PUT", "/api/secrets/token", body, {"Content-Type": "application/json"})
    assert status in (400, 422)
    assert VALUE.encode() not in content
    assert VALUE not in server.log.read_text()


@pytest.mark.parametrize(
    "name", ["ghp_16C7e42F292c6912E7710c838347Ae178B4a", "a.b", "a%2Fb", "1a", "%00", "x" * 3000, "a%20b", "ä", "a%0a"]
)
def test_what_is_no_name_perhaps_the_secret_itself_is_refused_without_being_repeated(server: ServerProcess, name: str) -> None:
    path = f"/api/secrets/{name.encode().decode('latin-1') if name != 'ä' else '%C3%A4'}"
    status, _, content = server.send("PUT", path, json.dumps({"value": VALUE}).encode(), {"Content-Type": "application/json"})
    assert status in (404, 422)
    assert name.encode() not in content or len(name) < 5
    assert server.send("DELETE", path)[0] == 404
    assert names(server) == {"FROM_OUTSIDE": ["environment"]}


def test_a_damaged_file_is_told_and_not_overwritten(server: ServerProcess) -> None:
    kept = server.data / "secrets.json"
    kept.write_text("{broken")
    kept.chmod(0o600)
    for method, path, body in (("GET", "/api/secrets", None), ("PUT", "/api/secrets/a", {"value": VALUE})):
        status, answer = server.ask(method, path, body)
        assert (status, answer["type"]) == (409, "nodegraph:secrets_unusable")
        assert str(server.data) not in json.dumps(answer)
    assert kept.read_text() == "{broken"
    kept.unlink()

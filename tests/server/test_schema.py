"""The server does what its OpenAPI document says, as schemathesis sees it, and never answers with a fault of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from server.harness import TOKEN, ServerProcess, chain

pytestmark = pytest.mark.slow

EXAMPLES = "200" if os.environ.get("HYPOTHESIS_PROFILE") == "soak" else "12"
ENDLESS = "^/api/events"
"""Streams that go on until the client leaves."""

CHECKS = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_headers_conformance",
    "response_schema_conformance",
    "negative_data_rejection",
    "unsupported_method",
    "ignored_auth",
)
"""All that apply. Not `positive_data_acceptance`: a schema cannot say that a workflow's links lead somewhere."""


CONFIG = """\
[checks]
negative_data_rejection.expected-statuses = [400, 401, 403, 404, 405, 406, 409, 413, 415, 422, 428, 431]
"""
"""An address that is too long is refused before anybody knows which endpoint it names: 431 is a refusal, too."""


@pytest.fixture
def open_server(new_server) -> ServerProcess:  # type: ignore[no-untyped-def]
    """A server that does not mind many requests."""
    return new_server(env={"NODEGRAPH_SERVER__REQUESTS_PER_SECOND": "100000"}).start()


def test_every_answer_is_as_the_openapi_document_says(open_server: ServerProcess, tmp_path: Path) -> None:
    open_server.wait(open_server.submit(chain(["one"])))
    config = tmp_path / "schemathesis.toml"
    config.write_text(CONFIG)
    command = [
        *(sys.executable, "-m", "schemathesis.cli", "--config-file", str(config)),
        *("run", f"{open_server.url}/api/openapi.json"),
        *("--header", f"Authorization: Bearer {TOKEN}", "--max-examples", EXAMPLES, "--seed", "1"),
        *("--exclude-path-regex", ENDLESS, "--checks", ",".join(CHECKS), "--phases", "examples,coverage,fuzzing"),
        *("--generation-database", "none", "--suppress-health-check", "all"),
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600, cwd=open_server.data, check=False)
    assert done.returncode == 0, done.stdout[-6000:]
    assert open_server.get("/healthz")["status"] == "ok"


def test_the_description_is_openapi_3_1_and_knows_every_endpoint(server: ServerProcess) -> None:
    from nodegraph.server.routes import ENDPOINTS

    description = server.get("/api/openapi.json")
    assert description["openapi"].startswith("3.1")
    for found in ENDPOINTS:
        assert found.method.lower() in description["paths"][found.path], found.path
    json.dumps(description)


def test_every_operation_has_a_summary_and_a_name_of_its_own(server: ServerProcess) -> None:
    operations = [item for path in server.get("/api/openapi.json")["paths"].values() for item in path.values()]
    names = [operation["operationId"] for operation in operations]
    assert len(names) == len(set(names))
    assert all(operation["summary"] for operation in operations)

"""While the server ends, its store is closed before the last connection is: who asks then is told to come again."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import make_mocked_request

from nodegraph.jobs import StoreFailed
from nodegraph.server.app import _telling


@pytest.mark.parametrize(("draining", "status", "kind"), [(False, 507, "store_failed"), (True, 503, "stopping")])
async def test_a_store_that_is_closed_because_the_server_ends_is_no_full_disk(draining: bool, status: int, kind: str) -> None:
    async def fails(request: web.Request) -> web.StreamResponse:
        raise StoreFailed("it is closed")

    server: Any = SimpleNamespace(draining=draining)
    answer: Any = await _telling(server)(make_mocked_request("GET", "/api/jobs"), fails)
    assert (answer.status, json.loads(answer.body)["type"]) == (status, f"nodegraph:{kind}")
    assert ("Retry-After" in answer.headers) is draining

"""Which server a client talks to, and to whom a token is shown."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from nodegraph.client import ServerGone
from nodegraph.client.finding import find_server, normal_url

HERE, TOKEN = "http://127.0.0.1:8188", "a-token-of-this-test"


def running(data: Path, url: str = HERE, pid: int | None = None) -> Path:
    """A data folder whose server says that it runs."""
    (data / "server.json").write_text(json.dumps({"url": url, "pid": os.getpid() if pid is None else pid, "token": TOKEN}))
    return data


def test_without_an_address_it_is_the_server_of_the_data_folder(tmp_path: Path) -> None:
    found = find_server(data=running(tmp_path), environ={})
    assert (found.url, found.token) == (HERE, TOKEN)


def test_without_any_server_it_says_how_to_start_one(tmp_path: Path) -> None:
    with pytest.raises(ServerGone, match="nodegraph serve"):
        find_server(data=tmp_path, environ={})


def test_a_server_whose_process_is_gone_is_no_server(tmp_path: Path) -> None:
    with pytest.raises(ServerGone):
        find_server(data=running(tmp_path, pid=2**22 + 1), environ={})


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"url": 5, "pid": "x"}', '{"url": "ftp://x", "pid": 1}'])
def test_a_damaged_file_is_no_server(tmp_path: Path, content: str) -> None:
    (tmp_path / "server.json").write_text(content)
    with pytest.raises(ServerGone):
        find_server(data=tmp_path, environ={})


def test_a_token_comes_from_the_argument_then_the_environment_then_the_file(tmp_path: Path) -> None:
    data = running(tmp_path)
    environ = {"NODEGRAPH_TOKEN": "from the environment"}
    assert find_server(HERE, "given", data, environ).token == "given"
    assert find_server(HERE, None, data, environ).token == "from the environment"
    assert find_server(HERE + "/", None, data, {}).token == TOKEN


def test_a_token_of_the_data_folder_is_shown_to_no_other_machine(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("kept\n")
    data = running(tmp_path)
    assert find_server("http://gpu.example:8188", None, data, {}).token is None
    assert find_server("http://127.0.0.1.evil.example:8188", None, data, {}).token is None
    assert find_server("http://localhost:9000", None, data, {}).token == "kept"


def test_a_token_does_not_show_in_a_printed_address(tmp_path: Path) -> None:
    assert TOKEN not in repr(find_server(data=running(tmp_path), environ={}))


@pytest.mark.parametrize(
    ("typed", "url"),
    [
        ("127.0.0.1:8188", HERE),
        ("http://127.0.0.1:8188/", HERE),
        ("HTTP://GPU.example:80", "http://gpu.example:80"),
        ("https://gpu.example/nodes/", "https://gpu.example/nodes"),
        ("http://[::1]:8188", "http://[::1]:8188"),
    ],
)
def test_an_address_has_one_form(typed: str, url: str) -> None:
    assert normal_url(typed) == url


@pytest.mark.parametrize(
    "typed", ["", "ftp://x", "http://", "http://x:99999", "http://user:word@x", "http://x?token=y", "http://x#y"]
)
def test_what_is_no_address_is_refused_in_words(typed: str) -> None:
    with pytest.raises(ServerGone, match="is not the address of a server"):
        normal_url(typed)


def test_the_client_is_loaded_only_by_those_who_use_it() -> None:
    code = (
        "import sys, nodegraph, nodegraph.cli.app; assert 'aiohttp' not in sys.modules; "
        "nodegraph.Client; assert not {'torch', 'numpy', 'PIL'} & sys.modules.keys()"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)

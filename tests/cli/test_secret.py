"""`nodegraph secret`: values go in and never come out, over pipes and at a terminal."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from store.test_secrets import KEPT_KEYRING

VALUE = "sesame-open-yourself"

Command = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return tmp_path / "data"


@pytest.fixture
def environment(tmp_path: Path, data: Path) -> dict[str, str]:
    return os.environ | {
        "NODEGRAPH_DATA": str(data),
        "PYTHON_KEYRING_BACKEND": "keyring.backends.fail.Keyring",
        "PYTHONPATH": str(tmp_path),
        "COLUMNS": "200",
    }


@pytest.fixture
def secret(environment: dict[str, str]) -> Command:
    """`nodegraph secret ...` as a process of its own, with what it reads from stdin."""

    def call(*words: str, stdin: str = "", **more: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "nodegraph.cli", "secret", *words]
        return subprocess.run(
            command, input=stdin, capture_output=True, text=True, timeout=60, env=environment | more, check=False
        )

    return call


def test_a_secret_is_set_listed_and_removed_by_name_and_never_shown(secret: Command, data: Path) -> None:
    done = secret("set", "hub", stdin=f"{VALUE}\n")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("HUB is kept in secrets.json")
    listed = secret("list", "--json")
    assert json.loads(listed.stdout) == {"secrets": [{"name": "HUB", "place": "file", "also": []}]}
    assert VALUE not in done.stdout + listed.stdout + secret("list").stdout
    assert json.loads((data / "secrets.json").read_text())["secrets"] == {"HUB": VALUE}
    assert stat.S_IMODE((data / "secrets.json").stat().st_mode) == 0o600
    assert json.loads(secret("remove", "HUB", "--json").stdout) == {"name": "HUB", "place": "file"}
    assert "There are no secrets" in secret("list").stdout


def test_a_value_behind_the_name_is_refused_and_not_repeated(secret: Command, data: Path) -> None:
    for words in (("HUB", VALUE), ("HUB", f"--{VALUE}"), ("sk-live-51H8x/very=secret",)):
        done = secret("set", *words)
        assert done.returncode == 2
        assert not any(word in done.stdout + done.stderr for word in (VALUE, "51H8x"))
    assert not data.exists()


def test_nothing_is_kept_of_an_empty_value_or_of_what_is_no_text(
    secret: Command, data: Path, environment: dict[str, str]
) -> None:
    done = secret("set", "hub", "--json")
    assert (done.returncode, json.loads(done.stdout)["problems"][0]["code"]) == (2, "bad_secret")
    command = [sys.executable, "-m", "nodegraph.cli", "secret", "set", "hub"]
    raw = subprocess.run(command, input=b"\xff\xfe\x01", capture_output=True, timeout=60, env=environment, check=False)
    assert raw.returncode == 2
    assert b"no text" in raw.stderr
    assert not (data / "secrets.json").exists()


def test_a_file_that_others_may_read_is_refused_with_its_folder(secret: Command, data: Path) -> None:
    secret("set", "hub", stdin=VALUE)
    (data / "secrets.json").chmod(0o644)
    for words in (("list",), ("remove", "hub"), ("set", "hub")):
        done = secret(*words, stdin="another")
        assert done.returncode == 2
        assert "chmod 600 secrets.json" in done.stderr
        assert str(data) in done.stderr
        assert VALUE not in done.stderr
    assert VALUE in (data / "secrets.json").read_text()


def test_what_the_environment_sets_is_listed_and_said(secret: Command) -> None:
    more = {"NODEGRAPH_SECRET_HUB": "of-the-environment"}
    assert "NODEGRAPH_SECRET_HUB is set here, and counts first." in secret("set", "hub", stdin=VALUE, **more).stderr
    assert json.loads(secret("list", "--json", **more).stdout) == {
        "secrets": [{"name": "HUB", "place": "environment", "also": ["file"]}]
    }
    assert secret("remove", "hub", **more).returncode == 0
    done = secret("remove", "hub", **more)
    assert done.returncode == 2
    assert "The environment variable NODEGRAPH_SECRET_HUB sets it." in done.stderr


def test_removing_what_is_not_there_says_where_to_look(secret: Command) -> None:
    done = secret("remove", "hub")
    assert done.returncode == 2
    assert "nodegraph secret list" in done.stderr


def test_a_keyring_keeps_a_secret_from_one_process_to_the_next(
    secret: Command, environment: dict[str, str], data: Path, tmp_path: Path
) -> None:
    (tmp_path / "kept_keyring.py").write_text(KEPT_KEYRING)
    more = {"PYTHON_KEYRING_BACKEND": "kept_keyring.Kept"}
    assert secret("set", "hub", stdin=VALUE, **more).stdout == "HUB is kept in the system's keyring.\n"
    assert VALUE not in (data / "secrets.json").read_text()
    code = "from nodegraph import Session; print(Session().secrets.reveal('hub'))"
    assert subprocess.check_output([sys.executable, "-c", code], env=environment | more, text=True, timeout=60).strip() == VALUE
    assert secret("remove", "hub", **more).returncode == 0
    assert VALUE not in (tmp_path / "kept_keyring.json").read_text()


@pytest.mark.skipif(sys.platform == "win32", reason="no pseudo-terminals there")
def test_at_a_terminal_the_value_is_typed_unseen(environment: dict[str, str], data: Path) -> None:
    import pty

    command = [sys.executable, "-m", "nodegraph.cli", "secret", "set", "hub"]
    child, terminal = pty.fork()
    if child == 0:
        os.execve(sys.executable, command, environment)
    seen = _read_until(terminal, b"(it is not shown): ")
    os.write(terminal, f"{VALUE}\n".encode())
    seen += _read_until(terminal, b"HUB is kept")
    _, status = os.waitpid(child, 0)
    os.close(terminal)
    assert os.waitstatus_to_exitcode(status) == 0
    assert VALUE.encode() not in seen
    assert json.loads((data / "secrets.json").read_text())["secrets"] == {"HUB": VALUE}


def _read_until(terminal: int, words: bytes) -> bytes:
    seen, until = b"", time.monotonic() + 60
    while words not in seen:
        assert time.monotonic() < until, seen
        seen += os.read(terminal, 1024)
    return seen

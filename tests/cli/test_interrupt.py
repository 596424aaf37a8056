"""Signals while a workflow runs, in a process of its own with a pack whose nodes say when they have begun."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

PACK = """
import sys, threading
from nodegraph import Context, node

@node()
def patient(context: Context) -> int:
    print("begun", file=sys.stderr, flush=True)
    while True:
        threading.Event().wait(0.01)
        context.check_cancelled()

@node()
def stubborn() -> int:
    print("begun", file=sys.stderr, flush=True)
    threading.Event().wait()
    return 1
"""

Start = Callable[..., subprocess.Popen[str]]


@pytest.fixture
def start(tmp_path: Path, data: Path) -> Start:
    """Begin a run of one node and wait until the node has begun."""
    site = tmp_path / "site"
    (site / "waiting-1.0.dist-info").mkdir(parents=True)
    (site / "waiting.py").write_text(PACK)
    (site / "waiting-1.0.dist-info" / "METADATA").write_text("Metadata-Version: 2.1\nName: waiting\nVersion: 1.0\n")
    (site / "waiting-1.0.dist-info" / "entry_points.txt").write_text("[nodegraph.packs]\nwaiting = waiting\n")

    def begin(kind: str, *options: str) -> subprocess.Popen[str]:
        (tmp_path / "w.json").write_text(json.dumps({"nodes": {"n": {"type": f"waiting/{kind}"}}}))
        search = os.pathsep.join([str(site), *filter(None, [os.environ.get("PYTHONPATH")])])
        command = [sys.executable, "-m", "nodegraph.cli", "run", "w.json", "--trust", "--data", str(data), *options]
        process = subprocess.Popen(
            command, cwd=tmp_path, env={**os.environ, "PYTHONPATH": search}, stdout=-1, stderr=-1, text=True
        )
        assert process.stderr is not None
        line = process.stderr.readline()
        assert line == "begun\n", line + process.stderr.read()
        return process

    return begin


@pytest.mark.slow
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)], ids=["ctrl-c", "sigterm"])
def test_a_signal_cancels_the_run_and_its_number_is_in_the_exit_code(start: Start, number: signal.Signals, code: int) -> None:
    process = start("patient")
    process.send_signal(number)
    out, err = process.communicate(timeout=60)
    assert (process.returncode, out, err) == (code, "", "Cancelled.\n")


@pytest.mark.slow
def test_a_cancelled_run_as_json_is_one_object(start: Start) -> None:
    process = start("patient", "--json")
    process.send_signal(signal.SIGTERM)
    out, _ = process.communicate(timeout=60)
    assert json.loads(out) == {"status": "cancelled"}


@pytest.mark.slow
def test_the_second_ctrl_c_ends_at_once_a_run_that_does_not_stop(start: Start) -> None:
    process = start("stubborn")
    process.send_signal(signal.SIGINT)
    assert process.stderr is not None
    assert process.stderr.readline() == "Cancelled.\n"
    process.send_signal(signal.SIGINT)
    assert process.wait(timeout=10) == 130

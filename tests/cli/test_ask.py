"""Questions from the command line: answered beforehand, on a terminal, or refused with what to do."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest

from cli.conftest import Nodegraph

DOCUMENT = {
    "nodegraph": 1,
    "id": "choose",
    "nodes": {
        "lines": {"type": "core/split_lines", "inputs": {"value": "red\ngreen\nblue"}},
        "ask": {"type": "core/ask", "inputs": {"question": "Which colour?"}, "links": {"options": "lines.texts"}},
    },
    "interface": {"outputs": {"colour": "ask.chosen"}},
}


@pytest.fixture
def workflow(tmp_path: Path) -> Path:
    path = tmp_path / "choose.json"
    path.write_text(json.dumps(DOCUMENT))
    return path


@pytest.mark.parametrize("answer", ["1", "green"])
def test_an_answer_given_beforehand_is_taken(nodegraph: Nodegraph, workflow: Path, answer: str) -> None:
    done = nodegraph("run", workflow, "--answer", f"ask={answer}", "--json")
    assert json.loads(done.stdout)["outputs"] == {"colour": [{"value": "green"}]}


def test_without_anybody_to_ask_the_run_fails_and_says_how_to_answer(nodegraph: Nodegraph, workflow: Path) -> None:
    done = nodegraph("run", workflow)
    assert done.code == 1
    assert "--answer ask=N" in done.stderr


def test_an_answer_that_is_no_choice_fails_with_the_choices(nodegraph: Nodegraph, workflow: Path) -> None:
    done = nodegraph("run", workflow, "--answer", "ask=purple")
    assert done.code == 1
    assert "0 to 2, or one of the choices" in done.stderr


@pytest.mark.slow
def test_on_a_terminal_the_question_is_asked_until_it_is_answered(workflow: Path, tmp_path: Path) -> None:
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "nodegraph.cli", "run", str(workflow), "--json", "--data", str(tmp_path / "data")]
    with subprocess.Popen(command, stdin=theirs, stderr=theirs, stdout=subprocess.PIPE, text=True) as process:
        os.close(theirs)
        os.write(ours, b"9\nblue\n")
        assert process.stdout is not None
        report = json.loads(process.stdout.read())
        shown = os.read(ours, 10_000).decode()
    os.close(ours)
    assert report["outputs"] == {"colour": [{"value": "blue"}]}
    assert "Which colour?" in shown
    assert "That is none of them." in shown

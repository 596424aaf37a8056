"""What is kept of a worker's standard error tells where it died, and never what somebody wrote."""

from __future__ import annotations

import subprocess
import sys

from hypothesis import given
from hypothesis import strategies as st

from nodegraph.workers.last_words import LastWords

PROMPT = "a red fox, secretly"


def ready() -> LastWords:
    words = LastWords()
    words.is_ready = True
    return words


def after(code: str) -> list[str]:
    """What is kept of what a real Python says that runs this code."""
    done = subprocess.run([sys.executable, "-X", "faulthandler", "-c", code], capture_output=True, text=True, check=False)
    assert done.stderr
    words = ready()
    for line in done.stderr.splitlines():
        words.hear(line)
    return words.lines


def test_a_segmentation_fault_says_where_it_was() -> None:
    lines = after("import ctypes\ndef dangerous():\n    ctypes.string_at(0)\ndangerous()")
    assert lines[0].startswith("Fatal Python error: Segmentation fault")
    assert any("in dangerous" in line for line in lines)


def test_of_an_exception_the_type_is_kept_and_not_its_message() -> None:
    lines = after(f"prompt = {PROMPT!r}\nraise ValueError(prompt)")
    assert lines[-1] == "ValueError"
    assert not any(PROMPT in line for line in lines)


@given(st.text())
def test_what_nodes_print_is_not_kept(text: str) -> None:
    words = ready()
    words.hear(f"prompt: {text}")
    assert words.lines == []


def test_before_a_worker_is_ready_all_is_kept_without_control_characters() -> None:
    words = LastWords()
    words.hear("No module named 'torch'\x1b[2J")
    assert words.lines == ["No module named 'torch'\\x1b[2J"]


def test_only_so_many_lines_are_kept_however_long_it_speaks() -> None:
    words = LastWords()
    for number in range(10_000):
        words.hear(f"line {number}")
    assert len(words.lines) == 20
    assert words.last == "line 9999"

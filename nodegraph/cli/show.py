"""How the command line speaks: problems on stderr, results on stdout, one JSON object where asked."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Sequence
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from nodegraph.sdk.errors import Problem

_PIPE_COLUMNS = 1000

DONE, FAILED, WRONG_INPUT = 0, 1, 2
"""Exit codes; one that a signal ended has 128 and the signal's number: 130 for Ctrl-C, 143 for SIGTERM."""


def stdout() -> Console:
    """For tables. Text is shown as it is: brackets and colons are no markup. In a pipe lines are as long as they need to be."""
    console = Console(highlight=False, markup=False, emoji=False)
    if not console.is_terminal and "COLUMNS" not in os.environ:
        console.width = _PIPE_COLUMNS
    return console


def stderr() -> Console:
    return Console(stderr=True, highlight=False, markup=False, emoji=False)


def print_json(data: Any) -> None:
    """One JSON object on stdout."""
    sys.stdout.write(json.dumps(data, ensure_ascii=False, indent=2, default=str) + "\n")
    sys.stdout.flush()


def print_problems(problems: Sequence[Problem], title: str) -> None:
    """Every problem, each with its place, what was expected, what came, and what to do next."""
    console = stderr()
    console.print(Text(title, style="bold red"))
    for problem in problems:
        line = Text("  ")
        if problem.place:
            line.append(f"{problem.place}: ", style="bold")
        line.append(problem.message)
        console.print(line, soft_wrap=True)
        for label, text in (("expected", problem.expected), ("got", problem.got)):
            if text:
                console.print(Text(f"      {label} {text}", style="dim" if label == "expected" else ""), soft_wrap=True)
        if problem.hint:
            console.print(Text(f"      {problem.hint}", style="cyan"), soft_wrap=True)


def refuse(problems: Sequence[Problem], as_json: bool, what: str = "This cannot run", **more: Any) -> int:
    """Say that the input was wrong, in the asked form, and give the exit code."""
    if as_json:
        print_json({"status": "invalid", **more, "problems": [problem.to_json() for problem in problems]})
    else:
        count = "1 problem" if len(problems) == 1 else f"{len(problems)} problems"
        print_problems(problems, f"{what}: {count}.")
    return WRONG_INPUT


def duration(ms: float) -> str:
    """`431 ms`, `2.4 s`, `3 min 20 s`."""
    if ms < 1000:
        return f"{ms:.0f} ms" if ms >= 1 or not ms else f"{ms:.1g} ms"
    if ms < 120_000:
        return f"{ms / 1000:.1f} s"
    minutes, seconds = divmod(round(ms / 1000), 60)
    return f"{minutes} min {seconds} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


def size(nbytes: float) -> str:
    """Bytes as people say them: `540 MB`, `1.2 GB`."""
    for unit in ("bytes", "kB", "MB", "GB"):
        if nbytes < 1000:
            return f"{nbytes:.0f} {unit}" if unit == "bytes" or nbytes >= 10 else f"{nbytes:.1f} {unit}"
        nbytes /= 1000
    return f"{nbytes:.1f} TB"


def table(*titles: str, right: Sequence[str] = ()) -> Table:
    """A table without lines, its columns named."""
    made = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for title in titles:
        made.add_column(title, justify="right" if title in right else "left", no_wrap=title != "why")
    return made

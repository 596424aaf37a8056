"""Asking a person whether a document from outside may do what it wants."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace

from rich.console import Console
from rich.text import Text

from nodegraph.api.origin import Untrusted
from nodegraph.api.workflow import Workflow
from nodegraph.graph.uses import Use, told
from nodegraph.sdk.errors import InvalidWorkflow

_HINT = "If you trust the file, say --trust; it is asked once for each file."


def ask_for_consent(workflow: Workflow, trust: bool, paths: Sequence[str], console: Console | None) -> None:
    """Go on only with a person's consent to what the document wants: given before, by --trust, or now at the terminal.

    `paths` were typed and need none; without a console, nobody can be asked. Raises InvalidWorkflow with everything it wants.
    """
    if trust:
        workflow.accept()
        return
    if wants := workflow.wants(paths):
        agree(wants, console)
        workflow.accept()


def agree(wants: Mapping[Use, str], console: Console | None) -> None:
    """Go on only if the person at the terminal accepts this. Raises InvalidWorkflow."""
    if console is None or not (console.is_terminal and sys.stdin.isatty()):
        first, *rest = Untrusted(wants).problems
        raise InvalidWorkflow([replace(first, hint=_HINT), *rest])
    show_wants(wants, console)
    if console.input("Run it? You will not be asked again for this file. [y/N] ", markup=False).strip().lower() not in (
        "y",
        "yes",
    ):
        raise InvalidWorkflow([replace(told(wants)[0], message="You did not accept what this workflow wants.", node=None)])


def show_wants(wants: Mapping[Use, str], console: Console) -> None:
    """What a document wants, in words."""
    console.print(Text("This workflow wants more than to compute with models and with nodes that come with nodegraph:", "bold"))
    for problem in told(wants):
        console.print(Text(f"  {problem.node}: {problem.message}"), soft_wrap=True)

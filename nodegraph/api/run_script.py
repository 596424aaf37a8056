"""`python -m nodegraph.api.run_script FILE OUT [NAME]`: run a script, and write the document that it builds."""

from __future__ import annotations

import json
import os
import sys
import tokenize
import traceback
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

from nodegraph.api.graph import Graph
from nodegraph.api.workflow import Workflow
from nodegraph.graph import Document, dump_document
from nodegraph.sdk.errors import InvalidWorkflow, Problem, nearest

MODULE = "nodegraph_script"
"""The `__name__` of a script that is read: not `__main__`, so that it builds and does not run."""

NAMES = ("graph", "workflow")
"""What a script calls its workflow where it has several."""


def main() -> None:
    path, out, *name = sys.argv[1:]
    os.dup2(2, 1)  # what the script prints is for people to read
    try:
        found = _found(_run(Path(path)), Path(path), name[0] if name else None)
        result: dict[str, Any] = {"document": dump_document(_document(found))}
    except InvalidWorkflow as error:
        result = {"problems": [problem.to_json() for problem in error.problems]}
    except Exception as error:  # of a node of the script's own, say, which belongs to no installed pack
        result = {"problems": [Problem("bad_script", f"The graph cannot be written down: {error}").to_json()]}
    Path(out).write_text(json.dumps(result), "utf-8")


def _run(path: Path) -> Mapping[str, Any]:
    """The names of a script that has been run. Raises InvalidWorkflow with its own message and line where it fails."""
    module = ModuleType(MODULE)
    module.__file__ = str(path)
    sys.modules[MODULE] = module
    sys.argv = [str(path)]
    sys.path[0] = str(path.resolve().parent)
    try:
        with tokenize.open(path) as file:
            source = file.read()
        exec(compile(source, str(path), "exec", dont_inherit=True), vars(module))
    except SystemExit as error:
        message = f"{path} ended itself with exit code {error.code or 0} before its workflow could be read."
        hint = 'Put what runs the workflow under `if __name__ == "__main__":`.'
        raise InvalidWorkflow([Problem("script_ended", message, hint=hint)]) from None
    except SyntaxError as error:
        if error.filename not in (str(path), None):
            raise InvalidWorkflow([_failed(path, error)]) from None
        message = f"{path} is not Python: {error.msg}."
        raise InvalidWorkflow([Problem("bad_script", message, line=error.lineno, column=error.offset)]) from None
    except UnicodeDecodeError as error:
        raise InvalidWorkflow([Problem("bad_script", f"{path} is not text: {error}.")]) from None
    except Exception as error:
        raise InvalidWorkflow([_failed(path, error)]) from None
    return vars(module)


def _failed(path: Path, error: Exception) -> Problem:
    """What the script says, at the last of its own lines that led there."""
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == str(path)]
    message = f"{path} stopped: {type(error).__name__}: {error}"
    return Problem("script_failed", message, line=lines[-1] if lines else None, hint=f"`python {path}` shows where.")


def _found(names: Mapping[str, Any], path: Path, wanted: str | None) -> Graph | Workflow | Document:
    """The workflow that a script offers. Raises InvalidWorkflow where it is not clear which."""
    offered = {name: item for name, item in names.items() if isinstance(item, (Graph, Workflow, Document))}
    if wanted is not None:
        if wanted in offered:
            return offered[wanted]
        message = f"{path} has no graph called {wanted!r}."
        raise InvalidWorkflow([Problem("no_graph", message, hint=nearest(wanted, offered, "It has") or None)])
    for name in NAMES:
        if name in offered:
            return offered[name]
    different = {id(item): name for name, item in reversed(offered.items())}
    if len(different) == 1:
        return offered[different.popitem()[1]]
    if offered:
        message = f"{path} has several graphs: {', '.join(offered)}."
        raise InvalidWorkflow([Problem("which_graph", message, hint="Say which one with --name, or call it `graph`.")])
    message = f"{path} offers no workflow."
    hint = "Build one at module level: graph = nodegraph.Graph(...)."
    raise InvalidWorkflow([Problem("no_graph", message, hint=hint)])


def _document(found: Graph | Workflow | Document) -> Document:
    if isinstance(found, Graph):
        return found.document()
    return found.document if isinstance(found, Workflow) else found


if __name__ == "__main__":
    main()

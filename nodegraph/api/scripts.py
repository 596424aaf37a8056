"""Workflows and Python scripts, both ways: a document as a script that builds it, and the document that a script builds.

A script offers its workflow at module level: a `Graph` (or Workflow, or Document) called `graph` or `workflow`, or any other
name if there is only one. What stands under `if __name__ == "__main__":` is not run.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from nodegraph.graph import Catalog, Document, parse_document
from nodegraph.scripting import python_script
from nodegraph.sdk.errors import InvalidWorkflow, Problem
from nodegraph.sdk.pack import installed_packs


def script_from_document(document: Document, catalog: Catalog) -> str:
    """A Python script whose `graph` is this document, for the packs that are installed here. No pack is imported."""
    return python_script(document, catalog, {name: point.module for name, point in installed_packs().items()})


def document_from_script(path: str | Path, name: str | None = None, *, data: Path | None = None) -> Document:
    """The document that a script builds. This runs the file's code, in a process of its own, as `python FILE` would.

    `name` says which of several graphs is meant. What the script prints comes on stderr. Raises InvalidWorkflow: with the
    script's own message and line where it fails, and where it offers no graph.
    """
    path = Path(path)
    if not path.is_file():
        raise InvalidWorkflow([Problem("no_file", f"There is no file {path}.")])
    environment = os.environ | ({} if data is None else {"NODEGRAPH_DATA": str(data)})
    with tempfile.TemporaryDirectory(prefix="nodegraph-") as folder:
        found = Path(folder) / "found.json"
        command = [sys.executable, "-m", "nodegraph.api.run_script", str(path), str(found), *([name] if name else [])]
        done = subprocess.run(command, env=environment, check=False)
        try:
            result = json.loads(found.read_text("utf-8"))
        except (OSError, ValueError):
            message = f"{path} ended with exit code {done.returncode} before its workflow could be read."
            raise InvalidWorkflow([Problem("script_ended", message)]) from None
    if "problems" in result:
        raise InvalidWorkflow([Problem(**problem) for problem in result["problems"]])
    return parse_document(result["document"])
